"""How the wind blows: means of speed and direction from single measurements, and turbulence.

The terms are those of WMO-No. 8, Guide to Instruments and Methods of Observation, volume I, chapter 5.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from drivers.device import Missing
from gateway.derive.frames import SECOND

CALM = 0.2
"""Mean speed [m/s] below which it is calm, and there is no direction: WMO-No. 8, volume I, 5.1."""

FASTEST = 120.0
"""Speeds above this [m/s] cannot be true: the highest gust at the surface was 113 m/s (WMO, 1996)."""

STEADIEST_UNDEFINED = 0.01
"""Steadiness (speed of the mean vector over mean speed) below which the directions cancel out; our choice."""

TWO_MINUTES, TEN_MINUTES = 120.0, 600.0
"""What means are taken over [s]: at aerodromes, and elsewhere (WMO-No. 8, volume I, 5.1)."""

SHARE = 0.75
"""Least share of the measurements that must be there for a mean to stand for its time."""

HAIR = 1e-6  # of a measurement or a metre a second: 0.75 times a count, or a mean of 0.2, is not exact


class Wind(NamedTuple):
    """One measurement: the mean over the interval that ends at *time* [s, Unix].

    *speed* [m/s] is 0 to 120; *direction* [deg], 0 to 360, is where it comes from, clockwise from true north;
    *gust* [m/s], 0 to 120, what the instrument itself found. What lies outside (or is no number) counts as
    missing.
    """

    time: float
    speed: float | Missing
    direction: float | Missing = Missing.INPUT_MISSING
    gust: float | Missing = Missing.INPUT_MISSING


def mean_speed(winds: Iterable[Wind]) -> float | Missing:
    """Return the mean speed [m/s]: of the speeds, not of the vectors (EPA-454/R-99-005, 6.2.1).

    INPUT_MISSING when no speed is there.
    """
    speeds = [speed for _, speed, _ in true_winds(winds)]
    return math.fsum(speeds) / len(speeds) if speeds else Missing.INPUT_MISSING


def turbulence(winds: Iterable[Wind]) -> float | Missing:
    """Return the intensity of turbulence [1]: the speeds' standard deviation over their mean (IEC 61400-1).

    INPUT_MISSING when no speed is there, OUT_OF_RANGE when it is calm.
    """
    speeds = [speed for _, speed, _ in true_winds(winds)]
    if not speeds:
        return Missing.INPUT_MISSING
    mean = math.fsum(speeds) / len(speeds)
    if mean < CALM - HAIR:
        return Missing.OUT_OF_RANGE
    return math.sqrt(math.fsum((speed - mean) ** 2 for speed in speeds) / len(speeds)) / mean


def mean_direction(winds: Iterable[Wind], share: float = SHARE) -> float | Missing:
    """Return the direction of the mean vector [deg], 0 to below 360 (EPA-454/R-99-005, 6.2.2).

    Every direction weighs by its speed, so that a vane in still air turns nothing. OUT_OF_RANGE when it is
    calm, UNRELIABLE when the directions cancel out, INPUT_MISSING when no speed is there or less than
    *share*, 0 to 1, of the speeds above CALM has a direction. ValueError: the share is no share.
    """
    check_share(share)
    found = true_winds(winds)
    if not found:
        return Missing.INPUT_MISSING
    vectors = [_vector(speed, direction) for _, speed, direction in found if direction is not None]
    windy = [direction for _, speed, direction in found if speed >= CALM]
    sighted = sum(direction is not None for direction in windy)
    return direction_of(
        math.fsum(speed for _, speed, _ in found) / len(found),
        math.fsum(east for east, _ in vectors) / len(found),
        math.fsum(north for _, north in vectors) / len(found),
        seen_enough(sighted, len(windy), share),
    )


def true_winds(winds: Iterable[Wind]) -> list[tuple[int, float, float | None]]:
    """Return time [us], speed and direction of the measurements that have a speed."""
    return [
        (micros(one.time), one.speed, within(one.direction, 360.0))
        for one in winds
        if not isinstance(one.speed, Missing) and within(one.speed, FASTEST) is not None
    ]


def once(winds: Iterable[Wind]) -> list[tuple[int, float, float | None]]:
    found: dict[int, tuple[int, float, float | None]] = {}
    for one in true_winds(winds):
        found.setdefault(one[0], one)
    return [found[at] for at in sorted(found)]


def within(value: float | Missing, highest: float) -> float | None:
    return value if not isinstance(value, Missing) and 0.0 <= value <= highest else None


def _vector(speed: float, direction: float) -> tuple[float, float]:
    angle = math.radians(direction)
    return speed * math.sin(angle), speed * math.cos(angle)


def direction_of(mean: float, east: float, north: float, seen: bool) -> float | Missing:
    if mean < CALM - HAIR:
        return Missing.OUT_OF_RANGE
    if not seen:
        return Missing.INPUT_MISSING
    if math.hypot(east, north) < STEADIEST_UNDEFINED * mean:
        return Missing.UNRELIABLE
    # Rounded before the modulus: a hair below zero would come out of it as 360.
    return round(math.degrees(math.atan2(east, north)), 6) % 360.0


def seen_enough(sighted: int, windy: int, share: float) -> bool:
    return sighted > 0 and sighted >= share * windy - HAIR


def check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share of the measurements is 0 to 1, not {share:g}")


def micros(seconds: float) -> int:
    return round(seconds * SECOND)
