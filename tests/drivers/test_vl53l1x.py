"""VL53L1X: statuses, the boot, fresh ranges only, and lost configurations."""

import asyncio

import pytest

from drivers.bin.vl53l1x import DEFAULTS, Driver, Options, decode
from drivers.bin.vl53l1x.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C

D = Quantity.DISTANCE


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x29: chip}), 0x29, clock)


async def started(part):
    await part.start()
    return await part.measure()


def result(status, millimetres):
    return bytes([status]) + bytes(12) + millimetres.to_bytes(2)


@pytest.mark.parametrize("status", [9, 0x29, 0xE9])
def test_a_valid_range_is_in_metres(status):
    """The upper three bits of the status say other things (thresholds, the group of settings)."""
    assert decode(result(status, 1234)) == pytest.approx(1.234)


@pytest.mark.parametrize("raw", [0xFFFF, 0xFFE2, 0x8000])
def test_a_target_nearer_than_nothing_is_not_65_metres_away(raw):
    """The range has a sign, and a valid status says nothing of it: -1, -30 and -32768 mm."""
    assert decode(result(9, raw)) is Missing.OUT_OF_RANGE
    assert decode(result(9, 0)) == 0.0


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (4, Missing.NO_TARGET),
        (5, Missing.OUT_OF_RANGE),
        (7, Missing.OUT_OF_RANGE),
        (8, Missing.OUT_OF_RANGE),
        (6, Missing.UNRELIABLE),
        (19, Missing.UNRELIABLE),
        (0, Missing.NOT_READY),
        (18, Missing.NOT_READY),
        *((status, Missing.FAULT) for status in (1, 2, 3, 13, 22, 23, 31, 255)),
    ],
)
def test_every_other_status_is_missing_and_never_a_number(status, reason):
    assert decode(result(status, 300)) is reason


def test_no_status_but_one_gives_a_number():
    assert [status for status in range(32) if isinstance(decode(result(status, 300)), float)] == [9]


def test_the_defaults_are_eighty_eight_bytes_and_spare_the_status():
    """91 registers from 0x2D to 0x87, without the status at 0x31 and the two commands at the end."""
    indexes = [index for start, values in DEFAULTS.items() for index in range(start, start + len(values))]
    assert indexes == [*range(0x2D, 0x31), *range(0x32, 0x86)]
    block = DEFAULTS[0x32]
    assert block[0x46 - 0x32] == 0x20  # an interrupt for each new sample
    assert block[0x6C - 0x32 : 0x70 - 0x32].hex() == "00000f89"
    assert block[0x7F - 0x32] == 0xC7  # the centre of the field of view


@pytest.mark.parametrize("mode", ["short", "long"])
@pytest.mark.parametrize("budget", [0.02, 0.033, 0.05, 0.1, 0.2, 0.5])
def test_every_mode_and_budget(chip, clock, mode, budget):
    options = Options(mode=mode, budget=budget, period=2 * budget)
    part = Driver(EmulatedI2C({0x29: chip}), 0x29, clock, options)
    chip.set(D, 1.234)

    async def main():
        values = await started(part)
        began = clock.now
        for _ in range(5):
            await part.measure()
        return values, (clock.now - began) / 5

    values, each = asyncio.run(main())
    assert values == {D: pytest.approx(1.234)}
    assert each == pytest.approx(2 * budget, abs=0.006)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"budget": 0.015}, "in long mode"),
        ({"budget": 1.0}, "budget must be"),
        ({"period": 0.01}, "period must be"),
        ({"period": float("nan")}, "period must be"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_what_the_chip_reports_comes_through(chip, part):
    chip.status = 4
    assert asyncio.run(started(part)) == {D: Missing.NO_TARGET}


def test_short_mode_does_not_see_far(chip, clock):
    part = Driver(EmulatedI2C({0x29: chip}), 0x29, clock, Options(mode="short"))
    chip.set(D, 2.0)
    assert asyncio.run(started(part)) == {D: Missing.NO_TARGET}


def test_a_range_that_was_waiting_is_not_taken(chip, part, clock):
    """Minutes pass, the bin fills: the range that has been ready since is thrown away."""
    ranged = 0.0

    async def main():
        nonlocal ranged
        chip.set(D, 2.0)
        await started(part)
        clock.now += 300
        chip.set(D, 0.5)
        ranged = clock.now
        return await part.measure()

    assert asyncio.run(main()) == {D: pytest.approx(0.5)}
    assert clock.now > ranged


def test_the_boot_is_waited_for(chip, part, clock):
    """Freshly powered, the part NACKs for a millisecond."""
    chip.power_cycle()
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"\x01\x0f", 2)
    assert D in asyncio.run(started(part))


def test_a_slow_boot_is_waited_for_too(chip, clock):
    """As long as a brown-out on a long cable may draw it out, within three tries."""
    bus = EmulatedI2C({0x29: chip})
    bus.faults.extend([NoAcknowledge("booting")] * 2)
    assert D in asyncio.run(started(Driver(bus, 0x29, clock)))


def test_an_absent_part_is_told_after_three_tries(clock):
    bus = EmulatedI2C({})
    with pytest.raises(NoAcknowledge):
        asyncio.run(Driver(bus, 0x29, clock).start())
    assert bus.transfers == 3


def test_a_stray_boot_status_does_not_matter(chip, part):
    """After a restart of the host alone, 0x00E5 may read 2 although the part is ready."""
    chip.memory[0xE5] = 0x02
    assert D in asyncio.run(started(part))


def test_start_may_be_repeated_while_it_ranges(chip, part):
    async def main():
        await started(part)
        return await started(part)

    assert asyncio.run(main()) == {D: pytest.approx(1.0)}


def test_an_interrupt_that_is_active_low_is_understood(chip, part):
    """The meaning of the ready bit follows the polarity that the part has, not the one we wish for."""

    async def main():
        await part.start()
        chip.memory[0x30] = 0x11
        chip.set(D, 0.8)
        return await part.measure()

    assert asyncio.run(main()) == {D: pytest.approx(0.8)}


def test_a_part_that_does_not_range_is_a_fault(chip, part, clock):
    async def main():
        await started(part)
        chip.never_ready = True
        began = clock.now
        with pytest.raises(DeviceError, match="does not range"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) <= 0.27


def test_a_brown_out_is_seen_and_a_new_start_heals_it(chip, part, clock):
    async def main():
        await started(part)
        chip.power_cycle()
        clock.now += 0.01
        with pytest.raises(DeviceError, match="lost its configuration"):
            await part.measure()
        return await started(part)

    assert asyncio.run(main()) == {D: pytest.approx(1.0)}


@pytest.mark.parametrize("index", [0x10F, 0x110])
def test_another_model_is_refused(chip, part, index):
    chip.memory[index] ^= 0x01
    with pytest.raises(WrongDevice):
        asyncio.run(part.start())


def test_stop_turns_the_laser_off(chip, part, clock):
    async def main():
        await started(part)
        await part.stop()

    asyncio.run(main())
    clock.now += 10
    assert chip.memory[0x87] == 0x00
    assert not chip.transfer(b"\x00\x31", 1)[0] & 1


def test_the_chip_refuses_what_the_part_does(chip, clock):
    clock.now += 1
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"\x01", 1)
    for wire in (b"\x01\x0f\x00", b"\x00\x31\x00", b"\x00\x89\x09"):
        with pytest.raises(BusError):
            chip.transfer(wire, 0)
