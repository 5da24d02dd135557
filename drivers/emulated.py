"""Buses and pins whose targets are Python objects.

The real drivers run on these unchanged, in the demo, in every test and on a developer's desk. A chip has
two faces: the wires (`transfer`, bytes, as strict as the real part) and the world (`set`, physical
quantities in UNITS).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from drivers.bus import BusError, Edge, NoAcknowledge
from drivers.device import Clock, Quantity


class Span(NamedTuple):
    """What a chip can report for one quantity, and the size of one count, in the quantity's unit."""

    low: float
    high: float
    step: float


class Chip(Protocol):
    """An emulated target: one face for the wires, one for the world."""

    @property
    def spans(self) -> Mapping[Quantity, Span]: ...

    def transfer(self, write: bytes, read: int) -> bytes:
        """What the part does on the wires. Raises NoAcknowledge where the real part would not answer."""
        ...

    def set(self, quantity: Quantity, value: float) -> None:
        """What the world does to the part."""
        ...

    def power_cycle(self) -> None:
        """Lose everything that the part loses without power; the world stays as it is."""
        ...


@dataclass
class EmulatedI2C:
    """An I2C bus made of chips.

    *chips* maps addresses to targets and may change at any time: removing one is pulling its plug. Errors
    queued in *faults* hit the next transfers, in order. *before* runs first at every transfer, so that a
    world can bring itself up to now.
    """

    chips: MutableMapping[int, Chip]
    faults: deque[BusError] = field(default_factory=deque)
    before: Callable[[], None] = lambda: None
    transfers: int = 0

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Carry one transfer to the chip at *address*; see drivers.bus.I2C."""
        self.before()
        self.transfers += 1
        if self.faults:
            raise self.faults.popleft()
        if address not in self.chips:
            raise NoAcknowledge(f"no target answers at {address:#04x}")
        answer = self.chips[address].transfer(bytes(write), read)
        if len(answer) != read:
            raise BusError(f"target {address:#04x} gave {len(answer)} of {read} bytes")
        return answer


@dataclass
class EmulatedPins:
    """A header of 54 lines, each an input that the world drives or an output that the driver drives.

    Inputs float high, as with the pull-up that header.py asks for. *log* keeps every event on the wires as
    (line, what, high), what being "level" or "output", so that a test can see the order in which a driver
    sets the level and the direction.
    """

    clock: Clock
    before: Callable[[], None] = lambda: None
    levels: dict[int, bool] = field(default_factory=dict)
    outputs: set[int] = field(default_factory=set)
    log: list[tuple[int, str, bool]] = field(default_factory=list)
    _listeners: dict[int, list["asyncio.Queue[Edge]"]] = field(default_factory=dict)

    async def write(self, line: int, high: bool) -> None:
        """Drive *line*, as the gateway; level first, then direction."""
        self.before()
        _in_range(line)
        self.log.append((line, "level", high))
        if line not in self.outputs:
            self.outputs.add(line)
            self.log.append((line, "output", high))
        self._change(line, high)

    async def read(self, line: int) -> bool:
        """Return the level of *line*."""
        self.before()
        _in_range(line)
        return self.levels.get(line, True)

    async def edges(self, line: int) -> AsyncIterator[Edge]:
        """Yield every change of *line* from the first `anext` on."""
        _in_range(line)
        queue: asyncio.Queue[Edge] = asyncio.Queue()
        listeners = self._listeners.setdefault(line, [])
        listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            listeners.remove(queue)

    def set(self, line: int, high: bool) -> None:
        """Drive *line* from outside, as the world. An output keeps the level that the gateway gave it."""
        _in_range(line)
        if line not in self.outputs:
            self._change(line, high)

    def release(self) -> None:
        """Lose power: every output becomes a floating input again."""
        for line in sorted(self.outputs):
            self.outputs.discard(line)
            self._change(line, True)

    def _change(self, line: int, high: bool) -> None:
        if self.levels.get(line, True) == high:
            self.levels[line] = high
            return
        self.levels[line] = high
        for queue in self._listeners.get(line, []):
            queue.put_nowait(Edge(high, self.clock.monotonic()))


def _in_range(line: int) -> None:
    if not 0 <= line < 54:
        raise BusError(f"there is no line {line}: the header has 0 to 53")
