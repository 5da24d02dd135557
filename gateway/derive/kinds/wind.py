"""Wind: its mean, gust, direction and turbulence over the last minutes."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing, Quantity
from gateway.config import Duration
from gateway.derive.gusts import GUST, Gusts
from gateway.derive.kind import Context, Input, Kind, Result, Taken, Unfit, Value, only
from gateway.derive.kinds.limits import above
from gateway.derive.wind_window import Window

LONGEST = 3600.0  # s: means of wind are of 2 or 10 min, and of an hour at most
_HAIR = 1e-6


@dataclass(frozen=True, slots=True)
class Options:
    """What is said of the wind.

    *over* [s, to 1 h] is what it is summed up over, *every* [s] how often it is said; *share*, above 0 to 1,
    of the readings due must be there. *direction* is a vane's reading; *gust* that of an instrument which
    finds the highest mean over 3 s itself. Without *gusts* there is no gust.
    """

    over: Duration = 600.0
    every: Duration = 60.0
    share: float = 0.75
    direction: str = ""
    gust: str = ""
    gusts: bool = True


@dataclass(slots=True)
class Blowing:
    """The wind of the last minutes, said at the first reading in each *every* [s] of the clock."""

    window: Window
    every: float
    gives: tuple[Quantity, ...]
    _given: float = field(default=-math.inf, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        values = taken.values
        self.window.add(
            time,
            values["speed"],
            values.get("direction", Missing.INPUT_MISSING),
            values.get("gust", Missing.INPUT_MISSING),
        )
        turn = time // self.every
        if turn <= self._given:
            return ()
        self._given = turn
        return (self._said(time),)

    def advance(self, time: float) -> Iterable[Result]:
        """It speaks with a reading only."""
        return ()

    def save(self) -> Any:
        """The readings in the store bring it back."""
        return None

    def restore(self, saved: Any) -> None:
        """Nothing is saved."""

    def _said(self, time: float) -> Result:
        found = self.window.summary()
        known: dict[Quantity, Value] = {
            Quantity.WIND_SPEED: found.speed,
            Quantity.WIND_GUST: found.gust,
            Quantity.WIND_DIRECTION: found.direction,
            Quantity.TURBULENCE: found.turbulence,
        }
        values = {quantity: known[quantity] for quantity in self.gives}
        return Result(time, values, time - self.window.length + _HAIR)


def _gives(options: Options, context: Context) -> tuple[Quantity, ...]:
    """Return what can be told: turbulence only of readings that follow it, each 3 s or faster."""
    found = [Quantity.WIND_SPEED]
    if options.gusts:
        found.append(Quantity.WIND_GUST)
    if "direction" in context.sources:
        found.append(Quantity.WIND_DIRECTION)
    if context.interval <= GUST:
        found.append(Quantity.TURBULENCE)
    return tuple(found)


def _wind(options: Options, context: Context) -> Blowing:
    interval = context.interval
    above(options, "share", 0.0, 1.0)
    if not max(GUST, interval) <= options.over <= LONGEST:
        said = f"wind is summed up over {max(GUST, interval):g} s to 1 h, not {options.over:g} s"
        raise Unfit("over", f"{said}: {context.source} comes each {interval:g} s")
    for key in ("direction", "gust"):
        if (seconds := context.intervals.get(key, 0.0)) > options.over:
            raise Unfit(
                key, f"{context.sources[key]} comes each {seconds:g} s: less than once in this window"
            )
    window = Window(options.over, interval, options.share, _gusts(options, context))
    return Blowing(window, options.every, _gives(options, context))


def _gusts(options: Options, context: Context) -> Gusts:
    interval = context.interval
    if not options.gusts:
        if options.gust:
            raise Unfit("gusts", "no gusts are wanted, and yet gust says where they come from: leave one out")
        return Gusts.NONE
    if "gust" in context.sources:
        return Gusts.GIVEN
    if interval > GUST or abs(GUST / interval - round(GUST / interval)) > _HAIR:
        said = f"a gust is a mean over 3 s, and readings each {interval:g} s do not divide that"
        raise Unfit("gust", f"{said}: name the instrument's own gust, read faster, or say gusts = false")
    return Gusts.FOUND


KINDS: Mapping[str, Kind] = {
    "wind": Kind(
        Options,
        (
            Input("speed", only(Quantity.WIND_SPEED)),
            Input("direction", only(Quantity.WIND_DIRECTION), "direction", needed=False),
            Input("gust", only(Quantity.WIND_GUST), "gust", needed=False),
        ),
        _gives,
        _wind,
        lambda options, context: max(options.every, context.interval),
        lambda options, context: options.over,
    ),
}
