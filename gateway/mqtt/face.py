"""The retained face of a gateway: the latest reading of each device, and who and how it is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import Any

from gateway.clock import Instant
from gateway.mqtt.dialect import About
from gateway.mqtt.lane import ERRORS, PACKET_TOO_LARGE
from gateway.mqtt.link import Answer, Link
from gateway.mqtt.topics import Topics
from gateway.reading import Reading, encode

PERIOD = 60.0
"""How often the status is published when nothing has changed [s]."""

Shape = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the retained messages say, asked for whenever one is sent."""

    epoch: str
    status: Shape
    meta: Shape
    now: Callable[[], Instant]
    checkpoint: Shape = dict  # {}: there is none


class Latest:
    """The live state: at most once, at once, and while there is no connection only the latest is kept."""

    def __init__(self, link: Link, topics: Topics, expiry: float | None, now: Callable[[], Instant]) -> None:
        """*expiry*: how long after it was measured a reading is forgotten [s]; None: never."""
        self._link, self._topics, self._expiry, self._now = link, topics, expiry, now
        self._kept: dict[str, Reading] = {}

    def publish(self, reading: Reading) -> None:
        """Send *reading* now, or keep it in place of its device's last one."""
        self._kept.pop(reading.device, None)
        if not self._link.up or self._link.choked:
            self._kept[reading.device] = reading
            return
        topic, payload = self._topics.state(reading.device), encode(reading).encode()
        left = inf if self._expiry is None else self._expiry - max(0.0, self._now().mono - reading.at.mono)
        if self._link.fits(topic, payload) and left > 0:
            about = None if self._expiry is None else About(expiry=ceil(left))
            self._link.publish(topic, payload, 0, True, about)

    def flush(self) -> None:
        """Send what was kept, as far as the network takes it."""
        while self._kept and self._link.up and not self._link.choked:
            self.publish(next(iter(self._kept.values())))


class Notices:
    """`status`, `meta`, `checkpoint`: each is sent until it is acknowledged or refused, newest text only."""

    def __init__(self, link: Link, topics: Topics, shapes: "Shapes") -> None:
        self.refusal = ""
        """The notice that the broker refuses, and why."""
        self._link, self._topics, self._shapes = link, topics, shapes
        self._pending: dict[str, None] = {}  # topics, in the order in which they fell due
        self._sent: dict[int, str] = {}
        self._long: set[str] = set()  # topics whose text the broker found too long

    def due(self, *, meta: bool = False, checkpoint: bool = False) -> None:
        """Ask for the status, and for *meta* and the *checkpoint* too, to be published again."""
        self._pending[self._topics.status] = None
        if meta:
            self._pending[self._topics.meta] = None
        if checkpoint and self._shapes.checkpoint():
            self._pending[self._topics.checkpoint] = None

    def begin(self, resumed: bool) -> None:
        """A connection is there: say everything again, for the broker may have forgotten."""
        self.refusal = ""
        if not resumed:
            self._sent.clear()
        self.due(meta=True, checkpoint=True)

    def send(self, room: int) -> None:
        """Send what is due: at most *room* messages."""
        for topic in list(self._pending)[: max(0, room)]:
            del self._pending[topic]
            payload = self._text(topic)
            if topic in self._long or not self._link.fits(topic, payload):
                payload = self._line(online=True, problem="the broker takes no message that long")
            self._sent[self._link.publish(topic, payload, 1, True)] = topic

    def farewell(self, reason: str, room: int) -> int:
        """Send the last status; returns its message id.

        Where there is *room* for no more messages on their way, it goes without an acknowledgement: a broker
        cuts off who exceeds its Receive Maximum (MQTT 5.0, 3.3.4), and then publishes the Will.
        """
        qos = 1 if room > 0 else 0
        return self._link.publish(self._topics.status, self._line(online=False, reason=reason), qos, True)

    def answer(self, answer: Answer) -> None:
        """Take the broker's answer. A refused notice is not repeated before it falls due again."""
        topic = self._sent.pop(answer.mid, None)
        if topic is not None:
            self.refusal = f"{topic}: {answer.text}" if answer.code >= ERRORS else ""
            if answer.code == PACKET_TOO_LARGE:
                self._long.add(topic)

    def _text(self, topic: str) -> bytes:
        if topic == self._topics.status:
            return self._line(online=True, **self._shapes.status())
        if topic == self._topics.checkpoint:
            return self._line(**self._shapes.checkpoint())
        return _encode(self._shapes.meta())

    def _line(self, **about: object) -> bytes:
        base = {
            "gateway": self._topics.gateway,
            "epoch": self._shapes.epoch,
            "time": round(self._shapes.now().time, 3),
        }
        return _encode({**base, **about})


def last_words(gateway: str, epoch: str) -> bytes:
    """Return the Will: what the broker publishes when the gateway vanishes without a word."""
    return _encode({"gateway": gateway, "epoch": epoch, "online": False, "reason": "the connection was lost"})


def _encode(shape: Mapping[str, Any]) -> bytes:
    return json.dumps(shape, separators=(",", ":"), ensure_ascii=False, default=str).encode()
