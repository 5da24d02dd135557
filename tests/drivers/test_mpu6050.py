"""MPU-6050: the datasheet's numbers, the example, its own chip, and what it must not believe."""

import asyncio
from math import radians

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.land.mpu6050 import (
    BANDWIDTHS,
    Driver,
    Options,
    decode_acceleration,
    decode_counts,
    decode_rotation,
    decode_temperature,
    probe,
)
from drivers.land.mpu6050.chip import Emulated
from tests.drivers.test_vectors import of

G = 9.80665
X, Y, Z = Quantity.ACCELERATION_X, Quantity.ACCELERATION_Y, Quantity.ACCELERATION_Z
T = Quantity.TEMPERATURE
TURNS = (Quantity.ROTATION_X, Quantity.ROTATION_Y, Quantity.ROTATION_Z)


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x68: chip}), 0x68, clock)


async def started(part):
    await part.start()
    return await part.measure()


async def attempt(part):
    """Return what `measure` gives, be it an error."""
    try:
        return await part.measure()
    except DeviceError as error:
        return error


@pytest.mark.parametrize("vector", of("MPU6050"), ids=lambda vector: vector["id"])
def test_examples(vector, chip, part):
    results = {int(at, 16): int(value, 16) for at, value in vector["device"]["regs"].items()}
    chip.held = {at: value for at, value in results.items() if at != 0x6B}
    values = asyncio.run(started(part))
    for name, quantity in (("ax", X), ("ay", Y), ("az", Z), ("temperature", T)):
        wanted = vector["expected"][name]
        assert values[quantity] == pytest.approx(wanted["value"], abs=wanted["tol"])
    for name, quantity in zip(("gx", "gy", "gz"), TURNS, strict=True):
        wanted = vector["expected"][name]
        assert radians(values[quantity]) == pytest.approx(wanted["value"], abs=1e-7)


@pytest.mark.parametrize(
    ("raw", "counts"),
    [("0078feac4000", (120, -340, 16384)), ("80007fffffff", (-32768, 32767, -1))],
)
def test_counts_are_signed_and_high_byte_first(raw, counts):
    assert decode_counts(bytes.fromhex(raw)) == counts


@pytest.mark.parametrize(("per_g", "count"), [(16384, -16384), (8192, -8192), (4096, -4096), (2048, -2048)])
def test_one_g_in_each_range(per_g, count):
    assert decode_acceleration(count, per_g) == pytest.approx(-G, rel=1e-12)


@pytest.mark.parametrize("count", [0x7FFF, -0x8000])
def test_a_count_at_a_rail_is_out_of_range(count):
    assert decode_acceleration(count, 16384) is Missing.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("raw", "celsius"), [("0000", 36.53), ("f0b0", 25.000588), ("cf7c", 0.0), ("9a5c", -40.0), ("4060", 85.0)]
)
def test_temperatures_also_below_zero(raw, celsius):
    assert decode_temperature(bytes.fromhex(raw)) == pytest.approx(celsius, abs=0.003)


@pytest.mark.parametrize("raw", ["8000", "7fff"])
def test_a_temperature_that_no_part_survives_is_out_of_range(raw):
    assert decode_temperature(bytes.fromhex(raw)) is Missing.OUT_OF_RANGE


@given(st.integers(-0x7FFF, 0x7FFE), st.floats(-2, 2), st.floats(0.9, 1.1))
def test_the_calibration_is_undone_by_its_inverse(count, zero, span):
    value = decode_acceleration(count, 16384, zero, span)
    assert isinstance(value, float)
    assert value / span + zero == pytest.approx(count / 16384 * G, abs=1e-9)


def test_the_chip_gives_the_datasheets_counts(chip, clock):
    """The chip alone, on the wires: -1 g in the 8 g range is -4096; 25 Cel is -3920."""
    chip.frozen = True
    chip.set(X, -G)
    chip.set(T, 25.0)
    for wire in (b"\x6b\x01", b"\x1c\x10", b"\x1a\x03"):
        chip.transfer(wire, 0)
    clock.now += 0.1
    assert chip.transfer(b"\x3b", 2) == b"\xf0\x00"
    assert chip.transfer(b"\x41", 2) == b"\xf0\xb0"


@pytest.mark.parametrize("span", [2, 4, 8, 16])
@pytest.mark.parametrize("rate", [1000.0, 125.0, 3.90625])
@pytest.mark.parametrize("bandwidth", list(BANDWIDTHS))
def test_every_range_rate_and_filter_gives_the_same_acceleration(clock, chip, span, rate, bandwidth):
    options = Options(range=span, rate=rate, bandwidth=bandwidth)
    part = Driver(EmulatedI2C({0x68: chip}), 0x68, clock, options)
    chip.set(Y, -1.75 * G)
    values = asyncio.run(started(part))
    assert values[Y] == pytest.approx(-1.75 * G, abs=span * G / 32768)
    assert values[Z] == pytest.approx(G, abs=span * G / 32768)


@pytest.mark.parametrize(("turn", "per_degree"), [(250, 131.0), (500, 65.5), (1000, 32.8), (2000, 16.4)])
def test_every_range_of_the_rotation(clock, chip, turn, per_degree):
    part = Driver(EmulatedI2C({0x68: chip}), 0x68, clock, Options(turn=turn, turn_zero_y=-3.0))
    for axis, value in zip(TURNS, (0.9 * turn, -100.0, 0.0), strict=True):
        chip.set(axis, value)
    values = asyncio.run(started(part))
    wanted = (0.9 * turn, -97.0, 0.0)
    assert [values[axis] for axis in TURNS] == [pytest.approx(w, abs=1 / per_degree) for w in wanted]


def test_a_rotation_at_its_rail_leaves_the_others(chip, part):
    chip.set(TURNS[2], -700.0)
    values = asyncio.run(started(part))
    assert values[TURNS[2]] is Missing.OUT_OF_RANGE
    assert values[TURNS[0]] == pytest.approx(0.0, abs=0.02)
    assert decode_rotation(0x7FFF, 65.5) is Missing.OUT_OF_RANGE
    assert decode_rotation(-131, 131.0, 0.5) == -1.5


def test_the_calibration_is_applied(clock, chip):
    options = Options(zero_x=1.5, span_x=0.9, zero_z=-0.5)
    part = Driver(EmulatedI2C({0x68: chip}), 0x68, clock, options)
    chip.set(X, 4.0)
    values = asyncio.run(started(part))
    assert values[X] == pytest.approx((4.0 - 1.5) * 0.9, abs=0.01)
    assert values[Z] == pytest.approx(G + 0.5, abs=0.01)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rate": 0.0}, "rate must be"),
        ({"rate": 3.0}, "rate must be"),
        ({"rate": 333.0}, "rate must be"),
        ({"rate": float("nan")}, "rate must be"),
        ({"zero_y": 2.1}, "zero_x"),
        ({"zero_z": float("nan")}, "zero_x"),
        ({"span_x": 0.5}, "span_x"),
        ({"span_y": 1.2}, "span_x"),
        ({"turn_zero_z": 26.0}, "turn_zero_x"),
        ({"turn_zero_x": float("nan")}, "turn_zero_x"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_an_axis_at_its_rail_leaves_the_others(chip, part):
    chip.set(X, 2.2 * G)
    values = asyncio.run(started(part))
    assert values[X] is Missing.OUT_OF_RANGE
    assert values[Z] == pytest.approx(G, abs=0.01)


def test_the_three_axes_are_of_one_moment(chip, clock):
    """A new sample at each transfer, equal on all axes: whoever reads axis by axis mixes two of them."""

    def shake():
        clock.now += 0.1
        for axis in (X, Y, Z):
            chip.set(axis, clock.now % 7)

    part = Driver(EmulatedI2C({0x68: chip}, before=shake), 0x68, clock)
    values = asyncio.run(started(part))
    assert values[X] == values[Y] == values[Z]


def test_dead_axes_are_a_fault_and_not_level_ground(chip, part):
    chip.dead = True
    with pytest.raises(DeviceError, match="exactly zero"):
        asyncio.run(started(part))


def test_a_frozen_vector_is_a_fault_and_stays_one_after_a_new_start(chip, part):
    async def main():
        chip.frozen = True
        await part.start()
        seen = [isinstance(await attempt(part), DeviceError) for _ in range(6)]
        assert seen == [False] * 4 + [True] * 2
        await part.start()
        with pytest.raises(DeviceError, match="equal vectors"):
            await part.measure()
        chip.frozen = False
        chip.set(X, 0.2)
        await started(part)
        await part.measure()

    asyncio.run(main())


def test_each_measurement_waits_for_a_new_sample(chip, part, clock):
    async def main():
        await started(part)
        began = clock.now
        for _ in range(10):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) >= 9 / 50


def test_a_part_that_has_stopped_sampling_is_a_fault(chip, part, clock):
    async def main():
        await started(part)
        chip.asleep = True
        began = clock.now
        with pytest.raises(DeviceError, match="stopped sampling"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) <= 0.1


def test_a_brown_out_leaves_it_asleep_which_is_seen_and_healed(chip, part, clock):
    async def main():
        before = await started(part)
        chip.power_cycle()
        with pytest.raises(NoAcknowledge):
            await part.measure()
        clock.now += 1
        with pytest.raises(DeviceError, match="lost it"):
            await part.measure()
        return before, await started(part)

    before, after = asyncio.run(main())
    assert after[Z] == pytest.approx(before[Z], abs=0.01)


def test_asleep_with_its_last_values_is_no_measurement(chip, part, clock):
    """Another program set the sleep bit: the registers keep their last, plausible vector."""

    async def main():
        await started(part)
        chip.registers[0x6B] |= 0x40
        clock.now += 1
        assert any(chip.registers[0x3B:0x41])
        with pytest.raises(DeviceError, match="lost it"):
            await part.measure()

    asyncio.run(main())


@pytest.mark.parametrize("register", [0x19, 0x1A, 0x1B, 0x1C, 0x6B, 0x6C])
def test_a_changed_setting_is_seen(chip, part, register):
    async def main():
        await started(part)
        chip.registers[register] ^= 0x08
        with pytest.raises(DeviceError, match="lost it"):
            await part.measure()

    asyncio.run(main())


@pytest.mark.parametrize(("identity", "says"), [(0x70, "MPU-6500"), (0x71, "MPU-9250"), (0x19, "0x19")])
def test_another_identity_is_refused(chip, part, identity, says):
    chip.registers[0x75] = identity
    with pytest.raises(WrongDevice, match=says):
        asyncio.run(part.start())


def test_stop_leaves_it_asleep(chip, part):
    async def main():
        await started(part)
        await part.stop()

    asyncio.run(main())
    assert chip.registers[0x6B] & 0x40


def test_the_probe_knows_the_part_and_changes_nothing(chip, clock):
    before = bytes(chip.registers)
    assert asyncio.run(probe(EmulatedI2C({0x69: chip}), 0x69, clock)) == "identity 0x68"
    assert bytes(chip.registers) == before


@pytest.mark.parametrize("byte", [0x00, 0xFF, 0x70])
def test_the_probe_refuses_other_parts_and_absent_ones(clock, chip, byte):
    chip.registers[0x75] = byte
    assert asyncio.run(probe(EmulatedI2C({0x68: chip}), 0x68, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x68, clock)) is None


@pytest.mark.parametrize(
    ("wire", "read"),
    [(b"\x75\x01", 0), (b"\x3b\x00", 0), (b"\x6b\x10", 0), (b"\x76", 1), (b"\x70", 8)],
)
def test_the_chip_refuses_what_the_part_does(chip, wire, read):
    with pytest.raises(BusError):
        chip.transfer(wire, read)


def test_the_chip_is_busy_after_a_reset(chip, clock):
    chip.transfer(b"\x6b\x80", 0)
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"\x75", 1)
    clock.now += 0.1
    assert chip.transfer(b"\x6b", 1) == b"\x40"
