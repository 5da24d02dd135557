"""Orders that come over MQTT: read, allowed, carried out or refused, and always answered."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway import orders
from gateway.clock import Now
from gateway.mqtt import Heard
from gateway.people import People
from gateway.reading import Answer, Order

log = logging.getLogger("lamppost")

CHANNEL = "mqtt"
REPORT = 10.0
"""Seconds between two records of refused orders: a flood of them must not fill the store."""


class Office(Protocol):
    """Where orders are carried out, and events recorded."""

    async def submit(self, order: Order) -> Answer:
        """Carry *order* out, or refuse it."""
        ...

    def announce(self, type: str, data: Mapping[str, Any]) -> None:
        """Record an event."""
        ...


@dataclass
class Hearing:
    """Hears every order that the broker brings. *people* are those whom the gateway obeys now."""

    office: Office
    people: Callable[[], People]
    now: Now
    _unsaid: int = field(default=0, init=False)
    _said: float = field(default=float("-inf"), init=False)

    async def hear(self, heard: Heard) -> Answer:
        """Return what became of what was *heard*."""
        try:
            order = orders.parse(heard.payload, heard.issuer, CHANNEL)
        except orders.Malformed as error:
            return self._refuse(heard, error.id, str(error))
        if heard.retained:
            said = "an order must not be retained: the broker would bring it again and again"
            return self._refuse(heard, order.id, said)
        if not self.people().may(order.issuer, order.kind):
            said = f"{order.issuer} may not {order.kind} here: the gateway's list of people says who may"
            return self._refuse(heard, order.id, said)
        return await self.office.submit(order)

    def _refuse(self, heard: Heard, id: str, why: str) -> Answer:
        at = self.now()
        self._unsaid += 1
        if at.mono >= self._said + REPORT:
            data = {"channel": CHANNEL, "who": heard.issuer[:64], "reason": why, "times": self._unsaid}
            self.office.announce("lamppost.order.refused", data)
            self._said, self._unsaid = at.mono, 0
        return Answer(id, False, why, round(at.time, 3))
