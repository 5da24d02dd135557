"""Water: how high it stands, how fast it rises, what that is called, and whether two sensors agree."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing, Quantity
from gateway.config import Duration
from gateway.derive.disagreement import Disagreement
from gateway.derive.flood import StageAlarm, StageName
from gateway.derive.kind import Context, Conversion, Input, Kind, Result, Taken, Unfit, Value, always, only
from gateway.derive.kinds.limits import within
from gateway.derive.level import FRESH_WATER, SEA_WATER, depth, stage, true_distance, usable
from gateway.derive.rise import LEAST, Rise
from gateway.derive.window import ROBUST_MOST

LEVEL = only(Quantity.STAGE, Quantity.DEPTH)
AGED = 3.0  # intervals without a pair, after which two sensors are compared afresh
LATE = 0.5  # intervals by which a sample may be late before it counts as missing
MOST = 1000  # samples of a delay
PAIRS = 5000.0  # of a robust slope, a second: about a hundredth of a small computer

SPEEDS = (300.0, 400.0)  # m/s: of sound, in air that people breathe
HEIGHT = 10_000.0  # m: no water on earth stands farther from any datum
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
    density = options.density
    if isinstance(density, str):
        if density not in DENSITIES:
            raise Unfit("density", f'the density is "fresh", "sea" or a number in kg/m3, not "{density}"')
        density = DENSITIES[density]
    else:
        within(options, "density", *POSSIBLE, "kg/m3")
    return Conversion(lambda taken: {Quantity.DEPTH: depth(taken["water"], taken["air"], density)})


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


@dataclass(frozen=True, slots=True)
class Alarms:
    """The stage's name, with hysteresis and delays.

    *action*, *minor*, *moderate* and *major* [m] are where the names begin, in the datum of the source; any
    may be left out. A name is left *hysteresis* [m] below where it began. *on_delay* and *off_delay* are
    readings in a row, 1 to 1000, *stale_after* how many missing ones make it stale.
    """

    action: float | None = None
    minor: float | None = None
    moderate: float | None = None
    major: float | None = None
    hysteresis: float = 0.05
    on_delay: int = 2
    off_delay: int = 3
    stale_after: int = 3


@dataclass(slots=True)
class Alarming:
    """The alarms of a stage; a device that says nothing at all misses a reading each *interval* [s]."""

    alarm: StageAlarm
    interval: float
    depends: float  # s back: the readings of its delays
    _known: bool = field(default=False, init=False)
    _last: float = field(default=-math.inf, init=False)
    _due: float | None = field(default=None, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        (value,) = taken.values.values()
        if time == self._last:
            return ()
        self._last, self._due = time, time + (1.0 + LATE) * self.interval
        name, good = self.alarm.feed(value), usable(value)
        self._known = self._known or good
        return (self._said(time, name, time - self.depends if good else None),)

    def advance(self, time: float) -> Iterable[Result]:
        if self._due is None:  # it has just been restored
            self._due = time + (1.0 + LATE) * self.interval
        if time < self._due:
            return ()
        self._due = time + self.interval
        return (self._said(time, self.alarm.feed(Missing.TIMEOUT)),)

    def save(self) -> Any:
        return {"known": self._known, "alarms": self.alarm.state()}

    def restore(self, saved: Any) -> None:
        if type(saved["known"]) is not bool:
            raise ValueError("known is true or false")
        self.alarm.restore(saved["alarms"])
        self._known = saved["known"]

    def _said(self, time: float, name: StageName, since: float | None = None) -> Result:
        stale = float(self.alarm.stale)
        if not self._known:
            return Result(time, {Quantity.FLOOD_STAGE: Missing.INPUT_MISSING, Quantity.STALE: stale})
        values = {Quantity.FLOOD_STAGE: _NUMBERS[name], Quantity.STALE: stale}
        return Result(time, values, since, labels=_LABELS[name])


_NUMBERS = {name: float(number) for number, name in enumerate(StageName)}
_LABELS = {name: {Quantity.FLOOD_STAGE: name.value} for name in StageName}


def _stage_alarm(options: Alarms, context: Context) -> Alarming:
    thresholds: dict[StageName, float] = {}
    for name in list(StageName)[1:]:
        height: float | None = getattr(options, name)
        if height is None:
            continue
        within(options, name, -HEIGHT, HEIGHT, f"m, as {context.source} counts")
        if thresholds and height <= max(thresholds.values()):
            raise Unfit(name, f"{name} must begin above {max(thresholds)}: {height:g} m is not")
        thresholds[name] = height
    if not thresholds:
        raise Unfit(
            "kind", "a stage alarm needs the height of at least one of action, minor, moderate, major"
        )
    within(options, "hysteresis", 0.0, 100.0, "m")
    for key in ("on_delay", "off_delay", "stale_after"):
        within(options, key, 1, MOST, "readings in a row")
    delays = (options.on_delay, options.off_delay, options.stale_after)
    depends = (max(delays[:2]) - 1 + LATE) * context.interval
    return Alarming(StageAlarm(thresholds, options.hysteresis, *delays), context.interval, depends)


@dataclass(frozen=True, slots=True)
class Compared:
    """Whether two level sensors disagree.

    *beside* is the other one; *tolerance* [m] by how much they may differ; *after* [s] how long they must
    differ more before that is said, and agree before it ends.
    """

    beside: str
    tolerance: float = 0.1
    after: Duration = 900.0


@dataclass(slots=True)
class Comparing:
    """The flag of two sensors. It is missing while one of them is and no disagreement is known."""

    flag: Disagreement

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        first, second = taken["one"], taken["other"]
        before, was = self.flag.since, self.flag.active
        active = self.flag.feed(time, first, second)
        pair = usable(first) and usable(second)
        value = float(active) if active or pair else Missing.INPUT_MISSING
        since = min(time, self.flag.since if active is was else before) if pair else None
        return (Result(time, {Quantity.ACTIVE: value}, since),)

    def advance(self, time: float) -> Iterable[Result]:
        """Silence proves nothing."""
        return ()

    def save(self) -> Any:
        return self.flag.state()

    def restore(self, saved: Any) -> None:
        self.flag.restore(saved)


def _disagreement(options: Compared, context: Context) -> Comparing:
    one, other = context.sources["one"], context.sources["other"]
    if one == other:
        raise Unfit("beside", f"{one} cannot be compared with itself: name the other sensor")
    if one.quantity is not other.quantity:
        raise Unfit(
            "beside", f"{one} and {other} count from different zeros: compare two stages or two depths"
        )
    within(options, "tolerance", 0.0, 100.0, "m")
    gap = AGED * max(context.intervals.values())
    return Comparing(Disagreement(options.tolerance, options.after, gap))


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
    "stage_alarm": Kind(
        Alarms,
        (Input("level", LEVEL),),
        always(Quantity.FLOOD_STAGE, Quantity.STALE),
        _stage_alarm,
        reach=lambda options, context: max(options.on_delay, options.off_delay) * context.interval,
        lasting=True,
    ),
    "disagreement": Kind(
        Compared,
        (Input("one", LEVEL), Input("other", LEVEL, "beside")),
        always(Quantity.ACTIVE),
        _disagreement,
        reach=lambda options, context: options.after,
        lasting=True,
    ),
}
