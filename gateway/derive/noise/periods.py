"""Day, evening and night as people hear them: when they are, what they come to, and what is advised."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from drivers.device import Missing

PENALTY_EVENING, PENALTY_NIGHT = 5.0, 10.0
"""What Lden adds to the evening and the night [dB]: Directive 2002/49/EC, Annex I, section 1."""


class Guideline(NamedTuple):
    """Yearly averages that a source of noise should stay below [dB]; None where nothing is recommended.

    One day or one night may be shown against them as an indication only.
    """

    lden: float | None
    lnight: float | None
    source: str


_WHO_2018 = "WHO, Environmental Noise Guidelines for the European Region, 2018"
_WHO_2009 = "WHO, Night Noise Guidelines for Europe, 2009"
GUIDELINES: Mapping[str, Guideline] = {
    "road": Guideline(53.0, 45.0, _WHO_2018),
    "rail": Guideline(54.0, 44.0, _WHO_2018),
    "aircraft": Guideline(45.0, 40.0, _WHO_2018),
    "wind turbine": Guideline(45.0, None, _WHO_2018),
    "night": Guideline(None, 40.0, _WHO_2009),
    "night, interim": Guideline(None, 55.0, _WHO_2009),
}
"""Indications, by source of noise; for leisure the WHO uses another indicator: GUIDELINE_LEISURE."""

GUIDELINE_LEISURE = 70.0
"""LAeq over 24 h [dB], from all leisure noise together, as a yearly average: WHO 2018."""


def lden(
    lday: float | Missing,
    levening: float | Missing,
    lnight: float | Missing,
    lengths: tuple[float, float, float] = (12.0, 4.0, 8.0),
) -> float | Missing:
    """Return the day-evening-night level [dB] of the levels of the three periods [dB].

    `Lden = 10 lg 1/24 (12 10^(Ld/10) + 4 10^((Le+5)/10) + 8 10^((Ln+10)/10))`, Directive 2002/49/EC, Annex
    I, section 1, where the three are yearly averages. *lengths* are those of the periods, in any one unit:
    other than 12, 4 and 8 hours where a state shortens the evening, and on a day on which the clock is
    changed. INPUT_MISSING when a period is missing. ValueError: a length is not positive.
    """
    if not all(0.0 < length < math.inf for length in lengths):
        raise ValueError("day, evening and night each need a length above 0")
    if isinstance(lday, Missing) or isinstance(levening, Missing) or isinstance(lnight, Missing):
        return Missing.INPUT_MISSING
    rated = (lday, levening + PENALTY_EVENING, lnight + PENALTY_NIGHT)
    energy = math.fsum(length * 10 ** (level / 10) for length, level in zip(lengths, rated, strict=True))
    return 10 * math.log10(energy / math.fsum(lengths))


class Period(StrEnum):
    """A part of the day that people hear differently."""

    DAY = "day"
    EVENING = "evening"
    NIGHT = "night"


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of local time, 0 to 23, at which day, evening and night begin.

    Directive 2002/49/EC, Annex I, section 1: 7, 19 and 23 unless the state has chosen others; the evening
    has four hours, or two or three, and what it loses goes to day or night. ValueError: other lengths.
    """

    day: int = 7
    evening: int = 19
    night: int = 23

    def __post_init__(self) -> None:
        if not all(0 <= hour <= 23 for hour in (self.day, self.evening, self.night)):
            raise ValueError("day, evening and night begin at hours from 0 to 23")
        long = [(self.evening - self.day) % 24, (self.night - self.evening) % 24]
        if long[0] < 12 or not 2 <= long[1] <= 4 or 24 - sum(long) < 8:
            raise ValueError("the evening has 2 to 4 hours, the day at least 12 and the night at least 8")


HOURS = Hours()
"""The hours of the Directive."""


def day_of(at: float, zone: tzinfo, hours: Hours = HOURS) -> date:
    """Return the date of the day, from morning to morning, in which the instant *at* [s, Unix] lies."""
    local = datetime.fromtimestamp(at, zone)
    return local.date() - timedelta(days=local.hour < hours.day)


def spans(day: date, zone: tzinfo, hours: Hours = HOURS) -> Mapping[Period, tuple[float, float]]:
    """Return begin and end [s, Unix] of the periods of *day*, which ends when the next one begins.

    The night is thus one piece, and the one in which the clock is changed lasts 7 or 9 hours. An hour that
    the clock skips is the instant of the change; of one that it repeats the first counts.
    """
    begins = [hours.day, hours.evening, hours.night, hours.day]
    days = [day + timedelta(days=hour < hours.day) for hour in begins[:3]] + [day + timedelta(days=1)]
    edges = [datetime.combine(d, time(h), zone).timestamp() for d, h in zip(days, begins, strict=True)]
    return dict(zip(Period, pairwise(edges), strict=True))
