"""How fast the water rises."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite

from drivers.device import Missing
from gateway.derive.level import usable
from gateway.derive.statistics import robust_slope

LEAST = 3  # points of a slope: two always lie on a line
_SLACK = 64  # samples that may wait to be dropped


@dataclass(slots=True)
class _Sums:
    """What a slope needs. Whole milliseconds and micrometres: exact, whatever the order of arrival."""

    n: int = 0
    t: int = 0
    y: int = 0
    tt: int = 0
    ty: int = 0

    def count(self, time: int, height: int, sign: int = 1) -> None:
        self.n += sign
        self.t += sign * time
        self.y += sign * height
        self.tt += sign * time * time
        self.ty += sign * time * height

    def slope(self) -> float | Missing:
        spread = self.n * self.tt - self.t * self.t
        if self.n < LEAST or spread == 0:
            return Missing.NOT_READY
        return (self.n * self.ty - self.t * self.y) / spread * 3.6  # um/ms to m/h


def rate_of_rise(samples: Iterable[tuple[float, float]]) -> float | Missing:
    """Return the rate of rise [m/h], negative when the water falls: the least-squares slope of *samples*.

    A sample is a time [s] and a stage [m]. Times count to 1 ms, stages to 1 um; of two samples of the same
    time the last counts; one that is not a number does not. NOT_READY with fewer than three.
    """
    sums = _Sums()
    for time, height in {_milli(at): _micro(y) for at, y in samples if usable(y)}.items():
        sums.count(time, height)
    return sums.slope()


@dataclass(slots=True)
class Rise:
    """The rate of rise over the newest *window* [s], the same as `rate_of_rise` of the samples in it.

    Samples may come late, or again with another value; what lies a window or more behind the newest is
    forgotten. NOT_READY while the samples span less than *share* of the window: the slope of a few seconds
    is noise. A *robust* one is the median of the slopes of all pairs (`robust_slope`), of quadratic cost.
    Raises ValueError for a window that is not positive or a share outside 0 to 1.
    """

    window: float = 900.0  # gauges are read each 5 to 15 min, and rivers forecast from that
    share: float = 0.5
    robust: bool = False
    _span: int = field(init=False)  # ms
    _times: list[int] = field(default_factory=list, init=False)
    _heights: list[int] = field(default_factory=list, init=False)
    _head: int = field(default=0, init=False)  # from here on they are in use
    _sums: _Sums = field(default_factory=_Sums, init=False)

    def __post_init__(self) -> None:
        if not self.window > 0 or not 0 <= self.share <= 1:
            raise ValueError("the window must be above 0 s and the share from 0 to 1")
        self._span = _milli(self.window)

    def __len__(self) -> int:
        """How many samples it holds."""
        return len(self._times) - self._head

    @property
    def oldest(self) -> float | None:
        """The time [s] of the oldest sample that it holds."""
        return self._times[self._head] / 1000 if self._head < len(self._times) else None

    def feed(self, at: float, value: float | Missing) -> None:
        """Take the stage [m] of the time *at* [s]. What is not a number is a gap."""
        if isinstance(value, Missing) or not isfinite(value):
            return
        time, height, times = round(at * 1000), round(value * 1_000_000), self._times
        if self._head == len(times) or time > times[-1]:
            times.append(time)
            self._heights.append(height)
            self._forget(time)
        elif time > times[-1] - self._span:
            self._late(time, height)
        else:
            return
        self._sums.count(time, height)

    def value(self, now: float) -> float | Missing:
        """Return the rate [m/h] at *now* [s]; INPUT_MISSING when the window holds nothing."""
        self._forget(round(now * 1000))
        times, head = self._times, self._head
        if head == len(times):
            return Missing.INPUT_MISSING
        if times[-1] - times[head] < self.share * self._span:
            return Missing.NOT_READY
        return self._robust() if self.robust else self._sums.slope()

    def _late(self, time: int, height: int) -> None:
        """Put a late sample in its place, or the word that counts instead of an earlier one."""
        place = bisect_left(self._times, time, self._head)
        if self._times[place] == time:
            self._sums.count(time, self._heights[place], -1)
            self._heights[place] = height
        else:
            self._times.insert(place, time)
            self._heights.insert(place, height)

    def _robust(self) -> float | Missing:
        if len(self) < LEAST:
            return Missing.NOT_READY
        held = list(zip(self._times[self._head :], self._heights[self._head :], strict=True))
        slope = robust_slope(held)
        return slope if isinstance(slope, Missing) else slope * 3.6  # um/ms to m/h

    def _forget(self, now: int) -> None:
        times, head, since = self._times, self._head, now - self._span
        while head < len(times) and times[head] <= since:
            self._sums.count(times[head], self._heights[head], -1)
            head += 1
        self._head = head
        if head > _SLACK + len(times) // 8:
            del times[:head], self._heights[:head]
            self._head = 0


def _milli(seconds: float) -> int:
    return round(seconds * 1000)


def _micro(metres: float) -> int:
    return round(metres * 1_000_000)
