"""How much is written in a day, and how long the card lasts at that."""

import contextlib
from pathlib import Path

DAY, YEAR = 86_400.0, 365.25 * 86_400.0
_EARLY = 600.0  # [s] before which a figure would say more of the start than of the days


class Wear:
    """Counts from its making. *endurance*: bytes that the card's maker promises, over its whole life."""

    def __init__(self, now: float, endurance: int | None) -> None:
        self._began, self._before = now, written()
        self._endurance = endurance

    def status(self, now: float) -> dict[str, float | None]:
        """Return `written` since the start and in a `day` [bytes], and the card's `life` in years.

        None: not known, or not yet. It counts what the whole process hands to the disk; what the file system
        and the card itself write beside it nobody tells.
        """
        total = written()
        if total is None or self._before is None:
            return {"written": None, "day": None, "life": None}
        spent, age = total - self._before, now - self._began
        day = spent / age * DAY if age >= _EARLY else None
        life = self._endurance / day * DAY / YEAR if self._endurance and day else None
        return {"written": spent, "day": day, "life": life}


def written() -> int | None:
    """Return the bytes that this process has handed to disks (proc(5), io: write_bytes)."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(lines["write_bytes"]) - int(lines["cancelled_write_bytes"])
    return None
