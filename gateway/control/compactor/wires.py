"""The wires to a press: its motor and its buzzer. No other code tells either anything."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from drivers.device import Actuator, Clock
from gateway.control.attempt import Pending, attempt, words
from gateway.control.compactor.machine import Machine
from gateway.control.compactor.state import Note
from gateway.control.drive import ANSWER, START, YIELD
from gateway.control.station import OFF_RETRY

Work = Coroutine[Any, Any, None]


class Lost(Exception):
    """Something was against it at the moment of acting. Nothing moved."""


class Wires:
    """Makes motor (1 down, 0 stand, -1 home) and buzzer do what a machine says.

    *told* is what the motor is known to do, None when that is not known. *bar* gives what else is against
    moving, or ""; *against* what the machine itself has against it.
    """

    def __init__(
        self,
        motor: Actuator,
        buzzer: Actuator | None,
        machine: Machine,
        clock: Clock,
        against: Callable[[], str],
        changed: Callable[[], None],
    ) -> None:
        self.told: int | None = None
        self._motor = motor
        self._buzzer = buzzer
        self._machine = machine
        self._clock = clock
        self._against = against
        self._changed = changed
        self._sounds: bool | None = None
        self._again = -math.inf
        self._pending: Pending = set()

    async def start(self) -> list[Note]:
        """Make both silent and still, from whatever they were."""
        notes = await self._stand(self._motor.start(), START)
        if self._buzzer is not None:
            await self._order(self._buzzer.start(), START)
            self._sounds = None
        return notes

    async def stop(self) -> list[Note]:
        """Make both silent and still, for good."""
        notes = await self._stand(self._motor.stop(), ANSWER)
        if self._buzzer is not None:
            await self._order(self._buzzer.stop(), ANSWER)
        return notes

    async def follow(self) -> list[Note]:
        """Do what the machine says. Standing comes first, and whatever else fails."""
        notes: list[Note] = []
        if self._machine.drive == 0 and self.told != 0:
            notes += await self._let_go()
        notes += await self._sound(self._machine.buzzer)
        if self._machine.drive and self._machine.drive != self.told:
            notes += await self._move(self._machine.drive)
        return notes

    async def _let_go(self) -> list[Note]:
        """Make the motor stand. One that did not answer is started anew, again and again."""
        if self.told is not None:
            return await self._stand(self._motor.apply(0.0), ANSWER)
        return await self._stand(self._motor.start(), START) if self._clock.monotonic() >= self._again else []

    async def _stand(self, order: Work, limit: float) -> list[Note]:
        doubted = self.told is None
        error = await self._order(order, limit)
        now = self._clock.monotonic()
        if error is None and not self._pending:  # an order given up earlier may still get through
            self.told = 0
            self._machine.told(now)
            return []
        self.told, self._again = None, now + (OFF_RETRY if doubted else 0.0)
        return self._machine.untold(now, words(error) if error else "an earlier order has not returned")

    async def _move(self, drive: int) -> list[Note]:
        """Drive the motor, if nothing is against it at this very moment."""
        before, self.told = self.told, None  # an order that is interrupted may have gone through
        error = await self._order(self._energise(drive), ANSWER)
        now = self._clock.monotonic()
        if error is None:
            self.told = drive
            self._machine.told(now)
            return []
        if isinstance(error, Lost):
            self.told = before
            return self._machine.interrupt(now, words(error))
        notes = self._machine.untold(now, words(error))
        return notes + await self._stand(self._motor.apply(0.0), ANSWER)

    async def _energise(self, drive: int) -> None:
        # No await between the guard's answer and the order: nothing can change in between.
        if against := self._against():
            raise Lost(against)
        await self._motor.apply(float(drive))

    async def _sound(self, on: bool) -> list[Note]:
        """Let the buzzer sound or not. Nothing moves without it."""
        if self._buzzer is None or self._sounds is on:
            return []
        error = await self._order(self._buzzer.apply(float(on)), ANSWER)
        self._sounds = None if error else on
        if error is None or not on:
            return []
        why = f"the buzzer could not be switched on: {words(error)}"
        return self._machine.interrupt(self._clock.monotonic(), why)

    async def _order(self, work: Work, limit: float) -> BaseException | None:
        if self._pending:
            await asyncio.wait(set(self._pending), timeout=YIELD)
        error = await attempt(work, limit, self._pending)
        self._changed()
        return error
