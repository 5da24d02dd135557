"""Replay: a range that was delivered goes out once more, behind everything else and marked as what it is.

It moves no cursor and no count. One message at a time is on its way, and only when nothing waits for its
first delivery, so that a replay of a whole day disturbs nobody. It does not outlive the process.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gateway.config import Mqtt
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.batch import PAYLOAD, Envelope
from gateway.mqtt.drain import about
from gateway.mqtt.lane import Verdict
from gateway.mqtt.link import OVERHEAD, Answer, Link
from gateway.mqtt.outbox import Outbox, Run
from gateway.mqtt.pace import Pace
from gateway.mqtt.topics import Topics
from gateway.reading import Lane

MOST = 8
"""Ranges that may wait; one more is refused."""
PATIENCE, AGAIN = 2.0, 5.0
"""How long the disk may take for a message, and when to ask it again after that [s]."""


@dataclass
class _Job:
    lane: Lane
    at: int  # everything up to it has been sent
    last: int
    done: Callable[[int], None]
    envelope: Envelope
    sent: int = 0


class Replay:
    """Sends ranges again, one after the other."""

    def __init__(self, settings: Mqtt, topics: Topics, outbox: Outbox, link: Link, pace: Pace) -> None:
        self._settings, self._topics, self._outbox = settings, topics, outbox
        self._link, self._pace = link, pace
        self._most = self._limit = settings.batch
        self._jobs: deque[_Job] = deque()
        self._flight: tuple[int, Run] | None = None  # message id, and what is in it
        self._resume = 0.0
        self._backoff = Backoff()

    @property
    def full(self) -> bool:
        """Whether so many ranges wait that no other is taken."""
        return len(self._jobs) >= MOST

    @property
    def left(self) -> int:
        """How many numbers are still to be sent again."""
        return sum(job.last - job.at for job in self._jobs)

    def add(self, lane: Lane, first: int, last: int, done: Callable[[int], None]) -> None:
        """Send *first* to *last* of *lane* again; at the end *done* hears how many records that were."""
        compress = self._settings.compress
        envelope = Envelope(self._topics.gateway, self._outbox.epoch, lane, compress, replay=True)
        self._jobs.append(_Job(lane, first - 1, last, done, envelope))

    def begin(self, resumed: bool) -> None:
        """A connection is there. Unless it is *resumed*, what was on its way is sent anew."""
        if not resumed:
            self._flight = None

    def due(self) -> float:
        """Return when a replay that pauses goes on [s, monotonic]; infinity when none pauses."""
        now = _monotonic()
        moment = max(self._resume, self._pace.resume(now)) if self._jobs and self._flight is None else 0.0
        return moment if moment > now else float("inf")

    async def fill(self) -> None:
        """Send the next message, if none is on its way. Call it when nothing else is to be sent."""
        while self._jobs and self._flight is None and self._free():
            if not await self._send(self._jobs[0]):
                return

    def answer(self, answer: Answer, verdict: Verdict) -> bool:
        """Take the broker's answer. False when the message was not a replay's."""
        if self._flight is None or self._flight[0] != answer.mid:
            return False
        run, self._flight = self._flight[1], None
        job, size = self._jobs[0], run.last - run.first + 1
        if verdict is Verdict.DONE:
            job.at, job.sent = run.last, job.sent + size
            self._limit = min(self._most, self._limit * 2)
            self._backoff.reset()
        elif verdict is Verdict.KEEP:
            self._resume = _monotonic() + self._backoff.pause()
        elif size > 1:
            self._limit = size // 2
        else:
            job.at = run.last  # the broker takes it at no length
        self._end_if_done(job)
        return True

    def _free(self) -> bool:
        now = _monotonic()
        return self._link.up and not self._link.choked and max(self._resume, self._pace.resume(now)) <= now

    async def _send(self, job: _Job) -> bool:
        """Send the next batch of *job*, or end it where nothing of it is kept any more. False: not now."""
        topic = self._topics.log(job.lane)
        largest = self._link.granted.packet - len(topic.encode()) - OVERHEAD
        try:
            async with asyncio.timeout(PATIENCE):
                run = await self._next(job, min(PAYLOAD, largest) - job.envelope.size)
        except TimeoutError:
            self._resume = _monotonic() + AGAIN
            return False
        payload = await self._seal(job, run) if run else b""
        if run is None or len(payload) > largest:
            job.at = run.last if run else job.last
            self._end_if_done(job)
            return True
        if self._link.up:
            mid = self._link.publish(topic, payload, 1, False, about(self._settings, job.lane))
            self._flight = mid, run
            self._pace.spend(run.last - run.first + 1, _monotonic())
        return self._link.up

    async def _seal(self, job: _Job, run: Run) -> bytes:
        if job.envelope.compress:  # a thread's work, as the feed's
            return await asyncio.to_thread(job.envelope.seal, run)
        return job.envelope.seal(run)

    async def _next(self, job: _Job, size: int) -> Run | None:
        """Return what *job* sends next, at most *size* bytes unless it is one record; None: that was all."""
        most = min(self._limit, job.last - job.at)
        while runs := await self._outbox.batches(job.lane, job.at, most, size, 1):
            run = runs[0]
            if run.last <= job.last:
                return run
            most = job.last - run.first + 1  # there was a hole before it
            if most < 1:
                return None
        return None

    def _end_if_done(self, job: _Job) -> None:
        if job.at >= job.last:
            with contextlib.suppress(ValueError):
                self._jobs.remove(job)
            job.done(job.sent)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
