"""The end of what was given for a time, which must outlive a restart and a clock that is set."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Self

from gateway.clock import Instant, Quality


@dataclass(frozen=True, slots=True)
class Until:
    """An end: at *time* [s, Unix] by the wall clock, at *mono* [s] by the monotonic one.

    The end of a *span* comes by the monotonic clock alone: a minute for a veto is a minute, whatever is done
    to the wall clock in it. Any other comes by whichever is first, so a clock that is set back lends nobody
    more time. Belongs to one boot: `again` takes it to the next.
    """

    time: float
    mono: float
    span: bool = False

    @classmethod
    def after(cls, seconds: float, at: Instant) -> Self:
        """Return the end *seconds* after *at*."""
        return cls(at.time + seconds, at.mono + seconds, span=True)

    @classmethod
    def at(cls, time: float, at: Instant) -> Self:
        """Return the end at *time* [s, Unix], as seen at *at*."""
        return cls(time, at.mono + max(0.0, time - at.time))

    def left(self, at: Instant) -> float:
        """Return the seconds until then, 0 or less when it is over."""
        left = self.mono - at.mono
        return left if self.span else min(self.time - at.time, left)

    def again(self, kept: Instant, at: Instant) -> "Until":
        """Return the same end, which was kept at *kept*, as it is now: never with more left than then.

        A clock that comes up behind the time would lend more, for years where it begins in 1970.
        """
        if kept.boot == at.boot:
            return self
        left = self.left(kept) - (slept(kept, at) or 0.0)
        return replace(self, mono=at.mono + max(0.0, left))

    def __str__(self) -> str:
        return clock_time(self.time)


def slept(kept: Instant, at: Instant) -> float | None:
    """Return the seconds from *kept* to *at*, which may be of another boot; None where no clock knows."""
    if kept.boot == at.boot != "unknown":
        return max(0.0, at.mono - kept.mono)
    gone = at.time - kept.time
    return gone if kept.clock is at.clock is Quality.SYNCHRONIZED and gone >= 0 else None


def clock_time(time: float) -> str:
    """Return a time [s, Unix] as people and programs read it, to the second (UTC)."""
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"the second {time:g}"
