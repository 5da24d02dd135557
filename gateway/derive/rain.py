"""How much it rains and how hard, from the tips of a tipping bucket."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from drivers.device import Missing

QUIET = 0.2
"""Seconds without an edge before a tip counts: a tip takes 0.524 s (Duchon 2014), its bounce far less."""

TIP = 0.524  # s, a full tip on average (Duchon 2014)
FASTEST = 1.0  # s between tips up to which the correction is used; measured were 5.2 s, and 0.45 s is a pole
POURING = 0.450  # s of it in which the rain still falls into the bucket that is already full (Duchon 2014)
_NONE = (0, 0, 0.0, 0.0)
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
class Watch:
    """When something was watched, and when not, as far as the last *keep* [s] go."""

    keep: float
    _since: float | None = None
    _lost: float | None = None  # since when it is watched no more
    _begins: list[float] = field(default_factory=list)  # of the gaps,
    _ends: list[float] = field(default_factory=list)
    _sums: list[float] = field(default_factory=list)  # and the length of all up to each

    def begin(self, at: float) -> None:
        """It is watched from *at* [s]; nothing new when it already is."""
        if self._since is None:
            self._since = at
        elif self._lost is not None and at > self._lost:
            before = self._sums[-1] if self._sums else 0.0
            self._begins.append(self._lost)
            self._ends.append(at)
            self._sums.append(before + at - self._lost)
            self._forget(at - self.keep)
        self._lost = None

    def lose(self, at: float) -> None:
        """It is watched no more from *at* [s]; nothing new when it already is not."""
        if self._lost is None:
            self._lost = at if not self._ends else max(at, self._ends[-1])

    def share(self, now: float, window: float) -> float:
        """Return the share, 0 to 1, of the *window* [s] up to *now* [s] in which it was watched."""
        if self._since is None:
            return 0.0
        start = now - window
        if self._lost is None and self._since <= start and (not self._ends or self._ends[-1] <= start):
            return 1.0
        missed = max(0.0, self._since - start)
        if self._lost is not None:
            missed += now - self._lost
        place = bisect_right(self._ends, start)
        if place < len(self._ends):
            before = self._sums[place - 1] if place else 0.0
            missed += self._sums[-1] - before - max(0.0, start - self._begins[place])
        return max(0.0, 1.0 - missed / window)

    def _forget(self, before: float) -> None:
        old = bisect_right(self._ends, before)
        if old > 64:  # not one by one
            gone = self._sums[old - 1]
            del self._begins[:old], self._ends[:old], self._sums[:old]
            self._sums = [each - gone for each in self._sums]


class Spell(NamedTuple):
    """What a gauge says of a time: rain [mm], rain rate [mm/h], dry, and since when [s] tips count for it."""

    rain: float | Missing
    rate: float | Missing
    dry: bool | Missing
    since: float


@dataclass(slots=True)
class Gauge:
    """A tipping bucket over time: totals, rates, and the return to dry.

    *depth* [mm] is the rain of one tip. Edges may come late or twice; those *keep* [s] or more behind the
    newest are forgotten. It is dry *dry_after* [s] after the last tip. Edges nearer to one another than
    *quiet* [s] are one tip, at the first of them; a burst is kept as two numbers, so memory is bounded by
    `keep / quiet` of them. With *correct*, totals and rates are corrected for undercatch. `begin` and `lose`
    tell when the gauge is watched: no tips from a gauge that nobody heard are not "no rain", so a result
    needs that it was heard in *share* (0 to 1) of the time. Raises ValueError for a parameter out of range.
    """

    depth: float = 0.2
    dry_after: float = 3600.0
    keep: float = 86400.0
    quiet: float = QUIET
    correct: bool = False
    share: float = 1.0
    _watch: Watch = field(init=False)
    _firsts: list[float] = field(default_factory=list, init=False)  # of each burst of edges
    _lasts: list[float] = field(default_factory=list, init=False)
    _summed: tuple[int, int, float, float] = field(
        default=_NONE, init=False
    )  # tips, their depth; their total

    def __post_init__(self) -> None:
        _check_depth(self.depth)
        _check_quiet(self.quiet)
        if not 0 < self.dry_after <= self.keep:
            raise ValueError("a gauge is dry after more than 0 s, and keeps its tips at least as long")
        if not 0 <= self.share <= 1:
            raise ValueError("the share of the time that a gauge must be watched is 0 to 1")
        self._watch = Watch(2.0 * self.keep)

    def begin(self, at: float) -> None:
        """The gauge is watched from *at* [s]; nothing new when it already is."""
        self._watch.begin(at)

    def lose(self, at: float) -> None:
        """The gauge is watched no more from *at* [s]; tips are not lost by this."""
        self._watch.lose(at)

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
        if not self._firsts or self._firsts[-1] <= now - window:
            return 0
        return bisect_right(self._firsts, now) - bisect_right(self._firsts, now - window)

    def total(self, now: float, window: float) -> float | Missing:
        """Return the rain [mm] of the *window* [s] up to *now* [s]; INPUT_MISSING if not watched enough.

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
        return self._falling(now)

    def now(self, now: float, window: float) -> "Spell":
        """Return `total` of the *window* [s], `rate` and `dry` at *now* [s], and since when they follow."""
        dry, rain = self.dry(now), self.total(now, window)
        since = now - max(window, self.dry_after)
        if dry is not False:
            return Spell(rain, dry if isinstance(dry, Missing) else 0.0, dry, since)
        return Spell(rain, self._falling(now), dry, min(since, self._oldest(now)))

    def dry(self, now: float) -> bool | Missing:
        """Return whether it has not tipped for *dry_after* [s] before *now* [s]; INPUT_MISSING if unknown.

        A tip within that time is enough for False. True needs that the gauge was watched enough.
        """
        if self.tips(now, self.dry_after):
            return False
        return True if self._watched(now, self.dry_after) else Missing.INPUT_MISSING

    def _falling(self, now: float) -> float | Missing:
        """Return the rate [mm/h] at *now* [s], when it is not dry."""
        index = bisect_right(self._firsts, now) - 1
        last = self._firsts[index]
        interval = last - self._firsts[index - 1] if index > 0 else self.dry_after
        interval = min(interval, self.dry_after)
        if not self._watched(now, now - last + interval):
            return Missing.INPUT_MISSING
        rate = inter_tip_rate(max(interval, now - last), self.depth)
        return corrected(rate, self.depth) if self.correct else rate

    def _oldest(self, now: float) -> float:
        """Return from when on [s] tips count for the rate at *now* [s], when it is not dry."""
        index = bisect_right(self._firsts, now) - 1
        return max(self._firsts[max(0, index - 1)], self._firsts[index] - self.dry_after)

    def _rain(self, now: float, window: float) -> float:
        if not self.correct:
            return self.tips(now, window) * self.depth
        start, end = bisect_right(self._firsts, now - window), bisect_right(self._firsts, now)
        if start == end:
            return 0.0
        if self._summed[:3] != (start, end, self.depth):
            self._summed = (start, end, self.depth, self._corrected(start, end))
        return self._summed[3]

    def _corrected(self, start: int, end: int) -> float:
        """Return the rain [mm] of those tips; the first after a dry time took *dry_after* to fill."""
        intervals = [b - a for a, b in pairwise(self._firsts[max(start - 1, 0) : end])]
        if start == 0:  # the first tip of all ends a dry time
            intervals.append(self.dry_after)
        return math.fsum(tip_depth(min(each, self.dry_after), self.depth) for each in intervals)

    def _watched(self, now: float, window: float) -> bool:
        return self._watch.share(now, window) >= self.share - 1e-9

    def _forget(self) -> None:
        old = bisect_right(self._lasts, self._lasts[-1] - self.keep)
        self._summed = _NONE
        del self._firsts[:old], self._lasts[:old]


def _check_depth(depth: float) -> None:
    if not depth > 0:
        raise ValueError("a tip must be above 0 mm")


def _check_quiet(quiet: float) -> None:
    if not 0 < quiet < TIP:
        raise ValueError(f"the debounce time must be above 0 and below {TIP:g} s, which is what a tip takes")
