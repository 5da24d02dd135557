"""Orders from outside: every one is hostile until it has been read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.orders import LARGEST, Malformed, ends, parse
from gateway.reading import Order, OrderKind

GOOD = {
    "id": "order-0001",
    "order": "override",
    "target": "siren",
    "value": "off",
    "until": 1795380000,
    "reason": "the test is over",
    "not_after": 1795374960,
}


def said(**changes: Any) -> bytes:
    shape = {**GOOD, **changes}
    return json.dumps({key: value for key, value in shape.items() if value is not ...}).encode()


def test_a_good_order_is_read_whole() -> None:
    assert parse(said(), "ann", "mqtt") == Order(
        "order-0001",
        OrderKind.OVERRIDE,
        "siren",
        "ann",
        "the test is over",
        1795374960.0,
        "mqtt",
        "off",
        1795380000.0,
    )


@pytest.mark.parametrize(
    ("value", "ends_"),
    [("7..9", (7, 9)), ("@1.5..9", (1.5, 9)), ("1..@1795374907", (1, 1795374907.0))],
)
def test_a_replay_has_a_range(value: str, ends_: tuple[float, float]) -> None:
    order = parse(said(order="replay", target="telemetry", value=value, until=...), "ann", "mqtt")
    assert ends(str(order.value)) == ends_
    assert list(map(type, ends(str(order.value)))) == list(map(type, ends_))


@pytest.mark.parametrize(
    "value", [..., 7, "7", "7..", "-1..9", "1.5..9", "7..9..11", "١..٢", "1..@1e9", "9" * 40]
)
def test_what_is_no_range_is_refused(value: Any) -> None:
    with pytest.raises(Malformed, match="range"):
        parse(said(order="replay", target="telemetry", value=value, until=...), "ann", "mqtt")


@pytest.mark.parametrize("kind", ["approve", "veto", "release", "reset", "compact", "unshelve"])
def test_what_needs_no_value_and_no_time_has_none(kind: str) -> None:
    assert parse(said(order=kind, value=..., until=...), "ann", "http").kind == kind
    for extra in ({"value": "on", "until": ...}, {"value": ...}):
        with pytest.raises(Malformed, match=kind):
            parse(said(order=kind, **extra), "ann", "http")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": ...}, '"id" is missing'),
        ({"id": "short"}, '"id"'),
        ({"id": 12345678}, '"id"'),
        ({"order": "overide"}, 'did you mean "override"'),
        ({"order": None}, '"order" says what'),
        ({"order": ["override"]}, '"order" says what'),
        ({"target": "../siren"}, '"target"'),
        ({"target": ""}, '"target"'),
        ({"value": "maybe"}, "on or off"),
        ({"value": ["on"]}, "on or off"),
        ({"until": ...}, 'say "until"'),
        ({"until": True}, '"until" is a time'),
        ({"not_after": ...}, '"not_after" is a time'),
        ({"not_after": "soon"}, '"not_after" is a time'),
        ({"not_after": 1e300}, '"not_after" is a time'),
        ({"not_after": -5}, '"not_after" is a time'),
        ({"reason": ...}, "say why"),
        ({"reason": "  "}, "say why"),
        ({"reason": "a\nb"}, "one line"),
        ({"reason": "x" * 501}, "one line"),
        ({"issuer": "boss"}, "no key 'issuer'"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Malformed, match=words):
        parse(said(**changes), "ann", "mqtt")


def test_the_answer_can_name_an_order_that_was_read_so_far() -> None:
    with pytest.raises(Malformed) as caught:
        parse(said(reason=""), "ann", "mqtt")
    assert caught.value.id == "order-0001"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b'"override"',
        b"\xff\xfe",
        b"[" * 2000,
        said()[:-1] + b',"target":"pump"}',
        said(not_after=float("nan")),
        b" " * (LARGEST + 1),
    ],
)
def test_what_is_no_order_is_refused(payload: bytes) -> None:
    with pytest.raises(Malformed):
        parse(payload, "ann", "mqtt")


@pytest.mark.parametrize("issuer", ["", "a b", "a/b", "+", "#", "x" * 65, "-a", "é"])
def test_an_issuer_has_a_name_that_is_one(issuer: str) -> None:
    with pytest.raises(Malformed, match="called"):
        parse(said(), issuer, "mqtt")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.binary(max_size=200) | st.dictionaries(st.sampled_from(list(GOOD)), ANYTHING).map(lambda d: said(**d))
)
def test_whatever_comes_is_an_order_or_malformed(payload: bytes) -> None:
    try:
        order = parse(payload, "ann", "mqtt")
    except Malformed:
        return
    else:
        assert order.reason
        assert order.reason.isprintable()
        assert 0.0 < order.not_after < 1e11
