"""Texas Instruments INA219: supply voltage, and current and power through a shunt, over I2C.

Datasheet: "INA219", Texas Instruments, SBOS448G. Sections are named beside what they justify.
"""

from dataclasses import dataclass
from typing import Literal

from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Values, WrongDevice
from drivers.ina2xx import QUANTITIES, Registers, check_shunt, judged, signed

ADDRESSES: tuple[int, ...] = tuple(range(0x40, 0x50))
"""A1 and A0 to GND, VS+, SDA or SCL (Table 1)."""

ON = "i2c"

CONFIGURATION, SHUNT, BUS, POWER, CURRENT, CALIBRATION = range(6)
POWER_ON = 0x399F
ABSENT = 0xC000  # reset reads 0, and there is no bit 14; an INA226 reads 1 there
WIDE = 0x2000  # 32 V on the bus (Table 3, BRNG)
TRIGGERED, POWER_DOWN = 0b011, 0b000
ALWAYS_ZERO, READY, OVERFLOW = 0x0004, 0x0002, 0x0001  # the bus voltage register's lowest bits (8.6.3.2)
AVERAGED = 0b1000  # 12 bits, times a power of two (Table 5)
CONVERSION = 586e-6  # s, the longest of one at 12 bits (Electrical characteristics)
AVERAGES = (1, 2, 4, 8, 16, 32, 64, 128)

SHUNT_STEP, BUS_STEP = 10e-6, 4e-3  # V per LSB
SHUNT_LIMITS = (0.04, 0.08, 0.16, 0.32)  # V, full scale at each gain (Table 4)
BUS_RAIL = 8000
FULL_SCALE = 32000  # counts of the shunt register at its widest, and so of the current register here
POWER_RATIO = 20  # power LSB in W per current LSB in A (Equation 3)


@dataclass(frozen=True, slots=True)
class Options:
    """*shunt* [Ohm], *max_current* [A] that can be told, *average* (samples of 12 bits).

    The defaults fit the usual board with 0.1 Ohm: 0.1 mA per count. The gain is the finest that reaches
    max_current. Raises ValueError for what the part cannot do.
    """

    shunt: float = 0.1
    max_current: float = 3.2
    average: Literal[1, 2, 4, 8, 16, 32, 64, 128] = 16

    def __post_init__(self) -> None:
        check_shunt(self.shunt, self.max_current, SHUNT_LIMITS[-1] + 1e-9)
        if not 2 <= calibration(self.shunt, self.max_current) <= 0xFFFE:
            raise ValueError("no calibration value fits: choose a larger max_current, or a larger shunt")


def calibration(shunt: float, max_current: float) -> int:
    """Return the calibration word (Equation 1), truncated to even: bit 0 is void (8.6.4.1)."""
    return int(0.04096 / (max_current / FULL_SCALE * shunt) + 1e-6) & ~1


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return what speaks for an INA219 at *address*. It has no identity: its registers must agree.

    As it was powered on, or with a current that is its shunt voltage times its calibration.
    """
    try:
        raw = [await bus.transfer(address, bytes((each,)), 2) for each in (*range(6), SHUNT)]
    except BusError:
        return None
    configuration, shunt, voltage, power, current, factor, again = (int.from_bytes(each) for each in raw)
    if configuration & ABSENT or voltage & ALWAYS_ZERO or factor & 1:
        return None
    if factor == 0:
        fresh = configuration == POWER_ON and current == power == 0
        return f"configuration {POWER_ON:#06x}, as after power-on" if fresh else None
    wanted = signed(shunt) * factor / 4096
    agree = shunt == again and (abs(signed(current) - wanted) <= 1 or voltage & OVERFLOW)
    return f"a current that agrees with its shunt voltage and calibration {factor}" if agree else None


class Driver:
    """An INA219 that converts when asked and rests in between."""

    quantities = QUANTITIES

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._address = address
        self._part = Registers(bus, address)
        self._clock = clock
        self._calibration = calibration(options.shunt, options.max_current)
        self._current_step = 0.04096 / (self._calibration * options.shunt)  # A, as truncated
        drop = options.max_current * options.shunt
        self._gain = next(code for code, limit in enumerate(SHUNT_LIMITS) if drop <= limit + 1e-9)
        samples = AVERAGED | AVERAGES.index(options.average)
        self._configuration = WIDE | self._gain << 11 | samples << 7 | samples << 3
        self._conversion = 2 * options.average * CONVERSION

    async def start(self) -> None:
        """Look whether it can be an INA219, configure it, and calibrate it.

        Raises WrongDevice for an INA226, which has the same addresses.
        """
        found = await self._part.read(CONFIGURATION)
        if found & ABSENT:
            raise WrongDevice(f"configuration at {self._address:#04x} is {found:#06x}: an INA226?")
        await self._part.write(CONFIGURATION, self._configuration | POWER_DOWN)
        await self._part.write(CALIBRATION, self._calibration)
        await self._verify(POWER_DOWN)

    async def measure(self) -> Values:
        """Convert once: voltages [V], current [A] with its sign, power [W] without.

        A voltage at its rail is OUT_OF_RANGE; current and power are FAULT when the part reports an arithmetic
        overflow. Raises DeviceError when the conversion never ends or the settings are lost.
        """
        await self._part.read(POWER)  # which clears READY; writing the same mode again need not (8.6.3.2)
        await self._part.write(CONFIGURATION, self._configuration | TRIGGERED)
        bus = await self._ready()
        shunt, current, power = [await self._part.read(each) for each in (SHUNT, CURRENT, POWER)]
        await self._verify(TRIGGERED)  # last, so that a brown-out before any of the reads is seen
        return decode(shunt, bus, power, current, self._gain, self._current_step)

    async def stop(self) -> None:
        """To power-down."""
        await self._part.write(CONFIGURATION, self._configuration | POWER_DOWN)

    async def _ready(self) -> int:
        """Wait for the end of the conversion, 1.75 times its longest time at most; return the bus word."""
        await self._clock.sleep(self._conversion)
        for _ in range(4):
            word = await self._part.read(BUS)
            if word & READY:
                return word
            await self._clock.sleep(self._conversion / 4)
        raise DeviceError(f"no conversion within {1.75 * self._conversion:.3g} s: it never became ready")

    async def _verify(self, mode: int) -> None:
        found = (await self._part.read(CONFIGURATION), await self._part.read(CALIBRATION))
        if found != (self._configuration | mode, self._calibration):
            told = " ".join(f"{word:#06x}" for word in found)
            raise DeviceError(f"configuration and calibration read {told}: lost, as after a brown-out")


def decode(shunt: int, bus: int, power: int, current: int, gain: int, current_step: float) -> Values:
    """Convert the four result words; *gain* is 0 to 3, *current_step* the current LSB [A].

    Of the power word's sign the datasheet says nothing: for a negative current it is not used.
    """
    if bus & ALWAYS_ZERO:
        raise DeviceError(f"bus voltage reads {bus:#06x}, but its bit 2 is always 0")
    rail = 4000 << gain
    drop = signed(shunt) * SHUNT_STEP if -rail < signed(shunt) < rail else Missing.OUT_OF_RANGE
    volts = (bus >> 3) * BUS_STEP
    amperes = signed(current) * current_step
    watts = power * POWER_RATIO * current_step if amperes >= 0 else -amperes * volts
    seen = Missing.OUT_OF_RANGE if bus >> 3 >= BUS_RAIL else volts
    return judged(seen, drop, amperes, watts, bool(bus & OVERFLOW))
