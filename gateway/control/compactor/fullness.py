"""What strokes teach of the bin: whether pressing still makes room."""

from dataclasses import dataclass

from gateway.control.compactor.seen import Settings
from gateway.control.compactor.state import ENOUGH


@dataclass(slots=True)
class Fullness:
    """Counts the strokes in a row that left the bin full: *high*, at most ENOUGH."""

    settings: Settings
    high: int = 0

    def __bool__(self) -> bool:
        """Return whether pressing no longer makes room."""
        return self.high >= ENOUGH

    def __str__(self) -> str:
        return f"{ENOUGH} strokes in a row left it {self.settings.full:g} % full or more"

    def look(self, fill: float | None) -> None:
        """Take note of a fill [%] between strokes: below *emptied* the bin was emptied."""
        if fill is not None and fill < self.settings.emptied:
            self.high = 0

    def learn(self, fill: float | None) -> bool:
        """Count what a stroke has left [%]; tell whether the bin is full by that.

        One that nobody could measure counts neither way.
        """
        before = bool(self)
        if fill is not None:
            self.high = min(ENOUGH, self.high + 1) if fill >= self.settings.full else 0
        return bool(self) and not before
