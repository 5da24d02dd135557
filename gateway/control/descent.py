"""Towards off: what the guard, the end of what was asked for, or a person's hand takes a switch off for."""

import logging
import math
from dataclasses import replace

from gateway.control.station import OFF_RETRY, ON_ANEW, RECORD_OFF, REVIEW, Station
from gateway.reading import Decision, Outcome

EXACT = 1e-6  # [s] within which a time is reached: timers may be early by the clock's resolution

_log = logging.getLogger(__name__)


class Descent:
    """Takes one switch off. Nothing here waits for the disk longer than RECORD_OFF."""

    def __init__(self, station: Station) -> None:
        self._at = station

    async def recover(self) -> bool:
        """Bring back a switch that is not known to be off, as after a brown-out; return whether it is."""
        at = self._at
        if at.clock.monotonic() < at.off_again:
            return False
        fault = at.drive.fault
        if await at.drive.start():
            at.off_again = at.clock.monotonic() + OFF_RETRY
            return False
        at.note(None, Outcome.RELEASED, (f"it is known to be off again, after: {fault}",))
        _log.warning("%s is known to be off again", at.name)
        at.wake.set()
        return True

    async def check(self) -> None:
        """Look whether it went off by itself, as where power was lost; then off it is, and asked for anew."""
        at = self._at
        at.doubtful = False
        source = at.source()
        if fault := await at.drive.check():
            at.failed(source, f"it went off by itself: {fault}")
            at.holds.suspend(fault)
            at.on_again = at.clock.monotonic() + ON_ANEW
            at.off_again = -math.inf
            at.wake.set()

    async def supervise(self) -> None:
        """Take it off if anything asks for that now, or within the time that a record takes."""
        at = self._at
        now = at.clock.monotonic()
        seen = at.judge_on(now)
        until, deadline = at.holds.until(now), at.guard.deadline
        if seen.reasons:
            await self._retire(Outcome.TRIPPED, seen.reasons, now)
        elif at.barred:
            await self._retire(Outcome.RELEASED, (at.barred,), now)
        elif min(until, deadline) - now > RECORD_OFF:
            self._part(now)
        elif until <= deadline:
            reasons = tuple(dict.fromkeys(hold.ending for hold in at.holds.engaged()))
            await self._retire(Outcome.RELEASED, reasons, until)
        else:
            await self._retire(Outcome.TRIPPED, (at.guard.longest,), deadline)

    async def stop(self, reason: str) -> None:
        """Stop the actuator, which leaves it off, whatever can be recorded."""
        at = self._at
        source = at.source()
        try:
            if at.guard.on and not at.drive.fault:
                await self._record(at.decide(source, Outcome.RELEASED, (reason,)))
        finally:
            fault = await at.drive.stop()
        if fault:
            at.failed(source, f"it could not be stopped: {fault}")

    async def _retire(self, outcome: Outcome, reasons: tuple[str, ...], time: float) -> None:
        """Record the decision and switch off at *time* [s], which is close or past."""
        at, barred = self._at, self._at.barred
        source, seen = at.source(), at.judge_on(at.clock.monotonic())
        await self._record(at.decide(source, outcome, reasons, seen))
        if not await self._reached(time):
            at.wake.set()  # the guard has its own reasons now: the next turn acts on them
            return
        now = at.clock.monotonic()
        if outcome is Outcome.RELEASED and not barred and at.holds.until(now) > now + EXACT:
            at.holds.prune(now + EXACT)  # another asked for it while this was recorded: it stays on
            return
        if fault := await at.drive.off():
            at.failed(source, f"it could not be switched off: {fault}")
        if outcome is Outcome.TRIPPED:
            at.holds.latch("; ".join(reasons))
        elif barred:
            at.holds.suspend(barred)
        at.holds.prune(now + EXACT)
        at.links.keep()
        at.wake.set()

    async def _reached(self, time: float) -> bool:
        """Return True at *time*, or False as soon as the guard has reasons of its own before it."""
        at = self._at
        while (left := time - at.clock.monotonic()) >= EXACT:
            if at.judge_on(time - left).reasons or at.barred:
                return False
            at.wake.clear()
            await at.pause(min(REVIEW, left))
        return True

    async def _record(self, decision: Decision) -> None:
        at = self._at
        left = at.guard.deadline - at.clock.monotonic()
        failure = await at.scribe.recorder.durable(decision, max(0.0, min(RECORD_OFF, left)))
        if failure:
            note = f"recorded after the switch had moved: {failure}"
            at.scribe.recorder.later(replace(decision, reasons=(*decision.reasons, note)))

    def _part(self, now: float) -> None:
        """Let go of the holds that have ended while others last."""
        at = self._at
        ended = [hold for hold in at.holds.prune(now) if hold.began is not None and not hold.latched]
        for hold in ended:
            others = ", ".join(dict.fromkeys(other.owner for other in at.holds.engaged()))
            at.note(hold, Outcome.RELEASED, (hold.ending, f"it stays on for {others}"))
