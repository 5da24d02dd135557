"""Following gateways at a broker: their records, whether they are complete, and their live state."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiomqtt

from gateway.config import Mqtt
from gateway.mqtt import security
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.completeness import Completeness, Malformed, read_batch, read_object
from gateway.mqtt.holes import printable
from gateway.mqtt.topics import filters, parse

QUEUE = 10_000
"""Most messages that wait for a slow reader; what comes beyond it is lost, and reported as missing."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of a gateway's log. *again*: its number had been seen before."""

    gateway: str
    epoch: str
    lane: str
    seq: int
    body: Mapping[str, Any]
    again: bool


@dataclass(frozen=True, slots=True)
class Live:
    """What a gateway says now: `state/<device>`, `status` or `meta`. *retained*: it was said earlier."""

    gateway: str
    face: str
    body: Mapping[str, Any]
    retained: bool


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about what is followed: a hole, a connection, a payload that was refused."""

    text: str


Item: TypeAlias = Logged | Live | Note


class Follower:
    """Turns messages into items, and counts. Pure; no payload, however strange, makes it raise."""

    def __init__(self, prefix: str) -> None:
        self.completeness = Completeness()
        self.refused = 0
        self._prefix = prefix

    def take(self, topic: str, payload: bytes, retained: bool) -> Iterator[Item]:
        """Yield what one message says."""
        where = parse(self._prefix, topic)
        try:
            if where is None:
                raise Malformed("no gateway publishes on its topic")
            if where.face == "log":
                yield from self._log(payload, where.gateway, where.name)
            else:
                face = f"{where.face}/{where.name}" if where.name else where.face
                yield Live(where.gateway, face, read_object(payload), retained)
        except Malformed as error:
            self.refused += 1
            yield Note(f"a message on {topic} was refused: {error}")

    def _log(self, payload: bytes, gateway: str, lane: str) -> Iterator[Item]:
        batch = read_batch(payload, gateway, lane)
        again, news = self.completeness.take(batch)
        for seq, body in enumerate(batch.records, batch.first):
            yield Logged(gateway, batch.numbering.epoch, lane, seq, body, seq in again)
        yield from map(Note, news)


async def watch(
    settings: Mqtt, gateway: str | None = None, follower: Follower | None = None
) -> AsyncGenerator[Item, None]:
    """Follow *gateway*, or all of them (None), through every loss of the connection, until it is closed.

    *follower* keeps the counts, for a caller that wants to print them at the end. Raises ConfigError
    when the password would cross a network in plain text, unasked for.
    """
    security.refuse_plaintext(settings)
    follower, backoff = follower or Follower(settings.prefix), Backoff(high=8.0)
    while True:
        try:
            async with _client(settings) as client:
                for topic in filters(settings.prefix, gateway):
                    await client.subscribe(topic, qos=1)
                yield Note(f"following {gateway or 'all gateways'} at {settings.host}")
                backoff.reset()
                async for message in client.messages:
                    for item in follower.take(message.topic.value, _bytes(message.payload), message.retain):
                        yield item
        except (aiomqtt.MqttError, OSError) as error:
            yield Note(f"no connection to {settings.host}: {error}")
        await asyncio.sleep(backoff.pause())


def describe(item: Item) -> str:
    """Return *item* on one line, safe to print: what a stranger published cannot steer a terminal."""
    match item:
        case Note(text):
            line = text
        case Live(gateway, face, body):
            line = f"{gateway} {face} {_summary(body)}"
        case Logged(gateway, _, lane, seq, body, again):
            line = f"{gateway} {lane} {seq} {_summary(body)}" + (" (again)" if again else "")
    return printable(line)


def _summary(body: Mapping[str, Any]) -> str:
    match body:
        case {"kind": "reading", "device": device, "values": dict(values), **rest}:
            missing = rest.get("missing")
            lacking = missing if isinstance(missing, dict) else {}
            return " ".join([str(device), *_pairs(values), *(f"{q}=?{why}" for q, why in lacking.items())])
        case {"kind": "event", "type": kind, "subject": subject}:
            return f"{kind} of {subject} {_text(body.get('data'))}"
        case {"kind": "decision", "command": command, "outcome": outcome, "rule": rule}:
            return f"{rule}: {command}, {outcome} {_text(body.get('reasons'))}"
        case {"kind": "gap", "lane": lane, "first": first, "last": last}:
            return f"gap in {lane}: {first} to {last}, {body.get('reason')}"
    return _text(body)


def _pairs(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield f"{name}={value:g}" if type(value) is float else f"{name}={value}"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _bytes(payload: object) -> bytes:
    return payload if isinstance(payload, bytes) else str(payload).encode()


def _client(settings: Mqtt) -> aiomqtt.Client:
    """Return a client for one connection. Raises security.Unusable."""
    tls = None
    if settings.tls is not None:
        tls = security.context()
        security.load(tls, settings.tls)
    return aiomqtt.Client(
        settings.host,
        security.port(settings),
        protocol=aiomqtt.ProtocolVersion.V5 if settings.protocol == "5" else aiomqtt.ProtocolVersion.V311,
        username=settings.username,
        password=security.password(settings) if settings.username else None,
        keepalive=round(settings.keepalive),
        max_queued_incoming_messages=QUEUE,
        tls_context=tls,
    )
