"""The same statistics, sample by sample: each is told what comes into the window and what leaves it.

Sums are integers: each float is a whole number of units of 2^-1074 and each time a whole number of
microseconds, so adding and taking away never round, nothing drifts however long the window slides, and a
result is rounded once. An insert or a removal costs O(1), for a percentile O(log n + √n) at worst.
"""

from array import array
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from math import log10
from typing import ClassVar, Protocol

from drivers.device import Missing
from gateway.derive.frames import SECOND
from gateway.derive.statistics import Kind, Statistic, between, ranks, robust_slope

BITS = 1074
"""The smallest double is 2^-1074, and every other is a whole multiple of it (IEEE 754, binary64)."""

SLACK = 256
"""Places that may lie unused before the head of a series; more than an eighth of it are cleared."""

CHUNK = 512
"""Values in half a full chunk: a few kilobytes move with an insert."""


def units(value: float) -> int:
    """Return *value* [2^-1074], exactly."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << BITS + 1 - denominator.bit_length()


@dataclass(slots=True)
class Series:
    """Samples in the order of their times [µs], from place *head* on; 16 bytes each."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    head: int = 0

    def __len__(self) -> int:
        return len(self.times) - self.head

    def insert(self, place: int, time: int, value: float) -> None:
        """Put a sample at *place*."""
        if place == len(self.times):
            self.times.append(time)
            self.values.append(value)
        else:
            self.times.insert(place, time)
            self.values.insert(place, value)

    def delete(self, place: int) -> None:
        """Take out the sample at *place*; the oldest only moves the head, most times."""
        if place > self.head:
            del self.times[place], self.values[place]
            return
        self.head += 1
        if self.head > SLACK + len(self.times) // 8:
            del self.times[: self.head], self.values[: self.head]
            self.head = 0

    def place(self, time: int) -> int:
        """Return the place of *time*, or where it belongs."""
        times = self.times
        if len(times) == self.head or time > times[-1]:
            return len(times)
        return bisect_left(times, time, self.head)


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
class Extreme:
    """The greatest value (*sign* 1) or the least (-1): a queue in which each is beaten by the one before it.

    A sample that a later and at least as good one follows can never be the extreme again and is not kept.
    """

    sign: int
    queue: Series = field(default_factory=Series)

    def insert(self, series: Series, place: int) -> None:
        queue, time, value = self.queue, series.times[place], self.sign * series.values[place]
        times, values, head = queue.times, queue.values, queue.head
        low = at = queue.place(time)
        if at < len(times) and values[at] >= value:
            return
        while low > head and values[low - 1] <= value:
            low -= 1
        if low < at:
            del times[low:at], values[low:at]
        queue.insert(low, time, value)

    def remove(self, series: Series, place: int) -> None:
        queue, time = self.queue, series.times[place]
        if time < queue.times[queue.head]:  # most of those that grow too old were beaten long ago
            return
        at = queue.place(time)
        if at == len(queue.times) or queue.times[at] != time:
            return
        start = series.place(queue.times[at - 1]) + 1 if at > queue.head else series.head
        queue.delete(at)
        for earlier in range(start, place):  # a correction lets those rise again that it had beaten
            self.insert(series, earlier)

    def result(self, _series: Series, _parameter: float) -> float:
        return self.sign * self.queue.values[self.queue.head]


@dataclass(slots=True)
class Ranks:
    """All values in order, for every percentile: in chunks, so that an insert moves little."""

    chunks: "list[array[float]]" = field(default_factory=list)
    lasts: list[float] = field(default_factory=list)

    def insert(self, series: Series, place: int) -> None:
        value, lasts = series.values[place], self.lasts
        at = bisect_left(lasts, value)
        if at == len(lasts):  # greater than all, or the first of all
            if not lasts:
                self.chunks.append(array("d"))
                lasts.append(value)
            at = len(lasts) - 1
            lasts[at] = value
        chunk = self.chunks[at]
        insort(chunk, value)
        if len(chunk) > 2 * CHUNK:
            self._split(at)

    def remove(self, series: Series, place: int) -> None:
        value = series.values[place]
        at = bisect_left(self.lasts, value)
        chunk = self.chunks[at]
        rank = bisect_left(chunk, value)
        del chunk[rank]
        if len(chunk) < CHUNK // 2:
            self._merge(at)
        elif rank == len(chunk):
            self.lasts[at] = chunk[-1]

    def _split(self, at: int) -> None:
        chunk = self.chunks[at]
        self.chunks.insert(at + 1, chunk[CHUNK:])
        del chunk[CHUNK:]
        self.lasts.insert(at, chunk[-1])

    def _merge(self, at: int) -> None:
        """Join the chunk, which has become small, with a neighbour, so that there never are many."""
        at = min(at, max(0, len(self.chunks) - 2))
        chunk = self.chunks[at]
        for more in self.chunks[at + 1 : at + 2]:
            chunk.extend(more)
        del self.chunks[at + 1 : at + 2], self.lasts[at + 1 : at + 2]
        if not chunk:
            del self.chunks[at], self.lasts[at]
            return
        self.lasts[at] = chunk[-1]
        if len(chunk) > 2 * CHUNK:
            self._split(at)

    def result(self, series: Series, parameter: float) -> float:
        below, above, part = ranks(len(series), parameter)
        return between(self._at(below), self._at(above), part)

    def _at(self, rank: int) -> float:
        for chunk in self.chunks:
            if rank < len(chunk):
                return chunk[rank]
            rank -= len(chunk)
        raise IndexError(rank)


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
