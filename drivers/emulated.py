"""Buses and pins whose targets are Python objects.

The real drivers run on these unchanged, in the demo, in every test and on a developer's desk. A chip has
two faces: the wires (`transfer`, bytes, as strict as the real part) and the world (`set`, physical
quantities in UNITS).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol

from drivers.bus import BusError, Edge, NoAcknowledge
from drivers.device import Clock, DeviceError, Quantity


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


LOGGED = 4096


@dataclass
class EmulatedPins:
    """A header of 54 lines, each an input that the world drives or an output that the driver drives.

    Inputs float high, as with the pull-up that header.py asks for. *log* keeps the events on the wires as
    (line, what, high), what being "level" or "output", so that a test can see the order in which a driver
    sets the level and the direction: the latest LOGGED of them at the least, twice as many at the most.
    *changed* is told of every change of a level.
    """

    clock: Clock
    before: Callable[[], None] = lambda: None
    changed: Callable[[int, bool], None] = lambda line, high: None
    levels: dict[int, bool] = field(default_factory=dict)
    outputs: set[int] = field(default_factory=set)
    log: list[tuple[int, str, bool]] = field(default_factory=list)
    _forgotten: int = 0
    _listeners: dict[int, list["asyncio.Queue[Edge]"]] = field(default_factory=dict)

    async def write(self, line: int, high: bool) -> None:
        """Drive *line*, as the gateway; level first, then direction."""
        self.before()
        self.drive(line, high)

    def drive(self, line: int, high: bool) -> None:
        """Make *line* an output at this level."""
        _in_range(line)
        self._note(line, "level", high)
        if line not in self.outputs:
            self.outputs.add(line)
            self._note(line, "output", high)
        self._change(line, high)

    @property
    def logged(self) -> int:
        """How many events there have been."""
        return self._forgotten + len(self.log)

    def since(self, logged: int) -> list[tuple[int, str, bool]]:
        """Return the events after the first *logged*, as far as they are kept."""
        return self.log[max(0, logged - self._forgotten) :]

    def _note(self, line: int, what: str, high: bool) -> None:
        self.log.append((line, what, high))
        if len(self.log) > 2 * LOGGED:
            del self.log[:-LOGGED]
            self._forgotten += LOGGED + 1

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

    def release(self, line: int | None = None) -> None:
        """Make *line* a floating input again; all of them without one, as when power is lost."""
        for each in sorted(self.outputs) if line is None else sorted(self.outputs & {line}):
            self.outputs.discard(each)
            self._change(each, True)

    def _change(self, line: int, high: bool) -> None:
        if self.levels.get(line, True) == high:
            self.levels[line] = high
            return
        self.levels[line] = high
        self.changed(line, high)
        for queue in self._listeners.get(line, []):
            queue.put_nowait(Edge(high, self.clock.monotonic()))


@dataclass
class EmulatedAnalog:
    """Eight channels of a converter of 16 bits, each at the voltage that `volts` gives it.

    A channel without a voltage is a wire that hangs in the air: it wanders about half a volt, by *seed*.
    Errors queued in *faults* hit the next conversions, in order; *before* runs first at each one.
    """

    clock: Clock
    full_scale: float = 4.096
    conversion: float = 0.0086
    volts: dict[int, float] = field(default_factory=dict)
    faults: deque[BusError | DeviceError] = field(default_factory=deque)
    before: Callable[[], None] = lambda: None
    conversions: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    async def voltage(self, channel: int) -> float:
        """Convert once; see drivers.bus.Analog."""
        self.before()
        self.conversions += 1
        if self.faults:
            raise self.faults.popleft()
        if not 0 <= channel < 8:
            raise BusError(f"there is no channel {channel}: the converter has 0 to 7")
        await self.clock.sleep(self.conversion)
        floating = 0.57 + self._random.uniform(-0.08, 0.08)
        code = round(self.volts.get(channel, floating) / self.full_scale * 32768)
        if not -32768 < code < 32767:
            return self.full_scale if code > 0 else -self.full_scale
        return code * self.full_scale / 32768


def _in_range(line: int) -> None:
    if not 0 <= line < 54:
        raise BusError(f"there is no line {line}: the header has 0 to 53")
