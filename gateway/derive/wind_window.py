"""What the wind was over the last minutes: of all measurements at once, and kept up with each."""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import cos, nan, sin
from typing import NamedTuple

from drivers.device import Missing
from gateway.derive.frames import SECOND
from gateway.derive.gusts import GUST, Gusts, Run, gust
from gateway.derive.wind import (
    CALM,
    FASTEST,
    HAIR,
    SHARE,
    Wind,
    check_share,
    direction_of,
    mean_direction,
    mean_speed,
    micros,
    once,
    seen_enough,
    true_winds,
    turbulence,
    within,
)
from gateway.derive.wind_held import CRESTS, SIGHTED, UNIT, WINDY, Held, Sums

_DEGREE = math.pi / 180.0
_NEVER = -(1 << 80)  # us: before any time
_SLACK = 256  # measurements that may wait to be summed up, or to be dropped


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
    until = micros(end)
    since = until - micros(length)
    inside = [Wind(*one) for one in winds if since < micros(one.time) <= until]
    held = [Wind(at / SECOND, speed, _or_missing(towards)) for at, speed, towards in once(inside)]
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
        if true_winds([one]):
            first.setdefault(micros(one.time), one)
    told = [peak for one in first.values() if (peak := within(one.gust, FASTEST)) is not None]
    return max(told) if len(told) >= need else Missing.INPUT_MISSING


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
    _run: Run = field(init=False)
    _span: int = field(init=False)  # [us]
    _end: int = field(default=_NEVER, init=False)
    _held: Held = field(default_factory=Held, init=False)
    _head: int = field(default=0, init=False)  # from here on they are in the window,
    _done: int = field(default=0, init=False)  # before here they are in the sums and among the peaks
    _sums: Sums = field(default_factory=Sums, init=False)
    _peaks: deque[tuple[int, float]] = field(default_factory=deque, init=False)  # begin [us], gust: falling

    def __post_init__(self) -> None:
        self._least = _least(self.length, self.interval, self.share, self.gusts)
        self._run = Run.of(self.interval if self.gusts is Gusts.FOUND else GUST)
        self._span = micros(self.length)

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
        at = round(time * SECOND)
        new = at > self._end
        if new:
            self._end = at
        if isinstance(speed, Missing) or not 0.0 <= speed <= FASTEST:
            return
        kind = WINDY if speed >= CALM else 0
        east = north = 0
        if not isinstance(direction, Missing) and 0.0 <= direction <= 360.0:
            angle = direction * _DEGREE
            east, north = round(speed * sin(angle) * UNIT), round(speed * cos(angle) * UNIT)
            kind = kind and WINDY + SIGHTED
        held = self._held
        place = len(held.times) if new else self._place(at)
        if place is None:
            return
        held.times.insert(place, at)
        held.speeds.insert(place, round(speed * UNIT))
        held.easts.insert(place, east)
        held.norths.insert(place, north)
        held.kinds.insert(place, kind)
        if self.gusts is Gusts.GIVEN:
            told = within(gust, FASTEST)
            held.told.insert(place, nan if told is None else told)
        if place - self._done > _SLACK:
            self._settle()

    def advance(self, end: float) -> None:
        """Let the window end at *end* [s, Unix], unless it ends later already."""
        self._end = max(self._end, micros(end))

    def summary(self) -> Summary:
        """Return what the wind was in the window, or why that is missing."""
        self._settle()
        count, sums = self._done - self._head, self._sums
        if count < self._least:
            return _NOTHING
        whole = count * UNIT
        mean = sums.speed / whole
        spread = math.sqrt(count * sums.square - sums.speed * sums.speed) / whole
        seen = seen_enough(sums.sighted, sums.windy, self.share)
        return Summary(
            mean,
            self._gust(),
            direction_of(mean, sums.east / whole, sums.north / whole, seen),
            Missing.OUT_OF_RANGE if mean < CALM - HAIR else spread / mean,
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
            self._done, self._sums = self._head, Sums()
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
        peaks, gusts = self._peaks, CRESTS[self.gusts](self._held, self._run, self._head, place)
        for begin, value in gusts:
            while peaks and peaks[-1][1] <= value:
                peaks.pop()
            peaks.append((begin, value))


def _or_missing(value: float | None) -> float | Missing:
    return Missing.INPUT_MISSING if value is None else value


def _least(length: float, interval: float, share: float, gusts: Gusts) -> int:
    """Return how many measurements the *length* must have, at least."""
    check_share(share)
    if gusts is Gusts.FOUND:
        Run.of(interval)
    if not max(GUST, interval) <= length < math.inf or not interval > 0.0:
        raise ValueError(f"wind is summed up over 3 s or more, and an interval at least, not {length:g} s")
    return max(1, math.ceil(share * length / interval - HAIR))
