"""Real drivers under the sampler, on parts that lose their power, their plug, and a loop that is busy."""

import asyncio
import threading
import time
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory

import drivers
from drivers.bin.ina226.chip import Emulated as Ina226
from drivers.device import Missing, Quantity
from drivers.emulated import EmulatedI2C
from drivers.header import HeaderPins
from gateway.app.breaker import Breaker
from gateway.clock import LoopClock
from gateway.derive.quality import Screen
from gateway.reading import Flag
from tests.gateway.test_sampler import Bench


def bench(driver: Any, **settings: Any) -> Bench:
    return Bench(driver, **settings)


def motor(chip: Any) -> tuple[Any, EmulatedI2C]:
    wires = EmulatedI2C({0x40: chip})
    bus = Breaker("main", wires, LoopClock())
    return drivers.load("ina226").driver(bus, 0x40, LoopClock()), wires


def test_a_part_that_lost_its_settings_is_started_again_at_once(virtual):
    """A brown-out costs one reading; nobody calls the device lost."""

    async def main() -> None:
        chip = Ina226(LoopClock())
        chip.set(Quantity.CURRENT, 2.0)
        driver, _ = motor(chip)
        rig = bench(driver)
        asyncio.get_running_loop().call_later(5.5, chip.power_cycle)
        await rig.run(12.0)
        missing = [at for at, each in enumerate(rig.readings) if each.missing]
        assert missing == [6]
        assert rig.readings[6].missing[Quantity.CURRENT] is Missing.DEVICE_ERROR
        assert rig.readings[-1].values[Quantity.CURRENT] == pytest.approx(2.0, abs=0.01)
        assert rig.events == []

    virtual(main())


def test_a_part_that_is_unplugged_for_an_hour_is_back_within_a_minute(virtual):
    async def main() -> None:
        chip = Ina226(LoopClock())
        driver, wires = motor(chip)
        rig, loop = bench(driver), asyncio.get_running_loop()
        loop.call_later(5.5, wires.chips.clear)

        def plug() -> None:
            chip.power_cycle()
            wires.chips[0x40] = chip

        loop.call_later(3605.5, plug)
        await rig.run(3800.0)
        assert [each.type for each in rig.events] == ["lamppost.device.lost", "lamppost.device.back"]
        lost, back = (each.at.mono for each in rig.events)
        assert 5.0 < lost < 10.0
        assert 3605.5 < back < 3670.0
        assert not rig.readings[-1].missing

    virtual(main())


def test_a_stuck_value_fails_its_test(virtual):
    """A converter that gives the same for ever: the screens of the configuration tell."""

    async def main() -> None:
        chip = Ina226(LoopClock())
        driver, _ = motor(chip)
        screen = Screen(tolerance=0.0)
        rig = bench(driver, screens={Quantity.VOLTAGE: screen})
        await rig.run(8.5)
        flags = [each.flags.get(Quantity.VOLTAGE) for each in rig.readings]
        assert Flag.FAIL not in flags[:5]
        assert flags[-1] is Flag.FAIL

    virtual(main())


def test_no_tip_is_lost_while_the_loop_is_busy():
    """Twenty tips of a reed arrive on gpiozero's thread while nobody listens for half a second at a time."""
    factory = MockFactory()
    pin = factory.pin(6)

    def rain() -> None:
        for _ in range(20):
            pin.drive_low()
            time.sleep(0.03)
            pin.drive_high()
            time.sleep(0.04)

    async def main() -> float:
        pins = HeaderPins(factory=factory)
        part = drivers.load("rain_gauge")
        gauge = part.driver(pins, 6, LoopClock(), part.options(debounce=0.02))
        rig = bench(gauge, interval=0.2, deadline=0.2)
        sampling = asyncio.create_task(rig.sampler.run())
        await asyncio.sleep(0.2)
        tipping = threading.Thread(target=rain)
        tipping.start()
        for _ in range(3):
            await asyncio.sleep(0.01)
            time.sleep(0.45)  # the loop is busy with something else
        tipping.join()
        async with asyncio.timeout(40.0):
            while rig.total(Quantity.COUNT) < 20.0:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)  # nor is any counted twice
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        await pins.close()
        return rig.total(Quantity.COUNT)

    assert asyncio.run(main()) == 20.0
    factory.close()
