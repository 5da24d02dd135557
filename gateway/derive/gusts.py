"""Gusts: the highest mean of the wind over 3 s."""

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from drivers.device import Missing
from gateway.derive.wind import HAIR, Wind, micros, once

GUST = 3.0
"""What a gust is a mean over [s]: WMO-No. 8, volume I, 5.1."""


class Gusts(StrEnum):
    """Where the gust comes from."""

    FOUND = "found"  # from the speeds
    GIVEN = "given"  # the instrument tells, with each speed, the highest mean over 3 s since the one before
    NONE = "none"  # nowhere: the speeds are too far apart


def gust(winds: Iterable[Wind], interval: float) -> float | Missing:
    """Return the gust [m/s]: the highest running mean over 3 s that lies wholly in *winds*, of any order.

    *interval* [s] is the time between two measurements; 3 s must be a whole number of them. A running mean
    counts only when its measurements follow each other as they should, give or take half an interval in
    all: a gap is no lull, and a crowd no gust. INPUT_MISSING when there is no such mean. ValueError:
    *interval* does not fit.
    """
    run, found = Run.of(interval), once(winds)
    runs = (found[first : first + run.number] for first in range(len(found) + 1 - run.number))
    means = (
        math.fsum(speed for _, speed, _ in one) / run.number
        for one in runs
        if run.fits(one[0][0], one[-1][0])
    )
    return max(means, default=Missing.INPUT_MISSING)


class Run(NamedTuple):
    """The measurements of a gust: how many, and how far [us] the last may be from the first."""

    number: int
    shortest: int
    longest: int

    @classmethod
    def of(cls, interval: float) -> "Run":
        if not 0.0 < interval <= GUST or abs(GUST / interval - round(GUST / interval)) > HAIR:
            raise ValueError(f"3 s, the time of a gust, is no whole number of intervals of {interval:g} s")
        return cls(
            round(GUST / interval), micros(GUST - 1.5 * interval) + 1, micros(GUST - 0.5 * interval) - 1
        )

    def fits(self, first: int, last: int) -> bool:
        return self.shortest <= last - first <= self.longest
