"""Alarms for what changes by and by, and for what changes at once."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from drivers.device import UNITS, Missing, Quantity
from gateway.derive.kind import Context, Input, Kind, State, Taken, Unfit, always
from gateway.derive.kinds.alarm import Alarm
from gateway.derive.kinds.limits import NUMBERS, chosen, within
from gateway.derive.land import Drift, Step
from gateway.derive.saved import TIME_MOST, number

_Q = Quantity

LOOK_BACK = 1440
"""The most samples back to which an alarm asks whether one was suspect; a day at the most."""


@dataclass(frozen=True, slots=True)
class Drifting:
    """What is no drift, and how much is one, in the unit of the source.

    *target* is what it was when all was well, *allowance* how far off it may always be, *decision* the sum of
    what is beyond that, reading by reading, that raises the alarm. *inspected* is the day on which somebody
    last looked: another day, like any other change of these settings, ends the alarm and begins anew.
    """

    target: float | None = None
    allowance: float | None = None
    decision: float | None = None
    inspected: date | None = None


@dataclass(slots=True)
class _Counting:
    """A *detector* by samples, not by time: one that comes again at the same time is none.

    It also knows the times of the samples that the detector's word rests on, *window* of them at the most;
    None: all since its sums are above zero. What was before has no part in its alarm.
    """

    detector: Drift | Step
    window: int | None = None
    _times: deque[float] = field(init=False)
    _last: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        self._times = deque(maxlen=self.window)

    @property
    def active(self) -> bool:
        """Whether the alarm is raised."""
        return self.detector.active

    @property
    def proved(self) -> bool:
        """As that of the detector."""
        return self.detector.proved

    def told(self, time: float, taken: Taken) -> bool | Missing:
        """Return the alarm. Missing input raises and ends nothing, and no alarm is then unknown."""
        value = taken["value"]
        again, self._last = time == self._last, time
        stood = self.detector.active
        active = self.detector.feed(Missing.INPUT_MISSING if again else value)
        if isinstance(value, Missing):
            return active or Missing.INPUT_MISSING
        if not again:
            self._note(time, stood)
        return active

    def since(self, time: float) -> float:
        """Return the time of the first sample that the alarm of *time* rests on."""
        return min((time, *self._times))

    def save(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON takes it."""
        return {"detector": self.detector.save(), "times": list(self._times)}

    def restore(self, saved: Any) -> None:
        """Take over what `save` gave, also without times. Raises ValueError, KeyError, TypeError."""
        if not isinstance(saved, dict) or "detector" not in saved:
            saved = {"detector": saved, "times": []}
        times = [number(each, -TIME_MOST, TIME_MOST) for each in saved["times"]]
        self.detector.restore(saved["detector"])
        self._times.extend(times)

    def _note(self, time: float, stood: bool) -> None:
        detector = self.detector
        if isinstance(detector, Step):
            self._times.append(time)
        elif stood or not (detector.active or detector.high or detector.low):
            self._times.clear()  # a drift that was found rests on nothing that came after it
        elif not self._times or time < self._times[0]:
            self._times = deque([time])


def _drift(options: Drifting, context: Context) -> State:
    source = _straight(context)
    angle = UNITS[source.quantity] == "deg"
    zero = 0.0 if source.quantity is _Q.MOVEMENT else None
    target = chosen(options.target, "target", source, zero, "what it showed when all was well")
    small, large = (0.05, 0.25) if angle else (None, None)
    allowance = chosen(options.allowance, "allowance", source, small, "how far off it may always be")
    decision = chosen(options.decision, "decision", source, large, "the sum beyond that is an alarm")
    within(options, "allowance", 0.0, math.inf)
    if decision <= 0.0:
        raise Unfit("decision", f"decision must be above 0, not {decision:g}")
    drift = _Counting(Drift(target, allowance, decision))
    return Alarm(drift, drift.told, drift.since)


@dataclass(frozen=True, slots=True)
class Stepping:
    """*threshold*, in the unit of the source, is how far the means of *short* and *long* readings differ."""

    threshold: float | None = None
    short: int = 5
    long: int = 60


def _step(options: Stepping, context: Context) -> State:
    source = _straight(context)
    within(options, "long", 1, 1000)
    within(options, "short", 1, options.long)
    small = 0.25 if UNITS[source.quantity] == "deg" else None
    threshold = chosen(options.threshold, "threshold", source, small, "how large a step is an alarm")
    if threshold <= 0.0:
        raise Unfit("threshold", f"threshold must be above 0, not {threshold:g}")
    step = _Counting(Step(threshold, options.short, options.long), options.short + options.long)
    return Alarm(step, step.told, step.since)


def _straight(context: Context) -> Any:
    """Return the source. Raises Unfit for one that goes round: from 359 to 1 is no step."""
    if context.source.quantity is _Q.WIND_DIRECTION:
        raise Unfit("from", "a direction goes round, from 359 deg to 1 deg: that is neither drift nor step")
    return context.source


def _back(options: Any, context: Context) -> float:
    return min(LOOK_BACK * context.interval, 86400.0)


KINDS: Mapping[str, Kind] = {
    "drift": Kind(Drifting, (Input("value", NUMBERS),), always(_Q.ACTIVE), _drift, reach=_back, lasting=True),
    "step": Kind(Stepping, (Input("value", NUMBERS),), always(_Q.ACTIVE), _step, reach=_back, lasting=True),
}
