"""A press behind an H bridge without a lock of its own: a plate that moves, and transistors that can burn."""

from collections.abc import Mapping

from drivers.device import Quantity
from drivers.emulated import EmulatedPins, Span

_STROKE = 4.0  # s from one end to the other


class Emulated:
    """A bridge with its inputs at *line* (press) and *reverse* (return), both held off by resistors.

    It sees the lines each time that somebody uses the header. `burnt`: both inputs drove at once, ever.
    `turnaround`: the shortest time between two directions so far [s]. `position`: of the plate, 0 to 1.

    Faults: `welded` (1 or -1: the motor is driven that way whatever the lines say), `stalled` (the plate does
    not move). A short of a line is the header's: see EmulatedPins.levels.
    """

    spans: Mapping[Quantity, Span] = {Quantity.ON: Span(0.0, 1.0, 1.0)}

    def __init__(self, pins: EmulatedPins, line: int, reverse: int = 21, active_high: bool = True) -> None:
        self._pins, self._lines, self._active_high = pins, (line, reverse), active_high
        self._before = pins.before
        pins.before = self.look
        self._logged = pins.logged
        self._inputs = [False, False]
        self._drove, self._until = 0, float("-inf")
        self._seen_at = pins.clock.monotonic()
        self.welded, self.stalled, self.burnt = 0, False, False
        self.turnaround = float("inf")
        self.position = 0.0

    @property
    def drive(self) -> int:
        """1 while it presses, -1 while it returns, 0 while it stands."""
        self.look()
        return self.welded or self._inputs[0] - self._inputs[1]

    def set(self, quantity: Quantity, value: float) -> None:
        """Refuse: the world does not move a press, but it may weld or stall it."""
        raise ValueError("only the gateway moves a press; set `welded` or `stalled`")

    def look(self) -> None:
        """Bring bridge and plate up to now: what was written since the last look was written then."""
        self._before()
        for line, what, high in self._pins.since(self._logged):
            if line in self._lines and what in ("level", "output") and line in self._pins.outputs:
                self._inputs[self._lines.index(line)] = high == self._active_high
                self._switch(self._seen_at)
        self._logged = self._pins.logged
        now = self._pins.clock.monotonic()
        self._move(now - self._seen_at)
        self._seen_at = now
        for at, line in enumerate(self._lines):
            if line not in self._pins.outputs:
                self._inputs[at] = False

    def _switch(self, now: float) -> None:
        """Follow the inputs: a bridge burns when both drive, and notes how soon it was turned round."""
        self.burnt = self.burnt or all(self._inputs)
        drive = self._inputs[0] - self._inputs[1]
        if drive and drive == -self._drove:
            self.turnaround = min(self.turnaround, now - self._until)
        if drive:
            self._drove, self._until = drive, float("inf")
        elif self._drove and self._until == float("inf"):
            self._until = now

    def _move(self, seconds: float) -> None:
        if not self.stalled:
            drive = self.welded or self._inputs[0] - self._inputs[1]
            self.position = min(max(self.position + drive * seconds / _STROKE, 0.0), 1.0)
