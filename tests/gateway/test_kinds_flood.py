"""Flood, as the configuration has it: stage, depth, rise, alarms that silence never clears, two sensors."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.derive.level import FRESH_WATER, SEA_WATER
from gateway.derive.rise import rate_of_rise
from gateway.reading import Flag
from tests.gateway.stream_rig import designed, fed, instant, problems, reading, restarted, resumed, stream

GONE, UNKNOWN = Missing.NO_TARGET, Missing.INPUT_MISSING
KNOWN = {
    "river.distance": 10.0,
    "river.stage": 10.0,
    "river.depth": 10.0,
    "river2.stage": 10.0,
    "river2.depth": 900.0,
    "well.water_pressure": 10.0,
    "weather.temperature": 10.0,
    "weather.pressure": 60.0,
}
T = 1_770_000_000.0


def table(kind, source, **keys):
    """A `[[derive]]` table called "made"."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"from": source, **keys}.items()]
    return "\n".join(["[[derive]]", 'id = "made"', f'kind = "{kind}"', *lines])


def levels(heights, step=10.0, start=T, flags=None, device="river", quantity="stage"):
    return [reading(device, start + step * n, flags, **{quantity: y}) for n, y in enumerate(heights)]


def said(readings, quantity):
    """What each reading says of a quantity: its value, or None."""
    return [each.values.get(Quantity(quantity)) for each in readings]


# stage and depth


def test_stage_is_the_reference_less_the_distance():
    made = stream(table("stage", "river.distance", reference=5.0, datum="Malin Head"), KNOWN)
    (one,) = made.feed(reading("river", T, distance=3.25))
    assert (one.device, one.values, one.labels) == ("made", {"stage": 1.75}, {"stage": "Malin Head"})
    (none,) = made.feed(reading("river", T + 10, distance=GONE))
    assert (none.values, none.missing, none.labels) == ({}, {"stage": UNKNOWN}, {})


def test_ultrasound_is_compensated_for_the_air():
    """MaxBotix, "Temperature Compensation": 5.8 ms, told as 1.00 m, are 1.0006 m at 23 Cel."""
    text = table("stage", "river.distance", reference=10.0, temperature="weather.temperature")
    made = stream(text, KNOWN)
    assert fed(made, [reading("weather", T, temperature=23.0)]) == []
    (warm,) = made.feed(reading("river", T + 1, distance=1.0))
    assert 10.0 - warm.values["stage"] == pytest.approx(1.0006, rel=1e-3)
    fed(made, [reading("weather", T + 10, temperature=-10.0)])
    (cold,) = made.feed(reading("river", T + 11, distance=5.0))
    assert cold.values["stage"] == pytest.approx(10 - 5 * (331.3 - 6.06) / 344.8)
    fed(made, [reading("weather", T + 20, temperature=70.0)])
    (hot,) = made.feed(reading("river", T + 21, distance=5.0))
    assert hot.missing == {"stage": Missing.OUT_OF_RANGE}


@pytest.mark.parametrize("air", [None, Missing.TIMEOUT])
def test_without_its_temperature_a_compensated_stage_is_missing(air):
    made = stream(table("stage", "river.distance", reference=5.0, temperature="weather.temperature"), KNOWN)
    if air is not None:
        fed(made, [reading("weather", T, temperature=air)])
    (one,) = made.feed(reading("river", T + 1, distance=3.0))
    assert one.missing == {"stage": UNKNOWN}
    fed(made, [reading("weather", T + 2, temperature=20.0)])
    assert said(made.feed(reading("river", T + 11, distance=3.0)), "stage") != [None]
    assert said(made.feed(reading("river", T + 41, distance=3.0)), "stage") == [None], "the air's is too old"


@pytest.mark.parametrize(
    ("density", "kilograms"),
    [({}, FRESH_WATER), ({"density": "sea"}, SEA_WATER), ({"density": 1010}, 1010)],
)
def test_depth_is_what_the_water_weighs_more_than_the_air(density, kilograms):
    made = stream(table("depth", "well.water_pressure", air="weather.pressure", **density), KNOWN)
    (alone,) = made.feed(reading("well", T, water_pressure=1113.25))
    assert alone.missing == {"depth": UNKNOWN}
    fed(made, [reading("weather", T + 1, pressure=1013.25)])
    (both,) = made.feed(reading("well", T + 10, water_pressure=1113.25))
    assert both.values["depth"] == pytest.approx(10_000 / (kilograms * 9.80665))
    fed(made, [reading("weather", T + 12, pressure=983.25)])
    (stormy,) = made.feed(reading("well", T + 20, water_pressure=1083.25))
    assert stormy.values["depth"] == pytest.approx(both.values["depth"]), "the weather does not move it"


@pytest.mark.parametrize("flag", [Flag.PASS, Flag.SUSPECT, Flag.FAIL])
def test_flags_travel_through_both_inputs(flag):
    made = stream(table("depth", "well.water_pressure", air="weather.pressure"), KNOWN)
    fed(made, [reading("weather", T, flag, pressure=1013.25)])
    (one,) = made.feed(reading("well", T, Flag.PASS, water_pressure=1113.25))
    assert one.flags == ({} if flag is Flag.FAIL else {"depth": flag})
    assert bool(one.missing) is (flag is Flag.FAIL)


# rise


def test_rise_is_in_metres_per_hour():
    made = stream(table("rise", "river.stage"), KNOWN)
    found = fed(made, levels([1.0 + 0.6 * 10 * n / 3600 for n in range(120)]))
    assert len(found) == 120
    assert found[0].missing == found[44].missing == {"rate_of_rise": Missing.NOT_READY}
    assert all(each.values["rate_of_rise"] == pytest.approx(0.6, abs=1e-3) for each in found[45:])


def test_a_robust_rise_leaves_wild_echoes_out():
    heights = [1.0 + 0.6 * 10 * n / 3600 - (1.5 if n % 7 == 3 else 0.0) for n in range(100)]
    plain, robust = (
        fed(stream(table("rise", "river.stage", robust=word), KNOWN), levels(heights))[-1]
        for word in (False, True)
    )
    assert robust.values["rate_of_rise"] == pytest.approx(0.6, abs=1e-3)
    assert abs(plain.values["rate_of_rise"] - 0.6) > 0.05


def test_a_rise_speaks_each_minute_of_the_clock_when_told_to():
    made = stream(table("rise", "river.stage", every="1m"), KNOWN)
    start = T - T % 60
    found = fed(made, levels([1.0] * 20, start=start + 25))
    assert [each.at.time - start for each in found] == [25.0, 65.0, 125.0, 185.0]


def test_a_suspect_reading_makes_the_rise_suspect_as_long_as_it_counts():
    made = stream(table("rise", "river.stage", over="2m"), KNOWN)
    before = fed(made, levels([1.0] * 20, flags=Flag.PASS))
    (doubtful,) = made.feed(reading("river", T + 200, Flag.SUSPECT, stage=1.0))
    after = fed(made, levels([1.0] * 20, start=T + 210, flags=Flag.PASS))
    assert before[-1].flags == {"rate_of_rise": Flag.PASS}
    assert doubtful.flags == {"rate_of_rise": Flag.SUSPECT}
    assert [each.flags["rate_of_rise"] is Flag.SUSPECT for each in after] == [True] * 11 + [False] * 9


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.one_of(st.floats(-5, 5), st.just(GONE))), min_size=1))
def test_a_rise_is_that_of_all_readings_in_its_window(heard):
    """Late ones and repeated ones too; a late one shows with the next that is new."""
    made = stream(table("rise", "river.stage", over="2m", share=0.0), KNOWN)
    kept, newest = {}, -1
    for tick, height in heard:
        found = made.feed(reading("river", T + tick, stage=height))
        if not isinstance(height, Missing) and tick > newest - 120:
            kept[tick] = height
        assert bool(found) is (tick > newest)
        newest = max(newest, tick)
        if found:
            expected = rate_of_rise([(T + at, y) for at, y in kept.items() if at > newest - 120])
            expected = UNKNOWN if not kept else expected
            one = found[0].values.get("rate_of_rise", found[0].missing.get("rate_of_rise"))
            assert one is expected or one == pytest.approx(expected, rel=1e-6, abs=1e-6)


# stage_alarm

LOCAL = {"action": 1.5, "minor": 2.0, "moderate": 2.6, "major": 3.4}


def alarm(**keys):
    return table("stage_alarm", "river.stage", **{**LOCAL, **keys})


def test_stages_have_names_and_numbers():
    made = stream(alarm(on_delay=1), KNOWN)
    found = fed(made, levels([1.0, 1.5, 2.0, 2.6, 3.4]))
    assert said(found, "flood_stage") == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [each.labels["flood_stage"] for each in found] == [
        "normal", "action", "minor", "moderate", "major",
    ]  # fmt: skip
    assert said(found, "stale") == [0.0] * 5


def test_an_alarm_needs_its_delays_and_its_hysteresis():
    made = stream(alarm(hysteresis=0.1), KNOWN)
    heights = [2.0, 1.0, 2.0, 2.0, 1.9, 1.95, 1.92, 1.89, 1.89, 1.91, 1.89, 1.89, 1.89]
    found = fed(made, levels(heights))
    assert said(found, "flood_stage") == [0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]


def test_missing_readings_never_clear_and_make_it_stale():
    made = stream(alarm(stale_after=3, off_delay=2), KNOWN)
    heights = [2.1, 2.1, 1.0, GONE, GONE, GONE, GONE, 1.0, 1.0]
    found = fed(made, levels(heights))
    assert said(found, "flood_stage") == [0, 2, 2, 2, 2, 2, 2, 2, 0]
    assert said(found, "stale") == [0, 0, 0, 0, 0, 1, 1, 0, 0]


def test_before_any_reading_nobody_knows_the_stage():
    made = stream(alarm(stale_after=2), KNOWN)
    found = fed(made, levels([GONE, GONE]))
    assert [each.missing for each in found] == [{"flood_stage": UNKNOWN}] * 2
    assert said(found, "stale") == [0.0, 1.0]
    assert not any(each.labels for each in found)


def test_a_device_that_says_nothing_at_all_misses_readings():
    made = stream(alarm(stale_after=3), KNOWN)
    fed(made, levels([2.1, 2.1]))
    found = [(second, each) for second in range(11, 60) for each in made.advance(instant(T + second))]
    assert [second for second, _ in found] == [25, 35, 45, 55]
    assert said([each for _, each in found], "stale") == [0, 0, 1, 1]
    assert said([each for _, each in found], "flood_stage") == [2.0] * 4
    assert said(made.feed(reading("river", T + 60, stage=2.1)), "stale") == [0]


def test_a_clock_that_jumps_ahead_misses_one_reading_only():
    made = stream(alarm(stale_after=2), KNOWN)
    fed(made, levels([1.0, 1.0]))
    found = [each for second in range(10) for each in made.advance(instant(T + 1e8 + second))]
    assert said(found, "stale") == [0.0]


def test_a_clock_that_is_set_back_clears_and_delays_nothing():
    made = stream(alarm(), KNOWN)
    fed(made, levels([2.1, 2.1]))
    assert said(fed(made, levels([2.7, 2.7], start=T - 1e6)), "flood_stage") == [2.0, 3.0]
    assert said(fed(made, levels([3.5, 3.5], start=T - 1e6 + 15, step=-2.0)), "flood_stage") == [3.0, 4.0]


def test_the_same_reading_twice_counts_once():
    made = stream(alarm(), KNOWN)
    one = reading("river", T, stage=2.1)
    assert said(fed(made, [one, one, one]), "flood_stage") == [0.0]


def test_an_alarm_is_suspect_while_a_suspect_reading_is_within_its_delays():
    made = stream(alarm(on_delay=2, off_delay=3), KNOWN)
    flags = [Flag.PASS, Flag.SUSPECT, Flag.PASS, Flag.PASS, Flag.PASS]
    found = [
        one
        for n, flag in enumerate(flags)
        for one in made.feed(reading("river", T + 10 * n, flag, stage=2.1))
    ]
    assert [each.flags["flood_stage"] for each in found] == [
        Flag.PASS, Flag.SUSPECT, Flag.SUSPECT, Flag.SUSPECT, Flag.PASS,
    ]  # fmt: skip


def test_a_failed_reading_is_a_missing_one():
    made = stream(alarm(stale_after=1), KNOWN)
    fed(made, levels([2.1, 2.1]))
    (one,) = made.feed(reading("river", T + 20, Flag.FAIL, stage=0.0))
    assert one.values == {"flood_stage": 2.0, "stale": 1.0}
    assert one.flags == {}


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.floats(0.0, 4.0), st.just(GONE)), min_size=1, max_size=40),
    st.integers(1, 40), st.integers(0, 3),
)  # fmt: skip
def test_a_restart_forgets_no_alarm(heights, at, unsaved):
    design, readings = designed(alarm(), KNOWN), levels(heights)
    assert restarted(design, readings, min(at, len(readings)))
    after = resumed(design, readings, min(unsaved, len(readings) - 1))
    whole = design.build()
    fed(whole, readings)
    assert after.save() == whole.save()


def test_silence_after_a_restart_becomes_stale_too():
    after = resumed(designed(alarm(stale_after=2), KNOWN), levels([2.1, 2.1]))
    found = [each for second in range(100, 140) for each in after.advance(instant(T + second))]
    assert said(found, "stale") == [0.0, 1.0, 1.0]
    assert said(found, "flood_stage") == [2.0] * 3


@pytest.mark.parametrize(
    "state", [{}, None, [], {"known": 1, "alarms": {}}, {"known": True, "alarms": {"action": [1, 0, 0, 0]}}]
)
def test_a_state_that_no_alarm_saved_is_no_state(state):
    made = stream(alarm(), KNOWN)
    assert made.restore({"newest": T, "shift": 0.0, "state": state}) is None
    assert said(fed(made, levels([2.1, 2.1])), "flood_stage") == [0.0, 2.0]


# disagreement


def beside(**keys):
    return table("disagreement", "river.stage", **{"beside": "river2.stage", "after": "1m", **keys})


def pairs(found, start=T):
    """Readings of both sensors each 10 s; None: it says nothing."""
    return [
        reading(device, start + 10 * n + late, stage=height)
        for n, pair in enumerate(found)
        for device, height, late in zip(("river2", "river"), pair, (0, 1), strict=True)
        if height is not None
    ]


def test_two_sensors_that_differ_for_long_enough_disagree_until_they_agree_for_as_long():
    made = stream(beside(), KNOWN)
    apart, close = [(2.0, 2.15)] * 8, [(2.0, 2.05)] * 8
    assert said(fed(made, pairs(apart + close)), "active") == [0] * 6 + [1] * 8 + [0] * 2


def test_one_sensor_alone_neither_raises_nor_clears():
    made = stream(beside(), KNOWN)
    lonely = [(2.0, 2.5)] * 5 + [(GONE, 2.5)] * 3 + [(2.0, 2.5)] * 7 + [(2.0, GONE)] * 3 + [(2.0, 2.0)] * 6
    found = said(fed(made, pairs(lonely)), "active")
    assert found == [0] * 5 + [None] * 3 + [0] * 6 + [1] + [1] * 3 + [1] * 6
    assert said(fed(made, pairs([(2.0, 2.0)], T + 240)), "active") == [0]


def test_a_sensor_that_went_silent_is_not_compared_for_long():
    made = stream(beside(), KNOWN)
    fed(made, pairs([(2.0, 2.5)]))
    found = fed(made, pairs([(None, 2.5)] * 12, T + 10))
    assert said(found, "active") == [0.0, 0.0] + [None] * 10


@pytest.mark.parametrize("flag", [Flag.SUSPECT, Flag.PASS])
def test_a_disagreement_with_a_suspect_sensor_is_suspect(flag):
    made = stream(beside(), KNOWN)
    readings = pairs([(2.0, 2.5)] * 8)
    flagged = [
        reading(r.device, r.at.time, flag if n == 2 else Flag.PASS, **r.values)
        for n, r in enumerate(readings)
    ]
    assert [each.flags["active"] for each in fed(made, flagged)] == [Flag.PASS] + [flag] * 6 + [Flag.PASS]


def test_a_clock_that_is_set_right_does_not_raise_the_flag():
    made = stream(beside(), KNOWN)
    ahead = pairs([(2.0, 2.5)] * 2) + pairs([(2.0, 2.5)] * 2, T + 1e8)
    assert said(fed(made, ahead), "active") == [0] * 4
    back = pairs([(2.0, 2.5)] * 7, T + 50)
    assert said(fed(made, back), "active") == [0] * 5 + [1] * 2


@pytest.mark.parametrize("at", range(2, 28, 3))
def test_a_restart_forgets_no_disagreement(at):
    found = pairs([(2.0, 2.5)] * 9 + [(2.0, 2.0)] * 5)
    design = designed(beside(), KNOWN)
    whole, after = design.build(), resumed(design, found[:at])
    fed(whole, found[:at])
    assert after.save() == whole.save()
    assert said(fed(after, found[at + at % 2 :]), "active") == said(
        fed(whole, found[at + at % 2 :]), "active"
    )


# settings


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (table("stage", "river.distance"), 1, 'needs the key "reference"'),
        (table("stage", "river.stage", reference=5.0), 4, "stage is made from distance [m]"),
        (table("stage", "river.distance", reference=50_000.0), 5, "reference is -10000 to 10000 m"),
        (table("stage", "river.distance", reference=5.0, assumed=34.0), 6, "assumed is 300 to 400 m/s"),
        (
            table("stage", "river.distance", reference=5.0, temperature="weather.pressure"),
            6,
            "temperature [Cel]",
        ),
        (table("stage", "river.distance", reference=5.0, datum="x" * 61), 6, "60 characters"),
        (table("depth", "well.water_pressure"), 1, "a pressure [hPa]"),
        (table("depth", "well.water_pressure", air="well.water_pressure"), 5, "air is a pressure [hPa]"),
        (
            table("depth", "well.water_pressure", air="weather.pressure", density="salt"),
            6,
            '"fresh", "sea" or',
        ),
        (table("depth", "well.water_pressure", air="weather.pressure", density=1.0), 6, "900 to 1300 kg/m3"),
        (table("rise", "river.distance"), 4, "depth [m] or stage [m]"),
        (table("rise", "river2.depth"), 1, "at least 3 readings that span 0.5 of its window"),
        (table("rise", "river2.depth", over="30m"), 5, "comes each 900 s: take a longer one"),
        (table("rise", "river2.depth", over="50m", share=0.91), 5, "span 0.91 of its window"),
        (table("rise", "river.stage", share=1.0), 5, "share is 0 to 0.95"),
        (table("rise", "river.stage", over="3h", robust=True), 6, "at most 720 readings, and 1080"),
        (table("rise", "river.stage", over="110m", robust=True), 6, 'every = "44s" or more'),
        (table("stage_alarm", "river.stage"), 3, "at least one of action, minor, moderate, major"),
        (table("stage_alarm", "river.stage", minor=2.0, major=2.0), 6, "major must begin above minor"),
        (table("stage_alarm", "river.stage", action=1.0, hysteresis=-0.1), 6, "hysteresis is 0 to 100 m"),
        (table("stage_alarm", "river.stage", action=1.0, on_delay=0), 6, "on_delay is 1 to 1000 readings"),
        (table("stage_alarm", "river.stage", action=1.0, off_delay=1001), 6, "off_delay is 1 to 1000"),
        (table("stage_alarm", "river.stage", action=1.0, stale_after=0), 6, "stale_after is 1 to 1000"),
        (table("disagreement", "river.stage"), 1, "a depth [m] or stage [m]"),
        (table("disagreement", "river.stage", beside="river.stage"), 5, "cannot be compared with itself"),
        (table("disagreement", "river.stage", beside="river2.depth"), 5, "count from different zeros"),
        (beside(tolerance=-1.0), 7, "tolerance is 0 to 100 m"),
        (beside(after="0s"), 6, "greater than 0"),
    ],
)
def test_what_can_never_work_is_refused_with_its_line(text, line, sentence):
    found = problems(text, KNOWN)
    assert any(one.startswith(f"{line}: ") and sentence in one for one in found), found


@pytest.mark.parametrize(("over", "every", "fits"), [("30m", "4s", True), ("30m", "3s", False)])
def test_a_robust_rise_must_be_affordable(over, every, fits):
    text = table("rise", "river.stage", over=over, every=every, robust=True)
    assert (not problems(text, KNOWN)) is fits


@pytest.mark.parametrize("key", ["reference", "assumed"])
def test_what_is_no_number_is_refused(key):
    text = table("stage", "river.distance", **{"reference": 5.0, key: 1.0}).replace("= 1.0", "= nan")
    assert any(key in one for one in problems(text, KNOWN))


def test_a_day_of_seconds_leaves_little_in_memory():
    made = stream(alarm(), KNOWN)
    rise = stream(table("rise", "river.stage"), {**KNOWN, "river.stage": 1.0})
    for n in range(5000):
        each = reading("river", T + n, stage=1.0 + n % 7 / 10)
        made.feed(each)
        rise.feed(each)
    assert len(json.dumps(made.save())) < 300
    assert len(rise._state.rise) == 900
