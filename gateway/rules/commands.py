"""What a rule does: the `do` list of a rule file, as commands."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from gateway.canonical import EXACT
from gateway.reading import Announce, Command, SwitchOn
from gateway.rules.check import Type
from gateway.rules.table import Table
from gateway.toml import did_you_mean

PREFIX = "lamppost."
COLLECTION = PREFIX + "collection.requested"
FORM = 'do = [{ switch = "siren" }]'
_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_KINDS = ("switch", "collect", "event")
_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule may name: readings with their types, and switches."""

    types: Mapping[str, Type]
    switches: Collection[str]


def commands(rule: Table, scope: Scope) -> tuple[Command, ...]:
    """Read the rule's `do`; at least one command, and no switch twice."""
    items = rule.tables("do", FORM)
    if not rule.values.get("do"):
        rule.report.add(rule.path, f'"do" is missing: say what the rule does, such as {FORM}')
    found = tuple(_command(item, scope) for item in items)
    switches = [command.actuator for command in found if isinstance(command, SwitchOn) and command.actuator]
    if len(set(switches)) < len(switches):
        rule.problem("do", "one rule commands a switch once")
    return found


def _command(item: Table, scope: Scope) -> Command:
    kinds = [kind for kind in _KINDS if item.has(kind)]
    if len(kinds) != 1:
        item.report.add(item.path, 'a command has exactly one of "switch", "collect" and "event"')
        return SwitchOn("")
    readers = {"switch": _switch, "collect": _collect, "event": _event}
    command = readers[kinds[0]](item, scope)
    item.finish()
    return command


def _switch(item: Table, scope: Scope) -> Command:
    name = item.text("switch", 40, "the id of a switch")
    if name and name not in scope.switches:
        near = did_you_mean(name, scope.switches) or "; configure one as a device with a guard"
        item.problem("switch", f"no switch {name!a}{near}")
    return SwitchOn(name, item.seconds("during", 0.001))


def _collect(item: Table, scope: Scope) -> Command:
    subject = item.text("collect", 100, "what is to be collected, such as the bin's id")
    data = {
        "reason": item.text("reason", 200, "why, for the people who collect"),
        "priority": item.choice("priority", ("normal", "high", "low"), "normal"),
    }
    return Announce(COLLECTION, subject, data, _fill(item, scope))


def _fill(item: Table, scope: Scope) -> Mapping[str, str]:
    """Read which reading tells the fill, if the rule says so."""
    if not item.has("fill"):
        return {}
    name = item.text("fill", 100, 'the reading that tells the fill, such as "bin.fill"')
    if name and scope.types.get(name) is not Type.NUMBER:
        item.problem("fill", f"no number {name!a}{did_you_mean(name, scope.types)}")
    return {"fill": name}


def _event(item: Table, scope: Scope) -> Command:
    type_ = item.text("event", 100, 'what happened, as a dotted name such as "flood.warning"')
    if type_.startswith(PREFIX):
        item.problem("event", f'"{PREFIX}" is put before every event; write {type_[len(PREFIX) :]!a}')
    elif type_ and _EVENT.fullmatch(type_) is None:
        item.problem("event", "an event is a dotted name in small letters, such as flood.warning")
    subject = item.text("subject", 100, "what the event is about: a device or a place")
    data = item.table("data")
    return Announce(PREFIX + type_, subject, {key: _plain(data, key, v) for key, v in data.values.items()})


def _plain(data: Table, key: str, value: Any, depth: int = 1) -> Any:
    """Return *value* as JSON can carry it; report what it cannot."""
    if depth > _DEPTH:
        data.problem(key, f"nested more than {_DEPTH} levels deep")
        return None
    match value:
        case dict():
            return {name: _plain(data, key, item, depth + 1) for name, item in value.items()}
        case list():
            return [_plain(data, key, item, depth + 1) for item in value]
        case date() | time():
            return value.isoformat()
        case int() if abs(value) > EXACT:
            data.problem(key, "a whole number beyond 2**53 is not exact in JSON; write a text")
        case float() if not math.isfinite(value):
            data.problem(key, "JSON has no infinity and no NaN; write a text")
    return value
