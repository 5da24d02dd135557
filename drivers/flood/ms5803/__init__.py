"""TE Connectivity MS5803-14BA: pressure and temperature of water to 130 m, over I2C.

Datasheet DA5803-14BA_005, September 2012, and for the checksum the maker's application note AN520. The part
has the commands of the MS5837 at the same address (drivers.ms58xx), and another scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from drivers import ms58xx
from drivers.bus import I2C
from drivers.device import ChecksumError, Clock, DeviceError, Quantity, Values
from drivers.ms58xx import Limits, Port, Scale

ON = "i2c"
ADDRESSES: tuple[int, ...] = (0x76, 0x77)
"""CSB to the supply, CSB to ground."""

_WORDS = 8
_LIMITS = Limits(coldest=-40.0, warmest=85.0, lowest=0.0, highest=14000.0)
_SCALE = Scale(offset=16, offset_slope=7, sensitivity=15, sensitivity_slope=8)
_WARM = 7  # T2 is 7 * dT^2 / 2^37 from 20 degrees on


@dataclass(frozen=True, slots=True)
class Options:
    """The *oversampling*, the water's *density* [kg/m3], and *air_pressure* at the site [hPa].

    *offset* [hPa] is added to the pressure: what the part lacks when it hangs dry beside a barometer. Raises
    ValueError for what cannot be.
    """

    oversampling: Literal[256, 512, 1024, 2048, 4096] = 4096
    density: float = 997.0
    air_pressure: float = 1013.25
    offset: float = 0.0

    def __post_init__(self) -> None:
        ms58xx.check_site(self)


class Driver:
    """An MS5803-14BA. It converts when asked, and sleeps in between."""

    quantities = frozenset({Quantity.WATER_PRESSURE, Quantity.WATER_TEMPERATURE, Quantity.DEPTH})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._port = Port(bus, address, clock, options.oversampling)
        self._options = options
        self._words: tuple[int, ...] = ()

    async def start(self) -> None:
        """Reset the part, so that it loads its PROM, and read it; twice where it has no checksum."""
        self._words = ()
        await self._port.reset()
        words = await self._port.prom(_WORDS)
        check(words)
        if not words[7] and words != await self._port.prom(_WORDS):
            raise ChecksumError("the PROM has no checksum, and reads otherwise the second time")
        self._words = words

    async def measure(self) -> Values:
        """Convert pressure and temperature, 21 ms at the default oversampling.

        Raises DeviceError when neither conversion gave anything, or its PROM is not that of the start.
        """
        if not self._words:
            raise DeviceError("not started: the calibration of this MS5803 is not known")
        return decode(*await self._port.results(self._words), self._words, self._options)

    async def stop(self) -> None:
        """Nothing: the part sleeps."""


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what shows that an MS5803 is at *address*, or None.

    An MS5837 that names itself is refused; with the others, one of sixteen fits both. Resets the part, which
    only loads its PROM again.
    """
    words = await ms58xx.examine(bus, address, clock, check)
    if words is None or not words[7]:
        return None
    told = f"PROM word 7 is {words[7]:#06x}, its CRC-4 fits"
    first, computed = ms58xx.crc_first(words)
    if first != computed:
        return told
    return None if ms58xx.product(words) else f"{told} (as an MS5837's would)"


def check(words: Sequence[int]) -> None:
    """Raise ChecksumError or DeviceError unless *words* 0 to 7 are a calibration.

    The CRC-4 is in bits 3 to 0 of word 7. Where that word is wholly 0, as in the example of the datasheet,
    there is none to check. A PROM of zeros, as before the reset, passes it too, and is refused.
    """
    ms58xx.check(words, ms58xx.crc_last(words) if words[7] else (0, 0), "MS5803")


def decode(pressure: int, temperature: int, words: Sequence[int], options: Options) -> Values:
    """Turn the two results into hectopascal, degrees Celsius and metres of water."""
    compensated = compensate(pressure, temperature, words)
    return ms58xx.values((pressure, temperature), compensated, _LIMITS, options)


def compensate(pressure: int, temperature: int, words: Sequence[int]) -> tuple[float, float]:
    """Return the pressure [hPa] and the temperature [Cel] for two results of the ADC, to the second order."""
    difference, first = ms58xx.first_order(temperature, words)
    second = ms58xx.second_order(difference, first, _WARM)
    exact = ms58xx.scaled(pressure, difference, words, _SCALE, second)
    return exact / 2**15 / 10, (first - second.temperature) / 100
