"""PMSA003I: which words are which, frames that are none, an empty frame, and its slow start."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.air.pmsa003i import Driver, check, decode, probe
from drivers.air.pmsa003i.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import ChecksumError, DeviceError, Missing, Quantity, WrongDevice
from tests.conftest import VirtualClock
from tests.drivers.air_rig import Bench, Constant, measured, probed, vectors

ALL = Driver.quantities
CLEAN = bytes.fromhex("424d001c000000000000000000000000003300110004000000000000" + "9700018a")
"""A frame that a real part gave in clean air: no mass, and yet 51 particles in 0.1 l."""


@dataclass
class Frame:
    """A bus with one target that gives the same frame for ever."""

    raw: bytes

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        assert not write
        return self.raw[:read].ljust(read, b"\xff")


@pytest.fixture
def bench(clock: VirtualClock) -> Bench:
    made = Bench(clock, Emulated(clock), 0x12)
    made.driver = Driver(made.bus, 0x12, clock)
    return made


def framed(*words: int, error: int = 0) -> bytes:
    raw = b"BM\x00\x1c" + b"".join(word.to_bytes(2) for word in words) + bytes([0x97, error])
    return raw + sum(raw).to_bytes(2)


@pytest.mark.parametrize("vector", vectors("PMSA003I", "measure"), ids=lambda vector: vector["id"])
def test_worked_examples(vector: dict[str, Any], clock: VirtualClock):
    """The masses are the words for the atmosphere; the numbers add up to what is larger."""
    raw = bytes.fromhex(vector["device"]["read"])
    values = measured(Driver(Frame(raw), 0x12, clock), clock)
    expected = {name: each["value"] for name, each in vector["expected"].items()}
    for quantity, name in ((Quantity.PM1, "pm10"), (Quantity.PM2_5, "pm25"), (Quantity.PM10, "pm100")):
        assert values[quantity] == expected[f"{name}_env"]
    sizes = {Quantity.NC0_5: "05", Quantity.NC1: "10", Quantity.NC2_5: "25", Quantity.NC10: "100"}
    for quantity, size in sizes.items():
        larger = expected["particles_03um"] - expected[f"particles_{size}um"]
        assert values[quantity] == pytest.approx(larger / 100)


def test_the_chip_gives_the_bytes_of_the_example(bench: Bench):
    """The chip alone turns the example's air into the example's frame, but for a size we do not give."""
    (vector,) = vectors("PMSA003I", "measure")
    raw = bytes.fromhex(vector["device"]["read"])
    for quantity, value in zip((Quantity.PM1, Quantity.PM2_5, Quantity.PM10), (9, 14, 18), strict=True):
        bench.chip.set(quantity, value)
    for quantity, larger in {
        Quantity.NC0_5: 431,
        Quantity.NC1: 78,
        Quantity.NC2_5: 12,
        Quantity.NC10: 1,
    }.items():
        bench.chip.set(quantity, (1530 - larger) / 100)
    bench.clock.now += 2.0
    given = bench.chip.transfer(b"", 32)
    assert given[:24] == raw[:24]
    assert given[26:28] == raw[26:28]
    check(given)


def test_clean_air_of_a_real_part():
    check(CLEAN)
    values = decode(CLEAN)
    assert values[Quantity.PM2_5] == 0.0
    assert values[Quantity.NC10] == pytest.approx(0.51)
    assert values[Quantity.NC0_5] == pytest.approx(0.34)


def test_the_factory_words_are_not_ours():
    """Above 30 micrograms the words for factory dust are half as much again."""
    values = decode(framed(60, 90, 120, 40, 60, 80, 100, 50, 20, 10, 5, 1))
    assert [values[q] for q in (Quantity.PM1, Quantity.PM2_5, Quantity.PM10)] == [40.0, 60.0, 80.0]


def test_an_empty_frame_is_no_clean_air():
    """All zero is what a part gives whose fan does not turn, or whose laser is dead."""
    assert decode(framed(*[0] * 12)) == dict.fromkeys(ALL, Missing.SENTINEL)


def test_an_error_code_takes_everything():
    assert decode(framed(*[5] * 12, error=1)) == dict.fromkeys(ALL, Missing.FAULT)


def test_more_of_a_size_than_of_all(bench: Bench):
    bench.chip.upset = True
    bench.start()
    assert bench.missing(after=31.0) == {Quantity.NC0_5: Missing.OUT_OF_RANGE}


@pytest.mark.parametrize("spoiled", range(32))
def test_every_byte_is_guarded(spoiled: int):
    raw = bytearray(CLEAN)
    raw[spoiled] ^= 0x04
    with pytest.raises(DeviceError):
        check(bytes(raw))


@pytest.mark.parametrize("start", ["0000001c", "ffffffff", "4d42001c", "424d0014", "424d"])
def test_what_is_no_frame(start: str):
    """Another length is another part of the maker's; no header is anything."""
    with pytest.raises(WrongDevice):
        check(bytes.fromhex(start).ljust(32, b"\0"))


@given(st.lists(st.integers(0, 0xFFFF), min_size=12, max_size=12), st.integers(0, 255))
def test_decode_takes_any_words(words: list[int], error: int):
    raw = framed(*words, error=error)
    check(raw)
    values = decode(raw)
    assert set(values) == ALL
    assert all(isinstance(v, Missing) or 0.0 <= v <= 65535.0 for v in values.values())


def test_the_first_half_minute_is_not_believed(bench: Bench):
    bench.start()
    assert bench.missing() == dict.fromkeys(ALL, Missing.WARMING_UP)
    assert bench.missing(after=27.0) == dict.fromkeys(ALL, Missing.WARMING_UP)
    assert bench.missing(after=3.0) == {}


def test_a_fault_is_said_while_it_warms_up(bench: Bench):
    bench.chip.error = 3
    bench.start()
    assert bench.missing() == dict.fromkeys(ALL, Missing.FAULT)


def test_frames_are_a_second_apart(bench: Bench):
    """Asked faster, the driver waits, and so never gives the same frame twice."""
    bench.start()
    bench.measure(after=31.0)
    bench.chip.set(Quantity.PM2_5, 77.0)
    began = bench.clock.now
    assert bench.measure()[Quantity.PM2_5] == 77.0
    assert bench.clock.now - began == pytest.approx(1.0)


def test_slow_start(clock: VirtualClock):
    """It does not answer for some seconds after power, which is no wrong part, and works then."""
    bench = Bench(clock, Emulated(clock), 0x12)
    bench.driver = Driver(bench.bus, 0x12, clock)
    bench.chip.power_cycle()
    with pytest.raises(NoAcknowledge):
        bench.start()
    clock.now += 5.0
    bench.start()
    assert bench.missing(after=31.0) == {}


def test_a_brown_out_is_seen_by_its_empty_frames(bench: Bench):
    bench.start()
    bench.measure(after=31.0)
    bench.chip.power_cycle()
    with pytest.raises(NoAcknowledge):
        bench.measure(after=1.0)
    assert bench.missing(after=2.0) == dict.fromkeys(ALL, Missing.SENTINEL)


def test_the_half_minute_after_an_empty_frame_is_not_believed(bench: Bench):
    """The sampler need not have noticed: a frame in time, an empty one, and full ones of a cold fan."""
    bench.start()
    assert bench.missing(after=31.0) == {}
    bench.chip.power_cycle()
    assert bench.missing(after=4.0) == dict.fromkeys(ALL, Missing.SENTINEL)
    for after in (3.0, 25.0):
        assert bench.missing(after=after) == dict.fromkeys(ALL, Missing.WARMING_UP)
    assert bench.missing(after=3.0) == {}


def test_a_dead_laser_is_not_for_ever_warming_up(bench: Bench):
    bench.start()
    bench.chip.power_cycle()
    bench.chip.stuck = True
    bench.clock.now += 31.0
    for _ in range(3):
        assert bench.missing(after=5.0) == dict.fromkeys(ALL, Missing.SENTINEL)


def test_wrong_checksum(bench: Bench):
    bench.start()
    bench.chip.corrupt = 1
    with pytest.raises(ChecksumError):
        bench.measure(after=31.0)
    assert bench.missing() == {}


def test_another_part_is_refused(bench: Bench):
    bench.chip.header = b"\x42\x4d\x00\x14"
    with pytest.raises(WrongDevice, match="424d0014"):
        bench.start()


class TestProbe:
    def test_it_is_recognised(self, bench: Bench):
        assert bench.probe(probe) == "a frame with a valid checksum, version 0x97"

    def test_others_are_not(self, bench: Bench):
        bench.chip.corrupt = 1
        assert bench.probe(probe) is None
        bench.bus.chips.clear()
        assert bench.probe(probe) is None
        assert probed(probe, Constant(0x00), 0x12) is None
        assert probed(probe, Constant(0xFF), 0x12) is None


class TestChip:
    """The emulated part is as strict as the real one."""

    @pytest.mark.parametrize("write", ["0001", "20", "ff"])
    def test_what_it_refuses(self, bench: Bench, write: str):
        with pytest.raises(BusError):
            bench.chip.transfer(bytes.fromhex(write), 0)

    def test_registers(self, bench: Bench):
        """A register can be named before the read; most drivers do not."""
        assert bench.chip.transfer(b"\x1c", 1) == b"\x97"

    def test_frames_come_each_second(self, bench: Bench):
        bench.clock.now = 20.1
        before = bench.chip.transfer(b"", 32)
        bench.chip.set(Quantity.PM10, 99.0)
        bench.clock.now = 20.9
        assert bench.chip.transfer(b"", 32) == before
        bench.clock.now = 21.1
        assert bench.chip.transfer(b"", 32) != before
        bench.chip.stuck = True
        bench.chip.set(Quantity.PM10, 5.0)
        frozen = bench.chip.transfer(b"", 32)
        bench.clock.now = 30.0
        assert bench.chip.transfer(b"", 32) == frozen
