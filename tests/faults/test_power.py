"""The power goes at any moment: whatever the disk has kept, no accepted record is lost."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.disk import entries, run
from tests.faults.images import STYLES, Power, laid_out, moments
from tests.faults.judge import Judge, seeded
from tests.faults.rows import Tally, size

PARTS = 8  # lives, each with images of its own
IMAGES = size(2000, 100_000) // PARTS
BLIND = size(200, 2000)
TOLD = 50


def lived(home: Path, seed: int, synchronous: str) -> tuple[list[Any], Judge, int]:
    """Have a store live; return the trace, its judge, and how many records there were."""
    folder = home / "life"
    folder.mkdir()
    assert not [*run("tests.faults.life", folder, seed, synchronous)]
    known = json.loads(Path(f"{folder}.bodies").read_text())
    return [*entries(Path(f"{folder}.trace").read_bytes())], Judge(known), len(known["bodies"])


def images(
    trace: list[Any], count: int, chance: random.Random
) -> Iterator[tuple[int, dict[str, bytes], dict[str, Any]]]:
    """Yield *count* moments, what a power cut there leaves, and what was promised by then."""
    power, at = Power(chance), 0
    for moment in moments(len(trace), count, chance):
        for entry in trace[at:moment]:
            power.see(entry)
        at = moment
        yield moment, power.image(chance.choice(STYLES)), power.promise


def judged(
    home: Path, trace: list[Any], judge: Judge, count: int, chance: random.Random
) -> Iterator[tuple[int, Counter[str]]]:
    """Yield *count* moments, and what the judge has found there. An image just like another is not opened."""
    seen = dict[int, Counter[str]]()
    with asyncio.Runner() as runner:
        for moment, image, promise in images(trace, count, chance):
            key = hash((*sorted(image.items()), json.dumps(promise)))
            if key not in seen:
                folder = home / "image"
                folder.mkdir()
                path = laid_out(image, folder, chance)
                seen[key] = runner.run(judge.look(path, promise))
                for file in folder.iterdir():
                    file.unlink()
                folder.rmdir()
            yield moment, seen[key]


@pytest.mark.faults("power cut: images of what the disk may have kept", IMAGES)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_power_cut_takes_nothing_that_was_accepted(home: Path, part: int, tally: Tally) -> None:
    seed, chance = seeded()
    trace, judge, records = lived(home, seed, "FULL")
    tally(records=records)
    for done, (moment, found) in enumerate(judged(home, trace, judge, IMAGES, chance), 1):
        if done % TOLD == 0:
            tally(times=TOLD)
        tally(lost=found["lost"])
        assert not found, f"power cut at {moment} of {len(trace)}: {dict(found)}"


@pytest.mark.faults("power cut with synchronous=NORMAL, which must lose: the test of the test", BLIND)
def test_the_images_show_what_a_lazier_disk_would_lose(home: Path, tally: Tally) -> None:
    seed, chance = seeded()
    trace, judge, _ = lived(home, seed, "NORMAL")
    losing = 0
    for done, (_, found) in enumerate(judged(home, trace, judge, BLIND, chance), 1):
        losing += bool(found["lost"] or found["corrupt"])
        if done % TOLD == 0:
            tally(times=TOLD)
    tally(note=f"{losing:,} images lost records, as they must")
    assert losing > BLIND // 20
