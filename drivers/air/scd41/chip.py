"""An emulated SCD41, from Sensirion's datasheet "SCD4x", version 1.4 (February 2023).

In periodic mode it takes a sample every five seconds, by a clock of its own, and refuses what the real part
refuses meanwhile. A result can be read once.
"""

from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span
from drivers.sensirion.chip import Interface, words

_CO2, _T, _H = Quantity.CO2, Quantity.TEMPERATURE, Quantity.HUMIDITY
_IDLE, _MEASURING, _ASLEEP = "idle", "measuring", "asleep"

# Command: the modes that take it, execution time in seconds, whether it has an argument.
_COMMANDS = {
    0x21B1: ({_IDLE}, 0.0, False),
    0xEC05: ({_IDLE, _MEASURING}, 0.001, False),
    0x3F86: ({_IDLE, _MEASURING}, 0.5, False),
    0x241D: ({_IDLE}, 0.001, True),
    0x2318: ({_IDLE}, 0.001, False),
    0x2427: ({_IDLE}, 0.001, True),
    0x2322: ({_IDLE}, 0.001, False),
    0x2416: ({_IDLE}, 0.001, True),
    0x2313: ({_IDLE}, 0.001, False),
    0xE4B8: ({_IDLE, _MEASURING}, 0.001, False),
    0x3615: ({_IDLE}, 0.8, False),
    0x3682: ({_IDLE}, 0.001, False),
    0x3646: ({_IDLE}, 0.03, False),
    0x202F: ({_IDLE}, 0.001, False),
    0x219D: ({_IDLE}, 5.0, False),
    0x36E0: ({_IDLE}, 0.001, False),
}
_SETTINGS = {0x241D: "offset", 0x2427: "altitude", 0x2416: "calibrates"}
_GETTERS = {0x2318: "offset", 0x2322: "altitude", 0x2313: "calibrates"}
_FACTORY = {"offset": 1498, "altitude": 0, "calibrates": 1}  # 1498 counts are 4.0 K
_LARGEST = {"offset": 0xFFFF, "altitude": 3000, "calibrates": 1}


class Emulated:
    """An SCD41.

    Faults: *blank* is how many of the first samples after a start are 0 ppm; *warmth* is how much warmer the
    part is than the air [K]; *period* is the time between two samples [s], infinity where it hangs;
    *forgetful* does not keep settings; *old* is a part without variants; `wires.corrupt` is the number of
    next answers with a wrong CRC. *settings* is what it works with, *memory* what it powers up with.
    """

    spans: Mapping[Quantity, Span] = {
        _CO2: Span(1.0, 40000.0, 1.0),
        _T: Span(-10.0, 60.0, 0.0027),
        _H: Span(0.0, 100.0, 0.0016),
    }

    def __init__(self, clock: Clock, serial: int = 0xF8967FB51CD2, variant: int = 1) -> None:
        self._clock = clock
        self._world = {_CO2: 430.0, _T: 20.0, _H: 50.0}
        self.serial, self.variant = serial, variant
        self.old = self.forgetful = False
        self.blank = 0
        self.warmth = 4.0
        self.period = 5.0
        self.wires = Interface(clock)
        self.memory = dict(_FACTORY)
        self.power_cycle()

    @property
    def measuring(self) -> bool:
        """Whether it measures by itself."""
        return self._mode == _MEASURING

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into air of *value*; the next sample shows it."""
        self._advance()
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Become idle, and forget every setting that was not persisted; deaf for 30 ms."""
        now = self._clock.monotonic()
        self.settings = dict(self.memory)
        self._mode, self._since, self._samples = _IDLE, now, 0
        self._result: tuple[int, int, int] | None = None
        self.wires.occupy(0.03)

    def fall_asleep(self) -> None:
        """Power down, as after the command for it."""
        self._mode = _ASLEEP

    def transfer(self, write: bytes, read: int) -> bytes:
        """Execute a command, or hand out the answer of the last one. Deaf while it executes or sleeps."""
        self.wires.listen()
        if write == b"\x36\xf6":
            self._wake()
        if self._mode == _ASLEEP:
            raise NoAcknowledge("the part sleeps")
        self._advance()
        return self.wires.exchange(write, read, self._execute)

    def _wake(self) -> None:
        """Become idle after sleep. This command is never acknowledged."""
        if self._mode == _ASLEEP:
            self._mode = _IDLE
            self.wires.occupy(0.03)
        raise NoAcknowledge("the command to wake up is not acknowledged")

    def _execute(self, command: int, arguments: bytes) -> None:
        modes, duration, argument = _COMMANDS.get(command, (set[str](), 0.0, False))
        if self._mode not in modes or (command == 0x202F and self.old):
            raise NoAcknowledge(f"there is no command {command:#06x} for a part that is {self._mode}")
        if len(arguments) != 3 * argument:
            raise BusError(f"command {command:#06x} does not take {len(arguments)} bytes of argument")
        self.wires.occupy(duration)
        self._act(command, arguments)

    def _act(self, command: int, arguments: bytes) -> None:
        match command:
            case 0x21B1:
                self._mode, self._since, self._samples = _MEASURING, self._clock.monotonic(), 0
                self._result = None
            case 0x3F86:
                self._mode = _IDLE
            case 0xEC05:
                if self._result:
                    self.wires.answer(*self._result)
                self._result = None
            case 0xE4B8:
                self.wires.answer(0x8000 | (0x0006 if self._result else 0))
            case 0x241D | 0x2427 | 0x2416:
                self._keep(_SETTINGS[command], arguments)
            case 0x2318 | 0x2322 | 0x2313:
                self.wires.answer(self.settings[_GETTERS[command]])
            case 0x3615:
                self.memory = dict(self.settings)
            case 0x3646:
                self.settings = dict(self.memory)
            case 0x3682:
                self.wires.answer(self.serial >> 32, self.serial >> 16 & 0xFFFF, self.serial & 0xFFFF)
            case 0x202F:
                self.wires.answer(self.variant << 12 | 0x440)
            case 0x219D:
                self._result = self._sample(blank=False)
            case 0x36E0:
                self._mode = _ASLEEP

    def _keep(self, name: str, argument: bytes) -> None:
        (word,) = words(argument)
        if word > _LARGEST[name]:
            raise BusError(f"the largest {name} is {_LARGEST[name]}")
        if not self.forgetful:
            self.settings[name] = word

    def _advance(self) -> None:
        """Take the sample that is due, if one is."""
        if not self.measuring or self.period == float("inf"):
            return
        samples = int((self._clock.monotonic() - self._since) / self.period + 1e-9)
        if samples > self._samples:
            self._samples = samples
            self._result = self._sample(blank=samples <= self.blank)

    def _sample(self, blank: bool) -> tuple[int, int, int]:
        shown = self._world[_T] + self.warmth - self.settings["offset"] * 175 / 65535
        co2 = 0 if blank else max(0, min(40000, round(self._world[_CO2])))
        return co2, _counts((shown + 45) / 175), _counts(self._world[_H] / 100)


def _counts(share: float) -> int:
    return max(0, min(65535, round(share * 65535)))
