"""Analog Devices ADXL355: acceleration on three axes and the part's temperature, over I2C.

Datasheet: "ADXL354/ADXL355", Analog Devices, revision C. Sections are named beside what they justify.
"""

from dataclasses import dataclass
from typing import Literal

from drivers.accelerometer import AXES, STANDARD_GRAVITY, Life, Triple
from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ADDRESSES: tuple[int, ...] = (0x1D, 0x53)
"""ASEL low, ASEL high (Serial communications)."""

IDENTITY = bytes((0xAD, 0x1D, 0xED))  # DEVID_AD, DEVID_MST, PARTID at 0x00 to 0x02
STATUS, TEMP2, OFFSET_X_H, FILTER, RANGE, POWER_CTL, SELF_TEST = 0x04, 0x06, 0x1E, 0x28, 0x2C, 0x2D, 0x2E
DATA_READY = 0x01
STANDBY, MEASURE = 0x01, 0x00
FAST_I2C = 0x80  # RANGE bit 7 is set at reset and has nothing to do with the range

SENSITIVITY = {2: 256_000, 4: 128_000, 8: 64_000}  # LSB/g (Table 1)
RANGE_CODE = {2: 1, 4: 2, 8: 3}
RAIL = (1 << 19) - 1
TURN_ON = 0.010  # s, standby to measuring (Table 1)
SETTLING = 4  # output periods until the decimation filter holds nothing from before (Digital filter)
FROZEN = 5  # equal vectors in a row; noise alone makes even two of them rare


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure: *range* is 2, 4 or 8 g; *rate* is 4000 Hz divided by 1, 2, 4 ... 1024.

    The bandwidth is a quarter of the rate. Raises ValueError for another rate.
    """

    range: Literal[2, 4, 8] = 2
    rate: float = 31.25

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise ValueError(f"rate must be one of {', '.join(f'{rate:g}' for rate in RATES)} Hz")


RATES = tuple(4000 / (1 << power) for power in range(11))  # Hz, ODR_LPF codes 0 to 10 (Table 44)


class Driver:
    """An ADXL355 that samples by itself; `measure` takes its next complete vector."""

    quantities = frozenset({*AXES, Quantity.TEMPERATURE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._sensitivity = SENSITIVITY[options.range]
        self._filter = RATES.index(options.rate)
        self._range = FAST_I2C | RANGE_CODE[options.range]
        self._period = 1 / options.rate
        self._life = Life(FROZEN)

    async def start(self) -> None:
        """Identify the part, configure it in standby, and let its filter settle."""
        identity = await self._read(0x00, 3)
        if identity != IDENTITY:
            raise WrongDevice(f"identity at {self._address:#04x} is {identity.hex()}, not {IDENTITY.hex()}")
        await self._write(POWER_CTL, STANDBY)
        await self._write(OFFSET_X_H, *bytes(6))  # a trim left behind is an invisible tilt
        await self._write(FILTER, self._filter)
        await self._write(RANGE, self._range)
        await self._write(SELF_TEST, 0)
        await self._write(POWER_CTL, MEASURE)
        await self._verify()
        await self._clock.sleep(TURN_ON + SETTLING * self._period)

    async def measure(self) -> Values:
        """Return the next vector [m/s2] and the temperature [Cel].

        An axis at its rail is OUT_OF_RANGE. Raises DeviceError when no sample comes, when the part lost its
        configuration, and for an all-zero or frozen vector, which no living part gives.
        """
        await self._verify()
        await self._ready()
        raw = await self._frame()
        counts = decode_counts(raw[2:])
        self._life.check(counts)
        values: dict[Quantity, float | Missing] = {
            axis: decode_acceleration(count, self._sensitivity)
            for axis, count in zip(AXES, counts, strict=True)
        }
        values[Quantity.TEMPERATURE] = decode_temperature(raw[:2])
        return values

    async def stop(self) -> None:
        """To standby."""
        await self._write(POWER_CTL, STANDBY)

    async def _verify(self) -> None:
        """Raise DeviceError when filter, range or mode are not ours: the part was without power."""
        state = await self._read(FILTER, 6)
        if (state[0], state[4], state[5]) != (self._filter, self._range, MEASURE):
            raise DeviceError(f"configuration reads {state.hex()}: the part lost it, as after a brown-out")

    async def _ready(self) -> None:
        """Wait for a complete sample: three periods at most, for the part's clock is not ours."""
        for _ in range(12):
            if (await self._read(STATUS, 1))[0] & DATA_READY:
                return
            await self._clock.sleep(self._period / 4)
        raise DeviceError(f"no sample within {3 * self._period:g} s: the part has stopped sampling")

    async def _frame(self) -> bytes:
        """Read temperature and the three axes in one transfer, so that they belong together.

        The two temperature bytes are not buffered (Temperature sensor): when the upper one has changed
        meanwhile, the pair may be torn.
        """
        for _ in range(3):
            raw = await self._read(TEMP2, 11)
            if await self._read(TEMP2, 1) == raw[:1]:
                return raw
        raise DeviceError("the temperature changes from read to read: not a steady part")

    async def _read(self, register: int, count: int) -> bytes:
        return await self._bus.transfer(self._address, bytes((register,)), count)

    async def _write(self, register: int, *values: int) -> None:
        await self._bus.transfer(self._address, bytes((register, *values)))


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the three bytes of identity when an ADXL355 answers at *address*, else None. Only reads."""
    try:
        found = await bus.transfer(address, bytes((0x00,)), 3)
    except BusError:
        return None
    return f"identity {found.hex()}" if found == IDENTITY else None


def decode_counts(raw: bytes) -> Triple:
    """Split nine bytes into x, y, z: 20 bits each, left-justified, two's complement (XDATA3 to ZDATA1)."""
    x, y, z = (int.from_bytes(raw[at : at + 3], signed=True) >> 4 for at in (0, 3, 6))
    return x, y, z


def decode_acceleration(count: int, sensitivity: int) -> float | Missing:
    """Convert counts to m/s2; *sensitivity* in LSB/g. A count at a rail may stand for anything beyond."""
    if not -RAIL <= count < RAIL:
        return Missing.OUT_OF_RANGE
    return count / sensitivity * STANDARD_GRAVITY


def decode_temperature(raw: bytes) -> float | Missing:
    """Convert the 12-bit temperature to Cel: 1885 at 25 Cel, -9.05 LSB/Cel (Table 1).

    Beyond -55 to 150 Cel, well outside the part's rating, it is OUT_OF_RANGE.
    """
    count = (raw[0] & 0x0F) << 8 | raw[1]
    celsius = 25 + (count - 1885) / -9.05
    return celsius if -55 <= celsius <= 150 else Missing.OUT_OF_RANGE
