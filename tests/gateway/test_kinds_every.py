"""What holds for every kind of stream, those to come included: how quality travels, and what silence proves.

Each kind is taken as its page shows it, and fed some hours of a made-up street, or a day and a quarter.
"""

import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from drivers.device import Missing, Quantity
from gateway.derive import Design, Source
from gateway.derive.kinds import names
from gateway.reading import Flag, Reading
from tests.gateway.stream_rig import designed, instant, reading

Q = Quantity
DAY = 86_400.0
START = 1_781_049_600.0  # 2026-06-10 00:00 UTC
PAGES = Path(__file__).resolve().parents[2] / "docs" / "streams"
EVERY = sorted(names())
World = Mapping[Quantity, Callable[[float], float | Missing]]
Flags = Callable[[int], Flag | None]

LONG = frozenset({"noise_day", "traffic_noise", "co2_baseline", "uk_daqi", "min", "count", "filling"})
"""What needs a day and more to say something: fed each five minutes, the others each minute."""
CHANGED = {
    "co2_baseline": "days = 1\nshare = 0.2",
    "step": "long = 5",
    "robust_slope": 'over = "10m"',
    "wind": "gusts = false",
}
"""What a kind needs to say something within that time."""

WORLD: World = {
    Q.DISTANCE: lambda day: 0.9 - 0.4 * day,
    Q.FILL: lambda day: 20.0 + 50.0 * day,
    Q.WEIGHT: lambda day: 40.0 + 20.0 * day,
    Q.STAGE: lambda day: 1.0 + 0.1 * day,
    Q.COUNT: lambda day: float(math.sin(400.0 * day) > 0.9),
    Q.RAIN: lambda day: 0.2 * (math.sin(400.0 * day) > 0.9),
    Q.PRESSURE: lambda day: 1000.0 + 5.0 * day,
    Q.WATER_PRESSURE: lambda day: 1100.0 + 5.0 * day,
    Q.ACCELERATION_X: lambda day: 0.1,
    Q.ACCELERATION_Y: lambda day: 0.0,
    Q.ACCELERATION_Z: lambda day: 9.80665,
    Q.TILT: lambda day: 1.0,
    Q.MOVEMENT: lambda day: 0.01,
    Q.ACTIVE: lambda day: 0.0,
    Q.VOLTAGE: lambda day: 0.3,
    Q.CO2: lambda day: 430.0 + 100.0 * day,
}
"""What the street is like, by the part of the day that is over; what is not named is 20."""

SILENCE: World = {quantity: lambda day: Missing.TIMEOUT for quantity in Quantity}


def sample(kind: str) -> str:
    """Return the first table of the kind on its page."""
    for page in PAGES.glob("*.md"):
        if found := re.search(
            rf"^## `{kind}`\n.*?```toml\n(.*?)```", page.read_text(), re.DOTALL | re.MULTILINE
        ):
            text = found.group(1)
            for line in CHANGED.get(kind, "").splitlines():
                text = re.sub(rf"^{line.split()[0]} = .*\n", "", text, flags=re.MULTILINE) + line + "\n"
            return text
    raise LookupError(kind)


@cache
def made(kind: str) -> Design:
    """Return the kind's sample as a design; each of its inputs comes as often as `lived` feeds it."""
    text = sample(kind)
    devices = re.findall(r'"([a-z_0-9]+)(?:\.[a-z_0-9]+)?"', text)
    around = {Source(device, quantity): step(kind) for device in devices for quantity in Quantity}
    return designed(text, around, "Europe/Dublin")


def step(kind: str) -> float:
    """Return the seconds between two readings."""
    return 300.0 if kind in LONG else 60.0


def count(kind: str) -> int:
    """Return how many readings there are of each device."""
    return 375 if kind in LONG else 190


def heard(kind: str, number: int, flag: Flag | None, world: World = WORLD) -> list[Reading]:
    """Return what every device that the kind is made from says at time *number*, all flagged alike."""
    sources, at = set(made(kind).context.sources.values()), number * step(kind)
    found = []
    for device in sorted({source.device for source in sources}):
        has = [source.quantity for source in sources if source.device == device]
        values = {str(q): world.get(q, lambda day: 20.0)(at / DAY) for q in has}
        found.append(reading(device, START + at, flag, **values))
    return found


def lived(kind: str, flags: Flags, world: World = WORLD) -> list[Reading]:
    """Return all that the stream says; time passes too."""
    stream, said = made(kind).build(), list[Reading]()
    for number in range(count(kind)):
        said += stream.advance(instant(START + number * step(kind) - 2.0))
        for each in heard(kind, number, flags(number), world):
            said += stream.feed(each)
    return said


def flags_of(said: list[Reading]) -> set[Flag | None]:
    """Return the flags of all values that were said."""
    return {each.flags.get(quantity) for each in said for quantity in each.values}


@pytest.mark.parametrize("kind", EVERY)
def test_what_is_made_from_passed_inputs_passed(kind):
    assert flags_of(lived(kind, lambda number: Flag.PASS)) == {Flag.PASS}


@pytest.mark.parametrize("kind", EVERY)
def test_what_is_made_from_untested_inputs_is_untested(kind):
    """But for the kind that is a test itself."""
    own = {Flag.PASS} if kind == "despiked" else set()
    assert flags_of(lived(kind, lambda number: None)) == {None, *own}


@pytest.mark.parametrize("kind", EVERY)
def test_what_is_made_from_suspect_inputs_is_suspect(kind):
    assert flags_of(lived(kind, lambda number: Flag.SUSPECT)) == {Flag.SUSPECT}


@pytest.mark.parametrize("kind", EVERY)
def test_one_suspect_reading_is_felt_and_not_before_it_came(kind):
    at = count(kind) // 2
    said = lived(kind, lambda number: Flag.SUSPECT if number == at else Flag.PASS)
    before = [each for each in said if each.at.time < START + at * step(kind)]
    assert Flag.SUSPECT in flags_of(said)
    assert flags_of(before) <= {Flag.PASS}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("world", [WORLD, SILENCE], ids=["failed", "missing"])
def test_failed_or_missing_inputs_make_no_value(kind, world):
    """But that of an alarm that says just this, and a count of what has a value, which is nought."""
    said = lived(kind, lambda number: Flag.FAIL, world)
    values = {(quantity, value) for each in said for quantity, value in each.values.items()}
    assert said
    assert values <= {(Q.STALE, 0.0), (Q.STALE, 1.0), (Q.COUNT, 0.0)}


# Alarms

WORST: Mapping[str, World] = {
    "fire": {Q.SURFACE_TEMPERATURE: lambda day: 90.0},
    "tipped": {Q.TILT: lambda day: 90.0},
    "overflow": {Q.DISTANCE: lambda day: 0.05, Q.ACTIVE: lambda day: 1.0},
    "drift": {Q.MOVEMENT: lambda day: 3.0},
    "step": {Q.MOVEMENT: lambda day: 3.0 * (day > 0.05)},
    "stage_alarm": {Q.STAGE: lambda day: 5.0},
    "disagreement": {Q.STAGE: lambda day: 1.0},
}
"""What raises each alarm; of two sensors that disagree the second is 20 m higher."""


def raised(kind: str) -> tuple[Any, int]:
    """Return a stream whose alarm has just been raised, and the number of the next reading."""
    stream = made(kind).build()
    for number in range(count(kind)):
        readings = heard(kind, number, Flag.PASS, WORST[kind])
        if kind == "disagreement":
            readings[1] = reading("river2", readings[1].at.time, Flag.PASS, stage=21.0)
        for each in readings:
            if any(said.values.get(ALARM[kind], 0.0) > 0.0 for said in stream.feed(each)):
                return stream, number + 1
    raise AssertionError(f"{kind} was not raised")


ALARM = {**dict.fromkeys(WORST, Q.ACTIVE), "stage_alarm": Q.FLOOD_STAGE}


def test_every_alarm_is_looked_at():
    assert {kind for kind in EVERY if {Q.ACTIVE, Q.FLOOD_STAGE} & set(made(kind).gives)} == set(WORST)


@pytest.mark.parametrize("kind", WORST)
@pytest.mark.parametrize("how", ["missing", "failed", "silent"])
def test_missing_data_never_clear_an_alarm(kind, how):
    """Nor do readings that failed, which say that all is well, nor time in which nothing comes at all."""
    stream, begin = raised(kind)
    said = list[Reading]()
    for number in range(begin, begin + 200):
        said += stream.advance(instant(START + number * step(kind) - 2.0))
        if how != "silent":
            for each in heard(kind, number, Flag.FAIL, SILENCE if how == "missing" else WORLD):
                said += stream.feed(each)
    assert {each.values[ALARM[kind]] for each in said if ALARM[kind] in each.values} <= {1.0, 4.0}
    assert not any(ALARM[kind] in each.missing for each in said), "it is on, and said to be"
    assert said or how == "silent"


@pytest.mark.parametrize("kind", WORST)
def test_without_data_no_alarm_says_that_all_is_well(kind):
    stream, said = made(kind).build(), list[Reading]()
    for number in range(50):
        for each in heard(kind, number, Flag.FAIL):
            said += stream.feed(each)
    assert said
    assert all(ALARM[kind] in each.missing for each in said)
