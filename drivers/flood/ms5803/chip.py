"""An emulated MS5803-14BA, from datasheet DA5803-14BA_005.

It holds the calibration words of the maker's worked example, and finds the ADC's results for the world's
values by running the maker's integer formulas backwards.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_P, _T = Quantity.WATER_PRESSURE, Quantity.WATER_TEMPERATURE
_TIMES = {0: 0.0006, 2: 0.00117, 4: 0.00228, 6: 0.00454, 8: 0.00904}
_EXAMPLE = (0x0A5C, 46546, 42845, 29751, 29457, 32745, 29059, 0x3300)


class Emulated:
    """One part; `prom` is its memory of eight words, the last with the CRC.

    Faults: `prom` can be anything; *deaf* conversions never end; *stray* is a drift of the pressure [hPa], as
    of a part whose gel has dried. A read before the end of a conversion gives 0 and spoils it.
    """

    spans: Mapping[Quantity, Span] = {_P: Span(10.0, 14000.0, 0.25), _T: Span(-40.0, 85.0, 0.011)}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.prom = sealed(_EXAMPLE)
        self._world = {_P: 1013.25, _T: 12.0}
        self.deaf = False
        self.stray = 0.0
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into water of this absolute pressure, or temperature."""
        if quantity not in self._world:
            raise ValueError(f"an MS5803 does not know {quantity}")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Lose the conversion, and what was loaded of the PROM: until a reset it reads as zeros."""
        self._loaded = False
        self._awake = self._clock.monotonic() + 0.003
        self._ends, self._result = 0.0, 0
        self._answer = b""

    def transfer(self, write: bytes, read: int) -> bytes:
        """One command; the PROM and the ADC are read in the same transfer, or in the next."""
        if self._clock.monotonic() < self._awake:
            raise NoAcknowledge("the part is loading its PROM")
        if len(write) > 1:
            raise BusError("a command has one byte")
        if write:
            self._answer = self._obey(write[0])
        if read > len(self._answer):
            raise BusError(f"this command is answered by {len(self._answer)} bytes")
        return self._answer[:read]

    def _obey(self, command: int) -> bytes:
        match command:
            case 0x1E:
                self.power_cycle()
                self._loaded = True
            case 0x00:
                return self._take().to_bytes(3)
            case _ if command & 0xF1 == 0xA0:
                words = self.prom if self._loaded else (0,) * 8
                return words[command >> 1 & 7].to_bytes(2)
            case _ if command & 0xE0 == 0x40 and command & 0x0F in _TIMES:
                self._begin(command)
            case _:
                raise NoAcknowledge(f"there is no command {command:#04x}")
        return b""

    def _begin(self, command: int) -> None:
        spoilt = self._clock.monotonic() < self._ends
        code = self._pressure_code() if command < 0x50 else self._temperature_code()
        self._ends = float("inf") if self.deaf else self._clock.monotonic() + _TIMES[command & 0x0F]
        self._result = code // 3 if spoilt else code

    def _take(self) -> int:
        if self._clock.monotonic() < self._ends:
            self._result //= 3
            return 0
        result, self._result = self._result, 0
        return result

    def _temperature_code(self) -> int:
        return _nearest(lambda code: _temperature(code, self.prom), self._world[_T] * 100)

    def _pressure_code(self) -> int:
        warmth = self._temperature_code()
        wanted = (self._world[_P] + self.stray) * 10
        return _nearest(lambda code: _pressure(code, warmth, self.prom), wanted)


def sealed(words: tuple[int, ...]) -> tuple[int, ...]:
    """Return *words* with the CRC in the lower four bits of the last (AN520, for parts with 128 bits)."""
    bits = "".join(f"{word:016b}" for word in words)
    number = int(bits[:120], 2) << 4  # the last byte is left out
    for at in range(number.bit_length() - 1, 3, -1):
        if number >> at & 1:
            number ^= 0b10011 << at - 4
    return (*words[:7], words[7] & 0xFF00 | number & 0x0F)


def _nearest(function: Callable[[int], int], wanted: float) -> int:
    """Return the code at which the rising *function* comes nearest to *wanted*."""
    at = bisect_left(range(1 << 24), wanted, 1, (1 << 24) - 2, key=function)
    return min((at - 1, at), key=lambda code: abs(function(code) - wanted))


def _first_order(code: int, prom: tuple[int, ...]) -> tuple[int, int]:
    dt = code - (prom[5] << 8)
    return dt, 2000 + (dt * prom[6] >> 23)


def _temperature(code: int, prom: tuple[int, ...]) -> int:
    """The datasheet's TEMP in hundredths of a degree, with its second order."""
    dt, temp = _first_order(code, prom)
    return temp - (3 * dt * dt >> 33 if temp < 2000 else 7 * dt * dt >> 37)


def _pressure(code: int, warmth: int, prom: tuple[int, ...]) -> int:
    """The datasheet's P in tenths of a millibar."""
    dt, temp = _first_order(warmth, prom)
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
