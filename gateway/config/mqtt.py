"""The broker: how to reach it, what it is asked for, and what it may keep."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.config.section import Section
from gateway.config.values import CONSUMER, PREFIX, Duration, Expiring, Pause, duration, loopback

ACCEPT_PLAINTEXT = "i accept that anyone on the way can read and forge"
UNSEEN = (
    "MQTT 3.1.1 cannot say that the broker refused a record, so what an access list forbids would count as "
    'delivered: use a broker that speaks MQTT 5, or accept it with mqtt.refusals = "unseen"'
)
"""Why 3.1.1 has to be asked for twice."""


class Tls(Section):
    """The broker's authority, and this gateway's own certificate and key (PEM files)."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Expiry(Section):
    """How long the broker may keep a message for those who are not there to get it. None: for ever."""

    state: Expiring | None = None
    telemetry: Expiring | None = None
    events: Expiring | None = None


class Mqtt(Section):
    """The broker, and how to reach it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    client_id: str | None = None
    protocol: Literal["5", "3.1.1"] = "5"
    refusals: Literal["seen", "unseen"] = "seen"
    prefix: Annotated[str, Field(pattern=PREFIX)] = "lamppost"
    username: str | None = None
    password_file: Path | None = None
    password_credential: str | None = None
    tls: Tls | None = None
    plaintext: Literal["refuse", "i accept that anyone on the way can read and forge"] = "refuse"
    keepalive: Annotated[float, BeforeValidator(duration), Field(ge=5, le=65535)] = 30.0
    window: Annotated[int, Field(ge=1, le=65535)] = 16
    batch: Annotated[int, Field(ge=1, le=10000)] = 100
    compress: bool = False
    backlog_rate: Annotated[int, Field(ge=10, le=1_000_000)] = 2000
    backlog_jitter: Pause = 5.0
    acknowledge: Literal["broker", "consumer"] = "broker"
    consumer: Annotated[str, Field(pattern=CONSUMER)] = "collector"
    no_subscriber: Literal["accept", "hold"] = "accept"
    session_expiry: Duration = 86400.0
    expiry: Expiry = Expiry()

    @property
    def holds_unheard(self) -> bool:
        """Whether what no subscriber would get is kept: also where a consumer must confirm it."""
        return self.no_subscriber == "hold" or self.acknowledge == "consumer"

    @property
    def exposed(self) -> bool:
        """Whether readings and passwords would leave this machine in plain text, unasked for."""
        return self.tls is None and self.plaintext == "refuse" and not loopback(self.host)

    @property
    def contradictions(self) -> Iterator[tuple[str, str]]:
        """What MQTT 3.1.1 cannot do and is asked of it: the key, and a sentence."""
        if self.protocol == "5":
            if self.refusals == "unseen":
                yield (
                    "refusals",
                    'MQTT 5 shows refusals: take mqtt.refusals out, or set mqtt.protocol = "3.1.1"',
                )
            return
        if self.refusals == "seen":
            yield "protocol", UNSEEN
        if self.no_subscriber == "hold":
            yield (
                "no_subscriber",
                "MQTT 3.1.1 cannot say that nobody subscribes: take mqtt.no_subscriber out",
            )
        if self.expiry != Expiry():
            yield "expiry", "MQTT 3.1.1 cannot say when a message expires: take mqtt.expiry out"
        if "session_expiry" in self.model_fields_set:
            yield (
                "session_expiry",
                "MQTT 3.1.1 cannot ask for a session's expiry: set it at the broker",
            )
