"""An emulated MS5803-14BA, from datasheet DA5803-14BA_005.

It holds the calibration words of the maker's worked example, and finds the ADC's results for the world's
values by running the maker's integer formulas backwards.
"""

from collections.abc import Mapping

from drivers.device import Clock, Quantity
from drivers.emulated import Span
from drivers.ms58xx.chip import Converter, first_order, nearest, remainder

_P, _T = Quantity.WATER_PRESSURE, Quantity.WATER_TEMPERATURE
_TIMES = {0: 0.0006, 2: 0.00117, 4: 0.00228, 6: 0.00454, 8: 0.00904}
_EXAMPLE = (0x0A5C, 46546, 42845, 29751, 29457, 32745, 29059, 0x3300)


class Emulated:
    """One part; `prom` is its memory of eight words, the last with the CRC.

    Faults: `prom` can be anything; with `wires.deaf` conversions never end; *stray* is a drift of the
    pressure [hPa], as of a part whose gel has dried.
    """

    spans: Mapping[Quantity, Span] = {_P: Span(10.0, 14000.0, 0.25), _T: Span(-40.0, 85.0, 0.011)}

    def __init__(self, clock: Clock) -> None:
        self.prom = sealed(_EXAMPLE)
        self._world = {_P: 1013.25, _T: 12.0}
        self.stray = 0.0
        self.wires = Converter(clock, _TIMES, lambda: self.prom, self._pressure_code, self._temperature_code)

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into water of this absolute pressure, or temperature."""
        if quantity not in self._world:
            raise ValueError(f"an MS5803 does not know {quantity}")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Lose the conversion, and what was loaded of the PROM: until a reset it reads as zeros."""
        self.wires.power_cycle()

    def transfer(self, write: bytes, read: int) -> bytes:
        """One command; the PROM and the ADC are read in the same transfer, or in the next."""
        return self.wires.transfer(write, read)

    def _temperature_code(self) -> int:
        return nearest(lambda code: _temperature(code, self.prom), self._world[_T] * 100)

    def _pressure_code(self) -> int:
        warmth = self._temperature_code()
        wanted = (self._world[_P] + self.stray) * 10
        return nearest(lambda code: _pressure(code, warmth, self.prom), wanted)


def sealed(words: tuple[int, ...]) -> tuple[int, ...]:
    """Return *words* with the CRC in the lower four bits of the last (AN520, for parts with 128 bits)."""
    return (*words[:7], words[7] & 0xFF00 | remainder(words))


def _temperature(code: int, prom: tuple[int, ...]) -> int:
    """The datasheet's TEMP in hundredths of a degree, with its second order."""
    dt, temp = first_order(code, prom)
    return temp - (3 * dt * dt >> 33 if temp < 2000 else 7 * dt * dt >> 37)


def _pressure(code: int, warmth: int, prom: tuple[int, ...]) -> int:
    """The datasheet's P in tenths of a millibar."""
    dt, temp = first_order(warmth, prom)
    square = (temp - 2000) * (temp - 2000)
    off = (prom[2] << 16) + (prom[4] * dt >> 7)
    sens = (prom[1] << 15) + (prom[3] * dt >> 8)
    if temp >= 2000:
        return ((code * sens >> 21) - off + (square >> 4)) >> 15
    off, sens = off - (3 * square >> 1), sens - (5 * square >> 3)
    if temp < -1500:
        frost = (temp + 1500) * (temp + 1500)
        off, sens = off - 7 * frost, sens - 4 * frost
    return ((code * sens >> 21) - off) >> 15
