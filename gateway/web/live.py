"""What the running gateway adds to its register: who decides now, until when, and what it did."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from gateway.web import words
from gateway.web.verdict import problems

NEWEST = 3
"""Decisions in the notice; the page has more."""

LEVELS = ("shadow", "in", "on", "off")
"""Modes, from the one that moves nothing to the one that asks nobody."""

LEDGER = ("origin", "size", "signed", "time", "root", "problem")
"""What is said of the ledger."""

ANSWERS: Mapping[str, str] = {
    "": "No. No rule is loaded: this pole only measures.",
    "shadow": "No. Its rules are on trial: nothing moves, and what they would have done is recorded.",
    "in": "No. It asks a person first, and without an answer nothing moves.",
    "on": "Yes, unless a person forbids it in time: it announces first what it will do.",
    "off": "Yes. At least one rule acts at once, without asking anybody.",
}
"""Whether anything acts by itself, by the mode of the rule that asks least."""

Status = Mapping[str, Any]


def live(status: Status, register: Status | None, explain: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """Return the part of the notice that cannot go stale."""
    rules = [_rule(rule) for rule in status["rules"] if rule["phase"] != "expired"]
    mode = max((rule["mode"] for rule in rules), key=_level, default="")
    return {
        "time": status["time"],
        "mode": mode,
        "acts": ANSWERS[mode],
        "rules": rules,
        "overrides": list(_overrides(status["switches"])),
        "pending": [nameless(ask) for ask in status.get("pending", ())],
        "decisions": [_decision(body, explain) for body in status["decisions"][:NEWEST]],
        "ledger": {key: status["ledger"][key] for key in LEDGER},
        "faults": [*problems(status), *_ended(status, register)],
    }


def nameless(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return *shape* without who it was: the records name them, a notice in the street need not."""
    return {key: part for key, part in shape.items() if key not in ("by", "who", "issuer", "owner")}


def _level(mode: str) -> int:
    return LEVELS.index(mode)


def _overrides(switches: list[Status]) -> Iterator[dict[str, Any]]:
    for switch in switches:
        if lease := switch.get("override"):
            yield {"actuator": switch["id"], **nameless(lease)}


def _rule(rule: Status) -> dict[str, Any]:
    grant = rule.get("grant") or {}
    until = rule.get("until") or grant.get("until")
    return {
        "id": rule["id"],
        "says": rule["says"],
        "mode": rule["mode"],
        "words": words.MODES[rule["mode"]],
        "until": until if rule["mode"] in ("on", "off") else None,
        "why": rule.get("why", ""),
        "shelved": bool(rule.get("shelved")),
        "ends": rule["expires"],
        "answers": rule["owner"],
    }


def _decision(body: dict[str, Any], explain: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    first, stop, _ = explain(body).partition(". ")
    return {"id": body["id"], "time": body["time"], "outcome": body["outcome"], "said": first + stop.strip()}


def _ended(status: Status, register: Status | None) -> Iterator[str]:
    if register is None:
        return
    today = datetime.fromtimestamp(status["time"], UTC).astimezone().date()
    if today > date.fromisoformat(register["ends"]):
        yield f"This notice ended on {day(register['ends'])}: it must be renewed, or the pole removed."
    elif today < date.fromisoformat(register["begins"]):
        yield f"This notice begins only on {day(register['begins'])}."


def day(text: str) -> str:
    """Return a day such as `2027-03-31` as people write it."""
    return f"{date.fromisoformat(text):%-d %B %Y}"
