"""When the lorry comes anyway: the planned rounds of a week, by local time."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ROUND = re.compile(r"(daily|mon|tue|wed|thu|fri|sat|sun) ([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Rounds:
    """Weekdays (0 Monday) with the local time of a round each. *zone* is where it is local."""

    all: tuple[tuple[int, time], ...]
    zone: tzinfo = UTC

    def after(self, now: float) -> float | None:
        """Return the next round [s, Unix] after *now* [s, Unix]; None where there are none.

        A time that the clocks leave out counts an hour later, one that they repeat counts the first time.
        """
        today = datetime.fromtimestamp(now, self.zone).date()
        ahead = [today + timedelta(days=days) for days in range(9)]
        times = [
            datetime.combine(day, at, self.zone).timestamp()
            for day in ahead
            for weekday, at in self.all
            if day.weekday() == weekday
        ]
        return min((each for each in times if each > now), default=None)


def rounds(texts: Iterable[str], zone: str | None = None) -> Rounds:
    """Read rounds such as "mon 06:00" or "daily 05:30". Raises ValueError."""
    found = []
    for text in texts:
        match = _ROUND.fullmatch(text.strip().lower())
        if match is None:
            raise ValueError(
                f'a round is a day and a time, such as "mon 06:00" or "daily 05:30", not "{text}"'
            )
        days = range(7) if match[1] == "daily" else [DAYS.index(match[1])]
        found += [(day, time(int(match[2]), int(match[3]))) for day in days]
    return Rounds(tuple(sorted(set(found))), ZoneInfo(zone) if zone else UTC)
