"""Receipts: where the operator asks for it, a record is held until the consumer says that it has it.

A broker's acknowledgement is worth what its disk is worth. With `mqtt.acknowledge = "consumer"` it only says
that a record is on its way; what the consumer publishes to `<prefix>/<gateway>/ack/<lane>` lets it go:

    {"epoch": "5e0c1f7a", "first": 1, "upto": 48213, "consumer": "collector"}

*first* to *upto* are all on the consumer's disk, or named in gaps. The broker's access list says who may
write there; whatever does not fit what was sent is refused and counted.
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.config import Mqtt
from gateway.mqtt.lane import Lane
from gateway.mqtt.link import Link
from gateway.mqtt.outbox import Outbox
from gateway.mqtt.topics import Topics
from gateway.reading import Lane as Name

AHEAD = 10_000
"""Records that may be sent beyond the last that is confirmed: who is away gets no more for now."""
FIRST, LONGEST = 30.0, 1800.0
"""First and longest wait for a receipt, before one batch is sent again [s]; it doubles each time."""
_KEYS = {"epoch", "first", "upto", "consumer"}
_log = logging.getLogger(__name__)


class Unfit(ValueError):
    """This is no receipt for anything that was sent. The text says why."""


@dataclass
class Progress:
    """How far one lane is confirmed. Pure: time and receipts come in, decisions go out."""

    confirmed: int
    sent: int = 0
    """The highest number that was ever sent."""
    asked: float | None = None
    """Since when a receipt is waited for [s, monotonic]; None: for nothing."""
    wait: float = FIRST
    doubtful: bool = False
    """Something was sent again, and no receipt has come since: one batch at a time."""

    def take(self, first: int, upto: int) -> bool:
        """Take a receipt; tell whether it confirms anything new. Raises Unfit."""
        if upto > self.sent:
            raise Unfit(f"it is for {upto}, and nothing beyond {self.sent} was sent")
        if first > self.confirmed + 1 or upto <= self.confirmed:
            return False
        self.confirmed, self.asked, self.wait, self.doubtful = upto, None, FIRST, False
        return True

    def reach(self, batch: int) -> int:
        """Return up to which number may be sent now."""
        return self.confirmed + (batch if self.doubtful else AHEAD)

    def overdue(self, taken: int, now: float) -> bool:
        """Tell whether to send again, from behind what is confirmed: the broker has all up to *taken*."""
        if taken <= self.confirmed:
            self.asked = None
            return False
        if self.asked is None:
            self.asked = now
        if now < self.asked + self.wait:
            return False
        self.asked, self.wait, self.doubtful = now, min(2 * self.wait, LONGEST), True
        return True

    def due(self) -> float:
        """Return when `overdue` may be so [s, monotonic]."""
        return float("inf") if self.asked is None else self.asked + self.wait


@dataclass
class Receipts:
    """What the consumer has confirmed, per lane. With `mqtt.acknowledge = "broker"` it asks for nothing."""

    settings: Mqtt
    outbox: Outbox
    lanes: Iterable[Lane]
    wake: Callable[[], None]
    refused: int = 0
    resent: int = 0
    reason: str = ""
    """Why the last receipt was refused."""
    _progress: dict[Name, Progress] = field(default_factory=dict)

    def listen(self, link: Link, topics: Topics) -> None:
        """Hear receipts on every connection, where they are asked for."""
        if self.settings.acknowledge == "consumer":
            self._progress = {lane.name: Progress(lane.cursor) for lane in self.lanes}
            link.listen(topics.receipts, self.hear)

    def durable(self, lane: Lane) -> int:
        """Return up to which number of *lane* may be sent: what is durable, and not too far ahead."""
        durable, progress = self.outbox.durable(lane.name), self._progress.get(lane.name)
        return durable if progress is None else min(durable, progress.reach(lane.limit))

    def settled(self, lane: Lane) -> int:
        """Return up to which number *lane* is delivered: taken by the broker, or confirmed."""
        progress = self._progress.get(lane.name)
        return lane.cursor if progress is None else progress.confirmed

    def review(self, now: float) -> None:
        """Set lanes back to what is not confirmed in time, and forward over what is."""
        for lane in self.lanes if self._progress else ():
            progress = self._progress[lane.name]
            progress.sent = max(progress.sent, lane.sent)
            progress.confirmed = max(
                progress.confirmed, self.outbox.cursor(lane.name)
            )  # over what was dropped
            if progress.overdue(lane.cursor, now):
                self.resent += 1
                lane.restart(progress.confirmed)
            elif progress.confirmed > lane.sent:
                lane.restart(progress.confirmed)

    def due(self) -> float:
        """Return when a lane is to be reviewed [s, monotonic]; infinity: only when something happens."""
        return min((progress.due() for progress in self._progress.values()), default=float("inf"))

    def hear(self, topic: str, payload: bytes, retained: bool) -> None:
        """Take a message on the topic of receipts. Nothing that a stranger could send makes it raise."""
        try:
            if retained:
                raise Unfit("it is retained, so that it would come again and again")
            if self._take(topic.rpartition("/")[2], payload):
                self.wake()
        except Unfit as error:
            self.refused += 1
            self.reason = str(error)
            if self.refused == 1:
                _log.warning("a receipt on %s is refused, as further ones may be: %s", topic, error)

    def describe(self) -> dict[str, Any]:
        """Return who acknowledges; of a consumer also what it confirmed, what was refused and sent again."""
        if not self._progress:
            return {"by": "broker"}
        return {
            "by": "consumer",
            "consumer": self.settings.consumer,
            "confirmed": {str(lane): progress.confirmed for lane, progress in self._progress.items()},
            "refused": self.refused,
            "reason": self.reason,
            "resent": self.resent,
        }

    def _take(self, lane: str, payload: bytes) -> bool:
        if lane not in list(Name):
            raise Unfit(f"there is no lane {lane[:40]!a}")
        shape = _read(payload)
        if shape["consumer"] != self.settings.consumer:
            raise Unfit(
                f"it is from {str(shape['consumer'])[:40]!a}, and {self.settings.consumer} is waited for"
            )
        if shape["epoch"] != self.outbox.epoch:
            raise Unfit(f"it is for epoch {str(shape['epoch'])[:40]!a}, and this is {self.outbox.epoch}")
        first, upto = shape["first"], shape["upto"]
        if type(first) is not int or type(upto) is not int or not 1 <= first <= upto:
            raise Unfit("its first and upto are not two numbers from 1, in order")
        progress = self._progress[Name(lane)]
        sent = (each.sent for each in self.lanes if each.name == lane)
        progress.sent = max(progress.sent, *sent)
        return progress.take(first, upto)


def receipt(epoch: str, first: int, upto: int, consumer: str) -> bytes:
    """Return the payload by which *consumer* confirms *first* to *upto*."""
    return json.dumps({"epoch": epoch, "first": first, "upto": upto, "consumer": consumer}).encode()


def _read(payload: bytes) -> dict[str, Any]:
    try:
        shape = json.loads(payload)
    except (ValueError, RecursionError):
        raise Unfit("it is not JSON") from None
    if not isinstance(shape, dict) or shape.keys() != _KEYS:
        raise Unfit(f"it is not a JSON object with the keys {', '.join(sorted(_KEYS))}")
    return shape
