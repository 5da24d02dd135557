"""TE Connectivity MS5837-30BA and MS5837-02BA: pressure and temperature of water, over I2C.

Datasheets "MS5837-30BA", revision C2, December 2019, and "MS5837-02BA", September 2017, and for the checksum
the maker's application note AN520. The two have the same commands, and formulas of different scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from drivers.bus import I2C, BusError
from drivers.checksum import crc4
from drivers.device import ChecksumError, Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ON = "i2c"
ADDRESSES: tuple[int, ...] = (0x76,)

_RESET, _READ_ADC, _READ_PROM = 0x1E, 0x00, 0xA0
_CONVERT_PRESSURE, _CONVERT_TEMPERATURE = 0x40, 0x50
_RESET_TIME = 0.010
_WORDS = 7
_PRODUCTS = {0x15: "02BA", 0x1A: "30BA"}  # word 0, bits 11 to 5; early parts have 0 there
_OVERSAMPLING = (256, 512, 1024, 2048, 4096, 8192)
_PER_SAMPLE = 2.5e-6  # s; a little above the longest times of the table, 0.6 to 18.08 ms
_GRAVITY = 9.80665
_NO_RESULT = {0x000000, 0xFFFFFF}  # read too early or twice, and a data line that is stuck
_COLDEST, _WARMEST = -20.0, 85.0


class _Model(NamedTuple):
    """The scale of a model's formulas as powers of two, and what it can measure [hPa]."""

    offset: int
    offset_slope: int
    sensitivity: int
    sensitivity_slope: int
    step: float  # hPa
    pressure: int
    low: float
    high: float


_MODELS: Mapping[str, _Model] = {
    "30BA": _Model(16, 7, 15, 8, 0.1, 13, 0.0, 30000.0),
    "02BA": _Model(17, 6, 16, 7, 0.01, 15, 10.0, 2000.0),
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
        if not 900.0 <= self.density <= 1300.0:
            raise ValueError("density must be 900 to 1300 kg/m3: 997 for rivers, 1029 for the sea")
        if not 500.0 <= self.air_pressure <= 1100.0:
            raise ValueError("air_pressure must be 500 to 1100 hPa, at the site and not at sea level")
        if not -100.0 <= self.offset <= 100.0:
            raise ValueError("offset must be -100 to 100 hPa: a part that strays further is to be replaced")


class Driver:
    """An MS5837. It converts when asked, and sleeps in between."""

    quantities = frozenset({Quantity.WATER_PRESSURE, Quantity.WATER_TEMPERATURE, Quantity.DEPTH})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        self._words: tuple[int, ...] = ()
        self._takes = _PER_SAMPLE * options.oversampling
        self._free = float("-inf")

    async def start(self) -> None:
        """Reset the part, so that it loads its PROM, and read it. Raises WrongDevice for the other model."""
        self._words = ()
        await self._bus.transfer(self._address, bytes([_RESET]))
        await self._clock.sleep(_RESET_TIME)
        words = await _prom(self._bus, self._address, _WORDS)
        check(words)
        identify(words, self._options.model)
        self._words = words

    async def measure(self) -> Values:
        """Convert pressure and temperature, 41 ms at the default oversampling.

        Raises DeviceError when neither conversion gave anything.
        """
        if not self._words:
            raise DeviceError("not started: the calibration of this MS5837 is not known")
        pressure = await self._convert(_CONVERT_PRESSURE)
        temperature = await self._convert(_CONVERT_TEMPERATURE)
        if {pressure, temperature} <= _NO_RESULT:
            raise DeviceError("both conversions gave nothing: the part hangs, or lost power")
        return decode(pressure, temperature, self._words, self._options)

    async def stop(self) -> None:
        """Nothing: the part sleeps."""

    async def _convert(self, command: int) -> int:
        """Convert, once an earlier conversion that was given up half-way has ended: it would be spoilt."""
        await self._clock.sleep(max(0.0, self._free - self._clock.monotonic()))
        self._free = self._clock.monotonic() + self._takes
        return await _converted(self._bus, self._address, self._clock, command, self._options.oversampling)


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what shows that an MS5837 is at *address*, or None.

    A CRC of 4 bits says little, so the ADC must also behave: a result once, then 0. An MS5803 has its CRC
    elsewhere; one of sixteen fits both. Resets the part, which only loads its PROM again.
    """
    try:
        await bus.transfer(address, bytes([_RESET]))
        await clock.sleep(_RESET_TIME)
        words = await _prom(bus, address, _WORDS + 1)
        check(words[:_WORDS])
        found = await _converted(bus, address, clock, _CONVERT_TEMPERATURE, 256)
        again = int.from_bytes(await bus.transfer(address, bytes([_READ_ADC]), 3))
    except (BusError, DeviceError):
        return None
    if found in _NO_RESULT or again != 0:
        return None
    product = _PRODUCTS.get(words[0] >> 5 & 0x7F)
    if product:
        return f"an MS5837-{product}: PROM word 0 is {words[0]:#06x}, its CRC-4 fits"
    if words[7] and words[7] & 0x0F == crc4((*words[:7], words[7] & 0xFF00)):
        return f"PROM word 0 is {words[0]:#06x}, its CRC-4 fits (as an MS5803's would)"
    return f"PROM word 0 is {words[0]:#06x}, its CRC-4 fits"


async def _prom(bus: I2C, address: int, count: int) -> tuple[int, ...]:
    raw = [await bus.transfer(address, bytes([_READ_PROM + 2 * at]), 2) for at in range(count)]
    return tuple(int.from_bytes(word) for word in raw)


async def _converted(bus: I2C, address: int, clock: Clock, command: int, oversampling: int) -> int:
    """Order a conversion and return its 24 bits. A read before its end would spoil it and give 0."""
    await bus.transfer(address, bytes([command + 2 * _OVERSAMPLING.index(oversampling)]))
    await clock.sleep(_PER_SAMPLE * oversampling)
    return int.from_bytes(await bus.transfer(address, bytes([_READ_ADC]), 3))


def check(words: Sequence[int]) -> None:
    """Raise ChecksumError or DeviceError unless *words* 0 to 6 are a calibration.

    The CRC-4 is in bits 15 to 12 of word 0. A PROM of zeros, as before the reset, passes it.
    """
    told, computed = words[0] >> 12, crc4((words[0] & 0x0FFF, *words[1:], 0))
    if told != computed:
        raise ChecksumError(f"the PROM has CRC {told:x}, computed {computed:x}: is it an MS5837 at all?")
    if {0x0000, 0xFFFF} & set(words[1:]):
        raise DeviceError("the PROM reads as empty: the part or its wires are defective")


def identify(words: Sequence[int], model: str) -> None:
    """Raise WrongDevice when word 0 names the other model; in early parts it names none."""
    product = _PRODUCTS.get(words[0] >> 5 & 0x7F, model)
    if product != model:
        raise WrongDevice(f'the part is an MS5837-{product}: set model = "{product}"')


def decode(pressure: int, temperature: int, words: Sequence[int], options: Options) -> Values:
    """Turn the two results into hectopascal, degrees Celsius and metres of water.

    A result of 0 is what the part gives without a conversion; it would read as a plausible temperature, and
    as 201 m of water. The pressure cannot be compensated without the temperature.
    """
    model = _MODELS[options.model]
    hpa, celsius = compensate(pressure, temperature, words, options.model)
    warmth = _judge(temperature, celsius, _COLDEST, _WARMEST)
    water = _judge(pressure, hpa + options.offset, model.low, model.high)
    if isinstance(warmth, Missing) and water is not Missing.SENTINEL:
        water = Missing.INPUT_MISSING
    return {
        Quantity.WATER_PRESSURE: water,
        Quantity.WATER_TEMPERATURE: warmth,
        Quantity.DEPTH: water if isinstance(water, Missing) else depth(water, options),
    }


def depth(pressure: float, options: Options) -> float:
    """Return the metres of water over a part that feels *pressure* [hPa]."""
    return (pressure - options.air_pressure) * 100 / (options.density * _GRAVITY)


def _judge(result: int, value: float, low: float, high: float) -> float | Missing:
    if result in _NO_RESULT:
        return Missing.SENTINEL
    return value if low <= round(value, 1) <= high else Missing.OUT_OF_RANGE


def compensate(pressure: int, temperature: int, words: Sequence[int], model: str) -> tuple[float, float]:
    """Return the pressure [hPa] and the temperature [Cel] for two results of the ADC, to the second order."""
    scale = _MODELS[model]
    difference = temperature - words[5] * 256
    first = 2000 + difference * words[6] / 2**23
    offset = words[2] * 2**scale.offset + words[4] * difference / 2**scale.offset_slope
    sensitivity = words[1] * 2**scale.sensitivity + words[3] * difference / 2**scale.sensitivity_slope
    warmer, less_offset, less_sensitivity = _second_order(difference, first, model)
    exact = pressure * (sensitivity - less_sensitivity) / 2**21 - (offset - less_offset)
    return exact / 2**scale.pressure * scale.step, (first - warmer) / 100


def _second_order(difference: float, first: float, model: str) -> tuple[float, float, float]:
    """Return what to take off the temperature [0.01 Cel], the offset and the sensitivity."""
    below = (first - 2000) ** 2
    if model == "02BA":
        if first >= 2000:
            return 0.0, 0.0, 0.0
        return 11 * difference**2 / 2**35, 31 * below / 8, 63 * below / 32
    if first >= 2000:
        return 2 * difference**2 / 2**37, below / 16, 0.0
    frost = (first + 1500) ** 2 if first < -1500 else 0.0
    return 3 * difference**2 / 2**33, 3 * below / 2 + 7 * frost, 5 * below / 8 + 4 * frost
