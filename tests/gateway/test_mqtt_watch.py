"""Following: what arrives is told, what is strange is refused, and a line never steers the terminal."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Now
from gateway.config import ConfigError, Mqtt
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.watch import Follower, Item, Live, Logged, Note, describe, watch
from gateway.reading import Lane, Reading
from tests.brokers import Broker
from tests.gateway.mqtt_rig import Memory, running, until

HEAD = {"gateway": "pole7", "epoch": "0badcafe", "lane": "telemetry", "first": 1}


def log(records: list[Any], **change: Any) -> bytes:
    return json.dumps({**HEAD, "records": records, **change}).encode()


def take(topic: str, payload: bytes) -> list[Item]:
    return list(Follower("lamppost").take(topic, payload, False))


def test_a_batch_becomes_its_records() -> None:
    follower = Follower("lamppost")
    payload = log([{"a": 1}, {"a": 2}])
    assert list(follower.take("lamppost/pole7/log/telemetry", payload, False)) == [
        Logged("pole7", "0badcafe", "telemetry", 1, {"a": 1}, False),
        Logged("pole7", "0badcafe", "telemetry", 2, {"a": 2}, False),
    ]
    again = list(follower.take("lamppost/pole7/log/telemetry", payload, False))
    assert all(isinstance(item, Logged) and item.again for item in again)
    assert (follower.completeness.records, follower.completeness.duplicates, follower.refused) == (4, 2, 0)


def test_the_live_face_is_told_with_its_topic() -> None:
    assert take("lamppost/pole7/state/bin", b'{"a":1}') == [Live("pole7", "state/bin", {"a": 1}, False)]
    assert take("lamppost/pole7/status", b"{}") == [Live("pole7", "status", {}, False)]


def test_a_forged_batch_is_refused_and_counted() -> None:
    follower = Follower("lamppost")
    (note,) = follower.take("lamppost/pole8/log/telemetry", log([{}]), False)
    assert isinstance(note, Note)
    assert "another gateway" in note.text
    assert follower.refused == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
FIELDS = "device values missing type subject data command outcome rule reasons lane first last reason"
kinds = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["reading", "event", "decision", "gap"]) | anything,
        **dict.fromkeys(FIELDS.split(), anything),
    },
)
topics = st.sampled_from(["log/telemetry", "log/events", "state/bin", "status", "meta", "x"]) | st.text()


@given(topics, st.binary(max_size=200) | anything.map(lambda x: json.dumps(x).encode()))
def test_no_payload_makes_it_raise(topic: str, payload: bytes) -> None:
    for item in take(f"lamppost/pole7/{topic}", payload):
        assert describe(item).isprintable()


@given(st.lists(kinds, min_size=1, max_size=3), st.integers() | anything)
def test_no_record_makes_it_raise(records: list[Any], first: Any) -> None:
    for item in take("lamppost/pole7/log/telemetry", log(records, first=first)):
        line = describe(item)
        assert line.isprintable()
        assert len(line) <= 400


def test_a_line_says_what_matters() -> None:
    def line(body: dict[str, Any]) -> str:
        return describe(Logged("pole7", "0badcafe", "telemetry", 7, body, False))

    reading = {"kind": "reading", "device": "air", "values": {"pm10": 21.5}, "missing": {"no2": "fault"}}
    assert line(reading) == "pole7 telemetry 7 air pm10=21.5 no2=?fault"
    event = {"kind": "event", "type": "lamppost.flood", "subject": "river", "data": {"stage": 2}}
    assert line(event) == 'pole7 telemetry 7 lamppost.flood of river {"stage": 2}'
    gap = {"kind": "gap", "lane": "telemetry", "first": 3, "last": 5, "reason": "full"}
    assert line(gap) == "pole7 telemetry 7 gap in telemetry: 3 to 5, full"
    decision = {"kind": "decision", "rule": "r", "command": "siren on", "outcome": "acted", "reasons": ["x"]}
    assert line(decision) == 'pole7 telemetry 7 r: siren on, acted ["x"]'
    assert "\x1b" not in line({"kind": "reading", "device": "\x1b[2J", "values": {}})


@pytest.mark.broker
def test_following_survives_the_broker(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "pause", lambda self, high=None: 0.05)

    async def main() -> None:
        follower, items = Follower("lamppost"), list[Item]()
        mqtt = Mqtt(port=broker.port, batch=10)

        async def follow() -> None:
            async with aclosing(watch(mqtt, None, follower)) as found:
                async for item in found:
                    items.append(item)

        def told(word: str) -> int:
            return sum(isinstance(item, Note) and word in item.text for item in items)

        task = asyncio.create_task(follow())
        await until(lambda: told("following"))
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 300)
        async with running(mqtt, outbox) as delivery:
            delivery.state(Reading("bin", Now()(), {}))
            await until(lambda: follower.completeness.records == 300)
            broker.kill()
            await until(lambda: told("no connection"))
            broker.start()
            await until(lambda: told("following") == 2)
            outbox.fill(Lane.EVENTS, 20)
            await until(lambda: follower.completeness.records >= 320)
        assert {item.face for item in items if isinstance(item, Live)} == {"state/bin", "status", "meta"}
        assert (follower.completeness.missing(), follower.refused) == ({}, 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


@pytest.mark.broker
def test_following_one_gateway_hears_no_other(broker: Broker) -> None:
    async def main() -> None:
        mqtt = Mqtt(port=broker.port)
        async with running(mqtt, Memory()), aclosing(watch(mqtt, "pole8")) as items:
            assert isinstance(await anext(items), Note)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(items)

    asyncio.run(main())


def test_a_password_does_not_cross_a_network_in_plain_text() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError):
            await anext(watch(Mqtt(host="192.0.2.1", username="x")))

    asyncio.run(main())
