"""A gateway that does nothing but decide, for a test that kills it: tells its parent which are durable."""

import asyncio
import sys
from pathlib import Path

from gateway.ledger.linker import Linker
from gateway.store import Store
from tests.gateway.store_rig import NOW, decision, event, settings


async def decide(store: Store) -> None:
    while True:
        made = decision()
        await store.record(made)
        sys.stdout.write(f"{made.id}\n")
        sys.stdout.flush()


async def main(path: Path) -> None:
    store = await Store.open(settings(path), "pole-1", None, NOW, Linker())
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):  # so that a commit has several
            tasks.create_task(decide(store))
        while True:
            store.add(event())
            await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
