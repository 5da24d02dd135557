"""A reed contact between a line and ground, with bounce, and with a wire that can be cut."""

from collections.abc import Mapping, Sequence

from drivers.device import Clock, Quantity
from drivers.emulated import EmulatedPins, Span

_TWO = Span(0.0, 1.0, 1.0)


class Emulated:
    """One contact on *line*; *active_low* when making it pulls the line to ground.

    Faults as data: `bounce` (seconds between the levels of one movement), `cut()` (the wire: the pull-up
    wins), `stuck` (the contact no longer moves).
    """

    spans: Mapping[Quantity, Span] = {
        Quantity.CLOSED: _TWO,
        Quantity.WET: _TWO,
        Quantity.ACTIVE: _TWO,
    }

    def __init__(self, pins: EmulatedPins, line: int, active_low: bool = True) -> None:
        self._pins = pins
        self._line = line
        self._active_low = active_low
        self._made = False
        self._whole = True
        self.bounce: Sequence[float] = ()
        self.stuck = False
        self._show()

    @property
    def made(self) -> bool:
        """Whether the contact is made, as the world sees it."""
        return self._made

    def set(self, quantity: Quantity, value: float) -> None:
        """Make (1) or break (0) the contact at once, without bounce."""
        if quantity not in self.spans:
            raise ValueError(f"a contact does not know {quantity}")
        if not self.stuck:
            self._made = value >= 0.5
        self._show()

    async def move(self, clock: Clock, value: float) -> None:
        """Make or break the contact as a real one does: each pause of `bounce` ends in the other level."""
        wanted = value >= 0.5
        for number, pause in enumerate(self.bounce):
            self.set(Quantity.CLOSED, wanted != bool(number & 1))
            await clock.sleep(pause)
        self.set(Quantity.CLOSED, wanted)

    def cut(self) -> None:
        """Cut the wire."""
        self._whole = False
        self._show()

    def _show(self) -> None:
        self._pins.set(self._line, not self._whole or self._made != self._active_low)
