"""Air: every band's edges, EPA's worked examples, corrections against their formulas, the baseline."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.derive.air import (
    Baseline,
    Cell,
    Index,
    daily_mean,
    dry,
    electrochemical,
    european_aqi,
    humidity_at,
    mass,
    nowcast,
    uk_daqi,
    us_aqi,
    us_wide_2021,
    us_wide_smoke_2022,
    worst,
)
from gateway.derive.air.index import EUROPEAN_SCALES, UK_SCALES, US_SCALES

PM2_5, PM10, NO2, O3, SO2 = Quantity.PM2_5, Quantity.PM10, Quantity.NO2, Quantity.O3, Quantity.SO2
INPUT_MISSING, OUT_OF_RANGE = Missing.INPUT_MISSING, Missing.OUT_OF_RANGE
EPA_HOURS = (13, 16, 10, 21, 74, 64, 53, 82, 90, 75, 80, 50)
CELL = Cell(230.0, 225.0, 0.3, ((-30.0, 1.3), (0.0, 1.0), (10.0, 0.6), (20.0, 0.4), (50.0, -1.5)))

concentrations = st.floats(0.0, 2000.0)


def index(result: Index | Missing) -> Index:
    assert isinstance(result, Index), result
    return result


def number(result: float | Missing) -> float:
    assert not isinstance(result, Missing), result
    return result


# US AQI


@pytest.mark.parametrize(
    ("pollutant", "concentration", "value", "band"),
    [
        (PM2_5, 0.0, 0, "Good"),
        (PM2_5, 9.0, 50, "Good"),
        (PM2_5, 9.1, 51, "Moderate"),
        (PM2_5, 35.4, 100, "Moderate"),
        (PM2_5, 35.5, 101, "Unhealthy for Sensitive Groups"),
        (PM2_5, 55.4, 150, "Unhealthy for Sensitive Groups"),
        (PM2_5, 55.5, 151, "Unhealthy"),
        (PM2_5, 125.4, 200, "Unhealthy"),
        (PM2_5, 125.5, 201, "Very Unhealthy"),
        (PM2_5, 225.4, 300, "Very Unhealthy"),
        (PM2_5, 225.5, 301, "Hazardous"),
        (PM2_5, 325.4, 500, "Hazardous"),
        (PM10, 54, 50, "Good"),
        (PM10, 55, 51, "Moderate"),
        (PM10, 154, 100, "Moderate"),
        (PM10, 155, 101, "Unhealthy for Sensitive Groups"),
        (PM10, 254, 150, "Unhealthy for Sensitive Groups"),
        (PM10, 255, 151, "Unhealthy"),
        (PM10, 354, 200, "Unhealthy"),
        (PM10, 355, 201, "Very Unhealthy"),
        (PM10, 424, 300, "Very Unhealthy"),
        (PM10, 425, 301, "Hazardous"),
        (PM10, 604, 500, "Hazardous"),
        (O3, 54, 50, "Good"),
        (O3, 55, 51, "Moderate"),
        (O3, 70, 100, "Moderate"),
        (O3, 71, 101, "Unhealthy for Sensitive Groups"),
        (O3, 85, 150, "Unhealthy for Sensitive Groups"),
        (O3, 86, 151, "Unhealthy"),
        (O3, 105, 200, "Unhealthy"),
        (O3, 106, 201, "Very Unhealthy"),
        (O3, 200, 300, "Very Unhealthy"),
    ],
)
def test_the_us_table_holds_at_every_edge(pollutant, concentration, value, band):
    result = index(us_aqi(pollutant, concentration))
    assert (result.value, result.band, result.pollutant) == (value, band, pollutant)


def test_the_worked_example_of_35_9_is_102():
    assert us_aqi(PM2_5, 35.9) == Index("us-aqi-2024", 102, "Unhealthy for Sensitive Groups", PM2_5)


@pytest.mark.parametrize(
    ("pollutant", "inside", "below"), [(PM2_5, 9.0999, 9.0), (PM10, 54.999, 54), (O3, 70.99, 70)]
)
def test_a_us_concentration_is_truncated_not_rounded(pollutant, inside, below):
    assert us_aqi(pollutant, inside) == us_aqi(pollutant, below)


def test_a_binary_fraction_does_not_lower_the_truncated_concentration():
    mean = sum([9.1] * 24) / 24
    assert math.floor(mean * 10) == 90
    assert index(us_aqi(PM2_5, mean)).value == 51


@pytest.mark.parametrize(("concentration", "value"), [(72, 105), (74, 112), (153, 251)])
def test_a_us_index_is_rounded_half_up(concentration, value):
    # (150 - 101) / (85 - 71) * 1 + 101 = 104.5, * 3 = 111.5; (300 - 201) / (200 - 106) * 47 + 201 = 250.5
    assert index(us_aqi(O3, concentration)).value == value


@pytest.mark.parametrize(("pollutant", "concentration", "value"), [(PM2_5, 325.5, 500), (PM2_5, 425.3, 699)])
def test_the_us_index_goes_on_above_500(pollutant, concentration, value):
    result = index(us_aqi(pollutant, concentration))
    assert (result.value, result.band) == (value, "Hazardous")
    assert index(us_aqi(PM10, 783)).value == 699


def test_an_eight_hour_mean_of_ozone_above_the_table_has_no_us_index():
    assert us_aqi(O3, 200.9) == us_aqi(O3, 200)
    assert us_aqi(O3, 201) is OUT_OF_RANGE


@given(st.sampled_from(list(US_SCALES)), st.floats(0.0, 200.9), st.floats(0.0, 200.9))
def test_more_pollution_is_never_a_lower_us_index(pollutant, one, other):
    low, high = sorted((one, other))
    assert index(us_aqi(pollutant, low)).value <= index(us_aqi(pollutant, high)).value


# NowCast and the daily mean


def test_epas_own_nowcast_is_17_4_and_its_index_66():
    assert nowcast(PM2_5, EPA_HOURS) == 17.4
    assert nowcast(PM10, EPA_HOURS) == 17
    assert index(us_aqi(PM2_5, nowcast(PM2_5, EPA_HOURS))).value == 66


@pytest.mark.parametrize(
    ("newest", "given"),
    [((1, 1, 0), True), ((1, 0, 1), True), ((0, 1, 1), True), ((1, 0, 0), False), ((0, 0, 1), False)],
)
def test_a_nowcast_needs_two_of_the_three_newest_hours(newest, given):
    hours = [20.0 if there else Missing.BUS_ERROR for there in newest] + [20.0] * 9
    assert nowcast(PM2_5, hours) == (20.0 if given else INPUT_MISSING)


def test_hours_without_data_leave_both_sums_of_a_nowcast():
    # w = 0.5: (40 + 0.25 * 20 + 0.5**4 * 10) / (1 + 0.25 + 0.0625)
    assert nowcast(PM2_5, [40.0, Missing.TIMEOUT, 20.0, math.nan, 10.0]) == 34.7
    assert nowcast(PM2_5, [40.0, 20.0]) == 33.3
    assert nowcast(PM2_5, []) is INPUT_MISSING


def test_a_nowcast_weighs_by_the_ratio_of_least_to_most():
    # w = 30 / 40 = 0.75: (40 + 0.75 * 30) / 1.75 = 35.714...
    assert nowcast(PM2_5, [40.0, 30.0]) == 35.7


def test_a_nowcast_is_of_raw_hours_and_its_result_truncated():
    assert nowcast(PM2_5, [10.06, 10.06, 10.06]) == 10.0
    assert nowcast(PM10, [10.99] * 12) == 10
    assert nowcast(PM2_5, [0.0] * 12) == 0.0


def test_a_nowcast_refuses_gases_and_a_thirteenth_hour():
    with pytest.raises(ValueError, match="NowCast has no o3"):
        nowcast(O3, [10.0] * 12)
    with pytest.raises(ValueError, match="12 hours, not 13"):
        nowcast(PM2_5, [10.0] * 13)


@given(st.lists(concentrations | st.just(INPUT_MISSING), min_size=3, max_size=12))
def test_a_nowcast_lies_between_the_least_and_the_most(hours):
    result = nowcast(PM2_5, hours)
    there = [hour for hour in hours if not isinstance(hour, Missing)]
    if isinstance(result, Missing):
        assert sum(not isinstance(hour, Missing) for hour in hours[:3]) < 2
    else:
        assert min(there) - 0.1 <= result <= max(there) + 1e-6


@given(concentrations, st.integers(3, 12))
def test_a_nowcast_of_constant_air_is_that_air_truncated(level, hours):
    assert nowcast(PM10, [level] * hours) == math.floor(round(level, 6))


def test_a_day_needs_18_of_its_24_hours():
    assert daily_mean([10.0, 20.0] * 9 + [Missing.TIMEOUT] * 6) == 15.0
    assert daily_mean([10.0] * 17 + [Missing.TIMEOUT] * 7) is INPUT_MISSING
    with pytest.raises(ValueError, match="24 hours, not 23"):
        daily_mean([10.0] * 23)


# European and UK indices

EUROPEAN_BANDS = ("Good", "Fair", "Moderate", "Poor", "Very poor", "Extremely poor")
EUROPEAN = {
    PM2_5: (5, 15, 50, 90, 140),
    PM10: (15, 45, 120, 195, 270),
    NO2: (10, 25, 60, 100, 150),
    O3: (60, 100, 120, 160, 180),
    SO2: (20, 40, 125, 190, 275),
}
UK = {
    PM2_5: (11, 23, 35, 41, 47, 53, 58, 64, 70),
    PM10: (16, 33, 50, 58, 66, 75, 83, 91, 100),
    NO2: (67, 134, 200, 267, 334, 400, 467, 534, 600),
    O3: (33, 66, 100, 120, 140, 160, 187, 213, 240),
    SO2: (88, 177, 266, 354, 443, 532, 710, 887, 1064),
}


def uk_band(value: int) -> str:
    return "Low" if value <= 3 else "Moderate" if value <= 6 else "High" if value <= 9 else "Very High"


@pytest.mark.parametrize("pollutant", EUROPEAN)
def test_the_european_table_holds_at_every_edge(pollutant):
    for band, last in enumerate(EUROPEAN[pollutant]):
        for concentration, value in ((last, band + 1), (last + 0.49, band + 1), (last + 0.5, band + 2)):
            expected = Index("european-aqi-2024", value, EUROPEAN_BANDS[value - 1], pollutant)
            assert european_aqi(pollutant, concentration) == expected
    assert index(european_aqi(pollutant, 0.0)).band == "Good"


@pytest.mark.parametrize("pollutant", UK)
def test_the_uk_table_holds_at_every_edge(pollutant):
    for band, last in enumerate(UK[pollutant]):
        for concentration, value in ((last, band + 1), (last + 0.49, band + 1), (last + 0.5, band + 2)):
            assert uk_daqi(pollutant, concentration) == Index(
                "uk-daqi-2013", value, uk_band(value), pollutant
            )
    assert index(uk_daqi(pollutant, 0.0)).value == 1


def test_the_worst_pollutant_wins():
    fair, poor = european_aqi(PM10, 40.0), european_aqi(NO2, 61.0)
    assert worst([fair, poor, Missing.TIMEOUT]) == poor == worst([poor, fair])
    assert worst([european_aqi(O3, 161.0), european_aqi(PM2_5, 91.0)]) == european_aqi(O3, 161.0)


def test_the_worst_of_nothing_is_missing_with_its_reason():
    assert worst([]) is INPUT_MISSING
    assert worst([european_aqi(PM10, math.nan), INPUT_MISSING]) is OUT_OF_RANGE


def test_indices_of_different_tables_are_not_compared():
    with pytest.raises(ValueError, match="different tables"):
        worst([uk_daqi(PM10, 5.0), european_aqi(PM10, 5.0)])


@given(st.dictionaries(st.sampled_from(list(EUROPEAN)), concentrations, min_size=1))
def test_the_worst_is_one_of_them_and_none_is_above_it(air):
    each = [index(european_aqi(pollutant, level)) for pollutant, level in air.items()]
    result = index(worst(each))
    assert result in each
    assert result.value == max(one.value for one in each)


@pytest.mark.parametrize("of", [us_aqi, european_aqi, uk_daqi])
def test_what_cannot_be_air_has_no_index(of):
    for impossible in (math.nan, math.inf, -math.inf, -5.1, 100_001.0, 1e308):
        assert of(PM2_5, impossible) is OUT_OF_RANGE
    assert of(PM2_5, Missing.FAULT) is INPUT_MISSING
    assert of(PM2_5, -5.0) == of(PM2_5, 0.0)
    with pytest.raises(ValueError, match="has no co2: it takes pm2_5"):
        of(Quantity.CO2, 400.0)


def test_every_index_is_versioned_and_indicative():
    for result in (us_aqi(PM10, 5.0), european_aqi(PM10, 5.0), uk_daqi(PM10, 5.0)):
        assert index(result).indicative
    assert [scales[PM10].period for scales in (US_SCALES, EUROPEAN_SCALES, UK_SCALES)] == [86400, 3600, 86400]
    assert [UK_SCALES[gas].period for gas in (NO2, O3, SO2)] == [3600, 28800, 900]


@pytest.mark.parametrize(
    ("gas", "factor"), [(NO2, 1.9125), (O3, 1.9957), (SO2, 2.6609), (Quantity.CO, 1.1642)]
)
def test_ppb_become_micrograms_as_defra_publishes(gas, factor):
    assert mass(gas, 100.0) == pytest.approx(100.0 * factor, rel=2e-3)


def test_only_gases_have_a_mass():
    with pytest.raises(ValueError, match="pm10 is not one of no2"):
        mass(PM10, 5.0)


# Optical particle counters


def smoke_as_printed(x: float, humidity: float) -> float:
    """The five pieces of slide 26, one by one."""
    if x < 30:
        return 0.524 * x - 0.0862 * humidity + 5.75
    if x < 50:
        return (0.786 * (x / 20 - 3 / 2) + 0.524 * (1 - (x / 20 - 3 / 2))) * x - 0.0862 * humidity + 5.75
    if x < 210:
        return 0.786 * x - 0.0862 * humidity + 5.75
    if x < 260:
        part = x / 50 - 21 / 5
        slope = 0.69 * part + 0.786 * (1 - part)
        constant = 2.966 * part + 5.75 * (1 - part) + 8.84e-4 * x**2 * part
        return slope * x - 0.0862 * humidity * (1 - part) + constant
    return 2.966 + 0.69 * x + 8.84e-4 * x**2


def test_the_us_wide_correction_by_hand():
    assert number(us_wide_2021(20.0, 50.0)) == pytest.approx(11.92)
    assert us_wide_2021(0.0, 100.0) == 0.0
    assert us_wide_2021(300.0, 0.0) == pytest.approx(162.95)


@given(st.floats(0.0, 2000.0), st.floats(0.0, 100.0))
def test_the_smoke_correction_is_the_five_pieces_as_printed(level, humidity):
    expected = max(0.0, smoke_as_printed(level, humidity))
    assert number(us_wide_smoke_2022(level, humidity)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("edge", [30.0, 50.0, 210.0, 260.0])
def test_the_smoke_correction_has_no_step(edge):
    below, above = us_wide_smoke_2022(math.nextafter(edge, 0.0), 40.0), us_wide_smoke_2022(edge, 40.0)
    assert number(below) == pytest.approx(number(above), abs=1e-9)


@pytest.mark.parametrize("correct", [us_wide_2021, us_wide_smoke_2022, lambda x, h: dry(x, h, 0.3)])
def test_humidity_out_of_range_is_refused(correct):
    for humidity in (-0.1, 100.1, math.nan, math.inf):
        assert correct(20.0, humidity) is OUT_OF_RANGE
    for level in (-0.1, math.nan, math.inf):
        assert correct(level, 50.0) is OUT_OF_RANGE


def test_each_us_wide_correction_ends_where_its_fit_does():
    assert us_wide_2021(300.1, 50.0) is OUT_OF_RANGE
    assert us_wide_smoke_2022(2000.1, 50.0) is OUT_OF_RANGE


def test_kappa_koehler_by_hand():
    # C = 1 + (0.33 / 1.65) / (1 / 0.8 - 1) = 1.8
    assert number(dry(36.0, 80.0, 0.33)) == pytest.approx(20.0)
    assert dry(36.0, 0.0, 0.33) == 36.0
    assert number(dry(39.0, 95.0, 0.1, density=2.0)) == pytest.approx(20.0)
    assert dry(36.0, 95.1, 0.33) is OUT_OF_RANGE


@pytest.mark.parametrize(
    ("kappa", "density"), [(0.0, 1.65), (1.41, 1.65), (0.3, 0.4), (0.3, 5.1), (math.nan, 1)]
)
def test_particles_that_do_not_exist_are_refused(kappa, density):
    with pytest.raises(ValueError, match="kappa is above 0"):
        dry(20.0, 50.0, kappa, density)


@given(st.floats(0.0, 1000.0), st.floats(0.0, 95.0), st.floats(0.0, 95.0), st.floats(0.01, 1.4))
def test_dry_mass_is_never_more_than_wet_and_falls_with_humidity(wet, one, other, kappa):
    low, high = sorted((one, other))
    assert 0.0 <= number(dry(wet, high, kappa)) <= number(dry(wet, low, kappa)) <= wet


def test_humidity_in_a_warmer_box_is_lower():
    # Saturation by the steam tables: 17.058 hPa at 15 Cel, 23.393 at 20 Cel.
    assert number(humidity_at(100.0, 15.0, 20.0)) == pytest.approx(100 * 17.058 / 23.393, abs=0.05)
    assert humidity_at(80.0, 20.0, 15.0) is OUT_OF_RANGE
    for impossible in ((101.0, 15.0, 20.0), (50.0, -46.0, 20.0), (50.0, 15.0, 61.0), (50.0, math.nan, 20.0)):
        assert humidity_at(*impossible) is OUT_OF_RANGE


@given(st.floats(0.0, 100.0), st.floats(-45.0, 60.0), st.floats(0.0, 30.0))
def test_humidity_goes_there_and_back(humidity, cold, warmer):
    warm = min(60.0, cold + warmer)
    assert number(humidity_at(number(humidity_at(humidity, cold, warm)), warm, cold)) == pytest.approx(
        humidity
    )


# Electrochemical cells


def test_a_cell_by_hand():
    # At 15 Cel n_T = 0.5: ((245 - 230) - 0.5 * (231 - 225)) / 0.3
    assert number(electrochemical(245.0, 231.0, 15.0, CELL)) == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("temperature", "factor"),
    [(-30, 1.3), (-15, 1.15), (0, 1), (10, 0.6), (20, 0.4), (35, -0.55), (50, -1.5)],
)
def test_the_factor_is_linear_between_the_rows(temperature, factor):
    assert number(electrochemical(230.0, 226.0, temperature, CELL)) == pytest.approx(-factor / 0.3)


def test_a_cell_outside_its_table_gives_nothing():
    for temperature in (-30.1, 50.1, math.nan):
        assert electrochemical(245.0, 231.0, temperature, CELL) is OUT_OF_RANGE
    assert electrochemical(math.nan, 231.0, 20.0, CELL) is OUT_OF_RANGE
    assert electrochemical(245.0, math.inf, 20.0, CELL) is OUT_OF_RANGE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sensitivity": 0.0}, "cannot be 0"),
        ({"working_zero": math.nan}, "finite"),
        ({"table": ((20.0, 1.0),)}, "two rows"),
        ({"table": ((20.0, 1.0), (20.0, 2.0))}, "rising"),
        ({"table": ((20.0, 1.0), (30.0, math.inf))}, "finite"),
    ],
)
def test_a_certificate_that_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(CELL, **change)


@given(st.floats(-30.0, 50.0), st.floats(-100.0, 1000.0), st.floats(-20.0, 20.0))
def test_a_cell_gives_back_the_gas_that_made_its_signal(temperature, gas, drift):
    unit = number(electrochemical(230.0, 226.0, temperature, CELL)) * -0.3  # n_T, seen through the cell
    working = 230.0 + gas * 0.3 + unit * drift
    assert number(electrochemical(working, 225.0 + drift, temperature, CELL)) == pytest.approx(gas, abs=1e-6)


# The CO2 baseline

HOUR = 3600.0
Sample = tuple[float, float | Missing]


def batch(samples: list[Sample], baseline: Baseline) -> float | Missing:
    """The offset from all samples at once: the last mean of each hour, of the days before the newest."""
    hours = {int(time // HOUR): round(mean, 2) for time, mean in samples if not isinstance(mean, Missing)}
    newest = max(hours, default=0)
    kept = sorted(mean for hour, mean in hours.items() if hour > newest - 24 * baseline.days)
    if len(kept) < baseline.share * 24 * baseline.days:
        return Missing.NOT_READY
    offset = baseline.target - kept[max(1, math.ceil(baseline.percentile * len(kept) / 100)) - 1]
    return offset if abs(offset) <= baseline.limit else Missing.UNRELIABLE


def fed(baseline: Baseline, samples: list[Sample]) -> Baseline:
    for time, mean in samples:
        baseline.feed(time, mean)
    return baseline


def test_the_lowest_hours_become_the_target():
    week = [(hour * HOUR, 450.0 + hour % 24) for hour in range(168)]
    baseline = fed(Baseline(target=420.0), week)
    assert baseline.offset() == -30.0  # the 4th lowest of 168: one of the seven hours at 450
    assert baseline.correct(600.0) == 570.0
    assert baseline.correct(10.0) == 0.0


def test_one_low_hour_decides_nothing():
    week = [(hour * HOUR, 100.0 if hour in (5, 50, 90) else 440.0) for hour in range(168)]
    assert fed(Baseline(), week).offset() == -20.0
    assert fed(Baseline(percentile=0.0), week).offset() is Missing.UNRELIABLE


def test_the_percentile_is_the_nearest_rank():
    day = [(hour * HOUR, 400.0 + hour) for hour in range(24)]
    ranks = {0.0: 400.0, 4.1: 400.0, 4.2: 401.0, 25.0: 405.0, 50.0: 411.0}
    for percentile, lowest in ranks.items():
        assert fed(Baseline(days=1, percentile=percentile), day).offset() == 420.0 - lowest


def test_a_baseline_needs_its_share_of_hours():
    baseline = Baseline(days=1, share=0.75)
    fed(baseline, [(hour * HOUR, 430.0) for hour in range(17)])
    assert baseline.offset() is Missing.NOT_READY
    assert baseline.correct(500.0) is Missing.NOT_READY
    baseline.feed(17 * HOUR, 430.0)
    assert baseline.offset() == -10.0


def test_an_offset_beyond_its_limit_is_refused():
    def shown(level: float) -> float | Missing:
        return fed(Baseline(days=1), [(hour * HOUR, level) for hour in range(24)]).offset()

    assert (shown(520.0), shown(320.0)) == (-100.0, 100.0)
    assert shown(520.1) is shown(319.9) is Missing.UNRELIABLE


def test_hours_older_than_the_days_are_forgotten():
    baseline = fed(Baseline(days=1), [(hour * HOUR, 405.0) for hour in range(24)])
    fed(baseline, [(hour * HOUR, 430.0) for hour in range(24, 48)])
    baseline.feed(23 * HOUR, 405.0)  # too late to count
    assert baseline.offset() == -10.0


def test_a_corrected_hour_replaces_the_first_and_late_ones_count():
    day = [(hour * HOUR, 430.0) for hour in range(24) if hour != 3]
    baseline = fed(Baseline(days=1, percentile=0.0), [*day, (3 * HOUR, 425.0)])
    assert baseline.offset() == -5.0
    baseline.feed(3.5 * HOUR, 428.0)
    assert baseline.offset() == -8.0


def test_what_a_part_cannot_tell_is_not_counted():
    impossible = [math.nan, math.inf, 0.0, -5.0, 40_000.1, Missing.WARMING_UP]
    baseline = fed(Baseline(days=1), [(hour * HOUR, 430.0) for hour in range(24)])
    assert fed(baseline, [(5 * HOUR, level) for level in impossible]).offset() == -10.0
    assert [baseline.correct(level) for level in (-1.0, 40_001.0, math.nan)] == [OUT_OF_RANGE] * 3


@pytest.mark.parametrize(
    "parameter",
    [
        {"target": 399.9},
        {"target": 425.1},
        {"days": 0},
        {"days": 61},
        {"percentile": -1.0},
        {"percentile": 50.1},
        {"share": 0.0},
        {"share": 1.1},
        {"limit": 0.0},
        {"limit": math.nan},
    ],
)
def test_a_baseline_of_nonsense_is_refused(parameter):
    with pytest.raises(ValueError, match="not"):
        Baseline(**parameter)


samples = st.lists(
    st.tuples(st.floats(0.0, 100 * HOUR), st.floats(350.0, 600.0) | st.just(Missing.TIMEOUT)), max_size=90
)


@given(samples, st.sampled_from([0.0, 2.0, 10.0, 50.0]), st.sampled_from([1, 2]))
def test_incremental_is_batch_with_gaps_repeats_and_late_hours(means, percentile, days):
    baseline = Baseline(days=days, percentile=percentile, share=0.1)
    assert fed(baseline, means).offset() == batch(means, baseline)
    assert len(baseline._hours) <= 24 * days


@given(samples)
def test_feeding_everything_again_changes_nothing(means):
    once = fed(Baseline(days=2, share=0.1), means)
    again = fed(Baseline(days=2, share=0.1), means)
    assert fed(again, means).offset() == once.offset()


@given(samples)
def test_a_saved_baseline_is_the_same(means):
    before, after = fed(Baseline(days=2, share=0.1), means), Baseline(days=2, share=0.1)
    after.restore(json.loads(json.dumps(before.save())))
    assert after == before or not before._hours
    assert after.offset() == before.offset()


@pytest.mark.parametrize(
    "saved", [[0, [400.0] * 25], [0, []], [0.5, [400.0]], [0, ["400"]], [0, {}], 5, [0], "x", [0, [math.nan]]]
)
def test_hours_that_nobody_saved_are_refused(saved):
    with pytest.raises((ValueError, TypeError)):
        Baseline(days=1).restore(saved)
