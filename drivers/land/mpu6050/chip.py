"""An MPU-6050 made of arithmetic: its registers, sleep and reset, samples on the clock."""

import math
from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_AXES = (Quantity.ACCELERATION_X, Quantity.ACCELERATION_Y, Quantity.ACCELERATION_Z)
_TURNS = (Quantity.ROTATION_X, Quantity.ROTATION_Y, Quantity.ROTATION_Z)
_G = 9.80665
_RESET = {0x6B: 0x40, 0x75: 0x68}
_READ_ONLY = {0x3A, *range(0x3B, 0x61), 0x72, 0x73, 0x75}
_LAST = 0x75


class Emulated:
    """One part. Two samples never come out quite equal, as from a real one, unless it is `frozen`.

    Faults: `frozen` (it samples the same vector for ever), `dead` (all axes zero), `asleep` (no new data),
    `registers[0x75]` (another identity), `held` (registers that read as given, whatever they hold).
    """

    spans: Mapping[Quantity, Span] = {
        # A reading alternates between the two counts around the value, so a step is two counts.
        **dict.fromkeys(_AXES, Span(-1.99 * _G, 1.99 * _G, 2 * _G / 16384)),
        **dict.fromkeys(_TURNS, Span(-499.0, 499.0, 2 / 65.5)),
        Quantity.TEMPERATURE: Span(-40.0, 85.0, 1 / 340),
    }

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._world = {**dict(zip(_AXES, (0.11, -0.07, _G), strict=True)), **dict.fromkeys(_TURNS, 0.0)}
        self._world[Quantity.TEMPERATURE] = 21.0
        self.frozen = self.dead = self.asleep = False
        self.held: dict[int, int] = {}
        self.power_cycle()
        self._ready_at = self._clock.monotonic()  # it has had power for a while

    def set(self, quantity: Quantity, value: float) -> None:
        """Acceleration in m/s2, rotation in deg/s, temperature in Cel."""
        if quantity not in self._world:
            raise ValueError(f"this part does not know {quantity}")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        self.registers = bytearray(_LAST + 1)
        for register, value in _RESET.items():
            self.registers[register] = value
        self._pointer = 0
        self._ready_at = self._clock.monotonic() + 0.1
        self._since = 0.0
        self._seen = self._fetched = 0

    def transfer(self, write: bytes, read: int) -> bytes:
        if self._clock.monotonic() < self._ready_at:
            raise NoAcknowledge("the part comes out of reset")
        if write:
            self._pointer = write[0]
        for value in write[1:]:
            self._write(self._pointer, value)
            self._pointer += 1
        return self._read(read) if read else b""

    def _write(self, register: int, value: int) -> None:
        if register > _LAST or register in _READ_ONLY:
            raise BusError(f"register {register:#04x} cannot be written")
        if register == 0x6B and value & 0x10:
            raise BusError("bit 4 of PWR_MGMT_1 is reserved")
        if register == 0x6B and value & 0x80:
            self.power_cycle()
            return
        woken = register == 0x6B and self._sleeping and not value & 0x40
        self.registers[register] = value
        if woken:
            self._since, self._seen = self._clock.monotonic() + 0.03, 0

    def _read(self, count: int) -> bytes:
        window = range(self._pointer, self._pointer + count)
        if window.stop > _LAST + 1:
            raise BusError(f"no register {window.stop - 1:#04x}")
        self._sample()
        answer = bytes(self.held.get(each, self.registers[each]) for each in window)
        if 0x3A in window:
            self._seen = self._number()
            self._fetched += 1
        self._pointer = window.stop
        return answer

    @property
    def _sleeping(self) -> bool:
        return bool(self.registers[0x6B] & 0x40)

    def _number(self) -> int:
        """How many samples there have been since the part woke."""
        if self._sleeping or self.asleep:
            return self._seen
        filtered = self.registers[0x1A] & 0x07 not in (0, 7)
        period = (1 + self.registers[0x19]) / (1000 if filtered else 8000)
        return max(0, math.floor((self._clock.monotonic() - self._since) / period))

    def _sample(self) -> None:
        """Bring status and results up to now. Asleep, the results stay what they were."""
        number = self._number()
        self.registers[0x3A] = 0x01 if number > self._seen and self.registers[0x38] & 0x01 else 0x00
        if number == 0 or self.asleep or self._sleeping:
            return
        for at, axis in zip((0x3B, 0x3D, 0x3F), _AXES, strict=True):
            self.registers[at : at + 2] = self._counts(axis).to_bytes(2, signed=True)
        for at, axis in zip((0x43, 0x45, 0x47), _TURNS, strict=True):
            self.registers[at : at + 2] = self._turn(axis).to_bytes(2, signed=True)
        celsius = self._world[Quantity.TEMPERATURE]
        self.registers[0x41:0x43] = round((celsius - 36.53) * 340).to_bytes(2, signed=True)

    def _counts(self, axis: Quantity) -> int:
        scale = 16384 >> (self.registers[0x1C] >> 3 & 0x03)
        count = math.floor(self._world[axis] / _G * scale) + (0 if self.frozen else self._fetched & 1)
        return 0 if self.dead else min(max(count, -0x8000), 0x7FFF)

    def _turn(self, axis: Quantity) -> int:
        scale = (131.0, 65.5, 32.8, 16.4)[self.registers[0x1B] >> 3 & 0x03]
        count = math.floor(self._world[axis] * scale) + (0 if self.frozen else self._fetched & 1)
        return min(max(count, -0x8000), 0x7FFF)
