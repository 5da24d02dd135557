"""Sensirion SEN55: particles, humidity, temperature, VOC index and NOx index over I2C.

Datasheet "SEN5x", version 2 (March 2022), section 6 (I2C commands); the names cited are theirs. The part
measures by itself once a second from start to stop. Its SEL pin must be at ground.
"""

from dataclasses import dataclass

from drivers import sensirion
from drivers.bus import I2C
from drivers.device import Clock, DeviceError, Missing, Quantity, Values
from drivers.sensirion import Port, Word

ADDRESSES: tuple[int, ...] = (0x69,)

_START, _STOP, _DATA_READY, _READ_VALUES = 0x0021, 0x0104, 0x0202, 0x03C4
_COMPENSATION, _PRODUCT_NAME, _READ_STATUS, _CLEAR_STATUS = 0x60B2, 0xD014, 0xD206, 0xD210
_NAME = "SEN55"
_EXECUTION, _START_TIME, _STOP_TIME = 0.02, 0.05, 0.2  # execution times [s]
_READY, _POLLS, _PAUSE = 0xFF, 12, 0.1  # the first result comes about 1 s after the start, then one a second
_WARM_UP = 12.0  # NOx comes after 10 to 11 s
_CLEANING = 19  # bit of Device Status: the fan cleans itself, for 10 s each week

_Q = Quantity
_PARTICLES = frozenset({_Q.PM1, _Q.PM2_5, _Q.PM4, _Q.PM10})
_CLIMATE = frozenset({_Q.HUMIDITY, _Q.TEMPERATURE})
_GASES = frozenset({_Q.VOC_INDEX, _Q.NOX_INDEX})
_ALL = _PARTICLES | _CLIMATE | _GASES

_NONE = frozenset[Quantity]()

# Bit of Device Status: what is broken then, and what is compensated with it and so in doubt.
_STATUS = {
    4: (_ALL, _NONE),  # the fan stands still: every value is likely wrong
    5: (_PARTICLES, _NONE),  # the laser's current is out of range
    6: (_CLIMATE, _GASES),
    7: (_GASES, _NONE),
    21: (_NONE, _PARTICLES),  # a warning: the fan's speed is out of range
}

# The words of a result in order (Read Measured Values).
_WORDS = (
    Word(_Q.PM1, signed=False, divisor=10),
    Word(_Q.PM2_5, signed=False, divisor=10),
    Word(_Q.PM4, signed=False, divisor=10),
    Word(_Q.PM10, signed=False, divisor=10),
    Word(_Q.HUMIDITY, signed=True, divisor=100),
    Word(_Q.TEMPERATURE, signed=True, divisor=200),
    Word(_Q.VOC_INDEX, signed=True, divisor=10),
    Word(_Q.NOX_INDEX, signed=True, divisor=10),
)


@dataclass(frozen=True, slots=True)
class Options:
    """*temperature_offset*: what the part adds to its temperature [K], -20 to 20, for a box that is warmer.

    The part corrects the humidity with it. 0 leaves the part as it powers up.
    """

    temperature_offset: float = 0.0

    def __post_init__(self) -> None:
        if not -20 <= self.temperature_offset <= 20:
            raise ValueError(f"temperature_offset must be -20 to 20 K, not {self.temperature_offset}")


class Driver:
    """A SEN55. Raises WrongDevice for its sisters, which answer at the same address and measure less."""

    quantities = _ALL

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._port = Port(bus, address, clock, _EXECUTION)
        self._clock = clock
        self._offset = round(options.temperature_offset * 200) & 0xFFFF
        self._started = float("-inf")

    async def start(self) -> None:
        """Identify the part, forget its old errors, tell it the offset and start it.

        Does not wait for the first result: `measure` does.
        """
        sensirion.identify(await self._port.ask(_PRODUCT_NAME, 16), _NAME)
        if faults(await self._port.ask(_READ_STATUS, 2)):
            await self._port.ask(_CLEAR_STATUS, 2)
        if self._offset:
            await self._compensate()
        await self._port.tell(_START, takes=_START_TIME)
        self._started = self._clock.monotonic()

    async def measure(self) -> Values:
        """Take the next result: at once where one waits, else within 1.4 s.

        Without one by then the part is cleaning its fan, and says so: NOT_READY. If it does not, it has
        stopped measuring, as after a brown-out: DeviceError.
        """
        ready = await self._port.ready(_DATA_READY, _READY, _POLLS, _PAUSE)
        status = await self._port.ask(_READ_STATUS, 2)
        if not ready:
            return cleaning(status)
        warming = self._clock.monotonic() - self._started < _WARM_UP
        return decode(await self._port.ask(_READ_VALUES, 8), warming) | faults(status)

    async def stop(self) -> None:
        """Stop fan, laser and heater. The part is deaf for 0.2 s then, which only a new start waits for."""
        await self._port.tell(_STOP, takes=_STOP_TIME)

    async def _compensate(self) -> None:
        """Tell the offset, with no slope and at once, and read it back."""
        await self._port.tell(_COMPENSATION, self._offset, 0, 0)
        told = await self._port.ask(_COMPENSATION, 3)
        if told != (self._offset, 0, 0):
            raise DeviceError(f"told to add {self._offset / 200} K, the part holds {told}")


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the name of the part at *address* if it says that it is a SEN55, else None."""
    name = await Port(bus, address, clock, _EXECUTION).name(_PRODUCT_NAME, 16)
    return f"product name {name}" if name == _NAME else None


def decode(words: tuple[int, ...], warming: bool = False) -> dict[Quantity, float | Missing]:
    """Turn the eight words of a result into micrograms per m3, percent, degrees Celsius and indices.

    0xFFFF, and 0x7FFF where the word is signed, mean "unknown": WARMING_UP while *warming*, else SENTINEL.
    """
    return sensirion.decode(_WORDS, words, warming)


def faults(status: tuple[int, ...]) -> dict[Quantity, Missing]:
    """Return what Device Status (two words) says must not be trusted.

    The error bits stay set until `start` clears them, so that a fan which blocks now and then is not
    believed in between.
    """
    return sensirion.condemned(status, _STATUS)


def cleaning(status: tuple[int, ...]) -> dict[Quantity, float | Missing]:
    """Return NOT_READY for all where *status* says that the fan is being cleaned; else raise DeviceError."""
    if not sensirion.register(status) >> _CLEANING & 1:
        raise DeviceError("no new result within 1.4 s, and one is due each second: was power lost?")
    return dict.fromkeys(_ALL, Missing.NOT_READY)
