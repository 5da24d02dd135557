"""PCB Artists PCBA-DBM-r3: sound level over I2C.

Source: the maker's "I2C Decibel Meter Programming Manual" and register description for PCBA-DBM-r3. The part
averages by itself and holds the latest level, the lowest and the highest; each register is a level in dB.
"""

from dataclasses import dataclass
from typing import Literal

from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ADDRESSES: tuple[int, ...] = (0x48,)

_VERSION, _CONTROL, _TAVG_HIGH, _TAVG_LOW, _RESET, _DECIBEL = 0x00, 0x06, 0x07, 0x08, 0x09, 0x0A
_HARDWARE = 3  # VERSION, bits 7 to 4
_POWER_DOWN = 0x01  # CONTROL, bit 0
_FILTER = {"Z": 0x00, "A": 0x02, "C": 0x04}  # CONTROL, bits 2 and 1
_CLEAR_EXTREMES, _SYSTEM_RESET = 0x02, 0x08  # RESET, bits 1 and 3
_TAVG_VALID = range(10, 10001)  # milliseconds that the averaging time can be
_READY = 0.005  # from power-up or reset to the first transfer


@dataclass(frozen=True, slots=True)
class Options:
    """*weighting*: A (hearing), C (loud sounds) or Z (none). *averaging*: seconds, 0.01 to 10; 0.125 is the
    "fast" of sound level meters, 1.0 their "slow"."""

    weighting: Literal["A", "C", "Z"] = "A"
    averaging: float = 1.0

    def __post_init__(self) -> None:
        if not 0.01 <= self.averaging <= 10.0:
            raise ValueError(f"averaging must be 0.01 to 10 s, not {self.averaging:g}")


class Driver:
    """A PCBA-DBM-r3. The extremes are those since the measurement before."""

    quantities = frozenset({Quantity.SOUND_LEVEL, Quantity.SOUND_LEVEL_MIN, Quantity.SOUND_LEVEL_MAX})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        averaging = round(options.averaging * 1000)
        self._settings = bytes([_FILTER[options.weighting], *averaging.to_bytes(2)])

    async def start(self) -> None:
        """Identify the part, wake it where it was powered down, and set weighting and averaging."""
        identify(await self._read(_VERSION, 1))
        (control,) = await self._read(_CONTROL, 1)
        if control & _POWER_DOWN:  # only a reset wakes it
            await self._write(_RESET, _SYSTEM_RESET)
            await self._clock.sleep(_READY)
        control, high, low = self._settings
        await self._write(_CONTROL, control)
        await self._write(_TAVG_HIGH, high)
        await self._write(_TAVG_LOW, low)  # the part takes both bytes when the low one is written
        await self._write(_RESET, _CLEAR_EXTREMES)
        await self._verify()

    async def measure(self) -> Values:
        """Read the level and the extremes, and begin new extremes.

        Raises DeviceError when the part has not the settings that it was given: it lost power since.
        """
        await self._verify()
        values = decode(await self._read(_DECIBEL, 3))
        await self._write(_RESET, _CLEAR_EXTREMES)
        return values

    async def stop(self) -> None:
        """Power the microphone down."""
        await self._write(_CONTROL, self._settings[0] | _POWER_DOWN)

    async def _verify(self) -> None:
        found = await self._read(_CONTROL, 3)
        if found != self._settings:
            raise DeviceError(f"set to {self._settings.hex(' ')}, found {found.hex(' ')}: was power lost?")

    async def _read(self, register: int, count: int) -> bytes:
        return await self._bus.transfer(self._address, bytes([register]), count)

    async def _write(self, register: int, value: int) -> None:
        await self._bus.transfer(self._address, bytes([register, value]))


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the version of the DBM at *address*, or None. Only reads; the averaging time must be one."""
    try:
        (version,) = await bus.transfer(address, bytes([_VERSION]), 1)
        control, *averaging = await bus.transfer(address, bytes([_CONTROL]), 3)
    except BusError:
        return None
    ours = version >> 4 == _HARDWARE and not control & 0xF0
    return f"version {version:#04x}" if ours and int.from_bytes(averaging) in _TAVG_VALID else None


def identify(raw: bytes) -> None:
    """Raise WrongDevice unless *raw*, the VERSION register, is that of hardware 3."""
    if raw[0] >> 4 != _HARDWARE:
        raise WrongDevice(f"version {raw[0]:#04x}; a PCBA-DBM-r3 has 0x31")


def decode(raw: bytes) -> dict[Quantity, float | Missing]:
    """Turn DECIBEL, MIN and MAX into decibels. 0 means that the part has not computed it yet."""
    quantities = (Quantity.SOUND_LEVEL, Quantity.SOUND_LEVEL_MIN, Quantity.SOUND_LEVEL_MAX)
    return {quantity: _level(byte) for quantity, byte in zip(quantities, raw, strict=True)}


def _level(byte: int) -> float | Missing:
    """All ones is louder than any sound: it is what MIN holds before the first level, or a dead wire."""
    return Missing.NOT_READY if byte in (0, 0xFF) else float(byte)
