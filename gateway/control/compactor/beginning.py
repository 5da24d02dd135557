"""How a press comes to a stroke: asked for, permitted, recorded, permitted still, and only then begun."""

from collections.abc import Callable
from dataclasses import replace

from gateway.control.ascent import RECORD_ON
from gateway.control.compactor.stand import Stand
from gateway.control.compactor.state import BACK, Note
from gateway.control.decisions import By
from gateway.control.guard import Verdict
from gateway.control.hold import Hold
from gateway.control.station import IDLE
from gateway.reading import Outcome, SwitchOn


class Beginning:
    """Begins the strokes of one press. *reset* is set by a person who clears a fault."""

    def __init__(self, stand: Stand) -> None:
        self.reset: By | None = None
        self._at = stand

    async def attend(self) -> None:
        """Do what a person's reset asks for, or begin a stroke that somebody wants."""
        at = self._at
        if self.reset is not None:
            by, self.reset = self.reset, None
            await self._go_home(Hold(None, SwitchOn(at.name), by.who, by.order))
            return
        now = at.clock.monotonic()
        at.holds.prune(now)
        asking = at.holds.asking(now) if now >= at.again else []
        judged = [(hold, self._judge(hold)) for hold in asking]
        if willing := next((pair for pair in judged if not pair[1].reasons), None):
            hold, seen = willing
            await self._begin(hold, self._judge, f"{at.name} on for one stroke", (_why(hold),), seen)
            return
        for hold, seen in judged:
            if hold.refuse(seen.kinds, now):
                at.pen.note(hold, Outcome.REFUSED, seen.reasons, seen, str(hold.command))

    def _judge(self, hold: Hold) -> Verdict:
        """Return what is against a stroke for *hold*."""
        at = self._at
        now = at.clock.monotonic()
        if first := at.barred or at.links.licence(hold):
            return Verdict((first,), frozenset({"barred"}))
        if hold.until(now) <= now:
            return Verdict((f"{hold.owner} no longer wants it",), frozenset({"over"}))
        return at.machine.may_begin(now, at.press.see(), by_hand=bool(hold.who))

    def _judge_reset(self, hold: Hold) -> Verdict:
        """Return what is against clearing the fault."""
        at = self._at
        seen = at.machine.may_clear(at.clock.monotonic(), at.press.see())
        return replace(seen, reasons=at.reasons(seen))

    async def _go_home(self, hold: Hold) -> None:
        """Clear a fault; a plate that is away comes home first.

        Whoever stands at the machine has waited for this, and for nothing else: what was asked for before
        must be asked for anew.
        """
        at = self._at
        at.holds.clear()
        seen, trouble = self._judge_reset(hold), f"it was out of order: {at.machine.trouble}"
        if seen.reasons:
            at.pen.note(hold, Outcome.REFUSED, seen.reasons, seen, f"{at.name} {BACK}")
        elif at.press.see().home.value is True:
            at.machine.clear(at.clock.monotonic())
            reasons = (trouble, f"{hold.who or 'the gateway'} has reset it, and its plate is at home")
            note = Note(Outcome.RELEASED, reasons, seen, event="cleared", command=BACK)
            at.whose = hold
            at.write([note])
        else:
            reasons = (trouble, f"{hold.who or 'the gateway'} has reset it, and its plate is away")
            await self._begin(hold, self._judge_reset, f"{at.name} home", reasons, seen)

    async def _begin(
        self,
        hold: Hold,
        judge: Callable[[Hold], Verdict],
        command: str,
        reasons: tuple[str, ...],
        seen: Verdict,
    ) -> None:
        """Begin what is recorded first, durably, and judged again after that."""
        at = self._at
        decision = at.pen.decision(hold, Outcome.ACTED, reasons, seen, command)
        at.machine.intend(at.clock.monotonic())
        try:
            at.keep()
            failure = await at.scribe.recorder.durable(decision, RECORD_ON)
            seen = judge(hold)
            against = (
                *([f"the decision could not be recorded: {failure}"] if failure else []),
                *seen.reasons,
            )
            if against:
                at.again = at.clock.monotonic() + IDLE
                hold.refuse(seen.kinds, at.clock.monotonic())
                undone = f"decision {decision.id} was not carried out"
                at.pen.note(hold, Outcome.REFUSED, (*against, undone), seen, command)
            else:
                self._start_stroke(hold)
        finally:
            at.machine.desist()
            at.keep()

    def _start_stroke(self, hold: Hold) -> None:
        at = self._at
        now = at.clock.monotonic()
        hold.began, hold.firing = now, False  # it has got what it asked for
        at.holds.prune(now)
        at.whose = hold
        at.machine.begin(now, at.press.see())
        at.links.keep()
        at.wake.set()


def _why(hold: Hold) -> str:
    """Return why there is to be a stroke, in words."""
    asks = f"{hold.who} has ordered it" if hold.transition is None else hold.asks
    return f"{asks}, and nothing is against it"
