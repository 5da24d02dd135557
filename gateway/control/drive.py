"""The wire to one actuator. No other code tells an actuator anything."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from drivers.device import Actuator, Clock, DeviceError, Quantity, Values
from gateway.control.attempt import Pending, attempt, words
from gateway.control.guard import Guard, Verdict

ANSWER = 1.0  # [s] an actuator may take to move
START = 2.0  # [s] it may take to start; nobody can switch it off meanwhile
READ = 0.05  # [s] reading it back may take; the driver itself has checked the level by then
YIELD = 0.1  # [s] a cancelled order may take to return before the next is given

Judge: TypeAlias = Callable[[float], Verdict]
"""What is against going on at a time [s, monotonic]."""

Read: TypeAlias = Callable[[], Coroutine[Any, Any, Values]]
"""Reads back what became of an order."""


class Forbidden(Exception):
    """The guard said no at the moment of acting. Nothing moved."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("; ".join(verdict.reasons))
        self.verdict = verdict


class Drive:
    """An actuator behind its guard. *fault* says why it is not known to be off when it should be.

    *effect* is what was read back after the last order to go on, by quantity; empty when nothing could be.
    """

    def __init__(
        self, actuator: Actuator, read: Read | None, guard: Guard, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self.guard = guard
        self.fault = "it has not been started"
        self.effect: dict[str, float] = {}
        self._actuator = actuator
        self._read = read
        self._clock = clock
        self._changed = changed
        self._pending: Pending = set()

    async def on(self, judge: Judge) -> str:
        """Switch on; return why that failed, or "". Raises Forbidden when *judge* has reasons against it."""
        self.fault, self.effect = "an order to go on was interrupted", {}
        error = await self._order(self._energise(judge), min(ANSWER, self.guard.limits.max_on))
        self.fault = words(error) if error and not isinstance(error, Forbidden) else ""
        if isinstance(error, Forbidden):
            raise error
        if not self.fault and self._read is not None:
            await attempt(self._read_back(self._read), READ, self._pending)
        return self.fault

    async def off(self) -> str:
        """Switch off; return why it is not known to be off, or ""."""
        return self._safe(await self._order(self._actuator.apply(0.0), ANSWER))

    async def check(self) -> str:
        """Read back what should be on; return why it is off, or "". It is not known to be off then.

        An actuator that cannot be read says nothing about what it does.
        """
        if self._read is None:
            return ""
        error = await attempt(self._seen_on(self._read), READ, self._pending)
        if isinstance(error, DeviceError):
            self.fault = words(error)
        return self.fault

    async def start(self) -> str:
        """Start the actuator, again if need be, and see it off; return as `off` does."""
        return self._safe(await self._order(self._begin(), START))

    async def stop(self) -> str:
        """Stop the actuator, which leaves it off; return as `off` does."""
        return self._safe(await self._order(self._actuator.stop(), ANSWER))

    async def _energise(self, judge: Judge) -> None:
        # No await between the guard's answer and the order: nothing can change in between.
        now = self._clock.monotonic()
        verdict = judge(now)
        if verdict.reasons:
            raise Forbidden(verdict)
        self.guard.turned_on(now)
        await self._actuator.apply(1.0)

    async def _read_back(self, read: Read) -> None:
        values = await read()
        self.effect = {str(name): value for name, value in values.items() if isinstance(value, float)}

    async def _seen_on(self, read: Read) -> None:
        if (await read()).get(Quantity.ON) == 0.0:
            raise DeviceError("it reads off, and nobody switched it off")

    async def _begin(self) -> None:
        await self._actuator.start()
        await self._actuator.apply(0.0)

    async def _order(self, work: Coroutine[Any, Any, None], limit: float) -> BaseException | None:
        try:
            if self._pending:
                await asyncio.wait(set(self._pending), timeout=YIELD)
        except asyncio.CancelledError:
            work.close()  # it was never begun
            raise
        error = await attempt(work, limit, self._pending)
        self._changed()
        return error

    def _safe(self, error: BaseException | None) -> str:
        if error:
            self.fault = words(error)
        elif self._pending:  # an order given up earlier may still switch it on when it gets through
            self.fault = "an earlier order has not returned"
        else:
            self.fault = ""
            self.guard.turned_off(self._clock.monotonic())
        return self.fault
