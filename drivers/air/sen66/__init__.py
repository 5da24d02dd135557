"""Sensirion SEN66: particles, humidity, temperature, VOC index, NOx index and CO2 over I2C.

Datasheet "SEN6x", version 0.91 (August 2025), I2C commands; the names cited are theirs. The part measures by
itself once a second from start to stop. A command is written, its execution time is waited out, and the
answer is read with a transfer of its own: while it executes, the part does not acknowledge.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from drivers.bus import I2C
from drivers.checksum import crc8
from drivers.device import ChecksumError, Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ADDRESSES: tuple[int, ...] = (0x6B,)

_START, _STOP, _DATA_READY, _READ_VALUES = 0x0021, 0x0104, 0x0202, 0x0300
_ALTITUDE, _PRODUCT_NAME, _READ_STATUS, _CLEAR_STATUS = 0x6736, 0xD014, 0xD206, 0xD210
_EXECUTION, _START_TIME, _STOP_TIME = 0.02, 0.05, 1.4  # execution times [s]
_POLLS, _PAUSE = 12, 0.1  # the first result comes 1.1 s after the start, then one a second
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

# The words of a result in order: quantity, signed, divisor (Read Measured Values SEN66).
_WORDS = (
    (_Q.PM1, False, 10),
    (_Q.PM2_5, False, 10),
    (_Q.PM4, False, 10),
    (_Q.PM10, False, 10),
    (_Q.HUMIDITY, True, 100),
    (_Q.TEMPERATURE, True, 200),
    (_Q.VOC_INDEX, True, 10),
    (_Q.NOX_INDEX, True, 10),
    (_Q.CO2, False, 1),
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
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        self._started = self._free = float("-inf")

    async def start(self) -> None:
        """Identify the part, forget its old errors, tell it the altitude and start it.

        Does not wait for the first result: `measure` does.
        """
        identify(await self._ask(_PRODUCT_NAME, 16))
        if faults(await self._ask(_READ_STATUS, 2)):
            await self._ask(_CLEAR_STATUS, 2)
        if self._options.altitude:
            await self._set_altitude(self._options.altitude)
        await self._tell(_START, takes=_START_TIME)
        self._started = self._clock.monotonic()

    async def measure(self) -> Values:
        """Take the next result: at once where one waits, else within 1.4 s.

        A part that has nothing new by then has stopped measuring, as after a brown-out: DeviceError.
        """
        for _ in range(_POLLS):
            (flag,) = await self._ask(_DATA_READY, 1)
            if flag & 0xFF:
                break
            await self._clock.sleep(_PAUSE)
        else:
            raise DeviceError("no new result within 1.4 s, and one is due each second: was power lost?")
        warming = self._clock.monotonic() - self._started < _WARM_UP
        values = decode(await self._ask(_READ_VALUES, 9), warming)
        return values | faults(await self._ask(_READ_STATUS, 2))

    async def stop(self) -> None:
        """Stop fan, laser and heater. The part is deaf for 1.4 s then, which only a new start waits for."""
        await self._tell(_STOP, takes=_STOP_TIME)

    async def _set_altitude(self, altitude: int) -> None:
        """Tell the altitude and read it back. The part takes it only while it is idle."""
        await self.stop()
        await self._tell(_ALTITUDE, altitude)
        (told,) = await self._ask(_ALTITUDE, 1)
        if told != altitude:
            raise DeviceError(f"told an altitude of {altitude} m, the part holds {told} m")

    async def _ask(self, command: int, count: int) -> tuple[int, ...]:
        """Send *command* and return the *count* words of its answer."""
        await self._tell(command)
        await self._clock.sleep(_EXECUTION)
        return tuple(checked(await self._bus.transfer(self._address, read=3 * count)))

    async def _tell(self, command: int, *arguments: int, takes: float = _EXECUTION) -> None:
        """Send *command* once the one before has been executed, also where that was given up half-way."""
        await self._clock.sleep(max(0.0, self._free - self._clock.monotonic()))
        self._free = self._clock.monotonic() + takes
        words = b"".join(_guarded(word) for word in arguments)
        await self._bus.transfer(self._address, command.to_bytes(2) + words)


def checked(raw: bytes) -> Iterator[int]:
    """Yield the 16-bit words of *raw*, each followed by its CRC-8. Raises ChecksumError."""
    for at in range(0, len(raw), 3):
        word, crc = raw[at : at + 2], raw[at + 2]
        if crc8(word) != crc:
            raise ChecksumError(f"word {at // 3} has CRC {crc:#04x}, computed {crc8(word):#04x}")
        yield int.from_bytes(word)


def identify(words: tuple[int, ...]) -> None:
    """Raise WrongDevice unless *words* spell the name SEN66 (Get Product Name)."""
    name = b"".join(word.to_bytes(2) for word in words).partition(b"\0")[0].decode("ascii", "replace")
    if name != "SEN66":
        raise WrongDevice(f"the part says that it is a {name!r}, not a SEN66")


def decode(words: tuple[int, ...], warming: bool = False) -> dict[Quantity, float | Missing]:
    """Turn the nine words of a result into micrograms per m3, percent, degrees Celsius, indices and ppm.

    0xFFFF, and 0x7FFF where the word is signed, mean "unknown": WARMING_UP while *warming*, else SENTINEL.
    """
    return {
        quantity: _decode_word(word, signed, divisor, warming, quantity in _GASES)
        for (quantity, signed, divisor), word in zip(_WORDS, words, strict=True)
    }


def faults(status: tuple[int, ...]) -> dict[Quantity, Missing]:
    """Return what Device Status (two words) says must not be trusted.

    The error bits stay set until `start` clears them, so that a fan which blocks now and then is not
    believed in between.
    """
    register = status[0] << 16 | status[1]
    said: dict[Quantity, Missing] = {}
    for bit, (broken, doubtful) in _STATUS.items():
        if register >> bit & 1:
            said = dict.fromkeys(doubtful, Missing.UNRELIABLE) | said | dict.fromkeys(broken, Missing.FAULT)
    return said


def _decode_word(word: int, signed: bool, divisor: int, warming: bool, index: bool) -> float | Missing:
    if word == (0x7FFF if signed else 0xFFFF):
        return Missing.WARMING_UP if warming else Missing.SENTINEL
    value = (word - 0x10000 if signed and word & 0x8000 else word) / divisor
    # An index is 1 to 500; the algorithm gives 0 until it has seen enough air.
    return Missing.WARMING_UP if index and value <= 0 else value


def _guarded(word: int) -> bytes:
    raw = word.to_bytes(2)
    return raw + bytes([crc8(raw)])
