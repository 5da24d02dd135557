"""An emulated MS5837, from the datasheets of the 30BA (revision C2) and the 02BA (September 2017).

It holds the calibration words of the maker's worked examples, and finds the ADC's results for the world's
values by running the maker's integer formulas backwards.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Span

_P, _T = Quantity.WATER_PRESSURE, Quantity.WATER_TEMPERATURE
_TIMES = {0: 0.0006, 2: 0.00117, 4: 0.00228, 6: 0.00454, 8: 0.00904, 10: 0.01808}
_EXAMPLES = {
    "30BA": (0x0341, 34982, 36352, 20328, 22354, 26646, 26146),
    "02BA": (0x02A1, 46372, 43981, 29059, 27842, 31553, 28165),
}


class Emulated:
    """One part of a *model*; `prom` is its memory of seven words, the first with the CRC.

    Faults: `prom` can be anything; *deaf* conversions never end; *stray* is a drift of the pressure [hPa], as
    of a part whose gel has dried. A read before the end of a conversion gives 0 and spoils it.
    """

    def __init__(self, clock: Clock, model: str = "30BA") -> None:
        self._clock = clock
        self._model = model
        self.prom = sealed(_EXAMPLES[model])
        high = 30000.0 if model == "30BA" else 2000.0
        self.spans: Mapping[Quantity, Span] = {
            _P: Span(10.0, high, 0.25 if model == "30BA" else 0.03),
            _T: Span(-20.0, 85.0, 0.011),
        }
        self._world = {_P: 1013.25, _T: 12.0}
        self.deaf = False
        self.stray = 0.0
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Put the part into water of this absolute pressure, or temperature."""
        if quantity not in self._world:
            raise ValueError(f"an MS5837 does not know {quantity}")
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
                words = (*self.prom, 0) if self._loaded else (0,) * 8
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
        return _nearest(lambda code: _temperature(code, self.prom, self._model), self._world[_T] * 100)

    def _pressure_code(self) -> int:
        warmth = self._temperature_code()
        unit = 10 if self._model == "30BA" else 100
        wanted = (self._world[_P] + self.stray) * unit
        return _nearest(lambda code: _pressure(code, warmth, self.prom, self._model), wanted)


def sealed(words: tuple[int, ...]) -> tuple[int, ...]:
    """Return *words* with the CRC in the upper four bits of the first (AN520, for parts with 112 bits)."""
    bits = "".join(f"{word:016b}" for word in (words[0] & 0x0FFF, *words[1:], 0))
    number = int(bits[:120], 2) << 4  # the last byte is left out
    for at in range(number.bit_length() - 1, 3, -1):
        if number >> at & 1:
            number ^= 0b10011 << at - 4
    return ((number & 0x0F) << 12 | words[0] & 0x0FFF, *words[1:])


def _nearest(function: Callable[[int], int], wanted: float) -> int:
    """Return the code at which the rising *function* comes nearest to *wanted*."""
    at = bisect_left(range(1 << 24), wanted, 1, (1 << 24) - 2, key=function)
    return min((at - 1, at), key=lambda code: abs(function(code) - wanted))


def _first_order(code: int, prom: tuple[int, ...]) -> tuple[int, int]:
    dt = code - (prom[5] << 8)
    return dt, 2000 + (dt * prom[6] >> 23)


def _temperature(code: int, prom: tuple[int, ...], model: str) -> int:
    """The datasheet's TEMP in hundredths of a degree, with its second order."""
    dt, temp = _first_order(code, prom)
    if model == "02BA":
        return temp - (11 * dt * dt >> 35) if temp < 2000 else temp
    return temp - (3 * dt * dt >> 33 if temp < 2000 else 2 * dt * dt >> 37)


def _pressure(code: int, warmth: int, prom: tuple[int, ...], model: str) -> int:
    """The datasheet's P: in tenths of a millibar for the 30BA, in hundredths for the 02BA."""
    dt, temp = _first_order(warmth, prom)
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
