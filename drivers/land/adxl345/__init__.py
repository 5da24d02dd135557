"""Analog Devices ADXL345: acceleration on three axes, over I2C.

Datasheet: "ADXL345", Analog Devices, revision G. Sections are named beside what they justify.
"""

from dataclasses import dataclass
from typing import Literal

from drivers.accelerometer import AXES, STANDARD_GRAVITY, Life, Triple, check_calibration
from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Values, WrongDevice

ADDRESSES: tuple[int, ...] = (0x53, 0x1D)
"""ALT ADDRESS low, ALT ADDRESS high (I2C)."""

ON = "i2c"

DEVID, OFSX, BW_RATE, POWER_CTL, INT_ENABLE = 0x00, 0x1E, 0x2C, 0x2D, 0x2E
DATA_FORMAT, DATA, FIFO_CTL = 0x31, 0x32, 0x38
IDENTITY = 0xE5
STANDBY, MEASURE = 0x00, 0x08
FULL_RESOLUTION = 0x08
DATA_READY = 0x80  # INT_SOURCE

PER_G = 256  # LSB/g at full resolution, in every range (Table 1); 4 mg/LSB, as some have it, is 2.4 % high
RANGE_CODE = {2: 0, 4: 1, 8: 2, 16: 3}
RATES = {12.5: 7, 25.0: 8, 50.0: 9, 100.0: 10, 200.0: 11, 400.0: 12, 800.0: 13}  # Hz: code (Table 7)
TURN_ON = 0.0011  # s beside one period (Table 1, note on the turn-on time)
SETTLING = 4  # periods until the filter holds nothing from before (Self-test: 4 x tau)
PATIENCE = {12.5: 100, 25.0: 40, 50.0: 24}
"""Equal vectors in a row that still may be chance. The noise, 0.75 LSB at 100 Hz (Table 1), falls with the
rate: what is all but impossible at 100 Hz after 16 vectors takes longer at a slow rate."""


@dataclass(frozen=True, slots=True)
class Options:
    """*range* [g], *rate* [Hz], and for each axis what it reads at rest (*zero*, m/s2) and its *span*.

    An axis gives (reading - zero) * span. The part's own zero is off by up to 0.25 g, its sensitivity by
    10 % (Table 1). Raises ValueError for a rate that the part does not have and for calibrations beyond.
    """

    range: Literal[2, 4, 8, 16] = 2
    rate: float = 100.0
    zero_x: float = 0.0
    zero_y: float = 0.0
    zero_z: float = 0.0
    span_x: float = 1.0
    span_y: float = 1.0
    span_z: float = 1.0

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise ValueError(f"rate must be one of {', '.join(f'{rate:g}' for rate in RATES)} Hz")
        check_calibration(self.zeros, self.spans, 5.0, 0.8, 1.25)

    @property
    def zeros(self) -> tuple[float, float, float]:
        return self.zero_x, self.zero_y, self.zero_z

    @property
    def spans(self) -> tuple[float, float, float]:
        return self.span_x, self.span_y, self.span_z


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the device id when an ADXL345 answers at *address*."""
    try:
        found = (await bus.transfer(address, bytes((DEVID,)), 1))[0]
    except BusError:
        return None
    return f"device id {found:#04x}" if found == IDENTITY else None


class Driver:
    """An ADXL345 that samples by itself; `measure` takes its next vector."""

    quantities = frozenset(AXES)

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        self._period = 1 / options.rate
        self._rate = RATES[options.rate]
        self._format = FULL_RESOLUTION | RANGE_CODE[options.range]
        self._life = Life(PATIENCE.get(options.rate, 16))

    async def start(self) -> None:
        """Identify the part, configure it in standby, and let its filter settle."""
        found = (await self._read(DEVID, 1))[0]
        if found != IDENTITY:
            raise WrongDevice(f"device id at {self._address:#04x} is {found:#04x}, not {IDENTITY:#04x}")
        await self._write(POWER_CTL, STANDBY)
        await self._write(OFSX, 0, 0, 0)  # a trim left behind is an invisible tilt
        await self._write(BW_RATE, self._rate)
        await self._write(INT_ENABLE, 0)
        await self._write(DATA_FORMAT, self._format)
        await self._write(FIFO_CTL, 0)  # a FIFO would give what was, not what is
        await self._write(POWER_CTL, MEASURE)
        await self._state()
        await self._clock.sleep(TURN_ON + (1 + SETTLING) * self._period)

    async def measure(self) -> Values:
        """Return the next vector [m/s2].

        An axis at its rail is OUT_OF_RANGE. Raises DeviceError when no sample comes, when the part lost its
        configuration, and for an all-zero or frozen vector, which no living part gives.
        """
        await self._ready()
        counts = decode_counts(await self._read(DATA, 6))
        self._life.check(counts)
        limit = PER_G * self._options.range
        calibrations = zip(AXES, counts, self._options.zeros, self._options.spans, strict=True)
        return {axis: decode(count, limit, zero, span) for axis, count, zero, span in calibrations}

    async def stop(self) -> None:
        """To standby."""
        await self._write(POWER_CTL, STANDBY)

    async def _state(self) -> int:
        """Return INT_SOURCE; raise DeviceError when rate, mode or format are not ours."""
        state = await self._read(BW_RATE, 6)
        if (state[0], state[1], state[5]) != (self._rate, MEASURE, self._format):
            raise DeviceError(f"configuration reads {state.hex()}: the part lost it, as after a brown-out")
        return state[4]

    async def _ready(self) -> None:
        """Wait for a complete sample: three periods at most, for the part's clock is not ours."""
        for _ in range(12):
            if await self._state() & DATA_READY:
                return
            await self._clock.sleep(self._period / 4)
        raise DeviceError(f"no sample within {3 * self._period:g} s: the part has stopped sampling")

    async def _read(self, register: int, count: int) -> bytes:
        return await self._bus.transfer(self._address, bytes((register,)), count)

    async def _write(self, register: int, *values: int) -> None:
        await self._bus.transfer(self._address, bytes((register, *values)))


def decode_counts(raw: bytes) -> Triple:
    """Split six bytes into x, y, z: low byte first, two's complement (Register 0x32 to Register 0x37)."""
    x, y, z = (int.from_bytes(raw[at : at + 2], "little", signed=True) for at in (0, 2, 4))
    return x, y, z


def decode(count: int, limit: int, zero: float = 0.0, span: float = 1.0) -> float | Missing:
    """Convert counts to m/s2. A count at the rail, *limit*, may stand for anything beyond."""
    if not -limit < count < limit - 1:
        return Missing.OUT_OF_RANGE
    return (count / PER_G * STANDARD_GRAVITY - zero) * span
