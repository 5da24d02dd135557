"""Turn a checked tree into closures. What is not known makes the answer unknown, as Kleene has it."""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gateway.rules.check import Type, check
from gateway.rules.syntax import Binary, Chain, Name, Node, Number, RuleError, Span, Truth, Unary, parse

Value: TypeAlias = float | bool
"""A number, a truth, or a duration in whole nanoseconds."""
Lookup: TypeAlias = Callable[[str], Value | None]
"""Gives a name's value, or None where it is not known."""
Evaluate: TypeAlias = Callable[[Lookup], Value | None]


@dataclass(frozen=True, slots=True)
class Crossing:
    """A comparison of durations as *constant* + sum of factor * age [ns]: its sign decides the comparison."""

    constant: int
    factors: Mapping[str, int]

    def after(self, now: int, seen: Callable[[str], int | None]) -> int | None:
        """Return the first moment after *now* [ns] at which the sign changes, if no reading comes.

        *seen* gives the moment from which a name's age counts; None where it never was seen.
        """
        slope, offset = sum(self.factors.values()), self.constant
        for name, factor in self.factors.items():
            since = seen(name)
            if since is None:
                return None
            offset -= factor * since
        if slope == 0:
            return None
        reaches, passes = -(offset // slope), -offset // slope + 1
        return min((moment for moment in (reaches, passes) if moment > now), default=None)


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression. Two are equal when they are written alike and mean the same type.

    *names* in order of appearance; *evaluate* takes a Lookup; *crossings* say when time alone may change it.
    """

    text: str
    type: Type
    names: tuple[str, ...]
    evaluate: Evaluate = field(compare=False, repr=False)
    crossings: tuple[Crossing, ...] = field(default=(), compare=False, repr=False)


def compile(text: str, types: Mapping[str, Type]) -> Expression:
    """Return *text* ready to be evaluated. Raises RuleError with line and column."""
    tree = parse(text)
    type_ = check(tree, text, types)
    nodes = tuple(_walk(tree))
    names = tuple(dict.fromkeys(node.name for node in nodes if isinstance(node, Name)))
    crossings = tuple(_crossing(node) for node in nodes if _compares_durations(node, types))
    return Expression(text, type_, names, _build(tree), crossings)


def condition(text: str, types: Mapping[str, Type]) -> Expression:
    """Like compile, for what must be true or false: `when`, `clear`, a guard's permissive."""
    expression = compile(text, types)
    if expression.type is not Type.BOOL:
        raise RuleError(f"a condition is true or false, and this is a {expression.type}", text, 0)
    return expression


def divide(a: float, b: float) -> float:
    """Divide as IEEE 754 does: x/0 is infinite, 0/0 is not a number."""
    if b != 0.0:
        return a / b
    if a == 0.0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


_OPERATORS: Mapping[str, Callable[[Any, Any], Value]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
}


def _build(node: Node) -> Evaluate:
    match node:
        case Number(value) | Truth(value) | Span(value):
            return _constant(value)
        case Name(name):
            return lambda lookup: lookup(name)
        case Unary(op, of):
            return _unary(operator.not_ if op == "!" else operator.neg, _build(of))
        case Chain(op, parts):
            return _chain(op == "||", tuple(_build(part) for part in parts))
        case Binary(op, left, Number(value) | Span(value)):
            return _against(_OPERATORS[op], _build(left), value)
        case Binary(op, left, right):
            return _binary(_OPERATORS[op], _build(left), _build(right))


def _constant(value: Value) -> Evaluate:
    return lambda lookup: value


def _unary(apply: Callable[[Any], Value], of: Evaluate) -> Evaluate:
    def evaluate(lookup: Lookup) -> Value | None:
        value = of(lookup)
        return None if value is None else apply(value)

    return evaluate


def _binary(apply: Callable[[Any, Any], Value], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(lookup: Lookup) -> Value | None:
        a, b = left(lookup), right(lookup)
        return None if a is None or b is None else apply(a, b)

    return evaluate


def _against(apply: Callable[[Any, Any], Value], left: Evaluate, right: Value) -> Evaluate:
    """What `_binary` does, where the right side is written as a value: most limits are."""

    def evaluate(lookup: Lookup) -> Value | None:
        value = left(lookup)
        return None if value is None else apply(value, right)

    return evaluate


def _chain(decisive: bool, parts: tuple[Evaluate, ...]) -> Evaluate:
    """One part with the *decisive* truth decides; else one unknown part makes all unknown."""

    def evaluate(lookup: Lookup) -> bool | None:
        found: bool | None = not decisive
        for part in parts:
            truth = part(lookup)
            if truth is decisive:
                return decisive
            if truth is None:
                found = None
        return found

    return evaluate


def _walk(node: Node) -> Iterator[Node]:
    yield node
    match node:
        case Unary(_, of):
            yield from _walk(of)
        case Chain(_, parts):
            for part in parts:
                yield from _walk(part)
        case Binary(_, left, right):
            yield from _walk(left)
            yield from _walk(right)


def _is_duration(node: Node, types: Mapping[str, Type]) -> bool:
    match node:
        case Span():
            return True
        case Name(name):
            return types[name] is Type.DURATION
        case Binary("+" | "-", left, _):
            return _is_duration(left, types)
    return False


def _compares_durations(node: Node, types: Mapping[str, Type]) -> bool:
    return isinstance(node, Binary) and node.op not in ("+", "-") and _is_duration(node.left, types)


def _crossing(node: Node) -> Crossing:
    factors: dict[str, int] = {}
    constant = 0
    for sign, term in _terms(node, 1):
        if isinstance(term, Span):
            constant += sign * term.value
        elif isinstance(term, Name):
            factors[term.name] = factors.get(term.name, 0) + sign
    return Crossing(constant, factors)


def _terms(node: Node, sign: int) -> Iterator[tuple[int, Node]]:
    """Give the terms of left - right, each with its sign."""
    if not isinstance(node, Binary):
        yield sign, node
        return
    yield from _terms(node.left, sign)
    yield from _terms(node.right, sign if node.op == "+" else -sign)
