"""A disk that is full, read-only, unreadable, or gone, and is mended after a while.

`python -m tests.faults.full FOLDER FAULT SECONDS` prints one line of JSON: what the gateway's loop and store
made of it. The faults are those of FAULTS.
"""

import asyncio
import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.reading import Lane, encode
from gateway.store import Store, StoreError
from gateway.store import ballast as ballast_module
from gateway.store import intake as intake_module
from tests.faults.disk import Disk, Kind
from tests.gateway.store_rig import NOW, Ahead, books_agree, event, reading, settings

PERIOD = 0.05  # [s] of control
MEMORY = 150_000  # bytes of records that wait, so that they are too many soon
ROOM = 12 << 20  # bytes that are free once the ballast is made
NAMES = Kind.CHANGE | Kind.NAME

Change = Callable[[Disk, Path], None]


def filled(disk: Disk, home: Path) -> None:
    disk.room(0)


def emptied(disk: Disk, home: Path) -> None:
    disk.room(1 << 40)


def read_only(disk: Disk, home: Path) -> None:
    disk.fail(errno.EROFS, NAMES, always=True)


def dead(disk: Disk, home: Path) -> None:
    disk.fail(errno.EIO, NAMES | Kind.READ, always=True)


def mended(disk: Disk, home: Path) -> None:
    disk.count()


def moved(disk: Disk, home: Path) -> None:
    home.rename(home.with_name("elsewhere"))


def back(disk: Disk, home: Path) -> None:
    home.with_name("elsewhere").rename(home)


def covered(disk: Disk, home: Path) -> None:
    """As when another file system is mounted over it: an empty directory of that name."""
    moved(disk, home)
    home.mkdir()


def uncovered(disk: Disk, home: Path) -> None:
    shutil.rmtree(home)
    back(disk, home)


FAULTS: dict[str, tuple[Change, Change]] = {
    "full": (filled, emptied),
    "read-only": (read_only, mended),
    "dead": (dead, mended),
    "moved": (moved, back),
    "covered": (covered, uncovered),
}


class Loop:
    """What control would notice: how late the event loop is, at a task of its period."""

    def __init__(self) -> None:
        self.late = 0.0
        self.turns = 0

    async def run(self) -> None:
        while True:
            due = time.monotonic() + PERIOD
            await asyncio.sleep(PERIOD)
            self.late = max(self.late, time.monotonic() - due)
            self.turns += 1


class Gateway:
    """Adds readings and events all the time, and keeps account of what became of them."""

    def __init__(self, store: Store, clock: Ahead) -> None:
        self.store = store
        self.clock = clock
        self.added = list[str]()
        self.refused = 0
        self.accepted = dict[int, str]()
        self.telling = True

    async def run(self) -> None:
        while True:
            for _ in range(5):
                one = reading(float(len(self.added)), "x" * 300)
                self.added.append(encode(one))
                self.store.add(one)
            if self.telling:
                await self.tell()
            await asyncio.sleep(0.01)

    async def tell(self) -> bool:
        one = event()
        try:
            self.accepted[await self.store.record(one)] = encode(one)
        except StoreError:
            self.refused += 1
            return False
        return True

    async def verify(self, path: Path) -> int:
        """Compare with what is there: all, or named in a gap. Return how many readings memory gave up."""
        store = self.store
        books_agree(store, path, dict.fromkeys(Lane, 0))
        given = {one.seq: one.body for one in await store.after(Lane.TELEMETRY, 0, 1 << 20)}
        gaps = [json.loads(one.body) for one in await store.after(Lane.EVENTS, 0, 1 << 20)]
        named = set[int]()
        for gap in gaps:
            if gap["kind"] == "gap":
                assert gap["reason"] == "memory"
                named.update(range(gap["first"], gap["last"] + 1))
        assert named.isdisjoint(given)
        assert named | given.keys() == set(range(1, store.durable(Lane.TELEMETRY) + 1))
        assert all(self.added[seq - 1] == body for seq, body in given.items())
        events = {one.seq: one.body for one in await store.after(Lane.EVENTS, 0, 1 << 20)}
        assert all(events[seq] == body for seq, body in self.accepted.items())
        return len(named)


async def settle(tasks: list[asyncio.Task[None]]) -> None:
    """End *tasks*, none of which has ended by itself."""
    assert not [task for task in tasks if task.done() and not task.cancelled()]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def suffer(home: Path, fault: str, seconds: float, disk: Disk) -> dict[str, Any]:
    path, clock, loop = home / "s.db", Ahead(), Loop()
    store = await Store.open(settings(path, commit=0.02), "pole-1", clock, NOW)
    gateway = Gateway(store, clock)
    clock.ahead += 61  # the ballast is made
    await gateway.tell()
    await gateway.tell()
    begin, end = FAULTS[fault]
    tasks = [asyncio.create_task(one.run()) for one in (loop, gateway)]
    await asyncio.sleep(0.5)
    quiet, loop.late = loop.late, 0.0
    begin(disk, home)
    states = list[str]()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        await asyncio.sleep(0.05)
        if (state := str(store.status()["state"])) not in states:
            states.append(state)
        if gateway.telling and state in ("memory", "damaged"):
            gateway.telling, until = False, time.monotonic() + seconds
    problem, began = str(store.status()["problem"]), time.monotonic()
    end(disk, home)
    if store.damage:  # what cannot be read counts as damage: systemd starts the daemon anew
        await settle(tasks)
        await store.close()
        store = gateway.store = await Store.open(settings(path), "pole-1", clock, NOW)
    while not store.status()["writable"]:
        await asyncio.sleep(0.01)
    took = time.monotonic() - began
    await settle(tasks)
    while not await gateway.tell():
        assert time.monotonic() < began + 10
    lost = await gateway.verify(path)
    await store.close()
    gateway.store = await Store.open(settings(path), "pole-1", clock, NOW)
    assert await gateway.verify(path) == lost
    assert not [*home.glob("*.quarantine*")]
    await gateway.store.close()
    return {
        "states": states, "problem": problem, "late": loop.late, "quiet": quiet, "turns": loop.turns,
        "took": took, "records": len(gateway.added) + len(gateway.accepted), "refused": gateway.refused,
        "gap": lost,
    }  # fmt: skip


def main(folder: Path, fault: str, seconds: float) -> None:
    intake_module._MEMORY = MEMORY
    ballast_module.SIZE, ballast_module._SPARE = 1 << 20, 1 << 20
    disk, home = Disk(), folder / "home"
    home.mkdir()
    with suppress(KeyboardInterrupt):
        print(json.dumps(asyncio.run(suffer(home, fault, seconds, disk))))


if __name__ == "__main__":
    os.environ.setdefault("DISK_ROOT", sys.argv[1])
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
