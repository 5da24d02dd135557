"""Ground, and what stands on it: how it leans, moves, drifts, jumps and shakes."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from drivers.device import UNITS, Missing, Quantity
from gateway.config import Duration
from gateway.derive.kind import Context, Conversion, Input, Kind, Result, State, Taken, Unfit, always, only
from gateway.derive.kinds.alarm import Alarm
from gateway.derive.kinds.limits import NUMBERS, above, chosen, within
from gateway.derive.land import Baseline, Drift, Movement, Step, Vector, resting, tilt, vibration

_Q = Quantity

MOST = 10_000
"""The most samples of which a mean or a block is made."""

LOOK_BACK = 1440
"""The most samples back to which an alarm asks whether one was suspect; a day at the most."""

AXES: Mapping[str, Quantity] = {"x": _Q.ACCELERATION_X, "y": _Q.ACCELERATION_Y, "z": _Q.ACCELERATION_Z}
NAMES = frozenset(AXES)
INPUTS = tuple(Input(name, only(quantity)) for name, quantity in AXES.items())

Up = Literal["x", "y", "z", "-x", "-y", "-z"]
TURNED: Mapping[str, Callable[[float, float, float], Vector]] = {
    "z": lambda x, y, z: Vector(x, y, z),
    "-z": lambda x, y, z: Vector(x, -y, -z),
    "x": lambda x, y, z: Vector(y, z, x),
    "-x": lambda x, y, z: Vector(y, -z, -x),
    "y": lambda x, y, z: Vector(z, x, y),
    "-y": lambda x, y, z: Vector(z, -x, -y),
}
"""How the axes are turned, without a mirror, so that the one that points up becomes z."""


def _vector(taken: Taken) -> Vector | Missing:
    """Return the acceleration, or why there is none."""
    values = taken.values
    x, y, z = values["x"], values["y"], values["z"]
    if isinstance(x, Missing) or isinstance(y, Missing) or isinstance(z, Missing):
        return Missing.INPUT_MISSING
    return Vector(x, y, z)


def _one_part(context: Context) -> None:
    """Raise Unfit unless the axes are of one part: those of two have no direction together."""
    parts = sorted({context.sources[name].device for name in NAMES})
    if len(parts) > 1:
        said = f'the axes are those of {" and ".join(parts)}: name one part alone, as from = "{parts[0]}"'
        raise Unfit("from", said)


@dataclass(frozen=True, slots=True)
class Lean:
    """*up* is the axis of the part that points up when nothing leans: "z" where it lies flat."""

    up: Up = "z"


def _tilt(options: Lean, context: Context) -> State:
    _one_part(context)
    turned = TURNED[options.up]

    def convert(taken: Taken) -> Mapping[Quantity, float | Missing]:
        a = _vector(taken)
        leaning = a if isinstance(a, Missing) else tilt(turned(*a))
        if isinstance(leaning, Missing):
            return {_Q.TILT: leaning, _Q.TILT_X: leaning, _Q.TILT_Y: leaning}
        return {_Q.TILT: leaning.inclination, _Q.TILT_X: leaning.x, _Q.TILT_Y: leaning.y}

    return Conversion(convert)


@dataclass(frozen=True, slots=True)
class Moved:
    """Against what, and over how long.

    *gravity* [m/s2] on the three axes is what was measured after the installation, at *temperature* [Cel];
    *drift* [m/s2/Cel] is what each axis shows more per degree. The mean is over *over*, given each *every*
    (as *over* unless given), of at least *share* of the samples due.
    """

    gravity: tuple[float, float, float]
    temperature: float = 25.0
    drift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    over: Duration = 300.0
    every: Duration | None = None
    share: float = 0.75


@dataclass(slots=True)
class Moving:
    """Gives the movement with the first sample of each *every* [s] of the clock: a restart shifts nothing."""

    movement: Movement
    every: float
    _slot: float = field(default=float("-inf"), init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        if not taken.fresh >= NAMES:  # the temperature of another part: no sample of its own
            return ()
        self.movement.feed(time, _vector(taken), taken["temperature"])
        slot = time // self.every
        if slot <= self._slot:
            return ()
        self._slot = slot
        return (Result(time, {_Q.MOVEMENT: self.movement.value(time)}, time - self.movement.window),)

    def advance(self, time: float) -> Iterable[Result]:
        """It speaks when it hears."""
        return ()

    def save(self) -> Any:
        """The readings in the store bring the mean back."""
        return None

    def restore(self, saved: Any) -> None:
        """Nothing is saved."""


def _movement(options: Moved, context: Context) -> State:
    _one_part(context)
    within(options, "temperature", -60.0, 150.0, "Cel")
    within(options, "drift", -0.1, 0.1, "m/s2/Cel")
    above(options, "share", 0.0, 1.0)
    _due(options, context, least=1)
    if not resting(Vector(*options.gravity)):
        said = "the baseline is measured at rest and in m/s2: the length of gravity is 9.81 within 5 %"
        raise Unfit("gravity", said)
    if any(options.drift) and "temperature" not in context.sources:
        raise Unfit("drift", 'a drift needs a temperature: say from = ["part", "other.temperature"]')
    baseline = Baseline(Vector(*options.gravity), options.temperature, Vector(*options.drift))
    least = math.ceil(options.share * (options.over / context.interval) - 1e-9)
    return Moving(Movement(baseline, options.over, max(1, least)), options.every or options.over)


def _due(options: Any, context: Context, least: int) -> None:
    """Check that a time holds *least* samples, and not too many."""
    due = options.over / context.interval
    if due < least:
        few = f"in {options.over:g} s there are {due:g} readings, one every {context.interval:g} s"
        raise Unfit("over", f"{few}: it takes {least} or more, {least * context.interval:g} s")
    if due > MOST:
        raise Unfit("over", f"{due:g} readings are too many: take {MOST * context.interval:g} s or less")


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
class _Once:
    """A detector by samples, not by time: one that comes again at the same time is none."""

    feed: Callable[[float | Missing], bool]
    _last: float = float("-inf")

    def told(self, time: float, taken: Taken) -> bool | Missing:
        """Return the alarm. Missing input raises and ends nothing, and no alarm is then unknown."""
        value = taken["value"]
        again, self._last = time == self._last, time
        active = self.feed(Missing.INPUT_MISSING if again else value)
        return Missing.INPUT_MISSING if isinstance(value, Missing) and not active else active


@dataclass(slots=True)
class _Began:
    """Since when the sums of *drift* are above zero: what was before has no part in its alarm."""

    drift: Drift
    _at: float | None = None

    def __call__(self, time: float) -> float:
        drift = self.drift
        if not (drift.active or drift.high or drift.low):
            self._at = None
        elif self._at is None:
            self._at = time
        return time if self._at is None else min(self._at, time)


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
    drift = Drift(target, allowance, decision)
    return Alarm(drift, _Once(drift.feed).told, _Began(drift))


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
    step = Step(threshold, options.short, options.long)
    back = (options.short + options.long - 1) * context.interval
    return Alarm(step, _Once(step.feed).told, lambda time: time - back)


def _straight(context: Context) -> Any:
    """Return the source. Raises Unfit for one that goes round: from 359 to 1 is no step."""
    if context.source.quantity is _Q.WIND_DIRECTION:
        raise Unfit("from", "a direction goes round, from 359 deg to 1 deg: that is neither drift nor step")
    return context.source


def _look_back(context: Context) -> float:
    return min(LOOK_BACK * context.interval, 86400.0)


@dataclass(frozen=True, slots=True)
class Shaken:
    """The vibration is of blocks of *over*, of which at least *share* of the samples must be there."""

    over: Duration = 600.0
    share: float = 0.75


@dataclass(slots=True)
class Shaking:
    """The samples of the present block of *over* [s] of the clock, of which at least *least* must come."""

    over: float
    least: int
    _block: dict[float, Vector] = field(default_factory=dict, init=False)
    _slot: float = field(default=float("-inf"), init=False)
    _heard: bool = field(default=False, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        slot = time // self.over
        if slot < self._slot:  # its block has had its result
            return ()
        said = self._close(slot)
        self._heard = True
        a = _vector(taken)
        if isinstance(a, Missing):
            self._block.pop(time, None)
        else:
            self._block[time] = a
        return said

    def advance(self, time: float) -> Iterable[Result]:
        """End the block, if it is over."""
        return self._close(time // self.over)

    def save(self) -> Any:
        """The readings in the store bring the block back."""
        return None

    def restore(self, saved: Any) -> None:
        """Nothing is saved."""

    def _close(self, slot: float) -> Iterable[Result]:
        """Return the result of the present block, if *slot* is a later one; of silence there is none."""
        if slot <= self._slot:
            return ()
        start, block, heard = self._slot * self.over, self._block, self._heard
        self._slot, self._block, self._heard = slot, {}, False
        if not heard:
            return ()
        shaken = vibration(block.values()) if len(block) >= self.least else Missing.INPUT_MISSING
        rms, peak = (shaken, shaken) if isinstance(shaken, Missing) else shaken
        values: dict[Quantity, float | Missing] = {_Q.VIBRATION_RMS: rms, _Q.VIBRATION_PEAK: peak}
        return (Result(start + self.over, values, start, closed=True),)


def _vibration(options: Shaken, context: Context) -> State:
    _one_part(context)
    above(options, "share", 0.0, 1.0)
    _due(options, context, least=10)
    return Shaking(options.over, max(2, math.ceil(options.share * (options.over / context.interval) - 1e-9)))


def _back(options: Any, context: Context) -> float:
    return _look_back(context)


KINDS: Mapping[str, Kind] = {
    "tilt": Kind(Lean, INPUTS, always(_Q.TILT, _Q.TILT_X, _Q.TILT_Y), _tilt),
    "movement": Kind(
        Moved,
        (*INPUTS, Input("temperature", only(_Q.TEMPERATURE), needed=False)),
        always(_Q.MOVEMENT),
        _movement,
        lambda o, context: max(context.interval, o.every or o.over),
        lambda o, context: max(o.over, o.every or 0.0),
    ),
    "drift": Kind(Drifting, (Input("value", NUMBERS),), always(_Q.ACTIVE), _drift, reach=_back, lasting=True),
    "step": Kind(Stepping, (Input("value", NUMBERS),), always(_Q.ACTIVE), _step, reach=_back, lasting=True),
    "vibration": Kind(
        Shaken,
        INPUTS,
        always(_Q.VIBRATION_RMS, _Q.VIBRATION_PEAK),
        _vibration,
        lambda o, context: o.over,
        lambda o, context: 2.0 * o.over,  # its first sample may be doubted still when the next block begins
    ),
}
