"""`lamppost score`: what a rule on trial would have done, against what people really did."""

import csv
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from statistics import median
from typing import Any

from gateway import terminal
from gateway.app.history import FOREVER, LATEST, Span, designs_of
from gateway.derive import Design
from gateway.problem import ConfigError, Problem
from gateway.reading import Lane, Outcome
from gateway.store import Archive

ASKED = {Outcome.SHADOWED, Outcome.ASKED}
"""What became of a decision that the gateway did not carry out by itself."""

DONE = {Outcome.OVERRIDDEN, Outcome.COMMANDED, Outcome.APPROVED}
"""What a person did."""

SAME = 60.0
"""Seconds by which two readings may differ in when a bin was emptied."""

COLUMNS = {"time", "target", "action"}
"""What a file of actions has."""

MOST = 100_000
"""Lines that a file of actions may have."""

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


@dataclass(frozen=True, slots=True)
class Pair:
    """A proposal of the rule and what people did, or one of the two alone."""

    verdict: str  # agreed, missed (people acted, the rule did not), extra (the other way round), open
    rule: Act | None
    people: Act | None

    @property
    def time(self) -> float:
        """When the first of the two was [s, Unix]."""
        return min(each.time for each in (self.rule, self.people) if each is not None)


@dataclass
class Score:
    """The proposals of a rule and the acts of people, compared within *window* [s] of each other."""

    rule: str
    window: float
    since: float | None
    until: float
    vetoed: int = 0
    pairs: list[Pair] = field(default_factory=list)

    def count(self, verdict: str) -> int:
        """Return how many have this verdict."""
        return sum(pair.verdict == verdict for pair in self.pairs)

    @property
    def lead(self) -> float | None:
        """The median time [s] by which the rule was sooner than people where they agreed."""
        both = [p.people.time - p.rule.time for p in self.pairs if p.rule and p.people]
        return median(both) if both else None

    @property
    def agreement(self) -> float | None:
        """The share of the rule's proposals that people carried out too."""
        return _share(self.count("agreed"), self.count("agreed") + self.count("extra"))

    @property
    def found(self) -> float | None:
        """The share of people's acts that the rule had proposed too."""
        return _share(self.count("agreed"), self.count("agreed") + self.count("missed"))

    def shape(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "rule": self.rule,
            "window": self.window,
            "since": self.since,
            "until": self.until,
            **{verdict: self.count(verdict) for verdict in ("agreed", "missed", "extra", "open")},
            "vetoed": self.vetoed,
            "agreement": self.agreement,
            "found": self.found,
            "lead": self.lead,
            "pairs": [
                {"verdict": p.verdict, "rule": _act(p.rule), "people": _act(p.people)} for p in self.pairs
            ],
        }


def score(store: Path, rule: str, window: float, span: Span, actions: Path | None, rows: int | None) -> int:
    """Print the score of *rule* over a *span* of what *store* holds; as JSON where *rows* is None.

    *actions* is a CSV of what people did, beside what the store knows. Raises ConfigError, StoreError.
    """
    archive = Archive(store)
    designs, zone = designs_of(archive)
    found = scored(archive, designs, rule, window, span, _actions(actions, zone) if actions else [])
    if rows is None:
        print(json.dumps(found.shape(), ensure_ascii=False, separators=(",", ":")))
    else:
        _show(found, zone, rows)
    return 0


def scored(
    archive: Archive,
    designs: Mapping[str, Design],
    rule: str,
    window: float,
    span: Span,
    more: Iterable[Act] = (),
) -> Score:
    """Return the score of *rule*. Raises ConfigError where it never decided anything."""
    ledger = _Ledger(rule)
    for entry in archive.records(Lane.EVENTS, 0.0, FOREVER):
        ledger.take(entry.body)
    if not ledger.rules.get(rule):
        known = ", ".join(sorted(ledger.rules)) or "none"
        said = f'no rule "{rule}" decided anything in this store; there are: {known}'
        raise ConfigError([Problem("the store", 1, said)])
    about = {act.target for act in ledger.proposed}
    since, end = span[0], min(span[1] or FOREVER, ledger.last)
    people = [*ledger.people, *more]
    if any(f"announce {COLLECTION}" in act.words for act in ledger.proposed):
        emptied = list(emptyings(archive, designs, about))
        people += emptied
        end = max(end, min(span[1] or FOREVER, max((act.time for act in emptied), default=0.0)))
    people.sort(key=lambda act: act.time)
    inside = [act for act in people if act.target in about and (since or 0.0) <= act.time <= end]
    proposed = [act for act in ledger.proposed if (since or 0.0) <= act.time <= end]
    found = Score(rule, window, since, span[1] or end, ledger.vetoed)
    found.pairs = sorted(paired(proposed, inside, window, end), key=lambda pair: pair.time)
    return found


def paired(proposed: list[Act], people: list[Act], window: float, end: float) -> Iterator[Pair]:
    """Yield a verdict on every act; *people* in the order of time.

    Each proposal agrees with one act of people at the most, the nearest.
    A proposal whose window was not over at the *end* [s, Unix] and that nobody followed is open.
    """
    near = sorted(
        (abs(people[k].time - ours.time), i, k)
        for i, ours in enumerate(proposed)
        for k in _near(people, ours, window)
    )
    mine: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, k in near:
        if i not in mine and k not in taken:
            mine[i] = k
            taken.add(k)
    for i, act in enumerate(proposed):
        if i in mine:
            yield Pair("agreed", act, people[mine[i]])
        else:
            yield Pair("extra" if act.time + window <= end else "open", act, None)
    yield from (Pair("missed", None, act) for k, act in enumerate(people) if k not in taken)


def _near(people: list[Act], ours: Act, window: float) -> Iterator[int]:
    """Yield the places of the acts on the same thing within *window* [s]."""
    first = bisect_left(people, ours.time - window, key=lambda act: act.time)
    for k in range(first, len(people)):
        if people[k].time > ours.time + window:
            return
        if people[k].target == ours.target:
            yield k


@dataclass
class _Ledger:
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


def _actions(path: Path, zone: tzinfo) -> list[Act]:
    """Return what a CSV with the columns time, target, action says. Raises ConfigError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            if missing := COLUMNS - set(table.fieldnames or ()):
                said = f"the first line must name its columns; missing: {', '.join(sorted(missing))}"
                raise ConfigError([Problem(str(path), 1, said)])
            return [_action(path, number, row, zone) for number, row in enumerate(table, 2)]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ConfigError([Problem(str(path), 1, f"cannot be read: {error}")]) from error


def _action(path: Path, number: int, row: Mapping[str, str | None], zone: tzinfo) -> Act:
    if number > MOST:
        raise ConfigError([Problem(str(path), number, f"has more than {MOST:,} lines")])
    try:
        moment = datetime.fromisoformat((row["time"] or "").strip())
    except ValueError as error:
        said = f'"{row["time"]}" is no time; write it as 2026-11-22T18:30 or 2026-11-22T18:30+01:00'
        raise ConfigError([Problem(str(path), number, said)]) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return Act(moment.timestamp(), (row["target"] or "").strip(), (row["action"] or "").strip(), "people")


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _act(act: Act | None) -> dict[str, Any] | None:
    if act is None:
        return None
    return {"time": round(act.time, 3), "target": act.target, "words": act.words, "who": act.who}


def _show(found: Score, zone: tzinfo, rows: int) -> None:
    until = datetime.fromtimestamp(found.until, zone)
    since = f"from {_when(found.since, zone)} " if found.since else ""
    terminal.show(
        f"{found.rule}: what it would have done, against what people did within {found.window / 3600:g} h, "
        f"{since}until {until:%Y-%m-%d %H:%M}."
    )
    explained = {
        "agreed": "the rule and people, about the same thing",
        "missed": "people acted, the rule would not have",
        "extra": "the rule would have acted, people did not",
        "open": "proposed too late to know what people make of it",
    }
    counts = [[name, str(found.count(name)), words] for name, words in explained.items()]
    terminal.show(
        terminal.table(["", "count []", ""], [*counts, ["vetoed", str(found.vetoed), "a person said no"]])
    )
    for share, words in (
        (found.agreement, "of what it proposed, people did too"),
        (found.found, "of what people did, it had proposed"),
    ):
        if share is not None:
            terminal.show(f"{100 * share:.0f} % {words}.")
    if found.lead is not None:
        sooner = "sooner" if found.lead >= 0 else "later"
        terminal.show(f"It was {abs(found.lead) / 60:.0f} min {sooner} than people (median).")
    shown = found.pairs[-rows:] if rows else []
    lines = [[p.verdict, _told(p.rule, zone), _told(p.people, zone)] for p in shown]
    if lines:
        title = f"the last {len(lines)} of {len(found.pairs)}" if len(lines) < len(found.pairs) else ""
        terminal.show(terminal.table(["", "the rule", "people"], lines, title))


def _told(act: Act | None, zone: tzinfo) -> str:
    if act is None:
        return "-"
    by = f" ({act.who})" if act.who else ""
    target = "" if act.target in act.words else f" {act.target}"
    return f"{_when(act.time, zone)} {act.words}{target}{by}"


def _when(moment: float, zone: tzinfo = UTC) -> str:
    return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M")
