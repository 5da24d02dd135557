"""The chain of records."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Instant, Quality
from gateway.ledger import tree
from gateway.ledger.chain import GENESIS, Head, bare, is_bare, leaf_of, link
from gateway.reading import Condition, Decision, Input, Outcome

AT = Instant(1_700_000_000.25, 12.0, "boot", Quality.SYNCHRONIZED)
INPUTS = (Input("bin.fill", 85.0, 0.4), Input("lid.closed", None, 14.1, "last seen 14 s ago"))
DECISION = Decision(
    *(AT, "press", 1, "d1", "off", "compactor on for 4s", "compactor", Outcome.REFUSED, ("lid is “open”",)),
    *(INPUTS, (Condition("bin.fill >= 80.0", True),), "b7a6"),
)


def test_the_worked_example() -> None:
    """The bytes that docs/ledger.md shows, so that another program can be tried against them."""
    first, head = Head().link({"kind": "decision", "outcome": "acted", "age": 85.0})
    assert first.text == f'{{"age":85,"kind":"decision","outcome":"acted","prev":"{"0" * 64}","seq":1}}'
    assert first.leaf == hashlib.sha256(b"\x00" + first.text.encode()).digest()
    second, head = head.link({"kind": "decision", "outcome": "é"})
    assert second.text == f'{{"kind":"decision","outcome":"é","prev":"{first.leaf.hex()}","seq":2}}'
    assert head.root == hashlib.sha256(b"\x01" + first.leaf + second.leaf).digest()


def test_a_decision_has_one_hash_whether_fresh_or_read_back() -> None:
    made, _ = Head().link(DECISION.body())
    for text in (made.text, json.dumps(made.body, indent=2), json.dumps(made.body, ensure_ascii=False)):
        assert leaf_of(json.loads(text)) == made.leaf


def test_what_stays_without_its_body_has_the_same_hash() -> None:
    made, _ = Head().link(DECISION.body())
    left = json.loads(json.dumps(bare(1, made.leaf)))
    assert is_bare(left)
    assert leaf_of(left) == made.leaf
    assert not is_bare(made.body)


def test_a_head_that_is_not_kept_has_changed_nothing() -> None:
    _, head = Head().link({"a": 1})
    kept = head.state()
    lost, _ = head.link({"a": 2})
    assert head.state() == kept
    again, _ = head.link({"a": 3})
    assert (again.seq, again.body["prev"]) == (lost.seq, lost.body["prev"])


@given(st.lists(st.dictionaries(st.text(max_size=2), st.integers(0, 9) | st.text(max_size=3)), max_size=20))
def test_a_head_is_the_same_saved_made_anew_or_carried_on(bodies: list[dict[str, object]]) -> None:
    head, links = Head(), []
    for body in bodies:
        made, head = head.link(body)
        links.append(made)
    assert (
        Head.restore(json.loads(json.dumps(head.state()))) == head == Head.over(each.leaf for each in links)
    )
    assert head.size == len(bodies)
    assert head.root == tree.root(each.leaf for each in links)
    previous = GENESIS
    for number, each in enumerate(links, 1):
        assert (each.seq, each.body["seq"], each.body["prev"]) == (number, number, previous.hex())
        previous = each.leaf


@pytest.mark.parametrize("body", [{"seq": 1}, {"prev": ""}, {"a": float("nan")}, {"a": "\ud800"}, {"a": {1}}])
def test_a_body_that_cannot_be_linked_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        link(GENESIS, 1, body)


def test_a_state_whose_parts_do_not_belong_together_is_refused() -> None:
    _, one = Head().link({})
    for state in (
        {**one.state(), "last": "0" * 64},
        {**Head().state(), "last": "1" * 64},
        {"size": 0, "nodes": []},
    ):
        with pytest.raises(ValueError):
            Head.restore(state)


def test_a_state_is_small_however_long_the_ledger() -> None:
    longest = {"size": 2**64 - 1, "nodes": ["0" * 64] * 64, "last": "0" * 64}
    assert len(json.dumps(Head.restore(longest).state())) < 5000
