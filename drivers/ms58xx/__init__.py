"""How TE Connectivity's MS5803 and MS5837 are asked, and what their results mean under water.

Their datasheets, which the drivers name, have the commands and the formulas of the first order in common; the
checksum of the PROM is in the maker's application note AN520, "for MS56xx, MS57xx and MS58xx". Scales, limits
and the rest of the second order are each part's own.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from drivers.bus import I2C, BusError
from drivers.checksum import crc4
from drivers.device import ChecksumError, Clock, DeviceError, Missing, Quantity, Values

_RESET, _READ_ADC, _READ_PROM = 0x1E, 0x00, 0xA0
_PRESSURE, _TEMPERATURE = 0x40, 0x50  # D1 and D2
_RESET_TIME = 0.010
_OVERSAMPLING = (256, 512, 1024, 2048, 4096, 8192)
_PER_SAMPLE = 2.5e-6  # s; a little above the longest times of the tables, 0.6 to 18.08 ms
_GRAVITY = 9.80665
_NO_RESULT = {0x000000, 0xFFFFFF}  # read too early or twice, and a data line that is stuck
_PRODUCTS = {0x15: "02BA", 0x1A: "30BA"}  # an MS5837's word 0, bits 11 to 5; early parts have 0 there


class Site(Protocol):
    """What the options of both drivers say of the water: *density* [kg/m3], *air_pressure* at the site [hPa].

    *offset* [hPa] is added to the pressure.
    """

    @property
    def density(self) -> float: ...
    @property
    def air_pressure(self) -> float: ...
    @property
    def offset(self) -> float: ...


class Limits(NamedTuple):
    """What a part can measure [Cel, hPa]."""

    coldest: float
    warmest: float
    lowest: float
    highest: float


class Scale(NamedTuple):
    """The powers of two in a part's formulas of the first order."""

    offset: int
    offset_slope: int
    sensitivity: int
    sensitivity_slope: int


class Second(NamedTuple):
    """What the second order takes off the temperature [0.01 Cel], the offset and the sensitivity."""

    temperature: float
    offset: float
    sensitivity: float


class Port:
    """One part on its bus, which takes *oversampling* samples for a result."""

    def __init__(self, bus: I2C, address: int, clock: Clock, oversampling: int) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._code = 2 * _OVERSAMPLING.index(oversampling)
        self._takes = _PER_SAMPLE * oversampling
        self._free = float("-inf")

    async def reset(self) -> None:
        """Let the part load its PROM, which it does in no other way."""
        await self._bus.transfer(self._address, bytes([_RESET]))
        await self._clock.sleep(_RESET_TIME)

    async def prom(self, count: int) -> tuple[int, ...]:
        """Return the first *count* words of the PROM: 7 are the calibration, the 8th has an MS5803's CRC."""
        return tuple([await self._word(at) for at in range(count)])

    async def results(self, words: Sequence[int]) -> tuple[int, int]:
        """Convert pressure and temperature of the part with the PROM *words*.

        Raises DeviceError when neither conversion gave anything, and when word 1 is another now: the part
        lost power and has not loaded its PROM, or another part was put into its place since. It would
        convert, and these words would make a plausible depth of it.
        """
        pressure, temperature = await self._convert(_PRESSURE), await self._convert(_TEMPERATURE)
        if {pressure, temperature} <= _NO_RESULT:
            raise DeviceError("both conversions gave nothing: the part hangs, or lost power")
        found = await self._word(1)
        if found != words[1]:
            was = f"{words[1]:#06x}, is {found:#06x}"
            raise DeviceError(f"PROM word 1 was {was}: was power lost, or is it another part?")
        return pressure, temperature

    async def behaves(self) -> bool:
        """Return whether the ADC gives a result once, and then 0, as only these parts do."""
        found, again = await self._convert(_TEMPERATURE), await self._read()
        return found not in _NO_RESULT and again == 0

    async def _convert(self, command: int) -> int:
        """Convert, once an earlier conversion that was given up half-way has ended: it would be spoilt.

        The part begins when the transfer ends, which on a busy bus is late. A read before the end would spoil
        the conversion, and give 0.
        """
        await self._clock.sleep(max(0.0, self._free - self._clock.monotonic()))
        try:
            await self._bus.transfer(self._address, bytes([command + self._code]))
        finally:
            self._free = self._clock.monotonic() + self._takes
        await self._clock.sleep(self._takes)
        return await self._read()

    async def _word(self, at: int) -> int:
        return int.from_bytes(await self._bus.transfer(self._address, bytes([_READ_PROM + 2 * at]), 2))

    async def _read(self) -> int:
        return int.from_bytes(await self._bus.transfer(self._address, bytes([_READ_ADC]), 3))


async def examine(
    bus: I2C, address: int, clock: Clock, check: Callable[[Sequence[int]], None]
) -> tuple[int, ...] | None:
    """Return the eight words of the PROM at *address*, or None where *check* raises DeviceError.

    A CRC of 4 bits says little, so the ADC must also behave: a result once, then 0. Resets the part, which
    only loads its PROM again.
    """
    port = Port(bus, address, clock, 256)
    try:
        await port.reset()
        words = await port.prom(8)
        check(words)
        return words if await port.behaves() else None
    except (BusError, DeviceError):
        return None


def product(words: Sequence[int]) -> str | None:
    """Return which MS5837 word 0 names, if it names one."""
    return _PRODUCTS.get(words[0] >> 5 & 0x7F)


def crc_first(words: Sequence[int]) -> tuple[int, int]:
    """Return the CRC-4 in bits 15 to 12 of word 0, and what it should be (an MS5837: 112 bits)."""
    return words[0] >> 12, crc4((words[0] & 0x0FFF, *words[1:7], 0))


def crc_last(words: Sequence[int]) -> tuple[int, int]:
    """Return the CRC-4 in bits 3 to 0 of word 7, and what it should be (an MS5803: 128 bits)."""
    return words[7] & 0x0F, crc4((*words[:7], words[7] & 0xFF00))


def check(words: Sequence[int], crc: tuple[int, int], name: str) -> None:
    """Raise ChecksumError where the *crc* that was told is not the one computed, DeviceError for no words.

    A PROM of zeros, as before the reset, passes the checksum.
    """
    told, computed = crc
    if told != computed:
        raise ChecksumError(f"the PROM has CRC {told:x}, computed {computed:x}: is it an {name} at all?")
    if {0x0000, 0xFFFF} & set(words[1:7]):
        raise DeviceError("the PROM reads as empty: the part or its wires are defective")


def check_site(site: Site) -> None:
    """Raise ValueError for what cannot be."""
    if not 900.0 <= site.density <= 1300.0:
        raise ValueError("density must be 900 to 1300 kg/m3: 997 for rivers, 1029 for the sea")
    if not 500.0 <= site.air_pressure <= 1100.0:
        raise ValueError("air_pressure must be 500 to 1100 hPa, at the site and not at sea level")
    if not -100.0 <= site.offset <= 100.0:
        raise ValueError("offset must be -100 to 100 hPa: a part that strays further is to be replaced")


def first_order(result: int, words: Sequence[int]) -> tuple[float, float]:
    """Return dT and TEMP [0.01 Cel] for the result of a temperature conversion."""
    difference = result - words[5] * 256
    return difference, 2000 + difference * words[6] / 2**23


def second_order(difference: float, first: float, warm: int) -> Second:
    """Return the second order as the flow charts of the 14BA and of the 30BA have it.

    They differ in one factor: *warm*, of Ti from 20 degrees on.
    """
    below = (first - 2000) ** 2
    if first >= 2000:
        return Second(warm * difference**2 / 2**37, below / 16, 0.0)
    frost = (first + 1500) ** 2 if first < -1500 else 0.0
    return Second(3 * difference**2 / 2**33, 3 * below / 2 + 7 * frost, 5 * below / 8 + 4 * frost)


def scaled(result: int, difference: float, words: Sequence[int], scale: Scale, second: Second) -> float:
    """Return D1 * SENS / 2^21 - OFF for the result of a pressure conversion."""
    offset = words[2] * 2.0**scale.offset + words[4] * difference / 2.0**scale.offset_slope
    sensitivity = words[1] * 2.0**scale.sensitivity + words[3] * difference / 2.0**scale.sensitivity_slope
    return result * (sensitivity - second.sensitivity) / 2**21 - (offset - second.offset)


def values(results: tuple[int, int], compensated: tuple[float, float], limits: Limits, site: Site) -> Values:
    """Return hectopascal, degrees Celsius and metres of water, for pressure and temperature as *compensated*.

    A result of 0 is what a part gives without a conversion; it would read as a plausible temperature, and as
    201 m of water. The pressure cannot be compensated without the temperature.
    """
    hpa, celsius = compensated
    warmth = _judge(results[1], celsius, limits.coldest, limits.warmest)
    water = _judge(results[0], hpa + site.offset, limits.lowest, limits.highest)
    if isinstance(warmth, Missing) and water is not Missing.SENTINEL:
        water = Missing.INPUT_MISSING
    return {
        Quantity.WATER_PRESSURE: water,
        Quantity.WATER_TEMPERATURE: warmth,
        Quantity.DEPTH: water if isinstance(water, Missing) else depth(water, site),
    }


def depth(pressure: float, site: Site) -> float:
    """Return the metres of water over a part that feels *pressure* [hPa]."""
    return (pressure - site.air_pressure) * 100 / (site.density * _GRAVITY)


def _judge(result: int, value: float, low: float, high: float) -> float | Missing:
    if result in _NO_RESULT:
        return Missing.SENTINEL
    return value if low <= round(value, 1) <= high else Missing.OUT_OF_RANGE
