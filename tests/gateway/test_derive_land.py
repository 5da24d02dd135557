"""Ground: tilt, movement off a baseline, drift, step and vibration."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.land import (
    Baseline,
    Drift,
    Movement,
    Step,
    Vector,
    angle,
    mean,
    resting,
    tilt,
    vibration,
)

G = 9.80665
LEVEL = Vector(0.0, 0.0, G)
GONE = Missing.BUS_ERROR
AXIS = st.floats(-20, 20)
VECTORS = st.builds(Vector, AXIS, AXIS, AXIS).filter(lambda a: a.length > 0.1)


def leaning(degrees, length=G):
    """Gravity on a part that leans towards x."""
    turn = math.radians(degrees)
    return Vector(length * math.sin(turn), 0.0, length * math.cos(turn))


def test_the_worked_tilt():
    x, y, inclination = tilt(Vector(3.0, 0.0, 9.3))
    assert x == pytest.approx(17.88, abs=0.005)
    assert y == 0.0
    assert inclination == pytest.approx(17.88, abs=0.005)


def test_one_thousandth_of_g_is_about_0_057_deg():
    assert tilt(Vector(0.001 * G, 0.0, G)).x == pytest.approx(0.057, abs=0.0005)
    assert angle(Vector(0.0, 0.001 * G, G), LEVEL) == pytest.approx(0.057, abs=0.0005)


@pytest.mark.parametrize(
    ("a", "expected"),
    [
        (LEVEL, (0, 0, 0)),
        (Vector(0, 0, -G), (0, 0, 180)),
        (Vector(G, 0, 0), (90, 0, 90)),
        (Vector(0, -G, 0), (0, -90, 90)),
        (Vector(G / 2, G / 2, G / math.sqrt(2)), (30, 30, 45)),
    ],
)
def test_tilt_of_each_position(a, expected):
    assert tilt(a) == pytest.approx(expected, abs=1e-9)


@given(VECTORS)
def test_tilt_keeps_to_the_formulas(a):
    a = a.times(G / a.length)
    x, y, inclination = tilt(a)
    assert x == pytest.approx(math.degrees(math.asin(max(-1, min(1, a.x / G)))), abs=1e-5)
    assert y == pytest.approx(math.degrees(math.asin(max(-1, min(1, a.y / G)))), abs=1e-5)
    assert inclination == pytest.approx(math.degrees(math.acos(max(-1, min(1, a.z / G)))), abs=1e-5)
    assert max(abs(x), abs(y)) <= min(inclination, 180 - inclination) + 1e-9


@pytest.mark.parametrize(("share", "good"), [(0.949, False), (0.951, True), (1.049, True), (1.051, False)])
def test_only_1_g_within_5_percent_is_gravity(share, good):
    a = LEVEL.times(share)
    assert resting(a) is good
    assert isinstance(tilt(a), Missing) is not good
    assert Baseline(LEVEL).movement(a, 25.0) == (0.0 if good else Missing.UNRELIABLE)


@given(VECTORS, VECTORS, st.floats(0.1, 10))
def test_the_angle_is_the_same_both_ways_and_at_any_length(a, b, factor):
    assert angle(a, b) == pytest.approx(angle(b, a))
    assert angle(a.times(factor), b) == pytest.approx(angle(a, b), abs=1e-5)
    assert 0 <= angle(a, b) <= 180


def test_angles_far_below_what_acos_can_tell():
    assert angle(leaning(1e-7), LEVEL) == pytest.approx(1e-7)
    assert angle(LEVEL, Vector(0, 0, -G)) == 180
    assert angle(LEVEL, Vector(0, 0, 0)) == 0


@given(st.floats(-80, 80), st.floats(-80, 80))
def test_movement_is_the_change_from_the_baseline_however_it_was_mounted(mounted, moved):
    assert Baseline(leaning(mounted)).movement(leaning(moved), 25.0) == pytest.approx(abs(moved - mounted))


def test_what_the_temperature_did_is_taken_out():
    base = Baseline(leaning(3.0), temperature=20.0, drift=Vector(0.001, -0.002, 0.0015))
    for warm in (-20.0, 20.0, 45.0):
        seen = leaning(4.0) - base.drift.times(20.0 - warm)
        assert base.movement(seen, warm) == pytest.approx(1.0)
    assert base.movement(leaning(4.0), 45.0) != pytest.approx(1.0, abs=0.05)
    assert base.movement(leaning(4.0), GONE) is Missing.INPUT_MISSING
    assert Baseline(leaning(3.0)).movement(leaning(4.0), GONE) == pytest.approx(1.0)


@pytest.mark.parametrize("a", [Vector(0, 0, 0), LEVEL.times(1.06), Vector(math.nan, 0, G)])
def test_a_baseline_is_measured_at_rest(a):
    with pytest.raises(ValueError, match="at rest"):
        Baseline(a)


def test_movement_is_that_of_the_mean():
    movement = Movement(Baseline(LEVEL), window=60, least=3)
    for at, degrees in enumerate((0.9, 1.0, 1.1)):
        movement.feed(at, leaning(degrees), 25.0)
    assert movement.value(2) == pytest.approx(1.0)
    movement.feed(3, leaning(30.0, 1.2 * G), 25.0)  # a lorry passes
    movement.feed(4, GONE, 25.0)
    assert movement.value(4) == pytest.approx(1.0)
    assert movement.value(60) is Missing.UNRELIABLE  # 0 has gone, two remain
    assert movement.value(64) is Missing.INPUT_MISSING


SAMPLES = st.lists(st.tuples(st.integers(0, 600), st.floats(-5, 5), st.booleans()), max_size=60)


@given(SAMPLES, st.integers(0, 100))
def test_incremental_movement_is_that_of_its_window(samples, wait):
    """Whatever the gaps, duplicates, corrections and delays: the newest word on each time counts."""
    base = Baseline(LEVEL, drift=Vector(0.001, 0, 0))
    movement = Movement(base, window=300, least=2)
    for at, degrees, good in samples:
        movement.feed(at, leaning(degrees, G if good else 2 * G), 30.0)
    now = max((at for at, _, _ in samples), default=0) + wait
    last = {at: (degrees, good) for at, degrees, good in samples if at > now - 300}
    good = [base.compensated(leaning(degrees), 30.0) for degrees, good in last.values() if good]
    few = Missing.UNRELIABLE if len(last) >= 2 else Missing.INPUT_MISSING
    assert movement.value(now) == (angle(mean(good), LEVEL) if len(good) >= 2 else few)


def test_too_few_samples_are_missing_and_too_many_shaken_ones_unreliable():
    movement = Movement(Baseline(LEVEL, drift=Vector(0.001, 0, 0)), window=60, least=3)
    for at, a in enumerate((LEVEL, LEVEL, GONE)):
        movement.feed(at, a, 25.0)
    movement.feed(3, LEVEL, GONE)
    assert movement.value(3) is Missing.INPUT_MISSING
    movement.feed(4, LEVEL.times(2.0), 25.0)
    assert movement.value(4) is Missing.UNRELIABLE


def test_movement_forgets_as_it_goes():
    movement = Movement(Baseline(LEVEL), window=60)
    for at in range(1000):
        movement.feed(at, LEVEL, 25.0)
    movement.feed(939, leaning(9.0), 25.0)
    assert len(movement._times) == len(movement._vectors) == 60
    assert movement.value(999) == 0.0


def test_drift_worked_by_hand():
    drift = Drift(target=10.0, allowance=0.5, decision=2.0)
    rows = [(drift.feed(value), drift.high, drift.low) for value in (10.25, 9.0, 11.5, 11.0, 11.0, 9.0, 8.0)]
    assert rows == [
        (False, 0.0, 0.0),
        (False, 0.0, 0.5),
        (False, 1.0, 0.0),
        (False, 1.5, 0.0),
        (False, 2.0, 0.0),  # not above the decision
        (False, 0.5, 0.5),
        (False, 0.0, 2.0),
    ]
    assert drift.feed(9.25)
    assert drift.low == 2.25


@pytest.mark.parametrize("sign", [1, -1])
def test_a_slow_drift_is_found_and_noise_is_not(sign):
    drift = Drift(target=0.0, allowance=0.01, decision=0.1)
    assert not any(drift.feed(0.009 if n % 2 else -0.009) for n in range(10_000))
    assert any(drift.feed(sign * n * 0.0002) for n in range(150))
    assert drift.feed(0.0)  # it stays
    assert drift.feed(GONE)
    drift.reset()
    assert not drift.feed(0.0)


@given(st.lists(st.floats(-1, 1)), st.floats(-100, 100))
def test_drift_does_not_depend_on_the_target(values, target):
    one, other = Drift(0.0, 0.25, 2.0), Drift(target, 0.25, 2.0)
    for value in values:
        one.feed(value)
        other.feed(value + target)
        assert other.high == pytest.approx(one.high, abs=1e-9)
        assert other.low == pytest.approx(one.low, abs=1e-9)


def test_a_step_is_raised_until_it_is_the_new_level():
    step = Step(threshold=0.5, short=2, long=4)
    alarms = [step.feed(value) for value in [1.0] * 6 + [1.4, 1.6] + [1.6] * 6]
    assert alarms == [False] * 7 + [True, True] + [False] * 5
    assert step.height == pytest.approx(0.0)


def test_a_step_of_exactly_the_threshold_and_down():
    step = Step(threshold=0.5, short=1, long=2)
    assert [step.feed(value) for value in (1.0, 1.0, 0.5)] == [False, False, True]
    assert [step.feed(value) for value in (GONE, math.nan)] == [True, True]
    assert step.height == -0.5


def test_a_step_needs_both_means():
    step = Step(threshold=0.5, short=1, long=3)
    assert [step.feed(value) for value in (0.0, 9.0, 0.0)] == [False] * 3
    assert step.height is Missing.NOT_READY


@given(st.lists(st.floats(-5, 5), min_size=8, max_size=40))
def test_the_step_is_that_of_the_newest_samples(values):
    step = Step(threshold=1.0, short=3, long=5)
    for value in values:
        step.feed(value)
        step.feed(GONE)
    short, long = values[-3:], values[-8:-3]
    assert step.height == pytest.approx(sum(short) / 3 - sum(long) / 5, abs=1e-9)
    assert len(step._values) == 8


@given(st.lists(st.floats(-1, 1), max_size=40), st.integers(0, 40))
def test_a_drift_and_a_step_go_on_after_a_restart(values, at):
    for build in (lambda: Drift(0.0, 0.25, 2.0), lambda: Step(0.5, short=2, long=5)):
        whole, before, after = build(), build(), build()
        for value in values[:at]:
            whole.feed(value)
            before.feed(value)
        after.restore(json.loads(json.dumps(before.save())))
        assert after.active == whole.active
        assert [whole.feed(value) for value in values[at:]] == [after.feed(value) for value in values[at:]]


@pytest.mark.parametrize(
    ("state", "saved"),
    [
        (Drift(0.0, 0.1, 1.0), {"active": 1, "high": 0.0, "low": 0.0}),
        (Drift(0.0, 0.1, 1.0), {"active": True, "high": -1.0, "low": 0.0}),
        (Drift(0.0, 0.1, 1.0), {"active": True, "high": 0.0, "low": math.inf}),
        (Drift(0.0, 0.1, 1.0), {"active": True, "high": 0.0}),
        (Drift(0.0, 0.1, 1.0), []),
        (Step(1.0, 1, 2), [1.0, 2.0, 3.0, 4.0]),
        (Step(1.0, 1, 2), [1.0, "2"]),
        (Step(1.0, 1, 2), [1.0, True]),
        (Step(1.0, 1, 2), [math.nan]),
        (Step(1.0, 1, 2), {}),
    ],
)
def test_what_was_not_saved_so_is_refused(state, saved):
    with pytest.raises((ValueError, TypeError, KeyError)):
        state.restore(saved)
    assert not state.active


def test_vibration_of_a_sine_leaves_gravity_out():
    wave = [Vector(0.2 * math.sin(math.tau * n / 100), 0.0, G) for n in range(1000)]
    rms, peak = vibration(wave)
    assert rms == pytest.approx(0.2 / math.sqrt(2))
    assert peak == pytest.approx(0.2)
    assert vibration([LEVEL] * 9) == (0.0, 0.0)


@given(st.lists(VECTORS, min_size=2, max_size=20), VECTORS)
def test_vibration_does_not_know_how_the_part_is_mounted(samples, offset):
    rms, peak = vibration(samples)
    moved = vibration([Vector(a.x + offset.x, a.y + offset.y, a.z + offset.z) for a in samples])
    assert moved == pytest.approx((rms, peak), abs=1e-6)
    assert 0 <= rms <= peak * (1 + 1e-12)


def test_vibration_needs_two_good_samples():
    assert vibration([LEVEL]) is Missing.NOT_READY
    assert vibration([LEVEL, Vector(math.nan, 0, G)]) is Missing.UNRELIABLE


@pytest.mark.parametrize(
    "build",
    [
        lambda: mean([]),
        lambda: Movement(Baseline(LEVEL), window=0),
        lambda: Movement(Baseline(LEVEL), least=0),
        lambda: Drift(0.0, -0.1, 1.0),
        lambda: Drift(0.0, 0.1, 0.0),
        lambda: Step(0.0),
        lambda: Step(1.0, short=0),
        lambda: Step(1.0, short=9, long=8),
    ],
)
def test_parameters_are_checked(build):
    with pytest.raises(ValueError):
        build()
