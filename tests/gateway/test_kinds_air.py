"""Indices as streams: EPA's examples hour by hour, days of standard time, what is missing, restarts."""

import json
import math
import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.derive import air
from gateway.reading import Flag, Reading
from tests.gateway.stream_rig import designed, fed, instant, problems, reading, restarted, resumed, stream

AQI, EUROPEAN, DAQI = Quantity.US_AQI, Quantity.EUROPEAN_AQI, Quantity.UK_DAQI
PM2_5, PM10, O3 = Quantity.PM2_5, Quantity.PM10, Quantity.O3
HOUR, STEP = 3600.0, 600.0
START = datetime(2026, 6, 10, tzinfo=UTC).timestamp()
KNOWN = {f"air.{quantity}": STEP for quantity in ("pm2_5", "pm10", "no2", "o3", "so2", "temperature")}
EPA = [13, 16, 10, 21, 74, 64, 53, 82, 90, 75, 80, 50]
"""EPA's example of a NowCast, the newest hour first."""


def table(kind: str, source: str = '"air.pm2_5"', more: str = "") -> str:
    return f'[[derive]]\nid = "index"\nkind = "{kind}"\nfrom = {source}\n{more}\n'


def hour_of(number: int, flags: Flag | None = None, begin: float = START, **values: float | Missing):
    """Return the six readings of an hour: the last one stands at its end."""
    return [reading("air", begin + number * HOUR + k * STEP, flags, **values) for k in range(1, 7)]


def hours_of(values: list[float | Missing], quantity: str = "pm2_5", begin: float = START) -> list[Reading]:
    return [each for n, v in enumerate(values) for each in hour_of(n, begin=begin, **{quantity: v})]


def ended(made, number: int, begin: float = START) -> list[Reading]:
    return made.advance(instant(begin + number * HOUR + 1.0))


def test_epas_nowcast_through_the_stream_is_17_4_and_index_66():
    readings = hours_of([float(level) for level in reversed(EPA)])
    nowcast, aqi = stream(table("nowcast"), KNOWN), stream(table("us_aqi"), KNOWN)
    fed(nowcast, readings)
    fed(aqi, readings)
    (said,) = ended(nowcast, 12)
    assert said.values == {PM2_5: 17.4}
    (said,) = ended(aqi, 12)
    assert said.values == {AQI: 66.0}
    assert said.labels == {AQI: "Moderate (pm2_5), us-aqi-2024, indicative"}
    assert said.at.time == START + 12 * HOUR
    assert not ended(aqi, 12), "an hour ends once"


def test_each_hour_gives_one_result_of_its_end():
    said = fed(stream(table("nowcast"), KNOWN), hours_of([10.0] * 5))
    assert [(each.at.time - START) / HOUR for each in said] == [1.0, 2.0, 3.0, 4.0]
    assert said[0].missing == {PM2_5: Missing.INPUT_MISSING}, "two of the three newest hours are needed"
    assert said[1].values == {PM2_5: 10.0}


def test_a_mean_given_for_an_hour_at_its_end_belongs_to_that_hour():
    made = stream(table("european_aqi"), {"air.pm2_5": HOUR})
    said = fed(made, [reading("air", START + n * HOUR, pm2_5=level) for n, level in enumerate((1, 6, 16), 1)])
    assert [each.values[EUROPEAN] for each in said] == [1.0, 2.0]
    assert [each.values[EUROPEAN] for each in ended(made, 3)] == [3.0]


@pytest.mark.parametrize(("present", "known"), [(5, True), (4, False)])
def test_an_hour_needs_three_quarters_of_its_readings(present, known):
    made = stream(table("european_aqi"), KNOWN)
    for k in range(1, 7):
        made.feed(reading("air", START + k * STEP, pm2_5=3.0 if k <= present else Missing.TIMEOUT))
    (said,) = ended(made, 1)
    assert (said.values == {EUROPEAN: 1.0}) is known
    assert (said.missing == {EUROPEAN: Missing.INPUT_MISSING}) is not known
    assert bool(said.labels) is known


def test_a_late_and_a_repeated_reading_do_not_count():
    made = stream(table("nowcast"), KNOWN)
    fed(made, hour_of(0, pm2_5=10.0))
    fed(made, hour_of(1, pm2_5=10.0))
    for late in (0.5, 1.0, 1.5, 2.0):
        assert not made.feed(reading("air", START + late * HOUR, pm2_5=500.0))
    assert ended(made, 2)[0].values == {PM2_5: 10.0}


def test_time_without_readings_ends_hours_that_have_nothing():
    made = stream(table("nowcast"), KNOWN)
    fed(made, hours_of([10.0, 10.0]))
    values = [ended(made, n)[0].values.get(PM2_5) for n in range(2, 6)]
    assert values == [10.0, 10.0, None, None], "two of the three newest hours, then no more"
    assert fed(made, hour_of(9, pm2_5=30.0))[0].missing, "the first reading after the gap ends the last hour"


@pytest.mark.parametrize(
    ("levels", "value", "label"),
    [
        ({"pm2_5": 35.9}, 102, "Unhealthy for Sensitive Groups (pm2_5)"),
        ({"pm2_5": 9.0, "pm10": 54.0, "o3": 71.0}, 101, "Unhealthy for Sensitive Groups (o3)"),
        ({"pm2_5": 9.0, "pm10": 60.0, "o3": 54.0}, 53, "Moderate (pm10)"),
        ({"pm2_5": Missing.FAULT, "pm10": 60.0, "o3": Missing.FAULT}, 53, "Moderate (pm10)"),
        ({"pm2_5": 9.0, "pm10": 60.0, "o3": 201.0}, None, None),
        ({"pm2_5": 9.0, "pm10": 60.0, "o3": -20.0}, 53, "Moderate (pm10)"),
    ],
)
def test_the_worst_pollutant_sets_the_us_index(levels, value, label):
    """Ozone beyond its table is not passed over for a pollutant that is low; a broken cell is."""
    made = stream(table("us_aqi", '["air.pm2_5", "air.pm10", "air.o3"]'), KNOWN)
    for n in range(12):
        fed(made, hour_of(n, **levels))
    (said,) = ended(made, 12)
    if value is None:
        assert said.missing == {AQI: Missing.OUT_OF_RANGE}
    else:
        assert (said.values, said.labels) == ({AQI: value}, {AQI: f"{label}, us-aqi-2024, indicative"})


def test_a_device_alone_means_all_that_fits():
    made = designed(table("us_aqi", '"air"'), KNOWN)
    assert set(made.context.sources) == {"pm2_5", "pm10", "o3"}


def test_pollutants_of_two_devices_are_counted_each_by_itself():
    made = stream(table("european_aqi", '["air.pm2_5", "gas.no2"]'), {"air.pm2_5": STEP, "gas.no2": HOUR / 4})
    for k in range(1, 7):
        made.feed(reading("air", START + k * STEP, pm2_5=3.0))
        if k <= 4:
            made.feed(reading("gas", START + k * HOUR / 4, no2=14.0))  # 26.8 ug/m3
    (said,) = made.advance(instant(START + HOUR + 1.0))
    assert said.values == {EUROPEAN: 3.0}
    assert said.labels == {EUROPEAN: "Moderate (no2), european-aqi-2024, indicative"}


NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize("month", [1, 7])
def test_a_day_is_of_standard_time_in_summer_too(month):
    midnight = datetime(2026, month, 10, 5, tzinfo=UTC).timestamp()  # 00:00 EST, which is 01:00 EDT
    made = stream(table("us_aqi", more='average = "day"'), KNOWN, "America/New_York")
    said = fed(made, hours_of([900.0] + [35.9] * 24 + [900.0], begin=midnight - HOUR))
    assert said[0].missing, "of the day before there was one hour"
    assert [each.at.time for each in said] == [midnight, midnight + 24 * HOUR]
    assert said[1].values == {AQI: 102.0}


@pytest.mark.parametrize(("hours", "known"), [(18, True), (17, False)])
def test_a_day_needs_18_of_its_24_hours(hours, known):
    made = stream(table("us_aqi", more='average = "day"\nzone = "UTC"'), KNOWN)
    fed(made, hours_of([35.9] * hours))
    (said,) = made.advance(instant(START + 24 * HOUR + 1.0))
    assert (said.values == {AQI: 102.0}) is known


def test_a_day_that_ended_in_a_gap_is_still_told_as_a_day():
    made = stream(table("us_aqi", more='average = "day"\nzone = "UTC"'), KNOWN)
    before = hours_of([900.0] * 24, begin=START - 24 * HOUR)
    later = reading("air", START + 40 * HOUR, pm2_5=900.0)
    said = fed(made, [*before, *hours_of([35.9] * 19), later])
    assert [each.at.time for each in said] == [START, START + 24 * HOUR]
    assert said[1].values == {AQI: 102.0}


def test_a_day_of_ozone_takes_nothing_of_the_day_before():
    made = stream(table("us_aqi", '"air.o3"', 'average = "day"\nzone = "UTC"'), KNOWN)
    fed(made, hours_of([20.0] * 16 + [150.0] * 8 + [84.0] * 6 + [20.0] * 18, "o3", START - 24 * HOUR))
    (said,) = made.advance(instant(START + 24 * HOUR + 1.0))
    assert said.values == {AQI: 93.0}, "68 ppb in the first eight hours of the day itself"


def test_a_day_of_ozone_is_its_highest_eight_hours():
    made = stream(table("us_aqi", '"air.o3"', 'average = "day"\nzone = "UTC"'), KNOWN)
    fed(made, hours_of([20.0] * 10 + [71.0] * 8 + [20.0] * 6, "o3"))
    (said,) = made.advance(instant(START + 24 * HOUR + 1.0))
    assert said.values == {AQI: 101.0}


def test_a_day_in_a_zone_of_half_hours_is_whole():
    midnight = datetime(2026, 6, 9, 18, 30, tzinfo=UTC).timestamp()
    made = stream(table("us_aqi", more='average = "day"\nzone = "Asia/Kolkata"'), KNOWN)
    (said,) = fed(made, [*hours_of([35.9] * 24, begin=midnight), *hour_of(24, begin=midnight, pm2_5=900.0)])
    assert (said.at.time, said.values) == (midnight + 24 * HOUR, {AQI: 102.0})


def test_a_zone_whose_law_calls_summer_time_the_standard():
    midnight = datetime(2026, 7, 10, tzinfo=UTC).timestamp()  # GMT, winter time
    made = stream(table("us_aqi", more='average = "day"\nzone = "Europe/Dublin"'), KNOWN)
    fed(made, hours_of([35.9] * 24, begin=midnight))
    assert made.advance(instant(midnight + 24 * HOUR + 1.0))[0].values == {AQI: 102.0}


@pytest.mark.parametrize(
    ("quantity", "levels", "index"),
    [
        ("pm2_5", [36.0] * 24, 4),
        ("pm2_5", [0.0] * 23 + [264.0], 1),  # the mean of 24 h is 11
        ("pm2_5", [0.0] * 23 + [280.0], 2),
        ("pm10", [101.0] * 24, 10),
        ("no2", [0.0] * 23 + [36.0], 2),  # 68.9 ug/m3 in the hour
        ("o3", [0.0] * 16 + [17.0] * 8, 2),  # 33.9 ug/m3 over 8 h
        ("o3", [500.0] * 16 + [0.0] * 8, 1),
    ],
)
def test_the_uk_averages_are_those_of_its_table(quantity, levels, index):
    made = stream(table("uk_daqi", f'"air.{quantity}"'), KNOWN)
    fed(made, hours_of(levels, quantity))
    (said,) = ended(made, len(levels))
    assert said.values == {DAQI: index}
    assert said.labels[DAQI].endswith(f"({quantity}), uk-daqi-2013, indicative")


def test_sulfur_dioxide_is_of_the_worst_quarter_of_an_hour():
    made = stream(table("uk_daqi", '"air.so2"'), {"air.so2": 300.0})
    levels = [0.0] * 6 + [34.0] * 3 + [0.0] * 3  # 90.6 ug/m3 in the third quarter
    fed(made, [reading("air", START + k * 300.0, so2=v) for k, v in enumerate(levels, 1)])
    assert ended(made, 1)[0].values == {DAQI: 2.0}


def test_a_suspect_reading_makes_what_it_is_in_suspect_and_no_more():
    made = stream(table("nowcast"), KNOWN)
    said = []
    for n in range(16):
        said += fed(made, hour_of(n, Flag.SUSPECT if n == 1 else Flag.PASS, pm2_5=10.0))
    flags = [each.flags.get(PM2_5) for each in said]
    assert flags == [None] + [Flag.SUSPECT] * 12 + [Flag.PASS] * 2, "hours 1 to 12 look back to it"


def test_a_failed_reading_is_no_reading():
    made = stream(table("european_aqi"), KNOWN)
    fed(made, hour_of(0, Flag.FAIL, pm2_5=3.0))
    assert ended(made, 1)[0].missing == {EUROPEAN: Missing.INPUT_MISSING}


def wild(seed: int, hours: int, *quantities: str) -> list[Reading]:
    """Return readings with gaps, repeats and missing values."""
    dice, time, made = random.Random(seed), START, []
    while time < START + hours * HOUR:
        time += dice.choice((STEP, STEP, STEP, STEP, STEP, 0.0, 3 * STEP, 0.01 * STEP))
        if dice.random() < 0.005:
            time += 3 * HOUR
        values = {q: Missing.TIMEOUT if dice.random() < 0.1 else dice.uniform(0, 90) for q in quantities}
        made.append(reading("air", time, **values))
    return made


SETTINGS = [
    ("us_aqi", '["air.pm2_5", "air.pm10", "air.o3"]', "", ("pm2_5", "pm10", "o3")),
    ("us_aqi", '["air.pm2_5", "air.o3"]', 'average = "day"\nzone = "Asia/Kolkata"', ("pm2_5", "o3")),
    ("nowcast", '"air.pm10"', "", ("pm10",)),
    ("european_aqi", '["air.pm2_5", "air.no2"]', "", ("pm2_5", "no2")),
    ("uk_daqi", '["air.pm2_5", "air.so2"]', "", ("pm2_5", "so2")),
]


@pytest.mark.parametrize(("kind", "source", "more", "quantities"), SETTINGS)
@pytest.mark.parametrize("at", [0, 1, 97, 201, 300])
def test_a_restart_changes_nothing(kind, source, more, quantities, at):
    design = designed(table(kind, source, more), KNOWN)
    readings = wild(7, 60, *quantities)
    assert restarted(design, readings, at)
    later = resumed(design, readings[:at], unsaved=min(at, 5))
    whole = design.build()
    fed(whole, readings[:at])
    assert fed(later, readings[at:]) == fed(whole, readings[at:])


def test_a_restart_forgets_no_doubt():
    readings = [each for n in range(20) for each in hour_of(n, Flag.PASS, pm2_5=10.0)]
    readings[8] = reading("air", readings[8].at.time, Flag.SUSPECT, pm2_5=10.0)
    design = designed(table("nowcast"), KNOWN)
    assert restarted(design, readings, 30)
    said = fed(resumed(design, readings[:30]), readings[30:])
    assert {each.flags[PM2_5] for each in said} == {Flag.SUSPECT, Flag.PASS}


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_hour_by_hour_is_what_all_readings_at_once_come_to(seed):
    readings = wild(seed, 15, "pm2_5")
    made = stream(table("nowcast"), KNOWN)
    said = {each.at.time: each for each in [*fed(made, readings), *made.advance(instant(START + 10**6))]}
    newest, hours = -math.inf, {}
    for each in readings:
        if each.at.time > newest and PM2_5 in each.values:
            hours.setdefault(math.ceil((each.at.time - START) / HOUR) - 1, []).append(each.values[PM2_5])
        newest = max(newest, each.at.time)
    means = {hour: math.fsum(found) / len(found) for hour, found in hours.items() if len(found) >= 4.5}
    for time, each in said.items():
        last = round((time - START) / HOUR) - 1
        expected = air.nowcast(PM2_5, [means.get(last - ago, Missing.INPUT_MISSING) for ago in range(12)])
        assert (each.values | each.missing)[PM2_5] == expected


def edited(saved, change):
    saved = json.loads(json.dumps(saved))
    change(saved["state"])
    return saved


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("means"),
        lambda state: state.update(hour="5"),
        lambda state: state.update(hour=True),
        lambda state: state.update(offset=1.5),
        lambda state: state["means"].clear(),
        lambda state: state["means"]["pm"].update(open=[1, 2, 3]),
        lambda state: state["means"]["pm"]["open"].__setitem__(1, 0.0),
        lambda state: state["means"]["pm"]["open"].__setitem__(2, 1e17),
        lambda state: state["means"]["pm"]["open"].__setitem__(2, math.nan),
        lambda state: state["means"]["pm"]["open"].__setitem__(3, -1),
        lambda state: state["means"]["pm"].update(closed=[[1, 5.0]]),
        lambda state: state["means"]["pm"]["closed"].__setitem__(0, [0, math.inf]),
        lambda state: state["means"]["pm"]["closed"][0].__setitem__(1, 1e9),
    ],
)
def test_a_state_that_nobody_saved_is_refused(change):
    design = designed(table("nowcast"), KNOWN)
    made = design.build()
    fed(made, hours_of([10.0] * 3))
    assert design.build().restore(made.save()) is not None
    assert design.build().restore(edited(made.save(), change)) is None


@pytest.mark.parametrize(
    ("kind", "source", "more", "known", "said"),
    [
        (
            "us_aqi",
            '"air.pm2_5"',
            "",
            {"air.pm2_5": 7200.0},
            "4: air.pm2_5 comes every 7200 s: a mean of 360",
        ),
        ("uk_daqi", '"air.so2"', "", {"air.so2": 1800.0}, "4: air.so2 comes every 1800 s: a mean of 900 s"),
        ("us_aqi", '"air.pm2_5"', 'average = "day"', KNOWN, "set zone here, or [gateway.place] zone"),
        ("us_aqi", '"air.pm2_5"', 'zone = "Nowhere"', KNOWN, '5: there is no time zone "Nowhere"'),
        ("us_aqi", '"air.pm2_5"', 'average = "week"', KNOWN, "5: derive[1].average: should be 'nowcast'"),
        ("us_aqi", '"air.temperature"', "", KNOWN, "4: us_aqi is made from"),
        ("nowcast", '"air"', "", KNOWN, "4: say which: air.pm10, air.pm2_5"),
        ("nowcast", '"air.o3"', "", KNOWN, "not from air.o3 [[ppb]]"),
        ("european_aqi", '"air.pm2_5"', "zone = 1", KNOWN, 'has no key "zone"'),
    ],
)
def test_what_can_never_give_an_index_is_refused(kind, source, more, known, said):
    (found,) = problems(table(kind, source, more), known)
    assert said in found
