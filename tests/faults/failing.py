"""Five hundred operations of a store, of whose calls of the disk one fails, in turn each of them.

`python -m tests.faults.failing FOLDER ERROR FIRST STEP` prints a line of JSON for each call that was failed.
"""

import asyncio
import errno
import json
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from gateway.reading import Lane, encode
from gateway.store import Store, StoreError
from gateway.store import checkpoint as checkpoint_module
from tests.faults.disk import Disk
from tests.gateway.store_rig import NOW, Ahead, books_agree, event, reading, rows, settings

GROUPS = 100  # of five operations
BIG = "x" * 700


class Work:
    """The operations, and what was accepted on the way: each record's text by its number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Ahead()
        self.readings = list[str]()
        self.events = dict[int, str]()
        self.floors = dict.fromkeys(Lane, 0)

    async def open(self) -> None:
        made = settings(self.path, keep=1, keep_events=1)
        self.store = await Store.open(made, "pole-1", self.clock, NOW)

    async def run(self) -> None:
        """Do all of it: three readings, an event, and something else, again and again."""
        for number in range(GROUPS):
            for _ in range(3):
                one = reading(float(number), BIG if number % 7 == 0 else "air")
                self.readings.append(encode(one))
                self.store.add(one)
            with suppress(StoreError):
                await self.tell()
            others = (self.deliver, self.remember, self.remember, self.drop, self.wait)
            await others[number % len(others)](number)

    async def tell(self) -> None:
        one = event()
        try:
            seq = await self.store.record(one)
        except StoreError:
            await self.gone(encode(one))
            raise
        assert seq not in self.events
        self.events[seq] = encode(one)

    async def gone(self, refused: str) -> None:
        """See that a process that is killed now does not leave behind what it has just refused."""
        copy = self.path.parent / "copy"
        copy.mkdir()
        for name in ("s.db", "s.db-wal"):
            shutil.copy(self.path.with_name(name), copy)
        other = await Store.open(settings(copy / "s.db"), "pole-1", None, NOW)
        assert refused not in {one.body for one in await other.after(Lane.EVENTS, 0, 1 << 20)}
        await other.close()
        shutil.rmtree(copy)

    async def deliver(self, number: int) -> None:
        for lane in Lane:
            self.floors[lane] = max(self.floors[lane], self.store.durable(lane) - number % 30)
            await self.store.delivered(lane, self.floors[lane])

    async def remember(self, number: int) -> None:
        self.store.remember("it", str(number))

    async def drop(self, number: int) -> None:
        """Give up a reading; while the disk fails that waits, so new records come."""
        seq = self.store.durable(Lane.TELEMETRY) - 1
        dropping = asyncio.create_task(self.store.drop(Lane.TELEMETRY, seq, seq, "test"))
        while not dropping.done():
            with suppress(StoreError):
                await self.tell()
        await dropping

    async def wait(self, number: int) -> None:
        self.clock.ahead += 61
        with suppress(StoreError):
            await self.tell()

    async def verify(self) -> None:
        """Compare the store with what it has accepted. Raises AssertionError."""
        for lane in Lane:
            self.floors[lane] = self.store.cursor(lane)
        books_agree(self.store, self.path, self.floors)
        counts = self.store.counts()[Lane.TELEMETRY]
        assert counts.accepted == len(self.readings)
        assert set(counts.dropped) <= {"test"}
        given = {one.seq: one.body for one in await self.store.after(Lane.TELEMETRY, 0, 1 << 20)}
        assert all(self.readings[seq - 1] == body for seq, body in given.items())
        events = {one.seq: one.body for one in await self.store.after(Lane.EVENTS, 0, 1 << 20)}
        assert all(
            body == self.events[seq] if seq in self.events else json.loads(body)["kind"] == "gap"
            for seq, body in events.items()
        )
        held = {seq for seq in self.events if seq > self.floors[Lane.EVENTS]}
        assert held <= events.keys()
        assert await self.store.remembered() == {"it": str(GROUPS - 3)}


async def fail(path: Path, disk: Disk, error: int, at: int) -> bool:
    """Have call *at* fail; return whether there were so many. Raises AssertionError for a broken promise."""
    work = Work(path)
    await work.open()
    disk.fail(error, at=at)
    await work.run()
    if not disk.failed:
        disk.count()
        await work.store.close()
        return False
    disk.count()
    await work.tell()  # without a restart
    assert work.store.status()["writable"] is True
    await work.verify()
    await work.store.close()
    await work.open()
    await work.verify()
    await work.store.close()
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    return True


def main(folder: Path, name: str, first: int, step: int) -> None:
    checkpoint_module._ENOUGH = 32 << 10
    disk, at = Disk(), first
    begun = folder / "begun"
    asyncio.run(begin(begun / "s.db"))
    while True:
        place = folder / str(at)
        shutil.copytree(begun, place)
        there = asyncio.run(fail(place / "s.db", disk, getattr(errno, name), at))
        shutil.rmtree(place)
        if not there:
            return
        print(json.dumps({"at": at}), flush=True)
        at += step


async def begin(path: Path) -> None:
    work = Work(path)
    await work.open()
    await work.store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
