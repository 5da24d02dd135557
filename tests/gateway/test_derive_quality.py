"""Quality flags: how they join, how they travel, and the tests that set them."""

import math
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.quality import (
    Flag,
    Screen,
    Span,
    Spikes,
    admitted,
    flat_line,
    gross_range,
    inherited,
    overall,
    rate_of_change,
    spike,
)

GONE = Missing.NO_TARGET
PASS, NOT_EVALUATED, SUSPECT, FAIL, MISSING = Flag
flags = st.lists(st.sampled_from(Flag), max_size=6)
values = st.lists(st.integers(0, 6).map(float) | st.just(GONE), max_size=30)


def test_the_flags_have_the_numbers_of_qartod():
    assert {flag.name: flag.value for flag in Flag} == {
        "PASS": 1,
        "NOT_EVALUATED": 2,
        "SUSPECT": 3,
        "FAIL": 4,
        "MISSING": 9,
    }


@pytest.mark.parametrize(
    ("inputs", "flag"),
    [
        ((PASS, PASS), PASS),
        ((PASS, NOT_EVALUATED), NOT_EVALUATED),
        ((NOT_EVALUATED, SUSPECT, PASS), SUSPECT),
        ((SUSPECT, FAIL), MISSING),
        ((PASS, MISSING), MISSING),
        ((FAIL,), MISSING),
        ((), MISSING),
    ],
)
def test_a_derived_value_inherits_the_worst_of_its_inputs(inputs, flag):
    assert {inherited(order) for order in permutations(inputs)} == {flag}


@pytest.mark.parametrize(
    ("tests", "flag"),
    [
        ((PASS, PASS), PASS),
        ((PASS, NOT_EVALUATED), PASS),
        ((NOT_EVALUATED,), NOT_EVALUATED),
        ((PASS, SUSPECT, NOT_EVALUATED), SUSPECT),
        ((SUSPECT, FAIL, PASS), FAIL),
        ((FAIL, MISSING), MISSING),
        ((), NOT_EVALUATED),
    ],
)
def test_a_value_has_the_worst_of_its_tests(tests, flag):
    assert {overall(order) for order in permutations(tests)} == {flag}


@given(flags.filter(bool), flags.filter(bool))
def test_flags_join_the_same_in_one_go_and_in_steps(some, more):
    assert overall([overall(some), overall(more)]) is overall([*some, *more])
    assert inherited([inherited(some), inherited(more)]) is inherited([*some, *more])


@given(flags, st.sampled_from(Flag))
def test_no_derivation_makes_a_suspect_value_better(inputs, one):
    result = inherited([*inputs, one])
    assert result is not FAIL
    assert one is not SUSPECT or result in (SUSPECT, MISSING)
    assert one not in (FAIL, MISSING) or result is MISSING
    assert result is not PASS or {*inputs, one} == {PASS}


def test_a_failed_value_is_not_admitted():
    admit = [admitted(5.0, flag) for flag in Flag]
    assert admit == [5.0, 5.0, 5.0, Missing.INPUT_MISSING, Missing.INPUT_MISSING]
    assert admitted(GONE, NOT_EVALUATED) is GONE


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((-0.01, FAIL), (0.0, SUSPECT), (0.99, SUSPECT), (1.0, PASS), (4.0, PASS)),
        *((4.01, SUSPECT), (10.0, SUSPECT), (10.01, FAIL), (GONE, MISSING), (math.nan, MISSING)),
    ],
)
def test_gross_range(value, flag):
    assert gross_range(value, Span(0.0, 10.0), Span(1.0, 4.0)) is flag


def test_gross_range_without_a_user_span():
    assert [gross_range(each, Span(0.0, 10.0)) for each in (-1.0, 0.0, 10.0)] == [FAIL, PASS, PASS]


@pytest.mark.parametrize(
    ("before", "sample", "flag"),
    [
        ((0, 1.0), (10, 6.0), PASS),
        ((0, 1.0), (10, 6.01), SUSPECT),
        ((0, 6.01), (10, 1.0), SUSPECT),
        ((0, 1.0), (100, 51.0), PASS),
        ((0, 1.0), (10, GONE), MISSING),
        (None, (10, 99.0), NOT_EVALUATED),
        ((0, GONE), (10, 99.0), NOT_EVALUATED),
        ((10, 1.0), (10, 99.0), NOT_EVALUATED),
        ((11, 1.0), (10, 99.0), NOT_EVALUATED),
    ],
)
def test_rate_of_change(before, sample, flag):
    assert rate_of_change(before, sample, limit=0.5) is flag


@pytest.mark.parametrize(
    ("three", "flag"),
    [
        ((1.0, 4.0, 3.0), PASS),  # 2 above the mean of its neighbours
        ((1.0, 4.01, 3.0), SUSPECT),
        ((1.0, 7.0, 3.0), SUSPECT),
        ((1.0, 7.01, 3.0), FAIL),
        ((-1.0, -7.01, -3.0), FAIL),
        ((0.0, 50.0, 100.0), PASS),  # steep, but no spike
        ((1.0, GONE, 3.0), MISSING),
        ((GONE, 50.0, 3.0), NOT_EVALUATED),
        ((1.0, 50.0, GONE), NOT_EVALUATED),
    ],
)
def test_spike(three, flag):
    assert spike(*three, suspect=2.0, fail=5.0) is flag


@pytest.mark.parametrize(
    ("series", "flag"),
    [
        ([1.0, 5.0, 5.0, 5.0], PASS),  # two before it are the same
        ([1.0, 5.0, 5.0, 5.0, 5.0], SUSPECT),
        ([1.0, 5.0, 5.0, 5.0, 5.0, 5.0], SUSPECT),
        ([1.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0], FAIL),
        ([5.0, 5.05, 4.95, 5.0], SUSPECT),
        ([5.0, 5.06, 5.0, 5.0], PASS),
        ([5.0, 5.04, 5.08, 5.12], PASS),  # a slow drift is not flat
        ([5.0, GONE, 5.0, GONE, GONE, 5.0, 5.0], SUSPECT),
        ([5.0, 5.0, 5.0], NOT_EVALUATED),
        ([5.0], NOT_EVALUATED),
        ([1.0, 5.0], PASS),
        ([5.0, 5.0, GONE], MISSING),
        ([], MISSING),
    ],
)
def test_flat_line(series, flag):
    assert flat_line(series, tolerance=0.051) is flag


def test_a_tolerance_of_nothing_finds_exact_repetitions():
    assert flat_line([5.0] * 6, tolerance=0.0) is FAIL


def screened(samples, **settings):
    """Say it all at once: each sample with all that counted before it."""
    sensor, user = settings["sensor"], settings["user"]
    past, newest, found = [], -math.inf, []
    for time, value in samples:
        tests = [gross_range(value, sensor, user)]
        tests.append(rate_of_change(past[-1] if past else None, (time, value), settings["rate"]))
        if time > newest:
            series = [each for _, each in past]
            tests.append(flat_line([*series, value], settings["tolerance"]))
            newest = time
            if value is not GONE and tests[0] is not FAIL:
                past.append((time, value))
        found.append(overall(tests))
    return found


@given(st.lists(st.tuples(st.integers(-3, 9), st.integers(0, 6).map(float) | st.just(GONE)), max_size=60))
def test_a_screen_as_it_goes_gives_the_flags_of_the_whole(steps):
    settings = {"sensor": Span(0.0, 5.0), "user": Span(0.0, 4.0), "rate": 0.5, "tolerance": 1.0}
    time, samples = 0, []
    for step, value in steps:
        samples.append((time + step, value))  # late and repeated where the step is not above 0
        time = max(time, time + step)
    screen = Screen(**settings)
    assert [screen.feed(*each) for each in samples] == screened(samples, **settings)


def test_a_screen_without_tests_evaluates_nothing():
    screen = Screen()
    assert [screen.feed(0, 5.0), screen.feed(1, GONE)] == [NOT_EVALUATED, MISSING]


def test_a_failed_value_does_not_make_the_next_suspect():
    screen = Screen(sensor=Span(0.0, 10.0), rate=0.1)
    assert [screen.feed(*each) for each in ((0, 5.0), (10, 99.0), (20, 5.5))] == [PASS, FAIL, PASS]


def test_a_stuck_part_is_suspect_and_then_fails():
    screen = Screen(sensor=Span(0.0, 10.0), tolerance=0.0)
    assert [screen.feed(n, 5.0) for n in range(7)] == [PASS, PASS, PASS, SUSPECT, SUSPECT, FAIL, FAIL]


@given(values)
def test_spikes_as_they_go_are_those_of_the_whole(series):
    state = Spikes(1.0, 2.0)
    found = []
    for n, value in enumerate(series):
        found.append(state.feed(n, value))
        assert state.feed(n, 99.0) is state.feed(n - 1, 99.0) is None
    padded = [GONE, *series]
    expected = [(n, spike(*padded[n : n + 3], suspect=1.0, fail=2.0)) for n in range(len(series) - 1)]
    assert found == [None, *expected][: len(series)]


def test_suspect_input_travels_through_two_derivations():
    distance = overall([gross_range(3.0, Span(0.0, 8.0), Span(0.0, 2.0)), NOT_EVALUATED])
    stage = overall([inherited([distance, PASS]), gross_range(1.0, Span(-5.0, 5.0))])
    assert inherited([stage, PASS]) is SUSPECT


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: Span(2.0, 1.0),
        lambda: Span(math.nan, 1.0),
        lambda: gross_range(1.0, Span(0.0, 5.0), Span(-1.0, 4.0)),
        lambda: rate_of_change(None, (0, 1.0), 0.0),
        lambda: spike(1.0, 1.0, 1.0, 3.0, 2.0),
        lambda: flat_line([1.0], -0.1),
        lambda: flat_line([1.0], 0.1, suspect=0),
        lambda: flat_line([1.0], 0.1, suspect=6),
        lambda: Screen(user=Span(0.0, 1.0)),
        lambda: Screen(sensor=Span(0.0, 1.0), user=Span(0.0, 2.0)),
        lambda: Screen(rate=-1.0),
        lambda: Screen(tolerance=0.1, suspect=9),
        lambda: Spikes(0.0, 1.0),
    ],
)
def test_impossible_limits_are_refused(impossible):
    with pytest.raises(ValueError, match=r"span|limit|flat line"):
        impossible()


def test_every_flag_is_joined_with_every_other():
    for one, other in product(Flag, Flag):
        assert overall([one, other]) in (one, other)
        assert inherited([one, other]) in {inherited([one]), inherited([other])}
