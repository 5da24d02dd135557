"""Corrections as streams: by their formulas, inputs that are old or missing, a CO2 baseline over days."""

import json
import math

import pytest

from drivers.device import Missing, Quantity
from gateway.derive import air
from gateway.reading import Flag, Reading
from tests.gateway.stream_rig import designed, fed, problems, reading, restarted, resumed, stream

PM2_5, NO2, CO2 = Quantity.PM2_5, Quantity.NO2, Quantity.CO2
START, HOUR, STEP = 1_781_049_600.0, 3600.0, 600.0
KNOWN = {
    "air.pm2_5": 10.0,
    "air.humidity": 10.0,
    "air.temperature": 10.0,
    "air.co2": STEP,
    "weather.humidity": 60.0,
    "weather.temperature": 60.0,
    "working.voltage": 1.0,
    "auxiliary.voltage": 1.0,
}

# Particles

PM = """[[derive]]
id = "pm"
kind = "corrected_pm"
from = "air.pm2_5"
"""
INSIDE = PM + 'humidity = "air.humidity"\n'
OUTSIDE = (
    PM
    + 'humidity = "weather.humidity"\n'
    + 'temperature = "weather.temperature"\n'
    + 'box_temperature = "air.temperature"\n'
)


def one(text: str, *readings: Reading) -> Reading:
    return fed(stream(text, KNOWN), readings)[-1]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", 40.0 / (1.0 + 0.3 / 1.65 * 0.7 / 0.3)),
        ("kappa = 0.6\ndensity = 1.8", 40.0 / (1.0 + 0.6 / 1.8 * 0.7 / 0.3)),
        ('method = "us-wide-2021"', 0.524 * 40.0 - 0.0862 * 70.0 + 5.75),
        ('method = "us-wide-smoke-2022"', (0.524 + 0.131) * 40.0 - 0.0862 * 70.0 + 5.75),
    ],
)
def test_each_method_by_hand(more, expected):
    said = one(INSIDE + more, reading("air", START, pm2_5=40.0, humidity=70.0))
    assert said.values == {PM2_5: pytest.approx(expected)}


def test_humidity_of_other_air_is_taken_to_the_warmer_box():
    weather = reading("weather", START, humidity=80.0, temperature=10.0)
    said = one(OUTSIDE, weather, reading("air", START + 1, pm2_5=40.0, temperature=15.0))
    inside = air.humidity_at(80.0, 10.0, 15.0)
    assert inside < 60.0
    assert said.values == {PM2_5: pytest.approx(air.dry(40.0, inside, 0.3))}


@pytest.mark.parametrize(
    ("age", "values", "reason"),
    [
        (180.0, {"pm2_5": 40.0, "temperature": 15.0}, None),
        (181.0, {"pm2_5": 40.0, "temperature": 15.0}, Missing.INPUT_MISSING),
        (1.0, {"pm2_5": 40.0, "temperature": Missing.FAULT}, Missing.INPUT_MISSING),
        (1.0, {"pm2_5": Missing.FAULT, "temperature": 15.0}, Missing.INPUT_MISSING),
        (1.0, {"pm2_5": -1.0, "temperature": 15.0}, Missing.OUT_OF_RANGE),
        (1.0, {"pm2_5": 40.0, "temperature": -20.0}, Missing.OUT_OF_RANGE),
    ],
)
def test_without_an_input_nothing_is_corrected(age, values, reason):
    weather = reading("weather", START, humidity=80.0, temperature=10.0)
    said = one(OUTSIDE, weather, reading("air", START + age, **values))
    assert said.missing.get(PM2_5) is reason


def test_wet_air_gives_no_number():
    said = one(INSIDE, reading("air", START, pm2_5=40.0, humidity=96.0))
    assert said.missing == {PM2_5: Missing.OUT_OF_RANGE}


def test_the_humidity_that_comes_alone_says_nothing():
    assert not fed(stream(OUTSIDE, KNOWN), [reading("weather", START, humidity=80.0, temperature=10.0)])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"pm2_5": Flag.PASS, "humidity": Flag.PASS}, {PM2_5: Flag.PASS}),
        ({"pm2_5": Flag.PASS, "humidity": Flag.SUSPECT}, {PM2_5: Flag.SUSPECT}),
        ({"pm2_5": Flag.SUSPECT, "humidity": Flag.PASS}, {PM2_5: Flag.SUSPECT}),
        ({"pm2_5": Flag.PASS, "humidity": Flag.FAIL}, None),
    ],
)
def test_doubts_about_either_input_travel(flags, said):
    found = one(INSIDE, reading("air", START, flags, pm2_5=40.0, humidity=70.0))
    assert (found.flags == said) if said else (found.missing == {PM2_5: Missing.INPUT_MISSING})


def test_corrected_particles_make_an_index():
    text = '[[derive]]\nid = "index"\nkind = "us_aqi"\nfrom = "pm.pm2_5"\n'
    assert not problems(text, {"pm.pm2_5": designed(INSIDE, KNOWN).interval})


# Gases

CELL = """[[derive]]
id = "no2"
kind = "electrochemical"
from = "working.voltage"
auxiliary = "auxiliary.voltage"
temperature = "weather.temperature"
gas = "no2"
working_zero = 220.0
auxiliary_zero = 230.0
sensitivity = -0.25
table = [[-10, 0.8], [20, 1.0], [40, 1.6]]
"""


def cell(working: float, auxiliary: float, temperature: float | Missing = 30.0) -> Reading:
    return one(
        CELL,
        reading("weather", START, temperature=temperature),
        reading("auxiliary", START, voltage=auxiliary),
        reading("working", START + 1, voltage=working),
    )


def test_a_cell_by_hand():
    """n_T at 30 Cel is 1.3: ((210 - 220) - 1.3 (232 - 230)) / -0.25 = 50.4 ppb."""
    assert cell(0.210, 0.232).values == {NO2: pytest.approx(50.4)}


def test_a_cell_beyond_its_table_or_without_temperature_gives_nothing():
    assert cell(0.210, 0.232, 41.0).missing == {NO2: Missing.OUT_OF_RANGE}
    assert cell(0.210, 0.232, Missing.FAULT).missing == {NO2: Missing.INPUT_MISSING}


def test_a_cell_gives_the_gas_that_it_is_for():
    assert designed(CELL.replace('"no2"\nwork', '"co"\nwork'), KNOWN).gives == (Quantity.CO,)


# CO2


def base(more: str = "days = 1") -> str:
    return f'[[derive]]\nid = "fresh"\nkind = "co2_baseline"\nfrom = "air.co2"\n{more}\n'


def days(count: int, flags: Flag | None = None, step: float = STEP, offset: float = 30.0) -> list[Reading]:
    """Return days whose freshest air is 420 ppm, as a part shows it that is *offset* too high."""
    times = [k * step for k in range(1, round(count * 24 * HOUR / step) + 1)]
    levels = [420.0 + offset + 60.0 * (1.0 - math.cos(time / 86400 * math.tau)) for time in times]
    return [reading("air", START + time, flags, co2=level) for time, level in zip(times, levels, strict=True)]


def test_the_freshest_hours_become_fresh_air():
    said = fed(stream(base("days = 2\npercentile = 0"), KNOWN), days(3))
    assert said[0].missing == {CO2: Missing.NOT_READY}
    ready = next(k for k, each in enumerate(said) if each.values)
    assert ready == 36 * 6, "36 of 48 hours, and the first reading after them"
    assert min(each.values[CO2] for each in said[ready:]) == pytest.approx(420.0, abs=1.0)


def test_an_offset_beyond_the_limit_is_no_correction():
    assert fed(stream(base(), KNOWN), days(2, offset=150.0))[-1].missing == {CO2: Missing.UNRELIABLE}


def test_an_hour_that_a_gap_follows_still_counts():
    made = stream(base("days = 1\nshare = 0.04\npercentile = 0"), KNOWN)
    fed(made, days(1, offset=10.0)[:6])
    (said,) = fed(made, [reading("air", START + 9 * HOUR, co2=500.0)])
    assert said.values[CO2] == pytest.approx(490.0, abs=1.5)


def test_the_quality_of_a_reading_is_that_of_its_correction():
    said = fed(stream(base(), KNOWN), [*days(1), *days(2, Flag.SUSPECT)[144:146]])
    assert [each.flags.get(CO2) for each in said[-2:]] == [Flag.SUSPECT] * 2
    last = fed(stream(base(), KNOWN), [*days(1), *days(2, Flag.FAIL)[144:146]])[-1]
    assert last.missing == {CO2: Missing.INPUT_MISSING}


def test_a_missing_reading_is_no_reading_of_an_hour():
    gone = [reading("air", each.at.time, co2=Missing.TIMEOUT) for each in days(1)]
    assert fed(stream(base(), KNOWN), [*gone, *days(2)[144:150]])[-1].missing == {CO2: Missing.NOT_READY}


def test_a_clock_that_is_set_back_does_not_cost_a_week():
    made = stream(base(), KNOWN)
    fed(made, days(1))
    back = [reading("air", START - 5000.0 + k * STEP, co2=480.0) for k in range(3)]
    said = fed(made, back)
    assert [each.at.time for each in said] == pytest.approx([each.at.time for each in back])
    assert all(each.values for each in said)


def test_the_hours_of_sixty_days_are_saved_small():
    made = stream(base("days = 60"), {"air.co2": HOUR})
    fed(made, days(61, step=HOUR, offset=29.37))
    assert len(json.dumps(made.save())) < 16_000
    week = stream(base("days = 7"), {"air.co2": HOUR})
    fed(week, days(8, step=HOUR, offset=29.37))
    assert len(json.dumps(week.save())) < 2048


@pytest.mark.parametrize("at", [0, 1, 143, 144, 145, 250])
def test_a_restart_changes_nothing(at):
    assert restarted(designed(base(), KNOWN), days(2), at)
    mixed = [
        each
        for k in range(40)
        for each in (
            *(
                [reading("weather", START + k * 10, humidity=60.0 + k, temperature=10.0)]
                if k % 6 == 0
                else ()
            ),
            reading("air", START + k * 10, pm2_5=40.0 + k, temperature=15.0),
        )
    ]
    assert restarted(designed(OUTSIDE, KNOWN), mixed, min(at, 32))


def test_a_save_of_a_while_ago_and_the_readings_since_are_the_same():
    design, readings = designed(base(), KNOWN), days(2)
    whole = design.build()
    fed(whole, readings[:200])
    assert fed(resumed(design, readings[:200], unsaved=11), readings[200:]) == fed(whole, readings[200:])


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("hours", [0, [400.0] * 25]),
        ("hours", [0, ["x"]]),
        ("open", None),
        ("open", {"open": [1, "x", 1.0, 1], "closed": []}),
    ],
)
def test_a_state_that_nobody_saved_is_refused(key, wrong):
    design = designed(base(), KNOWN)
    made = design.build()
    fed(made, days(1))
    saved = made.save()
    assert design.build().restore(json.loads(json.dumps(saved))) is not None
    saved["state"][key] = wrong
    assert design.build().restore(saved) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PM, '1: corrected_pm needs the key "humidity": a humidity [%]'),
        (
            PM + 'humidity = "air.temperature"',
            "5: humidity is a humidity [%], not from air.temperature [Cel]",
        ),
        (INSIDE + 'method = "epa"', "6: derive[1].method: should be 'us-wide-2021', 'us-wide-smoke-2022' or"),
        (INSIDE + "kappa = 2.0", "kappa is above 0 to 1.4 and density 0.5 to 5 g/cm3, not 2 and 1.65"),
        (INSIDE + 'method = "us-wide-2021"\nkappa = 0.2', 'kappa and density are for method = "kappa"'),
        (INSIDE + 'temperature = "air.temperature"', "temperature and box_temperature belong together"),
        (
            OUTSIDE.replace("weather.temperature", "air.temperature"),
            "7: temperature and box_temperature are t",
        ),
        (CELL.replace("-0.25", "0.0"), "10: a cell's sensitivity cannot be 0 mV/ppb: see the cell's cert"),
        (CELL.replace("[20, 1.0]", "[-10, 1.0]"), "11: a table of n_T needs two rows or more"),
        (CELL.replace("[[-10, 0.8], [20, 1.0], [40, 1.6]]", "[1]"), "11: derive[1].table"),
        (CELL.replace('"auxiliary.v', '"working.v'), "5: auxiliary and from are the same voltage"),
        (
            CELL.replace('gas = "no2"', 'gas = "h2s"'),
            "7: derive[1].gas: should be 'no2', 'o3', 'so2' or 'co'",
        ),
        (base("target = 380"), "fresh air has 400 to 425 ppm of CO2, not 380"),
        (base("days = 0"), "a baseline looks back 1 to 60 days, not 0"),
    ],
)
def test_what_can_never_be_corrected_is_refused(text, said):
    found = "\n".join(problems(text, KNOWN))
    assert said in found


def test_co2_that_comes_too_seldom_has_no_hours():
    (found,) = problems(base(), {"air.co2": 7200.0})
    assert "air.co2 comes every 7200 s: its hourly means need it more often" in found
