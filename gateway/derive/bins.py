"""How full a bin is."""

from drivers.device import Missing

BELOW = 0.05
"""Share of the depth by which a distance may lie beyond the bin's floor and still be the floor."""


def linear_fill(distance: float, empty: float, full: float) -> float | Missing:
    """Return the fill [%], 0 to 100, of a straight-walled bin seen from above.

    *distance* [m] is from the sensor down to the rubbish, *empty* [m] to the floor and *full* [m] to the line
    up to which the bin counts as full, `empty > full`. `fill = 1 - (distance - full) / (empty - full)`.
    Rubbish above the line is still full; a distance clearly beyond the floor is OUT_OF_RANGE: the lid is
    open, the bin is gone or the sensor looks past it.
    """
    depth = empty - full
    if distance > empty + BELOW * depth:
        return Missing.OUT_OF_RANGE
    return min(100.0, max(0.0, 100.0 * (1.0 - (distance - full) / depth)))
