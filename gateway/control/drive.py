"""The wire to one actuator. No other code tells an actuator anything."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from drivers.device import Actuator, Clock
from gateway.control.attempt import Pending, attempt, words
from gateway.control.guard import Guard, Verdict

ANSWER = 1.0  # [s] an actuator may take to move
START = 2.0  # [s] it may take to start; nobody can switch it off meanwhile
YIELD = 0.1  # [s] a cancelled order may take to return before the next is given


class Forbidden(Exception):
    """The guard said no at the moment of acting. Nothing moved."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("; ".join(verdict.reasons))
        self.verdict = verdict


class Drive:
    """An actuator behind its guard. *fault* says why it is not known to be off when it should be."""

    def __init__(self, actuator: Actuator, guard: Guard, clock: Clock, changed: Callable[[], None]) -> None:
        self.guard = guard
        self.fault = "it has not been started"
        self._actuator = actuator
        self._clock = clock
        self._changed = changed
        self._pending: Pending = set()

    async def on(self) -> str:
        """Switch on; return why that failed, or "". Raises Forbidden when the guard does not permit it."""
        self.fault = "an order to go on was interrupted"
        error = await self._order(self._energise(), min(ANSWER, self.guard.limits.max_on))
        self.fault = words(error) if error and not isinstance(error, Forbidden) else ""
        if isinstance(error, Forbidden):
            raise error
        return self.fault

    async def off(self) -> str:
        """Switch off; return why it is not known to be off, or ""."""
        return self._safe(await self._order(self._actuator.apply(0.0), ANSWER))

    async def start(self) -> str:
        """Start the actuator, again if need be, and see it off; return as `off` does."""
        return self._safe(await self._order(self._begin(), START))

    async def stop(self) -> str:
        """Stop the actuator, which leaves it off; return as `off` does."""
        return self._safe(await self._order(self._actuator.stop(), ANSWER))

    async def _energise(self) -> None:
        # No await between the guard's answer and the order: nothing can change in between.
        now = self._clock.monotonic()
        verdict = self.guard.may_turn_on(now)
        if verdict.reasons:
            raise Forbidden(verdict)
        self.guard.turned_on(now)
        await self._actuator.apply(1.0)

    async def _begin(self) -> None:
        await self._actuator.start()
        await self._actuator.apply(0.0)

    async def _order(self, work: Coroutine[Any, Any, None], limit: float) -> BaseException | None:
        if self._pending:
            await asyncio.wait(set(self._pending), timeout=YIELD)
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
