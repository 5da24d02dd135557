"""The event loop of one process, in the world's time: where it would wait, the world goes on."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from typing import Any

from tests.simulator.world import Violation, World

SPINS = 20_000
"""Turns without any time passing after which the process counts as hung in a circle."""

TURNS = 60_000
"""Turns in one process' life, of some thousands, after which it counts as one that never rests."""

_BURIAL = 600.0  # [s] of its own time that a dead process' tasks may take to end

_TASKS = 200  # that are kept in mind before it is looked which have ended

_INSTANT = 8e-10  # [s] that a timer may be early: less than the step by which time goes on


class Call:
    """What asyncio calls a handle: something to be called, at *time* or at the next turn."""

    __slots__ = ("args", "callback", "context", "time")

    def __init__(self, time: float, callback: Any, args: tuple[Any, ...], context: Any) -> None:
        self.time, self.callback, self.args, self.context = time, callback, args, context

    def cancel(self) -> None:
        """Never call it."""
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        """Tell whether it was."""
        return self.callback is None

    def when(self) -> float:
        """Return when it is due."""
        return self.time


class Loop(asyncio.BaseEventLoop):
    """An event loop without sockets, threads or signals. It dies with its process.

    A life takes a thousand calls, so they are lighter than asyncio's own: no debugging, no context of a
    call's own, and of two that are due at the same time the one that was asked for first comes first.
    """

    get_debug = staticmethod(bool)  # "no", at the price of no call

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self._soon: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._timed = 0
        self._beyond = 0.0  # time that only the dead see
        self._spins = self._turns = 0
        self._broken: BaseException | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        return self.world.now - self.world.booted + self._beyond

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        call = Call(0.0, callback, args, context)
        self._soon.append(call)
        return call

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        call = Call(when, callback, args, context)
        self._timed += 1
        heappush(self._timers, (when, self._timed, call))
        return call

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_task(self, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        task = asyncio.Task(coroutine, loop=self, **options)
        self._tasks.append(task)
        if len(self._tasks) > _TASKS:
            self._tasks = self.left()
        return task

    def left(self) -> list["asyncio.Task[Any]"]:
        """Return the tasks that have not ended. asyncio's own list holds those of every life."""
        return [task for task in self._tasks if not task.done()]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what would only be logged: a callback that raises is a defect."""
        if self.world.alive and self._broken is None:
            self._broken = context.get("exception") or RuntimeError(context["message"])

    def _run_once(self) -> None:
        """Let time pass if nothing is to be done now; then do once what is."""
        soon, timers = self._soon, self._timers
        while timers and timers[0][2].callback is None:
            heappop(timers)
        wait = 0.0 if soon or self._stopping else timers[0][0] - self.time() if timers else None
        busy = wait is not None and wait <= 0.0
        self._count(busy)
        if not busy:
            self._pass_time(wait)
        due = self.time() + _INSTANT
        while timers and timers[0][0] < due:
            soon.append(heappop(timers)[2])
        for _ in range(len(soon)):
            call = soon.popleft()
            if call.callback is not None:
                self._do(call)

    def _do(self, call: Call) -> None:
        try:
            if call.context is None:
                call.callback(*call.args)
            else:
                call.context.run(call.callback, *call.args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  # as asyncio does: whatever a callback raises
            self.call_exception_handler({"exception": error})

    def _count(self, busy: bool) -> None:
        """Raise Violation where the process never rests. *busy*: it does not wait for anything now."""
        self._turns += 1
        if self._turns > TURNS:
            raise Violation(f"{self.world.now:.3f} s: the process has turned {TURNS} times, and never rests")
        self._spins = self._spins + 1 if busy else 0
        if self._spins > SPINS:
            raise Violation(f"{self.world.now:.3f} s: the loop turns without end and no time passes")

    def _pass_time(self, most: float | None) -> None:
        """Let up to *most* seconds pass until the next timer, or until something happens to the process."""
        if self.world.alive and (broken := self.world.violation or self._broken):
            raise broken
        if not self.world.alive:
            self._bury(most)
        elif not self.world.advance(None if most is None else self.world.now + most + 1e-9):
            raise Violation(f"{self.world.now:.3f} s: every task waits, and nothing will ever happen")

    def _bury(self, timeout: float | None) -> None:
        self._beyond += timeout or 0.0
        if timeout is None or self._beyond > _BURIAL:
            raise Violation("a cancelled task does not end")

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
    left = loop.left()
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
