"""Completeness: what is missing is known, whatever order things arrive in."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import completeness
from gateway.mqtt.completeness import Completeness, Malformed, Numbering, Received, read_batch
from gateway.mqtt.holes import UNEXPLAINED, Named, explain

LANE = Numbering("pole7", "0badcafe", "telemetry")
EVENTS = Numbering("pole7", "0badcafe", "events")


def batch(first: int, last: int, numbering: Numbering = LANE) -> Received:
    return Received(numbering, first, tuple({"n": n} for n in range(first, last + 1)))


def gap(seq: int, first: int, last: int) -> Received:
    record = {"kind": "gap", "lane": "telemetry", "first": first, "last": last, "reason": "full"}
    return Received(EVENTS, seq, (record,))


def test_a_hole_is_told_once_and_when_it_heals() -> None:
    whole = Completeness()
    assert whole.take(batch(5, 9)) == (frozenset(), [])
    assert whole.take(batch(15, 19))[1] == [
        "pole7/telemetry (epoch 0badcafe): missing 10 to 14: not explained"
    ]
    assert whole.take(batch(20, 29))[1] == []
    assert whole.take(batch(11, 12))[1] == ["pole7/telemetry (epoch 0badcafe): 11 to 12 arrived late"]
    assert whole.missing() == {LANE: ((10, 10), (13, 14))}
    whole.take(batch(8, 15))
    assert whole.missing() == {}
    assert (whole.records, whole.duplicates) == (5 + 5 + 10 + 2 + 8, 5)


def test_what_was_seen_before_is_named() -> None:
    whole = Completeness()
    whole.take(batch(1, 10))
    assert whole.take(batch(8, 12))[0] == {8, 9, 10}


def test_a_gap_record_explains_a_hole_before_and_after() -> None:
    whole = Completeness()
    whole.take(batch(1, 10))
    whole.take(batch(21, 30))
    (news,) = whole.take(gap(1, 11, 20))[1]
    assert "11 to 20" in news
    assert "full" in news
    assert whole.missing() == {}
    assert [str(hole) for hole in whole.holes()[LANE]] == ["missing 11 to 20: full"]
    whole.take(gap(2, 33, 40))
    assert whole.take(batch(45, 50))[1] == [
        "pole7/telemetry (epoch 0badcafe): missing 31 to 32: not explained",
        "pole7/telemetry (epoch 0badcafe): missing 41 to 44: not explained",
    ]


def test_what_is_missing_is_cut_where_its_reason_changes() -> None:
    named = [Named(14, 16, "full"), Named(3, 12, "thinned: 12 is left"), Named(15, 20, "memory")]
    assert [str(hole) for hole in explain([(1, 5), (8, 8), (10, 18), (30, 31)], named)] == [
        "missing 1 to 2: not explained",
        "missing 3 to 5: thinned: 12 is left",
        "missing 8: thinned: 12 is left",
        "missing 10 to 12: thinned: 12 is left",
        "missing 13: not explained",
        "missing 14 to 16: full",
        "missing 17 to 18: memory",
        "missing 30 to 31: not explained",
    ]


ranges = st.tuples(st.integers(1, 40), st.integers(0, 9)).map(lambda each: (each[0], each[0] + each[1]))


@given(st.lists(ranges, max_size=8), st.lists(st.tuples(ranges, st.sampled_from("abc")), max_size=8))
def test_every_missing_number_is_explained_once_or_not_at_all(missing: list[Any], gaps: list[Any]) -> None:
    numbers = sorted({n for first, last in missing for n in range(first, last + 1)})
    apart = [(n, n) for n in numbers]
    found = [
        (n, hole.why)
        for hole in explain(apart, [Named(*span, why) for span, why in gaps])
        for n in range(hole.first, hole.last + 1)
    ]
    assert [n for n, _ in found] == numbers
    for n, why in found:
        reasons = {reason for (first, last), reason in gaps if first <= n <= last}
        assert why in (reasons or {UNEXPLAINED})


def test_a_new_epoch_begins_again() -> None:
    whole = Completeness()
    whole.take(batch(1, 10))
    assert whole.take(batch(1, 5, Numbering("pole7", "00000001", "telemetry"))) == (frozenset(), [])


@given(st.integers(0, 2**32))
def test_the_books_agree_with_a_plain_set(seed: int) -> None:
    chance, whole = random.Random(seed), Completeness()
    start = chance.randrange(1, 30)
    seen: set[int] = set()
    named: set[int] = set()
    first_seen, again = start, 0
    whole.take(batch(start, start))
    seen.add(start)
    for step in range(1, 40):
        first = chance.randrange(start, 150)
        last = first + chance.randrange(12)
        if chance.random() < 0.2:
            whole.take(gap(step, first, last))
            named |= set(range(first, last + 1))
            continue
        known = seen & set(range(first, last + 1)) | (named & set(range(first, min(last, max(seen)) + 1)))
        assert seen & set(range(first, last + 1)) <= whole.take(batch(first, last))[0] <= known
        again += len(seen & set(range(first, last + 1)))
        seen |= set(range(first, last + 1))
        lacking = {n for a, b in whole.missing().get(LANE, ()) for n in range(a, b + 1)}
        assert lacking == set(range(first_seen, max(seen))) - seen - named
    assert whole.duplicates >= again


def test_no_publisher_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness, "LANES", 50)
    whole = Completeness()
    for n in range(50):
        whole.take(batch(1, 1, Numbering(f"g{n}", "0badcafe", "telemetry")))
    with pytest.raises(Malformed, match="50"):
        whole.take(batch(1, 1))
    other = Completeness()
    for n in range(1, 1000, 2):
        other.take(batch(n, n))
        other.take(gap(n, n + 5000, n + 5000))
    assert len(other.missing()[LANE]) <= 50
    assert len(other._lanes[LANE].named) <= 50


GOOD: dict[str, Any] = {
    "gateway": "pole7",
    "epoch": "0badcafe",
    "lane": "telemetry",
    "first": 3,
    "records": [{"n": 3}],
}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"gateway": "pole8"}, "another"),
        ({"lane": "events"}, "another"),
        ({"epoch": "0BADCAFE"}, "epoch"),
        ({"epoch": 7}, "epoch"),
        ({"first": 0}, "first"),
        ({"first": True}, "first"),
        ({"first": 1.0}, "first"),
        ({"first": 1 << 60}, "first"),
        ({"records": []}, "records"),
        ({"records": {}}, "records"),
        ({"records": [1]}, "record"),
        ({"records": [{}] * 10_001}, "records"),
    ],
)
def test_a_batch_that_is_not_one_is_refused(change: dict[str, Any], word: str) -> None:
    assert read_batch(json.dumps(GOOD).encode(), "pole7", "telemetry").last == 3
    with pytest.raises(Malformed, match=word):
        read_batch(json.dumps({**GOOD, **change}).encode(), "pole7", "telemetry")


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"9" * 10_000, b'"x"', b"null"]
)
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(Malformed, match="JSON"):
        read_batch(payload, "pole7", "telemetry")
