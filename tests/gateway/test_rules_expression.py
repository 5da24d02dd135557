"""Expressions: what is refused, and where; what is unknown; when time alone may change them."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Quantity
from gateway.rules import RuleError, Type, compile, condition, vocabulary
from gateway.rules.evaluate import Crossing
from gateway.rules.syntax import nanoseconds

TYPES = vocabulary({"bin": [Quantity.FILL], "lid": [Quantity.CLOSED], "river": [Quantity.STAGE]})


def refused(text: str) -> RuleError:
    with pytest.raises(RuleError) as error:
        condition(text, TYPES)
    return error.value


def attempt(text: str) -> RuleError | None:
    try:
        compile(text, TYPES)
    except RuleError as error:
        return error
    return None


def test_vocabulary_names_every_quantity_and_age() -> None:
    assert dict(TYPES) == {
        "bin.fill": Type.NUMBER,
        "bin.age": Type.DURATION,
        "lid.closed": Type.BOOL,
        "lid.age": Type.DURATION,
        "river.stage": Type.NUMBER,
        "river.age": Type.DURATION,
    }


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "the expression ends where a value should follow"),
        ("bin.fill >= ", 13, "the expression ends where a value should follow"),
        ("bin.fill >= 80 &&", 18, "ends where a value"),
        ("(bin.fill >= 80", 16, 'ends where an operator or ")" should follow'),
        ("bin.fill >= 80)", 15, 'unexpected ")"'),
        ("bin.fill 80", 10, 'unexpected "80": expected an operator or the end'),
        ("bin.fil >= 80", 1, '"bin" has no quantity "fil"; did you mean "bin.fill"?'),
        ("bn.fill >= 80", 1, 'no device "bn"; did you mean "bin.fill"?'),
        ("lid.closed && fill > 1", 15, '"fill" is not a name: write device.quantity'),
        ("lid.closed and bin.fill > 80", 12, 'unexpected "and": write && for and'),
        ("lid.closed or bin.fill > 80", 12, "write || for or"),
        ("not lid.closed", 1, "write ! for not"),
        ("bin.fill = 80", 10, "write == to compare"),
        ("lid.closed & lid.closed", 12, "write && for and"),
        ("lid.closed | lid.closed", 12, "write || for or"),
        ("bin.fill > .5", 12, "write 1.0 or 0.5"),
        ("bin.fill % 2.0 == 0.0", 10, "there is no remainder"),
        ("lid.closed == 1", 12, "a contact is used as it is: lid.closed or !lid.closed"),
        ("10 < bin.fill < 80", 15, "write a < b && b < c"),
        ("bin.age > 10", 9, 'a duration is written duration("10s")'),
        ("bin.age + 1.0 > bin.age", 9, 'cannot apply "+" to a duration and a number'),
        ("bin.age * bin.age > bin.age", 9, '"*" needs numbers, and these are durations'),
        ("lid.closed < lid.closed", 12, '"<" needs numbers'),
        ("lid.closed + lid.closed", 12, '"+" needs numbers'),
        ("bin.fill && lid.closed", 10, '"&&" needs conditions, and on its left stands a number'),
        ("lid.closed || lid.closed || bin.fill", 26, "on its right stands a number"),
        ("!bin.fill", 1, '"!" needs true or false, and this is a number'),
        ("-lid.closed", 1, '"-" needs a number'),
        ("7 / 2 > 3", 3, "write 7.0 / 2.0"),
        ("bin.fill > 9007199254740993", 12, "too large to be exact"),
        ("9007199254740992 + 1 > 0", 18, "too large to be exact"),
        ("-9007199254740992 - 1 < 0", 19, "too large to be exact"),
        ("bin.fill > 1e999", 12, "this number is too large"),
        ('bin.fill == "full"', 13, "a text stands only in duration"),
        ('bin.age > duration("10")', 21, "a duration is numbers with units"),
        ('bin.age > duration("1d")', 21, "a duration is numbers with units"),
        ('bin.age > duration("0.5ns")', 21, "not finer than 1 ns"),
        ('bin.age > duration("8785h")', 21, "at most 366 days"),
        ("bin.age > duration(10)", 20, 'expected a text such as "10s"'),
        ("bin.age > duration", 19, '("10s")'),
        ("bin.fill", 1, "a condition is true or false, and this is a number"),
        ("in.fill > 1", 1, '"in" is a reserved word'),
        ("bin.fill > 1 // 2", 15, 'unexpected "/"'),
        ("bin.fill > 80;", 14, 'unexpected ";"'),
        ("bin.fill >\n  80 && lid.close", 9, '"lid" has no quantity "close"'),
        ("bin.fıll > 80", 6, "unexpected"),
        ("\x1b[31m", 1, r"unexpected '\x1b'"),
    ],
)
def test_an_error_says_where_and_what_to_do(text: str, column: int, message: str) -> None:
    error = refused(text)
    assert message in error.message
    assert error.column == column
    assert error.line == 1 + ("\n" in text)
    assert str(error) == f"line {error.line}, column {column}: {error.message}"


def test_a_line_of_500_characters_passes_and_501_do_not() -> None:
    padded = "lid.closed" + " " * 490
    assert condition(padded, TYPES).type is Type.BOOL
    assert refused(padded + " ").column == 501


@pytest.mark.parametrize(
    "nested",
    [
        lambda n: "(" * n + "lid.closed" + ")" * n,
        lambda n: "!" * n + "lid.closed",
        lambda n: "1" + "+1" * n + " > 0",
        lambda n: "-" * n + "bin.fill > 0",
    ],
)
def test_nesting_is_bounded(nested: object) -> None:
    assert callable(nested)
    assert condition(nested(39), TYPES).type is Type.BOOL
    assert "nested more than 40 levels" in refused(nested(42)).message
    assert "nested more than 40 levels" in refused(nested(240)).message


def test_a_long_list_of_conditions_is_not_nested() -> None:
    assert condition(" && ".join(["lid.closed"] * 35), TYPES).evaluate({"lid.closed": True}.get) is True


def test_names_come_once_in_order_of_appearance() -> None:
    expression = condition("river.stage > bin.fill && lid.closed || bin.fill > 1", TYPES)
    assert expression.names == ("river.stage", "bin.fill", "lid.closed")


TRUTHS = {"T": True, "F": False, "U": None}


@pytest.mark.parametrize("op", ["&&", "||"])
@pytest.mark.parametrize("a", "TFU")
@pytest.mark.parametrize("b", "TFU")
def test_unknown_is_kleenes(op: str, a: str, b: str) -> None:
    types = {"a.on": Type.BOOL, "b.on": Type.BOOL}
    values = {"a.on": TRUTHS[a], "b.on": TRUTHS[b]}
    order = "FUT" if op == "&&" else "TUF"
    expected = TRUTHS[min(a, b, key=order.index)]
    assert condition(f"a.on {op} b.on", types).evaluate(values.get) is expected
    assert condition("!a.on", types).evaluate(values.get) is {"T": False, "F": True, "U": None}[a]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1h30m", 5400 * 10**9), ("1.5s", 15 * 10**8), ("-3ms", -3 * 10**6), ("17us4ns", 17004), ("0s", 0)],
)
def test_durations_are_exact_nanoseconds(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected


@pytest.mark.parametrize("text", ["", "10", "s", "1 s", "+1s", "1.s", ".5s", "1e3s", "１s", "1s\n"])
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError):
        nanoseconds(text)


@given(st.text(max_size=600))
def test_any_text_is_an_expression_or_refused_with_its_place(text: str) -> None:
    error = attempt(text)
    if error is not None:
        assert 0 <= error.at <= min(len(text), 500)
        assert error.line >= 1
        assert error.column >= 1
        assert error.message.isprintable()


@given(st.lists(st.sampled_from([*"()!-+*/<>", "&&", "||", "==", "1", "2.5", "bin.fill", "lid.closed"])))
def test_any_row_of_tokens_is_an_expression_or_refused(tokens: list[str]) -> None:
    try:
        expression = compile(" ".join(tokens), TYPES)
    except RuleError:
        return
    assert expression.evaluate({"bin.fill": math.nan, "lid.closed": True}.get) is not None


SPAN = 'duration("{}s")'


@given(
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(-60, 60),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.sampled_from(
        ["bin.age {} {c}", "{c} {} bin.age", "bin.age - lid.age + bin.age {} {c}", "bin.age {} lid.age"]
    ),
)
def test_a_comparison_of_ages_changes_exactly_when_it_says(
    bin_: int, lid: int, limit: int, op: str, form: str
) -> None:
    """Seen on a clock of whole units, its truth is constant up to each moment that `after` tells."""
    text = form.format(op, c=SPAN.format(limit))
    expression = condition(text, TYPES)
    unit = 10**9
    seen = {"bin.age": bin_ * unit, "lid.age": lid * unit}

    def truth(now: int) -> object:
        return expression.evaluate({name: now - since for name, since in seen.items()}.get)

    (crossing,) = expression.crossings
    now = max(bin_, lid) * unit
    told = []
    while (moment := crossing.after(now, seen.get)) is not None:
        assert moment > now
        told.append(moment)
        now = moment
    start = max(bin_, lid) * unit
    ticks = sorted({start + i * unit + j for i in range(130) for j in (0, 1)})
    for before, after in pairwise(ticks):
        if truth(before) != truth(after):
            assert any(before < moment <= after for moment in told), (text, before, after)


def test_a_crossing_of_what_was_never_seen_or_does_not_move_is_never() -> None:
    assert Crossing(0, {"bin.age": 1}).after(0, {}.get) is None
    assert Crossing(-5, {"bin.age": 1, "lid.age": -1}).after(0, {"bin.age": 1, "lid.age": 2}.get) is None
    assert Crossing(-5, {"bin.age": 1}).after(10, {"bin.age": 3}.get) is None
