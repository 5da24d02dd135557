"""Where things are and how far apart, as roads go on average."""

from collections.abc import Sequence
from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

RADIUS = 6_371_008.8
"""Metres: the Earth's mean radius (IUGG)."""


class Point(NamedTuple):
    """A place on the Earth [deg]."""

    latitude: float
    longitude: float


def haversine(a: Point, b: Point) -> float:
    """Return the great-circle distance [m] on a sphere: within 0.6 % of the ellipsoid's."""
    north, east = radians(b.latitude - a.latitude), radians(b.longitude - a.longitude)
    half = sin(north / 2) ** 2 + cos(radians(a.latitude)) * cos(radians(b.latitude)) * sin(east / 2) ** 2
    return 2 * RADIUS * asin(min(1.0, sqrt(half)))


def matrix(points: Sequence[Point], detour: float) -> list[list[int]]:
    """Return the way [m] between all points: the straight one times *detour*."""
    return [[round(haversine(a, b) * detour) for b in points] for a in points]
