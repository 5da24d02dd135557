"""The emulated header remembers what happened on it, but not for ever."""

import asyncio

import pytest

from drivers import emulated
from drivers.bin.hx711 import Driver, Options
from drivers.bin.hx711.chip import Emulated
from drivers.device import Quantity
from drivers.emulated import EmulatedPins
from tests.conftest import VirtualClock


def test_the_log_keeps_the_latest_events(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(emulated, "LOGGED", 8)
    pins = EmulatedPins(clock)
    for number in range(1000):
        before = pins.logged
        pins.drive(number % 3, number % 2 == 0)
        assert pins.since(before)[0] == (number % 3, "level", number % 2 == 0)
        assert len(pins.log) <= 16
    assert pins.logged == 1003
    assert pins.since(1001) == [(2, "level", True), (0, "level", False)]
    assert pins.since(0) == pins.log
    assert pins.since(pins.logged) == []


def test_a_part_that_follows_the_log_loses_nothing(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch):
    """Fifty events for each reading, many more than are kept."""
    monkeypatch.setattr(emulated, "LOGGED", 16)
    pins = EmulatedPins(clock)
    chip = Emulated(pins, 5, 6)
    part = Driver(pins, 5, clock, Options(data=6))

    async def main() -> None:
        await part.start()
        values = []
        for weight in (0.0, 12.0, 40.0):
            chip.set(Quantity.WEIGHT, weight)
            clock.now += 10.0
            values.append((await part.measure())[Quantity.WEIGHT])
        assert values == pytest.approx([0.0, 12.0, 40.0], abs=0.01)

    asyncio.run(main())
    assert pins.logged > 500
    assert len(pins.log) <= 32
