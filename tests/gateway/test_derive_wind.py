"""Wind: means that know the circle, gusts that know the gap, and a window that equals the plain functions."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.gusts import Gusts, gust
from gateway.derive.wind import TEN_MINUTES, TWO_MINUTES, Wind, mean_direction, mean_speed, turbulence
from gateway.derive.wind_window import Summary, Window, summary

ABSENT, CALM_AIR, CANCELLED = Missing.INPUT_MISSING, Missing.OUT_OF_RANGE, Missing.UNRELIABLE
NOTHING = Summary(ABSENT, ABSENT, ABSENT, ABSENT)
T = 1_770_000_000.0

speeds, directions = st.floats(0.0, 60.0), st.floats(0.0, 360.0)


def blow(speeds, interval=1.0, towards=90.0):
    return [Wind(T + k * interval, speed, towards) for k, speed in enumerate(speeds)]


def vane(*directions, speed=5.0):
    return [Wind(T + k, speed, direction) for k, direction in enumerate(directions)]


def apart(one, other):
    return abs((one - other + 180.0) % 360.0 - 180.0)


@pytest.mark.parametrize(
    ("directions", "expected"),
    [
        ((350.0, 10.0), 0.0),
        ((350.0, 20.0), 5.0),
        ((340.0, 10.0), 355.0),
        ((90.0,), 90.0),
        ((0.0,), 0.0),
        ((360.0,), 0.0),
        ((0.0, 90.0), 45.0),
        ((180.0, 270.0), 225.0),
        ((0.0, 120.0, 120.0), 90.0),
    ],
)
def test_the_vector_mean_of_direction(directions, expected):
    assert mean_direction(vane(*directions)) == pytest.approx(expected, abs=1e-5)


def test_a_direction_weighs_by_its_speed():
    assert mean_direction([Wind(T, 1.0, 0.0), Wind(T + 1, math.sqrt(3), 90.0)]) == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("winds", "reason"),
    [
        ([], ABSENT),
        ([Wind(T, Missing.TIMEOUT, 90.0)], ABSENT),
        ([Wind(T, 5.0)], ABSENT),
        (vane(90.0, speed=0.0), CALM_AIR),
        (vane(90.0, speed=0.19999), CALM_AIR),
        ([Wind(T, 0.0)], CALM_AIR),
        (vane(0.0, 180.0), CANCELLED),
        (vane(0.0, 120.0, 240.0), CANCELLED),
        (vane(0.0, 90.0, 180.0, 270.0), CANCELLED),
    ],
)
def test_says_why_there_is_no_direction(winds, reason):
    assert mean_direction(winds) is reason


def test_the_bounds_of_calm_and_of_cancelling():
    assert mean_direction(vane(90.0, speed=0.2)) == 90.0
    assert mean_direction([Wind(T, 5.05, 90.0), Wind(T, 4.94, 270.0)]) == 90.0
    assert mean_direction([Wind(T, 5.05, 90.0), Wind(T, 4.96, 270.0)]) is CANCELLED


def test_still_air_needs_no_direction():
    still = [Wind(T + k, 0.1) for k in range(9)]
    assert mean_direction([*still, Wind(T + 9, 8.0, 45.0)]) == pytest.approx(45.0)


def test_a_direction_needs_three_quarters_of_the_windy_ones():
    assert mean_direction([*vane(90.0, 90.0, 90.0), Wind(T + 3, 5.0)]) == pytest.approx(90.0)
    assert mean_direction([*vane(90.0, 90.0), Wind(T + 2, 5.0)]) is ABSENT
    assert mean_direction([*vane(90.0, 90.0), Wind(T + 2, 5.0)], share=0.5) == pytest.approx(90.0)


@pytest.mark.parametrize("direction", [-0.1, 360.1, math.nan, math.inf, *Missing])
def test_what_cannot_be_a_direction_counts_as_missing(direction):
    assert mean_direction(vane(direction)) is ABSENT
    assert mean_speed(vane(direction)) == 5.0


@pytest.mark.parametrize("speed", [-0.1, 120.1, math.nan, math.inf, *Missing])
def test_what_cannot_be_a_speed_counts_as_missing(speed):
    winds = blow([speed])
    assert mean_speed(winds) is turbulence(winds) is gust(winds, 3.0) is mean_direction(winds) is ABSENT
    assert mean_speed([*winds, Wind(T + 1, 3.0)]) == 3.0


@given(st.lists(st.tuples(speeds, directions), min_size=1, max_size=20), directions)
def test_a_turned_vane_turns_the_mean(found, turn):
    before = mean_direction([Wind(T, *one) for one in found])
    after = mean_direction([Wind(T, speed, (towards + turn) % 360.0) for speed, towards in found])
    east = sum(speed * math.sin(math.radians(towards)) for speed, towards in found)
    north = sum(speed * math.cos(math.radians(towards)) for speed, towards in found)
    assume(math.hypot(east, north) > 0.011 * sum(speed for speed, _ in found))  # off the verge
    if isinstance(before, Missing):
        assert after is before
    else:
        assert 0.0 <= before < 360.0
        assert apart(after, before + turn) < 1e-4


@pytest.mark.parametrize("hair", [-1e-12, 1e-12, -1e-7, 5e-324])
def test_north_is_0_and_never_360(hair):
    assert mean_direction([Wind(T, 5.0, 0.0), Wind(T, 5.0, hair % 360.0)]) == 0.0


def test_mean_speed_is_of_the_speeds_and_not_of_the_vectors():
    assert mean_speed([Wind(T, 4.0, 0.0), Wind(T, 6.0, 180.0)]) == 5.0


def test_turbulence():
    assert turbulence(blow([4.0, 6.0])) == pytest.approx(0.2)
    assert turbulence(blow([5.0] * 9)) == 0.0
    assert turbulence(blow([0.0, 0.1])) is CALM_AIR


@pytest.mark.parametrize(
    ("interval", "found", "expected"),
    [
        (1.0, [2.0, 2.0, 9.0, 12.0, 9.0, 2.0], 10.0),
        (1.0, [12.0, 9.0, 9.0], 10.0),
        (1.0, [2.0, 30.0], None),
        (3.0, [2.0, 30.0], 30.0),
        (1.5, [2.0, 30.0, 10.0], 20.0),
        (0.5, [0.0] * 6 + [6.0] + [0.0] * 6, 1.0),
        (0.25, [4.0] * 12, 4.0),
        (0.25, [4.0] * 11, None),
    ],
)
def test_a_gust_is_the_highest_mean_over_three_seconds(interval, found, expected):
    result = gust(blow(found, interval), interval)
    assert result is ABSENT if expected is None else result == pytest.approx(expected)


def test_a_gap_is_no_gust():
    winds = blow([5.0, 5.0, 5.0, 20.0, 20.0, Missing.TIMEOUT, 20.0, 20.0, 5.0, 5.0])
    assert gust(winds, 1.0) == pytest.approx(15.0), "5, 20, 20 and 20, 20, 5 are whole; 20, -, 20 is not"
    without = [one for one in winds if not isinstance(one.speed, Missing)]
    assert gust(without, 1.0) == gust(winds, 1.0)


@given(st.lists(st.tuples(speeds, st.floats(-0.2, 0.2)), min_size=3, max_size=40))
def test_a_gust_forgives_jitter(found):
    jittery = [Wind(T + k + late, speed) for k, (speed, late) in enumerate(found)]
    assert gust(jittery, 1.0) == pytest.approx(gust(blow([speed for speed, _ in found]), 1.0))


@given(st.lists(speeds, min_size=3, max_size=40))
def test_a_gust_lies_between_the_mean_of_some_and_the_highest(found):
    assert min(found) - 1e-9 <= gust(blow(found), 1.0) <= max(found) + 1e-9
    assert gust(blow(found[::-1]), 1.0) == pytest.approx(gust(blow(found), 1.0))


@pytest.mark.parametrize("interval", [0.0, -1.0, 0.7, 2.0, 3.5, 5.0, math.nan])
def test_refuses_an_interval_that_tells_no_gust(interval):
    for act in (lambda: gust([], interval), lambda: Window(120.0, interval)):
        with pytest.raises(ValueError, match="no whole number of intervals"):
            act()


@pytest.mark.parametrize(("length", "share"), [(2.9, 0.75), (math.inf, 0.75), (math.nan, 0.75), (120.0, 1.1)])
def test_refuses_other_parameters(length, share):
    for act in (lambda: summary([], T, length, 1.0, share), lambda: Window(length, 1.0, share)):
        with pytest.raises(ValueError, match=r"3 s or more|0 to 1"):
            act()
    with pytest.raises(ValueError, match="0 to 1"):
        mean_direction([], -0.1)


@pytest.mark.parametrize(("length", "count"), [(TWO_MINUTES, 120), (TEN_MINUTES, 600)])
def test_a_mean_is_over_its_time_with_the_end_and_without_the_begin(length, count):
    """A slow half hour, then as many fast measurements as fit: one more or less would show."""
    winds = blow([1.0] * 1800 + [7.0] * count)
    found = summary(winds, winds[-1].time, length, 1.0)
    assert found == Summary(7.0, 7.0, 90.0, 0.0)
    assert summary(winds, winds[-2].time, length, 1.0).speed < 7.0
    window = Window(length, 1.0)
    for one in winds:
        window.add(*one)
    assert window.summary() == found


@pytest.mark.parametrize(("count", "known"), [(89, False), (90, True)])
def test_a_mean_needs_three_quarters_of_its_measurements(count, known):
    winds = [*blow([4.0] * count), Wind(T + 119.0, Missing.TIMEOUT)]
    window = Window(TWO_MINUTES, 1.0)
    for one in winds:
        window.add(*one)
    assert (window.summary() != NOTHING) is known
    assert (summary(winds, T + 119.0, TWO_MINUTES, 1.0) != NOTHING) is known


def test_time_alone_empties_a_window():
    window = Window(TWO_MINUTES, 1.0)
    for one in blow([4.0] * 120):
        window.add(*one)
    window.advance(T + 149.0)
    assert window.summary().speed == 4.0
    window.advance(T + 150.0)
    assert window.summary() == NOTHING
    window.advance(T)  # back it does not go
    assert window.summary() == NOTHING
    window.advance(T + 1e6)
    assert len(window) == len(window._peaks) == 0
    assert window._sums == type(window._sums)(), "what left took exactly its share with it"


def test_a_gust_leaves_with_its_first_measurement():
    winds = blow([1.0] * 5 + [10.0] * 3 + [1.0] * 130)
    window = Window(TWO_MINUTES, 1.0)
    seen = []
    for one in winds:
        window.add(*one)
        seen.append(window.summary().gust)
    assert seen[124] == 10.0
    assert seen[125] == pytest.approx(7.0)
    assert seen[126] == pytest.approx(4.0)
    assert seen[127] == pytest.approx(1.0)


@pytest.mark.parametrize("often", [1, 7, 10_000])
def test_a_window_that_is_seldom_asked_keeps_no_more_than_it_must(often):
    window = Window(TWO_MINUTES, 1.0)
    for count, one in enumerate(blow([3.0] * 5000), 1):
        window.add(*one)
        if count % often == 0:
            window.summary()
    assert len(window._held.times) <= 120 + 2 * 256 + 64
    assert window.summary() == Summary(3.0, 3.0, 90.0, 0.0)


def test_a_late_one_ends_the_gust_that_it_crowds():
    window = Window(TWO_MINUTES, 1.0, 0.0)
    for one in blow([9.0] * 3):
        window.add(*one)
    assert window.summary().gust == 9.0
    window.add(T + 1.5, 1.0)
    assert window.summary().gust is ABSENT


@pytest.mark.parametrize(("step", "known"), [(0.75, False), (0.76, True), (1.24, True), (1.25, False)])
def test_a_gust_is_of_measurements_that_follow_each_other(step, known):
    assert (gust(blow([5.0] * 9, step), 1.0) is not ABSENT) is known


arrivals = st.lists(
    st.builds(
        lambda step, speed, towards, peak: Wind(T + step / 2, speed, towards, peak),
        st.integers(0, 24),
        st.one_of(speeds, speeds, st.sampled_from([0.0, 0.1, Missing.TIMEOUT, math.nan, 130.0])),
        st.one_of(directions, directions, st.sampled_from([Missing.TIMEOUT, 361.0])),
        st.one_of(speeds, speeds, st.sampled_from([Missing.TIMEOUT, math.nan, 121.0])),
    ),
    max_size=70,
)
nearly = st.floats(-0.1, 0.1)


@given(
    arrivals, st.lists(nearly, max_size=70), st.sampled_from([3.0, 8.0]), st.floats(0.0, 0.9),
    st.sampled_from(Gusts),
)  # fmt: skip
def test_a_window_equals_the_plain_functions(winds, jitter, length, share, gusts):
    """Gaps, duplicates and late ones, in any order, judged after every one."""
    moved = [one._replace(time=one.time + late) for one, late in zip(winds, jitter, strict=False)]
    mixed = sorted(winds, key=lambda one: one.time) if len(winds) % 2 else [*moved, *winds]
    window = Window(length, 0.5, share, gusts)
    for count, one in enumerate(mixed, 1):
        window.add(*one)
        here = mixed[:count]
        end = max(wind.time for wind in here)
        same(window.summary(), summary(here, end, length, 0.5, share, gusts))
    assert all(one[1] > other[1] for one, other in pairwise(window._peaks))


@pytest.mark.parametrize("seed", range(3))
def test_a_window_equals_the_plain_functions_on_a_breezy_quarter_of_an_hour(seed):
    dice = random.Random(seed)
    winds, towards, held = [], 350.0, []
    for one in blow([5.0 + math.sin(k / 40) + dice.uniform(0.0, 0.3) for k in range(900)]):
        towards = (towards + dice.uniform(-8.0, 8.0)) % 360.0
        winds.append(one._replace(time=one.time + dice.uniform(-0.05, 0.05), direction=towards))
        if dice.random() < 0.05:
            held.append(winds.pop())  # a gap, or late
        if dice.random() < 0.02:
            winds.append(dice.choice(winds)._replace(speed=9.0))  # a duplicate
        if held and dice.random() < 0.04:
            winds.append(held.pop(0))
    window, newest = Window(TWO_MINUTES, 1.0), 0.0
    for count, one in enumerate(winds, 1):
        window.add(*one)
        newest = max(newest, one.time)
        if count % 7 == 0:
            same(window.summary(), summary(winds[max(0, count - 400) : count], newest, TWO_MINUTES, 1.0))


def same(found, expected):
    """Compare, where a sum that is rounded otherwise may still tip a bound."""
    for name, one, other in zip(Summary._fields, found, expected, strict=True):
        if isinstance(one, Missing) or isinstance(other, Missing):
            assert one is other, name
        elif name == "direction":
            assert apart(one, other) < 1e-5
        else:
            assert one == pytest.approx(other, abs=1e-6), name
