"""Canonical JSON against the vectors of RFC 8785."""

import json
import struct
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical import DEPTH, canonical, digest, number, parse


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555555", "333333333.3333333"),
    ],
)
def test_numbers_as_in_appendix_b(bits: str, text: str) -> None:
    assert number(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


def test_keys_are_sorted_by_utf_16_as_in_section_3_2_3() -> None:
    keys = ["€", "\r", "\ufb33", "1", "\U0001f600", "\x80", "ö"]
    order = ["\r", "1", "\x80", "ö", "€", "\U0001f600", "\ufb33"]
    assert (
        canonical(dict.fromkeys(keys, 1))
        == "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:1" for k in order) + "}"
    )


def test_texts_are_escaped_as_in_section_3_2_2_2() -> None:
    assert canonical('€$\x0f\nA\'B"\\\\"/') == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'


def test_layout_does_not_matter_and_content_does() -> None:
    assert canonical({"b": [1, 2.0, True], "a": date(2030, 1, 2)}) == '{"a":"2030-01-02","b":[1,2,true]}'
    assert canonical(datetime(2030, 1, 2, 3, tzinfo=UTC)) == '"2030-01-02T03:00:00+00:00"'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2.0, "a": 1.0}) != digest({"a": 1, "b": 3})
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1])
def test_what_json_cannot_carry_exactly_is_refused(value: float) -> None:
    with pytest.raises(ValueError):
        canonical([value])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_reads_back_as_itself(value: float) -> None:
    assert float(number(value)) == value


def test_the_whole_example_of_section_3_2_2() -> None:
    given = r"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    assert canonical(parse(given)).encode() == bytes.fromhex(
        "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e"
        "756d62657273223a5b3333333333333333332e333333333333332c31652b3330"
        "2c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac24"
        "5c75303030665c6e4127425c225c5c5c5c5c222f227d"
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_canonical_text_reads_back_as_itself(value: object) -> None:
    text = canonical(value)
    assert canonical(parse(text)) == text
    assert canonical(parse(json.dumps(value, indent=1))) == text


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, int], random: object) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert canonical({key: value[key] for key in keys}) == canonical(value)


@pytest.mark.parametrize(
    "value",
    [{1: 2}, {"a"}, b"a", "\ud800", {"\ud800": 1}, -float("inf"), -(2**53) - 1, iter([1]), object()],
)
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)


@pytest.mark.parametrize(
    "text",
    [
        *('{"a":1,"a":1}', '{"a":[{"b":1,"b":2}]}', "[NaN]", "[-Infinity]", "[1e999]", '["\\ud800"]'),
        *("", "[1,]", "{'a':1}", "[1] 2", "[" * 100_000, f"[1{'0' * 5000}]", '{"a":1'),
    ],
)
def test_what_is_not_json_to_the_letter_is_not_read(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_a_double_that_looks_whole_reads_back_as_a_double() -> None:
    assert (
        canonical(parse("[100000000000000000, 9007199254740993]")) == "[100000000000000000,9007199254740992]"
    )


def test_depth_has_an_end_and_reaches_it() -> None:
    def nested(levels: int) -> object:
        return [nested(levels - 1)] if levels > 1 else []

    assert canonical(nested(DEPTH)) == "[" * DEPTH + "]" * DEPTH
    with pytest.raises(ValueError, match="deeply"):
        canonical(nested(DEPTH + 1))
