"""Decisions in plain words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

from gateway.reading import Outcome

_MOVED = {
    Outcome.ACTED: "Switched {}",
    Outcome.SHADOWED: "Would have switched {}, but the rule is on trial, so nothing moved",
    Outcome.REFUSED: "Did not switch {}",
    Outcome.RELEASED: "Switched {}",
    Outcome.TRIPPED: "The guard switched {}",
    Outcome.FAILED: "Tried to switch {}, and failed",
    Outcome.ASKED: "Asked whether to switch {}",
}
_SAID = {
    Outcome.ACTED: "Announced {}",
    Outcome.SHADOWED: "Would have announced {}, but the rule is on trial, so nothing was sent",
    Outcome.REFUSED: "Did not announce {}",
    Outcome.FAILED: "Tried to announce {}, and failed",
    Outcome.ASKED: "Asked whether to announce {}",
}
_ANSWERED = {
    Outcome.APPROVED: "{who} approved: {}",
    Outcome.VETOED: "{who} vetoed: {}",
    Outcome.LAPSED: "The time ran out for: {}",
    Outcome.OVERRIDDEN: "{who} took over by hand: {}",
    Outcome.COMMANDED: "{who} ordered: {}",
}
_SOMEBODY = "Somebody who is not named"
_LARGE = 1e300  # JSON has whole numbers that no float holds
_TRUTH = {True: "true", False: "false", None: "not known"}


def explain(body: Mapping[str, Any]) -> str:
    """Return a decision, as stored and published, as one paragraph. What the body lacks is left out."""
    parts = [headline(body), _context(body), _saw(body), _held(body), _effect(body)]
    return " ".join(part for part in parts if part)


def headline(body: Mapping[str, Any]) -> str:
    """Return the first sentence of `explain`: what happened, and why."""
    reasons = [str(reason) for reason in _list(body, "reasons")]
    return _opening(body) + (f": {'; '.join(reasons)}." if reasons else ".")


def _opening(body: Mapping[str, Any]) -> str:
    command = str(body.get("command", ""))
    said = command.startswith("announce ")
    patterns = _SAID if said else _MOVED
    outcome = body.get("outcome")
    known = Outcome(outcome) if outcome in list(Outcome) else None
    if known in _ANSWERED:
        return _ANSWERED[known].format(command, who=body.get("who") or _SOMEBODY)
    pattern = patterns.get(known) if known else None
    words = command.removeprefix("announce ")
    return pattern.format(words) if pattern else f"{outcome}: {command}"


def _context(body: Mapping[str, Any]) -> str:
    rule = body.get("rule")
    by = f"for rule {rule}, version {body.get('version')}" if rule else ""
    asked = f"at the order of {body['who']}" if body.get("who") and not _names_who(body) else ""
    words = ", ".join(part for part in (_when(body), by, asked) if part)
    return f"That was {words}." if words else ""


def _names_who(body: Mapping[str, Any]) -> bool:
    """Whether the first sentence says who it was."""
    return body.get("outcome") in list(_ANSWERED.keys() - {Outcome.LAPSED})


def _effect(body: Mapping[str, Any]) -> str:
    effect = body.get("effect")
    if not isinstance(effect, Mapping) or not effect:
        return ""
    return f"Read back: {', '.join(f'{name} = {_shown(value)}' for name, value in effect.items())}."


def _when(body: Mapping[str, Any]) -> str:
    seconds = body.get("time")
    if not isinstance(seconds, int | float):
        return ""
    try:
        text = datetime.fromtimestamp(seconds, UTC).strftime("on %Y-%m-%d at %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return ""
    quality = body.get("clock", "synchronized")
    return text if quality == "synchronized" else f"{text} by a clock that is {quality}"


def _saw(body: Mapping[str, Any]) -> str:
    seen = [_input(each) for each in _list(body, "inputs") if isinstance(each, Mapping)]
    return f"It saw {', '.join(seen)}." if seen else ""


def _input(each: Mapping[str, Any]) -> str:
    value, age = each.get("value"), each.get("age")
    if value is None:
        return f"no {each.get('name')} ({each.get('reason') or 'not known'})"
    old = f" ({age:.1f} s old)" if _is_number(age) else ""
    return f"{each.get('name')} = {_shown(value)}{old}"


def _held(body: Mapping[str, Any]) -> str:
    conditions = [each for each in _list(body, "conditions") if isinstance(each, Mapping)]
    told = [f"“{each.get('text')}” was {_truth(each.get('truth'))}" for each in conditions]
    return f"{', '.join(told)}." if told else ""


def _truth(truth: object) -> str:
    return _TRUTH[truth] if truth is None or isinstance(truth, bool) else str(truth)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return _TRUTH[value]
    return f"{value:g}" if _is_number(value) else str(value)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and abs(value) < _LARGE


def _list(body: Mapping[str, Any], key: str) -> list[Any]:
    found = body.get(key)
    return list(found) if isinstance(found, list | tuple) else []
