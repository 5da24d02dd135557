"""What every test may use: a clock and an event loop whose time costs nothing."""

import asyncio
import gc
import os
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, not of the code: a new machine first builds the
# tables of Unicode. In CI a change is judged by the same examples each time; here each run has others, and
# half as many, so that it may be run often.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("here", _PATIENT, max_examples=50)
settings.register_profile("ci", _PATIENT, max_examples=100, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Look for no garbage while tests are collected: ten thousand objects of each kind, which all stay."""
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Look for garbage from here on, but not among what was collected: that is slow, and there is none."""
    gc.freeze()
    gc.enable()


class VirtualClock:
    """Sleeping moves time forward and costs nothing. For one task at a time; else use `virtual`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Where the loop would wait for its next timer, time jumps there instead."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout is None:
            return ready or super().select(timeout)
        if timeout > 0:
            self.loop.now += timeout + 1e-9  # like a real timer, never early
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. Threads run in real time: a test must await them before it sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = (
            8e-10  # else a timer a billionth of a second ahead is due, and time stands still
        )

    def time(self) -> float:
        return self.now


Virtual = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def virtual() -> Virtual:
    """Run a coroutine to its end on a virtual event loop: `virtual(main())`."""

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main)

    return run
