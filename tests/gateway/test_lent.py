"""Expanders and converters are started when somebody needs them, once, and again after a fault."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from drivers.bus import BusError, Edge, NoAcknowledge
from drivers.device import DeviceError
from gateway.app.lent import LentAnalog, LentPins


class Shelf:
    """A converter and an expander in one, that can be told to fail once."""

    full_scale = 4.096

    def __init__(self) -> None:
        self.starts = 0
        self.fault: BusError | DeviceError | None = None

    async def start(self) -> None:
        self.starts += 1
        await asyncio.sleep(0)
        self._fail()

    async def voltage(self, channel: int) -> float:
        self._fail()
        return float(channel)

    async def write(self, line: int, high: bool) -> None:
        self._fail()

    async def read(self, line: int) -> bool:
        self._fail()
        return True

    async def edges(self, line: int) -> AsyncIterator[Edge]:
        self._fail()
        yield Edge(True, float(line))

    def _fail(self) -> None:
        if (fault := self.fault) is not None:
            self.fault = None
            raise fault


USES = {
    "voltage": lambda adc, pins: adc.voltage(3),
    "write": lambda adc, pins: pins.write(3, True),
    "read": lambda adc, pins: pins.read(3),
    "edges": lambda adc, pins: anext(aiter(pins.edges(3))),
}


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


@pytest.mark.parametrize("name", USES)
def test_it_is_started_once_and_again_after_a_fault(name: str):
    shelf = Shelf()
    adc, pins = LentAnalog(shelf), LentPins(shelf)

    async def use() -> None:
        await USES[name](adc, pins)

    run(use())
    run(use())
    assert shelf.starts == 1
    for fault in (NoAcknowledge("gone"), DeviceError("was power lost?")):
        before, shelf.fault = shelf.starts, fault
        with pytest.raises(type(fault)):
            run(use())
        run(use())
        assert shelf.starts == before + 1


def test_many_at_once_start_it_once():
    shelf = Shelf()
    adc = LentAnalog(shelf)

    async def main() -> list[float]:
        return await asyncio.gather(*map(adc.voltage, range(8)))

    assert run(main()) == [float(channel) for channel in range(8)]
    assert shelf.starts == 1
    assert adc.full_scale == 4.096


def test_a_start_that_fails_is_tried_again_by_the_next():
    shelf = Shelf()
    adc, shelf.fault = LentAnalog(shelf), NoAcknowledge("absent")
    with pytest.raises(NoAcknowledge, match="absent"):
        run(adc.voltage(0))
    assert run(adc.voltage(1)) == 1.0
    assert shelf.starts == 2
