"""An outbox in memory, for tests of the delivery; it checks what it is told."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.reading import Lane


class Stored(NamedTuple):
    seq: int
    body: str


class Memory:
    """Numbers records from 1. *dropped* is what was given up, as (lane, number, reason)."""

    epoch = "0badcafe"

    def __init__(self) -> None:
        self.rows: dict[Lane, list[Stored]] = {lane: [] for lane in Lane}
        self.cursors = dict.fromkeys(Lane, 0)
        self.dropped: list[tuple[Lane, int, str]] = []
        self.deaf = False  # a disk that does not answer
        self._news = asyncio.Event()

    def add(self, lane: Lane, body: Mapping[str, Any]) -> None:
        self.rows[lane].append(Stored(self.durable(lane) + 1, json.dumps(body)))
        self._news.set()
        self._news = asyncio.Event()

    def fill(self, lane: Lane, count: int, size: int = 0) -> None:
        """Add *count* records, each with its own number and *size* bytes of ballast."""
        for _ in range(count):
            self.add(lane, {"n": self.durable(lane) + 1, "ballast": "x" * size})

    def cursor(self, lane: Lane) -> int:
        return self.cursors[lane]

    def durable(self, lane: Lane) -> int:
        return len(self.rows[lane])

    async def changed(self) -> None:
        await self._news.wait()

    async def after(self, lane: Lane, seq: int, limit: int) -> list[Stored]:
        await asyncio.sleep(0)
        if self.deaf:
            await asyncio.sleep(3600)
        gone = {number for name, number, _ in self.dropped if name is lane}
        return [row for row in self.rows[lane][seq:] if row.seq not in gone][:limit]

    async def delivered(self, lane: Lane, upto: int) -> None:
        assert self.cursors[lane] < upto <= self.durable(lane), "the cursor only moves forward"
        self.cursors[lane] = upto

    async def drop(self, lane: Lane, first: int, last: int, reason: str) -> None:
        await asyncio.sleep(0.01)
        assert first == last > self.cursors[lane], "one record, not delivered yet"
        self.dropped.append((lane, first, reason))
