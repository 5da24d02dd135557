"""Expanders and converters in front of the devices that use them: started when first needed, and again.

What they lend belongs to no device alone, so none of them can be the one that starts it.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from drivers.bus import Analog, BusError, Edge, Pins
from drivers.device import DeviceError


class Startable(Protocol):
    """What is identified and configured before its first use, and once more after a fault."""

    async def start(self) -> None: ...


class StartableAnalog(Startable, Analog, Protocol):
    """A converter."""


class StartablePins(Startable, Pins, Protocol):
    """An expander."""


@dataclass
class _Starter:
    what: Startable
    started: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Start, unless that was done and nothing has failed since."""
        async with self._turn:
            if not self.started:
                await self.what.start()
                self.started = True


class LentAnalog:
    """The channels of one converter, for any number of devices."""

    def __init__(self, converter: StartableAnalog) -> None:
        self._converter = converter
        self._starter = _Starter(converter)

    @property
    def full_scale(self) -> float:
        """See drivers.bus.Analog."""
        return self._converter.full_scale

    async def voltage(self, channel: int) -> float:
        """Convert *channel*; see drivers.bus.Analog. Raises also what a start of the converter raises."""
        await self._starter.start()
        try:
            return await self._converter.voltage(channel)
        except (BusError, DeviceError):
            self._starter.started = False
            raise


class LentPins:
    """The lines of one expander, for any number of devices."""

    def __init__(self, expander: StartablePins) -> None:
        self._expander = expander
        self._starter = _Starter(expander)

    async def write(self, line: int, high: bool) -> None:
        """Drive *line*; see drivers.bus.Pins."""
        await self._starter.start()
        try:
            await self._expander.write(line, high)
        except (BusError, DeviceError):
            self._starter.started = False
            raise

    async def read(self, line: int) -> bool:
        """Return the level of *line*; see drivers.bus.Pins."""
        await self._starter.start()
        try:
            return await self._expander.read(line)
        except (BusError, DeviceError):
            self._starter.started = False
            raise

    async def edges(self, line: int) -> AsyncIterator[Edge]:
        """Yield the changes of *line*; see drivers.bus.Pins."""
        await self._starter.start()
        edges = self._expander.edges(line)
        try:
            async for edge in edges:
                yield edge
        except (BusError, DeviceError):
            self._starter.started = False
            raise
