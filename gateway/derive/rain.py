"""How much it rains and how hard, from the tips of a tipping bucket."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from drivers.device import Missing

QUIET = 0.2
"""Seconds without an edge before a tip counts: a tip takes 0.524 s (Duchon 2014), its bounce far less."""

TIP = 0.524  # s, a full tip on average (Duchon 2014)
FASTEST = 1.0  # s between tips up to which the correction is used; measured were 5.2 s, and 0.45 s is a pole
POURING = 0.450  # s of it in which the rain still falls into the bucket that is already full (Duchon 2014)
LIGHT, MODERATE = 2.5, 7.6  # mm/h, the upper ends (AMS Glossary)


class RainClass(StrEnum):
    """How hard it rains, in the words of the AMS Glossary of Meteorology, "rain". The UK's bands differ."""

    DRY = "dry"
    LIGHT = "light"  # a trace to 2.5 mm/h
    MODERATE = "moderate"  # 2.6 to 7.6 mm/h
    HEAVY = "heavy"  # above 7.6 mm/h


def rain_class(rate: float) -> RainClass:
    """Return the class of *rate* [mm/h]. What lies between two printed bands belongs to the upper one.

    Raises ValueError for a negative rate.
    """
    if not rate >= 0:
        raise ValueError("a rain rate must not be negative")
    if rate == 0:
        return RainClass.DRY
    if rate <= LIGHT:
        return RainClass.LIGHT
    return RainClass.MODERATE if rate <= MODERATE else RainClass.HEAVY


def debounced(edges: Iterable[float], quiet: float = QUIET) -> list[float]:
    """Return the times [s] of the tips among *edges* [s], in any order, sorted.

    A tip is an edge with none in the *quiet* [s] before it, so a contact that chatters on and on is one tip.
    Raises ValueError when *quiet* is not above 0 and below the 0.524 s of a full tip.
    """
    _check_quiet(quiet)
    tips: list[float] = []
    last = float("-inf")
    for edge in sorted(edges):
        if edge - last >= quiet:
            tips.append(edge)
        last = edge
    return tips


def total(tips: int, depth: float) -> float:
    """Return the rain [mm] of so many *tips* of *depth* [mm] each, not corrected for undercatch."""
    _check_depth(depth)
    return tips * depth


def window_rate(tips: int, depth: float, window: float) -> float:
    """Return the rain rate [mm/h] of *tips* of *depth* [mm] each within *window* [s].

    `tips depth 3600 / window`. One tip of 0.2 mm in a minute already reads 12 mm/h: take 300 to 900 s.
    Raises ValueError for a window that is not positive.
    """
    if not window > 0:
        raise ValueError("the window must be above 0 s")
    return total(tips, depth) * 3600.0 / window


def inter_tip_rate(interval: float, depth: float) -> float:
    """Return the rain rate [mm/h] from the *interval* [s] between two tips of *depth* [mm].

    0.2 mm each 7.2 s is 100 mm/h (Water 2024, 16(7), 998). Better than a window from 6 to 50 mm/h (Stagnaro
    2016). Raises ValueError for an interval that is not positive.
    """
    return window_rate(1, depth, interval)


def undercatch(rate: float, depth: float) -> float:
    """Return the share of a tip's *depth* [mm] that is lost in each tip at the true *rate* [mm/h].

    For 0.450 s of a tip the rain still falls into the full bucket, at any rate, so the loss is linear in it.
    Duchon, Fiebrich and Grimsley 2014 (J. Atmos. Oceanic Technol. 31(6)) measured 0.98 % at 19.9 mm/h and
    8.78 % at 175.2 mm/h, on a gauge of 0.254 mm; this gives 0.98 % and 8.62 %.
    """
    _check_depth(depth)
    return rate * POURING / (3600.0 * depth)


def corrected(rate: float, depth: float) -> float | Missing:
    """Return the true rain rate [mm/h] when a bucket of *depth* [mm] tips at *rate* [mm/h].

    `rate / (1 - undercatch(rate))`, the inverse of the loss above. For a gauge without a siphon that was not
    already adjusted for a rate. OUT_OF_RANGE when it tips more than once a second: somebody shakes it.
    """
    lost = undercatch(rate, depth)
    if rate * FASTEST > 3600.0 * depth:
        return Missing.OUT_OF_RANGE
    return rate / (1.0 - lost)


def tip_depth(interval: float, depth: float) -> float:
    """Return the true rain [mm] of a tip of *depth* [mm] that came *interval* [s] after the one before.

    The same correction as `corrected`; a tip that came within a second stays as it is.
    """
    return depth * interval / (interval - POURING) if interval >= FASTEST else depth


@dataclass(slots=True)
class Gauge:
    """A tipping bucket over time: totals, rates, and the return to dry.

    *depth* [mm] is the rain of one tip. Edges may come late or twice; those *keep* [s] or more behind the
    newest are forgotten. It is dry *dry_after* [s] after the last tip. Edges nearer to one another than
    *quiet* [s] are one tip, at the first of them; a burst is kept as two numbers, so memory is bounded by
    `keep / quiet` of them. With *correct*, totals and rates are corrected for undercatch. `begin` and `lose`
    tell since when the gauge is watched without a gap: no tips from a gauge that nobody heard are not "no
    rain". Raises ValueError for a parameter out of range.
    """

    depth: float = 0.2
    dry_after: float = 3600.0
    keep: float = 86400.0
    quiet: float = QUIET
    correct: bool = False
    _since: float | None = None
    _firsts: list[float] = field(default_factory=list)  # of each burst of edges
    _lasts: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check_depth(self.depth)
        _check_quiet(self.quiet)
        if not 0 < self.dry_after <= self.keep:
            raise ValueError("a gauge is dry after more than 0 s, and keeps its tips at least as long")

    def begin(self, at: float) -> None:
        """The gauge is watched from *at* [s]; nothing new when it already is."""
        self._since = at if self._since is None else self._since

    def lose(self) -> None:
        """The gauge is watched no more; tips are not lost by this."""
        self._since = None

    def tip(self, at: float) -> None:
        """Take an edge at *at* [s]."""
        if self._lasts and at <= self._lasts[-1] - self.keep:
            return
        index = bisect_right(self._firsts, at)
        left = index > 0 and at - self._lasts[index - 1] < self.quiet
        right = index < len(self._firsts) and self._firsts[index] - at < self.quiet
        if left and right:  # it bridges two bursts
            self._lasts[index - 1] = self._lasts.pop(index)
            del self._firsts[index]
        elif left:
            self._lasts[index - 1] = max(self._lasts[index - 1], at)
        elif right:
            self._firsts[index] = at
        else:
            self._firsts.insert(index, at)
            self._lasts.insert(index, at)
        self._forget()

    def tips(self, now: float, window: float) -> int:
        """Return the number of tips in the *window* [s] that ends with *now* [s], whose start is left out."""
        return bisect_right(self._firsts, now) - bisect_right(self._firsts, now - window)

    def total(self, now: float, window: float) -> float | Missing:
        """Return the rain [mm] of the *window* [s] up to *now* [s]; INPUT_MISSING if not watched throughout.

        Raises ValueError for a window that is not positive or longer than what is kept.
        """
        if not 0 < window <= self.keep:
            raise ValueError(f"the window must be above 0 and up to {self.keep:g} s, which is what is kept")
        return self._rain(now, window) if self._watched(now, window) else Missing.INPUT_MISSING

    def window_rate(self, now: float, window: float = 600.0) -> float | Missing:
        """Return the rain rate [mm/h] over the *window* [s] up to *now* [s]; as `total` otherwise."""
        rain = self.total(now, window)
        return rain if isinstance(rain, Missing) else rain * 3600.0 / window

    def rate(self, now: float) -> float | Missing:
        """Return the rain rate [mm/h] at *now* [s] by inter-tip time, 0 when it is dry.

        While the next tip is awaited the rate falls: were it higher, the bucket would have tipped by now.
        The first tip after a dry time counts as one that took *dry_after* to fill. INPUT_MISSING when nobody
        watches, or when the tip before the last could have been missed.
        """
        if (dry := self.dry(now)) is not False:
            return dry if isinstance(dry, Missing) else 0.0
        index = bisect_right(self._firsts, now) - 1
        last = self._firsts[index]
        interval = last - self._firsts[index - 1] if index > 0 else self.dry_after
        interval = min(interval, self.dry_after)
        if not self._watched(now, now - last + interval):
            return Missing.INPUT_MISSING
        rate = inter_tip_rate(max(interval, now - last), self.depth)
        return corrected(rate, self.depth) if self.correct else rate

    def dry(self, now: float) -> bool | Missing:
        """Return whether it has not tipped for *dry_after* [s] before *now* [s]; INPUT_MISSING if unknown.

        A tip within that time is enough for False. True needs that the gauge was watched throughout.
        """
        if self.tips(now, self.dry_after):
            return False
        return True if self._watched(now, self.dry_after) else Missing.INPUT_MISSING

    def _rain(self, now: float, window: float) -> float:
        if not self.correct:
            return total(self.tips(now, window), self.depth)
        start, end = bisect_right(self._firsts, now - window), bisect_right(self._firsts, now)
        intervals = [b - a for a, b in pairwise(self._firsts[max(start - 1, 0) : end])]
        if start == 0 < end:  # the first tip of all ends a dry time
            intervals.append(self.dry_after)
        return math.fsum(tip_depth(interval, self.depth) for interval in intervals)

    def _watched(self, now: float, window: float) -> bool:
        return self._since is not None and self._since <= now - window

    def _forget(self) -> None:
        old = bisect_right(self._lasts, self._lasts[-1] - self.keep)
        del self._firsts[:old], self._lasts[:old]


def _check_depth(depth: float) -> None:
    if not depth > 0:
        raise ValueError("a tip must be above 0 mm")


def _check_quiet(quiet: float) -> None:
    if not 0 < quiet < TIP:
        raise ValueError(f"the debounce time must be above 0 and below {TIP:g} s, which is what a tip takes")
