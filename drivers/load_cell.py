"""What the converters of 24 bits for a load cell share: the cell, the rails, and the weight."""

from math import isfinite
from typing import Protocol

from drivers.device import Missing
from drivers.frozen import Frozen

RAIL = (1 << 23) - 1


class Cell(Protocol):
    """What the options of a driver say of the cell.

    *zero* [counts] without a load, *factor* [counts/kg] with its sign, *capacity* [kg].
    """

    @property
    def zero(self) -> float: ...
    @property
    def factor(self) -> float: ...
    @property
    def capacity(self) -> float: ...


class Life:
    """Tells a frozen converter: *patience* is how many equal conversions in a row are no chance.

    At a rail there is no noise, and nothing is said.
    """

    def __init__(self, patience: int) -> None:
        self._frozen = Frozen(patience, "conversions", "the converter")

    def check(self, counts: int) -> None:
        """Raise DeviceError for a conversion that never changes."""
        self._frozen.check(counts, noisy=abs(counts) < RAIL)


def check_cell(cell: Cell) -> None:
    """Raise ValueError for a zero outside 24 bits, a factor of 0, a capacity not above 0."""
    if not -RAIL <= cell.zero <= RAIL:
        raise ValueError("zero must lie within 24 bits, -8388607 to 8388607 counts")
    if not isfinite(cell.factor) or cell.factor == 0:
        raise ValueError("factor must be the cell's counts for one kg, positive or negative, not 0")
    if not 0 < cell.capacity < 1e6:
        raise ValueError("capacity must be above 0 and below 1000000 kg")


def at_rail(counts: float) -> bool:
    """Return whether *counts* may stand for anything beyond."""
    return not -RAIL - 1 < counts < RAIL


def weight(counts: float, cell: Cell) -> float | Missing:
    """Return *counts* as kg; more than the cell's capacity is OUT_OF_RANGE."""
    found = (counts - cell.zero) / cell.factor
    return found if abs(found) <= cell.capacity else Missing.OUT_OF_RANGE
