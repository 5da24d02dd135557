"""Microchip MCP23017: sixteen lines more, over I2C. What is on them is driven as if it were on the header.

Datasheet: "MCP23017/MCP23S17", Microchip, DS20001952C (2016), and for lines 7 and 15 its revision D (2022).
It measures nothing: `Lines` is the Pins that other drivers use.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from drivers.bus import I2C, BusError, Edge, Pins
from drivers.device import Clock, DeviceError, WrongDevice

ON = "wrapper"
TAKES = ("interrupt",)
ADDRESSES: tuple[int, ...] = tuple(range(0x20, 0x28))
"""A2, A1 and A0 to ground or supply (3.3.1)."""

LINES = range(16)
"""0 to 7 are GPA0 to GPA7, 8 to 15 are GPB0 to GPB7."""

OUTPUT_ONLY = (7, 15)
"""An input there may spoil the bus itself when it changes while the part is read (revision D, table 1-1)."""

_DIRECTION, _POLARITY, _CONTROL, _FLAGS, _CAPTURED, _PORT, _LATCH = 0, 2, 10, 14, 16, 18, 20
_REGISTERS = 22  # pairs of them, A before B (table 3-5, IOCON.BANK = 0); then the pointer wraps
_CONTROL_OF_BANK_1 = 0x05  # the same register, where a part in its other numbering has it
_MIRROR, _OPEN_DRAIN = 0x40, 0x04  # IOCON: one interrupt for both ports, wired as one likes
_OURS = _MIRROR | _OPEN_DRAIN  # set even where no interrupt is wired: after a reset they are clear
_SAFETY = 1.0  # s between looks at the port where interrupts should tell, in case one is lost


@dataclass(frozen=True, slots=True)
class Options:
    """How changes are found: by *interrupt*, a line of the header, else by looking *every* so many seconds.

    *pull_ups*: 100 kOhm to the supply at each input. Raises ValueError for an impossible line or time.
    """

    interrupt: int | None = None
    every: float = 0.02
    pull_ups: bool = True

    def __post_init__(self) -> None:
        if self.interrupt is not None and not 0 <= self.interrupt <= 53:
            raise ValueError("interrupt must be a line of the header, 0 to 53")
        if not 0.005 <= self.every <= 60.0:
            raise ValueError("every must be 0.005 to 60 s: each look takes 2.4 ms of a bus of 100 kHz")


class Lines:
    """The lines of one part, for any number of drivers: see drivers.bus.Pins.

    Each use looks first whether the part still has its configuration. One that was reset has let go of all
    its outputs: it gets their levels back, and only then their direction. *resets* counts that. *header* is
    where the interrupt is wired. Raises ValueError for an interrupt without a header.
    """

    def __init__(
        self, bus: I2C, address: int, clock: Clock, options: Options = Options(), header: Pins | None = None
    ) -> None:
        if options.interrupt is not None and header is None:
            raise ValueError(f"interrupt is line {options.interrupt} of a header, and there is none")
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        self._header = None if options.interrupt is None else header
        self._turn = asyncio.Lock()
        self._outputs: dict[int, bool] = {}
        self._levels: dict[int, bool] = {}  # of the lines that are watched, as last told
        self._listeners: dict[int, list[asyncio.Queue[Edge | Exception]]] = {}
        self._watcher: asyncio.Task[None] | None = None
        self.resets = 0

    async def start(self) -> None:
        """Configure the part: every line that was not written to is an input. Safe to repeat."""
        async with self._turn:
            await self._configure()
            if not self._holds(await self._registers()):
                raise WrongDevice(f"at {self._address:#04x} nothing keeps the configuration of an MCP23017")

    async def write(self, line: int, high: bool) -> None:
        """Drive *line*: its level is set before its direction, and both are read back.

        A level that could not be set is not set later either: the line keeps the one that it had.
        """
        _check(line)
        async with self._turn:
            before = self._outputs.copy(), self._levels.copy()
            self._outputs[line] = high
            self._levels.pop(line, None)
            try:
                await self._write(_LATCH, self._latches())
                if line not in before[0]:
                    await self._write(_POLARITY, self._settings())
                    await self._write(_DIRECTION, self._directions())
                await self._look()
            except BaseException:
                self._outputs, self._levels = before
                raise

    async def read(self, line: int) -> bool:
        """Return the level at the pin of *line*, also where it is an output."""
        _check(line)
        async with self._turn:
            return decode(await self._look())[line]

    async def edges(self, line: int) -> AsyncIterator[Edge]:
        """Yield every change of *line* from the first `anext` on. Raises BusError for an output.

        With an interrupt no change is lost that lasts as long as a look takes, and its time is the
        interrupt's. Without, a pulse shorter than `every` may be lost, and a change is told late by as much.
        """
        _check(line)
        if line in self._outputs:
            raise BusError(f"line {line} is an output: nothing outside changes it")
        queue: asyncio.Queue[Edge | Exception] = asyncio.Queue()
        await self._watch(line)
        listeners = self._listeners.setdefault(line, [])
        listeners.append(queue)
        try:
            while True:
                found = await queue.get()
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            listeners.remove(queue)
            if not any(self._listeners.values()):
                self._end_watch()

    async def stop(self) -> None:
        """Let go of every line."""
        self._end_watch()
        async with self._turn:
            self._outputs.clear()
            await self._write(_DIRECTION, self._directions())

    async def _watch(self, line: int) -> None:
        """Begin to follow *line*, from its level now on; one task follows all that are watched."""
        async with self._turn:
            levels = decode(await self._look())
            if line not in self._levels:
                self._levels[line] = levels[line]
                await self._configure()
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._follow(), name=f"lines of {self._address:#04x}")

    def _end_watch(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def _follow(self) -> None:
        """Look whenever there may be something new, until a look fails: then all who listen are told."""
        try:
            async with asyncio.TaskGroup() as group:
                if self._header is not None and self._options.interrupt is not None:
                    group.create_task(self._on_interrupt(self._header, self._options.interrupt))
                group.create_task(self._at_intervals())
        except* (BusError, DeviceError) as errors:
            self._watcher = None
            for queue in (each for listeners in self._listeners.values() for each in listeners):
                queue.put_nowait(_first(errors))

    async def _at_intervals(self) -> None:
        while True:
            await self._clock.sleep(self._options.every if self._header is None else _SAFETY)
            async with self._turn:
                await self._look()

    async def _on_interrupt(self, header: Pins, line: int) -> None:
        async for edge in header.edges(line):
            if not edge.high:
                async with self._turn:
                    await self._look(edge.time)

    async def _look(self, since: float | None = None) -> bytes:
        """Return both ports, after making sure that the part is configured; tell what has changed."""
        raw = await self._registers()
        if not self._holds(raw):
            await self._configure()
            raw = await self._registers()
            if not self._holds(raw):
                raise DeviceError(f"the part at {self._address:#04x} does not keep its configuration")
            self.resets += 1
        self._spread(raw, since)
        return raw[_PORT:_LATCH]

    def _spread(self, raw: bytes, since: float | None) -> None:
        """Tell the listeners of a line what became of it: what the interrupt caught, then what it is now."""
        flags, captured, now = (decode(raw[at : at + 2]) for at in (_FLAGS, _CAPTURED, _PORT))
        seen = self._clock.monotonic()
        for line in self._levels:
            if flags[line]:
                self._change(line, captured[line], seen if since is None else since)
            self._change(line, now[line], seen if since is None or flags[line] else since)

    def _change(self, line: int, high: bool, time: float) -> None:
        if high != self._levels[line]:
            self._levels[line] = high
            for queue in self._listeners.get(line, ()):
                queue.put_nowait(Edge(high, time))

    async def _configure(self) -> None:
        """Write everything: the levels of the outputs first of all, their direction last of all."""
        await self._bus.transfer(self._address, bytes([_CONTROL_OF_BANK_1, 0]))
        await self._bus.transfer(self._address, bytes([_CONTROL, _OURS]))
        await self._write(_LATCH, self._latches())
        await self._write(_POLARITY, self._settings())
        await self._write(_DIRECTION, self._directions())

    def _holds(self, raw: bytes) -> bool:
        """Return whether all that was written is still there."""
        return (raw[:_FLAGS], raw[_LATCH:]) == (self._directions() + self._settings(), self._latches())

    def _directions(self) -> bytes:
        return _pair(line for line in LINES if line not in self._outputs)

    def _latches(self) -> bytes:
        return _pair(line for line, high in self._outputs.items() if high)

    def _settings(self) -> bytes:
        """Return the pairs from polarity to pull-ups; a change of a watched line interrupts."""
        interrupts = _pair(self._levels if self._header is not None else ())
        pull_ups = self._directions() if self._options.pull_ups else bytes(2)
        return bytes(2) + interrupts + bytes(4) + bytes([_OURS, _OURS]) + pull_ups

    async def _registers(self) -> bytes:
        return await self._bus.transfer(self._address, b"\x00", _REGISTERS)

    async def _write(self, register: int, values: bytes) -> None:
        await self._bus.transfer(self._address, bytes([register]) + values)


Driver = Lines
"""An expander has no other face: `drivers.load` finds the lines here."""


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what shows that an MCP23017 is at *address*, or None. Only reads.

    It has no identity, but its 22 registers come again when one reads on, and two of them are the same one.
    """
    try:
        raw = await bus.transfer(address, b"\x00", 2 * _REGISTERS)
    except BusError:
        return None
    first, again = raw[:_REGISTERS], raw[_REGISTERS:]
    fixed = (first[:_FLAGS], first[_LATCH:]) == (again[:_FLAGS], again[_LATCH:])
    control, same = first[_CONTROL : _CONTROL + 2]
    if not fixed or control != same or control & 0x81 or len(set(first)) == 1:
        return None
    return f"22 registers that repeat, control {control:#04x}"


def decode(raw: bytes) -> tuple[bool, ...]:
    """Turn the two bytes of a pair of registers into the sixteen lines, GPA0 first."""
    both = int.from_bytes(raw, "little")
    return tuple(bool(both >> line & 1) for line in LINES)


def _pair(lines: Iterable[int]) -> bytes:
    """Return the pair of registers in which the bits of *lines* are set."""
    return sum(1 << line for line in lines).to_bytes(2, "little")


def _check(line: int) -> None:
    if line not in LINES:
        raise BusError(f"there is no line {line}: an MCP23017 has 0 to {max(LINES)}")


def _first(errors: BaseExceptionGroup[BusError | DeviceError]) -> Exception:
    """Return one of the errors that ended the watch."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
