"""A source of voltage on a channel, behind a divider of two resistors if need be."""

from collections.abc import Mapping

from drivers.device import Clock, Quantity
from drivers.emulated import EmulatedAnalog, Span


class Emulated:
    """A source on a *channel*, with the resistor *above* the pin and the one *below* it [ohm].

    Faults: `power_off` (the source gives nothing), and voltages that the converter clips.
    """

    spans: Mapping[Quantity, Span] = {Quantity.VOLTAGE: Span(0.0, 3.3, 0.0002)}

    def __init__(
        self, channels: EmulatedAnalog, channel: int, clock: Clock, above: float = 0.0, below: float = 1e4
    ) -> None:
        self._channels, self._channel = channels, channel
        self._above, self._below = above, below
        self._source = 0.0
        self.powered = True
        self.show()

    def set(self, quantity: Quantity, value: float) -> None:
        """Let the source give *value* volts."""
        if quantity is not Quantity.VOLTAGE:
            raise ValueError(f"a source of voltage does not know {quantity}")
        self._source = value
        self.show()

    def power_cycle(self) -> None:
        """Nothing: a source remembers nothing."""
        self.show()

    def power_off(self) -> None:
        """Take the source away; the resistor below pulls the pin to ground."""
        self.powered = False
        self.show()

    def show(self) -> None:
        """Bring the pin up to now."""
        at_the_pin = self._source * self._below / (self._above + self._below)
        self._channels.volts[self._channel] = at_the_pin if self.powered else 0.0
