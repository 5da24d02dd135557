"""Rain gauge: every tip once, whatever the reed does, the loop is busy with, or the sampler fails at."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus import BusError, Edge
from drivers.device import DeviceError, Missing, Quantity, Watched
from drivers.emulated import EmulatedPins
from drivers.weather.rain_gauge import Counter, Driver, Options
from drivers.weather.rain_gauge.chip import Emulated
from gateway.clock import LoopClock
from gateway.derive.bucket import debounced

COUNT, RAIN, RATE = Quantity.COUNT, Quantity.RAIN, Quantity.RAIN_RATE
LINE = 6
(VECTOR,) = [
    vector
    for vector in json.loads(Path("tests/vectors/drivers.json").read_text())["vectors"]
    if vector["part"] == "Tipping-bucket gauge"
]


class Rig:
    """A gauge and its driver."""

    def __init__(self, **options):
        self.clock = LoopClock()
        self.pins = EmulatedPins(self.clock)
        self.chip = Emulated(self.pins, LINE, self.clock)
        self.driver = Driver(self.pins, LINE, self.clock, Options(**options))

    async def started(self):
        await self.driver.start()
        return self

    async def count(self):
        return (await self.driver.measure())[COUNT]

    async def tips(self, number, every=1.0):
        for _ in range(number):
            await self.chip.tip()
            await self.clock.sleep(every)


def test_vector(virtual):
    """36 tips in ten minutes are 10.0584 mm."""

    async def main():
        rig = await Rig().started()
        device = VECTOR["device"]
        for _ in range(device["count"]):
            await rig.clock.sleep(device["over_s"] / device["count"] - 0.11)
            await rig.chip.tip()
        return await rig.driver.measure()

    values = virtual(main())
    expected = VECTOR["expected"]["rain"]
    assert values[RAIN] == pytest.approx(expected["value"], abs=expected["tol"])
    assert values[COUNT] == VECTOR["device"]["count"]


@pytest.mark.parametrize("rate", [0.0, 5.0, 60.0, 300.0])
def test_a_rain_comes_out_as_it_fell(virtual, rate):
    """A quarter of an hour in readings of a minute, which add up; less than a bucket is still to come."""

    async def main():
        rig = await Rig().started()
        rig.chip.set(RATE, rate)
        world = asyncio.create_task(rig.chip.run())
        total = 0.0
        for _ in range(15):
            await rig.clock.sleep(60)
            total += (await rig.driver.measure())[RAIN]
        world.cancel()
        return total, rig.chip.tips

    total, tips = virtual(main())
    assert total == pytest.approx(tips * 0.2794)
    assert total == pytest.approx(rate / 4, abs=0.3)


def test_each_tip_is_in_exactly_one_reading(virtual):
    async def main():
        rig = await Rig().started()
        seen = []
        for number in (0, 1, 3, 0, 2):
            await rig.tips(number)
            seen.append(await rig.count())
        return seen

    assert virtual(main()) == [0.0, 1.0, 3.0, 0.0, 2.0]


@pytest.mark.parametrize(
    "bounce",
    [(), (0.0005,), (0.001, 0.0002), (0.02, 0.03, 0.01), (0.05,) * 6, (0.001,) * 50],
)
@pytest.mark.parametrize("closure", [0.001, 0.05, 0.19, 0.25, 0.8])
def test_bounce_is_never_counted(virtual, bounce, closure):
    """At either end, however long the reed stays closed: the opening's bounce closes it again, late."""

    async def main():
        rig = await Rig().started()
        rig.chip.bounce, rig.chip.closure = bounce, closure
        await rig.tips(5)
        return await rig.count()

    assert virtual(main()) == 5.0


@pytest.mark.parametrize("lost", [{0}, {1}, {2}, {3}, {5}, {0, 1}, {0, 1, 2}])
def test_a_lost_edge_costs_no_tip_and_makes_none(virtual, lost):
    """Whichever edge of a bouncing closure is lost; and the next tips are right, too."""

    async def main():
        rig = await Rig().started()
        rig.chip.bounce = (0.001, 0.001)
        rig.chip.lost = lost
        await rig.tips(3)
        rig.chip.lost = set()
        await rig.tips(2)
        return await rig.count()

    assert virtual(main()) == 5.0


def test_no_tip_is_lost_while_the_loop_is_busy():
    """In real time: a second in which nothing else runs, while the kernel notes ten tips."""

    async def main():
        pins = EmulatedPins(LoopClock())
        driver = Driver(pins, LINE, LoopClock())
        await driver.start()
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in range(10):  # as another thread's news of edges, each with the time that it happened
            for level, after in ((False, 0.0), (True, 0.03)):
                edge = Edge(level, began + 0.4 * number + after)
                loop.call_soon_threadsafe(pins._listeners[LINE][0].put_nowait, edge)
        time.sleep(0.2)
        return await driver.measure()

    assert asyncio.run(main())[COUNT] == 10.0


def test_tips_between_readings_wait_for_them(virtual):
    """However long nobody asks, and whether or not anybody listens to the changes."""

    async def main():
        rig = await Rig().started()
        await rig.tips(200, every=30)
        return await rig.count(), await rig.count()

    assert virtual(main()) == (200.0, 0.0)


def test_a_measurement_given_up_loses_nothing(virtual):
    """The deadline of a reading passes before it has taken the tips."""

    async def main():
        rig = await Rig().started()
        await rig.tips(4)
        measuring = asyncio.create_task(rig.driver.measure())
        await asyncio.sleep(0)
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
        return await rig.count()

    assert virtual(main()) == 4.0


def test_starting_again_loses_nothing_and_counts_nothing_twice(virtual):
    """The sampler starts a device again after a failure, without a stop."""

    async def main():
        rig = await Rig().started()
        await rig.tips(2)
        await rig.driver.start()
        await rig.tips(1)
        return await rig.count(), len(rig.pins._listeners[LINE])

    assert virtual(main()) == (3.0, 1)


def test_stop_forgets_and_leaves_nobody_listening(virtual):
    async def main():
        rig = await Rig().started()
        await rig.tips(2)
        await rig.driver.stop()
        await rig.driver.stop()
        left = list(rig.pins._listeners[LINE])
        with pytest.raises(DeviceError, match="not started"):
            await rig.driver.measure()
        await rig.tips(1)
        await rig.driver.start()
        before = await rig.count()
        await rig.tips(1)
        return left, before, await rig.count()

    assert virtual(main()) == ([], 0.0, 1.0)


class Failing(EmulatedPins):
    """Lines whose watch ends in an error when `broken` is set, at the next edge."""

    broken = False

    async def edges(self, line):
        async for edge in super().edges(line):
            if self.broken:
                raise BusError("the expander is gone")
            yield edge


def test_a_watch_that_ends_is_told_and_started_again(virtual):
    """What was counted before is not lost."""

    async def main():
        clock = LoopClock()
        pins = Failing(clock)
        chip = Emulated(pins, LINE, clock)
        driver = Driver(pins, LINE, clock)
        await driver.start()
        await chip.tip()
        await clock.sleep(1)
        pins.broken = True
        await chip.tip()
        await clock.sleep(1)
        with pytest.raises(BusError, match="expander is gone"):
            await driver.measure()
        pins.broken = False
        await driver.start()
        await chip.tip()
        return (await driver.measure())[COUNT]

    assert virtual(main()) == 2.0


def test_a_line_that_is_closed_under_it_is_an_error(virtual):
    class Closed(EmulatedPins):
        async def edges(self, line):
            return
            yield

    async def main():
        await Driver(Closed(LoopClock()), LINE, LoopClock()).start()

    with pytest.raises(DeviceError, match="no more edges"):
        virtual(main())


def test_a_line_that_does_not_exist_is_told_at_start(clock):
    with pytest.raises(BusError, match="no line 54"):
        asyncio.run(Driver(EmulatedPins(clock), 54, clock).start())


@pytest.mark.parametrize("seconds", [1.5, 5.0])
def test_a_chattering_wire_is_no_rain(virtual, seconds):
    """And once it is quiet, tips count again."""

    async def main():
        rig = await Rig().started()
        await rig.tips(1)
        await rig.chip.chatter(seconds)
        first = await rig.driver.measure()
        await rig.clock.sleep(1)
        await rig.tips(2)
        return first, await rig.count()

    first, second = virtual(main())
    assert set(first.values()) == {Missing.UNRELIABLE}
    assert second == 2.0


async def watched(rig, moves):
    """Measure at each change, as the sampler does, while *moves* runs."""
    seen = []

    async def watch():
        async for _ in rig.driver.changes():
            moment = round(rig.clock.monotonic(), 2)
            seen.append((moment, await rig.count()))

    task = asyncio.create_task(watch())
    await moves
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return seen


def test_it_tells_of_each_tip_at_once(virtual):
    async def main():
        rig = Rig()
        assert isinstance(rig.driver, Watched)
        await rig.started()
        rig.chip.bounce = ()
        return await watched(rig, rig.tips(3, every=1.9))

    assert virtual(main()) == [(0.0, 1.0), (2.0, 1.0), (4.0, 1.0)]


def test_a_tip_that_was_read_in_time_is_not_told_again(virtual):
    async def main():
        rig = await Rig().started()
        await rig.chip.tip()
        await rig.driver.measure()
        return await watched(rig, rig.clock.sleep(5))

    assert virtual(main()) == []


def test_a_watch_of_changes_may_begin_before_the_start(virtual):
    """As the sampler's does."""

    async def main():
        rig = Rig()

        async def moves():
            await rig.clock.sleep(1)
            await rig.driver.start()
            await rig.chip.tip()
            await rig.clock.sleep(1)

        return await watched(rig, moves())

    assert virtual(main()) == [(1.0, 1.0)]


def test_a_reed_to_the_supply(virtual):
    """Active high: closing raises the line, and an opening edge after a long time is no tip."""

    async def main():
        clock = LoopClock()
        pins = EmulatedPins(clock)
        pins.set(LINE, False)
        driver = Driver(pins, LINE, clock, Options(active_low=False))
        await driver.start()
        for level in (True, False, True, False):
            pins.set(LINE, level)
            await clock.sleep(0.7)
        return (await driver.measure())[COUNT]

    assert virtual(main()) == 2.0


@given(st.lists(st.floats(0, 60).map(lambda time: round(time, 3)), max_size=60, unique=True))
def test_closures_count_as_the_domain_counts_them(times):
    """Edges of one direction only: the same rule as gateway.derive.bucket has."""
    counter = Counter(0.2, active_low=True)
    for moment in sorted(times):
        counter.add(Edge(False, moment))
    assert counter.take()[0] == len(debounced(times, 0.2))


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1e4, allow_nan=False)), max_size=60))
def test_no_edges_count_more_than_they_can(edges):
    """In any order and any direction: no more tips than quiet moments fit in."""
    counter = Counter(0.2, active_low=True)
    tips = sum(counter.add(Edge(*edge)) for edge in edges)
    span = max((time for _, time in edges), default=0.0)
    assert tips == counter.take()[0] <= min(len(edges), span / 0.2 + 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"depth": 0.0}, "depth"),
        ({"depth": float("nan")}, "depth"),
        ({"debounce": 0.0}, "debounce"),
        ({"debounce": 0.6}, "debounce"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_a_reed_that_is_closed_at_the_start_opens_without_a_tip(virtual):
    async def main():
        rig = Rig()
        rig.pins.set(LINE, False)
        await rig.driver.start()
        await rig.clock.sleep(1)
        rig.pins.set(LINE, True)
        await rig.clock.sleep(1)
        return await rig.count()

    assert virtual(main()) == 0.0


def test_other_buckets(virtual):
    async def main():
        rig = await Rig(depth=0.5).started()
        await rig.tips(3)
        return await rig.driver.measure()

    assert virtual(main()) == {COUNT: 3.0, RAIN: 1.5}
