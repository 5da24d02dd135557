"""The event loop of one process, in the world's time: where it would wait, the world goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulator.world import Violation, World

SPINS = 20_000
"""Turns without any time passing after which the process counts as hung in a circle."""

TURNS = 60_000
"""Turns in one process' life, of some thousands, after which it counts as one that never rests."""

_BURIAL = 600.0  # [s] of its own time that a dead process' tasks may take to end


class Loop(asyncio.BaseEventLoop):
    """An event loop without sockets, threads or signals. It dies with its process."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self._selector = self
        self._clock_resolution = 8e-10  # else a timer a billionth of a second ahead is due, and time stands
        self._beyond = 0.0  # time that only the dead see
        self._spins = self._turns = 0
        self._broken: BaseException | None = None

    def time(self) -> float:
        return self.world.now - self.world.booted + self._beyond

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what would only be logged: a callback that raises is a defect."""
        if self.world.alive and self._broken is None:
            self._broken = context.get("exception") or RuntimeError(context["message"])

    def select(self, timeout: float | None = None) -> list[Any]:
        """Let time pass until the next timer, or until something happens to the process."""
        self._turns += 1
        if self._turns > TURNS:
            raise Violation(f"{self.world.now:.3f} s: the process has turned {TURNS} times, and never rests")
        if timeout is not None and timeout <= 0:
            self._spins += 1
            if self._spins > SPINS:
                raise Violation(f"{self.world.now:.3f} s: the loop turns without end and no time passes")
            return []
        self._spins = 0
        if self.world.alive and (broken := self.world.violation or self._broken):
            raise broken
        if not self.world.alive:
            self._bury(timeout)
        elif not self.world.advance(None if timeout is None else self.world.now + timeout + 1e-9):
            raise Violation(f"{self.world.now:.3f} s: every task waits, and nothing will ever happen")
        return []

    def _bury(self, timeout: float | None) -> None:
        self._beyond += timeout or 0.0
        if timeout is None or self._beyond > _BURIAL:
            raise Violation("a cancelled task does not end")

    def _process_events(self, events: list[Any]) -> None:
        """There are none: what happens comes from the world."""

    def _write_to_self(self) -> None:
        """Nothing waits elsewhere that had to be woken."""


def run(world: World, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a process until *main* returns or the process is killed, then bury what is left of it."""
    loop = Loop(world)
    world.process += 1
    world.alive = True
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main())
    finally:
        world.alive = False
        _bury(loop)
        asyncio.set_event_loop(None)
        loop.close()


def _bury(loop: Loop) -> None:
    """End every task of a dead process. Nothing that they do then reaches the world."""
    left = [task for task in asyncio.all_tasks(loop) if not task.done()]
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
