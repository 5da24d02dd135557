"""Draining the outbox over a link: events first, never more on its way than the broker allows."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from gateway.config import Mqtt
from gateway.mqtt.batch import PAYLOAD, Batch, pack
from gateway.mqtt.lane import Lane, Verdict
from gateway.mqtt.link import OVERHEAD, Answer, Link
from gateway.mqtt.outbox import Outbox, Stored
from gateway.mqtt.topics import Topics
from gateway.reading import Lane as Name

AHEAD = 8
"""Batches that are read from the outbox at a time."""
PATIENCE = 2.0
"""How long records may take to come from the disk before the rest goes on without them [s]."""
AGAIN = 1.0
"""When to ask the outbox again after it gave nothing [s]."""
TOO_LONG = "longer than the broker takes"

_log = logging.getLogger(__name__)


class Drain:
    """What is sent, and what is not to be sent again. *wake* is called when there is more to do."""

    def __init__(
        self, settings: Mqtt, topics: Topics, outbox: Outbox, link: Link, wake: Callable[[], None]
    ) -> None:
        self.progress = False
        """Whether the broker has taken anything on this connection."""
        self._settings, self._topics, self._outbox = settings, topics, outbox
        self._link, self._wake = link, wake
        self._lanes = tuple(
            Lane(name, outbox.cursor(name), settings.batch) for name in (Name.EVENTS, Name.TELEMETRY)
        )
        self._noted = {lane.name: lane.cursor for lane in self._lanes}
        self._aside: set[asyncio.Task[None]] = set()
        longest = Batch(1 << 53, 0, ()).payload(topics.gateway, outbox.epoch, Name.TELEMETRY)
        self._head = len(longest)  # bytes of a batch beside its records

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
        if not self._link.granted.resumed:
            for lane in self._lanes:
                lane.rewind()

    def cut_off(self) -> None:
        """The connection broke over what was on its way: send less at once."""
        for lane in self._lanes:
            lane.cut_off()

    def due(self) -> float:
        """Return when a lane that pauses may be tried again [s, monotonic]; infinity when none pauses."""
        now = _monotonic()
        return min((lane.resume for lane in self._behind() if lane.resume > now), default=float("inf"))

    def ready(self) -> bool:
        """Whether something can be sent now."""
        return self._next() is not None

    async def fill(self) -> None:
        """Send as much as the window allows."""
        while (lane := self._next()) is not None:
            await self._send(lane)

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
            if lane.cursor > self._noted[lane.name]:
                self._noted[lane.name] = lane.cursor
                await self._outbox.delivered(lane.name, lane.cursor)

    def close(self) -> None:
        """Wait for nothing any more."""
        for task in self._aside:
            task.cancel()

    def _next(self) -> Lane | None:
        if not self._link.up or self.room <= 0 or self._link.choked:
            return None
        now = _monotonic()
        return next((lane for lane in self._behind() if lane.allowed(now) > 0), None)

    def _behind(self) -> Iterator[Lane]:
        return (lane for lane in self._lanes if self._outbox.durable(lane.name) > lane.sent)

    async def _send(self, lane: Lane) -> None:
        """Send the lane's next batches."""
        room = min(self.room, lane.allowed(_monotonic()), AHEAD)
        rows = await self._rows(lane, lane.limit * room)
        topic = self._topics.log(lane.name)
        largest = self._link.granted.packet - len(topic.encode()) - OVERHEAD
        for batch in islice(pack(rows, lane.limit, min(PAYLOAD, largest) - self._head), room):
            payload = batch.payload(self._topics.gateway, self._outbox.epoch, lane.name)
            if not self._link.up:
                return
            if len(payload) > largest:
                lane.condemn(batch.first, TOO_LONG, _monotonic())
                self._put_aside(lane, batch.first, TOO_LONG)
                return
            lane.send(self._link.publish(topic, payload, 1, False), batch.first, batch.last)

    async def _rows(self, lane: Lane, limit: int) -> Sequence[Stored]:
        rows: Sequence[Stored] = ()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                rows = await self._outbox.after(lane.name, lane.sent, limit)
        if not rows:  # the disk does not answer, or they were all dropped meanwhile
            lane.resume = _monotonic() + AGAIN
        return rows

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


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
