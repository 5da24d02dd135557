"""Air quality indices: US AQI with NowCast, European AQI, UK DAQI.

All three describe averages of reference instruments. From low-cost parts they are indicative, and every
Index says so. Each carries the version of its table, because older tables still circulate: the US one of
2012 (PM2.5 12.0/35.4), the European one before 2024 (PM2.5 10/20/25/50/75).
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from drivers.device import Missing, Quantity

US_AQI = "us-aqi-2024"
EUROPEAN_AQI = "european-aqi-2024"
UK_DAQI = "uk-daqi-2013"

NOISE = 5.0
"""How far [ug/m3, ppb] noise alone may push a mean below zero; it then counts as zero. Our own choice."""

CEILING = 100_000.0
"""A concentration [ug/m3, ppb] above this is a defect, not air. Our own choice: dust storms reach a tenth."""


@dataclass(frozen=True, slots=True)
class Index:
    """An air quality index: its table's label, number, name of the band, and the pollutant that set it.

    *indicative* is true: the instruments here are not the reference ones that the tables are made for.
    """

    version: str
    value: int
    band: str
    pollutant: Quantity
    indicative: bool = True


@dataclass(frozen=True, slots=True)
class Scale:
    """The table of one pollutant: the last step of each band, *per* steps to 1 ug/m3 or 1 ppb.

    *period* [s] is the time of the average that the table is made for.
    """

    period: int
    per: int
    bounds: tuple[int, ...]


_HOUR, _DAY = 3600, 86400
_Q = Quantity

US_SCALES: Mapping[Quantity, Scale] = {
    _Q.PM2_5: Scale(_DAY, 10, (90, 354, 554, 1254, 2254, 3254)),
    _Q.PM10: Scale(_DAY, 1, (54, 154, 254, 354, 424, 604)),
    _Q.O3: Scale(8 * _HOUR, 1, (54, 70, 85, 105, 200)),
}
"""US AQI: PM [ug/m3] and O3 [ppb]. EPA-454/B-24-002 (May 2024), breakpoints; 40 CFR 58, app. G."""

EUROPEAN_SCALES: Mapping[Quantity, Scale] = {
    _Q.PM2_5: Scale(_HOUR, 1, (5, 15, 50, 90, 140)),
    _Q.PM10: Scale(_HOUR, 1, (15, 45, 120, 195, 270)),
    _Q.NO2: Scale(_HOUR, 1, (10, 25, 60, 100, 150)),
    _Q.O3: Scale(_HOUR, 1, (60, 100, 120, 160, 180)),
    _Q.SO2: Scale(_HOUR, 1, (20, 40, 125, 190, 275)),
}
"""European AQI, revision of 2024, all [ug/m3]. European Environment Agency, European Air Quality Index."""

UK_SCALES: Mapping[Quantity, Scale] = {
    _Q.PM2_5: Scale(_DAY, 1, (11, 23, 35, 41, 47, 53, 58, 64, 70)),
    _Q.PM10: Scale(_DAY, 1, (16, 33, 50, 58, 66, 75, 83, 91, 100)),
    _Q.NO2: Scale(_HOUR, 1, (67, 134, 200, 267, 334, 400, 467, 534, 600)),
    _Q.O3: Scale(8 * _HOUR, 1, (33, 66, 100, 120, 140, 160, 187, 213, 240)),
    _Q.SO2: Scale(_HOUR // 4, 1, (88, 177, 266, 354, 443, 532, 710, 887, 1064)),
}
"""UK Daily Air Quality Index, all [ug/m3]. Defra, Update on Implementation of the DAQI (April 2013)."""

_US_INDEX = (50, 100, 150, 200, 300, 500)
_US_BANDS = ("Good", "Moderate", "Unhealthy for Sensitive Groups", "Unhealthy", "Very Unhealthy", "Hazardous")
_EUROPEAN_BANDS = ("Good", "Fair", "Moderate", "Poor", "Very poor", "Extremely poor")
_UK_BANDS = ("Low",) * 3 + ("Moderate",) * 3 + ("High",) * 3 + ("Very High",)
_MOLAR_MASS = {_Q.NO2: 46.0055, _Q.O3: 47.9982, _Q.SO2: 64.064, _Q.CO: 28.0101}  # [g/mol]
_MOLAR_VOLUME = 8.314462618 * 293.0 / 101.3  # [l/mol] at 293 K and 101.3 kPa


def us_aqi(pollutant: Quantity, concentration: float | Missing) -> Index | Missing:
    """Return the US AQI (2024) of PM2_5 or PM10 [ug/m3, mean of 24 h or NowCast] or of O3 [ppb, mean of 8 h].

    The concentration is truncated (PM2.5 to 0.1 ug/m3, PM10 to 1 ug/m3, O3 to 1 ppb = 0.001 ppm), the index
    rounded, half up. PM goes on above 500 along the last segment. O3 above 200 ppb is OUT_OF_RANGE: an 8 h
    mean defines no index above 300. EPA-454/B-24-002 (May 2024). Raises ValueError for another pollutant.
    """
    scale = _scale(US_SCALES, pollutant, US_AQI)
    usable = _usable(concentration)
    if isinstance(usable, Missing):
        return usable
    units = _truncated(usable, scale.per)
    band = bisect_left(scale.bounds, units)
    if band == len(scale.bounds) and band < len(_US_INDEX):
        return Missing.OUT_OF_RANGE
    band = min(band, len(_US_INDEX) - 1)
    return Index(US_AQI, _interpolated(scale, band, units), _US_BANDS[band], pollutant)


def european_aqi(pollutant: Quantity, concentration: float | Missing) -> Index | Missing:
    """Return the European AQI (2024), 1 (Good) to 6 (Extremely poor), of an hourly mean [ug/m3].

    For PM2_5, PM10, NO2, O3 and SO2; gases in ppb go through `mass` first. The table is in whole ug/m3, so
    the mean is rounded, half up. European Environment Agency, European Air Quality Index, revision of 2024.
    That agency shows a station only with NO2 and PM (and O3 away from traffic); here that is left to the
    caller. Raises ValueError for another pollutant.
    """
    return _graded(EUROPEAN_SCALES, EUROPEAN_AQI, _EUROPEAN_BANDS, pollutant, concentration)


def uk_daqi(pollutant: Quantity, concentration: float | Missing) -> Index | Missing:
    """Return the UK DAQI, 1 to 10, and its band (Low, Moderate, High, Very High), of a mean [ug/m3].

    The mean is over 24 h for PM2_5 and PM10, 1 h for NO2, 8 h for O3, 15 min for SO2, rounded to whole ug/m3,
    half up; gases in ppb go through `mass` first. Defra, Update on Implementation of the DAQI (April 2013).
    Raises ValueError for another pollutant.
    """
    return _graded(UK_SCALES, UK_DAQI, _UK_BANDS, pollutant, concentration)


def worst(indices: Iterable[Index | Missing]) -> Index | Missing:
    """Return the highest of *indices*: a place's index is that of its worst pollutant, the first if equal.

    What is Missing is passed over; when nothing else is there, the first reason, or INPUT_MISSING for none.
    Raises ValueError when the indices are of different tables.
    """
    given = list(indices)
    found = [each for each in given if isinstance(each, Index)]
    if len({each.version for each in found}) > 1:
        raise ValueError("indices of different tables cannot be compared")
    if found:
        return max(found, key=lambda each: each.value)
    return next((each for each in given if isinstance(each, Missing)), Missing.INPUT_MISSING)


def nowcast(pollutant: Quantity, hours: Sequence[float | Missing]) -> float | Missing:
    """Return EPA's NowCast [ug/m3] of PM2_5 or PM10: what stands for the 24 h mean before the day is over.

    *hours* are up to 12 hourly means [ug/m3], not rounded, the newest first; an hour without data is
    Missing. `w = max(0.5, min/max)`, `sum(w^i c_i) / sum(w^i)`, i hours ago; hours without data leave both
    sums. Truncated to 0.1 (PM2.5) or 1 (PM10). INPUT_MISSING unless 2 of the 3 newest hours are there. EPA,
    PM NowCast (P100X0J6); AirNow, completeness criteria for the NowCast. Raises ValueError for another
    pollutant or more hours.
    """
    scale = _scale({q: US_SCALES[q] for q in (_Q.PM2_5, _Q.PM10)}, pollutant, "NowCast")
    if len(hours) > 12:
        raise ValueError(f"a NowCast takes 12 hours, not {len(hours)}")
    usable = [(ago, c) for ago, hour in enumerate(hours) if not isinstance(c := _usable(hour), Missing)]
    if sum(ago < 3 for ago, _ in usable) < 2:
        return Missing.INPUT_MISSING
    return _truncated(weighted(usable), scale.per) / scale.per


def weighted(hours: Sequence[tuple[int, float]]) -> float:
    """Return the NowCast [ug/m3], not truncated, of *hours*: how many hours ago, and a mean [ug/m3]."""
    low, high = min(c for _, c in hours), max(c for _, c in hours)
    weight = max(0.5, low / high) if high > 0 else 1.0
    total = math.fsum(weight**ago * c for ago, c in hours)
    return total / math.fsum(weight**ago for ago, _ in hours)


def daily_mean(hours: Sequence[float | Missing]) -> float | Missing:
    """Return the mean [ug/m3] of a day's hourly means, from midnight to midnight local standard time.

    INPUT_MISSING unless 18 of the 24 hours (75 %) are there. EPA-454/B-24-002. Raises ValueError unless
    there are 24 hours; standard time has that many on every day of the year.
    """
    if len(hours) != 24:
        raise ValueError(f"a day has 24 hours, not {len(hours)}")
    usable = [c for hour in hours if not isinstance(c := _usable(hour), Missing)]
    return math.fsum(usable) / len(usable) if len(usable) >= 18 else Missing.INPUT_MISSING


def mass(gas: Quantity, concentration: float) -> float:
    """Return the mass concentration [ug/m3] of a *concentration* [ppb] of NO2, O3, SO2 or CO.

    At 293 K and 101.3 kPa, to which Directive 2008/50/EC, annex VI C, refers gases: NO2 1.913, O3 1.996,
    SO2 2.664 ug/m3 per ppb. Raises ValueError for another gas.
    """
    if gas not in _MOLAR_MASS:
        raise ValueError(f"{gas} is not one of {', '.join(_MOLAR_MASS)}")
    return concentration * _MOLAR_MASS[gas] / _MOLAR_VOLUME


def _graded(
    scales: Mapping[Quantity, Scale],
    version: str,
    bands: Sequence[str],
    pollutant: Quantity,
    concentration: float | Missing,
) -> Index | Missing:
    scale = _scale(scales, pollutant, version)
    usable = _usable(concentration)
    if isinstance(usable, Missing):
        return usable
    band = bisect_left(scale.bounds, _truncated(usable + 0.5, scale.per))
    return Index(version, band + 1, bands[band], pollutant)


def _interpolated(scale: Scale, band: int, units: int) -> int:
    """I = (I_hi - I_lo) / (C_hi - C_lo) * (C - C_lo) + I_lo, in whole numbers: a half is exact."""
    (low, high), (first, last) = _segment(scale.bounds, band), _segment(_US_INDEX, band)
    rise, run = (last - first) * (units - low), high - low
    return first + (2 * rise + run) // (2 * run)


def _segment(bounds: Sequence[int], band: int) -> tuple[int, int]:
    return (bounds[band - 1] + 1 if band else 0), bounds[band]


def _usable(concentration: float | Missing) -> float | Missing:
    if isinstance(concentration, Missing):
        return Missing.INPUT_MISSING
    if not -NOISE <= concentration <= CEILING:  # nor is NaN
        return Missing.OUT_OF_RANGE
    return max(0.0, concentration)


def _truncated(concentration: float, per: int) -> int:
    # Rounded first, far below what any part resolves: binary fractions must not turn 35.4 into 35.3.
    return math.floor(round(concentration * per, 6))


def _scale(scales: Mapping[Quantity, Scale], pollutant: Quantity, version: str) -> Scale:
    if pollutant not in scales:
        raise ValueError(f"{version} has no {pollutant}: it takes {', '.join(scales)}")
    return scales[pollutant]
