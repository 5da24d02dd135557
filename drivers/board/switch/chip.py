"""A relay board with one load on a line; without a driven line its own resistor keeps the load off."""

from collections.abc import Mapping

from drivers.device import Quantity
from drivers.emulated import EmulatedPins, Span


class Emulated:
    """One relay on *line*. The world sees its contact through `on`.

    Faults: `welded` (the contact stays made, whatever the line says), `broken` (the coil no longer pulls).
    """

    spans: Mapping[Quantity, Span] = {Quantity.ON: Span(0.0, 1.0, 1.0)}

    def __init__(self, pins: EmulatedPins, line: int, active_high: bool = True) -> None:
        self._pins = pins
        self._line = line
        self._active_high = active_high
        self.welded = False
        self.broken = False

    @property
    def on(self) -> bool:
        """Whether current can flow through the load."""
        return self.welded or (self._driven() and not self.broken)

    def set(self, quantity: Quantity, value: float) -> None:
        """Refuse: the world does not move a switch, but it may weld or break it."""
        raise ValueError("only the gateway moves a switch; set `welded` or `broken`")

    def _driven(self) -> bool:
        level = self._pins.levels.get(self._line, True)
        return self._line in self._pins.outputs and level == self._active_high
