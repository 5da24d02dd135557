"""An emulated BME688 or BME680, from BST-BME688-DS000 revision 1.2 and BST-BME680-DS001 revision 1.9.

It finds the codes for the world's values by running the maker's INTEGER formulas backwards, without the
rounding of their shifts (which costs up to 0.1 hPa); the driver runs those for floating point forwards.
"""

import struct
from collections.abc import Mapping

from drivers.bme.chip import Pointer, factors, nearest, packed, spread, steps
from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

# The words of a real part (registers 0x8A to 0xA0, 0xE1 to 0xEE, 0x00 to 0x04).
TRIM = {
    0x8A: bytes.fromhex("65670300418fedd658008e1c7fff2e1e000097f3b5f61e"),
    0xE1: bytes.fromhex("40542a002d14789cb9654e9fe212"),
    0x00: bytes.fromhex("3000100000"),
}
_RESET_DATA = bytes.fromhex("0000 800000 800000 8000 000000 0000 0000")
_T, _P, _H, _G = Quantity.TEMPERATURE, Quantity.PRESSURE, Quantity.HUMIDITY, Quantity.GAS_RESISTANCE

# What the ranges of a BME680 are worth, as its maker's integer tables have them.
_FIRST = {5: 2126008810, 7: 2130303777, 10: 2143188679, 11: 2136746228, 13: 2126008810}
_SECOND = (
    *(4096000000, 2048000000, 1024000000, 512000000, 255744255, 127110228, 64000000, 32258064),
    *(16016016, 8000000, 4000000, 2000000, 1000000, 500000, 250000, 125000),
)


class Emulated:
    """A part of *variant* 1 (BME688) or 0 (BME680) with the words *trim*.

    Faults: *chip_id* is what register 0xD0 holds; *skipped* are quantities that give the code for "no
    result"; *hung* is a measurement that never ends; *cold* is a heater that does not reach its temperature.
    *heated* is to how many degrees the last measurement heated.
    """

    spans: Mapping[Quantity, Span] = {
        _G: Span(12000.0, 1000000.0, 800.0),
        _T: Span(-40.0, 85.0, 0.0051),
        _P: Span(300.0, 1100.0, 0.0304),
        _H: Span(0.0, 100.0, 0.02),
    }

    def __init__(self, clock: Clock, variant: int = 1, trim: Mapping[int, bytes] = TRIM) -> None:
        self._clock = clock
        self._trim = trim
        self._world = {_G: 50000.0, _T: 20.0, _P: 1013.25, _H: 50.0}
        self.chip_id, self.variant = 0x61, variant
        self.skipped: set[Quantity] = set()
        self.hung = self.cold = False
        self.heated = 0.0
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into air of *value*; its next measurement shows it."""
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Lose the settings and the results; the words are burnt in."""
        self._awake = self._clock.monotonic() + 0.002
        self._ends: float | None = None
        self._registers = Pointer("BME688", self._store, self._memory)
        self._settings = dict.fromkeys([*range(0x50, 0x6F), 0x70, 0x71, 0x72, 0x74, 0x75], 0)
        self._data = _RESET_DATA

    def transfer(self, write: bytes, read: int) -> bytes:
        """Take pairs of register and value, or one register to read on from (6.2)."""
        if self._clock.monotonic() < self._awake:
            raise NoAcknowledge("the part is still starting")
        self._advance()
        return self._registers.transfer(write, read)

    def _memory(self) -> dict[int, int]:
        """Return every register that can be read, and what it holds now."""
        areas = {**self._trim, 0xD0: bytes([self.chip_id]), 0xE0: b"\0", 0xF0: bytes([self.variant])}
        areas |= {0x1D: self._data, 0x73: b"\0"}
        memory = spread(areas)
        if self._ends is not None:
            memory[0x1D] = 0x60  # gas_measuring, measuring; not new
        return memory | self._settings

    def _store(self, register: int, value: int) -> None:
        if register == 0xE0:
            if value == 0xB6:  # any other value does nothing
                self.power_cycle()
        elif register not in self._settings or not _fits(register, value):
            raise BusError(f"register {register:#04x} cannot hold {value:#04x}")
        else:
            self._settings[register] = value
            if register == 0x74 and value & 0x03 == 1:
                self._data = b"\0" + self._data[1:]
                self._ends = self._clock.monotonic() + self._typical()

    def _asked(self) -> dict[Quantity, int]:
        return factors(self._settings[0x74], self._settings[0x72])

    def _measures_gas(self) -> bool:
        return bool(self._settings[0x71] & (0x20 if self.variant else 0x10))

    def _heating(self) -> float:
        """Return how long the heater is on before the gas is measured [s] (5.3.3)."""
        code = self._settings[0x64 + (self._settings[0x71] & 0x0F)]
        return ((code & 0x3F) << 2 * (code >> 6)) / 1000

    def _typical(self) -> float:
        climate = sum(self._asked().values()) * 1.963 + 9 * 0.477 + 1
        return climate / 1000 + self._heating() * self._measures_gas()

    def _advance(self) -> None:
        """Show the results once the measurement has ended, and sleep."""
        if self._ends is None or self.hung or self._clock.monotonic() < self._ends:
            return
        self._ends = None
        self._settings[0x74] &= ~0x03
        self._data = self._results()

    def _results(self) -> bytes:
        words, asked = _Words(self._trim), self._asked()
        warm = nearest(words.fine, self._world[_T] * 5120, steps(asked[_T]))
        fine = words.fine(warm)
        dense = nearest(lambda c: -words.pressure(c, fine), -self._world[_P] * 100, steps(asked[_P]))
        moist = nearest(lambda c: words.humidity(c, fine), self._world[_H], range(1 << 16))
        climate = packed({_T: warm, _P: dense, _H: moist}, asked, self.skipped)
        return b"\x80\0" + climate + b"\0\0\0" + self._gas(words)

    def _gas(self, words: "_Words") -> bytes:
        """Return the registers of the gas: the first two are the BME680's, the last two the BME688's."""
        if not self._measures_gas() or _G in self.skipped:
            return bytes(4)
        heats = not self._settings[0x70] & 0x08
        self.heated = words.heated(self._settings[0x5A + (self._settings[0x71] & 0x0F)], self._world[_T])
        stable = heats and not self.cold and self._heating() >= 0.015 and 195 <= self.heated <= 410
        code, step = words.gas(self._world[_G], self.variant)
        raw = (code << 6 | 0x20 | stable << 4 | step).to_bytes(2)
        return b"\0\0" + raw if self.variant else raw + b"\0\0"


def _fits(register: int, value: int) -> bool:
    """Return whether the bits that mean nothing are left alone (5.2)."""
    return not value & {0x70: 0xF7, 0x71: 0x40, 0x72: 0xB8, 0x74: 0x02, 0x75: 0xE2}.get(register, 0)


class _Words:
    """The words of one part, and the maker's integer formulas without the rounding of their shifts."""

    def __init__(self, trim: Mapping[int, bytes]) -> None:
        first, second, third = trim[0x8A], trim[0xE1], trim[0x00]
        (self.t1,) = _ints("<H", second, 8)
        self.t2, self.t3 = _ints("<hb", first, 0)
        self.p1, self.p2, self.p3 = _ints("<Hhb", first, 4)
        self.p4, self.p5, self.p7, self.p6 = _ints("<hhbb", first, 10)
        self.p8, self.p9, self.p10 = _ints("<hhB", first, 18)
        # Two words of 12 bits share the second byte: its low half is H1's, its high half H2's.
        self.h1, self.h2 = second[2] * 16 + second[1] % 16, second[0] * 16 + second[1] // 16
        self.h3, self.h4, self.h5, self.h6, self.h7 = _ints("<bbbBb", second, 3)
        self.g2, self.g1, self.g3 = _ints("<hbb", second, 10)
        (self.heat_value,), self.heat_range = _ints("b", third, 0), third[2] // 16 % 4
        self.error = _ints("b", third, 4)[0] // 16

    def fine(self, code: int) -> float:
        """Return the temperature in 1/5120 degree."""
        var1 = code / 8 - self.t1 * 2
        return var1 * self.t2 / 2048 + (var1 / 2) ** 2 / 4096 * self.t3 * 16 / 16384

    def pressure(self, code: int, fine: float) -> float:
        """Return the pressure in Pa."""
        var1 = fine / 2 - 64000
        var2 = (var1 / 4) ** 2 / 2048 * self.p6 / 4 + var1 * self.p5 * 2
        var2 = var2 / 4 + self.p4 * 65536
        var1 = ((var1 / 4) ** 2 / 8192 * self.p3 * 32 / 8 + self.p2 * var1 / 2) / 262144
        var1 = (32768 + var1) * self.p1 / 32768
        p = (1048576 - code - var2 / 4096) * 3125 * 2 / var1
        cubic = (p / 256) ** 3 * self.p10 / 131072
        square = (p / 8) ** 2 * self.p9 / 8192 / 4096
        return p + (square + p / 4 * self.p8 / 8192 + cubic + self.p7 * 128) / 16

    def humidity(self, code: int, fine: float) -> float:
        """Return the relative humidity in percent."""
        air = fine * 5 / 256  # in 1/100 degree
        var1 = code - self.h1 * 16 - air * self.h3 / 100 / 2
        var2 = self.h2 * (air * self.h4 / 100 + air * (air * self.h5 / 100) / 64 / 100 + 16384) / 1024
        var3 = var1 * var2
        var4 = (self.h6 * 128 + air * self.h7 / 100) / 16
        var6 = var4 * ((var3 / 16384) ** 2 / 1024) / 2
        return min(100.0, max(0.0, (var3 + var6) / 1024 * 1000 / 4096 / 1000))

    def gas(self, ohm: float, variant: int) -> tuple[int, int]:
        """Return code and range that say *ohm*: of all ranges the one whose code is nearest to the middle."""
        codes = [self._code_688(ohm, step) if variant else self._code_680(ohm, step) for step in range(16)]
        step = min(range(16), key=lambda each: abs(codes[each] - 512))
        return min(1023, max(0, round(codes[step]))), step

    @staticmethod
    def _code_688(ohm: float, step: int) -> float:
        return 512 + ((262144 >> step) * 1e6 / ohm - 4096) / 3

    def _code_680(self, ohm: float, step: int) -> float:
        var1 = (1340 + 5 * self.error) * _FIRST.get(step, 2147483647) / 65536
        return (_SECOND[step] * var1 / 512 / ohm - var1 + 16777216) / 32768

    def heated(self, code: int, air: float) -> float:
        """Return to how many degrees *code* heats in air of *air* degrees."""
        ohm = (code * 100 / 34 + 250) * (131 * self.heat_value + 65536) * (self.heat_range + 4)
        share = air * self.g3 / 1024 * 2621440  # as the datasheet has it; the maker's integer code loses it
        slope = (ohm - share) * 2 / (self.g1 + 784)
        return (slope * 10 - 3276800) * 100 / 5 / (self.g2 + 154009)


def _ints(layout: str, raw: bytes, at: int) -> tuple[int, ...]:
    return struct.unpack_from(layout, raw, at)
