"""An emulated PCA9685, from its datasheet, revision 4: sixteen comparators and one counter."""

from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_POWER_ON = {0x00: 0x11, 0x01: 0x04, 0x02: 0xE2, 0x03: 0xE4, 0x04: 0xE8, 0x05: 0xE0, 0xFE: 0x1E}


class Emulated:
    """One part. The world sees `duty(channel)` and `frequency`.

    Faults: `registers[0x02]` (another identity), *welded* (channel to duty: an output that no longer
    follows), `power_cycle` (all outputs off, asleep). *early* counts bytes written to
    outputs while the oscillator started.
    """

    spans: Mapping[Quantity, Span] = {}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.welded: dict[int, float] = {}
        self.early = 0
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Refuse: only the gateway moves an output."""
        raise ValueError(f"nothing in the world sets {quantity}")

    def power_cycle(self) -> None:
        self.registers = dict(_POWER_ON)
        for channel in range(16):
            self.registers |= dict(zip(range(6 + 4 * channel, 10 + 4 * channel), (0, 0, 0, 16), strict=True))
        self.registers |= dict.fromkeys((0xFA, 0xFB, 0xFC, 0xFD), 0)
        self._pointer = 0
        self._awake = float("inf")
        self._halted = False

    @property
    def asleep(self) -> bool:
        return bool(self.registers[0] & 0x10)

    @property
    def all_call(self) -> bool:
        """Whether the part answers at 0x70 too."""
        return bool(self.registers[0] & 0x01)

    @property
    def frequency(self) -> float:
        """Periods in a second [Hz]."""
        return 25e6 / 4096 / (self.registers[0xFE] + 1)

    def duty(self, channel: int) -> float:
        """Return the share of time for which the output of *channel* is high."""
        if channel in self.welded:
            return self.welded[channel]
        on, off = self._edges(channel)
        if self.asleep or self._halted or off & 4096:
            return 0.0
        return 1.0 if on & 4096 else sum(_high(count, on, off) for count in range(4096)) / 4096

    def transfer(self, write: bytes, read: int) -> bytes:
        """A register and what to write from there on; then what to read from there on."""
        if write:
            self._point(write[0])
        for value in write[1:]:
            self._store(value)
            self._step()
        answer = bytearray()
        for _ in range(read):
            answer.append(self._shown())
            self._step()
        return bytes(answer)

    def _point(self, register: int) -> None:
        if register not in self.registers:
            raise NoAcknowledge(f"register {register:#04x} is reserved")
        self._pointer = register

    def _step(self) -> None:
        if self.registers[0] & 0x20:
            self._pointer = {0x45: 0x00, 0xFE: 0x00}.get(self._pointer, self._pointer + 1)

    def _shown(self) -> int:
        if self._pointer == 0:
            return self.registers[0] & 0x7F | self._halted << 7
        return 0 if 0xFA <= self._pointer <= 0xFD else self.registers[self._pointer]

    def _store(self, value: int) -> None:
        match self._pointer:
            case 0x00:
                self._mode1(value)
            case 0x01 if value & 0xE0:
                raise BusError(f"bits 7 to 5 of MODE2 are read-only: {value:#04x}")
            case 0x02 | 0x03 | 0x04 | 0x05:
                self.registers[self._pointer] = value & 0xFE
            case 0xFE:
                if self.asleep:  # else the write is blocked
                    self.registers[0xFE] = max(3, value)
            case 0xFA | 0xFB | 0xFC | 0xFD:
                for channel in range(16):
                    self._output(6 + 4 * channel + self._pointer - 0xFA, value)
            case register if register >= 6:
                self._output(register, value)
            case register:
                self.registers[register] = value

    def _mode1(self, value: int) -> None:
        was = self.asleep
        if self.registers[0] & 0x40:
            value |= 0x40  # EXTCLK is sticky
        self.registers[0] = value & 0x7F
        if self.asleep and not was:
            self._halted = any(not self._edges(channel)[1] & 4096 for channel in range(16))
        if was and not self.asleep:
            self._awake = self._clock.monotonic() + 0.0005
        if value & 0x80 and not self.asleep and self._clock.monotonic() >= self._awake:
            self._halted = False

    def _output(self, register: int, value: int) -> None:
        if register % 2 and value & 0xE0:
            raise BusError(f"bits 7 to 5 of an output's high bytes are read-only: {value:#04x}")
        if not self.asleep and self._clock.monotonic() < self._awake:
            self.early += 1
        self.registers[register] = value
        self._halted = False

    def _edges(self, channel: int) -> tuple[int, int]:
        first = 6 + 4 * channel
        low_on, high_on, low_off, high_off = (self.registers[first + at] for at in range(4))
        return low_on + 256 * high_on, low_off + 256 * high_off


def _high(count: int, on: int, off: int) -> bool:
    """Whether the output is high at *count* of a period that goes on at *on* and off at *off*."""
    if on == off:
        return False
    return on <= count < off if on < off else not off <= count < on
