"""How the wind blows: means, gust and direction from single measurements of speed and direction.

The terms are those of WMO-No. 8, Guide to Instruments and Methods of Observation, volume I, chapter 5.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
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


class Wind(NamedTuple):
    """One measurement: the mean over the interval that ends at *time* [s, Unix].

    *speed* [m/s] is 0 to 120; *direction* [deg], 0 to 360, is where it comes from, clockwise from true north.
    What lies outside (or is no number) counts as missing.
    """

    time: float
    speed: float | Missing
    direction: float | Missing = Missing.INPUT_MISSING


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
    winds: Iterable[Wind], end: float, length: float, interval: float, share: float = SHARE
) -> Summary:
    """Return what the wind was in the *length* [s] up to and with *end* [s, Unix], of all that came by then.

    *winds* are in order of arrival: of several true measurements at one time the first counts. *interval*
    as `gust`. All is INPUT_MISSING when less than *share* of the measurements is there, and a direction also
    as `mean_direction`. ValueError: a parameter does not fit.
    """
    need = _least(length, interval, share)
    until = _micros(end)
    since = until - _micros(length)
    inside = [Wind(*one) for one in winds if since < _micros(one.time) <= until]
    held = [Wind(at / _SECOND, speed, _or_missing(towards)) for at, speed, towards in _once(inside)]
    if len(held) < need:
        return _NOTHING
    return Summary(mean_speed(held), gust(held, interval), mean_direction(held, share), turbulence(held))


class _Held(NamedTuple):
    at: int  # [us]
    speed: int  # all three [m/s / _UNIT]
    east: int
    north: int
    windy: bool  # above CALM
    sighted: bool  # windy, and with a direction


@dataclass(slots=True)
class Window:
    """The last *length* [s] of wind, kept up with each measurement; gives the same as `summary`.

    Late measurements find their place as long as the window reaches back to them. Holds `length / interval`
    measurements. *interval* and *share*: as `summary`. ValueError: a parameter does not fit.
    """

    length: float
    interval: float
    share: float = SHARE
    _least: int = field(init=False)
    _run: _Run = field(init=False)
    _end: int | None = field(default=None, init=False)
    _held: list[_Held] = field(default_factory=list, init=False)  # in order of time
    _peaks: deque[tuple[int, float]] = field(default_factory=deque, init=False)  # begin, mean: falling
    _sums: list[int] = field(default_factory=lambda: [0] * 6, init=False)  # speed, its square, east ...

    def __post_init__(self) -> None:
        self._least = _least(self.length, self.interval, self.share)
        self._run = _Run.of(self.interval)

    def add(self, wind: Wind) -> None:
        """Take one measurement; the window ends at the newest so far, be it missing or not."""
        self.advance(wind.time)
        for at, speed, towards in _true([wind]):
            east, north = (0.0, 0.0) if towards is None else _vector(speed, towards)
            windy = speed >= CALM
            self._place(
                _Held(at, _whole(speed), _whole(east), _whole(north), windy, windy and towards is not None)
            )

    def advance(self, end: float) -> None:
        """Let the window end at *end* [s, Unix], unless it ends later already."""
        if self._end is not None and _micros(end) <= self._end:
            return
        self._end = _micros(end)
        since = self._end - _micros(self.length)
        while self._held and self._held[0].at <= since:
            self._count(self._held.pop(0), -1)
        while self._peaks and self._peaks[0][0] <= since:
            self._peaks.popleft()

    def summary(self) -> Summary:
        """Return what the wind was in the window, or why that is missing."""
        count = len(self._held)
        if count < self._least:
            return _NOTHING
        speed, square, east, north, windy, sighted = self._sums
        whole = count * _UNIT
        mean, spread = speed / whole, math.sqrt(count * square - speed * speed) / whole
        return Summary(
            mean,
            self._peaks[0][1] if self._peaks else Missing.INPUT_MISSING,
            _direction(mean, east / whole, north / whole, _seen(sighted, windy, self.share)),
            Missing.OUT_OF_RANGE if mean < CALM - _HAIR else spread / mean,
        )

    def _place(self, new: _Held) -> None:
        place = bisect_right(self._held, new.at, key=lambda one: one.at)
        too_late = self._end is not None and new.at <= self._end - _micros(self.length)
        if too_late or (place and self._held[place - 1].at == new.at):
            return  # once is enough
        self._held.insert(place, new)
        self._count(new, 1)
        if place + 1 == len(self._held):
            self._peak(place)
            return
        self._peaks.clear()  # late ones are few: all the means again
        for last in range(len(self._held)):
            self._peak(last)

    def _peak(self, last: int) -> None:
        """Note the running mean that ends with the one at *last*; forget lower ones, which it outlives."""
        run = self._held[max(0, last + 1 - self._run.number) : last + 1]
        if len(run) < self._run.number or not self._run.fits(run[0].at, run[-1].at):
            return
        mean = sum(one.speed for one in run) / (len(run) * _UNIT)
        while self._peaks and self._peaks[-1][1] <= mean:
            self._peaks.pop()
        self._peaks.append((run[0].at, mean))

    def _count(self, one: _Held, sign: int) -> None:
        parts = (one.speed, one.speed * one.speed, one.east, one.north, one.windy, one.sighted)
        self._sums = [have + sign * part for have, part in zip(self._sums, parts, strict=True)]


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


def _least(length: float, interval: float, share: float) -> int:
    """Return how many measurements the *length* must have, at least."""
    _check_share(share)
    _Run.of(interval)
    if not GUST <= length < math.inf:
        raise ValueError(f"wind is summed up over 3 s or more, not {length:g} s")
    return max(1, math.ceil(share * length / interval - _HAIR))


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share of the measurements is 0 to 1, not {share:g}")


def _whole(speed: float) -> int:
    return round(speed * _UNIT)


def _micros(seconds: float) -> int:
    return round(seconds * _SECOND)
