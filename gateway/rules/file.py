"""Rule files: TOML to checked rules, or every problem at once with its place."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gateway import toml
from gateway.canonical import digest
from gateway.problem import ConfigError, Problem
from gateway.reading import Mode
from gateway.rules import cases, grants
from gateway.rules.check import Type
from gateway.rules.commands import Scope, commands
from gateway.rules.evaluate import Expression, condition
from gateway.rules.rule import Rule
from gateway.rules.syntax import RuleError
from gateway.rules.table import Report, Table

SIZE = 128 * 1024
"""Bytes that a rule file may have."""

_TIMES = (
    ("wait", "for", 0.0),
    ("hold", "hold", 0.0),
    ("ask", "ask", 1.0),  # no time to answer would be no question
    ("veto", "veto", 1.0),
    ("blind", "blind", 1.0),  # at a start every rule is blind for a moment
)

_ID = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The rules of one file, and the SHA-256 (hexadecimal) of its canonical JSON (RFC 8785)."""

    rules: tuple[Rule, ...]
    digest: str

    def renewed(self, until: float) -> "RuleFile":
        """Return it with every grant until then [s, Unix]: for a demonstration, whose file grows old."""
        grants = [rule.grant and replace(rule.grant, until=until) for rule in self.rules]
        rules = (replace(rule, grant=grant) for rule, grant in zip(self.rules, grants, strict=True))
        return replace(self, rules=tuple(rules))


def load(
    path: Path,
    types: Mapping[str, Type],
    switches: Collection[str],
    today: date | None = None,
    keep_expired: bool = False,
) -> RuleFile:
    """Read and check a rule file; see `parse`. Raises ConfigError, also when it cannot be read."""
    return _checked(toml.read(path, SIZE), types, switches, today, keep_expired)


def load_all(
    paths: Iterable[Path],
    types: Mapping[str, Type],
    switches: Collection[str],
    today: date | None = None,
    keep_expired: bool = False,
) -> tuple[RuleFile, ...]:
    """Read several files. Raises ConfigError with the problems of all, also when two share a rule's id."""
    files: list[RuleFile] = []
    problems: list[Problem] = []
    owner: dict[str, Path] = {}
    for path in paths:
        try:
            files.append(load(path, types, switches, today, keep_expired))
        except ConfigError as error:
            problems += error.problems
            continue
        for rule in files[-1].rules:
            first = owner.setdefault(rule.id, path)
            if first is not path:
                problems.append(Problem(str(path), 1, f'rule "{rule.id}" is already in {first}; rename one'))
    if problems:
        raise ConfigError(problems)
    return tuple(files)


def parse(
    text: str,
    file: str,
    types: Mapping[str, Type],
    switches: Collection[str],
    today: date | None = None,
    keep_expired: bool = False,
) -> RuleFile:
    """Check the text of a rule file against what is configured.

    A rule whose last day lies before *today* (the present day, UTC), or whose grant reaches too far beyond
    it, is a problem, unless *keep_expired*: then it loads, the engine shows it as expired, and gives no such
    grant. Raises ConfigError with every problem.
    """
    return _checked(toml.parse(text, file), types, switches, today, keep_expired)


def _checked(
    document: toml.Document,
    types: Mapping[str, Type],
    switches: Collection[str],
    today: date | None,
    keep_expired: bool,
) -> RuleFile:
    report = Report(document)
    top = Table(report, (), document.data)
    day = None if keep_expired else today or datetime.now(UTC).date()
    rules = [_rule(table, Scope(types, switches), day) for table in top.tables("rule", "as [[rule]]")]
    top.finish()
    _refuse_twins(report, rules)
    if report.problems:
        raise ConfigError(report.sorted())
    mark = digest(document.data)
    return RuleFile(tuple(replace(rule, digest=mark) for rule in rules if rule is not None), mark)


def _rule(table: Table, scope: Scope, today: date | None) -> Rule | None:
    """Read one rule; None where anything about it is wrong, which the report then says.

    Without *today* no day is judged.
    """
    before = len(table.report.problems)
    rule_id = table.text("id", 40, "a short name for this rule")
    if rule_id and _ID.fullmatch(rule_id) is None:
        table.problem("id", '"id" has small letters, digits, "_" and "-", and begins with a letter')
    says = table.text("says", 500, "in plain language, what this rule does and why")
    owner = table.text("owner", 200, "who answers for this rule")
    expires = table.day("expires", "the last day on which this rule acts")
    if expires < (today or date.min):
        table.problem("expires", "this rule has expired; let its owner renew it or remove it")
    version = table.whole("version", 1)
    mode = Mode(table.choice("mode", tuple(Mode), Mode.SHADOW))
    grant = grants.grant(table, mode, today)
    when, clear = _condition(table, "when", scope), _condition(table, "clear", scope)
    if not table.has("when"):
        table.report.add(table.path, '"when" is missing: the condition, such as "bin.fill >= 80"')
    times = _times(table)
    does = commands(table, scope)
    cases.run(table, when, scope)
    table.finish()
    if when is None or len(table.report.problems) > before:
        return None
    return Rule(rule_id, version, says, owner, expires, when, does, clear, mode=mode, grant=grant, **times)


def _times(table: Table) -> dict[str, Any]:
    """Read every duration [s] of a rule that is there; the others have their default."""
    found = {name: table.seconds(key, least) for name, key, least in _TIMES}
    return {name: value for name, value in found.items() if value is not None}


def _condition(table: Table, key: str, scope: Scope) -> Expression | None:
    source = table.source(key)
    if source is None:
        return None
    try:
        return condition(source, scope.types)
    except RuleError as error:
        table.problem(key, error.message, error.at)
        return None


def _refuse_twins(report: Report, rules: list[Rule | None]) -> None:
    seen: set[str] = set()
    for i, rule in enumerate(rules):
        if rule is not None and rule.id in seen:
            report.add(("rule", i, "id"), f'another rule is called "{rule.id}"; rename one')
        seen |= {rule.id} if rule is not None else set()
