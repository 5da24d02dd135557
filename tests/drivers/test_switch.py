"""A switch: the level before the direction, the pin read back, and the safe state at both ends."""

import asyncio

import pytest

from drivers.board.switch import Driver, Options
from drivers.board.switch.chip import Emulated
from drivers.bus import BusError
from drivers.device import DeviceError, Quantity
from drivers.emulated import EmulatedPins

LINE = 27


def relay(clock, **options):
    """A relay on a header of its own, and its driver."""
    options = Options(**options)
    pins = EmulatedPins(clock)
    return pins, Emulated(pins, LINE, options.active_high), Driver(pins, LINE, clock, options)


@pytest.mark.parametrize("active_high", [True, False])
@pytest.mark.parametrize("safe", [True, False])
def test_the_level_comes_before_the_direction(clock, active_high, safe):
    pins, load, driver = relay(clock, active_high=active_high, safe=safe)
    asyncio.run(driver.start())
    level = safe == active_high
    assert pins.log == [(LINE, "level", level), (LINE, "output", level)]
    assert load.on is safe


@pytest.mark.parametrize("active_high", [True, False])
@pytest.mark.parametrize("safe", [True, False])
def test_on_off_and_back_to_the_safe_state(clock, active_high, safe):
    _, load, driver = relay(clock, active_high=active_high, safe=safe)

    async def main():
        seen = []
        await driver.start()
        for value in (1, 0, 1.0, True, False):
            await driver.apply(value)
            seen.append((load.on, (await driver.measure())[Quantity.ON]))
        await driver.stop()
        return seen

    assert asyncio.run(main()) == [(True, 1), (False, 0), (True, 1), (True, 1), (False, 0)]
    assert load.on is safe


@pytest.mark.parametrize("value", [0.5, 2, -1, float("nan")])
def test_a_value_between_is_refused_and_moves_nothing(clock, value):
    pins, _, driver = relay(clock)

    async def main():
        await driver.start()
        before = list(pins.log)
        with pytest.raises(DeviceError, match="0 or 1"):
            await driver.apply(value)
        return before

    assert asyncio.run(main()) == pins.log


@pytest.mark.parametrize("move", ["apply", "start", "stop"])
def test_a_pin_that_does_not_follow_is_told(clock, move):
    """Shorted to the other level: the pin reads what the short says, not what was driven."""
    pins, _, driver = relay(clock)

    async def main():
        await driver.start()
        pins.before = lambda: pins.levels.__setitem__(LINE, move != "apply")
        with pytest.raises(DeviceError, match="look for a short"):
            await (driver.apply(1) if move == "apply" else getattr(driver, move)())

    asyncio.run(main())


def test_a_line_that_does_not_exist_is_told_at_start(clock):
    with pytest.raises(BusError, match="no line 60"):
        asyncio.run(Driver(EmulatedPins(clock), 60, clock).start())


def test_what_the_pin_does_not_show(clock):
    """A welded contact conducts while the pin is off; a broken coil leaves the load off while it is on."""
    _, load, driver = relay(clock)

    async def main():
        await driver.start()
        load.welded = True
        welded = (load.on, (await driver.measure())[Quantity.ON])
        load.welded, load.broken = False, True
        await driver.apply(1)
        return welded, (load.on, (await driver.measure())[Quantity.ON])

    assert asyncio.run(main()) == ((True, 0), (False, 1))


def test_the_world_cannot_move_it(clock):
    _, load, _ = relay(clock)
    with pytest.raises(ValueError, match="only the gateway"):
        load.set(Quantity.ON, 1.0)


@pytest.mark.parametrize("active_high", [True, False])
def test_a_floating_line_leaves_the_load_off(clock, active_high):
    pins, load, driver = relay(clock, active_high=active_high)

    async def main():
        await driver.start()
        await driver.apply(1)

    asyncio.run(main())
    assert load.on
    pins.release()
    assert not load.on
