"""Texas Instruments INA226: supply voltage, and current and power through a shunt, over I2C.

Datasheet: "INA226", Texas Instruments, SBOS547B. Sections are named beside what they justify.
"""

from dataclasses import dataclass

from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Values, WrongDevice
from drivers.ina2xx import QUANTITIES, Registers, check_shunt, judged, signed

ADDRESSES: tuple[int, ...] = tuple(range(0x40, 0x50))
"""A1 and A0 to GND, VS, SDA or SCL (Table 6-2)."""

CONFIGURATION, SHUNT, BUS, POWER, CURRENT, CALIBRATION, MASK = range(7)
MANUFACTURER, DIE = 0xFE, 0xFF
IDENTITY = (0x5449, 0x2260)
RESET = 0x8000
ALWAYS = 0x4000  # bit 14 of the configuration is 1 (POR value 0x4127)
TRIGGERED, POWER_DOWN = 0b011, 0b000
READY, OVERFLOW = 0x0008, 0x0004  # CVRF, OVF (Mask/Enable Register)

AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
CONVERSIONS = {  # typical time, as an option names it: longest time [s] (Electrical characteristics)
    0.00014: 0.000154,
    0.000204: 0.000224,
    0.000332: 0.000365,
    0.000588: 0.000646,
    0.0011: 0.00121,
    0.002116: 0.002328,
    0.004156: 0.004572,
    0.008244: 0.009068,
}
SHUNT_STEP, BUS_STEP = 2.5e-6, 1.25e-3  # V per LSB
SHUNT_LIMIT = 0.08192  # V, full scale
POWER_RATIO = 25  # power LSB in W per current LSB in A (Equation 4; 25.2 is another part's)


@dataclass(frozen=True, slots=True)
class Options:
    """*shunt* [Ohm], *max_current* [A] that can be told, *average* (samples), *conversion* [s] of one.

    The defaults are the datasheet's own example: 2 mOhm, 1 mA per count. Raises ValueError for what the part
    cannot do.
    """

    shunt: float = 0.002
    max_current: float = 32.768
    average: int = 16
    conversion: float = 0.0011

    def __post_init__(self) -> None:
        check_shunt(self.shunt, self.max_current, SHUNT_LIMIT)
        if not 1 <= calibration(self.shunt, self.max_current) <= 0x7FFF:
            raise ValueError("no calibration value fits: choose a larger max_current, or a smaller shunt")
        if self.average not in AVERAGES:
            raise ValueError(f"average must be one of {', '.join(map(str, AVERAGES))}")
        if self.conversion not in CONVERSIONS:
            raise ValueError(f"conversion must be one of {', '.join(f'{each:g}' for each in CONVERSIONS)} s")


def calibration(shunt: float, max_current: float) -> int:
    """Return the calibration word (Equation 1), truncated; the tiny sum undoes what floats lose."""
    return int(0.00512 / (max_current / 32768 * shunt) + 1e-6)


class Driver:
    """An INA226 that converts when asked and sleeps in between."""

    quantities = QUANTITIES

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._address = address
        self._part = Registers(bus, address)
        self._clock = clock
        self._calibration = calibration(options.shunt, options.max_current)
        self._current_step = 0.00512 / (self._calibration * options.shunt)  # A, as truncated
        conversion = list(CONVERSIONS).index(options.conversion)
        self._configuration = (
            ALWAYS | AVERAGES.index(options.average) << 9 | conversion << 6 | conversion << 3
        )
        self._conversion = 2 * options.average * CONVERSIONS[options.conversion]

    async def start(self) -> None:
        """Identify the part, reset it, and calibrate it."""
        identity = (await self._part.read(MANUFACTURER), await self._part.read(DIE))
        if identity != IDENTITY:
            told = " ".join(f"{word:04x}" for word in identity)
            raise WrongDevice(f"identity at {self._address:#04x} is {told}, not 5449 2260")
        await self._part.write(CONFIGURATION, RESET)
        await self._part.write(CONFIGURATION, self._configuration | POWER_DOWN)
        await self._part.write(CALIBRATION, self._calibration)
        await self._verify()

    async def measure(self) -> Values:
        """Convert once: voltages [V], current [A] with its sign, power [W] without (its register has none).

        A voltage at its rail is OUT_OF_RANGE; current and power are FAULT when the part reports an arithmetic
        overflow. Raises DeviceError when the conversion never ends or the calibration is lost.
        """
        await self._part.write(CONFIGURATION, self._configuration | TRIGGERED)
        flags = await self._ready()
        shunt, bus, power, current = [await self._part.read(each) for each in (SHUNT, BUS, POWER, CURRENT)]
        await self._verify()  # last, so that a brown-out before any of the reads is seen
        return decode(shunt, bus, power, current, bool(flags & OVERFLOW), self._current_step)

    async def stop(self) -> None:
        """To power-down."""
        await self._part.write(CONFIGURATION, self._configuration | POWER_DOWN)

    async def _ready(self) -> int:
        """Wait for the conversion: its longest time, and half of it again."""
        await self._clock.sleep(self._conversion)
        for _ in range(3):
            flags = await self._part.read(MASK)
            if flags & READY:
                return flags
            await self._clock.sleep(self._conversion / 4)
        raise DeviceError(f"no conversion within {1.75 * self._conversion:.3g} s: it never became ready")

    async def _verify(self) -> None:
        found = await self._part.read(CALIBRATION)
        if found != self._calibration:
            raise DeviceError(
                f"calibration reads {found}, not {self._calibration}: lost, as after a brown-out"
            )


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return manufacturer and die when an INA226 answers at *address*, else None. Only reads."""
    try:
        raw = [await bus.transfer(address, bytes((each,)), 2) for each in (MANUFACTURER, DIE)]
    except BusError:
        return None
    found = tuple(map(int.from_bytes, raw))
    return f"manufacturer {found[0]:#06x}, die {found[1]:#06x}" if found == IDENTITY else None


def decode(shunt: int, bus: int, power: int, current: int, overflow: bool, current_step: float) -> Values:
    """Convert the four result words; *current_step* is the current LSB [A]."""
    if bus & 0x8000:
        raise DeviceError(f"bus voltage reads {bus:#06x}, but its bit 15 is always 0")
    volts = Missing.OUT_OF_RANGE if bus == 0x7FFF else bus * BUS_STEP
    drop = Missing.OUT_OF_RANGE if shunt in (0x7FFF, 0x8000) else signed(shunt) * SHUNT_STEP
    return judged(volts, drop, signed(current) * current_step, power * POWER_RATIO * current_step, overflow)
