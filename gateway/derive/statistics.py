"""What may be said of the samples of a window: the kinds of statistics, each as a function of all samples.

A sample is (time [s], value). Sums are rounded once, at the end, so that the order of the samples does not
matter. `gateway.derive.running` gives the same results sample by sample.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, pairwise
from statistics import median
from typing import TypeAlias

from drivers.device import Missing

Sample: TypeAlias = tuple[float, float]

LEVEL_MOST = 1000.0
"""The largest size [dB] of a level whose energy is formed: far beyond any sound, far from overflow."""


class Kind(StrEnum):
    """A statistic. *u* is the unit of the values."""

    COUNT = "count"  # [1] how many samples have a value; the only one that is given for an empty window
    MEAN = "mean"  # [u] arithmetic
    MIN = "min"  # [u]
    MAX = "max"  # [u]
    ENERGY_MEAN = "energy_mean"  # [dB] of levels: LAeq; never average levels arithmetically
    PERCENTILE = "percentile"  # [u] parameter: 0 to 100; LA10 is the 90th, LA90 the 10th
    RATE = "rate"  # [u/s] newest value less oldest, over the time between them
    SLOPE = "slope"  # [u/s] least squares
    ROBUST_SLOPE = "robust_slope"  # [u/s] Theil-Sen
    SAMPLES_ABOVE = "samples_above"  # [%] of the samples, above the parameter [u]
    TIME_ABOVE = "time_above"  # [%] of the time that the samples speak for, above the parameter [u]


PARAMETRIC = frozenset({Kind.PERCENTILE, Kind.SAMPLES_ABOVE, Kind.TIME_ABOVE})
"""The kinds that need a parameter; the others have none."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """A kind and its parameter, where it has one. Raises ValueError when the two do not go together."""

    kind: Kind
    parameter: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in PARAMETRIC:
            if self.parameter is not None:
                raise ValueError(f"{self.kind} has no parameter")
        elif self.parameter is None or not math.isfinite(self.parameter):
            raise ValueError(f"{self.kind} needs a finite number as its parameter")
        elif self.kind is Kind.PERCENTILE:
            check_percent(self.parameter)


def check_percent(percent: float) -> None:
    """Raise ValueError unless *percent* is 0 to 100."""
    if not 0.0 <= percent <= 100.0:
        raise ValueError(f"a percentile is 0 to 100, not {percent:g}")


def mean(values: Sequence[float]) -> float | Missing:
    """Return the arithmetic mean, in the unit of *values*; INPUT_MISSING for none."""
    return math.fsum(values) / len(values) if values else Missing.INPUT_MISSING


def energy(level: float) -> float:
    """Return the relative energy `10^(L/10)` of a *level* [dB]. Raises ValueError beyond LEVEL_MOST."""
    if not abs(level) <= LEVEL_MOST:
        raise ValueError(f"a level must lie within ±{LEVEL_MOST:g} dB, not {level:g}")
    return math.pow(10.0, level / 10.0)


def energy_mean(levels: Sequence[float]) -> float | Missing:
    """Return the energy mean [dB] of equally long *levels* [dB]: `10 lg (Σ 10^(L_i/10) / n)`.

    The equivalent level of ISO 1996-1:2016, 3.2 (LAeq,T). INPUT_MISSING for no levels, ValueError for one
    beyond LEVEL_MOST.
    """
    if not levels:
        return Missing.INPUT_MISSING
    return 10.0 * math.log10(math.fsum(map(energy, levels)) / len(levels))


def percentile(values: Iterable[float], percent: float) -> float | Missing:
    """Return the value below which *percent* [%] of *values* lie; INPUT_MISSING for none.

    The rule is Hyndman and Fan's type 7 (The American Statistician 50, 1996): with the values in order from
    0, rank `h = (n - 1) percent / 100`, and between two ranks linear. So 0 is the least, 50 the usual median,
    100 the greatest. The level exceeded N % of the time, L_N, is percentile `100 - N`.
    Raises ValueError unless *percent* is 0 to 100.
    """
    check_percent(percent)
    ordered = sorted(values)
    if not ordered:
        return Missing.INPUT_MISSING
    below, above, part = ranks(len(ordered), percent)
    return between(ordered[below], ordered[above], part)


def ranks(count: int, percent: float) -> tuple[int, int, float]:
    """Return the ranks below and above *percent* of *count* values, and the part of the way [0, 1)."""
    rank = (count - 1) * percent / 100.0
    below = min(int(rank), count - 1)
    return below, min(below + 1, count - 1), rank - below


def between(below: float, above: float, part: float) -> float:
    """Return the value *part* of the way; never beyond *above*, which rounding might pass."""
    return min(above, below + part * (above - below))


def rate(samples: Sequence[Sample]) -> float | Missing:
    """Return the change per second from the oldest to the newest sample; INPUT_MISSING for fewer than two."""
    if len(samples) < 2:
        return Missing.INPUT_MISSING
    (first, old), (last, new) = min(samples), max(samples)
    return (new - old) / (last - first) if last > first else Missing.INPUT_MISSING


def slope(samples: Sequence[Sample]) -> float | Missing:
    """Return the slope per second of the least-squares line; INPUT_MISSING without two different times."""
    if len({time for time, _ in samples}) < 2:
        return Missing.INPUT_MISSING
    origin = min(
        time for time, _ in samples
    )  # a Unix time squared would not leave a double room for the rest
    middle = math.fsum(time - origin for time, _ in samples) / len(samples)
    level = math.fsum(value for _, value in samples) / len(samples)
    away = [(time - origin - middle, value - level) for time, value in samples]
    return math.fsum(x * y for x, y in away) / math.fsum(x * x for x, _ in away)


def robust_slope(samples: Sequence[Sample]) -> float | Missing:
    """Return the Theil-Sen slope per second: the median of the slopes of all pairs with different times.

    Up to 29 % of the samples may be wrong without carrying it away (Sen, J. Am. Stat. Assoc. 63, 1968). The
    cost is quadratic: 500 samples are 124,750 pairs. INPUT_MISSING without two different times.
    """
    pairs = combinations(samples, 2)
    slopes = [(y - v) / (x - t) for (t, v), (x, y) in pairs if x != t]
    return median(slopes) if slopes else Missing.INPUT_MISSING


def samples_above(values: Sequence[float], limit: float) -> float | Missing:
    """Return the share [%] of *values* that are greater than *limit*; INPUT_MISSING for none."""
    if not values:
        return Missing.INPUT_MISSING
    return 100.0 * sum(value > limit for value in values) / len(values)


def time_above(samples: Sequence[Sample], limit: float, hold: float) -> float | Missing:
    """Return the share [%] of the time in which *samples*, in order, are greater than *limit*.

    A sample speaks for the time until the next one, but for no more than *hold* [s]: of a longer gap nothing
    is known. The newest speaks for *hold*. INPUT_MISSING for none; ValueError unless `hold > 0`.
    """
    if not hold > 0.0:
        raise ValueError(f"a sample must hold for some time, not {hold:g} s")
    if not samples:
        return Missing.INPUT_MISSING
    times = [time for time, _ in samples]
    held = [min(hold, later - time) for time, later in pairwise(times)] + [hold]
    over = [span for span, (_, value) in zip(held, samples, strict=True) if value > limit]
    return 100.0 * math.fsum(over) / math.fsum(held)
