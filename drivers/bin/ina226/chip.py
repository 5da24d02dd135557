"""An INA226 made of arithmetic: a current through a shunt, a supply, and the registers in between."""

from collections.abc import Mapping

from drivers.bus import BusError
from drivers.device import Clock, Quantity
from drivers.emulated import Span
from drivers.ina2xx.chip import Pointer, clip

_TIMES = (140e-6, 204e-6, 332e-6, 588e-6, 1.1e-3, 2.116e-3, 4.156e-3, 8.244e-3)
_SAMPLES = (1, 4, 16, 64, 128, 256, 512, 1024)
_POWER_ON = {0: 0x4127, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 0xFE: 0x5449, 0xFF: 0x2260}
_WRITABLE = {0: 0xFFFF, 5: 0x7FFF, 6: 0xFC03, 7: 0xFFFF}


class Emulated:
    """One part and its *shunt* [Ohm]. The world sets voltage and current; the rest follows from them.

    Faults: `registers[0xFE]` (another identity), `never_ready`, a current beyond the shunt's or the
    calibration's full scale, `power_cycle` (the calibration is gone).
    """

    spans: Mapping[Quantity, Span] = {
        Quantity.VOLTAGE: Span(0.0, 36.0, 1.25e-3),
        # One count of the shunt at 2 mOhm, and one of the current register behind it.
        Quantity.CURRENT: Span(-32.0, 32.0, 1.25e-3 + 1e-3),
    }

    def __init__(self, clock: Clock, shunt: float = 0.002) -> None:
        self._clock = clock
        self._shunt = shunt
        self._world = {Quantity.VOLTAGE: 12.0, Quantity.CURRENT: 0.0}
        self.never_ready = False
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Voltage in V, 0 to 36; current in A, with its sign."""
        if quantity not in self._world:
            raise ValueError(f"{quantity} follows from voltage and current")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        self.registers = dict(_POWER_ON)
        self._pointer = Pointer(self._write, self._read)
        self._begin()

    def transfer(self, write: bytes, read: int) -> bytes:
        return self._pointer.transfer(write, read, self.registers)

    def _write(self, register: int, word: int) -> None:
        if register == 0 and word & 0x8000:
            self.registers = dict(_POWER_ON)
            self._begin()
            return
        if register not in _WRITABLE or word & ~_WRITABLE[register]:
            raise BusError(f"register {register:#04x} does not take {word:#06x}")
        if register == 0 and word & 0x7000 != 0x4000:
            raise BusError(f"reserved bits of the configuration: {word:#06x}")
        self.registers[register] = word
        if register == 0:
            self._begin()

    def _begin(self) -> None:
        """Start what the mode bits say: nothing, one conversion, or one after the other."""
        word = self.registers[0]
        parts = (word & 1) * _TIMES[word >> 3 & 7] + (word >> 1 & 1) * _TIMES[word >> 6 & 7]
        self._ready_at = self._clock.monotonic() + parts * _SAMPLES[word >> 9 & 7]
        self.registers[6] &= ~0x0C
        self._pending = bool(word & 0b011)

    def _read(self, register: int) -> int:
        self._convert()
        word = self.registers[register]
        if register == 6:
            self.registers[6] &= ~0x08
        return word

    def _convert(self) -> None:
        if not self._pending or self.never_ready or self._clock.monotonic() < self._ready_at:
            return
        continuous = bool(self.registers[0] & 0b100)
        self._pending = continuous
        shunt = clip(round(self._world[Quantity.CURRENT] * self._shunt / 2.5e-6), -0x8000, 0x7FFF)
        bus = clip(round(self._world[Quantity.VOLTAGE] / 1.25e-3), 0, 0x7FFF)
        current = round(shunt * self.registers[5] / 2048)
        power = round(abs(current) * bus / 20000)
        overflow = 0x04 if abs(current) > 0x7FFF or power > 0xFFFF else 0
        self.registers[1], self.registers[2] = shunt & 0xFFFF, bus
        self.registers[3] = clip(power, 0, 0xFFFF)
        self.registers[4] = clip(current, -0x8000, 0x7FFF) & 0xFFFF
        self.registers[6] = self.registers[6] & ~0x04 | overflow | 0x08
