"""INA226: the datasheet's worked example, the part through its own chip, and lost calibrations."""

import asyncio

import pytest

from drivers.bin.ina226 import Driver, Options, calibration, decode
from drivers.bin.ina226.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.ina2xx import signed

V, S, A, W = Quantity.VOLTAGE, Quantity.SHUNT_VOLTAGE, Quantity.CURRENT, Quantity.POWER


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x40: chip}), 0x40, clock)


async def started(part):
    await part.start()
    return await part.measure()


def test_the_datasheets_design_example():
    """Table 8-1: 20 mV over 2 mOhm, 11.98 V; calibration 2560, 10 A, 119.8 W."""
    assert calibration(0.002, 32.768) == 2560
    values = decode(8000, 9584, 4792, 10000, False, 0.001)
    assert values == {
        V: pytest.approx(11.98, abs=1e-9),
        S: pytest.approx(0.02, abs=1e-12),
        A: pytest.approx(10.0, abs=1e-9),
        W: pytest.approx(119.8, abs=1e-9),
    }


def test_the_chip_computes_the_datasheets_example(chip, clock):
    """The chip alone, on the wires: registers 8000, 9584, 10000, 4792."""
    chip.set(V, 11.98)
    chip.set(A, 10.0)
    chip.transfer(b"\x05\x0a\x00", 0)
    chip.transfer(b"\x00\x41\x27", 0)
    clock.now += 0.0025
    words = [int.from_bytes(chip.transfer(bytes([register]), 2)) for register in (1, 2, 4, 3)]
    assert words == [8000, 9584, 10000, 4792]


@pytest.mark.parametrize(("word", "value"), [(0, 0), (0x7FFF, 32767), (0x8000, -32768), (0xFFFF, -1)])
def test_words_are_signed(word, value):
    assert signed(word) == value


def test_current_flows_both_ways_and_power_is_a_magnitude(chip, part):
    chip.set(A, -12.5)
    values = asyncio.run(started(part))
    assert values[S] == pytest.approx(-0.025, abs=1e-6)
    assert values[A] == pytest.approx(-12.5, abs=0.002)
    assert values[W] == pytest.approx(150.0, abs=0.03)


@pytest.mark.parametrize(
    ("options", "shunt"),
    [
        (Options(shunt=0.1, max_current=0.8), 0.1),
        (Options(shunt=0.01, max_current=5.0, average=1024, conversion=0.008244), 0.01),
        (Options(shunt=0.0015, max_current=20.0, average=1, conversion=0.00014), 0.0015),
    ],
)
def test_other_shunts_and_averages(clock, options, shunt):
    """The step that the truncated calibration really gives is used, not the one that was wished for."""
    chip = Emulated(clock, shunt)
    part = Driver(EmulatedI2C({0x45: chip}), 0x45, clock, options)
    chip.set(A, 0.7)
    chip.set(V, 24.0)
    values = asyncio.run(started(part))
    assert values[A] == pytest.approx(0.7, abs=2.5e-6 / shunt)
    assert values[W] == pytest.approx(0.7 * 24, abs=24 * 2.5e-6 / shunt + 25 * options.max_current / 32768)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shunt": 0.0}, "above 0"),
        ({"max_current": -1.0}, "above 0"),
        ({"shunt": float("nan")}, "above 0"),
        ({"shunt": 0.1}, "81.92 mV"),
        ({"shunt": 1e-5, "max_current": 0.1}, "no calibration"),
        ({"average": 3}, "average must be"),
        ({"conversion": 0.5}, "conversion must be"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_a_current_beyond_the_calibration_is_an_overflow(clock):
    chip = Emulated(clock)
    part = Driver(EmulatedI2C({0x40: chip}), 0x40, clock, Options(max_current=10.0))
    chip.set(A, 12.0)
    values = asyncio.run(started(part))
    assert (values[A], values[W]) == (Missing.FAULT, Missing.FAULT)
    assert values[S] == pytest.approx(0.024, abs=1e-6)
    assert values[V] == pytest.approx(12.0, abs=1e-3)


@pytest.mark.parametrize("amperes", [45.0, -45.0])
def test_a_shunt_at_its_rail_is_out_of_range(chip, part, amperes):
    chip.set(A, amperes)
    values = asyncio.run(started(part))
    assert [values[each] for each in (S, A, W)] == [Missing.OUT_OF_RANGE] * 3
    assert values[V] == pytest.approx(12.0, abs=1e-3)


def test_a_bus_at_its_rail_is_out_of_range_and_a_set_sign_bit_a_fault():
    """And so is the power that the part reckoned with it."""
    values = decode(8000, 0x7FFF, 13107, 10000, False, 0.001)
    assert values[V] is values[W] is Missing.OUT_OF_RANGE
    assert values[A] == pytest.approx(10.0)
    with pytest.raises(DeviceError, match="bit 15"):
        decode(0, 0x8000, 0, 0, False, 0.001)


def test_a_brown_out_is_seen_and_a_new_start_heals_it(chip, part):
    async def main():
        chip.set(A, 5.0)
        await started(part)
        chip.power_cycle()
        with pytest.raises(DeviceError, match="lost"):
            await part.measure()
        return await started(part)

    assert asyncio.run(main())[A] == pytest.approx(5.0, abs=0.002)


def test_a_brown_out_in_the_middle_of_a_measurement_is_seen(chip, clock):
    """The calibration is gone after the conversion was seen ready: the current would be a plausible 0."""
    transfers = 0
    seen = []

    def count():
        nonlocal transfers
        transfers += 1
        if transfers == cut:
            chip.power_cycle()
            clock.now += 1

    for late in range(1, 7):
        transfers, cut = 0, -1
        part = Driver(EmulatedI2C({0x40: chip}, before=count), 0x40, clock)
        chip.set(A, 5.0)
        asyncio.run(part.start())
        cut = transfers + late
        try:
            seen.append(asyncio.run(part.measure())[A])
        except DeviceError:
            seen.append(None)
    assert set(seen) == {None}


def test_a_conversion_that_never_ends_is_a_fault(chip, part, clock):
    async def main():
        await started(part)
        chip.never_ready = True
        began = clock.now
        with pytest.raises(DeviceError, match="never became ready"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) < 0.1


def test_each_measurement_is_of_its_own_time(chip, part):
    async def main():
        await started(part)
        chip.set(A, 7.0)
        return await part.measure()

    assert asyncio.run(main())[A] == pytest.approx(7.0, abs=0.002)


@pytest.mark.parametrize("register", [0xFE, 0xFF])
def test_another_identity_is_refused(chip, part, register):
    chip.registers[register] ^= 0x0100
    with pytest.raises(WrongDevice):
        asyncio.run(part.start())


def test_stop_leaves_it_powered_down(chip, part):
    async def main():
        await started(part)
        await part.stop()

    asyncio.run(main())
    assert chip.registers[0] & 0b111 == 0


def test_the_chip_refuses_what_the_part_does(chip):
    for wire in (b"\x08", b"\x05\x0a"):
        with pytest.raises(NoAcknowledge):
            chip.transfer(wire, 0)
    for wire in (b"\x04\x00\x01", b"\x05\x80\x00", b"\x00\x31\x27"):
        with pytest.raises(BusError):
            chip.transfer(wire, 0)
