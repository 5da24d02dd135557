"""How high the water stands, how fast it rises, and what that is called."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from math import isfinite
from typing import Any, TypeGuard

from drivers.device import Missing
from gateway.derive.statistics import robust_slope

FRESH_WATER = 997.0
"""Density [kg/m3] of fresh water at 25 Cel."""

SEA_WATER = 1029.0
"""Density [kg/m3] usually taken for sea water; it is 1020 to 1029, the higher the colder and the saltier."""

STANDARD_GRAVITY = 9.80665  # m/s2, exact (3rd CGPM, 1901)
AIR_TEMPERATURE = (-40.0, 65.0)  # Cel, for which ranging parts are made; the linear formula is good there
AIR_PRESSURE = (300.0, 1100.0)  # hPa, what barometers can tell
UNCERTAIN = 10.0  # hPa by which two sensors in the same air may differ: 0.1 m of water
LEAST = 3  # points of a slope: two always lie on a line
_SLACK = 64  # samples that may wait to be dropped


def stage(distance: float, reference: float) -> float:
    """Return the stage [m]: the height of the water over the datum, negative below it.

    *distance* [m] is from the sensor down to the water, *reference* [m] the height of the sensor's face over
    the datum, from a survey.
    """
    return reference - distance


def speed_of_sound(temperature: float) -> float | Missing:
    """Return the speed of sound [m/s] in air of *temperature* [Cel]: `331.3 + 0.606 T`.

    The usual linear form, within 0.6 % of the square root law from -40 to 65; OUT_OF_RANGE outside that.
    Humidity is left out: 0.4 % at most at 20 Cel.
    """
    low, high = AIR_TEMPERATURE
    return 331.3 + 0.606 * temperature if low <= temperature <= high else Missing.OUT_OF_RANGE


def true_distance(distance: float | Missing, temperature: float | Missing, assumed: float) -> float | Missing:
    """Return the distance [m] that an ultrasonic part would have told, had it known the air's *temperature*.

    *distance* [m] is as the part told it, *temperature* [Cel] that of the air along the way, *assumed* [m/s]
    the one speed of sound that the part reckons with: 344.8 for a MaxBotix of 58 us to the centimetre.
    INPUT_MISSING without both inputs; OUT_OF_RANGE where `speed_of_sound` is. Raises ValueError for a speed
    that is not positive.
    """
    if not assumed > 0:
        raise ValueError("the speed of sound that the part assumes must be above 0 m/s")
    if not usable(distance) or not usable(temperature):
        return Missing.INPUT_MISSING
    speed = speed_of_sound(temperature)
    return speed if isinstance(speed, Missing) else distance * speed / assumed


def depth(water: float | Missing, air: float | Missing, density: float = FRESH_WATER) -> float | Missing:
    """Return the depth [m] of an absolute pressure sensor under the water: `(water - air) / (density g)`.

    *water* [hPa] is what it reads, *air* [hPa] what a second sensor reads in the air near by, at the same
    height and time; without it the weather alone would move the depth by half a metre. *density* [kg/m3].
    A sensor that lies dry reads 0, though the two may differ a little; INPUT_MISSING without both inputs;
    OUT_OF_RANGE when the air's pressure is none, or clearly above the water's. Raises ValueError for a
    density that is not positive.
    """
    if not density > 0:
        raise ValueError("the density of the water must be above 0 kg/m3")
    if not usable(water) or not usable(air):
        return Missing.INPUT_MISSING
    if not AIR_PRESSURE[0] <= air <= AIR_PRESSURE[1] or water < air - UNCERTAIN:
        return Missing.OUT_OF_RANGE
    return max(0.0, 100.0 * (water - air) / (density * STANDARD_GRAVITY))


def usable(value: float | Missing) -> TypeGuard[float]:
    """Return whether *value* is a number: neither Missing, nor NaN, nor infinite."""
    return not isinstance(value, Missing) and isfinite(value)


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


class StageName(StrEnum):
    """What a stage is called. NWS Manual 10-950 (2019), 2.1 (action) and 2.8 (flood categories)."""

    NORMAL = "normal"
    ACTION = "action"  # get ready
    MINOR = "minor"  # from here on it is a flood: little damage, some public threat
    MODERATE = "moderate"  # water in some buildings and on roads near the stream
    MAJOR = "major"  # extensive: evacuations


Thresholds = Mapping[StageName, float]
"""The stage [m] at which each name begins: local data, which has an owner. A name may be left out."""

_ORDER = tuple(StageName)


def stage_name(value: float, thresholds: Thresholds) -> StageName:
    """Return the highest name whose threshold [m] the stage *value* [m] reaches."""
    reached = [name for name in _ORDER if name in thresholds and value >= thresholds[name]]
    return reached[-1] if reached else StageName.NORMAL


@dataclass(slots=True)
class Alarm:
    """One threshold: raised by *on_delay* samples in a row at or above *on*.

    *off_delay* samples in a row below *off* clear it. A sample that is missing or not a number never clears
    the alarm, and never helps to: the samples below *off* are counted afresh after it. Those at or above *on*
    are not: a sensor that fails now and then must not hold a flood back. *stale_after* such samples in a row
    raise `stale`, an alarm of its own, which the first good sample clears. A device that says nothing at all
    has to be fed as Missing.TIMEOUT.
    Raises ValueError when *off* is above *on*, or for a delay below 1.
    """

    on: float
    off: float
    on_delay: int = 1
    off_delay: int = 1
    stale_after: int = 1
    active: bool = False
    _above: int = 0
    _below: int = 0
    _bad: int = 0

    def __post_init__(self) -> None:
        if not self.off <= self.on:
            raise ValueError(
                f"the alarm is cleared below {self.off:g}, which is above {self.on:g}, where it is raised"
            )
        if min(self.on_delay, self.off_delay, self.stale_after) < 1:
            raise ValueError("a delay counts samples, at least 1")

    @property
    def stale(self) -> bool:
        """Whether the last samples were all missing or bad."""
        return self._bad >= self.stale_after

    def feed(self, value: float | Missing) -> bool:
        """Take the next sample, in the unit of the thresholds; return whether the alarm is raised."""
        if usable(value):
            return self.take(value)
        self._bad += 1
        self._below = 0
        return self.active

    def take(self, value: float) -> bool:
        """Take the next sample, which is a number, as `feed`."""
        self._bad = 0
        if value >= self.on:
            self._above += 1
            self._below = 0
            self.active = self.active or self._above >= self.on_delay
        else:
            self._above = 0
            self._below = self._below + 1 if value < self.off else 0
            self.active = self.active and self._below < self.off_delay
        return self.active

    def state(self) -> list[int]:
        """Return all that `restore` needs: whether it is raised, and the samples above, below and bad."""
        counts = zip((self._above, self._below, self._bad), self._delays(), strict=True)
        return [int(self.active), *(min(count, delay) for count, delay in counts)]

    def restore(self, state: Sequence[Any]) -> None:
        """Take over what `state` gave. Raises ValueError or TypeError when it is not that."""
        active, *counts = state
        fits = [type(n) is int and 0 <= n <= delay for n, delay in zip(counts, self._delays(), strict=True)]
        if active not in (0, 1) or not all(fits):
            raise ValueError(f"this is no state of an alarm: {state!r}")
        self.active = bool(active)
        self._above, self._below, self._bad = counts

    def _delays(self) -> tuple[int, int, int]:
        return self.on_delay, self.off_delay, self.stale_after


@dataclass(slots=True)
class StageAlarm:
    """The name of the stage with hysteresis and delays: an `Alarm` for each threshold, the highest one tells.

    A name is left *hysteresis* [m] below where it begins. Raises ValueError when there is no threshold, when
    they do not rise from action to major, when NORMAL has one, or when the hysteresis is negative.
    """

    thresholds: Thresholds
    hysteresis: float = 0.05
    on_delay: int = 1
    off_delay: int = 1
    stale_after: int = 1
    _alarms: dict[StageName, Alarm] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [name for name in _ORDER if name in self.thresholds]
        heights = [self.thresholds[name] for name in names]
        if not names or StageName.NORMAL in names:
            raise ValueError("the stages need thresholds: any of action, minor, moderate and major")
        if any(low >= high for low, high in pairwise(heights)):
            raise ValueError("the thresholds must rise from action over minor and moderate to major")
        if not self.hysteresis >= 0:
            raise ValueError("the hysteresis must not be negative")
        delays = (self.on_delay, self.off_delay, self.stale_after)
        self._alarms = {
            n: Alarm(on, on - self.hysteresis, *delays) for n, on in zip(names, heights, strict=True)
        }

    @property
    def name(self) -> StageName:
        """The name that holds now."""
        highest = StageName.NORMAL
        for name, alarm in self._alarms.items():
            if alarm.active:
                highest = name
        return highest

    @property
    def stale(self) -> bool:
        """Whether the name rests on old samples, as the last ones were missing or bad."""
        return next(iter(self._alarms.values())).stale  # they all have the same samples

    def feed(self, value: float | Missing) -> StageName:
        """Take the next stage [m]; return the name that holds from now on."""
        if usable(value):
            for alarm in self._alarms.values():
                alarm.take(value)
        else:
            for alarm in self._alarms.values():
                alarm.feed(value)
        return self.name

    def state(self) -> dict[str, list[int]]:
        """Return all that `restore` needs, as JSON takes it."""
        return {name.value: alarm.state() for name, alarm in self._alarms.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave. Raises ValueError, KeyError or TypeError when it is not that."""
        for name, alarm in self._alarms.items():
            alarm.restore(state[name])
        active = [alarm.active for alarm in self._alarms.values()]
        if active != sorted(active, reverse=True):
            raise ValueError("a higher stage cannot hold without all lower ones")


@dataclass(slots=True)
class Disagreement:
    """A flag that two level sensors have differed by more than *tolerance* [m] for *duration* [s].

    It goes when they have agreed for as long. While either is missing the flag stays as it is, and the time
    is counted afresh: one sensor alone proves nothing. So it is after more than *gap* [s] without a pair.
    Where time goes back, as when a clock is set right, it is counted on as if none had passed.
    Raises ValueError for a negative parameter.
    """

    tolerance: float
    duration: float = 900.0
    gap: float = math.inf
    active: bool = False
    _since: float | None = None  # when they began to be other than the flag says
    _last: float = -math.inf

    def __post_init__(self) -> None:
        if not self.tolerance >= 0 or not self.duration >= 0 or not self.gap >= 0:
            raise ValueError("the tolerance, the duration and the gap must not be negative")

    @property
    def since(self) -> float:
        """The time [s] from which on pairs have been other than the flag says, or else of the last pair."""
        return self._last if self._since is None else self._since

    def feed(self, at: float, first: float | Missing, second: float | Missing) -> bool:
        """Take both stages [m] of the time *at* [s]; return the flag."""
        if self._since is not None and at < self._last:
            self._since -= self._last - at
        if at - self._last > self.gap:
            self._since = None
        self._last = at
        if not usable(first) or not usable(second) or (abs(first - second) > self.tolerance) == self.active:
            self._since = None
            return self.active
        self._since = at if self._since is None else self._since
        if at - self._since >= self.duration:
            self.active, self._since = not self.active, None
        return self.active

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, as JSON takes it."""
        last = self._last if math.isfinite(self._last) else None
        return {"active": self.active, "since": self._since, "last": last}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave. Raises ValueError, KeyError or TypeError when it is not that."""
        active, since, last = state["active"], state["since"], state["last"]
        times = [float(each) for each in (since, last) if each is not None]
        if type(active) is not bool or not all(map(math.isfinite, times)) or times != sorted(times):
            raise ValueError(f"this is no state of a disagreement: {state!r}")
        self.active, self._since = active, None if since is None else float(since)
        self._last = -math.inf if last is None else float(last)
