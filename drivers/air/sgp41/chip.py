"""An emulated SGP41, from Sensirion's datasheet "SGP41", version 1.0 (October 2022).

It gives ticks, not indices: those depend on all that was measured before, so that the world cannot ask for
one. Its *spans* are therefore empty, and `set` takes how bad the air is, on the scale of the indices.
"""

from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span
from drivers.sensirion.chip import Interface, words

# Command: execution time in seconds, words of argument.
_COMMANDS = {0x2612: (0.05, 2), 0x2619: (0.05, 2), 0x280E: (0.32, 0), 0x3615: (0.001, 0), 0x3682: (0.001, 0)}
_COMMANDS[0x202F] = (0.001, 0)


class Emulated:
    """An SGP41.

    Faults: *voc* and *nox* are ticks that come whatever the air; *features* is what it says it is;
    `wires.corrupt` is the number of next answers with a wrong CRC. *damaged* tells that it was conditioned
    for longer than 10 s; *heated* whether it heats; *air* is what it was told: words for humidity and
    temperature. *log* keeps when each measurement began.
    """

    spans: Mapping[Quantity, Span] = {}

    def __init__(self, clock: Clock, serial: int = 0x0000_0123_4567, features: int = 0x0040) -> None:
        self._clock = clock
        self._world = {Quantity.VOC_INDEX: 100.0, Quantity.NOX_INDEX: 1.0}
        self.serial, self.features = serial, features
        self.voc: int | None = None
        self.nox: int | None = None
        self.wires = Interface(clock)
        self.damaged = False
        self.log: list[float] = []
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into air that is *value* bad: 100 (VOC) and 1 (NOx) are usual, 500 is the worst."""
        if quantity not in self._world:
            raise KeyError(f"an SGP41 knows nothing of {quantity}")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Stop heating, and forget the air."""
        self.heated = False
        self.air = (0, 0)
        self._conditioning: float | None = None
        self.wires.occupy(0.0006)

    def transfer(self, write: bytes, read: int) -> bytes:
        """Execute a command, or hand out the answer of the last one. Deaf while it executes."""
        if self._conditioning is not None and self._clock.monotonic() > self._conditioning + 10.0:
            self.damaged = True
        self.wires.listen()
        return self.wires.exchange(write, read, self._execute)

    def _execute(self, command: int, arguments: bytes) -> None:
        if command not in _COMMANDS:
            raise NoAcknowledge(f"there is no command {command:#06x}")
        duration, count = _COMMANDS[command]
        told = words(arguments)
        if len(told) != count:
            raise BusError(f"command {command:#06x} has {count} words of argument, not {len(told)}")
        self.wires.occupy(duration)
        self._act(command, told)

    def _act(self, command: int, told: tuple[int, ...]) -> None:
        now = self._clock.monotonic()
        match command:
            case 0x2612:
                self.heated = True
                self._conditioning = now if self._conditioning is None else self._conditioning
                self.wires.answer(self._ticks()[0])
            case 0x2619:
                self.heated, self._conditioning = True, None
                self.air = (told[0], told[1])
                self.log.append(now)
                self.wires.answer(*self._ticks())
            case 0x280E:
                self.heated, self._conditioning = False, None
                self.wires.answer(0xD400)
            case 0x3615:
                self.heated, self._conditioning = False, None
            case 0x3682:
                self.wires.answer(self.serial >> 32, self.serial >> 16 & 0xFFFF, self.serial & 0xFFFF)
            case 0x202F:
                self.wires.answer(self.features)

    def _ticks(self) -> tuple[int, int]:
        """Return the ticks of the two pixels: VOC lowers the one, NOx raises the other."""
        voc = round(30000 - 20 * (self._world[Quantity.VOC_INDEX] - 100))
        nox = round(15800 + 10 * (self._world[Quantity.NOX_INDEX] - 1))
        return voc if self.voc is None else self.voc, nox if self.nox is None else self.nox
