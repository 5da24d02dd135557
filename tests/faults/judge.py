"""Opens what a power cut has left with the real store, and compares it with what was promised."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.ledger.linker import Linker
from gateway.reading import Lane
from gateway.store import Store
from tests.gateway.store_rig import NOW, event, rows, settings


class Judge:
    """Knows every record of a life, by lane and number, and those that the disk refused."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._bodies = {(lane, seq): text for lane, seq, text in known["bodies"]}
        self._refused = set(known["refused"])

    async def look(self, path: Path, promise: dict[str, Any]) -> Counter[str]:
        """Return how many records are `lost` or `wrong`, how often the `law` fails, whether all is `corrupt`.

        Opens the store, and adds a record: what can be read but not written is of no use.
        """
        found = Counter[str]()
        store = await Store.open(settings(path), "pole-1", None, NOW, Linker())
        try:
            if any(path.parent.glob("*.quarantine-*")):
                found["corrupt"] += 1
                return found
            for lane in Lane:
                await self._lane(store, path, lane, promise, found)
            await self._rest(store, promise, found)
        finally:
            await store.close()
        return +found

    async def _lane(
        self, store: Store, path: Path, lane: Lane, promise: dict[str, Any], found: Counter[str]
    ) -> None:
        counts, cursor, high = store.counts()[lane], store.cursor(lane), store.durable(lane)
        given = {one.seq: one.body for one in await store.after(lane, cursor, 1 << 30)}
        gone = set[int]()
        for first, last in rows(path, f"SELECT first, last FROM dropped WHERE lane = '{lane}'"):
            gone.update(range(first, last + 1))
        missing = set(range(cursor + 1, high + 1)) - given.keys() - gone
        told = promise.get("high", {}).get(lane, 0)
        found["lost"] += len(missing) + max(0, told - high)
        found["wrong"] += sum(not self._right(lane, seq, body, told) for seq, body in given.items())
        asked = set[int]()
        for of, first, last in promise.get("dropped", ()):
            asked.update(range(first, last + 1) if of == lane else ())
        delivered = max(promise.get("delivered", {}).get(lane, 0), 0)
        while delivered + 1 in gone:
            delivered += 1  # the cursor moves on over what was dropped just behind it
        found["wrong"] += len(gone - asked) + max(0, cursor - delivered)
        total = counts.delivered + counts.held + sum(counts.dropped.values())
        found["law"] += (total != counts.accepted) + (counts.held != len(given)) + (counts.accepted != high)
        found["wrong"] += sorted(given) != list(given)

    def _right(self, lane: Lane, seq: int, body: str, told: int) -> bool:
        """Tell whether record *seq* is what was added; gaps and decisions have numbers of their own.

        What was refused as its sync failed may be there, if the power went before the next commit: nobody
        can tell whether such a transaction has reached the disk. Its number is beyond what was *told* then.
        """
        expected = self._bodies.get((lane, seq))
        if expected is None:
            return body in self._refused or json.loads(body)["kind"] in ("gap", "decision")
        return expected == body or (seq > told and body in self._refused)

    async def _rest(self, store: Store, promise: dict[str, Any], found: Counter[str]) -> None:
        kept = await store.remembered()
        for name, value in promise.get("memory", {}).items():
            found["lost"] += name != "last" and int(kept.get(name, "0").split()[0]) < value
        head = store.head
        found["lost"] += max(0, promise.get("records", 0) - (head.size if head else 0))
        found["wrong"] += bool(store.doubt)
        high = store.durable(Lane.EVENTS)
        found["wrong"] += await store.record(event()) != high + 1


def seeded(seed: int | None = None) -> tuple[int, random.Random]:
    """Return a seed, which a failing test prints, and what comes of it."""
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"seed {seed}")
    return seed, random.Random(seed)
