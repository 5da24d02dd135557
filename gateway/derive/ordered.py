"""What keeps the samples of a window in order: by time, and by value for extremes and percentiles."""

from array import array
from bisect import bisect_left, insort
from dataclasses import dataclass, field

from gateway.derive.statistics import between, ranks

SLACK = 256
"""Places that may lie unused before the head of a series; more than an eighth of it are cleared."""

CHUNK = 512
"""Values in half a full chunk: a few kilobytes move with an insert."""


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
