"""What a rain gauge and an anemometer share: the watch of a line, and what closes a reed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

import drivers
from drivers.bus import Edge
from drivers.device import DeviceError
from drivers.emulated import EmulatedPins
from drivers.reed import Reed, Watch
from gateway.clock import LoopClock

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]


class Closing(EmulatedPins):
    """Lines whose owner closes them half a second after one edge."""

    async def edges(self, line: int) -> AsyncIterator[Edge]:
        yield Edge(False, 1.0)
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("name", ["rain_gauge", "anemometer"])
def test_a_line_that_its_owner_closed_is_an_error_until_it_is_watched_anew(virtual: Virtual, name: str):
    async def main() -> None:
        clock = LoopClock()
        part = drivers.load(name)
        driver = part.driver(Closing(clock), 6, clock)
        await driver.start()
        await clock.sleep(1.0)
        for _ in range(2):
            with pytest.raises(DeviceError, match="no more edges"):
                await driver.measure()
        await driver.stop()
        with pytest.raises(DeviceError, match="not started"):
            await driver.measure()

    virtual(main())


def test_what_hears_an_edge_may_fail_and_the_line_is_let_go(virtual: Virtual):
    async def main() -> None:
        pins = EmulatedPins(LoopClock())

        def hear(edge: Edge) -> None:
            raise DeviceError("deaf")

        watch = Watch(pins, 6, "test", hear)
        await watch.start()
        pins.set(6, False)
        with pytest.raises(DeviceError, match="deaf"):
            await watch.catch_up()
        assert not watch.goes_on
        assert pins._listeners[6] == []

    virtual(main())


@pytest.mark.parametrize("active_low", [True, False])
def test_closures_by_the_times_of_the_edges(active_low: bool):
    reed = Reed(0.1, active_low)
    made, open_ = not active_low, active_low
    edges = [(made, 1.0), (open_, 1.05), (made, 1.06), (open_, 2.0), (made, 2.05), (made, 3.0)]
    assert [reed.closes(Edge(high, time)) for high, time in edges] == [True, False, False, False, False, True]
    assert (reed.closed, reed.quiet) == (True, True)


def test_an_opening_edge_of_a_reed_that_was_open_tells_of_a_lost_one():
    reed = Reed(0.1, active_low=True)
    assert reed.closes(Edge(True, 1.0))
    assert not Reed(0.1, active_low=True, closed=True).closes(Edge(True, 1.0))
