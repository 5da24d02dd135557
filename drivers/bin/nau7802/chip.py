"""An NAU7802 made of arithmetic: a bridge under a load, an amplifier that needs calibration, conversions."""

import math
from collections.abc import Mapping

from drivers.bus import BusError
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_PER_SECOND = {0: 10, 1: 20, 2: 40, 3: 80, 7: 320}
_WRITABLE = {*range(0x12), 0x15, 0x1B, 0x1C}
_CELL = 0.002 / 50  # V at the cell's output per V of its supply and kg


class Emulated:
    """One part with a 50 kg cell of 2 mV/V. Two conversions never come out quite equal, unless `frozen`.

    Faults: `unplugged` (a wire of the cell is off: the input drifts to a rail), `frozen`, `never_ready`,
    `calibration_error` (CAL_ERR), `tare` (what the empty cell gives [counts]), `registers[0x1F]` (another
    part), `held` (registers that read as given), `power_cycle` (it sleeps).
    """

    spans: Mapping[Quantity, Span] = {Quantity.WEIGHT: Span(-5.0, 95.0, 0.0005)}

    def __init__(self, clock: Clock, tare: int = 0) -> None:
        self._clock = clock
        self._weight = 0.0
        self.tare = tare
        self.unplugged = self.frozen = self.never_ready = self.calibration_error = False
        self.held: dict[int, int] = {}
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Weight in kg."""
        if quantity is not Quantity.WEIGHT:
            raise ValueError(f"this part does not know {quantity}")
        self._convert()  # what was completed before stays as it was
        self._weight = value

    def power_cycle(self) -> None:
        self.registers = bytearray(0x20)
        self.registers[0x07] = 0x80
        self.registers[0x1F] = 0x0F
        self._powered_at: float | None = None
        self._analog_at: float | None = None
        self._since: float | None = None
        self._calibrated_at: float | None = None
        self._calibrated = False
        self._taken = 0

    def transfer(self, write: bytes, read: int) -> bytes:
        if not write:
            raise BusError("a read without a register pointer: the part has no current one")
        pointer, *values = write
        for register, value in enumerate(values, pointer):
            self._write(register, value)
        return self._read(pointer, read) if read else b""

    def _write(self, register: int, value: int) -> None:
        if register not in _WRITABLE:
            raise BusError(f"register {register:#04x} cannot be written")
        self._convert()
        if register == 0x00:
            self._power(value)
        elif self.registers[0x00] & 0x01:
            raise BusError("the registers are held in reset")
        elif register == 0x02:
            self._control(value)
        else:
            self.registers[register] = value

    def _power(self, value: int) -> None:
        """Reset, power of both halves and start of the cycles."""
        now = self._clock.monotonic()
        if value & 0x01:
            self.power_cycle()
        before, self.registers[0x00] = self.registers[0x00], value & ~0x28
        if value & 0x02 and not before & 0x02:
            self._powered_at = now + 0.0002
        if value & 0x04 and not before & 0x04:
            self._analog_at = now + 0.6
        if value & 0x16 != 0x16:
            self._since = None
        elif self._since is None:
            self._since, self._taken = now, 0

    def _control(self, value: int) -> None:
        if value & 0x03:
            raise BusError("calibrations of the whole system are not emulated")
        if value >> 4 & 7 not in _PER_SECOND:
            raise BusError(f"there is no rate {value >> 4 & 7}")
        self.registers[0x02] = value & ~0x08 | self.registers[0x02] & 0x08
        if value & 0x04:
            self._calibrated_at = self._clock.monotonic() + 4 / _PER_SECOND[value >> 4 & 7]

    def _read(self, pointer: int, count: int) -> bytes:
        if pointer + count > len(self.registers):
            raise BusError(f"no register {pointer + count - 1:#04x}")
        self._convert()
        window = range(pointer, pointer + count)
        answer = bytes(self.held.get(each, self.registers[each]) for each in window)
        if 0x12 in window:
            self.registers[0x00] &= ~0x20
        return answer

    def _convert(self) -> None:
        """Bring power, calibration and conversions up to now."""
        now = self._clock.monotonic()
        if self._powered_at is not None and now >= self._powered_at and self.registers[0x00] & 0x02:
            self.registers[0x00] |= 0x08
        if self._calibrated_at is not None and now >= self._calibrated_at:
            self._calibrated_at = None
            self._calibrated = not self.calibration_error
            self.registers[0x02] = self.registers[0x02] & ~0x0C | self.calibration_error << 3
        number = self._number(now)
        if number > self._taken:
            self._taken = number
            self.registers[0x12:0x15] = self._counts(now).to_bytes(3, signed=True)
            self.registers[0x00] |= 0x20

    def _number(self, now: float) -> int:
        if self._since is None or self.never_ready or not self.registers[0x00] & 0x08:
            return 0
        return math.floor((now - self._since) * _PER_SECOND[self.registers[0x02] >> 4 & 7] + 1e-6)

    def _counts(self, now: float) -> int:
        """The bridge's voltage over half the reference and the gain, in 24 bits (8.2)."""
        gain = 1 << (self.registers[0x01] & 7)
        share = (2.0 if self.unplugged else self._weight * _CELL * gain * 2) * (1 << 23)
        noise = 0 if self.frozen else self._taken & 1
        unsettled = 0 if self._analog_at is not None and now >= self._analog_at else 400_000
        offset = 0 if self._calibrated else 30_000
        filled = min(self._taken, 5) / 5  # the filter holds several conversions
        counts = math.floor((share + self.tare) * filled) + noise + unsettled + offset
        return min(max(counts, -(1 << 23)), (1 << 23) - 1)
