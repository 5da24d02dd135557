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


def until(shape: object, boot: str, at: Instant) -> Until:
    """Return an end that `pair` gave in *boot*."""
    end = numbers(shape)
    if len(end) not in (2, 3):
        raise ValueError("what was kept is not an end")
    return Until(end[0], end[1], span=len(end) == 3).again(boot, at)


def pair(end: Until) -> list[float]:
    """Return an end for `until`: with a third number where it is that of a span."""
    return [end.time, end.mono, *([1.0] if end.span else [])]


def asleep(time: float, mono: float, boot: str, clock: object, at: Instant) -> float:
    """Return how long ago [s] something was saved at *time* by *clock*; 0 where nobody can say.

    Within a boot the monotonic clock tells; else the wall clock, if it was trusted then and is now.
    """
    if boot == at.boot != "unknown":
        return max(0.0, at.mono - mono)
    return max(0.0, at.time - time) if clock == at.clock == Quality.SYNCHRONIZED else 0.0
