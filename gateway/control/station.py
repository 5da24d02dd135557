"""What everything that moves one switch shares: its guard, its wire, who wants it, and the pen."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from drivers.device import Actuator, Clock
from gateway.control.attempt import attempt
from gateway.control.decisions import ITSELF, By, Scribe
from gateway.control.drive import Drive, Read
from gateway.control.guard import NOTHING_AGAINST, Guard, Limits, Verdict
from gateway.control.hold import Hold, Holds
from gateway.control.lease import Lease
from gateway.reading import Decision, Input, Outcome, Transition

IDLE = 1.0  # [s] between turns when nothing is going on, so that a hung control shows
REVIEW = 0.1  # [s] between looks at the permissives while on: a reading goes stale without any event
SOON = 0.01  # [s] the shortest pause between turns
RECORD_OFF = 0.25  # [s] to make a decision durable before a switch goes off; it goes off all the same
ON_ANEW = 10.0  # [s] before a switch that went off by itself is tried again
OFF_RETRY = 0.5  # [s] between tries to switch off what did not answer
UNSUPERVISED = "nothing supervises it"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Switch:
    """An actuator and its guard. *act_unrecorded*: it may go on although the decision is not durable.

    *read* gives what became of an order to go on.
    """

    actuator: Actuator
    limits: Limits
    act_unrecorded: bool = False
    read: Read | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """What a switch asks of the rest: whether a hold still may act ("", or why not), what is known of a name.

    *changed* hears that it was given an order, *keep* that something must outlive a restart.
    """

    licence: Callable[[Hold], str] = lambda hold: ""
    lookup: Callable[[str], Input] | None = None
    changed: Callable[[str], None] = lambda switch: None
    keep: Callable[[], None] = lambda: None


class Station:
    """One switch's state. *closed* says why nothing may go on at all."""

    def __init__(self, name: str, switch: Switch, scribe: Scribe, clock: Clock, links: Links) -> None:
        self.name = name
        self.switch = switch
        self.scribe = scribe
        self.clock = clock
        self.links = links
        self.guard = Guard(switch.limits)
        self.drive = Drive(switch.actuator, switch.read, self.guard, clock, lambda: links.changed(name))
        self.holds = Holds()
        self.lease: Lease | None = None
        self.wake = asyncio.Event()
        self.closed = "the control has not been started"
        self.off_again = self.on_again = -math.inf
        self.doubtful = False  # whether a reading says that it went off by itself

    @property
    def barred(self) -> str:
        """Why nobody but a person may have it on: one has switched it off by hand."""
        lease = self.lease
        over = lease is None or lease.on or self.clock.monotonic() >= lease.until.mono
        return "" if over else str(lease)

    def judge(self, hold: Hold, now: float) -> Verdict:
        """Return what is against switching it on for *hold* now."""
        first = self.closed or self.barred or self.links.licence(hold)
        if first:
            return Verdict((first,), frozenset({"closed" if self.closed else "barred"}))
        return self.guard.may_turn_on(now, self.inputs(hold))

    def judge_joining(self, hold: Hold) -> Verdict:
        """Return what is against *hold* having it as well, now that it is on."""
        reason = self.links.licence(hold)
        old, ages = self.guard.aged(self.inputs(hold))
        reasons = (*([reason] if reason else []), *old)
        return Verdict(reasons, frozenset([*(["barred"] if reason else []), *ages]))

    def judge_on(self, now: float) -> Verdict:
        """Return what is against its staying on."""
        return self.guard.must_turn_off(now, tuple(i for h in self.holds.engaged() for i in self.inputs(h)))

    def inputs(self, hold: Hold) -> tuple[Input, ...]:
        """Return what the rule of *hold* looks at, as it is now."""
        lookup = self.links.lookup
        if lookup is None or hold.transition is None or self.guard.limits.max_age is None:
            return ()
        return tuple(lookup(i.name) for i in hold.transition.inputs)

    def unknown(self) -> Verdict:
        """Return the reason against everything while it is not known to be off."""
        return Verdict((f"it is not known to be off: {self.drive.fault}",), frozenset({"fault"}))

    def source(self) -> Hold | None:
        """Return the hold that a decision about a running switch is booked to."""
        return next(iter(self.holds.engaged()), None)

    def note(
        self,
        hold: Hold | None,
        outcome: Outcome,
        reasons: tuple[str, ...],
        seen: Verdict = NOTHING_AGAINST,
        command: str = "",
    ) -> Decision:
        """Record a decision as soon as the journal takes it."""
        decision = self.decide(hold, outcome, reasons, seen, command)
        self.scribe.recorder.later(decision)
        return decision

    def decide(
        self,
        hold: Hold | None,
        outcome: Outcome,
        reasons: tuple[str, ...],
        seen: Verdict = NOTHING_AGAINST,
        command: str = "",
    ) -> Decision:
        """Return a decision about this switch, booked to *hold*."""
        effect = None
        if outcome in (Outcome.RELEASED, Outcome.TRIPPED) and self.guard.on and self.drive.effect:
            lasted = round(self.clock.monotonic() - self.guard.since, 3)
            effect = {**self.drive.effect, "lasted": lasted}
        source: Transition | None = hold.transition if hold else None
        by = By(hold.who, hold.order) if hold else ITSELF
        told = command or f"{self.name} off"
        return self.scribe.decision(source, told, self.name, outcome, reasons, seen, by, effect)

    def failed(self, hold: Hold | None, *reasons: str, command: str = "") -> None:
        """Record that the actuator did not do as it was told."""
        self.off_again = self.clock.monotonic() + OFF_RETRY
        self.note(hold, Outcome.FAILED, reasons, command=command)
        if self.drive.fault:
            _log.error("%s is not known to be off: %s", self.name, self.drive.fault)

    def due(self) -> float:
        """Return how long nothing can become due by time alone [s]."""
        now = self.clock.monotonic()
        if self.drive.fault:
            at = self.off_again
        elif self.guard.on:
            at = min(min(self.holds.until(now), self.guard.deadline) - RECORD_OFF, now + REVIEW)
        else:
            at = max(self.guard.ready, self.on_again)
        return min(IDLE, max(SOON, at - now)) if self.guard.on or at > now else IDLE

    async def pause(self, seconds: float) -> None:
        """Return after *seconds*, or when something has changed."""
        await attempt(self.wake.wait(), seconds, set())
