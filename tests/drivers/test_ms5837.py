"""MS5837: the maker's worked examples, both models, PROMs that lie, and an ADC that was read too early."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus import BusError, NoAcknowledge
from drivers.checksum import crc4
from drivers.device import ChecksumError, DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.flood.ms5837 import Driver, Options, check, compensate, decode, probe
from drivers.flood.ms5837.chip import Emulated, sealed
from tests.drivers.test_ms58xx import Memory, started

P, T, D = Quantity.WATER_PRESSURE, Quantity.WATER_TEMPERATURE, Quantity.DEPTH
VECTORS = [
    vector
    for vector in json.loads(Path("tests/vectors/drivers.json").read_text())["vectors"]
    if vector["part"].startswith("MS5837")
]
BAR30 = (0x2000, 34982, 36352, 20328, 22354, 26646, 26146)
BAR02 = (0x8000, 46372, 43981, 29059, 27842, 31553, 28165)


@pytest.fixture
def chip(clock):
    chip = Emulated(clock)
    clock.now += 0.01
    return chip


@pytest.fixture
def bus(chip):
    return EmulatedI2C({0x76: chip})


def played(vector, clock):
    options = Options(model=vector["part"].removeprefix("MS5837-"), air_pressure=1013.0)
    return asyncio.run(started(Driver(Memory(vector["device"]), 0x76, clock, options)))


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "measure"], ids=lambda v: v["id"])
def test_vectors(clock, vector):
    values = played(vector, clock)
    for quantity, name in ((P, "pressure"), (T, "temperature"), (D, "depth_freshwater")):
        expected = vector["expected"][name]
        assert values[quantity] == pytest.approx(expected["value"], abs=expected["tol"]), name


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "fault"], ids=lambda v: v["id"])
def test_vectors_of_faults(clock, vector):
    assert vector["expected"]["outcome"] == "prom_crc_error"
    with pytest.raises(ChecksumError):
        played(vector, clock)


def test_the_worked_examples_to_the_first_order():
    """3999.8 mbar and 19.81 degrees, 1100.02 mbar and 20.00: the datasheets' own figures."""
    hpa, celsius = compensate(4958179, 6815414, BAR30, "30BA")
    assert (hpa, celsius) == (pytest.approx(3999.8, abs=0.1), pytest.approx(19.81, abs=0.01))
    hpa, celsius = compensate(6465444, 8077636, BAR02, "02BA")
    assert (hpa, celsius) == (pytest.approx(1100.02, abs=0.02), pytest.approx(20.0, abs=0.01))


@pytest.mark.parametrize(
    ("model", "d1", "d2", "hpa", "celsius"),
    [
        # The datasheets' integer formulas, by a third hand: -17, 0, 61, 0, 50 and -20 degrees uncorrected.
        ("30BA", 4958179, 5620000, 3810.7, -22.48),
        ("30BA", 4958179, 6179672, 3899.3, -1.43),
        ("30BA", 4958179, 8136729, 4223.8, 60.74),
        ("02BA", 6465444, 7481936, 1049.2, -1.12),
        ("02BA", 6465444, 8971180, 1172.25, 50.0),
        ("02BA", 6465444, 6880000, 992.39, -24.79),
    ],
)
def test_the_second_order(model, d1, d2, hpa, celsius):
    found = compensate(d1, d2, BAR30 if model == "30BA" else BAR02, model)
    assert found == (pytest.approx(hpa, abs=0.2), pytest.approx(celsius, abs=0.02))


def test_the_application_notes_own_example():
    """AN520: 3132 3334 3536 3738 3940 4142 4344 4500 has the CRC b."""
    assert crc4((0x3132, 0x3334, 0x3536, 0x3738, 0x3940, 0x4142, 0x4344, 0x4500)) == 0xB


@given(st.lists(st.integers(1, 0xFFFE), min_size=6, max_size=6), st.integers(0, 0x0FFF))
def test_driver_and_chip_agree_on_the_checksum(words, first):
    """One divides polynomials, the other shifts: AN520 both."""
    whole = sealed((first, *words))
    assert crc4((whole[0] & 0x0FFF, *whole[1:], 0)) == whole[0] >> 12
    check(whole)


@settings(max_examples=50)
@given(st.integers(0, 6), st.integers(0, 15))
def test_every_flipped_bit_of_the_prom_is_seen(word, bit):
    words = list(sealed((0x0341, *BAR30[1:])))
    words[word] ^= 1 << bit
    with pytest.raises(ChecksumError):
        check(words)


def test_a_prom_of_zeros_is_refused_though_its_checksum_fits():
    assert crc4((0,) * 8) == 0
    with pytest.raises(DeviceError, match="empty"):
        check((0,) * 7)


@pytest.mark.parametrize("model", ["30BA", "02BA"])
@pytest.mark.parametrize("celsius", [-20.0, -16.0, -3.5, 0.0, 19.99, 20.01, 45.0, 85.0])
def test_both_models_across_temperatures(clock, model, celsius):
    chip = Emulated(clock, model)
    clock.now += 0.01
    chip.set(T, celsius)
    for hpa in (300.0, 1013.2, 1900.0):
        chip.set(P, hpa)
        driver = Driver(EmulatedI2C({0x76: chip}), 0x76, clock, Options(model=model))
        values = asyncio.run(started(driver))
        assert values[P] == pytest.approx(hpa, abs=0.2 if model == "30BA" else 0.03)
        assert values[T] == pytest.approx(celsius, abs=0.011)


@pytest.mark.parametrize("oversampling", [256, 512, 1024, 2048, 4096, 8192])
def test_every_oversampling_waits_long_enough(chip, bus, clock, oversampling):
    driver = Driver(bus, 0x76, clock, Options(oversampling=oversampling))
    assert asyncio.run(started(driver))[P] == pytest.approx(1013.25, abs=0.2)


@pytest.mark.parametrize("nothing", [0x000000, 0xFFFFFF])
def test_an_adc_that_gave_nothing_is_no_depth(nothing):
    """Public drivers make 201 m of water of a result of 0."""
    options = Options()
    assert decode(nothing, 6815414, BAR30, options)[D] is Missing.SENTINEL
    assert decode(nothing, 6815414, BAR30, options)[T] == pytest.approx(19.81, abs=0.01)
    values = decode(4958179, nothing, BAR30, options)
    assert (values[T], values[P]) == (Missing.SENTINEL, Missing.INPUT_MISSING)


def test_beyond_the_range_is_out_of_range():
    options = Options(model="02BA")
    assert decode(0x100000, 8077636, BAR02, options)[P] is Missing.OUT_OF_RANGE
    assert decode(0xF00000, 8077636, BAR02, options)[D] is Missing.OUT_OF_RANGE
    values = decode(6465444, 0xC00000, BAR02, options)
    assert (values[T], values[P], values[D]) == (
        Missing.OUT_OF_RANGE,
        Missing.INPUT_MISSING,
        Missing.INPUT_MISSING,
    )


@given(st.integers(0, 0xFFFFFF), st.integers(0, 0xFFFFFF), st.sampled_from(["30BA", "02BA"]))
def test_no_pair_of_results_gives_an_impossible_number(d1, d2, model):
    values = decode(d1, d2, BAR30 if model == "30BA" else BAR02, Options(model=model))
    high = 30000.05 if model == "30BA" else 2000.05
    assert isinstance(values[P], Missing) or -0.05 <= values[P] <= high
    assert isinstance(values[T], Missing) or -20.05 <= values[T] <= 85.05


def test_without_the_reset_the_prom_is_empty(chip, clock):
    """The datasheet: reset once after power-on, or the PROM may not be loaded."""
    assert chip.transfer(b"\xa2", 2) == b"\0\0"
    chip.transfer(b"\x1e", 0)
    clock.now += 0.01
    assert chip.transfer(b"\xa2", 2) == (34982).to_bytes(2)


def test_the_chip_alone_converts_the_worked_example(clock):
    """With the words of the datasheet and its pressure and temperature, D1 and D2 come out near its own."""
    chip = Emulated(clock, "02BA")
    clock.now += 0.01
    chip.set(P, 1100.02)
    chip.set(T, 20.0)
    found = []
    for command in (0x4A, 0x5A):
        chip.transfer(bytes([command]), 0)
        clock.now += 0.0181
        found.append(int.from_bytes(chip.transfer(b"\x00", 3)))
    assert found == [pytest.approx(6465444, abs=60), pytest.approx(8077636, abs=300)]


@pytest.mark.parametrize("wire", ["01", "1f", "4b", "4c", "60", "a1", "b0"])
def test_the_chip_refuses_what_is_no_command(chip, wire):
    with pytest.raises(NoAcknowledge):
        chip.transfer(bytes.fromhex(wire), 0)


def test_the_chip_refuses_what_the_part_does(chip, clock):
    for write, read in (("4a00", 0), ("a2", 3), ("00", 4)):
        with pytest.raises(BusError):
            chip.transfer(bytes.fromhex(write), read)
    chip.transfer(b"\x1e", 0)
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"\xa0", 2)


@pytest.mark.parametrize(("model", "other"), [("30BA", "02BA"), ("02BA", "30BA")])
def test_the_other_model_is_refused(clock, model, other):
    """Its formulas would give a plausible pressure."""
    chip = Emulated(clock, model)
    clock.now += 0.01
    with pytest.raises(WrongDevice, match=f'set model = "{model}"'):
        asyncio.run(Driver(EmulatedI2C({0x76: chip}), 0x76, clock, Options(model=other)).start())


@pytest.mark.parametrize("model", ["30BA", "02BA"])
def test_an_early_part_that_names_no_model_is_believed(clock, model):
    chip = Emulated(clock, model)
    chip.prom = sealed((0x0000, *chip.prom[1:]))
    clock.now += 0.01
    values = asyncio.run(started(Driver(EmulatedI2C({0x76: chip}), 0x76, clock, Options(model=model))))
    assert values[P] == pytest.approx(1013.25, abs=0.2)


@pytest.mark.parametrize(("model", "says"), [("30BA", "an MS5837-30BA"), ("02BA", "an MS5837-02BA")])
def test_the_probe_names_the_model(clock, model, says):
    chip = Emulated(clock, model)
    clock.now += 0.01
    assert asyncio.run(probe(EmulatedI2C({0x76: chip}), 0x76, clock)).startswith(says)


def test_the_probe_knows_an_early_part_too(chip, bus, clock):
    chip.prom = sealed((0x0000, *chip.prom[1:]))
    assert asyncio.run(probe(bus, 0x76, clock)) == f"PROM word 0 is {chip.prom[0]:#06x}, its CRC-4 fits"


def test_the_probe_refuses_a_part_whose_adc_does_not_behave(clock):
    """A memory that holds a fitting PROM by chance, and answers every read of the ADC alike."""
    memory = Memory(VECTORS[0]["device"])
    assert asyncio.run(probe(memory, 0x76, clock)) is None


def test_the_probe_refuses_a_bad_checksum(chip, bus, clock):
    chip.prom = (chip.prom[0] ^ 0x1000, *chip.prom[1:])
    assert asyncio.run(probe(bus, 0x76, clock)) is None
