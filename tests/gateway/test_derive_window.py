"""Windows: the worked levels, the rules at each edge, and sample by sample as all at once."""

import json
import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from statistics import quantiles
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive import statistics
from gateway.derive.frames import DAY, HOUR, SECOND, Aligned, Frame, Sliding
from gateway.derive.statistics import Kind, Sample, Statistic
from gateway.derive.window import ROBUST_MOST, Result, Window

COUNT, MEAN, ENERGY = Statistic(Kind.COUNT), Statistic(Kind.MEAN), Statistic(Kind.ENERGY_MEAN)
LOW, MEDIAN, HIGH = (Statistic(Kind.PERCENTILE, percent) for percent in (10.0, 50.0, 90.0))
SLOPE, ROBUST, RATE = Statistic(Kind.SLOPE), Statistic(Kind.ROBUST_SLOPE), Statistic(Kind.RATE)
LEAST, GREATEST = Statistic(Kind.MIN), Statistic(Kind.MAX)
SAMPLES, TIME = Statistic(Kind.SAMPLES_ABOVE, 60.0), Statistic(Kind.TIME_ABOVE, 60.0)
ALL = (COUNT, MEAN, ENERGY, LOW, MEDIAN, HIGH, SLOPE, ROBUST, RATE, LEAST, GREATEST, SAMPLES, TIME)

LEVELS = st.lists(st.floats(-20.0, 140.0), min_size=1, max_size=40)
BERLIN = ZoneInfo("Europe/Berlin")


def said(window: Window) -> Result:
    result = window.result()
    assert result is not None
    return result


def number(value: float | Missing) -> float:
    assert not isinstance(value, Missing)
    return value


def fed(window: Window, samples: Sequence[Sample]) -> Window:
    for time, value in samples:
        window.add(time, value)
    return window


def stamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def batch(samples: Sequence[Sample], hold: float) -> dict[Statistic, float | Missing]:
    """Return every statistic of *samples*, in the order of time, by the functions over all of them."""
    values = [value for _, value in samples]
    return {
        COUNT: float(len(values)),
        MEAN: statistics.mean(values),
        ENERGY: statistics.energy_mean(values),
        **{one: statistics.percentile(values, one.parameter or 0.0) for one in (LOW, MEDIAN, HIGH)},
        SLOPE: statistics.slope(samples),
        ROBUST: statistics.robust_slope(samples),
        RATE: statistics.rate(samples),
        LEAST: min(values, default=Missing.INPUT_MISSING),
        GREATEST: max(values, default=Missing.INPUT_MISSING),
        SAMPLES: statistics.samples_above(values, 60.0),
        TIME: statistics.time_above(samples, 60.0, hold),
    }


def agree(found: float | Missing, wanted: float | Missing) -> bool:
    if isinstance(found, Missing) or isinstance(wanted, Missing):
        return found is wanted
    return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)


# The worked examples


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [([60.0, 70.0], 67.40), ([55.0] * 870 + [85.0] * 30, 70.35), ([60.0], 60.0), ([0.0, 0.0], 0.0)],
)
def test_levels_are_averaged_by_energy(levels: list[float], wanted: float) -> None:
    assert number(statistics.energy_mean(levels)) == pytest.approx(wanted, abs=0.005)
    window = fed(Window(Sliding(len(levels)), (ENERGY,), 1.0), list(enumerate(levels)))
    assert said(window).values[ENERGY] == pytest.approx(wanted, abs=0.005)


def test_percentiles_follow_type_7() -> None:
    values = [15.0, 20.0, 35.0, 40.0, 50.0]
    wanted = [(0.0, 15.0), (5.0, 16.0), (30.0, 23.0), (40.0, 29.0), (50.0, 35.0), (95.0, 48.0), (100.0, 50.0)]
    for percent, value in wanted:
        assert statistics.percentile(reversed(values), percent) == pytest.approx(value)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_percentiles_are_those_of_the_library(values: list[float]) -> None:
    theirs = quantiles(values, n=10, method="inclusive")
    ours = [number(statistics.percentile(values, 10.0 * tenth)) for tenth in range(1, 10)]
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)


def test_one_wrong_sample_does_not_move_the_robust_slope() -> None:
    samples = [(float(t), 0.5 * t) for t in range(9)]
    samples[4] = (4.0, 100.0)
    assert statistics.robust_slope(samples) == pytest.approx(0.5)
    samples[8] = (8.0, 100.0)
    assert number(statistics.slope(samples)) > 2.0


def test_time_above_speaks_of_no_more_than_the_interval() -> None:
    samples = [(0.0, 70.0), (5.0, 50.0), (600.0, 70.0), (604.0, 50.0)]  # held 5, 10, 4 and 10 s
    assert statistics.time_above(samples, 60.0, 10.0) == pytest.approx(100 * 9 / 29)
    assert statistics.samples_above([70.0, 60.0, 50.0, 60.1], 60.0) == 50.0  # at the limit is not above it


def test_nothing_can_be_said_of_nothing() -> None:
    assert {one for one, value in batch([], 1.0).items() if value is not Missing.INPUT_MISSING} == {COUNT}
    alone = batch([(3.0, 61.0)], 1.0)
    assert {one for one, value in alone.items() if isinstance(value, Missing)} == {SLOPE, ROBUST, RATE}


# Properties of the statistics


@given(LEVELS)
def test_the_energy_mean_lies_between_the_mean_and_the_greatest(levels: list[float]) -> None:
    found = number(statistics.energy_mean(levels))
    assert min(levels) - 1e-9 <= found <= max(levels) + 1e-9
    assert found >= number(statistics.mean(levels)) - 1e-9
    running = said(fed(Window(Sliding(len(levels)), (ENERGY,), 1.0), list(enumerate(levels)))).values[ENERGY]
    assert running == pytest.approx(found, abs=1e-9)


@given(LEVELS, st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_percentiles_are_ordered(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    asked = Statistic(Kind.PERCENTILE, low), Statistic(Kind.PERCENTILE, high)
    found = said(fed(Window(Sliding(40), asked, 1.0, 0.0), list(enumerate(values)))).values
    assert number(found[asked[0]]) <= number(found[asked[1]])
    floor, ceiling = (number(statistics.percentile(values, percent)) for percent in (low, high))
    assert min(values) <= floor <= ceiling <= max(values)


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=30),
    st.integers(-(10**6), 10**6),
    st.integers(0, 10**9),
)
def test_slopes_do_not_care_where_value_and_time_begin(values: list[int], up: int, later: int) -> None:
    """All shifts here are exact in doubles; so is the running slope, to the last bit."""
    frame = Sliding(60.0)
    found = []
    for lift, delay in ((0, 0), (up, 0), (0, later), (up, later)):
        samples = [(float(t + delay), float(value + lift)) for t, value in enumerate(values)]
        result = said(fed(Window(frame, (SLOPE, ROBUST, RATE), 1.0, 0.0), samples))
        found.append(dict(result.values))
        assert agree(result.values[SLOPE], statistics.slope(samples))
    assert found == [found[0]] * 4


@given(st.floats(-100.0, 100.0), st.floats(-100.0, 100.0), st.integers(2, 60))
def test_slopes_of_a_line_are_its_own(slope: float, start: float, count: int) -> None:
    result = said(
        fed(
            Window(Sliding(60.0), (SLOPE, ROBUST, RATE), 1.0, 0.0),
            [(1.7e9 + t, start + slope * t) for t in range(count)],
        )
    )
    assert all(value == pytest.approx(slope, abs=1e-9) for value in result.values.values())


# Sample by sample, all at once

OFFERS = st.lists(
    st.tuples(
        st.integers(0, 400) | st.integers(100, 130),
        st.one_of(st.floats(-20.0, 140.0), st.sampled_from([60.0, -0.0, 50.0])),
    ),
    max_size=60,
)


def kept(offers: Sequence[tuple[int, float]], frame: Frame) -> list[Sample]:
    """Return what a window should hold after *offers*, in half seconds: the last word on each time in it."""
    last = {time * SECOND // 2: value for time, value in offers}
    start, stop = frame.bounds(max(last))
    return [(time / SECOND, last[time]) for time in sorted(last) if start <= time < stop]


@pytest.mark.parametrize("frame", [Sliding(20.0), Sliding(2.5), Aligned(60.0), Aligned(100.0, BERLIN)])
@given(offers=OFFERS.filter(bool))
def test_incremental_equals_batch(frame: Frame, offers: list[tuple[int, float]]) -> None:
    """With gaps, late samples and corrections, in any order, after every sample."""
    window = Window(frame, ALL, 1.7, 0.0, most=200)  # gaps shorter and longer than a sample holds
    for count, (time, value) in enumerate(offers, 1):
        window.add(time / 2, value)
        samples = kept(offers[:count], frame)
        wanted, found = batch(samples, 1.7), said(window).values
        assert {one: found[one] for one in ALL if not agree(found[one], wanted[one])} == {}


@given(OFFERS.filter(bool), st.randoms(use_true_random=False))
def test_the_order_does_not_matter(offers: list[tuple[int, float]], chance: random.Random) -> None:
    """To the last bit: nothing is rounded on the way."""
    ordered = sorted(dict(offers).items())
    shuffled = chance.sample(ordered, len(ordered))
    ways = [Window(Sliding(20.0), ALL, 0.5, 0.0, most=40) for _ in range(2)]
    for window, samples in zip(ways, (ordered, shuffled), strict=True):
        fed(window, [(time / 2, value) for time, value in samples])
    assert said(ways[0]) == said(ways[1])
    assert ways[0].state()["times"] == ways[1].state()["times"]


def test_a_long_random_feed_equals_batch() -> None:
    """Long enough that the chunks of the ranks split and merge, and that the series clears its head."""
    chance, frame = random.Random(3), Sliding(2000.0)
    window = Window(frame, tuple(one for one in ALL if one != ROBUST), 3.0, 0.0, most=4000)
    offers: list[tuple[int, float]] = []
    for step in range(5000):
        if chance.random() < 0.1:
            continue
        late = chance.randrange(2400) if chance.random() < 0.02 else 0
        level = 50 + 30 * math.sin(step / 900) + chance.gauss(0, 1)
        offers.append((2 * max(0, step - late), level))
        window.add(offers[-1][0] / 2, offers[-1][1])
    wanted, found = batch(kept(offers, frame), 3.0), said(window).values
    assert window.late > 0
    assert {one: value for one, value in found.items() if not agree(value, wanted[one])} == {}


@pytest.mark.parametrize("kinds", [3, 40])
def test_percentiles_hold_where_many_values_are_equal(kinds: int) -> None:
    """Equal values lie in several chunks of the ranks, and leave them in the order of time."""
    chance, values = random.Random(4), list[float]()
    window = Window(Sliding(2500.0), (LOW, MEDIAN, HIGH), 1.0, 0.0)
    for time in range(9000):
        values.append(float(chance.randrange(kinds) + time // 3000))
        window.add(float(time), values[-1])
        if time % 250 == 0:
            wanted = [statistics.percentile(values[-2500:], percent) for percent in (10.0, 50.0, 90.0)]
            assert list(said(window).values.values()) == wanted


def test_equal_values_leave_one_chunk_of_the_ranks_and_then_the_next() -> None:
    window = Window(Sliding(2500.0), (Statistic(Kind.PERCENTILE, 100.0), MEDIAN), 1.0, 0.0)
    fed(window, [(float(t), 0.0 if t < 500 else 1.0) for t in range(1025)])  # twelve ones beside the noughts
    assert list(said(window).values.values()) == [1.0, 1.0]
    for time in range(500, 1024):
        window.add(float(time), Missing.FAULT)
    assert list(said(window).values.values()) == [1.0, 0.0]


@pytest.mark.parametrize("huge", [1e16, 1e99, 3.3e-7])
def test_sums_do_not_drift(huge: float) -> None:
    """A value that swallows all others leaves nothing behind when it goes: the mean is exact to the bit."""
    window, chance = Window(Sliding(100.0), (MEAN, SLOPE), 1.0), random.Random(1)
    values = [huge if t % 500 == 0 else chance.uniform(0.1, 0.3) for t in range(5450)]
    fed(window, [(1.7e9 + t, value) for t, value in enumerate(values)])
    tail = [Fraction(value) for value in values[-100:]]
    assert said(window).values[MEAN] == float(sum(tail) / 100)
    middle = Fraction(99, 2)
    away = sum((t - middle) * value for t, value in enumerate(tail)) / sum(
        (t - middle) ** 2 for t in range(100)
    )
    assert said(window).values[SLOPE] == float(away)


def test_a_plain_running_sum_would_drift() -> None:
    total = 0.0
    for value in [1e16, *([0.1] * 100)]:
        total += value
    assert (total - 1e16) / 100 != pytest.approx(0.1, rel=0.01)


# The edges


def test_a_sliding_window_leaves_out_what_is_a_whole_span_old() -> None:
    window = fed(Window(Sliding(60.0), (COUNT, LEAST), 1.0, 0.0), [(0.0, 1.0), (0.000001, 2.0), (60.0, 3.0)])
    assert said(window).values == {COUNT: 2.0, LEAST: 2.0}
    assert (said(window).start, said(window).stop, said(window).expected) == (0.0, 60.0, 60.0)


def test_late_samples_are_placed_ignored_and_counted() -> None:
    window = fed(Window(Sliding(10.0), (COUNT, MEAN, GREATEST), 1.0, 0.0), [(100.0, 1.0), (95.0, 5.0)])
    assert said(window).values == {COUNT: 2.0, MEAN: 3.0, GREATEST: 5.0}
    fed(window, [(90.0, 99.0), (50.0, 99.0)])
    assert said(window).values == {COUNT: 2.0, MEAN: 3.0, GREATEST: 5.0}
    assert window.late == 2


def test_a_correction_replaces_and_a_missing_takes_away() -> None:
    window = fed(Window(Sliding(10.0), ALL, 1.0, 0.0), [(1.0, 50.0), (2.0, 90.0), (3.0, 70.0), (2.0, 60.0)])
    assert (said(window).values[GREATEST], said(window).values[MEAN], len(window)) == (70.0, 60.0, 3)
    window.add(3.0, Missing.FAULT)
    assert (said(window).values[GREATEST], said(window).values[MEAN], len(window)) == (60.0, 55.0, 2)
    window.add(12.0, Missing.TIMEOUT)  # time moves on without a value
    assert said(window).values[COUNT] == 0.0
    assert all(value is Missing.INPUT_MISSING for one, value in said(window).values.items() if one != COUNT)


@pytest.mark.parametrize(("share", "least"), [(0.75, 45), (0.07, 5), (1.0, 60), (0.7, 42)])
def test_too_few_samples_say_nothing(share: float, least: int) -> None:
    window = fed(
        Window(Sliding(60.0), (COUNT, MEAN), 1.0, share), [(float(t), 1.0) for t in range(least - 1)]
    )
    assert said(window).values == {COUNT: least - 1.0, MEAN: Missing.INPUT_MISSING}
    window.add(least - 1.0, 1.0)
    assert said(window).values == {COUNT: float(least), MEAN: 1.0}


def test_memory_is_bounded_and_what_is_lost_is_not_hidden() -> None:
    window = Window(Sliding(10.0), ALL, 1.0, 0.0, most=10)
    fed(window, [(t / 10, 60.0) for t in range(100)])
    assert (len(window), window.pushed_out) == (10, 90)
    assert said(window).values[MEAN] is Missing.INPUT_MISSING
    window.advance(18.8)  # the newest that was pushed out, of 8.9, is still inside
    assert said(window).values[MEAN] is Missing.INPUT_MISSING
    window.advance(18.9)
    assert said(window).values[MEAN] == 60.0
    fed(window, [(float(t), 60.0) for t in range(19, 5000)])
    assert (len(window), window.pushed_out) == (10, 90)
    assert len(window._series.times) < 600


def test_a_share_that_rounding_lifts_asks_for_no_sample_more() -> None:
    assert 0.07 * 100.0 > 7.0
    window = fed(Window(Sliding(100.0), (MEAN,), 1.0, 0.07), [(float(t), 1.0) for t in range(7)])
    assert said(window).values[MEAN] == 1.0


def test_zero_has_no_sign() -> None:
    values = said(fed(Window(Sliding(2.0), ALL, 1.0), [(0.0, -0.0), (1.0, -0.0)])).values
    assert {str(values[one]) for one in (MEAN, LOW, MEDIAN, HIGH, LEAST, GREATEST)} == {"0.0"}


# Hours and days


def test_an_hour_closes_when_the_next_begins() -> None:
    window = Window(Aligned(HOUR), (COUNT, MEAN), 600.0, 0.5)
    start = stamp("2026-06-01T12:00:00+00:00")
    closed = [window.add(start + 600.0 * step, float(step)) for step in range(6)]
    assert closed == [None] * 6
    assert window.add(start + 3599.999999, 15.0) is None
    result = window.add(start + HOUR, 100.0)
    assert result == Result(start, start + HOUR, 7, 6.0, {COUNT: 7.0, MEAN: 30.0 / 7})
    assert said(window).values == {COUNT: 1.0, MEAN: Missing.INPUT_MISSING}
    assert window.add(start + 3599.0, 1.0) is None  # a closed period stays closed
    assert (window.late, len(window)) == (1, 1)
    assert window.advance(start + 2 * HOUR) == Result(
        start + HOUR, start + 2 * HOUR, 1, 6.0, {COUNT: 1.0, MEAN: Missing.INPUT_MISSING}
    )
    empty = window.add(start + 5 * HOUR, 7.0)
    assert empty is not None
    assert (empty.start, empty.count) == (start + 2 * HOUR, 0)


@pytest.mark.parametrize(
    ("zone", "noon", "start", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00", 23.0),
        ("Europe/Berlin", "2026-10-25T12:00+01:00", "2026-10-25T00:00+02:00", 25.0),
        ("Europe/Berlin", "2026-10-25T23:59+01:00", "2026-10-25T00:00+02:00", 25.0),
        ("Europe/Berlin", "2026-10-26T00:00+01:00", "2026-10-26T00:00+01:00", 24.0),
        ("Asia/Kathmandu", "2026-06-01T12:00+05:45", "2026-06-01T00:00+05:45", 24.0),
        ("Australia/Lord_Howe", "2026-04-05T12:00+10:30", "2026-04-05T00:00+11:00", 24.5),
        ("Asia/Beirut", "2026-03-29T12:00+03:00", "2026-03-29T01:00+03:00", 23.0),  # no midnight
        ("America/Havana", "2026-11-01T12:00-05:00", "2026-11-01T00:00-04:00", 25.0),  # two midnights
    ],
)
def test_local_days_have_23_to_25_hours(zone: str, noon: str, start: str, hours: float) -> None:
    window = fed(Window(Aligned(DAY, ZoneInfo(zone)), (COUNT,), HOUR, 0.0), [(stamp(noon), 1.0)])
    assert said(window) == Result(stamp(start), stamp(start) + hours * HOUR, 1, hours, {COUNT: 1.0})


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_local_day_needs_the_hours_that_it_has(day: str) -> None:
    """One sample an hour: the share is of 23 or 25, not of 24."""
    start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=BERLIN).timestamp()
    due = 23 if day.endswith("29") else 25
    for missed, wanted in ((0, 1.0), (1, Missing.INPUT_MISSING)):
        window = Window(Aligned(DAY, BERLIN), (MEAN,), HOUR, 1.0)
        fed(window, [(start + HOUR * hour, 1.0) for hour in range(due - missed)])
        closed = window.advance(start + due * HOUR)
        assert closed is not None
        assert closed.values[MEAN] is wanted or closed.values[MEAN] == wanted


@given(
    st.sampled_from(
        ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Pacific/Apia"]
    ),
    st.sampled_from([60.0, 900.0, HOUR, DAY]),
    st.integers(0, 1_900_000_000),
)
def test_periods_tile_the_time(zone: str, period: float, time: int) -> None:
    """The instant before a period lies in another that ends where it begins, and so does its end."""
    frame = Aligned(period, ZoneInfo(zone))
    start, stop = frame.bounds(time * SECOND)
    assert start <= time * SECOND < stop <= start + frame.longest
    assert frame.bounds(start) == frame.bounds(stop - 1) == (start, stop)
    assert frame.bounds(start - 1)[1] == start
    assert frame.bounds(stop)[0] == stop


def test_the_last_hour_of_lord_howe_is_cut_short() -> None:
    frame, midnight = Aligned(HOUR, ZoneInfo("Australia/Lord_Howe")), stamp("2026-04-06T00:00+10:30")
    start, stop = frame.bounds(round(midnight) * SECOND - 1)
    assert (start / SECOND, stop / SECOND) == (midnight - 1800.0, midnight)


# A restart


@pytest.mark.parametrize("frame", [Sliding(20.0), Aligned(60.0), Aligned(DAY, BERLIN)])
@given(offers=OFFERS, cut=st.integers(0, 60))
def test_a_restart_changes_nothing(frame: Frame, offers: list[tuple[int, float]], cut: int) -> None:
    statistics = tuple(one for one in ALL if one != ROBUST)
    through, before = (Window(frame, statistics, 0.5, 0.0, most=0) for _ in range(2))
    fed(through, [(time / 2, value) for time, value in offers])
    fed(before, [(time / 2, value) for time, value in offers[:cut]])
    after = Window(frame, statistics, 0.5, 0.0)
    after.restore(json.loads(json.dumps(before.state(), allow_nan=False)))
    assert after.state() == before.state()
    fed(after, [(time / 2, value) for time, value in offers[cut:]])
    assert after.result() == through.result()
    assert after.state() == through.state()
    assert (after.late, after.pushed_out) == (through.late, through.pushed_out)


def test_a_restart_remembers_what_was_lost() -> None:
    window = fed(Window(Sliding(10.0), (MEAN,), 1.0, 0.0, most=10), [(t / 10, 60.0) for t in range(100)])
    again = Window(Sliding(10.0), (MEAN,), 1.0, 0.0, most=10)
    again.restore(window.state())
    assert again.state() == window.state()
    assert said(again).values[MEAN] is Missing.INPUT_MISSING
    fewer = Window(Sliding(10.0), (MEAN,), 2.0, 0.0, most=5)  # pushes out up to 9.4
    fewer.restore(window.state())
    fewer.advance(19.0)
    assert said(fewer).values[MEAN] is Missing.INPUT_MISSING
    fewer.advance(19.4)
    assert said(fewer).values[MEAN] == 60.0
    smaller = Window(Sliding(0.5), (COUNT, MEAN), 0.1, 0.0)
    smaller.restore(window.state())
    assert said(smaller).values == {COUNT: 5.0, MEAN: 60.0}


@pytest.mark.parametrize(
    "change",
    [{"newest": "soon"}, {"newest": 1e30}, {"times": [1]}, {"times": [1], "values": ["nan"]}, {"late": None}],
)
def test_a_damaged_state_is_refused(change: dict[str, object]) -> None:
    window = Window(Sliding(10.0), (MEAN,), 1.0)
    with pytest.raises(ValueError):
        window.restore({**window.state(), **change})
    with pytest.raises(ValueError, match="no state of a window"):
        window.restore({})
    window.add(1.0, 1.0)
    with pytest.raises(ValueError, match="new window only"):
        window.restore(window.state())


# What is refused


@pytest.mark.parametrize(
    ("time", "value"),
    [(math.nan, 1.0), (math.inf, 1.0), (6.1e10, 1.0), (5.0, math.nan), (5.0, -math.inf), (5.0, 1000.1)],
)
def test_a_refused_sample_changes_nothing(time: float, value: float) -> None:
    window = fed(Window(Sliding(10.0), ALL, 1.0), [(1.0, 60.0)])
    before = window.state()
    with pytest.raises(ValueError):
        window.add(time, value)
    assert window.state() == before


def test_settings_that_could_never_work_are_refused() -> None:
    for message, settings in (
        ("spans 1 ms to 400 days", lambda: Sliding(0.0)),
        ("spans 1 ms to 400 days", lambda: Sliding(math.nan)),
        ("a day or divides an hour", lambda: Aligned(7.0)),
        ("a day or divides an hour", lambda: Aligned(2 * HOUR)),
        ("no sample every 61 s fits a window of 60 s", lambda: Window(Sliding(60.0), (MEAN,), 61.0)),
        (
            "60 samples are due in a window that keeps 59",
            lambda: Window(Sliding(60.0), (MEAN,), 1.0, most=59),
        ),
        ("the share of valid data", lambda: Window(Sliding(60.0), (MEAN,), 1.0, 1.1)),
        ("the interval must be", lambda: Window(Sliding(60.0), (MEAN,), 0.0)),
        ("a robust slope takes at most 720", lambda: Window(Sliding(HOUR), (ROBUST,), 1.0)),
        ("mean has no parameter", lambda: Statistic(Kind.MEAN, 3.0)),
        ("percentile needs a finite number", lambda: Statistic(Kind.PERCENTILE)),
        ("a percentile is 0 to 100", lambda: Statistic(Kind.PERCENTILE, 100.1)),
        ("needs a finite number", lambda: Statistic(Kind.TIME_ABOVE, math.nan)),
        ("within ±1000 dB", lambda: statistics.energy(1000.1)),
        ("must hold for some time", lambda: statistics.time_above([], 1.0, 0.0)),
    ):
        with pytest.raises(ValueError, match=message):
            settings()
    assert Window(Sliding(300.0), (ROBUST,), 1.0).most <= ROBUST_MOST
    assert Window(Sliding(60.0), (MEAN,), 60.0).result() is None
    assert Aligned().zone is UTC
