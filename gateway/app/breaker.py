"""What stands between the devices of a bus and a bus that hangs.

A stuck bus costs every device on it its whole deadline, at every attempt. Once all who talk on it have been
timed out, the bus is recovered once; while that does not help, everybody is told so at once.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from drivers.bus import I2C, BusError, BusTimeout
from drivers.device import Clock

log = logging.getLogger("lamppost.bus")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds for which a bus that stays stuck is left alone: doubling from the first to the longest."""


@runtime_checkable
class Recoverable(Protocol):
    """A bus that can be opened anew."""

    async def recover(self) -> None: ...


Tell = Callable[[str, dict[str, Any]], None]
"""Takes the type of an event and its data."""


def _silent(kind: str, data: dict[str, Any]) -> None:
    """Tell nobody."""


@dataclass
class Breaker:
    """An I2C that wraps the bus called *name*; *tell* hears once when it is stuck and once when it is back.

    It does nothing to a bus on which anybody still gets through: there a part is stuck, not the bus.
    """

    name: str
    bus: I2C
    clock: Clock
    tell: Tell = _silent
    recoveries: int = 0
    _late: dict[int, bool] = field(default_factory=dict)
    _recovered: bool = False
    _stuck: bool = False
    _pause: float = FIRST_PAUSE
    _until: float = 0.0

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Carry one transfer; see drivers.bus.I2C. Raises BusTimeout at once while the bus is left alone."""
        if (left := self._until - self.clock.monotonic()) > 0:
            raise BusTimeout(f"bus {self.name} is stuck; it is tried again in {left:.1f} s")
        try:
            answer = await self.bus.transfer(address, write, read)
        except BusTimeout:
            self._late[address] = True
            if all(self._late.values()):
                await self._hangs()
            raise
        except BusError:
            self._lives(address)
            raise
        self._lives(address)
        return answer

    async def _hangs(self) -> None:
        """Recover the bus once; after that, leave it alone for longer and longer."""
        if not self._recovered:
            self._recovered = True
            await self._recover()
            return
        self._until = self.clock.monotonic() + self._pause
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        self._recovered = False
        if not self._stuck:
            self._stuck = True
            log.warning("bus %s is stuck: a line is held, or a part stretches the clock", self.name)
            self.tell("lamppost.bus.stuck", {"bus": self.name})

    async def _recover(self) -> None:
        if isinstance(self.bus, Recoverable):
            self.recoveries += 1
            log.debug("bus %s hangs: it is opened anew", self.name)
            await self.bus.recover()

    def _lives(self, address: int) -> None:
        """An answer, even a NACK, shows that the lines move."""
        self._late[address] = False
        self._recovered, self._pause = False, FIRST_PAUSE
        if self._stuck:
            self._stuck = False
            log.warning("bus %s is back", self.name)
            self.tell("lamppost.bus.back", {"bus": self.name})
