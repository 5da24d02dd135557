"""An emulated SEN66, from Sensirion's datasheet "SEN6x", version 0.91 (August 2025).

It samples its world once a second from the start of a measurement, as the real part does: what was set
between two samples shows in the next one.
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
    Quantity.TEMPERATURE: Span(-40.0, 85.0, 0.005),
    Quantity.VOC_INDEX: Span(1.0, 500.0, 0.1),
    Quantity.NOX_INDEX: Span(1.0, 500.0, 0.1),
    Quantity.CO2: Span(0.0, 40000.0, 1.0),
}
_UNSIGNED = {Quantity.PM1, Quantity.PM2_5, Quantity.PM4, Quantity.PM10, Quantity.CO2}
_WORLD = (6.1, 9.4, 10.2, 10.9, 50.0, 20.0, 100.0, 1.0, 430.0)
_LATE = {Quantity.CO2: 5.5, Quantity.NOX_INDEX: 10.5}  # seconds from the start to the first value
_STICKY = 0x1FD0  # every error bit; the speed warning, bit 21, comes and goes

# Command: whether the part takes it idle, whether measuring, execution time in seconds.
_COMMANDS = {
    0x0021: (True, True, 0.05),
    0x0104: (True, True, 1.0),
    0x0202: (True, True, 0.02),
    0x0300: (True, True, 0.02),
    0x6736: (True, False, 0.02),
    0xD014: (True, True, 0.02),
    0xD033: (True, True, 0.02),
    0xD206: (True, True, 0.02),
    0xD210: (True, True, 0.02),
    0xD304: (True, False, 1.2),
}


class Emulated:
    """A SEN66.

    Faults: *name* is what it says it is; *unknown* are quantities that it cannot tell; *errors* and
    *warnings* are what goes wrong while it measures (bits of the status register); *stalled* gives nothing
    new; `wires.corrupt` is the number of next answers with a wrong CRC.
    """

    spans = _ORDER

    def __init__(self, clock: Clock, name: str = "SEN66", serial: str = "01234567890ABCDEF") -> None:
        self._clock = clock
        self._world = dict(zip(_ORDER, _WORLD, strict=True))
        self.name, self.serial = name, serial
        self.unknown: set[Quantity] = set()
        self.errors = self.warnings = 0
        self.stalled = False
        self.wires = Interface(clock)
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
        """Become idle, and forget the altitude, the errors and the results."""
        self.altitude = 0
        self._since: float | None = None
        self._samples = 0
        self._ready = False
        self._frame = [0x7FFF if q not in _UNSIGNED else 0xFFFF for q in _ORDER]
        self._seen = 0
        self.wires.occupy(0.0)

    def transfer(self, write: bytes, read: int) -> bytes:
        """Execute a command, or hand out the answer of the last one. Deaf while it executes."""
        self.wires.listen()
        self._advance()
        return self.wires.exchange(write, read, self._execute)

    def _execute(self, command: int, arguments: bytes) -> None:
        if command not in _COMMANDS:
            raise NoAcknowledge(f"there is no command {command:#06x}")
        idle, measuring, duration = _COMMANDS[command]
        if not (measuring if self.measuring else idle):
            raise NoAcknowledge(f"command {command:#06x} is not for a part that is measuring")
        if arguments and command != 0x6736:
            raise BusError(f"command {command:#06x} takes no argument")
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
            case 0x0300:
                self.wires.answer(*self._frame)
                self._ready = False
            case 0x6736 if arguments:
                self.altitude = _altitude(arguments)
            case 0x6736:
                self.wires.answer(self.altitude)
            case 0xD014 | 0xD033:
                self.wires.answer(*spelt(self.name if command == 0xD014 else self.serial, 16))
            case 0xD206 | 0xD210:
                status = self._seen | (self.warnings if self.measuring else 0)
                self.wires.answer(status >> 16, status & 0xFFFF)
                self._seen = 0 if command == 0xD210 else self._seen
            case 0xD304:
                self.power_cycle()
                self.wires.occupy(_COMMANDS[command][2])

    def _advance(self) -> None:
        """Take the sample that is due, if one is: the first 1.1 s after the start, then one a second."""
        if self._since is None or self.stalled:
            return
        self._seen |= self.errors & _STICKY
        elapsed = self._clock.monotonic() - self._since
        samples = int(elapsed - 0.1 + 1e-9)
        if samples > self._samples:
            self._samples, self._ready = samples, True
            self._frame = [self._word(quantity, elapsed) for quantity in _ORDER]

    def _word(self, quantity: Quantity, elapsed: float) -> int:
        top = 0xFFFF if quantity in _UNSIGNED else 0x7FFF
        if quantity in self.unknown or elapsed < _LATE.get(quantity, 0.0):
            return top
        floor = 0 if quantity in _UNSIGNED else -0x8000
        count = round(self._world[quantity] / _ORDER[quantity].step)
        return max(floor, min(top - 1, count)) & 0xFFFF


def _altitude(arguments: bytes) -> int:
    if len(arguments) != 3:
        raise BusError("one argument of two bytes and its CRC is expected")
    (altitude,) = words(arguments)
    if altitude > 3000:
        raise BusError("the altitude is 0 to 3000 m")
    return altitude
