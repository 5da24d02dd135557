"""What the tests of the parts for air share: a part on a bus of its own, and the worked examples."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.bus import NoAcknowledge
from drivers.device import Clock, Missing, Quantity, Values
from drivers.emulated import EmulatedI2C
from tests.conftest import VirtualClock

_VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "drivers.json").read_text()
)["vectors"]


def vectors(part: str, kind: str) -> list[dict[str, Any]]:
    """Return the examples of *part*, which are never none: a renamed part must not pass by having no test."""
    found = [each for each in _VECTORS if each["part"] == part and each["kind"] == kind]
    assert found, f"no example of the kind {kind} for {part}"
    return found


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


@dataclass
class Bench:
    """One chip on a bus of its own, and its driver."""

    clock: VirtualClock
    chip: Any
    address: int
    driver: Any = None
    bus: EmulatedI2C = field(init=False)

    def __post_init__(self) -> None:
        self.bus = EmulatedI2C({self.address: self.chip})
        self.clock.now += 10.0  # the part has had power for a while

    def start(self) -> None:
        run(self.driver.start())

    def stop(self) -> None:
        run(self.driver.stop())

    def measure(self, after: float = 0.0) -> Values:
        self.clock.now += after
        values: Values = run(self.driver.measure())
        assert set(values) == self.driver.quantities
        return values

    def measures(self, count: int) -> Values:
        """Measure *count* times without a pause, and return the last."""

        async def main() -> Values:
            for _ in range(count):
                values: Values = await self.driver.measure()
            return values

        found: Values = run(main())
        return found

    def missing(self, after: float = 0.0) -> dict[Quantity, Missing]:
        return {q: v for q, v in self.measure(after).items() if isinstance(v, Missing)}

    def probe(self, probe: Callable[..., Coroutine[Any, Any, str | None]]) -> str | None:
        found: str | None = run(probe(self.bus, self.address, self.clock))
        return found


@dataclass
class Answers:
    """A bus with one target that answers to commands of 16 bits.

    Where it has several answers to a command it gives one after the other, then the last for ever. What it
    has no answer for reads as ones. *log* keeps what was written.
    """

    responses: dict[str, list[str]]
    log: list[bytes] = field(default_factory=list)
    _answer: bytes | None = None
    _turns: dict[str, int] = field(default_factory=dict)

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        if write:
            self.log.append(write)
            key = write[:2].hex()
            answers = self.responses.get(key, [""])
            turn = self._turns.get(key, 0)
            self._turns[key] = turn + 1
            self._answer = bytes.fromhex(answers[min(turn, len(answers) - 1)])
        if read and self._answer is None:
            raise NoAcknowledge("no command was given")
        return (self._answer or b"").ljust(read, b"\xff")[:read]


@dataclass
class Constant:
    """A bus whose data line is stuck: every byte is the same."""

    byte: int

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        return bytes([self.byte]) * read


def measured(driver: Any, clock: Clock) -> Values:
    """Start *driver*, let a minute pass, and measure."""

    async def main() -> Values:
        await driver.start()
        await clock.sleep(60.0)
        values: Values = await driver.measure()
        return values

    found: Values = run(main())
    return found


def probed(probe: Callable[..., Coroutine[Any, Any, str | None]], bus: Any, address: int) -> str | None:
    """Probe *address* of *bus*."""
    found: str | None = run(probe(bus, address, VirtualClock()))
    return found


@dataclass
class Memory:
    """A bus with one target: plain memory behind a pointer of one byte. *log* keeps what was written."""

    memory: dict[int, int]
    log: list[bytes] = field(default_factory=list)

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        self.log.append(write)
        for offset, byte in enumerate(write[1:]):
            self.memory[write[0] + offset] = byte
        return bytes(self.memory.get(write[0] + offset, 0) for offset in range(read))
