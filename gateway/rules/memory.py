"""What rules must not forget over a restart, as JSON carries it, and back. What comes back is hostile."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.clock import Instant, Quality
from gateway.rules.course import Phase
from gateway.rules.inputs import nanoseconds

MOST = 10_000
"""Rules that may be remembered."""
AGES = 3_200_000_000 * 1_000_000_000
"""About a century [ns]: no phase lasts longer."""
_LATEST = 1e11
"""A wall time [s, Unix] beyond which there is no clock, only damage."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Where one rule stood: its fingerprint, its phase since when [monotonic ns], whether told blind."""

    mark: str
    phase: Phase
    since: int
    told: bool


def saved(at: Instant, rules: Mapping[str, Memory]) -> dict[str, Any]:
    """Return all of it for JSON, with the moment by which a later start can place the times."""
    return {
        "at": {"time": at.time, "mono": nanoseconds(at.mono), "boot": at.boot, "clock": str(at.clock)},
        "rules": {
            name: {"mark": each.mark, "phase": str(each.phase), "since": each.since, "told": each.told}
            for name, each in rules.items()
        },
    }


def recalled(shape: object, now: Instant) -> dict[str, Memory]:
    """Return what `saved` gave, its times on the clock of *now*. Raises ValueError for anything else.

    Within one boot the monotonic clock tells them exactly; across boots the wall clock does, if it was
    trusted then and is now; else every time begins again.
    """
    document = _table(shape, ("at", "rules"))
    at = _instant(document["at"])
    rules = document["rules"]
    if not isinstance(rules, dict) or len(rules) > MOST:
        raise ValueError(f"the rules are a table of at most {MOST}")
    same = at.boot == now.boot != "unknown"
    if same and at.mono > nanoseconds(now.mono):
        raise ValueError("it was saved after the present moment")
    shift = 0 if same else _shift(at, now)
    return {str(name): _memory(each, at.mono, shift, now) for name, each in rules.items()}


@dataclass(frozen=True, slots=True)
class _Moment:
    time: float
    mono: int
    boot: str
    clock: Quality


def _shift(at: _Moment, now: Instant) -> int | None:
    """Return what is added to a moment of another boot to have it in this one; None where nobody knows."""
    gone = now.time - at.time
    if not (at.clock is now.clock is Quality.SYNCHRONIZED) or gone < 0:
        return None
    return nanoseconds(now.mono) - nanoseconds(gone) - at.mono


def _memory(shape: object, latest: int, shift: int | None, now: Instant) -> Memory:
    each = _table(shape, ("mark", "phase", "since", "told"))
    since = _whole(each["since"], latest - AGES, latest)
    if not isinstance(each["mark"], str) or not isinstance(each["told"], bool):
        raise ValueError("a mark is a text, and told is true or false")
    moment = nanoseconds(now.mono) if shift is None else since + shift
    return Memory(each["mark"], _one_of(Phase, each["phase"]), moment, each["told"])


def _instant(shape: object) -> _Moment:
    at = _table(shape, ("time", "mono", "boot", "clock"))
    time = at["time"]
    if isinstance(time, bool) or not isinstance(time, int | float) or not -_LATEST <= time <= _LATEST:
        raise ValueError("a time is a number of seconds")
    if not isinstance(at["boot"], str):
        raise ValueError("a boot is a text")
    return _Moment(float(time), _whole(at["mono"], 0, AGES), at["boot"], _one_of(Quality, at["clock"]))


def _table(shape: object, keys: Iterable[str]) -> dict[str, Any]:
    if not isinstance(shape, dict) or set(shape) != set(keys):
        raise ValueError(f"a table has the keys {', '.join(keys)}")
    return shape


def _whole(value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError("a moment is a whole number of nanoseconds, not in the future")
    return value


def _one_of(kind: Any, value: object) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"a {kind.__name__.lower()} is a word")
    return kind(value)
