"""The gateway's end of a connection: what gateway.mqtt.link makes of paho, over the simulated wire."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from paho.mqtt.client import topic_matches_sub

from gateway.config import Mqtt
from gateway.mqtt.link import ANSWER, LARGEST, OVERHEAD, Answer, Granted, Listener, Refused

if TYPE_CHECKING:
    from tests.simulator.broker import Broker

CHOKED = 8  # messages that have not left yet


class Link:
    """See gateway.mqtt.link.Link, whose face this has. *out* holds what has no answer yet, as paho does."""

    def __init__(
        self,
        broker: "Broker",
        settings: Mqtt,
        client_id: str,
        will: tuple[str, bytes],
        wake: Callable[[], None],
    ) -> None:
        self.answers: deque[Answer] = deque()
        self.out: dict[int, tuple[str, bytes]] = {}
        self.lost = "not connected yet"
        self.lost_code = 0
        self.up = False
        self.granted = Granted(0, 0, False)
        self.listeners: dict[str, Listener] = {}
        self.wake = wake
        self._broker = broker
        self._mid = 0
        self._resume = True
        self._answer: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> dict[int, tuple[str, bytes]]:
        """The QoS 1 messages without an answer, in the order in which they were sent."""
        return self.out

    @property
    def choked(self) -> bool:
        return self._broker.unsent >= CHOKED

    async def connect(self, resume: bool) -> None:
        self._resume = resume
        self._answer = asyncio.get_running_loop().create_future()
        self._broker.dial(self)
        try:
            async with asyncio.timeout(ANSWER):
                await self._answer
        except TimeoutError:
            raise OSError(f"no answer from the broker within {ANSWER:g} s") from None
        finally:
            if not self.up:
                self._broker.hang_up(self)

    def fits(self, topic: str, payload: bytes) -> bool:
        return len(topic.encode()) + len(payload) + OVERHEAD <= self.granted.packet

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool, about: object = None) -> int:
        self._mid = self._mid % 65535 + 1
        if qos:
            self.out[self._mid] = (topic, payload)
        self._broker.send(self, self._mid if qos else 0, topic, payload)
        return self._mid

    def listen(self, filter: str, listener: Listener) -> None:
        self.listeners[filter] = listener

    def close(self) -> None:
        self._broker.hang_up(self)
        self.up = False
        self.lost = "closed"
        self.wake()

    def heard(self, topic: str, payload: bytes, retained: bool) -> None:
        """A message for the gateway."""
        for filter, listener in self.listeners.items():
            if topic_matches_sub(filter, topic):
                listener(topic, payload, retained)

    # What the broker does

    def accept(self, known: bool, window: int, packet: int | None) -> None:
        """CONNACK. What was on its way is sent again as it was, or forgotten."""
        resumed = known and self._resume and len(self.out) <= window
        if not resumed:
            self.out.clear()
            self.answers.clear()
        self.up, self.lost, self.lost_code = True, "", 0
        self.granted = Granted(window, packet or LARGEST, resumed)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
        for mid, (topic, payload) in self.out.items():
            self._broker.send(self, mid, topic, payload)

    def refuse(self, why: str) -> None:
        """A CONNACK that says no."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Refused(why))

    def fail(self, why: str) -> None:
        """No connection, or no longer one."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(OSError(why))

    def acknowledge(self, mid: int, code: int, text: str) -> None:
        """PUBACK."""
        if self.out.pop(mid, None) is not None:
            self.answers.append(Answer(mid, code, text))
            self.wake()

    def cut(self, why: str, code: int = 0) -> None:
        """The connection is gone."""
        self.up, self.lost, self.lost_code = False, why, code
        self.wake()
