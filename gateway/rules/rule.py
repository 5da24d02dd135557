"""A rule as it is carried out, checked, and the phases that it goes through."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from gateway.reading import Command, Mode
from gateway.rules.evaluate import Expression


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a file. Two are equal when they say the same, whatever else their files hold.

    Fires when *when* has held for *wait* seconds; ends when *clear* holds, or without one when *when* does
    not. *expires* is the last day (UTC) on which it acts; *digest* the SHA-256 of its file.
    """

    id: str
    version: int
    says: str
    owner: str
    expires: date
    when: Expression
    commands: tuple[Command, ...]
    clear: Expression | None = None
    wait: float = 0.0
    mode: Mode = Mode.SHADOW
    digest: str = field(default="", compare=False)

    @property
    def conditions(self) -> tuple[Expression, ...]:
        """`when`, and `clear` if there is one."""
        return (self.when,) if self.clear is None else (self.when, self.clear)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that the conditions look at, in order of appearance."""
        return tuple(dict.fromkeys(name for part in self.conditions for name in part.names))


class Phase(StrEnum):
    """Where a rule stands."""

    INACTIVE = "inactive"
    PENDING = "pending"  # `when` holds, and has not yet held for long enough
    FIRING = "firing"
    EXPIRED = "expired"  # its last day is over: it does not act


@dataclass(slots=True)
class Course:
    """The phase of one rule over time; all moments in monotonic ns, *wait* as well."""

    wait: int
    since: int
    phase: Phase = Phase.INACTIVE

    def advance(self, start: bool, stop: bool, now: int) -> bool | None:
        """Go on to *now*; return True where it begins to fire, False where it ends, else None.

        Both are what is KNOWN: an unknown condition is neither. It cancels a wait and ends nothing.
        """
        if self.phase is Phase.FIRING:
            return self.end(now) if stop else None
        if not start:
            self._to(Phase.INACTIVE, now)
            return None
        self._to(Phase.PENDING, now)
        if now - self.since < self.wait:
            return None
        self._to(Phase.FIRING, now)
        return True

    def end(self, now: int, phase: Phase = Phase.INACTIVE) -> bool | None:
        """Leave for *phase*; return False if that ended its firing, else None."""
        fired = self.phase is Phase.FIRING
        self._to(phase, now)
        return False if fired else None

    def _to(self, phase: Phase, now: int) -> None:
        if phase is not self.phase:
            self.phase, self.since = phase, now
