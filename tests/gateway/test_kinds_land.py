"""Streams of the ground: tilt, movement, drift, step, vibration, from the configuration to readings."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.derive.kinds.land import TURNED
from gateway.derive.land import Baseline, Vector, angle, mean
from gateway.reading import Flag
from tests.gateway.stream_rig import designed, fed, instant, problems, reading, restarted, resumed, stream

G = 9.80665
AXES = {f"slope.acceleration_{axis}": 10.0 for axis in "xyz"}
PART = {**AXES, "slope.temperature": 10.0, "weather.temperature": 60.0}
GONE = Missing.BUS_ERROR


def table(kind, source='"slope"', **keys):
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f'[[derive]]\nid = "ground"\nkind = "{kind}"\nfrom = {source}\n{lines}'


def shown(time, a, temperature=None, flags=None):
    more = {} if temperature is None else {"temperature": temperature}
    x, y, z = a
    return reading("slope", time, flags, acceleration_x=x, acceleration_y=y, acceleration_z=z, **more)


def leaning(degrees, length=G):
    turn = math.radians(degrees)
    return Vector(length * math.sin(turn), 0.0, length * math.cos(turn))


def said(readings, quantity):
    return [each.values.get(quantity, each.missing.get(quantity)) for each in readings]


# tilt


def test_the_worked_tilt():
    (result,) = fed(stream(table("tilt"), AXES), [shown(0.0, (3.0, 0.0, 9.3))])
    assert result.device == "ground"
    assert {q: round(v, 2) for q, v in result.values.items()} == {
        "tilt": 17.88,
        "tilt_x": 17.88,
        "tilt_y": 0.0,
    }


@pytest.mark.parametrize(
    ("up", "a"),
    [
        ("z", (1.0, 2.0, 9.5)),
        ("-z", (1.0, -2.0, -9.5)),
        ("x", (9.5, 1.0, 2.0)),
        ("-x", (-9.5, 1.0, -2.0)),
        ("y", (2.0, 9.5, 1.0)),
        ("-y", (-2.0, -9.5, 1.0)),
    ],
)
def test_a_part_that_is_mounted_on_another_side_leans_the_same(up, a):
    (result,) = fed(stream(table("tilt", up=f'"{up}"'), AXES), [shown(0.0, a)])
    (flat,) = fed(stream(table("tilt"), AXES), [shown(0.0, (1.0, 2.0, 9.5))])
    assert result.values == flat.values


def test_turning_the_axes_mirrors_nothing():
    """The determinant of each turn is 1."""
    for turned in TURNED.values():
        a, b, c = turned(1, 0, 0), turned(0, 1, 0), turned(0, 0, 1)
        cross = (a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
        assert cross == c


@pytest.mark.parametrize(("share", "good"), [(0.949, False), (0.951, True), (1.049, True), (1.051, False)])
def test_what_is_not_gravity_alone_is_no_tilt(share, good):
    (result,) = fed(stream(table("tilt"), AXES), [shown(0.0, (0.0, 0.0, share * G))])
    assert set(result.values if good else result.missing) == {"tilt", "tilt_x", "tilt_y"}
    assert set(result.missing.values()) == (set() if good else {Missing.UNRELIABLE})


def test_quality_travels_into_a_tilt():
    tilt = stream(table("tilt"), AXES)
    one = {"acceleration_x": Flag.PASS, "acceleration_y": Flag.SUSPECT, "acceleration_z": Flag.PASS}
    assert set(fed(tilt, [shown(0.0, leaning(1), flags=one)])[0].flags.values()) == {Flag.SUSPECT}
    assert set(fed(tilt, [shown(1.0, leaning(1), flags=Flag.PASS)])[0].flags.values()) == {Flag.PASS}
    failed = fed(tilt, [shown(2.0, leaning(1), flags={**one, "acceleration_y": Flag.FAIL})])[0]
    assert (failed.values, set(failed.missing.values())) == ({}, {Missing.INPUT_MISSING})
    absent = fed(tilt, [shown(3.0, (0.0, GONE, G))])[0]
    assert set(absent.missing.values()) == {Missing.INPUT_MISSING}


def test_temperature_is_taken_out_of_a_tilt():
    """0.001 m/s2/Cel over 40 Cel makes 0.23 deg of nothing; without the temperature there is no tilt."""
    keys = {"thermometer": '"slope.temperature"', "temperature": 10.0, "drift": "[0.001, 0.0, -0.002]"}
    tilt, plain = stream(table("tilt", **keys), PART), stream(table("tilt"), PART)
    warm = shown(0.0, (0.040, 0.0, G - 0.080), temperature=50.0)
    assert fed(plain, [warm])[0].values["tilt"] == pytest.approx(0.23562, abs=1e-5)
    assert fed(tilt, [warm])[0].values["tilt"] == pytest.approx(0.0, abs=1e-6)
    assert fed(tilt, [shown(1.0, (0.0, 0.0, G), temperature=10.0)])[0].values["tilt"] == 0.0
    unknown = fed(tilt, [shown(2.0, (0.0, 0.0, G), temperature=GONE)])[0]
    assert set(unknown.missing.values()) == {Missing.INPUT_MISSING}
    doubted = fed(tilt, [shown(3.0, (0.0, 0.0, G), 10.0, {"temperature": Flag.SUSPECT})])[0]
    assert set(doubted.flags.values()) == {Flag.SUSPECT}
    turned = stream(table("tilt", up='"x"', **keys), PART)
    assert fed(turned, [shown(0.0, (G + 0.040, 0.0, -0.080), 50.0)])[0].values["tilt"] == pytest.approx(0.0)
    elsewhere = stream(table("tilt", **{**keys, "thermometer": '"weather.temperature"'}), PART)
    assert fed(elsewhere, [reading("weather", 0.0, temperature=50.0)]) == []
    assert fed(elsewhere, [warm])[0].values["tilt"] == pytest.approx(0.0, abs=1e-6)


# movement

BASE = "[0.0, 0.0, 9.80665]"


def moving(**keys):
    return designed(table("movement", **{"gravity": BASE, "over": '"60s"', **keys}), AXES)


def test_movement_is_that_of_the_mean_given_with_each_minute_of_the_clock():
    readings = [shown(600.0 + 10 * n, leaning(1.0 + 0.1 * (n % 3 - 1))) for n in range(13)]
    results = fed(moving().build(), readings)
    assert [each.at.time for each in results] == [600.0, 660.0, 720.0]
    assert said(results, "movement") == [Missing.INPUT_MISSING, pytest.approx(1.0), pytest.approx(1.0)]
    assert moving().interval == 60.0


def test_a_passing_lorry_is_no_movement():
    lorry = [shown(600.0 + n, leaning(30.0, 1.3 * G)) for n in (1, 2)]
    still = [shown(600.0 + 10 * n, leaning(0.5)) for n in range(7)]
    results = fed(moving(share=0.5).build(), [still[0], *lorry, *still[1:]])
    assert said(results, "movement")[-1] == pytest.approx(0.5)
    shaken = [shown(600.0 + 10 * n, leaning(0.5, 1.3 * G)) for n in range(7)]
    assert said(fed(moving().build(), shaken), "movement")[-1] is Missing.UNRELIABLE


def test_temperature_is_taken_out_of_movement():
    text = table("movement", gravity=BASE, temperature=20.0, drift="[0.002, 0.0, 0.0]", over='"60s"')
    warm = Vector(0.002 * 25.0, 0.0, 0.0)
    readings = [shown(10.0 * n, leaning(0.0) - warm.times(-1.0), 45.0) for n in range(7)]
    assert said(fed(stream(text, PART), readings), "movement")[-1] == pytest.approx(0.0, abs=1e-9)
    cold = [shown(10.0 * n, leaning(0.0), GONE) for n in range(7)]
    assert said(fed(stream(text, PART), cold), "movement")[-1] is Missing.INPUT_MISSING
    plain = stream(table("movement", gravity=BASE, over='"60s"'), PART)
    assert said(fed(plain, cold), "movement")[-1] == 0.0


def test_another_parts_temperature_makes_no_sample_of_its_own():
    text = table(
        "movement",
        '["slope.acceleration_x", "slope.acceleration_y", "slope.acceleration_z", "weather.temperature"]',
        gravity=BASE,
        temperature=20.0,
        drift="[0.002, 0.0, 0.0]",
        over='"60s"',
    )
    made = stream(text, PART)
    assert fed(made, [reading("weather", 0.0, temperature=30.0)]) == []
    readings = [shown(10.0 * n, (0.02, 0.0, G)) for n in range(1, 13)]
    assert said(fed(made, readings), "movement")[-1] == pytest.approx(0.0, abs=1e-9)
    assert fed(made, [reading("weather", 181.0, temperature=30.0)]) == []


def test_a_suspect_sample_makes_the_movement_of_its_window_suspect():
    readings = [shown(10.0 * n, leaning(1.0), flags=Flag.SUSPECT if n == 3 else Flag.PASS) for n in range(19)]
    flags = [each.flags.get("movement") for each in fed(moving().build(), readings)]
    assert flags[1:] == [Flag.SUSPECT, Flag.PASS, Flag.PASS]


def untidy(seed, count=60):
    """Return readings with gaps, shakes, missing ones, duplicates, corrections and delays."""
    chance, readings = random.Random(seed), []
    for _ in range(count):
        time = 10.0 * len(readings) + chance.choice((0.0, 0.0, 0.0, -10.0, -30.0, 15.0))
        a = leaning(chance.uniform(-3, 3), chance.choice((1.0, 1.0, 1.0, 1.2)) * G)
        axes = a if chance.random() < 0.9 else (a.x, GONE, a.z)
        readings.append(shown(max(0.0, time), axes))
    return readings


@given(st.integers(0, 10**6))
def test_movement_as_it_comes_is_that_of_its_window(seed):
    made, base = moving(every='"20s"', share=0.3).build(), Baseline(Vector(0, 0, G))
    seen = {}
    for each in untidy(seed):
        results = made.feed(each)
        newest = max([each.at.time, *seen])
        if each.at.time > newest - 60:
            seen[each.at.time] = each.values
        for result in results:
            window = [v for t, v in seen.items() if t > result.at.time - 60 and len(v) == 3]
            vectors = [Vector(*(v[Quantity(f"acceleration_{axis}")] for axis in "xyz")) for v in window]
            good = [a for a in vectors if not isinstance(base.accepted(a, 25.0), Missing)]
            if len(good) >= 2:
                expected = angle(mean(good), base.gravity)
                assert result.values["movement"] == pytest.approx(expected, rel=1e-6, abs=1e-9)
            else:
                assert "movement" in result.missing


@given(st.integers(0, 10**6), st.integers(0, 60))
def test_a_restart_changes_no_movement_and_no_vibration(seed, at):
    readings = sorted(untidy(seed), key=lambda each: each.at.time)
    assert restarted(moving(every='"20s"', share=0.3), readings, at)
    assert restarted(designed(table("vibration", over='"100s"', share=0.2), AXES), readings, at)


# drift

MOVED = {"slope.movement": 300.0, "slope.tilt": 1.0, "slope.weight": 1.0, "slope.wind_direction": 1.0}


def angles(values, flags=None, start=0.0):
    return [reading("slope", start + 300.0 * n, flags, movement=value) for n, value in enumerate(values)]


def active(readings):
    return said(readings, "active")


def test_drift_worked_by_hand():
    """As in the tabular CUSUM: only what is beyond the allowance adds up; then it stays."""
    text = table("drift", '"slope.movement"', target=10.0, allowance=0.5, decision=2.0)
    values = [10.25, 9.0, 11.5, 11.0, 11.0, 9.0, 8.0, 9.25, 10.0, 10.0]
    assert active(fed(stream(text, MOVED), angles(values))) == [0.0] * 7 + [1.0] * 3


def test_a_slow_movement_is_found_by_the_defaults():
    """0.101 deg off is 0.051 beyond the allowance: the sum of five readings is above 0.25 deg."""
    drift = stream(table("drift", '"slope.movement"'), MOVED)
    assert active(fed(drift, angles([0.04] * 500))) == [0.0] * 500
    assert active(fed(drift, angles([0.101] * 6, start=1e6))) == [0.0] * 4 + [1.0, 1.0]


def test_missing_data_neither_raise_nor_end_a_drift():
    drift = stream(table("drift", '"slope.movement"'), MOVED)
    assert active(fed(drift, angles([GONE, 0.0, GONE, 9.0, GONE, GONE]))) == [
        Missing.INPUT_MISSING,
        0.0,
        Missing.INPUT_MISSING,
        1.0,
        1.0,
        1.0,
    ]


def test_a_reading_that_comes_twice_counts_once_and_a_clock_set_back_ends_nothing():
    drift = stream(table("drift", '"slope.movement"'), MOVED)
    twice = [reading("slope", 1e6, movement=0.2)] * 9
    assert active(fed(drift, twice)) == [0.0] * 9
    assert active(fed(drift, angles([0.2], start=1e6 + 300))) == [1.0]
    (result,) = fed(drift, angles([0.0], start=1000.0))
    assert (result.values, result.at.time) == ({"active": 1.0}, pytest.approx(1000.0))


def test_a_drift_from_suspect_readings_is_suspect_until_the_sums_are_zero():
    drift = stream(table("drift", '"slope.movement"'), MOVED)
    results = fed(drift, angles([0.0], Flag.PASS)) + fed(drift, angles([0.15], Flag.SUSPECT, 300.0))
    results += fed(drift, angles([0.0, 0.0, 0.0, 0.0], Flag.PASS, 600.0))
    flags = [each.flags["active"] for each in results]
    assert flags == [Flag.PASS, *[Flag.SUSPECT] * 2, *[Flag.PASS] * 3]
    raised = fed(drift, angles([0.4], Flag.SUSPECT, 3000.0) + angles([0.0] * 20, Flag.PASS, 3300.0))
    assert [each.flags["active"] for each in raised] == [Flag.SUSPECT] * 21, "the alarm stands on it"
    assert fed(drift, angles([GONE], start=9300.0))[0].flags == {"active": Flag.SUSPECT}


NUMBERS = st.lists(st.floats(-0.5, 0.5) | st.just(GONE), min_size=1, max_size=40)


@given(NUMBERS, st.integers(1, 40), st.sampled_from(("drift", "step")))
def test_a_restart_changes_no_alarm(values, at, kind):
    keys = {"short": 2, "long": 4} if kind == "step" else {}
    assert restarted(designed(table(kind, '"slope.movement"', **keys), MOVED), angles(values), at)


@pytest.mark.parametrize("at", range(1, 12))
def test_a_restart_in_the_middle_of_a_drift_or_a_step_changes_nothing(at):
    values = [0.0, 0.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 0.1, GONE, 0.0]
    assert restarted(designed(table("drift", '"slope.movement"'), MOVED), angles(values), at)
    text = table("step", '"slope.movement"', threshold=0.1, short=2, long=3)
    assert restarted(designed(text, MOVED), angles(values), at)


def test_a_drift_that_was_found_outlasts_a_restart_with_nothing_stored_since():
    design = designed(table("drift", '"slope.movement"'), MOVED)
    made = resumed(design, angles([9.0] + [0.0] * 2000 + [GONE] * 10))
    assert active(fed(made, angles([GONE], start=1e7))) == [1.0]


def test_the_day_of_an_inspection_is_part_of_the_settings():
    text = table("drift", '"slope.movement"', inspected="2024-05-17")
    assert "2024-05-17" in designed(text, MOVED).settings.model_dump_json(by_alias=True)


# step


def test_a_step_is_raised_until_it_is_the_new_level():
    text = table("step", '"slope.tilt"', threshold=0.5, short=2, long=4)
    values = [1.0] * 6 + [1.4, 1.6] + [1.6] * 6
    readings = [reading("slope", float(n), tilt=value) for n, value in enumerate(values)]
    assert active(fed(stream(text, MOVED), readings)) == [0.0] * 7 + [1.0, 1.0] + [0.0] * 5


def test_missing_data_neither_raise_nor_end_a_step():
    text = table("step", '"slope.movement"', short=1, long=2)
    assert active(fed(stream(text, MOVED), angles([0.0, 0.0, GONE, 0.25, GONE, GONE, 0.25]))) == [
        *(0.0, 0.0, Missing.INPUT_MISSING, 1.0, 1.0, 1.0, 0.0)
    ]


def test_a_suspect_sample_makes_the_steps_that_look_at_it_suspect():
    text = table("step", '"slope.movement"', short=1, long=2)
    flags = [Flag.PASS, Flag.SUSPECT, Flag.PASS, Flag.PASS, Flag.PASS]
    readings = [each for n, flag in enumerate(flags) for each in angles([0.0], flag, 300.0 * n)]
    found = [each.flags["active"] for each in fed(stream(text, MOVED), readings)]
    assert found == [Flag.PASS, *[Flag.SUSPECT] * 3, Flag.PASS]


# vibration


def wave(count, start=0.0, step=10.0):
    period = [0.0, 0.2, 0.0, -0.2]
    return [shown(start + step * n, (period[n % 4], 0.0, G)) for n in range(count)]


def test_vibration_is_of_each_block_without_gravity():
    made = stream(table("vibration", over='"200s"'), AXES)
    results = fed(made, wave(41))
    assert [each.at.time for each in results] == [200.0, 400.0]
    assert said(results, "vibration_rms") == pytest.approx([0.2 / math.sqrt(2)] * 2)
    assert said(results, "vibration_peak") == pytest.approx([0.2] * 2)


def test_a_block_ends_when_its_time_is_over_and_only_once():
    made = stream(table("vibration", over='"200s"'), AXES)
    assert fed(made, wave(20)) == made.advance(instant(199.0)) == []
    (result,) = made.advance(instant(200.5))
    assert result.at.time == 200.0
    assert fed(made, wave(1, start=195.0)) == made.advance(instant(201.0)) == []
    assert made.advance(instant(5000.0)) == [], "of silence there is no result"


def test_a_block_with_too_few_samples_is_missing():
    made = stream(table("vibration", over='"200s"'), AXES)
    assert fed(made, wave(14)) == []
    gone = [shown(140.0 + 10 * n, (0.0, GONE, G)) for n in range(6)]
    assert said(fed(made, [*gone, *wave(1, 200.0)]), "vibration_rms") == [Missing.INPUT_MISSING]
    assert said(
        fed(stream(table("vibration", over='"200s"'), AXES), [*wave(15), *wave(1, 200.0)]), "vibration_rms"
    )[0] == pytest.approx(0.14, abs=0.01)


def test_a_corrected_sample_replaces_the_first_and_a_suspect_one_makes_its_block_suspect():
    made = stream(table("vibration", over='"200s"'), AXES)
    first = shown(0.0, (9.0, 0.0, 9.0), flags=Flag.SUSPECT)
    good = [shown(0.0 + 10 * n, (0.0, 0.0, G), flags=Flag.PASS) for n in range(1, 20)]
    mended = shown(0.0, (0.0, 0.0, G), flags=Flag.PASS)
    assert fed(made, [first, *good, mended]) == []
    (result,) = made.advance(instant(200.0))
    assert (result.values["vibration_peak"], result.flags["vibration_peak"]) == (0.0, Flag.PASS)
    made = stream(table("vibration", over='"200s"'), AXES)
    late = shown(230.0, (0.0, 0.0, G), flags=Flag.PASS)
    results = fed(made, [first, *good, late])
    assert [each.flags["vibration_rms"] for each in results] == [Flag.SUSPECT]


# settings


@pytest.mark.parametrize(
    ("text", "known", "line", "words"),
    [
        (table("tilt"), {"slope.acceleration_x": 1.0}, 4, "also needs"),
        (table("tilt", '"weather"'), PART, 4, "weather gives temperature"),
        (
            table("tilt", '["slope.acceleration_x", "b.acceleration_y", "slope.acceleration_z"]'),
            {**AXES, "b.acceleration_y": 1.0},
            4,
            'the axes are those of b and slope: name one part alone, as from = "b"',
        ),
        (table("tilt", up='"w"'), AXES, 5, "'-y'"),
        (table("tilt", drift="[0.001, 0.0, 0.0]"), PART, 5, "a drift and a thermometer go together"),
        (table("tilt", thermometer='"slope.temperature"'), PART, 5, "a drift and a thermometer go together"),
        (table("tilt", drift="[1.0, 0.0, 0.0]"), PART, 5, "drift is -0.1 to 0.1 m/s2/Cel, not 1"),
        (table("movement"), AXES, 1, 'needs the key "gravity"'),
        (table("movement", gravity="[0.0, 0.0, 1.0]"), AXES, 5, "at rest and in m/s2"),
        (table("movement", gravity="[0.0, 0.0, nan]"), AXES, 5, "at rest and in m/s2"),
        (table("movement", gravity=BASE, drift="[0.001, 0.0, 0.0]"), AXES, 6, "a drift needs a temperature"),
        (
            table("movement", gravity=BASE, drift="[0.5, 0.0, 0.0]"),
            PART,
            6,
            "drift is -0.1 to 0.1 m/s2/Cel, not 0.5",
        ),
        (table("movement", gravity=BASE, temperature=300.0), PART, 6, "temperature is -60 to 150 Cel"),
        (table("movement", gravity=BASE, over='"5s"'), AXES, 6, "one every 10 s: it takes 1 or more, 10 s"),
        (table("movement", gravity=BASE, over='"48h"'), AXES, 6, "too many: take 100000 s or less"),
        (table("movement", gravity=BASE, share=0.0), AXES, 6, "share is above 0, to 1, not 0"),
        (table("movement", gravity=BASE, share=1.1), AXES, 6, "share is above 0, to 1, not 1.1"),
        (table("drift", '"slope.tilt"'), MOVED, 1, "say target [deg]: what it showed when all was well"),
        (table("drift", '"slope.weight"', target=3.0), MOVED, 1, "say allowance [kg]"),
        (table("drift", '"slope.weight"', target=3.0, allowance=1.0), MOVED, 1, "say decision [kg]"),
        (table("drift", '"slope.movement"', target="nan"), MOVED, 5, "target must be a finite number"),
        (table("drift", '"slope.movement"', allowance=-1.0), MOVED, 5, "allowance is 0 or more, not -1"),
        (table("drift", '"slope.movement"', decision=0.0), MOVED, 5, "decision must be above 0, not 0"),
        (table("drift", '"slope.wind_direction"'), MOVED, 4, "a direction goes round"),
        (table("drift", '"slope.closed"'), {"slope.closed": 1.0}, 4, "not from slope.closed"),
        (table("step", '"slope.weight"'), MOVED, 1, "say threshold [kg]: how large a step is an alarm"),
        (table("step", '"slope.tilt"', threshold=0.0), MOVED, 5, "threshold must be above 0"),
        (table("step", '"slope.tilt"', short=61), MOVED, 5, "short is 1 to 60, not 61"),
        (table("step", '"slope.tilt"', short=0), MOVED, 5, "short is 1 to 60, not 0"),
        (table("step", '"slope.tilt"', long=1001), MOVED, 5, "long is 1 to 1000, not 1001"),
        (table("step", '"slope.wind_direction"'), MOVED, 4, "a direction goes round"),
        (table("vibration", over='"90s"'), AXES, 5, "it takes 10 or more, 100 s"),
        (table("vibration", over='"48h"'), AXES, 5, "too many"),
        (table("vibration", share=2.0), AXES, 5, "share is above 0"),
    ],
)
def test_settings_that_can_never_work_are_refused(text, known, line, words):
    (found,) = problems(text, known)
    place, _, sentence = found.partition(": ")
    assert words in sentence
    assert int(place) == line
