"""An ADXL355 made of arithmetic: 48 registers, standby and measuring, samples on the clock."""

import math
from collections.abc import Mapping

from drivers.bus import BusError
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_X, _Y, _Z = Quantity.ACCELERATION_X, Quantity.ACCELERATION_Y, Quantity.ACCELERATION_Z
_G = 9.80665
_PER_G = {1: 256e3, 2: 128e3, 3: 64e3}
_WRITABLE = {*range(0x1E, 0x30)}
_WHILE_MEASURING = {0x2A, 0x2D, 0x2E, 0x2F}  # the rest only in standby ("Register map", introduction)
_RESERVED = {0x28: 0x80, 0x29: 0x80, 0x2B: 0xF8, 0x2C: 0x3C, 0x2D: 0xF8, 0x2E: 0xFC}
_RESET = {0x00: 0xAD, 0x01: 0x1D, 0x02: 0xED, 0x03: 0x01, 0x29: 0x60, 0x2C: 0x81, 0x2D: 0x01}


class Emulated:
    """One part. Two samples never come out quite equal, as from a real one, unless it is `frozen`.

    Faults: `frozen` (it samples the same vector for ever), `dead` (all axes zero), `asleep` (no DATA_RDY),
    `tear(value)` (the temperature changes between its two bytes), `registers[0x02]` (another identity).
    """

    spans: Mapping[Quantity, Span] = {
        # A reading alternates between the two counts around the value, so a step is two counts.
        **dict.fromkeys((_X, _Y, _Z), Span(-2 * _G, 2 * _G, 2 * _G / 256e3)),
        Quantity.TEMPERATURE: Span(-40.0, 125.0, 1 / 9.05),
    }

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._world = {_X: 0.11, _Y: -0.07, _Z: _G, Quantity.TEMPERATURE: 21.0}
        self.frozen = self.dead = self.asleep = False
        self._torn: int | None = None
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Accelerations in m/s2, temperature in Cel."""
        self._world[quantity] = value

    def tear(self, value: float) -> None:
        """Let the temperature become *value* between the first and the second byte of the next read."""
        self._torn = self.registers[0x06]
        self.set(Quantity.TEMPERATURE, value)

    def power_cycle(self) -> None:
        self.registers = bytearray(0x30)
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
        if register not in _WRITABLE or value & _RESERVED.get(register, 0):
            raise BusError(f"register {register:#04x} does not take {value:#04x}")
        if self._measuring and register not in _WHILE_MEASURING:
            raise BusError(f"register {register:#04x} changes in standby only")
        if register == 0x2F:
            if value == 0x52:
                self.power_cycle()
            return
        was_measuring = self._measuring
        self.registers[register] = value
        if self._measuring and not was_measuring:
            self._since, self._seen = self._clock.monotonic(), 0

    def _read(self, pointer: int, count: int) -> bytes:
        if pointer + count > 0x30:
            raise BusError(f"no register {pointer + count - 1:#04x}")
        self._sample()
        window = range(pointer, pointer + count)
        answer = bytearray(self.registers[pointer : pointer + count])
        if 0x06 in window and 0x07 in window and self._torn is not None:
            answer[0x06 - pointer], self._torn = self._torn, None
        if 0x08 in window:
            self._seen = self._number()
            self._fetched += 1
        return bytes(answer)

    @property
    def _measuring(self) -> bool:
        return not self.registers[0x2D] & 0x01

    def _number(self) -> int:
        """How many samples there have been since measuring began."""
        if not self._measuring or self.asleep:
            return self._seen
        period = (1 << (self.registers[0x28] & 0x0F)) / 4000
        return max(0, math.floor((self._clock.monotonic() - self._since - 0.008) / period))

    def _sample(self) -> None:
        number = self._number()
        self.registers[0x04] = 0x01 if number > self._seen else 0x00
        if number == 0:
            return
        celsius = self._world[Quantity.TEMPERATURE]
        self.registers[0x06:0x08] = round(1885 - (celsius - 25) * 9.05).to_bytes(2)
        for at, axis in ((0x08, _X), (0x0B, _Y), (0x0E, _Z)):
            self.registers[at : at + 3] = self._axis(axis).to_bytes(3, signed=True)

    def _axis(self, axis: Quantity) -> int:
        exact = self._world[axis] / _G * _PER_G[self.registers[0x2C] & 0x03]
        count = math.floor(exact) + (0 if self.frozen else self._fetched & 1)
        return 0 if self.dead else min(max(count, -(1 << 19)), (1 << 19) - 1) << 4
