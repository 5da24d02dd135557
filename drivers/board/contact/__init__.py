"""A contact between a line and ground: a reed at a lid, a float switch, a limit switch, a push button.

No datasheet: two contacts and a wire. With the pull-up of the header, an open contact reads high.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Literal

from drivers.bus import Pins
from drivers.device import Clock, Missing, Quantity, Values

ADDRESSES: tuple[int, ...] = ()
"""None: the address of a pin driver is its line."""

LOOKS = 6  # looks at the line in one measurement before it counts as unreliable


@dataclass(frozen=True, slots=True)
class Options:
    """What a made contact means, whether it pulls the line low, and for how long it bounces [s].

    Raises ValueError for a debounce outside 0 to 1 s.
    """

    quantity: Literal["closed", "wet", "active"] = "closed"
    active_low: bool = True
    debounce: float = 0.03

    def __post_init__(self) -> None:
        if not 0 <= self.debounce <= 1:
            raise ValueError("debounce must be 0 to 1 s")


class Driver:
    """A contact that can be asked, and that tells when it moved."""

    def __init__(self, bus: Pins, address: int, clock: Clock, options: Options = Options()) -> None:
        self._pins = bus
        self._line = address
        self._clock = clock
        self._options = options
        self._quantity = Quantity(options.quantity)
        self.quantities = frozenset({self._quantity})

    async def start(self) -> None:
        """Make the line an input. Raises BusError when there is none."""
        await self._pins.read(self._line)

    async def measure(self) -> Values:
        """Return 1 (made) or 0 once the line has kept its level for the debounce time.

        UNRELIABLE when it does not come to rest within six looks.
        """
        high = await self._pins.read(self._line)
        for _ in range(LOOKS - 1):
            await self._clock.sleep(self._options.debounce)
            before, high = high, await self._pins.read(self._line)
            if high == before:
                return {self._quantity: decode(high, self._options.active_low)}
        return {self._quantity: Missing.UNRELIABLE}

    async def changes(self) -> AsyncIterator[None]:
        """Yield at an edge, and not again for edges within the debounce time after it.

        None is lost by that: the measurement that follows looks twice, a debounce time apart, so that its
        second look is later than every edge that was passed over.
        """
        edges = self._pins.edges(self._line)
        told = float("-inf")
        try:
            async for edge in edges:
                if edge.time - told >= self._options.debounce:
                    told = edge.time
                    yield
        finally:
            if isinstance(edges, AsyncGenerator):
                await edges.aclose()

    async def stop(self) -> None:
        """Nothing: an input is inert."""


def decode(high: bool, active_low: bool) -> float:
    """Return 1 for the level that a made contact gives, else 0."""
    return float(high != active_low)
