"""Where a press stands: its phase, its faults, its stroke; and what of that outlives a restart."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.control import shape
from gateway.control.guard import NOTHING_AGAINST, Verdict
from gateway.reading import Outcome

ENOUGH = 2
"""Strokes in a row that leave the bin full before it counts as full."""

APART = 0.01  # [s] between two readings that count as two


class Phase(StrEnum):
    """What the press is doing."""

    IDLE = "idle"
    WARNING = "warning"  # the buzzer sounds, nothing moves yet
    PRESSING = "pressing"
    TURNING = "turning"  # it stands between the two directions
    RETURNING = "returning"
    MEASURING = "measuring"  # at home: how full is the bin now?
    FAULT = "fault"  # nothing moves until a person resets it


MOVING = (Phase.PRESSING, Phase.TURNING, Phase.RETURNING)
"""The phases in which the plate leaves home or is away from it."""


class Kind(StrEnum):
    """What is wrong. All are latched but the first, which ends when the plate shows itself at home."""

    ADRIFT = "adrift"  # nobody knows where the plate stands: nothing was there to see it get there
    INTERRUPTED = "interrupted"  # it was stopped in mid-stroke
    SWITCHES = "switches"  # the end switches cannot be right
    JAMMED = "jammed"  # it did not come home
    WELDED = "welded"  # current flows although nothing drives the motor
    DEAD = "dead"  # no current flows although the motor is driven
    WIRES = "wires"  # the motor could not be told
    FORGOTTEN = "forgotten"  # what was kept of its past cannot be read


BACK = "back into order"
"""What a press is told whose fault is over, in words."""

STARTED = "it has just been started"
LOST = "the power or the program was lost in the middle of a stroke"


@dataclass(frozen=True, slots=True)
class Note:
    """Something to be written down as a decision (with an *outcome*), and told as an *event*."""

    outcome: Outcome | None
    reasons: tuple[str, ...]
    seen: Verdict = NOTHING_AGAINST
    effect: Mapping[str, Any] | None = None
    event: str = ""
    command: str = "off"


@dataclass(slots=True)
class Stroke:
    """What is known of the stroke that is under way, or was the last. Seconds, ampere, %."""

    homeward: bool = False  # only the way home, after a fault
    ended: str = ""
    pressed: float = 0.0
    returned: float = 0.0
    peak: float = 0.0
    before: float | None = None
    after: float | None = None

    def effect(self) -> dict[str, float]:
        """Return what became of it."""
        pressed = {} if self.homeward else {"pressed": round(self.pressed, 3)}
        return {**pressed, "returned": round(self.returned, 3), "peak": round(self.peak, 3)}


@dataclass(slots=True)
class Twice:
    """What two readings in a row say."""

    first: float | None = None

    def says(self, at: float | None, so: bool) -> bool:
        """Take the reading of time *at* in; return whether it is the second that says so."""
        if not so or at is None:
            self.first = None
            return False
        if self.first is None:
            self.first = at
        return at >= self.first + APART


def saved(stroke: bool, faults: Mapping[Kind, str], high: int) -> dict[str, Any]:
    """Return what must not be forgotten: whether a stroke is under way, what is latched, strokes in vain."""
    latched = {str(kind): text[: shape.LONGEST] for kind, text in faults.items() if kind is not Kind.ADRIFT}
    return {"stroke": stroke, "faults": latched, "high": high}


def restored(kept: object) -> tuple[dict[Kind, str], int]:
    """Return the faults and the strokes in vain of what `saved` gave. Raises ValueError."""
    parts = shape.table(kept, "stroke", "faults", "high")
    faults = {Kind(name): shape.text(text) for name, text in shape.table(parts["faults"]).items()}
    high = shape.number(parts["high"])
    if not isinstance(parts["stroke"], bool) or high not in range(ENOUGH + 1):
        raise ValueError("what was kept is not the state of a press")
    if parts["stroke"]:
        faults[Kind.ADRIFT] = LOST
    return faults, int(high)
