"""How a bin fills over time: the rate of filling since it was emptied, and when it will be full.

Times, fills, and samples that are late or Missing are as in `gateway.derive.emptying`.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import NormalDist, median
from typing import Any

from drivers.device import Missing
from gateway.derive.emptying import HOUR, Emptying, Emptyings, Sample
from gateway.derive.saved import TIME_MOST, moment, number, samples

CONFIDENCE = 0.90
"""Share of the intervals that hold the true slope, were the deviations independent. They are not quite: a
bin fills by day and by bag. Read the interval as an indication."""

KEPT = 96
"""The most points that a trend keeps: 4,560 pairs of them, a few milliseconds of work."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A robust slope, and the interval of CONFIDENCE around it. `low <= middle <= high`."""

    middle: float
    low: float
    high: float


def sen_slope(samples: Sequence[Sample]) -> Slope | Missing:
    """Return the slope [% per s] of *samples* and its interval: Sen's estimator.

    The median of the slopes of all pairs; up to 29 % of wild samples cannot move it far. The interval comes
    from the ranks of the slopes, with Kendall's variance corrected for equal fills, rounded outwards.
    INPUT_MISSING when fewer than two samples differ in time.
    Source: P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", Journal of the
    American Statistical Association 63 (1968), 1379-1389, section 5; R. O. Gilbert, "Statistical Methods for
    Environmental Pollution Monitoring" (1987), sections 16.4.2 and 16.5.
    """
    slopes = sorted((y - x) / (t - s) for (s, x), (t, y) in combinations(samples, 2) if t != s)
    if not slopes:
        return Missing.INPUT_MISSING
    spread = NormalDist().inv_cdf((1.0 + CONFIDENCE) / 2.0) * math.sqrt(_variance(samples))
    last = len(slopes) - 1
    low = min(last, max(0, math.floor((len(slopes) - spread) / 2.0) - 1))
    middle = median(slopes)
    return Slope(middle, min(middle, slopes[low]), max(middle, slopes[last - low]))


def _variance(samples: Sequence[Sample]) -> float:
    """Return the variance of Kendall's S (Gilbert 1987, eq. 16.2): 18ths of n(n-1)(2n+5), less the ties."""
    ties = Counter(fill for _, fill in samples).values()
    return max(0.0, (_pairs(len(samples)) - sum(map(_pairs, ties))) / 18.0)


def _pairs(count: int) -> float:
    return count * (count - 1.0) * (2.0 * count + 5.0)


def _thinned(samples: Sequence[Sample], apart: float) -> list[Sample]:
    """Return the first of *samples*, and after each the next that is *apart* [s] or more from it."""
    kept = [samples[0]]
    for sample in samples:
        if sample[0] >= kept[-1][0] + apart:
            kept.append(sample)
    return kept


@dataclass(frozen=True, slots=True)
class Prediction:
    """When the bin will be full [s]. *latest* is OUT_OF_RANGE when that may be beyond telling."""

    at: float
    earliest: float
    latest: float | Missing


@dataclass(slots=True)
class Filling:
    """The trend since the last emptying: how fast the bin fills, and when it will be full.

    *emptied* is when the bin was last seen to be emptied [s]. The trend looks at one sample every *every*
    [s]; when it has KEPT of them, it lets half of them go and takes half as many, so that memory stays flat
    however long the bin is not emptied. It answers from *least* samples on that span *span* [s] or more, and
    predicts no farther than *horizon* [s].
    """

    emptyings: Emptyings = field(default_factory=Emptyings)
    every: float = 300.0
    least: int = 6
    span: float = HOUR
    horizon: float = 60 * 24 * HOUR
    emptied: float | None = field(default=None, init=False)
    _kept: list[Sample] = field(default_factory=list, init=False)
    _apart: float = field(default=0.0, init=False)
    _last: float = field(default=-math.inf, init=False)
    _slope: Slope | Missing | None = field(default=None, init=False)  # None: to be worked out
    _levels: dict[float, float] = field(default_factory=dict, init=False)  # by slope: the fill at the start

    def __post_init__(self) -> None:
        if not 3 <= self.least <= KEPT // 2:
            raise ValueError(f"least is a count from 3 to {KEPT // 2}, not {self.least!r}")
        if not (self.every > 0.0 and self.span >= 0.0 and self.horizon > 0.0):
            raise ValueError("every and horizon are times above 0 s, and span is one of 0 s or more")
        self._apart = self.every

    def feed(self, time: float, fill: float | Missing) -> Emptying | None:
        """Take one sample; return the emptying when this sample confirms it. The trend then starts anew."""
        if isinstance(fill, Missing) or time <= self._last:
            return None
        self._last = time
        lows = [*self.emptyings.pending, (time, fill)]
        emptying = self.emptyings.feed(time, fill)
        if emptying:
            self.emptied = emptying.at
            self._kept.clear()
            self._apart = self.every
        elif self.emptyings.pending:
            return None  # perhaps emptied, perhaps an echo: no part of a trend until that is known
        for sample in lows if emptying else lows[-1:]:
            self._keep(sample)
        return emptying

    @property
    def since(self) -> float | None:
        """The time [s] of the first sample that the trend is made of; None while there is none."""
        return self._kept[0][0] if self._kept else None

    def rate(self) -> Slope | Missing:
        """Return the rate of filling [% per h] since the last emptying; NOT_READY on too little data."""
        slope = self._trend()
        if isinstance(slope, Missing):
            return slope
        return Slope(slope.middle * HOUR, slope.low * HOUR, slope.high * HOUR)

    def full_at(self, target: float = 100.0) -> Prediction | Missing:
        """Return when the fill will reach *target* [%], and the interval: the slope's, carried forward.

        Never before the newest sample. NOT_READY on too little data; OUT_OF_RANGE when the bin does not
        fill, or not within the horizon. Raises ValueError unless *target* is above 0 and at most 100.
        """
        if not 0.0 < target <= 100.0:
            raise ValueError(f"the target is a fill above 0 % and of 100 % at most, not {target!r}")
        slope = self._trend()
        if isinstance(slope, Missing):
            return slope
        at, earliest = self._reach(slope.middle, target), self._reach(slope.high, target)
        if isinstance(at, Missing) or isinstance(earliest, Missing):
            return Missing.OUT_OF_RANGE
        return Prediction(at, earliest, self._reach(slope.low, target))

    def _keep(self, sample: Sample) -> None:
        if self._kept and sample[0] < self._kept[-1][0] + self._apart:
            return
        self._kept.append(sample)
        self._slope = None
        while len(self._kept) >= KEPT:
            self._apart *= 2.0
            self._kept = _thinned(self._kept, self._apart)

    def _trend(self) -> Slope | Missing:
        if self._slope is None:
            self._slope = self._estimate()
        return self._slope

    def _estimate(self) -> Slope | Missing:
        kept, self._levels = self._kept, {}
        if len(kept) < self.least or kept[-1][0] - kept[0][0] < self.span:
            return Missing.NOT_READY
        slope = sen_slope(kept)
        if not isinstance(slope, Missing):
            for each in (slope.middle, slope.low, slope.high):
                # The median line of that slope (Gilbert 1987, 16.4.2): one wild last sample cannot move it.
                self._levels[each] = median(fill - each * (time - kept[0][0]) for time, fill in kept)
        return slope

    def _reach(self, slope: float, target: float) -> float | Missing:
        """Return when a line of *slope* through the middle of the samples is at *target*."""
        missing = target - (self._levels[slope] + slope * (self._last - self._kept[0][0]))
        if missing <= 0.0:
            return self._last
        if missing > slope * self.horizon:
            return Missing.OUT_OF_RANGE
        return self._last + missing / slope

    def save(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON takes it: a few kilobytes at most."""
        return {
            "emptied": self.emptied,
            "last": self._last if self._kept else None,
            "apart": self._apart,
            "kept": [list(each) for each in self._kept],
            "emptyings": self.emptyings.save(),
        }

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, KeyError, TypeError."""
        kept, last = samples(saved["kept"], KEPT - 1), moment(saved["last"])
        if (last is None) is bool(kept) or (last is not None and last < kept[-1][0]):
            raise ValueError("the last sample is the newest of all")
        self.emptyings.restore(saved["emptyings"])
        self.emptied = moment(saved["emptied"])
        self._apart = number(saved["apart"], self.every, TIME_MOST)
        self._kept, self._last, self._slope = kept, -math.inf if last is None else last, None
