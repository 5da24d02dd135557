"""What is wrong with a bin: fire, tipped over, overflow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.device import Missing, Quantity
from gateway.config import Duration, Pause
from gateway.derive.hazards import LOWS, Fire, Overflow, Tipped
from gateway.derive.kind import Context, Input, Kind, State, Taken, Unfit, always, only
from gateway.derive.kinds.alarm import Alarm
from gateway.derive.kinds.limits import DEEP, above, within

_Q = Quantity


@dataclass(frozen=True, slots=True)
class Burning:
    """Fire: at *level* [Cel] or above, or risen by *rise* [K] within *within* to *clear* [Cel] or above.

    In *confirm* readings in a row. It ends below *clear*.
    """

    level: float = 70.0
    rise: float = 10.0
    within: Duration = 120.0
    clear: float = 45.0
    confirm: int = 2


def _fire(options: Burning, context: Context) -> State:
    within(options, "level", -40.0, 400.0, "Cel")
    within(options, "clear", -40.0, 400.0, "Cel")
    above(options, "rise", 0.0, 400.0, "K")
    within(options, "confirm", 1, 100)
    if not options.clear < options.level:
        raise Unfit("clear", "the alarm ends below clear: it must be lower than level")
    if options.within < context.interval:
        said = f"readings come every {context.interval:g} s: no rise is ever seen within {options.within:g} s"
        raise Unfit("within", f"{said}; take longer, or read the part more often")
    if options.within > LOWS * context.interval:
        raise Unfit("within", f"take {LOWS * context.interval:g} s or less: a fire is faster")
    fire = Fire(options.level, options.rise, options.within, options.clear, options.confirm)
    back = _looks(options, context)
    return Alarm(fire, lambda time, t: fire.feed(time, t["temperature"]), lambda time: time - back)


def _looks(options: Burning, context: Context) -> float:
    """Return how far back [s] a fire looks: each of the readings that confirm it at what was before it."""
    return options.within + (options.confirm - 1) * context.interval


@dataclass(frozen=True, slots=True)
class Over:
    """*limit* [deg] is the lean beyond which the bin lies; *hold* how long before it counts, or is over."""

    limit: float = 45.0
    hold: Pause = 120.0


def _tipped(options: Over, context: Context) -> State:
    above(options, "limit", 0.0, 179.0, "deg")
    tipped = Tipped(options.limit, options.hold)
    return Alarm(tipped, lambda time, t: tipped.feed(time, t["tilt"]), lambda time: time - options.hold)


@dataclass(frozen=True, slots=True)
class Heaped:
    """*full* [m] is the distance down to the full line; *eye* a contact that is active while blocked."""

    full: float
    hold: Pause = 60.0
    eye: str = ""


def _overflow(options: Heaped, context: Context) -> State:
    above(options, "full", 0.0, DEEP, "m")
    overflow, has_eye = Overflow(options.full, options.hold), "eye" in context.sources

    def feed(time: float, taken: Taken) -> bool | Missing:
        blocked = taken["eye"] if has_eye else None
        seen = blocked if blocked is None or isinstance(blocked, Missing) else blocked != 0.0
        return overflow.feed(time, taken["distance"], seen)

    return Alarm(overflow, feed, lambda time: time - options.hold)


def _hold(options: Any, context: Context) -> float:
    return min(float(options.hold), 86400.0)


_ACTIVE = always(_Q.ACTIVE)

KINDS: Mapping[str, Kind] = {
    "fire": Kind(
        Burning,
        (Input("temperature", only(_Q.SURFACE_TEMPERATURE)),),
        _ACTIVE,
        _fire,
        reach=_looks,
        lasting=True,
    ),
    "tipped": Kind(Over, (Input("tilt", only(_Q.TILT)),), _ACTIVE, _tipped, reach=_hold, lasting=True),
    "overflow": Kind(
        Heaped,
        (
            Input("distance", only(_Q.DISTANCE)),
            Input("eye", only(_Q.ACTIVE), key="eye", needed=False),
        ),
        _ACTIVE,
        _overflow,
        reach=_hold,
        lasting=True,
    ),
}
