"""What the delivery is given: durable records in their order, however badly the disk reads."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from drivers.device import Clock
from gateway.reading import Lane
from gateway.store.blocks import Cut, Run
from gateway.store.keeper import Keeper
from gateway.store.reader import Reader
from gateway.store.tally import Drop, runs

T = TypeVar("T")

_AGAIN = 5.0  # [s] before a failed reading of the log is tried again


class Stored(NamedTuple):
    """A durable record: its sequence number in its lane, and its JSON text."""

    seq: int
    body: str


class Outlet:
    """Reads with a thread of its own. A failing disk makes it wait.

    A record that the disk has made unreadable is dropped and announced, and left out.
    """

    def __init__(self, path: Path, keeper: Keeper, clock: Clock) -> None:
        self._reader = Reader(path, "store-outlet")
        self._keeper = keeper
        self._clock = clock

    async def after(self, lane: Lane, seq: int, limit: int) -> list[Stored]:
        """Return up to *limit* records behind *seq*, in order."""
        while True:
            ask = partial(self._reader.after, lane, seq, limit=limit)
            found = await self._reading(lane, seq + limit, ask)
            rows = [Stored(one.seq, one.body) for one in found if one.body is not None]
            if len(rows) < len(found):
                await self._give_up(lane, [one.seq for one in found if one.body is None])
            if rows or not found:
                return rows
            seq = found[-1].seq

    async def batches(self, lane: Lane, seq: int, cut: Cut) -> Sequence[Run]:
        """Return what follows *seq* as texts for the wire, as *cut* says. None only where nothing follows."""
        while True:
            ask = partial(self._reader.block, lane, seq, cut)
            block = await self._reading(lane, seq + cut.records * cut.runs, ask)
            await self._give_up(lane, block.damaged)
            if block.runs or not block.damaged:
                return block.runs
            seq = block.last

    async def close(self) -> None:
        """Let go of the file."""
        await self._reader.close()

    async def _give_up(self, lane: Lane, damaged: Sequence[int]) -> None:
        for first, last in runs(damaged):
            await self._keeper.drop(Drop(lane, first, last, "damaged"))

    async def _reading(self, lane: Lane, upto: int, ask: Callable[[int], Awaitable[T]]) -> T:
        """Return what *ask* gives for the delivery, which is up to *upto* at most; a failing disk delays it.

        *ask* is told the last number that is durable.
        """
        while True:
            self._keeper.handed(lane, upto)
            try:
                found = await ask(self._keeper.durable(lane))
            except sqlite3.Error as error:
                self._keeper.condition.neglect("reading", error)
                await self._clock.sleep(_AGAIN)
            else:
                self._keeper.condition.neglect("reading", None)
                return found
