"""Every driver on an I2C bus, by discovery, against its own emulated chip.

A chip inverts what its driver computes, without sharing a line with it: what the world was set to must come
back, within one count of the part.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from math import isfinite
from random import Random
from typing import Any

import pytest

import drivers
from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, DeviceError, Missing, Quantity, Sensor, Values
from drivers.emulated import Chip, EmulatedI2C
from tests.conftest import VirtualClock

SEED = 20260101
FRACTIONS = (0.0, 0.003, 0.25, 0.5, 0.618, 0.75, 0.997, 1.0)
PARTS = [name for name in drivers.names() if drivers.load(name).on == "i2c"]
LONG = {"mlx90640"}  # a frame of 768 pixels in each of very many runs
PATIENT = [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in PARTS]


def new_chip(name: str, clock: Clock) -> Chip:
    module = import_module(f"drivers.{drivers.names()[name]}.{name}.chip")
    chip: Chip = module.Emulated(clock)
    return chip


SWEEP = [(name, quantity) for name in PARTS for quantity in new_chip(name, VirtualClock()).spans]


@dataclass
class Rig:
    """One chip on a bus of its own, and its driver."""

    name: str
    clock: VirtualClock
    which: int = 0

    def __post_init__(self) -> None:
        self.part = drivers.load(self.name)
        for package in self.part.needs:
            pytest.importorskip(package, reason="an extra is not installed: pip install 'lamppost[gas]'")
        self.address = self.part.addresses[self.which]
        self.chip = new_chip(self.name, self.clock)
        self.bus = EmulatedI2C({self.address: self.chip})
        self.driver: Sensor = self.part.driver(self.bus, self.address, self.clock)
        self.clock.now += 10.0  # the part has had power for a while

    async def settled(self) -> Values:
        """Measure until the part has warmed up, at most a minute."""
        for _ in range(120):
            values = await self.driver.measure()
            if not {Missing.WARMING_UP, Missing.NOT_READY} & set(values.values()):
                return values
            await self.clock.sleep(0.5)
        return values

    async def fresh(self) -> Values:
        """Start, and measure once the part has warmed up."""
        await self.driver.start()
        return await self.settled()

    def check(self, values: Values, world: dict[Quantity, float], note: str = "") -> None:
        """What was set has come back within one count, and nothing is missing or too much."""
        assert set(values) == self.driver.quantities
        for quantity, wanted in world.items():
            found = values[quantity]
            assert isinstance(found, float), f"{quantity} set to {wanted} is {found} {note}"
            step = self.chip.spans[quantity].step
            assert abs(found - wanted) <= step + 1e-9, f"{quantity} set to {wanted} is {found} {note}"


def at(chip: Chip, quantity: Quantity, fraction: float) -> float:
    low, high, _ = chip.spans[quantity]
    return low + fraction * (high - low)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


@pytest.mark.parametrize(("name", "quantity"), SWEEP)
def test_across_its_span(name: str, quantity: Quantity, clock: VirtualClock):
    """Each quantity alone, from one end of its span to the other."""

    async def sweep() -> None:
        for fraction in FRACTIONS:
            rig = Rig(name, clock)
            wanted = at(rig.chip, quantity, fraction)
            rig.chip.set(quantity, wanted)
            rig.check(await rig.fresh(), {quantity: wanted})

    run(sweep())


@pytest.mark.parametrize("name", PARTS)
def test_all_at_once(name: str, clock: VirtualClock):
    """All quantities together, anywhere in their spans: none leaks into another."""

    async def sweep() -> None:
        rig, random = Rig(name, clock), Random(f"{SEED} {name}")
        await rig.fresh()
        for turn in range(25):
            world = {quantity: at(rig.chip, quantity, random.random()) for quantity in rig.chip.spans}
            for quantity, wanted in world.items():
                rig.chip.set(quantity, wanted)
            rig.check(await rig.fresh(), world, f"(seed {SEED}, turn {turn})")

    run(sweep())


@pytest.mark.parametrize("name", PARTS)
def test_a_change_shows(name: str, clock: VirtualClock):
    """A driver that has started follows its world without being started again."""

    async def follow() -> None:
        rig = Rig(name, clock)
        await rig.fresh()
        for fraction in (0.2, 0.8, 0.3):
            world = {quantity: at(rig.chip, quantity, fraction) for quantity in list(rig.chip.spans)[:1]}
            for quantity, wanted in world.items():
                rig.chip.set(quantity, wanted)
            await rig.driver.measure()  # may be of the time before the change
            await clock.sleep(2.0)
            rig.check(await rig.settled(), world)

    run(follow())


@pytest.mark.parametrize("name", PARTS)
def test_every_address(name: str, clock: VirtualClock):
    """The driver talks to the address that it was given, the last possible one as well as the first."""
    rig = Rig(name, clock, which=-1)
    assert set(run(rig.fresh())) == rig.driver.quantities


@pytest.mark.parametrize("name", PARTS)
def test_absent(name: str, clock: VirtualClock):
    """Where nobody answers, the driver says so in the bus's own words."""
    rig = Rig(name, clock)
    rig.bus.chips.clear()
    with pytest.raises(NoAcknowledge):
        run(rig.driver.start())


@dataclass
class Constant:
    """A target that is another part, or a data line that is stuck: every byte is the same."""

    byte: int

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        return bytes([self.byte]) * read


@pytest.mark.parametrize("byte", [0x00, 0xFF])
@pytest.mark.parametrize("name", PARTS)
def test_something_else_answers(name: str, byte: int, clock: VirtualClock):
    """A stuck data line gives no number, however plausible, neither at the start nor later."""
    part = drivers.load(name)
    driver = part.driver(Constant(byte), part.addresses[0], clock)
    try:
        run(driver.start())
        values = run(driver.measure())
    except (BusError, DeviceError):
        return
    assert all(isinstance(value, Missing) for value in values.values())


@pytest.mark.parametrize("byte", [0x00, 0xFF])
@pytest.mark.parametrize("name", PARTS)
def test_the_line_sticks_while_it_runs(name: str, byte: int, clock: VirtualClock):
    """The same, where the driver has started on a good part."""
    rig = Rig(name, clock)
    run(rig.fresh())
    rig.bus.transfer = Constant(byte).transfer  # type: ignore[method-assign]
    try:
        values = run(rig.driver.measure())
    except (BusError, DeviceError):
        return
    assert all(isinstance(value, Missing) for value in values.values())


@pytest.mark.parametrize("name", PARTS)
def test_stop_can_be_repeated_and_taken_back(name: str, clock: VirtualClock):
    """Stopping a stopped part is no error, and a stopped part starts again."""

    async def turns() -> None:
        rig = Rig(name, clock)
        world = {quantity: at(rig.chip, quantity, 0.4) for quantity in list(rig.chip.spans)[:1]}
        for quantity, wanted in world.items():
            rig.chip.set(quantity, wanted)
        await rig.fresh()
        await rig.driver.stop()
        await rig.driver.stop()
        rig.check(await rig.fresh(), world)

    run(turns())


@pytest.mark.parametrize("name", PARTS)
def test_power_lost_and_back(name: str, clock: VirtualClock):
    """After a brown-out a measurement fails, or is still true; a new start makes it good again."""

    async def brown_out() -> None:
        rig = Rig(name, clock)
        world = {quantity: at(rig.chip, quantity, 0.7) for quantity in list(rig.chip.spans)[:1]}
        for quantity, wanted in world.items():
            rig.chip.set(quantity, wanted)
        await rig.fresh()
        rig.chip.power_cycle()
        await clock.sleep(5.0)
        try:
            values = await rig.driver.measure()
        except (BusError, DeviceError):
            values = {}
        rig.check(values | await rig.fresh(), world)
        known = {q: v for q, v in values.items() if q in world and isinstance(v, float)}
        assert all(abs(v - world[q]) <= rig.chip.spans[q].step + 1e-9 for q, v in known.items())

    run(brown_out())


@dataclass
class Disturbance:
    """Fails the transfer number *turn*, counted from 0, where a bus calls this first."""

    turn: int
    error: type[BusError]
    seen: int = 0

    def __call__(self) -> None:
        self.seen += 1
        if self.seen == self.turn + 1:
            raise self.error("the transfer was disturbed")


@pytest.mark.parametrize("error", [NoAcknowledge, BusError])
@pytest.mark.parametrize("name", PATIENT)
def test_any_transfer_may_fail(name: str, error: type[BusError], clock: VirtualClock):
    """Whichever transfer fails: an error of ours or a true value, and the next start works."""

    async def fail(turn: int) -> bool:
        rig = Rig(name, clock)
        world = {quantity: at(rig.chip, quantity, 0.6) for quantity in list(rig.chip.spans)[:1]}
        for quantity, wanted in world.items():
            rig.chip.set(quantity, wanted)
        rig.bus.before = disturbance = Disturbance(turn, error)
        with suppress(BusError, DeviceError):
            await rig.driver.start()
            rig.check(await rig.driver.measure() | await rig.settled(), world)
        rig.bus.before = lambda: None
        await clock.sleep(2.0)
        rig.check(await rig.fresh(), world)
        return disturbance.seen > turn

    turns = 0
    while turns < 40 and run(fail(turns)):
        turns += 1
    assert turns > 1


BLIND = {"mb7040"}
"""Parts without identity or settings, which cannot tell that they were reset; their READMEs say so."""


@pytest.mark.parametrize("name", [name for name in PARTS if name not in BLIND])
def test_power_lost_at_any_moment(name: str, clock: VirtualClock):
    """A brown-out before any transfer of a start or a measurement: an error, nothing, or the truth."""

    async def lose(turn: int) -> bool:
        rig = Rig(name, clock)
        world = {quantity: at(rig.chip, quantity, 0.6) for quantity in rig.chip.spans}
        for quantity in (first := list(world)[:1]):
            rig.chip.set(quantity, world[quantity])
        seen = 0

        def before() -> None:
            nonlocal seen
            seen += 1
            if seen == turn + 1:
                rig.chip.power_cycle()
                clock.now += 0.05

        rig.bus.before = before
        with suppress(BusError, DeviceError):
            await rig.driver.start()
            values = await rig.driver.measure()
            known = {quantity: world[quantity] for quantity in first if isinstance(values[quantity], float)}
            rig.check(values, known, f"(power lost before transfer {turn})")
        return seen > turn

    turns = 0
    while turns < 40 and run(lose(turns)):
        turns += 1
    assert turns > 1


@dataclass
class Noisy:
    """A bus that spoils answers: bits flip, or the answer is of another transfer altogether."""

    bus: EmulatedI2C
    random: Random

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        answer = bytearray(await self.bus.transfer(address, write, read))
        match self.random.randrange(6):
            case 0 if read:
                answer[self.random.randrange(read)] ^= 1 << self.random.randrange(8)
            case 1:
                answer = bytearray(self.random.randbytes(read))
        return bytes(answer)


@pytest.mark.parametrize("name", PATIENT)
def test_garbage_is_survived(name: str, clock: VirtualClock):
    """Whatever arrives, a driver raises only the errors of its contract and gives only finite numbers."""

    async def listen() -> None:
        rig = Rig(name, clock)
        noisy = Noisy(rig.bus, Random(f"{SEED} {name} noise"))
        driver = rig.part.driver(noisy, rig.address, clock)
        for _ in range(150):
            rig.chip.power_cycle()
            await clock.sleep(5.0)
            try:
                await driver.start()
                values = await driver.measure()
            except (BusError, DeviceError):
                continue
            assert set(values) == driver.quantities
            assert all(
                isinstance(v, Missing) or (isinstance(v, float) and isfinite(v)) for v in values.values()
            )

    run(listen())
