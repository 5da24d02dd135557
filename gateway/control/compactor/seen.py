"""What the press is set to, and what it sees."""

import math
from dataclasses import dataclass, fields

from gateway.control.guard import Verdict
from gateway.reading import Input

MARGIN = 5.0
"""Seconds beyond the longest stroke after which the guard ends it, whatever the machine believes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a stroke may take. Times in seconds, currents in ampere, voltages in volt, fill in %.

    *warning*: the buzzer before anything moves; *press*, *back*: the longest way down and home; *dead_time*:
    standing between the two; *limit*: the current that ends pressing, and on the way home is a fault; *idle*:
    above it current flows; *inrush*: in which the current says nothing; *leave*: in which a plate leaves the
    end that it was at; *floor*: the least battery to begin with; *full*: what is full after a stroke;
    *emptied*: below it the bin was emptied; *settle*, *measure*: before, and for, the fill after a stroke;
    *max_age*: the greatest age of what a moving plate depends on.

    Raises ValueError for what can never work.
    """

    limit: float
    warning: float = 3.0
    press: float = 10.0
    back: float = 15.0
    dead_time: float = 1.0
    idle: float = 0.3
    inrush: float = 0.5
    leave: float = 2.0
    floor: float | None = None
    full: float = 80.0
    emptied: float = 30.0
    settle: float = 1.0
    measure: float = 15.0
    max_age: float = 2.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{each.name} must be above 0, not {value!r}")
        if not self.idle < self.limit:
            raise ValueError("idle is a current that does not move the motor: it must be below limit")
        if not self.emptied < self.full <= 100:
            raise ValueError("emptied must be below full, and full at most 100 %")
        if not self.leave < min(self.press, self.back):
            raise ValueError("leave is the beginning of a way: it must be shorter than press and back")
        if not self.inrush < min(self.press, self.back):
            raise ValueError("inrush is the beginning of a way: it must be shorter than press and back")

    @property
    def whole(self) -> float:
        """The longest that a stroke may take, with its warning [s]."""
        return self.warning + self.press + self.dead_time + self.back + MARGIN


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known at one moment: both ends' switches, the motor's current, the battery, the fill."""

    home: Input
    current: Input
    end: Input | None = None
    battery: Input | None = None
    fill: Input | None = None

    @property
    def watched(self) -> tuple[Input, ...]:
        """What a plate that moves depends on."""
        return (self.home, self.current, *([self.end] if self.end else []))

    @property
    def verdict(self) -> Verdict:
        """All of it, for a decision."""
        more = [each for each in (self.battery, self.fill) if each]
        return Verdict(inputs=(*self.watched, *more))

    @property
    def both_ends(self) -> bool:
        """Whether the plate would be at both ends."""
        return self.home.value is True and self.end_made

    @property
    def end_made(self) -> bool:
        """Whether it is known to be at its far end."""
        return self.end is not None and self.end.value is True

    def within(self, age: float) -> "Seen":
        """Return the same, in which nothing but the fill is known that is older than *age* [s]."""
        end, battery = self.end and young(self.end, age), self.battery and young(self.battery, age)
        return Seen(young(self.home, age), young(self.current, age), end, battery, self.fill)


def young(given: Input, age: float) -> Input:
    """Return *given*, not known if it is older than *age* [s]."""
    if given.value is None or (given.age is not None and given.age <= age):
        return given
    old = "its age is not known" if given.age is None else f"last seen {given.age:.1f} s ago, limit {age:g} s"
    return Input(given.name, None, given.age, old)


def number(given: Input | None) -> float | None:
    """Return the value as a number, None when it is not known."""
    return None if given is None or given.value is None else float(given.value)


def amperes(seen: Seen) -> float | None:
    """Return how much current flows, in either direction; None when that is not known."""
    current = number(seen.current)
    return None if current is None else abs(current)


def dated(given: Input | None, now: float) -> float | None:
    """Return when [s] *given* was measured."""
    return None if given is None or given.value is None or given.age is None else now - given.age


def unknown(inputs: tuple[Input, ...]) -> list[str]:
    """Return why each that is not known is not."""
    return [
        f"{each.name} is not known: {each.reason or 'never seen'}" for each in inputs if each.value is None
    ]
