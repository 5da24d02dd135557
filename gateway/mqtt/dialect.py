"""The two versions of MQTT, as far as they differ: 5, and 3.1.1 for brokers that have nothing better.

3.1.1 has no properties and no reason codes: no Receive Maximum, no session expiry, no content type, and an
acknowledgement says the same of a message that the broker has stored and of one that it threw away.
"""

from typing import Literal, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

UNSUPPORTED_VERSION = 0x84
"""The reason code of a broker that speaks another version (MQTT 5.0, 3.2.2.2)."""
ABOUTS = 64
"""Kinds of messages whose properties are kept ready."""
HINT = "if it does not speak MQTT 5, see mqtt.protocol in the documentation"


class About(NamedTuple):
    """What a message says of itself: what its payload is, and after how long the broker forgets it [s]."""

    content_type: str = "application/json"
    expiry: int | None = None


JSON = About()


class Session(NamedTuple):
    """What a client asks of the broker when it connects (MQTT 5.0, 3.1.2.11)."""

    expiry: int  # how long it is to remember this client [s]
    inflow: int  # most unacknowledged messages that it may send us
    packet: int | None = None  # most bytes of one; None: any


class Dress(Properties):
    """Properties of a PUBLISH whose bytes are made once: paho makes them for every message, in 15 µs."""

    def __init__(self, **values: int | str) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in values.items():
            setattr(self, name, value)
        packed: bytes = super().pack()  # type: ignore[no-untyped-call]
        object.__setattr__(self, "pack", lambda: packed)


class Dialect:
    """How one version says what a connection says."""

    def __init__(self, protocol: Literal["5", "3.1.1"]) -> None:
        self._five = protocol == "5"
        self._dressed: dict[About, Properties] = {}

    def client(
        self, client_id: str, will: tuple[str, bytes] | None = None, *, manual_ack: bool = False
    ) -> paho.Client:
        """Return a client with a session that outlives its connections, and a *will* if it has one."""
        made = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if self._five else False,
            protocol=paho.MQTTv5 if self._five else paho.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        if will is None:
            return made
        about = self._properties(PacketTypes.WILLMESSAGE, ContentType="application/json")
        made.will_set(*will, qos=1, retain=True, properties=about)
        return made

    def connect(self, client: paho.Client, host: str, port: int, keepalive: float, session: Session) -> None:
        """Connect, and send CONNECT. 3.1.1 cannot say anything of its *session*."""
        properties = self._properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=session.expiry,
            MaximumPacketSize=session.packet,
            ReceiveMaximum=session.inflow,
        )
        clean = False if self._five else paho.MQTT_CLEAN_START_FIRST_ONLY  # paho's word for "not said"
        client.connect(host, port, round(keepalive), clean_start=clean, properties=properties)

    def dress(self, about: About) -> Properties | None:
        """Return the properties of a PUBLISH, made once where the same come again and again."""
        if not self._five:
            return None
        if (known := self._dressed.get(about)) is not None:
            return known
        more: dict[str, int | str] = {} if about.expiry is None else {"MessageExpiryInterval": about.expiry}
        made = Dress(ContentType=about.content_type, **more)
        if len(self._dressed) >= ABOUTS:
            self._dressed.clear()
        return self._dressed.setdefault(about, made)

    def refusal(self, code: ReasonCode) -> str:
        """Return why the broker does not want us, and what to do about it where that is known."""
        hint = f" ({HINT})" if self._five and code.value == UNSUPPORTED_VERSION else ""
        return f"{code.getName()}{hint}"

    def unanswered(self, reason: str) -> str:
        """Return what a connection says that ended before the broker had answered.

        Some brokers that do not know MQTT 5 close without a word.
        """
        return f"{reason} before the broker had answered{f'; {HINT}' if self._five else ''}"

    def _properties(self, packet: int, **values: int | str | None) -> Properties | None:
        if not self._five:
            return None
        made = Properties(packet)  # type: ignore[no-untyped-call]
        for name, value in values.items():
            if value is not None:
                setattr(made, name, value)
        return made
