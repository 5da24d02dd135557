"""InvenSense MPU-6050: acceleration and rotation on three axes and the part's temperature, over I2C.

Documents: "MPU-6000 and MPU-6050 Product Specification", PS-MPU-6000A-00 revision 3.4, and "Register Map and
Descriptions", RM-MPU-6000A-00 revision 4.2. Sections are named beside what they justify.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from drivers.accelerometer import AXES, STANDARD_GRAVITY, Life, Triple, check_calibration
from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ADDRESSES: tuple[int, ...] = (0x68, 0x69)
"""AD0 low, AD0 high (PS 9.2)."""

ON = "i2c"

SMPLRT_DIV, INT_ENABLE, INT_STATUS, PWR_MGMT_1, WHO_AM_I = 0x19, 0x38, 0x3A, 0x6B, 0x75
IDENTITY = 0x68  # bits 6 to 1, whatever AD0 says (RM 4.32)
COUSINS = {0x70: "MPU-6500", 0x71: "MPU-9250", 0x73: "MPU-9255"}  # their temperature has another formula
DEVICE_RESET, SLEEP = 0x80, 0x40  # RM 4.28
GYRO_CLOCK = 0x01  # "highly recommended" over the internal oscillator (RM 4.28)
DATA_READY = 0x01
RESET_TIME = 0.1  # s, the longest from power to registers (PS 6.1)
GYRO_START = 0.03  # s (PS 6.1); the clock comes from the gyroscope
SETTLING = 0.1  # s, several times the slowest filter's 19 ms delay (RM 4.3)

PER_G = {2: 16384, 4: 8192, 8: 4096, 16: 2048}  # LSB/g (PS 6.2)
RANGE_CODE = {2: 0, 4: 1, 8: 2, 16: 3}
PER_DEGREE = {250: 131.0, 500: 65.5, 1000: 32.8, 2000: 16.4}  # LSB per deg/s (PS 6.1)
TURN_CODE = {250: 0, 500: 1, 1000: 2, 2000: 3}
BANDWIDTHS = {184: 1, 94: 2, 44: 3, 21: 4, 10: 5, 5: 6}  # Hz: DLPF_CFG (RM 4.3)
FROZEN = 5  # equal vectors in a row; noise of tens of counts makes even two of them rare

TURNS = (Quantity.ROTATION_X, Quantity.ROTATION_Y, Quantity.ROTATION_Z)


@dataclass(frozen=True, slots=True)
class Options:
    """*range* [g], *bandwidth* of the filter [Hz], *rate* [Hz], and each axis's *zero* [m/s2] and *span*.

    The rate is 1000 Hz divided by 1, 2, 3 ... 256. An axis gives (reading - zero) * span; the part's own zero
    is off by up to 0.08 g, its sensitivity by 3 % (PS 6.2). *turn* is the range of the rotation, *turn_zero*
    what each axis reads at rest [deg/s], up to 20 (PS 6.1). Raises ValueError for what the part does not have
    and for calibrations beyond.
    """

    range: Literal[2, 4, 8, 16] = 2
    bandwidth: Literal[5, 10, 21, 44, 94, 184] = 21
    rate: float = 50.0
    zero_x: float = 0.0
    zero_y: float = 0.0
    zero_z: float = 0.0
    span_x: float = 1.0
    span_y: float = 1.0
    span_z: float = 1.0
    turn: Literal[250, 500, 1000, 2000] = 500
    turn_zero_x: float = 0.0
    turn_zero_y: float = 0.0
    turn_zero_z: float = 0.0

    def __post_init__(self) -> None:
        if not 1000 / 256 <= self.rate <= 1000 or abs(1000 / self.rate - round(1000 / self.rate)) > 1e-6:
            raise ValueError("rate must be 1000 Hz divided by 1, 2, 3 ... 256")
        check_calibration(self.zeros, self.spans, 2.0, 0.9, 1.1)
        if not all(isfinite(zero) and abs(zero) <= 25 for zero in self.turn_zeros):
            raise ValueError("turn_zero_x, turn_zero_y and turn_zero_z must be -25 to 25 deg/s")

    @property
    def zeros(self) -> tuple[float, float, float]:
        return self.zero_x, self.zero_y, self.zero_z

    @property
    def spans(self) -> tuple[float, float, float]:
        return self.span_x, self.span_y, self.span_z

    @property
    def turn_zeros(self) -> tuple[float, float, float]:
        return self.turn_zero_x, self.turn_zero_y, self.turn_zero_z


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the identity when an MPU-6050 answers at *address*."""
    try:
        found = (await bus.transfer(address, bytes((WHO_AM_I,)), 1))[0]
    except BusError:
        return None
    return f"identity {found:#04x}" if found == IDENTITY else None


class Driver:
    """An MPU-6050 that samples by itself; `measure` takes its latest complete sample."""

    quantities = frozenset({*AXES, *TURNS, Quantity.TEMPERATURE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        self._period = 1 / options.rate
        self._settings = bytes(
            (
                round(1000 / options.rate) - 1,
                BANDWIDTHS[options.bandwidth],
                TURN_CODE[options.turn] << 3,
                RANGE_CODE[options.range] << 3,
            )
        )
        self._life = Life(FROZEN)

    async def start(self) -> None:
        """Identify the part, reset it, wake it, configure it, and let its filter settle."""
        found = (await self._read(WHO_AM_I, 1))[0]
        if found != IDENTITY:
            hint = f", which is an {COUSINS[found]}" if found in COUSINS else ""
            raise WrongDevice(f"identity at {self._address:#04x} is {found:#04x}{hint}, not {IDENTITY:#04x}")
        await self._write(PWR_MGMT_1, DEVICE_RESET)
        await self._clock.sleep(RESET_TIME)
        await self._write(PWR_MGMT_1, GYRO_CLOCK, 0)
        await self._write(SMPLRT_DIV, *self._settings)
        await self._write(INT_ENABLE, DATA_READY)
        await self._verify()
        await self._clock.sleep(GYRO_START + SETTLING + self._period)

    async def measure(self) -> Values:
        """Return the latest acceleration [m/s2], rotation [deg/s] and temperature [Cel].

        An axis at its rail is OUT_OF_RANGE. Raises DeviceError when no sample comes, when the part lost its
        configuration, and for an all-zero or frozen vector, which no living part gives.
        """
        await self._verify()
        raw = await self._fresh()
        counts = decode_counts(raw[0:6])
        self._life.check(counts)
        per_g = PER_G[self._options.range]
        calibrations = zip(AXES, counts, self._options.zeros, self._options.spans, strict=True)
        values: dict[Quantity, float | Missing] = {
            axis: decode_acceleration(count, per_g, zero, span) for axis, count, zero, span in calibrations
        }
        values[Quantity.TEMPERATURE] = decode_temperature(raw[6:8])
        per_degree = PER_DEGREE[self._options.turn]
        for axis, count, zero in zip(TURNS, decode_counts(raw[8:14]), self._options.turn_zeros, strict=True):
            values[axis] = decode_rotation(count, per_degree, zero)
        return values

    async def stop(self) -> None:
        """To sleep."""
        await self._write(PWR_MGMT_1, SLEEP)

    async def _verify(self) -> None:
        """Raise DeviceError when clock, sleep, rate, filter or range are not ours: power was lost."""
        power = await self._read(PWR_MGMT_1, 2)
        settings = await self._read(SMPLRT_DIV, 4)
        if (power, settings) != (bytes((GYRO_CLOCK, 0)), self._settings):
            raise DeviceError(
                f"configuration reads {power.hex()} {settings.hex()}: the part lost it, as after a brown-out"
            )

    async def _fresh(self) -> bytes:
        """Wait for a sample not yet read, three periods at most; return its 14 bytes.

        Status and sample come in one burst: the part holds a sample still while it is read (RM 4.18).
        """
        for _ in range(12):
            raw = await self._read(INT_STATUS, 15)
            if raw[0] & DATA_READY:
                return raw[1:]
            await self._clock.sleep(self._period / 4)
        raise DeviceError(f"no sample within {3 * self._period:g} s: the part has stopped sampling")

    async def _read(self, register: int, count: int) -> bytes:
        return await self._bus.transfer(self._address, bytes((register,)), count)

    async def _write(self, register: int, *values: int) -> None:
        await self._bus.transfer(self._address, bytes((register, *values)))


def decode_counts(raw: bytes) -> Triple:
    """Split six bytes into x, y, z: high byte first, two's complement (RM 4.17)."""
    x, y, z = (int.from_bytes(raw[at : at + 2], signed=True) for at in (0, 2, 4))
    return x, y, z


def decode_acceleration(count: int, per_g: int, zero: float = 0.0, span: float = 1.0) -> float | Missing:
    """Convert counts to m/s2; *per_g* in LSB/g. A count at a rail may stand for anything beyond."""
    if not -0x8000 < count < 0x7FFF:
        return Missing.OUT_OF_RANGE
    return (count / per_g * STANDARD_GRAVITY - zero) * span


def decode_rotation(count: int, per_degree: float, zero: float = 0.0) -> float | Missing:
    """Convert counts to deg/s; *per_degree* in LSB. A count at a rail may stand for anything beyond."""
    if not -0x8000 < count < 0x7FFF:
        return Missing.OUT_OF_RANGE
    return count / per_degree - zero


def decode_temperature(raw: bytes) -> float | Missing:
    """Convert the temperature word to Cel (RM 4.18). Beyond -50 to 105 Cel it is OUT_OF_RANGE."""
    celsius = int.from_bytes(raw, signed=True) / 340 + 36.53
    return celsius if -50 <= celsius <= 105 else Missing.OUT_OF_RANGE
