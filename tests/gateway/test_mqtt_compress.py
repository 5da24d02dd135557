"""Compressed batches: the way there, the way back, and what a stranger may send in their place."""

import asyncio
import gzip
import json
import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Quantity
from gateway.clock import Now
from gateway.config import Expiry, Mqtt
from gateway.mqtt.completeness import Malformed, read_batch
from gateway.mqtt.compress import LONGEST, compressed, plain
from gateway.reading import Lane, Reading
from tests.brokers import Broker
from tests.gateway.mqtt_rig import Memory, Subscriber, running, until

BATCH = {"gateway": "g", "epoch": "0badcafe", "lane": "telemetry", "first": 7, "records": [{"n": 7}]}
TEXT = json.dumps(BATCH).encode()


@given(st.binary(max_size=2000))
def test_a_payload_comes_back_to_the_byte(payload: bytes) -> None:
    assert plain(compressed(payload)) == payload
    assert gzip.decompress(compressed(payload)) == payload


def test_a_plain_batch_stays_as_it_is() -> None:
    assert plain(TEXT) == TEXT
    assert read_batch(TEXT, "g", "telemetry") == read_batch(compressed(TEXT), "g", "telemetry")


def bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(5)), packer.flush()])


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (bomb(), "cut off, or of more than"),
        (compressed(TEXT)[:-1], "cut off"),
        (compressed(TEXT)[:12], "cut off"),
        (compressed(TEXT)[:20] + b"!" + compressed(TEXT)[21:], "damaged gzip"),
        (compressed(TEXT) + b"{}", "something behind"),
        (compressed(TEXT) * 2, "something behind"),
        (b"\x1f\x8b", "cut off"),
        (compressed(b"{"), "not JSON"),
    ],
)
def test_what_is_no_batch_is_refused_and_never_takes_the_memory(payload: bytes, why: str) -> None:
    assert len(payload) < 10_000 < LONGEST
    with pytest.raises(Malformed, match=why):
        read_batch(payload, "g", "telemetry")


def test_altered_bytes_are_refused_or_change_nothing() -> None:
    """Of a gzip header some bytes mean nothing (its time, its system); all others are checked."""
    chance, packed = random.Random(6), compressed(TEXT)
    for _ in range(500):
        altered = bytearray(packed)
        altered[chance.randrange(len(altered))] ^= 1 << chance.randrange(8)
        try:
            found = plain(bytes(altered))
        except ValueError:
            continue
        assert found == TEXT or not altered.startswith(b"\x1f\x8b")


# on a connection


@pytest.mark.broker
def test_compressed_batches_arrive_and_say_so(broker: Broker) -> None:
    async def main() -> None:
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 300, 200)
        outbox.fill(Lane.EVENTS, 5)
        with Subscriber(broker.port) as subscriber:
            settings = Mqtt(port=broker.port, compress=True, batch=50, expiry=Expiry(telemetry=3600.0))
            async with running(settings, outbox):
                await until(lambda: outbox.cursors == {Lane.TELEMETRY: 300, Lane.EVENTS: 5})
            await until(lambda: len([one for one in subscriber.messages if "/log/" in one.topic]) == 7)
            logged = [one for one in subscriber.messages if "/log/" in one.topic]
        numbers = []
        for message in logged:
            assert message.properties is not None
            assert message.properties.ContentType == "application/gzip"
            lane = message.topic.rpartition("/")[2]
            batch = read_batch(message.payload, "pole7", lane)
            assert [record["n"] for record in batch.records] == [*range(batch.first, batch.last + 1)]
            numbers += [(lane, number) for number in range(batch.first, batch.last + 1)]
            expiry = getattr(message.properties, "MessageExpiryInterval", None)
            assert expiry == (3600 if lane == "telemetry" else None)
        assert sorted(numbers) == [("events", n) for n in range(1, 6)] + [
            ("telemetry", n) for n in range(1, 301)
        ]
        assert sum(len(message.payload) for message in logged) < 300 * 200 / 10

    asyncio.run(main())


@pytest.mark.broker
def test_an_old_state_is_not_published_and_a_fresh_one_expires(broker: Broker) -> None:
    async def main() -> None:
        now = Now()

        def reading(device: str, age: float) -> Reading:
            at = now()
            return Reading(device, replace(at, mono=at.mono - age), {Quantity.TEMPERATURE: 1.0})

        with Subscriber(broker.port) as subscriber:
            settings = Mqtt(port=broker.port, expiry=Expiry(state=60.0))
            async with running(settings, Memory()) as delivery:
                for device, age in (("old", 61.0), ("older", 3600.0), ("middle", 30.0), ("fresh", 0.0)):
                    delivery.state(reading(device, age))
                await until(lambda: subscriber.last("/state/fresh") is not None)
            found = {
                one.topic.rpartition("/")[2]: one.properties.MessageExpiryInterval  # type: ignore[union-attr]
                for one in subscriber.messages
                if "/state/" in one.topic
            }
            assert found == {"middle": pytest.approx(30, abs=1), "fresh": pytest.approx(60, abs=1)}

    asyncio.run(main())
