"""An emulated BME280, from datasheet BST-BME280-DS002 revision 1.6.

It finds the codes for the world's values by running the maker's INTEGER formulas (4.2.3) backwards; the
driver runs the floating-point ones of the appendix forwards. Neither knows the other.
"""

import struct
from collections.abc import Mapping

from drivers.bme.chip import Pointer, factors, nearest, packed, spread, steps
from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

# The worked example of the maker's BMP280 datasheet for T and P, and a real part's words for humidity.
TRIM_LOW = bytes.fromhex("706b436718fc7d8e43d6d00b270b8c00f9ff8c3cf8c67017004b")
TRIM_HIGH = bytes.fromhex("6e01001305001e")

_RESET_DATA = bytes.fromhex("8000008000008000")
_T, _P, _H = Quantity.TEMPERATURE, Quantity.PRESSURE, Quantity.HUMIDITY


class Emulated:
    """A BME280 with the trimming words *low* (0x88 to 0xA1) and *high* (0xE1 to 0xE7).

    Faults: *chip_id* is what register 0xD0 holds; *skipped* are quantities that give the code for "no
    result"; *hung* is a measurement that never ends; *copying* is how long the trimming words take to arrive
    after a reset [s], infinity where the memory is blank.
    """

    spans: Mapping[Quantity, Span] = {
        _T: Span(-40.0, 85.0, 0.0051),
        _P: Span(300.0, 1100.0, 0.0304),
        _H: Span(0.0, 100.0, 0.02),
    }

    def __init__(self, clock: Clock, low: bytes = TRIM_LOW, high: bytes = TRIM_HIGH) -> None:
        self._clock = clock
        self._low, self._high = low, high
        self._world = {_T: 20.0, _P: 1013.25, _H: 50.0}
        self.chip_id = 0x60
        self.skipped: set[Quantity] = set()
        self.hung = False
        self.copying = 0.0018
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into air of *value*; its next measurement shows it."""
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Lose the settings and the results; the trimming words are burnt in."""
        self._awake = self._clock.monotonic() + 0.001
        self._reset = self._clock.monotonic()
        self._ends: float | None = None
        self._registers = Pointer("BME280", self._store, self._memory)
        self._pending_hum = self._ctrl_hum = self._ctrl_meas = self._config = 0
        self._data = _RESET_DATA

    def transfer(self, write: bytes, read: int) -> bytes:
        """Take pairs of register and value, or one register to read on from (6.2)."""
        if self._clock.monotonic() < self._awake:
            raise NoAcknowledge("the part is still starting")
        self._advance()
        return self._registers.transfer(write, read)

    def _memory(self) -> dict[int, int]:
        """Return every register that can be read, and what it holds now."""
        copied = self._clock.monotonic() >= self._reset + self.copying
        status = (self._ends is not None) << 3 | (not copied)
        control = bytes([self._pending_hum, status, self._ctrl_meas, self._config, 0])
        low, high = (self._low, self._high) if copied else (bytes(26), bytes(7))
        areas = {0x88: low, 0xD0: bytes([self.chip_id]), 0xE0: b"\0", 0xE1: high, 0xF2: control}
        areas[0xF7] = self._data
        return spread(areas)

    def _store(self, register: int, value: int) -> None:
        match register:
            case 0xE0:
                if value == 0xB6:  # any other value does nothing (5.4.2)
                    self.power_cycle()
            case 0xF2 if value <= 0x07:
                self._pending_hum = value
            case 0xF4:
                self._ctrl_meas, self._ctrl_hum = value, self._pending_hum
                if value & 0x03:
                    self._ends = self._clock.monotonic() + self._typical()
            case 0xF5 if not value & 0x02:
                self._config = value
            case _:
                raise BusError(f"register {register:#04x} cannot hold {value:#04x}")

    def _asked(self) -> dict[Quantity, int]:
        return factors(self._ctrl_meas, self._ctrl_hum)

    def _typical(self) -> float:
        """Return the typical time of a measurement (9.1), which is shorter than the longest."""
        t, p, h = self._asked().values()
        return (1 + 2 * t + (2 * p + 0.5) * (p > 0) + (2 * h + 0.5) * (h > 0)) / 1000

    def _advance(self) -> None:
        """Show the results once the measurement has ended; until then the old ones stay (4.1)."""
        if self._ends is None or self.hung or self._clock.monotonic() < self._ends:
            return
        self._ends = None
        if self._ctrl_meas & 0x03 != 0x03:  # a forced measurement is the only one; in normal mode more follow
            self._ctrl_meas &= ~0x03
        self._data = self._results()

    def _results(self) -> bytes:
        trim, asked = _Trim(self._low, self._high), self._asked()
        warm = nearest(trim.fine, self._world[_T] * 5120, steps(asked[_T]))
        fine = trim.fine(warm)
        dense = nearest(lambda c: -trim.pressure(c, fine), -self._world[_P] * 25600, steps(asked[_P]))
        moist = nearest(lambda c: trim.humidity(c, fine), self._world[_H] * 1024, range(1 << 16))
        return packed({_T: warm, _P: dense, _H: moist}, asked, self.skipped)


class _Trim:
    """The trimming words and the maker's integer formulas (4.2.3)."""

    def __init__(self, low: bytes, high: bytes) -> None:
        self.t1, self.t2, self.t3 = _ints("<Hhh", low)
        self.p = _ints("<H8h", low[6:])
        self.h1, (self.h2, self.h3), self.h6 = low[25], _ints("<hB", high), _ints("b", high[6:])[0]
        # Two words of 12 bits share the byte in the middle: its low half is H4's, its high half H5's.
        self.h4 = _ints("b", high[3:])[0] * 16 + (high[4] & 15)
        self.h5 = _ints("b", high[5:])[0] * 16 + (high[4] >> 4)

    def fine(self, code: int) -> int:
        """Return the temperature in 1/5120 degree."""
        linear = (((code >> 3) - (self.t1 << 1)) * self.t2) >> 11
        square = ((code >> 4) - self.t1) * ((code >> 4) - self.t1)
        return linear + (((square >> 12) * self.t3) >> 14)

    def pressure(self, code: int, fine: int) -> int:
        """Return the pressure in 1/256 Pa."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self.p
        v1 = fine - 128000
        v2 = v1 * v1 * p6 + ((v1 * p5) << 17) + (p4 << 35)
        v1 = (((v1 * v1 * p3) >> 8) + ((v1 * p2) << 12) + (1 << 47)) * p1 >> 33
        p = (((1048576 - code) << 31) - v2) * 3125 // v1
        return ((p + ((p9 * (p >> 13) * (p >> 13)) >> 25) + ((p8 * p) >> 19)) >> 8) + (p7 << 4)

    def humidity(self, code: int, fine: int) -> int:
        """Return the relative humidity in 1/1024 percent."""
        v = fine - 76800
        wet = ((code << 14) - (self.h4 << 20) - self.h5 * v + 16384) >> 15
        slope = (((((v * self.h6) >> 10) * (((v * self.h3) >> 11) + 32768)) >> 10) + 2097152) * self.h2
        v = wet * ((slope + 8192) >> 14)
        v -= ((((v >> 15) * (v >> 15)) >> 7) * self.h1) >> 4
        return min(max(v, 0), 419430400) >> 12


def _ints(layout: str, raw: bytes) -> tuple[int, ...]:
    return struct.unpack_from(layout, raw)
