"""Damaged files: the store is up at once, says so, and gives what can still be read."""

import asyncio
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from gateway.ledger.linker import Linker
from gateway.reading import Lane
from gateway.store import Store
from tests.faults.judge import seeded
from tests.faults.rows import Tally, size
from tests.gateway.store_rig import NOW, decision, event, reading, settings

PARTS = 4
TIMES = size(300, 1000) // PARTS
READINGS = 300
PAGE = 512


async def begin(path: Path, copy: Path) -> str:
    """Make a store with something of everything, its files copied to *copy* in use; return its epoch."""
    for life in range(2):  # the tables lie in the file itself, and the second life in its log
        store = await Store.open(settings(path), "pole-1", None, NOW, Linker())
        await live(store)
        if life:
            # by another process: closing a copy in this one would let go of the locks
            subprocess.run(["cp", "-r", path.parent, copy], check=True)
        await store.close()
    return store.epoch


async def live(store: Store) -> None:
    for number in range(READINGS):
        store.add(reading(float(number), device="x" * 300 if number % 50 == 0 else "air"))
        if number % 60 == 59:
            await store.record(event(number))
            await store.record(decision())
            store.remember(f"name {number}", "y" * number)
    await store.delivered(Lane.TELEMETRY, READINGS // 4)
    await store.drop(Lane.TELEMETRY, READINGS // 2, READINGS // 2 + 9, "test")


def bytes_changed(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 3, 30, 300])):
        content[chance.randrange(min(len(content), chance.choice([100, 4096, 1 << 30])))] = chance.randrange(
            256
        )


def bit_flipped(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def cut_off(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(1, len(content) + 1) :]


def pages_overwritten(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 5, 50])):
        at = chance.randrange(len(content) // PAGE + 1) * PAGE
        content[at : at + PAGE] = chance.choice([bytes(PAGE), b"\xff" * PAGE, chance.randbytes(PAGE)])


def pages_exchanged(content: bytearray, chance: random.Random) -> None:
    one, other = (chance.randrange(len(content) // PAGE + 1) * PAGE for _ in range(2))
    content[one : one + PAGE], content[other : other + PAGE] = (
        content[other : other + PAGE],
        content[one : one + PAGE],
    )


def grown(content: bytearray, chance: random.Random) -> None:
    content += chance.randbytes(chance.choice([1, PAGE, 100 * PAGE]))


WAYS = (bytes_changed, bit_flipped, cut_off, pages_overwritten, pages_exchanged, grown)


def mutate(file: Path, chance: random.Random) -> str:
    """Damage *file* in some way, or two; return what was done."""
    done, content = list[str](), bytearray(file.read_bytes())
    for _ in range(chance.choice([1, 1, 2])):
        way = chance.choice(WAYS)
        way(content, chance)
        done.append(way.__name__)
    file.write_bytes(content)
    return ", ".join(done)


def adds_up(store: Store) -> None:
    """See that the counts add up. A tree whose pages were exchanged may be whole, and lack rows."""
    for lane, counts in store.counts().items():
        assert counts.accepted == counts.delivered + counts.held + sum(counts.dropped.values()), lane
        assert counts.accepted == store.durable(lane), lane


async def up(path: Path, epoch: str) -> tuple[float, bool]:
    """Open the store; return how long it took, and whether the file was moved aside."""
    began = time.monotonic()
    store = await Store.open(settings(path), "pole-1", None, NOW, Linker())
    took = time.monotonic() - began
    aside = [*path.parent.glob("*.quarantine-*[0-9Z]")]
    assert (store.epoch != epoch) == bool(aside)
    if aside:
        told = [one for one in await store.recent(Lane.EVENTS, 99) if one["kind"] == "event"]
        told = [one["data"] for one in told if one["type"] == "lamppost.store.quarantined"]
        assert [one["file"] for one in told] == [aside[0].name]
        assert told[0]["salvaged"]["telemetry"] == store.durable(Lane.TELEMETRY)
    high = store.durable(Lane.EVENTS)
    assert await store.record(decision()) == high + 1
    adds_up(store)
    for lane in Lane:  # what is damaged is dropped and announced
        given = [one.seq for one in await store.after(lane, 0, 1 << 20)]
        assert given == sorted(set(given))
    adds_up(store)
    await store.close()
    return took, bool(aside)


@pytest.mark.faults("the store's file damaged in some way; it is opened", TIMES)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_file_never_keeps_the_gateway_from_starting(home: Path, part: int, tally: Tally) -> None:
    _, chance = seeded()
    with asyncio.Runner() as runner:
        epoch = runner.run(begin(home / "whole" / "s.db", home / "used"))
        longest, saved = 0.0, 0
        for _ in range(TIMES):
            place = home / "damaged"
            shutil.copytree(home / (life := chance.choice(["whole", "used"])), place)
            name = "s.db-wal" if life == "used" and chance.random() < 0.3 else "s.db"
            what = f"{name}: {mutate(place / name, chance)}"
            print(what)
            took, aside = runner.run(up(place / "s.db", epoch))
            assert took < 5, what
            longest, saved = max(longest, took), saved + aside
            shutil.rmtree(place)
            tally(times=1)
    tally(note=f"up within {1000 * longest:.0f} ms")
    assert saved > TIMES // 10
