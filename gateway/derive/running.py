"""The same statistics, sample by sample: each is told what comes into the window and what leaves it.

Sums are integers: each float is a whole number of units of 2^-1074 and each time a whole number of
microseconds, so adding and taking away never round, nothing drifts however long the window slides, and a
result is rounded once. An insert or a removal costs O(1), for a percentile O(log n + √n) at worst.
"""

from dataclasses import dataclass
from math import log10
from typing import ClassVar, Protocol

from drivers.device import Missing
from gateway.derive.frames import SECOND
from gateway.derive.ordered import Extreme, Ranks, Series
from gateway.derive.statistics import Kind, Statistic, robust_slope

BITS = 1074
"""The smallest double is 2^-1074, and every other is a whole multiple of it (IEEE 754, binary64)."""


def units(value: float) -> int:
    """Return *value* [2^-1074], exactly."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << BITS + 1 - denominator.bit_length()


class Running(Protocol):
    """One running statistic. *place* is the sample's place in the series, where it is during both calls."""

    def insert(self, series: Series, place: int) -> None:
        """A sample has come in."""
        ...

    def remove(self, series: Series, place: int) -> None:
        """A sample is about to leave."""
        ...

    def result(self, series: Series, parameter: float) -> float | Missing:
        """Return the statistic of *series*, which is not empty."""
        ...


@dataclass(slots=True)
class Total:
    """The sum of the values, for their mean."""

    total: int = 0

    def insert(self, series: Series, place: int) -> None:
        self.total += units(series.values[place])

    def remove(self, series: Series, place: int) -> None:
        self.total -= units(series.values[place])

    def result(self, series: Series, _parameter: float) -> float:
        return self.total / (len(series) << BITS)


@dataclass(slots=True)
class Energy:
    """The sum of the energies of levels, which the window has checked, for their energy mean."""

    total: int = 0

    def insert(self, series: Series, place: int) -> None:
        self.total += units(10.0 ** (series.values[place] / 10.0))

    def remove(self, series: Series, place: int) -> None:
        self.total -= units(10.0 ** (series.values[place] / 10.0))

    def result(self, series: Series, _parameter: float) -> float:
        return 10.0 * log10(self.total / (len(series) << BITS))


@dataclass(slots=True)
class Line:
    """The sums of times, values, squares and products, for the least-squares slope."""

    t: int = 0
    v: int = 0
    tt: int = 0
    tv: int = 0

    def insert(self, series: Series, place: int) -> None:
        time, value = series.times[place], units(series.values[place])
        self.t += time
        self.v += value
        self.tt += time * time
        self.tv += time * value

    def remove(self, series: Series, place: int) -> None:
        time, value = series.times[place], units(series.values[place])
        self.t -= time
        self.v -= value
        self.tt -= time * time
        self.tv -= time * value

    def result(self, series: Series, _parameter: float) -> float | Missing:
        count = len(series)
        if count < 2:
            return Missing.INPUT_MISSING
        spread = count * self.tt - self.t * self.t
        return SECOND * (count * self.tv - self.t * self.v) / (spread << BITS)


@dataclass(slots=True)
class SamplesAbove:
    """How many values are greater than *limit*."""

    limit: float
    above: int = 0

    def insert(self, series: Series, place: int) -> None:
        self.above += series.values[place] > self.limit

    def remove(self, series: Series, place: int) -> None:
        self.above -= series.values[place] > self.limit

    def result(self, series: Series, _parameter: float) -> float:
        return 100 * self.above / len(series)


@dataclass(slots=True)
class TimeAbove:
    """How long [µs] samples speak, and how long above *limit*; each until the next, at most *hold* [µs]."""

    limit: float
    hold: int
    above: int = 0
    total: int = 0

    def insert(self, series: Series, place: int) -> None:
        self._change(1, series, place)

    def remove(self, series: Series, place: int) -> None:
        self._change(-1, series, place)

    def _change(self, sign: int, series: Series, place: int) -> None:
        """Add (*sign* 1) or take away (-1) what the sample makes of its own time and its neighbour's."""
        times, values, time = series.times, series.values, series.times[place]
        after = times[place + 1] if place + 1 < len(times) else None
        own = self.hold if after is None else min(self.hold, after - time)
        self._add(sign * own, values[place])
        if place > series.head:
            before = times[place - 1]
            whole = self.hold if after is None else min(self.hold, after - before)
            self._add(sign * (min(self.hold, time - before) - whole), values[place - 1])

    def _add(self, span: int, value: float) -> None:
        self.total += span
        if value > self.limit:
            self.above += span

    def result(self, _series: Series, _parameter: float) -> float:
        return 100 * self.above / self.total


@dataclass(slots=True)
class OnDemand:
    """What needs no running state: it is formed from the series when it is asked for."""

    kind: Kind
    KINDS: ClassVar = frozenset({Kind.COUNT, Kind.RATE, Kind.ROBUST_SLOPE})

    def insert(self, series: Series, place: int) -> None: ...

    def remove(self, series: Series, place: int) -> None: ...

    def result(self, series: Series, _parameter: float) -> float | Missing:
        if self.kind is Kind.COUNT:
            return float(len(series))
        if len(series) < 2:
            return Missing.INPUT_MISSING
        times, values, head = series.times, series.values, series.head
        if self.kind is Kind.RATE:
            return SECOND * (values[-1] - values[head]) / (times[-1] - times[head])
        origin = times[head]  # differences of whole microseconds: nothing of a large time is lost
        return robust_slope(
            [((t - origin) / SECOND, v) for t, v in zip(times[head:], values[head:], strict=True)]
        )


def running(statistic: Statistic, hold: int) -> Running:
    """Return a new running form of *statistic*; *hold* [µs] is for how long a sample speaks at most."""
    match statistic.kind:
        case Kind.MEAN:
            return Total()
        case Kind.ENERGY_MEAN:
            return Energy()
        case Kind.SLOPE:
            return Line()
        case Kind.MIN | Kind.MAX:
            return Extreme(1 if statistic.kind is Kind.MAX else -1)
        case Kind.PERCENTILE:
            return Ranks()
        case Kind.SAMPLES_ABOVE:
            return SamplesAbove(statistic.parameter or 0.0)
        case Kind.TIME_ABOVE:
            return TimeAbove(statistic.parameter or 0.0, hold)
    return OnDemand(statistic.kind)
