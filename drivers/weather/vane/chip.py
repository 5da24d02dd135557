"""A vane of eight resistors in a ring, a magnet that closes one reed or two, and a pull-up."""

from collections.abc import Mapping

from drivers.device import Quantity
from drivers.emulated import EmulatedAnalog, Span

_RING = (33e3, 8.2e3, 1e3, 2.2e3, 3.9e3, 16e3, 120e3, 64.9e3)  # Ohm at 0, 45, 90 ... degrees


class Emulated:
    """One vane on a *channel*, behind *pull_up* [Ohm] to *supply* [V].

    Faults: *cut* (the wire), *shorted* (the two wires touch), *wet* (a resistance [Ohm] across the vane, as
    of water in its head), *stuck* (it no longer turns).
    """

    spans: Mapping[Quantity, Span] = {Quantity.WIND_DIRECTION: Span(0.0, 359.9, 11.25)}

    def __init__(
        self, channels: EmulatedAnalog, channel: int, supply: float = 3.3, pull_up: float = 10e3
    ) -> None:
        self._channels, self._channel = channels, channel
        self._supply, self._pull_up = supply, pull_up
        self._degrees = 0.0
        self.cut = self.shorted = self.stuck = False
        self.wet = float("inf")
        self.show()

    def set(self, quantity: Quantity, value: float) -> None:
        """Turn the vane to *value* degrees."""
        if quantity is not Quantity.WIND_DIRECTION:
            raise ValueError(f"a vane does not know {quantity}")
        if not self.stuck:
            self._degrees = value % 360
        self.show()

    def power_cycle(self) -> None:
        """Nothing: eight resistors."""

    def show(self) -> None:
        """Put the voltage that follows from all this onto the channel."""
        conductance = 1 / self._ohm() + 1 / self.wet
        if self.cut:
            conductance = 0.0
        if self.shorted:
            conductance = 1e6
        self._channels.volts[self._channel] = self._supply / (1 + self._pull_up * conductance)

    def _ohm(self) -> float:
        """Return the resistance of the reeds that the magnet closes, one or two in parallel."""
        place = round(self._degrees / 22.5) % 16
        first, second = _RING[place // 2], _RING[(place // 2 + 1) % 8]
        return first * second / (first + second) if place % 2 else first
