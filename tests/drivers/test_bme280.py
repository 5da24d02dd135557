"""BME280: the maker's worked example, the signed words of 12 bits, sentinels, and the part's own faults."""

import asyncio
import struct
from collections.abc import Coroutine
from typing import Any

import pytest

from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, Values, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.weather.bme280 import (
    Driver,
    Options,
    compensate_pressure,
    decode,
    fine_temperature,
    parse,
)
from drivers.weather.bme280.chip import TRIM_HIGH, TRIM_LOW, Emulated
from tests.conftest import VirtualClock

T, P, H = Quantity.TEMPERATURE, Quantity.PRESSURE, Quantity.HUMIDITY
EXAMPLE_T = (27504, 26435, -1000)
EXAMPLE_P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)


class Rig:
    def __init__(self, clock: VirtualClock, options: Options | None = None, **trim: bytes) -> None:
        self.clock = clock
        self.chip = Emulated(clock, **trim)
        clock.now += 1.0
        self.bus = EmulatedI2C({0x76: self.chip})
        self.driver = Driver(self.bus, 0x76, clock, options or Options())

    def read(self, **world: float) -> Values:
        for quantity, value in world.items():
            self.chip.set(Quantity(quantity), value)
        return self.run(self._read())

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(main)

    async def _read(self) -> Values:
        await self.driver.start()
        return await self.driver.measure()


@pytest.fixture
def rig(clock: VirtualClock) -> Rig:
    return Rig(clock)


def test_worked_example():
    """The maker's own numbers: 519888 and 415148 are 25.08 degrees and 1006.53 hPa."""
    fine = fine_temperature(519888, EXAMPLE_T)
    assert fine / 5120 == pytest.approx(25.08247793, abs=1e-8)
    assert compensate_pressure(415148, fine, EXAMPLE_P) == pytest.approx(1006.5326677, abs=1e-6)


def test_chip_against_the_worked_example(clock: VirtualClock):
    """The chip alone gives the example's codes for the example's air, to the resolution of 16 bits."""
    chip = Emulated(clock)
    chip.set(T, 25.08247793)
    chip.set(P, 1006.532668)
    clock.now += 1.0
    chip.transfer(b"\xf2\x05", 0)
    chip.transfer(b"\xf4\xb5", 0)
    clock.now += 1.0
    data = chip.transfer(b"\xf7", 8)
    assert int.from_bytes(data[:3]) >> 4 == pytest.approx(415148, abs=1)
    assert int.from_bytes(data[3:6]) >> 4 == pytest.approx(519888, abs=16)


def high(h4: int, h5: int) -> bytes:
    """Pack registers 0xE1 to 0xE7 as table 16 does."""
    middle = (h5 & 0x0F) << 4 | h4 & 0x0F
    return struct.pack("<hBbBbb", 366, 0, h4 >> 4, middle, h5 >> 4, 30)


@pytest.mark.parametrize("h5", [-2048, -50, -1, 0, 1, 50, 2047])
@pytest.mark.parametrize("h4", [-2048, -33, -1, 0, 15, 16, 309, 2047])
def test_h4_and_h5_are_signed(h4: int, h5: int):
    """Both are numbers of 12 bits with a sign, and share a byte."""
    assert parse(TRIM_LOW, high(h4, h5)).humidity == (75, 366, 0, h4, h5, 30)


@pytest.mark.parametrize(("h4", "h5"), [(309, 50), (300, -50), (-20, 0), (-20, -100)])
def test_humidity_with_negative_words(h4: int, h5: int, clock: VirtualClock):
    """A part whose H4 or H5 is negative is right as well, in frost and in heat."""
    rig = Rig(clock, high=high(h4, h5))
    for temperature in (-20.0, 45.0):
        assert rig.read(temperature=temperature, humidity=40.0)[H] == pytest.approx(40.0, abs=0.05)


@pytest.mark.parametrize("oversampling", [1, 2, 4, 8, 16])
def test_oversampling(oversampling: Any, clock: VirtualClock):
    """Every setting waits for long enough, and more samples make finer steps."""
    rig = Rig(clock, Options(oversampling=oversampling))
    values = rig.read(temperature=21.0, pressure=1001.0)
    assert values[T] == pytest.approx(21.0, abs=0.0051)
    assert values[P] == pytest.approx(1001.0, abs=0.03 / oversampling + 0.002)


@pytest.mark.parametrize(
    ("raw", "temperature", "pressure", "humidity"),
    [
        ("655ac0800000 7649", Missing.SENTINEL, Missing.INPUT_MISSING, Missing.INPUT_MISSING),
        ("8000007eed00 7649", 25.0825, Missing.SENTINEL, 59.506),
        ("655ac07eed00 8000", 25.0825, 1006.5327, Missing.SENTINEL),
        ("800000800000 8000", Missing.SENTINEL, Missing.SENTINEL, Missing.SENTINEL),
    ],
)
def test_sentinels(
    raw: str, temperature: float | Missing, pressure: float | Missing, humidity: float | Missing
):
    """The code for "no result" is recognised for each quantity by itself; it is not 23.29 degrees."""
    values = decode(bytes.fromhex(raw), parse(TRIM_LOW, TRIM_HIGH))
    for quantity, expected in {T: temperature, P: pressure, H: humidity}.items():
        if isinstance(expected, Missing):
            assert values[quantity] is expected
        else:
            assert values[quantity] == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("quantity", [T, P, H])
def test_skipped_by_the_part(rig: Rig, quantity: Quantity):
    rig.chip.skipped.add(quantity)
    values = rig.read()
    assert values[quantity] is Missing.SENTINEL
    assert isinstance(values[T], float) == (quantity is not T)


def test_beyond_its_range():
    """What the part was not made to measure is no value."""
    calibration = parse(TRIM_LOW, TRIM_HIGH)
    cold = decode(bytes.fromhex("655ac0 3d0900 7649"), calibration)
    assert cold[T] is Missing.OUT_OF_RANGE
    thin = decode(bytes.fromhex("d00000 7eed00 7649"), calibration)
    assert thin[P] is Missing.OUT_OF_RANGE
    assert thin[T] == pytest.approx(25.0825, abs=0.001)


def test_humidity_is_cropped():
    calibration = parse(TRIM_LOW, TRIM_HIGH)
    assert decode(bytes.fromhex("655ac07eed00 ffff"), calibration)[H] == 100.0
    assert decode(bytes.fromhex("655ac07eed00 0001"), calibration)[H] == 0.0


@pytest.mark.parametrize(("chip_id", "hint"), [(0x58, "BMP280"), (0x61, "BME680"), (0x00, "0x60")])
def test_cousins_are_refused(rig: Rig, chip_id: int, hint: str):
    rig.chip.chip_id = chip_id
    with pytest.raises(WrongDevice, match=hint):
        rig.read()


def test_blank_memory_is_refused(rig: Rig):
    """A part that never gets its calibration does not start."""
    rig.chip.copying = float("inf")
    with pytest.raises(DeviceError, match="calibration"):
        rig.read()


@pytest.mark.parametrize("copying", [0.003, 0.008])
def test_slow_copy_is_waited_for(rig: Rig, copying: float):
    """The calibration is read once im_update says that it is there, not before."""
    rig.chip.copying = copying
    assert rig.read(temperature=17.0)[T] == pytest.approx(17.0, abs=0.0051)


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_empty_calibration_is_refused(byte: bytes):
    with pytest.raises(DeviceError, match="empty"):
        parse(byte * 26, byte * 7)


def test_measurement_that_never_ends(rig: Rig):
    """The wait is bounded, and the error says for what."""
    rig.read()
    rig.chip.hung = True
    began = rig.clock.now
    with pytest.raises(DeviceError, match="did not end"):
        rig.run(rig.driver.measure())
    assert rig.clock.now - began < 0.05


def test_not_started(rig: Rig):
    with pytest.raises(DeviceError, match="not started"):
        rig.run(rig.driver.measure())


def test_power_lost_in_the_middle(rig: Rig):
    """What a part gives that was reset while it measured is not believed."""
    rig.read()
    count = rig.bus.transfers

    def before() -> None:
        if rig.bus.transfers == count + 2:  # both settings have been written
            rig.chip.power_cycle()
            rig.clock.now += 0.01

    rig.bus.before = before
    with pytest.raises(DeviceError, match="power"):
        rig.run(rig.driver.measure())


def test_sleeps_between_measurements(rig: Rig):
    """Forced mode: no self-timed sampling is left running, and nothing is after the stop."""
    rig.read()
    rig.clock.now += 1.0
    assert rig.chip.transfer(b"\xf4", 1)[0] & 0x03 == 0
    rig.run(rig.driver.stop())
    assert rig.chip.transfer(b"\xf2", 4) == bytes(4)


class TestChip:
    """The emulated part is as strict as the real one."""

    def test_it_is_deaf_while_it_starts(self, clock: VirtualClock):
        with pytest.raises(NoAcknowledge):
            Emulated(clock).transfer(b"\xd0", 1)

    @pytest.mark.parametrize("write", ["f3 00", "d0 60", "f2 08", "f5 02", "88 00", "f4 25 f5"])
    def test_what_cannot_be_written(self, write: str, rig: Rig):
        """Read-only registers, reserved bits, and a length that is not pairs."""
        with pytest.raises(BusError):
            rig.chip.transfer(bytes.fromhex(write), 0)

    @pytest.mark.parametrize("register", [0x00, 0x87, 0xA2, 0xE8, 0xFF])
    def test_what_cannot_be_read(self, register: int, rig: Rig):
        with pytest.raises(BusError):
            rig.chip.transfer(bytes([register]), 1)

    def test_results_wait_for_the_conversion(self, rig: Rig):
        """The data registers hold the code for "no result" until the first measurement has ended."""
        rig.chip.transfer(b"\xf2\x01", 0)
        rig.chip.transfer(b"\xf4\x25", 0)
        rig.clock.now += 0.007
        assert rig.chip.transfer(b"\xf7", 8) == bytes.fromhex("8000008000008000")
        assert rig.chip.transfer(b"\xf3", 1) == b"\x08"
        rig.clock.now += 0.002
        assert rig.chip.transfer(b"\xf7", 8) != bytes.fromhex("8000008000008000")

    def test_humidity_setting_waits_for_ctrl_meas(self, rig: Rig):
        """Written after ctrl_meas, the humidity setting is not in force yet (5.4.3)."""
        rig.chip.transfer(b"\xf4\x25", 0)
        rig.chip.transfer(b"\xf2\x01", 0)
        rig.clock.now += 1.0
        assert rig.chip.transfer(b"\xfd", 2) == b"\x80\x00"
