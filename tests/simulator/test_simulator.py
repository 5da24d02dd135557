"""The simulator itself: a handful of lives, and that a seed is a life."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulator import plants
from tests.simulator.life import Lived, live
from tests.simulator.many import many
from tests.simulator.plants import PLANTS, Plant, planted
from tests.simulator.setting import Setting, folder, prepare
from tests.simulator.world import Violation

ROOT = Path(__file__).parent.parent.parent

UNOPENED = 2
"""The first seed in whose life the store cannot be opened."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with folder() as path:
        yield path


@pytest.fixture(scope="module")
def setting(place: Path) -> Setting:
    return prepare(place)


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_life_breaks_no_promise(seed: int, setting: Setting, place: Path) -> None:
    assert live(seed, setting, place).records > 10


def test_a_seed_is_always_the_same_life(setting: Setting, place: Path) -> None:
    one, other = (live(2, setting, place, tracing=True) for _ in range(2))
    assert one == other
    assert live(3, setting, place).digest != one.digest


def test_a_seed_is_the_same_life_in_another_process(setting: Setting, place: Path) -> None:
    here = live(4, setting, place).digest
    command = [sys.executable, "-m", "tests.simulator", "--seed", "4"]
    hashing = {**os.environ, "PYTHONHASHSEED": "4711"}
    found = subprocess.run(command, cwd=ROOT, env=hashing, capture_output=True, text=True, check=True)
    assert found.stdout.rstrip().endswith(f"trace {here}")


def test_a_trace_does_not_name_the_folder(setting: Setting, place: Path) -> None:
    """What is said of a store that cannot be opened names its file, and that lies elsewhere in each run."""
    lived = live(UNOPENED, setting, place, tracing=True)
    assert any("the store cannot be used" in line for line in lived.lines)
    assert str(place) not in "\n".join(lived.lines)


def test_many_lives_say_what_was_put_upon_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert many(1, 3, 2)
    said = capsys.readouterr().out
    assert "3 lives in " in said
    assert "seeds/s), 0 failed" in said
    assert re.search(r"^ +judged: .*[1-9]\d* records", said, re.MULTILINE)
    assert re.search(r"^ +process: .*[1-9]\d* ", said, re.MULTILINE)


def test_a_failing_seed_is_printed_and_replays(
    capsys: pytest.CaptureFixture[str], setting: Setting, place: Path
) -> None:
    with planted(plants.what_waits_counts_as_durable):
        assert not many(2, 3, 1)
        problem = re.search(r"seed 2 FAILED: Violation: (.*)\n", capsys.readouterr().out)
        assert problem is not None
        with pytest.raises(Violation, match=re.escape(problem[1])):
            live(2, setting, place)


def test_lives_whose_process_died_count_as_failed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deadly(seed: int, *given: Any) -> Lived:
        os._exit(3) if seed else None
        return live(seed, *given)

    monkeypatch.setattr("tests.simulator.many.live", deadly)
    assert not many(1, 2, 1)
    assert "the process that lived through 1 to 2 died (3)" in capsys.readouterr().out


def found(plant: Plant, setting: Setting, place: Path) -> int:
    """Return the first seed that breaks a promise because of a planted defect. Fails where none does."""
    with planted(plant):
        for seed in range(1, PLANTS[plant] + 1):
            try:
                live(seed, setting, place)
            except Violation:
                return seed
    raise AssertionError(f"{plant.__name__} was not found within {PLANTS[plant]} seeds")


def test_a_planted_defect_is_found(setting: Setting, place: Path) -> None:
    """The quick one of the defects that are planted; all of them are slow."""
    assert found(plants.a_decision_is_recorded_after_the_pin, setting, place)
    assert live(1, setting, place).records, "and it is the plant that was found"


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_every_planted_defect_is_found(plant: Plant, setting: Setting, place: Path) -> None:
    assert found(plant, setting, place)
