"""How far one lane has come: what is sent, what the broker answered, and what follows from it."""

from dataclasses import dataclass, field
from enum import Enum

from gateway import reading
from gateway.mqtt.backoff import Backoff

NO_SUBSCRIBER = 0x10
PACKET_TOO_LARGE = 0x95
PAYLOAD_FORMAT_INVALID = 0x99
ERRORS = 0x80
"""Reason codes of PUBACK (MQTT 5.0, 3.4.2.1) and DISCONNECT (3.14.2.1); from ERRORS on, a refusal."""

UNLIMITED = 65535
REFUSED = 8.0
"""Longest pause before a lane that the broker refuses is tried again [s]: one message at a time."""


class Verdict(Enum):
    """What an acknowledgement means for the records in the batch."""

    DONE = "done"  # the broker has them
    KEEP = "keep"  # refused for now: nothing about the records is wrong
    SPLIT = "split"  # refused for what is in them: find the one record


def judge(code: int, hold_unheard: bool) -> Verdict:
    """Return what the PUBACK reason *code* means. *hold_unheard*: keep what no subscriber would get.

    Only 0x95 and 0x99 speak of the content. 0x90 (topic name invalid) does not: a lane has one topic,
    so giving up record after record would empty the store for a mistake in the configuration.
    """
    if code == NO_SUBSCRIBER:
        return Verdict.KEEP if hold_unheard else Verdict.DONE
    if code in (PACKET_TOO_LARGE, PAYLOAD_FORMAT_INVALID):
        return Verdict.SPLIT
    return Verdict.KEEP if code >= ERRORS else Verdict.DONE


@dataclass
class Lane:
    """One lane on its way to the broker. Pure: time and answers come in, decisions go out.

    *cursor*: everything up to it is delivered or dropped. *batch*: most records in one message.
    After a refusal nothing is sent until all answers are in and the back-off is over; then sending
    begins again behind the cursor, one message at a time, until one is accepted.
    """

    name: reading.Lane
    cursor: int
    batch: int
    backoff: Backoff = field(default_factory=Backoff)
    refusal: str = ""
    """Why the broker refuses this lane now; empty when it does not."""
    limit: int = field(init=False)
    """Most records that the next message may have."""
    sent: int = field(init=False)
    """The last number that was sent since the last rewind."""
    condemned: int | None = None
    """The record that is being given up; nothing is sent until it is."""
    resume: float = 0.0
    """Send nothing before this moment [s, monotonic]."""
    _flight: dict[int, tuple[int, int]] = field(default_factory=dict)  # message id: first, last
    _refused: int | None = None  # the first number of the lowest refused batch
    _gone: set[int] = field(default_factory=set)  # given up, ahead of the cursor

    def __post_init__(self) -> None:
        self.limit, self.sent = self.batch, self.cursor

    def allowed(self, now: float) -> int:
        """Return how many more messages may be sent at this moment."""
        if self._refused is not None or self.condemned is not None or now < self.resume:
            return 0
        return 1 - len(self._flight) if self.refusal else UNLIMITED

    def send(self, mid: int, first: int, last: int) -> None:
        """Note that *first* to *last* are on their way as message *mid*."""
        self._flight[mid] = (first, last)
        self.sent = last

    def holds(self, mid: int) -> bool:
        """Whether message *mid* is one of this lane's."""
        return mid in self._flight

    def answer(self, mid: int, verdict: Verdict, reason: str, now: float) -> None:
        """Take the broker's answer to *mid*. `condemned` is then the record to give up, if there is one."""
        first, last = self._flight.pop(mid)
        if verdict is Verdict.DONE:
            self._accepted()
        else:
            self._refused = min(first, self._refused or first)
            if verdict is Verdict.KEEP:
                self._pause(reason, now, REFUSED)
            elif first == last:
                self.condemn(first, reason, now)
            else:
                self.limit, self.refusal = (last - first + 1) // 2, reason
        self._advance()

    def condemn(self, seq: int, reason: str, now: float) -> None:
        """Give up *seq*. One after another pauses ever longer: a mistaken limit must not empty the store."""
        self.condemned = seq
        self._pause(reason, now)

    def passed(self, seq: int) -> None:
        """The outbox has given up *seq*: go on behind it."""
        self.condemned = None
        self._gone.add(seq)
        self._skip()

    def cut_off(self) -> None:
        """The connection broke before anything was acknowledged: try less at once."""
        if self._flight:
            self.limit = max(1, self.limit // 2)

    def restart(self, cursor: int) -> None:
        """Go on behind *cursor*, earlier or later than now: what is on its way counts no more."""
        self.cursor = cursor
        self.rewind()

    def rewind(self) -> None:
        """Forget what is on its way: it is sent again from the cursor."""
        self._flight.clear()
        self._refused = None
        self.sent = self.cursor
        self._skip()

    def _skip(self) -> None:
        """Pass over what was given up, once it is next: the outbox will not give it again."""
        while self.sent + 1 in self._gone and not self._flight and self._refused is None:
            self.sent = self.cursor = self.sent + 1
        self._gone = {seq for seq in self._gone if seq > self.cursor}

    def _accepted(self) -> None:
        if self._refused is None:  # else it was on its way when another was refused, and proves nothing
            self.limit = min(self.batch, self.limit * 2)
            self.refusal = ""
            self.backoff.reset()

    def _pause(self, reason: str, now: float, longest: float | None = None) -> None:
        if now >= self.resume:  # several refusals of one window are one failure
            self.resume = now + self.backoff.pause(longest)
        self.refusal = reason

    def _advance(self) -> None:
        oldest = next(iter(self._flight.values()))[0] if self._flight else self.sent + 1
        self.cursor = min(oldest, self._refused or oldest) - 1
        if self._refused is not None and not self._flight:
            self.rewind()
        self._skip()
