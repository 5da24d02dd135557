"""Sensirion SPS30: particles, by mass, by number and by size, over I2C.

Datasheet "SPS30", version 1.0 (March 2020); the sections cited are its. The part measures by itself once a
second from start to stop. Its SEL pin must be at ground when power comes, or it speaks UART (section 3.1).
"""

from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from struct import unpack

from drivers.bus import I2C, NoAcknowledge
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice
from drivers.sensirion import Port, condemned, text

ADDRESSES: tuple[int, ...] = (0x69,)

# Section 6.3. What only reads has no execution time.
_START, _STOP, _DATA_READY, _READ_VALUES = 0x0010, 0x0104, 0x0202, 0x0300
_WAKE, _PRODUCT_TYPE, _VERSION, _READ_STATUS, _CLEAR_STATUS = 0x1103, 0xD002, 0xD100, 0xD206, 0xD210
_FLOATS = 0x0300  # the argument of a start: results as ten IEEE 754 numbers
_MODE_TIME, _WAKE_TIME, _CLEAR_TIME = 0.02, 0.005, 0.02  # [s]
_TYPE = "00080000"  # 6.3.9
_STATUS_SINCE = 0x0202  # the firmware that brought the status register

_READY, _POLLS, _PAUSE = 0xFF, 14, 0.1  # a result is due each second
_CLEANING = 12.0  # the fan cleans itself for 10 s once a week, and nothing is measured then (4.2)

_Q = Quantity
_ORDER = (
    *(_Q.PM1, _Q.PM2_5, _Q.PM4, _Q.PM10),
    *(_Q.NC0_5, _Q.NC1, _Q.NC2_5, _Q.NC4, _Q.NC10),
    _Q.PARTICLE_SIZE,
)
_ALL = frozenset(_ORDER)
_NONE = frozenset[Quantity]()

# Bit of the status register: what is broken then, and what is in doubt (4.4).
_STATUS = {
    4: (_ALL, _NONE),  # the fan stands still
    5: (_ALL, _NONE),  # the laser's current is out of range
    21: (_NONE, _ALL),  # the fan's speed is out of range
}


@dataclass(frozen=True, slots=True)
class Options:
    """None: the part is calibrated, and cleans itself."""


class Driver:
    """An SPS30. Raises WrongDevice where another part answers like one."""

    quantities = _ALL

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._port = Port(bus, address, clock, 0.0)
        self._clock = clock
        self._started = float("-inf")
        self._silent: float | None = None
        self._has_status = False

    async def start(self) -> None:
        """Wake and identify the part, forget its old errors and start it.

        Does not wait for the first result: `measure` does.
        """
        await self._identify()
        (version,) = await self._port.ask(_VERSION, 1)
        self._has_status = version >= _STATUS_SINCE
        await self._port.tell(_STOP, takes=_MODE_TIME)  # a part that measures takes no start
        if await self._faults():
            await self._port.tell(_CLEAR_STATUS, takes=_CLEAR_TIME)
        await self._port.tell(_START, _FLOATS, takes=_MODE_TIME)
        self._started, self._silent = self._clock.monotonic(), None

    async def measure(self) -> Values:
        """Take the next result: at once where one waits, else within 1.4 s.

        Without one by then, the fan may be cleaning itself: NOT_READY. After 12 s of that it is no cleaning,
        but a part that has stopped measuring, as after a brown-out: DeviceError.
        """
        if not await self._ready():
            return dict.fromkeys(_ORDER, self._excuse())
        self._silent = None
        values = decode(await self._result())
        elapsed = self._clock.monotonic() - self._started
        return settled(values, elapsed) | await self._faults()

    async def stop(self) -> None:
        """Stop fan and laser."""
        await self._port.tell(_STOP, takes=_MODE_TIME)

    async def _identify(self) -> None:
        try:
            words = await self._port.ask(_PRODUCT_TYPE, 4)
        except NoAcknowledge:
            # Asleep, it takes one word to open its ear, and another to get up: neither may be acknowledged.
            for _ in range(2):
                with suppress(NoAcknowledge):
                    await self._port.tell(_WAKE, takes=_WAKE_TIME)
            words = await self._port.ask(_PRODUCT_TYPE, 4)
        if text(words) != _TYPE:
            raise WrongDevice(f"the part says that its type is {text(words)!r}; an SPS30's is {_TYPE!r}")

    async def _result(self) -> tuple[int, ...]:
        """Return the words of the result that waits.

        Ten zeros are clean air, or a part that has got its power back since it said that it was ready; then
        no other follows.
        """
        words = await self._port.ask(_READ_VALUES, 20)
        if any(words):
            return words
        if not await self._ready():
            raise DeviceError("ten zeros, and no result after them: was power lost?")
        return await self._port.ask(_READ_VALUES, 20)

    async def _ready(self) -> bool:
        return await self._port.ready(_DATA_READY, _READY, _POLLS, _PAUSE)

    def _excuse(self) -> Missing:
        """Return why there is no result, as long as there is a good reason."""
        now = self._clock.monotonic()
        if self._silent is None:
            self._silent = now
        if now - self._silent > _CLEANING:
            raise DeviceError("no new result for 12 s, and one is due each second: was power lost?")
        return Missing.NOT_READY

    async def _faults(self) -> dict[Quantity, Missing]:
        """Return what the status register takes away. Older firmware has none."""
        if not self._has_status:
            return {}
        return faults(await self._port.ask(_READ_STATUS, 2))


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the product type of the part at *address* if it is an SPS30's, else None; asleep it stays so."""
    name = await Port(bus, address, clock, 0.0).name(_PRODUCT_TYPE, 4)
    return f"product type {name}" if name == _TYPE else None


def decode(words: tuple[int, ...]) -> dict[Quantity, float | Missing]:
    """Turn the twenty words of a result into micrograms per m3, particles per cm3 and micrometres (4.3).

    What is no finite number is SENTINEL; what is below zero is OUT_OF_RANGE.
    """
    raw = b"".join(word.to_bytes(2) for word in words)
    return dict(zip(_ORDER, map(_judge, unpack(">10f", raw)), strict=True))


def settled(values: dict[Quantity, float | Missing], elapsed: float) -> dict[Quantity, float | Missing]:
    """Return *values*, or WARMING_UP where *elapsed* seconds from the start are too few (1.1, start-up time).

    The fewer the particles, the longer it takes: 8 s above 200 per cm3, 16 s above 100, 30 s below.
    """
    count = values[_Q.NC10]
    number = count if isinstance(count, float) else 0.0
    needed = 8.0 if number >= 200 else 16.0 if number >= 100 else 30.0
    if elapsed >= needed:
        return values
    return {q: v if isinstance(v, Missing) else Missing.WARMING_UP for q, v in values.items()}


def faults(status: tuple[int, ...]) -> dict[Quantity, Missing]:
    """Return what the status register (two words) says must not be trusted (4.4)."""
    return condemned(status, _STATUS)


def _judge(value: float) -> float | Missing:
    if not isfinite(value):
        return Missing.SENTINEL
    return Missing.OUT_OF_RANGE if value < 0 else value + 0.0  # -0.0, which parts do give, is 0.0
