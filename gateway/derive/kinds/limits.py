"""What the settings of kinds may be, said of the key that is wrong."""

import math
from typing import Any

from drivers.device import LOGICAL, UNITS, Quantity
from gateway.derive.kind import Source, Unfit, only

NUMBERS = frozenset(set(Quantity) - LOGICAL)
"""The quantities that are numbers, not true or false."""

LEVEL = only(Quantity.STAGE, Quantity.DEPTH)
"""How high water stands."""

HEIGHT = 10_000.0
"""Metres: no water on earth stands farther from any datum."""

DEEP = 20.0
"""Metres: no bin is as deep, so a larger number was meant in another unit."""


def within(options: Any, key: str, low: float, high: float, unit: str = "") -> None:
    """Check one setting, or each number of it; None is none. Raises Unfit unless it is *low* to *high*."""
    value = getattr(options, key)
    for each in value if isinstance(value, tuple) else (value,):
        if each is not None and not low <= each <= high:
            raise Unfit(key, f"{key} is {_span(low, high)}{unit and f' {unit}'}, not {each:g}")


def above(options: Any, key: str, low: float, high: float, unit: str = "") -> None:
    """Check one setting, which must be above *low*. Raises Unfit unless it is, and *high* at most."""
    value = getattr(options, key)
    if value is not None and not low < value <= high:
        raise Unfit(key, f"{key} is above {low:g}, to {high:g}{unit and f' {unit}'}, not {value:g}")


def chosen(given: float | None, key: str, source: Source, default: float | None, what: str) -> float:
    """Return a setting in the unit of *source*: as given, or the default if there is one. Raises Unfit."""
    number = default if given is None else given
    if number is None:
        raise Unfit(key, f"say {key} [{UNITS[source.quantity]}]: {what}")
    if not math.isfinite(number):
        raise Unfit(key, f"{key} must be a finite number, not {number:g}")
    return number


def _span(low: float, high: float) -> str:
    return f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
