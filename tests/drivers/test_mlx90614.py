"""MLX90614: the datasheet's frames, the examples, its own chip, and words that must not be believed."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bin.mlx90614 import Driver, Options, decode, emitted, probe, read
from drivers.bin.mlx90614.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import ChecksumError, Missing, Quantity
from drivers.emulated import EmulatedI2C
from tests.drivers.test_vectors import OneTarget, of

T, S = Quantity.TEMPERATURE, Quantity.SURFACE_TEMPERATURE


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x5A: chip}), 0x5A, clock)


async def started(part):
    await part.start()
    return await part.measure()


@pytest.mark.parametrize("vector", of("MLX90614"), ids=lambda vector: vector["id"])
def test_examples(vector, clock):
    frames = {int(at, 16): bytes.fromhex(raw) for at, raw in vector["device"]["regs"].items()}
    bus = OneTarget(0x5A, lambda write, count: frames[write[0]][:count])
    values = asyncio.run(started(Driver(bus, 0x5A, clock)))
    for name, quantity in (("ambient", T), ("object", S)):
        wanted = vector["expected"][name]
        assert values[quantity] == pytest.approx(wanted["value"], abs=wanted["tol"])


@pytest.mark.parametrize("vector", of("MLX90614"), ids=lambda vector: vector["id"])
def test_the_chip_gives_the_examples_frames(vector, chip):
    """Alone, on the wires: the words and their check bytes."""
    expected = vector["expected"]
    chip.held = {0x06: expected["ambient"]["raw"], 0x07: expected["object"]["raw"]}
    assert chip.transfer(b"\x06", 3).hex() == expected["frame_ta_with_pec"]["value"]
    assert chip.transfer(b"\x07", 3).hex() == expected["frame_to_with_pec"]["value"]


def test_the_datasheets_read_of_an_object():
    """Figure 9: slave 0x5A, RAM 0x07, data 0x3AD2, PEC 0x30."""
    bus = OneTarget(0x5A, lambda write, count: bytes.fromhex("d23a30"))
    assert asyncio.run(read(bus, 0x5A, 0x07)) == 0x3AD2
    assert decode(0x3AD2, 0x3AD2, Options())[S] == pytest.approx(28.01)


@given(st.integers(0, 23))
def test_each_flipped_bit_is_found(bit):
    """Released drivers read two bytes and never look at the third."""
    raw = bytearray.fromhex("d23a30")
    raw[bit // 8] ^= 1 << bit % 8
    bus = OneTarget(0x5A, lambda write, count: bytes(raw))
    with pytest.raises(ChecksumError, match="packet error code"):
        asyncio.run(read(bus, 0x5A, 0x07))


def test_the_check_byte_belongs_to_address_and_command():
    """The same frame from another cell, or at another address, is refused."""
    bus = OneTarget(0x5A, lambda write, count: bytes.fromhex("d23a30"))
    with pytest.raises(ChecksumError):
        asyncio.run(read(bus, 0x5A, 0x06))
    bus = OneTarget(0x5B, lambda write, count: bytes.fromhex("d23a30"))
    with pytest.raises(ChecksumError):
        asyncio.run(read(bus, 0x5B, 0x07))


@pytest.mark.parametrize(
    ("word", "value"), [(0x27AD, -70.01), (0x7FFF, 382.19), (0x3559, -0.01), (12658, -19.99)]
)
def test_surfaces_also_below_zero(word, value):
    assert decode(0x3AF7, word, Options())[S] == pytest.approx(value, abs=0.001)


@pytest.mark.parametrize("word", [0x0000, 0x27AC])
def test_a_surface_below_the_range_is_out_of_range(word):
    assert decode(0x3AF7, word, Options())[S] is Missing.OUT_OF_RANGE


@pytest.mark.parametrize("word", [11655, 19909, 0])
def test_a_part_beyond_its_range_is_out_of_range(word):
    values = decode(word, 0x3AF7, Options())
    assert values[T] is Missing.OUT_OF_RANGE
    assert values[S] == pytest.approx(28.75)


def test_the_error_flag_is_a_fault_of_its_word_alone(chip, part):
    chip.errors = {S}
    values = asyncio.run(started(part))
    assert values[S] is Missing.FAULT
    assert values[T] == pytest.approx(21.0, abs=0.011)


def test_the_emissivity_is_undone():
    """Half of the radiation of 400 K is its own, half that of surroundings of 300 K."""
    seen = ((400.0**4 + 300.0**4) / 2) ** 0.25 - 273.15
    assert emitted(seen, 300.0 - 273.15, 0.5) == pytest.approx(400.0 - 273.15)


@given(st.floats(-40, 125), st.floats(0.1, 1))
def test_a_surface_as_warm_as_the_part_needs_no_emissivity(own, emissivity):
    assert emitted(own, own, emissivity) == pytest.approx(own, abs=1e-6)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.floats(0.1, 1), st.floats(-20, 20))
def test_whatever_arrives_is_finite_or_missing(ambient, surface, emissivity, zero):
    values = decode(ambient, surface, Options(emissivity, zero))
    assert set(values) == {T, S}
    assert all(isinstance(each, Missing) or -294 < each < 1e4 for each in values.values())


def test_the_emissivity_needs_the_parts_own_temperature():
    assert decode(0x8000, 0x3AF7, Options(emissivity=0.9))[S] is Missing.INPUT_MISSING
    assert decode(0x8000, 0x3AF7, Options())[S] == pytest.approx(28.75)


def test_a_zero_is_taken_off(chip, clock):
    part = Driver(EmulatedI2C({0x5A: chip}), 0x5A, clock, Options(zero=1.5))
    assert asyncio.run(started(part))[S] == pytest.approx(22.5, abs=0.011)


@pytest.mark.parametrize(
    "options",
    [{"emissivity": 0.0}, {"emissivity": 1.1}, {"emissivity": float("nan")}, {"zero": 21.0}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)


def test_a_wrong_check_byte_fails_the_measurement(chip, part):
    async def main():
        await part.start()
        chip.spoil = 0x01
        await part.measure()

    with pytest.raises(ChecksumError):
        asyncio.run(main())


def test_a_part_that_has_just_got_power_is_waited_for(chip, part, clock):
    chip.power_cycle()
    assert asyncio.run(started(part))[S] == pytest.approx(24.0, abs=0.011)
    assert clock.now < 0.35


def test_a_sleeping_part_is_an_error(chip, part):
    asyncio.run(part.start())
    chip.transfer(b"\xff\xe8", 0)
    with pytest.raises(NoAcknowledge):
        asyncio.run(part.measure())


def test_the_probe_knows_the_part(chip, clock):
    assert "packet error code" in asyncio.run(probe(EmulatedI2C({0x5A: chip}), 0x5A, clock))


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_probe_refuses_other_parts_and_absent_ones(clock, byte):
    bus = OneTarget(0x5A, lambda write, count: bytes([byte]) * count)
    assert asyncio.run(probe(bus, 0x5A, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x5A, clock)) is None


def test_the_chip_refuses_what_the_part_does(chip):
    for wire in (b"", b"\x24\x00\x00", b"\x40"):
        with pytest.raises(NoAcknowledge):
            chip.transfer(wire, 3)
    with pytest.raises(BusError):
        chip.transfer(b"\x06", 0)  # then a stop, and a read by itself: it needs the repeated start
    chip.transfer(b"\xff\xe8", 0)
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"\x06", 3)
