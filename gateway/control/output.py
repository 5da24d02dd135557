"""One switch: who holds it on, and what is done about that. One lock, one order at a time."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from drivers.device import Actuator, Clock
from gateway.clock import Instant
from gateway.control.attempt import attempt
from gateway.control.decisions import decide
from gateway.control.drive import Drive, Forbidden
from gateway.control.guard import Guard, Limits, Verdict
from gateway.control.hold import Hold, Holds
from gateway.control.recorder import Recorder
from gateway.reading import Decision, Outcome, SwitchOn, Transition

RECORD_ON = 1.0  # [s] to make the decision durable before a switch goes on, else it stays off
RECORD_OFF = 0.25  # [s] the same towards off, else it goes off all the same
REVIEW = 0.1  # [s] between looks at the permissives while on: a reading goes stale without any event
IDLE = 1.0  # [s] between turns when nothing is going on, so that a hung control shows
SOON = 0.01  # [s] the shortest pause between turns
EXACT = 1e-6  # [s] within which a time is reached: timers may be early by the clock's resolution
OFF_RETRY = 0.5  # [s] between tries to switch off what did not answer
ON_RETRY = (1.0, 60.0)  # [s] between tries to switch on what could not be: the first, and the longest
UNSUPERVISED = "nothing supervises it"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Switch:
    """An actuator and its guard. *act_unrecorded*: it may go on although the decision is not durable."""

    actuator: Actuator
    limits: Limits
    act_unrecorded: bool = False


class Output:
    """A switch, the holds on it, and the one place where they meet its guard.

    `ask`, `end` and `look` only take note; `settle` does what follows, and `run` does so for ever.
    """

    def __init__(
        self,
        name: str,
        switch: Switch,
        recorder: Recorder,
        now: Callable[[], Instant],
        clock: Clock,
        changed: Callable[[str], None],
    ) -> None:
        self.name = name
        self.turned = -math.inf  # when `run` last completed a turn
        self._switch = switch
        self._guard = Guard(switch.limits)
        self._drive = Drive(switch.actuator, self._guard, clock, lambda: changed(name))
        self._recorder = recorder
        self._now = now
        self._clock = clock
        self._holds = Holds()
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._supervised = asyncio.Event()
        self._closed = "the control has not been started"
        self._off_again = self._on_again = -math.inf
        self._back_off = ON_RETRY[0]

    def ask(self, transition: Transition, command: SwitchOn) -> None:
        """Hold the switch on for the transition's rule, as *command* says."""
        self._holds.ask(transition, command)
        self._on_again = -math.inf
        self._wake.set()

    def end(self, rule: str) -> None:
        """Note that *rule* no longer fires."""
        self._holds.end(rule)
        self._wake.set()

    def look(self) -> None:
        """Note that there are new readings."""
        if self._guard.on or self._holds:
            self._wake.set()

    async def start(self) -> None:
        """Put the switch into its safe state. When it does not answer, `run` tries again."""
        async with self._lock:
            self._closed = UNSUPERVISED
            if fault := await self._drive.start():
                _log.error("%s is not known to be off: %s", self.name, fault)

    async def run(self) -> None:
        """Supervise: nothing goes on, or stays on, unless this runs."""
        if self._closed == UNSUPERVISED:
            self._closed = ""
        self._supervised.set()
        try:
            while True:
                self._wake.clear()
                await self.settle()
                self.turned = self._clock.monotonic()
                await self._pause(self._due())
        finally:
            self._closed = self._closed or UNSUPERVISED
            self._supervised.clear()

    async def stop(self) -> None:
        """Put the switch into its safe state, and forget who wanted otherwise."""
        self._closed = "the gateway is stopping"
        async with self._lock:
            source = self._source()
            try:
                if self._guard.on and not self._drive.fault:
                    reasons = (self._closed,)
                    await self._record_off(self._decide(source, Outcome.RELEASED, reasons, Verdict()))
            finally:
                fault = await self._drive.stop()
            if fault:
                self._failed(source, f"it could not be stopped: {fault}")
            self._holds.clear()

    async def act(self) -> None:
        """Settle, once `run` has begun or a second has passed without it."""
        if self._closed == UNSUPERVISED:
            await attempt(self._supervised.wait(), IDLE, set())
        await self.settle()

    def judge(self) -> Verdict:
        """Return what is against its being on now, were it asked for. For a rule on trial."""
        now = self._clock.monotonic()
        if self._drive.fault:
            return self._unknown()
        return self._guard.must_turn_off(now) if self._guard.on else self._guard.may_turn_on(now)

    async def settle(self) -> None:
        """Do the next thing that holds, guard and actuator ask for, if there is one."""
        async with self._lock:
            if self._drive.fault:
                await self._recover()
            elif self._guard.on:
                await self._supervise()
            else:
                await self._try()

    def status(self) -> dict[str, Any]:
        """Return the switch as the status page shows it; *since* is how long it has been so [s]."""
        now = self._clock.monotonic()
        return {
            "id": self.name,
            "on": self._guard.on,
            "safe": self._switch.limits.safe,
            "since": round(now - self._guard.since, 3) if self._guard.since > -math.inf else None,
            "max_on": self._switch.limits.max_on,
            "min_off": self._switch.limits.min_off,
            "held_by": [hold.rule for hold in self._holds.engaged()],
            "blocked": self._blocked(now),
            "cycles": self._guard.cycles,
        }

    # Towards off.

    async def _recover(self) -> None:
        """Bring back a switch that is not known to be off: start it again, as after a brown-out."""
        if self._clock.monotonic() >= self._off_again:
            fault = self._drive.fault
            if not await self._drive.start():
                reason = f"it is known to be off again, after: {fault}"
                self._later(self._decide(None, Outcome.RELEASED, (reason,), Verdict()))
                _log.warning("%s is known to be off again", self.name)
                self._wake.set()
                return
            self._off_again = self._clock.monotonic() + OFF_RETRY
        self._refuse(self._unknown())

    async def _supervise(self) -> None:
        now = self._clock.monotonic()
        seen = self._guard.must_turn_off(now)
        if seen.reasons:
            await self._retire(Outcome.TRIPPED, seen.reasons, now, seen)
            return
        self._join(now, seen)
        until, deadline = self._holds.until(now), self._guard.deadline
        if min(until, deadline) - now > RECORD_OFF:
            self._part(now)
        elif until <= deadline:
            reasons = tuple(dict.fromkeys(hold.ending for hold in self._holds.engaged()))
            await self._retire(Outcome.RELEASED, reasons, until, seen)
        else:
            await self._retire(Outcome.TRIPPED, (self._guard.longest,), deadline, seen)

    async def _retire(self, outcome: Outcome, reasons: tuple[str, ...], at: float, seen: Verdict) -> None:
        """Record the decision and switch off at the time *at* [s], which is close or past."""
        source = self._source()
        await self._record_off(self._decide(source, outcome, reasons, seen))
        if not await self._reached(at):
            self._wake.set()  # the guard has its own reasons now: the next turn acts on them
            return
        now = self._clock.monotonic()
        if outcome is Outcome.RELEASED and self._holds.until(now) > now + EXACT:
            self._holds.prune(now + EXACT)  # another rule asked for it while this was recorded: it stays on
            return
        if fault := await self._drive.off():
            self._failed(source, f"it could not be switched off: {fault}")
        if outcome is Outcome.TRIPPED:
            self._holds.latch("; ".join(reasons))
        self._holds.prune(now + EXACT)
        self._wake.set()

    async def _reached(self, at: float) -> bool:
        """Return True at the time *at*, or False as soon as the guard has reasons of its own before it."""
        while (left := at - self._clock.monotonic()) >= EXACT:
            if self._guard.must_turn_off(at - left).reasons:
                return False
            self._wake.clear()
            await self._pause(min(REVIEW, left))
        return True

    async def _record_off(self, decision: Decision) -> None:
        left = self._guard.deadline - self._clock.monotonic()
        failure = await self._recorder.durable(decision, max(0.0, min(RECORD_OFF, left)))
        if failure:
            note = f"recorded after the switch had moved: {failure}"
            self._later(replace(decision, reasons=(*decision.reasons, note)))

    def _part(self, now: float) -> None:
        """Let go of the holds that have ended while others last."""
        ended = [hold for hold in self._holds.prune(now) if hold.began is not None and not hold.latched]
        for hold in ended:
            others = ", ".join(dict.fromkeys(other.rule for other in self._holds.engaged()))
            reasons = (hold.ending, f"it stays on for {others}")
            self._later(self._decide(hold.transition, Outcome.RELEASED, reasons, Verdict()))

    # Towards on.

    async def _try(self) -> None:
        """Switch on if somebody asks for it and nothing is against it."""
        now = self._clock.monotonic()
        self._holds.prune(now)
        asking = self._holds.asking(now)
        if not asking or now < self._on_again:
            return
        seen = self._judge(now)
        if seen.reasons:
            self._refuse(seen)
        else:
            await self._switch_on(asking[0], seen)

    async def _switch_on(self, hold: Hold, seen: Verdict) -> None:
        reasons = (f"rule {hold.rule} fires, and the guard permits it",)
        decision = self._decide(hold.transition, Outcome.ACTED, reasons, seen, str(hold.command))
        failure = await self._recorder.durable(decision, RECORD_ON)
        if failure and not self._switch.act_unrecorded:
            self._retry_later()
            self._withdraw(hold, decision, f"the decision could not be recorded: {failure}")
            return
        now = self._clock.monotonic()
        if self._closed or hold.until(now) <= now:
            self._withdraw(hold, decision, self._closed or f"rule {hold.rule} ended while it was recorded")
            return
        try:
            fault = await self._drive.on()
        except Forbidden as forbidden:
            self._retry_later()
            self._withdraw(hold, decision, *forbidden.verdict.reasons, seen=forbidden.verdict)
            return
        if failure:
            note = f"recorded after the switch had moved: {failure}"
            self._later(replace(decision, reasons=(*reasons, note)))
        if fault:
            await self._give_up(hold, fault)
        else:
            hold.began, self._back_off = self._guard.since, ON_RETRY[0]

    async def _give_up(self, hold: Hold, fault: str) -> None:
        """Back to safe after an order to go on that failed. A stroke is not repeated; a hold is, later."""
        self._retry_later()
        if hold.command.during is not None:
            hold.latched = fault
        off = await self._drive.off()
        after = f"it is not known to be off: {off}" if off else "it was switched off again"
        reason = f"it could not be switched on: {fault}"
        self._failed(hold.transition, reason, after, command=str(hold.command))

    def _join(self, now: float, seen: Verdict) -> None:
        """Let everybody have it who asks while it is on."""
        for hold in self._holds.asking(now):
            hold.began = now
            reasons = (f"rule {hold.rule} fires, and it is on already",)
            self._later(self._decide(hold.transition, Outcome.ACTED, reasons, seen, str(hold.command)))

    def _refuse(self, seen: Verdict) -> None:
        """Tell everybody who asks why not, unless they have been told."""
        now = self._clock.monotonic()
        for hold in self._holds.asking(now):
            if hold.refuse(seen.kinds, now):
                command = str(hold.command)
                self._later(self._decide(hold.transition, Outcome.REFUSED, seen.reasons, seen, command))

    def _withdraw(self, hold: Hold, decision: Decision, *reasons: str, seen: Verdict | None = None) -> None:
        """Correct a decision to act, which may be in the journal, although nothing moved."""
        reasons = (*reasons, f"decision {decision.id} was not carried out")
        verdict = seen or Verdict()
        self._later(self._decide(hold.transition, Outcome.REFUSED, reasons, verdict, decision.command))

    def _retry_later(self) -> None:
        self._on_again = self._clock.monotonic() + self._back_off
        self._back_off = min(ON_RETRY[1], 2 * self._back_off)

    # Both.

    def _unknown(self) -> Verdict:
        return Verdict((f"it is not known to be off: {self._drive.fault}",), frozenset({"fault"}))

    def _judge(self, now: float) -> Verdict:
        if self._closed:
            return Verdict((self._closed,), frozenset({"closed"}))
        return self._guard.may_turn_on(now)

    def _blocked(self, now: float) -> list[str]:
        """Return what keeps it from going on, whether somebody asks or not."""
        cut = [
            f"rule {h.rule} must end first, for it was cut short: {h.latched}" for h in self._holds.latched()
        ]
        if self._drive.fault:
            return [*self._unknown().reasons, *cut]
        return cut if self._guard.on else [*self._judge(now).reasons, *cut]

    def _source(self) -> Transition | None:
        """Return the transition that a decision about a running switch is booked to."""
        return next((hold.transition for hold in self._holds.engaged()), None)

    def _failed(self, source: Transition | None, *reasons: str, command: str = "") -> None:
        self._off_again = self._clock.monotonic() + OFF_RETRY
        self._later(self._decide(source, Outcome.FAILED, reasons, Verdict(), command))
        if self._drive.fault:
            _log.error("%s is not known to be off: %s", self.name, self._drive.fault)

    def _decide(
        self,
        source: Transition | None,
        outcome: Outcome,
        reasons: tuple[str, ...],
        seen: Verdict,
        command: str = "",
    ) -> Decision:
        return decide(self._now(), source, command or f"{self.name} off", self.name, outcome, reasons, seen)

    def _later(self, decision: Decision) -> None:
        self._recorder.later(decision)

    def _due(self) -> float:
        """Return how long nothing can become due by time alone [s]."""
        now = self._clock.monotonic()
        if self._drive.fault:
            at = self._off_again
        elif self._guard.on:
            at = min(min(self._holds.until(now), self._guard.deadline) - RECORD_OFF, now + REVIEW)
        else:
            at = max(self._guard.rested, self._on_again)
        return min(IDLE, max(SOON, at - now)) if self._guard.on or at > now else IDLE

    async def _pause(self, seconds: float) -> None:
        await attempt(self._wake.wait(), seconds, set())
