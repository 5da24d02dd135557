"""Hearing gateways without losing a message: the broker may forget one only when its taker has it for good.

This is done with paho-mqtt, not with aiomqtt: that acknowledges a message the moment it arrives, before
anybody could write it down (docs/decisions/0012-the-collector-acknowledges-last.md).
"""

import json
import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.config import Mqtt
from gateway.mqtt import security
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.completeness import Malformed, Received, read_batch, read_object
from gateway.mqtt.compress import plain
from gateway.mqtt.topics import collected, parse

SESSION = 7 * 86400
"""How long a broker keeps what comes while the collector is away [s]; brokers may have their own limit."""
INFLOW = 200
"""Messages that the broker may send ahead of the acknowledgements: as many are lost in no crash."""
GATHER = 0.05
"""How long messages are gathered for one transaction [s]."""
ANSWER = 10.0
"""How long a broker may take to answer a CONNECT [s]."""
_RECORDS, _BETWEEN = '"records":[', re.compile(r"[\s,]*")
_MALFORMED = (ValueError, LookupError, struct.error, MQTTException)


class Message(NamedTuple):
    """What arrived. *mid* is its number at the broker; 0: nobody waits for an acknowledgement."""

    topic: str
    payload: bytes
    retained: bool
    mid: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """A batch, and the text of each of its records to the letter."""

    batch: Received
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What a gateway says of itself: `status` or `meta`, as JSON text."""

    gateway: str
    face: str
    text: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """A message that is not what its topic promises, and why."""

    topic: str
    why: str
    payload: bytes


Found: TypeAlias = Records | Said | Stranger
Publish: TypeAlias = Sequence[tuple[str, bytes]]
Take: TypeAlias = Callable[[Sequence[Message]], Publish]
"""Makes messages durable, or raises; returns what is to be published once they are."""


def read(prefix: str, message: Message) -> Found:
    """Return what *message* is. Nothing that a stranger could send makes it raise."""
    topic, payload = message.topic, message.payload
    where = parse(prefix, topic)
    try:
        if where is None or where.face not in ("log", "status", "meta"):
            raise Malformed("a collector does not listen to its topic")
        if where.face == "log":
            batch = read_batch(payload, where.gateway, where.name)
            return Records(batch, _texts(payload, batch))
        if read_object(payload).get("gateway") != where.gateway:
            raise Malformed("it names another gateway than its topic")
        return Said(where.gateway, where.face, payload.decode())
    except (Malformed, UnicodeDecodeError) as error:
        return Stranger(topic, str(error), payload)


def _texts(payload: bytes, batch: Received) -> tuple[str, ...]:
    """Return each record's text as it stands in the payload: hashes are made over it. Raises Malformed."""
    text, decoder = plain(payload).decode(), json.JSONDecoder()
    at, found = text.find(_RECORDS) + len(_RECORDS), list[str]()
    try:
        for record in batch.records:
            start = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
            again, at = decoder.raw_decode(text, start)
            if again != record:
                raise ValueError
            found.append(text[start:at])
    except (ValueError, RecursionError):
        raise Malformed("its records do not stand in it one behind the other") from None
    return tuple(found)


class _Lost(Exception):
    """There is no connection; the text says why."""


class Collector:
    """Hears the logs and the words of *gateway*, or of all (None). `run` blocks until `stop`.

    *take* is given some messages at a time, in order. They are acknowledged when it has returned, so that
    what it raises, or the end of the process at any moment, makes the broker send them again. *client_id*
    is what the broker knows the session by: the same for ever, and nobody else's; *known*: the broker should.
    """

    def __init__(
        self,
        settings: Mqtt,
        gateway: str | None,
        client_id: str,
        take: Take,
        say: Callable[[str], None],
        known: bool = False,
    ) -> None:
        """Raises ConfigError when a password would cross a network in plain text, unasked for."""
        security.refuse_plaintext(settings)
        self._settings, self._take, self._say = settings, take, say
        self._topics = collected(settings.prefix, gateway)
        self._pending: list[Message] = []
        self._first = 0.0  # when the oldest of them came
        self._connected = self._stopping = False
        self._known = known
        self._lost = ""
        self._bell, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._five = settings.protocol == "5"
        self._tls = None if settings.tls is None else security.context()
        self._client = self._make(client_id)

    def stop(self) -> None:
        """Have `run` return soon: what has arrived is taken and acknowledged first. For signal handlers."""
        self._stopping = True
        self._bell.send(b"x")

    def close(self) -> None:
        """Let go of what `stop` needs, once nobody calls it any more."""
        self._bell.close()
        self._wake.close()

    def run(self, until: float = float("inf")) -> None:
        """Collect until `stop`, or the moment *until* [s, monotonic]. Raises only what *take* raises."""
        backoff = Backoff(high=8.0)
        while not self._over(until):
            try:
                self._connect()
                while not self._over(until):
                    self._exchange(
                        max(0.0, min(1.0, until - time.monotonic(), self._due() - time.monotonic()))
                    )
                    if time.monotonic() >= self._due():
                        self._keep()
                    if self._connected:
                        backoff.reset()
            except _Lost as error:
                self._say(f"no connection to {self._settings.host}: {error}")
            self._part()
            if not self._over(until):
                self._rest(min(backoff.pause(), until - time.monotonic()))

    def _over(self, until: float) -> bool:
        return self._stopping or time.monotonic() >= until

    def _make(self, client_id: str) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if self._five else False,
            protocol=paho.MQTTv5 if self._five else paho.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message, client.on_subscribe = self._on_message, self._on_subscribe
        if self._tls is not None:
            client.tls_set_context(self._tls)
        return client

    def _connect(self) -> None:
        settings = self._settings
        self._connected, self._lost = False, "the connection broke"
        keepalive = round(settings.keepalive)
        try:
            if settings.username is not None:
                self._client.username_pw_set(settings.username, security.password(settings))
            if self._tls is not None and settings.tls is not None:
                security.load(self._tls, settings.tls)
            self._client.connect(
                settings.host,
                security.port(settings),
                keepalive,
                clean_start=False if self._five else paho.MQTT_CLEAN_START_FIRST_ONLY,
                properties=_session() if self._five else None,
            )
        except (OSError, *_MALFORMED) as error:
            raise _Lost(str(error)) from error
        self._asked = time.monotonic()

    def _exchange(self, seconds: float) -> None:
        """Wait for something, at most *seconds*; read and write what there is. Raises _Lost."""
        found = self._client.socket()
        if not isinstance(found, socket.socket):
            raise _Lost(self._lost)
        if not self._connected and time.monotonic() > self._asked + ANSWER:
            raise _Lost(f"no answer from the broker within {ANSWER:g} s")
        writing = [found] if self._client.want_write() else []
        readable, writable, _ = select.select([found, self._wake], writing, [], seconds)
        try:
            if found in readable:
                self._client.loop_read()
            while isinstance(found, ssl.SSLSocket) and self._client.socket() and found.pending():
                self._client.loop_read()  # decrypted already, so `select` would not tell
            if writable:
                self._client.loop_write()
            self._client.loop_misc()
        except _MALFORMED as error:
            raise _Lost(f"the broker sent what is not MQTT 5 ({type(error).__name__}: {error})") from error

    def _due(self) -> float:
        if not self._pending:
            return float("inf")
        return 0.0 if len(self._pending) >= INFLOW // 2 else self._first + GATHER

    def _keep(self) -> None:
        """Have everything made durable that has arrived; only then may the broker forget it."""
        messages, self._pending = self._pending, []
        if not messages:
            return
        publish = self._take(messages)
        if not self._connected:  # on the next connection a number may be another message's
            return
        for message in messages:
            if message.mid:
                self._client.ack(message.mid, 1)
        for topic, payload in publish:
            self._client.publish(topic, payload, 1)

    def _part(self) -> None:
        """Take what is left, and close. A collector that ends asks the broker to keep its session."""
        if self._connected:
            self._keep()
            self._client.disconnect()
        found = self._client.socket()
        if isinstance(found, socket.socket):
            found.close()
        self._connected = False
        self._keep()

    def _rest(self, seconds: float) -> None:
        select.select([self._wake], [], [], max(0.0, seconds))

    def _on_connect(
        self, client: paho.Client, _: object, flags: paho.ConnectFlags, code: ReasonCode, __: object
    ) -> None:
        if code.is_failure:
            self._lost = f"the broker refused the connection: {code.getName()}"
            return
        self._connected = True
        if self._known and not flags.session_present:
            self._say("the broker has forgotten this collector: what came meanwhile it kept for nobody")
        self._known = True
        client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(
        self, _: paho.Client, __: object, ___: int, codes: list[ReasonCode], ____: object
    ) -> None:
        for topic, code in zip(self._topics, codes, strict=False):
            if code.is_failure:
                self._say(f"the broker refuses the subscription to {topic}: {code.getName()}")
            elif code.value < 1:
                self._say(f"the broker gives {topic} at QoS 0 only: what is lost on the way stays lost")
        if not all(code.is_failure for code in codes):
            self._say(f"collecting from {self._settings.host}")

    def _on_disconnect(self, _: paho.Client, __: object, ___: object, code: ReasonCode, ____: object) -> None:
        if self._connected and code.is_failure:
            self._lost = "the connection broke" if code.value == 0x80 else code.getName()
        self._connected = False

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        if not self._pending:
            self._first = time.monotonic()
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "?"
        mid = message.mid if message.qos else 0
        self._pending.append(Message(topic, bytes(message.payload), message.retain, mid))


def _session() -> Properties:
    """Return what MQTT 5 says of the session; before it, a broker remembers as long as it likes."""
    made = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    made.SessionExpiryInterval = SESSION
    made.ReceiveMaximum = INFLOW
    return made
