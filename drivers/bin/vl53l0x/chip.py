"""A VL53L0X made of arithmetic: pages of registers, a boot, a memory, calibrations, single ranges."""

from collections.abc import Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_BOOT = 0.0012
_NVM = 0.0005
_CALIBRATION = {0x01: 0.02, 0x02: 0.02}
_REACH = 1.25  # m, where the default mode loses a white target
_OVERHEAD = {"start": 0.00191, "end": 0.00096, "dss": 0.00069, "pre": 0.00066, "final": 0.00055}


class Emulated:
    """One part above a target. It NACKs while it boots, and ranges only tuned and calibrated.

    Faults: `status` (a device status to report in place of a complete range), `never_ready`, `smear` (a
    distance [m] that a dirty window makes of every farther target), `identity`, `mute` (its memory does not
    answer), `power_cycle` (tuning and calibration are gone), `held` (registers that read as given).
    """

    spans: Mapping[Quantity, Span] = {Quantity.DISTANCE: Span(0.03, 1.2, 0.001)}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._distance = 0.5
        self.status: int | None = None
        self.never_ready = self.mute = False
        self.smear: float | None = None
        self.identity = b"\xee\xaa\x10"
        self.spads = (5, True)  # how many, and whether with an aperture
        self.good = bytes.fromhex("000050150102")
        self.held: dict[int, int] = {}
        self.power_cycle()
        self._boots_at = self._clock.monotonic()  # it has had power for a while

    def set(self, quantity: Quantity, value: float) -> None:
        """Distance in m."""
        if quantity is not Quantity.DISTANCE:
            raise ValueError(f"this part does not know {quantity}")
        self._step()  # what was completed before stays as it was
        self._distance = value

    def power_cycle(self) -> None:
        self.pages: dict[int, bytearray] = {page: bytearray(256) for page in (0, 1, 6, 7)}
        self.page = 0
        self.memory = self.pages[0]
        self.memory[0x01] = 0xFF
        self.memory[0x84] = 0x10
        self.memory[0xB0:0xB6] = self.good
        self.pages[1][0x91] = 0x3C
        self._boots_at = self._clock.monotonic() + _BOOT
        self._pointer = 0
        self._done: set[int] = set()
        self._busy: tuple[int, float] | None = None
        self._answers_at: float | None = None
        self._stop_restored = False

    def transfer(self, write: bytes, read: int) -> bytes:
        if self._clock.monotonic() < self._boots_at:
            raise NoAcknowledge("the firmware boots")
        if write:
            self._pointer = write[0]
        for value in write[1:]:
            self._write(self._pointer, value)
            self._pointer = self._pointer + 1 & 0xFF
        answer = bytes(self._read(self._pointer + at & 0xFF) for at in range(read))
        self._pointer = self._pointer + read & 0xFF
        return answer

    def _write(self, register: int, value: int) -> None:
        if register == 0xFF:
            if value not in self.pages:
                raise BusError(f"there is no page {value}")
            self.page = value
            return
        if self.page == 0 and (0x13 <= register <= 0x1F or register in (0xC0, 0xC1, 0xC2)):
            raise BusError(f"register {register:#04x} is a result or an identity")
        self.pages[self.page][register] = value
        if self.page == 0:
            self._command(register, value)
        elif self.page == 1 and register == 0x91:
            self._stop_restored = value == 0x3C and self.memory[0x80] == 1
        elif self.page == 7 and (register, value) == (0x83, 0x00) and self.pages[7][0x94] == 0x6B:
            self._answers_at = self._clock.monotonic() + _NVM

    def _command(self, register: int, value: int) -> None:
        if register == 0x80:
            for page in (1, 6, 7):
                self.pages[page][0x80] = value
        elif register == 0x0B and value & 1:
            self._step()
            self.memory[0x13] = 0
        elif register == 0x00:
            self._begin(value)

    def _begin(self, value: int) -> None:
        """Calibrate or range, as the sequence says; the start bit clears by itself."""
        sequence = self.memory[0x01]
        self._busy = None
        if value & 1 == 0:
            return
        now = self._clock.monotonic()
        if sequence in _CALIBRATION and self._spads_right():
            self._busy = (sequence, now + _CALIBRATION[sequence])
        elif sequence == 0xE8 and self._stop_restored:
            self._busy = (sequence, now + self._duration())
        self.memory[0x00] = 0

    def _spads_right(self) -> bool:
        count, aperture = self.spads
        bits = [bit for bit in range(48) if self.memory[0xB0 + bit // 8] >> bit % 8 & 1]
        allowed = all(self.good[bit // 8] >> bit % 8 & 1 for bit in bits)
        return len(bits) == count and allowed and (not aperture or min(bits) >= 12)

    def _duration(self) -> float:
        """How long the registers say that a range lasts: twice the target check, two ranges, overheads."""
        pre = 2304 * 2 * (self.memory[0x50] + 1) * 1.655e-9
        final = 2304 * 2 * (self.memory[0x70] + 1) * 1.655e-9
        first, whole = self._clocks(0x51), self._clocks(0x71)
        check = _OVERHEAD["dss"] + (self.memory[0x46] + 1) * pre
        ranges = _OVERHEAD["pre"] + first * pre + _OVERHEAD["final"] + (whole - first) * final
        return _OVERHEAD["start"] + 2 * check + ranges + _OVERHEAD["end"]

    def _clocks(self, register: int) -> int:
        return (self.memory[register + 1] << self.memory[register]) + 1

    def _read(self, register: int) -> int:
        self._step()
        if self.page == 0 and register in self.held:
            return self.held[register]
        if register == 0xFF:
            return self.page
        if self.page == 0 and 0xC0 <= register <= 0xC2:
            return self.identity[register - 0xC0]
        return self.pages[self.page][register]

    def _step(self) -> None:
        """Bring memory, calibration and range up to now."""
        now = self._clock.monotonic()
        if self._answers_at is not None and now >= self._answers_at and not self.mute:
            self._answers_at = None
            self.pages[7][0x83] = 0x01
            self.pages[7][0x92] = self.spads[0] | self.spads[1] << 7
        if self._busy is None or now < self._busy[1] or self.never_ready:
            return
        what, self._busy = self._busy[0], None
        if what in _CALIBRATION:
            self._done.add(what)
        else:
            self._range()
        if self.memory[0x0A] & 0x07 == 0x04:
            self.memory[0x13] |= 0x04

    def _range(self) -> None:
        seen = self._distance if self.smear is None else min(self._distance, self.smear)
        status = 3 if self._done != {1, 2} else 4 if seen > _REACH else 11
        if self.status is not None:
            status = self.status
        self.memory[0x14] = status << 3
        self.memory[0x1E:0x20] = (round(seen * 1000) if status == 11 else 8190).to_bytes(2)
