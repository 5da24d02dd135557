"""Says once in a boot when its clock is first synchronised, and how wrong it was until then."""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Clock
from gateway.app.streams import Memory
from gateway.clock import Instant, Now, Quality
from gateway.correction import STEPS, SYNCHRONIZED
from gateway.reading import Event
from gateway.store import StoreError

log = logging.getLogger("lamppost")

MEMORY = "clock"
"""The name under which the store keeps what is known of this boot's clock."""

PERIOD = 1.0
"""Seconds between two looks at the clock."""

STEP = 0.1
"""Seconds by which a clock that is set moves at the least; smaller errors are slewed, and left alone."""


@dataclass
class Timekeeper:
    """Watches one boot's clock. *announce* takes the event, in the same commit as what is remembered.

    A daemon that starts when its boot's clock has been synchronised meanwhile says so too, if an earlier one
    in this boot ran before that: what it recorded waits for its correction.
    """

    gateway: str
    clock: Clock
    now: Now
    memory: Memory
    announce: Callable[[Event], None]
    correction: float | None = None
    """How much the records before the first synchronisation of this boot are put right by [s]; None: not."""
    _boot: str = ""
    _before: list[tuple[float, float]] = field(default_factory=list)
    _offset: float | None = None  # wall time less monotonic time, as long as nobody vouches for it
    _done: bool = False

    async def run(self) -> None:
        """Take up what is remembered of this boot, then look at the clock until cancelled."""
        await self.recall()
        while True:
            self.look()
            await self.clock.sleep(PERIOD)

    async def recall(self) -> None:
        """Take up what an earlier daemon saw of this boot."""
        at = self.now()
        self._boot = at.boot
        with suppress(StoreError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            shape = json.loads((await self.memory.remembered())[MEMORY])
            if shape["boot"] == at.boot:
                self._before = [(float(until), float(was)) for until, was in shape["before"]]
                self._offset = None if shape["offset"] is None else float(shape["offset"])
                self.correction = None if shape["correction"] is None else float(shape["correction"])
                self._done = bool(shape["synchronized"])

    def look(self) -> None:
        """Look at the clock once."""
        if self._done:
            return
        at = self.now()
        if self._set(at) and at.clock is Quality.UNSYNCHRONIZED:
            at = self.now.ask()  # perhaps by who vouches for it now
        if at.clock is Quality.UNSYNCHRONIZED:
            self._wrong(at)
        elif at.clock is Quality.SYNCHRONIZED:
            self._right(at)

    def _set(self, at: Instant) -> bool:
        """Tell whether the clock was set since the last look, or this is the first."""
        return self._offset is None or abs(at.time - at.mono - self._offset) > STEP

    def _wrong(self, at: Instant) -> None:
        if self._set(at):
            self._turn(at)
            self._offset = at.time - at.mono
            self._remember()

    def _right(self, at: Instant) -> None:
        """Say how wrong the clock was, if anything may have been recorded by it."""
        self._done = True
        if self._offset is not None:
            offset = at.time - at.mono
            self.correction = round(offset - self._offset, 6)
            self._turn(at)
            before = [[round(until, 6), round(was, 6)] for until, was in self._before]
            data = {"offset": round(offset, 6), "before": before, "correction": self.correction}
            log.warning("the clock is synchronised: it was %.3f s behind until now", self.correction)
            self.announce(Event(SYNCHRONIZED, self.gateway, at, data))
        self._remember()

    def _turn(self, at: Instant) -> None:
        """Note up to when the clock showed what it showed so far."""
        if self._offset is not None and (not self._before or self._before[-1][0] < at.mono):
            self._before = [*self._before, (at.mono, self._offset)][-STEPS:]

    def _remember(self) -> None:
        state: dict[str, Any] = {
            "boot": self._boot,
            "synchronized": self._done,
            "before": self._before,
            "offset": self._offset,
            "correction": self.correction,
        }
        with suppress(StoreError, ValueError):
            self.memory.remember(MEMORY, json.dumps(state))
