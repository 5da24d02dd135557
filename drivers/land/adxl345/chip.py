"""An ADXL345 made of arithmetic: its registers, standby and measuring, samples on the clock."""

import math
from collections.abc import Mapping

from drivers.bus import BusError
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_AXES = (Quantity.ACCELERATION_X, Quantity.ACCELERATION_Y, Quantity.ACCELERATION_Z)
_G = 9.80665
_MG = 1000 / 256  # mg in one count at full resolution
_RESET = {0x00: 0xE5, 0x2C: 0x0A, 0x30: 0x02}
_READ_ONLY = {0x00, 0x2B, 0x30, *range(0x32, 0x38), 0x39}
_RESERVED = {0x2C: 0xE0, 0x2D: 0xC0, 0x31: 0x10, 0x2A: 0xF0}


class Emulated:
    """One part. Two samples never come out quite equal, as from a real one, unless it is `frozen`.

    Faults: `frozen` (it samples the same vector for ever), `dead` (all axes zero), `asleep` (no new data),
    `registers[0x00]` (another identity), `held` (registers that read as given, whatever they hold).
    """

    spans: Mapping[Quantity, Span] = dict.fromkeys(_AXES, Span(-1.98 * _G, 1.98 * _G, 2 * _G * _MG / 1000))

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._world = dict(zip(_AXES, (0.11, -0.07, _G), strict=True))
        self.frozen = self.dead = self.asleep = False
        self.held: dict[int, int] = {}
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Acceleration in m/s2."""
        if quantity not in self._world:
            raise ValueError(f"this part does not know {quantity}")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        self.registers = bytearray(0x3A)
        for register, value in _RESET.items():
            self.registers[register] = value
        self._since = 0.0
        self._seen = self._fetched = 0

    def transfer(self, write: bytes, read: int) -> bytes:
        if not write:
            raise BusError("a read without a register pointer: the part has no current one")
        pointer, *values = write
        for register, value in enumerate(values, pointer):
            self._write(register, value)
        return self._read(pointer, read) if read else b""

    def _write(self, register: int, value: int) -> None:
        _exists(register)
        if register in _READ_ONLY or value & _RESERVED.get(register, 0):
            raise BusError(f"register {register:#04x} does not take {value:#04x}")
        began = register == 0x2D and value & 0x08 and not self._measuring
        self.registers[register] = value
        if began:
            self._since, self._seen = self._clock.monotonic(), 0

    def _read(self, pointer: int, count: int) -> bytes:
        for register in range(pointer, pointer + count):
            _exists(register)
        self._sample()
        answer = bytes(self.held.get(each, self.registers[each]) for each in range(pointer, pointer + count))
        if pointer <= 0x37 and pointer + count > 0x32:
            self._seen = self._number()
            self._fetched += 1
        return answer

    @property
    def _measuring(self) -> bool:
        return bool(self.registers[0x2D] & 0x08) and not self.registers[0x2D] & 0x04

    def _number(self) -> int:
        """How many samples there have been since measuring began."""
        if not self._measuring or self.asleep:
            return self._seen
        period = (1 << (15 - (self.registers[0x2C] & 0x0F))) / 3200
        return max(0, math.floor((self._clock.monotonic() - self._since - 0.0011) / period))

    def _sample(self) -> None:
        number = self._number()
        self.registers[0x30] = 0x82 if number > self._seen else 0x02
        if number == 0 or self.asleep:
            return
        for at, axis in zip((0x32, 0x34, 0x36), _AXES, strict=True):
            self.registers[at : at + 2] = self._counts(axis).to_bytes(2, "little", signed=True)

    def _counts(self, axis: Quantity) -> int:
        """The element's counts: 3.9 mg at full resolution, else 10 bits over the range."""
        form = self.registers[0x31]
        widening = 0 if form & 0x08 else form & 0x03
        exact = self._world[axis] / _G * 1000 / _MG / (1 << widening)
        count = math.floor(exact) + (0 if self.frozen else self._fetched & 1)
        top = 512 << (form & 0x03) if form & 0x08 else 512
        return 0 if self.dead else min(max(count, -top), top - 1)


def _exists(register: int) -> None:
    if not (register == 0x00 or 0x1D <= register <= 0x39):
        raise BusError(f"register {register:#04x} is reserved: do not access")
