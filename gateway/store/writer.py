"""The log's transactions made in a thread, and the books of what they have changed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from drivers.device import Clock
from gateway.clock import Instant
from gateway.reading import Lane
from gateway.store.condition import Condition
from gateway.store.log import Log
from gateway.store.quarantine import size_of
from gateway.store.tables import Change
from gateway.store.tally import Tally
from gateway.store.worker import Worker

T = TypeVar("T")


class Writer:
    """Owns the log. Everything but the thread's work happens in the event loop."""

    def __init__(
        self,
        log: Log,
        worker: Worker,
        path: Path,
        now: Callable[[], Instant],
        clock: Clock,
        condition: Condition,
    ) -> None:
        self.log = log
        self.path = path
        self.now = now
        self.clock = clock
        self.condition = condition
        self.tallies: dict[Lane, Tally] = {}
        self.news = asyncio.Event()
        self.committed = clock.monotonic()
        self.bytes = 0
        """What the file takes on the disk."""
        self._worker = worker

    async def start(self) -> None:
        """Read the books."""
        self.tallies = await self.call(self.log.tallies)
        self.bytes = size_of(self.path)

    async def call(self, function: Callable[[], T]) -> T:
        """Return what *function* gives in the thread."""
        return await self._worker.call(function)

    async def write(self, function: Callable[[], T]) -> T:
        """Return what *function* gives that writes. One that does not come back is a failure in time."""
        self.condition.started = self.clock.monotonic()
        try:
            result, self.bytes = await self.call(lambda: (function(), size_of(self.path)))
        finally:
            self.condition.started = None
        return result

    def apply(self, change: Change) -> None:
        """Enter *change* into the books, and tell who waits for news."""
        for lane, high in change.highs.items():
            self.tallies[lane].accept(high)
        for drop in change.drops:
            self.tallies[drop.lane].drop([drop])
            self.condition.shed(drop.reason)
        if change.highs:
            self.committed = self.clock.monotonic()
            self.news.set()
            self.news = asyncio.Event()

    def cursors(self) -> dict[Lane, int]:
        """Return how far each lane is delivered."""
        return {lane: tally.cursor for lane, tally in self.tallies.items()}
