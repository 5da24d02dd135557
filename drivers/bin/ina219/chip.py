"""An INA219 made of arithmetic: a current through a shunt, a supply, and the registers in between."""

from collections.abc import Mapping

from drivers.bus import BusError
from drivers.device import Clock, Quantity
from drivers.emulated import Span
from drivers.ina2xx.chip import Pointer, clip

_TIMES = (84e-6, 148e-6, 276e-6, 532e-6)
_SAMPLED = (532e-6, 1.06e-3, 2.13e-3, 4.26e-3, 8.51e-3, 17.02e-3, 34.05e-3, 68.1e-3)


class Emulated:
    """One part and its *shunt* [Ohm]. The world sets voltage and current; the rest follows from them.

    Faults: `never_ready`, `held` (registers that read as given), a current beyond the shunt's gain or the
    calibration, `slow` (a factor on the conversion time), `power_cycle` (the calibration is gone).
    """

    spans: Mapping[Quantity, Span] = {
        Quantity.VOLTAGE: Span(0.0, 26.0, 4e-3),
        # One count of the shunt at 0.1 Ohm, and one of the current register behind it.
        Quantity.CURRENT: Span(-3.1, 3.1, 1e-4 + 1e-4),
    }

    def __init__(self, clock: Clock, shunt: float = 0.1) -> None:
        self._clock = clock
        self._shunt = shunt
        self._world = {Quantity.VOLTAGE: 12.0, Quantity.CURRENT: 0.0}
        self.never_ready = False
        self.slow = 1.0
        self.held: dict[int, int] = {}
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Voltage in V, 0 to 26; current in A, with its sign."""
        if quantity not in self._world:
            raise ValueError(f"{quantity} follows from voltage and current")
        self._convert()  # what was completed before stays as it was
        self._world[quantity] = value

    def power_cycle(self) -> None:
        self.registers = {0: 0x399F, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
        self._pointer = Pointer(self._write, self._read)
        self._ready = self._overflow = False
        self._begin()

    def transfer(self, write: bytes, read: int) -> bytes:
        return self._pointer.transfer(write, read, self.registers)

    def _write(self, register: int, word: int) -> None:
        self._convert()
        if register == 0 and word & 0x8000:
            self.power_cycle()
        elif register == 0:
            if word & 0x4000:
                raise BusError(f"bit 14 of the configuration is reserved: {word:#06x}")
            if word & 0b11 and (word ^ self.registers[0]) & 0b111:
                self._ready = False
            self.registers[0] = word
            self._begin()
        elif register == 5:
            self.registers[5] = word & 0xFFFE
            self._multiply()
        else:
            raise BusError(f"register {register:#04x} is read only")

    def _begin(self) -> None:
        """Start what the mode bits say: nothing, one conversion, or one after the other."""
        word = self.registers[0]
        parts = (word & 1) * _time(word >> 3 & 15) + (word >> 1 & 1) * _time(word >> 7 & 15)
        self._ready_at = self._clock.monotonic() + parts * self.slow
        self._pending = bool(word & 0b011)

    def _read(self, register: int) -> int:
        self._convert()
        if register in self.held:
            return self.held[register]
        word = self.registers[register]
        if register == 2:
            return word | self._ready << 1 | self._overflow
        if register == 3:
            self._ready = False
        return word

    def _convert(self) -> None:
        if not self._pending or self.never_ready or self._clock.monotonic() < self._ready_at:
            return
        self._pending = bool(self.registers[0] & 0b100)
        limit = 4000 << (self.registers[0] >> 11 & 3)
        top = 8000 if self.registers[0] & 0x2000 else 4000
        shunt = clip(round(self._world[Quantity.CURRENT] * self._shunt / 10e-6), -limit, limit)
        self.registers[1] = shunt & 0xFFFF
        self.registers[2] = clip(round(self._world[Quantity.VOLTAGE] / 4e-3), 0, top) << 3
        self._multiply()
        self._ready = True

    def _multiply(self) -> None:
        """Current and power follow in the background (8.5.1, Equations 4 and 5)."""
        shunt = self.registers[1] - (self.registers[1] >> 15 << 16)
        current = int(shunt * self.registers[5] / 4096)
        power = abs(current) * (self.registers[2] >> 3) // 5000
        self._overflow = not -0x8000 <= current <= 0x7FFF or power > 0xFFFF
        self.registers[4] = clip(current, -0x8000, 0x7FFF) & 0xFFFF
        self.registers[3] = min(power, 0xFFFF)


def _time(code: int) -> float:
    return _SAMPLED[code & 7] if code & 8 else _TIMES[code & 3]
