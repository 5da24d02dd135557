"""A voltage on a channel of a converter: a battery behind a divider, a solar panel, a probe without a driver.

The converter is an [[adc]], so that its other channels go on serving other devices. Where the signal is, and
what it must not exceed, is the converter's business: see drivers/board/ads1115.
"""

from dataclasses import dataclass

from drivers.bus import Analog
from drivers.device import Clock, Missing, Quantity, Values

ON = "analog"
ADDRESSES: tuple[int, ...] = ()
"""None: the address of a part on a converter is its channel."""


@dataclass(frozen=True, slots=True)
class Options:
    """*divider*: volts before it for one at the pin; *offset* [V] to add, before the divider.

    Raises ValueError for a divider outside 1 (none) to 1000, or an offset beyond 10 V.
    """

    divider: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.divider <= 1000.0:
            raise ValueError("divider must be 1 (none) to 1000: input volts for one volt at the pin")
        if not -10.0 <= self.offset <= 10.0:
            raise ValueError("offset must be -10 to 10 V")


class Driver:
    """One channel, as volts before the divider."""

    quantities = frozenset({Quantity.VOLTAGE})

    def __init__(self, bus: Analog, address: int, clock: Clock, options: Options = Options()) -> None:
        self._channels = bus
        self._channel = address
        self._options = options

    async def start(self) -> None:
        """Convert once, to see that there is such a channel."""
        await self._channels.voltage(self._channel)

    async def measure(self) -> Values:
        """Convert once; OUT_OF_RANGE where the converter clips. Raises what the converter raises."""
        volts = await self._channels.voltage(self._channel)
        return {Quantity.VOLTAGE: decode(volts, self._channels.full_scale, self._options)}

    async def stop(self) -> None:
        """Nothing: a wire has no switch."""


def decode(volts: float, full_scale: float, options: Options) -> float | Missing:
    """Return the volts before the divider for *volts* at the pin, or why they are not known."""
    if abs(volts) >= full_scale:
        return Missing.OUT_OF_RANGE
    return volts * options.divider + options.offset
