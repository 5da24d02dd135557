"""Decisions into the journal: now and durably, or late but surely."""

import asyncio
import logging
from collections import deque
from typing import Protocol

from drivers.device import Clock
from gateway.control.attempt import Pending, attempt, words
from gateway.reading import Record, encode

HELD = 256
"""Records kept in memory while the journal does not take them; beyond that the oldest is lost."""
PATIENCE = 10.0  # [s] for a record that nothing waits for
PAUSE = (1.0, 60.0)  # [s] between tries while the journal fails: the first, and the longest

_log = logging.getLogger(__name__)


class Journal(Protocol):
    """Where decisions go."""

    async def record(self, record: Record) -> object:
        """Return when *record* is durable. Raises, whatever it likes, when it is not."""
        ...


class Recorder:
    """Hands records to a journal that may be slow, full or broken."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._pending: Pending = set()
        self._waiting: deque[Record] = deque()
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.problem = ""
        self.lost = 0

    async def durable(self, record: Record, limit: float) -> str:
        """Make *record* durable within *limit* seconds; return why that failed, or ""."""
        error = await attempt(self._journal.record(record), limit, self._pending)
        return words(error) if error else ""

    def later(self, record: Record) -> None:
        """Record as soon as the journal takes it, in order. At least once: a retry keeps the record's id."""
        try:
            encode(record)
        except (TypeError, ValueError) as error:
            self._lose(f"no journal can hold it: {error}")
            return
        if len(self._waiting) >= HELD:
            self._waiting.popleft()
            self._lose(f"the journal has not taken {HELD} records: {self.problem}")
        self._waiting.append(record)
        self._empty.clear()
        self._more.set()

    async def run(self) -> None:
        """Record what waits, for ever."""
        pause = PAUSE[0]
        while True:
            await self._more.wait()
            if await self._take_first():
                pause = PAUSE[0]
            else:
                await self._clock.sleep(pause)
                pause = min(PAUSE[1], 2 * pause)

    async def settled(self, limit: float) -> None:
        """Return when nothing waits; at once while the journal fails, and after *limit* seconds anyway."""
        if not self.problem:
            await attempt(self._empty.wait(), limit, set())

    async def flush(self, limit: float) -> None:
        """Record what waits, once, within *limit* seconds. For the time after `run`."""
        end = self._clock.monotonic() + limit
        while self._waiting and (left := end - self._clock.monotonic()) > 0 and await self._take_first(left):
            pass

    async def _take_first(self, limit: float = PATIENCE) -> bool:
        record = self._waiting[0]
        self.problem = await self.durable(record, limit)
        if self.problem:
            return False
        if self._waiting and self._waiting[0] is record:
            self._waiting.popleft()
        if not self._waiting:
            self._more.clear()
            self._empty.set()
        return True

    def _lose(self, why: str) -> None:
        self.lost += 1
        if self.lost == 1:
            _log.error("a decision is lost: %s", why)
