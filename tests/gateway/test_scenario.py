"""Scenarios: what happens on the street and what goes wrong, and the pole that lives through it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from drivers.device import Quantity
from drivers.faults import ROUGH, Fault, Plan, Spell
from drivers.script import Script
from gateway.app.check import plan
from gateway.app.hardware import Hardware
from gateway.clock import LoopClock, Now
from gateway.problem import ConfigError
from gateway.reading import Event, Reading
from gateway.sampler import Device, Sampler
from gateway.scenario import Scenario, load, scenario
from tests.conftest import Virtual

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
FILES = sorted((DEPLOY / "scenarios").glob("*.toml"))


def test_there_are_three():
    assert [file.stem for file in FILES] == ["failing-pole", "festival-night", "storm"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_says_what_it_is(file: Path):
    found = load(file)
    assert found.says.endswith(".")
    assert found.script != Script()
    assert found.plan.chances
    assert scenario(Path(file.stem), None) == found
    assert scenario(file, 99) == Scenario(found.says, 99, found.script, found.plan)


def test_a_seed_alone_is_a_bad_day_of_the_usual_street():
    assert scenario(None, 5) == Scenario("a bad day", 5, Script(), ROUGH)
    assert scenario(None, None) is None


def test_a_file(tmp_path: Path):
    """Everything that a file may say."""
    file = tmp_path / "mine.toml"
    file.write_text(
        """
says = "Mine."
seed = 4
[street]
cycle = 30
storm = [1, 2.5]
[faults]
share = 0.5
kinds = ["drift"]
chances = { hang = 0.25 }
spells = [{ fault = "unplugged", address = 0x70, begins = 1, ends = 2 }, { fault = "stuck-line", ends = 9 }]
"""
    )
    spells = (Spell(Fault.UNPLUGGED, 0x70, 1.0, 2.0), Spell(Fault.STUCK, None, 0.0, 9.0))
    faults = Plan({Fault.HANG: 0.25}, spells, share=0.5, kinds=(Fault.DRIFT,))
    assert load(file) == Scenario("Mine.", 4, Script(cycle=30.0, storm=(1.0, 2.5)), faults)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("says = 1", 1, "says"),
        ("\nfoults = {}", 2, 'no key "foults"'),
        ("street = 1", 1, "street"),
        ("[street]\ncycle = 1", 1, "cycle must be"),
        ("[street]\n\nrian = 1", 3, "rian"),
        ("[faults]\nchances = { hagn = 0.1 }", 2, "hagn"),
        ("[faults]\nchances = { hang = 2.0 }", 1, "a chance is"),
        ('[faults]\nkinds = ["bounce"]', 1, "do not last"),
        ("[[faults.spells]]\nbegins = 1", 1, "fault"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, says: str):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert any(says in str(problem) for problem in caught.value.problems), caught.value.problems
    assert caught.value.problems[0].line in (line, line + 1)


def test_a_name_that_is_none():
    with pytest.raises(ConfigError, match="nowhere"):
        scenario(Path("nowhere"), None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cycle": 5.0},
        {"storm": (5.0, 1.0)},
        {"unplugged": (0.0, 61.0)},
        {"rain": -1.0},
        {"traffic": 1.5},
        {"noise": float("nan")},
        {"lid_every": 0.5},
    ],
)
def test_streets_that_cannot_be(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match="must"):
        Script(**wrong)


@dataclass
class Lived:
    """What a pole made of some minutes of a scenario."""

    readings: list[tuple[float, Reading]] = field(default_factory=list)
    befell: dict[Fault, int] = field(default_factory=dict)
    samplers: list[Sampler] = field(default_factory=list)

    def levels(self, device: str, quantity: Quantity) -> list[float]:
        return [
            each.values[quantity]
            for _, each in self.readings
            if quantity in each.values and each.device == device
        ]


def live(virtual: Virtual, scene: Scenario, seconds: float, peace: float = 0.0) -> Lived:
    """Run the demo's sensors on the scenario's street, and so long after the last fault."""

    async def main() -> Lived:
        clock, lived, now = LoopClock(), Lived(), Now()
        hardware = Hardware(clock, scene.street(clock))
        checked = plan(DEPLOY / "demo.toml")

        def heard(reading: Reading) -> None:
            lived.readings.append((clock.monotonic(), reading))

        def silent(event: Event) -> None:
            """Lost and back are as they should be."""

        for name, placed in checked.devices.items():
            driver = hardware.build(checked, placed)
            if placed.config.guard is None:
                device = Device(name, driver, placed.config.interval, 5.0)
                lived.samplers.append(Sampler(device, clock, now, heard, silent, lambda: None, Random(name)))
        assert hardware.street
        tasks = [asyncio.create_task(each.run()) for each in lived.samplers]
        tasks.append(asyncio.create_task(hardware.street.run()))
        await asyncio.sleep(seconds)
        assert hardware.street.faults
        lived.befell = dict(hardware.street.faults.counts)
        hardware.street.faults.plan = Plan()
        await asyncio.sleep(peace)
        for task in tasks:
            task.cancel()
        for each in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(each, asyncio.CancelledError), each
        return lived

    found: Lived = virtual(main())
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_pole_lives_through_it(virtual: Virtual, file: Path):
    """Things go wrong, and a minute or two after the last of them every device measures again."""
    lived = live(virtual, load(file), 100.0, peace=130.0)
    assert sum(lived.befell.values()) > 10
    assert [each.device.id for each in lived.samplers if each.state != "running"] == []


def test_the_same_seed_gives_the_same_readings(virtual: Virtual):
    days = [live(virtual, scenario(Path("failing-pole"), seed) or Scenario(), 45.0) for seed in (1, 1, 2)]
    told = [[(time, r.device, r.values, r.missing) for time, r in day.readings] for day in days]
    assert told[0] == told[1]
    assert told[0] != told[2]


def test_what_the_scenarios_are_about(virtual: Virtual):
    """The storm floods the river, the festival is loud and fills the bin, the failing pole loses readings."""
    storm, festival, failing = (
        live(virtual, scenario(Path(name), None) or Scenario(), 90.0)
        for name in ("storm", "festival-night", "failing-pole")
    )
    assert min(storm.levels("river_range", Quantity.DISTANCE)) < 5.0 - 2.0
    loud = festival.levels("noise", Quantity.SOUND_LEVEL)
    assert sum(loud) / len(loud) > 70
    missing = [sum(bool(each.missing) for _, each in day.readings) for day in (storm, festival, failing)]
    assert missing[2] > missing[1]
    assert missing[2] > 40
