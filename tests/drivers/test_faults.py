"""Faults: that they happen as their seed says; and a long bad day for every driver on an I2C bus.

The soak runs each driver under the daemon's own sampler, in virtual time, on wires and parts that fail. A
fault may cost a reading, or give a quantity that is missing. What it may never give is a wrong number.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from random import Random
from typing import Any

import pytest

import drivers
from drivers.board import contact
from drivers.board.contact.chip import Emulated as Reed
from drivers.board.mcp23017 import Lines
from drivers.board.mcp23017 import chip as expander
from drivers.board.tca9548a import Channel
from drivers.board.tca9548a import chip as mux
from drivers.bus import BusError, BusTimeout, Edge, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, Values
from drivers.emulated import Chip, EmulatedI2C, EmulatedPins, Span
from drivers.faults import GIVE_UP, LASTING, ROUGH, Fault, Faults, Plan, Spell, drawn_spell
from gateway.clock import LoopClock, Now
from gateway.reading import Event, Reading
from gateway.sampler import Device, Sampler, State
from tests.conftest import VirtualClock
from tests.drivers.test_samples import samples
from tests.drivers.test_sweep import BLIND, PARTS

Q = Quantity
CHECKED = {"mlx90614", "pmsa003i", "scd41", "sen55", "sen66", "sgp41", "sht4x", "sps30"}
"""Parts whose answers have a checksum. In those of the others nothing shows a bit that flipped on its way."""

WEIGHTS = {
    Fault.ADDRESS_NACK: 4,
    Fault.DATA_NACK: 4,
    Fault.STUCK: 2,
    Fault.SHORT_READ: 4,
    Fault.HANG: 1,
    Fault.BROWN_OUT: 3,
    Fault.FLIPPED_BIT: 6,
}
"""How often each fault of a transfer comes, against the others."""

QUICK = {"mlx90640": 60}
"""Measurements of the quick run where an emulated part takes long to compute: 768 pixels each."""

OF_STARTS, OF_MEASURES = 0.6, 0.25
"""Faults in one start and in one measurement, on the average, however many transfers they have."""


def plan_for(name: str, interval: float) -> Plan:
    """Return a bad day with every fault that the wires can show: a spell comes to one block in four."""
    hidden = {Fault.FLIPPED_BIT} - ({Fault.FLIPPED_BIT} if name in CHECKED else set())
    hidden |= {Fault.BROWN_OUT} if name in BLIND else set()
    weights = {fault: weight for fault, weight in WEIGHTS.items() if fault not in hidden}
    chances = {fault: weight / sum(weights.values()) for fault, weight in weights.items()}
    kinds = (Fault.STUCK, Fault.HANG, Fault.UNPLUGGED, Fault.STRANGER)
    return Plan(chances, block=25 * interval, share=0.25, kinds=kinds)


@dataclass
class Counted:
    """A driver whose transfers are as dangerous as makes so many faults in a start and in a measurement."""

    driver: Any
    wires: EmulatedI2C
    faults: Faults
    starts: float = 1.0
    measures: float = 1.0

    @property
    def quantities(self) -> frozenset[Quantity]:
        found: frozenset[Quantity] = self.driver.quantities
        return found

    async def start(self) -> None:
        before, self.faults.rate = self.wires.transfers, OF_STARTS / self.starts
        await self.driver.start()
        self.starts = max(1, self.wires.transfers - before)

    async def measure(self) -> Values:
        before, self.faults.rate = self.wires.transfers, OF_MEASURES / self.measures
        values: Values = await self.driver.measure()
        self.measures = max(1, self.wires.transfers - before)
        return values

    async def stop(self) -> None:
        await self.driver.stop()


@dataclass
class Soak:
    """One driver on one chip under one sampler, and a world that moves every so often."""

    name: str
    seed: int
    muxed: bool = False
    worlds: int = 0
    believed: int = 0
    wrong: list[str] = field(default_factory=list)
    history: list[dict[Quantity, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        part = drivers.load(self.name)
        for package in part.needs:
            pytest.importorskip(package, reason="an extra is not installed: pip install 'lamppost[gas]'")
        (sample, *_) = samples(self.name)
        self.interval, deadline = sample.interval, sample.deadline or 5.0
        self.settling = 2 * self.interval + deadline
        self.clock = LoopClock()
        self.random = Random(f"world {self.name} {self.seed}")
        module = import_module(f"drivers.{part.domain}.{self.name}.chip")
        self.chip: Chip = module.Emulated(self.clock)
        self.mux = mux.Emulated(self.clock)
        self.faults = Faults(self.seed, plan_for(self.name, self.interval), self.clock)
        wires = EmulatedI2C({part.addresses[0]: self.chip})
        if self.muxed:
            self.mux.behind[3][part.addresses[0]] = self.chip
            wires = EmulatedI2C(mux.Wired({0x70: self.mux}))
        faulty = self.faults.bus(wires)
        bus = Channel(faulty, 0x70, 3) if self.muxed else faulty
        driver = part.driver(bus, part.addresses[0], self.clock)
        self.driver = Counted(driver, wires, self.faults)
        device = Device(self.name, self.driver, self.interval, deadline)
        now, silent = Now(), self._hear
        self.sampler = Sampler(
            device, self.clock, now, self._judge, silent, lambda: None, Random(f"jitter {self.seed}")
        )

    def _hear(self, event: Event) -> None:
        """Lost and back are as they should be."""

    def move(self) -> None:
        """Give the world other values."""
        spans = self.chip.spans
        self.truth = {q: s.low + self.random.random() * (s.high - s.low) for q, s in spans.items()}
        self.since = self.clock.monotonic()
        self.history.append(self.truth)
        self.worlds += 1
        for quantity, value in self.truth.items():
            self.chip.set(quantity, value)

    async def run(self, measures: int) -> None:
        """Sample until there were so many measurements, then in peace until the device is back."""
        self.move()
        await asyncio.sleep(10.0)  # the part has had power for a while
        plan, self.faults.plan = self.faults.plan, Plan()
        await self.driver.start()
        await self.driver.measure()
        self.faults.plan = plan
        running = asyncio.create_task(self.sampler.run())
        while self.sampler.measures < measures:
            await asyncio.sleep(12 * self.interval)
            self.move()
            if running.done():
                running.result()
        self.faults.plan = Plan()
        await asyncio.sleep(200.0 + 12 * self.interval)
        before = self.believed
        await asyncio.sleep(2 * self.settling)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert self.sampler.state is State.RUNNING, f"not back: {self.sampler.reason} ({self.faults})"
        assert self.believed > before, f"nothing to believe at the end ({self.faults})"

    def _judge(self, reading: Reading) -> None:
        """Compare what is published with the world, once that has stood still for long enough."""
        assert set(reading.values) | set(reading.missing) == self.driver.quantities
        if self.clock.monotonic() - self.since < self.settling:
            return
        self.believed += bool(reading.values)
        for quantity, value in reading.values.items():
            true, step = self.wanted(quantity)
            if abs(value - true) > step * 1.001 + 1e-5 * abs(true):
                self.wrong.append(f"{quantity} is {value}, not {true:.6g}, at {self.clock.monotonic():.3f} s")

    def wanted(self, quantity: Quantity) -> tuple[float, float]:
        """Return the true value of *quantity*, and by how much a reading may be off."""
        if quantity in self.truth:
            return self.truth[quantity], self.chip.spans[quantity].step
        return RELATED[quantity](self)


def power(soak: Soak) -> tuple[float, float]:
    volts, amperes = soak.truth[Q.VOLTAGE], abs(soak.truth[Q.CURRENT])
    spans = soak.chip.spans
    count = {"ina219": 20 * 1e-4, "ina226": 25 * 1e-3}[soak.name]
    return volts * amperes, volts * spans[Q.CURRENT].step + amperes * spans[Q.VOLTAGE].step + count


def shunt_voltage(soak: Soak) -> tuple[float, float]:
    ohms, count = {"ina219": (0.1, 10e-6), "ina226": (0.002, 2.5e-6)}[soak.name]
    return soak.truth[Q.CURRENT] * ohms, count


def depth(soak: Soak) -> tuple[float, float]:
    weight = 997 * 9.80665 / 100  # hPa of a metre of water
    step = soak.chip.spans[Q.WATER_PRESSURE].step / weight
    return (soak.truth[Q.WATER_PRESSURE] - 1013.25) / weight, step


def any_before(soak: Soak) -> tuple[float, float]:
    """An extreme since the part was last asked: of the level now, or of one before."""
    levels = [world[Q.SOUND_LEVEL] for world in soak.history]
    return (min(levels) + max(levels)) / 2, (max(levels) - min(levels)) / 2 + 1


RELATED: dict[Quantity, Callable[[Soak], tuple[float, float]]] = {
    Q.POWER: power,
    Q.SHUNT_VOLTAGE: shunt_voltage,
    Q.DEPTH: depth,
    Q.SOUND_LEVEL_MIN: any_before,
    Q.SOUND_LEVEL_MAX: any_before,
    Q.ON: lambda soak: (0.0, 0.0),  # nobody turns it on
    Q.VOC_INDEX: lambda soak: (250.5, 249.5),  # what the algorithm makes of ticks: 1 to 500
    Q.NOX_INDEX: lambda soak: (250.5, 249.5),
}
"""What follows from the world in other ways than by being set."""


def soak(virtual: Any, name: str, seed: int, measures: int, muxed: bool = False) -> Soak:
    async def main() -> Soak:
        made = Soak(name, seed, muxed)
        await made.run(measures)
        return made

    done: Soak = virtual(main())
    print(done.faults, f"; {done.sampler.measures} measures, {done.sampler.failures} failed")
    assert not done.wrong, f"{len(done.wrong)} wrong, such as {done.wrong[:3]} ({done.faults})"
    return done


@pytest.mark.parametrize("name", PARTS)
def test_a_bad_day(virtual: Any, name: str):
    """120 measurements: many fail, none is wrong, and the device is back at the end."""
    done = soak(virtual, name, 20261122, QUICK.get(name, 120))
    assert done.sampler.failures > 10
    assert done.believed > 20
    assert done.worlds > 4


@pytest.mark.parametrize("name", ["bme280", "ina226", "sht4x", "ds3231"])
def test_a_bad_day_behind_a_mux(virtual: Any, name: str):
    """The mux is reset and unplugged as well, and a channel that is off is no number."""
    done = soak(virtual, name, 4, 200, muxed=True)
    assert done.sampler.failures > 10
    assert done.believed > 20
    assert done.mux.most_on == 1


def test_a_bad_day_of_a_contact_on_an_expander(virtual: Any):
    """Every answer is where the contact is, although the expander is reset again and again."""

    async def main() -> tuple[Faults, int, int]:
        clock = LoopClock()
        chip = expander.Emulated(clock)
        nacks = (Fault.ADDRESS_NACK, Fault.DATA_NACK)
        chances = dict.fromkeys((*nacks, Fault.STUCK, Fault.SHORT_READ, Fault.BROWN_OUT), 0.02)
        faults = Faults(9, Plan(chances, share=0.2, block=60.0), clock)
        lines = Lines(faults.bus(EmulatedI2C({0x20: chip})), 0x20, clock)
        reed, lid = Reed(chip.pins, 3), contact.Driver(lines, 3, clock)
        told = 0
        for turn in range(600):
            reed.set(Quantity.CLOSED, float(turn // 3 % 2))
            await asyncio.sleep(1.0)
            with suppress(BusError, DeviceError):
                values = await lid.measure()
                assert values == {Quantity.CLOSED: float(turn // 3 % 2)}, faults
                told += 1
        faults.plan = Plan()
        assert await lid.measure()
        return faults, told, lines.resets

    faults, told, resets = virtual(main())
    assert 300 < told < 600
    assert resets > 5, faults


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PARTS)
def test_a_bad_year(virtual: Any, name: str):
    """10,000 measurements."""
    soak(virtual, name, 1, 10_000)


# The faults themselves, on a target that remembers what reached it.


@dataclass
class Witness:
    """A target at 0x20 that answers with ones, and keeps what it was sent; power makes it forget."""

    heard: list[bytes] = field(default_factory=list)
    powered: int = 0
    spans: Mapping[Quantity, Span] = field(default_factory=dict)

    def transfer(self, write: bytes, read: int) -> bytes:
        self.heard.append(write)
        return b"\xff" * read

    def set(self, quantity: Quantity, value: float) -> None:
        raise ValueError("it sees nothing of the world")

    def power_cycle(self) -> None:
        self.powered += 1
        self.heard.clear()


@dataclass
class Wires:
    """A witness on wires with faults."""

    clock: VirtualClock
    plan: Plan = field(default_factory=Plan)
    seed: int = 1

    def __post_init__(self) -> None:
        self.witness = Witness()
        self.faults = Faults(self.seed, self.plan, self.clock)
        self.bus = self.faults.bus(EmulatedI2C({0x20: self.witness}))

    def ask(self, write: bytes = b"\x01\x02\x03", read: int = 2) -> bytes:
        return asyncio.run(self.bus.transfer(0x20, write, read))

    def asked(self, times: int) -> list[str]:
        """Return what became of so many transfers."""

        async def main() -> list[str]:
            return [await self._outcome() for _ in range(times)]

        return asyncio.run(main())

    async def _outcome(self) -> str:
        try:
            return (await self.bus.transfer(0x20, b"\x01\x02\x03", 2)).hex()
        except BusError as error:
            return type(error).__name__


def test_peace(clock: VirtualClock):
    wires = Wires(clock)
    assert wires.asked(100) == ["ffff"] * 100
    assert not wires.faults.counts


def test_an_address_nack_reaches_nobody(clock: VirtualClock):
    wires = Wires(clock)
    wires.faults.inject(Fault.ADDRESS_NACK)
    with pytest.raises(NoAcknowledge):
        wires.ask()
    assert wires.witness.heard == []
    assert wires.ask() == b"\xff\xff"


def test_a_data_nack_leaves_half_of_it_behind(clock: VirtualClock):
    wires = Wires(clock)
    for _ in range(30):
        wires.faults.inject(Fault.DATA_NACK)
        with pytest.raises(NoAcknowledge):
            wires.ask()
    assert set(wires.witness.heard) == {b"\x01", b"\x01\x02"}


def test_a_short_read_has_reached_the_target(clock: VirtualClock):
    """What the target does at a read, such as to forget that it had something new, it has done."""
    wires = Wires(clock)
    wires.faults.inject(Fault.SHORT_READ)
    with pytest.raises(BusError, match="of 2 bytes"):
        wires.ask()
    assert wires.witness.heard == [b"\x01\x02\x03"]


def test_one_bit_flips(clock: VirtualClock):
    wires = Wires(clock)
    seen = set()
    for _ in range(300):
        wires.faults.inject(Fault.FLIPPED_BIT)
        seen.add(int.from_bytes(wires.ask()) ^ 0xFFFF)
    assert seen == {1 << bit for bit in range(16)}


def test_a_fault_of_reads_waits_for_a_read(clock: VirtualClock):
    wires = Wires(clock)
    wires.faults.inject(Fault.FLIPPED_BIT)
    assert wires.ask(read=0) == b""
    assert wires.ask() != b"\xff\xff"


def test_a_stuck_line_and_a_hang(clock: VirtualClock):
    wires = Wires(clock)
    wires.faults.inject(Fault.STUCK, Fault.HANG)
    for takes in (0.0, GIVE_UP):
        began = clock.now
        with pytest.raises(BusTimeout):
            wires.ask()
        assert clock.now - began == takes
    assert wires.witness.heard == []


def test_a_brown_out_is_before_the_transfer(clock: VirtualClock):
    wires = Wires(clock)
    wires.ask()
    wires.faults.inject(Fault.BROWN_OUT)
    assert wires.ask() == b"\xff\xff"
    assert (wires.witness.powered, len(wires.witness.heard)) == (1, 1)


@pytest.mark.parametrize(
    ("fault", "error", "powered"),
    [
        (Fault.UNPLUGGED, NoAcknowledge, 1),
        (Fault.HANG, NoAcknowledge, 0),
        (Fault.STRANGER, None, 1),
        (Fault.FROZEN, None, 0),
    ],
)
def test_spells_of_a_part(clock: VirtualClock, fault: Fault, error: type[BusError] | None, powered: int):
    """From their beginning to their end; what was away comes back freshly powered."""
    wires = Wires(clock, Plan(spells=(Spell(fault, 0x20, 10.0, 20.0), Spell(fault, 0x21, 0.0, 99.0))))
    wires.ask()
    clock.now += 10.0
    if error:
        with pytest.raises(error):
            wires.ask()
    else:
        assert wires.ask() == b"\xff\xff"
    assert len(wires.witness.heard) == (2 if fault is Fault.FROZEN else 1)
    clock.now += 10.0
    assert wires.ask() == b"\xff\xff"
    assert wires.witness.powered == powered


@pytest.mark.parametrize(("seed", "answer"), [(1, b"\xff\xff"), (2, b"\x00\x00")])
def test_a_stranger_says_always_the_same(clock: VirtualClock, seed: int, answer: bytes):
    wires = Wires(clock, Plan(spells=(Spell(Fault.STRANGER, 0x20, 0.0, 1.0),)), seed)
    assert wires.ask() == answer
    assert wires.witness.heard == []


def test_a_spell_of_the_bus_is_everybodys(clock: VirtualClock):
    wires = Wires(clock, Plan(spells=(Spell(Fault.STUCK, None, 0.0, 1.0),)))
    for address in (0x20, 0x21):
        with pytest.raises(BusTimeout):
            asyncio.run(wires.bus.transfer(address, b"", 1))


def test_a_part_that_is_frozen_or_drifts(clock: VirtualClock):
    """Frozen, it keeps what it saw first; drifting, it shows more each second, to the end of its span."""
    spells = (Spell(Fault.FROZEN, 0x20, 10.0, 20.0), Spell(Fault.DRIFT, 0x20, 30.0, 100.0))
    faults, span = Faults(1, Plan(spells=spells), clock), Span(0.0, 100.0, 0.1)
    seen = []
    for time in range(0, 100, 5):
        clock.now = float(time)
        seen.append(faults.seen(0x20, Quantity.TEMPERATURE, float(time), span))
        assert faults.seen(0x21, Quantity.TEMPERATURE, float(time), span) == time
    assert seen[:6] == [0, 5, 10, 10, 20, 25]
    assert seen[6:9] == [30, 45, 60]
    assert seen[-1] == 100


CHANCES = {Fault.ADDRESS_NACK: 0.1, Fault.BROWN_OUT: 0.05, Fault.FLIPPED_BIT: 0.1}


def test_the_same_seed_gives_the_same_day(clock: VirtualClock):
    plan = Plan(CHANCES, share=0.5, block=10.0)
    days = []
    for seed in (1, 1, 2):
        clock.now = 0.0
        wires, day = Wires(clock, plan, seed), []
        for _ in range(200):
            clock.now += 1.0
            day += wires.asked(1)
        days.append((day, str(wires.faults)))
    assert days[0] == days[1]
    assert days[0] != days[2]
    assert "faults by seed 2: " in days[2][1]


def test_chances_are_kept(clock: VirtualClock):
    wires = Wires(clock, Plan(CHANCES))
    wires.asked(4000)
    for fault, chance in CHANCES.items():
        assert wires.faults.counts[fault] == pytest.approx(4000 * chance, rel=0.15)
    wires.faults.counts.clear()
    wires.faults.rate = 0.1
    wires.asked(4000)
    assert sum(wires.faults.counts.values()) == pytest.approx(100, rel=0.4)


def test_drawn_spells():
    """A share of the blocks has one, within the block, of each kind; the bus itself can only be stuck."""
    plan = Plan(share=0.4, block=50.0, kinds=LASTING)
    spells = [drawn_spell(7, plan, block, 0x20) for block in range(1000)]
    there = [(block, spell) for block, spell in enumerate(spells) if spell]
    assert len(there) == pytest.approx(400, rel=0.15)
    assert {spell.fault for _, spell in there} == set(LASTING)
    assert all(50 * block <= s.begins < s.ends <= 50 * block + 50 for block, s in there)
    assert {s.fault for block in range(100) if (s := drawn_spell(7, plan, block, None))} == {Fault.STUCK}
    assert not any(drawn_spell(7, ROUGH, block, None) for block in range(100))
    assert not any(drawn_spell(7, Plan(), block, 0x20) for block in range(100))


@pytest.mark.parametrize(
    "plan",
    [
        {"chances": {Fault.HANG: 1.5}},
        {"chances": {Fault.HANG: float("nan")}},
        {"share": -0.1},
        {"block": 0.0},
        {"kinds": (Fault.FLIPPED_BIT,)},
        {"spells": (Spell(Fault.BOUNCE, None, 0.0, 1.0),)},
    ],
)
def test_impossible_plans_are_refused(plan: dict[str, Any]):
    with pytest.raises(ValueError, match=r"a chance|do not last"):
        Plan(**plan)


def heard(virtual: Any, plan: Plan, moves: int) -> tuple[list[Edge], Faults]:
    """Move a line up and down, and return what is heard of it."""

    async def main() -> tuple[list[Edge], Faults]:
        clock = LoopClock()
        pins, faults = EmulatedPins(clock), Faults(1, plan, clock)
        faulty, found = faults.pins(pins), []

        async def listen() -> None:
            async for edge in faulty.edges(4):
                assert edge.time <= clock.monotonic()  # none is told before it happened
                found.append(edge)

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.1)
        for move in range(moves):
            pins.set(4, bool(move % 2))
            await asyncio.sleep(1.0)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        assert await faulty.read(4) is bool((moves - 1) % 2)
        await faulty.write(5, True)
        assert pins.outputs == {5}
        return found, faults

    done: tuple[list[Edge], Faults] = virtual(main())
    return done


def test_what_is_frozen_again_shows_what_it_sees_then(clock: VirtualClock):
    spells = (Spell(Fault.FROZEN, 0x20, 0.0, 10.0), Spell(Fault.FROZEN, 0x20, 20.0, 30.0))
    faults, span, seen = Faults(1, Plan(spells=spells), clock), Span(0.0, 100.0, 0.1), []
    for time in (0, 5, 15, 20, 25):
        clock.now = float(time)
        seen.append(faults.seen(0x20, Quantity.TEMPERATURE, float(time), span))
    assert seen == [0, 0, 15, 20, 20]


def test_edges_are_lost(virtual: Any):
    found, faults = heard(virtual, Plan({Fault.EDGE_LOST: 0.5}), 40)
    assert len(found) == 40 - faults.counts[Fault.EDGE_LOST]
    assert 5 < len(found) < 35


def test_edges_are_late_with_their_own_time(virtual: Any):
    found, faults = heard(virtual, Plan({Fault.EDGE_LATE: 1.0}), 10)
    assert [edge.time for edge in found] == pytest.approx([0.1 + each for each in range(10)], abs=1e-6)
    assert faults.counts[Fault.EDGE_LATE] == 10


def test_edges_bounce_and_come_to_rest(virtual: Any):
    found, _ = heard(virtual, Plan({Fault.BOUNCE: 1.0}), 4)
    assert [edge.high for edge in found] == [False, True, False, True, False, True] * 2
    assert all(a.time < b.time for a, b in pairwise(found))


def test_a_contact_on_lines_that_bounce(virtual: Any):
    """Every movement is told once; what is measured is where the contact came to rest."""

    async def main() -> list[float | Missing]:
        clock = LoopClock()
        pins = EmulatedPins(clock)
        faults = Faults(3, Plan({Fault.BOUNCE: 0.6, Fault.EDGE_LATE: 0.3}), clock)
        reed, lid = Reed(pins, 17), contact.Driver(faults.pins(pins), 17, clock)
        seen: list[float | Missing] = []

        async def watch() -> None:
            async for _ in lid.changes():
                values = await lid.measure()
                seen.append(values[Quantity.CLOSED])

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.1)
        for turn in range(30):
            reed.set(Quantity.CLOSED, float(turn % 2 == 0))
            await asyncio.sleep(1.0)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        return seen

    assert virtual(main()) == [1.0, 0.0] * 15
