"""What the last hour of a stream was, or each hour or day of it, kept up to date sample by sample."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing
from gateway.derive.frames import SECOND, Frame
from gateway.derive.ordered import Series
from gateway.derive.running import OnDemand, Running, running
from gateway.derive.statistics import LEVEL_MOST, Kind, Statistic

TIME_MOST = 6e10
"""The largest size [s] of a time: the years 69 to 3871, all of which a calendar has."""

VALUE_MOST = 1e100
"""The largest size of a value: no sum or slope of any window overflows."""

ROBUST_MOST = 720
"""The most samples of a window with a robust slope, whose cost is quadratic: about 0.1 s at 720 on a PC."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a window said. It runs from *start* to *stop* [s, Unix].

    *count* samples had a value, *expected* were due; *values* has every statistic asked for, in its unit
    (`Kind`), or INPUT_MISSING.
    """

    start: float
    stop: float
    count: int
    expected: float
    values: Mapping[Statistic, float | Missing]


@dataclass(slots=True)
class Window:
    """The samples of one stream in the present window, and their *statistics*, kept as samples come.

    One sample is due every *interval* [s]; with fewer than *share* (0 to 1) of those due in the whole window,
    every statistic but the count is INPUT_MISSING. At most *most* samples are kept (by default twice those
    due): more of them push out the oldest, and until the window has passed those, its statistics are
    INPUT_MISSING too, as they would be of another window than the one declared.

    A sample of a time that is already there replaces it, and a Missing takes it away. Samples may come in
    any order: a late one that is still inside the window is put in its place; one that is older than the
    window is ignored and counted in *late*. A closed period stays closed. Time moves on by the newest sample
    (or Missing, or `advance`), so a caller gives only times whose clock it trusts.

    Raises ValueError for settings that could never give a result.
    """

    frame: Frame
    statistics: tuple[Statistic, ...]
    interval: float
    share: float = 0.75
    most: int = 0
    late: int = field(default=0, init=False)
    pushed_out: int = field(default=0, init=False)
    _newest: int | None = field(default=None, init=False)
    _bounds: tuple[int, int] = field(default=(0, 0), init=False)
    _lost: int | None = field(default=None, init=False)  # the newest time [µs] that was pushed out
    _series: Series = field(default_factory=Series, init=False, repr=False)
    _running: dict[tuple[str, float], Running] = field(default_factory=dict, init=False, repr=False)
    _informed: tuple[Running, ...] = field(default=(), init=False, repr=False)
    _value_most: float = field(default=VALUE_MOST, init=False, repr=False)

    def __post_init__(self) -> None:
        kinds = {statistic.kind for statistic in self.statistics}
        self._check_settings(Kind.ROBUST_SLOPE in kinds)
        if Kind.ENERGY_MEAN in kinds:
            self._value_most = LEVEL_MOST
        hold = round(self.interval * SECOND)
        for statistic in self.statistics:
            self._running.setdefault(_key(statistic), running(statistic, hold))
        self._informed = tuple(one for one in self._running.values() if not isinstance(one, OnDemand))

    def _check_settings(self, robust: bool) -> None:
        if not (self.interval >= 1e-6 and math.isfinite(self.interval)):
            raise ValueError(f"the interval must be at least 1 µs, not {self.interval:g} s")
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"the share of valid data is 0 to 1, not {self.share:g}")
        due = self.frame.longest / SECOND / self.interval
        if due < 1.0:
            raise ValueError(
                f"no sample every {self.interval:g} s fits a window of {due * self.interval:g} s"
            )
        self.most = self.most or math.ceil(2.0 * due) + 16
        if self.most < due:
            raise ValueError(f"{due:g} samples are due in a window that keeps {self.most}")
        if robust and self.most > ROBUST_MOST:
            raise ValueError(
                f"a robust slope takes at most {ROBUST_MOST} samples, and this window keeps {self.most}: "
                "feed it with means over a longer interval, or keep fewer"
            )

    def __len__(self) -> int:
        """How many samples are in the window."""
        return len(self._series)

    def add(self, time: float, value: float | Missing) -> Result | None:
        """Take the *value* of *time* [s, Unix, kept to 1 µs]; return the result of a period that it closes.

        Periods in which nothing at all came, not even a Missing or `advance`, give no result.
        Raises ValueError, and changes nothing, for a time beyond TIME_MOST, a value beyond VALUE_MOST or not
        finite, or a level beyond LEVEL_MOST dB where the energy mean is asked for.
        """
        instant = _microseconds(time)
        number = None if isinstance(value, Missing) else self._checked(value)
        closed, newest = None, self._newest
        if newest is None or instant > newest:
            closed = self._move(instant)
        elif instant < self._bounds[0]:
            self.late += 1
            return None
        else:
            self._take_away(instant)
        if number is not None:
            self._insert(instant, number)
        return closed

    def advance(self, time: float) -> Result | None:
        """Let it be *time* [s, Unix], without a sample; return the result of a period that ends by it."""
        instant = _microseconds(time)
        return self._move(instant) if self._newest is None or instant > self._newest else None

    def result(self) -> Result | None:
        """Return what the window says now, or None before anything came. An open period is measured whole."""
        if self._newest is None:
            return None
        start, stop = self._bounds
        count, expected = len(self._series), (stop - start) / SECOND / self.interval
        # Rounding must not ask for a sample more: 0.07 of 100 is 7.000000000000001 in doubles.
        enough = count >= self.share * expected - 1e-9 and not self._truncated()
        values = {statistic: self._value(statistic, enough) for statistic in self.statistics}
        shift = 0 if self.frame.closes else 1  # a sliding window ends with its newest time, not before it
        return Result((start - shift) / SECOND, (stop - shift) / SECOND, count, expected, values)

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, as JSON takes it; times are whole microseconds."""
        series = self._series
        return {
            "newest": self._newest,
            "lost": self._lost,
            "late": self.late,
            "pushed_out": self.pushed_out,
            "times": series.times[series.head :].tolist(),
            "values": series.values[series.head :].tolist(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave, in a new window. Samples that these settings do not keep are left out.

        The sums are formed again from the samples, so that a state cannot contradict itself. Raises
        ValueError when it is not one that `state` gave, or the window is in use.
        """
        if self._newest is not None:
            raise ValueError("a state is restored into a new window only")
        try:
            newest, lost = _whole(state["newest"]), _whole(state["lost"])
            late, pushed_out = int(state["late"]), int(state["pushed_out"])
            samples = dict(zip(map(int, state["times"]), map(float, state["values"]), strict=True))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"this is no state of a window: {error!r}") from error
        samples = {time: self._checked(value) for time, value in samples.items()}
        if newest is not None:
            self._newest, self._bounds = newest, self.frame.bounds(newest)
        for time in sorted(samples):
            if self._bounds[0] <= time < self._bounds[1]:
                self._insert(time, samples[time])
        self.late, self.pushed_out = late, pushed_out
        self._lost = max((one for one in (lost, self._lost) if one is not None), default=None)

    def _checked(self, value: float) -> float:
        if abs(value) <= self._value_most:
            return value + 0.0  # -0.0 becomes 0.0: equal values must look alike
        raise ValueError(f"a value must be finite and within ±{self._value_most:g}, not {value}")

    def _move(self, instant: int) -> Result | None:
        """Let the window move on to *instant*, the newest."""
        closed = None
        if instant >= self._bounds[1] or self._newest is None:
            if self.frame.closes:
                closed = self.result()
            self._bounds = self.frame.bounds(instant)
        self._newest = instant
        series, start = self._series, self._bounds[0]
        while series.head < len(series.times) and series.times[series.head] < start:
            self._remove(series.head)
        return closed

    def _take_away(self, instant: int) -> None:
        """Remove the sample of *instant*, if there is one."""
        place = self._series.place(instant)
        if place < len(self._series.times) and self._series.times[place] == instant:
            self._remove(place)

    def _insert(self, time: int, value: float) -> None:
        series = self._series
        place = series.place(time)
        series.insert(place, time, value)
        for one in self._informed:
            one.insert(series, place)
        if len(series.times) - series.head > self.most:
            self.pushed_out += 1
            oldest = series.times[series.head]
            self._lost = oldest if self._lost is None else max(oldest, self._lost)
            self._remove(series.head)

    def _remove(self, place: int) -> None:
        for one in self._informed:
            one.remove(self._series, place)
        self._series.delete(place)

    def _truncated(self) -> bool:
        return self._lost is not None and self._lost >= self._bounds[0]

    def _value(self, statistic: Statistic, enough: bool) -> float | Missing:
        if statistic.kind is not Kind.COUNT and not (enough and len(self._series)):
            return Missing.INPUT_MISSING
        return self._running[_key(statistic)].result(self._series, statistic.parameter or 0.0)


def _key(statistic: Statistic) -> tuple[str, float]:
    """Return what is the same for statistics that share a running state: all percentiles have one."""
    if statistic.kind is Kind.PERCENTILE:
        return statistic.kind, 0.0
    return statistic.kind, statistic.parameter or 0.0


def _whole(time: Any) -> int | None:
    """Return a time [µs] of a state, checked; raises what `int` and `_microseconds` do."""
    if time is not None:
        _microseconds(int(time) / SECOND)
    return None if time is None else int(time)


def _microseconds(time: float) -> int:
    if not abs(time) <= TIME_MOST:
        raise ValueError(f"a time must be finite and within ±{TIME_MOST:g} s, not {time}")
    return round(time * SECOND)
