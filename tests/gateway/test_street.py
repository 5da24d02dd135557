"""The demo's pole on its emulated street, two storms long, in virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from drivers.device import Quantity
from drivers.street import CYCLE, UNPLUGGED
from gateway.app.check import plan
from gateway.app.hardware import Hardware
from gateway.app.pole import Pole
from gateway.clock import LoopClock, Now, Quality
from gateway.health import Health
from gateway.reading import Decision, Event, Outcome, Reading, Record
from tests.conftest import VirtualLoop

DEMO = Path(__file__).parent.parent.parent / "deploy" / "demo.toml"


@dataclass
class Night:
    """Everything that the pole said and did, with the second at which it did."""

    readings: list[tuple[float, Reading]] = field(default_factory=list)
    records: list[tuple[float, Record]] = field(default_factory=list)
    levels: list[tuple[float, int, bool]] = field(default_factory=list)
    devices: list[dict[str, Any]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    """How many starts of the compactor were kept, each time that it was decided to start it."""

    def decisions(self, command: str, *outcomes: Outcome) -> list[float]:
        """Return when decisions on *command* with one of *outcomes* were recorded."""
        return [
            time
            for time, record in self.records
            if isinstance(record, Decision)
            and record.command.startswith(command)
            and record.outcome in outcomes
        ]

    def events(self, kind: str) -> list[tuple[float, Event]]:
        return [(time, each) for time, each in self.records if isinstance(each, Event) and each.type == kind]

    def values(self, device: str, quantity: Quantity) -> list[tuple[float, float]]:
        return [
            (time, each.values[quantity])
            for time, each in self.readings
            if each.device == device and quantity in each.values
        ]


class Journal:
    def __init__(self, night: Night, memory: "Memory") -> None:
        self.night, self.memory = night, memory

    async def record(self, record: Record) -> None:
        if isinstance(record, Decision) and record.command.startswith("compactor on"):
            kept = json.loads(self.memory.texts["control"])["starts"]["compactor"]
            self.night.starts += [len(kept)] * (record.outcome is Outcome.ACTED)
        self.night.records.append((asyncio.get_running_loop().time(), record))


class Memory:
    """Nothing was before this night."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def remembered(self) -> dict[str, str]:
        return {}

    def remember(self, name: str, text: str) -> None:
        self.texts[name] = text

    async def replay(self, since: float) -> AsyncIterator[list[dict[str, Any]]]:
        for bodies in ():
            yield bodies


async def _live(seconds: float) -> Night:
    night, loop, clock = Night(), asyncio.get_running_loop(), LoopClock()
    now = Now(wall=lambda: 1.7e9 + loop.time(), monotonic=loop.time, quality=lambda: Quality.SYNCHRONIZED)
    hardware = Hardware(clock)
    demo = plan(DEMO, keep_expired=True)
    memory = Memory()
    granted = tuple(file.renewed(1.7e9 + 30 * 86400.0) for file in demo.rules)
    pole = Pole(
        replace(demo, rules=granted),
        hardware,
        Journal(night, memory),
        clock,
        now,
        Health(clock),
        lambda reading: night.readings.append((loop.time(), reading)),
        lambda event: night.records.append((loop.time(), event)),
        memory,
    )
    await pole.start()
    await asyncio.sleep(seconds)
    assert not pole.broken.done(), pole.broken.result()
    await pole.stop()
    night.devices = pole.devices()
    street = hardware.street
    assert street is not None
    assert not any(street.pins.levels[line] for line in range(23, 28)), "every output is off at the end"
    return night


@pytest.fixture(scope="module")
def night() -> Night:
    """Two storms and two minutes of rubbish."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_live(2 * CYCLE))


def test_the_noise_meter_is_lost_and_back_by_itself_once_in_every_storm(night):
    lost, back = night.events("lamppost.device.lost"), night.events("lamppost.device.back")
    assert [each.subject for _, each in lost + back] == ["noise"] * 4
    for cycle, ((gone, _), (found, _)) in enumerate(zip(lost, back, strict=True)):
        low, high = (cycle * CYCLE + each for each in UNPLUGGED)
        assert low <= gone <= low + 3.0
        assert high <= found <= high + 9.0, "within the pauses of its back-off"


def test_the_others_never_miss_an_interval(night):
    others = [each for each in night.devices if each["id"] not in ("noise", "noise_leq", "air")]
    assert {each["id"]: (each["missed"], each["failures"]) for each in others} == {
        each["id"]: (0, 0) for each in others
    }
    air = next(each for each in night.devices if each["id"] == "air")
    assert air["missed"] <= 1, "the particle meter's first result takes longer than its interval"


def test_the_compactor_strokes_with_the_lid_closed_and_locked_and_the_fill_falls(night):
    on, off = (
        night.decisions("compactor on", Outcome.ACTED),
        night.decisions("compactor off", Outcome.RELEASED),
    )
    assert len(on) - len(off) in (0, 1), "the last one may be under way"
    assert len(off) >= 3
    for began, ended in zip(on, off, strict=False):
        assert 4.0 < ended - began < 12.0, "the warning, the way down, the way home"
        before = [fill for time, fill in night.values("bin", Quantity.FILL) if time <= began][-1]
        after = next(fill for time, fill in night.values("bin", Quantity.FILL) if time >= ended)
        assert before >= 80.0
        assert after < before
        lid = night.values("lid", Quantity.CLOSED)
        assert [value for time, value in lid if time <= began][-1] == 1.0
        assert all(value == 1.0 for time, value in lid if began <= time <= ended)
    locked = night.decisions("lock on", Outcome.ACTED)
    assert all(any(began - 5.0 < each < began + 0.5 for each in locked) for began in on)
    buzzes = [time for time, level in night.values("buzzer", Quantity.ON) if level]
    assert all(any(began <= time <= began + 2.5 for time in buzzes) for began in on[: len(off)]), "it warns"


def test_a_collection_is_asked_for_once_when_pressing_no_longer_helps(night):
    requests = night.events("lamppost.collection.requested")
    assert len(requests) == len(night.decisions("announce lamppost.collection", Outcome.ACTED)) >= 1
    time, request = requests[0]
    assert len([began for began in night.decisions("compactor on", Outcome.ACTED) if began < time]) >= 2
    assert request.subject == "bin"
    assert request.data["fill"] >= 65.0
    assert request.data["reason"] == "still full after pressing"
    assert request.data["priority"] == "normal"
    assert request.data["place"]["name"].startswith("Corner of")


def test_rain_lifts_the_river_until_the_siren_sounds_and_it_stops_when_the_water_falls(night):
    on = night.decisions("siren on", Outcome.ACTED)
    off = night.decisions("siren off", Outcome.RELEASED, Outcome.TRIPPED)
    assert len(on) == len(off) == 2
    stages = night.values("river", Quantity.STAGE)
    for began, ended in zip(on, off, strict=True):
        before = [stage for time, stage in stages if began - 2.0 <= time <= began]
        assert all(stage >= 2.0 for stage in before), "it has held for two seconds"
        assert [stage for time, stage in stages if time <= ended][-1] < 1.6
    assert any(level > 80.0 for _, level in night.values("noise", Quantity.SOUND_LEVEL)), "the meter hears it"


def test_a_pilot_moves_nothing_and_is_written_down(night):
    assert night.decisions("announce lamppost.noise.loud", Outcome.SHADOWED)
    assert not night.events("lamppost.noise.loud")


def test_every_movement_is_recorded_before_it_is_seen(night):
    for switch in ("siren", "compactor", "lock"):
        moves = [time for time, on in night.values(switch, Quantity.ON) if on]
        decided = night.decisions(f"{switch} on", Outcome.ACTED)
        assert all(any(each <= move for each in decided) for move in moves)
        assert moves


def test_an_hourly_budget_is_spent_in_the_store_before_the_switch_moves(night):
    """What must not be forgotten goes with the decision, so that a crash in between gives nothing away."""
    assert night.starts[:3] == [1, 2, 3]
