"""Decisions in plain words."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.clock import Instant, Quality
from gateway.ledger import explain
from gateway.reading import Condition, Decision, Input, Outcome, encode

AT = Instant(1_700_000_000.0, 12.0, "boot", Quality.SYNCHRONIZED)


def body(outcome, command="siren on", reasons=("rule flood fires",), at=AT, inputs=(), conditions=()):
    decision = Decision(
        at, "flood", 3, "d1", "off", command, "siren", outcome, tuple(reasons), inputs, conditions
    )
    return json.loads(encode(decision))  # as a reader of the store has it


@pytest.mark.parametrize(
    ("outcome", "command", "opening"),
    [
        (Outcome.ACTED, "siren on for 4s", "Switched siren on for 4s: "),
        (Outcome.SHADOWED, "siren on", "Would have switched siren on, but the rule is on trial"),
        (Outcome.REFUSED, "siren on", "Did not switch siren on: "),
        (Outcome.RELEASED, "siren off", "Switched siren off: "),
        (Outcome.TRIPPED, "siren off", "The guard switched siren off: "),
        (Outcome.FAILED, "siren on", "Tried to switch siren on, and failed: "),
        (Outcome.ACTED, "announce flood.warning of river", "Announced flood.warning of river: "),
        (Outcome.SHADOWED, "announce x of y", "Would have announced x of y, but the rule is on trial"),
    ],
)
def test_opens_with_what_was_done_or_not(outcome, command, opening):
    assert explain(body(outcome, command)).startswith(opening)


def test_every_outcome_has_words():
    for outcome in Outcome:
        assert not explain(body(outcome)).startswith(outcome)


def test_tells_the_whole_story():
    inputs = (
        Input("bin.fill", 85.0, 0.4),
        Input("lid.closed", None, 14.0, "last seen 14 s ago, limit 5 s"),
        Input("eye.active", True, 2.0),
    )
    conditions = (Condition("bin.fill >= 80.0", True), Condition("lid.closed", None))
    reason = "lid.closed is not known: last seen 14 s ago, limit 5 s"
    told = explain(
        body(Outcome.REFUSED, "compactor on for 4s", [reason], inputs=inputs, conditions=conditions)
    )
    assert told == (
        "Did not switch compactor on for 4s: lid.closed is not known: last seen 14 s ago, limit 5 s. "
        "That was on 2023-11-14 at 22:13:20 UTC, for rule flood, version 3. "
        "It saw bin.fill = 85 (0.4 s old), no lid.closed (last seen 14 s ago, limit 5 s), "
        "eye.active = true (2.0 s old). "
        "“bin.fill >= 80.0” was true, “lid.closed” was not known."
    )


def test_says_when_the_clock_cannot_be_trusted():
    doubtful = Instant(1_700_000_000.0, 12.0, "boot", Quality.UNSYNCHRONIZED)
    assert "UTC by a clock that is unsynchronized" in explain(body(Outcome.ACTED, at=doubtful))


def test_a_decision_that_no_rule_caused_names_none():
    told = explain({**body(Outcome.RELEASED, "siren off", ["the gateway is stopping"]), "rule": ""})
    assert "for rule" not in told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["time", "clock", "rule", "command", "outcome", "reasons", "inputs", "conditions"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
@example({"time": 10**400, "inputs": [{"name": "a", "value": 10**400, "age": 10**400}]})
def test_tells_what_it_can_of_any_body(found):
    assert isinstance(explain(found), str)


@given(
    st.lists(
        st.fixed_dictionaries({"name": JSON, "value": JSON, "age": JSON, "text": JSON, "truth": JSON}),
        max_size=3,
    )
)
def test_tells_what_it_can_of_any_input_and_condition(found):
    assert isinstance(explain({"inputs": found, "conditions": found}), str)
