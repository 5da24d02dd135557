"""Nuvoton NAU7802: the weight on a load cell, over I2C.

Datasheet: "NAU7802 24-Bit Dual-Channel ADC", Nuvoton, revision 1.7. Sections are named beside what they
justify.
"""

from dataclasses import dataclass
from typing import Literal

from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice
from drivers.load_cell import Life, at_rail, check_cell, weight

ADDRESSES: tuple[int, ...] = (0x2A,)
"""The only one (8.8)."""

ON = "i2c"

PU_CTRL, CTRL1, CTRL2, RESULT, CHOPPER, PGA_POWER, REVISION = 0x00, 0x01, 0x02, 0x12, 0x15, 0x1C, 0x1F
IDENTITY = 0x0F  # the low half of the revision code (11.18)
RESET, DIGITAL, ANALOG, POWERED, CYCLE, READY, INTERNAL = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x80
CALIBRATE, FAILED = 0x04, 0x08  # CTRL2
CHOPPER_OFF, CAPACITOR = 0x30, 0x80
RUNNING = INTERNAL | CYCLE | ANALOG | DIGITAL

GAINS = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4, 32: 5, 64: 6, 128: 7}
SUPPLIES = {4.5: 0, 4.2: 1, 3.9: 2, 3.6: 3, 3.3: 4, 3.0: 5, 2.7: 6, 2.4: 7}
RATES = {10: 0, 20: 1, 40: 2, 80: 3, 320: 7}
POWER_UP = 0.001  # s, five times the "about 200 microseconds" (9.1)
ANALOG_UP = 0.6  # s, "analog part wakeup stable" (7.3)
CALIBRATION = 1.0  # s, at the longest
SETTLING = 5  # conversions after a start, of which the first four still hold what was before
FROZEN = 16  # equal conversions in a row; noise alone makes even a few of them rare
TRIES = 8  # looks for a conversion that was read in time, before the next could fall into it


@dataclass(frozen=True, slots=True)
class Options:
    """The cell: *zero* [counts] without a load, *factor* [counts/kg] with its sign, *capacity* [kg].

    The part: *gain*, *supply* of the cell [V], *rate* [Hz], *average* (conversions in one measurement). The
    default factor is that of a 50 kg cell with 2 mV/V at a gain of 128. Raises ValueError for a zero outside
    24 bits, a factor of 0, a capacity not above 0, a supply that the part does not have, an average outside 1
    to 64.
    """

    zero: float = 0.0
    factor: float = 85899.0
    capacity: float = 100.0
    gain: Literal[1, 2, 4, 8, 16, 32, 64, 128] = 128
    supply: float = 3.0
    rate: Literal[10, 20, 40, 80, 320] = 10
    average: int = 4

    def __post_init__(self) -> None:
        check_cell(self)
        if self.supply not in SUPPLIES:
            raise ValueError(f"supply must be one of {', '.join(f'{volts:g}' for volts in SUPPLIES)} V")
        if not 1 <= self.average <= 64:
            raise ValueError("average must be 1 to 64 conversions")


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the revision code when an NAU7802 answers at *address*."""
    try:
        found = (await bus.transfer(address, bytes((REVISION,)), 1))[0]
    except BusError:
        return None
    return f"revision code {found:#04x}" if found == IDENTITY else None


class Driver:
    """An NAU7802 that converts all the time; `measure` takes its next conversions."""

    quantities = frozenset({Quantity.WEIGHT})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        self._period = 1 / options.rate
        self._ctrl1 = SUPPLIES[options.supply] << 3 | GAINS[options.gain]
        self._ctrl2 = RATES[options.rate] << 4
        self._life = Life(FROZEN)

    async def start(self) -> None:
        """Identify the part, reset it, power it, calibrate its amplifier, and let it settle."""
        found = (await self._read(REVISION, 1))[0]
        if found & 0x0F != IDENTITY or found == 0xFF:
            raise WrongDevice(f"revision code at {self._address:#04x} is {found:#04x}, which ends not in f")
        await self._write(PU_CTRL, RESET)
        await self._write(PU_CTRL, DIGITAL)
        await self._clock.sleep(POWER_UP)
        await self._until(PU_CTRL, POWERED, POWERED, POWER_UP, "power")
        await self._write(PU_CTRL, INTERNAL | ANALOG | DIGITAL)
        await self._write(CTRL1, self._ctrl1)
        await self._write(CTRL2, self._ctrl2)
        await self._write(CHOPPER, CHOPPER_OFF)
        await self._write(PGA_POWER, CAPACITOR)  # across the second channel, which is not used (8.3)
        await self._clock.sleep(ANALOG_UP)
        await self._calibrate()
        await self._write(PU_CTRL, RUNNING)
        await self._verify()
        await self._clock.sleep(SETTLING * self._period)

    async def measure(self) -> Values:
        """Return the weight [kg], the mean of the next conversions.

        OUT_OF_RANGE at a rail or beyond the capacity. Raises BusError when the part does not answer, which is
        not an empty bin; DeviceError when it does not convert, when its conversions stand still, and when it
        lost its settings.
        """
        counts = [await self._conversion() for _ in range(self._options.average)]
        await self._verify()  # last, so that a brown-out before any of the reads is seen
        return {Quantity.WEIGHT: decode(counts, self._options)}

    async def stop(self) -> None:
        """To power-down; the cell has no supply then."""
        await self._write(PU_CTRL, 0)

    async def _calibrate(self) -> None:
        """Find the amplifier's own offset (8.6.1)."""
        await self._write(CTRL2, self._ctrl2 | CALIBRATE)
        word = await self._until(CTRL2, CALIBRATE, 0, CALIBRATION, "end of the calibration")
        if word & FAILED:
            raise DeviceError("the calibration failed (CAL_ERR): look at the cell's wires")

    async def _until(self, register: int, bit: int, wanted: int, limit: float, what: str) -> int:
        for _ in range(20):
            word = (await self._read(register, 1))[0]
            if word & bit == wanted:
                return word
            await self._clock.sleep(limit / 20)
        raise DeviceError(f"no {what} within {limit:g} s")

    async def _conversion(self) -> int:
        """Return the next conversion, read before the one after it could fall into its bytes."""
        await self._read(RESULT, 3)  # clears READY: what was waiting may be minutes old
        for _ in range(TRIES):
            since = await self._ready()
            counts = decode_counts(await self._read(RESULT, 3))
            if self._clock.monotonic() - since < self._period:
                self._life.check(counts)
                return counts
        raise DeviceError(f"{TRIES} conversions were each read later than the next may come: a slow bus")

    async def _ready(self) -> float:
        """Wait for a conversion, three periods at most; return a time at which it was not yet done."""
        since = self._clock.monotonic()
        for _ in range(24):
            if (await self._read(PU_CTRL, 1))[0] & READY:
                return since
            since = self._clock.monotonic()
            await self._clock.sleep(self._period / 8)
        raise DeviceError(f"no conversion within {3 * self._period:g} s: the part does not convert")

    async def _verify(self) -> None:
        """Raise DeviceError when power, gain, supply or rate are not ours: power was lost."""
        state = await self._read(PU_CTRL, 3)
        if (state[0] & ~(READY | POWERED), state[1], state[2] & ~CALIBRATE) != (
            RUNNING,
            self._ctrl1,
            self._ctrl2,
        ):
            raise DeviceError(f"settings read {state.hex()}: the part lost them, as after a brown-out")

    async def _read(self, register: int, count: int) -> bytes:
        return await self._bus.transfer(self._address, bytes((register,)), count)

    async def _write(self, register: int, value: int) -> None:
        await self._bus.transfer(self._address, bytes((register, value)))


def decode_counts(raw: bytes) -> int:
    """Read three bytes as two's complement, high byte first (11.15)."""
    return int.from_bytes(raw, signed=True)


def decode(counts: list[int], options: Options) -> float | Missing:
    """Return the mean of *counts* as kg. A count at a rail may stand for anything beyond."""
    if any(map(at_rail, counts)):
        return Missing.OUT_OF_RANGE
    return weight(sum(counts) / len(counts), options)
