"""What the MS5803 and the MS5837 share: every test here is run with both."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest

import drivers
from drivers import ms58xx
from drivers.bus import I2C
from drivers.device import DeviceError, Quantity, Values
from drivers.emulated import EmulatedI2C
from drivers.flood.ms5837.chip import sealed
from drivers.weather.bme280.chip import Emulated as Bme280
from gateway.clock import LoopClock
from tests.conftest import VirtualClock
from tests.drivers.air_rig import run
from tests.drivers.test_sweep import Constant

P, D = Quantity.WATER_PRESSURE, Quantity.DEPTH
Virtual = Callable[[Coroutine[Any, Any, Any]], Any]


class Memory:
    """A part that holds the PROM of a vector and always converts to the same two results."""

    def __init__(self, device: dict[str, Any]) -> None:
        self.prom = [bytes.fromhex(word) for word in device["prom"]]
        self.results = {0x40: bytes.fromhex(device["d1"]), 0x50: bytes.fromhex(device["d2"])}
        self.pending = bytes(3)

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        match write[0]:
            case 0x1E:
                return b""
            case 0x00:
                return self.pending
            case command if command >= 0xA0:
                return self.prom[(command - 0xA0) // 2]
            case command:
                self.pending = self.results[command & 0xF0]
                return b""


async def started(driver: Any) -> Values:
    await driver.start()
    values: Values = await driver.measure()
    return values


@dataclass
class Rig:
    """One chip on a bus of its own."""

    name: str
    clock: Any
    chip: Any = field(init=False)
    bus: I2C = field(init=False)

    def __post_init__(self) -> None:
        self.part = drivers.load(self.name)
        self.chip = import_module(f"drivers.flood.{self.name}.chip").Emulated(self.clock)
        self.bus = EmulatedI2C({0x76: self.chip})

    def driver(self, **options: Any) -> Any:
        return self.part.driver(self.bus, 0x76, self.clock, self.part.options(**options))

    def probe(self, bus: I2C) -> str | None:
        assert self.part.probe
        found: str | None = run(self.part.probe(bus, 0x76, self.clock))
        return found


NAMES = pytest.mark.parametrize("name", ["ms5803", "ms5837"])


@pytest.fixture(params=["ms5803", "ms5837"])
def rig(request: pytest.FixtureRequest, clock: VirtualClock) -> Rig:
    found = Rig(request.param, clock)
    clock.now += 0.01
    return found


@pytest.mark.parametrize(("density", "depth"), [(997.0, 2.0), (1029.0, 2.0), (1000.0, -0.1)])
def test_depth(rig: Rig, density: float, depth: float):
    """Of fresh water, of the sea, and a part that hangs in air while the weather is high."""
    rig.chip.set(P, 1000.0 + depth * density * 9.80665 / 100)
    values = run(started(rig.driver(density=density, air_pressure=1000.0)))
    assert values[D] == pytest.approx(depth, abs=0.002)


def test_the_offset_takes_a_drift_out(rig: Rig):
    rig.chip.stray = 37.0
    values = run(started(rig.driver(offset=-37.0, air_pressure=1013.25)))
    assert values[P] == pytest.approx(1013.25, abs=0.2)
    assert values[D] == pytest.approx(0.0, abs=0.002)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"density": 1.0}, "density"),
        ({"density": float("nan")}, "density"),
        ({"air_pressure": 101325.0}, "air_pressure"),
        ({"offset": 500.0}, "offset"),
    ],
)
def test_impossible_options_are_refused(rig: Rig, options: dict[str, float], says: str):
    with pytest.raises(ValueError, match=says):
        rig.driver(**options)


def test_conversions_that_never_end_are_a_fault(rig: Rig, clock: VirtualClock):
    driver = rig.driver()
    run(driver.start())
    rig.chip.wires.deaf = True
    with pytest.raises(DeviceError, match="gave nothing"):
        run(driver.measure())
    assert clock.now < 0.2


@dataclass
class Queue:
    """A bus that others use too: a transfer waits *queue* seconds."""

    bus: I2C
    queue: float = 0.0

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        await asyncio.sleep(self.queue)
        return await self.bus.transfer(address, write, read)


@NAMES
@pytest.mark.parametrize("queue", [0.0, 0.3])
def test_a_measurement_given_up_half_way_does_not_spoil_the_next(virtual: Virtual, name: str, queue: float):
    """A conversion that is ordered while another runs gives a wrong result, not an error.

    The part began when the transfer had ended, which on a busy bus is late.
    """

    async def main() -> Values:
        rig = Rig(name, LoopClock())
        await asyncio.sleep(0.01)
        rig.bus = bus = Queue(rig.bus)
        driver = rig.driver()
        await driver.start()
        bus.queue = queue
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(queue + 0.008):
                await driver.measure()
        bus.queue = 0.0
        values: Values = await driver.measure()
        return values

    assert virtual(main())[P] == pytest.approx(1013.25, abs=0.2)


def test_the_chip_gives_a_result_once_and_spoils_it_when_asked_early(rig: Rig, clock: VirtualClock):
    chip = rig.chip
    chip.transfer(b"\x48", 0)
    clock.now += 0.0091
    good = chip.transfer(b"\x00", 3)
    assert chip.transfer(b"\x00", 3) == b"\0\0\0"
    chip.transfer(b"\x48", 0)
    assert chip.transfer(b"\x00", 3) == b"\0\0\0"
    clock.now += 0.0091
    assert chip.transfer(b"\x00", 3) not in (good, b"\0\0\0")


def test_the_chip_spoils_a_conversion_by_another(rig: Rig, clock: VirtualClock):
    chip = rig.chip
    chip.transfer(b"\x48", 0)
    clock.now += 0.0091
    good = chip.transfer(b"\x00", 3)
    for _ in range(2):
        chip.transfer(b"\x48", 0)
        clock.now += 0.001
    clock.now += 0.0091
    assert chip.transfer(b"\x00", 3) not in (good, b"\0\0\0")


def test_the_chip_forgets_what_it_loaded_without_power(rig: Rig, clock: VirtualClock):
    rig.chip.transfer(b"\x1e", 0)
    clock.now += 0.01
    assert rig.chip.transfer(b"\xa2", 2) != b"\0\0"
    rig.chip.power_cycle()
    clock.now += 0.01
    assert rig.chip.transfer(b"\xa2", 2) == b"\0\0"


@pytest.mark.parametrize("wait", [0.01, 60.0])
def test_power_lost_between_two_measurements_is_seen(rig: Rig, clock: VirtualClock, wait: float):
    """Until a reset the part may not have loaded its PROM."""
    driver = rig.driver()
    run(started(driver))
    rig.chip.power_cycle()
    clock.now += wait
    with pytest.raises(DeviceError, match="is 0x0000: was power lost"):
        run(driver.measure())
    assert run(started(driver))[P] == pytest.approx(1013.25, abs=0.2)


def test_another_part_in_its_place_is_not_read_with_the_old_words(rig: Rig):
    """Exchanged between two measurements, and reset by whoever tried it out."""
    driver = rig.driver()
    run(started(driver))
    first, second, *rest = rig.chip.prom
    seal = import_module(f"drivers.flood.{rig.name}.chip").sealed
    rig.chip.prom = seal((first, second + 700, *rest))
    with pytest.raises(DeviceError, match="another part"):
        run(driver.measure())
    assert run(started(driver))[P] == pytest.approx(1013.25, abs=0.2)


def test_not_started_is_an_error(rig: Rig):
    with pytest.raises(DeviceError, match="not started"):
        run(rig.driver().measure())


def test_the_probe_refuses_a_bme280_and_an_empty_place(rig: Rig, clock: VirtualClock):
    other = Bme280(clock)
    clock.now += 1
    assert rig.probe(EmulatedI2C({0x76: other})) is None
    assert rig.probe(EmulatedI2C({})) is None


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_probe_refuses_a_stuck_line(rig: Rig, byte: int):
    assert rig.probe(Constant(byte)) is None


@pytest.mark.parametrize("last", [0x450B, 0x45FB])
def test_the_checksum_does_not_count_the_byte_that_it_stands_in(last: int):
    """AN520's own example, also with something in the four bits that nobody uses."""
    words = (0x3132, 0x3334, 0x3536, 0x3738, 0x3940, 0x4142, 0x4344, last)
    assert ms58xx.crc_last(words) == (0xB, 0xB)


def test_the_checksum_in_the_first_word():
    """The words of the worked examples of the MS5837 have none of their own: sealed by the emulated part."""
    words = sealed((0x0341, 34982, 36352, 20328, 22354, 26646, 26146))
    told, computed = ms58xx.crc_first((*words, 0xFFFF))
    assert told == computed == words[0] >> 12 != 0
