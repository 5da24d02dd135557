"""What the BME280 and the BME688 share: every test here is run with both."""

import asyncio
from typing import Any

import pytest

import drivers
from drivers.air.bme688.chip import TRIM
from drivers.air.bme688.chip import Emulated as Bme688
from drivers.bme import SAMPLE
from drivers.bus import BusError
from drivers.device import DeviceError, Quantity
from drivers.emulated import EmulatedI2C
from drivers.weather.bme280.chip import TRIM_LOW
from drivers.weather.bme280.chip import Emulated as Bme280
from tests.conftest import VirtualClock


def part(name: str, clock: VirtualClock, at: int) -> Any:
    """Return a part whose byte *at* of the calibration's first is another than usual, if there is one."""
    usual = TRIM_LOW if name == "bme280" else TRIM[0x8A]
    words = bytes(byte ^ (at == place) for place, byte in enumerate(usual))
    return Bme280(clock, words) if name == "bme280" else Bme688(clock, trim=TRIM | {0x8A: words})


@pytest.mark.parametrize("name", ["bme280", "bme688"])
@pytest.mark.parametrize("at", [0, SAMPLE - 1])
def test_another_part_in_its_place_is_not_read_with_the_old_words(name: str, at: int, clock: VirtualClock):
    """Exchanged between two measurements, within an interval: nobody saw the empty place."""
    bus = EmulatedI2C({0x76: part(name, clock, -1)})
    driver = drivers.load(name).driver(bus, 0x76, clock)

    async def main() -> None:
        await clock.sleep(1.0)
        await driver.start()
        await driver.measure()
        bus.chips[0x76] = part(name, clock, at)
        await clock.sleep(1.0)
        with pytest.raises(DeviceError, match="another part"):
            await driver.measure()
        await driver.start()
        values = await driver.measure()
        assert values[Quantity.TEMPERATURE] == pytest.approx(20.0, abs=0.0051)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["bme280", "bme688"])
def test_the_same_part_may_lose_its_power_between_two_measurements(name: str, clock: VirtualClock):
    """Its calibration is burnt in, and each measurement tells it its settings."""
    chip = part(name, clock, -1)
    driver = drivers.load(name).driver(EmulatedI2C({0x76: chip}), 0x76, clock)

    async def main() -> None:
        await clock.sleep(1.0)
        await driver.start()
        chip.power_cycle()
        await clock.sleep(1.0)
        values = await driver.measure()
        assert values[Quantity.TEMPERATURE] == pytest.approx(20.0, abs=0.0051)

    asyncio.run(main())


CONTROL = {"bme280": (0xF4, 0xF7), "bme688": (0x74, 0x1F)}
"""Where each has its mode, and the eight bytes of its result."""


@pytest.mark.parametrize("name", ["bme280", "bme688"])
def test_the_emulated_part_has_no_result_for_what_it_was_not_asked(name: str, clock: VirtualClock):
    chip = part(name, clock, -1)
    clock.now += 1.0
    mode, result = CONTROL[name]
    chip.transfer(bytes([mode, 0x01]), 0)
    clock.now += 1.0
    assert chip.transfer(bytes([result]), 8).hex() == "8000008000008000"
    chip.transfer(bytes([mode, 0x25]), 0)
    clock.now += 1.0
    assert chip.transfer(bytes([result]), 8).hex().endswith("8000")


@pytest.mark.parametrize("name", ["bme280", "bme688"])
def test_the_emulated_part_does_not_read_behind_a_write(name: str, clock: VirtualClock):
    chip = part(name, clock, -1)
    clock.now += 1.0
    with pytest.raises(BusError, match="one register to read from"):
        chip.transfer(bytes([CONTROL[name][0], 0x00]), 1)
