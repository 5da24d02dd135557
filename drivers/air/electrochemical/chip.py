"""A four-electrode cell on its board: two voltages that share their background, and one that sees the gas."""

from collections.abc import Mapping
from random import Random

from drivers.device import Quantity
from drivers.emulated import EmulatedAnalog, Span


class Emulated:
    """One sensor for *gas* on channels *working* and *auxiliary*, quiet to 2 mV.

    The world sets the gas [ppb]; `background` is what both electrodes see without it [V], the working one
    *ratio* times as much. Faults: *swapped* (the two wires), *off* (no power), *rail* (where the amplifiers
    end [V]), *loose* (channels whose wire hangs in the air), *empty* (no sensor in its socket).
    """

    def __init__(
        self,
        channels: EmulatedAnalog,
        working: int,
        auxiliary: int,
        gas: Quantity = Quantity.NO2,
        zeros: tuple[float, float] = (0.225, 0.225),
        sensitivity: float = 0.3e-3,
        ratio: float = 0.6,
    ) -> None:
        self._channels = channels
        self._wires = (working, auxiliary)
        self._gas = gas
        self._zeros, self._sensitivity, self._ratio = zeros, sensitivity, ratio
        self._ppb = 0.0
        self._random = Random(1)
        self.spans: Mapping[Quantity, Span] = {gas: Span(0.0, 5000.0, 8.0)}
        self.background = 0.0
        self.noise = 0.002
        self.rail = 3.2
        self.swapped = self.off = self.empty = False
        self.loose: set[int] = set()
        channels.before = self.show

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the sensor into air with *value* ppb of its gas."""
        if quantity is not self._gas:
            raise ValueError(f"this sensor does not know {quantity}")
        self._ppb = value

    def power_cycle(self) -> None:
        """Nothing that shows: a cell takes hours to settle, which a city waits for once."""

    def show(self) -> None:
        """Put both voltages, with a little noise, onto their channels."""
        seen = 0.0 if self.empty else self.background
        gas = 0.0 if self.empty else self._ppb * self._sensitivity
        volts = (self._zeros[0] + gas + self._ratio * seen, self._zeros[1] + seen)
        for channel, value in zip(self._wires, reversed(volts) if self.swapped else volts, strict=True):
            noisy = value + self._random.uniform(-self.noise, self.noise)
            self._channels.volts[channel] = 0.0 if self.off else min(self.rail, max(0.0, noisy))
            if channel in self.loose:
                del self._channels.volts[channel]
