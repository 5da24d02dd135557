"""ADXL355: the datasheet's numbers, the part through its own chip, and what it must not believe."""

import asyncio

import pytest

from drivers.bus import BusError
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.land.adxl355 import Driver, Options, decode_acceleration, decode_counts, decode_temperature
from drivers.land.adxl355.chip import Emulated

G = 9.80665
X, Y, Z = Quantity.ACCELERATION_X, Quantity.ACCELERATION_Y, Quantity.ACCELERATION_Z


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x1D: chip}), 0x1D, clock)


async def started(part):
    await part.start()
    return await part.measure()


async def attempt(part):
    """Return what `measure` gives, be it an error."""
    try:
        return await part.measure()
    except DeviceError as error:
        return error


@pytest.mark.parametrize(
    ("raw", "counts"),
    [
        ("004b00ffcae03e8000", (1200, -850, 256000)),
        ("8000007ffff0fffff0", (-(1 << 19), (1 << 19) - 1, -1)),
        ("00001fffffff000010", (1, -1, 1)),  # the low four bits are not part of the value
    ],
)
def test_counts_are_twenty_bits_signed_and_left_justified(raw, counts):
    assert decode_counts(bytes.fromhex(raw)) == counts


@pytest.mark.parametrize(
    ("sensitivity", "count"), [(256_000, -256_000), (128_000, -128_000), (64_000, -64_000)]
)
def test_one_g_in_each_range(sensitivity, count):
    assert decode_acceleration(count, sensitivity) == pytest.approx(-G, rel=1e-12)


@pytest.mark.parametrize("count", [(1 << 19) - 1, -(1 << 19)])
def test_a_count_at_a_rail_is_out_of_range(count):
    assert decode_acceleration(count, 256_000) is Missing.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("raw", "celsius"), [("075d", 25.0), ("073c", 28.6464), ("0766", 24.00552), ("f75d", 25.0)]
)
def test_temperature_falls_as_counts_rise(raw, celsius):
    assert decode_temperature(bytes.fromhex(raw)) == pytest.approx(celsius, abs=1e-4)


@pytest.mark.parametrize("raw", ["0000", "0fff"])
def test_a_temperature_that_no_part_survives_is_out_of_range(raw):
    assert decode_temperature(bytes.fromhex(raw)) is Missing.OUT_OF_RANGE


@pytest.mark.parametrize("span", [2, 4, 8])
@pytest.mark.parametrize("rate", [4000.0, 125.0, 3.90625])
def test_every_range_and_rate_gives_the_same_acceleration(clock, chip, span, rate):
    part = Driver(EmulatedI2C({0x1D: chip}), 0x1D, clock, Options(range=span, rate=rate))
    chip.set(Y, -1.75 * G)
    values = asyncio.run(started(part))
    assert values[Y] == pytest.approx(-1.75 * G, abs=G / 64_000)
    assert values[Z] == pytest.approx(G, abs=G / 64_000)


@pytest.mark.parametrize("rate", [0.0, 100.0, 8000.0])
def test_a_rate_that_the_part_does_not_have_is_refused(rate):
    with pytest.raises(ValueError, match="rate must be one of"):
        Options(rate=rate)


def test_an_axis_at_its_rail_leaves_the_others(chip, part):
    chip.set(X, 2.2 * G)
    values = asyncio.run(started(part))
    assert values[X] is Missing.OUT_OF_RANGE
    assert values[Z] == pytest.approx(G, abs=1e-3)


def test_the_three_axes_are_of_one_moment(chip, clock):
    """A new sample at each transfer, equal on all axes: whoever reads axis by axis mixes two of them."""

    def shake():
        clock.now += 0.1
        for axis in (X, Y, Z):
            chip.set(axis, clock.now / 10)

    part = Driver(EmulatedI2C({0x1D: chip}, before=shake), 0x1D, clock)
    values = asyncio.run(started(part))
    assert values[X] == values[Y] == values[Z]


def test_a_torn_temperature_is_read_again(chip, part):
    """0x700 counts become 0x6FF between the two bytes: the torn pair would be 53 Cel off."""

    async def main():
        chip.set(Quantity.TEMPERATURE, 25 + (1885 - 0x700) / 9.05)
        await started(part)
        chip.tear(25 + (1885 - 0x6FF) / 9.05)
        return (await part.measure())[Quantity.TEMPERATURE]

    assert asyncio.run(main()) == pytest.approx(25 + (1885 - 0x6FF) / 9.05, abs=0.01)


def test_dead_axes_are_a_fault_and_not_level_ground(chip, part):
    chip.dead = True
    with pytest.raises(DeviceError, match="exactly zero"):
        asyncio.run(started(part))


def test_a_frozen_vector_is_a_fault_and_stays_one_after_a_new_start(chip, part, clock):
    async def main():
        await part.start()
        for _ in range(20):
            await part.measure()
            clock.now += 1
        chip.frozen = True
        seen = []
        for _ in range(6):
            seen.append(await attempt(part))
            clock.now += 1
        assert [isinstance(each, DeviceError) for each in seen[-2:]] == [True, True]
        assert not any(isinstance(each, DeviceError) for each in seen[:4])
        await part.start()
        with pytest.raises(DeviceError, match="equal vectors"):
            await part.measure()
        chip.frozen = False
        chip.set(X, 0.2)
        await part.start()
        await part.measure()
        await part.measure()

    asyncio.run(main())


def test_each_measurement_waits_for_a_new_sample(chip, part, clock):
    async def main():
        await started(part)
        began = clock.now
        for _ in range(10):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) >= 9 / 31.25


def test_a_part_that_has_stopped_sampling_is_a_fault(chip, part, clock):
    async def main():
        await started(part)
        chip.asleep = True
        began = clock.now
        with pytest.raises(DeviceError, match="stopped sampling"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) <= 0.2


def test_a_brown_out_is_seen_and_a_new_start_heals_it(chip, part):
    async def main():
        before = await started(part)
        chip.power_cycle()
        with pytest.raises(DeviceError, match="lost it"):
            await part.measure()
        return before, await started(part)

    before, after = asyncio.run(main())
    assert after[Z] == pytest.approx(before[Z], abs=1e-3)


@pytest.mark.parametrize("register", [0x28, 0x2C, 0x2D])
def test_a_changed_setting_is_seen(chip, part, register):
    async def main():
        await started(part)
        chip.registers[register] ^= 0x02
        with pytest.raises(DeviceError, match="lost it"):
            await part.measure()

    asyncio.run(main())


@pytest.mark.parametrize("register", [0x00, 0x01, 0x02])
def test_another_identity_is_refused(chip, part, register):
    chip.registers[register] ^= 0x01
    with pytest.raises(WrongDevice):
        asyncio.run(part.start())


def test_an_old_trim_is_removed_at_start(chip, part):
    chip.registers[0x1E:0x24] = bytes(range(1, 7))
    asyncio.run(part.start())
    assert not any(chip.registers[0x1E:0x24])


def test_stop_leaves_it_in_standby(chip, part):
    async def main():
        await started(part)
        await part.stop()

    asyncio.run(main())
    assert chip.registers[0x2D] & 0x01


def test_the_chip_refuses_what_the_part_does(chip):
    for wire in (b"\x00\x01", b"\x28\x80", b"\x3f"):
        with pytest.raises(BusError):
            chip.transfer(wire, 0 if len(wire) > 1 else 1)
    chip.transfer(b"\x2d\x00", 0)
    with pytest.raises(BusError, match="standby"):
        chip.transfer(b"\x2c\x82", 0)
