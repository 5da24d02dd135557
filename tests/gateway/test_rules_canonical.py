"""Canonical JSON against the vectors of RFC 8785."""

import json
import struct
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.canonical import canonical, digest, number


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
