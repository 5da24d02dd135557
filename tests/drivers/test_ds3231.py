"""DS3231: the recorded example, calendars and their ends, a battery that is empty, and half-written times."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.board.ds3231 import Driver, decode_temperature, decode_time, encode_time, implausible, probe
from drivers.board.ds3231.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.land.mpu6050.chip import Emulated as Accelerometer

T = Quantity.TEMPERATURE
VECTORS = [
    vector
    for vector in json.loads((Path(__file__).parent.parent / "vectors" / "drivers.json").read_text())[
        "vectors"
    ]
    if vector["part"] == "DS3231"
]
FIRST, LAST = 946684800, 7258118399


def unix(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def chip(clock):
    return Emulated(clock)


@pytest.fixture
def bus(chip):
    return EmulatedI2C({0x68: chip})


@pytest.fixture
def part(bus, clock):
    clock.now += 1.0
    return Driver(bus, 0x68, clock)


class Memory:
    """Plain registers, which keep what is written."""

    def __init__(self, registers):
        self.registers = registers
        self.pointer = 0

    async def transfer(self, address, write=b"", read=0):
        if write:
            self.pointer = write[0]
        for value in write[1:]:
            self.registers[self.pointer] = value
            self.pointer += 1
        return bytes(self.registers.get(self.pointer + at, 0) for at in range(read))


def of(vector):
    return Memory({int(at, 16): int(value, 16) for at, value in vector["device"]["regs"].items()})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_recorded_examples(vector, clock):
    """Time, temperature and the flag of a stopped oscillator."""

    async def main():
        part = Driver(of(vector), int(vector["i2c_address"], 16), clock)
        await part.start()
        return await part.time(), await part.measure()

    time, values = asyncio.run(main())
    assert time == unix(vector["expected"]["datetime"]["value"])
    assert values == {T: pytest.approx(vector["expected"]["temperature"]["value"], abs=0.001)}


@pytest.mark.parametrize(
    ("raw", "celsius"),
    [("1940", 25.25), ("0000", 0.0), ("ffc0", -0.25), ("e700", -25.0), ("e6c0", -25.25), ("7fc0", None)],
)
def test_temperatures(raw, celsius):
    """The datasheet's 25.25 degrees, and those below zero: the fraction counts upwards from the whole."""
    found = decode_temperature(bytes.fromhex(raw))
    assert found == (Missing.OUT_OF_RANGE if celsius is None else celsius)


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        ("58592307311299", "2099-12-31T23:59:58"),
        ("00000001018100", "2100-01-01T00:00:00"),
        ("00000004290224", "2024-02-29T00:00:00"),
        ("59595206311299", "2099-12-31T00:59:59"),  # 12 hours and some in the night of 12-hour mode
        ("59597206311299", "2099-12-31T12:59:59"),
        ("59597106311299", "2099-12-31T23:59:59"),
        ("59594106311299", "2099-12-31T01:59:59"),
    ],
)
def test_times(raw, moment):
    assert decode_time(bytes.fromhex(raw)) == unix(moment)


@pytest.mark.parametrize(
    "raw",
    [
        "0a000001010126",  # no decimal digit
        "60000001010126",
        "00600001010126",
        "00002401010126",
        "00004001010126",  # hour 0 of 12-hour mode
        "00005301010126",
        "00000001000126",
        "00000001290226",
        "00000001310426",
        "00000001010026",
        "00000001011326",
        "00000005298200",  # 2100 is no leap year
    ],
)
def test_what_is_no_time(raw):
    with pytest.raises(DeviceError, match="which is none"):
        decode_time(bytes.fromhex(raw))


@given(st.integers(FIRST, LAST))
def test_every_time_comes_back(time):
    raw = encode_time(time)
    assert decode_time(raw) == time
    assert not implausible(raw + bytes(12))
    assert raw[5] >> 7 == (datetime.fromtimestamp(time, UTC).year >= 2100)


@pytest.mark.parametrize("time", [FIRST - 1, LAST + 1, -1, 0])
def test_other_centuries_are_refused(time):
    with pytest.raises(ValueError, match="2000 to 2199"):
        encode_time(time)


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-22T22:53:02",
        "2028-02-29T12:00:00",
        "2000-01-01T00:00:00",
        "2099-12-31T23:59:30",
        "2150-06-01T13:14:15",
    ],
)
@pytest.mark.parametrize("after", [0, 59, 3600, 86400, 40 * 86400])
def test_the_clock_goes_on(part, clock, moment, after):
    """Over the ends of days, months, years, a leap day and the century."""

    async def main():
        await part.start()
        await part.set_time(unix(moment))
        await clock.sleep(after)
        return await part.time()

    assert asyncio.run(main()) == unix(moment) + after


def test_the_second_begins_when_it_is_set(part, clock):
    """A time between two seconds waits for the next one, so that nothing is lost by rounding."""

    async def main():
        await part.start()
        began = clock.now
        await part.set_time(unix("2026-11-22T22:53:02") + 0.75)
        assert clock.now == began + 0.25
        await clock.sleep(0.9)
        first = await part.time()
        await clock.sleep(0.2)
        return first, await part.time()

    assert asyncio.run(main()) == (unix("2026-11-22T22:53:03"), unix("2026-11-22T22:53:04"))


def test_a_chip_in_12_hour_mode_is_understood(chip, part, clock):
    """12 at night, then 1 in the afternoon."""

    async def main():
        await part.start()
        chip.transfer(bytes.fromhex("0000005201071226"), 0)
        night = await part.time()
        await clock.sleep(13 * 3600)
        return night, await part.time()

    assert asyncio.run(main()) == (unix("2026-12-07T00:00:00"), unix("2026-12-07T13:00:00"))
    assert chip.transfer(b"\x02", 1) == b"\x61"


def test_without_a_battery_the_time_is_refused_until_it_is_set(chip, part, clock):
    async def main():
        await part.start()
        await part.set_time(unix("2026-11-22T22:53:02"))
        chip.battery = False
        chip.power_cycle()
        await clock.sleep(100.0)
        await part.start()
        with pytest.raises(DeviceError, match="set again"):
            await part.time()
        warm = await part.measure()
        await part.set_time(unix("2027-01-01T00:00:00"))
        return warm, await part.time()

    chip.set(T, -7.5)
    assert asyncio.run(main()) == ({T: -7.5}, unix("2027-01-01T00:00:00"))


def test_with_a_battery_nothing_is_lost(chip, part, clock):
    async def main():
        await part.start()
        await part.set_time(unix("2026-11-22T22:53:02"))
        chip.power_cycle()
        await clock.sleep(100.0)
        return await part.time()

    assert asyncio.run(main()) == unix("2026-11-22T22:54:42")


def test_an_oscillator_that_stood_still_is_told_although_the_time_looks_right(chip, part):
    async def main():
        await part.start()
        await part.set_time(unix("2026-11-22T22:53:02"))
        chip.stop()
        with pytest.raises(DeviceError, match="stood still"):
            await part.time()

    asyncio.run(main())


def test_setting_the_time_spares_alarms_and_the_32_khz_output(chip, part):
    chip.status = 0x8B

    async def main():
        await part.start()
        await part.set_time(unix("2026-11-22T22:53:02"))

    asyncio.run(main())
    assert chip.status == 0x0B


def test_a_clock_that_would_stop_on_its_battery_is_told_to_go_on(chip, part):
    chip.transfer(b"\x0e\x9c", 0)
    asyncio.run(part.start())
    assert chip.control == 0x1C


def test_each_measurement_is_of_its_own_time(chip, part):
    """Not of up to 64 s ago, as the part would by itself."""

    async def main():
        await part.start()
        seen = []
        for celsius in (-40.0, 85.0, 0.0, -0.25):
            chip.set(T, celsius)
            seen.append((await part.measure())[T])
        return seen

    assert asyncio.run(main()) == [-40.0, 85.0, 0.0, -0.25]


@pytest.mark.parametrize("late", [0.0, 0.001, 0.003, 0.05, 0.124])
def test_the_zero_of_a_part_that_has_just_got_power_is_never_believed(chip, part, clock, late):
    """Its register reads 0 degrees until the first conversion has ended."""
    chip.set(T, 31.0)
    chip.battery = False

    async def main():
        chip.power_cycle()
        await clock.sleep(late)
        await part.start()
        return await part.measure()

    assert asyncio.run(main()) == {T: 31.0}


@pytest.mark.parametrize("turn", range(6))
@pytest.mark.parametrize("status", [0x08, 0x88])
def test_power_lost_before_any_transfer_without_a_battery(chip, bus, part, turn, status):
    """Also where the time was never set, so that no flag tells."""
    chip.set(T, 31.0)
    chip.battery, chip.status = False, status
    seen = 0

    def before():
        nonlocal seen
        seen += 1
        if seen == turn + 1:
            chip.power_cycle()

    bus.before = before

    async def main():
        await part.start()
        return await part.measure()

    assert asyncio.run(main()) == {T: 31.0}


def test_a_conversion_that_hangs_is_a_fault(chip, part, clock):
    async def main():
        await part.start()
        chip.hung = True
        began = clock.now
        with pytest.raises(DeviceError, match="hangs in a conversion"):
            await part.measure()
        return clock.now - began

    assert asyncio.run(main()) < 0.5


def test_a_part_that_converts_only_by_itself_gives_its_latest(chip, part, clock):
    async def main():
        await part.start()
        chip.deaf = True
        chip.set(T, 12.0)
        await clock.sleep(65.0)
        return await part.measure()

    assert asyncio.run(main()) == {T: 12.0}


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_a_stuck_line_is_no_clock_and_no_zero_degrees(clock, byte):
    """All zeros would be a plausible 0 degrees at the start of 2000, but for a day and a month of 0."""

    class Stuck:
        async def transfer(self, address, write=b"", read=0):
            return bytes([byte]) * read

    part = Driver(Stuck(), 0x68, clock)
    with pytest.raises(WrongDevice):
        asyncio.run(part.start())
    for ask in (part.measure, part.time):
        with pytest.raises(DeviceError):
            asyncio.run(ask())


@pytest.mark.parametrize("register", [0, 1, 2, 3, 4, 5, 15, 18])
def test_bits_that_are_always_zero(register):
    raw = bytearray(encode_time(int(unix("2026-11-22T22:53:02"))) + bytes(12))
    assert not implausible(raw)
    raw[register] |= {5: 0x40, 15: 0x10, 18: 0x01, 3: 0x08}.get(register, 0x80)
    assert implausible(raw)


def test_a_week_has_no_day_zero():
    raw = bytearray(encode_time(int(unix("2026-11-22T22:53:02"))) + bytes(12))
    raw[3] = 0
    assert implausible(raw) == "its day of the week is 0"


def test_an_mpu6050_at_the_same_address_is_refused(clock):
    bus = EmulatedI2C({0x68: Accelerometer(clock)})
    clock.now += 10
    with pytest.raises((WrongDevice, BusError)):
        asyncio.run(Driver(bus, 0x68, clock).start())
    assert asyncio.run(probe(bus, 0x68, clock)) is None


def test_probe(bus, chip, clock):
    """Its registers repeat; a memory that goes on, however plausible it begins, is something else."""
    assert "repeat" in asyncio.run(probe(bus, 0x68, clock))
    chip.stop()
    assert "stood still" in asyncio.run(probe(bus, 0x68, clock))
    assert asyncio.run(probe(of(VECTORS[0]), 0x68, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x68, clock)) is None
    raw = encode_time(int(unix("2026-11-22T22:53:02"))) + bytes(12)
    for second, found in ((raw, True), (raw[:7] + b"\x01" + raw[8:], False), (b"\x05" + raw[1:], False)):
        memory = Memory(dict(enumerate(raw + second)))
        assert (asyncio.run(probe(memory, 0x68, clock)) is not None) is found
    for byte in (0x00, 0x01, 0xFF):
        assert asyncio.run(probe(Memory(dict.fromkeys(range(64), byte)), 0x68, clock)) is None


def test_an_absent_part(clock):
    with pytest.raises(NoAcknowledge):
        asyncio.run(Driver(EmulatedI2C({}), 0x68, clock).start())


def test_the_chip_alone(chip, clock):
    """The pointer wraps behind register 0x12; the temperature and illogical dates cannot be written."""
    assert chip.transfer(b"\x12", 3)[1:] == chip.transfer(b"\x00", 2)
    clock.now += 1
    chip.set(T, -25.25)
    chip.transfer(b"\x0e\x3c", 0)
    assert chip.transfer(b"\x0e", 2)[0] & 0x20
    assert not chip.transfer(b"\x0f", 1)[0] & 0x04
    clock.now += 0.01
    assert chip.transfer(b"\x0f", 1)[0] & 0x04
    clock.now += 0.2
    assert chip.transfer(b"\x11", 2) == bytes.fromhex("e6c0")
    assert chip.transfer(b"\x0e", 1) == b"\x1c"
    for wire in ("1100", "0f10", "13", "0000000001300226", "0000000001010026", "05"):
        with pytest.raises(BusError):
            chip.transfer(bytes.fromhex(wire) + (b"\x01" if wire == "05" else b""), 0)


def test_the_chips_calendar_is_the_datasheets(chip, clock):
    """Written and read a second later, over the end of the century, whose bit toggles."""
    chip.transfer(bytes.fromhex("0059592304311299"), 0)
    clock.now += 1
    assert chip.transfer(b"\x00", 7) == bytes.fromhex("00000005018100")


def test_the_drift_of_a_crystal_shows(chip, part, clock):
    async def main():
        await part.start()
        await part.set_time(unix("2026-01-01T00:00:00"))
        chip.drift = 20.0
        await clock.sleep(30 * 86400)
        return await part.time()

    assert asyncio.run(main()) == unix("2026-01-31T00:00:00") + 51
