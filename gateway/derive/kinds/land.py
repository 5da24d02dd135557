"""Ground, and what stands on it: how it leans, moves and shakes."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from drivers.device import Missing, Quantity
from gateway.config import Duration
from gateway.derive.kind import Context, Conversion, Input, Kind, Result, State, Taken, Unfit, always, only
from gateway.derive.kinds.limits import above, within
from gateway.derive.land import (
    STANDARD_GRAVITY,
    Baseline,
    Movement,
    Vector,
    resting,
    tilt,
    vibration,
)

_Q = Quantity

MOST = 10_000
"""The most samples of which a mean or a block is made."""

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
    """*up* is the axis of the part that points up when nothing leans: "z" where it lies flat.

    What its temperature does to each axis, *drift* [m/s2/Cel] for each degree above *temperature* [Cel], is
    taken out by the *thermometer*.
    """

    up: Up = "z"
    thermometer: str = ""
    temperature: float = 25.0
    drift: tuple[float, float, float] = (0.0, 0.0, 0.0)


def _tilt(options: Lean, context: Context) -> State:
    _one_part(context)
    _check_drift(options)
    if any(options.drift) is not ("temperature" in context.sources):
        said = "a drift and a thermometer go together: say by how much each axis drifts, and what tells the"
        raise Unfit("drift" if any(options.drift) else "thermometer", f"{said} temperature of the part")
    turned = TURNED[options.up]
    level = Baseline(Vector(0.0, 0.0, STANDARD_GRAVITY), options.temperature, Vector(*options.drift))

    def convert(taken: Taken) -> Mapping[Quantity, float | Missing]:
        a = _vector(taken)
        a = a if isinstance(a, Missing) else level.accepted(a, taken["temperature"])
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
    _check_drift(options)
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


def _check_drift(options: Any) -> None:
    within(options, "temperature", -60.0, 150.0, "Cel")
    within(options, "drift", -0.1, 0.1, "m/s2/Cel")


def _due(options: Any, context: Context, least: int) -> None:
    """Check that a time holds *least* samples, and not too many."""
    due = options.over / context.interval
    if due < least:
        few = f"in {options.over:g} s there are {due:g} readings, one every {context.interval:g} s"
        raise Unfit("over", f"{few}: it takes {least} or more, {least * context.interval:g} s")
    if due > MOST:
        raise Unfit("over", f"{due:g} readings are too many: take {MOST * context.interval:g} s or less")


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


KINDS: Mapping[str, Kind] = {
    "tilt": Kind(
        Lean,
        (*INPUTS, Input("temperature", only(_Q.TEMPERATURE), key="thermometer", needed=False)),
        always(_Q.TILT, _Q.TILT_X, _Q.TILT_Y),
        _tilt,
    ),
    "movement": Kind(
        Moved,
        (*INPUTS, Input("temperature", only(_Q.TEMPERATURE), needed=False)),
        always(_Q.MOVEMENT),
        _movement,
        lambda o, context: max(context.interval, o.every or o.over),
        lambda o, context: max(o.over, o.every or 0.0),
    ),
    "vibration": Kind(
        Shaken,
        INPUTS,
        always(_Q.VIBRATION_RMS, _Q.VIBRATION_PEAK),
        _vibration,
        lambda o, context: o.over,
        lambda o, context: 2.0 * o.over,  # its first sample may be doubted still when the next block begins
    ),
}
