"""HC-SR04: pulses by the times of their edges, the speed of sound, echoes that never come or never end."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus import BusError, Edge
from drivers.device import DeviceError, Missing, Quantity
from drivers.emulated import EmulatedPins
from drivers.flood.hcsr04 import Driver, Options, decode, speed_of_sound
from drivers.flood.hcsr04.chip import Emulated
from gateway.clock import LoopClock

D, T = Quantity.DISTANCE, Quantity.TEMPERATURE
TRIGGER, ECHO = 23, 24
VECTORS = [
    vector
    for vector in json.loads(Path("tests/vectors/drivers.json").read_text())["vectors"]
    if vector["part"].startswith("HC-SR04")
]


def pulse(width, begins=5.0):
    return [Edge(True, begins), Edge(False, begins + width)]


class Rig:
    """A board, its driver, and a world in which time passes by itself."""

    def __init__(self, **options):
        self.clock = LoopClock()
        self.pins = EmulatedPins(self.clock)
        self.chip = Emulated(self.pins, TRIGGER, ECHO, self.clock)
        self.driver = Driver(self.pins, TRIGGER, self.clock, Options(echo=ECHO, **options))
        self.board = asyncio.create_task(self.chip.run())

    async def started(self):
        await self.driver.start()
        await self.clock.sleep(0.1)
        return self

    async def distance(self):
        return (await self.driver.measure())[D]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vectors(virtual, vector):
    """The second is a target beyond the range, which gpiozero tells as one at exactly the end of it."""

    async def main():
        rig = await Rig(farthest=vector["device"]["max_distance_m"]).started()
        rig.chip._flight = lambda: vector["device"]["echo_high_us"] / 1e6
        return await rig.distance()

    found = virtual(main())
    expected = vector["expected"].get("distance")
    if expected is None:
        assert vector["expected"]["outcome"] == "out_of_range"
        assert found is Missing.OUT_OF_RANGE
    else:
        assert found == pytest.approx(expected["value"], abs=expected["tol"])


@pytest.mark.parametrize(("celsius", "speed"), [(-20.0, 318.9), (0.0, 331.3), (20.0, 343.2), (40.0, 354.7)])
def test_the_speed_of_sound(celsius, speed):
    """Against the speed in an ideal gas; the linear fit is 0.3 % off at the ends."""
    assert speed_of_sound(celsius) == pytest.approx(speed, rel=0.003)


@pytest.mark.parametrize("distance", [0.0201, 0.1, 0.5, 1.0, 2.345, 3.99])
@pytest.mark.parametrize("celsius", [-20.0, 5.0, 20.0, 40.0])
def test_sweep(virtual, distance, celsius):
    async def main():
        rig = await Rig(temperature=celsius).started()
        rig.chip.set(D, distance)
        rig.chip.set(T, celsius)
        return await rig.distance()

    assert virtual(main()) == pytest.approx(distance, rel=0.003, abs=0.0001)


def test_the_wrong_temperature_is_a_wrong_distance(virtual):
    """At -10 degrees a speed for 20.9 is 5.5 % too fast."""

    async def main(**options):
        rig = await Rig(**options).started()
        rig.chip.set(D, 3.0)
        rig.chip.set(T, -10.0)
        return await rig.distance()

    assert virtual(main(temperature=-10.0)) == pytest.approx(3.0, abs=0.01)
    assert virtual(main(temperature=20.9)) == pytest.approx(3.0 * 1.0555, abs=0.01)


def test_a_change_shows_in_the_next_measurement(virtual):
    async def main():
        rig = await Rig().started()
        seen = []
        for distance in (2.0, 0.3, 3.5):
            rig.chip.set(D, distance)
            seen.append(await rig.distance())
        return seen

    assert virtual(main()) == [pytest.approx(each, abs=0.01) for each in (2.0, 0.3, 3.5)]


@pytest.mark.parametrize("gives_up", [0.036, 0.038, 0.0599, 0.09])
def test_no_echo_is_no_target(virtual, gives_up):
    """Boards give up at different times; none of them is a distance."""

    async def main():
        rig = await Rig().started()
        rig.chip.blind = True
        rig.chip.gives_up = gives_up
        return await rig.distance()

    assert virtual(main()) is Missing.NO_TARGET


def test_an_echo_line_that_stays_high_is_a_fault_and_stays_one(virtual):
    async def main():
        rig = await Rig().started()
        rig.chip.stuck = True
        began = rig.clock.monotonic()
        first = await rig.distance()
        took = rig.clock.monotonic() - began
        return first, await rig.distance(), took

    first, second, took = virtual(main())
    assert (first, second) == (Missing.FAULT, Missing.FAULT)
    assert took < 0.11


def test_a_line_that_is_freed_again_measures_again(virtual):
    async def main():
        rig = await Rig().started()
        rig.chip.stuck = True
        await rig.distance()
        rig.chip.stuck = False
        rig.chip.power_cycle()
        return await rig.distance()

    assert virtual(main()) == pytest.approx(1.0, abs=0.003)


def test_a_lost_edge_is_no_distance(virtual):
    """Neither in this measurement nor, with the next pulse's end, in the next one."""

    async def main():
        rig = await Rig().started()
        rig.chip.lost_fall = True
        first = await rig.distance()
        rig.chip.lost_fall = False
        return first, await rig.distance()

    first, second = virtual(main())
    assert first is Missing.FAULT
    assert second == pytest.approx(1.0, abs=0.003)


@pytest.mark.parametrize("spikes", [1, 2])
def test_more_than_one_pulse_is_unreliable(virtual, spikes):
    async def main():
        rig = await Rig().started()
        rig.chip.spikes = spikes
        return await rig.distance()

    assert virtual(main()) is Missing.UNRELIABLE


def test_no_pulse_at_all_is_an_error_that_says_what_to_do(virtual):
    async def main():
        rig = await Rig().started()
        rig.chip.silent = True
        await rig.distance()

    with pytest.raises(DeviceError, match="powered"):
        virtual(main())


@pytest.mark.parametrize(
    ("edges", "found"),
    [
        (pulse(0.00058), pytest.approx(0.0996, abs=0.0001)),
        (pulse(0.0001), Missing.OUT_OF_RANGE),
        (pulse(0.0), Missing.OUT_OF_RANGE),
        (pulse(-0.001), Missing.OUT_OF_RANGE),
        (pulse(0.02335), Missing.OUT_OF_RANGE),
        (pulse(0.0349), Missing.OUT_OF_RANGE),
        (pulse(0.035), Missing.NO_TARGET),
        ([Edge(True, 1.0)], Missing.FAULT),
        ([Edge(False, 1.0)], Missing.UNRELIABLE),
        ([Edge(False, 1.0), Edge(True, 1.001)], Missing.UNRELIABLE),
        ([*pulse(0.001), *pulse(0.001, 5.1)], Missing.UNRELIABLE),
    ],
)
def test_edges(edges, found):
    assert decode(edges, 20.0, 4.0) == found


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.1)), min_size=1, max_size=5))
def test_no_edges_give_an_impossible_distance(edges):
    found = decode([Edge(*each) for each in sorted(edges, key=lambda each: each[1])], 20.0, 4.0)
    assert isinstance(found, Missing) or 0.02 <= found <= 4.0


def test_late_news_of_an_edge_changes_nothing(virtual):
    """The loop is busy while the pulse comes and goes: the times of the edges are what counts."""

    async def main():
        clock = LoopClock()
        pins = EmulatedPins(clock)
        pins.set(ECHO, False)
        driver = Driver(pins, TRIGGER, clock, Options(echo=ECHO))
        await driver.start()
        measuring = asyncio.create_task(driver.measure())
        await clock.sleep(0.05)
        for queue in pins._listeners[ECHO]:
            for edge in pulse(0.00583, clock.monotonic() - 0.04):
                queue.put_nowait(edge)
        return (await measuring)[D]

    assert virtual(main()) == pytest.approx(1.0, abs=0.002)


def test_the_trigger_is_long_enough_and_low_again(virtual):
    async def main():
        rig = await Rig().started()
        times = []
        rig.pins.before = lambda: times.append(rig.clock.monotonic())
        await rig.distance()
        return rig.pins.log, times

    log, times = virtual(main())
    assert {line for line, _, _ in log} == {TRIGGER}
    assert [each[1:] for each in log] == [
        ("level", False),
        ("output", False),
        ("level", True),
        ("level", False),
    ]
    assert 10e-6 <= times[2] - times[1] < 1e-3


def test_a_measurement_given_up_half_way_leaves_the_trigger_low_and_nobody_listening(virtual):
    async def main():
        rig = await Rig().started()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.00001):
                await rig.distance()
        low = not rig.pins.levels[TRIGGER]
        listeners = list(rig.pins._listeners[ECHO])
        await rig.clock.sleep(0.1)
        return low, listeners, await rig.distance()

    low, listeners, after = virtual(main())
    assert low
    assert listeners == []
    assert after == pytest.approx(1.0, abs=0.003)


def test_an_echo_line_that_cannot_be_watched_is_the_buss_error(virtual):
    class Deaf(EmulatedPins):
        async def edges(self, line):
            raise BusError(f"line {line} cannot be watched")
            yield

    async def main():
        pins = Deaf(LoopClock())
        pins.set(ECHO, False)
        await Driver(pins, TRIGGER, LoopClock(), Options(echo=ECHO)).measure()

    with pytest.raises(BusError, match="cannot be watched"):
        virtual(main())


def test_stop_and_start_again(virtual):
    async def main():
        rig = await Rig().started()
        await rig.driver.stop()
        await rig.driver.stop()
        low = not rig.pins.levels[TRIGGER]
        await rig.driver.start()
        return low, await rig.distance()

    assert virtual(main()) == (True, pytest.approx(1.0, abs=0.003))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"echo": 54}, "echo"),
        ({"temperature": 293.15}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"farthest": 400.0}, "farthest"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_trigger_and_echo_on_one_line_are_refused(clock):
    with pytest.raises(ValueError, match="both on line 24"):
        Driver(EmulatedPins(clock), 24, clock, Options(echo=24))


def test_a_line_that_does_not_exist_is_told_at_start(clock):
    with pytest.raises(BusError, match="no line 54"):
        asyncio.run(Driver(EmulatedPins(clock), 54, clock).start())


def test_the_chip_ignores_a_trigger_that_is_too_short(virtual):
    async def main():
        rig = await Rig().started()
        rises = []
        await rig.pins.write(TRIGGER, True)
        await rig.clock.sleep(0.000005)
        await rig.pins.write(TRIGGER, False)
        await rig.clock.sleep(0.001)
        rises.append(await rig.pins.read(ECHO))
        await rig.pins.write(TRIGGER, True)
        await rig.clock.sleep(0.00002)
        await rig.pins.write(TRIGGER, False)
        await rig.clock.sleep(0.001)
        rises.append(await rig.pins.read(ECHO))
        return rises

    assert virtual(main()) == [False, True]


def test_a_board_that_answers_at_once_is_heard(virtual):
    """The echo line is watched before the trigger rises."""

    class Quick(EmulatedPins):
        async def write(self, line, high):
            await super().write(line, high)
            self.set(ECHO, high)

    async def main():
        clock = LoopClock()
        driver = Driver(Quick(clock), TRIGGER, clock, Options(echo=ECHO))
        await driver.start()
        return (await driver.measure())[D]

    assert virtual(main()) is Missing.OUT_OF_RANGE
