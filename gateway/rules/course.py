"""The course of one rule over time: its phase, and how long it has been blind. Moments in monotonic ns."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where a rule stands."""

    INACTIVE = "inactive"
    PENDING = "pending"  # `when` holds, and has not yet held for long enough
    FIRING = "firing"
    EXPIRED = "expired"  # its last day is over: it does not act


@dataclass(slots=True)
class Course:
    """The phase of one rule; *wait* and *hold* in ns as well."""

    wait: int
    hold: int
    since: int
    phase: Phase = Phase.INACTIVE

    def advance(self, start: bool, stop: bool, now: int, patient: bool = False) -> bool | None:
        """Go on to *now*; return True where it begins to fire, False where it ends, else None.

        *start* and *stop* are what is KNOWN: an unknown condition is neither. It cancels a wait, unless the
        rule is *patient* with it, and ends nothing.
        """
        if self.phase is Phase.FIRING:
            return self.end(now) if stop and now - self.since >= self.hold else None
        if not start:
            if not patient:
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

    def due(self, now: int) -> int | None:
        """Return the moment after *now* at which a time runs out: that of waiting, or of holding on."""
        if self.phase is Phase.INACTIVE or self.phase is Phase.EXPIRED:
            return None
        moment = self.since + (self.hold if self.phase is Phase.FIRING else self.wait)
        return moment if moment > now else None

    def _to(self, phase: Phase, now: int) -> None:
        if phase is not self.phase:
            self.phase, self.since = phase, now


@dataclass(slots=True)
class Sight:
    """Whether a rule can know its condition, and whether it has been *told* that it cannot."""

    patience: int
    since: int | None = None
    told: bool = False

    def look(self, knows: bool, now: int) -> bool | None:
        """Go on to *now*; return False where blindness is to be told, True where it is over, else None."""
        if knows:
            told, self.since, self.told = self.told, None, False
            return True if told else None
        if self.since is None:
            self.since = now
        if self.told or now - self.since < self.patience:
            return None
        self.told = True
        return False

    @property
    def clear(self) -> bool:
        """Whether nothing is or was wrong."""
        return self.since is None and not self.told

    @property
    def due(self) -> int | None:
        """When blindness that lasts is to be told."""
        return None if self.since is None or self.told else self.since + self.patience
