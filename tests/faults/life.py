"""A life of a store, traced: `python -m tests.faults.life FOLDER SEED SYNCHRONOUS`, on the disk of disk.py.

All that a store does happens in it, in three processes one after another: the first two are killed, the last
closes. Into FOLDER.trace goes what was written; in between are marks that say what was promised by then:

    high       the last number of each lane of which somebody was told that it is accepted
    records    the same, of the ledger
    memory     what is remembered at least, by name
    delivered  up to where the delivery said that records arrived: no cursor may be beyond
    dropped    what the store was asked to drop: nothing else may be

FOLDER.bodies has every record that was added, as (lane, number, text), and the texts that were refused.
"""

import asyncio
import errno
import json
import os
import random
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlite_utils  # noqa: F401 - here, not in each process that is forked

from gateway.ledger.linker import Linker
from gateway.reading import Lane, encode
from gateway.store import Store, StoreError
from gateway.store import checkpoint as checkpoint_module
from gateway.store import file as file_module
from tests.faults.disk import Disk, Kind
from tests.gateway.store_rig import NOW, Ahead, decision, event, reading, settings

STEPS = 45
CHECKPOINT = 48 << 10
BIG = "x" * 900
PROMISED = ("high", "records", "memory", "delivered", "dropped")


class Life:
    """A store, and what it has promised so far."""

    def __init__(self, store: Store, clock: Ahead, disk: Disk, chance: random.Random, known: dict[str, Any]):
        self._store = store
        self._clock = clock
        self._disk = disk
        self._chance = chance
        self.known = known

    async def step(self) -> None:
        """Do one thing, and say what is promised before and after."""
        ways = [self.many, self.many, self.one, self.tell, self.decide, self.keep, self.deliver, self.drop]
        await self._chance.choice([*ways, self.wait, self.stumble])()
        self.promise()

    def promise(self) -> None:
        head = self._store.head
        self.known["high"] = {lane: self._store.durable(lane) for lane in Lane}
        self.known["records"] = head.size if head else 0
        self.say()

    def say(self) -> None:
        self._disk.mark({name: self.known[name] for name in PROMISED})

    def add(self) -> None:
        chance = self._chance
        one = reading(round(chance.random(), 6), chance.choice(["air", "lid", "rain", BIG]))
        self.known["bodies"].append((Lane.TELEMETRY, self.known["added"] + 1, encode(one)))
        self.known["added"] += 1
        self._store.add(one)

    async def many(self) -> None:
        for _ in range(self._chance.randrange(1, 30)):
            self.add()
        await self.tell()

    async def one(self) -> None:
        self.add()
        while self._store.durable(Lane.TELEMETRY) < self.known["added"]:
            await self._store.changed()

    async def tell(self) -> None:
        one = event(self._chance.randrange(1000))
        self.known["refused"].append(encode(one))
        number = await self._store.record(one)
        self.known["refused"].pop()
        self.known["bodies"].append((Lane.EVENTS, number, encode(one)))

    async def decide(self) -> None:
        await asyncio.gather(*(self._store.record(decision()) for _ in range(self._chance.randrange(1, 4))))

    async def keep(self) -> None:
        name, value = f"name {self._chance.randrange(6)}", self.known["memory"].get("last", 0) + 1
        self._store.remember(name, f"{value} {'y' * self._chance.randrange(600)}")
        self.known["memory"]["last"] = value
        await self.tell()
        self.known["memory"][name] = value

    async def deliver(self) -> None:
        for lane in Lane:
            at, high = self._store.cursor(lane), self._store.durable(lane)
            upto = self._chance.randint(at, high)
            self.known["delivered"][lane] = max(upto, self.known["delivered"][lane])
            self.say()
            await self._store.delivered(lane, upto)

    async def drop(self) -> None:
        lane = self._chance.choice(list(Lane))
        first = self._chance.randint(self._store.cursor(lane), self._store.durable(lane))
        drop = (lane, first, first + self._chance.randrange(8))
        self.known["dropped"].append(drop)
        self.say()
        await self._store.drop(*drop, "test")

    async def wait(self) -> None:
        """Let time pass: cursors are saved, what is delivered goes, the file is looked through."""
        self._clock.ahead += self._chance.choice([3, 61])
        await self.tell()
        await self.tell()

    async def stumble(self) -> None:
        """Have a sync fail. Records that were refused are not there; readings come with the next commit."""
        self._disk.fail(errno.EIO, Kind.SYNC, self._chance.randint(1, 2))
        with suppress(StoreError):
            await self.many()
        self._disk.count()
        await self.tell()


async def live(path: Path, disk: Disk, chance: random.Random, known: dict[str, Any], last: bool) -> None:
    clock = Ahead()
    store = await Store.open(settings(path, keep=1, keep_events=1), "pole-1", clock, NOW, Linker())
    life = Life(store, clock, disk, chance, known)
    life.promise()
    for _ in range(STEPS):
        await life.step()
    if last:
        await store.close()


def one_process(folder: Path, seed: int, last: bool) -> None:
    """Live one of the lives, and add to what the ones before it have written down."""
    trace, bodies = Path(f"{folder}.trace"), Path(f"{folder}.bodies")
    empty = dict.fromkeys(Lane, 0)
    known = json.loads(bodies.read_text()) if bodies.exists() else {
        "bodies": [], "added": 0, "high": dict(empty), "records": 0, "memory": {},
        "delivered": dict(empty), "dropped": [], "refused": [],
    }  # fmt: skip
    disk = Disk()
    disk.record()
    asyncio.run(live(folder / "s.db", disk, random.Random(seed), known, last))
    with trace.open("ab") as file:
        file.write(disk.trace())
    bodies.write_text(json.dumps(known))
    os._exit(0)


def main(folder: Path, seed: int, synchronous: str) -> None:
    checkpoint_module._ENOUGH = CHECKPOINT
    file_module._PRAGMAS = tuple(
        pragma.replace("FULL", synchronous) if pragma.startswith("synchronous") else pragma
        for pragma in file_module._PRAGMAS
    )
    for number in range(3):
        child = os.fork()
        if not child:
            one_process(folder, seed + number, number == 2)
        _, status = os.waitpid(child, 0)
        assert status == 0, status


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
