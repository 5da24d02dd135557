"""Towards on: asked for, permitted, recorded, permitted still, and only then told."""

from dataclasses import replace

from gateway.control.drive import Forbidden
from gateway.control.guard import NOTHING_AGAINST, Verdict
from gateway.control.hold import Hold
from gateway.control.station import Station
from gateway.reading import Decision, Outcome

RECORD_ON = 1.0  # [s] to make the decision durable before a switch goes on, else it stays off
ON_RETRY = (1.0, 60.0)  # [s] between tries to switch on what could not be: the first, and the longest


class Ascent:
    """Takes one switch on."""

    def __init__(self, station: Station) -> None:
        self._at = station
        self._back_off = ON_RETRY[0]

    async def settle(self) -> None:
        """Switch on if somebody asks for it and nothing is against it."""
        at = self._at
        now = at.clock.monotonic()
        at.holds.prune(now)
        asking = at.holds.asking(now)
        if not asking or now < at.on_again:
            return
        judged = [(hold, at.judge(hold, now)) for hold in asking]
        if willing := next(((hold, seen) for hold, seen in judged if not seen.reasons), None):
            await self._switch_on(*willing)
            return
        for hold, seen in judged:
            self._refuse(hold, seen)

    def join(self) -> None:
        """Let everybody have it who asks while it is on."""
        at = self._at
        now = at.clock.monotonic()
        for hold in at.holds.asking(now):
            if (against := at.judge_joining(hold)).reasons:
                self._refuse(hold, against)
                continue
            hold.began = now
            reasons = (f"{hold.asks}, and it is on already",)
            at.note(hold, Outcome.ACTED, reasons, at.judge_on(now), str(hold.command))
            at.links.keep()

    def refuse_all(self, seen: Verdict) -> None:
        """Tell everybody who asks why not, unless they have been told."""
        for hold in self._at.holds.asking(self._at.clock.monotonic()):
            self._refuse(hold, seen)

    async def _switch_on(self, hold: Hold, seen: Verdict) -> None:
        at = self._at
        reasons = (f"{hold.asks}, and the guard permits it",)
        decision = at.decide(hold, Outcome.ACTED, reasons, seen, str(hold.command))
        at.guard.intend(at.clock.monotonic())
        at.links.keep()  # before the decision, and so on the disk no later than it
        failure = await at.scribe.recorder.durable(decision, RECORD_ON)
        try:
            fault = await self._tell(hold, decision, failure)
        finally:
            at.guard.desist()
            at.links.keep()
        if fault is None:
            return
        if failure:
            note = f"recorded after the switch had moved: {failure}"
            at.scribe.recorder.later(replace(decision, reasons=(*reasons, note)))
        if fault:
            await self._give_up(hold, fault)
        else:
            self._back_off = ON_RETRY[0]

    async def _tell(self, hold: Hold, decision: Decision, failure: str) -> str | None:
        """Give the order, if it still stands; return why that failed, "", or None for no order at all."""
        at = self._at
        now = at.clock.monotonic()
        if failure and not at.switch.act_unrecorded:
            self._retry_later()
            self._withdraw(hold, decision, f"the decision could not be recorded: {failure}")
            return None
        if at.closed or hold.until(now) <= now:
            ended = f"rule {hold.rule} ended" if hold.transition else hold.ending
            self._withdraw(hold, decision, at.closed or f"{ended} while it was recorded")
            return None
        try:
            fault = await at.drive.on(lambda moment: at.judge(hold, moment))
        except Forbidden as forbidden:
            self._retry_later()
            self._withdraw(hold, decision, *forbidden.verdict.reasons, seen=forbidden.verdict)
            return None
        if not fault:
            hold.began = at.guard.since
        return fault

    async def _give_up(self, hold: Hold, fault: str) -> None:
        """Back to safe after an order to go on that failed. A stroke is not repeated; a hold is, later."""
        self._retry_later()
        if hold.command.during is not None:
            hold.latched = fault
        off = await self._at.drive.off()
        after = f"it is not known to be off: {off}" if off else "it was switched off again"
        reason = f"it could not be switched on: {fault}"
        self._at.failed(hold, reason, after, command=str(hold.command))

    def _refuse(self, hold: Hold, seen: Verdict) -> None:
        if hold.refuse(seen.kinds, self._at.clock.monotonic()):
            self._at.note(hold, Outcome.REFUSED, seen.reasons, seen, str(hold.command))

    def _withdraw(
        self, hold: Hold, decision: Decision, *reasons: str, seen: Verdict = NOTHING_AGAINST
    ) -> None:
        """Correct a decision to act, which may be in the journal, although nothing moved."""
        reasons = (*reasons, f"decision {decision.id} was not carried out")
        self._at.note(hold, Outcome.REFUSED, reasons, seen, decision.command)

    def _retry_later(self) -> None:
        at = self._at
        at.on_again = at.clock.monotonic() + self._back_off
        self._back_off = min(ON_RETRY[1], 2 * self._back_off)
