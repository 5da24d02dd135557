"""Sensirion SCD41: carbon dioxide, temperature and humidity over I2C. An SCD40 serves as well.

Datasheet "SCD4x", version 1.4 (February 2023), section 3.5 to 3.9 (commands); the names cited are theirs. The
part measures by itself every five seconds from start to stop, and takes hardly any command meanwhile.
"""

from contextlib import suppress
from dataclasses import dataclass

from drivers.bus import I2C, BusError, NoAcknowledge
from drivers.device import Clock, DeviceError, Missing, Quantity, Values
from drivers.sensirion import Port

ADDRESSES: tuple[int, ...] = (0x62,)

_START, _STOP, _DATA_READY, _READ = 0x21B1, 0x3F86, 0xE4B8, 0xEC05
_WAKE, _SERIAL, _VARIANT = 0x36F6, 0x3682, 0x202F
_SET_OFFSET, _GET_OFFSET = 0x241D, 0x2318
_SET_ALTITUDE, _GET_ALTITUDE = 0x2427, 0x2322
_SET_CALIBRATION, _GET_CALIBRATION = 0x2416, 0x2313
_EXECUTION, _STOP_TIME, _WAKE_TIME = 0.001, 0.5, 0.03  # [s]

_READY = 0x07FF  # any of the lower 11 bits: a result waits (Get Data Ready Status)
_POLLS, _PAUSE = 30, 0.2  # a result is due every 5 s, by a clock of its own
_WARM_UP = 15.0  # the first results of a start may be none
_FACTORY_OFFSET = 4.0
_VARIANTS = {0x0: "SCD40", 0x1: "SCD41", 0x5: "SCD43"}

_ORDER = (Quantity.CO2, Quantity.TEMPERATURE, Quantity.HUMIDITY)


@dataclass(frozen=True, slots=True)
class Options:
    """What the part corrects itself by. A default leaves the part as it powers up.

    *altitude*: of the site [m], 0 to 3000. *temperature_offset*: what the part takes off its temperature for
    its own warmth in its box [K], 0 to 20; it corrects its humidity with it. *self_calibration*: the part
    takes the freshest air of each week for 400 ppm, as is right outdoors.
    """

    altitude: int = 0
    temperature_offset: float = _FACTORY_OFFSET
    self_calibration: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.altitude <= 3000:
            raise ValueError(f"altitude must be 0 to 3000 m, not {self.altitude}")
        if not 0 <= self.temperature_offset <= 20:
            raise ValueError(f"temperature_offset must be 0 to 20 K, not {self.temperature_offset}")


class Driver:
    """An SCD41 in its periodic mode. What is at its address is told by the checksums of its results."""

    quantities = frozenset(_ORDER)

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._port = Port(bus, address, clock, _EXECUTION)
        self._clock = clock
        self._options = options
        self._started = float("-inf")

    async def start(self) -> None:
        """Bring the part to rest, tell it the options that are not the defaults, and start it.

        Does not wait for the first result: `measure` does.
        """
        await self._rest()
        if self._options.altitude:
            await self._tell(_SET_ALTITUDE, _GET_ALTITUDE, self._options.altitude)
        if self._options.temperature_offset != _FACTORY_OFFSET:
            await self._tell(_SET_OFFSET, _GET_OFFSET, encode_offset(self._options.temperature_offset))
        if not self._options.self_calibration:
            await self._tell(_SET_CALIBRATION, _GET_CALIBRATION, 0)
        await self._port.tell(_START)
        self._started = self._clock.monotonic()

    async def measure(self) -> Values:
        """Take the newest result: at once where one waits, else within 6 s.

        A part that has none by then has stopped measuring, as after a brown-out: DeviceError.
        """
        if not await self._port.ready(_DATA_READY, _READY, _POLLS, _PAUSE):
            raise DeviceError("no new result within 6 s, and one is due every 5 s: was power lost?")
        warming = self._clock.monotonic() - self._started < _WARM_UP
        return decode(await self._port.ask(_READ, 3), warming)

    async def stop(self) -> None:
        """Stop measuring. The part is deaf for 0.5 s then, which only a new start waits for."""
        await self._port.tell(_STOP, takes=_STOP_TIME)

    async def _rest(self) -> None:
        """Stop the part, whatever it was doing; wake it where it sleeps."""
        try:
            await self.stop()
        except NoAcknowledge:
            with suppress(NoAcknowledge):  # the part never acknowledges this one
                await self._port.tell(_WAKE, takes=_WAKE_TIME)
            await self._port.tell(_STOP, takes=_STOP_TIME)

    async def _tell(self, setter: int, getter: int, word: int) -> None:
        """Tell a setting and read it back."""
        await self._port.tell(setter, word)
        (told,) = await self._port.ask(getter, 1)
        if told != word:
            raise DeviceError(f"told {word} by command {setter:#06x}, the part holds {told}")


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what shows that an SCD4x is at *address*, else None.

    A part that rests tells its variant, an older one its serial number; one that measures answers only to the
    question whether it has a result. A part that sleeps is left asleep, and not found.
    """
    port = Port(bus, address, clock, _EXECUTION)
    questions = ((_VARIANT, 1, _say_variant), (_SERIAL, 3, _say_serial), (_DATA_READY, 1, _say_ready))
    for command, count, say in questions:
        with suppress(BusError, DeviceError):
            return say(await port.ask(command, count))
    return None


def decode(words: tuple[int, ...], warming: bool = False) -> dict[Quantity, float | Missing]:
    """Turn the three words of a result into ppm, degrees Celsius and percent (Read Measurement).

    0 ppm means that the part has no result yet, whatever the other two words are: WARMING_UP while *warming*,
    else SENTINEL.
    """
    co2, temperature, humidity = words
    if not co2:
        return dict.fromkeys(_ORDER, Missing.WARMING_UP if warming else Missing.SENTINEL)
    values = (float(co2), -45 + 175 * temperature / 65535, 100 * humidity / 65535)
    return dict(zip(_ORDER, values, strict=True))


def encode_offset(kelvin: float) -> int:
    """Return the word for a temperature offset (Set Temperature Offset)."""
    return round(kelvin * 65535 / 175)


def _say_variant(words: tuple[int, ...]) -> str:
    name = _VARIANTS.get(words[0] >> 12)
    if name is None:
        raise DeviceError(f"there is no variant {words[0]:#06x}")
    return f"variant {words[0] >> 12} ({name})"


def _say_serial(words: tuple[int, ...]) -> str:
    return f"serial number {words[0]:04x}{words[1]:04x}{words[2]:04x}"


def _say_ready(words: tuple[int, ...]) -> str:
    return f"a ready flag ({words[0]:#06x}) with a valid checksum"
