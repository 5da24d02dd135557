"""Something that a line turns on and off: a siren, a pump, a lock, through a relay or a transistor.

No datasheet: a line and a load. What the load does is not seen here, only the level at the pin.
"""

from dataclasses import dataclass

from drivers.bus import Pins
from drivers.device import Clock, DeviceError, Quantity, Values

ADDRESSES: tuple[int, ...] = ()
"""None: the address of a pin driver is its line."""


@dataclass(frozen=True, slots=True)
class Options:
    """Whether a high level turns the load on, and whether on is its safe state."""

    active_high: bool = True
    safe: bool = False


class Driver:
    """A switch that reads its pin back after every move."""

    quantities = frozenset({Quantity.ON})

    def __init__(self, bus: Pins, address: int, clock: Clock, options: Options = Options()) -> None:
        self._pins = bus
        self._line = address
        self._options = options

    async def start(self) -> None:
        """To the safe state; Pins sets the level before the direction, so that nothing glitches."""
        await self._switch(self._options.safe)

    async def apply(self, value: float) -> None:
        """Turn on (1) or off (0). Raises DeviceError for another value, or when the pin does not follow."""
        if value not in (0, 1):
            raise DeviceError(f"a switch takes 0 or 1, not {value:g}")
        await self._switch(value == 1)

    async def measure(self) -> Values:
        """Return the pin's own level as 1 (on) or 0."""
        return {Quantity.ON: float(self._level(await self._pins.read(self._line)))}

    async def stop(self) -> None:
        """To the safe state."""
        await self._switch(self._options.safe)

    async def _switch(self, on: bool) -> None:
        high = self._level(on)
        await self._pins.write(self._line, high)
        if await self._pins.read(self._line) != high:
            told, found = ("high", "low") if high else ("low", "high")
            raise DeviceError(f"line {self._line} was driven {told} and reads {found}: look for a short")

    def _level(self, state: bool) -> bool:
        """Return the level that means *state*, or the state that a level means: the same exchange."""
        return state == self._options.active_high
