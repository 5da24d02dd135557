"""Streams while the wall clock is wrong, and when it is set: what must not forget goes on, rightly."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from drivers.device import Quantity
from gateway.app.streams import Streams
from gateway.clock import LoopClock, Now, Quality
from gateway.config import Derive
from gateway.derive import Design, Source
from gateway.derive.kind import Context, Input, Kind, Result, Taken
from gateway.reading import Reading
from tests.gateway.alarm_rig import CASES, STEP
from tests.gateway.stream_rig import designed, known

RIGHT, WRONG = Quality.SYNCHRONIZED, Quality.UNSYNCHRONIZED
TODAY = 1_795_374_000.0
HOUR = 3600.0
LEVEL = Quantity.SOUND_LEVEL


@dataclass(frozen=True, slots=True)
class Nothing:
    """No settings."""


@dataclass(slots=True)
class Since:
    """Tells how long ago its first sample was: as an emptying, or an alarm."""

    first: float | None = None

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        self.first = time if self.first is None else self.first
        return (Result(time, {Quantity.SINCE_EMPTIED: time - self.first}),)

    def advance(self, time: float) -> Iterable[Result]:
        return ()

    def save(self) -> Any:
        return self.first

    def restore(self, saved: Any) -> None:
        self.first = float(saved)


def since() -> Design:
    gives = (Quantity.SINCE_EMPTIED,)
    kind = Kind(
        Nothing,
        (Input("value", frozenset({LEVEL})),),
        lambda options, context: gives,
        lambda options, context: Since(),
        lasting=True,
    )
    context = Context({"value": Source("noise", LEVEL)}, {"value": 1.0})
    table = {"id": "since", "kind": "since", "from": "noise.sound_level"}
    return Design(Derive.model_validate(table), kind, Nothing(), context)


def mean() -> Design:
    text = '[[derive]]\nid = "mean"\nkind = "energy_mean"\nfrom = "noise.sound_level"\n'
    text += "over = 60\nevery = 1\nshare = 0.01"
    return designed(text, known(noise__sound_level=1.0))


@dataclass
class Pole:
    """Streams through boots whose clocks a test sets: *wall* [s, Unix] is what the clock shows at mono 0."""

    wall: float = TODAY
    quality: Quality = RIGHT
    mono: float = 100.0
    boot: str = "a"
    kept: dict[str, str] = field(default_factory=dict)
    said: list[Reading] = field(default_factory=list)
    replays: list[float] = field(default_factory=list)
    designs: tuple[Design, ...] = field(default_factory=lambda: (since(), mean()))

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start a daemon, and let it catch up with what was remembered; no reading was stored since."""
        self.now = Now(lambda: self.wall + self.mono, lambda: self.mono, lambda: self.quality, self.boot, 0.0)
        self.streams = Streams(self.designs, self, LoopClock(), self.now, self.said.append)
        asyncio.run(self.streams._catch_up())

    def reboot(self, boot: str, wall: float, quality: Quality) -> None:
        self.streams.remember()
        self.boot, self.wall, self.quality, self.mono = boot, wall, quality, 10.0
        self.begin()

    async def remembered(self) -> dict[str, str]:
        return self.kept

    def remember(self, name: str, text: str) -> None:
        self.kept[name] = text

    async def replay(self, since: float):
        self.replays.append(since)
        for nothing in ():
            yield nothing

    def hear(self, seconds: float = 1.0, level: float = 60.0) -> tuple[float, float]:
        """Let *seconds* pass, then measure; return how long ago the first was, and when that is said."""
        self.mono += seconds
        self.streams.advance()
        self.streams.take(Reading("noise", self.now(), {LEVEL: level}))
        (last,) = [each for each in self.said if each.device == "since"][-1:]
        return last.values[Quantity.SINCE_EMPTIED], last.at.time


def test_time_that_passed_counts_and_time_that_was_set_does_not():
    """A new pole in 1970, whose clock is synchronised after a minute."""
    pole = Pole(0.0, WRONG)
    pole.hear()
    assert pole.hear(60.0) == (60.0, 161.0)
    pole.wall, pole.quality = TODAY, RIGHT
    assert pole.hear(60.0) == (120.0, TODAY + 221.0)
    assert pole.hear(60.0) == (180.0, TODAY + 281.0)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 86_400.0, -86_400.0])
def test_a_trusted_clock_that_is_set_ages_nothing(jump):
    pole = Pole()
    pole.hear()
    pole.hear(60.0)
    pole.wall += jump
    assert pole.hear(60.0) == (120.0, TODAY + jump + 221.0)


@pytest.mark.parametrize("wrong", [0.0, 978_307_200.0, TODAY + 160.0, TODAY - HOUR])
def test_a_power_cut_counts_once_the_clock_knows_how_long_it_was(wrong):
    """Off for an hour; then 1970, 2001, where it was shut down, or an hour before; then the right time."""
    pole = Pole()
    pole.hear()
    pole.hear(60.0)
    pole.reboot("b", wrong - 10.0, WRONG)
    age, _ = pole.hear(60.0)
    assert 60.0 <= age <= 60.0 + 75.0, "an hour is missing, and no year too many"
    pole.wall, pole.quality = TODAY + HOUR, RIGHT
    assert pole.hear(60.0) == (pytest.approx(HOUR + 130.0 - 101.0, abs=0.01), TODAY + HOUR + 130.0)


def test_a_boot_that_is_right_at_once_after_one_that_was_wrong_knows_it_too():
    pole = Pole()
    pole.hear()
    pole.reboot("b", 0.0, WRONG)
    pole.hear(60.0)
    pole.reboot("c", TODAY + HOUR, RIGHT)
    assert pole.hear(1.0)[0] == pytest.approx(HOUR + 11.0 - 101.0, abs=0.01)


def test_a_pole_that_nobody_ever_told_the_time_believes_its_battery_clock():
    pole = Pole(TODAY, WRONG)
    pole.hear()
    pole.reboot("b", TODAY + HOUR, WRONG)
    assert pole.hear(1.0)[0] == pytest.approx(HOUR + 11.0 - 101.0, abs=0.01)


def test_a_window_holds_no_readings_of_two_clocks():
    pole = Pole(0.0, WRONG)
    for _ in range(5):
        pole.hear(level=90.0)
    pole.wall, pole.quality = TODAY, RIGHT
    pole.hear(level=50.0)
    pole.hear(level=50.0)
    last = [each for each in pole.said if each.device == "mean"][-1]
    assert last.values == {LEVEL: pytest.approx(50.0)}
    assert last.at.time == TODAY + pole.mono


def test_a_start_in_1970_does_not_play_years_of_readings():
    pole = Pole()
    pole.hear()
    pole.reboot("b", 0.0, WRONG)
    assert pole.replays[1:] == [TODAY + 101.0], "only what came after what was remembered"
    pole.reboot("c", TODAY + HOUR, RIGHT)
    assert pole.replays[-1] >= TODAY


def test_what_is_remembered_of_the_clock_may_be_anything():
    for text in ("", "7", "[]", '["x", 1, "b", "synchronized"]', '[1, 2, "b", "perhaps"]', "[" * 5000):
        pole = Pole(kept={"streams at": text})
        assert pole.hear()[0] == 0.0


@pytest.mark.parametrize("jump", [-0.9, -60.0, -HOUR, -86_400.0, HOUR, TODAY])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_alarm_is_raised_as_soon_after_the_clock_was_set_as_without_it(case, jump):
    """It is neither deaf until the time has come again, nor has time passed for it."""

    def raised(jump: float) -> int:
        pole = Pole(designs=(case.design,))
        for count in range(80):
            if count == 30:
                pole.wall += jump
            pole.mono += STEP
            pole.streams.advance()
            for each in case.heard(case.bad if count >= 31 else case.well, 0.0, 1):
                pole.streams.take(replace(each, at=pole.now()))
            if case.raised(pole.said[-1]):
                return count
        raise AssertionError("it was never raised")

    assert raised(jump) == raised(0.0)
