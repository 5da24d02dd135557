"""The decisions that control takes, as records."""

from collections.abc import Mapping
from typing import Any

from gateway.clock import Instant
from gateway.control.guard import Verdict
from gateway.reading import Announce, Decision, Event, Input, Outcome, Transition


def decide(
    at: Instant,
    source: Transition | None,
    command: str,
    actuator: str,
    outcome: Outcome,
    reasons: tuple[str, ...],
    seen: Verdict,
) -> Decision:
    """Return a decision, with what the rule looked at and, after it, what the guard looked at."""
    return Decision(
        at=at,
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
    )


def announcement(
    command: Announce, inputs: tuple[Input, ...], place: Mapping[str, Any], at: Instant
) -> Event:
    """Return the event that a rule announces: its data, the values that it includes, and the place."""
    values = {i.name: i.value for i in inputs}
    included = {key: values.get(name) for key, name in command.include.items()}
    known = {key: value for key, value in place.items() if value not in (None, "")}
    return Event(command.type, command.subject, at, {**command.data, **included, "place": known})
