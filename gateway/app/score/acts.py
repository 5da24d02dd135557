"""What a rule would have done and what people did, as a store tells it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.app.history import FOREVER, LATEST
from gateway.derive import Design
from gateway.reading import Lane, Outcome
from gateway.store import Archive

ASKED = {Outcome.SHADOWED, Outcome.ASKED}
"""What became of a decision that the gateway did not carry out by itself."""

DONE = {Outcome.OVERRIDDEN, Outcome.COMMANDED, Outcome.APPROVED}
"""What a person did."""

SAME = 60.0
"""Seconds by which two readings may differ in when a bin was emptied."""

IDLE = {"release", "reset", "mode", "shelve", "unshelve"}
"""First words of what people order that sets nothing going."""

_SAID = (re.compile(r"\bannounce \S+ of ([^,\s]+)"), re.compile(r"(?:^|, |override )(\w+) on\b"))
COLLECTION = "lamppost.collection."


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done, or would have been: when [s, Unix], to what, in words, and by whom."""

    time: float
    target: str
    words: str
    who: str = ""


@dataclass
class Decisions:
    """What the decisions of a store say of one rule, and of what people did."""

    rule: str
    proposed: list[Act] = field(default_factory=list)
    people: list[Act] = field(default_factory=list)
    rules: dict[str, int] = field(default_factory=dict)
    vetoed: int = 0
    last: float = 0.0

    def take(self, body: Mapping[str, Any]) -> None:
        """Take a record of the events lane, whatever it is."""
        time, outcome = body.get("time"), body.get("outcome")
        if not isinstance(time, int | float) or not 0 <= time <= LATEST:
            return
        self.last = max(self.last, float(time))
        if body.get("kind") != "decision":
            return
        rule, command, who = (str(body.get(name, "")) for name in ("rule", "command", "who"))
        acts = [
            Act(float(time), each, command, who) for each in targets(command, str(body.get("actuator", "")))
        ]
        if rule:
            self.rules[rule] = self.rules.get(rule, 0) + 1
        if outcome in ASKED and rule == self.rule:
            self.proposed += acts
        elif outcome in DONE and who:
            self.people += acts
        elif outcome == Outcome.VETOED and rule == self.rule:
            self.vetoed += 1


def targets(command: str, actuator: str) -> list[str]:
    """Return what a decision's *command* sets going: switches, and what it announces something of.

    Nothing where it only ends something, or changes who decides.
    """
    if command.endswith(" off") or command.partition(" ")[0] in IDLE:
        return []
    named = [match[1] for pattern in _SAID for match in pattern.finditer(command)]
    return list(dict.fromkeys(named or [actuator] * bool(actuator)))


def emptyings(archive: Archive, designs: Mapping[str, Design], targets: Iterable[str]) -> Iterator[Act]:
    """Yield each time that a bin among *targets* was emptied, as the streams say that see it."""
    wanted = {name: target for target in targets for name in _about(target, designs)}
    last: dict[str, float] = {}
    for entry in archive.records(Lane.TELEMETRY, 0.0, FOREVER):
        name, values = entry.body.get("device"), entry.body.get("values")
        if name not in wanted or not isinstance(values, dict):
            continue
        gone, time = values.get("since_emptied"), entry.body.get("time")
        if not isinstance(gone, int | float) or not isinstance(time, int | float):
            continue
        emptied = max(0.0, min(time - gone, LATEST))
        if emptied > last.get(name, -FOREVER) + SAME:
            yield Act(emptied, wanted[name], "emptied")
        last[name] = emptied


def _about(target: str, designs: Mapping[str, Design]) -> set[str]:
    """Return *target*, and every stream that is made from it, or from what it is made from."""
    sources = {name: {s.device for s in each.context.sources.values()} for name, each in designs.items()}
    family = {target} | sources.get(target, set())
    for name, made_from in sources.items():  # in the order of the configuration
        if made_from & family:
            family.add(name)
    return family
