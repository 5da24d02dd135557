"""Noise: indicators from levels. Audio never comes here, only levels that a meter has formed."""

from gateway.derive.noise.day import Day
from gateway.derive.noise.levels import (
    HIGHEST,
    LOWEST,
    OF_18_HOURS,
    exceeded,
    incident,
    la10_18h,
    laeq,
    lamax,
    tni,
)
from gateway.derive.noise.periods import (
    GUIDELINE_LEISURE,
    GUIDELINES,
    Hours,
    Period,
    day_of,
    lden,
    spans,
)
from gateway.derive.noise.tally import Tally

__all__ = [
    "GUIDELINES",
    "GUIDELINE_LEISURE",
    "HIGHEST",
    "LOWEST",
    "OF_18_HOURS",
    "Day",
    "Hours",
    "Period",
    "Tally",
    "day_of",
    "exceeded",
    "incident",
    "la10_18h",
    "laeq",
    "lamax",
    "lden",
    "spans",
    "tni",
]
