"""Hearing gateways without losing a message: the broker may forget one only when its taker has it for good.

This is done with paho-mqtt, not with aiomqtt: that acknowledges a message the moment it arrives, before
anybody could write it down (docs/decisions/0012-the-collector-acknowledges-last.md).
"""

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.reasoncodes import ReasonCode

from gateway.config import Mqtt
from gateway.mqtt import security
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.dialect import Dialect, Session
from gateway.mqtt.heard import Message
from gateway.mqtt.topics import collected

SESSION = 7 * 86400
"""How long a broker keeps what comes while the collector is away [s]; brokers may have their own limit."""
INFLOW = 200
"""Messages that the broker may send ahead of the acknowledgements: as many are lost in no crash."""
GATHER = 0.05
"""How long messages are gathered for one transaction [s]."""
ANSWER = 10.0
"""How long a broker may take to answer a CONNECT [s]."""
_MALFORMED = (ValueError, LookupError, struct.error, MQTTException)


Publish: TypeAlias = Sequence[tuple[str, bytes]]
Take: TypeAlias = Callable[[Sequence[Message]], Publish]
"""Makes messages durable, or raises; returns what is to be published once they are."""


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
        self._dialect = Dialect(settings.protocol)
        self._tls = None if settings.tls is None else security.context()
        self._client = self._make(client_id)

    def stop(self) -> None:
        """Have `run` return soon: what has arrived is taken and acknowledged first. For signal handlers."""
        self._stopping = True
        self._bell.send(b"x")

    def close(self) -> None:
        """Let go of all sockets, once nobody calls `stop` any more."""
        client = self._client  # it closes its own when nobody refers to it: not even its callbacks
        client.on_connect = client.on_disconnect = client.on_message = client.on_subscribe = None
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
        client = self._dialect.client(client_id, manual_ack=True)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message, client.on_subscribe = self._on_message, self._on_subscribe
        if self._tls is not None:
            client.tls_set_context(self._tls)
        return client

    def _connect(self) -> None:
        settings = self._settings
        self._connected, self._lost = False, "the connection broke"
        try:
            if settings.username is not None:
                self._client.username_pw_set(settings.username, security.password(settings))
            if self._tls is not None and settings.tls is not None:
                security.load(self._tls, settings.tls)
            port, session = security.port(settings), Session(SESSION, INFLOW)
            self._dialect.connect(self._client, settings.host, port, settings.keepalive, session)
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
