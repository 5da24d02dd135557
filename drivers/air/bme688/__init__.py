"""Bosch BME688 and BME680: gas resistance, temperature, humidity and pressure over I2C.

Datasheets BST-BME688-DS000, revision 1.2, and BST-BME680-DS001, revision 1.9; the sections cited are the
BME688's. The two differ in the gas sensor alone, and a byte tells which it is. The part is run in forced mode
(3.2.1): it sleeps between measurements.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from drivers import bme
from drivers.bme import CHIP_ID, FORCED, OVERSAMPLING, RESET, RESET_WORD, codes, judged
from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Quantity, Values, WrongDevice

ADDRESSES: tuple[int, ...] = (0x76, 0x77)
"""SDO to ground, SDO to VDDIO (6.2)."""

# Registers (5.2).
_HEATER_CALIBRATION, _DATA, _RESISTANCE, _WAIT, _CONTROL = 0x00, 0x1D, 0x5A, 0x64, 0x70
_CTRL_GAS_1, _CTRL_HUM, _CTRL_MEAS = 0x71, 0x72, 0x74
_CALIBRATION_1, _CALIBRATION_2, _VARIANT = 0x8A, 0xE1, 0xF0

_OURS = 0x61  # the chip id (5.3.1)
_BME680, _BME688 = 0x00, 0x01
_NAMES = {_BME680: "BME680", _BME688: "BME688"}
_NEW, _VALID, _STABLE = 0x80, 0x20, 0x10  # new_data_0; gas_valid_r, heat_stab_r (5.3.5)
_STARTUP = 0.01  # [s]
_TRIES, _PAUSE = 10, 0.01

_Q = Quantity

# What the gas ranges of a BME680 are off by, in percent (BME680, 3.4.1, table 16).
_OFF_1 = (0, 0, 0, 0, 0, -1, 0, -0.8, 0, 0, -0.2, -0.5, 0, -1, 0, 0)
_OFF_2 = (0, 0, 0, 0, 0.1, 0.7, 0, -0.8, -0.1, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Options:
    """*oversampling*: 1, 2, 4, 8 or 16 samples for a value. *heater*: how hot the gas sensor is [Cel], 200 to
    400. *heating*: for how long it is heated before it is measured [s], 0.02 to 4.
    """

    oversampling: Literal[1, 2, 4, 8, 16] = 2
    heater: int = 320
    heating: float = 0.15

    def __post_init__(self) -> None:
        if not 200 <= self.heater <= 400:
            raise ValueError(f"heater must be 200 to 400 degrees Celsius, not {self.heater}")
        if not 0.02 <= self.heating <= 4.0:
            raise ValueError(f"heating must be 0.02 to 4 s, not {self.heating}")


class Calibration(NamedTuple):
    """What is burnt into one part (3.6, and registers 0x00 to 0x04)."""

    temperature: tuple[int, int, int]  # T1 to T3
    pressure: tuple[int, ...]  # P1 to P10
    humidity: tuple[int, ...]  # H1 to H7
    gas: tuple[int, int, int]  # GH1 to GH3
    heater_range: int
    heater_value: int
    switching_error: int


class Driver:
    """A BME688 or a BME680. Raises WrongDevice for their cousins, which answer at the same addresses."""

    quantities = frozenset({_Q.GAS_RESISTANCE, _Q.TEMPERATURE, _Q.HUMIDITY, _Q.PRESSURE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        self._options = options
        code = OVERSAMPLING[options.oversampling]
        self._ctrl_hum, self._ctrl_meas = code, code << 5 | code << 2
        self._longest = duration(options.oversampling) + options.heating * 1.05
        self._calibration: Calibration | None = None
        self._burnt = b""
        self._variant = _BME688
        self._air = 25.0  # by which the heater is set: the air's temperature when it was last measured

    async def start(self) -> None:
        """Identify the part, reset it, and read its calibration."""
        self._calibration = None
        (chip,), (variant,) = await self._read(CHIP_ID, 1), await self._read(_VARIANT, 1)
        identify(chip, variant)
        await self.stop()
        words = [
            await self._read(start, count)
            for start, count in ((_CALIBRATION_1, 23), (_CALIBRATION_2, 14), (_HEATER_CALIBRATION, 5))
        ]
        self._calibration, self._variant, self._burnt = parse(*words), variant, words[0]

    async def measure(self) -> Values:
        """Make one forced measurement: 0.2 s with the default options."""
        if self._calibration is None:
            raise DeviceError("not started: the calibration of this part is not known")
        settings = self._settings(self._calibration)
        for register, value in settings.items():
            await self._write(register, value)
        await self._write(_CTRL_MEAS, self._ctrl_meas | FORCED)
        await self._clock.sleep(self._longest)
        raw = await self._result()
        await self._check(settings)
        bme.same(self._burnt, await self._read(_CALIBRATION_1, bme.SAMPLE))
        values = decode(raw, self._calibration, self._variant)
        air = values[_Q.TEMPERATURE]
        self._air = air if isinstance(air, float) else 25.0
        return values

    async def stop(self) -> None:
        """Reset the part: it sleeps from then on, unheated."""
        await self._write(RESET, RESET_WORD)
        await self._clock.sleep(_STARTUP)

    def _settings(self, calibration: Calibration) -> dict[int, int]:
        return {
            _RESISTANCE: heater_code(self._options.heater, self._air, calibration),
            _WAIT: wait_code(self._options.heating),
            _CONTROL: 0,  # heater on
            _CTRL_GAS_1: 0x20 if self._variant == _BME688 else 0x10,  # run_gas, with heater step 0
            _CTRL_HUM: self._ctrl_hum,
        }

    async def _result(self) -> bytes:
        """Return field 0 once it is new, 0.1 s after the longest time at the latest."""
        for _ in range(_TRIES):
            raw = await self._read(_DATA, 17)
            if raw[0] & _NEW:
                return raw
            await self._clock.sleep(_PAUSE)
        raise DeviceError("the measurement did not end, 100 ms after the latest time for it: was power lost?")

    async def _check(self, settings: Mapping[int, int]) -> None:
        """Raise DeviceError unless the part still has what it was told, and so measured that."""
        control = await self._read(_CONTROL, 5)
        held = {_CONTROL + offset: byte for offset, byte in enumerate(control)}
        (held[_RESISTANCE],) = await self._read(_RESISTANCE, 1)
        (held[_WAIT],) = await self._read(_WAIT, 1)
        held[_CTRL_HUM] &= 0x07
        kept = all(held[register] == value for register, value in settings.items())
        if not kept or held[_CTRL_MEAS] & 0xFC != self._ctrl_meas:
            raise DeviceError("the part lost its settings in the middle of a measurement: was power lost?")

    async def _read(self, register: int, count: int) -> bytes:
        return await self._bus.transfer(self._address, bytes([register]), count)

    async def _write(self, register: int, value: int) -> None:
        await self._bus.transfer(self._address, bytes([register, value]))


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return chip id and variant of the part at *address* if it is a BME688 or BME680, else None."""
    try:
        (chip,) = await bus.transfer(address, bytes([CHIP_ID]), 1)
        (variant,) = await bus.transfer(address, bytes([_VARIANT]), 1)
        identify(chip, variant)
    except (BusError, DeviceError):
        return None
    return f"chip id {chip:#04x}, variant {variant:#04x} ({_NAMES[variant]})"


def identify(chip: int, variant: int) -> None:
    """Raise WrongDevice unless *chip* and *variant* are those of a BME688 or BME680 (5.3.1)."""
    bme.identify(chip, _OURS, "BME688 or BME680")
    if variant not in _NAMES:
        raise WrongDevice(f"variant {variant:#04x} is neither a BME688 (0x01) nor a BME680 (0x00)")


def parse(first: bytes, second: bytes, third: bytes) -> Calibration:
    """Read the calibration from registers 0x8A to 0xA0, 0xE1 to 0xEE and 0x00 to 0x04 (3.6).

    Raises DeviceError where no part can have such words: T1 and P1 are divided by, and never 0 or all ones.
    """
    p1 = _u16(first, 0x04)
    t1 = _u16(second, 0x08)
    if {p1, t1} & {0, 0xFFFF}:
        raise DeviceError("the calibration reads as empty: the part or its wires are defective")
    h1, h2 = second[2] << 4 | second[1] & 0x0F, second[0] << 4 | second[1] >> 4
    low = (p1, _s16(first, 0x06), _s8(first[0x08]), _s16(first, 0x0A), _s16(first, 0x0C))
    high = (_s8(first[0x0F]), _s8(first[0x0E]), _s16(first, 0x12), _s16(first, 0x14), first[0x16])
    return Calibration(
        temperature=(t1, _s16(first, 0x00), _s8(first[0x02])),
        pressure=low + high,
        humidity=(h1, h2, _s8(second[3]), _s8(second[4]), _s8(second[5]), second[6], _s8(second[7])),
        gas=(_s8(second[12]), _s16(second, 10), _s8(second[13])),
        heater_range=third[2] >> 4 & 0x03,
        heater_value=_s8(third[0]),
        switching_error=_s8(third[4]) >> 4,
    )


def decode(raw: bytes, calibration: Calibration, variant: int) -> dict[Quantity, float | Missing]:
    """Turn registers 0x1D to 0x2D into Ohm, degrees Celsius, percent and hectopascal.

    Gas that was not measured is SENTINEL, and measured with a heater that had not reached its temperature
    UNRELIABLE.
    """
    found = codes(raw[2:10])
    fine = fine_temperature(found.temperature, calibration.temperature)
    values = {
        _Q.TEMPERATURE: fine / 5120,
        _Q.PRESSURE: compensate_pressure(found.pressure, fine, calibration.pressure),
        _Q.HUMIDITY: compensate_humidity(found.humidity, fine / 5120, calibration.humidity),
    }
    gas = raw[15:17] if variant == _BME688 else raw[13:15]
    return judged(found, values) | {_Q.GAS_RESISTANCE: _gas(gas, calibration, variant)}


def fine_temperature(code: int, words: tuple[int, ...]) -> float:
    """Return the temperature in 1/5120 degree, which the pressure's formula needs (3.6.1)."""
    t1, t2, t3 = words
    return (code / 16384 - t1 / 1024) * t2 + (code / 131072 - t1 / 8192) ** 2 * t3 * 16


def compensate_pressure(code: int, fine: float, words: tuple[int, ...]) -> float:
    """Return the pressure in hPa (3.6.2). *fine* is what `fine_temperature` gave."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9, p10 = words
    base = fine / 2 - 64000
    offset = (base * base * p6 / 131072 + base * p5 * 2) / 4 + p4 * 65536
    scale = (1 + (p3 * base * base / 16384 + p2 * base) / 524288 / 32768) * p1
    if scale == 0:
        return 0.0
    pascal = (1048576 - code - offset / 4096) * 6250 / scale
    cubic = (pascal / 256) ** 3 * p10 / 131072
    pascal += (p9 * pascal * pascal / 2147483648 + pascal * p8 / 32768 + cubic + p7 * 128) / 16
    return pascal / 100


def compensate_humidity(code: int, air: float, words: tuple[int, ...]) -> float:
    """Return the relative humidity in percent at *air* degrees, 0 to 100 (3.6.3): the formula overshoots."""
    h1, h2, h3, h4, h5, h6, h7 = words
    base = code - (h1 * 16 + h3 / 2 * air)
    percent = base * (h2 / 262144 * (1 + h4 / 16384 * air + h5 / 1048576 * air * air))
    percent += (h6 / 16384 + h7 / 2097152 * air) * percent * percent
    return min(100.0, max(0.0, percent))


def resistance_688(code: int, step: int) -> float:
    """Return the gas resistance in Ohm of a BME688 (3.7.1): *code* 0 to 1023, *step* the range, 0 to 15."""
    return 1e6 * (262144 >> step) / (4096 + 3 * (code - 512))


def resistance_680(code: int, step: int, switching_error: int) -> float:
    """Return the gas resistance in Ohm of a BME680 (BME680, 3.4.1)."""
    scale = (1340 + 5 * switching_error) * (1 + _OFF_1[step] / 100)
    return 1 / ((1 + _OFF_2[step] / 100) * 125e-9 * (1 << step) * ((code - 512) / scale + 1))


def heater_code(target: float, air: float, calibration: Calibration) -> int:
    """Return the code that heats to *target* degrees in air of *air* degrees (3.3.5), 0 to 255."""
    gh1, gh2, gh3 = calibration.gas
    slope = (gh1 / 16 + 49) * (1 + (gh2 / 32768 * 0.0005 + 0.00235) * target)
    hot = slope + gh3 / 1024 * air
    factor = 4 / (4 + calibration.heater_range) / (1 + calibration.heater_value * 0.002)
    return min(255, max(0, int(3.4 * (hot * factor - 25))))


def wait_code(seconds: float) -> int:
    """Return the code of a heating time (5.3.3): 6 bits of milliseconds, times 1, 4, 16 or 64."""
    count, scale = round(seconds * 1000), 0
    while count > 63 and scale < 3:
        count, scale = count // 4, scale + 1
    return scale << 6 | min(count, 63)


def duration(oversampling: int) -> float:
    """Return how long temperature, pressure and humidity take [s]: as the maker reckons, and 15 %."""
    return (3 * oversampling * 1.963 + 4 * 0.477 + 5 * 0.477 + 1) / 1000 * 1.15


def _gas(raw: bytes, calibration: Calibration, variant: int) -> float | Missing:
    if not raw[1] & _VALID:
        return Missing.SENTINEL
    if not raw[1] & _STABLE:
        return Missing.UNRELIABLE
    code, step = int.from_bytes(raw) >> 6, raw[1] & 0x0F
    if variant == _BME688:
        return resistance_688(code, step)
    return resistance_680(code, step, calibration.switching_error)


def _u16(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 2], "little")


def _s16(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 2], "little", signed=True)


def _s8(byte: int) -> int:
    return byte - 256 if byte & 0x80 else byte
