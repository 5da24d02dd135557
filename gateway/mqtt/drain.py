"""Draining the outbox over a link: events first, never more on its way than the broker allows."""

import asyncio
import logging
from collections.abc import Callable, Iterator

from gateway.config import Mqtt
from gateway.mqtt.batch import PAYLOAD, Envelope
from gateway.mqtt.compress import CONTENT_TYPE
from gateway.mqtt.dialect import JSON, About
from gateway.mqtt.feed import Feed
from gateway.mqtt.lane import Lane, Verdict
from gateway.mqtt.link import OVERHEAD, Answer, Link
from gateway.mqtt.outbox import Outbox
from gateway.mqtt.pace import Pace
from gateway.mqtt.receipts import Receipts
from gateway.mqtt.topics import Topics
from gateway.reading import Lane as Name

PATIENCE = 2.0
"""How long records may take to come from the disk before the rest goes on without them [s]."""
AGAIN = 1.0
"""When to ask the outbox again after it gave nothing [s]."""
BURST = 32
"""Messages after which the rest of the delivery has its turn: noting what has arrived, the status."""
TOGETHER = 4
"""Messages in one turn of the loop: 0.2 ms of a server's processor, some 2 ms of the slowest board's."""
TOO_LONG = "longer than the broker takes"

_log = logging.getLogger(__name__)


class Drain:
    """What is sent, and what is not to be sent again. *wake* is called when there is more to do."""

    def __init__(
        self,
        settings: Mqtt,
        topics: Topics,
        outbox: Outbox,
        link: Link,
        pace: Pace,
        wake: Callable[[], None],
    ) -> None:
        self.progress = False
        """Whether the broker has taken anything on this connection."""
        self._settings, self._topics, self._outbox = settings, topics, outbox
        self._link, self._pace, self._wake = link, pace, wake
        self._lanes = tuple(
            Lane(name, outbox.cursor(name), settings.batch) for name in (Name.EVENTS, Name.TELEMETRY)
        )
        self.receipts = Receipts(settings, outbox, self._lanes, wake)
        self.receipts.listen(link, topics)
        self._noted = {lane.name: lane.cursor for lane in self._lanes}
        self._aside: set[asyncio.Task[None]] = set()
        self._envelopes = {
            lane.name: Envelope(topics.gateway, outbox.epoch, lane.name, settings.compress)
            for lane in self._lanes
        }
        self._feeds = {lane.name: Feed(outbox, lane.name, self._envelopes[lane.name]) for lane in self._lanes}
        self._abouts = {lane.name: about(settings, lane.name) for lane in self._lanes}
        self._ways = dict[Name, tuple[str, int, int]]()  # topic, most bytes of a payload, and of its records

    @property
    def refusal(self) -> str:
        """The lane that the broker refuses now, and why; empty when it refuses none."""
        return next((f"{lane.name}: {lane.refusal}" for lane in self._lanes if lane.refusal), "")

    @property
    def room(self) -> int:
        """How many more QoS 1 messages may be on their way."""
        return min(self._settings.window, self._link.granted.window) - len(self._link.waiting)

    def begin(self) -> None:
        """A connection is there: go on, or begin again behind the cursors."""
        self.progress = False
        for lane in self._lanes:
            self._ways[lane.name] = self._way(lane.name)
            self._feeds[lane.name].forget()
            if not self._link.granted.resumed:
                lane.rewind()

    def cut_off(self) -> None:
        """The connection broke over what was on its way: send less at once."""
        for lane in self._lanes:
            lane.cut_off()

    def due(self) -> float:
        """Return when a lane that waits may go on [s, monotonic]; infinity when none waits.

        A moment that passes while we look at it must not be missed: nothing else might wake us.
        """
        now = _monotonic()
        moments = [max(lane.resume, self._paced(lane, now)) for lane in self._behind()]
        if self.ready():
            return now
        paused = min((moment for moment in moments if moment > now), default=float("inf"))
        return min(paused, self.receipts.due())

    def ready(self) -> bool:
        """Whether something can be sent now."""
        return self._next() is not None

    async def fill(self, settle: Callable[[], None]) -> None:
        """Send as much as the window allows, at most a BURST, and let everybody else have a turn in between.

        *settle* takes the answers that have come. It is called before each message, above all after a wait
        for the disk: what the broker has refused goes again before anything behind it.
        """
        self.receipts.review(_monotonic())
        for count in range(BURST):
            settle()
            lane = self._next()
            if lane is None:
                return
            if not await self._send(lane) or count % TOGETHER == TOGETHER - 1:
                await asyncio.sleep(0)

    def answer(self, answer: Answer, verdict: Verdict) -> bool:
        """Take the broker's answer. False when the message was not one of a lane's."""
        lane = next((lane for lane in self._lanes if lane.holds(answer.mid)), None)
        if lane is None:
            return False
        self.progress |= verdict is Verdict.DONE
        if verdict is not Verdict.DONE and not lane.refusal:
            _log.warning("the broker refuses %s: %s; it is kept and tried again", lane.name, answer.text)
        before = lane.condemned
        lane.answer(answer.mid, verdict, answer.text, _monotonic())
        if lane.condemned is not None and lane.condemned != before:
            self._put_aside(lane, lane.condemned, answer.text)
        return True

    async def note(self) -> None:
        """Tell the outbox what has been delivered since the last time."""
        for lane in self._lanes:
            settled = self.receipts.settled(lane)
            if settled > self._noted[lane.name]:
                self._noted[lane.name] = settled
                await self._outbox.delivered(lane.name, settled)

    def close(self) -> None:
        """Wait for nothing any more."""
        for task in self._aside:
            task.cancel()
        for feed in self._feeds.values():
            feed.forget()

    def _next(self) -> Lane | None:
        if not self._link.up or self.room <= 0 or self._link.choked:
            return None
        now = _monotonic()
        for lane in self._lanes:
            behind = self.receipts.durable(lane) > lane.sent
            if behind and lane.allowed(now) > 0 and self._paced(lane, now) <= now:
                return lane
        return None

    def _paced(self, lane: Lane, now: float) -> float:
        """Return from when on the lane's next batch may go: an event never waits."""
        return self._pace.resume(now) if lane.name is Name.TELEMETRY else now

    def _behind(self) -> Iterator[Lane]:
        return (lane for lane in self._lanes if self.receipts.durable(lane) > lane.sent)

    async def _send(self, lane: Lane) -> bool:
        """Send the lane's next batch, if it is here. Else it is fetched, to be asked for again: False."""
        topic, largest, size = self._ways[lane.name]
        feed = self._feeds[lane.name]
        if not feed.ready(lane.sent, lane.limit, size):
            if not await feed.fetch(PATIENCE):  # the disk does not answer, or they were all dropped meanwhile
                lane.resume = _monotonic() + AGAIN
            return False
        batch = feed.take()
        if len(batch.payload) > largest:
            lane.condemn(batch.first, TOO_LONG, _monotonic())
            self._put_aside(lane, batch.first, TOO_LONG)
            return True
        mid = self._link.publish(topic, batch.payload, 1, False, self._abouts[lane.name])
        lane.send(mid, batch.first, batch.last)
        if lane.name is Name.TELEMETRY:
            self._pace.spend(batch.last - batch.first + 1, _monotonic())
        return True

    def _way(self, lane: Name) -> tuple[str, int, int]:
        topic = self._topics.log(lane)
        largest = self._link.granted.packet - len(topic.encode()) - OVERHEAD
        return topic, largest, min(PAYLOAD, largest) - self._envelopes[lane].size

    def _put_aside(self, lane: Lane, seq: int, why: str) -> None:
        """Give up one record. That waits for the disk, so nothing else waits for it."""
        _log.warning("%s record %d is given up, the broker refuses it: %s", lane.name, seq, why)
        task = asyncio.create_task(self._drop(lane, seq, why))
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def _drop(self, lane: Lane, seq: int, why: str) -> None:
        await self._outbox.drop(lane.name, seq, seq, f"refused: {why}")
        lane.passed(seq)
        self._wake()


def about(settings: Mqtt, lane: Name) -> About:
    """Return what is said of a lane's batches beside their payload."""
    expiry = settings.expiry.telemetry if lane is Name.TELEMETRY else settings.expiry.events
    kind = CONTENT_TYPE if settings.compress else JSON.content_type
    return About(kind, None if expiry is None else round(expiry))


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
