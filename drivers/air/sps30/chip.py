"""An emulated SPS30, from Sensirion's datasheet "SPS30", version 1.0 (March 2020).

It samples its world once a second from the start of a measurement, as the real part does, and stops doing so
for ten seconds while its fan cleans itself: by command, and by itself each week of power.
"""

import struct
from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span
from drivers.sensirion.chip import Interface, spelt, words

_MASS, _NUMBER = Span(0.0, 1000.0, 0.0001), Span(0.0, 3000.0, 0.0003)
_WORLD: Mapping[Quantity, tuple[Span, float]] = {
    Quantity.PM1: (_MASS, 6.1),
    Quantity.PM2_5: (_MASS, 9.4),
    Quantity.PM4: (_MASS, 10.2),
    Quantity.PM10: (_MASS, 10.9),
    Quantity.NC0_5: (_NUMBER, 41.0),
    Quantity.NC1: (_NUMBER, 48.0),
    Quantity.NC2_5: (_NUMBER, 49.0),
    Quantity.NC4: (_NUMBER, 49.2),
    Quantity.NC10: (_NUMBER, 49.3),
    Quantity.PARTICLE_SIZE: (Span(0.0, 10.0, 0.000001), 0.55),
}
_IDLE, _MEASURING, _ASLEEP = "idle", "measuring", "asleep"
_WEEK = 604800.0

# Command: the modes that take it, execution time in seconds, first firmware that has it, bytes of argument.
_COMMANDS = {
    0x0010: ({_IDLE}, 0.02, 0x0100, 3),
    0x0104: ({_IDLE, _MEASURING}, 0.02, 0x0100, 0),
    0x0202: ({_IDLE, _MEASURING}, 0.0, 0x0100, 0),
    0x0300: ({_IDLE, _MEASURING}, 0.0, 0x0100, 0),
    0x1001: ({_IDLE}, 0.005, 0x0200, 0),
    0x1103: ({_ASLEEP}, 0.005, 0x0200, 0),
    0x5607: ({_MEASURING}, 0.005, 0x0100, 0),
    0xD002: ({_IDLE, _MEASURING}, 0.0, 0x0100, 0),
    0xD033: ({_IDLE, _MEASURING}, 0.0, 0x0100, 0),
    0xD100: ({_IDLE, _MEASURING}, 0.0, 0x0100, 0),
    0xD206: ({_IDLE, _MEASURING}, 0.0, 0x0202, 0),
    0xD210: ({_IDLE, _MEASURING}, 0.005, 0x0200, 0),
    0xD304: ({_IDLE, _MEASURING}, 0.1, 0x0100, 0),
}


class Emulated:
    """An SPS30.

    Faults: *type* is what it says it is; *firmware* is its version (0x0202 is 2.2); *broken* are quantities
    that come as NaN; *raw* are numbers that come instead of the world's, whatever they are; *errors* and
    *warnings* are what goes wrong while it measures (bits of the status register); *stalled* gives nothing
    new; `wires.corrupt` is the number of next answers with a wrong CRC.
    """

    spans: Mapping[Quantity, Span] = {quantity: span for quantity, (span, _) in _WORLD.items()}

    def __init__(self, clock: Clock, firmware: int = 0x0202, serial: str = "0123456789ABCDEF") -> None:
        self._clock = clock
        self._world = {quantity: value for quantity, (_, value) in _WORLD.items()}
        self.type, self.firmware, self.serial = "00080000", firmware, serial
        self.broken: set[Quantity] = set()
        self.raw: dict[Quantity, float] = {}
        self.errors = self.warnings = 0
        self.stalled = False
        self.wires = Interface(clock)
        self.power_cycle()

    @property
    def measuring(self) -> bool:
        """Whether fan and laser run."""
        return self._mode == _MEASURING

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into air of *value*; the next sample shows it."""
        self._advance()
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Become idle; forget the results and the errors, and when the fan was cleaned."""
        now = self._clock.monotonic()
        self._mode, self._since, self._samples = _IDLE, now, 0
        self._ready = False
        self._frame: tuple[int, ...] = (0,) * 20
        self._status = 0
        self._clean_at = now + _WEEK
        self._awake_until = now
        self.wires.occupy(0.0)

    def fall_asleep(self) -> None:
        """Go to sleep, as after the command for it."""
        self._mode = _ASLEEP

    def clean(self) -> None:
        """Begin to clean the fan."""
        self._clean_at, self._ready = self._clock.monotonic(), False

    def transfer(self, write: bytes, read: int) -> bytes:
        """Execute a command, or hand out the answer of the last one. Deaf while it executes or sleeps."""
        self.wires.listen()
        if self._mode == _ASLEEP and self._clock.monotonic() >= self._awake_until:
            self._awake_until = self._clock.monotonic() + 0.1  # a start condition wakes the interface (6.3.5)
            raise NoAcknowledge("the part sleeps")
        self._advance()
        if write:
            self._execute(int.from_bytes(write[:2]), write[2:])
        return self.wires.read(read) if read else b""

    def _execute(self, command: int, arguments: bytes) -> None:
        modes, duration, since, size = _COMMANDS.get(command, (set[str](), 0.0, 0, 0))
        if self._mode not in modes or self.firmware < since:
            raise NoAcknowledge(f"there is no command {command:#06x} for a part that is {self._mode}")
        if len(arguments) != size:
            raise BusError(f"command {command:#06x} has {size} bytes of argument, not {len(arguments)}")
        self.wires.occupy(duration)
        self._act(command, arguments)

    def _act(self, command: int, arguments: bytes) -> None:
        match command:
            case 0x0010:
                _check_start(arguments)
                self._mode, self._since, self._samples = _MEASURING, self._clock.monotonic(), 0
            case 0x0104 | 0x1103:
                self._mode, self._ready = _IDLE, False
            case 0x1001:
                self._mode = _ASLEEP
            case 0x0202:
                self.wires.answer(self._ready)
            case 0x0300:
                self.wires.answer(*self._frame)
                self._ready = False
            case 0x5607:
                self.clean()
            case 0xD002:
                self.wires.answer(*spelt(self.type, 4))
            case 0xD033:
                self.wires.answer(*spelt(self.serial, 16))
            case 0xD100:
                self.wires.answer(self.firmware)
            case 0xD206:
                shown = self._status | (self.warnings if self.measuring else 0)
                self.wires.answer(shown >> 16, shown & 0xFFFF)
            case 0xD210:
                self._status = 0
            case 0xD304:
                self.power_cycle()
                self.wires.occupy(_COMMANDS[command][1])

    def _advance(self) -> None:
        """Take the sample that is due, if one is: one second after the start, then one a second."""
        if self.stalled or not self.measuring:
            return
        now = self._clock.monotonic()
        self._status |= self.errors
        while now >= self._clean_at + 10.0:
            self._clean_at += _WEEK
        samples = int(now - self._since + 1e-9)
        if samples > self._samples and now < self._clean_at:
            self._samples, self._ready = samples, True
            self._frame = struct.unpack(">20H", struct.pack(">10f", *map(self._number, _WORLD)))

    def _number(self, quantity: Quantity) -> float:
        if quantity in self.broken:
            return float("nan")
        return self.raw.get(quantity, self._world[quantity])


def _check_start(arguments: bytes) -> None:
    """A start says in which format the results come; only the one with floating point is emulated."""
    if words(arguments) != (0x0300,):
        raise BusError("the format of the results is 0x0300 (floating point)")
