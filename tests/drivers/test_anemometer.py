"""Anemometer: means and gusts from the times of edges, bounce, busy loops, and wires that are loose."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus import BusError, Edge
from drivers.device import DeviceError, Missing, Quantity
from drivers.emulated import EmulatedPins
from drivers.weather.anemometer import Driver, Options, Turns, running
from drivers.weather.anemometer.chip import Emulated
from gateway.clock import LoopClock

SPEED, GUST = Quantity.WIND_SPEED, Quantity.WIND_GUST
LINE = 5
LENGTH = 2.4 / 3.6
(VECTOR,) = [
    vector
    for vector in json.loads(Path("tests/vectors/drivers.json").read_text())["vectors"]
    if vector["part"] == "Reed anemometer"
]


class Rig:
    """Cups, their driver, and a world in which the wind blows by itself."""

    def __init__(self, **options):
        self.clock = LoopClock()
        self.pins = EmulatedPins(self.clock)
        self.chip = Emulated(self.pins, LINE, self.clock, options.get("speed", LENGTH))
        self.driver = Driver(self.pins, LINE, self.clock, Options(**options))

    async def started(self):
        await self.driver.start()
        self.world = asyncio.create_task(self.chip.run())
        return self

    async def after(self, seconds):
        await self.clock.sleep(seconds)
        return await self.driver.measure()


@pytest.mark.parametrize(
    ("speed", "name"),
    [
        (LENGTH, "wind_speed_2p4kmh_per_hz"),
        (2 * 3.141592653589793 * 0.07 * 2.18 / 2, "wind_speed_weatherhat"),
    ],
)
def test_vector(virtual, speed, name):
    """40 closures in 10 s, by either convention: the scale is an option, not code."""

    async def main():
        rig = Rig(speed=speed)
        await rig.driver.start()
        device = VECTOR["device"]
        for _ in range(device["count"]):
            await rig.chip.close(0.05)
            await rig.clock.sleep(device["over_s"] / device["count"] - 0.0506)
        return await rig.driver.measure()

    expected = VECTOR["expected"][name]
    values = virtual(main())
    assert values[SPEED] == pytest.approx(expected["value"], abs=expected["tol"])
    assert values[GUST] == pytest.approx(expected["value"], abs=expected["tol"])


@pytest.mark.parametrize("speed", [0.0, 0.3, 1.0, 3.3, 10.0, 27.5, 60.0])
def test_a_steady_wind_is_its_own_mean_and_gust(virtual, speed):
    async def main():
        rig = await Rig().started()
        rig.chip.set(SPEED, speed)
        await rig.after(5)
        return await rig.after(30)

    values = virtual(main())
    assert values[SPEED] == pytest.approx(speed, abs=LENGTH / 30 + 0.01)
    assert values[GUST] == pytest.approx(speed, abs=LENGTH / 30 + 0.01)


def test_means_add_up_to_the_wind_that_went_by(virtual):
    """No closure is lost between readings, whatever their lengths."""

    async def main():
        rig = await Rig().started()
        wind = 0.0
        for speed, seconds in ((5.0, 3.3), (0.4, 10.0), (18.0, 7.7), (0.0, 4.0), (2.0, 100.0)):
            rig.chip.set(SPEED, speed)
            wind += (await rig.after(seconds))[SPEED] * seconds
        return wind, rig.chip.closures

    wind, closures = virtual(main())
    assert wind == pytest.approx(closures * LENGTH, rel=1e-6)


@pytest.mark.parametrize("begins", [1.0, 4.0, 8.5, 9.9])
def test_a_gust_is_found_wherever_it_falls(virtual, begins):
    """Three seconds at 20 m/s in a wind of 4, also across the border of two readings of 10 s."""

    async def main():
        rig = await Rig().started()
        rig.chip.set(SPEED, 4.0)
        await rig.after(20)
        await rig.clock.sleep(begins)
        rig.chip.set(SPEED, 20.0)
        seen = [] if begins + 3 < 10 else [await rig.after(10 - begins)]
        await rig.clock.sleep(3.0 if not seen else 3.0 - (10 - begins))
        rig.chip.set(SPEED, 4.0)
        seen.append(await rig.after(7 - begins if not seen else 10 - (3 - (10 - begins))))
        return seen

    seen = virtual(main())
    assert max(values[GUST] for values in seen) == pytest.approx(20.0, abs=0.6)
    assert all(values[GUST] >= values[SPEED] for values in seen)


def test_a_gust_shorter_than_three_seconds_is_spread_over_them():
    """A second of 45 closures in a wind of 3 a second."""
    slow = [number / 3 for number in range(60)]
    fast = [20 + number / 45 for number in range(45)]
    times = [*slow, *fast, *(21 + each for each in slow)]
    assert running(times, -1.0, 0.0) == pytest.approx((45 + 3 + 3) / 3, abs=0.1)


def test_the_gust_warms_up_and_a_reading_too_soon_is_not_ready(virtual):
    async def main():
        rig = await Rig().started()
        rig.chip.set(SPEED, 6.0)
        return [await rig.after(seconds) for seconds in (0.0, 0.4, 0.2, 2.0, 1.0)]

    at_once, soon, sixth, young, warm = virtual(main())
    assert set(at_once.values()) == set(soon.values()) == {Missing.NOT_READY}
    assert sixth[SPEED] == pytest.approx(6.0, abs=LENGTH / 0.6)
    assert sixth[GUST] is young[GUST] is Missing.WARMING_UP
    assert warm[GUST] == pytest.approx(6.0, abs=1.0)


def test_readings_of_a_second_have_gusts_of_three(virtual):
    async def main():
        rig = await Rig().started()
        rig.chip.set(SPEED, 15.0)
        await rig.after(10)
        rig.chip.set(SPEED, 3.0)
        return [(await rig.after(1))[GUST] for _ in range(5)]

    first, *_, last = virtual(main())
    assert first == pytest.approx(15.0, abs=0.5)
    assert last == pytest.approx(3.0, abs=0.7)


@pytest.mark.parametrize("bounce", [(), (0.0002,), (0.0009, 0.0005), (0.0001,) * 12])
@pytest.mark.parametrize("speed", [0.5, 8.0, 40.0])
def test_bounce_is_never_counted(virtual, bounce, speed):
    async def main():
        rig = await Rig().started()
        rig.chip.bounce = bounce
        rig.chip.set(SPEED, speed)
        await rig.after(5)
        before = rig.chip.closures
        values = await rig.after(20)
        return values[SPEED] * 20 / LENGTH, rig.chip.closures - before

    counted, closures = virtual(main())
    assert counted == pytest.approx(closures, abs=1.01)


def test_no_closure_is_lost_while_the_loop_is_busy():
    """In real time: nothing else runs for a while, and the news of 200 closures comes late and at once."""

    async def main():
        pins = EmulatedPins(LoopClock())
        driver = Driver(pins, LINE, LoopClock(), Options(speed=0.1))
        await driver.start()
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in range(200):
            for level, after in ((False, 0.0), (True, 0.004)):
                edge = Edge(level, began + 0.01 * number + after)
                loop.call_soon_threadsafe(pins._listeners[LINE][0].put_nowait, edge)
        time.sleep(0.6)
        values = await driver.measure()
        return values[SPEED] * (driver._since - driver._began) / 0.1

    assert asyncio.run(main()) == pytest.approx(200)


def test_a_gust_is_never_below_the_mean(virtual):
    """One closure after a long calm: the mean counts it whole, the running mean does not."""

    async def main():
        rig = await Rig().started()
        await rig.chip.close(0.1)
        await rig.after(60)
        await rig.chip.close(0.1)
        return await rig.after(5)

    values = virtual(main())
    assert values[GUST] == values[SPEED] == pytest.approx(LENGTH / 5.1, rel=0.01)


def test_a_reed_that_is_closed_at_the_start_opens_without_a_closure(virtual):
    async def main():
        rig = Rig()
        rig.pins.set(LINE, False)
        await rig.driver.start()
        await rig.clock.sleep(1)
        rig.pins.set(LINE, True)
        return await rig.after(9)

    assert virtual(main())[SPEED] == 0.0


def test_a_calm_is_zero_and_a_frozen_shaft_looks_the_same(virtual):
    async def main():
        rig = await Rig().started()
        rig.chip.set(SPEED, 9.0)
        await rig.after(10)
        rig.chip.stuck = True
        await rig.after(10)
        return await rig.after(10)

    assert virtual(main()) == {SPEED: 0.0, GUST: 0.0}


def test_a_loose_wire_is_no_storm(virtual):
    async def main():
        rig = await Rig().started()
        await rig.chip.chatter(10, period=0.0025)
        low = await rig.driver.measure()
        rig.driver._turns.reed._debounce = 0.0
        await rig.chip.chatter(10, period=0.0025)
        return low, await rig.driver.measure()

    debounced, storm = virtual(main())
    assert debounced[SPEED] < 1.0
    assert set(storm.values()) == {Missing.OUT_OF_RANGE}


def test_a_measurement_given_up_loses_nothing(virtual):
    async def main():
        rig = await Rig().started()
        rig.chip.set(SPEED, 6.0)
        await rig.clock.sleep(10)
        measuring = asyncio.create_task(rig.driver.measure())
        await asyncio.sleep(0)
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
        return await rig.after(10)

    assert virtual(main())[SPEED] == pytest.approx(6.0, abs=0.05)


def test_starting_again_changes_nothing_while_it_counts(virtual):
    async def main():
        rig = await Rig().started()
        rig.chip.set(SPEED, 6.0)
        await rig.clock.sleep(10)
        await rig.driver.start()
        values = await rig.after(10)
        return values, len(rig.pins._listeners[LINE])

    values, listeners = virtual(main())
    assert values[SPEED] == pytest.approx(6.0, abs=0.05)
    assert values[GUST] == pytest.approx(6.0, abs=0.05)
    assert listeners == 1


def test_stop_forgets_and_leaves_nobody_listening(virtual):
    async def main():
        rig = await Rig().started()
        rig.chip.set(SPEED, 6.0)
        await rig.after(10)
        await rig.driver.stop()
        await rig.driver.stop()
        left = list(rig.pins._listeners[LINE])
        with pytest.raises(DeviceError, match="not started"):
            await rig.driver.measure()
        await rig.clock.sleep(100)
        await rig.driver.start()
        return left, await rig.after(10)

    left, values = virtual(main())
    assert left == []
    assert values[SPEED] == pytest.approx(6.0, abs=0.1)


def test_a_watch_that_ends_is_told_and_started_again(virtual):
    """With a new interval: nobody knows how hard the wind blew meanwhile."""

    class Failing(EmulatedPins):
        broken = False

        async def edges(self, line):
            async for edge in super().edges(line):
                if self.broken:
                    raise BusError("the expander is gone")
                yield edge

    async def main():
        rig = Rig()
        rig.pins = Failing(rig.clock)
        rig.chip = Emulated(rig.pins, LINE, rig.clock)
        rig.driver = Driver(rig.pins, LINE, rig.clock)
        await rig.started()
        rig.chip.set(SPEED, 6.0)
        await rig.clock.sleep(10)
        rig.pins.broken = True
        await rig.clock.sleep(10)
        with pytest.raises(BusError, match="expander is gone"):
            await rig.driver.measure()
        rig.pins.broken = False
        await rig.driver.start()
        return await rig.after(10)

    assert virtual(main())[SPEED] == pytest.approx(6.0, abs=0.1)


def test_a_line_that_does_not_exist_is_told_at_start(clock):
    with pytest.raises(BusError, match="no line 54"):
        asyncio.run(Driver(EmulatedPins(clock), 54, clock).start())


def test_a_reed_to_the_supply_and_a_lost_edge(virtual):
    """Active high; and where a closing edge is lost, its opening tells of it."""

    async def main():
        clock = LoopClock()
        pins = EmulatedPins(clock)
        pins.set(LINE, False)
        driver = Driver(pins, LINE, clock, Options(active_low=False, speed=1.0))
        await driver.start()
        for number in range(10):
            if number == 5:
                pins.levels[LINE] = True
            pins.set(LINE, True)
            await clock.sleep(0.3)
            pins.set(LINE, False)
            await clock.sleep(0.7)
        return (await driver.measure())[SPEED]

    assert virtual(main()) == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize(
    ("times", "since", "began", "hertz"),
    [
        ([], -1.0, 0.0, 0.0),
        ([5.0], 0.0, 0.0, 0.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 0.0, 0.0, 1.0),
        ([0.0, 0.7, 1.4, 2.1, 2.8, 3.5], -1.0, 0.0, 1 / 0.7),
        ([0.0, 10.0, 10.5, 11.0, 11.5, 12.0], 0.0, 0.0, (4 + 0.1) / 3),
        ([0.0, 10.0, 10.5, 11.0, 11.5, 12.0], 12.0, 0.0, 0.0),
        ([1.0, 1.5, 2.0], 0.0, 0.0, 0.0),
        (
            [0.0, 0.1, 0.2, 0.3, 20.0, 30.0],
            0.3,
            0.0,
            (3 + 2.7 / 19.7) / 3,
        ),
    ],
)
def test_running_means(times, since, began, hertz):
    assert running(times, since, began) == pytest.approx(hertz, abs=1e-9)


@given(st.lists(st.floats(0, 30).map(lambda time: round(time, 2)), min_size=2, max_size=40, unique=True))
def test_the_highest_running_mean_is_really_the_highest(times):
    """Against every window of a fine grid."""
    times = sorted(times)

    def turned(until):
        whole = sum(each <= until for each in times)
        if whole in (0, len(times)):
            return max(0, whole - 1)
        return whole - 1 + (until - times[whole - 1]) / (times[whole] - times[whole - 1])

    grid = [0.01 * tick for tick in range(3000) if 3.0 <= 0.01 * tick <= times[-1]]
    wanted = max((turned(end) - turned(end - 3) for end in grid[::7]), default=0.0) / 3
    assert running(times, -1.0, 0.0) >= wanted - 1e-6
    assert running(times, -1.0, 0.0) <= (len(times) - 1) / 3


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100, allow_nan=False)), max_size=80))
def test_edges_of_any_kind_never_break_it(edges):
    turns = Turns(0.003, active_low=True)
    for edge in sorted(edges, key=lambda each: each[1]):
        turns.add(Edge(*edge))
    count, hertz = turns.take(0.0)
    assert 0 <= count <= len(edges)
    assert 0.0 <= hertz <= len(edges) / 3


def test_it_remembers_no_more_than_it_needs(virtual):
    """A day without a reading, and a day of readings."""

    async def main():
        turns = Turns(0.0, active_low=True)
        for number in range(150_000):
            turns.add(Edge(False, number * 0.5))
            turns.add(Edge(True, number * 0.5 + 0.2))
        unread = len(turns._times)
        count, _ = turns.take(0.0)
        return unread, count, len(turns._times)

    unread, count, kept = virtual(main())
    assert unread == 100_000
    assert count == 150_000
    assert kept <= 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"speed": 0.0}, "speed"),
        ({"speed": 2400.0}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"debounce": 0.1}, "debounce"),
        ({"debounce": -0.001}, "debounce"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)
