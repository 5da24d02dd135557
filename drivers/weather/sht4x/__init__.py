"""Sensirion SHT4x (SHT40, SHT41, SHT43, SHT45): temperature and humidity over I2C.

Datasheet "SHT4x", version 6, February 2023; the sections cited are its. Each measurement is ordered by a
command of one byte, and every word that comes back has a CRC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from drivers.bus import I2C, BusError
from drivers.device import ChecksumError, Clock, Missing, Quantity, Values
from drivers.sensirion import Port

ON = "i2c"
ADDRESSES: tuple[int, ...] = (0x44, 0x45, 0x46)
"""By the letter in the part's name: SHT4x-A, SHT4x-B, SHT4x-C (section 8)."""

_SERIAL_NUMBER = 0x89
_RAILS = {0x0000, 0xFFFF}  # the ends of a word, 5 degrees and 6 % beyond what the part can measure


class _Order(NamedTuple):
    command: int
    takes: float  # s, above the maximum of 3.1: 8.3, 4.5 and 1.6 ms


_ORDERS: Mapping[str, _Order] = {
    "high": _Order(0xFD, 0.010),
    "medium": _Order(0xF6, 0.005),
    "low": _Order(0xE0, 0.002),
}


@dataclass(frozen=True, slots=True)
class Options:
    """*precision*: how often the part repeats itself within 0.04, 0.07 or 0.1 degrees (table 2)."""

    precision: Literal["high", "medium", "low"] = "high"


class Driver:
    """An SHT4x. It sleeps between measurements, and holds no settings that it could lose."""

    quantities = frozenset({Quantity.TEMPERATURE, Quantity.HUMIDITY})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._order = _ORDERS[options.precision]
        self._port = Port(bus, address, clock, self._order.takes, width=1)

    async def start(self) -> None:
        """Take one measurement: two valid checksums are as good an identity as the part has."""
        await self._port.ask(self._order.command, 2)

    async def measure(self) -> Values:
        """Measure once, 10 ms at the longest. Raises ChecksumError where a word was spoilt on its way."""
        return decode(await self._port.ask(self._order.command, 2))

    async def stop(self) -> None:
        """Nothing: the part sleeps."""


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the serial number of the SHT4x at *address*, or None. To a part with registers it is a read."""
    port = Port(bus, address, clock, _ORDERS["high"].takes, width=1)
    try:
        high, low = await port.ask(_SERIAL_NUMBER, 2)
    except (BusError, ChecksumError):
        return None
    return f"serial number {high:04x}{low:04x}" if {high, low} - _RAILS else None


def decode(words: Sequence[int]) -> dict[Quantity, float | Missing]:
    """Turn the two words into degrees Celsius and percent (4.6).

    The formula goes a little beyond 0 and 100 %, where the value is cropped; a word at its end is
    OUT_OF_RANGE, as is a temperature beyond -40 to 125.
    """
    temperature = -45.0 + 175.0 * words[0] / 65535
    humidity = -6.0 + 125.0 * words[1] / 65535
    measurable = -40.0 <= round(temperature, 1) <= 125.0
    return {
        Quantity.TEMPERATURE: temperature if measurable else Missing.OUT_OF_RANGE,
        Quantity.HUMIDITY: Missing.OUT_OF_RANGE if words[1] in _RAILS else min(100.0, max(0.0, humidity)),
    }
