"""MaxBotix MB7040 (I2CXL-MaxSonar-WR): distance by ultrasound over I2C; also the MB7137.

Datasheets PD11502h (WR) and PD11848k (EZ, the same protocol), "I2C" on page 3. The part ranges on command
and does not acknowledge its address meanwhile. It cannot be identified: any two bytes are an answer.
"""

from dataclasses import dataclass

from drivers.bus import I2C, BusError, NoAcknowledge
from drivers.device import Clock, Missing, Quantity, Values

_REFUSED = {0x28, 0x52, 0x55}  # the 8-bit addresses 80, 164 and 170
ADDRESSES: tuple[int, ...] = (0x70, *(a for a in range(0x08, 0x78) if a != 0x70 and a not in _REFUSED))
"""The default, then every address that the part can be given and that config accepts."""

_RANGE = b"\x51"
_RANGING = 0.08  # "command a range reading ~80 ms before reading the sensor"
_APART = 0.1  # "it is best to allow 100 ms between readings": the echo of the one before must die away
_TRIES, _PAUSE = 4, 0.02
_NEAREST, _FARTHEST = 20, 765  # centimetres; what is closer reads as 20, what is not there as 765


@dataclass(frozen=True, slots=True)
class Options:
    """The part has no settings."""


class Driver:
    """An MB7040. Each measurement is one ranging, and takes 80 to 180 ms."""

    quantities = frozenset({Quantity.DISTANCE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._ranged = float("-inf")

    async def start(self) -> None:
        """Range once and drop the result: nothing else shows that a part is there and works."""
        await self._range()

    async def measure(self) -> Values:
        """Range, and return the distance. Raises NoAcknowledge where the part never comes back."""
        return {Quantity.DISTANCE: decode(await self._range())}

    async def stop(self) -> None:
        """Do nothing: the part ranges only on command."""

    async def _range(self) -> bytes:
        await self._clock.sleep(max(0.0, self._ranged + _APART - self._clock.monotonic()))
        await self._until_heard(_RANGE, 0)
        self._ranged = self._clock.monotonic()
        await self._clock.sleep(_RANGING)
        return await self._until_heard(b"", 2)

    async def _until_heard(self, write: bytes, read: int) -> bytes:
        """Repeat a transfer while the part may still be ranging, 80 ms at the longest."""
        for _ in range(_TRIES):
            try:
                return await self._bus.transfer(self._address, write, read)
            except NoAcknowledge:
                await self._clock.sleep(_PAUSE)
        return await self._bus.transfer(self._address, write, read)


def sound(options: Options) -> float:
    """Return the speed of sound [m/s] that the part reckons with, there and back: 58 us to the centimetre."""
    return 2 * 0.01 / 58e-6


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the range that the part at *address* gives, or None. It has no identity, but a habit of its own.

    It answers to a read alone, to no read while it ranges, and then with a range that it can have. Nothing is
    written to what does not answer the first read.
    """
    try:
        await bus.transfer(address, read=2)
        await bus.transfer(address, _RANGE)
        if await _hears(bus, address):
            return None
        await clock.sleep(_RANGING)
        found = decode(await bus.transfer(address, read=2))
    except BusError:
        return None
    return f"deaf while it ranges, then {found:.2f} m" if isinstance(found, float) else None


async def _hears(bus: I2C, address: int) -> bool:
    try:
        await bus.transfer(address, read=2)
    except NoAcknowledge:
        return False
    return True


def decode(raw: bytes) -> float | Missing:
    """Turn two bytes, a signed number of centimetres, into metres: 0.20 to 7.64.

    Negative numbers are the part's errors; 0x8014 taken for a distance would be 327.88 m. Without an echo
    the part reads its farthest, 765, which is NO_TARGET. Less than 20 is no range that it can give.
    """
    centimetres = int.from_bytes(raw, signed=True)
    if centimetres < 0:
        return Missing.SENTINEL
    if centimetres < _NEAREST or centimetres > _FARTHEST:
        return Missing.OUT_OF_RANGE
    return Missing.NO_TARGET if centimetres == _FARTHEST else centimetres / 100
