"""SEN55: frost, unknown words, the weekly cleaning, the offset, and what the status register takes away."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.air.sen55 import Driver, Options, decode, faults, probe
from drivers.air.sen55.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import ChecksumError, DeviceError, Missing, Quantity, WrongDevice
from tests.conftest import VirtualClock
from tests.drivers.air_rig import Answers, Bench, Constant, measured, probed, run, vectors

PARTICLES = {Quantity.PM1, Quantity.PM2_5, Quantity.PM4, Quantity.PM10}
CLIMATE = {Quantity.HUMIDITY, Quantity.TEMPERATURE}
GASES = {Quantity.VOC_INDEX, Quantity.NOX_INDEX}
ALL = PARTICLES | CLIMATE | GASES
NAMES = {"pm1_0": Quantity.PM1, "pm4_0": Quantity.PM4}


def make(clock: VirtualClock, options: Options | None = None) -> Bench:
    bench = Bench(clock, Emulated(clock), 0x69)
    bench.driver = Driver(bench.bus, 0x69, clock, options or Options())
    return bench


@pytest.fixture
def bench(clock: VirtualClock) -> Bench:
    return make(clock)


@pytest.mark.parametrize("vector", vectors("SEN55", "measure"), ids=lambda vector: vector["id"])
def test_worked_examples(vector: dict[str, Any], clock: VirtualClock):
    values = measured(Driver(Answers(vector["device"]["responses"]), 0x69, clock), clock)
    assert len(values) == len(vector["expected"])
    for name, expected in vector["expected"].items():
        found = values[NAMES.get(name) or Quantity(name)]
        if expected["value"] is None:
            assert found is Missing.SENTINEL, name
        else:
            assert found == pytest.approx(expected["value"], abs=expected["tol"]), name


def test_example_with_a_wrong_checksum(clock: VirtualClock):
    (vector,) = vectors("SEN55", "fault")
    good = vectors("SEN55", "measure")[0]["device"]["responses"]
    with pytest.raises(ChecksumError, match="word 0"):
        measured(Driver(Answers(good | vector["device"]["responses"]), 0x69, clock), clock)
    with pytest.raises(ChecksumError):
        measured(Driver(Answers(vector["device"]["responses"]), 0x69, clock), clock)


def test_the_chip_gives_the_bytes_of_the_example(bench: Bench):
    """The chip alone turns the example's air into the example's frame."""
    vector = vectors("SEN55", "measure")[0]
    for name, expected in vector["expected"].items():
        bench.chip.set(NAMES.get(name) or Quantity(name), expected["value"])
    bench.chip.transfer(b"\x00\x21", 0)
    bench.clock.now += 2.0
    bench.chip.transfer(b"\x03\xc4", 0)
    bench.clock.now += 0.03
    assert bench.chip.transfer(b"", 24).hex() == vector["device"]["responses"]["03c4"][0]


@pytest.mark.parametrize(
    ("word", "temperature"), [(4657, 23.285), (0, 0.0), (0xFFFF, -0.005), (0xF830, -10.0), (0xE0C0, -40.0)]
)
def test_temperature_is_signed(word: int, temperature: float):
    values = decode((0, 0, 0, 0, 5000, word, 1000, 10))
    assert values[Quantity.TEMPERATURE] == pytest.approx(temperature, abs=1e-9)


def test_frost_through_the_chip(bench: Bench):
    """A winter night comes out as it went in, not as 317 degrees."""
    bench.chip.set(Quantity.TEMPERATURE, -12.5)
    bench.start()
    assert bench.measure()[Quantity.TEMPERATURE] == pytest.approx(-12.5, abs=0.0026)


def test_only_the_right_word_is_unknown():
    """0x7FFF is a value where the word has no sign, and 0xFFFF one where it has."""
    values = decode((0x7FFF, 0, 0, 0, 0xFFFF, 0xFFFF, 1, 1))
    assert values[Quantity.PM1] == pytest.approx(3276.7)
    assert values[Quantity.HUMIDITY] == pytest.approx(-0.01)


@given(st.tuples(*[st.integers(0, 0xFFFF)] * 8), st.booleans())
def test_decode_takes_any_words(words: tuple[int, ...], warming: bool):
    values = decode(words, warming)
    assert set(values) == ALL
    assert all(isinstance(v, Missing) or abs(v) <= 6553.5 for v in values.values())


def test_warm_up(clock: VirtualClock):
    """NOx comes 11 s after power; until then it warms up, and the rest is there."""
    bench = make(clock)
    bench.chip.power_cycle()
    bench.start()
    assert bench.missing() == {Quantity.NOX_INDEX: Missing.WARMING_UP}
    assert bench.missing(after=8.0) == {Quantity.NOX_INDEX: Missing.WARMING_UP}
    assert bench.missing(after=3.0) == {}


def test_unknown_when_warm_is_a_sentinel(bench: Bench):
    bench.chip.unknown.add(Quantity.PM10)
    bench.start()
    assert bench.missing() == {Quantity.PM10: Missing.WARMING_UP}
    assert bench.missing(after=20.0) == {Quantity.PM10: Missing.SENTINEL}


def test_index_zero_is_no_index():
    values = decode((0, 0, 0, 0, 5000, 0, 0, 0))
    assert {values[quantity] for quantity in GASES} == {Missing.WARMING_UP}
    assert values[Quantity.TEMPERATURE] == 0.0


@pytest.mark.parametrize(
    ("bit", "broken", "doubtful"),
    [
        (4, ALL, set()),
        (5, PARTICLES, set()),
        (6, CLIMATE, GASES),
        (7, GASES, set()),
        (21, set(), PARTICLES),
    ],
)
def test_status(bit: int, broken: set[Quantity], doubtful: set[Quantity]):
    """What an error bit says is broken is a fault; what is corrected by it is unreliable."""
    register = 1 << bit
    wanted = dict.fromkeys(doubtful, Missing.UNRELIABLE) | dict.fromkeys(broken, Missing.FAULT)
    assert faults((register >> 16, register & 0xFFFF)) == wanted


def test_several_errors():
    """A fault is never softened to a doubt, in whichever order the bits come."""
    assert {faults((0, 1 << 6 | 1 << 7))[quantity] for quantity in CLIMATE | GASES} == {Missing.FAULT}
    assert set(faults((1 << 5, 1 << 5)).values()) == {Missing.FAULT}


def test_reserved_status_bits_say_nothing():
    rest = 0xFFFFFFFF & ~(0xF0 | 1 << 21)
    assert faults((rest >> 16, rest & 0xFFFF)) == {}


def test_blocked_fan(bench: Bench):
    """A fan that blocked takes every value with it until the next start, also when it turns again."""
    bench.start()
    bench.measure(after=20.0)
    bench.chip.errors = 1 << 4
    assert bench.missing(after=1.0) == dict.fromkeys(ALL, Missing.FAULT)
    bench.chip.errors = 0
    assert bench.missing(after=5.0) == dict.fromkeys(ALL, Missing.FAULT)
    bench.start()
    assert bench.missing(after=20.0) == {}


def test_fan_speed_warning(bench: Bench):
    bench.start()
    bench.chip.warnings = 1 << 21
    assert bench.missing(after=20.0) == dict.fromkeys(PARTICLES, Missing.UNRELIABLE)
    bench.chip.warnings = 0
    assert bench.missing(after=1.0) == {}


def test_each_result_once(bench: Bench):
    """Asked faster than once a second, the driver waits for the next result; it does not repeat the last."""
    bench.start()
    bench.measure()
    began = bench.clock.now
    bench.chip.set(Quantity.PM2_5, 77.0)
    assert bench.measure()[Quantity.PM2_5] == pytest.approx(77.0)
    assert 0.7 < bench.clock.now - began < 1.3


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
def test_no_new_result(bench: Bench, fault: str):
    """A part that stopped measuring is an error after a bounded wait, not its last values for ever."""
    bench.start()
    bench.measure()
    if fault == "brown-out":
        bench.chip.power_cycle()
    bench.chip.stalled = fault == "stalled"
    began = bench.clock.now
    with pytest.raises(DeviceError, match="no new result"):
        bench.measure()
    assert bench.clock.now - began < 1.6
    bench.chip.stalled = False
    bench.start()
    assert bench.missing(after=12.0) == {}


@pytest.mark.parametrize("offset", [-7.25, 3.0, 20.0, -20.0])
def test_the_offset_takes_off_the_warmth_of_the_box(clock: VirtualClock, offset: float):
    """The offset is told with its sign, and again after a brown-out."""
    bench = make(clock, Options(temperature_offset=offset))
    bench.chip.warmth = -offset
    bench.chip.set(Quantity.TEMPERATURE, -1.0)
    bench.start()
    assert bench.measure()[Quantity.TEMPERATURE] == pytest.approx(-1.0, abs=0.006)
    bench.chip.power_cycle()
    bench.start()
    assert bench.measure()[Quantity.TEMPERATURE] == pytest.approx(-1.0, abs=0.006)


def test_the_offset_is_read_back(clock: VirtualClock):
    bench = make(clock, Options(temperature_offset=-2.0))
    bench.chip.forgetful = True
    with pytest.raises(DeviceError, match="the part holds"):
        bench.start()


@pytest.mark.parametrize("offset", [-20.1, 20.1, float("nan")])
def test_offsets_that_it_cannot_have(offset: float):
    with pytest.raises(ValueError, match="-20 to 20"):
        Options(temperature_offset=offset)


@pytest.mark.parametrize("name", ["SEN54", "SEN50", "SEN5", "SEN55C", "SEN66", ""])
def test_sisters_are_refused(bench: Bench, name: str):
    bench.chip.name = name
    with pytest.raises(WrongDevice, match="not a SEN55"):
        bench.start()


def test_wrong_checksum_from_the_part(bench: Bench):
    bench.start()
    bench.chip.wires.corrupt = 1
    with pytest.raises(ChecksumError):
        bench.measure(after=2.0)
    assert bench.measure()


def test_stop(bench: Bench):
    """Stopped, fan and laser rest; a start that follows at once waits until the part listens again."""
    bench.start()
    bench.stop()
    assert not bench.chip.measuring
    bench.start()
    assert bench.chip.measuring


def test_stop_in_the_middle_of_a_command(bench: Bench):
    """Given up between a command and its answer, the part is still stopped, not deaf to the stop."""

    async def give_up() -> None:
        await bench.driver.start()
        measuring = asyncio.create_task(bench.driver.measure())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        measuring.cancel()
        await bench.driver.stop()

    run(give_up())
    assert not bench.chip.measuring


class TestProbe:
    def test_it_is_recognised(self, bench: Bench):
        assert bench.probe(probe) == "product name SEN55"
        bench.start()
        bench.clock.now += 1.0
        assert bench.probe(probe) == "product name SEN55"
        assert bench.chip.measuring

    def test_others_are_not(self, bench: Bench):
        bench.chip.name = "SEN54"
        assert bench.probe(probe) is None
        bench.bus.chips.clear()
        assert bench.probe(probe) is None
        assert probed(probe, Constant(0x00), 0x69) is None
        assert probed(probe, Constant(0xFF), 0x69) is None


class TestChip:
    """The emulated part is as strict as the real one."""

    def test_it_is_deaf_while_it_executes(self, bench: Bench):
        bench.chip.transfer(b"\xd0\x14", 0)
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"", 48)
        bench.clock.now += 0.021
        assert bench.chip.transfer(b"", 48)[:3] == b"SE\x83"

    def test_no_repeated_start(self, bench: Bench):
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"\xd0\x14", 48)

    @pytest.mark.parametrize("write", ["1234", "00", "0021000081", "60b2000081", "60b2000081000081000082"])
    def test_unknown_commands_and_bad_arguments(self, bench: Bench, write: str):
        with pytest.raises(BusError):
            bench.chip.transfer(bytes.fromhex(write), 0)

    def test_nothing_to_read(self, bench: Bench):
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"", 3)

    def test_an_idle_part_does_not_clean(self, bench: Bench):
        bench.chip.transfer(b"\x56\x07", 0)
        bench.clock.now += 0.03
        bench.start()
        assert bench.missing() == {}

    def test_reset_is_a_power_cycle(self, bench: Bench):
        bench.start()
        bench.clock.now += 1.0
        bench.chip.transfer(b"\xd3\x04", 0)
        assert not bench.chip.measuring
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"\xd0\x14", 0)
