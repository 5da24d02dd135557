"""Types: every name and operator is checked when a rule is loaded, so that a running rule cannot fail."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from drivers.device import LOGICAL, Quantity
from gateway.rules.syntax import (
    DEPTH,
    Binary,
    Chain,
    Name,
    Node,
    Number,
    RuleError,
    Span,
    Truth,
    Unary,
)
from gateway.toml import did_you_mean

AGE = "age"
"""`device.age`: the time since the device last gave a value."""
EXACT = 2**53
"""Up to here CEL's whole numbers and doubles agree (IEEE 754 binary64)."""
_ORDER = ("<", "<=", ">", ">=")
_EQUALITY = ("==", "!=")
_RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let"}
    | {"loop", "namespace", "null", "package", "return", "true", "var", "void", "while"}
)
"""CEL's reserved words (its language definition, section "Syntax")."""


class Type(StrEnum):
    """What an expression gives. A duration counts whole nanoseconds."""

    NUMBER = "number"
    BOOL = "true or false"
    DURATION = "duration"


class _Kind(NamedTuple):
    """A type, and the exact value where only whole literals made it."""

    type: Type
    whole: int | None = None


def vocabulary(devices: Mapping[str, Iterable[Quantity]]) -> dict[str, Type]:
    """Return every name that a rule may use, from each device's (or derived stream's) quantities."""
    names = {f"{device}.{AGE}": Type.DURATION for device in devices}
    for device, quantities in devices.items():
        for quantity in sorted(quantities):
            names[f"{device}.{quantity}"] = Type.BOOL if quantity in LOGICAL else Type.NUMBER
    return names


def check(tree: Node, text: str, types: Mapping[str, Type]) -> Type:
    """Return the type of *tree*. Raises RuleError where names or types do not fit."""
    return _Checker(text, types).kind(tree, 0).type


class _Checker:
    def __init__(self, text: str, types: Mapping[str, Type]) -> None:
        self.text, self.types = text, types

    def wrong(self, message: str, at: int) -> RuleError:
        return RuleError(message, self.text, at)

    def kind(self, node: Node, depth: int) -> _Kind:
        """Return the kind of *node*, which lies *depth* levels deep."""
        if depth > DEPTH:
            raise self.wrong(f"nested more than {DEPTH} levels deep; split the rule", node.at)
        match node:
            case Number(_, whole, at):
                return self.exact(whole, at)
            case Truth():
                return _Kind(Type.BOOL)
            case Span():
                return _Kind(Type.DURATION)
            case Name(name, at):
                return self.name(name, at)
            case Unary(op, of, at):
                return self.unary(op, self.kind(of, depth + 1), at)
            case Chain(op, parts, ats):
                return self.chain(op, [self.kind(part, depth + 1).type for part in parts], ats)
            case Binary(op, left, right, _):
                return self.binary(node, self.kind(left, depth + 1), self.kind(right, depth + 1))

    def exact(self, whole: int | None, at: int) -> _Kind:
        """A number, refused where CEL's 64-bit integers would say another value than a double."""
        if whole is not None and abs(whole) > EXACT:
            raise self.wrong("this whole number is too large to be exact; write it with a point: 1.0e16", at)
        return _Kind(Type.NUMBER, whole)

    def name(self, name: str, at: int) -> _Kind:
        device, _, quantity = name.partition(".")
        if device in _RESERVED:
            raise self.wrong(f'"{device}" is a reserved word of the language; give the device another id', at)
        if name in self.types:
            return _Kind(self.types[name])
        near = did_you_mean(name, self.types)
        if not quantity:
            raise self.wrong(f'"{name}" is not a name: write device.quantity{near}', at)
        if f"{device}.{AGE}" in self.types:
            raise self.wrong(f'"{device}" has no quantity "{quantity}"{near}', at)
        raise self.wrong(f'no device "{device}"{near}', at)

    def unary(self, op: str, of: _Kind, at: int) -> _Kind:
        want = Type.BOOL if op == "!" else Type.NUMBER
        if of.type is not want:
            raise self.wrong(f'"{op}" needs {_said(want)}, and this is {_said(of.type)}', at)
        return _Kind(want, None if of.whole is None else -of.whole)

    def chain(self, op: str, types: list[Type], ats: tuple[int, ...]) -> _Kind:
        for i, found in enumerate(types):
            if found is not Type.BOOL:
                side = "left" if i == 0 else "right"
                raise self.wrong(
                    f'"{op}" needs conditions, and on its {side} stands {_said(found)}', ats[max(0, i - 1)]
                )
        return _Kind(Type.BOOL)

    def binary(self, node: Binary, left: _Kind, right: _Kind) -> _Kind:
        op, at = node.op, node.at
        if left.type is not right.type:
            raise self.wrong(_mismatch(node, left.type, right.type), at)
        if op in _EQUALITY or (op in _ORDER and left.type is not Type.BOOL):
            return _Kind(Type.BOOL)
        if left.type is Type.BOOL:
            raise self.wrong(f'"{op}" needs numbers, and these are {_said(Type.BOOL)}', at)
        if left.type is Type.DURATION:
            if op not in ("+", "-"):
                raise self.wrong(f'"{op}" needs numbers, and these are durations', at)
            return _Kind(Type.DURATION)
        return self.arithmetic(op, left.whole, right.whole, at)

    def arithmetic(self, op: str, left: int | None, right: int | None, at: int) -> _Kind:
        """Follow whole literals exactly, so that they never mean something else than in CEL."""
        if left is None or right is None:
            return _Kind(Type.NUMBER)
        if op == "/":
            advice = f"write {left}.0 / {right}.0"
            raise self.wrong(f"a whole number divided by a whole number drops the rest in CEL; {advice}", at)
        return self.exact({"+": left + right, "-": left - right, "*": left * right}[op], at)


def _mismatch(node: Binary, left: Type, right: Type) -> str:
    verb = "compare" if node.op in _ORDER + _EQUALITY else f'apply "{node.op}" to'
    message = f"cannot {verb} {_said(left)} and {_said(right)}"
    if {left, right} == {Type.NUMBER, Type.DURATION}:
        return f'{message}; a duration is written duration("10s")'
    if isinstance(node.left, Binary) and node.left.op in _ORDER and node.op in _ORDER:
        return f"{message}; write a < b && b < c"
    for side in (node.left, node.right):
        if isinstance(side, Name) and Type.BOOL in (left, right):
            return f"{message}; a contact is used as it is: {side.name} or !{side.name}"
    return message


def _said(type_: Type) -> str:
    return type_ if type_ is Type.BOOL else f"a {type_}"
