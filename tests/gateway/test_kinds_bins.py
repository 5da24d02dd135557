"""Streams of bins: fill, trend, fire, tipped, overflow, from the configuration to readings."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.emptying import Emptyings
from gateway.derive.filling import Filling
from gateway.reading import Flag
from tests.gateway.stream_rig import designed, fed, problems, reading, restarted, resumed, stream

QUARTER, HOUR = 900.0, 3600.0
GONE, UNKNOWN = Missing.NO_TARGET, Missing.INPUT_MISSING
KNOWN = {
    "bin.distance": 10.0,
    "bin.surface_temperature": 10.0,
    "bin.fill": QUARTER,
    "bin.tilt": 10.0,
    "bin_scale.weight": 60.0,
    "eye.active": 1.0,
    "eye.closed": 1.0,
}


def table(kind, source, **keys):
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f'[[derive]]\nid = "rubbish"\nkind = "{kind}"\nfrom = "{source}"\n{lines}'


def said(readings, quantity):
    return [each.values.get(quantity, each.missing.get(quantity)) for each in readings]


def shown(device, quantity, values, step=10.0, start=0.0, flags=None):
    return [reading(device, start + n * step, flags, **{quantity: value}) for n, value in enumerate(values)]


# fill


def filled(distances, **keys):
    readings = shown("bin", "distance", distances)
    return said(fed(stream(table("fill", "bin.distance", **keys), KNOWN), readings), "fill")


def test_a_straight_bin_fills_with_its_depth():
    out = [1.2, 0.7, 0.2, 0.05, 1.25, 1.26, GONE]
    expected = [0.0, 50.0, 100.0, 100.0, 0.0, Missing.OUT_OF_RANGE, UNKNOWN]
    assert filled(out, empty=1.2, full=0.2) == [
        e if e in (UNKNOWN, Missing.OUT_OF_RANGE) else pytest.approx(e) for e in expected
    ]


def test_half_the_height_of_a_tapered_bin_is_two_fifths_of_its_volume():
    assert filled([0.7], empty=1.2, full=0.2, bottom=0.20, top=0.30) == [pytest.approx(40.1, abs=0.05)]
    assert filled([0.7], empty=1.2, full=0.2, bottom=0.25, top=0.25) == [pytest.approx(50.0)]


def test_a_table_is_read_between_its_points():
    assert filled([0.3, 0.9], table="[[0.2, 100], [0.4, 90], [0.6, 90.0], [1.2, 0.0]]") == [
        95.0,
        pytest.approx(45.0),
    ]


def test_a_weight_fills_from_the_tare_to_the_full_weight():
    text = table("weight_fill", "bin_scale.weight", tare=38.0, full=68.0)
    readings = shown("bin_scale", "weight", [38.0, 53.0, 90.0, 36.0, GONE])
    expected = [0.0, 50.0, 100.0, Missing.OUT_OF_RANGE, UNKNOWN]
    assert said(fed(stream(text, KNOWN), readings), "fill") == expected


def test_quality_travels_into_a_fill():
    fill = stream(table("fill", "bin.distance", empty=1.2, full=0.2), KNOWN)
    flags = [Flag.PASS, Flag.SUSPECT, Flag.NOT_EVALUATED, Flag.FAIL]
    readings = [
        each for n, flag in enumerate(flags) for each in shown("bin", "distance", [0.7], start=n, flags=flag)
    ]
    results = fed(fill, readings)
    assert [each.flags.get("fill") for each in results] == [Flag.PASS, Flag.SUSPECT, None, None]
    assert results[3].missing == {"fill": UNKNOWN}


# filling


def trend(**keys):
    return designed(table("filling", "bin.fill", **keys), KNOWN)


def fills(values, start=0.0, flags=None):
    return shown("bin", "fill", values, QUARTER, start, flags)


def steady(rate, hours, start=0.0, at=0.0):
    return fills([start + rate * n / 4 for n in range(round(hours * 4) + 1)], at)


def test_a_steady_bin_is_full_when_its_line_says():
    last = fed(trend().build(), steady(4.0, 5, start=10.0))[-1]
    assert last.at.time == 5 * HOUR
    assert last.values == {
        "fill_rate": pytest.approx(4.0),
        "time_to_full": pytest.approx(17.5 * HOUR),
        "time_to_full_min": pytest.approx(17.5 * HOUR),
        "time_to_full_max": pytest.approx(17.5 * HOUR),
    }
    assert last.missing == {"since_emptied": Missing.NOT_READY}
    assert fed(trend(target=80.0).build(), steady(4.0, 5, start=10.0))[-1].values[
        "time_to_full"
    ] == pytest.approx(12.5 * HOUR)


def test_an_emptying_is_seen_at_once_and_begins_the_trend_anew():
    made = trend(every='"30m"').build()
    fed(made, steady(4.0, 15.25, start=10.0))
    (low,) = fed(made, fills([1.0], 15.5 * HOUR))
    assert low.values["fill_rate"] == pytest.approx(4.0), "perhaps an echo"
    (emptied,) = fed(made, fills([1.0], 15.75 * HOUR))
    assert emptied.values == {"since_emptied": QUARTER}
    assert set(emptied.missing.values()) == {Missing.NOT_READY}
    later = fed(made, steady(2.0, 4.0, 1.5, 16.0 * HOUR))[-1]
    assert later.values["fill_rate"] == pytest.approx(2.0, rel=0.05)
    assert later.values["since_emptied"] == later.at.time - 15.5 * HOUR


def test_an_echo_is_no_emptying_and_neither_is_missing_data():
    made = trend().build()
    results = fed(made, [*steady(4.0, 5, 40.0), *fills([0.0, 62.0, GONE, 0.0, 62.0, 62.0], 5.25 * HOUR)])
    assert set(said(results, "since_emptied")) == {Missing.NOT_READY, UNKNOWN}
    assert made.feed(fills([0.0], 9 * HOUR)[0])
    assert fed(made, fills([GONE] * 3, 9.1 * HOUR))[-1].missing.keys() >= {"since_emptied"}
    assert said(fed(made, fills([0.0], 12 * HOUR)), "since_emptied") == [3 * HOUR], (
        "emptied while nothing came"
    )


def test_the_latest_time_is_missing_while_the_bin_may_as_well_not_fill():
    wavering = fills([40.0 + fill for fill in (0, 6, 1, 4, 0, 7, 2, 5)])
    last = fed(trend().build(), wavering)[-1]
    assert last.values["time_to_full_min"] < last.values["time_to_full"]
    assert last.missing["time_to_full_max"] is Missing.OUT_OF_RANGE
    still = fed(trend().build(), steady(0.0, 5, 10.0))[-1]
    assert still.values == {"fill_rate": 0.0}
    assert still.missing["time_to_full"] is Missing.OUT_OF_RANGE


def test_it_speaks_once_in_each_time_however_often_the_fill_comes():
    design = designed(table("filling", "bin.fill"), {"bin.fill": 1.0})
    readings = shown("bin", "fill", [10.0] * 1000, 1.0)
    assert [each.at.time for each in fed(design.build(), readings)] == [0.0, 300.0, 600.0, 900.0]
    assert (design.interval, trend().interval) == (300.0, QUARTER)


def test_a_short_gap_is_bridged_and_a_long_one_is_missing():
    design = designed(table("filling", "bin.fill"), {"bin.fill": 60.0})
    values = [10.0] * 5 + [GONE] * 3 + [10.0] * 3 + [GONE] * 16
    results = fed(design.build(), shown("bin", "fill", values, 60.0))
    assert [each.at.time for each in results] == [0.0, 480.0, 600.0, 900.0, 1200.0, 1500.0]
    assert said(results, "fill_rate") == [Missing.NOT_READY] * 3 + [UNKNOWN] * 3


def test_a_suspect_fill_makes_the_trend_suspect_for_a_day():
    made = trend().build()
    fed(made, fills([10.0] * 10, flags=Flag.PASS))
    (result,) = fed(made, fills([10.5], 2.5 * HOUR, Flag.SUSPECT))
    assert result.flags["fill_rate"] is Flag.SUSPECT
    later = fed(made, fills([11.0] * 120, 2.75 * HOUR, Flag.PASS))
    flags = {each.at.time / HOUR: each.flags["fill_rate"] for each in later}
    assert flags[26.5] is Flag.SUSPECT
    assert flags[26.75] is Flag.PASS


def untidy(seed, count=80):
    """Return fills over days: with noise, gaps, echoes, missing, late and repeated ones."""
    chance, readings, time, fill = random.Random(seed), [], 0.0, 10.0
    for _ in range(count):
        time += chance.choice((60.0, QUARTER, QUARTER, 6 * HOUR))
        emptied = fill > chance.uniform(60, 200)
        fill = chance.uniform(0, 15) if emptied else min(100.0, fill + chance.random() * 8)
        value = GONE if chance.random() < 0.1 else fill
        readings += fills([chance.uniform(0, 100) if chance.random() < 0.08 else value], time)
        if chance.random() < 0.1:
            readings.append(readings[-1])
    return readings


@given(st.integers(0, 10**6), st.integers(1, 80))
def test_a_restart_changes_no_trend(seed, at):
    readings = untidy(seed)
    assert restarted(trend(), readings, at)
    assert len(json.dumps(resumed(trend(), readings[:at]).save())) < 4096


@pytest.mark.parametrize("at", range(1, 26))
def test_a_restart_in_a_gap_changes_nothing(at):
    design = designed(table("filling", "bin.fill"), {"bin.fill": 60.0})
    values = [10.0] * 3 + [GONE] * 8 + [10.0, 10.0] + [GONE] * 13
    assert restarted(design, shown("bin", "fill", values, 60.0), at)


@given(st.integers(0, 10**6))
def test_a_trend_is_that_of_its_fills(seed):
    made, state = trend(every='"1s"').build(), Filling(Emptyings(), every=1.0)
    for each in untidy(seed):
        fill = each.values.get("fill", UNKNOWN)
        state.feed(each.at.time, fill)
        for result in made.feed(each):
            if fill is not UNKNOWN:
                rate = state.rate()
                expected = rate if isinstance(rate, Missing) else pytest.approx(rate.middle)
                assert said([result], "fill_rate") == [expected]


# fire


def heat(temperatures, step=10.0, start=0.0, flags=None):
    return shown("bin", "surface_temperature", temperatures, step, start, flags)


def burning(**keys):
    return designed(table("fire", "bin.surface_temperature", **keys), KNOWN)


def active(readings):
    return said(readings, "active")


def test_a_fire_is_raised_by_level_and_by_rise_and_ends_below_clear():
    assert active(fed(burning().build(), heat([65.0, 70.0, 70.0, 60.0, 44.0], 600.0))) == [
        0.0,
        0.0,
        1.0,
        1.0,
        0.0,
    ]
    assert active(fed(burning().build(), heat([40.0, 50.0, 50.0, 50.0]))) == [0.0, 0.0, 1.0, 1.0]
    assert active(fed(burning().build(), heat([5.0, 44.9, 44.9]))) == [0.0] * 3


def test_missing_heat_neither_raises_nor_ends_a_fire():
    readings = heat([GONE, 90.0, GONE, 90.0, GONE, GONE])
    assert active(fed(burning().build(), readings)) == [UNKNOWN, 0.0, UNKNOWN, 1.0, 1.0, 1.0]


def test_a_failed_temperature_is_none_and_a_suspect_one_makes_a_suspect_fire():
    fire = burning().build()
    assert active(fed(fire, heat([90.0, 90.0], flags=Flag.FAIL))) == [UNKNOWN] * 2
    results = fed(
        fire, heat([90.0, 90.0], start=100.0, flags=Flag.SUSPECT) + heat([90.0], start=200.0, flags=Flag.PASS)
    )
    assert active(results) == [0.0, 1.0, 1.0]
    assert [each.flags["active"] for each in results] == [Flag.SUSPECT] * 3
    (result,) = fed(fire, heat([90.0], start=400.0, flags=Flag.PASS))
    assert result.flags["active"] is Flag.PASS
    assert fed(fire, heat([GONE], start=410.0))[0].flags == {}, "an alarm that only stands"


def test_a_fire_is_suspect_by_any_of_the_readings_that_confirm_it():
    """Twenty readings each 10 s are longer than the two minutes of a rise."""
    doubted = heat([90.0], flags=Flag.SUSPECT) + heat([90.0] * 30, start=10.0, flags=Flag.PASS)
    results = fed(burning(confirm=20).build(), doubted)
    assert active(results) == [0.0] * 19 + [1.0] * 12
    flags = [each.flags["active"] for each in results]
    assert flags == [Flag.SUSPECT] * 31, "it looks back over 120 s and 19 readings"


def test_a_fire_goes_on_when_the_clock_is_set_back():
    fire = burning().build()
    assert active(fed(fire, heat([90.0, 90.0], start=1e6))) == [0.0, 1.0]
    assert active(fed(fire, heat([50.0, GONE, 44.0], start=1000.0))) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("at", range(1, 8))
def test_a_restart_in_the_middle_of_a_fire_changes_nothing(at):
    assert restarted(burning(), heat([40.0, 42.0, 50.0, 50.5, 46.0, GONE, 45.0, 44.0]), at)


# tipped


def test_a_bin_is_tipped_beyond_its_limit_for_a_time_and_the_lorry_turns_it_over_faster():
    text = table("tipped", "bin.tilt")
    lorry = shown("bin", "tilt", [0.0, *[120.0] * 11, 3.0])
    assert active(fed(stream(text, KNOWN), lorry)) == [0.0] * 13
    lying = shown("bin", "tilt", [0.0, *[90.0] * 13, GONE, *[4.0] * 13])
    assert active(fed(stream(text, KNOWN), lying)) == [0.0] * 13 + [1.0] * 14 + [0.0]
    assert active(fed(stream(text, KNOWN), shown("bin", "tilt", [GONE]))) == [UNKNOWN]


# overflow


def heaped(eye=True):
    keys = {"eye": '"eye.active"'} if eye else {}
    return designed(table("overflow", "bin.distance", full=0.2, hold='"20s"', **keys), KNOWN)


def test_rubbish_above_the_full_line_overflows():
    readings = shown("bin", "distance", [0.2, 0.19, 0.1, 0.1, GONE, 0.3, 0.3, 0.3, GONE])
    assert active(fed(heaped(eye=False).build(), readings)) == [0.0] * 3 + [1.0] * 4 + [0.0, UNKNOWN]


def test_either_witness_raises_and_both_must_be_clear():
    made = heaped().build()
    assert fed(made, [reading("eye", 0.0, active=1.0)]) == [], "the eye is heard when the distance comes"
    assert active(fed(made, shown("bin", "distance", [0.5, 0.5, GONE]))) == [0.0, 0.0, 1.0]
    assert active(fed(made, shown("bin", "distance", [GONE] * 3, start=30.0))) == [1.0] * 3
    fed(made, [reading("eye", 60.0, active=0.0)])
    assert active(fed(made, shown("bin", "distance", [GONE] * 3, start=60.0))) == [1.0] * 3, "cannot tell"
    fed(made, [reading("eye", 90.0, active=0.0)])
    assert active(fed(made, shown("bin", "distance", [0.5] * 3, start=90.0))) == [1.0, 1.0, 0.0]


def test_an_eye_that_is_heard_no_more_is_unknown():
    made = heaped().build()
    fed(made, [reading("eye", 0.0, active=0.0)])
    assert active(fed(made, shown("bin", "distance", [0.5, 0.5, 0.5, 0.5, 0.5]))) == [0.0] * 4 + [UNKNOWN]


ALARMS = {"fire": "surface_temperature", "tipped": "tilt", "overflow": "distance"}
BAD = {"fire": 90.0, "tipped": 90.0, "overflow": 0.1}


def alarm(kind):
    keys = {"full": 0.2, "hold": '"20s"'} if kind == "overflow" else {}
    return designed(table(kind, f"bin.{ALARMS[kind]}", **keys), KNOWN)


@pytest.mark.parametrize("kind", ALARMS)
@given(st.lists(st.sampled_from((0.1, 0.3, 50.0, 90.0, GONE)), min_size=1, max_size=40), st.integers(1, 40))
def test_a_restart_changes_no_alarm(kind, values, at):
    assert restarted(alarm(kind), shown("bin", ALARMS[kind], values), at)


@pytest.mark.parametrize("kind", ALARMS)
def test_an_alarm_outlasts_a_restart_without_data(kind):
    made = resumed(alarm(kind), shown("bin", ALARMS[kind], [BAD[kind]] * 20 + [GONE] * 5))
    assert active(fed(made, shown("bin", ALARMS[kind], [GONE], start=1e5))) == [1.0]


def test_what_was_saved_by_nobody_begins_anew():
    fire = burning().build()
    for state in (
        {},
        [],
        None,
        {"on": "yes", "count": 0, "lows": []},
        {"on": True, "count": 0, "lows": [[1]]},
    ):
        assert fire.restore({"newest": 0.0, "shift": 0.0, "state": state}) is None
        assert active(fed(fire, heat([GONE]))) == [UNKNOWN]
    made, other = trend().build(), trend().build()
    fed(other, fills([10.0]))
    for slot in ("0", True, float("nan")):
        state = {"slot": slot, "good": 0.0, "filling": other.save()["state"]["filling"]}
        assert made.restore({"newest": 0.0, "shift": 0.0, "state": state}) is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (table("fill", "bin.distance"), 1, "say empty, the distance [m] down to the floor, or else a table"),
        (table("fill", "bin.distance", empty=1.2), 1, "say full, the distance [m] down to the full line"),
        (table("fill", "bin.distance", empty=0.2, full=1.2), 5, "it must be larger than full"),
        (table("fill", "bin.distance", empty=1200.0, full=0.2), 5, "empty is above 0, to 20 m, not 1200"),
        (table("fill", "bin.distance", empty="nan", full=0.2), 5, "empty is above 0"),
        (table("fill", "bin.distance", empty=1.2, full=-0.1), 6, "full is 0 to 20 m, not -0.1"),
        (table("fill", "bin.distance", empty=1.2, full=0.2, top=0.3), 7, "two radii: say bottom too"),
        (table("fill", "bin.distance", empty=1.2, full=0.2, bottom=0.3), 7, "two radii: say top too"),
        (table("fill", "bin.distance", empty=1.2, full=0.2, bottom=0.0, top=0.0), 7, "both 0 m"),
        (
            table("fill", "bin.distance", empty=1.2, full=0.2, bottom=0.2, top=30.0),
            8,
            "top is 0 to 20 m, not 30",
        ),
        (
            table("fill", "bin.distance", table="[[0.2, 100.0], [0.2, 0.0]]"),
            5,
            "must rise: 0.2 m follows 0.2 m",
        ),
        (table("fill", "bin.distance", table="[[0.2, 100.0], [1200.0, 0.0]]"), 5, "are 0 to 20 m"),
        (
            table("fill", "bin.distance", table="[[0.2, 100.0], [1.2, 0.0]]", empty=1.2, full=0.2),
            5,
            "leave empty and full out",
        ),
        (table("fill", "bin_scale.weight", empty=1.2, full=0.2), 4, "not from bin_scale.weight [kg]"),
        (table("weight_fill", "bin_scale.weight", tare=68.0, full=38.0), 6, "it must be larger than tare"),
        (
            table("weight_fill", "bin_scale.weight", tare=38.0, full=68000.0),
            6,
            "-40000 to 40000 kg, not 68000",
        ),
        (table("weight_fill", "bin_scale.weight", tare=38.0), 1, 'needs the key "full"'),
        (table("filling", "bin.distance"), 4, "filling is made from fill [%]"),
        (table("filling", "bin.fill", fall=0.0), 5, "fall is above 0, to 100 points of %, not 0"),
        (table("filling", "bin.fill", confirm=0), 5, "confirm is 1 to 100, not 0"),
        (table("filling", "bin.fill", below=101.0), 5, "below is 0 to 100 %, not 101"),
        (table("filling", "bin.fill", least=2), 5, "least is 3 to 48, not 2"),
        (table("filling", "bin.fill", target=0.0), 5, "target is above 0, to 100 %, not 0"),
        (table("filling", "bin.fill", every='"0s"'), 5, "every"),
        (table("fire", "bin.surface_temperature", clear=70.0), 5, "it must be lower than level"),
        (table("fire", "bin.surface_temperature", level=500.0), 5, "level is -40 to 400 Cel, not 500"),
        (table("fire", "bin.surface_temperature", rise=0.0), 5, "rise is above 0, to 400 K, not 0"),
        (table("fire", "bin.surface_temperature", confirm=0), 5, "confirm is 1 to 100, not 0"),
        (
            table("fire", "bin.surface_temperature", within='"5s"'),
            5,
            "come every 10 s: no rise is ever seen within 5 s",
        ),
        (table("fire", "bin.surface_temperature", within='"2h"'), 5, "take 6000 s or less"),
        (table("tipped", "bin.tilt", limit=180.0), 5, "limit is above 0, to 179 deg, not 180"),
        (table("tipped", "bin.fill"), 4, "tipped is made from tilt [deg]"),
        (table("overflow", "bin.distance", full=0.0), 5, "full is above 0, to 20 m, not 0"),
        (
            table("overflow", "bin.distance", full=0.2, eye='"eye.closed"'),
            6,
            "eye is a active [1], not from eye.closed",
        ),
        (table("overflow", "bin.distance", full=0.2, eye='"ey.active"'), 6, 'did you mean "eye.active"?'),
    ],
)
def test_settings_that_can_never_work_are_refused(text, line, words):
    (found,) = problems(text, KNOWN)
    place, _, sentence = found.partition(": ")
    assert words in sentence
    assert int(place) == line
