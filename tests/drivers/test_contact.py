"""A contact: what it says, how it comes to rest, and when it tells by itself."""

import asyncio

import pytest

from drivers.board.contact import Driver, Options, decode
from drivers.board.contact.chip import Emulated
from drivers.bus import BusError
from drivers.device import Missing, Quantity, Watched
from drivers.emulated import EmulatedPins
from gateway.clock import LoopClock

LINE = 17


def lid(clock, **options):
    """A contact on a header of its own, and its driver."""
    options = Options(**options)
    pins = EmulatedPins(clock)
    chip = Emulated(pins, LINE, options.active_low)
    return pins, chip, Driver(pins, LINE, clock, options)


async def started(driver):
    await driver.start()
    return await driver.measure()


@pytest.mark.parametrize(
    ("high", "active_low", "value"),
    [(False, True, 1.0), (True, True, 0.0), (True, False, 1.0), (False, False, 0.0)],
)
def test_levels(high, active_low, value):
    assert decode(high, active_low) == value


@pytest.mark.parametrize("active_low", [True, False])
@pytest.mark.parametrize("quantity", ["closed", "wet", "active"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_sweep(clock, quantity, active_low, value):
    _, chip, driver = lid(clock, quantity=quantity, active_low=active_low)
    chip.set(Quantity(quantity), value)
    assert asyncio.run(started(driver)) == {Quantity(quantity): value}
    assert driver.quantities == {Quantity(quantity)}


def test_a_level_counts_once_it_has_stayed(clock):
    """The look in the middle of the bounce is not believed."""
    _, chip, driver = lid(clock)

    class Rebounding:
        now = 0.0

        def monotonic(self):
            return self.now

        async def sleep(self, seconds):
            self.now += seconds
            chip.set(Quantity.CLOSED, 1.0)

    driver = Driver(chip._pins, LINE, Rebounding(), Options())
    assert asyncio.run(started(driver)) == {Quantity.CLOSED: 1.0}


def test_a_line_that_never_rests_is_unreliable(clock):
    pins, _, driver = lid(clock)
    pins.before = lambda: pins.set(LINE, not pins.levels[LINE])
    assert asyncio.run(started(driver)) == {Quantity.CLOSED: Missing.UNRELIABLE}
    assert clock.now == pytest.approx(5 * 0.03)


def test_a_cut_wire_reads_as_open(clock):
    _, chip, driver = lid(clock)
    chip.set(Quantity.CLOSED, 1.0)
    chip.cut()
    assert asyncio.run(started(driver)) == {Quantity.CLOSED: 0.0}


def test_a_stuck_contact_stays(clock):
    _, chip, driver = lid(clock)
    chip.stuck = True
    chip.set(Quantity.CLOSED, 1.0)
    assert asyncio.run(started(driver)) == {Quantity.CLOSED: 0.0}


def test_a_line_that_does_not_exist_is_told_at_start(clock):
    with pytest.raises(BusError, match="no line 54"):
        asyncio.run(Driver(EmulatedPins(clock), 54, clock).start())


@pytest.mark.parametrize("debounce", [-0.01, 1.5, float("nan")])
def test_impossible_options_are_refused(debounce):
    with pytest.raises(ValueError, match="debounce"):
        Options(debounce=debounce)


async def watched(driver, moves):
    """Measure at each change, as the sampler does, while *moves* runs; return (time, value) pairs."""
    seen, clock = [], LoopClock()

    async def watch():
        async for _ in driver.changes():
            values = await driver.measure()
            seen.append((round(clock.monotonic(), 3), values[Quantity.CLOSED]))

    task = asyncio.create_task(watch())
    await asyncio.sleep(1)
    await moves()
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return seen


def test_a_bouncing_lid_is_told_once_and_right(virtual):
    async def main():
        clock = LoopClock()
        _, chip, driver = lid(clock)
        chip.bounce = (0.001, 0.002, 0.004, 0.001)
        return await watched(driver, lambda: chip.move(clock, 1.0))

    assert virtual(main()) == [(1.03, 1.0)]


def test_opening_and_closing_is_told_twice(virtual):
    async def main():
        clock = LoopClock()
        _, chip, driver = lid(clock)

        async def moves():
            await chip.move(clock, 1.0)
            await asyncio.sleep(0.5)
            await chip.move(clock, 0.0)

        return await watched(driver, moves)

    assert virtual(main()) == [(1.03, 1.0), (1.53, 0.0)]


@pytest.mark.parametrize(
    "bounce", [(0.02, 0.0111), (0.0299,), (0.0301, 0.02), (0.02, 0.0101, 0.02), (0.01,) * 7]
)
def test_the_last_level_is_never_missed(virtual, bounce):
    """Whatever the bounce, what was measured last is what the contact came to rest at."""

    async def main():
        clock = LoopClock()
        _, chip, driver = lid(clock)
        chip.bounce = bounce
        return (await watched(driver, lambda: chip.move(clock, 1.0)))[-1][1]

    assert virtual(main()) == 1.0


@pytest.mark.parametrize("width", [0.005, 0.0299, 0.0301, 0.04, 0.0599, 0.07])
def test_after_a_pulse_of_any_width_the_lid_is_open_again(virtual, width):
    async def main():
        clock = LoopClock()
        _, chip, driver = lid(clock)

        async def moves():
            chip.set(Quantity.CLOSED, 1.0)
            await asyncio.sleep(width)
            chip.set(Quantity.CLOSED, 0.0)

        return (await watched(driver, moves))[-1][1]

    assert virtual(main()) == 0.0


def test_nobody_listens_after_the_watch_has_ended(virtual):
    async def main():
        pins, chip, driver = lid(LoopClock())

        async def move():
            chip.set(Quantity.CLOSED, 1.0)

        await watched(driver, move)
        return list(pins._listeners[LINE])

    assert virtual(main()) == []


def test_a_watch_that_is_closed_leaves_at_once(virtual):
    async def main():
        pins, chip, driver = lid(LoopClock())
        changes = driver.changes()
        waiting = asyncio.create_task(anext(changes))
        await asyncio.sleep(1)
        chip.set(Quantity.CLOSED, 1.0)
        await waiting
        await changes.aclose()
        return list(pins._listeners[LINE])

    assert virtual(main()) == []


def test_it_is_watched(clock):
    assert isinstance(lid(clock)[2], Watched)
