"""How the wind blows: means, gust and direction from single measurements of speed and direction.

The terms are those of WMO-No. 8, Guide to Instruments and Methods of Observation, volume I, chapter 5.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import cos, isnan, nan, sin
from operator import mul
from typing import NamedTuple

from drivers.device import Missing

CALM = 0.2
"""Mean speed [m/s] below which it is calm, and there is no direction: WMO-No. 8, volume I, 5.1."""

FASTEST = 120.0
"""Speeds above this [m/s] cannot be true: the highest gust at the surface was 113 m/s (WMO, 1996)."""

STEADIEST_UNDEFINED = 0.01
"""Steadiness (speed of the mean vector over mean speed) below which the directions cancel out; our choice."""

TWO_MINUTES, TEN_MINUTES = 120.0, 600.0
"""What means are taken over [s]: at aerodromes, and elsewhere (WMO-No. 8, volume I, 5.1)."""

GUST = 3.0
"""What a gust is a mean over [s]: WMO-No. 8, volume I, 5.1."""

SHARE = 0.75
"""Least share of the measurements that must be there for a mean to stand for its time."""

_HAIR = 1e-6  # of a measurement or a metre a second: 0.75 times a count, or a mean of 0.2, is not exact
_SECOND = 1_000_000  # times are whole microseconds, as records hold them
_UNIT = 1 << 40  # of speed: whole numbers, so that what leaves a window takes exactly its share with it
_DEGREE = math.pi / 180.0
_NEVER = -(1 << 80)  # us: before any time
_SLACK = 256  # measurements that may wait to be summed up, or to be dropped


class Gusts(StrEnum):
    """Where the gust comes from."""

    FOUND = "found"  # from the speeds
    GIVEN = "given"  # the instrument tells, with each speed, the highest mean over 3 s since the one before
    NONE = "none"  # nowhere: the speeds are too far apart


class Wind(NamedTuple):
    """One measurement: the mean over the interval that ends at *time* [s, Unix].

    *speed* [m/s] is 0 to 120; *direction* [deg], 0 to 360, is where it comes from, clockwise from true north;
    *gust* [m/s], 0 to 120, what the instrument itself found. What lies outside (or is no number) counts as
    missing.
    """

    time: float
    speed: float | Missing
    direction: float | Missing = Missing.INPUT_MISSING
    gust: float | Missing = Missing.INPUT_MISSING


def mean_speed(winds: Iterable[Wind]) -> float | Missing:
    """Return the mean speed [m/s]: of the speeds, not of the vectors (EPA-454/R-99-005, 6.2.1).

    INPUT_MISSING when no speed is there.
    """
    speeds = [speed for _, speed, _ in _true(winds)]
    return math.fsum(speeds) / len(speeds) if speeds else Missing.INPUT_MISSING


def turbulence(winds: Iterable[Wind]) -> float | Missing:
    """Return the intensity of turbulence [1]: the speeds' standard deviation over their mean (IEC 61400-1).

    INPUT_MISSING when no speed is there, OUT_OF_RANGE when it is calm.
    """
    speeds = [speed for _, speed, _ in _true(winds)]
    if not speeds:
        return Missing.INPUT_MISSING
    mean = math.fsum(speeds) / len(speeds)
    if mean < CALM - _HAIR:
        return Missing.OUT_OF_RANGE
    return math.sqrt(math.fsum((speed - mean) ** 2 for speed in speeds) / len(speeds)) / mean


def mean_direction(winds: Iterable[Wind], share: float = SHARE) -> float | Missing:
    """Return the direction of the mean vector [deg], 0 to below 360 (EPA-454/R-99-005, 6.2.2).

    Every direction weighs by its speed, so that a vane in still air turns nothing. OUT_OF_RANGE when it is
    calm, UNRELIABLE when the directions cancel out, INPUT_MISSING when no speed is there or less than
    *share*, 0 to 1, of the speeds above CALM has a direction. ValueError: the share is no share.
    """
    _check_share(share)
    found = _true(winds)
    if not found:
        return Missing.INPUT_MISSING
    vectors = [_vector(speed, direction) for _, speed, direction in found if direction is not None]
    windy = [direction for _, speed, direction in found if speed >= CALM]
    sighted = sum(direction is not None for direction in windy)
    return _direction(
        math.fsum(speed for _, speed, _ in found) / len(found),
        math.fsum(east for east, _ in vectors) / len(found),
        math.fsum(north for _, north in vectors) / len(found),
        _seen(sighted, len(windy), share),
    )


def gust(winds: Iterable[Wind], interval: float) -> float | Missing:
    """Return the gust [m/s]: the highest running mean over 3 s that lies wholly in *winds*, of any order.

    *interval* [s] is the time between two measurements; 3 s must be a whole number of them. A running mean
    counts only when its measurements follow each other as they should, give or take half an interval in
    all: a gap is no lull, and a crowd no gust. INPUT_MISSING when there is no such mean. ValueError:
    *interval* does not fit.
    """
    run, found = _Run.of(interval), _once(winds)
    runs = (found[first : first + run.number] for first in range(len(found) + 1 - run.number))
    means = (
        math.fsum(speed for _, speed, _ in one) / run.number
        for one in runs
        if run.fits(one[0][0], one[-1][0])
    )
    return max(means, default=Missing.INPUT_MISSING)


class _Run(NamedTuple):
    """The measurements of a gust: how many, and how far [us] the last may be from the first."""

    number: int
    shortest: int
    longest: int

    @classmethod
    def of(cls, interval: float) -> "_Run":
        if not 0.0 < interval <= GUST or abs(GUST / interval - round(GUST / interval)) > _HAIR:
            raise ValueError(f"3 s, the time of a gust, is no whole number of intervals of {interval:g} s")
        return cls(
            round(GUST / interval), _micros(GUST - 1.5 * interval) + 1, _micros(GUST - 0.5 * interval) - 1
        )

    def fits(self, first: int, last: int) -> bool:
        return self.shortest <= last - first <= self.longest


class Summary(NamedTuple):
    """What the wind was over a while: speed and gust [m/s], direction [deg], turbulence [1]."""

    speed: float | Missing
    gust: float | Missing
    direction: float | Missing
    turbulence: float | Missing


_NOTHING = Summary(*[Missing.INPUT_MISSING] * 4)


def summary(
    winds: Iterable[Wind],
    end: float,
    length: float,
    interval: float,
    share: float = SHARE,
    gusts: Gusts = Gusts.FOUND,
) -> Summary:
    """Return what the wind was in the *length* [s] up to and with *end* [s, Unix], of all that came by then.

    *winds* are in order of arrival: of several measurements with a true speed at one time the first counts.
    *interval* as `gust`, where those are found. All is INPUT_MISSING when less than *share* of the
    measurements is there, a gust that is given when less than that has one, and a direction also as
    `mean_direction`. ValueError: a parameter does not fit.
    """
    need = _least(length, interval, share, gusts)
    until = _micros(end)
    since = until - _micros(length)
    inside = [Wind(*one) for one in winds if since < _micros(one.time) <= until]
    held = [Wind(at / _SECOND, speed, _or_missing(towards)) for at, speed, towards in _once(inside)]
    if len(held) < need:
        return _NOTHING
    peak: float | Missing = Missing.INPUT_MISSING
    if gusts is Gusts.FOUND:
        peak = gust(held, interval)
    elif gusts is Gusts.GIVEN:
        peak = _given(inside, need)
    return Summary(mean_speed(held), peak, mean_direction(held, share), turbulence(held))


def _given(winds: Iterable[Wind], need: int) -> float | Missing:
    first: dict[int, Wind] = {}
    for one in winds:
        if _true([one]):
            first.setdefault(_micros(one.time), one)
    told = [peak for one in first.values() if (peak := _within(one.gust, FASTEST)) is not None]
    return max(told) if len(told) >= need else Missing.INPUT_MISSING


_WINDY, _SIGHTED = 1, 2  # of a measurement: above CALM; and with a direction


@dataclass(slots=True)
class _Sums:
    """What the means need, in whole numbers: [m/s / _UNIT], its square, counts."""

    speed: int = 0
    square: int = 0
    east: int = 0
    north: int = 0
    windy: int = 0
    sighted: int = 0
    telling: int = 0


@dataclass(slots=True)
class _Held:
    """Measurements in the order of time: time [us], speed and its vector [m/s / _UNIT], gust or NaN [m/s]."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    speeds: "array[int]" = field(default_factory=lambda: array("q"))
    easts: "array[int]" = field(default_factory=lambda: array("q"))
    norths: "array[int]" = field(default_factory=lambda: array("q"))
    kinds: "array[int]" = field(default_factory=lambda: array("b"))
    told: "array[float]" = field(default_factory=lambda: array("d"))

    def count(self, sums: _Sums, first: int, end: int, sign: int) -> None:
        """Add (*sign* 1) to *sums*, or take away (-1), those from *first* to before *end*."""
        speeds, kinds, told = self.speeds[first:end], self.kinds[first:end], self.told[first:end]
        sums.speed += sign * sum(speeds)
        sums.square += sign * sum(map(mul, speeds, speeds))
        sums.east += sign * sum(self.easts[first:end])
        sums.north += sign * sum(self.norths[first:end])
        sums.sighted += sign * kinds.count(_WINDY + _SIGHTED)
        sums.windy += sign * (len(kinds) - kinds.count(0))
        sums.telling += sign * (len(told) - sum(map(isnan, told)))

    def clear(self, end: int) -> None:
        """Drop all before *end*."""
        for one in (self.times, self.speeds, self.easts, self.norths, self.kinds, self.told):
            del one[:end]


@dataclass(slots=True)
class Window:
    """The last *length* [s] of wind, kept up with each measurement; gives the same as `summary`.

    Late measurements find their place as long as the window reaches back to them. Holds `length / interval`
    measurements, 33 to 41 bytes each. They are summed up by the bunch, when somebody asks: a summary costs
    what came in and what left since the last. *interval*, *share* and *gusts*: as `summary`. ValueError: a
    parameter does not fit.
    """

    length: float
    interval: float
    share: float = SHARE
    gusts: Gusts = Gusts.FOUND
    _least: int = field(init=False)
    _run: _Run = field(init=False)
    _span: int = field(init=False)  # [us]
    _end: int = field(default=_NEVER, init=False)
    _held: _Held = field(default_factory=_Held, init=False)
    _head: int = field(default=0, init=False)  # from here on they are in the window,
    _done: int = field(default=0, init=False)  # before here they are in the sums and among the peaks
    _sums: _Sums = field(default_factory=_Sums, init=False)
    _peaks: deque[tuple[int, float]] = field(default_factory=deque, init=False)  # begin [us], gust: falling

    def __post_init__(self) -> None:
        self._least = _least(self.length, self.interval, self.share, self.gusts)
        self._run = _Run.of(self.interval if self.gusts is Gusts.FOUND else GUST)
        self._span = _micros(self.length)

    def __len__(self) -> int:
        """How many measurements it holds."""
        self._settle()
        return self._done - self._head

    def add(
        self,
        time: float,
        speed: float | Missing,
        direction: float | Missing = Missing.INPUT_MISSING,
        gust: float | Missing = Missing.INPUT_MISSING,
    ) -> None:
        """Take one measurement (`Wind`); the window ends at the newest so far, be it missing or not."""
        at = round(time * _SECOND)
        new = at > self._end
        if new:
            self._end = at
        if isinstance(speed, Missing) or not 0.0 <= speed <= FASTEST:
            return
        kind = _WINDY if speed >= CALM else 0
        east = north = 0
        if not isinstance(direction, Missing) and 0.0 <= direction <= 360.0:
            angle = direction * _DEGREE
            east, north = round(speed * sin(angle) * _UNIT), round(speed * cos(angle) * _UNIT)
            kind = kind and _WINDY + _SIGHTED
        held = self._held
        place = len(held.times) if new else self._place(at)
        if place is None:
            return
        held.times.insert(place, at)
        held.speeds.insert(place, round(speed * _UNIT))
        held.easts.insert(place, east)
        held.norths.insert(place, north)
        held.kinds.insert(place, kind)
        if self.gusts is Gusts.GIVEN:
            told = _within(gust, FASTEST)
            held.told.insert(place, nan if told is None else told)
        if place - self._done > _SLACK:
            self._settle()

    def advance(self, end: float) -> None:
        """Let the window end at *end* [s, Unix], unless it ends later already."""
        self._end = max(self._end, _micros(end))

    def summary(self) -> Summary:
        """Return what the wind was in the window, or why that is missing."""
        self._settle()
        count, sums = self._done - self._head, self._sums
        if count < self._least:
            return _NOTHING
        whole = count * _UNIT
        mean = sums.speed / whole
        spread = math.sqrt(count * sums.square - sums.speed * sums.speed) / whole
        seen = _seen(sums.sighted, sums.windy, self.share)
        return Summary(
            mean,
            self._gust(),
            _direction(mean, sums.east / whole, sums.north / whole, seen),
            Missing.OUT_OF_RANGE if mean < CALM - _HAIR else spread / mean,
        )

    def _gust(self) -> float | Missing:
        if not self._peaks or (self.gusts is Gusts.GIVEN and self._sums.telling < self._least):
            return Missing.INPUT_MISSING
        return self._peaks[0][1]

    def _place(self, at: int) -> int | None:
        """Return the place of a late time; None where it is too late, or there already."""
        times = self._held.times
        place = bisect_left(times, at, self._head)
        if at <= self._end - self._span or (place < len(times) and times[place] == at):
            return None
        if place < self._done:  # late ones are few: all the sums again
            self._done, self._sums = self._head, _Sums()
            self._peaks.clear()
        return place

    def _settle(self) -> None:
        """Sum up what came in, and take out what has left."""
        held, since = self._held, self._end - self._span
        if self._done < len(held.times):
            held.count(self._sums, self._done, len(held.times), 1)
            self._crest(self._done)
            self._done = len(held.times)
        head = bisect_right(held.times, since, self._head)
        if head > self._head:
            held.count(self._sums, self._head, head, -1)
            self._head = head
        while self._peaks and self._peaks[0][0] <= since:
            self._peaks.popleft()
        if head > _SLACK + len(held.times) // 8:
            held.clear(head)
            self._head, self._done = 0, self._done - head

    def _crest(self, place: int) -> None:
        """Note the gusts that the measurements from *place* on end; each outlives lower ones before it."""
        peaks, gusts = self._peaks, _RUNS[self.gusts](self._held, self._run, self._head, place)
        for begin, value in gusts:
            while peaks and peaks[-1][1] <= value:
                peaks.pop()
            peaks.append((begin, value))


def _runs(held: _Held, run: _Run, head: int, place: int) -> Iterator[tuple[int, float]]:
    """Yield begin [us] and mean [m/s] of every whole run that ends at *place* or later."""
    number, shortest, longest = run
    first, whole = max(head, place + 1 - number), number * _UNIT
    times, speeds = held.times[first:], held.speeds[first:]
    total = sum(speeds[: number - 1])
    for begin, end, leaves, enters in zip(
        times, times[number - 1 :], speeds, speeds[number - 1 :], strict=False
    ):
        total += enters
        if shortest <= end - begin <= longest:
            yield begin, total / whole
        total -= leaves


def _tellings(held: _Held, run: _Run, head: int, place: int) -> Iterator[tuple[int, float]]:
    """Yield time [us] and gust [m/s] of every measurement from *place* on that has one."""
    for at, told in zip(held.times[place:], held.told[place:], strict=True):
        if told == told:  # NaN: it has none
            yield at, told


_RUNS: Mapping[Gusts, Callable[[_Held, _Run, int, int], Iterable[tuple[int, float]]]] = {
    Gusts.FOUND: _runs,
    Gusts.GIVEN: _tellings,
    Gusts.NONE: lambda held, run, head, place: (),
}


def _true(winds: Iterable[Wind]) -> list[tuple[int, float, float | None]]:
    """Return time [us], speed and direction of the measurements that have a speed."""
    return [
        (_micros(one.time), one.speed, _within(one.direction, 360.0))
        for one in winds
        if not isinstance(one.speed, Missing) and _within(one.speed, FASTEST) is not None
    ]


def _once(winds: Iterable[Wind]) -> list[tuple[int, float, float | None]]:
    found: dict[int, tuple[int, float, float | None]] = {}
    for one in _true(winds):
        found.setdefault(one[0], one)
    return [found[at] for at in sorted(found)]


def _within(value: float | Missing, highest: float) -> float | None:
    return value if not isinstance(value, Missing) and 0.0 <= value <= highest else None


def _or_missing(value: float | None) -> float | Missing:
    return Missing.INPUT_MISSING if value is None else value


def _vector(speed: float, direction: float) -> tuple[float, float]:
    angle = math.radians(direction)
    return speed * math.sin(angle), speed * math.cos(angle)


def _direction(mean: float, east: float, north: float, seen: bool) -> float | Missing:
    if mean < CALM - _HAIR:
        return Missing.OUT_OF_RANGE
    if not seen:
        return Missing.INPUT_MISSING
    if math.hypot(east, north) < STEADIEST_UNDEFINED * mean:
        return Missing.UNRELIABLE
    # Rounded before the modulus: a hair below zero would come out of it as 360.
    return round(math.degrees(math.atan2(east, north)), 6) % 360.0


def _seen(sighted: int, windy: int, share: float) -> bool:
    return sighted > 0 and sighted >= share * windy - _HAIR


def _least(length: float, interval: float, share: float, gusts: Gusts) -> int:
    """Return how many measurements the *length* must have, at least."""
    _check_share(share)
    if gusts is Gusts.FOUND:
        _Run.of(interval)
    if not max(GUST, interval) <= length < math.inf or not interval > 0.0:
        raise ValueError(f"wind is summed up over 3 s or more, and an interval at least, not {length:g} s")
    return max(1, math.ceil(share * length / interval - _HAIR))


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share of the measurements is 0 to 1, not {share:g}")


def _micros(seconds: float) -> int:
    return round(seconds * _SECOND)
