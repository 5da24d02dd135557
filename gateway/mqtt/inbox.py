"""Orders that come over MQTT: heard, answered one after the other, never more than can be held."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import NamedTuple

from gateway.mqtt.link import Link
from gateway.mqtt.topics import Topics
from gateway.reading import Answer

HELD = 64
"""Orders that wait for their turn. People give a few a day: more at once is a flood, and is not heard."""

ANSWERS = 64
"""Answers that wait for a connection; the newest stay."""

_log = logging.getLogger(__name__)


class Heard(NamedTuple):
    """A message on an order's topic: who is said to have sent it, and whether the broker had kept it."""

    issuer: str
    payload: bytes
    retained: bool


Hear = Callable[[Heard], Awaitable[Answer]]
"""What carries an order out, or refuses it; the answer says which."""


class Inbox:
    """Takes what is published to `<prefix>/<gateway>/command/<issuer>`, answers on `.../answer/<issuer>`.

    The broker's access list says who may write to which topic, so the last level is who it is. *hear* may
    take its time; what floods in meanwhile is dropped and counted in *dropped*.
    """

    def __init__(self, link: Link, topics: Topics, hear: Hear, wake: Callable[[], None]) -> None:
        self.dropped = 0
        self._link, self._topics, self._hear, self._wake = link, topics, hear, wake
        self._waiting: deque[Heard] = deque()
        self._answers: deque[tuple[str, bytes]] = deque(maxlen=ANSWERS)
        self._news = asyncio.Event()
        link.listen(topics.commands, self._take)

    async def run(self) -> None:
        """Answer for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                heard = self._waiting.popleft()
                answer = await self._hear(heard)
                self._answers.append((self._topics.answer(heard.issuer), _encode(answer)))
                self._wake()

    def send(self, room: int) -> None:
        """Publish the answers that wait: at most *room* of them."""
        for _ in range(min(room, len(self._answers))):
            topic, payload = self._answers.popleft()
            if self._link.fits(topic, payload):
                self._link.publish(topic, payload, 1, False)

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        issuer = topic.rpartition("/")[2]
        if len(self._waiting) >= HELD:
            self.dropped += 1
            if self.dropped == 1:
                _log.warning("more than %d orders wait: further ones are not heard", HELD)
            return
        self._waiting.append(Heard(issuer, payload, retained))
        self._news.set()


def _encode(answer: Answer) -> bytes:
    return json.dumps(asdict(answer), separators=(",", ":"), ensure_ascii=False).encode()
