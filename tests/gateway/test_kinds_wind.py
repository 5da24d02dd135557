"""Wind, as the configuration has it: an anemometer and a vane become means, gusts and a direction."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.derive.gusts import Gusts
from gateway.derive.wind import Wind
from gateway.derive.wind_window import summary
from gateway.reading import Flag
from tests.gateway.stream_rig import designed, fed, problems, reading, restarted, stream

CALM, UNKNOWN = Missing.OUT_OF_RANGE, Missing.INPUT_MISSING
KNOWN = {"wind.wind_speed": 1.0, "wind.wind_gust": 1.0, "vane.wind_direction": 1.0, "vane.temperature": 1.0}
SLOW = {**KNOWN, "wind.wind_speed": 10.0, "wind.wind_gust": 10.0, "vane.wind_direction": 10.0}
T = 1_770_000_000.0
VANE = {"direction": "vane.wind_direction"}


def table(**keys):
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"from": "wind.wind_speed", **keys}.items()]
    return "\n".join(["[[derive]]", 'id = "made"', 'kind = "wind"', *lines])


def blow(winds, step=1.0, start=T, flags=None):
    """Readings of both devices; a wind is a speed, or a speed and a direction."""
    for n, wind in enumerate(winds):
        speed, direction = wind if isinstance(wind, tuple) else (wind, None)
        if direction is not None:
            yield reading("vane", start + step * n - 0.1, flags, wind_direction=direction)
        yield reading("wind", start + step * n, flags, wind_speed=speed)


def test_ten_minutes_of_a_steady_wind():
    made = stream(table(**VANE), KNOWN)
    found = fed(made, blow([(6.0, 350.0), (4.0, 10.0)] * 361))
    assert [each.at.time - T for each in found] == [60.0 * n for n in range(13)]
    assert found[0].missing == dict.fromkeys(
        ("wind_speed", "wind_gust", "wind_direction", "turbulence"), UNKNOWN
    )
    last = found[-1].values
    assert last["wind_speed"] == pytest.approx(5.0)
    assert last["wind_gust"] == pytest.approx(16 / 3)
    assert last["wind_direction"] == pytest.approx(358.0, abs=0.1)
    assert last["turbulence"] == pytest.approx(0.2)


def test_two_minutes_as_at_an_aerodrome():
    made = stream(table(over="2m", every="10s"), KNOWN)
    found = fed(made, blow([2.0] * 200 + [8.0] * 121))
    assert found[-1].values == {"wind_speed": 8.0, "wind_gust": 8.0, "turbulence": 0.0}


def test_the_gusts_of_an_instrument_that_finds_them_itself():
    made = stream(table(gust="wind.wind_gust", over="2m"), SLOW)
    gusts = [5.0, 9.0, 7.0, Missing.SENTINEL] + [6.0] * 40
    readings = [reading("wind", T + 10.0 * n, wind_speed=4.0, wind_gust=peak) for n, peak in enumerate(gusts)]
    found = {each.at.time - T: each.values for each in fed(made, readings)}
    assert found[120.0] == {"wind_speed": 4.0, "wind_gust": 9.0}
    assert found[180.0] == {"wind_speed": 4.0, "wind_gust": 6.0}


def test_too_few_gusts_are_none():
    made = stream(table(gust="wind.wind_gust", over="2m"), SLOW)
    readings = [
        reading("wind", T + 10.0 * n, wind_speed=4.0, wind_gust=9.0 if n % 2 else Missing.SENTINEL)
        for n in range(30)
    ]
    last = fed(made, readings)[-1]
    assert (last.values, last.missing) == ({"wind_speed": 4.0}, {"wind_gust": UNKNOWN})


def test_what_an_instrument_cannot_tell_is_not_promised():
    assert designed(table(), KNOWN).gives == ("wind_speed", "wind_gust", "turbulence")
    assert designed(table(gusts=False), SLOW).gives == ("wind_speed",)
    assert designed(table(gusts=False, **VANE), KNOWN).gives == ("wind_speed", "wind_direction", "turbulence")
    made = stream(table(gusts=False, **VANE), SLOW)
    last = fed(made, blow([(4.0, 90.0)] * 70, step=10.0))[-1]
    assert last.values == {"wind_speed": 4.0, "wind_direction": 90.0}


def test_calm_has_no_direction():
    made = stream(table(over="1m", **VANE), KNOWN)
    last = fed(made, blow([(0.1, 90.0)] * 61))[-1]
    assert last.missing == {"wind_direction": CALM, "turbulence": CALM}
    assert last.values["wind_speed"] == pytest.approx(0.1)


def test_a_vane_that_fell_silent_turns_nothing():
    made = stream(table(over="1m", **VANE), KNOWN)
    fed(made, blow([(4.0, 90.0)] * 10))
    last = fed(made, blow([4.0] * 111, start=T + 10))[-1]
    assert (last.values["wind_speed"], last.missing) == (4.0, {"wind_direction": UNKNOWN})


@pytest.mark.parametrize("flag", [Flag.SUSPECT, Flag.PASS])
def test_a_suspect_vane_makes_the_wind_suspect_as_long_as_it_counts(flag):
    made = stream(table(over="1m", every="1s", **VANE), KNOWN)
    fed(made, blow([(4.0, 90.0)] * 100, flags=Flag.PASS))
    found = fed(made, blow([(4.0, 90.0)], start=T + 100, flags=flag))
    found += fed(made, blow([(4.0, 90.0)] * 80, start=T + 101, flags=Flag.PASS))
    assert [set(each.flags.values()) for each in found] == [{flag}] * 60 + [{Flag.PASS}] * 21


def test_failed_and_missing_speeds_count_against_the_share():
    made = stream(table(over="1m", every="1s"), KNOWN)
    fed(made, blow([4.0] * 60, flags=Flag.PASS))
    failed = fed(made, blow([90.0] * 15, start=T + 60, flags=Flag.FAIL))
    assert [each.values["wind_speed"] for each in failed] == [4.0] * 15
    (one,) = made.feed(reading("wind", T + 75, wind_speed=Missing.TIMEOUT))
    assert one.missing["wind_speed"] is UNKNOWN


winds = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.one_of(st.floats(0.0, 40.0), st.just(Missing.TIMEOUT)),
        st.one_of(st.floats(0.0, 360.0), st.just(Missing.TIMEOUT)),
        st.one_of(st.floats(0.0, 60.0), st.just(Missing.TIMEOUT)),
    ),
    min_size=1,
    max_size=60,
)


@settings(deadline=None)
@given(winds, st.sampled_from([Gusts.FOUND, Gusts.GIVEN, Gusts.NONE]))
def test_a_stream_says_what_the_plain_functions_say(heard, gusts):
    """Late ones, gaps and repeated ones, whatever the gust comes from."""
    keys = {Gusts.FOUND: {}, Gusts.GIVEN: {"gust": "wind.wind_gust"}, Gusts.NONE: {"gusts": False}}[gusts]
    made = stream(
        table(over="10s", every="1ms", share=0.3, direction="wind.wind_direction", **keys),
        {**KNOWN, "wind.wind_direction": 1.0},
    )
    told, newest = [], -1
    for tick, speed, direction, peak in heard:
        if tick < newest - 10:
            continue  # a clock that was set back: another test
        told.append(Wind(T + tick, speed, direction, peak))
        values = {"wind_speed": speed, "wind_direction": direction, "wind_gust": peak}
        found = made.feed(reading("wind", T + tick, **values))
        assert bool(found) is (tick > newest)
        newest = max(newest, tick)
        if found:
            whole = summary(told, T + newest, 10.0, 1.0, 0.3, gusts)
            expected = {
                "wind_speed": whole.speed, "wind_gust": whole.gust,
                "wind_direction": whole.direction, "turbulence": whole.turbulence,
            }  # fmt: skip
            for name, one in expected.items():
                if name == "wind_gust" and gusts is Gusts.NONE:
                    continue
                got = found[0].values.get(Quantity(name), found[0].missing.get(Quantity(name)))
                assert got is one or got == pytest.approx(one, rel=1e-5, abs=1e-5), name


@pytest.mark.parametrize("at", [700, 1201, 1800])
def test_a_restart_changes_nothing(at):
    dice, design = random.Random(at), designed(table(**VANE), KNOWN)
    gusty = [(5.0 + 4.0 * math.sin(n / 50) + dice.random(), dice.uniform(300, 360)) for n in range(1300)]
    assert restarted(design, list(blow(gusty)), at)


@pytest.mark.parametrize(
    ("keys", "known", "line", "sentence"),
    [
        ({"from": "wind.wind_gust"}, KNOWN, 4, "wind is made from wind_speed [m/s], not from wind.wind_gust"),
        ({"direction": "vane.temperature"}, KNOWN, 5, "direction is a wind_direction [deg]"),
        ({"gust": "wind.wind_speed"}, KNOWN, 5, "gust is a wind_gust [m/s]"),
        ({}, SLOW, 1, "readings each 10 s do not divide that: name the instrument's own gust"),
        ({}, {"wind.wind_speed": 2.0}, 1, "do not divide"),
        ({"gust": "wind.wind_gust", "gusts": False}, KNOWN, 6, "leave one out"),
        ({"over": "2s"}, KNOWN, 5, "over 3 s to 1 h, not 2 s"),
        ({"over": "5s", "gusts": False}, SLOW, 5, "over 10 s to 1 h, not 5 s"),
        ({"over": "2h"}, KNOWN, 5, "to 1 h, not 7200 s"),
        ({"share": 0.0}, KNOWN, 5, "above 0, to 1"),
        ({"share": 1.01}, KNOWN, 5, "above 0, to 1"),
        ({"every": "0s"}, KNOWN, 5, "greater than 0"),
        (
            {"direction": "vane.wind_direction", "over": "2m"},
            {**KNOWN, "vane.wind_direction": 600.0},
            5,
            "less than once in this window",
        ),
    ],
)
def test_what_can_never_work_is_refused_with_its_line(keys, known, line, sentence):
    found = problems(table(**keys), known)
    assert any(one.startswith(f"{line}: ") and sentence in one for one in found), found
