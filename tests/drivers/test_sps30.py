"""SPS30: numbers that are none, the weekly cleaning, sleep, and what the status register takes away."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.air import sen55, sps30
from drivers.air.sen55.chip import Emulated as Sen55
from drivers.air.sps30 import Driver, decode, faults, probe, settled
from drivers.air.sps30.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import ChecksumError, DeviceError, Missing, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.sensirion import Port, checked
from tests.conftest import VirtualClock
from tests.drivers.air_rig import Answers, Bench, Constant, measured, probed, run, vectors

ALL = Driver.quantities
NAMES = {
    "pm1_0": Quantity.PM1,
    "pm4_0": Quantity.PM4,
    "nc1_0": Quantity.NC1,
    "nc4_0": Quantity.NC4,
    "typical_size": Quantity.PARTICLE_SIZE,
}


@pytest.fixture
def bench(clock: VirtualClock) -> Bench:
    made = Bench(clock, Emulated(clock), 0x69)
    made.driver = Driver(made.bus, 0x69, clock)
    return made


def frame(*numbers: float) -> tuple[int, ...]:
    return struct.unpack(">20H", struct.pack(">10f", *numbers))


@pytest.mark.parametrize("vector", vectors("SPS30", "measure"), ids=lambda vector: vector["id"])
def test_worked_examples(vector: dict[str, Any], clock: VirtualClock):
    bus = Answers(vector["device"]["responses"])
    values = measured(Driver(bus, 0x69, clock), clock)
    assert len(values) == len(vector["expected"])
    for name, expected in vector["expected"].items():
        found = values[NAMES.get(name) or Quantity(name)]
        assert found == pytest.approx(expected["value"], abs=expected["tol"]), name
    assert bytes.fromhex(vector["transactions"][0]["w"]) in bus.log


@pytest.mark.parametrize("vector", vectors("SPS30", "fault"), ids=lambda vector: vector["id"])
def test_not_a_number_is_missing(vector: dict[str, Any], clock: VirtualClock):
    """Ten NaN with good checksums are ten missing quantities."""
    values = measured(Driver(Answers(vector["device"]["responses"]), 0x69, clock), clock)
    assert set(values.values()) == {Missing.SENTINEL}


def test_the_chip_gives_the_bytes_of_the_example(bench: Bench):
    """The chip alone turns the example's air into the example's frame."""
    vector = vectors("SPS30", "measure")[0]
    for name, expected in vector["expected"].items():
        bench.chip.set(NAMES.get(name) or Quantity(name), expected["value"])
    bench.chip.transfer(bytes.fromhex("00100300ac"), 0)
    bench.clock.now += 1.1
    bench.chip.transfer(b"\x03\x00", 0)
    assert bench.chip.transfer(b"", 60).hex() == vector["device"]["responses"]["0300"][0]


def test_a_busy_bus_delays_what_follows(bench: Bench):
    """The part begins when the start has reached it: asked at once, it must still be waited for."""
    port = Port(bench.bus, 0x69, bench.clock, 0.005)

    def late() -> None:
        bench.clock.now += 0.5
        bench.bus.before = lambda: None

    async def main() -> tuple[int, ...]:
        bench.bus.before = late
        await port.tell(0x0010, 0x0300, takes=0.02)
        return await port.ask(0x0202, 1)

    assert run(main()) == (0,)


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (float("nan"), Missing.SENTINEL),
        (float("inf"), Missing.SENTINEL),
        (float("-inf"), Missing.SENTINEL),
        (-0.5, Missing.OUT_OF_RANGE),
        (0.0, 0.0),
    ],
)
def test_one_bad_number_spoils_no_other(number: float, outcome: object):
    values = decode(frame(1, number, 3, 4, 5, 6, 7, 8, 9, 10))
    assert values[Quantity.PM2_5] == outcome
    assert values[Quantity.PM1] == 1.0
    assert values[Quantity.PARTICLE_SIZE] == 10.0


def test_minus_zero_is_zero():
    """A frame of a part that died in service has 0x80000000 in it: that is no minus sign for a reader."""
    values = decode(frame(0, 0, 0, 0, -0.0, 0, 0, 0, 0, 1.63))
    assert str(values[Quantity.NC0_5]) == "0.0"


@given(st.binary(min_size=40, max_size=40))
def test_decode_takes_any_forty_bytes(raw: bytes):
    values = decode(struct.unpack(">20H", raw))
    assert set(values) == ALL
    assert all(isinstance(v, Missing) or 0.0 <= v < float("inf") for v in values.values())


@pytest.mark.parametrize(("number", "seconds"), [(900.0, 8.0), (150.0, 16.0), (70.0, 30.0), (0.0, 30.0)])
def test_clean_air_takes_longer_to_settle(bench: Bench, number: float, seconds: float):
    """The first results are not believed: the fewer the particles, the longer (1.1)."""
    bench.chip.set(Quantity.NC10, number)
    bench.start()
    started = bench.clock.now
    assert set(bench.missing(after=2.0).values()) == {Missing.WARMING_UP}
    bench.clock.now = started + seconds - 0.5
    assert set(bench.missing().values()) == {Missing.WARMING_UP}
    bench.clock.now = started + seconds + 0.5
    assert bench.missing() == {}


def test_a_number_that_is_missing_settles_last():
    values = dict.fromkeys(ALL, 500.0) | {Quantity.NC10: Missing.SENTINEL}
    young = settled(values, 20.0)
    assert young[Quantity.NC10] is Missing.SENTINEL
    assert young[Quantity.PM1] is Missing.WARMING_UP
    assert settled(values, 30.0) == values


@pytest.mark.parametrize(
    ("bit", "reason"), [(4, Missing.FAULT), (5, Missing.FAULT), (21, Missing.UNRELIABLE)]
)
def test_status(bit: int, reason: Missing):
    register = 1 << bit
    assert faults((register >> 16, register & 0xFFFF)) == dict.fromkeys(ALL, reason)


def test_reserved_status_bits_say_nothing():
    rest = 0xFFFFFFFF & ~(1 << 4 | 1 << 5 | 1 << 21)
    assert faults((rest >> 16, rest & 0xFFFF)) == {}


def test_a_fault_outweighs_a_doubt():
    both = 1 << 4 | 1 << 21
    assert set(faults((both >> 16, both & 0xFFFF)).values()) == {Missing.FAULT}


@pytest.mark.parametrize("bit", [4, 5])
def test_blocked_fan_and_lost_laser(bench: Bench, bit: int):
    """Such an error takes every value until the next start, also when it has gone."""
    bench.start()
    assert bench.missing(after=40.0) == {}
    bench.chip.errors = 1 << bit
    assert bench.missing(after=1.0) == dict.fromkeys(ALL, Missing.FAULT)
    bench.chip.errors = 0
    assert bench.missing(after=1.0) == dict.fromkeys(ALL, Missing.FAULT)
    bench.start()
    assert bench.missing(after=40.0) == {}


def test_fan_speed_comes_and_goes(bench: Bench):
    bench.start()
    bench.chip.warnings = 1 << 21
    assert bench.missing(after=40.0) == dict.fromkeys(ALL, Missing.UNRELIABLE)
    bench.chip.warnings = 0
    assert bench.missing(after=1.0) == {}


def test_old_firmware_has_no_status(clock: VirtualClock):
    """Firmware before 2.2 is not asked for what it does not know."""
    bench = Bench(clock, Emulated(clock, firmware=0x0100), 0x69)
    bench.driver = Driver(bench.bus, 0x69, clock)
    bench.start()
    assert bench.missing(after=40.0) == {}


def test_each_result_once(bench: Bench):
    """Asked faster than once a second, the driver waits for the next result."""
    bench.start()
    bench.measure(after=40.0)
    began = bench.clock.now
    bench.chip.set(Quantity.PM2_5, 77.0)
    assert bench.measure()[Quantity.PM2_5] == pytest.approx(77.0)
    assert 0.5 < bench.clock.now - began < 1.2


@pytest.mark.parametrize("weekly", [True, False])
def test_cleaning_is_no_failure(bench: Bench, weekly: bool):
    """For ten seconds nothing is measured, by itself each week: not ready, and the part is not restarted."""
    bench.start()
    bench.measure(after=40.0)
    if weekly:
        bench.clock.now = 604800.0 + 0.5
        bench.measure()  # what was measured before
    else:
        bench.chip.clean()
    for _ in range(4):
        assert bench.missing() == dict.fromkeys(ALL, Missing.NOT_READY)
    assert bench.missing(after=6.0) == {}


@pytest.mark.parametrize("fault", ["brown-out", "stalled"])
def test_a_part_that_stopped_is_found_out(bench: Bench, fault: str):
    """Longer than a cleaning, no result is an error; a new start makes it good."""
    bench.start()
    bench.measure(after=40.0)
    if fault == "brown-out":
        bench.chip.power_cycle()
    bench.chip.stalled = fault == "stalled"
    began = bench.clock.now
    for _ in range(8):
        assert bench.missing() == dict.fromkeys(ALL, Missing.NOT_READY)
    bench.clock.now += 1.5
    with pytest.raises(DeviceError, match="power"):
        bench.measure()
    assert 12.0 < bench.clock.now - began < 16.0
    bench.chip.stalled = False
    bench.start()
    assert bench.missing(after=40.0) == {}


def test_the_zeros_of_a_part_that_lost_power_after_it_said_that_it_was_ready(bench: Bench):
    """Its results are zeros then, with a good CRC: they would be the cleanest air there is."""
    bench.start()
    bench.clock.now += 40.0
    seen = 0

    def before() -> None:
        nonlocal seen
        seen += 1
        if seen == 3:  # before the result is asked for
            bench.chip.power_cycle()

    bench.bus.before = before
    with pytest.raises(DeviceError, match="ten zeros"):
        bench.measure()


def test_ten_zeros_twice_are_clean_air(bench: Bench):
    for quantity in ALL:
        bench.chip.set(quantity, 0.0)
    bench.start()
    assert set(bench.measure(after=40.0).values()) == {0.0}


def test_silence_is_counted_anew_after_a_result(bench: Bench):
    """Two cleanings are not one silence."""
    bench.start()
    bench.measure(after=40.0)
    bench.chip.clean()
    assert set(bench.missing().values()) == {Missing.NOT_READY}
    assert bench.missing(after=12.0) == {}
    bench.chip.clean()
    assert set(bench.missing(after=2.0).values()) == {Missing.NOT_READY}


def test_a_sleeping_part_is_woken(bench: Bench):
    """Asleep it acknowledges nothing, and the first of the two words that wake it neither (6.3.5)."""
    bench.chip.fall_asleep()
    bench.start()
    assert bench.chip.measuring
    assert bench.missing(after=40.0) == {}


def test_started_again_while_it_measures(bench: Bench):
    """A part that measures refuses a start: it is stopped first."""
    bench.start()
    bench.measure(after=40.0)
    bench.start()
    assert set(bench.missing(after=2.0).values()) == {Missing.WARMING_UP}


@pytest.mark.parametrize("name", ["00080001", "", "SEN55", "0008000"])
def test_other_types_are_refused(bench: Bench, name: str):
    bench.chip.type = name
    with pytest.raises(WrongDevice, match="00080000"):
        bench.start()


def test_wrong_checksum(bench: Bench):
    bench.start()
    bench.clock.now += 40.0
    bench.chip.wires.corrupt = 1
    with pytest.raises(ChecksumError):
        bench.measure()
    assert bench.missing(after=1.0) == {}


@pytest.mark.parametrize("spoiled", range(60))
def test_every_byte_is_guarded(spoiled: int):
    """One flipped bit anywhere in a result is a checksum error."""
    raw = bytearray.fromhex(vectors("SPS30", "measure")[0]["device"]["responses"]["0300"][0])
    assert len(list(checked(bytes(raw)))) == 20
    raw[spoiled] ^= 0x20
    with pytest.raises(ChecksumError):
        list(checked(bytes(raw)))


def test_stop(bench: Bench):
    bench.start()
    bench.stop()
    assert not bench.chip.measuring


class TestProbe:
    def test_it_is_recognised(self, bench: Bench):
        assert bench.probe(probe) == "product type 00080000"
        bench.start()
        bench.clock.now += 0.03
        assert bench.probe(probe) == "product type 00080000"
        assert bench.chip.measuring

    def test_others_are_not(self, bench: Bench, clock: VirtualClock):
        bench.chip.type = "00080001"
        assert bench.probe(probe) is None
        bench.bus.chips.clear()
        assert bench.probe(probe) is None
        assert probed(probe, Constant(0x00), 0x69) is None
        assert probed(probe, Constant(0xFF), 0x69) is None

    def test_it_is_told_from_a_sen55(self, bench: Bench, clock: VirtualClock):
        """Both live at the same address."""
        other = EmulatedI2C({0x69: Sen55(clock)})
        assert probed(sps30.probe, other, 0x69) is None
        assert probed(sen55.probe, bench.bus, 0x69) is None


class TestChip:
    """The emulated part is as strict as the real one."""

    @pytest.mark.parametrize(
        "write", ["1234", "00", "0010", "00100300ad", "00100500f6", "0021", "d014", "5607", "1103"]
    )
    def test_what_an_idle_part_refuses(self, bench: Bench, write: str):
        with pytest.raises(BusError):
            bench.chip.transfer(bytes.fromhex(write), 0)

    @pytest.mark.parametrize("write", ["00100300ac", "1001"])
    def test_what_a_measuring_part_refuses(self, bench: Bench, write: str):
        bench.start()
        bench.clock.now += 1.0
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(bytes.fromhex(write), 0)

    def test_nothing_to_read(self, bench: Bench):
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"", 3)

    def test_it_is_deaf_while_it_starts(self, bench: Bench):
        bench.chip.transfer(bytes.fromhex("00100300ac"), 0)
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"\x02\x02", 3)
        bench.clock.now += 0.021
        assert bench.chip.transfer(b"\x02\x02", 3) == bytes.fromhex("000081")

    def test_a_reset_ends_the_measurement(self, bench: Bench):
        bench.start()
        bench.clock.now += 1.0
        bench.chip.transfer(b"\xd3\x04", 0)
        assert not bench.chip.measuring
        bench.clock.now += 0.099
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"\xd0\x33", 48)
        bench.clock.now += 0.002
        assert bench.chip.transfer(b"\xd0\x33", 48)[:2] == b"01"
