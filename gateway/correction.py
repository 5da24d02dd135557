"""The right time of what was recorded before the clock of a boot was first synchronised.

No record is ever changed: a number in the log means one text for good. When the clock of a boot is
synchronised for the first time, the gateway records an event that says what the monotonic clock is in wall
time. With it whoever reads the log gives the records before it their right time; here is how.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

from gateway.clock import Instant, Quality

SYNCHRONIZED = "lamppost.clock.synchronized"
"""The type of the event."""

EDGE = 2.0
"""Seconds before a change of the clock was noticed in which records may be of either side of it."""

STEPS = 64
"""Times that a clock may be set in a boot before it is synchronised; the gateway names the last of them."""

BOOTS = 10_000
"""Boots of which corrections are known at a time."""

_LATEST = 1e11
"""A time [s, Unix] beyond which there is no calendar, only damage."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What is known of a boot since its clock was first synchronised.

    *offset* is wall time less monotonic time [s] since then. *before* is what it was until then: pairs of a
    monotonic time [s], rising, and the offset up to it. The last of them is where early records end.
    """

    offset: float
    before: tuple[tuple[float, float], ...]

    @property
    def until(self) -> float:
        """The monotonic time [s] up to which records are to be corrected."""
        return self.before[-1][0]

    def time(self, time: float, mono: float) -> float:
        """Return the right time [s, Unix] of an early record that says *time* and *mono*.

        It moves with the clock that it was taken by: what a derived reading tells is older than its *mono*.
        Just before a change was noticed that may be the one or the other clock: the nearer one counts.
        """
        place = next(n for n, (until, _) in enumerate(self.before) if mono <= until)
        until, was = self.before[place]
        following = self.before[place + 1][1] if place + 1 < len(self.before) else self.offset
        shown = time - mono
        if mono > until - EDGE and abs(shown - following) < abs(shown - was):
            was = following
        return time + self.offset - was


class Corrections:
    """The corrections of any number of boots. Give it every event; then ask it for records."""

    def __init__(self) -> None:
        self._boots: dict[str, Correction] = {}

    def __bool__(self) -> bool:
        return bool(self._boots)

    def take(self, record: Mapping[str, Any]) -> bool:
        """Take a record of the events lane, whatever it is; tell whether it corrects a boot.

        The first such event of a boot counts: the first synchronisation says how wrong the clock was.
        """
        if record.get("kind") != "event" or record.get("type") != SYNCHRONIZED:
            return False
        data, boot = record.get("data"), record.get("boot")
        if not isinstance(data, Mapping) or not isinstance(boot, str) or boot in self._boots:
            return False
        found = _correction(data)
        if found is None or len(self._boots) >= BOOTS:
            return False
        self._boots[boot] = found
        return True

    def boots(self) -> list[str]:
        """Return the boots that have early records to be corrected."""
        return list(self._boots)

    def instant(self, time: float, mono: float, boot: str, clock: Quality) -> Instant:
        """Return the instant of a record that says this, corrected where that can be."""
        known = self._boots.get(boot) if clock is Quality.UNSYNCHRONIZED else None
        if known is None or mono > known.until:
            return Instant(time, mono, boot, clock)
        return Instant(known.time(time, mono), mono, boot, Quality.CORRECTED)

    def corrected(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *record* with its right time and `"clock": "corrected"`; itself where it is right."""
        if not self._boots or record.get("clock") != Quality.UNSYNCHRONIZED:
            return record
        time, mono, boot = record.get("time"), record.get("mono"), record.get("boot")
        if not _number(time) or not _number(mono) or not isinstance(boot, str):
            return record
        at = self.instant(float(time), float(mono), boot, Quality.UNSYNCHRONIZED)
        if at.clock is not Quality.CORRECTED:
            return record
        return {**record, "time": round(at.time, 6), "clock": str(at.clock)}


def _correction(data: Mapping[str, Any]) -> Correction | None:
    """Return what the event's data say; None where they are not of that shape."""
    offset, before = data.get("offset"), data.get("before")
    if not _number(offset) or not isinstance(before, list) or not 0 < len(before) <= STEPS:
        return None
    if not all(isinstance(each, list) and len(each) == 2 and all(map(_number, each)) for each in before):
        return None
    pairs = tuple((float(until), float(was)) for until, was in before)
    if any(one[0] >= other[0] for one, other in pairwise(pairs)):
        return None
    return Correction(float(offset), pairs)


def _number(found: Any) -> TypeGuard[float]:
    return isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < _LATEST
