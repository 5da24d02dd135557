"""Topics, batches and pauses: the small pure parts of the delivery."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.backoff import Backoff
from gateway.mqtt.batch import Envelope
from gateway.mqtt.topics import Address, Topics, filters, parse
from gateway.reading import Lane
from tests.gateway.mqtt_rig import Run


def test_payload_splices_the_stored_text_unchanged() -> None:
    bodies = ['{"a": 1.10}', '{"b":"µ\\u00b5"}']
    envelope = Envelope('odd "name"', "0badcafe", Lane.EVENTS)
    payload = envelope.seal(Run(41, 42, ",".join(bodies).encode()))
    assert all(body.encode() in payload for body in bodies)
    assert json.loads(payload) == {
        "gateway": 'odd "name"',
        "epoch": "0badcafe",
        "lane": "events",
        "first": 41,
        "records": [{"a": 1.1}, {"b": "µµ"}],
    }


def test_what_an_envelope_adds_is_known_beforehand() -> None:
    envelope = Envelope("g", "0badcafe", Lane.TELEMETRY)
    assert len(envelope.seal(Run(1 << 53, 1 << 53, b""))) == envelope.size
    assert len(envelope.seal(Run(1, 1, b""))) < envelope.size


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
