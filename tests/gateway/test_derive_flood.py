"""Flood: stage, depth, rate of rise, and alarms that silence never clears."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.disagreement import Disagreement
from gateway.derive.flood import Alarm, StageAlarm, StageName, stage_name
from gateway.derive.level import FRESH_WATER, SEA_WATER, depth, speed_of_sound, stage, true_distance
from gateway.derive.rise import Rise, rate_of_rise

GONE = Missing.TIMEOUT
NAN = math.nan
LOCAL = {StageName.ACTION: 1.5, StageName.MINOR: 2.0, StageName.MODERATE: 2.6, StageName.MAJOR: 3.4}
INPUTS = st.one_of(st.floats(0, 5), st.sampled_from([GONE, NAN, math.inf]))
TIMED = st.tuples(st.integers(0, 3_600_000), st.integers(-2_000_000, 5_000_000))


def timed(pairs):
    """Milliseconds and micrometres as seconds and metres."""
    return [(t / 1000, y / 1_000_000) for t, y in pairs]


def test_stage_is_the_reference_less_the_distance():
    assert stage(3.25, 5.0) == 1.75
    assert stage(6.0, 5.0) == -1.0


@pytest.mark.parametrize(
    ("air", "speed"),
    [(0, 331.3), (20, 343.42), (-40, 307.06), (65, 370.69)],
)
def test_speed_of_sound_in_air(air, speed):
    assert speed_of_sound(air) == pytest.approx(speed)
    assert speed == pytest.approx(331.3 * math.sqrt(1 + air / 273.15), rel=0.006)


@pytest.mark.parametrize("air", [-40.1, 65.1, NAN])
def test_no_speed_of_sound_where_no_sensor_works(air):
    assert speed_of_sound(air) is Missing.OUT_OF_RANGE


def test_cold_air_makes_the_water_look_lower_than_it_is():
    assert true_distance(5.0, 0.0, 343.42) == pytest.approx(5.0 * 331.3 / 343.42)
    assert true_distance(5.0, 20.0, 343.42) == pytest.approx(5.0)
    assert true_distance(5.0, 23.0, 343.42) / 5.0 - 1 == pytest.approx(3 * 0.606 / 343.42)
    assert true_distance(5.0, 80.0, 343.42) is Missing.OUT_OF_RANGE


@pytest.mark.parametrize("pair", [(GONE, 20.0), (5.0, GONE), (NAN, 20.0), (5.0, NAN)])
def test_a_distance_or_a_depth_needs_both_inputs(pair):
    assert true_distance(*pair, 343.42) is Missing.INPUT_MISSING
    assert depth(*pair) is Missing.INPUT_MISSING


def test_depth_of_fresh_and_of_sea_water():
    assert depth(1113.25, 1013.25) == pytest.approx(10_000 / (997 * 9.80665))
    assert depth(1113.25, 1013.25, SEA_WATER) == pytest.approx(10_000 / (1029 * 9.80665))
    assert depth(1013.25 + FRESH_WATER * 9.80665 / 100, 1013.25) == pytest.approx(1.0)


def test_a_dry_sensor_reads_zero_and_an_impossible_pair_nothing():
    assert depth(1013.0, 1013.25) == 0.0
    assert depth(1003.25, 1013.25) == 0.0
    assert depth(1003.2, 1013.25) is Missing.OUT_OF_RANGE
    assert depth(1113.0, 299.9) is Missing.OUT_OF_RANGE
    assert depth(1113.0, 1100.1) is Missing.OUT_OF_RANGE
    assert depth(1200.0, 1100.0) == pytest.approx(1.0228, abs=1e-4)


@given(st.floats(950, 1050), st.floats(0, 500), st.floats(-20, 20))
def test_the_weather_does_not_move_the_depth(air, water, change):
    assert depth(air + change + water, air + change) == pytest.approx(depth(air + water, air), abs=1e-9)


@pytest.mark.parametrize("value", [0.0, -1.0, NAN])
def test_what_must_be_positive_is_checked(value):
    with pytest.raises(ValueError, match="speed of sound"):
        true_distance(5.0, 20.0, value)
    with pytest.raises(ValueError, match="density"):
        depth(1113.0, 1013.0, value)
    with pytest.raises(ValueError, match="window"):
        Rise(window=value)


def test_rate_of_rise_is_in_metres_per_hour():
    assert rate_of_rise([(0, 1.0), (900, 1.25), (1800, 1.5)]) == pytest.approx(1.0)
    assert rate_of_rise([(0, 1.0), (60, 0.9), (120, 1.1), (180, 1.0)]) == pytest.approx(0.02 * 60)
    assert rate_of_rise([(0, 2.0), (1, NAN), (1800, 1.5), (3600, 1.0)]) == pytest.approx(-1.0)


@pytest.mark.parametrize("few", [[], [(0, 1.0)], [(0, 1.0), (9, 2.0)], [(0, 1.0), (9, 2.0), (9, 3.0)]])
def test_two_points_are_no_slope(few):
    assert rate_of_rise(few) is Missing.NOT_READY


@given(st.lists(TIMED, max_size=20), st.integers(-(10**9), 10**9), st.integers(-(10**7), 10**7))
def test_the_slope_does_not_change_with_the_datum_or_the_epoch(pairs, epoch, datum):
    moved = [(t + epoch, y + datum) for t, y in pairs]
    assert rate_of_rise(timed(moved)) == rate_of_rise(timed(pairs))


@given(st.floats(-3, 3), st.lists(st.integers(0, 86_400), min_size=3, max_size=20, unique=True))
def test_the_slope_of_a_line_is_its_own(slope, times):
    assert rate_of_rise([(t, slope * t / 3600) for t in times]) == pytest.approx(slope, abs=2e-3)


@given(st.lists(st.tuples(TIMED, st.booleans()), max_size=60), st.randoms(use_true_random=False))
def test_incremental_rise_is_that_of_its_window(samples, random):
    """Whatever the gaps, duplicates, corrections and delays: the newest word on each time counts."""
    heard = [(t / 1000, y / 1_000_000 if good else NAN) for (t, y), good in samples]
    heard += random.sample(heard, len(heard) // 3)
    rise = Rise(window=600.0, share=0.0)
    for at, height in heard:
        rise.feed(at, height)
        rise.feed(at, GONE)
    now = max((at for at, _ in heard), default=0.0)
    kept = [
        (at, y) for at, y in heard if round(at * 1000) > round(now * 1000) - 600_000 and not math.isnan(y)
    ]
    assert rise.value(now) == (rate_of_rise(kept) if kept else Missing.INPUT_MISSING)


def test_a_corrected_sample_replaces_and_a_forgotten_one_is_not_taken_back():
    rise = Rise(window=900.0)
    for at, height in [(0, 1.0), (900, 9.0), (1200, 1.2), (1500, 1.4), (900, 1.0), (600, 5.0), (0, 7.0)]:
        rise.feed(at, height)
    assert rise.value(1500) == pytest.approx(0.2 / 300 * 3600)


def test_rise_needs_half_a_window_and_ends_with_silence():
    rise = Rise(window=900.0)
    for at in (0, 100, 200, 300, 400):
        rise.feed(at, at / 3600)
    assert rise.value(400) is Missing.NOT_READY
    rise.feed(450, 450 / 3600)
    assert rise.value(450) == pytest.approx(1.0, abs=1e-4)
    assert rise.value(899.9) == pytest.approx(1.0, abs=1e-4)
    assert rise.value(900) is Missing.NOT_READY
    assert rise.value(1350) is Missing.INPUT_MISSING


def test_rise_forgets_as_it_goes():
    rise = Rise(window=60.0)
    for at in range(10_000):
        rise.feed(at, 1.0)
    assert len(rise) == rise._sums.n == 60
    assert len(rise._times) == len(rise._heights) <= 60 + 72
    assert rise.oldest == 9940.0


@pytest.mark.parametrize(
    ("height", "name"),
    [(-1.0, "normal"), (1.499, "normal"), (1.5, "action"), (1.999, "action"), (2.0, "minor"),
     (2.599, "minor"), (2.6, "moderate"), (3.399, "moderate"), (3.4, "major"), (99.0, "major")],
)  # fmt: skip
def test_a_name_begins_at_its_threshold(height, name):
    assert stage_name(height, LOCAL) == name
    assert StageAlarm(LOCAL).feed(height) == name


def test_a_name_without_a_threshold_is_skipped():
    assert stage_name(3.0, {StageName.MINOR: 2.0, StageName.MAJOR: 3.5}) is StageName.MINOR


def test_an_alarm_is_raised_at_on_and_cleared_below_off():
    alarm = Alarm(on=2.0, off=1.8)
    assert [alarm.feed(y) for y in (1.999, 2.0, 1.9, 1.8, 1.799, 1.9, 1.999)] == [
        False, True, True, True, False, False, False,
    ]  # fmt: skip


def test_delays_count_samples_in_a_row():
    alarm = Alarm(on=2.0, off=1.8, on_delay=3, off_delay=2)
    assert [alarm.feed(y) for y in (2, 2, 1.9, 2, 2, 2)] == [False] * 5 + [True]
    assert [alarm.feed(y) for y in (1.7, 1.8, 1.7, 1.7)] == [True, True, True, False]


@pytest.mark.parametrize("bad", [GONE, Missing.NO_TARGET, NAN, math.inf, -math.inf])
def test_bad_data_never_clears_and_has_an_alarm_of_its_own(bad):
    alarm = Alarm(on=2.0, off=1.8, off_delay=2, stale_after=3)
    alarm.feed(2.5)
    assert [(alarm.feed(bad), alarm.stale) for _ in range(4)] == [(True, False)] * 2 + [(True, True)] * 2
    assert alarm.feed(1.0)
    assert not alarm.stale
    assert alarm.feed(bad)
    assert alarm.feed(1.0)  # counted afresh
    assert not alarm.feed(1.0)


def test_a_failing_sensor_does_not_hold_a_flood_back():
    alarm = Alarm(on=2.0, off=1.8, on_delay=2)
    assert [alarm.feed(y) for y in (2.1, GONE, 2.2)] == [False, False, True]


@given(st.lists(INPUTS), st.integers(1, 4), st.integers(1, 4))
def test_an_alarm_changes_only_on_enough_good_samples(inputs, on_delay, off_delay):
    alarm = Alarm(2.0, 1.5, on_delay, off_delay)
    for count, value in enumerate(inputs, 1):
        before = alarm.active
        after = alarm.feed(value)
        seen = inputs[:count]
        if before and not after:
            assert all(not isinstance(y, Missing) and y < 1.5 for y in seen[-off_delay:])
        if after and not before:
            good = [y for y in seen if not isinstance(y, Missing) and math.isfinite(y)]
            assert len(good) >= on_delay
            assert all(y >= 2.0 for y in good[-on_delay:])
            assert good[-1] is value


@given(st.lists(INPUTS), st.integers(1, 3), st.integers(1, 3))
def test_the_name_never_falls_while_data_are_bad(inputs, on_delay, off_delay):
    alarm = StageAlarm(LOCAL, 0.1, on_delay, off_delay)
    for value in inputs:
        before = alarm.name
        name = alarm.feed(value)
        bad = isinstance(value, Missing) or not math.isfinite(value)
        assert alarm.stale == bad
        assert name is before or not bad
        active = [part.active for part in alarm._alarms.values()]
        assert active == sorted(active, reverse=True)  # a higher name holds only with all lower ones


def test_names_step_down_with_hysteresis():
    alarm = StageAlarm(LOCAL, hysteresis=0.1)
    heights = [3.4, 3.3, 3.29, 2.5, 2.49, 1.95, 1.89, 1.4, 1.39]
    names = [alarm.feed(height).value for height in heights]
    assert names == [
        "major", "major", "moderate", "moderate", "minor", "minor", "action", "action", "normal",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "thresholds",
    [
        {},
        {StageName.NORMAL: 0.0},
        {StageName.MINOR: 2.0, StageName.MAJOR: 2.0},
        {**LOCAL, StageName.ACTION: 9},
    ],
)
def test_thresholds_that_make_no_sense_are_refused(thresholds):
    with pytest.raises(ValueError, match="thresholds"):
        StageAlarm(thresholds)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Alarm(1.0, 1.1),
        lambda: Alarm(1.0, NAN),
        lambda: Alarm(1.0, 0.9, on_delay=0),
        lambda: Alarm(1.0, 0.9, stale_after=0),
        lambda: StageAlarm(LOCAL, hysteresis=-0.1),
        lambda: Rise(share=1.1),
        lambda: Disagreement(-0.1),
        lambda: Disagreement(0.1, duration=-1),
    ],
)
def test_parameters_are_checked(build):
    with pytest.raises(ValueError):
        build()


def test_two_sensors_that_disagree_for_a_time_raise_a_flag():
    flag = Disagreement(tolerance=0.25, duration=600)
    assert [flag.feed(at, 2.0, 2.5) for at in (0, 300, 599, 600)] == [False, False, False, True]
    assert [flag.feed(at, 2.0, 2.25) for at in (700, 1299, 1300)] == [True, True, False]


def test_agreement_in_between_starts_the_time_afresh():
    flag = Disagreement(tolerance=0.1, duration=600)
    assert not any(flag.feed(at, 2.0, 2.0 if at == 500 else 1.5) for at in range(0, 1200, 100))
    assert flag.feed(1200, 2.0, 1.5)


@pytest.mark.parametrize("pair", [(GONE, 2.0), (2.0, GONE), (NAN, 2.0), (2.0, math.inf)])
def test_one_sensor_alone_neither_raises_nor_clears_the_flag(pair):
    flag = Disagreement(tolerance=0.1, duration=60)
    flag.feed(0, 2.0, 2.5)
    assert not flag.feed(60, *pair)
    assert not flag.feed(61, 2.0, 2.5)
    assert flag.feed(121, 2.0, 2.5)
    assert all(flag.feed(at, *pair) for at in (200, 1000, 9000))


def test_a_clock_that_is_set_back_neither_raises_nor_delays_the_flag():
    flag = Disagreement(tolerance=0.1, duration=60)
    assert not any(flag.feed(at, 2.0, 2.5) for at in (100, 130, 40, 69))
    assert flag.feed(70, 2.0, 2.5)


def test_a_time_without_a_pair_does_not_count():
    flag = Disagreement(tolerance=0.1, duration=60, gap=30)
    assert not any(flag.feed(at, 2.0, 2.5) for at in (0, 30, 1_000_000, 1_000_030))
    assert flag.feed(1_000_060, 2.0, 2.5)


@given(st.lists(INPUTS), st.lists(INPUTS))
def test_what_alarms_remember_goes_on_where_they_stopped(before, after):
    first, second = StageAlarm(LOCAL, 0.1, 2, 3, 2), StageAlarm(LOCAL, 0.1, 2, 3, 2)
    for value in before:
        first.feed(value)
    second.restore(json.loads(json.dumps(first.state())))
    for value in after:
        assert (second.feed(value), second.stale) == (first.feed(value), first.stale)


@given(st.lists(st.tuples(INPUTS, INPUTS), max_size=30), st.lists(st.tuples(INPUTS, INPUTS), max_size=30))
def test_what_a_disagreement_remembers_goes_on_where_it_stopped(before, after):
    first, second = Disagreement(0.5, 30.0, 60.0), Disagreement(0.5, 30.0, 60.0)
    for count, pair in enumerate(before):
        first.feed(10.0 * count, *pair)
    second.restore(json.loads(json.dumps(first.state())))
    for count, pair in enumerate(after, len(before)):
        assert second.feed(10.0 * count, *pair) == first.feed(10.0 * count, *pair)


def alike(state):
    return {name.value: state for name in LOCAL}


@pytest.mark.parametrize(
    "state",
    [{}, [], None, {"action": [0, 0, 0, 0]}, alike(7), alike([0, 0, 0]), alike([2, 0, 0, 0]),
     alike([0, 9, 0, 0]), alike([0, -1, 0, 0]), alike([0, 0.5, 0, 0]),
     {**alike([0, 0, 0, 0]), "major": [1, 0, 0, 0]}],
)  # fmt: skip
def test_a_state_that_no_alarm_gave_is_refused(state):
    with pytest.raises((ValueError, KeyError, TypeError)):
        StageAlarm(LOCAL).restore(state)


@pytest.mark.parametrize(
    "state",
    [{}, [], {"active": 1, "since": None, "last": None}, {"active": True, "since": NAN, "last": 5.0},
     {"active": True, "since": 9.0, "last": 5.0}, {"active": True, "since": "x", "last": None},
     {"active": False, "since": None, "last": math.inf}],
)  # fmt: skip
def test_a_state_that_no_disagreement_gave_is_refused(state):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Disagreement(0.1).restore(state)


def test_a_robust_rise_is_not_carried_away():
    plain, robust = Rise(window=900.0), Rise(window=900.0, robust=True)
    for at in range(0, 900, 30):
        for rise in (plain, robust):
            rise.feed(at, 1.0 + 0.5 * at / 3600 - (2.0 if at in (30, 330, 60) else 0.0))
    assert robust.value(870) == pytest.approx(0.5, abs=1e-3)
    assert abs(plain.value(870) - 0.5) > 0.3
    few = Rise(window=900.0, share=0.0, robust=True)
    few.feed(0, 1.0)
    few.feed(9, 2.0)
    assert few.value(9) is Missing.NOT_READY
