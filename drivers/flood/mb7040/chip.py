"""An emulated MB7040, from MaxBotix datasheets PD11502h and PD11848k."""

from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_PART_INFO = b"\x01\x0b"
_SOUND = 344.0  # metres a second; the part assumes air of about 21 degrees


class Emulated:
    """An MB7040 over a surface that is *distance* metres away.

    Faults: *code* is answered in place of each range (an error such as 0x8014); *hung* never comes back
    from a ranging; *blind* hears no echo; *slow* seconds are added to each ranging.
    """

    spans: Mapping[Quantity, Span] = {Quantity.DISTANCE: Span(0.20, 7.64, 0.01)}

    def __init__(self, clock: Clock, distance: float = 3.0) -> None:
        self._clock = clock
        self._distance = distance
        self.code: int | None = None
        self.hung = False
        self.blind = False
        self.slow = 0.0
        self.rangings = 0
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Move the surface; the next ranging shows it."""
        if quantity is not Quantity.DISTANCE:
            raise ValueError(f"an MB7040 measures no {quantity}")
        self._distance = value

    def power_cycle(self) -> None:
        """Forget the last range: until the next one the part answers with two bytes of part information."""
        self._answer = _PART_INFO
        self._busy_until = self._clock.monotonic()

    def transfer(self, write: bytes, read: int) -> bytes:
        """Range, or report the last range. It does not listen while it ranges (page 2, pin 2)."""
        if self._clock.monotonic() < self._busy_until:
            raise NoAcknowledge("the part is ranging")
        if write == b"\x51":
            self._begin()
            if read:
                raise NoAcknowledge("the part ranges from the command on: read it later")
        elif write:
            raise BusError(f"{write.hex()} is no command of an MB7040 that this gateway may give")
        if read > 2:
            raise BusError("an MB7040 has two bytes to give")
        return self._answer[:read]

    def _begin(self) -> None:
        self.rangings += 1
        centimetres = 765 if self.blind else min(765, max(20, round(self._distance * 100)))
        self._answer = (centimetres if self.code is None else self.code & 0xFFFF).to_bytes(2)
        flight = 2 * centimetres / 100 / _SOUND
        self._busy_until = float("inf") if self.hung else self._clock.monotonic() + 0.02 + flight + self.slow
