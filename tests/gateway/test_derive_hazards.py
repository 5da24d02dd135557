"""What is wrong with a bin: fire, tipped over, overflowing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.hazards import LOWS, Fire, Overflow, Sustained, Tipped

UNKNOWN = Missing.INPUT_MISSING


def told(alarm, *samples):
    return [alarm.feed(*sample) for sample in samples]


def test_a_condition_counts_once_it_held_and_ends_once_it_was_gone_as_long():
    alarm = Sustained(10.0)
    assert told(alarm, (0, True), (9.9, True), (10, True)) == [False, False, True]
    assert told(alarm, (20, False), (25, True), (30, False), (39.9, False)) == [True] * 4
    assert alarm.feed(40, False) is False


def test_a_condition_that_lapsed_begins_again():
    assert told(Sustained(10.0), (0, True), (6, False), (8, True), (17.9, True), (18, True))[2:] == [
        False,
        False,
        True,
    ]


def test_a_condition_without_a_hold_counts_at_once():
    assert told(Sustained(0.0), (0, True), (1, False)) == [True, False]


def test_missing_input_neither_raises_nor_clears():
    alarm = Sustained(10.0)
    assert told(alarm, (0, None), (1, True), (5, None), (11, True)) == [UNKNOWN, False, UNKNOWN, True]
    assert told(alarm, (20, None), (99, None)) == [True, True]
    assert told(alarm, (100, False), (105, None), (110, False), (111, None)) == [True, True, False, UNKNOWN]


def test_late_and_repeated_samples_are_left_out():
    alarm = Sustained(10.0)
    assert told(alarm, (10, True), (10, False), (0, False), (20, True)) == [False, False, False, True]


truths = st.lists(st.tuples(st.floats(0.1, 20), st.sampled_from((True, False, None))), max_size=40)


@given(truths, st.floats(0, 30))
def test_a_condition_as_it_comes_is_that_of_the_whole(steps, hold):
    """At each sample: the newest of the runs of equal truth that lasted for the hold, or False before any."""
    alarm, time, seen = Sustained(hold), 0.0, []
    for step, truth in steps:
        time += step
        got = alarm.feed(time, truth)
        seen += [(time, truth)] if truth is not None else []
        expected, begin = False, None
        for n, (at, each) in enumerate(seen):
            begin = at if n == 0 or seen[n - 1][1] is not each else begin
            expected = each if at - begin >= hold else expected
        assert got == (UNKNOWN if truth is None and not expected else expected)


@given(truths, st.floats(0, 30))
def test_without_a_false_no_alarm_is_ever_cleared(steps, hold):
    alarm, time, was = Sustained(hold), 0.0, False
    for step, truth in steps:
        time += step
        now = alarm.feed(time, truth)
        assert truth is False or was is not True or now is True
        was = now


MINUTE = 60.0


@pytest.mark.parametrize(("hot", "raised"), [(69.9, False), (70.0, True)])
def test_fire_is_raised_at_its_level(hot, raised):
    assert told(Fire(), (0, 65.0), (600, hot), (1200, hot)) == [False, False, raised]


@pytest.mark.parametrize(("later", "raised"), [(54.9, False), (55.0, True)])
def test_fire_is_raised_by_a_rise(later, raised):
    samples = [(0, 45.0), (60, later), (61, later)]
    assert told(Fire(), *samples) == [False, False, raised]


def test_a_rise_while_it_is_cool_is_the_sun():
    assert told(Fire(), (0, 5.0), (60, 44.9), (90, 44.9)) == [False] * 3
    assert told(Fire(), (0, 5.0), (60, 45.0), (90, 45.0)) == [False, False, True]


def test_a_slow_rise_is_a_hot_day():
    assert not any(told(Fire(), *((n * MINUTE, 20.0 + 0.8 * n) for n in range(60))))


def test_a_rise_over_a_gap_is_none():
    assert told(Fire(), (0, 20.0), (121, 60.0), (180, 60.0)) == [False] * 3
    assert told(Fire(), (0, 20.0), (119, 60.0), (120, 60.0)) == [False, False, True]


def test_one_hot_sample_is_no_fire():
    assert told(Fire(), (0, 20.0), (60, 300.0), (120, 20.0), (180, 300.0)) == [False] * 4
    assert told(Fire(confirm=1), (0, 300.0)) == [True]


def test_fire_stays_until_the_temperature_falls():
    alarm = Fire()
    assert told(alarm, (0, 90.0), (10, 90.0), (600, 60.0), (1200, 45.0)) == [False, True, True, True]
    assert told(alarm, (1201, Missing.BUS_ERROR), (1202, 45.1), (1203, 44.9)) == [True, True, False]


def test_missing_temperature_neither_raises_nor_clears():
    alarm = Fire()
    assert told(
        alarm, (0, Missing.BUS_ERROR), (1, 90.0), (2, Missing.NOT_READY), (3, 90.0), (3, 10.0), (2, 10.0)
    ) == [*(UNKNOWN, False, UNKNOWN, True, True, True)]


@given(st.lists(st.tuples(st.floats(1, 200), st.floats(-10, 120) | st.just(UNKNOWN)), max_size=40))
def test_fire_as_it_comes_is_that_of_the_whole(steps):
    alarm, time, seen, on = Fire(), 0.0, [], False
    for step, temperature in steps:
        time += step
        got = alarm.feed(time, temperature)
        if temperature is not UNKNOWN:
            seen.append((time, temperature))
            hot = [
                each >= 70 or (each >= 45 and each - min(t for s, t in seen[: n + 1] if s >= at - 120) >= 10)
                for n, (at, each) in enumerate(seen)
            ]
            on = (on and temperature >= 45) or (len(hot) > 1 and all(hot[-2:]))
        assert got == (UNKNOWN if temperature is UNKNOWN and not on else on)


@pytest.mark.parametrize(("inclination", "raised"), [(45.0, False), (45.1, True), (180.0, True)])
def test_a_bin_is_tipped_beyond_its_limit_for_a_time(inclination, raised):
    samples = [(0, 2.0), (10, inclination), (129.9, inclination), (130, inclination)]
    assert told(Tipped(), *samples) == [False, False, False, raised]


def test_a_bin_turned_over_by_the_lorry_is_not_tipped():
    assert told(Tipped(), (0, 0.0), (10, 120.0), (100, 130.0), (110, 3.0), (200, 90.0)) == [False] * 5


def test_a_tipped_bin_stays_so_without_data_until_it_stands():
    alarm = Tipped()
    told(alarm, (0, 90.0), (120, 90.0))
    assert told(alarm, (200, Missing.OUT_OF_RANGE), (300, 5.0), (419, 5.0), (420, 5.0)) == [
        True,
        True,
        True,
        False,
    ]


def test_rubbish_above_the_full_line_overflows():
    alarm = Overflow(full=0.2)
    assert told(alarm, (0, 0.2), (10, 0.199), (69.9, 0.1), (70, 0.1)) == [False, False, False, True]
    assert told(alarm, (80, 0.2), (139, 0.5), (140, 0.5)) == [True, True, False]


def test_either_witness_raises_and_both_must_be_clear():
    alarm = Overflow(full=0.2, hold=0.0)
    assert alarm.feed(0, 0.5, True) is True
    assert alarm.feed(1, 0.1, False) is True
    assert alarm.feed(2, Missing.NO_TARGET, False) is True  # cannot tell: not cleared
    assert alarm.feed(3, 0.5, False) is False
    assert alarm.feed(4, Missing.NO_TARGET, False) is UNKNOWN
    assert alarm.feed(5, Missing.NO_TARGET, True) is True
    assert alarm.feed(6, 0.5, Missing.BUS_ERROR) is True
    assert alarm.feed(7, None, False) is False
    assert alarm.feed(8, 0.1) is True


BUILDS = (
    lambda: Sustained(20.0),
    lambda: Fire(within=30.0),
    lambda: Tipped(45.0, 20.0),
    lambda: Overflow(60.0, 20.0),
)


@pytest.mark.parametrize("build", BUILDS)
@given(
    st.lists(st.tuples(st.floats(1, 20), st.floats(20, 90) | st.just(UNKNOWN)), max_size=40),
    st.integers(0, 40),
)
def test_an_alarm_goes_on_after_a_restart(build, steps, at):
    samples, time = [], 0.0
    for step, value in steps:
        time += step
        known = value is not UNKNOWN
        samples.append((time, (value > 60 if known else None) if build is BUILDS[0] else value))
    whole, before, after = build(), build(), build()
    told(whole, *samples[:at])
    told(before, *samples[:at])
    after.restore(json.loads(json.dumps(before.save(), allow_nan=False)))
    assert told(whole, *samples[at:]) == told(after, *samples[at:])


@pytest.mark.parametrize(
    ("alarm", "saved"),
    [
        (Sustained(1.0), {"on": 1, "since": None}),
        (Sustained(1.0), {"on": True}),
        (Sustained(1.0), {"on": True, "since": "0"}),
        (Sustained(1.0), {"on": True, "since": 1e12}),
        (Sustained(1.0), None),
        (Fire(), {"on": None, "count": 0, "lows": []}),
        (Fire(), {"on": True, "count": -1, "lows": []}),
        (Fire(), {"on": True, "count": 0, "lows": [[1.0, 20.0], [1.0, 30.0]]}),
        (Fire(), {"on": True, "count": 0, "lows": [[1.0, 20.0], [2.0, 20.0]]}),
        (Fire(), {"on": True, "count": 0, "lows": [[float(n), float(n)] for n in range(LOWS + 1)]}),
    ],
)
def test_what_was_not_saved_so_is_refused(alarm, saved):
    with pytest.raises((ValueError, TypeError, KeyError)):
        alarm.restore(saved)
    assert alarm.save()["on"] is False


def test_a_begin_that_lies_ahead_is_now():
    """A clock that was set back while nothing ran must not keep an alarm waiting."""
    alarm = Sustained(10.0)
    alarm.restore({"on": False, "since": 1e9})
    assert told(alarm, (0, True), (10, True)) == [False, True]


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: Sustained(-1.0),
        lambda: Sustained(float("nan")),
        lambda: Fire(level=45.0),
        lambda: Fire(rise=0.0),
        lambda: Fire(within=0.0),
        lambda: Fire(confirm=0),
        lambda: Tipped(limit=0.0),
        lambda: Tipped(limit=180.0),
        lambda: Tipped(hold=-1.0),
        lambda: Overflow(full=float("nan")),
        lambda: Overflow(full=0.2).feed(0, None),
    ],
)
def test_impossible_settings_are_refused(impossible):
    with pytest.raises(ValueError, match=r"must|is an angle|needs"):
        impossible()
