"""A damaged file is salvaged by processes that are killed at it, in turn before each of their disk calls.

`python -m tests.faults.salvaging FOLDER FIRST STEP` prints a line of JSON for each call before which one was
killed. Every other time the next process is killed as well, somewhere. The last one goes to the end, and must
have what a salvage gives that nobody disturbs: each record once, in order, and one event that says so.
"""

import asyncio
import json
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import sqlite_utils  # noqa: F401 - here, not in each process that is forked

from gateway.ledger.linker import Linker
from gateway.reading import Lane
from gateway.store import Store
from gateway.store import rescue as rescue_module
from gateway.store import salvage as salvage_module
from gateway.store import wreck as wreck_module
from gateway.store.wreck import PROGRESS
from tests.faults.disk import Disk, forked
from tests.gateway.store_rig import NOW, books_agree, decision, event, reading, rows, settings, texts

READINGS = 150
EVENTS = 12
DELIVERED = 20
WINDOW = 40  # rows that are fetched at once
NOTED, SPOILT = "noted", "spoilt"  # a file that is whole, but for the note; one with a page overwritten
MOMENTS = (0.0, 0.004, 1.0)  # [s] for which a start waits: all comes later, some, nothing


async def opening(path: Path) -> Store:
    return await Store.open(settings(path), "pole-1", None, NOW, Linker())


async def begin(path: Path) -> None:
    """Make a store of which a part lies in the log."""
    store = await opening(path)
    for number in range(READINGS):
        store.add(reading(float(number), device="x" * 300 if number % 50 == 0 else "air"))
        if number % (READINGS // EVENTS) == 0:
            await store.record(event(number))
            store.remember("it", str(number))
        if number == READINGS // 2:
            await store.record(decision())
            await store._keeper._upkeep.checkpoint(fully=True)
    await store.delivered(Lane.TELEMETRY, DELIVERED)
    await store.record(event(READINGS))
    await asyncio.sleep(2.1)  # until the cursor is on the disk


def spoil(path: Path, kind: str) -> None:
    """Damage the file."""
    if kind == SPOILT:
        with path.open("r+b") as file:
            file.seek(path.stat().st_size * 3 // 4 // 512 * 512)  # among the readings
            file.write(b"\xa5" * 512)
    path.with_name(path.name + ".damaged").touch()


async def salvage(path: Path) -> None:
    """Open the store, wait until all is fetched, and look at what there is."""
    store = await opening(path)
    if store._rescue is not None:
        await store._rescue
    books_agree(store, path, dict.fromkeys(Lane, 0))
    await store.close()


def outcome(path: Path) -> dict[str, Any]:
    """Return what is in the new file, without what differs each time. Raises AssertionError."""
    asides = [one.name for one in path.parent.glob("*.quarantine-*[0-9Z]")]
    assert len(asides) == 1, asides
    assert not path.with_name(path.name + ".damaged").exists()
    assert rows(path, f"SELECT * FROM memory WHERE name = '{PROGRESS}'") == []
    events = [json.loads(text) for text in texts(path, Lane.EVENTS)]
    told = [one["data"] for one in events if one.get("type") == "lamppost.store.quarantined"]
    assert [one["file"] for one in told] == asides, "it is said once"
    later = [one["data"]["salvaged"] for one in events if one.get("type") == "lamppost.store.salvaged"]
    assert len(later) == told[0].get("continues", False)
    return {
        "readings": texts(path, Lane.TELEMETRY),
        "numbers": [one["data"]["number"] for one in events if one.get("type") == "lamppost.test"],
        "decisions": sum(one["kind"] == "decision" for one in events),
        "salvaged": (later or [told[0]["salvaged"]])[0],
        "epoch": told[0]["epoch"],
        "memory": rows(path, "SELECT name, body FROM memory"),
    }


def undisturbed(begun: Path, place: Path, kind: str) -> dict[str, Any]:
    """Return what comes of it when nobody is killed."""
    shutil.copytree(begun, place)
    spoil(place / "s.db", kind)
    assert forked(lambda: salvage(place / "s.db")) == 0
    found = outcome(place / "s.db")
    shutil.rmtree(place)
    most = READINGS - DELIVERED
    assert len(found["readings"]) == most if kind == NOTED else most // 2 < len(found["readings"]) < most
    return found


def killed(path: Path, disk: Disk, at: int) -> bool:
    """Salvage, and die before disk call *at*; return whether there were so many."""

    async def dying() -> None:
        disk.kill(at)
        await salvage(path)

    status = forked(dying)
    assert status in (0, -signal.SIGKILL), status
    return status != 0


def main(folder: Path, first: int, step: int) -> None:
    wreck_module._WINDOW = WINDOW
    rescue_module._PAUSE = 0.0
    disk, at, chance = Disk(), first, random.Random()
    begun = folder / "begun"
    assert forked(lambda: begin(begun / "s.db")) == 0
    expected = {kind: undisturbed(begun, folder / kind, kind) for kind in (NOTED, SPOILT)}
    while True:
        place, kind = folder / str(at), chance.choice([NOTED, SPOILT])
        salvage_module._LONGEST = chance.choice(MOMENTS)
        shutil.copytree(begun, place)
        spoil(place / "s.db", kind)
        if not killed(place / "s.db", disk, at):
            return
        again = chance.random() < 0.5 and killed(place / "s.db", disk, chance.randrange(1, 2 * at))
        assert forked(lambda path=place / "s.db": salvage(path)) == 0
        assert outcome(place / "s.db") == expected[kind], (at, kind, again, salvage_module._LONGEST)
        shutil.rmtree(place)
        records = len(expected[kind]["readings"]) + len(expected[kind]["numbers"])
        print(json.dumps({"at": at, "kills": 1 + again, "records": records}), flush=True)
        at += step


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
