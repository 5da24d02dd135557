"""A gateway reduced to its store, for a test that kills it: tells its parent what was accepted, and no more.

Writes `<lane> <seq>` after each commit; every body carries its own number, so that the parent can tell.
"""

import asyncio
import sys
from pathlib import Path

from gateway.reading import Lane
from gateway.store import Store
from tests.gateway.store_rig import event, reading, settings


def tell(lane: Lane, seq: int) -> None:
    sys.stdout.write(f"{lane} {seq}\n")
    sys.stdout.flush()


async def readings(store: Store) -> None:
    told = store.durable(Lane.TELEMETRY)
    value = told
    while True:
        for _ in range(7):
            value += 1
            store.add(reading(float(value)))
        await asyncio.sleep(0.001)
        if (now := store.durable(Lane.TELEMETRY)) > told:
            told = now
            tell(Lane.TELEMETRY, told)


async def events(store: Store) -> None:
    number = store.durable(Lane.EVENTS)
    while True:
        number += 1
        assert await store.record(event(number)) == number
        tell(Lane.EVENTS, number)
        await asyncio.sleep(0.003)


async def delivery(store: Store) -> None:
    """Acknowledge half of what is there, so that rows are trimmed all the time."""
    while True:
        for lane in Lane:
            await store.delivered(lane, store.durable(lane) // 2)
        await asyncio.sleep(0.002)


async def main(path: Path) -> None:
    store = await Store.open(settings(path, keep=0), "pole-1")
    store._keeper._upkeep.trimmed -= 3600  # let it begin with a trim
    async with asyncio.TaskGroup() as tasks:
        for task in (readings, events, delivery):
            tasks.create_task(task(store))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
