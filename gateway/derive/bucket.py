"""A tipping bucket: what its tips say of the rain, what it loses, and what the rain is called."""

from collections.abc import Iterable
from enum import StrEnum

from drivers.device import Missing

QUIET = 0.2
"""Seconds without an edge before a tip counts: a tip takes 0.524 s (Duchon 2014), its bounce far less."""

TIP = 0.524  # s, a full tip on average (Duchon 2014)
FASTEST = 1.0  # s between tips up to which the correction is used; measured were 5.2 s, and 0.45 s is a pole
POURING = 0.450  # s of it in which the rain still falls into the bucket that is already full (Duchon 2014)
LIGHT, MODERATE = 2.5, 7.6  # mm/h, the upper ends (AMS Glossary)


class RainClass(StrEnum):
    """How hard it rains, in the words of the AMS Glossary of Meteorology, "rain". The UK's bands differ."""

    DRY = "dry"
    LIGHT = "light"  # a trace to 2.5 mm/h
    MODERATE = "moderate"  # 2.6 to 7.6 mm/h
    HEAVY = "heavy"  # above 7.6 mm/h


def rain_class(rate: float) -> RainClass:
    """Return the class of *rate* [mm/h]. What lies between two printed bands belongs to the upper one.

    Raises ValueError for a negative rate.
    """
    if not rate >= 0:
        raise ValueError("a rain rate must not be negative")
    if rate == 0:
        return RainClass.DRY
    if rate <= LIGHT:
        return RainClass.LIGHT
    return RainClass.MODERATE if rate <= MODERATE else RainClass.HEAVY


def debounced(edges: Iterable[float], quiet: float = QUIET) -> list[float]:
    """Return the times [s] of the tips among *edges* [s], in any order, sorted.

    A tip is an edge with none in the *quiet* [s] before it, so a contact that chatters on and on is one tip.
    Raises ValueError when *quiet* is not above 0 and below the 0.524 s of a full tip.
    """
    check_quiet(quiet)
    tips: list[float] = []
    last = float("-inf")
    for edge in sorted(edges):
        if edge - last >= quiet:
            tips.append(edge)
        last = edge
    return tips


def total(tips: int, depth: float) -> float:
    """Return the rain [mm] of so many *tips* of *depth* [mm] each, not corrected for undercatch."""
    check_depth(depth)
    return tips * depth


def window_rate(tips: int, depth: float, window: float) -> float:
    """Return the rain rate [mm/h] of *tips* of *depth* [mm] each within *window* [s].

    `tips depth 3600 / window`. One tip of 0.2 mm in a minute already reads 12 mm/h: take 300 to 900 s.
    Raises ValueError for a window that is not positive.
    """
    if not window > 0:
        raise ValueError("the window must be above 0 s")
    return total(tips, depth) * 3600.0 / window


def inter_tip_rate(interval: float, depth: float) -> float:
    """Return the rain rate [mm/h] from the *interval* [s] between two tips of *depth* [mm].

    0.2 mm each 7.2 s is 100 mm/h (Water 2024, 16(7), 998). Better than a window from 6 to 50 mm/h (Stagnaro
    2016). Raises ValueError for an interval that is not positive.
    """
    return window_rate(1, depth, interval)


def undercatch(rate: float, depth: float) -> float:
    """Return the share of a tip's *depth* [mm] that is lost in each tip at the true *rate* [mm/h].

    For 0.450 s of a tip the rain still falls into the full bucket, at any rate, so the loss is linear in it.
    Duchon, Fiebrich and Grimsley 2014 (J. Atmos. Oceanic Technol. 31(6)) measured 0.98 % at 19.9 mm/h and
    8.78 % at 175.2 mm/h, on a gauge of 0.254 mm; this gives 0.98 % and 8.62 %.
    """
    check_depth(depth)
    return rate * POURING / (3600.0 * depth)


def corrected(rate: float, depth: float) -> float | Missing:
    """Return the true rain rate [mm/h] when a bucket of *depth* [mm] tips at *rate* [mm/h].

    `rate / (1 - undercatch(rate))`, the inverse of the loss above. For a gauge without a siphon that was not
    already adjusted for a rate. OUT_OF_RANGE when it tips more than once a second: somebody shakes it.
    """
    lost = undercatch(rate, depth)
    if rate * FASTEST > 3600.0 * depth:
        return Missing.OUT_OF_RANGE
    return rate / (1.0 - lost)


def tip_depth(interval: float, depth: float) -> float:
    """Return the true rain [mm] of a tip of *depth* [mm] that came *interval* [s] after the one before.

    The same correction as `corrected`; a tip that came within a second stays as it is.
    """
    return depth * interval / (interval - POURING) if interval >= FASTEST else depth


def check_depth(depth: float) -> None:
    if not depth > 0:
        raise ValueError("a tip must be above 0 mm")


def check_quiet(quiet: float) -> None:
    if not 0 < quiet < TIP:
        raise ValueError(f"the debounce time must be above 0 and below {TIP:g} s, which is what a tip takes")
