"""What a case of the hardware tests has in hand: the devices, opened by the drivers' own classes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from drivers.header import HeaderPins
from drivers.linux import LinuxI2C
from tests.hardware.board import CUE, CUE_LENGTH


class Clock:
    """The loop's time, *ahead* seconds of it: what a part has long behind it need not be waited for."""

    ahead = 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Wires:
    """A bus and a header by their devices, and the board's ear.

    *busses* and *chips* are the paths. A case that wants devices of its own opens them by path.
    """

    path: str
    chip: str
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.bus = LinuxI2C(self.path)
        self.pins = HeaderPins(self.chip)
        self._ear = LinuxI2C(self.path, timeout=10.0)

    async def cue(self, what: str, *arguments: Any) -> Any:
        """Have the board do or tell something; see tests.hardware.board."""
        answer = await self._ear.transfer(CUE, json.dumps([what, arguments]).encode(), CUE_LENGTH)
        return json.loads(answer)

    async def close(self) -> None:
        await self.bus.close()
        await self._ear.close()
        await self.pins.close()


@asynccontextmanager
async def wires(path: str, chip: str) -> AsyncIterator[Wires]:
    """Open the devices, and close them."""
    opened = Wires(path, chip)
    try:
        yield opened
    finally:
        await opened.close()
