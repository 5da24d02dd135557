"""The end of what was given for a time, which must outlive a restart and a clock that is set."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from gateway.clock import Instant


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

    def again(self, boot: str, at: Instant) -> "Until":
        """Return the same end, which was set in *boot*, as it is now."""
        return self if boot == at.boot else Until.at(self.time, at)

    def __str__(self) -> str:
        return clock_time(self.time)


def clock_time(time: float) -> str:
    """Return a time [s, Unix] as people and programs read it, to the second (UTC)."""
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"the second {time:g}"
