"""ADXL345: the datasheet's numbers, the examples, its own chip, and what it must not believe."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus import BusError
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.land.adxl345 import RATES, Driver, Options, decode, decode_counts, probe
from drivers.land.adxl345.chip import Emulated
from drivers.land.adxl355.chip import Emulated as Adxl355
from tests.drivers.test_vectors import of

G = 9.80665
X, Y, Z = Quantity.ACCELERATION_X, Quantity.ACCELERATION_Y, Quantity.ACCELERATION_Z


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x53: chip}), 0x53, clock)


async def started(part):
    await part.start()
    return await part.measure()


async def attempt(part):
    """Return what `measure` gives, be it an error."""
    try:
        return await part.measure()
    except DeviceError as error:
        return error


@pytest.mark.parametrize("vector", of("ADXL345"), ids=lambda vector: vector["id"])
def test_examples(vector, chip, part):
    chip.held = {int(at, 16): int(value, 16) for at, value in vector["device"]["regs"].items()}
    values = asyncio.run(started(part))
    for name, axis in (("x", X), ("y", Y), ("z", Z)):
        wanted = vector["expected"][name]
        assert values[axis] == pytest.approx(wanted["value"], abs=wanted["tol"])
        assert values[axis] == pytest.approx(wanted["raw"] / 256 * G)


@pytest.mark.parametrize(
    ("raw", "counts"),
    [
        ("0300fbfffb00", (3, -5, 251)),
        ("00fe ff01 ffff", (-512, 511, -1)),
        ("00f0 ff0f 0001", (-4096, 4095, 256)),
    ],
)
def test_counts_are_signed_and_low_byte_first(raw, counts):
    assert decode_counts(bytes.fromhex(raw)) == counts


def test_the_sensitivity_is_the_datasheets_and_not_four_milli_g():
    """256 LSB/g is typical: 1 g is 256 counts, where 4.0 mg to a count would make it 10.04 m/s2."""
    assert decode(256, 512) == pytest.approx(G, rel=1e-12)
    assert decode(-256, 512) == pytest.approx(-G, rel=1e-12)


@pytest.mark.parametrize(
    ("limit", "count"), [(512, 511), (512, -512), (4096, 4095), (4096, -4096), (512, -900)]
)
def test_a_count_at_a_rail_is_out_of_range(limit, count):
    assert decode(count, limit) is Missing.OUT_OF_RANGE


@given(st.integers(-510, 509), st.floats(-5, 5), st.floats(0.8, 1.25))
def test_the_calibration_is_undone_by_its_inverse(count, zero, span):
    value = decode(count, 512, zero, span)
    assert isinstance(value, float)
    assert value / span + zero == pytest.approx(count / 256 * G, abs=1e-9)


def test_the_chip_gives_the_datasheets_counts(chip, clock):
    """The chip alone, on the wires: -1 g is -256 at full resolution, low byte first."""
    chip.frozen = True
    chip.set(X, -G)
    for wire in (b"\x31\x0b", b"\x2d\x08"):
        chip.transfer(wire, 0)
    clock.now += 0.1
    assert chip.transfer(b"\x32", 2) == b"\x00\xff"
    chip.transfer(b"\x31\x03", 0)  # 10 bits over 16 g: 31.2 mg
    assert chip.transfer(b"\x32", 2) == b"\xe0\xff"


@pytest.mark.parametrize("span", [2, 4, 8, 16])
@pytest.mark.parametrize("rate", list(RATES))
def test_every_range_and_rate_gives_the_same_acceleration(clock, chip, span, rate):
    part = Driver(EmulatedI2C({0x53: chip}), 0x53, clock, Options(range=span, rate=rate))
    chip.set(Y, -1.75 * G)
    values = asyncio.run(started(part))
    assert values[Y] == pytest.approx(-1.75 * G, abs=G / 128)
    assert values[Z] == pytest.approx(G, abs=G / 128)


def test_a_wider_range_reaches_further(clock, chip):
    part = Driver(EmulatedI2C({0x53: chip}), 0x53, clock, Options(range=16))
    chip.set(X, -15 * G)
    assert asyncio.run(started(part))[X] == pytest.approx(-15 * G, abs=G / 128)


def test_the_calibration_is_applied(clock, chip):
    options = Options(zero_x=1.5, span_x=0.9, zero_z=-0.5)
    part = Driver(EmulatedI2C({0x53: chip}), 0x53, clock, options)
    chip.set(X, 4.0)
    values = asyncio.run(started(part))
    assert values[X] == pytest.approx((4.0 - 1.5) * 0.9, abs=0.08)
    assert values[Z] == pytest.approx(G + 0.5, abs=0.08)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rate": 0.0}, "rate must be one of"),
        ({"rate": 3200.0}, "rate must be one of"),
        ({"zero_y": 5.1}, "zero_x"),
        ({"zero_z": float("nan")}, "zero_x"),
        ({"span_x": 0.5}, "span_x"),
        ({"span_z": float("inf")}, "span_x"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_an_axis_at_its_rail_leaves_the_others(chip, part):
    chip.set(X, 2.2 * G)
    values = asyncio.run(started(part))
    assert values[X] is Missing.OUT_OF_RANGE
    assert values[Z] == pytest.approx(G, abs=0.08)


def test_the_three_axes_are_of_one_moment(chip, clock):
    """A new sample at each transfer, equal on all axes: whoever reads axis by axis mixes two of them."""

    def shake():
        clock.now += 0.1
        for axis in (X, Y, Z):
            chip.set(axis, clock.now % 7)

    part = Driver(EmulatedI2C({0x53: chip}, before=shake), 0x53, clock)
    values = asyncio.run(started(part))
    assert values[X] == values[Y] == values[Z]


def test_dead_axes_are_a_fault_and_not_level_ground(chip, part):
    chip.dead = True
    with pytest.raises(DeviceError, match="exactly zero"):
        asyncio.run(started(part))


@pytest.mark.parametrize(("rate", "patience"), [(100.0, 16), (800.0, 16), (25.0, 40), (12.5, 100)])
def test_a_frozen_vector_is_a_fault_and_stays_one_after_a_new_start(chip, clock, rate, patience):
    part = Driver(EmulatedI2C({0x53: chip}), 0x53, clock, Options(rate=rate))

    async def main():
        chip.frozen = True
        await part.start()
        seen = [await attempt(part) for _ in range(patience + 2)]
        told = [isinstance(each, DeviceError) for each in seen]
        assert told == [False] * (patience - 1) + [True] * 3
        await part.start()
        with pytest.raises(DeviceError, match="equal vectors"):
            await part.measure()
        chip.frozen = False
        chip.set(X, 0.2)
        await started(part)

    asyncio.run(main())


def test_each_measurement_waits_for_a_new_sample(chip, part, clock):
    async def main():
        await started(part)
        began = clock.now
        for _ in range(10):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) >= 9 / 100


def test_a_part_that_has_stopped_sampling_is_a_fault(chip, part, clock):
    async def main():
        await started(part)
        chip.asleep = True
        began = clock.now
        with pytest.raises(DeviceError, match="stopped sampling"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) <= 0.05


def test_a_brown_out_is_seen_and_a_new_start_heals_it(chip, part):
    async def main():
        before = await started(part)
        chip.power_cycle()
        with pytest.raises(DeviceError, match="lost it"):
            await part.measure()
        return before, await started(part)

    before, after = asyncio.run(main())
    assert after[Z] == pytest.approx(before[Z], abs=0.08)


@pytest.mark.parametrize("register", [0x2C, 0x2D, 0x31])
def test_a_changed_setting_is_seen(chip, part, register):
    async def main():
        await started(part)
        chip.registers[register] ^= 0x01
        with pytest.raises(DeviceError, match="lost it"):
            await part.measure()

    asyncio.run(main())


def test_what_another_program_left_behind_is_removed_at_start(chip, part):
    """Trims, a FIFO and interrupts: each would change what is read."""
    for wire in (b"\x1e\x7f\x80\x10", b"\x38\x9f", b"\x2e\xff", b"\x31\x2b", b"\x2d\x08"):
        chip.transfer(wire, 0)
    asyncio.run(part.start())
    assert not any(chip.registers[0x1E:0x21])
    assert (chip.registers[0x38], chip.registers[0x2E], chip.registers[0x31]) == (0, 0, 0x08)


def test_another_identity_is_refused(chip, part):
    chip.registers[0x00] = 0xE6
    with pytest.raises(WrongDevice, match="0xe6"):
        asyncio.run(part.start())


def test_stop_leaves_it_in_standby(chip, part):
    async def main():
        await started(part)
        await part.stop()

    asyncio.run(main())
    assert not chip.registers[0x2D] & 0x08


def test_the_probe_knows_the_part_and_changes_nothing(chip, clock):
    before = bytes(chip.registers)
    assert asyncio.run(probe(EmulatedI2C({0x1D: chip}), 0x1D, clock)) == "device id 0xe5"
    assert bytes(chip.registers) == before


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_probe_refuses_other_parts_and_absent_ones(clock, chip, byte):
    chip.held = {0: byte}
    assert asyncio.run(probe(EmulatedI2C({0x53: chip}), 0x53, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x53, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({0x53: Adxl355(clock)}), 0x53, clock)) is None


@pytest.mark.parametrize(
    ("wire", "read"),
    [
        (b"\x00\x01", 0),
        (b"\x2c\x2a", 0),
        (b"\x2d\xc8", 0),
        (b"\x31\x1b", 0),
        (b"\x01", 1),
        (b"\x3a", 1),
        (b"", 1),
    ],
)
def test_the_chip_refuses_what_the_part_does(chip, wire, read):
    with pytest.raises(BusError):
        chip.transfer(wire, read)
