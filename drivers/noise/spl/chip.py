"""An analog sound level meter: a voltage that follows the level, with the inertia of "fast"."""

from collections.abc import Mapping
from math import exp, log10

from drivers.device import Clock, Quantity
from drivers.emulated import EmulatedAnalog, Span

_INERTIA = 0.125  # s


class Emulated:
    """One meter on a *channel*. `set` changes the level at once; `sound` lets it follow, as the part does.

    Faults: `unplug` (the wire hangs in the air), `power_off` (the output sinks to nothing), *error* [dB] of
    its calibration, and levels beyond its range, where its output stays at its end, or a little beyond.
    """

    spans: Mapping[Quantity, Span] = {Quantity.SOUND_LEVEL: Span(30.0, 130.0, 0.01)}

    def __init__(self, channels: EmulatedAnalog, channel: int, clock: Clock) -> None:
        self._channels, self._channel = channels, channel
        self._clock = clock
        self._power = 10.0**4
        self._then = clock.monotonic()
        self._target = 10.0**4
        self.error = 0.0
        self.powered = self.plugged = True
        self.show()

    def set(self, quantity: Quantity, value: float) -> None:
        """Let it be *value* dB loud, and have been for a while."""
        if quantity is not Quantity.SOUND_LEVEL:
            raise ValueError(f"a sound level meter does not know {quantity}")
        self._power = self._target = 10.0 ** (value / 10)
        self.show()

    def sound(self, value: float) -> None:
        """Let it be *value* dB loud from now on; the meter follows."""
        self.show()
        self._target = 10.0 ** (value / 10)

    def power_cycle(self) -> None:
        """Begin with silence."""
        self._power = 10.0**3
        self.show()

    def unplug(self) -> None:
        """Pull the wire off the channel."""
        self.plugged = False
        self.show()

    def power_off(self) -> None:
        """Take its supply away."""
        self.powered = False
        self.show()

    def show(self) -> None:
        """Bring the output up to now."""
        now = self._clock.monotonic()
        self._power += (self._target - self._power) * (1 - exp((self._then - now) / _INERTIA))
        self._then = now
        level = 10 * log10(self._power) + self.error
        if not self.plugged:
            self._channels.volts.pop(self._channel, None)
        else:
            self._channels.volts[self._channel] = min(2.8, max(0.55, level / 50)) if self.powered else 0.0
