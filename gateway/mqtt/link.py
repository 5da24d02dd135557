"""One connection at a time to the broker: paho-mqtt, carried by the event loop instead of its own thread.

The loop carries it (rather than `loop_start`) because a publish then costs one system call and no other
thread wakes up. Only connecting blocks (names, TCP, TLS), and that happens in a thread of its own.
"""

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.config import Mqtt
from gateway.mqtt import security
from gateway.mqtt.background import in_thread
from gateway.mqtt.dialect import JSON, About, Dialect, Session

ANSWER = 7.0
"""How long the broker may take to answer a CONNECT [s]."""
PATIENCE = 60.0
"""How long a broker that answers pings may acknowledge nothing, before a new connection is tried [s]."""
OVERHEAD = 64
"""Bytes of a PUBLISH beside topic and payload: header, lengths, id, content type; generously."""
INCOMING, INFLOW = 16_384, 16
"""Most bytes of a packet, and most unacknowledged messages, that the broker may send us: orders are short."""
LARGEST = 268_435_455
"""Most bytes of a packet that MQTT can express (MQTT 5.0, 1.5.5)."""
MALFORMED = 0x81
"""The reason code that stands for a packet of the broker's that cannot be read (MQTT 5.0, 4.13)."""
_PROTOCOL = "Protocol error"  # paho's word for it
_SUCCESS = "Success"  # paho's word for code 0, which it looks up in 3 µs
_LOST = "Unspecified error"  # paho's word for a connection that broke
_MALFORMED = (ValueError, LookupError, struct.error, MQTTException)


Listener = Callable[[str, bytes, bool], None]
"""Takes a message: its topic, its payload, and whether the broker had kept it."""


class Refused(Exception):
    """The broker answered, and does not want us. The text is its reason."""


class Granted(NamedTuple):
    """What the broker allows on this connection."""

    window: int  # most QoS 1 messages on their way
    packet: int  # most bytes of a packet
    resumed: bool  # what was on its way is being sent again by itself


class Answer(NamedTuple):
    """The broker's word on one message."""

    mid: int
    code: int  # MQTT 5.0, 3.4.2.1
    text: str


class Link:
    """The connection. *wake* is called, in the loop, when there is an answer or the connection broke."""

    def __init__(
        self, settings: Mqtt, client_id: str, will: tuple[str, bytes], wake: Callable[[], None]
    ) -> None:
        security.refuse_plaintext(settings)
        security.refuse_contradictions(settings)
        self.answers: deque[Answer] = deque()
        self.waiting: dict[int, None] = {}
        """The ids of the QoS 1 messages without an answer, in the order in which they were sent."""
        self.lost = "not connected yet"
        self.lost_code = 0
        """The broker's reason code for the end of the connection, or MALFORMED; 0 when it just broke."""
        self.up = False
        self.granted = Granted(0, 0, False)
        self._settings, self._wake = settings, wake
        self._dialect = Dialect(settings.protocol)
        self._retain = self._resume = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answer: asyncio.Future[None] | None = None
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answered = 0.0  # when something was last acknowledged, or began to wait for it
        self._writing = False
        self._listeners: dict[str, Listener] = {}  # by topic filter
        self._tls = None if settings.tls is None else security.context()
        self._client = self._make(client_id, will)

    @property
    def choked(self) -> bool:
        """Whether the network takes no more for now."""
        return self._client.want_write()

    async def connect(self, resume: bool) -> None:
        """Connect. *resume*: if the broker kept the session, what was on its way may be sent as it was.

        Raises Refused, security.Unusable, or another OSError when there is no connection to be had.
        """
        self._resume = resume
        self._loop = asyncio.get_running_loop()
        self._answer = self._loop.create_future()
        await in_thread(self._open, self._discard)
        try:
            self._attach()
            async with asyncio.timeout(ANSWER):
                await self._answer
            self._tick()
        except TimeoutError:
            raise OSError(f"no answer from the broker within {ANSWER:g} s") from None
        finally:
            if not self.up:
                self._fail("no connection")

    def fits(self, topic: str, payload: bytes) -> bool:
        """Whether the broker takes a message that long."""
        return len(topic.encode()) + len(payload) + OVERHEAD <= self.granted.packet

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool, about: About | None = JSON) -> int:
        """Send one message; returns its id. While `choked`, it waits in memory: send only what is bounded."""
        if not self.waiting:
            self._answered = asyncio.get_running_loop().time()
        properties = None if about is None else self._dialect.dress(about)
        info = self._client.publish(topic, payload, qos, retain and self._retain, properties)
        if qos:
            self.waiting[info.mid] = None
        if self.choked and not self._writing and self._socket is not None:
            self._writing = True
            asyncio.get_running_loop().add_writer(self._socket, self._writable)
        return info.mid

    def listen(self, filter: str, listener: "Listener") -> None:
        """Have what is published to *filter* brought to *listener*, in the loop, on every connection."""
        self._listeners[filter] = listener

    def close(self) -> None:
        """Say goodbye, so that the broker discards the Will, and close."""
        self._client.disconnect()
        self._fail("closed")

    def _make(self, client_id: str, will: tuple[str, bytes]) -> paho.Client:
        client = self._dialect.client(client_id, will)
        client.max_inflight_messages_set(0)  # no limit: the window is ours, paho ignores ReceiveMaximum
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_socket_close = self._on_publish, self._on_socket_close
        client.on_message = self._on_message
        return client

    def _open(self) -> None:
        """In a thread: read the secrets, connect, shake hands, send CONNECT."""
        settings = self._settings
        if settings.username is not None:
            self._client.username_pw_set(settings.username, security.password(settings))
        if self._tls is not None and settings.tls is not None:
            security.load(self._tls, settings.tls)
        port = security.port(settings)
        session = Session(round(settings.session_expiry), INFLOW, INCOMING)
        try:
            self._dialect.connect(self._client, settings.host, port, settings.keepalive, session)
        except UnicodeError:
            raise OSError(f"{settings.host!r} is not a host name") from None

    def _discard(self) -> None:
        """Nobody waits for this connection any more."""
        found = self._client.socket()
        if isinstance(found, socket.socket):
            found.close()

    def _attach(self) -> None:
        found = self._client.socket()
        if not isinstance(found, socket.socket):
            raise OSError("the broker closed the connection at once")
        # Else a small message waits for the acknowledgement of the one before, up to 40 ms (RFC 896, 1122).
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._writing = found, False
        asyncio.get_running_loop().add_reader(found, self._readable)

    def _tick(self) -> None:
        self._client.loop_misc()  # keepalive; may find the connection dead
        loop = asyncio.get_running_loop()
        if self.waiting and loop.time() > self._answered + PATIENCE:
            self._fail(f"it has acknowledged nothing for {PATIENCE:g} s")
        if self._socket is not None:
            period = max(0.5, self._client.keepalive / 4)  # the broker may have shortened it
            self._timer = loop.call_later(period, self._tick)

    def _readable(self) -> None:
        try:
            self._client.loop_read()
            while isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
                self._client.loop_read()  # decrypted already, so the selector would not tell
        except _MALFORMED as error:
            self._fail(f"the broker sent what is not MQTT 5 ({type(error).__name__}: {error})")

    def _writable(self) -> None:
        self._client.loop_write()
        if not self.choked and self._socket is not None:
            self._writing = False
            asyncio.get_running_loop().remove_writer(self._socket)
            self._wake()

    def _fail(self, reason: str) -> None:
        """Close the socket, whoever finds out that the connection is over, and wake the owner."""
        if self.up or self._socket is not None:
            self.lost = reason
        self.up = False
        found = self._socket
        self._on_socket_close()
        if found is not None:
            found.close()
        self._wake()

    def _on_connect(
        self,
        client: paho.Client,
        _: object,
        flags: paho.ConnectFlags,
        code: ReasonCode,
        given: Properties | None,
    ) -> None:
        if self._answer is None or self._answer.done():
            return
        if code.is_failure:
            self._answer.set_exception(Refused(self._dialect.refusal(code)))
            return
        if getattr(given, "MaximumQoS", 1) < 1:
            self._answer.set_exception(Refused("it does not offer QoS 1"))
            return
        window = getattr(given, "ReceiveMaximum", 65535)
        resumed = flags.session_present and self._resume and len(self.waiting) <= window
        if not resumed:  # before paho sends it all again, without regard to the new window
            client.drop_out_messages()
            self.waiting.clear()
            self.answers.clear()
        self._retain = bool(getattr(given, "RetainAvailable", 1))
        self.up, self.lost, self.lost_code = True, "", 0
        self._answered = asyncio.get_running_loop().time()
        self.granted = Granted(window, getattr(given, "MaximumPacketSize", LARGEST), resumed)
        for filter in self._listeners:
            client.subscribe(filter, qos=1)
        self._answer.set_result(None)

    def _on_disconnect(
        self,
        _: paho.Client,
        __: object,
        flags: paho.DisconnectFlags,
        code: ReasonCode,
        ___: Properties | None,
    ) -> None:
        """Also called in the connecting thread: it only notes, and wakes through the loop."""
        name = "the connection broke" if code.getName() == _LOST else code.getName()
        if self.up:
            told = flags.is_disconnect_packet_from_server
            self.lost, self.lost_code = name, code.value if told else MALFORMED if name == _PROTOCOL else 0
        self.up = False
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._over, name)

    def _over(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(OSError(self._dialect.unanswered(reason)))
        self._wake()

    def _on_publish(self, _: paho.Client, __: object, mid: int, code: ReasonCode, ___: Properties) -> None:
        if mid in self.waiting:  # else QoS 0
            del self.waiting[mid]
            self._answered = asyncio.get_running_loop().time()
            self.answers.append(Answer(mid, code.value, code.getName() if code.value else _SUCCESS))
            self._wake()

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        for filter, listener in self._listeners.items():
            if paho.topic_matches_sub(filter, message.topic):
                listener(message.topic, bytes(message.payload), message.retain)

    def _on_socket_close(self, *_: object) -> None:
        found, self._socket = self._socket, None
        if found is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(found)
        loop.remove_writer(found)
        if self._timer is not None:
            self._timer.cancel()
