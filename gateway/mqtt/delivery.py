"""Delivery: every stored record reaches the broker in order, and leaves only when the broker has it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from gateway.clock import Instant
from gateway.config import Mqtt
from gateway.mqtt import face, limits
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.drain import Drain
from gateway.mqtt.inbox import Hear, Inbox
from gateway.mqtt.lane import PACKET_TOO_LARGE, Verdict, judge
from gateway.mqtt.link import MALFORMED, Answer, Link, Refused
from gateway.mqtt.outbox import Outbox
from gateway.mqtt.pace import Pace
from gateway.mqtt.replay import Replay
from gateway.mqtt.topics import Topics
from gateway.reading import Lane, Reading

ABSENT = 8.0
"""Longest pause before a broker that does not answer is tried again [s]: it is noticed soon when back.

The time that it took not to answer counts, so that this is also the longest from one attempt to the next.
"""
SHORTEST = 1.0
"""Shortest pause after an attempt that took long [s]."""
STABLE = 30.0
"""A connection that has lasted this long was a good one [s]."""
LEFTOVERS, FAREWELL = 0.6, 0.3
"""How long a shutdown may spend on what is left to deliver, and on the last status [s]."""

_log = logging.getLogger(__name__)


class Delivery:
    """Carries an outbox to the broker. One task calls `run`; `state` and `refresh` never block.

    *status*, *meta* and *checkpoint* give what the retained messages say, whenever they are sent; *hear*
    takes the orders that arrive.
    """

    def __init__(
        self,
        settings: Mqtt,
        gateway: str,
        outbox: Outbox,
        meta: face.Shape,
        status: face.Shape,
        now: Callable[[], Instant],
        checkpoint: face.Shape = dict,
        hear: Hear | None = None,
    ) -> None:
        """Raises ConfigError when readings would cross a network in plain text, unasked for."""
        self._settings, self._now = settings, now
        self._wake, self._stopping = asyncio.Event(), asyncio.Event()
        topics = Topics(settings.prefix, gateway)
        will = topics.status, face.last_words(gateway, outbox.epoch)
        self._link = Link(settings, settings.client_id or f"lamppost-{gateway}", will, self._wake.set)
        self._latest = face.Latest(self._link, topics, settings.expiry.state, now)
        shapes = face.Shapes(outbox.epoch, status, meta, now, checkpoint)
        self._notices = face.Notices(self._link, topics, shapes)
        self._inbox = Inbox(self._link, topics, hear, self._wake.set) if hear else None
        self._pace = Pace(settings.backlog_rate, settings.backlog_jitter)
        self._drain = Drain(settings, topics, outbox, self._link, self._pace, self._wake.set)
        self._link.listen(topics.limits, self._hear_limits)
        self._unfit = ""  # what is wrong with the limits that were heard last
        self._away: float | None = None  # since when there is no connection [s, monotonic]
        self._replay = Replay(settings, topics, outbox, self._link, self._pace)
        self._outbox = outbox
        self._backoff = Backoff()
        self._resume = True  # what was on its way may be sent again as it was
        self._refused = 0
        self._state, self._reason, self._since = "connecting", "not connected yet", now().time
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Connect, deliver, and connect again, until `stop` or cancelled; `stop` must follow in any case."""
        self._running, self._away = asyncio.current_task(), _monotonic()
        pump = asyncio.create_task(self._pump())
        answering = asyncio.create_task(self._inbox.run()) if self._inbox else None
        try:
            while not self._stopping.is_set():
                pause = await self._session()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
        finally:
            pump.cancel()
            if answering is not None:
                answering.cancel()

    async def stop(self) -> None:
        """Deliver what can be within a second, publish the last status, and disconnect."""
        self._stopping.set()
        self._wake.set()
        if self._running is not None:
            await asyncio.wait((self._running,), timeout=FAREWELL)
        if self._link.up:
            await self._part()
        self._drain.close()

    def state(self, reading: Reading) -> None:
        """Publish *reading* as its device's latest; while disconnected, only the latest is kept."""
        self._latest.publish(reading)

    def refresh(self) -> None:
        """Publish the status now: the health has changed."""
        self._notices.due()
        self._wake.set()

    def describe_again(self) -> None:
        """Publish what the gateway has, and its status, now: the configuration has changed."""
        self._notices.due(meta=True)
        self._wake.set()

    def show_checkpoint(self) -> None:
        """Publish the ledger's checkpoint now: there is a new one."""
        self._notices.due(checkpoint=True)
        self._wake.set()

    def can_replay(self) -> bool:
        """Whether one more range may wait to be sent again."""
        return not self._replay.full

    def replay(self, lane: Lane, first: int, last: int, done: Callable[[int], None]) -> bool:
        """Send *first* to *last* of *lane* once more, behind all that waits. False: too much waits already.

        *done* hears at the end how many records were sent again.
        """
        if not self.can_replay():
            return False
        self._replay.add(lane, first, last, done)
        self._wake.set()
        return True

    def describe(self) -> dict[str, Any]:
        """Return the state (connected, connecting, refused), since when [s, Unix], why, and counts.

        `refused` is also the state of a connection on which the broker refuses publishes; `reason` says
        which. `session`: the broker still knew this gateway when it connected. `refusals`: "unseen" with
        MQTT 3.1.1, where a broker cannot say that it refuses a record, and `refused` stays 0. `limits`: what
        the fleet's operator asks for and how long it pauses the log yet [s]; None when nothing is asked.
        `replaying`: how many numbers are still to be sent again. `acknowledge`: see `Receipts.describe`.
        """
        refusal = self._drain.refusal or self._notices.refusal
        held_up = self._state == "connected" and bool(refusal)
        return {
            "state": "refused" if held_up else self._state,
            "since": self._since,
            "reason": f"the broker refuses {refusal}" if held_up else self._reason,
            "in_flight": len(self._link.waiting),
            "refused": self._refused,
            "session": self._link.granted.resumed,
            "protocol": self._settings.protocol,
            "refusals": self._settings.refusals,
            "limits": self._limits(),
            "replaying": self._replay.left,
            "acknowledge": self._drain.receipts.describe(),
        }

    def _limits(self) -> dict[str, Any] | None:
        """Return what the fleet's operator asks for: what is obeyed, and what is wrong with it."""
        asked = self._pace.limits
        if asked is None:
            return {"problem": self._unfit} if self._unfit else None
        return {**asked._asdict(), "paused": round(self._pace.paused(_monotonic())), "problem": self._unfit}

    def _hear_limits(self, topic: str, payload: bytes, _: bool) -> None:
        try:
            asked = limits.read(payload)
        except limits.Unfit as error:
            self._unfit = f"what {topic} says is not obeyed: {error}"
            _log.warning("%s", self._unfit)
        else:
            self._unfit = ""
            self._pace.obey(asked, self._now().time, _monotonic())
        self.refresh()

    async def _pump(self) -> None:
        while True:
            await self._outbox.changed()
            self._wake.set()

    async def _session(self) -> float:
        """Live through one connection. Returns how long to wait before the next [s]."""
        asked = _monotonic()
        try:
            connected = await self._connect()
        except Refused as refused:
            self._say("refused", f"the broker refused the connection: {refused}")
            return self._backoff.pause()
        except OSError as error:
            self._say("connecting", error.strerror or str(error))
            pause = self._backoff.pause(ABSENT)
            return min(pause, max(SHORTEST, pause - (_monotonic() - asked)))
        if not connected:
            return 0.0
        began = _monotonic()
        self._begin()
        await self._serve()
        if self._link.up:  # stopping
            return 0.0
        await self._settle()
        return self._end(_monotonic() - began)

    async def _connect(self) -> bool:
        """Return whether there is a connection; False when `stop` came first."""
        connecting = asyncio.create_task(self._link.connect(self._resume))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                await connecting
            return connecting.done()
        finally:
            connecting.cancel()
            stopping.cancel()

    def _begin(self) -> None:
        self._say("connected", "")
        if self._away is not None:
            self._pace.outage(_monotonic() - self._away, _monotonic())
            self._away = None
        self._drain.begin()
        self._replay.begin(self._link.granted.resumed)
        self._notices.begin(self._link.granted.resumed)
        self._latest.flush()

    def _end(self, lasted: float) -> float:
        """Learn from how the connection ended. Returns how long to wait before the next [s].

        Mosquitto refuses a long payload with PUBACK 0x95, which the standard does not know there (3.4.2.1),
        so that paho ends the connection. Answers come in order (4.6), so the oldest message is the cause.
        Other brokers close without a word; what broke before anything was taken is then made smaller.
        """
        to_blame = self._link.lost_code in (PACKET_TOO_LARGE, MALFORMED) and bool(self._link.waiting)
        self._resume = self._drain.progress and not to_blame
        if to_blame:
            oldest = next(iter(self._link.waiting))
            self._take(Answer(oldest, PACKET_TOO_LARGE, f"too long for it ({self._link.lost})"))
        elif not self._resume:
            self._drain.cut_off()
        if self._away is None:
            self._away = _monotonic()
        if lasted > STABLE:
            self._backoff.reset()
        self._say("connecting", self._link.lost)
        return self._backoff.pause(None if self._link.lost_code else ABSENT)

    async def _serve(self) -> None:
        """Deliver while the connection is up."""
        said = _monotonic()
        while self._link.up and not self._stopping.is_set():
            self._wake.clear()
            self._latest.flush()
            await self._settle()
            status_due = said + (ABSENT if self._notices.refusal else face.PERIOD)
            if _monotonic() >= status_due:
                self._notices.due()
                said = _monotonic()
                status_due = said + face.PERIOD
            await self._fill()
            await self._sleep(min(status_due, self._drain.due(), self._replay.due()))

    async def _part(self) -> None:
        """Deliver what is left while there is time, then say goodbye."""
        deadline = _monotonic() + LEFTOVERS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while self._link.up and (self._link.waiting or self._drain.ready()):
                    self._wake.clear()
                    await self._settle()
                    await self._fill()
                    if self._link.waiting:
                        await self._sleep(deadline)
        if not self._link.up:
            return
        last = self._notices.farewell("stopped", self._drain.room)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                while last in self._link.waiting:
                    self._wake.clear()
                    await self._wake.wait()
        await self._settle()
        self._link.close()

    async def _sleep(self, until: float) -> None:
        """Wait for something to do, at most *until* [s, monotonic]."""
        if self._link.up and not self._link.answers:
            timer = asyncio.get_running_loop().call_at(until, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

    async def _settle(self) -> None:
        """Take the broker's answers, and what follows from them."""
        self._take_all()
        await self._drain.note()

    def _take_all(self) -> None:
        while self._link.answers:
            self._take(self._link.answers.popleft())

    def _take(self, answer: Answer) -> None:
        verdict = judge(answer.code, self._settings.holds_unheard)
        self._refused += verdict is not Verdict.DONE
        if not (self._drain.answer(answer, verdict) or self._replay.answer(answer, verdict)):
            self._notices.answer(answer)

    async def _fill(self) -> None:
        """Send as much as the window allows: what the gateway says of itself, then records."""
        self._notices.send(self._drain.room)
        if self._inbox is not None:
            self._inbox.send(self._drain.room)
        await self._drain.fill(self._take_all)
        if self._drain.room > 0 and not self._drain.ready():
            await self._replay.fill()

    def _say(self, state: str, reason: str) -> None:
        """Note the state, and log it once, not at every attempt."""
        if (state, reason) == (self._state, self._reason):
            return
        where = f"{self._settings.host}:{self._settings.port}" if self._settings.port else self._settings.host
        if state == "connected":
            _log.info("connected to the broker %s", where)
        else:
            _log.warning("no connection to the broker %s: %s", where, reason)
        if state != self._state:
            self._since = self._now().time
        self._state, self._reason = state, reason


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
