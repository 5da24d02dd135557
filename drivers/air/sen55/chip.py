"""An emulated SEN55, from Sensirion's datasheet "SEN5x", version 2 (March 2022).

It samples its world once a second from the start of a measurement, as the real part does, and stops doing so
for ten seconds while its fan cleans itself: by command, and by itself each week of measuring.
"""

from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span
from drivers.sensirion.chip import Interface, spelt, words

_ORDER: Mapping[Quantity, Span] = {
    Quantity.PM1: Span(0.0, 1000.0, 0.1),
    Quantity.PM2_5: Span(0.0, 1000.0, 0.1),
    Quantity.PM4: Span(0.0, 1000.0, 0.1),
    Quantity.PM10: Span(0.0, 1000.0, 0.1),
    Quantity.HUMIDITY: Span(0.0, 100.0, 0.01),
    Quantity.TEMPERATURE: Span(-40.0, 70.0, 0.005),
    Quantity.VOC_INDEX: Span(1.0, 500.0, 0.1),
    Quantity.NOX_INDEX: Span(1.0, 500.0, 0.1),
}
_UNSIGNED = {Quantity.PM1, Quantity.PM2_5, Quantity.PM4, Quantity.PM10}
_WORLD = (6.1, 9.4, 10.2, 10.9, 50.0, 20.0, 100.0, 1.0)
_NOX_DELAY = 10.5  # seconds from power to the first NOx
_STICKY = 0x000000F0
_WEEK = 604800.0

# Command: execution time in seconds, bytes of argument that it may have.
_COMMANDS = {
    0x0021: (0.05, {0}),
    0x0104: (0.2, {0}),
    0x0202: (0.02, {0}),
    0x03C4: (0.02, {0}),
    0x5607: (0.02, {0}),
    0x60B2: (0.02, {0, 9}),
    0xD014: (0.02, {0}),
    0xD033: (0.02, {0}),
    0xD206: (0.02, {0}),
    0xD210: (0.02, {0}),
    0xD304: (0.1, {0}),
}


class Emulated:
    """A SEN55.

    Faults: *name* is what it says it is; *unknown* are quantities that it cannot tell; *errors* and
    *warnings* are what goes wrong while it measures (bits of the status register); *stalled* gives nothing
    new; *forgetful* does not keep the temperature offset; `wires.corrupt` is the number of next answers with
    a wrong CRC. *warmth* is how much warmer the part is than the air, as in a closed box [K].
    """

    spans = _ORDER

    def __init__(self, clock: Clock, name: str = "SEN55", serial: str = "01234567890ABCDEF") -> None:
        self._clock = clock
        self._world = dict(zip(_ORDER, _WORLD, strict=True))
        self.name, self.serial = name, serial
        self.unknown: set[Quantity] = set()
        self.errors = self.warnings = 0
        self.stalled = self.forgetful = False
        self.wires = Interface(clock)
        self.warmth = 0.0
        self.power_cycle()

    @property
    def measuring(self) -> bool:
        """Whether fan, laser and heater run."""
        return self._since is not None

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into air of *value*; the next sample shows it."""
        self._advance()
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Become idle, and forget the offset, the errors, the results and the time of the last cleaning."""
        self._compensation: tuple[int, ...] = (0, 0, 0)
        self._since: float | None = None
        self._samples = 0
        self._ready = False
        self._frame = [0x7FFF if q not in _UNSIGNED else 0xFFFF for q in _ORDER]
        self._seen = 0
        self.wires.occupy(0.0)
        self._powered = self._clock.monotonic()
        self._clean_at = self._powered + _WEEK

    def clean(self) -> None:
        """Begin to clean the fan; a part that does not measure does nothing."""
        if self.measuring:
            self._clean_at, self._ready = self._clock.monotonic(), False

    def transfer(self, write: bytes, read: int) -> bytes:
        """Execute a command, or hand out the answer of the last one. Deaf while it executes."""
        self.wires.listen()
        self._advance()
        return self.wires.exchange(write, read, self._execute)

    def _execute(self, command: int, arguments: bytes) -> None:
        if command not in _COMMANDS:
            raise NoAcknowledge(f"there is no command {command:#06x}")
        duration, sizes = _COMMANDS[command]
        if len(arguments) not in sizes:
            raise BusError(f"command {command:#06x} does not take {len(arguments)} bytes of argument")
        self.wires.occupy(duration)
        self._act(command, arguments)

    def _act(self, command: int, arguments: bytes) -> None:
        match command:
            case 0x0021 if not self.measuring:
                self._since, self._samples = self._clock.monotonic(), 0
            case 0x0104:
                self._since, self._ready = None, False
            case 0x0202:
                self.wires.answer(self._ready)
            case 0x03C4:
                self.wires.answer(*self._frame)
                self._ready = False
            case 0x5607:
                self.clean()
            case 0x60B2 if arguments:
                self._compensation = (0, 0, 0) if self.forgetful else words(arguments)
            case 0x60B2:
                self.wires.answer(*self._compensation)
            case 0xD014 | 0xD033:
                self.wires.answer(*spelt(self.name if command == 0xD014 else self.serial, 16))
            case 0xD206 | 0xD210:
                shown = self._seen | self._passing()
                self.wires.answer(shown >> 16, shown & 0xFFFF)
                self._seen = 0 if command == 0xD210 else self._seen
            case 0xD304:
                self.power_cycle()
                self.wires.occupy(_COMMANDS[command][0])

    def _passing(self) -> int:
        """Return the bits that come and go by themselves."""
        if not self.measuring:
            return 0
        return self.warnings | (self._clock.monotonic() >= self._clean_at) << 19

    def _advance(self) -> None:
        """Take the sample that is due, if one is: the first about 1 s after the start, then one a second."""
        if self._since is None or self.stalled:
            return
        now = self._clock.monotonic()
        self._seen |= self.errors & _STICKY
        while now >= self._clean_at + 10.0:
            self._clean_at += _WEEK
        samples = int(now - self._since + 1e-9)
        if samples > self._samples and now < self._clean_at:
            self._samples, self._ready = samples, True
            self._frame = [self._word(quantity) for quantity in _ORDER]

    def _word(self, quantity: Quantity) -> int:
        top = 0xFFFF if quantity in _UNSIGNED else 0x7FFF
        late = quantity is Quantity.NOX_INDEX and self._clock.monotonic() < self._powered + _NOX_DELAY
        if quantity in self.unknown or late:
            return top
        floor = 0 if quantity in _UNSIGNED else -0x8000
        value = self._world[quantity]
        if quantity is Quantity.TEMPERATURE:
            added = self._compensation[0]
            value += self.warmth + (added - 0x10000 if added & 0x8000 else added) / 200
        return max(floor, min(top - 1, round(value / _ORDER[quantity].step))) & 0xFFFF
