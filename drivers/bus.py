"""What a driver may ask of the wires, and how the wires may fail."""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol


class BusError(OSError):
    """The bus did not carry the transfer. A retry may help."""


class NoAcknowledge(BusError):
    """The target did not acknowledge: absent, busy or unpowered."""


class BusTimeout(BusError):
    """The controller gave up waiting: a line is stuck, or a target stretches the clock for too long."""


class I2C(Protocol):
    """An I2C controller. Drivers hold one; only the gateway opens or closes it."""

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Write, then read after a repeated start; return exactly *read* bytes.

        *address* is 7 bits, 0x08 to 0x77. With both *write* and *read* it is one transaction. Raises
        NoAcknowledge when nobody answers, BusTimeout when the bus is stuck, BusError for the rest.
        """
        ...


class Edge(NamedTuple):
    """A change of level on a line: the level after it, and when, on the monotonic clock [s]."""

    high: bool
    time: float


class Pins(Protocol):
    """Digital lines, numbered as their owner numbers them (GPIO numbers on the header).

    A line becomes an output at its first `write`, which sets the level before the direction, and an
    input at its first `read` or `edges`. Raises BusError when the line cannot be driven or read.
    """

    async def write(self, line: int, high: bool) -> None:
        """Drive *line* high or low."""
        ...

    async def read(self, line: int) -> bool:
        """Return whether *line* is high: the pin's own level, also where it is an output."""
        ...

    def edges(self, line: int) -> AsyncIterator[Edge]:
        """Yield every change of *line* from now on, in order."""
        ...


class Analog(Protocol):
    """The channels of an analog-to-digital converter, numbered as their owner numbers them."""

    @property
    def full_scale(self) -> float:
        """The voltage [V] beyond which a channel clips, in either direction."""
        ...

    async def voltage(self, channel: int) -> float:
        """Convert *channel* once and return its voltage [V], with its sign.

        What clips comes back as plus or minus `full_scale` exactly, which nothing within the range does.
        Raises BusError when there is no such channel or the bus fails, DeviceError when no conversion came.
        """
        ...
