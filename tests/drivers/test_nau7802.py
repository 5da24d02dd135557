"""NAU7802: the examples, its own chip, and what is no weight."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bin.nau7802 import Driver, Options, decode, decode_counts, probe
from drivers.bin.nau7802.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from tests.drivers.test_vectors import OneTarget, Registers, of

W = Quantity.WEIGHT
PLAIN = Options(factor=1.0, capacity=1e5)


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x2A: chip}), 0x2A, clock)


async def started(part):
    await part.start()
    return (await part.measure())[W]


def memory(device):
    """A plain memory that is always powered and ready and whose calibration ends at once."""
    registers = Registers(device)

    def answer(write, read):
        raw = bytearray(registers.transfer(write, read))
        for at in range(len(raw)):
            raw[at] = {0x00: raw[at] | 0x28, 0x02: raw[at] & ~0x04}.get(write[0] + at, raw[at])
        return bytes(raw)

    return OneTarget(0x2A, answer)


@pytest.mark.parametrize("vector", of("NAU7802"), ids=lambda vector: vector["id"])
def test_examples(vector, clock):
    expected = vector["expected"]
    part = Driver(memory(vector["device"]), 0x2A, clock, Options(zero=12034, factor=210.5e3))
    assert asyncio.run(started(part)) == pytest.approx(expected["weight"]["value"] / 1000, abs=1e-5)
    raw = Driver(memory(vector["device"]), 0x2A, clock, Options(factor=1.0, capacity=9e5, zero=4e6))
    assert asyncio.run(started(raw)) in (expected["raw"]["value"] - 4e6, Missing.OUT_OF_RANGE)


@pytest.mark.parametrize(
    ("raw", "counts"),
    [("002f02", 12034), ("406c52", 4222034), ("fdb13e", -151234), ("ffffff", -1), ("800000", -(1 << 23))],
)
def test_counts_are_signed(raw, counts):
    assert decode_counts(bytes.fromhex(raw)) == counts


@given(
    st.integers(-8388607, 8388606),
    st.integers(-1000000, 1000000),
    st.floats(1e3, 1e6) | st.floats(-1e6, -1e3),
)
def test_a_weight_is_finite_or_missing(counts, zero, factor):
    value = decode([counts], Options(zero=zero, factor=factor))
    if isinstance(value, float):
        assert value * factor + zero == pytest.approx(counts, abs=1e-3)
        assert abs(value) <= 100


@pytest.mark.parametrize("counts", [0x7FFFFF, -0x800000])
def test_a_rail_is_out_of_range_also_among_others(counts):
    wide = Options(factor=1e3, capacity=1e5)
    assert decode([counts], wide) is Missing.OUT_OF_RANGE
    assert decode([5, counts, 5], wide) is Missing.OUT_OF_RANGE


def test_a_weight_below_zero_and_a_cell_upside_down():
    assert decode([-151234], Options(zero=12034, factor=1000.0, capacity=1e3)) == pytest.approx(-163.268)
    assert decode([-151234], Options(zero=12034, factor=-1000.0, capacity=1e3)) == pytest.approx(163.268)


@pytest.mark.parametrize("kilograms", [101.0, -101.0])
def test_a_weight_beyond_the_capacity_is_out_of_range(kilograms):
    assert decode([round(kilograms * 1000)], Options(factor=1000.0)) is Missing.OUT_OF_RANGE


def test_the_mean_is_taken():
    assert decode([1, 2, 3, 6], PLAIN) == 3.0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"zero": 1e7}, "zero"),
        ({"zero": float("nan")}, "zero"),
        ({"factor": 0.0}, "factor"),
        ({"factor": float("inf")}, "factor"),
        ({"capacity": 0.0}, "capacity"),
        ({"supply": 5.0}, "supply"),
        ({"average": 0}, "average"),
        ({"average": 65}, "average"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


@pytest.mark.parametrize("rate", [10, 20, 40, 80, 320])
@pytest.mark.parametrize("gain", [64, 128])
def test_every_rate_and_gain(chip, clock, rate, gain):
    options = Options(rate=rate, gain=gain, factor=85899.0 * gain / 128)
    chip.set(W, 20.0)
    part = Driver(EmulatedI2C({0x2A: chip}), 0x2A, clock, options)
    assert asyncio.run(started(part)) == pytest.approx(20.0, abs=0.001)


def test_zero_and_factor_are_the_cells(chip, clock):
    chip.tare = -40_000
    chip.set(W, 12.5)
    part = Driver(EmulatedI2C({0x2A: chip}), 0x2A, clock, Options(zero=-40_000))
    assert asyncio.run(started(part)) == pytest.approx(12.5, abs=0.001)


def test_the_chip_gives_the_datasheets_counts(chip, clock):
    """The chip alone, on the wires: full scale is half the reference over the gain (8.2)."""
    for wire in ("0002", "0086", "012f", "0200"):
        chip.transfer(bytes.fromhex(wire), 0)
    clock.now += 1.0
    for wire in ("0204", "0096"):
        chip.transfer(bytes.fromhex(wire), 0)
    chip.set(W, 50.0)  # 2 mV/V: 0.512 of full scale
    clock.now += 1.05
    chip.transfer(b"\x00", 1)
    clock.now += 0.5
    assert chip.transfer(b"\x00", 1)[0] & 0x28 == 0x28
    assert int.from_bytes(chip.transfer(b"\x12", 3)) == pytest.approx(0.512 * (1 << 23), abs=2)
    assert chip.transfer(b"\x00", 1)[0] & 0x20 == 0


def test_a_silent_part_is_an_error_and_not_an_empty_bin(chip, clock):
    """A released driver swallows the missing acknowledgement and tells 0 g."""
    bus = EmulatedI2C({0x2A: chip})
    part = Driver(bus, 0x2A, clock)
    asyncio.run(started(part))
    bus.chips.clear()
    with pytest.raises(NoAcknowledge):
        asyncio.run(part.measure())


def test_an_unplugged_cell_is_out_of_range(chip, part):
    async def main():
        await started(part)
        chip.unplugged = True
        return (await part.measure())[W], (await part.measure())[W]

    assert asyncio.run(main())[1] is Missing.OUT_OF_RANGE


def test_a_cell_that_stays_unplugged_stays_out_of_range(chip, part):
    """A rail repeats itself for ever: that is not a frozen converter."""

    async def main():
        chip.unplugged = True
        await part.start()
        return {(await part.measure())[W] for _ in range(10)}

    assert asyncio.run(main()) == {Missing.OUT_OF_RANGE}


def test_a_failed_calibration_is_a_fault(chip, part):
    chip.calibration_error = True
    with pytest.raises(DeviceError, match="CAL_ERR"):
        asyncio.run(part.start())


def test_a_calibration_that_never_ends_is_a_fault(chip, part, clock):
    chip.held = {0x02: 0x04}
    with pytest.raises(DeviceError, match="end of the calibration within 1 s"):
        asyncio.run(part.start())
    assert clock.now < 2


def test_a_part_without_power_is_a_fault(chip, part):
    chip.held = {0x00: 0x02}
    with pytest.raises(DeviceError, match="no power"):
        asyncio.run(part.start())


def test_a_part_that_does_not_convert_is_a_fault(chip, part, clock):
    async def main():
        await started(part)
        chip.never_ready = True
        began = clock.now
        with pytest.raises(DeviceError, match="does not convert"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) <= 0.31


def test_a_frozen_converter_is_a_fault(chip, part):
    async def main():
        chip.frozen = True
        chip.set(W, 3.3)
        await part.start()
        for _ in range(3):
            await part.measure()
        with pytest.raises(DeviceError, match="frozen"):
            await part.measure()

    asyncio.run(main())


def test_each_measurement_is_of_its_own_time(chip, part, clock):
    """What waits in the part after minutes is of the time before."""

    async def main():
        await started(part)
        clock.now += 600
        chip.transfer(b"\x00", 1)
        chip.set(W, 30.0)
        return (await part.measure())[W]

    assert asyncio.run(main()) == pytest.approx(30.0, abs=0.001)


def test_a_conversion_read_too_late_is_read_again(chip, clock):
    """The program is held up between the look and the read: the next conversion may fall into the bytes."""
    delays = []

    class Slow(EmulatedI2C):
        async def transfer(self, address, write=b"", read=0):
            if write == b"\x12" and delays:
                clock.now += delays.pop()
            return await super().transfer(address, write, read)

    part = Driver(Slow({0x2A: chip}), 0x2A, clock, Options(average=1))

    async def main():
        await part.start()
        delays.extend([0.0, 0.3, 0.15, 0.0])
        chip.set(W, 8.0)
        weight = (await part.measure())[W]
        assert not delays
        delays.extend([0.2] * 9)
        with pytest.raises(DeviceError, match="slow bus"):
            await part.measure()
        return weight

    assert asyncio.run(main()) == pytest.approx(8.0, abs=0.001)


def test_a_brown_out_is_seen_and_a_new_start_heals_it(chip, part):
    async def main():
        chip.set(W, 8.0)
        await started(part)
        chip.power_cycle()
        with pytest.raises(DeviceError):
            await part.measure()
        return await started(part)

    assert asyncio.run(main()) == pytest.approx(8.0, abs=0.001)


def test_a_brown_out_at_any_moment_of_a_measurement_is_seen(chip, clock):
    left = -1

    def before():
        nonlocal left
        left -= 1
        if left == 0:
            chip.power_cycle()

    part = Driver(EmulatedI2C({0x2A: chip}, before=before), 0x2A, clock, Options(average=1))
    chip.set(W, 8.0)
    seen = []
    for late in range(1, 40):
        asyncio.run(part.start())
        left = late
        try:
            seen.append(asyncio.run(part.measure())[W])
        except DeviceError:
            seen.append(None)
        if left > 0:
            break
    assert seen.pop() == pytest.approx(8.0, abs=0.001)
    assert len(seen) > 5
    assert set(seen) == {None}


@pytest.mark.parametrize("register", [0x01, 0x02])
def test_a_changed_setting_is_seen(chip, part, register):
    async def main():
        await started(part)
        chip.registers[register] ^= 0x10
        with pytest.raises(DeviceError, match="lost them"):
            await part.measure()

    asyncio.run(main())


@pytest.mark.parametrize("code", [0x00, 0xFF, 0x0E])
def test_another_part_is_refused(chip, part, code):
    chip.registers[0x1F] = code
    with pytest.raises(WrongDevice):
        asyncio.run(part.start())


def test_stop_takes_the_cells_supply_away(chip, part):
    async def main():
        await started(part)
        await part.stop()

    asyncio.run(main())
    assert chip.registers[0x00] & 0x96 == 0


def test_the_probe_knows_the_part_and_changes_nothing(chip, clock):
    before = bytes(chip.registers)
    assert asyncio.run(probe(EmulatedI2C({0x2A: chip}), 0x2A, clock)) == "revision code 0x0f"
    assert bytes(chip.registers) == before


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_probe_refuses_other_parts_and_absent_ones(chip, clock, byte):
    chip.held = dict.fromkeys(range(0x20), byte)
    assert asyncio.run(probe(EmulatedI2C({0x2A: chip}), 0x2A, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x2A, clock)) is None


@pytest.mark.parametrize(
    ("wire", "read"), [(b"\x12\x00", 0), (b"\x1f\x00", 0), (b"\x02\x44", 0), (b"\x1e", 3), (b"", 1)]
)
def test_the_chip_refuses_what_the_part_does(chip, wire, read):
    with pytest.raises(BusError):
        chip.transfer(wire, read)


def test_the_chip_needs_power_time_and_calibration(chip, clock):
    """Whoever does not wait, or does not calibrate, weighs something on an empty cell."""

    def converted():
        chip.transfer(b"\x12", 3)
        clock.now += 0.11
        return int.from_bytes(chip.transfer(b"\x12", 3))

    for wire in ("0002", "0096", "012f"):
        chip.transfer(bytes.fromhex(wire), 0)
    assert converted() > 400_000
    clock.now += 1.0
    assert converted() == pytest.approx(30_000, abs=2)
    chip.transfer(b"\x02\x04", 0)
    clock.now += 1.0
    assert converted() <= 1
