"""Means of hours, of which the indices are made, kept sample by sample."""

import math
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing
from gateway.derive.air.index import CEILING
from gateway.derive.saved import number as number_in

SHARE = 0.75
"""Least share of the samples of a period, or of the periods of a longer one, that a mean needs."""

NEVER = float("-inf")


@dataclass(slots=True)
class Means:
    """The means of consecutive periods of *period* [s], from samples every *interval* [s]; the newest *keep*.

    A sample stands for the time before it: one at the very end of a period belongs to it, one at the very
    begin to the one before. A mean is of the samples, and needs SHARE of those due. A sample not newer
    than the one before it is not counted, nor is one beyond CEILING. Period *n* ends at `(n + 1) * period`.
    """

    period: float
    interval: float
    keep: int
    number: int | None = field(default=None, init=False)  # of the open period, which ends at *end*
    end: float = field(default=NEVER, init=False)
    closed: dict[int, float] = field(default_factory=dict, init=False)
    _newest: float = field(default=NEVER, init=False)
    _sum: float = field(default=0.0, init=False)
    _count: int = field(default=0, init=False)

    def add(self, time: float, value: float | Missing) -> None:
        """Take the sample of *time* [s]."""
        if time > self.end:
            self.move(time)
        elif time <= self._newest:
            return
        self._newest = time
        if not isinstance(value, Missing) and -CEILING <= value <= CEILING:
            self._sum += value
            self._count += 1

    def move(self, time: float) -> None:
        """Let it be *time* [s]: close the period that has ended, open the one that *time* is in."""
        number = number_of(time, self.period)
        if self.number is not None:
            if number <= self.number:
                return
            if self._count and self._count >= SHARE * self.period / self.interval - 1e-9:
                self.closed[self.number] = self._sum / self._count
            for old in [each for each in self.closed if each < number - self.keep]:
                del self.closed[old]
        self._open(number, number * self.period, 0.0, 0)

    def of(self, number: int) -> float | Missing:
        """Return the mean of period *number*: INPUT_MISSING when there is none."""
        return self.closed.get(number, Missing.INPUT_MISSING)

    def last(self, number: int, count: int) -> list[float | Missing]:
        """Return the means of *count* periods up to *number*, the newest first."""
        return [self.of(number - ago) for ago in range(count)]

    def save(self) -> Any:
        """Return what `restore` needs, as JSON takes it."""
        opened = None if self.number is None else [self.number, self._newest, self._sum, self._count]
        return {"open": opened, "closed": [list(each) for each in self.closed.items()]}

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave. Raises ValueError, KeyError, TypeError."""
        if saved["open"] is None:
            return
        number, newest, total, count = saved["open"]
        number, count = whole(number), whole(count)
        newest, total = number_in(newest), number_in(total)
        closed = {whole(key): number_in(mean, -CEILING, CEILING) for key, mean in saved["closed"]}
        begin, end = number * self.period, (number + 1) * self.period
        right = begin <= newest <= end and count >= 0 and abs(total) <= CEILING * count
        if not right or any(not number - self.keep <= key < number for key in closed):
            raise ValueError("these are no means of hours")
        self.closed = closed
        self._open(number, newest, total, count)

    def _open(self, number: int, newest: float, total: float, count: int) -> None:
        self.number, self.end = number, (number + 1) * self.period
        self._newest, self._sum, self._count = newest, total, count


def number_of(time: float, period: float) -> int:
    """Return the number of the period of *period* [s] that *time* [s] is in or ends."""
    return math.ceil(time / period) - 1


def mean(values: list[float | Missing]) -> float | Missing:
    """Return the mean of periods, of which SHARE must be there; INPUT_MISSING otherwise."""
    found = [value for value in values if not isinstance(value, Missing)]
    return math.fsum(found) / len(found) if len(found) >= SHARE * len(values) else Missing.INPUT_MISSING


def highest(values: list[float | Missing]) -> float | Missing:
    """Return the highest of means, of which SHARE must be there; INPUT_MISSING otherwise."""
    found = [value for value in values if not isinstance(value, Missing)]
    return max(found) if found and len(found) >= SHARE * len(values) else Missing.INPUT_MISSING


def whole(number: Any) -> int:
    """Return a whole number of a saved state. Raises TypeError, ValueError."""
    if type(number) is not int or abs(number) > 10**9:
        raise TypeError(f"a whole number, not {number!r:.40}")
    return number
