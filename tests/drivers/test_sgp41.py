"""SGP41: the algorithm's second, seconds that were missed, conditioning, and ticks that are none."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.air.sgp41 import Driver, Options, between, encode_air, judge, probe
from drivers.air.sgp41.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import ChecksumError, DeviceError, Missing, Quantity
from drivers.sensirion import guarded
from tests.conftest import VirtualClock
from tests.drivers.air_rig import Answers, Bench, Constant, measured, probed, run, vectors

VOC, NOX = Quantity.VOC_INDEX, Quantity.NOX_INDEX
BOTH = Driver.quantities


def algorithm(name: str) -> Any:
    """Return the module *name* of Sensirion's package. It needs a C compiler, so it is not everywhere."""
    why = "the extra gas is not installed: pip install 'lamppost[gas]'"
    return pytest.importorskip(f"sensirion_gas_index_algorithm.{name}_algorithm", reason=why)


class Started(Bench):
    """A bench that can be started only where the algorithm is installed."""

    def start(self) -> None:
        algorithm("voc")
        super().start()


def make(clock: VirtualClock, options: Options | None = None) -> Bench:
    bench = Started(clock, Emulated(clock), 0x59)
    bench.driver = Driver(bench.bus, 0x59, clock, options or Options())
    return bench


@pytest.fixture
def bench(clock: VirtualClock) -> Bench:
    return make(clock)


@pytest.fixture
def warm(bench: Bench) -> Bench:
    """A bench whose algorithm has run for a minute and a half."""
    bench.start()
    bench.measures(90)
    return bench


def weather(second: int) -> int:
    """Ticks of an uneasy afternoon."""
    return 30000 + 40 * (second % 37) - 25 * (second % 11)


def reference(ticks: list[int]) -> int:
    """Return what Sensirion's algorithm says when it is fed each second, without us."""
    voc = algorithm("voc").VocAlgorithm()
    index = 0
    for each in ticks:
        index = voc.process(each)
    return int(index)


@pytest.mark.parametrize("vector", vectors("SGP41", "measure"), ids=lambda vector: vector["id"])
def test_worked_examples(vector: dict[str, Any], clock: VirtualClock):
    """The ticks are those expected, and the part was told the air in the expected bytes."""
    algorithm("voc")
    expected = {name: each["value"] for name, each in vector["expected"].items()}
    humidity = 37.0 if "compensated" in vector["id"] else 50.0
    bus = Answers(vector["device"]["responses"])
    driver = Driver(bus, 0x59, clock, Options(humidity=humidity))
    measured(driver, clock)
    assert driver.ticks == (expected["sraw_voc"], expected["sraw_nox"])
    told, wanted = bus.log[-1], bytes.fromhex(expected["measure_raw_write"])
    assert told[:2] == wanted[:2]
    assert int.from_bytes(told[2:4]) == pytest.approx(int.from_bytes(wanted[2:4]), abs=1)
    assert told[5:] == wanted[5:]
    assert bytes.fromhex(vector["transactions"][0]["w"]) in bus.log


@pytest.mark.parametrize(
    ("humidity", "temperature", "words"),
    [(50.0, 25.0, (0x8000, 0x6666)), (0.0, -45.0, (0, 0)), (100.0, 130.0, (0xFFFF, 0xFFFF))],
)
def test_the_air_in_words(humidity: float, temperature: float, words: tuple[int, int]):
    """The default is the datasheet's own `8000 6666`; frost is no negative word."""
    assert encode_air(humidity, temperature) == words


def test_the_part_is_told_the_air(clock: VirtualClock):
    bench = make(clock, Options(humidity=80.0, temperature=-10.0))
    bench.start()
    bench.measure()
    assert bench.chip.air == (52428, 13107)


@pytest.mark.parametrize(
    "options",
    [{"humidity": -1.0}, {"humidity": 100.1}, {"temperature": -46.0}, {"temperature": float("nan")}],
)
def test_options_that_it_cannot_have(options: dict[str, float]):
    with pytest.raises(ValueError, match="must be"):
        Options(**options)


def test_no_index_in_the_first_45_seconds(bench: Bench):
    bench.start()
    for _ in range(45):
        assert bench.missing() == dict.fromkeys(BOTH, Missing.WARMING_UP)
    bench.measure()
    assert bench.missing() == {}


def test_bad_air_shows(warm: Bench):
    """More VOC is a higher index, and more NOx too."""
    before = warm.measure()
    warm.chip.set(VOC, 400.0)
    warm.chip.set(NOX, 300.0)
    for _ in range(60):
        after = warm.measure()
    assert after[VOC] > before[VOC] + 50  # type: ignore[operator]
    assert after[NOX] > before[NOX]  # type: ignore[operator]
    assert all(1 <= value <= 500 for value in after.values())  # type: ignore[operator]


def feed(bench: Bench, seconds: int, pause: Callable[[int], float]) -> list[Any]:
    """Measure *seconds* times while the ticks change each second; pause before each as the caller says."""
    bench.start()
    found, began = [], None
    for second in range(seconds):
        bench.clock.now += pause(second)
        if began is not None:  # the ticks that will be measured are those of the second it happens in
            bench.chip.voc = weather(second)
        else:
            bench.chip.voc, began = weather(0), bench.clock.now
        found.append(bench.measure()[VOC])
    return found


PAUSES: dict[str, Callable[[int], float]] = {
    "eager": lambda _: 0.0,
    "lazy": lambda _: 0.9,
    "uneasy": lambda second: (0.0, 0.3, 0.95)[second % 3],
}


@pytest.mark.parametrize("pause", PAUSES.values(), ids=PAUSES)
def test_one_step_is_one_second_however_it_is_called(bench: Bench, pause: Callable[[int], float]):
    """Called early or unevenly, the part is measured on whole seconds, and the index is Sensirion's own."""
    found = feed(bench, 120, pause)
    began, *_ = times = bench.chip.log[1:]  # the first ended the conditioning
    assert times == pytest.approx([began + second for second in range(120)], abs=0.15)
    assert found[-1] == reference([weather(second) for second in range(120)])


@pytest.mark.parametrize("pause", [0.9, 0.99, 1.3, 2.7])
def test_the_grid_does_not_drift(bench: Bench, pause: float, monkeypatch: pytest.MonkeyPatch):
    """However late each measurement comes, the algorithm is fed as many steps as seconds pass."""
    voc = algorithm("voc").VocAlgorithm
    fed, process = [], voc.process
    monkeypatch.setattr(voc, "process", lambda self, each: (fed.append(each), process(self, each))[1])
    bench.start()
    bench.measure()
    began = bench.chip.log[-1]
    fed.clear()
    for _ in range(500):
        bench.measure(after=pause)
    assert len(fed) == pytest.approx(bench.chip.log[-1] - began, abs=0.51)


@pytest.mark.parametrize("missed", [1, 2, 5])
def test_missed_seconds_are_made_up_for(warm: Bench, missed: int):
    """The algorithm is fed each missed second, on a straight line to the ticks that come."""
    expected = [30000] * 90
    warm.chip.voc = 30000 - 60 * (missed + 1)
    expected += [30000 - 60 * (second + 1) for second in range(missed + 1)]
    values = warm.measure(after=missed + 0.95)
    assert values[VOC] == reference(expected)
    warm.chip.voc = 29000
    assert warm.measure()[VOC] == reference([*expected, 29000])


def test_half_a_second_late_is_not_a_second_missed(warm: Bench):
    values = warm.measure(after=1.35)
    assert values[VOC] == reference([30000] * 91)
    assert warm.measure()[VOC] == reference([30000] * 92)


def test_too_many_missed_seconds_are_not_made_up(warm: Bench):
    """After more than five the reading is unreliable, and the algorithm begins anew."""
    assert warm.missing(after=7.5) == dict.fromkeys(BOTH, Missing.UNRELIABLE)
    for _ in range(44):
        assert warm.missing() == dict.fromkeys(BOTH, Missing.WARMING_UP)
    warm.measure()
    assert warm.missing() == {}


@pytest.mark.parametrize("interval", [7.0, 10.0, 60.0])
def test_a_wrong_interval_never_gives_an_index(bench: Bench, interval: float):
    """A cadence of ten seconds would skew the index silently: it gives none, however long it goes on."""
    bench.start()
    bench.measure()
    for _ in range(100):
        assert bench.missing(after=interval) == dict.fromkeys(BOTH, Missing.UNRELIABLE)


def test_three_hours_of_voc_are_kept_over_a_short_interruption(bench: Bench):
    """What Sensirion allows: VOC goes on from what it knew, NOx is learnt again."""
    bench.start()
    voc = algorithm("voc").VocAlgorithm
    kept, ticks = voc(), 31000
    bench.chip.voc = ticks
    bench.measures(3 * 3600 + 5)
    for _ in range(3 * 3600 + 5):
        kept.process(ticks)
    bench.measure(after=300.0)
    resumed, fresh = voc(), voc()
    resumed.set_states(*kept.get_states())
    bench.chip.voc = 29500
    found = bench.measures(120)[VOC]
    for second in range(121):
        expected = resumed.process(ticks if second == 0 else 29500)
        other = fresh.process(ticks if second == 0 else 29500)
    assert found == expected != other


@pytest.mark.parametrize(("hours", "gap"), [(3, 601.0), (2, 60.0)])
def test_otherwise_nothing_is_kept(bench: Bench, hours: int, gap: float):
    """Too long an interruption, or too short a memory: VOC is learnt from nothing."""
    bench.start()
    bench.chip.voc = 31000
    bench.measures(hours * 3600 + 5)
    bench.chip.voc = 29500
    bench.measure(after=gap)
    found = bench.measures(119)[VOC]
    assert found == reference([29500] * 120)


def test_a_restart_is_warming_up_and_not_unreliable(warm: Bench):
    """After a fault the sampler starts the device again: that is no wrong interval."""
    warm.clock.now += 30.0
    warm.start()
    assert warm.missing() == dict.fromkeys(BOTH, Missing.WARMING_UP)


@pytest.mark.parametrize(("voc", "nox"), [(0, 15800), (30000, 0), (0xFFFF, 65000)])
def test_ticks_that_are_none(warm: Bench, voc: int, nox: int):
    """Ticks of 0, or of 65000 and more, are no signal: no index, and no harm to the ones that follow."""
    warm.chip.voc, warm.chip.nox = voc, nox
    missing = warm.missing()
    assert (VOC in missing) == (voc != 30000)
    assert (NOX in missing) == (nox != 15800)
    assert set(missing.values()) == {Missing.SENTINEL}
    warm.chip.voc = warm.chip.nox = None
    assert warm.measure(after=1.9)[VOC] == reference([30000] * 93)


@pytest.mark.parametrize(
    ("ticks", "index", "value"),
    [(30000, 0, Missing.WARMING_UP), (30000, 1, 1.0), (30000, 500, 500.0), (0, 7, Missing.SENTINEL)],
)
def test_judge(ticks: int, index: int, value: object):
    assert judge(ticks, index) == value


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(1, 6))
def test_made_up_ticks_lie_between(before: int, after: int, steps: int):
    """They end in what was measured, and are never outside of the two."""
    ticks = list(between(before, after, steps))
    assert len(ticks) == steps
    assert ticks[-1] == after
    assert all(min(before, after) <= each <= max(before, after) for each in ticks)


class TestConditioning:
    def test_it_lasts_nine_seconds(self, bench: Bench):
        began = bench.clock.now
        bench.start()
        assert 9.0 <= bench.clock.now - began < 9.2
        bench.clock.now += 100.0
        bench.measure()
        assert not bench.chip.damaged

    def test_it_is_not_repeated_within_a_minute(self, bench: Bench):
        """A bus that comes and goes must not cook the part."""
        bench.start()
        began = bench.clock.now
        bench.start()
        assert bench.clock.now - began < 0.1
        bench.clock.now += 61.0
        bench.start()
        assert bench.clock.now - began > 69.0
        assert not bench.chip.damaged

    def test_a_disturbed_wire_needs_none(self, warm: Bench):
        """A wrong checksum, and the start that follows it, cost no second of the algorithm's."""
        warm.chip.wires.corrupt = 1
        with pytest.raises(ChecksumError):
            warm.measure()
        warm.clock.now += 1.0
        warm.start()
        assert warm.measure()[VOC] == reference([30000] * 92)

    @pytest.mark.parametrize("silence", ["no answer", "stopped", "long"])
    def test_a_part_that_was_silent_needs_it(self, warm: Bench, silence: str):
        """It may have been without power, or cold."""
        if silence == "no answer":
            chip = warm.bus.chips.pop(0x59)
            with pytest.raises(NoAcknowledge):
                warm.measure()
            warm.bus.chips[0x59] = chip
        if silence == "stopped":
            warm.stop()
        warm.clock.now += 6.0 if silence == "long" else 1.0
        began = warm.clock.now
        warm.start()
        assert warm.clock.now - began > 8.9
        assert warm.missing() == dict.fromkeys(BOTH, Missing.WARMING_UP)
        warm.measures(70)
        began = warm.clock.now
        warm.start()
        assert warm.clock.now - began < 0.1, "the silence is over"

    @pytest.mark.parametrize("after", [0.01, 3.02, 8.5])
    def test_it_ends_when_it_is_given_up(self, bench: Bench, after: float):
        """A deadline in the middle of it turns the heater off."""
        algorithm("voc")

        async def give_up() -> None:
            starting = asyncio.create_task(bench.driver.start())
            ends = bench.clock.now + after
            while bench.clock.now < ends:
                await asyncio.sleep(0)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting

        run(give_up())
        assert not bench.chip.heated
        bench.clock.now += 60.0
        bench.probe(probe)
        assert not bench.chip.damaged

    def test_it_ends_when_a_transfer_fails(self, bench: Bench):
        bench.chip.wires.corrupt = 0

        def before() -> None:
            if bench.bus.transfers == 9:
                bench.chip.wires.corrupt = 1

        bench.bus.before = before
        with pytest.raises(ChecksumError):
            bench.start()
        assert not bench.chip.heated


def test_wrong_checksum(warm: Bench):
    warm.chip.wires.corrupt = 1
    with pytest.raises(ChecksumError):
        warm.measure()
    assert warm.measure()[VOC] == reference([30000] * 91), "the next attempt is in the same second"


def test_stop(warm: Bench):
    warm.stop()
    assert not warm.chip.heated


def test_without_the_algorithm(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Where the package is not installed, the start says so; the part is found, and not heated."""
    for name in ("", ".nox_algorithm", ".voc_algorithm"):
        monkeypatch.setitem(sys.modules, f"sensirion_gas_index_algorithm{name}", None)
    with pytest.raises(DeviceError, match=r"pip install 'lamppost\[gas\]'"):
        run(bench.driver.start())
    assert not bench.chip.heated


def test_not_started(bench: Bench):
    with pytest.raises(DeviceError, match="not started"):
        bench.measure()


def test_the_algorithm_is_the_one_that_we_know():
    """The constants that the driver relies on are those of the installed package."""
    nox = algorithm("nox").NoxAlgorithm()
    assert nox.get_sampling_interval() == 1.0
    assert [nox.process(15800) for _ in range(47)][-2:] == [0, 1]


class TestProbe:
    def test_it_is_recognised(self, bench: Bench):
        assert bench.probe(probe) == "feature set 0x0040"

    def test_an_sgp40_is_not(self, bench: Bench):
        """It has the same address, the same serial number command, and no NOx."""
        bench.chip.features = 0x0020
        assert bench.probe(probe) is None

    def test_others_are_not(self, bench: Bench):
        bench.bus.chips.clear()
        assert bench.probe(probe) is None
        assert probed(probe, Constant(0x00), 0x59) is None
        assert probed(probe, Constant(0xFF), 0x59) is None


class TestChip:
    """The emulated part is as strict as the real one."""

    @pytest.mark.parametrize("write", ["1234", "2619", "26198000a36666 93", "26198000a2", "3682000081"])
    def test_what_it_refuses(self, bench: Bench, write: str):
        with pytest.raises(BusError):
            bench.chip.transfer(bytes.fromhex(write), 0)

    def test_it_is_deaf_while_it_measures(self, bench: Bench):
        bench.chip.transfer(bytes.fromhex("26198000a2666693"), 0)
        bench.clock.now += 0.049
        with pytest.raises(NoAcknowledge):
            bench.chip.transfer(b"", 6)
        bench.clock.now += 0.002
        assert bench.chip.transfer(b"", 6) == guarded(30000) + guarded(15800)

    def test_conditioning_for_too_long_damages_it(self, bench: Bench):
        bench.chip.transfer(bytes.fromhex("26128000a2666693"), 0)
        bench.clock.now += 10.1
        bench.chip.transfer(b"\x36\x15", 0)
        assert bench.chip.damaged

    def test_self_test(self, bench: Bench):
        bench.chip.transfer(b"\x28\x0e", 0)
        bench.clock.now += 0.33
        assert bench.chip.transfer(b"", 3) == guarded(0xD400)

    def test_it_knows_only_its_own_air(self, bench: Bench):
        with pytest.raises(KeyError):
            bench.chip.set(Quantity.CO2, 400.0)
