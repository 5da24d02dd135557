"""What was saved and comes back: it may be old, cut short or anybody's, so every number is looked at."""

import math
from itertools import pairwise
from typing import Any

TIME_MOST = 6e10
"""The largest size [s, Unix] of a time: until the year 3871."""


def number(saved: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number from *low* to *high*. Raises ValueError."""
    if isinstance(saved, bool) or not isinstance(saved, (int, float)):
        raise ValueError(f"this is no number: {saved!r}")
    if not (low <= saved <= high and math.isfinite(saved)):
        raise ValueError(f"a number from {low:g} to {high:g} was saved, not {saved!r}")
    return float(saved)


def truth(saved: Any) -> bool:
    """Return true or false. Raises ValueError for anything else, 0 and 1 included."""
    if not isinstance(saved, bool):
        raise ValueError(f"this is neither true nor false: {saved!r}")
    return saved


def moment(saved: Any) -> float | None:
    """Return a time [s, Unix], or None for none. Raises ValueError."""
    return None if saved is None else number(saved, -TIME_MOST, TIME_MOST)


def samples(saved: Any, most: int) -> list[tuple[float, float]]:
    """Return at most *most* pairs of a time [s, Unix], each later than the one before, and a number.

    Raises ValueError.
    """
    if not isinstance(saved, list) or len(saved) > most:
        raise ValueError(f"{most} samples at most were saved, not {str(saved)[:40]}")
    found = []
    for time, value in saved:
        found.append((number(time, -TIME_MOST, TIME_MOST), number(value)))
    if not all(one[0] < other[0] for one, other in pairwise(found)):
        raise ValueError("the times of saved samples must rise")
    return found
