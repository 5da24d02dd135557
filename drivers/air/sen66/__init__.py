"""Sensirion SEN66: particles, humidity, temperature, VOC index, NOx index and CO2 over I2C.

Datasheet "SEN6x", version 0.91 (August 2025), I2C commands; the names cited are theirs. The part measures by
itself once a second from start to stop.
"""

from dataclasses import dataclass

from drivers import sensirion
from drivers.bus import I2C
from drivers.device import Clock, DeviceError, Missing, Quantity, Values
from drivers.sensirion import Port, Word

ADDRESSES: tuple[int, ...] = (0x6B,)

_START, _STOP, _DATA_READY, _READ_VALUES = 0x0021, 0x0104, 0x0202, 0x0300
_ALTITUDE, _PRODUCT_NAME, _READ_STATUS, _CLEAR_STATUS = 0x6736, 0xD014, 0xD206, 0xD210
_NAME = "SEN66"
_EXECUTION, _START_TIME, _STOP_TIME = 0.02, 0.05, 1.4  # execution times [s]
_READY, _POLLS, _PAUSE = 0xFF, 12, 0.1  # the first result comes 1.1 s after the start, then one a second
_WARM_UP = 12.0  # CO2 comes after 5 to 6 s, NOx after 10 to 11 s

_Q = Quantity
_PARTICLES = frozenset({_Q.PM1, _Q.PM2_5, _Q.PM4, _Q.PM10})
_CLIMATE = frozenset({_Q.HUMIDITY, _Q.TEMPERATURE})
_GASES = frozenset({_Q.VOC_INDEX, _Q.NOX_INDEX})
_CO2 = frozenset({_Q.CO2})
_ALL = _PARTICLES | _CLIMATE | _GASES | _CO2

_NONE = frozenset[Quantity]()

# Bit of Device Status: what is broken then, and what is compensated with it and so in doubt.
_STATUS = {
    4: (_ALL, _NONE),  # the fan stands still: every value is likely wrong
    6: (_CLIMATE, _GASES | _CO2),
    7: (_GASES, _CLIMATE),
    9: (_CO2, _CLIMATE),
    11: (_PARTICLES, _NONE),
    12: (_CO2, _CLIMATE),  # of the CO2 sensor in sister parts; heeded in case a later SEN66 has that one
    21: (_NONE, _PARTICLES),  # a warning: the fan's speed is off by more than 10 %
}

# The words of a result in order (Read Measured Values SEN66).
_WORDS = (
    Word(_Q.PM1, signed=False, divisor=10),
    Word(_Q.PM2_5, signed=False, divisor=10),
    Word(_Q.PM4, signed=False, divisor=10),
    Word(_Q.PM10, signed=False, divisor=10),
    Word(_Q.HUMIDITY, signed=True, divisor=100),
    Word(_Q.TEMPERATURE, signed=True, divisor=200),
    Word(_Q.VOC_INDEX, signed=True, divisor=10),
    Word(_Q.NOX_INDEX, signed=True, divisor=10),
    Word(_Q.CO2, signed=False, divisor=1),
)


@dataclass(frozen=True, slots=True)
class Options:
    """*altitude*: of the site [m], 0 to 3000, for the CO2 sensor; 0 leaves the part as it powers up."""

    altitude: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.altitude <= 3000:
            raise ValueError(f"altitude must be 0 to 3000 m, not {self.altitude}")


class Driver:
    """A SEN66. Raises WrongDevice for its sisters, which answer at the same address with other frames."""

    quantities = _ALL

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._port = Port(bus, address, clock, _EXECUTION)
        self._clock = clock
        self._options = options
        self._started = float("-inf")

    async def start(self) -> None:
        """Identify the part, forget its old errors, tell it the altitude and start it.

        Does not wait for the first result: `measure` does.
        """
        sensirion.identify(await self._port.ask(_PRODUCT_NAME, 16), _NAME)
        if faults(await self._port.ask(_READ_STATUS, 2)):
            await self._port.ask(_CLEAR_STATUS, 2)
        if self._options.altitude:
            await self._set_altitude(self._options.altitude)
        await self._port.tell(_START, takes=_START_TIME)
        self._started = self._clock.monotonic()

    async def measure(self) -> Values:
        """Take the next result: at once where one waits, else within 1.4 s.

        A part that has nothing new by then has stopped measuring, as after a brown-out: DeviceError.
        """
        if not await self._port.ready(_DATA_READY, _READY, _POLLS, _PAUSE):
            raise DeviceError("no new result within 1.4 s, and one is due each second: was power lost?")
        warming = self._clock.monotonic() - self._started < _WARM_UP
        values = decode(await self._port.ask(_READ_VALUES, 9), warming)
        return values | faults(await self._port.ask(_READ_STATUS, 2))

    async def stop(self) -> None:
        """Stop fan, laser and heater. The part is deaf for 1.4 s then, which only a new start waits for."""
        await self._port.tell(_STOP, takes=_STOP_TIME)

    async def _set_altitude(self, altitude: int) -> None:
        """Tell the altitude and read it back. The part takes it only while it is idle."""
        await self.stop()
        await self._port.tell(_ALTITUDE, altitude)
        (told,) = await self._port.ask(_ALTITUDE, 1)
        if told != altitude:
            raise DeviceError(f"told an altitude of {altitude} m, the part holds {told} m")


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the name of the part at *address* if it says that it is a SEN66, else None."""
    name = await Port(bus, address, clock, _EXECUTION).name(_PRODUCT_NAME, 16)
    return f"product name {name}" if name == _NAME else None


def decode(words: tuple[int, ...], warming: bool = False) -> dict[Quantity, float | Missing]:
    """Turn the nine words of a result into micrograms per m3, percent, degrees Celsius, indices and ppm.

    0xFFFF, and 0x7FFF where the word is signed, mean "unknown": WARMING_UP while *warming*, else SENTINEL.
    """
    return sensirion.decode(_WORDS, words, warming)


def faults(status: tuple[int, ...]) -> dict[Quantity, Missing]:
    """Return what Device Status (two words) says must not be trusted.

    The error bits stay set until `start` clears them, so that a fan which blocks now and then is not
    believed in between.
    """
    return sensirion.condemned(status, _STATUS)
