"""Windows: one statistic of the values of the last so many seconds, or of each period of the day."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from drivers.device import LOGICAL, UNITS, Missing, Quantity
from gateway.config import Duration
from gateway.derive.frames import Aligned, Frame, Sliding
from gateway.derive.kind import Context, Input, Kind, Result, Source, Taken, Unfit
from gateway.derive.statistics import Kind as K
from gateway.derive.statistics import Statistic
from gateway.derive.window import Result as Said
from gateway.derive.window import Window

NUMBERS = frozenset(set(Quantity) - LOGICAL)
_Q = Quantity

RATES: Mapping[Quantity, tuple[Quantity, float]] = {
    **dict.fromkeys((_Q.STAGE, _Q.DEPTH, _Q.DISTANCE), (_Q.RATE_OF_RISE, 3600.0)),
    **dict.fromkeys(
        (_Q.TEMPERATURE, _Q.SURFACE_TEMPERATURE, _Q.WATER_TEMPERATURE), (_Q.TEMPERATURE_RATE, 3600.0)
    ),
    **dict.fromkeys((_Q.PRESSURE, _Q.WATER_PRESSURE), (_Q.PRESSURE_RATE, 3600.0)),
    **dict.fromkeys((_Q.TILT, _Q.TILT_X, _Q.TILT_Y, _Q.MOVEMENT), (_Q.TILT_RATE, 86400.0)),
    _Q.FILL: (_Q.FILL_RATE, 3600.0),
    _Q.WEIGHT: (_Q.WEIGHT_RATE, 3600.0),
    _Q.VOLTAGE: (_Q.VOLTAGE_RATE, 3600.0),
}
"""What the change of a quantity is called, and the seconds of its unit of time."""

ENERGIES = frozenset({_Q.SOUND_LEVEL, _Q.LDAY, _Q.LEVENING, _Q.LNIGHT, _Q.LDEN})
"""Levels that stand for the energy of a time, so that no mean but that of their energy means anything."""


def frame(over: float, aligned: str | None) -> Frame:
    """Return the window of *over* [s]: sliding, or of each period in the zone *aligned*. Raises Unfit."""
    try:
        return Sliding(over) if aligned is None else Aligned(over, ZoneInfo(aligned))
    except (ZoneInfoNotFoundError, IsADirectoryError, ValueError) as error:
        if isinstance(error, ValueError) and "zone" not in str(error).lower():
            raise Unfit("over", str(error)) from error
        said = f'there is no time zone "{aligned}"; say "UTC", or such as "Europe/Dublin"'
        raise Unfit("aligned", said) from error


@dataclass(frozen=True, slots=True)
class Options:
    """*over* is the window; *every* how often a sliding one speaks; *share* the least part of valid data."""

    over: Duration
    every: Duration | None = None
    share: float = 0.75
    aligned: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"the share of valid data is above 0, to 1, not {self.share:g}")
        if self.aligned is not None and self.every is not None:
            raise ValueError("an aligned window speaks as each period ends: leave every out")


@dataclass(frozen=True, slots=True)
class Percentile(Options):
    """*percent* [%], 0 to 100, of the values lie below the percentile."""

    percent: float = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Exceedance(Options):
    """The share [%] of time (or of *samples*) *above* the limit, which is in the unit of the source."""

    above: float = field(kw_only=True)
    samples: bool = False


@dataclass(slots=True)
class Windowed:
    """A statistic of a window, given *every* so many seconds, or as each period ends; times a *factor*.

    A sliding window speaks at the first reading from each multiple of *every* on, counted from 1970: so a
    restart does not move the times at which it does.
    """

    window: Window
    statistic: Statistic
    gives: Quantity
    every: float
    factor: float = 1.0
    _slot: float = field(default=-math.inf, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        (value,) = taken.values.values()
        closed = self.window.add(time, value)
        if self.window.frame.closes:
            return () if closed is None else (self._said(closed),)
        if (slot := math.floor((time + 1e-6) / self.every)) <= self._slot:
            return ()
        self._slot = slot
        result = self.window.result()
        return () if result is None else (self._said(result, time),)

    def advance(self, time: float) -> Iterable[Result]:
        closed = self.window.advance(time) if self.window.frame.closes else None
        return () if closed is None else (self._said(closed),)

    def save(self) -> Any:
        """The readings in the store bring the window back."""
        return None

    def restore(self, saved: Any) -> None:
        """Nothing is saved."""

    def _said(self, result: Said, at: float | None = None) -> Result:
        """A period's result carries the period's end as its time."""
        value = result.values[self.statistic]
        value = value if isinstance(value, Missing) else value * self.factor
        time = result.stop if at is None else at
        return Result(time, {self.gives: value}, result.start, closed=at is None)


def _kind(kind: K, options: type[Any] = Options) -> Kind:
    return Kind(
        options,
        (Input("value", NUMBERS),),
        lambda o, context: (_gives(kind, context.source),),
        lambda o, context: _make(kind, o, context),
        lambda o, context: max(o.every or o.over, 0.0 if o.aligned else context.interval),
        lambda o, context: frame(o.over, o.aligned).longest / 1e6,
    )


def _make(kind: K, options: Any, context: Context) -> Windowed:
    kind = K.SAMPLES_ABOVE if kind is K.TIME_ABOVE and options.samples else kind
    source, statistic = context.source, Statistic(kind, _parameter(options))
    _check_sense(kind, source)
    gives = _gives(kind, source)
    if kind in _CHANGES and options.over <= context.interval:
        said = f"a {kind} is between two readings, and {source} comes every {context.interval:g} s: "
        raise Unfit("over", f"{said}no window of {options.over:g} s has two")
    factor = RATES[source.quantity][1] if kind in _CHANGES else 1.0
    try:
        made = Window(frame(options.over, options.aligned), (statistic,), context.interval, options.share)
    except ValueError as error:
        raise error if isinstance(error, Unfit) else Unfit("over", str(error)) from error
    return Windowed(made, statistic, gives, options.every or options.over, factor)


def _check_sense(kind: K, source: Source) -> None:
    """Raise Unfit for a statistic that means nothing of such a quantity."""
    unit = UNITS[source.quantity]
    if kind is K.ENERGY_MEAN and unit != "dB":
        raise Unfit("from", f"an energy mean is of levels in dB; {source} is in {unit}: take a mean")
    if kind is K.MEAN and source.quantity in ENERGIES:
        raise Unfit("from", f"{source} is a level in dB, whose mean is that of its energy: take energy_mean")
    if kind in _ON_A_LINE and source.quantity is _Q.WIND_DIRECTION:
        raise Unfit("from", f"{source} goes round in a circle and has no {kind}: take wind")


def _parameter(options: Any) -> float | None:
    match options:
        case Percentile(percent=percent):
            return percent
        case Exceedance(above=above):
            return above
    return None


_CHANGES = (K.RATE, K.SLOPE, K.ROBUST_SLOPE)
_ON_A_LINE = (K.MEAN, K.MIN, K.MAX, K.PERCENTILE)


def _gives(kind: K, source: Source) -> Quantity:
    if kind is K.COUNT:
        return Quantity.COUNT
    if kind in (K.TIME_ABOVE, K.SAMPLES_ABOVE):
        return Quantity.EXCEEDANCE
    if kind not in _CHANGES:
        return source.quantity
    if source.quantity not in RATES:
        can = ", ".join(sorted(RATES))
        raise Unfit("from", f"there is no {kind} of {source}; there is one of {can}")
    return RATES[source.quantity][0]


KINDS: Mapping[str, Kind] = {
    "mean": _kind(K.MEAN),
    "min": _kind(K.MIN),
    "max": _kind(K.MAX),
    "energy_mean": _kind(K.ENERGY_MEAN),
    "percentile": _kind(K.PERCENTILE, Percentile),
    "count": _kind(K.COUNT),
    "rate": _kind(K.RATE),
    "slope": _kind(K.SLOPE),
    "robust_slope": _kind(K.ROBUST_SLOPE),
    "exceedance": _kind(K.TIME_ABOVE, Exceedance),
}
