"""Topics, batches and pauses: the small pure parts of the delivery."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.backoff import Backoff
from gateway.mqtt.batch import Batch, pack
from gateway.mqtt.topics import Address, Topics, filters, parse
from gateway.reading import Lane
from tests.gateway.mqtt_rig import Stored


def test_payload_splices_the_stored_text_unchanged() -> None:
    bodies = ['{"a": 1.10}', '{"b":"µ\\u00b5"}']
    payload = Batch(41, 42, bodies).payload('odd "name"', "0badcafe", Lane.EVENTS)
    assert all(body.encode() in payload for body in bodies)
    assert json.loads(payload) == {
        "gateway": 'odd "name"',
        "epoch": "0badcafe",
        "lane": "events",
        "first": 41,
        "records": [{"a": 1.1}, {"b": "µµ"}],
    }


rows = st.lists(st.tuples(st.integers(1, 3), st.text("aé€", max_size=30)), max_size=60)


@given(rows, st.integers(1, 9), st.integers(1, 80))
def test_batches_are_dense_short_and_lose_nothing(steps: list[tuple[int, str]], most: int, size: int) -> None:
    seq, stored = 0, []
    for step, body in steps:
        seq += step
        stored.append(Stored(seq, body))
    batches = list(pack(stored, most, size))
    assert [
        Stored(batch.first + i, body) for batch in batches for i, body in enumerate(batch.bodies)
    ] == stored
    for batch in batches:
        assert batch.last == batch.first + len(batch.bodies) - 1
        assert len(batch.bodies) <= most
        assert len(batch.bodies) == 1 or sum(len(body.encode()) + 1 for body in batch.bodies) <= size


def test_a_batch_is_as_full_as_it_may_be() -> None:
    stored = [Stored(seq, "x" * 9) for seq in range(1, 11)]
    assert [len(batch.bodies) for batch in pack(stored, 100, 40)] == [4, 4, 2]
    assert [len(batch.bodies) for batch in pack(stored, 3, 1000)] == [3, 3, 3, 1]


def test_every_topic_can_be_read_back() -> None:
    topics = Topics("city/lamppost", "pole7")
    found = [topics.log(Lane.EVENTS), topics.state("bin"), topics.status, topics.meta]
    assert [parse("city/lamppost", topic) for topic in found] == [
        Address("pole7", "log", "events"),
        Address("pole7", "state", "bin"),
        Address("pole7", "status", ""),
        Address("pole7", "meta", ""),
    ]


@pytest.mark.parametrize(
    "topic",
    [
        *("", "city", "city/", "city//status", "city/pole7", "city/pole7/log", "city/pole7/log/"),
        *("city/a/log/b/c", "xcity/pole7/status", "city/pole7/status/x", "city/pole7/command"),
        "/city/pole7/status",
    ],
)
def test_a_strange_topic_is_nobodys(topic: str) -> None:
    assert parse("city", topic) is None


def test_filters_are_of_one_gateway_or_of_all() -> None:
    assert "lamppost/+/log/+" in filters("lamppost", None)
    assert filters("a", "b") == tuple(
        f"a/b/{each}" for each in ("log/+", "state/+", "status", "meta", "checkpoint")
    )


@given(st.floats(0, 1), st.integers(1, 60))
def test_a_pause_stays_between_its_bounds(chance: float, failures: int) -> None:
    backoff = Backoff(chance=lambda: chance)
    pauses = [backoff.pause() for _ in range(failures)]
    assert all(1.0 <= pause <= 30.0 for pause in pauses)
    assert all(now <= later for now, later in pairwise(pauses))


def test_pauses_grow_to_their_ceiling_and_begin_again() -> None:
    backoff = Backoff(chance=lambda: 1.0)
    assert [backoff.pause() for _ in range(6)] == [2, 4, 8, 16, 30, 30]
    assert backoff.pause(8.0) == 8
    backoff.reset()
    assert backoff.pause() == 2
