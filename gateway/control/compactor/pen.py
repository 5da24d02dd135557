"""What is written down of a press: decisions, and events for other services."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.control.compactor.state import Note, Stroke
from gateway.control.decisions import ITSELF, By, Scribe
from gateway.control.guard import Verdict
from gateway.control.hold import Hold
from gateway.reading import Decision, Event, Outcome

TYPES = {
    "fault": "lamppost.compactor.fault",
    "cleared": "lamppost.compactor.cleared",
    "stroke": "lamppost.compactor.stroke",
    "full": "lamppost.compactor.full",
}


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes for the press *name*, which stands at *place*."""

    name: str
    scribe: Scribe
    place: Mapping[str, Any]

    def write(self, notes: Iterable[Note], hold: Hold | None, stroke: Stroke) -> None:
        """Record what the machine has to say, booked to *hold*, as soon as the journal takes it."""
        for note in notes:
            if note.outcome is not None:
                command = f"{self.name} {note.command}"
                made = self.decision(hold, note.outcome, note.reasons, note.seen, command, note.effect)
                self.scribe.recorder.later(made)
            if note.event:
                self.tell(note.event, note.reasons, stroke)

    def note(
        self, hold: Hold, outcome: Outcome, reasons: tuple[str, ...], seen: Verdict, command: str
    ) -> None:
        """Record a decision as soon as the journal takes it."""
        self.scribe.recorder.later(self.decision(hold, outcome, reasons, seen, command))

    def decision(
        self,
        hold: Hold | None,
        outcome: Outcome,
        reasons: tuple[str, ...],
        seen: Verdict,
        command: str,
        effect: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Return a decision about the press, booked to *hold*."""
        source = hold.transition if hold else None
        by = By(hold.who, hold.order) if hold else ITSELF
        return self.scribe.decision(source, command, self.name, outcome, reasons, seen, by, effect)

    def tell(self, what: str, reasons: tuple[str, ...], stroke: Stroke) -> None:
        """Record an event: a key of TYPES."""
        data: dict[str, Any] = {"reasons": list(reasons)}
        if what in ("stroke", "full"):
            data |= {**stroke.effect(), "before": stroke.before, "after": stroke.after}
        place = {key: value for key, value in self.place.items() if value not in (None, "")}
        event = Event(TYPES[what], self.name, self.scribe.now(), {**data, "place": place})
        self.scribe.recorder.later(event)
