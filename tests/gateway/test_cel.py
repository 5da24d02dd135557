"""Whatever Google's own CEL evaluator accepts and ours accepts has the same value, unknowns included.

A name that is absent is an error to Google's evaluator and unknown to ours; its && and || absorb errors
exactly as Kleene's absorb the unknown.
"""

import math
import os
import random
import re
from datetime import timedelta

import pytest
from cel_expr_python import cel

from gateway.rules import RuleError, Type, compile

NUMBERS = ("bin.fill", "air.temperature", "river.stage")
TRUTHS = ("lid.closed", "door.closed", "siren.on")
AGES = ("bin.age", "lid.age")
TYPES = dict.fromkeys(NUMBERS, Type.NUMBER)
TYPES |= dict.fromkeys(TRUTHS, Type.BOOL)
TYPES |= dict.fromkeys(AGES, Type.DURATION)
GOOGLE = {Type.NUMBER: cel.Type.DOUBLE, Type.BOOL: cel.Type.BOOL, Type.DURATION: cel.Type.DURATION}
ODD = (0.0, -0.0, 80.0, 1.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.1)
UNKNOWN = "unknown"
TOKENS = re.compile(r"duration\([^)]*\)|[\w.]+|&&|\|\||[=!<>]=|\S|\s+")


@pytest.fixture(scope="module")
def env() -> cel.Env:
    return cel.NewEnv(variables={name: GOOGLE[type_] for name, type_ in TYPES.items()})


@pytest.fixture
def dice() -> random.Random:
    """A seeded source of chance; LAMPPOST_SEED repeats a run. The seed is printed when a test fails."""
    seed = int(os.environ.get("LAMPPOST_SEED", "20310"))
    print(f"LAMPPOST_SEED={seed}")
    return random.Random(seed)


def number(dice: random.Random, depth: int) -> str:
    choice = dice.random()
    if depth <= 0 or choice < 0.35:
        literal = dice.choice((f"{dice.uniform(0, 99):.1f}", "0.0", "1e308", "2.5E-3", "80.0"))
        return dice.choice((*NUMBERS, literal))
    if choice < 0.8:
        text = f"{number(dice, depth - 1)} {dice.choice('+-*/')} {number(dice, depth - 1)}"
        return f"({text})" if dice.random() < 0.5 else text
    return f"-{number(dice, 0)}" if choice < 0.9 else f"-({number(dice, depth - 1)})"


def whole(dice: random.Random, depth: int) -> str:
    if depth <= 0 or dice.random() < 0.4:
        return str(dice.choice((0, 1, 7, 80, 2**31, 2**53, dice.randrange(10**6))))
    return f"({whole(dice, depth - 1)} {dice.choice('+-*')} {whole(dice, depth - 1)})"


def span(dice: random.Random, depth: int) -> str:
    if depth <= 0 or dice.random() < 0.6:
        amount = dice.choice(("10s", "1.5h", "250ms", "-3s", "0s", "1h30m", "17us", "1ns", "0.001s", "8784h"))
        return dice.choice((*AGES, f'duration("{amount}")', f"duration( '{amount}' )"))
    return f"({span(dice, depth - 1)} {dice.choice('+-')} {span(dice, depth - 1)})"


def compared(dice: random.Random, depth: int) -> str:
    operand = dice.choice((number, number, number, whole, span))
    op = dice.choice(("<", "<=", ">", ">=", "==", "!="))
    return f"{operand(dice, depth)} {op} {operand(dice, depth)}"


def truth(dice: random.Random, depth: int) -> str:
    choice = dice.random()
    if depth <= 0 or choice < 0.15:
        return dice.choice((*TRUTHS, *TRUTHS, "true", "false"))
    if choice < 0.5:
        return compared(dice, depth - 1)
    if choice < 0.9:
        ops = dice.choice(("&&", "||", "&&", "||", "==", "!="))
        left, right = truth(dice, depth - 1), truth(dice, depth - 1)
        if ops in ("==", "!="):
            return f"(({left}) {ops} ({right}))"
        return f"({left} {ops} {right})" if dice.random() < 0.5 else f"{left} {ops} {right}"
    return f"!({truth(dice, depth - 1)})"


def world(dice: random.Random) -> dict[str, float | bool | timedelta]:
    """Values for some of the names; about a quarter are absent."""
    values: dict[str, float | bool | timedelta] = {}
    values |= {n: dice.choice((*ODD, dice.uniform(-50, 150))) for n in NUMBERS}
    values |= {n: dice.random() < 0.5 for n in TRUTHS}
    values |= {n: dice.choice((timedelta(seconds=10), timedelta(0), timedelta(days=366))) for n in AGES}
    return {name: value for name, value in values.items() if dice.random() < 0.75}


def googles(expression: cel.Expression, values: dict[str, float | bool | timedelta]) -> object:
    result = expression.eval(data=values)
    if result.type() != cel.Type.ERROR:
        return result.value()
    assert "No value with name" in str(result), str(result)
    return UNKNOWN


def ours(text: str, values: dict[str, float | bool | timedelta]) -> object:
    """Return our value; a duration [ns] as a timedelta, as Google's evaluator returns it."""

    def lookup(name: str) -> float | bool | None:
        value = values.get(name)
        return value // timedelta(microseconds=1) * 1000 if isinstance(value, timedelta) else value

    expression = compile(text, TYPES)
    value = expression.evaluate(lookup)
    if value is not None and expression.type is Type.DURATION:
        return timedelta(microseconds=int(math.copysign(abs(value) // 1000, value)))
    return UNKNOWN if value is None else value


def refused(text: str) -> RuleError | None:
    try:
        compile(text, TYPES)
    except RuleError as error:
        return error
    return None


def same(a: object, b: object) -> bool:
    """Equal in value and kind (bool or number), sign of zero and NaN included; whole numbers as doubles."""
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(a, int | float):
        return a is b or (type(a) is type(b) and a == b)
    if not isinstance(b, int | float):
        return False
    a, b = float(a), float(b)
    return (math.isnan(a) and math.isnan(b)) or (a == b and (a != 0 or str(a) == str(b)))


@pytest.mark.parametrize("wanted", [2_500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_random_expressions_have_the_value_that_google_gives(
    env: cel.Env, dice: random.Random, wanted: int
) -> None:
    """With absent names, NaN, infinities, whole numbers and durations."""
    counts = {True: 0, False: 0, UNKNOWN: 0, "number": 0}
    for _ in range(wanted + wanted // 20):
        make = truth if dice.random() < 0.9 else number
        text, values = make(dice, dice.randint(1, 5)), world(dice)
        if len(text) > 500:
            continue
        if (refusal := refused(text)) is not None:
            assert "too large to be exact" in refusal.message, f"{text}: {refusal}"
            continue
        mine = ours(text, values)
        theirs = googles(env.compile(text), values)
        assert same(theirs, mine), f"{text} with {values}: Google says {theirs}, we say {mine}"
        kind = mine if mine is UNKNOWN or isinstance(mine, bool) else "number"
        counts[kind] += 1
    assert sum(counts.values()) >= wanted, counts
    assert min(counts.values()) > wanted / 20, f"one kind of result is hardly tested: {counts}"


def test_what_both_accept_of_mangled_expressions_is_the_same(env: cel.Env, dice: random.Random) -> None:
    """Tokens are dropped, doubled, swapped and glued: the grammars may differ only in what they refuse."""
    both = 0
    for _ in range(4_000):
        tokens = TOKENS.findall(truth(dice, dice.randint(1, 3)))
        for _ in range(dice.randint(1, 2)):
            i, j = dice.randrange(len(tokens)), dice.randrange(len(tokens))
            edit = dice.randrange(3)
            tokens[i : i + 1] = ([], [tokens[i], tokens[i]], [tokens[j]])[edit]
            tokens = tokens or ["true"]
        text, values = "".join(tokens), world(dice)
        try:
            mine = ours(text, values)
            theirs = googles(env.compile(text), values)
        except (RuleError, RuntimeError, ValueError):
            continue
        assert same(theirs, mine), f"{text} with {values}: Google says {theirs}, we say {mine}"
        both += 1
    assert both > 300, both


@pytest.mark.parametrize(
    "text",
    [
        "1.0 / 0.0",
        "-1.0 / 0.0",
        "1.0 / -0.0",
        "0.0 / 0.0",
        "1e308 * 10.0",
        "-0.0",
        "--1.0",
        "0.1 + 0.2 == 0.3",
        "1 + 1 == 2",
        "007 == 7",
        "-(3) < 2",
        "-9007199254740992 + 1 < 0",
        "0.0 / 0.0 == 0.0 / 0.0",
        "0.0 / 0.0 != 0.0 / 0.0",
        "true || 0.0 / 0.0 > 1.0 && false",
        "true != false == true",
        'duration("0.1s") + duration("0.2s") == duration("0.3s")',
        'duration("1m1h") == duration("61m")',
        'duration("-1.5h") < duration("0s")',
        'duration("1.000000001s") > duration("1s")',
        "bin.fill > 1.0 || true",
        "false && bin.fill > 1.0",
        "bin.fill > 1.0 && true",
        "!(bin.fill > 1.0)",
        "bin.age - bin.age == lid.age",
        "8.0 / 4.0 / 2.0 == 1.0",
        "8.0 - 4.0 - 2.0 == 2.0",
        "1.0 + 2.0 * 3.0 == 7.0",
        "\ttrue\n&&\r\n\ftrue",
    ],
)
def test_known_cases(env: cel.Env, text: str) -> None:
    assert same(googles(env.compile(text), {}), ours(text, {})), text
