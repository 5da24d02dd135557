"""Parse an expression such as `bin.fill >= 80 && lid.closed` into a tree.

The language is a subset of the Common Expression Language (CEL): whatever is accepted here and is CEL
has the value that CEL gives it. docs/rules.md holds the grammar.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

LENGTH = 500
"""Characters that an expression may have."""
DEPTH = 40
"""Levels that an expression may be nested."""

_TOKEN = re.compile(
    r"(?P<space>[ \t\n\f\r]+)"
    r"|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
    r"|(?P<text>\"[^\"\\\r\n]*\"|'[^'\\\r\n]*')"
    r"|(?P<op>&&|\|\||[=!<>]=|[<>!()+\-*/])",
    re.ASCII,
)
_LEVELS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/"))
_BINDING = {op: level for level, ops in enumerate(_LEVELS) for op in ops}
_HINTS = {
    "=": "write == to compare",
    "&": "write && for and",
    "|": "write || for or",
    "and": "write && for and",
    "or": "write || for or",
    "not": "write ! for not",
    "%": "there is no remainder; only + - * /",
    ".": "write 1.0 or 0.5, with digits on both sides of the point",
}
_SPAN = re.compile(r"-?(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|ns))+", re.ASCII)
_PART = re.compile(r"(\d+)(?:\.(\d+))?(h|ms|m|s|us|ns)", re.ASCII)
_NANOSECONDS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_LONGEST = 366 * 86400 * 10**9  # as in the configuration; no sum of 500 characters leaves CEL's range


class RuleError(ValueError):
    """An expression cannot be used. *at* counts characters from 0; line and column count from 1."""

    def __init__(self, message: str, text: str, at: int) -> None:
        before = text[:at]
        self.message, self.at = message, at
        self.line = before.count("\n") + 1
        self.column = at - before.rfind("\n")
        super().__init__(f"line {self.line}, column {self.column}: {message}")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written. *whole* is its exact value where it was written without point or exponent."""

    value: float
    whole: int | None
    at: int


@dataclass(frozen=True, slots=True)
class Truth:
    """`true` or `false`."""

    value: bool
    at: int


@dataclass(frozen=True, slots=True)
class Span:
    """`duration("10s")`, in whole nanoseconds."""

    value: int
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """`device.quantity` or `device.age`."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`!` or `-` before one operand."""

    op: str
    of: "Node"
    at: int


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison or arithmetic between two operands; *at* is where the operator stands."""

    op: str
    left: "Node"
    right: "Node"
    at: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Two or more conditions joined by `&&`, or by `||`; *ats* is where each operator stands."""

    op: str
    parts: "tuple[Node, ...]"
    ats: tuple[int, ...]

    @property
    def at(self) -> int:
        """Where the first operator stands."""
        return self.ats[0]


Node: TypeAlias = "Number | Truth | Span | Name | Unary | Binary | Chain"


def parse(text: str) -> Node:
    """Return the tree of *text*. Raises RuleError."""
    if len(text) > LENGTH:
        message = f"an expression has at most {LENGTH} characters, this one has {len(text)}; split the rule"
        raise RuleError(message, text, LENGTH)
    parser = _Parser(text)
    tree = parser.expression(0, 0)
    parser.expect("end", "", "an operator or the end")
    return tree


def nanoseconds(text: str) -> int:
    """Return the whole nanoseconds of a CEL duration such as `1h30m` or `250ms`.

    Raises ValueError with a sentence: not a duration, finer than 1 ns, or beyond 366 days.
    """
    if _SPAN.fullmatch(text) is None:
        raise ValueError('a duration is numbers with units (h, m, s, ms, us, ns), such as "1h30m" or "10s"')
    total = 0
    for whole, fraction, unit in _PART.findall(text):
        extra, left = divmod(int(fraction or "0") * _NANOSECONDS[unit], 10 ** len(fraction))
        if left:
            raise ValueError("a duration is not finer than 1 ns")
        total += int(whole) * _NANOSECONDS[unit] + extra
    if total > _LONGEST:
        raise ValueError("a duration is at most 366 days (8784h)")
    return -total if text.startswith("-") else total


class _Parser:
    """Precedence climbing: one call per level of binding and of nesting."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.kind = self.word = ""
        self.start = self.next = 0
        self.advance()

    def advance(self) -> None:
        """Take the next token into kind, word and start."""
        self.start = self.next
        if self.start == len(self.text):
            self.kind, self.word = "end", ""
            return
        match = _TOKEN.match(self.text, self.start)
        if match is None or match.lastgroup is None:
            raise self.unexpected(self.text[self.start], "a name, a number or an operator")
        self.kind, self.word, self.next = match.lastgroup, match[0], match.end()
        if self.kind == "space":
            self.advance()

    def unexpected(self, word: str, wanted: str) -> RuleError:
        """Say what stands here instead of what was *wanted*."""
        if not word:
            return RuleError(f"the expression ends where {wanted} should follow", self.text, self.start)
        advice = _HINTS.get(word, f"expected {wanted}")
        if word[0] in "\"'":
            advice = 'a text stands only in duration("10s")'
        return RuleError(f"unexpected {_shown(word)}: {advice}", self.text, self.start)

    def expect(self, kind: str, word: str, wanted: str) -> str:
        """Pass a token of *kind* (and *word*, if given) and return it."""
        if self.kind != kind or (word and self.word != word):
            raise self.unexpected(self.word, wanted)
        found = self.word
        if kind != "end":
            self.advance()
        return found

    def expression(self, floor: int, depth: int) -> Node:
        """Parse operands joined by operators that bind at least as tightly as *floor*."""
        left = self.unary(depth)
        while self.kind == "op" and _BINDING.get(self.word, -1) >= floor:
            op, at = self.word, self.start
            self.advance()
            left = _join(op, left, self.expression(_BINDING[op] + 1, depth), at)
        return left

    def unary(self, depth: int) -> Node:
        """Parse an operand and the signs before it."""
        if depth > DEPTH:
            raise RuleError(f"nested more than {DEPTH} levels deep; split the rule", self.text, self.start)
        if self.kind != "op":
            return self.atom()
        op, at = self.word, self.start
        if op not in ("!", "-", "("):
            raise self.unexpected(op, "a value")
        self.advance()
        if op != "(":
            return Unary(op, self.unary(depth + 1), at)
        inner = self.expression(0, depth + 1)
        self.expect("op", ")", 'an operator or ")"')
        return inner

    def atom(self) -> Node:
        """Parse a literal or a name."""
        word, at = self.word, self.start
        if self.kind == "number":
            self.advance()
            return self.number(word, at)
        if self.kind != "name" or word in _HINTS:
            raise self.unexpected(word, "a value")
        self.advance()
        if word in ("true", "false"):
            return Truth(word == "true", at)
        return self.span(at) if word == "duration" else Name(word, at)

    def number(self, word: str, at: int) -> Number:
        """Return the literal *word*; infinity cannot be written."""
        value = float(word)
        if value == float("inf"):
            raise RuleError("this number is too large", self.text, at)
        return Number(value, int(word) if word.isdigit() else None, at)

    def span(self, at: int) -> Span:
        """Parse what follows the word `duration`."""
        self.expect("op", "(", '("10s")')
        inside = self.start
        text = self.expect("text", "", 'a text such as "10s"')
        self.expect("op", ")", '")"')
        try:
            return Span(nanoseconds(text[1:-1]), at)
        except ValueError as error:
            raise RuleError(str(error), self.text, inside + 1) from None


def _join(op: str, left: Node, right: Node, at: int) -> Node:
    if op not in ("&&", "||"):
        return Binary(op, left, right, at)
    if isinstance(left, Chain) and left.op == op:
        return Chain(op, (*left.parts, right), (*left.ats, at))
    return Chain(op, (left, right), (at,))


def _shown(word: str) -> str:
    return f'"{word}"' if word.isprintable() and '"' not in word else ascii(word)
