"""Which window a time belongs to: one that slides, or each period of a day in some zone."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Protocol

SECOND = 1_000_000
"""Microseconds in a second: the resolution of time, that of a record."""

HOUR = 3600.0
DAY = 86_400.0


class Frame(Protocol):
    """Which window a time belongs to. Bounds and times are whole microseconds (Unix)."""

    @property
    def longest(self) -> int:
        """The longest that a window can be [µs]."""
        ...

    @property
    def closes(self) -> bool:
        """Whether a window ends and another begins, rather than slide."""
        ...

    def bounds(self, time: int) -> tuple[int, int]:
        """Return the first instant of the window whose newest time is *time*, and the first after it."""
        ...


@dataclass(frozen=True, slots=True)
class Sliding:
    """The last *span* [s] up to the newest time: older than it by *span* is out. Raises ValueError."""

    span: float
    longest: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0.001 <= self.span <= 400 * DAY:
            raise ValueError(f"a window spans 1 ms to 400 days, not {self.span:g} s")
        object.__setattr__(self, "longest", round(self.span * SECOND))

    @property
    def closes(self) -> bool:
        return False

    def bounds(self, time: int) -> tuple[int, int]:
        return time - self.longest + 1, time + 1


@dataclass(frozen=True, slots=True)
class Aligned:
    """Each *period* [s] of the day in *zone*, from its first instant until before the next one's.

    *period* is DAY or divides an hour. A local day has 23 or 25 hours (24.5 on Lord Howe Island) when the
    clocks change, and begins at its first midnight, or at the end of the gap where there is none. Periods
    count from there in elapsed time; in a zone that changes by half an hour the day's last is cut short.
    Raises ValueError for another period.
    """

    period: float = HOUR
    zone: tzinfo = UTC

    def __post_init__(self) -> None:
        if self.period != DAY and not (self.period >= 1.0 and HOUR % self.period == 0.0):
            raise ValueError(f"an aligned window is a day or divides an hour; {self.period:g} s does not")

    @property
    def longest(self) -> int:
        return round((DAY + HOUR if self.period == DAY else self.period) * SECOND)

    @property
    def closes(self) -> bool:
        return True

    def bounds(self, time: int) -> tuple[int, int]:
        today = datetime.fromtimestamp(time // SECOND, self.zone).date()
        first, after = self._midnight(today), self._midnight(today + timedelta(days=1))
        if self.period == DAY:
            return first, after
        step = round(self.period * SECOND)
        start = first + (time - first) // step * step
        return start, min(start + step, after)

    def _midnight(self, day: date) -> int:
        return round(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()) * SECOND
