"""SHT4x: bytes recorded from real parts, words at their ends, checksums, a part that is deaf while busy."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bin.ina226.chip import Emulated as Ina226
from drivers.bus import BusError, NoAcknowledge
from drivers.device import ChecksumError, Missing, Quantity
from drivers.emulated import EmulatedI2C
from drivers.sensirion import checked
from drivers.weather.sht4x import Driver, Options, decode, probe
from drivers.weather.sht4x.chip import Emulated
from gateway.clock import LoopClock
from tests.drivers.test_sweep import Constant

T, RH = Quantity.TEMPERATURE, Quantity.HUMIDITY
VECTORS = [
    vector
    for vector in json.loads(Path("tests/vectors/drivers.json").read_text())["vectors"]
    if vector["part"] == "SHT4x"
]
PRECISION = {"fd": "high", "f6": "medium", "e0": "low"}


@pytest.fixture
def chip(clock):
    chip = Emulated(clock)
    clock.now += 0.01
    return chip


@pytest.fixture
def bus(chip):
    return EmulatedI2C({0x44: chip})


class Recorded:
    """A target that knows the commands of a vector, and no other."""

    def __init__(self, responses):
        self.responses = responses
        self.answer = ""

    async def transfer(self, address, write=b"", read=0):
        if write:
            if write.hex() not in self.responses:
                raise NoAcknowledge(f"no command {write.hex()}")
            self.answer = self.responses[write.hex()][0]
        return bytes.fromhex(self.answer)[:read]


def played(vector, clock):
    (command,) = vector["device"]["responses"]
    driver = Driver(Recorded(vector["device"]["responses"]), 0x44, clock, Options(PRECISION[command]))
    return asyncio.run(started(driver))


async def started(driver):
    await driver.start()
    return await driver.measure()


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "measure"], ids=lambda v: v["id"])
def test_vectors(clock, vector):
    values = played(vector, clock)
    for quantity in (T, RH):
        expected = vector["expected"][quantity]
        assert values[quantity] == pytest.approx(expected["value"], abs=expected["tol"])


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "fault"], ids=lambda v: v["id"])
def test_vectors_of_faults(clock, vector):
    assert vector["expected"]["outcome"] == "crc_error"
    with pytest.raises(ChecksumError, match="word 1"):
        played(vector, clock)


def test_the_chip_alone_gives_the_recorded_bytes(chip, clock):
    """25 degrees and 39.62 %: 6666 93 5d70 de."""
    chip.set(T, 25.0)
    chip.set(RH, 39.62447547)
    chip.transfer(b"\xfd", 0)
    clock.now += 0.0084
    assert chip.transfer(b"", 6).hex() == "6666935d70de"


@pytest.mark.parametrize(
    ("words", "temperature", "humidity"),
    [
        ((0x6666, 0x5D70), 25.0, 39.62447547),
        ((0x41D4, 0x0C49), -0.0016, 0.0),
        ((0x0751, 0x0C46), -39.9985, 0.0),
        ((0x0700, 0x8000), Missing.OUT_OF_RANGE, 56.501),
        ((0xF8AF, 0xD917), 125.0, 100.0),
        ((0xF900, 0xD70A), Missing.OUT_OF_RANGE, 99.0),
        ((0x6666, 0x0001), 25.0, 0.0),
        ((0x6666, 0xFFFE), 25.0, 100.0),
        ((0x0000, 0x0000), Missing.OUT_OF_RANGE, Missing.OUT_OF_RANGE),
        ((0xFFFF, 0xFFFF), Missing.OUT_OF_RANGE, Missing.OUT_OF_RANGE),
    ],
)
def test_words(words, temperature, humidity):
    values = decode(words)
    for found, wanted in ((values[T], temperature), (values[RH], humidity)):
        assert found == (wanted if isinstance(wanted, Missing) else pytest.approx(wanted, abs=0.005))


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_no_word_leaves_the_range(first, second):
    values = decode((first, second))
    assert isinstance(values[T], Missing) or -40.05 <= values[T] <= 125.05
    assert isinstance(values[RH], Missing) or 0.0 <= values[RH] <= 100.0


@pytest.mark.parametrize("precision", ["high", "medium", "low"])
def test_each_precision_waits_long_enough(chip, bus, clock, precision):
    chip.set(T, -17.5)
    driver = Driver(bus, 0x44, clock, Options(precision))
    assert asyncio.run(started(driver))[T] == pytest.approx(-17.5, abs=0.003)


@pytest.mark.parametrize("word", [0, 1])
def test_a_spoilt_word_spoils_the_measurement(chip, bus, clock, word):
    async def main():
        driver = Driver(bus, 0x44, clock)
        await driver.start()
        chip.spoilt = {word}
        with pytest.raises(ChecksumError, match=f"word {word}"):
            await driver.measure()

    asyncio.run(main())


@pytest.mark.parametrize("raw", [(0xFFFF, 0x5D70), (0x6666, 0xFFFF)])
def test_a_word_at_its_end_is_missing_though_its_checksum_fits(chip, bus, clock, raw):
    chip.raw = raw
    values = asyncio.run(started(Driver(bus, 0x44, clock)))
    assert [isinstance(values[each], Missing) for each in (T, RH)] == [each == 0xFFFF for each in raw]


def test_a_measurement_that_never_ends_is_an_error(chip, bus, clock):
    chip.hung = True
    with pytest.raises(NoAcknowledge):
        asyncio.run(Driver(bus, 0x44, clock).start())
    assert clock.now < 0.1


def test_a_measurement_given_up_half_way_does_not_spoil_the_next(virtual):
    """The part is deaf until the first is over: the second order waits for that."""

    async def main():
        clock = LoopClock()
        chip = Emulated(clock)
        await clock.sleep(0.01)
        chip.set(T, 10.0)
        driver = Driver(EmulatedI2C({0x44: chip}), 0x44, clock)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.004):
                await driver.measure()
        chip.set(T, 30.0)
        return (await driver.measure())[T]

    assert virtual(main()) == pytest.approx(30.0, abs=0.003)


def test_it_keeps_nothing_that_a_brown_out_could_take(chip, bus, clock):
    async def main():
        driver = Driver(bus, 0x44, clock)
        await driver.start()
        chip.power_cycle()
        clock.now += 0.002
        return await driver.measure()

    assert asyncio.run(main())[T] == pytest.approx(21.0, abs=0.003)


def test_the_chip_refuses_what_the_part_does(chip, clock):
    for wire in ("00", "fdfd", "2c06"):
        with pytest.raises(NoAcknowledge):
            chip.transfer(bytes.fromhex(wire), 0)
    with pytest.raises(NoAcknowledge):  # nothing was ordered
        chip.transfer(b"", 6)
    with pytest.raises(BusError):
        chip.transfer(b"\xfd", 6)
    chip.transfer(b"\xfd", 0)
    clock.now += 0.008
    for write, read in ((b"", 6), (b"\xfd", 0)):  # busy
        with pytest.raises(NoAcknowledge):
            chip.transfer(write, read)
    clock.now += 0.001
    chip.transfer(b"", 6)
    with pytest.raises(NoAcknowledge):  # it is given once
        chip.transfer(b"", 6)


@pytest.mark.parametrize(("command", "takes"), [(0x39, 1.1), (0x15, 0.11)])
def test_the_chip_is_deaf_while_it_heats(chip, clock, command, takes):
    chip.transfer(bytes([command]), 0)
    clock.now += takes - 0.001
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"", 6)
    clock.now += 0.002
    assert decode(tuple(checked(chip.transfer(b"", 6))))[T] == pytest.approx(41.0, abs=0.003)


def test_the_probe_tells_the_serial_number(bus, clock):
    assert asyncio.run(probe(bus, 0x44, clock)) == "serial number 0f4a2b1c"


@pytest.mark.parametrize("serial", [0x00000000, 0xFFFFFFFF, 0xFFFF0000])
def test_the_probe_refuses_an_empty_number(chip, bus, clock, serial):
    chip.serial = serial
    assert asyncio.run(probe(bus, 0x44, clock)) is None


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_probe_refuses_a_stuck_line(clock, byte):
    assert asyncio.run(probe(Constant(byte), 0x44, clock)) is None


def test_the_probe_refuses_a_power_monitor_and_an_empty_place(clock):
    assert asyncio.run(probe(EmulatedI2C({0x44: Ina226(clock)}), 0x44, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x44, clock)) is None


def test_a_power_monitor_at_the_address_is_refused(clock):
    with pytest.raises(BusError):
        asyncio.run(Driver(EmulatedI2C({0x44: Ina226(clock)}), 0x44, clock).start())
