"""Faults as data: what goes wrong with emulated wires, parts and lines, all of it from one seed.

A `Faults` stands between drivers and an emulated bus or header. The same seed and plan give the same faults
at the same transfers, so that whatever a fault brings to light can be brought to light again.
"""

from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from random import Random
from typing import NamedTuple

from drivers.bus import BusError, BusTimeout, Edge, NoAcknowledge
from drivers.device import Clock
from drivers.emulated import EmulatedI2C, EmulatedPins, Span


class Fault(StrEnum):
    """What can go wrong. The first seven befall one transfer, the last three one edge."""

    ADDRESS_NACK = "address-nack"  # the target does not answer
    DATA_NACK = "data-nack"  # it takes a part of what is written, and then no more
    STUCK = "stuck-line"  # SDA or SCL is held low: nobody on the bus is heard
    SHORT_READ = "short-read"  # the target has said something, and only a part of it arrived
    FLIPPED_BIT = "flipped-bit"  # one bit of the answer is wrong, as a checksum should show
    HANG = "hang"  # the transfer does not end until the controller gives up
    BROWN_OUT = "brown-out"  # the target forgets what it forgets without power
    UNPLUGGED = "unplugged"  # no target, and afterwards one that has just got power
    STRANGER = "another-part"  # something else answers
    FROZEN = "stuck-value"  # the part goes on to show what it saw when the spell began
    DRIFT = "drift"  # it shows more and more
    EDGE_LOST = "edge-lost"
    EDGE_LATE = "edge-late"  # its time is right, but it is told later
    BOUNCE = "bounce"


LASTING = (Fault.STUCK, Fault.HANG, Fault.UNPLUGGED, Fault.STRANGER, Fault.FROZEN, Fault.DRIFT)
"""The faults that a spell can be made of; the bus as a whole can only be stuck."""

GIVE_UP = 2.0
"""Seconds after which a controller gives up a transfer that hangs."""

LATE, BOUNCES = 0.3, (0.0004, 0.0011)
"""Seconds that an edge may be told late, and between an edge and the two of a bounce."""

CREEP = 0.02
"""Share of its span by which a part that drifts is off more after each second."""


class Spell(NamedTuple):
    """A fault from one time to another [s since the faults began], of one address or (None) of the bus."""

    fault: Fault
    address: int | None = None
    begins: float = 0.0
    ends: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """*chances*: how likely each fault is at a transfer, or at an edge. *spells*: those that last.

    More spells come from the seed: in each *block* of so many seconds an address, and the bus itself, has one
    with a chance of *share*, of one of *kinds*. Raises ValueError for chances that are none.
    """

    chances: Mapping[Fault, float] = field(default_factory=dict)
    spells: tuple[Spell, ...] = ()
    block: float = 30.0
    share: float = 0.0
    kinds: tuple[Fault, ...] = (Fault.HANG, Fault.UNPLUGGED, Fault.STRANGER)

    def __post_init__(self) -> None:
        if not all(0 <= chance <= 1 for chance in (*self.chances.values(), self.share)) or self.block <= 0:
            raise ValueError("a chance is 0 to 1, and a block lasts longer than nothing")
        if wrong := {*self.kinds, *(spell.fault for spell in self.spells)} - {*LASTING}:
            raise ValueError(f"these faults do not last: {', '.join(sorted(wrong))}")


ROUGH = Plan(
    {
        Fault.ADDRESS_NACK: 0.004,
        Fault.DATA_NACK: 0.002,
        Fault.SHORT_READ: 0.002,
        Fault.HANG: 0.0005,
        Fault.BROWN_OUT: 0.001,
        Fault.EDGE_LATE: 0.05,
        Fault.BOUNCE: 0.2,
    },
    share=0.15,
)
"""A bad day: a few transfers in a thousand fail, and now and then a part is gone for some seconds."""


@dataclass
class Faults:
    """The faults of one world, by *seed* and *plan*; `counts` says what has happened.

    The plan may be changed at any time; `Plan()` is peace. All its chances are multiplied by *rate*.
    """

    seed: int
    plan: Plan
    clock: Clock
    rate: float = 1.0
    counts: Counter[Fault] = field(default_factory=Counter)
    _next: deque[Fault] = field(default_factory=deque)
    _held: dict[tuple[int, str], float] = field(default_factory=dict)
    _drawn: dict[tuple[int | None, int], Spell | None] = field(default_factory=dict)
    _began: float | None = None

    def __post_init__(self) -> None:
        self._random = Random(f"faults {self.seed}")

    def __str__(self) -> str:
        befell = ", ".join(f"{count} {fault}" for fault, count in sorted(self.counts.items()))
        return f"faults by seed {self.seed}: {befell or 'none yet'}"

    def bus(self, wires: EmulatedI2C) -> "FaultyI2C":
        """Return *wires* with these faults on them."""
        return FaultyI2C(wires, self)

    def pins(self, pins: EmulatedPins) -> "FaultyPins":
        """Return *pins* with these faults on their edges."""
        return FaultyPins(pins, self)

    def inject(self, *faults: Fault) -> None:
        """Let the next transfers have *faults*, one each."""
        self._next.extend(faults)

    def seen(self, address: int, quantity: str, value: float, span: Span) -> float:
        """Return what a part at *address* sees of *value*: the same, unless it is frozen or drifts."""
        key = (address, quantity)
        for spell in self._spells(address):
            if spell.fault is Fault.FROZEN:
                return self._held.setdefault(key, value)
            if spell.fault is Fault.DRIFT:
                moved = value + (self.time() - spell.begins) * CREEP * (span.high - span.low)
                return min(span.high, moved)
        self._held.pop(key, None)
        return value

    def time(self) -> float:
        """Return the seconds since the faults began, which is at the first look at them."""
        now = self.clock.monotonic()
        if self._began is None:
            self._began = now
        return now - self._began

    def lasting(self, address: int) -> Fault | None:
        """Return the fault that *address*, or the whole bus, has now because of a spell."""
        for spell in chain(self._spells(None), self._spells(address)):
            if spell.fault not in (Fault.FROZEN, Fault.DRIFT):
                self.counts[spell.fault] += 1
                return spell.fault
        return None

    def drawn(self, faults: tuple[Fault, ...]) -> Fault | None:
        """Return which of *faults* befalls this transfer or edge, if any."""
        if self._next and self._next[0] in faults:
            fault = self._next.popleft()
            self.counts[fault] += 1
            return fault
        drawn = self._random.random()
        for fault in faults:
            drawn -= self.plan.chances.get(fault, 0.0) * self.rate
            if drawn < 0:
                self.counts[fault] += 1
                return fault
        return None

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to below *limit*."""
        return self._random.randrange(limit)

    def share(self) -> float:
        """Return a number from 0 to below 1."""
        return self._random.random()

    def _spells(self, address: int | None) -> list[Spell]:
        now = self.time()
        spells = [each for each in self.plan.spells if each.address == address]
        if self.plan.share and (drawn := self._of_block(int(now // self.plan.block), address)):
            spells.append(drawn)
        return [each for each in spells if each.begins <= now < each.ends]

    def _of_block(self, block: int, address: int | None) -> Spell | None:
        """Return the drawn spell of *address* in *block*, and remember it for the next transfer."""
        key = (address, block)
        if key not in self._drawn:
            self._drawn = {each: spell for each, spell in self._drawn.items() if each[1] == block}
            self._drawn[key] = drawn_spell(self.seed, self.plan, block, address)
        return self._drawn[key]


def drawn_spell(seed: int, plan: Plan, block: int, address: int | None) -> Spell | None:
    """Return the spell that *seed* gives to *address*, or to the bus, in the block of that number."""
    random = Random(f"spell {seed} {block} {address}")
    kinds = plan.kinds if address is not None else tuple({*plan.kinds} & {Fault.STUCK})
    if not kinds or random.random() >= plan.share:
        return None
    begins = random.uniform(0.0, 0.6) * plan.block
    length = random.uniform(0.1, 0.4) * plan.block
    start = block * plan.block + begins
    return Spell(random.choice(kinds), address, start, start + length)


_OF_WRITES = (Fault.ADDRESS_NACK, Fault.DATA_NACK, Fault.STUCK, Fault.HANG, Fault.BROWN_OUT)
_OF_READS = (*_OF_WRITES, Fault.SHORT_READ, Fault.FLIPPED_BIT)
_OF_EDGES = (Fault.EDGE_LOST, Fault.EDGE_LATE, Fault.BOUNCE)


@dataclass
class FaultyI2C:
    """An I2C that wraps emulated wires; see drivers.bus.I2C."""

    wires: EmulatedI2C
    faults: Faults
    _away: set[int] = field(default_factory=set)

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Carry one transfer, or let it meet what is due."""
        match self.faults.lasting(address):
            case Fault.STUCK:
                raise BusTimeout("SDA is held low")
            case Fault.HANG:
                raise NoAcknowledge(f"the target at {address:#04x} hangs")
            case Fault.UNPLUGGED:
                self._away.add(address)
                raise NoAcknowledge(f"no target answers at {address:#04x}")
            case Fault.STRANGER:
                self._away.add(address)
                return bytes([0xFF * (self.faults.seed & 1)]) * read
        if address in self._away and address in self.wires.chips:
            self._away.discard(address)
            self.wires.chips[address].power_cycle()
        return await self._befallen(address, write, read)

    async def _befallen(self, address: int, write: bytes, read: int) -> bytes:
        match self.faults.drawn(_OF_READS if read else _OF_WRITES):
            case Fault.ADDRESS_NACK:
                raise NoAcknowledge(f"no target answers at {address:#04x}")
            case Fault.DATA_NACK:
                await self._half(address, write)
                raise NoAcknowledge(f"the target at {address:#04x} took no more")
            case Fault.STUCK:
                raise BusTimeout("SDA is held low")
            case Fault.HANG:
                await self.faults.clock.sleep(GIVE_UP)
                raise BusTimeout(f"a transfer to {address:#04x} did not end")
            case Fault.SHORT_READ:
                await self.wires.transfer(address, write, read)
                raise BusError(f"{self.faults.below(read)} of {read} bytes arrived")
            case Fault.FLIPPED_BIT:
                answer = bytearray(await self.wires.transfer(address, write, read))
                answer[self.faults.below(read)] ^= 1 << self.faults.below(8)
                return bytes(answer)
            case Fault.BROWN_OUT if address in self.wires.chips:
                self.wires.chips[address].power_cycle()
        return await self.wires.transfer(address, write, read)

    async def _half(self, address: int, write: bytes) -> None:
        """Let the target have the first bytes of *write*, as it has where it refuses a later one."""
        if len(write) > 1:
            with suppress(BusError):
                await self.wires.transfer(address, write[: 1 + self.faults.below(len(write) - 1)])


@dataclass
class FaultyPins:
    """Lines whose edges may be lost, told late, or come with others; see drivers.bus.Pins."""

    lines: EmulatedPins
    faults: Faults

    async def write(self, line: int, high: bool) -> None:
        """Drive *line*."""
        await self.lines.write(line, high)

    async def read(self, line: int) -> bool:
        """Return the level of *line*."""
        return await self.lines.read(line)

    async def edges(self, line: int) -> AsyncIterator[Edge]:
        """Yield what is heard of the changes of *line*."""
        edges = self.lines.edges(line)
        try:
            async for edge in edges:
                for heard in await self._heard(edge):
                    yield heard
        finally:
            if isinstance(edges, AsyncGenerator):
                await edges.aclose()

    async def _heard(self, edge: Edge) -> tuple[Edge, ...]:
        match self.faults.drawn(_OF_EDGES):
            case Fault.EDGE_LOST:
                return ()
            case Fault.EDGE_LATE:
                await self.faults.clock.sleep(LATE * self.faults.share())
            case Fault.BOUNCE:
                first, second = BOUNCES
                await self.faults.clock.sleep(second)
                back = Edge(not edge.high, edge.time + first)
                return edge, back, Edge(edge.high, edge.time + second)
        return (edge,)
