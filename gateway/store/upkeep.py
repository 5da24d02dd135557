"""What the file needs beside commits: old records go, the ballast comes back, its log is emptied."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from gateway.reading import Lane
from gateway.store.check import Check
from gateway.store.errors import Swollen
from gateway.store.file import log_size
from gateway.store.writer import Writer

_TRIM = 60.0  # [s] between looks for records that may go
_PAUSE = 1.0  # [s] between two looks when there is much to do
_MANY = 900  # records that went in one look: there may be more, and the next look follows soon
_SWOLLEN = 16 << 20  # bytes of a write-ahead log that somebody keeps from being emptied


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long records stay [s]: delivered ones, by lane; readings that wait, as they are and at all."""

    keep: Mapping[Lane, float]
    thin_after: float | None = None
    drop_after: float | None = None


class Upkeep:
    """Does what is due, while the disk takes it."""

    def __init__(self, writer: Writer, terms: Terms) -> None:
        self.check = Check(writer)
        self.trimmed = writer.clock.monotonic()
        """When the last look for records that may go was, on the clock."""
        self._writer = writer
        self._log = writer.log
        self._terms = terms

    @property
    def due(self) -> float:
        """When there is something to do, on the clock."""
        return min(self.trimmed + _TRIM, self.check.at)

    async def turn(self, now: float) -> None:
        """Do what is due at *now*."""
        if now - self.trimmed >= _TRIM:
            await self._trim(now)
        if self._log.checkpoint.due:
            await self.checkpoint()
        self.check.begin(now)

    async def _trim(self, now: float) -> None:
        cursors, at, keep = self._writer.cursors(), self._writer.now(), self._terms.keep
        self.trimmed = now
        try:
            gone = await self._writer.write(lambda: self._log.retention.trim(cursors, keep, at))
            gone += await self._outdate()
            await self._look_at_ballast()
        except sqlite3.Error as error:
            self._writer.condition.fail(error)
            return
        if gone >= _MANY:
            self.trimmed = now - _TRIM + _PAUSE

    async def _outdate(self) -> int:
        """Thin and drop what has waited for too long, where there is such a thing; return how many went."""
        ways = (
            (self._terms.drop_after, self._log.retention.expire),
            (self._terms.thin_after, self._log.thinning.thin_old),
        )
        gone = 0
        for age, way in ways:
            if age is not None:
                cursors, at = self._writer.cursors(), self._writer.now()
                change = await self._writer.write(partial(way, cursors, at, age))
                self._writer.apply(change)
                gone += sum(map(len, change.drops))
        return gone

    async def _look_at_ballast(self) -> None:
        """Make it anew where there is room again; a disk that never had room for one is not spoken of."""
        ballast, condition = self._log.ballast, self._writer.condition
        await self._writer.call(ballast.restore)
        condition.ballast = await self._writer.call(lambda: ballast.held)
        if condition.released and (condition.ballast or await self._writer.call(ballast.spare)):
            condition.spare()

    async def checkpoint(self, *, fully: bool = False) -> None:
        """Empty the write-ahead log, *fully* where nothing more is to come."""
        condition = self._writer.condition
        try:
            complete = await self._writer.write(lambda: self._log.checkpoint.make(fully=fully))
            if not complete and (size := log_size(self._writer.path)) > _SWOLLEN:
                raise Swollen(
                    f"another program reads the store and does not end; its log has grown to {size >> 20} MiB"
                )
        except sqlite3.Error as error:
            condition.neglect("checkpoint", error)
        else:
            condition.neglect("checkpoint", None)
