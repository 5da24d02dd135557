"""The decisions that control takes, as records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.clock import Instant
from gateway.control.guard import NOTHING_AGAINST, Verdict
from gateway.control.recorder import Recorder
from gateway.reading import Announce, Decision, Event, Input, Outcome, Transition


@dataclass(frozen=True, slots=True)
class By:
    """Whose decision it is: a person, by an order, or the gateway itself."""

    who: str = ""
    order: str = ""


ITSELF = By()


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes decisions down, with the time."""

    recorder: Recorder
    now: Callable[[], Instant]

    def decision(
        self,
        source: Transition | None,
        command: str,
        actuator: str,
        outcome: Outcome,
        reasons: tuple[str, ...],
        seen: Verdict = NOTHING_AGAINST,
        by: By = ITSELF,
        effect: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Return a decision, with what the rule looked at and, after it, what the guard looked at."""
        return Decision(
            at=self.now(),
            rule=source.rule if source else "",
            version=source.version if source else 0,
            digest=source.digest if source else "",
            mode=source.mode if source else "",
            command=command,
            actuator=actuator,
            outcome=outcome,
            reasons=reasons,
            inputs=tuple(dict.fromkeys((*(source.inputs if source else ()), *seen.inputs))),
            conditions=tuple(dict.fromkeys((*(source.conditions if source else ()), *seen.conditions))),
            who=by.who,
            order=by.order,
            effect=effect,
        )

    def note(
        self,
        source: Transition | None,
        command: str,
        actuator: str,
        outcome: Outcome,
        *reasons: str,
        seen: Verdict = NOTHING_AGAINST,
        by: By = ITSELF,
    ) -> Decision:
        """Record a decision as soon as the journal takes it; return it."""
        decision = self.decision(source, command, actuator, outcome, reasons, seen, by)
        self.recorder.later(decision)
        return decision


def announcement(
    command: Announce, inputs: tuple[Input, ...], place: Mapping[str, Any], at: Instant
) -> Event:
    """Return the event that a rule announces: its data, the values that it includes, and the place."""
    values = {i.name: i.value for i in inputs}
    included = {key: values.get(name) for key, name in command.include.items()}
    known = {key: value for key, value in place.items() if value not in (None, "")}
    return Event(command.type, command.subject, at, {**command.data, **included, "place": known})
