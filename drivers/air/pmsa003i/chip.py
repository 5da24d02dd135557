"""An emulated PMSA003I, from Plantower's data manual "PMSA003I series", version 2.6.

It makes a frame each second. After power it does not answer at first, and then counts nothing until its fan
has moved some air.
"""

from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_MASS, _NUMBER = Span(0.0, 1000.0, 1.0), Span(0.0, 600.0, 0.01)
_WORLD: Mapping[Quantity, tuple[Span, float]] = {
    Quantity.PM1: (_MASS, 6.0),
    Quantity.PM2_5: (_MASS, 9.0),
    Quantity.PM10: (_MASS, 11.0),
    Quantity.NC0_5: (_NUMBER, 11.0),
    Quantity.NC1: (_NUMBER, 14.5),
    Quantity.NC2_5: (_NUMBER, 15.1),
    Quantity.NC10: (_NUMBER, 15.3),
}
_DEAF, _EMPTY = 3.0, 6.0  # seconds after power


class Emulated:
    """A PMSA003I.

    Faults: *error* is the error code that it sends; *header* is what its frames begin with; *corrupt* is the
    number of next frames with a flipped bit; *stuck* makes no new frame; *upset* lets the particles that are
    larger than half a micrometre be more than all. *coarse* is how many are larger than 10 micrometres.
    """

    spans: Mapping[Quantity, Span] = {quantity: span for quantity, (span, _) in _WORLD.items()}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._world = {quantity: value for quantity, (_, value) in _WORLD.items()}
        self.version, self.error = 0x97, 0
        self.header = b"\x42\x4d\x00\x1c"
        self.corrupt = 0
        self.coarse = 1
        self.stuck = self.upset = False
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into air of *value*; the next frame shows it."""
        self._advance()
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Start anew: silent, then empty."""
        self._powered = self._clock.monotonic()
        self._frames = 0
        self._words = [0] * 12

    def transfer(self, write: bytes, read: int) -> bytes:
        """Give the newest frame, from the register that *write* names or from the first."""
        if self._clock.monotonic() < self._powered + _DEAF:
            raise NoAcknowledge("the part is still starting")
        if len(write) > 1 or write > b"\x1f":
            raise BusError("a PMSA003I has 32 registers, and none to write")
        self._advance()
        frame = self._frame()
        if self.corrupt and read:
            self.corrupt -= 1
            frame[9] ^= 0x04
        start = write[0] if write else 0
        return bytes(frame[start : start + read]).ljust(read, b"\xff")

    def _frame(self) -> bytearray:
        frame = bytearray(self.header)
        for word in self._words:
            frame += word.to_bytes(2)
        frame += bytes([self.version, self.error])
        return frame + sum(frame).to_bytes(2)

    def _advance(self) -> None:
        """Make the frame that is due, if one is."""
        passed = self._clock.monotonic() - self._powered
        if passed < _EMPTY or self.stuck:
            return
        if int(passed) > self._frames:
            self._frames = int(passed)
            self._words = self._look()

    def _look(self) -> list[int]:
        """Count what is larger than each size, in 100 cm3, so that the differences are the world's."""
        masses = [min(0xFFFF, round(self._world[q])) for q in (Quantity.PM1, Quantity.PM2_5, Quantity.PM10)]
        factory = [mass if mass < 30 else round(mass * 1.5) for mass in masses]
        numbers = (Quantity.NC0_5, Quantity.NC1, Quantity.NC2_5, Quantity.NC10)
        below = [round(self._world[quantity] * 100) for quantity in numbers]
        every = max(below) + self.coarse
        half, one, two, ten = (every - count for count in below)
        half = every + 1 if self.upset else half
        return [*factory, *masses, every, half, one, two, (two + ten) // 2, ten]
