"""Bins: how full, how fast, and when full."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing, Quantity
from gateway.config import Duration
from gateway.derive.bins import Shape, frustum_fill, linear_fill, weight_fill
from gateway.derive.emptying import Emptyings
from gateway.derive.filling import KEPT, Filling
from gateway.derive.kind import Context, Conversion, Input, Kind, Result, State, Taken, Unfit, always, only
from gateway.derive.kinds.limits import DEEP, above, within
from gateway.derive.saved import TIME_MOST, moment, number

_Q = Quantity

HEAVY = 40_000.0
"""Kilograms: more than a lorry carries."""

LOOK_BACK = 1440
"""The most samples back to which a trend asks whether one was suspect; a day at the most."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The bin, as a ruler and a look into it tell.

    *empty* [m] is the distance from the sensor down to the floor, *full* [m] down to the full line. In a
    tapered round bin *bottom* and *top* [m] are the inner radii there. A bin of any other shape has a *table*
    in place of all these: pairs of a distance [m] and the fill [%], from the full line down to the floor.
    """

    empty: float | None = None
    full: float | None = None
    bottom: float | None = None
    top: float | None = None
    table: tuple[tuple[float, float], ...] = ()


def _fill(options: Geometry, context: Context) -> State:
    return _converted("distance", _shape(options))


def _shape(options: Geometry) -> Callable[[float], float | Missing]:
    """Return the fill [%] of a distance [m]. Raises Unfit for a bin that there cannot be."""
    if options.table:
        return _table(options)
    empty, full = _depth(options)
    bottom, top = options.bottom, options.top
    if bottom is None and top is None:
        return lambda distance: linear_fill(distance, empty, full)
    if bottom is None or top is None:
        missing = "bottom" if bottom is None else "top"
        raise Unfit("bottom" if top is None else "top", f"a tapered bin has two radii: say {missing} too")
    within(options, "bottom", 0.0, DEEP, "m")
    within(options, "top", 0.0, DEEP, "m")
    if not bottom + top > 0.0:
        raise Unfit("bottom", "bottom and top are both 0 m: a bin is wider somewhere")
    return lambda distance: frustum_fill(distance, empty, full, bottom, top)


def _depth(options: Geometry) -> tuple[float, float]:
    empty, full = options.empty, options.full
    if empty is None or full is None:
        key = "empty" if empty is None else "full"
        what = "the floor" if empty is None else "the full line"
        raise Unfit(key, f"say {key}, the distance [m] down to {what}, or else a table")
    above(options, "empty", 0.0, DEEP, "m")
    within(options, "full", 0.0, DEEP, "m")
    if not empty > full:
        raise Unfit("empty", "empty is the distance down to the floor: it must be larger than full")
    return empty, full


def _table(options: Geometry) -> Callable[[float], float | Missing]:
    if spare := [key for key in ("empty", "full", "bottom", "top") if getattr(options, key) is not None]:
        raise Unfit("table", f"a table says all of the bin's shape: leave {' and '.join(spare)} out")
    try:
        shape = Shape(options.table)
    except ValueError as error:
        raise Unfit("table", str(error)) from error
    if not (options.table[0][0] >= 0.0 and options.table[-1][0] <= DEEP):
        raise Unfit("table", f"the distances of a bin's table are 0 to {DEEP:g} m")
    return shape.fill


@dataclass(frozen=True, slots=True)
class Load:
    """*tare* [kg] is what the scale shows with the bin empty, *full* [kg] with all that may be lifted."""

    tare: float
    full: float


def _weight(options: Load, context: Context) -> State:
    within(options, "tare", -HEAVY, HEAVY, "kg")
    within(options, "full", -HEAVY, HEAVY, "kg")
    if not options.full > options.tare:
        raise Unfit("full", "full is what the scale shows of a full bin: it must be larger than tare")
    return _converted("weight", lambda weight: weight_fill(weight, options.tare, options.full))


def _converted(name: str, fill: Callable[[float], float | Missing]) -> State:
    def convert(taken: Taken) -> Mapping[Quantity, float | Missing]:
        value = taken.values[name]
        return {_Q.FILL: value if isinstance(value, Missing) else fill(value)}

    return Conversion(convert)


@dataclass(frozen=True, slots=True)
class Trend:
    """What an emptying is, and what the trend since the last one is asked.

    An emptying is a fall by *fall* [points of %] within *within*, down to *below* [%] or lower, in *confirm*
    readings in a row. The trend looks at a reading each *every*, answers from *least* of them on that span
    *span*, and tells when the fill will be at *target* [%], unless that is farther than *horizon*.
    """

    fall: float = 30.0
    within: Duration = 3600.0
    confirm: int = 2
    below: float = 100.0
    every: Duration = 300.0
    least: int = 6
    span: Duration = 3600.0
    target: float = 100.0
    horizon: Duration = 60 * 86400.0


_GIVEN = (_Q.FILL_RATE, _Q.TIME_TO_FULL, _Q.TIME_TO_FULL_MIN, _Q.TIME_TO_FULL_MAX, _Q.SINCE_EMPTIED)
_NOTHING: Mapping[Quantity, float | Missing] = dict.fromkeys(_GIVEN, Missing.INPUT_MISSING)


@dataclass(slots=True)
class Trending:
    """Gives the trend once in each *every* [s] of the clock, and at once when the bin was emptied."""

    filling: Filling
    target: float
    every: float
    _slot: float = field(default=float("-inf"), init=False)
    _good: float = field(default=float("-inf"), init=False)  # when a fill came last

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        fill, slot = taken.values["fill"], time // self.every
        if isinstance(fill, Missing):
            return self._silent(time, slot)
        emptying, self._good = self.filling.feed(time, fill), max(time, self._good)
        if slot <= self._slot and emptying is None:
            return ()
        self._slot = max(slot, self._slot)
        since = self.filling.since
        return (Result(time, self._values(time), time if since is None else min(time, since)),)

    def advance(self, time: float) -> Iterable[Result]:
        """It speaks when it hears."""
        return ()

    def save(self) -> Any:
        times = [None if each == float("-inf") else each for each in (self._slot, self._good)]
        return {"slot": times[0], "good": times[1], "filling": self.filling.save()}

    def restore(self, saved: Any) -> None:
        slot, good = saved["slot"], moment(saved["good"])
        self._slot = float("-inf") if slot is None else number(slot, -TIME_MOST * 1e6, TIME_MOST * 1e6)
        self._good = float("-inf") if good is None else good
        self.filling.restore(saved["filling"])

    def _silent(self, time: float, slot: float) -> Iterable[Result]:
        """Say that there is nothing, once in each *every*, when nothing has come for so long."""
        if slot <= self._slot or time < self._good + self.every:
            return ()
        self._slot = slot
        return (Result(time, _NOTHING),)

    def _values(self, time: float) -> Mapping[Quantity, float | Missing]:
        filling = self.filling
        rate, full, emptied = filling.rate(), filling.full_at(self.target), filling.emptied
        middle = rate if isinstance(rate, Missing) else rate.middle
        since = Missing.NOT_READY if emptied is None else time - emptied
        times = (full,) * 3 if isinstance(full, Missing) else (full.at, full.earliest, full.latest)
        ahead = (each if isinstance(each, Missing) else each - time for each in times)
        return dict(zip(_GIVEN, (middle, *ahead, since), strict=True))


def _filling(options: Trend, context: Context) -> State:
    above(options, "fall", 0.0, 100.0, "points of %")
    within(options, "confirm", 1, 100)
    within(options, "below", 0.0, 100.0, "%")
    within(options, "least", 3, KEPT // 2)
    above(options, "target", 0.0, 100.0, "%")
    emptyings = Emptyings(options.fall, options.within, options.confirm, options.below)
    filling = Filling(emptyings, options.every, options.least, options.span, options.horizon)
    return Trending(filling, options.target, options.every)


def _back(options: Any, context: Context) -> float:
    return min(LOOK_BACK * context.interval, 86400.0)


KINDS: Mapping[str, Kind] = {
    "fill": Kind(Geometry, (Input("distance", only(_Q.DISTANCE)),), always(_Q.FILL), _fill),
    "weight_fill": Kind(Load, (Input("weight", only(_Q.WEIGHT)),), always(_Q.FILL), _weight),
    "filling": Kind(
        Trend,
        (Input("fill", only(_Q.FILL)),),
        always(*_GIVEN),
        _filling,
        lambda o, context: max(o.every, context.interval),
        _back,
        lasting=True,
    ),
}
