"""How much it rains, how hard, and whether it is over: a tipping bucket as time goes on."""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from drivers.device import Missing
from gateway.derive.bucket import QUIET, check_depth, check_quiet, corrected, inter_tip_rate, tip_depth
from gateway.derive.watch import Watch

_NONE = (0, 0, 0.0, 0.0)


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
        check_depth(self.depth)
        check_quiet(self.quiet)
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
