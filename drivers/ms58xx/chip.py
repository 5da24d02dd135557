"""What the emulated MS5803 and MS5837 do alike on the wires, from their datasheets and AN520.

They find the ADC's results for the world's values by running the maker's integer formulas backwards, each its
own.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Clock


class Converter:
    """The commands of a part: a reset, its PROM, and conversions of pressure and temperature.

    *times* are the conversion times [s] by the code of the oversampling; *prom* gives the words of the
    memory, *pressure* and *temperature* what a conversion would give now. *deaf* conversions never end. A
    read before the end of a conversion gives 0 and spoils it.
    """

    def __init__(
        self,
        clock: Clock,
        times: Mapping[int, float],
        prom: Callable[[], Sequence[int]],
        pressure: Callable[[], int],
        temperature: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._times = times
        self._prom = prom
        self._pressure, self._temperature = pressure, temperature
        self.deaf = False
        self.power_cycle()

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
                words = self._prom() if self._loaded else (0,) * 8
                return words[command >> 1 & 7].to_bytes(2)
            case _ if command & 0xE0 == 0x40 and command & 0x0F in self._times:
                self._begin(command)
            case _:
                raise NoAcknowledge(f"there is no command {command:#04x}")
        return b""

    def _begin(self, command: int) -> None:
        spoilt = self._clock.monotonic() < self._ends
        code = self._pressure() if command < 0x50 else self._temperature()
        takes = self._times[command & 0x0F]
        self._ends = float("inf") if self.deaf else self._clock.monotonic() + takes
        self._result = code // 3 if spoilt else code

    def _take(self) -> int:
        if self._clock.monotonic() < self._ends:
            self._result //= 3
            return 0
        result, self._result = self._result, 0
        return result


def remainder(words: Sequence[int]) -> int:
    """Return the CRC-4 of eight *words*, of which the last byte does not count (AN520)."""
    bits = "".join(f"{word:016b}" for word in words)
    number = int(bits[:120], 2) << 4
    for at in range(number.bit_length() - 1, 3, -1):
        if number >> at & 1:
            number ^= 0b10011 << at - 4
    return number & 0x0F


def nearest(function: Callable[[int], int], wanted: float) -> int:
    """Return the code at which the rising *function* comes nearest to *wanted*."""
    at = bisect_left(range(1 << 24), wanted, 1, (1 << 24) - 2, key=function)
    return min((at - 1, at), key=lambda code: abs(function(code) - wanted))


def first_order(code: int, prom: Sequence[int]) -> tuple[int, int]:
    """Return dT and TEMP in hundredths of a degree."""
    dt = code - (prom[5] << 8)
    return dt, 2000 + (dt * prom[6] >> 23)
