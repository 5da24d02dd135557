"""An emulated MS5837, from the datasheets of the 30BA (revision C2) and the 02BA (September 2017).

It holds the calibration words of the maker's worked examples, and finds the ADC's results for the world's
values by running the maker's integer formulas backwards.
"""

from collections.abc import Mapping

from drivers.device import Clock, Quantity
from drivers.emulated import Span
from drivers.ms58xx.chip import Converter, first_order, nearest, remainder

_P, _T = Quantity.WATER_PRESSURE, Quantity.WATER_TEMPERATURE
_TIMES = {0: 0.0006, 2: 0.00117, 4: 0.00228, 6: 0.00454, 8: 0.00904, 10: 0.01808}
_EXAMPLES = {
    "30BA": (0x0341, 34982, 36352, 20328, 22354, 26646, 26146),
    "02BA": (0x02A1, 46372, 43981, 29059, 27842, 31553, 28165),
}


class Emulated:
    """One part of a *model*; `prom` is its memory of seven words, the first with the CRC.

    Faults: `prom` can be anything; with `wires.deaf` conversions never end; *stray* is a drift of the
    pressure [hPa], as of a part whose gel has dried.
    """

    def __init__(self, clock: Clock, model: str = "30BA") -> None:
        self._model = model
        self.prom = sealed(_EXAMPLES[model])
        high = 30000.0 if model == "30BA" else 2000.0
        self.spans: Mapping[Quantity, Span] = {
            _P: Span(10.0, high, 0.25 if model == "30BA" else 0.03),
            _T: Span(-20.0, 85.0, 0.011),
        }
        self._world = {_P: 1013.25, _T: 12.0}
        self.stray = 0.0
        self.wires = Converter(
            clock, _TIMES, lambda: (*self.prom, 0), self._pressure_code, self._temperature_code
        )

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into water of this absolute pressure, or temperature."""
        if quantity not in self._world:
            raise ValueError(f"an MS5837 does not know {quantity}")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Lose the conversion, and what was loaded of the PROM: until a reset it reads as zeros."""
        self.wires.power_cycle()

    def transfer(self, write: bytes, read: int) -> bytes:
        """One command; the PROM and the ADC are read in the same transfer, or in the next."""
        return self.wires.transfer(write, read)

    def _temperature_code(self) -> int:
        return nearest(lambda code: _temperature(code, self.prom, self._model), self._world[_T] * 100)

    def _pressure_code(self) -> int:
        warmth = self._temperature_code()
        unit = 10 if self._model == "30BA" else 100
        wanted = (self._world[_P] + self.stray) * unit
        return nearest(lambda code: _pressure(code, warmth, self.prom, self._model), wanted)


def sealed(words: tuple[int, ...]) -> tuple[int, ...]:
    """Return *words* with the CRC in the upper four bits of the first (AN520, for parts with 112 bits)."""
    bare = (words[0] & 0x0FFF, *words[1:])
    return (remainder((*bare, 0)) << 12 | bare[0], *bare[1:])


def _temperature(code: int, prom: tuple[int, ...], model: str) -> int:
    """The datasheet's TEMP in hundredths of a degree, with its second order."""
    dt, temp = first_order(code, prom)
    if model == "02BA":
        return temp - (11 * dt * dt >> 35) if temp < 2000 else temp
    return temp - (3 * dt * dt >> 33 if temp < 2000 else 2 * dt * dt >> 37)


def _pressure(code: int, warmth: int, prom: tuple[int, ...], model: str) -> int:
    """The datasheet's P: in tenths of a millibar for the 30BA, in hundredths for the 02BA."""
    dt, temp = first_order(warmth, prom)
    square = (temp - 2000) * (temp - 2000)
    if model == "02BA":
        off = (prom[2] << 17) + (prom[4] * dt >> 6)
        sens = (prom[1] << 16) + (prom[3] * dt >> 7)
        if temp < 2000:
            off, sens = off - (31 * square >> 3), sens - (63 * square >> 5)
        return ((code * sens >> 21) - off) >> 15
    off = (prom[2] << 16) + (prom[4] * dt >> 7)
    sens = (prom[1] << 15) + (prom[3] * dt >> 8)
    if temp >= 2000:
        return ((code * sens >> 21) - off + (square >> 4)) >> 13
    off, sens = off - (3 * square >> 1), sens - (5 * square >> 3)
    if temp < -1500:
        frost = (temp + 1500) * (temp + 1500)
        off, sens = off - 7 * frost, sens - 4 * frost
    return ((code * sens >> 21) - off) >> 13
