"""Streams over windows, as the configuration describes them: what is said, when, and what is refused."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers.device import Missing, Quantity
from gateway.app.check import plan
from gateway.app.hardware import Hardware
from gateway.app.pole import Pole
from gateway.clock import LoopClock, Now, Quality
from gateway.config import ConfigError
from gateway.derive import Stream
from gateway.health import Health
from gateway.reading import Flag, Reading, reading_of
from tests.gateway import stream_rig
from tests.gateway.stream_rig import fed, reading

LEVEL = Quantity.SOUND_LEVEL
SETTINGS = {"id": "leq", "from": "noise.sound_level", "kind": "energy_mean", "over": 10}


def stream(interval: float = 1.0, **keys: Any) -> Stream:
    """Return a window over a noise meter that gives a level each *interval* seconds."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**SETTINGS, **keys}.items()]
    return stream_rig.stream("\n".join(["[[derive]]", *lines]), {"noise.sound_level": interval})


def heard(time: float, level: float | Missing, device: str = "noise") -> Reading:
    return reading(device, time, sound_level=level)


def test_a_sliding_window_speaks_every_so_often_of_its_last_seconds():
    levels = [60.0] * 10 + [70.0] * 10
    said = fed(stream(every=5), [heard(float(second), level) for second, level in enumerate(levels)])
    assert [each.at.time for each in said] == [0.0, 5.0, 10.0, 15.0]
    assert [each.device for each in said] == ["leq"] * 4
    assert said[0].missing == {LEVEL: Missing.INPUT_MISSING}, "one reading of ten is not three quarters"
    assert said[1].missing == {LEVEL: Missing.INPUT_MISSING}
    expected = 10 * math.log10((4 * 10**6.0 + 6 * 10**7.0) / 10)
    assert said[3].values[LEVEL] == pytest.approx(expected)


def test_when_a_sliding_window_speaks_does_not_depend_on_when_it_began():
    """Else each restart would move it, and hourly values would be of other hours."""
    for begin in (0, 1, 4, 7):
        said = fed(stream(every=5), [heard(second + 0.25, 60.0) for second in range(begin, 30)])
        assert [each.at.time for each in said[-3:]] == [15.25, 20.25, 25.25]
    late = fed(stream(every=5), [heard(t, 60.0) for t in (4.0, 4.9999999, 5.5, 9.0, 10.0, 14.9, 15.1)])
    assert [each.at.time for each in late] == [4.0, 4.9999999, 10.0, 15.1], "a timer's hair is no second"


def test_an_aligned_window_speaks_once_as_its_period_ends_and_carries_that_time():
    window = stream(10.0, kind="percentile", percent=50, over=60, aligned="UTC")
    said = fed(window, [heard(600.0 + 10 * n, 50.0 + n) for n in range(7)])
    assert [(each.at.time, each.values[LEVEL]) for each in said] == [(660.0, 52.5)]


def test_time_ends_a_period_in_which_nothing_came_last():
    window = stream(10.0, kind="percentile", percent=50, over=60, aligned="UTC")
    fed(window, [heard(600.0 + 10 * n, 50.0 + n) for n in range(5)])
    assert window.advance(stream_rig.instant(659.9)) == []
    (said,) = window.advance(stream_rig.instant(661.0))
    assert (said.at.time, said.values[LEVEL]) == (660.0, 52.0)
    assert window.advance(stream_rig.instant(662.0)) == []


def test_missing_readings_count_against_the_share_and_never_as_a_number():
    levels = [60.0, Missing.BUS_ERROR, Missing.BUS_ERROR, 61.0, 62.0, 63.0]
    window = stream(kind="max", over=4, every=1)
    said = fed(window, [heard(float(second), level) for second, level in enumerate(levels)])
    assert [each.values.get(LEVEL) for each in said] == [None, None, None, None, None, 63.0]


def test_another_devices_readings_are_none_of_its_business():
    assert fed(stream(), [heard(1.0, 60.0, "other")]) == []


def test_a_clock_that_is_set_back_begins_the_window_anew():
    window = stream(kind="max", every=1)
    fed(window, [heard(1e6 + second, 90.0) for second in range(10)])
    said = fed(window, [heard(float(second), 40.0) for second in range(10)])
    assert said[-1].values == {LEVEL: 40.0}
    assert len(said) == 10


@pytest.mark.parametrize(
    ("flag", "said"), [(None, None), (Flag.PASS, Flag.PASS), (Flag.SUSPECT, Flag.SUSPECT)]
)
def test_a_correction_takes_the_doubt_away_with_the_reading(flag, said):
    window = stream(kind="max", every=1)
    rest = [reading("noise", float(second), Flag.PASS, sound_level=60.0) for second in range(10)]
    doubted = reading("noise", 9.0, Flag.SUSPECT, sound_level=70.0)
    fed(window, [*rest, doubted, reading("noise", 9.0, flag, sound_level=61.0)])
    (last,) = fed(window, [reading("noise", 10.0, Flag.PASS, sound_level=60.0)])
    assert (last.values, last.flags.get(LEVEL)) == ({LEVEL: 61.0}, said)


def test_a_percentile_is_ordered_by_its_percent():
    levels = [heard(float(second), 50.0 + second) for second in range(10)]
    windows = [stream(kind="percentile", percent=p, every=1) for p in (10.0, 90.0)]
    low, high = (fed(window, levels)[-1].values[LEVEL] for window in windows)
    assert low < high


def test_a_stored_reading_is_the_reading_that_was_stored():
    for one in (heard(12.5, 60.25), heard(12.5, Missing.TIMEOUT)):
        assert reading_of(one.body()) == one


POLE = """\
[gateway]
id = "pole"
[store]
path = "pole.db"
[header]
chip = "emulated:street"
[[bus]]
id = "i2c"
path = "emulated:street"
[[device]]
id = "noise"
driver = "dbm"
bus = "i2c"
interval = "1s"
[[derive]]
id = "leq"
kind = "energy_mean"
from = "noise.sound_level"
over = "15m"
aligned = "Europe/Dublin"
[[derive]]
id = "loudest"
kind = "max"
from = "leq.sound_level"
over = "1h"
every = "15m"
"""


def problems(folder: Path, old: str, new: str) -> str:
    assert old in POLE
    (folder / "pole.toml").write_text(POLE.replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        plan(folder / "pole.toml")
    return str(error.value)


def test_a_stream_may_be_made_from_a_stream_above_it(tmp_path):
    (tmp_path / "pole.toml").write_text(POLE)
    types = plan(tmp_path / "pole.toml").types()
    assert {"noise.sound_level", "leq.sound_level", "loudest.sound_level", "loudest.age"} <= set(types)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('over = "15m"\n', "", 'pole.toml:15:1: derive[1] needs the key "over"'),
        ('"15m"', '"7m"', "an aligned window is a day or divides an hour"),
        ('over = "15m"\naligned', 'over = "500ms"\n# aligned', "no sample every 1 s fits a window of 0.5 s"),
        ('"Europe/Dublin"', '"Europe/Dubln"', 'there is no time zone "Europe/Dubln"'),
        ('kind = "energy_mean"', 'kind = "percentile"\npercent = 101', "a percentile is 0 to 100"),
        (
            'over = "1h"',
            'over = "1h"\npercent = 5',
            '26:1: derive[2] has no key "percent"; it may have: over,',
        ),
        ('over = "1h"', 'over = "1h"\naligned = "UTC"', "an aligned window speaks as each period ends"),
        ('over = "1h"', 'over = "1h"\nempty = 1.0', '26:1: derive[2] has no key "empty"'),
        ('"leq.sound_level"', '"later.sound_level"', 'there is no reading "later.sound_level"'),
        ('driver = "dbm"', 'driver = "bme280"', 'there is no reading "noise.sound_level"'),
    ],
)
def test_a_window_that_can_never_work_is_refused_with_its_line(tmp_path, old, new, said):
    assert said in problems(tmp_path, old, new)


def test_an_energy_mean_of_something_that_is_no_level_is_a_unit_error(tmp_path):
    text = POLE.replace('driver = "dbm"', 'driver = "bme280"').replace(
        "noise.sound_level", "noise.temperature"
    )
    (tmp_path / "pole.toml").write_text(text.replace("leq.sound_level", "leq.temperature"))
    with pytest.raises(ConfigError, match=r"an energy mean is of levels in dB; noise\.temperature is in Cel"):
        plan(tmp_path / "pole.toml")


SENSE = [
    (
        "mean",
        "noise.sound_level",
        1.0,
        'over = "1h"',
        "noise.sound_level is a level in dB, whose mean is that of",
    ),
    ("mean", "day.lden", 86_400.0, 'over = "30d"', "day.lden is a level in dB"),
    ("mean", "street.sound_level_10", 3600.0, 'over = "1d"', ""),  # as LA10,18h is made
    (
        "energy_mean",
        "street.humidity",
        1.0,
        'over = "1h"',
        "an energy mean is of levels in dB; street.humidity is",
    ),
    (
        "mean",
        "wind.wind_direction",
        1.0,
        'over = "1h"',
        "wind.wind_direction goes round in a circle and has no mean",
    ),
    ("max", "wind.wind_direction", 1.0, 'over = "1h"', "has no max: take wind"),
    ("count", "wind.wind_direction", 1.0, 'over = "1h"', ""),
    (
        "slope",
        "street.temperature",
        60.0,
        'over = "1m"',
        "a slope is between two readings, and street.temperature",
    ),
    (
        "rate",
        "street.temperature",
        60.0,
        'over = "1m"\naligned = "UTC"',
        "comes every 60 s: no window of 60 s has two",
    ),
    ("robust_slope", "street.temperature", 60.0, 'over = "60s"', "a robust_slope is between two readings"),
    ("slope", "street.temperature", 60.0, 'over = "61s"', ""),
    (
        "slope",
        "street.humidity",
        60.0,
        'over = "1h"',
        "there is no slope of street.humidity; there is one of",
    ),
]


@pytest.mark.parametrize(("kind", "of", "every", "keys", "said"), SENSE)
def test_a_statistic_that_means_nothing_of_such_a_quantity_is_refused(kind, of, every, keys, said):
    text = f'[[derive]]\nid = "x"\nkind = "{kind}"\nfrom = "{of}"\n{keys}'
    found = stream_rig.problems(text, {of: every})
    assert (said in found[0]) if said else not found


def test_the_shortest_window_with_a_slope_gives_one():
    text = '[[derive]]\nid = "x"\nkind = "slope"\nfrom = "street.temperature"\nover = "61s"\nshare = 1.0'
    said = fed(
        stream_rig.stream(text, {"street.temperature": 60.0}),
        [reading("street", 60.0 * n, temperature=float(n)) for n in range(5)],
    )
    assert said[-1].values == {Quantity.TEMPERATURE_RATE: pytest.approx(60.0)}


def test_two_readings_where_one_is_taken_are_one_too_many():
    text = '[[derive]]\nid = "x"\nkind = "max"\nfrom = ["a.humidity", "b.humidity"]\nover = "1h"'
    (said,) = stream_rig.problems(text, {"a.humidity": 1.0, "b.humidity": 1.0})
    assert "max takes one reading of that sort: b.humidity is one too many" in said


@pytest.mark.parametrize(("every", "interval"), [("5s", 60.0), ("1m", 60.0), ("5m", 300.0)])
def test_a_window_speaks_no_more_often_than_it_hears(every, interval):
    """So that a window of a window is refused where it could never have enough."""
    text = f'[[derive]]\nid = "x"\nkind = "max"\nfrom = "a.humidity"\nover = "1h"\nevery = "{every}"'
    assert stream_rig.designed(text, {"a.humidity": 60.0}).interval == interval


class Memory:
    """A store in which ten levels stand, from before the restart."""

    stored = tuple(heard(990.0 + second, 60.0).body() for second in range(10))

    async def remembered(self) -> dict[str, str]:
        return {}

    def remember(self, name: str, text: str) -> None:
        """Nobody asks for it again."""

    async def replay(self, since: float) -> AsyncIterator[list[dict[str, Any]]]:
        yield [body for body in self.stored if body["time"] >= since]


def test_a_window_is_full_again_after_a_restart(tmp_path, virtual):
    """The streams take in the window's readings from the store before any that is new."""
    (tmp_path / "pole.toml").write_text(
        POLE.replace('over = "15m"\naligned = "Europe/Dublin"', "over = 10\nevery = 1")
    )
    published: list[Reading] = []

    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), LoopClock()
        now = Now(
            wall=lambda: 1000.0 + loop.time(), monotonic=loop.time, quality=lambda: Quality.SYNCHRONIZED
        )
        found, hardware = plan(tmp_path / "pole.toml"), Hardware(clock)
        said = published.append
        pole = Pole(found, hardware, None, clock, now, Health(clock), said, lambda event: None, Memory())
        assert pole.devices() == [], "the broker may ask for the status before the start is complete"
        await pole.start()
        assert [each["id"] for each in pole.devices()] == ["noise", "leq", "loudest"]
        await asyncio.sleep(2.5)
        await pole.stop()

    virtual(main())
    first = next(each for each in published if each.device == "leq")
    assert first.values, "the window did not begin empty"
