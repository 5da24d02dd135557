"""What a stage is called, and the alarms of a flood: missing data never clears them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

from drivers.device import Missing
from gateway.derive.level import usable


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

    @property
    def proved(self) -> bool:
        """Whether the newest samples alone would make it what it is, now that it is so."""
        return self._above >= self.on_delay if self.active else self._below > 0

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

    @property
    def proved(self) -> bool:
        """Whether the newest samples alone would give it its name."""
        return all(alarm.proved for alarm in self._alarms.values())

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
