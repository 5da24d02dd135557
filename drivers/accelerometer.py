"""What accelerometers of any maker share: three axes, gravity, and what no living part gives."""

from math import isfinite

from drivers.device import DeviceError, Quantity
from drivers.frozen import Frozen

STANDARD_GRAVITY = 9.80665  # m/s2
AXES = (Quantity.ACCELERATION_X, Quantity.ACCELERATION_Y, Quantity.ACCELERATION_Z)
Triple = tuple[int, int, int]
"""The counts of the axes x, y, z."""


class Life:
    """Tells a dead vector and a frozen one: *patience* is how many equal vectors in a row are no chance."""

    def __init__(self, patience: int) -> None:
        self._frozen = Frozen(patience, "vectors", "the sensing element")

    def check(self, counts: Triple) -> None:
        """Raise DeviceError for axes that are all exactly zero, and for a vector that never changes."""
        if not any(counts):
            raise DeviceError("all axes read exactly zero, which gravity does not allow")
        self._frozen.check(counts)


def check_calibration(
    zeros: tuple[float, ...], spans: tuple[float, ...], zero: float, low: float, high: float
) -> None:
    """Raise ValueError for *zeros* beyond *zero* [m/s2], and for *spans* outside *low* to *high*."""
    if not all(isfinite(each) and abs(each) <= zero for each in zeros):
        raise ValueError(f"zero_x, zero_y and zero_z must be -{zero:g} to {zero:g} m/s2: more is a defect")
    if not all(low <= each <= high for each in spans):
        raise ValueError(f"span_x, span_y and span_z must be {low:g} to {high:g}: more is a defect")
