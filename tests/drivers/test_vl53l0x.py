"""VL53L0X: the examples, ST's timing, its own chip, and what is no distance."""

import asyncio

import pytest

from drivers.bin.vl53l0x import Driver, Options, chosen, decode, encode_timeout, final_clocks, probe
from drivers.bin.vl53l0x.chip import Emulated
from drivers.bin.vl53l1x.chip import Emulated as Vl53l1x
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from tests.drivers.test_vectors import OneTarget, Registers, of

D = Quantity.DISTANCE


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def part(chip, clock):
    return Driver(EmulatedI2C({0x29: chip}), 0x29, clock)


async def started(part):
    await part.start()
    return (await part.measure())[D]


@pytest.mark.parametrize("vector", of("VL53L0X"), ids=lambda vector: vector["id"])
def test_examples(vector, clock):
    """On a plain memory without pages, whose memory of its photodiodes answers at once (0x83)."""
    memory = Registers(vector["device"])
    memory.memory |= {0xB0 + at: b"\xff" for at in range(6)}

    def answer(write, read):
        memory.memory[0x83] = b"\x01"
        return memory.transfer(write, read)

    wanted = vector["expected"]["range"]
    assert asyncio.run(started(Driver(OneTarget(0x29, answer), 0x29, clock))) == wanted["value"] / 1000


@pytest.mark.parametrize("vector", of("VL53L0X"), ids=lambda vector: vector["id"])
def test_examples_on_the_chip(vector, chip, part):
    chip.held = {int(at, 16): int(value, 16) for at, value in vector["device"]["regs"].items()}
    for configured in (0x50, 0x51, 0x52, 0x70, 0x71, 0x72):
        del chip.held[configured]
    assert asyncio.run(started(part)) == vector["expected"]["range"]["value"] / 1000


def frame(status, millimetres):
    return bytes([status << 3 | 0x03, *bytes(9)]) + millimetres.to_bytes(2)


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        (0, Missing.NOT_READY),
        (1, Missing.FAULT),
        (2, Missing.FAULT),
        (3, Missing.FAULT),
        (4, Missing.NO_TARGET),
        (5, Missing.NO_TARGET),
        (6, Missing.OUT_OF_RANGE),
        (7, Missing.UNRELIABLE),
        (8, Missing.UNRELIABLE),
        (9, Missing.OUT_OF_RANGE),
        (10, Missing.OUT_OF_RANGE),
        (15, Missing.FAULT),
    ],
)
def test_only_a_complete_range_is_a_distance(status, missing):
    assert decode(frame(status, 812)) is missing


def test_the_status_lies_in_the_middle_of_its_byte():
    assert decode(frame(11, 812)) == 0.812
    assert decode(b"\xd8" + frame(11, 95)[1:]) == 0.095  # bit 7 is not part of it


@pytest.mark.parametrize("millimetres", [8190, 8191, 65535])
def test_eight_metres_is_nothing_whatever_the_status(millimetres):
    assert decode(frame(11, millimetres)) is Missing.NO_TARGET


def test_offset_and_nearest():
    assert decode(frame(11, 100), offset=-0.02, nearest=0.05) == pytest.approx(0.08)
    assert decode(frame(11, 60), offset=-0.02, nearest=0.05) is Missing.OUT_OF_RANGE
    assert decode(frame(11, 10), offset=-0.02) is Missing.OUT_OF_RANGE


@pytest.mark.parametrize(("clocks", "raw"), [(509, "01fe"), (151, "0096"), (1, "0000"), (257, "0180")])
def test_timeouts_are_coded_as_st_does(clocks, raw):
    """0x01FE is 254 << 1, plus one: 509 macro periods, the tuned final range."""
    assert encode_timeout(clocks).hex() == raw


def test_the_tuned_timing_is_about_thirty_three_milliseconds(chip):
    """DS11555: 33 ms by default. The chip adds up its own registers."""
    assert final_clocks(0.03123) == pytest.approx(509, abs=1)
    chip.memory[0x46], chip.memory[0x50], chip.memory[0x70] = 0x25, 0x06, 0x04
    chip.memory[0x51:0x53], chip.memory[0x71:0x73] = b"\x00\x96", b"\x01\xfe"
    assert chip._duration() == pytest.approx(0.0312, abs=0.0002)


@pytest.mark.parametrize("budget", [0.02, 0.033, 0.1, 0.5, 1.0])
def test_every_budget_is_kept(chip, clock, budget):
    """The part ranges as long as it may: no longer, and not much shorter (its timeout is coarse)."""
    part = Driver(EmulatedI2C({0x29: chip}), 0x29, clock, Options(budget=budget))

    async def main():
        await part.start()
        assert 0.98 * budget - 0.001 <= chip._duration() <= budget
        return (await part.measure())[D]

    assert asyncio.run(main()) == 0.5


@pytest.mark.parametrize(
    "options",
    [{"budget": 0.019}, {"budget": 1.1}, {"budget": float("nan")}, {"offset": 0.2}, {"nearest": -0.1}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)


def test_the_first_good_photodiodes_are_chosen():
    assert chosen(bytes.fromhex("ffffffffffff"), 5, False).hex() == "1f0000000000"
    assert chosen(bytes.fromhex("ffffffffffff"), 5, True).hex() == "00f001000000"
    assert chosen(bytes.fromhex("000050150102"), 5, True).hex() == "000050150000"


@pytest.mark.parametrize(("good", "count"), [("000000000000", 5), ("000010000000", 2), ("ffffffffffff", 0)])
def test_too_few_photodiodes_are_a_fault(good, count):
    with pytest.raises(DeviceError, match="photodiodes"):
        chosen(bytes.fromhex(good), count, True)


@pytest.mark.parametrize("aperture", [False, True])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_parts_differ_in_their_photodiodes(chip, part, aperture, count):
    chip.spads, chip.good = (count, aperture), bytes.fromhex("ff30f0ff8101")
    chip.power_cycle()
    assert asyncio.run(started(part)) == 0.5


def test_nothing_within_reach(chip, part):
    chip.set(D, 3.0)
    assert asyncio.run(started(part)) is Missing.NO_TARGET


def test_a_failing_laser_is_a_fault(chip, part):
    chip.status = 1
    assert asyncio.run(started(part)) is Missing.FAULT


def test_a_smear_reads_near_and_the_place_tells_that_it_cannot_be(chip, clock):
    bus = EmulatedI2C({0x29: chip})
    chip.smear = 0.06
    assert asyncio.run(started(Driver(bus, 0x29, clock))) == 0.06
    strict = Driver(bus, 0x29, clock, Options(nearest=0.1))
    assert asyncio.run(started(strict)) is Missing.OUT_OF_RANGE


def test_each_measurement_is_of_its_own_time(chip, part):
    async def main():
        await started(part)
        chip.set(D, 0.9)
        return (await part.measure())[D]

    assert asyncio.run(main()) == 0.9


def test_a_range_left_behind_by_a_failed_measurement_is_not_taken(chip, clock):
    """The transfer that reads the result fails; the next measurement has a slower target."""
    bus = EmulatedI2C({0x29: chip})
    part = Driver(bus, 0x29, clock, Options(budget=0.02))

    async def main():
        await part.start()
        chip.set(D, 0.2)
        for wire in ("8001", "ff01", "913c", "ff00", "8000", "0001"):
            await bus.transfer(0x29, bytes.fromhex(wire))
        clock.now += 1
        await bus.transfer(0x29, b"\x13", 1)
        chip.set(D, 0.7)
        chip.memory[0x72] = 0xFF  # slower than its budget
        chip.memory[0x71] = 0x03
        with pytest.raises(DeviceError, match="lost"):
            await part.measure()
        return chip.memory[0x1E:0x20]

    assert asyncio.run(main()) == (700).to_bytes(2)


def test_a_range_that_never_comes_is_a_fault(chip, part, clock):
    async def main():
        await started(part)
        chip.never_ready = True
        began = clock.now
        with pytest.raises(DeviceError, match="does not range"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) < 0.2


def test_a_memory_that_does_not_answer_is_a_fault(chip, part, clock):
    chip.mute = True
    with pytest.raises(DeviceError, match="memory does not answer"):
        asyncio.run(part.start())
    assert clock.now < 0.2


def test_a_brown_out_is_seen_and_a_new_start_heals_it(chip, part, clock):
    async def main():
        await started(part)
        chip.power_cycle()
        clock.now += 0.1
        with pytest.raises(DeviceError):
            await part.measure()
        return await started(part)

    assert asyncio.run(main()) == 0.5


def test_a_brown_out_at_any_moment_of_a_measurement_is_seen(chip, clock):
    """The result registers are zero then, and a status of 0 would pass for "not ready" for ever."""
    left = -1

    def before():
        nonlocal left
        left -= 1
        if left == 0:
            chip.power_cycle()
            clock.now += 0.1

    seen = set()
    for late in range(1, 16):
        part = Driver(EmulatedI2C({0x29: chip}, before=before), 0x29, clock)
        asyncio.run(started(part))
        left = late
        try:
            seen.add(asyncio.run(part.measure())[D])
        except (BusError, DeviceError):
            seen.add(None)
    assert seen == {None}


@pytest.mark.parametrize("page", [1, 6, 7])
def test_a_part_left_on_another_page_starts_all_the_same(chip, part, page):
    """Where a start or a measurement fails between two of its transfers, the page stays what it was."""
    chip.transfer(bytes((0xFF, page)), 0)
    assert asyncio.run(started(part)) == 0.5


@pytest.mark.parametrize("page", [0, 1])
def test_stop_works_on_any_page(chip, part, page):
    async def main():
        await part.start()
        for wire in ("8001", "ff01", "913c", "ff00", "8000", "0001"):
            chip.transfer(bytes.fromhex(wire), 0)
        assert chip._busy is not None
        chip.transfer(bytes((0xFF, page)), 0)
        await part.stop()

    asyncio.run(main())
    assert chip._busy is None


@pytest.mark.parametrize("identity", [b"\xea\xcc\x10", b"\xee\xaa\x11", bytes(3)])
def test_another_identity_is_refused(chip, part, identity):
    chip.identity = identity
    with pytest.raises(WrongDevice):
        asyncio.run(part.start())


def test_a_part_that_boots_is_waited_for(chip, part):
    chip.power_cycle()
    assert asyncio.run(started(part)) == 0.5


def test_the_probe_knows_the_part_and_changes_nothing(chip, clock):
    before = bytes(chip.memory)
    assert asyncio.run(probe(EmulatedI2C({0x29: chip}), 0x29, clock)) == "identity ee aa 10"
    assert bytes(chip.memory) == before


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_probe_refuses_other_parts_and_absent_ones(chip, clock, byte):
    chip.identity = bytes([byte]) * 3
    assert asyncio.run(probe(EmulatedI2C({0x29: chip}), 0x29, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({0x29: Vl53l1x(clock)}), 0x29, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x29, clock)) is None


def test_the_chip_does_not_range_untuned_or_uncalibrated(chip, clock):
    """Status 3: no bias voltage was found."""
    chip.transfer(b"\x0a\x04", 0)
    for wire in ("8001", "ff01", "913c", "ff00", "8000", "01e8", "0001"):
        chip.transfer(bytes.fromhex(wire), 0)
    clock.now += 1
    assert chip.transfer(b"\x13", 2) == b"\x04\x18"


def test_the_chip_refuses_what_the_part_does(chip):
    for wire in (b"\x14\x58", b"\xc0\xee", b"\xff\x03"):
        with pytest.raises(BusError):
            chip.transfer(wire, 0)
    chip.power_cycle()
    with pytest.raises(NoAcknowledge):
        chip.transfer(b"\xc0", 1)
