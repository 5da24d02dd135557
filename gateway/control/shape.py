"""What was kept over a restart, read back. Every part of it may be damaged or forged: ValueError."""

import math
from collections.abc import Mapping
from typing import Any

from gateway.clock import Instant, Quality
from gateway.control.until import Until

LONGEST = 500  # characters of a text
MOST = 1000  # entries of a table or list


def table(shape: object, *keys: str) -> Mapping[str, Any]:
    """Return *shape* as a table with texts as keys, which has at least *keys*."""
    if not isinstance(shape, dict) or len(shape) > MOST or not all(isinstance(key, str) for key in shape):
        raise ValueError("what was kept is not a table")
    if missing := [key for key in keys if key not in shape]:
        raise ValueError(f"what was kept has no {missing[0]}")
    return shape


def text(shape: object) -> str:
    """Return *shape* as a text."""
    if not isinstance(shape, str) or len(shape) > LONGEST:
        raise ValueError("what was kept is not a text")
    return shape


def number(shape: object) -> float:
    """Return *shape* as a finite number."""
    if isinstance(shape, bool) or not isinstance(shape, int | float) or not math.isfinite(shape):
        raise ValueError("what was kept is not a number")
    return float(shape)


def numbers(shape: object) -> list[float]:
    """Return *shape* as a list of finite numbers."""
    if not isinstance(shape, list) or len(shape) > MOST:
        raise ValueError("what was kept is not a list")
    return [number(each) for each in shape]


def until(shape: object, kept: Instant, at: Instant) -> Until:
    """Return an end that `pair` gave at *kept*, as it is now."""
    return end(shape).again(kept, at)


def end(shape: object) -> Until:
    """Return an end that `pair` gave, as it was."""
    parts = numbers(shape)
    if len(parts) not in (2, 3):
        raise ValueError("what was kept is not an end")
    return Until(parts[0], parts[1], span=len(parts) == 3)


def pair(end: Until) -> list[float]:
    """Return an end for `until`: with a third number where it is that of a span."""
    return [end.time, end.mono, *([1.0] if end.span else [])]


def moment(shape: object) -> Instant:
    """Return when something was kept. A clock that is not said to have been right then is not relied upon."""
    parts = table(shape, "time", "mono", "boot")
    quality = Quality(text(parts.get("clock", Quality.UNKNOWN)))
    return Instant(number(parts["time"]), number(parts["mono"]), text(parts["boot"]), quality)
