"""How fast a backlog may go: never the whole street at the same moment, never all that a line can take.

Only readings are paced. Events, and the live state, do not wait for them.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.mqtt.limits import DAY, PAUSE, Limits

SHARE = 0.1
"""How much of an outage's length the random wait after it may be: who was away for a blink is not late."""


@dataclass
class Pace:
    """Says when the next batch of readings may go. Pure: times come in as seconds, monotonic.

    *rate*: records per second. What was not used is saved up for a second, so that what the sensors give
    passes at once; a batch may overdraw it. *jitter*: the longest random wait after an outage [s].
    """

    rate: float
    jitter: float
    chance: Callable[[], float] = random.random
    limits: Limits | None = None
    """What the fleet's operator asks for, while it holds."""
    _until: float = 0.0  # the limits hold
    _hold: float = 0.0  # the random wait after an outage
    _pause: float = 0.0  # the operator's pause ends
    _paused: float = field(default=float("-inf"))  # when the first pause of a day began
    _spent: float = 0.0  # records that were sent and not earned yet
    _counted: float = 0.0  # when that was

    def outage(self, lasted: float, now: float) -> None:
        """A connection is there again after *lasted* seconds without one."""
        self._expire(now)
        most = max(self.jitter, self.limits.jitter or 0.0) if self.limits else self.jitter
        self._hold = now + self.chance() * min(most, SHARE * lasted)

    def obey(self, limits: Limits | None, wall: float, now: float) -> None:
        """Take what the operator asks for, heard at *wall* time [s, Unix].

        It holds for a day at most, and all pauses of a day for an hour, whatever the message says.
        """
        self._earn(now)
        self.limits, self._pause = limits, 0.0
        if limits is None:
            return
        self._until = now + min(limits.until - wall, DAY)
        self._expire(now)
        if self.limits is None or limits.pause_until is None or limits.pause_until <= wall:
            return
        if now >= self._paused + DAY:
            self._paused = now
        self._pause = min(now + limits.pause_until - wall, self._paused + PAUSE, self._until)

    def resume(self, now: float) -> float:
        """Return from when on a batch may go: not later than *now* if one may."""
        self._earn(now)
        debt = self._spent - self._rate
        return max(self._hold, self._pause, now + debt / self._rate if debt > 0 else now)

    def spend(self, records: int, now: float) -> None:
        """Take note of a batch that goes now."""
        self._earn(now)
        self._spent += records

    def paused(self, now: float) -> float:
        """Return how long the operator's pause still lasts [s]."""
        return max(0.0, self._pause - now)

    @property
    def _rate(self) -> float:
        asked = self.limits.rate if self.limits else None
        return self.rate if asked is None else min(self.rate, asked)

    def _earn(self, now: float) -> None:
        self._spent = max(0.0, self._spent - (now - self._counted) * self._rate)
        self._counted = now
        self._expire(now)

    def _expire(self, now: float) -> None:
        if self.limits is not None and now >= self._until:
            self.limits = None
