"""SCD41: recorded bytes, 0 ppm, what it refuses while it measures, its settings, and sleep."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.air.scd41 import Driver, Options, decode, encode_offset, probe
from drivers.air.scd41.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import ChecksumError, DeviceError, Missing, Quantity
from drivers.sensirion import guarded
from tests.conftest import VirtualClock
from tests.drivers.air_rig import Answers, Bench, Constant, measured, probed, run, vectors

CO2, T, H = Quantity.CO2, Quantity.TEMPERATURE, Quantity.HUMIDITY
ALL = Driver.quantities


def make(clock: VirtualClock, options: Options | None = None) -> Bench:
    bench = Bench(clock, Emulated(clock), 0x62)
    bench.driver = Driver(bench.bus, 0x62, clock, options or Options())
    return bench


@pytest.fixture
def bench(clock: VirtualClock) -> Bench:
    return make(clock)


@pytest.mark.parametrize("vector", vectors("SCD41", "measure"), ids=lambda vector: vector["id"])
def test_worked_examples(vector: dict[str, Any], clock: VirtualClock):
    """Examples of the datasheet, and bytes recorded from real parts, which were not ready at first."""
    values = measured(Driver(Answers(vector["device"]["responses"]), 0x62, clock), clock)
    assert len(values) == len(vector["expected"])
    for name, expected in vector["expected"].items():
        tolerance = min(expected["tol"], 1e-6)
        assert values[Quantity(name)] == pytest.approx(expected["value"], abs=tolerance), name


def test_zero_ppm_is_no_result(clock: VirtualClock):
    """0 ppm with a plausible temperature, and good checksums, is nothing at all."""
    (vector,) = vectors("SCD41", "fault")
    values = measured(Driver(Answers(vector["device"]["responses"]), 0x62, clock), clock)
    assert values == dict.fromkeys(ALL, Missing.SENTINEL)


def test_the_chip_gives_the_bytes_of_the_datasheet(bench: Bench):
    """500 ppm, 25 degrees and 37 % are these nine bytes (Read Measurement)."""
    bench.chip.warmth = 1498 * 175 / 65535
    for quantity, value in {CO2: 500, T: 25.0027, H: 37.0016}.items():
        bench.chip.set(quantity, value)
    bench.chip.transfer(b"\x21\xb1", 0)
    bench.clock.now += 5.1
    bench.chip.transfer(b"\xec\x05", 0)
    bench.clock.now += 0.0011
    assert bench.chip.transfer(b"", 9).hex() == "01f4336667a25eb93c"


@pytest.mark.parametrize(
    ("word", "ready"), [(0x8000, False), (0x8006, True), (0x0001, True), (0xF800, False)]
)
def test_ready(word: int, ready: bool):
    """Only the lower 11 bits count."""
    bus = Answers({"e4b8": [guarded(word).hex()], "ec05": ["01f4336667a25eb93c"]})
    driver = Driver(bus, 0x62, VirtualClock())
    if ready:
        assert run(driver.measure())[CO2] == 500.0
    else:
        with pytest.raises(DeviceError, match="no new result"):
            run(driver.measure())


@pytest.mark.parametrize(
    ("word", "temperature"), [(0, -45.0), (16852, 0.0), (14979, -5.0), (26214, 25.0), (65535, 130.0)]
)
def test_temperature_may_be_below_zero(word: int, temperature: float):
    assert decode((400, word, 0))[T] == pytest.approx(temperature, abs=0.003)


@given(st.tuples(*[st.integers(0, 0xFFFF)] * 3), st.booleans())
def test_decode_takes_any_words(words: tuple[int, int, int], warming: bool):
    values = decode(words, warming)
    assert set(values) == ALL
    assert all(isinstance(v, Missing) for v in values.values()) == (words[0] == 0)


@pytest.mark.parametrize(
    ("options", "bytes_"),
    [
        (Options(altitude=1950), "2427079e09"),
        (Options(temperature_offset=5.4), "241d07e648"),
        (Options(self_calibration=False), "2416000081"),
    ],
)
def test_settings_as_in_the_datasheet(options: Options, bytes_: str, clock: VirtualClock):
    """Each option is told in the datasheet's own bytes, and the part works with it."""
    bench = make(clock, options)
    log: list[bytes] = []
    transfer = bench.chip.transfer
    bench.chip.transfer = lambda write, read: (log.append(write), transfer(write, read))[1]
    bench.start()
    assert bytes.fromhex(bytes_) in log
    assert [write.hex()[:4] for write in log if write].count("241d") == (bytes_[:4] == "241d")
    assert bench.measure()


def test_the_offset_takes_off_the_warmth_of_the_box(clock: VirtualClock):
    """In frost as well, and again after a brown-out, which loses what was told."""
    bench = make(clock, Options(temperature_offset=6.5))
    bench.chip.warmth = 6.5
    bench.chip.set(T, -8.0)
    bench.start()
    assert bench.measure()[T] == pytest.approx(-8.0, abs=0.003)
    bench.chip.power_cycle()
    assert bench.chip.settings["offset"] == 1498
    bench.clock.now += 1.0
    bench.start()
    assert bench.measure()[T] == pytest.approx(-8.0, abs=0.003)


def test_defaults_are_not_told(bench: Bench):
    """What somebody stored in the part stays, unless an option says otherwise."""
    bench.chip.memory |= {"altitude": 800, "offset": 100}
    bench.chip.power_cycle()
    bench.clock.now += 1.0
    bench.start()
    assert (bench.chip.settings["altitude"], bench.chip.settings["offset"]) == (800, 100)


def test_settings_are_not_stored(clock: VirtualClock):
    """The memory of the part stands 2000 writes: a start is none of them."""
    bench = make(clock, Options(altitude=500, self_calibration=False))
    bench.start()
    assert bench.chip.settings["altitude"] == 500
    assert bench.chip.memory["altitude"] == 0


def test_settings_are_read_back(clock: VirtualClock):
    bench = make(clock, Options(altitude=500))
    bench.chip.forgetful = True
    with pytest.raises(DeviceError, match="the part holds 0"):
        bench.start()


@pytest.mark.parametrize(
    "options",
    [
        {"altitude": -1},
        {"altitude": 3001},
        {"temperature_offset": -0.1},
        {"temperature_offset": 20.1},
        {"temperature_offset": float("nan")},
    ],
)
def test_options_that_it_cannot_have(options: dict[str, Any]):
    with pytest.raises(ValueError, match="must be 0 to"):
        Options(**options)


def test_offset_words():
    assert [encode_offset(kelvin) for kelvin in (0.0, 4.0, 5.4, 20.0)] == [0, 1498, 2022, 7490]


def test_first_results_may_be_none(bench: Bench):
    """0 ppm after a start is warming up; minutes later it is a sentinel."""
    bench.chip.blank = 2
    bench.start()
    assert bench.missing() == dict.fromkeys(ALL, Missing.WARMING_UP)
    assert bench.missing() == dict.fromkeys(ALL, Missing.WARMING_UP)
    assert bench.missing() == {}
    bench.chip.blank = 1000
    assert bench.missing(after=5.0) == dict.fromkeys(ALL, Missing.SENTINEL)


def test_each_result_once(bench: Bench):
    """Asked faster than every 5 s, the driver waits for the next result instead of being refused."""
    bench.start()
    bench.measure()
    began = bench.clock.now
    bench.chip.set(CO2, 999.0)
    assert bench.measure()[CO2] == 999.0
    assert 4.0 < bench.clock.now - began < 5.5


@pytest.mark.parametrize("fault", ["brown-out", "hung"])
def test_no_new_result(bench: Bench, fault: str):
    bench.start()
    bench.measure()
    if fault == "brown-out":
        bench.chip.power_cycle()
        bench.clock.now += 0.1
    else:
        bench.chip.period = float("inf")
    began = bench.clock.now
    with pytest.raises(DeviceError, match="no new result"):
        bench.measure()
    assert bench.clock.now - began < 7.0
    bench.chip.period = 5.0
    bench.start()
    assert bench.missing() == {}


def test_a_slow_part_is_waited_for(bench: Bench):
    """Its clock may be off by some percent."""
    bench.chip.period = 5.4
    bench.start()
    assert bench.missing() == {}


def test_started_again_while_it_measures(clock: VirtualClock):
    """A part that measures takes neither a start nor a setting: it is stopped first, for half a second."""
    bench = make(clock, Options(altitude=120))
    bench.start()
    bench.measure()
    bench.start()
    assert bench.chip.measuring
    assert bench.missing() == {}


def test_a_sleeping_part_is_woken(bench: Bench):
    """It acknowledges nothing, the command to wake up least of all."""
    bench.chip.fall_asleep()
    bench.start()
    assert bench.missing() == {}


def test_an_absent_part_is_not_waited_for(bench: Bench):
    bench.bus.chips.clear()
    with pytest.raises(NoAcknowledge):
        bench.start()


def test_wrong_checksum(bench: Bench):
    bench.start()
    bench.clock.now += 6.0
    bench.chip.wires.corrupt = 1
    with pytest.raises(ChecksumError):
        bench.measure()
    assert bench.missing() == {}


def test_stop(bench: Bench):
    bench.start()
    bench.stop()
    assert not bench.chip.measuring


class TestProbe:
    @pytest.mark.parametrize(
        ("variant", "said"), [(0, "variant 0 (SCD40)"), (1, "variant 1 (SCD41)"), (5, "variant 5 (SCD43)")]
    )
    def test_variants(self, bench: Bench, variant: int, said: str):
        bench.chip.variant = variant
        assert bench.probe(probe) == said

    def test_older_parts_and_unknown_variants_tell_their_serial(self, bench: Bench):
        bench.chip.variant = 9
        assert bench.probe(probe) == "serial number f8967fb51cd2"
        bench.chip.old = True
        assert bench.probe(probe) == "serial number f8967fb51cd2"

    def test_a_measuring_part_is_not_disturbed(self, bench: Bench):
        bench.start()
        bench.clock.now += 5.5
        assert bench.probe(probe) == "a ready flag (0x8006) with a valid checksum"
        assert bench.missing() == {}

    def test_others_are_not(self, bench: Bench):
        bench.bus.chips.clear()
        assert bench.probe(probe) is None
        assert probed(probe, Constant(0x00), 0x62) is None
        assert probed(probe, Constant(0xFF), 0x62) is None


class TestChip:
    """The emulated part is as strict as the real one."""

    @pytest.mark.parametrize("write", ["1234", "00", "21b10000", "2427", "2427079e0a", "24270bb974", "36f6"])
    def test_what_an_idle_part_refuses(self, bench: Bench, write: str):
        with pytest.raises(BusError):
            bench.chip.transfer(bytes.fromhex(write), 0)

    @pytest.mark.parametrize("write", ["21b1", "2427079e09", "241d07e648", "3682", "202f", "3615", "36e0"])
    def test_what_a_measuring_part_refuses(self, bench: Bench, write: str):
        bench.start()
        bench.clock.now += 1.0
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(bytes.fromhex(write), 0)

    def test_an_empty_buffer_is_not_acknowledged(self, bench: Bench):
        """Read twice, or before the first sample: a driver that does not ask first must expect this."""
        bench.start()
        bench.clock.now += 1.0
        bench.chip.transfer(b"\xec\x05", 0)
        bench.clock.now += 0.0011
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"", 9)

    def test_it_is_deaf_after_a_stop(self, bench: Bench):
        bench.start()
        bench.clock.now += 1.0
        bench.chip.transfer(b"\x3f\x86", 0)
        bench.clock.now += 0.49
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"\x36\x82", 0)
        bench.clock.now += 0.02
        bench.chip.transfer(b"\x36\x82", 0)
        bench.clock.now += 0.0011
        assert bench.chip.transfer(b"", 3) == guarded(0xF896)

    def test_one_shot(self, bench: Bench):
        bench.chip.transfer(b"\x21\x9d", 0)
        bench.clock.now += 4.9
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"\xec\x05", 0)
        bench.clock.now += 0.2
        bench.chip.transfer(b"\xec\x05", 0)
        bench.clock.now += 0.0011
        assert bench.chip.transfer(b"", 3) == guarded(430)
