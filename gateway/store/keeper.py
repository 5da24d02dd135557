"""The one task that decides what is written when: commits, drops, the cursor, trims, checkpoints."""

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from drivers.device import Clock
from gateway.clock import Instant
from gateway.reading import Lane
from gateway.store.errors import StoreError, Swollen, advice, damaged
from gateway.store.file import log_size, mark_damaged, size_of
from gateway.store.log import Log
from gateway.store.memory import Memory, Text
from gateway.store.pending import Batch, Pending, Row
from gateway.store.reader import Reader
from gateway.store.tables import Change
from gateway.store.tally import Drop, Tally
from gateway.store.wear import Wear
from gateway.store.worker import Worker

T = TypeVar("T")

_MEMORY = 8 << 20  # bytes of records per lane that wait for a failing disk
_ROWS = 5000  # records of a lane that one commit takes
_CURSOR = 2.0  # [s] after which an acknowledgement is on the disk; losing it costs duplicates only
_TRIM = 60.0  # [s] between looks for delivered records that may go
_PAUSE = 1.0  # [s] between two trims when there is much to trim
_RETRY = (0.5, 4.0)  # [s] first and longest wait before a failed commit is tried again
_CHECK = (60.0, 86_400.0)  # [s] after the start, and then again and again, the whole file is looked through
_SHED = 3600.0  # [s] for which the status says that readings were given up
_LESS = {"thinned": "thinning", "full": "dropping", "expired": "dropping"}  # reasons, and the state's word
_MANY = 900  # records that went in one look: there may be more, and the next look follows soon
_SWOLLEN = 16 << 20  # bytes of a write-ahead log that somebody keeps from being emptied
_STUCK = 5.0  # [s] after which a write that has not come back counts as a failure

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long records stay [s]: delivered ones, by lane; readings that wait, as they are and at all."""

    keep: Mapping[Lane, float]
    thin_after: float | None = None
    drop_after: float | None = None


class Keeper:
    """Owns the log, and what waits for it. Everything but the thread's work happens in the event loop."""

    def __init__(
        self,
        log: Log,
        writer: Worker,
        path: Path,
        interval: float,
        terms: Terms,
        now: Callable[[], Instant],
        clock: Clock,
        wear: Wear,
    ) -> None:
        self.tallies: dict[Lane, Tally] = {}
        self.news = asyncio.Event()
        self.memory = Memory()
        self._log = log
        self._writer = writer
        self._path = path
        self._interval = interval
        self._terms = terms
        self._now = now
        self._clock = clock
        self._pending = {lane: Pending(_MEMORY) for lane in Lane}
        self._drops: deque[tuple[Drop, asyncio.Future[None]]] = deque()
        self._wake = asyncio.Event()
        self._urgent = self._closing = False
        self._since: float | None = None  # when the oldest uncommitted record came
        self._unsaved: float | None = None  # when the cursor first moved away from what is on the disk
        self._started: float | None = None  # when the write that is under way began
        self._committed = self._trimmed = clock.monotonic()
        self._retry, self._pause = 0.0, _RETRY[0]
        self._problem = self.damage = ""
        self._neglect: dict[str, str] = {}  # what fails beside the commits
        self._bytes = 0
        self._wear = wear
        self._ballast = False  # whether it was there when last looked at
        self._released = False  # it was given up, and the disk is as full as it was
        self._shed = ("", -_SHED)  # why readings were given up for want of room, and when
        self._task: asyncio.Task[None] | None = None
        self._checker = Reader(path, "store-check")
        self._checking: asyncio.Task[None] | None = None
        self._check_at = clock.monotonic() + _CHECK[0]
        self._checked: float | None = None  # when the whole file was last found to be sound

    async def start(self) -> None:
        """Read the books and begin to work."""
        self.tallies = await self._writer.call(self._log.tallies)
        self.memory.known(await self._writer.call(self._log.names))
        self._bytes = size_of(self._path)
        self._task = asyncio.create_task(self._run(), name="store")

    def put(self, row: Row) -> None:
        """Take *row* for the next commit."""
        self._check_open()
        self._pending[row.lane].add(row)
        self._begin_to_wait()
        if row.lane is Lane.EVENTS or row.done is not None:
            self._urgent = True
            self._wake.set()

    def remember(self, text: Text) -> None:
        """Take *text* for the next commit; while the disk fails it waits, and the latest of a name counts."""
        self._check_open()
        self.memory.note(text)
        self._begin_to_wait()

    def waiting(self, lane: Lane) -> list[Row]:
        """Return the rows of *lane* behind the last that is durable, oldest first, without their numbers."""
        return self._pending[lane].rows()

    def delivered(self, lane: Lane, upto: int) -> None:
        """Move the cursor of *lane*, and see that it is saved in time."""
        if self.tallies[lane].deliver(upto) and self._unsaved is None:
            self._unsaved = self._clock.monotonic()
            self._wake.set()

    async def drop(self, drop: Drop) -> None:
        """Return once *drop* is durable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._drops.append((drop, done))
        self._wake.set()
        await done

    async def ping(self) -> None:
        """Return when the writer's thread has taken a turn."""
        await self._writer.call(lambda: None)

    def neglect(self, what: str, error: sqlite3.Error | None) -> None:
        """Note that *what* (reading, checkpoint) fails while commits may work, or works again (None)."""
        if error is None:
            self._neglect.pop(what, None)
            return
        if what not in self._neglect:
            _log.error("store: %s: %s", what, advice(error))
        self._neglect[what] = advice(error)
        self._look_at(error)

    def status(self) -> dict[str, object]:
        """Return what people and health checks may want to know."""
        failure = self._failure()
        now = self._clock.monotonic()
        return {
            "state": self._state(failure),
            "writable": not failure,
            "problem": failure or "; ".join([*self._neglect.values(), *self._short()]),
            "path": str(self._path),
            "bytes": self._bytes,
            "limit": self._log.limit,
            "waiting": sum(map(len, self._pending.values())),
            "committed_age": now - self._committed,
            "checked_age": None if self._checked is None else now - self._checked,
            "ballast": self._ballast,
            "wear": self._wear.status(now),
        }

    def cramped(self) -> bool:
        """Whether nothing should be written that can wait: the disk fails, or the store is mostly full."""
        return bool(self._failure()) or self._released or self._bytes > self._log.limit * 3 // 4

    async def adopt(self, lane: Lane, rows: list[Row], texts: list[Text]) -> None:
        """Commit *rows* and *texts* at once, for which nothing else gives way. Raises sqlite3.Error."""
        cursors, at, batches = self._cursors(), self._now(), {lane: Batch(0, rows)}
        change = await self._write(lambda: self._log.commit(batches, cursors, at, texts, room=False))
        self._apply(change)
        if change.error is not None:
            raise change.error

    def handed(self, lane: Lane, seq: int) -> None:
        """Take note that the delivery was given the records up to *seq*."""
        if lane is Lane.TELEMETRY:
            thinning = self._log.thinning
            thinning.handed = max(thinning.handed, min(seq, self.tallies[lane].high))

    def _state(self, failure: str) -> str:
        """Return one word: writing, thinning, dropping, reserve, memory, damaged or closed.

        thinning, dropping: within the last hour readings that wait became means, or were given up. reserve:
        the disk is full, and the ballast is used. memory: nothing can be written, records wait in memory.
        """
        if self.damage or failure:
            closed = self._task is None or self._task.done()
            return "damaged" if self.damage else "closed" if closed else "memory"
        if self._released:
            return "reserve"
        reason, when = self._shed
        recent = self._clock.monotonic() - when < _SHED
        return _LESS.get(reason, "writing") if recent else "writing"

    def _short(self) -> Iterator[str]:
        """Yield what is said of a want of room that does not keep records from being written."""
        if self._released:
            yield "the disk is full, and the store lives on its reserve: free some space on it"

    async def close(self, patience: float) -> None:
        """Commit what waits, save the cursors, empty the write-ahead log, within *patience* [s].

        Refuses records from now on. A disk that does not answer is left alone, and what is lost logged.
        """
        self._closing = True
        self._wake.set()
        if self._task is None:
            return
        if self._checking is not None:
            self._checking.cancel()
        done, _ = await asyncio.wait({self._task}, timeout=patience)
        self._task.cancel()
        await self._checker.close()
        for task in done:
            await task  # raises what ended it, if a defect did

    def _check_open(self) -> None:
        if self._closing or self._task is None or self._task.done():
            raise StoreError("the store is closed")

    def _begin_to_wait(self) -> None:
        if self._since is None:
            self._since = self._clock.monotonic()
            self._wake.set()

    async def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, self._due() - self._clock.monotonic())):
                        await self._wake.wait()
                await self._turn()
            await self._finish()
        finally:
            self._abandon()

    def _due(self) -> float:
        """Return when there is something to do, on the clock."""
        if self._urgent or (self._drops and not self._problem):
            return 0.0
        moments = [self._trimmed + _TRIM, self._check_at]
        if self._since is not None:
            moments.append(self._since + self._interval)
        if self._unsaved is not None:
            moments.append(self._save_at(self._unsaved))
        return self._retry if self._problem else min(moments)

    async def _turn(self) -> None:
        """Do what is due. While the disk fails, a commit or a save is tried and nothing else."""
        now = self._clock.monotonic()
        waited = self._since is not None and now >= self._since + self._interval
        if self._urgent or (waited and (not self._problem or now >= self._retry)):
            await self._commit()
        elif self._problem and now >= self._retry:
            await self._save()
        if not self._problem:
            await self._keep_house(now)

    async def _keep_house(self, now: float) -> None:
        if self._drops:
            await self._drop()
        if self._unsaved is not None and now >= self._save_at(self._unsaved):
            await self._save()
        if now - self._trimmed >= _TRIM:
            await self._trim(now)
        if self._log.checkpoint.due:
            await self._checkpoint()
        if now >= self._check_at:
            self._check_at = now + _CHECK[1]
            self._checking = asyncio.create_task(self._check(), name="store-check")

    def _save_at(self, unsaved: float) -> float:
        """Return when the cursor is saved by itself: not when a commit is near that can take it along."""
        if self._since is None:
            return unsaved + _CURSOR
        return max(unsaved + _CURSOR, min(self._since + self._interval, unsaved + 2 * _CURSOR) + 0.001)

    async def _commit(self) -> None:
        batches = {lane: pending.take(_ROWS) for lane, pending in self._pending.items()}
        self._urgent, self._since = False, None
        cursors, at, texts = self._cursors(), self._now(), self.memory.waiting()
        unsaved = self._unsaved
        save = unsaved is not None and self._clock.monotonic() - unsaved >= _CURSOR
        if save:
            self._unsaved = None
        change = await self._write(lambda: self._log.commit(batches, cursors, at, texts, save))
        self._apply(change)
        if change.released:
            self._ballast, self._released = False, True
            _log.error("store: the disk is full; the reserve is used now: free some space on it")
        if change.error is not None:
            self._unsaved = unsaved if save else self._unsaved
            self._refuse(batches, change.error)
            self._fail(change.error)
        else:
            self._settle(batches, change)
            self.memory.committed(texts)
            self._recover()
        self._go_on()

    def _go_on(self) -> None:
        """Have what a commit left behind committed next, without another interval."""
        if self._since is None and (self.memory or any(map(len, self._pending.values()))):
            self._since = self._clock.monotonic() - self._interval

    def _settle(self, batches: Mapping[Lane, Batch], change: Change) -> None:
        for lane, batch in batches.items():
            self._pending[lane].committed()
            for seq, row in enumerate(batch.rows, change.first[lane]):
                if row.done is not None and not row.done.done():
                    row.done.set_result(seq)

    def _refuse(self, batches: Mapping[Lane, Batch], error: sqlite3.Error) -> None:
        for lane, batch in batches.items():
            self._pending[lane].failed()
            for row in batch.rows:
                row.refuse(advice(error))

    async def _drop(self) -> None:
        wish, done = self._drops[0]
        cursors, at = self._cursors(), self._now()
        try:
            change = await self._write(lambda: self._log.retention.drop(wish, cursors, at))
        except sqlite3.Error as error:
            self._fail(error)
            return
        self._drops.popleft()
        self._apply(change)
        if not done.done():
            done.set_result(None)

    async def _save(self) -> None:
        """Write the cursors down; also the way to find out that a failing disk works again."""
        cursors, self._unsaved = self._cursors(), None
        try:
            await self._write(lambda: self._log.save(cursors))
        except sqlite3.Error as error:
            self._unsaved = self._clock.monotonic()
            self._fail(error)
        else:
            self._recover()

    async def _trim(self, now: float) -> None:
        cursors, at, keep = self._cursors(), self._now(), self._terms.keep
        self._trimmed = now
        try:
            gone = await self._write(lambda: self._log.retention.trim(cursors, keep, at))
            gone += await self._outdate()
            await self._look_at_ballast()
        except sqlite3.Error as error:
            self._fail(error)
            return
        if gone >= _MANY:
            self._trimmed = now - _TRIM + _PAUSE

    async def _outdate(self) -> int:
        """Thin and drop what has waited for too long, where there is such a thing; return how many went."""
        ways = (
            (self._terms.drop_after, self._log.retention.expire),
            (self._terms.thin_after, self._log.thinning.thin_old),
        )
        gone = 0
        for age, way in ways:
            if age is not None:
                cursors, at = self._cursors(), self._now()
                change = await self._write(partial(way, cursors, at, age))
                self._apply(change)
                gone += sum(map(len, change.drops))
        return gone

    async def _check(self) -> None:
        """Look through the whole file, in a thread of its own that only reads."""
        try:
            if found := await self._checker.examine():
                self._spoilt(f"the store's file is damaged: restart lamppost, which mends it ({found})")
            else:
                self._checked = self._clock.monotonic()
                await self._prune()
            self.neglect("check", None)
        except sqlite3.Error as error:
            self.neglect("check", error)

    async def _prune(self) -> None:
        if await self._writer.call(self._log.crowded):
            used = await self._checker.used()
            await self._writer.call(lambda: self._log.prune(used))

    async def _look_at_ballast(self) -> None:
        """Make it anew where there is room again; a disk that never had room for one is not spoken of."""
        ballast = self._log.ballast
        await self._writer.call(ballast.restore)
        self._ballast = await self._writer.call(lambda: ballast.held)
        if self._released and (self._ballast or await self._writer.call(ballast.spare)):
            self._released = False
            _log.warning("store: the disk has room again")

    async def _checkpoint(self, *, fully: bool = False) -> None:
        try:
            complete = await self._write(lambda: self._log.checkpoint.make(fully=fully))
            if not complete and (size := log_size(self._path)) > _SWOLLEN:
                raise Swollen(
                    f"another program reads the store and does not end; its log has grown to {size >> 20} MiB"
                )
        except sqlite3.Error as error:
            self.neglect("checkpoint", error)
        else:
            self.neglect("checkpoint", None)

    async def _finish(self) -> None:
        """Do the last writes, as far as the disk takes them."""
        await self._commit()
        while self._since is not None and not self._problem:
            await self._commit()
        while self._drops and not self._problem:
            await self._drop()
        if not self._problem:
            await self._save()
            await self._checkpoint(fully=True)
        await self._writer.call(self._log.close)

    def _abandon(self) -> None:
        """Tell those who still wait that it is over."""
        lost = sum(pending.abandon("the store is closed") for pending in self._pending.values())
        lost += len(self.memory)
        if lost:
            _log.error("store: %d records could not be written before the end: %s", lost, self._failure())
        for _, done in self._drops:
            if not done.done():
                done.set_exception(StoreError("the store is closed"))

    async def _write(self, function: Callable[[], T]) -> T:
        self._started = self._clock.monotonic()
        try:
            result, self._bytes = await self._writer.call(lambda: (function(), size_of(self._path)))
        finally:
            self._started = None
        return result

    def _apply(self, change: Change) -> None:
        for lane, high in change.highs.items():
            self.tallies[lane].accept(high)
        for drop in change.drops:
            self.tallies[drop.lane].drop([drop])
            if drop.reason in _LESS:
                self._shed = drop.reason, self._clock.monotonic()
        if change.highs:
            self._committed = self._clock.monotonic()
            self.news.set()
            self.news = asyncio.Event()

    def _cursors(self) -> dict[Lane, int]:
        return {lane: tally.cursor for lane, tally in self.tallies.items()}

    def _fail(self, error: sqlite3.Error) -> None:
        """Note that the disk does not take what is written; say it once, and try later."""
        if not self._problem:
            _log.error("store: %s; records wait in memory", advice(error))
        self._problem = advice(error)
        self._retry = self._clock.monotonic() + self._pause
        self._pause = min(2 * self._pause, _RETRY[1])
        self._look_at(error)

    def _recover(self) -> None:
        if self._problem:
            _log.warning("store: records are written again")
        self._problem, self._pause = "", _RETRY[0]

    def _look_at(self, error: sqlite3.Error) -> None:
        if damaged(error):
            self._spoilt(advice(error))

    def _spoilt(self, said: str) -> None:
        if not self.damage:
            _log.error("store: %s", said)
            self.damage = said
            mark_damaged(self._path)

    def _failure(self) -> str:
        if self._problem or self.damage:
            return self._problem or self.damage
        if self._started is not None and (age := self._clock.monotonic() - self._started) > _STUCK:
            return f"the disk has not answered for {age:.0f} s"
        if self._task is None or self._task.done():
            return "the store is closed"
        return ""
