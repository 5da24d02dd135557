"""Every worked example of the mathematics, in one place: what goes in, what must come out, how closely.

Tables are tested edge by edge beside the functions (`test_derive_air.py`), streams beside their kinds.
"""

import math

import pytest

from drivers.device import Missing, Quantity
from gateway.derive.air import daily_mean, european_aqi, nowcast, uk_daqi, us_aqi
from gateway.derive.air.index import Index, Scale, _interpolated, weighted
from gateway.derive.bins import frustum_fill, linear_fill
from gateway.derive.bucket import QUIET, debounced, inter_tip_rate, rain_class, undercatch, window_rate
from gateway.derive.land import TOLERANCE, Vector, angle, resting, tilt
from gateway.derive.level import speed_of_sound, stage
from gateway.derive.noise import GUIDELINE_LEISURE, GUIDELINES, exceeded, la10_18h, laeq, lden, tni

PM2_5, PM10, NO2, O3, SO2 = Quantity.PM2_5, Quantity.PM10, Quantity.NO2, Quantity.O3, Quantity.SO2
EPA = [13.0, 16.0, 10.0, 21.0, 74.0, 64.0, 53.0, 82.0, 90.0, 75.0, 80.0, 50.0]
OF_2012 = Scale(86_400, 10, (120, 354, 554, 1504, 2504, 5004))
"""PM2.5 before May 2024: what other libraries still say."""
G = 9.80665
GONE = Missing.TIMEOUT


def value(index: Index | Missing) -> int:
    assert isinstance(index, Index)
    return index.value


def band(index: Index | Missing) -> str:
    assert isinstance(index, Index)
    return index.band


# Air


def test_35_9_is_102_of_101_98():
    assert pytest.approx(101.98, abs=0.005) == (150 - 101) / (55.4 - 35.5) * (35.9 - 35.5) + 101
    assert value(us_aqi(PM2_5, 35.9)) == 102


def test_epas_nowcast():
    assert weighted(list(enumerate(EPA))) == pytest.approx(17.41391, abs=1e-5)
    assert nowcast(PM2_5, EPA) == 17.4
    assert value(us_aqi(PM2_5, 17.4)) == 66
    assert _interpolated(OF_2012, 1, 174) == 62, "by the old table, which is why a table has a version"


def test_hours_and_days_that_are_whole_enough():
    assert nowcast(PM10, [GONE, 20.0, 20.0]) == 20.0, "EPA's rule of today, which older libraries refuse"
    assert nowcast(PM10, [20.0, GONE, GONE, *[20.0] * 9]) is Missing.INPUT_MISSING
    assert daily_mean([5.0] * 18 + [GONE] * 6) == 5.0
    assert daily_mean([5.0] * 17 + [GONE] * 7) is Missing.INPUT_MISSING


@pytest.mark.parametrize(
    ("pollutant", "level", "expected"), [(PM2_5, 325.4, 500), (PM2_5, 400.0, 649), (PM10, 604.0, 500)]
)
def test_above_500_the_last_segment_goes_on(pollutant, level, expected):
    assert value(us_aqi(pollutant, level)) == expected


@pytest.mark.parametrize(
    ("pollutant", "levels"),
    [
        (PM2_5, (5, 6, 15, 16, 50, 51, 90, 91, 140, 141)),
        (PM10, (15, 16, 45, 46, 120, 121, 195, 196, 270, 271)),
        (NO2, (10, 11, 25, 26, 60, 61, 100, 101, 150, 151)),
        (O3, (60, 61, 100, 101, 120, 121, 160, 161, 180, 181)),
        (SO2, (20, 21, 40, 41, 125, 126, 190, 191, 275, 276)),
    ],
)
def test_the_european_bands_as_they_are_printed(pollutant, levels):
    assert [value(european_aqi(pollutant, level)) for level in levels] == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6]


def test_the_uk_bands_have_four_names():
    names = [band(uk_daqi(PM2_5, level)) for level in (11, 35, 36, 53, 54, 70, 71)]
    assert names == ["Low", "Low", "Moderate", "Moderate", "High", "High", "Very High"]


# Noise


@pytest.mark.parametrize(
    ("levels", "expected"),
    [([(60.0, 1.0), (70.0, 1.0)], 67.40), ([(55.0, 870.0), (85.0, 30.0)], 70.35)],
)
def test_the_mean_of_levels_is_of_their_energy(levels, expected):
    assert laeq(levels) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("levels", "expected"), [((60, 60, 60), 66.40), ((65, 60, 55), 65.0), ((68, 64, 58), 68.18)]
)
def test_day_evening_night(levels, expected):
    assert lden(*levels) == pytest.approx(expected, abs=0.005)


def test_the_levels_of_traffic():
    street = [(70.0, 1.0)] * 20 + [(60.0, 1.0)] * 60 + [(50.0, 1.0)] * 20
    la10, la90 = exceeded(street, 10), exceeded(street, 90)
    assert (la10, la90, tni(la10, la90)) == (70.0, 50.0, 4 * (70.0 - 50.0) + 50.0 - 30.0)
    assert la10_18h([64.0, 66.0] * 9) == 65.0, "of the numbers, from 6 to 24 o'clock"


def test_what_the_who_recommends():
    said = {name: (each.lden, each.lnight) for name, each in GUIDELINES.items()}
    assert (said["road"], said["rail"], said["aircraft"]) == ((53, 45), (54, 44), (45, 40))
    assert (said["wind turbine"], said["night"], said["night, interim"]) == (
        (45, None),
        (None, 40),
        (None, 55),
    )
    assert GUIDELINE_LEISURE == 70


# Rain


def test_tips_and_rates():
    assert inter_tip_rate(7.2, 0.2) == pytest.approx(100.0)
    assert window_rate(1, 0.2, 60.0) == pytest.approx(12.0), "a window of a minute knows no less"
    assert window_rate(3, 0.2, 900.0) == pytest.approx(3 * 0.2 * 3600 / 900)


def test_a_tip_takes_half_a_second_and_is_not_debounced_away():
    assert QUIET == 0.2
    assert debounced([0.0, 0.524, 0.7]) == [0.0, 0.524], "a bounce after 0.176 s is none"


def test_duchons_undercatch():
    assert 100 * undercatch(19.9, 0.254) == pytest.approx(0.98, abs=0.005)
    assert 100 * undercatch(175.0, 0.254) == pytest.approx(8.78, rel=0.02)


def test_the_classes_of_the_glossary():
    assert [rain_class(rate).value for rate in (2.5, 2.6, 7.6, 7.7)] == [
        "light",
        "moderate",
        "moderate",
        "heavy",
    ]


# Water, ground, bins


def test_the_water_under_a_bridge():
    assert stage(3.2, 5.0) == pytest.approx(1.8)
    assert speed_of_sound(20.0) == pytest.approx(331.3 + 0.606 * 20)


def test_a_lean_of_17_88_deg():
    assert tilt(Vector(3.0, 0.0, 9.3)) == pytest.approx((17.88, 0.0, 17.88), abs=0.005)
    assert angle(Vector(0.001 * G, 0.0, G), Vector(0.0, 0.0, G)) == pytest.approx(0.057, abs=0.0005)
    assert [resting(Vector(0.0, 0.0, share * G)) for share in (0.94, 0.96, 1.04, 1.06)] == [
        False,
        True,
        True,
        False,
    ]
    assert TOLERANCE == 0.05


def test_two_fifths_of_a_tapered_bin_at_half_its_height():
    assert frustum_fill(0.7, 1.2, 0.2, bottom=0.20, top=0.30) == pytest.approx(40.1, abs=0.05)
    volume = math.pi / 3 * 0.5 * (0.2**2 + 0.2 * 0.25 + 0.25**2), math.pi / 3 * (0.2**2 + 0.2 * 0.3 + 0.3**2)
    assert 100 * volume[0] / volume[1] == pytest.approx(40.1, abs=0.05)
    assert linear_fill(0.7, 1.2, 0.2) == pytest.approx(100 * (1 - (0.7 - 0.2) / 1.0))
