"""INA219: the examples, the datasheet's design example, its own chip, and lost calibrations."""

import asyncio

import pytest

from drivers.bin.ina219 import AVERAGES, Driver, Options, calibration, decode, probe
from drivers.bin.ina219.chip import Emulated
from drivers.bin.ina226.chip import Emulated as Ina226
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.ina2xx import signed
from tests.drivers.test_vectors import OneTarget, Registers, of

V, S, A, W = Quantity.VOLTAGE, Quantity.SHUNT_VOLTAGE, Quantity.CURRENT, Quantity.POWER
NAMES = {"bus_voltage": V, "shunt_voltage": S, "current": A, "power": W}


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x40: chip}), 0x40, clock)


async def started(part):
    await part.start()
    return await part.measure()


@pytest.mark.parametrize("vector", of("INA219"), ids=lambda vector: vector["id"])
def test_examples(vector, clock):
    """On a plain memory, which keeps what the driver writes."""
    bus = OneTarget(0x40, Registers(vector["device"], words=True).transfer)
    values = asyncio.run(started(Driver(bus, 0x40, clock)))
    if vector["kind"] == "fault":
        assert {values[each] for each in (S, A, W)} == {Missing.OUT_OF_RANGE}
        return
    for name, quantity in NAMES.items():
        wanted = vector["expected"][name]
        assert values[quantity] == pytest.approx(wanted["value"], abs=wanted["tol"])


def test_the_datasheets_design_example():
    """Table 8: 12 V, 10 A through 2 mOhm: calibration 0x5000, shunt 2000, bus 0x5D98, power 0x1766."""
    assert calibration(0.002, 32.0) == 0x5000
    values = decode(2000, 0x5D98, 0x1766, 0x2710, 0, 1e-3)
    assert values[S] == pytest.approx(0.02, abs=1e-9)
    assert values[V] == pytest.approx(11.98, abs=1e-9)
    assert values[A] == pytest.approx(10.0, abs=1e-9)
    assert values[W] == pytest.approx(119.8, abs=1e-9)


def test_the_chip_computes_the_datasheets_example(clock):
    """The chip alone, on the wires: registers 2000, 0x5D98, 0x2710, 0x1766 (Table 8)."""
    chip = Emulated(clock, 0.002)
    chip.set(V, 11.98)
    chip.set(A, 10.0)
    chip.transfer(b"\x05\x50\x00", 0)
    chip.transfer(b"\x00\x01\x9f", 0)
    clock.now += 0.002
    words = [int.from_bytes(chip.transfer(bytes([register]), 2)) for register in (1, 4, 2, 3)]
    assert words == [2000, 0x2710, 0x5D98 | 0x02, 0x1766]


def test_the_usual_board_has_the_usual_calibration():
    assert calibration(0.1, 3.2) == 4096


@pytest.mark.parametrize(("word", "value"), [(0, 0), (0x7FFF, 32767), (0x8000, -32768), (0xFFFF, -1)])
def test_words_are_signed(word, value):
    assert signed(word) == value


@pytest.mark.parametrize("power", [0x0400, 0xFC00])
def test_a_negative_current_needs_no_sign_of_the_power_word(power):
    """Two's complement or magnitude: the datasheet does not say which, so it is not asked."""
    values = decode(0x10000 - 1000, 3000 << 3, power, 0x10000 - 1000, 0, 1e-3)
    assert (values[A], values[W]) == (pytest.approx(-1.0), pytest.approx(12.0))


def test_current_flows_both_ways_and_power_is_a_magnitude(chip, part):
    chip.set(A, -2.5)
    values = asyncio.run(started(part))
    assert values[S] == pytest.approx(-0.25, abs=1e-5)
    assert values[A] == pytest.approx(-2.5, abs=2e-4)
    assert values[W] == pytest.approx(30.0, abs=0.01)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize(
    ("shunt", "current"), [(0.1, 0.4), (0.1, 0.8), (0.1, 1.6), (0.1, 3.2), (0.01, 20.0), (0.002, 15.0)]
)
def test_other_shunts_gains_and_averages(clock, average, shunt, current):
    """The step that the truncated calibration really gives is used, not the one that was wished for."""
    chip = Emulated(clock, shunt)
    options = Options(shunt=shunt, max_current=current, average=average)
    part = Driver(EmulatedI2C({0x45: chip}), 0x45, clock, options)
    chip.set(A, 0.9 * current)
    chip.set(V, 24.0)
    values = asyncio.run(started(part))
    assert values[A] == pytest.approx(0.9 * current, abs=10e-6 / shunt + current / 32000)
    assert values[W] == pytest.approx(0.9 * current * 24, rel=2e-3, abs=0.02)


def test_the_finest_gain_is_chosen(chip, clock):
    """40 mV at the most: what is beyond is a rail, not a number."""
    part = Driver(EmulatedI2C({0x40: chip}), 0x40, clock, Options(max_current=0.4))
    chip.set(A, 0.5)
    values = asyncio.run(started(part))
    assert [values[each] for each in (S, A, W)] == [Missing.OUT_OF_RANGE] * 3
    assert chip.registers[0] >> 11 & 3 == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shunt": 0.0}, "above 0"),
        ({"max_current": -1.0}, "above 0"),
        ({"shunt": float("nan")}, "above 0"),
        ({"max_current": 3.3}, "320 mV"),
        ({"shunt": 0.001, "max_current": 10.0}, "no calibration"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_an_overflow_is_a_fault_of_current_and_power_alone():
    """OVF "indicates that current and power data may be meaningless"."""
    values = decode(1000, 3000 << 3 | 3, 77, 1000, 3, 1e-4)
    assert (values[A], values[W]) == (Missing.FAULT, Missing.FAULT)
    assert values[S] == pytest.approx(0.01)
    assert values[V] == pytest.approx(12.0)


def test_the_chip_reports_an_overflow_that_the_driver_tells(chip, part):
    async def main():
        await part.start()
        chip.registers[5] = 0xFFFE  # another program's: 3 A no longer fit
        chip.set(A, 3.0)
        with pytest.raises(DeviceError, match="lost"):
            await part.measure()
        return chip.transfer(b"\x02", 2)[1]

    assert asyncio.run(main()) & 0x01


@pytest.mark.parametrize("amperes", [4.0, -4.0])
def test_a_shunt_at_its_rail_is_out_of_range(chip, part, amperes):
    chip.set(A, amperes)
    values = asyncio.run(started(part))
    assert [values[each] for each in (S, A, W)] == [Missing.OUT_OF_RANGE] * 3
    assert values[V] == pytest.approx(12.0, abs=1e-3)


def test_a_bus_at_its_rail_is_out_of_range_and_a_set_bit_2_a_fault():
    values = decode(100, 8000 << 3 | 2, 5, 100, 3, 1e-4)
    assert (values[V], values[W]) == (Missing.OUT_OF_RANGE, Missing.OUT_OF_RANGE)
    assert values[A] == pytest.approx(0.01)
    with pytest.raises(DeviceError, match="bit 2"):
        decode(0, 0x0004, 0, 0, 0, 0.001)


def test_a_brown_out_is_seen_and_a_new_start_heals_it(chip, part):
    async def main():
        chip.set(A, 2.0)
        await started(part)
        chip.power_cycle()
        with pytest.raises(DeviceError, match="lost"):
            await part.measure()
        return await started(part)

    assert asyncio.run(main())[A] == pytest.approx(2.0, abs=2e-4)


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

    for late in range(1, 8):
        transfers, cut = 0, -1
        part = Driver(EmulatedI2C({0x40: chip}, before=count), 0x40, clock)
        chip.set(A, 2.0)
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


def test_a_result_that_nobody_fetched_is_not_taken_for_the_next(chip, part, clock):
    """A slow conversion after one whose result was left: READY is still set from before."""

    async def main():
        chip.set(A, 1.0)
        await part.start()
        chip.transfer(b"\x00" + (part._configuration | 0b011).to_bytes(2), 0)
        clock.now += 1.0
        chip.transfer(b"\x02", 2)
        chip.set(A, 2.0)
        chip.slow = 1.5
        return await part.measure()

    assert asyncio.run(main())[A] == pytest.approx(2.0, abs=2e-4)


def test_each_measurement_is_of_its_own_time(chip, part):
    async def main():
        await started(part)
        chip.set(A, 1.7)
        return await part.measure()

    assert asyncio.run(main())[A] == pytest.approx(1.7, abs=2e-4)


def test_an_ina226_is_refused(clock):
    with pytest.raises(WrongDevice, match="INA226"):
        asyncio.run(Driver(EmulatedI2C({0x40: Ina226(clock)}), 0x40, clock).start())


def test_stop_leaves_it_powered_down(chip, part):
    async def main():
        await started(part)
        await part.stop()

    asyncio.run(main())
    assert chip.registers[0] & 0b111 == 0


@pytest.mark.parametrize("working", [False, True])
def test_the_probe_knows_the_part_and_changes_nothing(chip, clock, working):
    async def main():
        bus = EmulatedI2C({0x44: chip})
        chip.set(A, -1.3)
        if working:
            await started(Driver(bus, 0x44, clock))
        before = dict(chip.registers)
        told = await probe(bus, 0x44, clock)
        assert chip.registers == before
        return told

    assert ("calibration 4096" if working else "0x399f") in asyncio.run(main())


PCA9685 = dict(enumerate((0x1111, 0x0404, 0xE2E2, 0xE4E4, 0xE8E8, 0xE0E0)))
"""Its bytes as words, each register twice: without auto-increment it stays at one."""


@pytest.mark.parametrize(
    "registers", [dict.fromkeys(range(6), 0x0000), dict.fromkeys(range(6), 0xFFFF), PCA9685]
)
def test_the_probe_refuses_other_parts(chip, clock, registers):
    chip.held = registers
    assert asyncio.run(probe(EmulatedI2C({0x40: chip}), 0x40, clock)) is None


def test_the_probe_refuses_an_ina226_and_an_absent_part(clock):
    assert asyncio.run(probe(EmulatedI2C({0x40: Ina226(clock)}), 0x40, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x40, clock)) is None


def test_the_chip_refuses_what_the_part_does(chip):
    for wire in (b"\x06", b"\xfe", b"\x05\x0a"):
        with pytest.raises(NoAcknowledge):
            chip.transfer(wire, 0)
    for wire in (b"\x04\x00\x01", b"\x00\x41\x27"):
        with pytest.raises(BusError):
            chip.transfer(wire, 0)
    chip.transfer(b"\x05\x10\x01", 0)
    assert chip.registers[5] == 0x1000
