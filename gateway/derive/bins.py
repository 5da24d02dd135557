"""How full a bin is: from the distance down to the rubbish, by the bin's shape, or from its weight.

All fills are in percent, 0 to 100, of what the bin holds when filled up to its full line. A fill is a share
of the volume (of the load, by weight): only in straight walls is it also the share of the depth.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from drivers.device import Missing

BELOW = 0.05
"""Share of the depth by which a distance may lie beyond the bin's floor and still be the floor."""

UNDER = 0.05
"""Share of the load by which a weight may lie below the tare and still be the empty bin."""


def linear_fill(distance: float, empty: float, full: float) -> float | Missing:
    """Return the fill [%], 0 to 100, of a straight-walled bin (a box, a cylinder) seen from above.

    *distance* [m] is from the sensor down to the rubbish, *empty* [m] to the floor and *full* [m] to the line
    up to which the bin counts as full. `fill = 1 - (distance - full) / (empty - full)`. Rubbish above the
    line is still full; a distance clearly beyond the floor is OUT_OF_RANGE: the lid is open, the bin is gone
    or the sensor looks past it. Raises ValueError unless `empty > full`.
    """
    height = _height(distance, empty, full)
    return height if isinstance(height, Missing) else 100.0 * height


def frustum_fill(distance: float, empty: float, full: float, bottom: float, top: float) -> float | Missing:
    """Return the fill [%], 0 to 100, of a tapered round bin (a frustum of a cone) seen from above.

    *distance*, *empty* and *full* [m] are as in `linear_fill`; *bottom* [m] is the inner radius at the floor
    and *top* [m] the one at the full line. Up to the share h of the depth, where the radius is r, the volume
    goes with `h (bottom^2 + bottom r + r^2)`: half the height of a bin of 0.20 m and 0.30 m holds 40.1 %.
    The same holds for any tapered bin whose cross-sections are alike (a truncated pyramid), with its widths
    for the radii. Raises ValueError unless `empty > full` and both radii are 0 or more, one of them above 0.
    """
    if not (0.0 <= bottom < math.inf and 0.0 <= top < math.inf and bottom + top > 0.0):
        raise ValueError(f"a bin's radii are 0 m or more, and not both 0: not {bottom!r} and {top!r}")
    height = _height(distance, empty, full)
    if isinstance(height, Missing):
        return height
    # Only the ratio of the radii counts; the larger one as unit keeps the squares in range.
    bottom, top = bottom / max(bottom, top), top / max(bottom, top)
    radius = bottom * (1.0 - height) + top * height  # exactly the top's at the full line
    return 100.0 * min(1.0, height * _squares(bottom, radius) / _squares(bottom, top))


@dataclass(frozen=True, slots=True)
class Shape:
    """A bin of any shape, gauged: points of (distance [m], fill [%]) from the full line down to the floor.

    As the strapping table of a tank (ISO 7507-1): fill with a known volume, note the distance, and
    interpolate linearly between. Raises ValueError unless the distances rise, the fills never rise with
    them, and the table starts at 100 % and ends at 0 %.
    """

    points: Sequence[tuple[float, float]]

    def __post_init__(self) -> None:
        if len(self.points) < 2:
            raise ValueError("a bin's table needs two points or more")
        if not all(math.isfinite(number) for point in self.points for number in point):
            raise ValueError("a bin's table holds finite numbers only")
        for (near, more), (far, less) in pairwise(self.points):
            if not near < far:
                raise ValueError(f"the distances of a bin's table must rise: {far:g} m follows {near:g} m")
            if less > more:
                raise ValueError(f"the fill must not rise with the distance: {less:g} % follows {more:g} %")
        if (self.points[0][1], self.points[-1][1]) != (100.0, 0.0):
            raise ValueError("a bin's table starts at 100 % (the full line) and ends at 0 % (the floor)")

    def fill(self, distance: float) -> float | Missing:
        """Return the fill [%], 0 to 100, at *distance* [m], clamped and OUT_OF_RANGE as in `linear_fill`."""
        height = _height(distance, self.points[-1][0], self.points[0][0])
        if isinstance(height, Missing):
            return height
        above = bisect_left(self.points, distance, key=lambda point: point[0])
        if above in (0, len(self.points)):
            return 100.0 if above == 0 else 0.0
        (near, more), (far, less) = self.points[above - 1], self.points[above]
        return less + (more - less) * (far - distance) / (far - near)


def weight_fill(weight: float, tare: float, full: float) -> float | Missing:
    """Return the fill [%], 0 to 100, by weight: `(weight - tare) / (full - tare)`.

    *weight* [kg] is what the scale shows, *tare* [kg] what it shows with the bin empty, and *full* [kg] with
    the heaviest load that may be lifted out: weight can be the limit long before volume. More is still full;
    clearly less than the tare is OUT_OF_RANGE: the bin is off its scale. Raises ValueError unless
    `full > tare`.
    """
    if not -math.inf < tare < full < math.inf:
        raise ValueError(f"the full weight must be larger than the tare: not {full!r} kg and {tare!r} kg")
    share = (weight - tare) / (full - tare)
    if not -UNDER <= share < math.inf:
        return Missing.OUT_OF_RANGE
    return 100.0 * min(1.0, max(0.0, share))


def _height(distance: float, empty: float, full: float) -> float | Missing:
    """Return how high the rubbish stands, 0 (the floor) to 1 (the full line)."""
    if not -math.inf < full < empty < math.inf:
        raise ValueError(f"the floor must be farther than the full line: not {empty!r} m and {full!r} m")
    depth = empty - full
    if not -math.inf < distance <= empty + BELOW * depth:
        return Missing.OUT_OF_RANGE
    return min(1.0, max(0.0, 1.0 - (distance - full) / depth))


def _squares(one: float, other: float) -> float:
    return one * one + one * other + other * other
