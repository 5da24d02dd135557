"""One thread that runs calls one after another, so that a slow disk never stops the event loop."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_PATIENCE = 0.5  # [s]


class Worker:
    """A daemon thread: one that hangs in the kernel must not keep the process from ending."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, function: Callable[[], T]) -> T:
        """Run *function* in the thread and return its result, or raise what it raised."""
        call = _Call(function, asyncio.get_running_loop())
        self._calls.put(call)
        return await call.future

    async def stop(self, last: Callable[[], None], patience: float = _PATIENCE) -> None:
        """Run *last* after everything that was asked before, and end the thread.

        Waits for that no longer than *patience* [s]: a thread that hangs in the kernel is left behind.
        """
        call = _Call(last, asyncio.get_running_loop())
        self._calls.put(call)
        self._calls.put(None)
        await asyncio.wait({call.future}, timeout=patience)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()


class _Call(Generic[T]):
    """A function on its way through the thread. Whatever it raises goes to who called it."""

    def __init__(self, function: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[T] = loop.create_future()
        self._function = function
        self._loop = loop

    def run(self) -> None:
        with self:
            self._post(self.future.set_result, self._function())

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._post(self.future.set_exception, error)
        return True

    def _post(self, settle: Callable[[Any], None], outcome: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, settle, outcome)

    def _settle(self, settle: Callable[[Any], None], outcome: object) -> None:
        if not self.future.done():
            settle(outcome)
