"""A VL53L1X made of arithmetic: 16-bit indexes, a boot, ranges on the clock, an interrupt with a polarity."""

import math
from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_BOOT = 0.001
_WRITABLE = (
    range(0x0008, 0x0009),
    range(0x000B, 0x000C),
    range(0x0016, 0x0024),
    range(0x002D, 0x0031),
    range(0x0032, 0x0088),
)
_POWER_ON = {
    0x30: 0x11,
    0x46: 0x00,
    0xDE: 0x00,
    0xDF: 0x25,
    0xE5: 0x03,
    0x10F: 0xEA,
    0x110: 0xCC,
    0x111: 0x10,
}
_BUDGETS = {0x01CC: 0.1, 0x001E: 0.02, 0x0060: 0.033, 0x00AD: 0.05, 0x02D9: 0.2, 0x048F: 0.5, 0x001D: 0.015}
_BUDGETS |= {0x0051: 0.02, 0x00D6: 0.033, 0x01AE: 0.05, 0x02E1: 0.1, 0x03E1: 0.2, 0x0591: 0.5}
_SHORT_REACH = 1.36  # m, where short mode loses a white target


class Emulated:
    """One part above a target. It NACKs while it boots, and ranges only when it has been configured.

    Faults: `status` (a RANGE_STATUS to report in place of a valid range), `never_ready`,
    `memory[0x010F]` (another model), `power_cycle` (configuration and ranging are gone).
    """

    spans: Mapping[Quantity, Span] = {Quantity.DISTANCE: Span(0.04, 4.0, 0.001)}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._distance = 1.0
        self.status: int | None = None
        self.never_ready = False
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Distance in m."""
        if quantity is not Quantity.DISTANCE:
            raise ValueError(f"this part does not know {quantity}")
        self._range()  # what was completed before stays as it was
        self._distance = value

    def power_cycle(self) -> None:
        self.memory = bytearray(0x200)
        for index, value in _POWER_ON.items():
            self.memory[index] = value
        self._boots_at = self._clock.monotonic() + _BOOT
        self._index = 0
        self._started: float | None = None
        self._cleared = self._latched = 0

    def transfer(self, write: bytes, read: int) -> bytes:
        if self._clock.monotonic() < self._boots_at:
            raise NoAcknowledge("the firmware boots")
        if len(write) == 1:
            raise NoAcknowledge("an index has two bytes")
        if write:
            self._index = int.from_bytes(write[:2])
        for value in write[2:]:
            self._write(self._index, value)
            self._index += 1
        return self._read(read) if read else b""

    def _write(self, index: int, value: int) -> None:
        if not any(index in each for each in _WRITABLE):
            raise BusError(f"index {index:#06x} cannot be written")
        if self._started is not None and 0x2D <= index < 0x86:
            raise BusError(f"index {index:#06x} changes only while the part is idle")
        self.memory[index] = value
        if index == 0x86 and value & 1:
            self._cleared = self._number()
        elif index == 0x87:
            self._start(value)

    def _start(self, mode: int) -> None:
        if mode not in (0x00, 0x40):
            raise BusError(f"mode {mode:#04x} is not emulated")
        self._started = self._clock.monotonic() if mode else None
        self._cleared = self._latched = 0

    def _read(self, count: int) -> bytes:
        if self._index + count > len(self.memory):
            raise BusError(f"no index {self._index + count - 1:#06x}")
        self._range()
        answer = bytes(self.memory[self._index : self._index + count])
        self._index += count
        return answer

    def _number(self) -> int:
        """How many ranges have been completed since the start."""
        configured = self.memory[0x46] == 0x20 and self._timing("budget") > 0
        if self._started is None or not configured or self.never_ready:
            return 0
        elapsed = self._clock.monotonic() - self._started - self._timing("budget")
        return 0 if elapsed < 0 else 1 + math.floor(elapsed / self._timing("period"))

    def _timing(self, what: str) -> float:
        budget = _BUDGETS.get(int.from_bytes(self.memory[0x5E:0x60]), 0.0)
        if what == "budget":
            return budget
        oscillator = int.from_bytes(self.memory[0xDE:0xE0]) & 0x3FF
        return max(budget, int.from_bytes(self.memory[0x6C:0x70]) / oscillator / 1075)

    def _range(self) -> None:
        number = self._number()
        ready = number > self._cleared
        active_low = bool(self.memory[0x30] & 0x10)
        self.memory[0x31] = 0x02 | (ready != active_low)
        if number > self._latched:
            self._latched = number
            short = self.memory[0x60] == 0x07
            unseen = 4 if short and self._distance > _SHORT_REACH else 9
            self.memory[0x89] = unseen if self.status is None else self.status
            self.memory[0x8B] = (number - 1) & 0xFF if number < 256 else 128 | number & 0x7F
            self.memory[0x96:0x98] = round(self._distance * 1000).to_bytes(2)
