"""TE Connectivity MS5837-30BA and MS5837-02BA: pressure and temperature of water, over I2C.

Datasheets "MS5837-30BA", revision C2, December 2019, and "MS5837-02BA", September 2017, and for the checksum
the maker's application note AN520. The two have the commands that drivers.ms58xx tells, and formulas of
different scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from drivers import ms58xx
from drivers.bus import I2C
from drivers.device import Clock, DeviceError, Quantity, Values, WrongDevice
from drivers.ms58xx import Limits, Port, Scale, Second

ON = "i2c"
ADDRESSES: tuple[int, ...] = (0x76,)

_WORDS = 7
_WARM = 2  # of the 30BA: Ti is 2 * dT^2 / 2^37 from 20 degrees on


class _Model(NamedTuple):
    """The scale of a model's formulas, the power of two and the step [hPa] of its result, and its limits."""

    scale: Scale
    pressure: int
    step: float
    limits: Limits


_MODELS: Mapping[str, _Model] = {
    "30BA": _Model(Scale(16, 7, 15, 8), 13, 0.1, Limits(-20.0, 85.0, 0.0, 30000.0)),
    "02BA": _Model(Scale(17, 6, 16, 7), 15, 0.01, Limits(-20.0, 85.0, 10.0, 2000.0)),
}


@dataclass(frozen=True, slots=True)
class Options:
    """The *model*, its *oversampling*, the water's *density* [kg/m3], *air_pressure* at the site [hPa].

    *offset* [hPa] is added to the pressure: what the part lacks when it hangs dry beside a barometer. Raises
    ValueError for what cannot be.
    """

    model: Literal["30BA", "02BA"] = "30BA"
    oversampling: Literal[256, 512, 1024, 2048, 4096, 8192] = 8192
    density: float = 997.0
    air_pressure: float = 1013.25
    offset: float = 0.0

    def __post_init__(self) -> None:
        ms58xx.check_site(self)


class Driver:
    """An MS5837. It converts when asked, and sleeps in between."""

    quantities = frozenset({Quantity.WATER_PRESSURE, Quantity.WATER_TEMPERATURE, Quantity.DEPTH})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._port = Port(bus, address, clock, options.oversampling)
        self._options = options
        self._words: tuple[int, ...] = ()

    async def start(self) -> None:
        """Reset the part, so that it loads its PROM, and read it. Raises WrongDevice for the other model."""
        self._words = ()
        await self._port.reset()
        words = await self._port.prom(_WORDS)
        check(words)
        identify(words, self._options.model)
        self._words = words

    async def measure(self) -> Values:
        """Convert pressure and temperature, 41 ms at the default oversampling.

        Raises DeviceError when neither conversion gave anything, or its PROM is not that of the start.
        """
        if not self._words:
            raise DeviceError("not started: the calibration of this MS5837 is not known")
        return decode(*await self._port.results(self._words), self._words, self._options)

    async def stop(self) -> None:
        """Nothing: the part sleeps."""


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what shows that an MS5837 is at *address*, or None.

    An MS5803 has its CRC elsewhere; one of sixteen fits both. Resets the part, which only loads its
    PROM again.
    """
    words = await ms58xx.examine(bus, address, clock, check)
    if words is None:
        return None
    product = ms58xx.product(words)
    if product:
        return f"an MS5837-{product}: PROM word 0 is {words[0]:#06x}, its CRC-4 fits"
    told, computed = ms58xx.crc_last(words)
    if words[7] and told == computed:
        return f"PROM word 0 is {words[0]:#06x}, its CRC-4 fits (as an MS5803's would)"
    return f"PROM word 0 is {words[0]:#06x}, its CRC-4 fits"


def check(words: Sequence[int]) -> None:
    """Raise ChecksumError or DeviceError unless *words* 0 to 6 are a calibration.

    The CRC-4 is in bits 15 to 12 of word 0. A PROM of zeros, as before the reset, passes it.
    """
    ms58xx.check(words, ms58xx.crc_first(words), "MS5837")


def identify(words: Sequence[int], model: str) -> None:
    """Raise WrongDevice when word 0 names the other model; in early parts it names none."""
    product = ms58xx.product(words)
    if product not in (model, None):
        raise WrongDevice(f'the part is an MS5837-{product}: set model = "{product}"')


def decode(pressure: int, temperature: int, words: Sequence[int], options: Options) -> Values:
    """Turn the two results into hectopascal, degrees Celsius and metres of water."""
    compensated = compensate(pressure, temperature, words, options.model)
    return ms58xx.values((pressure, temperature), compensated, _MODELS[options.model].limits, options)


def compensate(pressure: int, temperature: int, words: Sequence[int], model: str) -> tuple[float, float]:
    """Return the pressure [hPa] and the temperature [Cel] for two results of the ADC, to the second order."""
    scale, power, step, _ = _MODELS[model]
    difference, first = ms58xx.first_order(temperature, words)
    second = _second_order(difference, first, model)
    exact = ms58xx.scaled(pressure, difference, words, scale, second)
    return exact / 2**power * step, (first - second.temperature) / 100


def _second_order(difference: float, first: float, model: str) -> Second:
    if model == "30BA":
        return ms58xx.second_order(difference, first, _WARM)
    if first >= 2000:
        return Second(0.0, 0.0, 0.0)
    below = (first - 2000) ** 2
    return Second(11 * difference**2 / 2**35, 31 * below / 8, 63 * below / 32)
