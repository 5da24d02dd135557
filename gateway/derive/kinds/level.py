"""How high the water stands, from the distance or the pressure, and how fast it rises."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing, Quantity
from gateway.config import Duration
from gateway.derive.kind import Context, Conversion, Input, Kind, Result, Taken, Unfit, Value, always, only
from gateway.derive.kinds.limits import HEIGHT, LEVEL, within
from gateway.derive.level import FRESH_WATER, SEA_WATER, depth, stage, true_distance, usable
from gateway.derive.rise import LEAST, Rise
from gateway.derive.window import ROBUST_MOST

PAIRS = 5000.0  # of a robust slope, a second: about a hundredth of a small computer

SPEEDS = (300.0, 400.0)  # m/s: of sound, in air that people breathe
SLOWEST = 1200.0  # s between two readings of what compensates another sensor
DENSITIES: Mapping[str, float] = {"fresh": FRESH_WATER, "sea": SEA_WATER}
POSSIBLE = (900.0, 1300.0)  # kg/m3: 1240 is the Dead Sea


@dataclass(frozen=True, slots=True)
class Stage:
    """The height of the water over a datum.

    *reference* [m] is the height of the sensor's face over the datum, from a survey; *datum* its name, which
    then stands beside each stage. *temperature* is that of the air along the way, for an ultrasonic part that
    reckons with one speed of sound, *assumed* [m/s, 300 to 400]: 344.8 is a MaxBotix of 58 us to the
    centimetre.
    """

    reference: float
    temperature: str = ""
    assumed: float = 344.8
    datum: str = ""


def _stage(options: Stage, context: Context) -> "Conversion | Named":
    within(options, "reference", -HEIGHT, HEIGHT, "m over the datum")
    within(options, "assumed", *SPEEDS, "m/s, the speed of sound that the part reckons with")
    if len(options.datum) > 60:
        raise Unfit("datum", "the name of a datum has up to 60 characters")
    _often(context, "temperature", "the air warms by degrees in an hour, and each is 0.2 % of the distance")
    compensated = "temperature" in context.sources

    def convert(taken: Taken) -> Mapping[Quantity, Value]:
        distance = taken["distance"]
        if compensated:
            distance = true_distance(distance, taken["temperature"], options.assumed)
        return {Quantity.STAGE: stage(distance, options.reference) if usable(distance) else _why(distance)}

    return Named(convert, {Quantity.STAGE: options.datum}) if options.datum else Conversion(convert)


@dataclass(slots=True)
class Named(Conversion):
    """A conversion whose values have words beside them."""

    labels: Mapping[Quantity, str] = field(default_factory=dict)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        values = self.convert(taken)
        labels = {q: words for q, words in self.labels.items() if not isinstance(values[q], Missing)}
        return (Result(time, values, labels=labels),)


@dataclass(frozen=True, slots=True)
class Depth:
    """The depth of a pressure sensor under the water.

    *air* is the pressure of the air from a second sensor near by; *density* "fresh", "sea" or a number
    [kg/m3, 900 to 1300].
    """

    air: str
    density: str | float = "fresh"


def _depth(options: Depth, context: Context) -> Conversion:
    _often(context, "air", "the weather moves the air's pressure by centimetres of water in an hour")
    density = options.density
    if isinstance(density, str):
        if density not in DENSITIES:
            raise Unfit("density", f'the density is "fresh", "sea" or a number in kg/m3, not "{density}"')
        density = DENSITIES[density]
    else:
        within(options, "density", *POSSIBLE, "kg/m3")
    return Conversion(lambda taken: {Quantity.DEPTH: depth(taken["water"], taken["air"], density)})


def _often(context: Context, key: str, why: str) -> None:
    """Raise Unfit for a second sensor so slow that its latest reading, which may be three old, is too old."""
    seconds = context.intervals.get(key, 0.0)
    if seconds > SLOWEST:
        said = f"{context.sources[key]} comes each {seconds:g} s, and counts for three times as long: {why}"
        raise Unfit(key, f"{said}; read it each {SLOWEST / 60:g} min or more often")


@dataclass(frozen=True, slots=True)
class RateOfRise:
    """How fast the water rises.

    *over* [s] is the window of the slope, *share* (0 to below 1) of which the readings must span; *every* [s]
    how often it speaks, at each reading if None. *robust*: the median of the slopes of all pairs.
    """

    over: Duration = 900.0
    share: float = 0.5
    every: Duration | None = None
    robust: bool = False


@dataclass(slots=True)
class Rising:
    """The slope of the last readings, at each new one, or at the first in each *every* [s] of the clock."""

    rise: Rise
    every: float | None
    _given: float = field(default=-math.inf, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        (value,) = taken.values.values()
        self.rise.feed(time, value)
        turn = time if self.every is None else time // self.every
        if turn <= self._given:
            return ()
        self._given = turn
        rate = self.rise.value(time)
        return (Result(time, {Quantity.RATE_OF_RISE: rate}, self.rise.oldest),)

    def advance(self, time: float) -> Iterable[Result]:
        """It speaks with a reading only."""
        return ()

    def save(self) -> Any:
        """The readings in the store bring it back."""
        return None

    def restore(self, saved: Any) -> None:
        """Nothing is saved."""


def _rise(options: RateOfRise, context: Context) -> Rising:
    over, interval = options.over, context.interval
    within(options, "share", 0.0, 0.95, "of the window")
    due = math.ceil(over / interval - 1e-9)
    if due < LEAST or (due - 1) * interval < options.share * over:
        least = f"a rate of rise needs at least {LEAST} readings that span {options.share:g} of its window"
        raise Unfit("over", f"{least}, and {context.source} comes each {interval:g} s: take a longer one")
    if options.robust:
        _affordable(due, options.every or interval)
    return Rising(Rise(over, options.share, options.robust), options.every)


def _affordable(due: int, every: float) -> None:
    if due > ROBUST_MOST:
        said = f"a robust slope takes at most {ROBUST_MOST} readings, and {due} are due in this window"
        raise Unfit("robust", f"{said}: make it of a mean over a longer interval")
    if due * due / 2.0 / every > PAIRS:
        least = math.ceil(due * due / 2.0 / PAIRS)
        said = f"a robust slope of {due} readings each {every:g} s is too much work"
        raise Unfit("robust", f'{said}: say every = "{least}s" or more')


def _why(value: Value) -> Missing:
    return value if isinstance(value, Missing) else Missing.INPUT_MISSING


KINDS: Mapping[str, Kind] = {
    "stage": Kind(
        Stage,
        (
            Input("distance", only(Quantity.DISTANCE)),
            Input("temperature", only(Quantity.TEMPERATURE), "temperature", needed=False),
        ),
        always(Quantity.STAGE),
        _stage,
    ),
    "depth": Kind(
        Depth,
        (
            Input("water", only(Quantity.WATER_PRESSURE)),
            Input("air", only(Quantity.PRESSURE), "air"),
        ),
        always(Quantity.DEPTH),
        _depth,
    ),
    "rise": Kind(
        RateOfRise,
        (Input("level", LEVEL),),
        always(Quantity.RATE_OF_RISE),
        _rise,
        lambda options, context: max(options.every or 0.0, context.interval),
        lambda options, context: options.over,
    ),
}
