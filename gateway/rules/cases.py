"""The tests that a rule carries: given these readings, `when` must be this."""

import math
from typing import Any

from gateway.canonical import EXACT
from gateway.config import duration
from gateway.rules.check import Type
from gateway.rules.commands import Scope
from gateway.rules.evaluate import Expression, Value
from gateway.rules.inputs import nanoseconds
from gateway.rules.table import LONGEST, Table
from gateway.toml import did_you_mean

_WORDS = {True: "true", False: "false", None: "unknown"}


def run(rule: Table, when: Expression | None, scope: Scope) -> None:
    """Read the rule's tests and report each that is malformed or fails; at least one is needed."""
    cases = rule.tables("test", "as [[rule.test]]")
    if not rule.values.get("test"):
        advice = 'add [[rule.test]] with given = { "bin.fill" = 85.0 } and expect = true'
        rule.report.add(rule.path, f"a rule has at least one test: {advice}")
    for case in cases:
        _run(case, when, scope)


def _run(case: Table, when: Expression | None, scope: Scope) -> None:
    before = len(case.report.problems)
    given = _given(case.table("given"), scope)
    expect = _expect(case)
    case.finish()
    if when is None or len(case.report.problems) > before:
        return
    truth = when.evaluate(given.get)
    if truth is not expect:
        case.problem("expect", f'the test expects {_WORDS[expect]}, but "when" is {_verdict(when, given)}')


def _verdict(when: Expression, given: dict[str, Value]) -> str:
    """Say what *when* is, and what would be needed where it is unknown."""
    truth = when.evaluate(given.get)
    if truth is not None:
        return _WORDS[bool(truth)]
    return f"unknown; not given: {', '.join(name for name in when.names if name not in given)}"


def _expect(case: Table) -> bool | None:
    value = case.values.get("expect") if case.has("expect") else None
    if isinstance(value, bool):
        return value
    if value != "unknown":
        case.problem("expect", '"expect" is true, false or "unknown"')
    return None


def _given(given: Table, scope: Scope) -> dict[str, Value]:
    found = {}
    for name, value in given.values.items():
        if isinstance(value, dict):
            advice = f'write the whole name in quotes: "{name}.{next(iter(value), "quantity")}" = ...'
            given.report.add((*given.path, name), advice, key=True)
        elif name not in scope.types:
            near = did_you_mean(name, scope.types)
            given.report.add((*given.path, name), f"no reading {name!a}{near}", key=True)
        else:
            found[name] = _value(given, name, value, scope.types[name])
    return found


def _value(given: Table, name: str, value: Any, type_: Type) -> Value:
    """Return *value* as the type has it; report it where it does not fit."""
    logical = isinstance(value, bool)
    if type_ is Type.BOOL:
        if not logical:
            given.problem(name, f"{name} is true or false")
        return bool(value)
    if type_ is Type.DURATION:
        return _span(given, name, value)
    if logical or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e300:
        given.problem(name, f"{name} is a number")
        return 0.0
    if isinstance(value, int) and abs(value) > EXACT:
        given.problem(name, f"{name} is too large to be exact; write it with a point")
        return 0.0
    return float(value)


def _span(given: Table, name: str, value: Any) -> int:
    try:
        span = duration(value) if isinstance(value, str) else math.nan
    except ValueError as error:
        given.problem(name, str(error))
        return 0
    if not 0 <= span <= LONGEST:
        given.problem(name, f'{name} is a duration of at most 366 days in quotes, such as "10s"')
        return 0
    return nanoseconds(span)
