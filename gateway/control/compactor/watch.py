"""What cannot be while all is well: both ends at once, current without a drive, a drive without current."""

from dataclasses import dataclass, field

from gateway.control.compactor.seen import Seen, Settings, amperes, dated
from gateway.control.compactor.state import Kind, Twice

CALM = 0.5  # [s] after the motor was let go, in which its current may still flow

Wrong = tuple[Kind, str]


@dataclass(slots=True)
class Watch:
    """Knows since when the motor stands or is driven [s], and looks at its current.

    *rests* is None while it is not known to stand.
    """

    settings: Settings
    rests: float | None = None
    drives: float = 0.0
    _welded: Twice = field(default_factory=Twice)
    _dead: Twice = field(default_factory=Twice)

    def driven(self, now: float) -> None:
        """Note that the motor is driven from now on."""
        self.rests, self.drives, self._dead.first = None, now, None

    def let_go(self, now: float) -> None:
        """Note that it is known to stand."""
        if self.rests is None:
            self.rests, self._welded.first = now, None

    def calm(self, now: float, seen: Seen) -> bool:
        """Return whether the current was measured long enough after the motor was let go to mean anything."""
        at = dated(seen.current, now)
        return self.rests is not None and (at is None or at >= self.rests + CALM)

    def impossible(self, now: float, seen: Seen) -> Wrong | None:
        """Return what cannot be, in whatever phase."""
        if seen.both_ends and seen.end is not None:
            return (
                Kind.SWITCHES,
                f"{seen.home.name} and {seen.end.name} are both made: no plate is at both ends",
            )
        at, current = dated(seen.current, now), amperes(seen)
        flows = current is not None and current > self.settings.idle
        if self._welded.says(at, flows and self.calm(now, seen)):
            said = f"{current or 0.0:.1f} A flow although nothing drives the motor"
            return Kind.WELDED, f"{said}: a relay or a transistor is welded; cut its power by hand"
        return None

    def dead(self, now: float, seen: Seen) -> Wrong | None:
        """Return that a motor which is driven draws nothing."""
        at, current = dated(seen.current, now), amperes(seen)
        meant = at is not None and at >= self.drives + self.settings.inrush
        if self._dead.says(at, meant and current is not None and current <= self.settings.idle):
            said = f"the motor is driven and draws {current or 0.0:.1f} A"
            return Kind.DEAD, f"{said}: something else has cut it off, or it is broken"
        return None

    def load(self, now: float, seen: Seen) -> float:
        """Return the current of the motor that is driven, 0 within its inrush [A]."""
        at, current = dated(seen.current, now), amperes(seen)
        if at is None or current is None or at < self.drives + self.settings.inrush:
            return 0.0
        return current
