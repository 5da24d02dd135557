"""What the emulated BME280 and BME688 do alike, from their datasheets: registers, and codes of results."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Set

from drivers.bus import BusError
from drivers.device import Quantity

_FACTORS = (0, 1, 2, 4, 8, 16, 16, 16)


class Pointer:
    """Registers of a part called *name*, read on from where a pointer stands (6.2 of both datasheets).

    *store* takes a register and its value; *memory* gives every register that can be read.
    """

    def __init__(
        self, name: str, store: Callable[[int, int], None], memory: Callable[[], Mapping[int, int]]
    ) -> None:
        self._name = name
        self._store, self._memory = store, memory
        self._at = 0

    def transfer(self, write: bytes, read: int) -> bytes:
        """Take pairs of register and value, or one register to read on from."""
        if len(write) == 1:
            self._at = write[0]
        elif len(write) % 2 or (write and read):
            raise BusError(f"a {self._name} takes pairs of register and value, or one register to read from")
        for at in range(0, len(write) - 1, 2):
            self._store(write[at], write[at + 1])
        memory = self._memory()
        try:
            return bytes(memory[self._at + offset] for offset in range(read))
        except KeyError as error:
            raise BusError(f"there is no register {error.args[0]:#04x}") from error


def spread(areas: Mapping[int, bytes]) -> dict[int, int]:
    """Return every register of *areas*, each of which begins at its key."""
    return {start + offset: byte for start, area in areas.items() for offset, byte in enumerate(area)}


def factors(meas: int, hum: int) -> dict[Quantity, int]:
    """Return how many samples ctrl_meas and ctrl_hum ask for; 0 skips the quantity."""
    codes = {
        Quantity.TEMPERATURE: meas >> 5,
        Quantity.PRESSURE: meas >> 2 & 7,
        Quantity.HUMIDITY: hum & 7,
    }
    return {quantity: _FACTORS[code] for quantity, code in codes.items()}


def steps(factor: int) -> range:
    """Return the codes that there are: without the filter 16 bits, and one more for each doubling."""
    return range(0, 1 << 20, 32 >> factor.bit_length())


def packed(codes: Mapping[Quantity, int], asked: Mapping[Quantity, int], skipped: Set[Quantity]) -> bytes:
    """Return the eight bytes of a result; what is *skipped* or not *asked* has the code for "no result"."""
    gone = skipped | {quantity for quantity, factor in asked.items() if not factor}
    pressure = 0x80000 if Quantity.PRESSURE in gone else codes[Quantity.PRESSURE]
    temperature = 0x80000 if Quantity.TEMPERATURE in gone else codes[Quantity.TEMPERATURE]
    humidity = 0x8000 if Quantity.HUMIDITY in gone else codes[Quantity.HUMIDITY]
    return (pressure << 4).to_bytes(3) + (temperature << 4).to_bytes(3) + humidity.to_bytes(2)


def nearest(curve: Callable[[int], float], wanted: float, codes: range) -> int:
    """Return the code whose value on a rising *curve* is the nearest to *wanted*."""
    at = min(bisect_left(codes, wanted, key=curve), len(codes) - 1)
    return min(codes[max(0, at - 1) : at + 1], key=lambda code: abs(curve(code) - wanted))
