"""MS5803: the maker's worked example, frost, PROMs that lie or say nothing, and an ADC read too early."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus import BusError, NoAcknowledge
from drivers.checksum import crc4
from drivers.device import ChecksumError, DeviceError, Missing, Quantity
from drivers.emulated import EmulatedI2C
from drivers.flood.ms5803 import Driver, Options, check, compensate, decode, probe
from drivers.flood.ms5803.chip import Emulated, sealed
from drivers.flood.ms5837.chip import Emulated as Ms5837
from drivers.flood.ms5837.chip import sealed as sealed_as_ms5837
from tests.drivers.test_ms58xx import Memory, started

P, T, D = Quantity.WATER_PRESSURE, Quantity.WATER_TEMPERATURE, Quantity.DEPTH
VECTORS = [
    vector
    for vector in json.loads(Path("tests/vectors/drivers.json").read_text())["vectors"]
    if vector["part"] == "MS5803-14BA"
]
EXAMPLE = (0x0000, 46546, 42845, 29751, 29457, 32745, 29059, 0x0000)


@pytest.fixture
def chip(clock):
    chip = Emulated(clock)
    clock.now += 0.01
    return chip


@pytest.fixture
def bus(chip):
    return EmulatedI2C({0x76: chip})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_vectors(clock, vector):
    values = asyncio.run(started(Driver(Memory(vector["device"]), 0x76, clock)))
    for quantity, name in ((P, "pressure"), (T, "temperature")):
        expected = vector["expected"][name]
        assert values[quantity] == pytest.approx(expected["value"], abs=expected["tol"]), name


@pytest.mark.parametrize(
    ("d1", "d2", "hpa", "celsius"),
    [
        # The datasheet's integer formulas, by a third hand: its example, -0.2, -31, -17.5 and 73 degrees.
        (4311550, 8387300, 1000.5, 20.15),
        (4311550, 7800000, 987.4, -1.36),
        (4311550, 6900000, 967.9, -39.03),
        (4311550, 7300000, 980.3, -21.59),
        (4311550, 9900000, 1046.4, 71.39),
    ],
)
def test_the_formulas(d1, d2, hpa, celsius):
    found = compensate(d1, d2, EXAMPLE)
    assert found == (pytest.approx(hpa, abs=0.11), pytest.approx(celsius, abs=0.02))


def test_the_application_notes_own_example():
    """AN520: 3132 3334 3536 3738 3940 4142 4344 450b has the CRC b."""
    words = tuple(int(word, 16) for word in ["3132", "3334", "3536", "3738", "3940", "4142", "4344", "450b"])
    assert crc4((*words[:7], 0x4500)) == 0xB
    assert sealed(words) == words
    check(words)


@given(st.lists(st.integers(1, 0xFFFE), min_size=6, max_size=6), st.integers(0, 0xFFFF), st.integers(1, 0xFF))
def test_driver_and_chip_agree_on_the_checksum(words, first, last):
    """One divides polynomials, the other shifts: AN520 both."""
    whole = sealed((first, *words, last << 8))
    assert crc4((*whole[:7], whole[7] & 0xFF00)) == whole[7] & 0x0F
    check(whole)


@settings(max_examples=50)
@given(st.integers(0, 7), st.integers(0, 15))
def test_every_flipped_bit_of_the_prom_is_seen(word, bit):
    """All but the four that nobody uses, beside the checksum."""
    words = list(sealed((0x0A5C, *EXAMPLE[1:7], 0x3300)))
    if word == 7 and 4 <= bit < 8:
        return
    words[word] ^= 1 << bit
    with pytest.raises(ChecksumError):
        check(words)


def test_a_prom_of_zeros_is_refused_though_its_checksum_fits():
    assert crc4((0,) * 8) == 0
    with pytest.raises(DeviceError, match="empty"):
        check((0,) * 8)


def test_a_prom_without_a_checksum_must_read_the_same_twice(clock):
    """The datasheet's example has none: nothing but a second look can tell."""

    class Flipping(Memory):
        turns = 0

        async def transfer(self, address, write=b"", read=0):
            answer = await super().transfer(address, write, read)
            self.turns += write == b"\xa6"
            return bytes([answer[0] ^ 0x10, answer[1]]) if write == b"\xa6" and self.turns == 1 else answer

    with pytest.raises(ChecksumError, match="second time"):
        asyncio.run(Driver(Flipping(VECTORS[0]["device"]), 0x76, clock).start())


@pytest.mark.parametrize("celsius", [-40.0, -20.0, -15.01, -3.5, 0.0, 19.99, 20.01, 45.0, 85.0])
def test_across_temperatures(chip, bus, clock, celsius):
    chip.set(T, celsius)
    for hpa in (300.0, 1013.2, 13900.0):
        chip.set(P, hpa)
        values = asyncio.run(started(Driver(bus, 0x76, clock)))
        assert values[P] == pytest.approx(hpa, abs=0.25)
        assert values[T] == pytest.approx(celsius, abs=0.011)


@pytest.mark.parametrize("oversampling", [256, 512, 1024, 2048, 4096])
def test_every_oversampling_waits_long_enough(chip, bus, clock, oversampling):
    driver = Driver(bus, 0x76, clock, Options(oversampling=oversampling))
    assert asyncio.run(started(driver))[P] == pytest.approx(1013.25, abs=0.2)


@pytest.mark.parametrize("nothing", [0x000000, 0xFFFFFF])
def test_an_adc_that_gave_nothing_is_no_depth(nothing):
    options = Options()
    assert decode(nothing, 8387300, EXAMPLE, options)[D] is Missing.SENTINEL
    assert decode(nothing, 8387300, EXAMPLE, options)[T] == pytest.approx(20.15, abs=0.01)
    values = decode(4311550, nothing, EXAMPLE, options)
    assert (values[T], values[P]) == (Missing.SENTINEL, Missing.INPUT_MISSING)


def test_beyond_the_range_is_out_of_range():
    options = Options()
    assert decode(0x100000, 8387300, EXAMPLE, options)[P] is Missing.OUT_OF_RANGE
    assert decode(0xFFFF00, 8387300, EXAMPLE, options)[D] is Missing.OUT_OF_RANGE
    values = decode(4311550, 0xC00000, EXAMPLE, options)
    assert (values[T], values[P]) == (Missing.OUT_OF_RANGE, Missing.INPUT_MISSING)


@given(st.integers(0, 0xFFFFFF), st.integers(0, 0xFFFFFF))
def test_no_pair_of_results_gives_an_impossible_number(d1, d2):
    values = decode(d1, d2, EXAMPLE, Options())
    assert isinstance(values[P], Missing) or -0.05 <= values[P] <= 14000.05
    assert isinstance(values[T], Missing) or -40.05 <= values[T] <= 85.05


def test_without_the_reset_the_prom_is_empty(chip, clock):
    """The datasheet: reset once after power-on, or the PROM may not be loaded."""
    assert chip.transfer(b"\xa2", 2) == b"\0\0"
    chip.transfer(b"\x1e", 0)
    clock.now += 0.01
    assert chip.transfer(b"\xa2", 2) == (46546).to_bytes(2)


def test_the_chip_alone_converts_the_worked_example(chip, clock):
    """1000.5 mbar and 20.15 degrees: near the datasheet's 4311550 and 8387300."""
    chip.set(P, 1000.5)
    chip.set(T, 20.15)
    found = []
    for command in (0x48, 0x58):
        chip.transfer(bytes([command]), 0)
        clock.now += 0.0091
        found.append(int.from_bytes(chip.transfer(b"\x00", 3)))
    assert found == [pytest.approx(4311550, abs=150), pytest.approx(8387300, abs=300)]


@pytest.mark.parametrize("wire", ["01", "1f", "4a", "49", "60", "a1", "b0"])
def test_the_chip_refuses_what_is_no_command(chip, wire):
    with pytest.raises(NoAcknowledge):
        chip.transfer(bytes.fromhex(wire), 0)


def test_the_chip_refuses_what_the_part_does(chip, clock):
    for write, read in (("4800", 0), ("a2", 3), ("00", 4)):
        with pytest.raises(BusError):
            chip.transfer(bytes.fromhex(write), read)
    chip.transfer(b"\x1e", 0)
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"\xa0", 2)


def test_the_probe_tells_the_checksum(chip, bus, clock):
    assert asyncio.run(probe(bus, 0x76, clock)) == f"PROM word 7 is {chip.prom[7]:#06x}, its CRC-4 fits"


def test_the_probe_refuses_a_part_whose_adc_does_not_behave(clock):
    """A memory that holds a fitting PROM by chance, and answers every read of the ADC alike."""
    prom = [f"{word:04x}" for word in sealed((*EXAMPLE[:7], 0x3300))]
    memory = Memory({"prom": prom, "d1": "41c9fe", "d2": "7ffae4"})
    assert asyncio.run(probe(memory, 0x76, clock)) is None


def test_the_probe_refuses_a_prom_without_a_checksum(chip, bus, clock):
    chip.prom = EXAMPLE
    assert asyncio.run(probe(bus, 0x76, clock)) is None


@pytest.mark.parametrize("model", ["30BA", "02BA"])
def test_the_probe_refuses_an_ms5837(clock, model):
    other = Ms5837(clock, model)
    clock.now += 0.01
    assert asyncio.run(probe(EmulatedI2C({0x76: other}), 0x76, clock)) is None


@pytest.mark.parametrize("product", [0x1A << 5, 0x00])
def test_the_probe_says_when_the_prom_fits_both_families(chip, bus, clock, product):
    """Unless the other one's product number is in it."""
    for first in range(32):
        words = sealed_as_ms5837((product | first, *EXAMPLE[1:7]))
        chip.prom = sealed((*words, 0x3300))
        found = asyncio.run(probe(bus, 0x76, clock))
        assert (found is None) == (product != 0)
        assert found is None or "as an MS5837's would" in found


def test_the_probe_refuses_a_bad_checksum(chip, bus, clock):
    chip.prom = (*chip.prom[:7], chip.prom[7] ^ 1)
    assert asyncio.run(probe(bus, 0x76, clock)) is None
