"""Bosch BME280: temperature, humidity and pressure over I2C.

Datasheet BST-BME280-DS002, revision 1.6; the sections cited are its. The part is run in forced mode (3.3.3):
it sleeps between measurements, so that it does not warm itself.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from drivers import bme
from drivers.bme import CHIP_ID, FORCED, OVERSAMPLING, RESET, RESET_WORD, codes, identify, judged
from drivers.bus import I2C, BusError
from drivers.device import Clock, DeviceError, Missing, Quantity, Values

ADDRESSES: tuple[int, ...] = (0x76, 0x77)
"""SDO to ground, SDO to VDDIO (6.2)."""

_CALIBRATION_TP, _CALIBRATION_H = 0x88, 0xE1
_CTRL_HUM, _CTRL_MEAS, _CONFIG, _DATA = 0xF2, 0xF4, 0xF5, 0xF7
_OURS = 0x60  # the chip id (5.4.1)
_MEASURING, _IM_UPDATE = 0x08, 0x01  # 5.4.4
_STARTUP = 0.002  # table 1: time from reset to first communication
_TRIES, _PAUSE = 5, 0.002


@dataclass(frozen=True, slots=True)
class Options:
    """*oversampling*: 1, 2, 4, 8 or 16 samples for a value; the maker advises 1 for weather (3.5.1)."""

    oversampling: Literal[1, 2, 4, 8, 16] = 1


class Calibration(NamedTuple):
    """The trimming words of one part (4.2.2, table 16)."""

    temperature: tuple[int, ...]  # T1 to T3
    pressure: tuple[int, ...]  # P1 to P9
    humidity: tuple[int, ...]  # H1 to H6


class Driver:
    """A BME280. Raises WrongDevice for its cousins, which answer at the same addresses."""

    quantities = frozenset({Quantity.TEMPERATURE, Quantity.HUMIDITY, Quantity.PRESSURE})

    def __init__(self, bus: I2C, address: int, clock: Clock, options: Options = Options()) -> None:
        self._bus = bus
        self._address = address
        self._clock = clock
        code = OVERSAMPLING[options.oversampling]
        self._ctrl_hum, self._ctrl_meas = code, code << 5 | code << 2
        self._longest = (1.25 + 3 * 2.3 * options.oversampling + 2 * 0.575) / 1000  # 9.1
        self._calibration: Calibration | None = None
        self._trimmed = b""

    async def start(self) -> None:
        """Identify the part, reset it, and read its calibration once it has copied that from its memory."""
        self._calibration = None
        (chip_id,) = await self._read(CHIP_ID, 1)
        identify(chip_id, _OURS, "BME280")
        await self.stop()
        await self._until_clear(_IM_UPDATE, "its calibration was not copied from its memory")
        await self._write(_CONFIG, 0)  # no filter; the standby time is for a mode that is not used
        low, high = await self._read(_CALIBRATION_TP, 26), await self._read(_CALIBRATION_H, 7)
        self._calibration, self._trimmed = parse(low, high), low

    async def measure(self) -> Values:
        """Make one forced measurement: 9.3 ms at the longest without oversampling, 113 ms with 16 times."""
        if self._calibration is None:
            raise DeviceError("not started: the calibration of this BME280 is not known")
        await self._write(_CTRL_HUM, self._ctrl_hum)  # takes effect with the write of ctrl_meas (5.4.3)
        await self._write(_CTRL_MEAS, self._ctrl_meas | FORCED)
        await self._clock.sleep(self._longest)
        hum, meas = await self._until_clear(_MEASURING, "the measurement did not end")
        if (hum & 0x07, meas & 0xFC) != (self._ctrl_hum, self._ctrl_meas):
            raise DeviceError("the part lost its settings in the middle of a measurement: was power lost?")
        # One burst, or the part may change a value between its bytes (4.1).
        raw = await self._read(_DATA, 8)
        bme.same(self._trimmed, await self._read(_CALIBRATION_TP, bme.SAMPLE))
        return decode(raw, self._calibration)

    async def stop(self) -> None:
        """Reset the part: it sleeps from then on."""
        await self._write(RESET, RESET_WORD)
        await self._clock.sleep(_STARTUP)

    async def _until_clear(self, bit: int, failure: str) -> tuple[int, int]:
        """Wait until *bit* of the status is clear, 10 ms at the longest; return ctrl_hum and ctrl_meas."""
        for _ in range(_TRIES):
            hum, status, meas = await self._read(_CTRL_HUM, 3)
            if not status & bit:
                return hum, meas
            await self._clock.sleep(_PAUSE)
        raise DeviceError(f"{failure}, {_TRIES * _PAUSE * 1000:.0f} ms after the latest time for it")

    async def _read(self, register: int, count: int) -> bytes:
        return await self._bus.transfer(self._address, bytes([register]), count)

    async def _write(self, register: int, value: int) -> None:
        await self._bus.transfer(self._address, bytes([register, value]))


async def probe(bus: I2C, address: int, clock: Clock) -> str | None:
    """Return the chip id when a BME280 answers at *address*, else None. Only reads."""
    try:
        (found,) = await bus.transfer(address, bytes([CHIP_ID]), 1)
    except BusError:
        return None
    return f"chip id {found:#04x}" if found == _OURS else None


def parse(low: bytes, high: bytes) -> Calibration:
    """Read the trimming words from registers 0x88 to 0xA1 and 0xE1 to 0xE7 (table 16).

    H4 and H5 are signed numbers of 12 bits that share register 0xE5. Raises DeviceError where no part can
    have such words: T1 and P1 are divided by, and are never 0 or all ones.
    """
    words = [_s16(low[at : at + 2]) for at in range(0, 24, 2)]
    words[0], words[3] = words[0] & 0xFFFF, words[3] & 0xFFFF
    if {words[0], words[3]} & {0, 0xFFFF}:
        raise DeviceError("the calibration reads as empty: the part or its wires are defective")
    h4 = _s12(high[3] << 4 | high[4] & 0x0F)
    h5 = _s12(high[5] << 4 | high[4] >> 4)
    h6 = int.from_bytes(high[6:7], signed=True)
    humidity = (low[25], _s16(high[0:2]), high[2], h4, h5, h6)
    return Calibration(tuple(words[:3]), tuple(words[3:]), humidity)


def decode(raw: bytes, calibration: Calibration) -> dict[Quantity, float | Missing]:
    """Turn registers 0xF7 to 0xFE into degrees Celsius, percent and hectopascal."""
    found = codes(raw)
    fine = fine_temperature(found.temperature, calibration.temperature)
    values = {
        Quantity.TEMPERATURE: fine / 5120,
        Quantity.PRESSURE: compensate_pressure(found.pressure, fine, calibration.pressure),
        Quantity.HUMIDITY: compensate_humidity(found.humidity, fine, calibration.humidity),
    }
    return judged(found, values)


def fine_temperature(code: int, words: tuple[int, ...]) -> float:
    """Return the temperature in 1/5120 degree, which the other two formulas need (8.1)."""
    t1, t2, t3 = words
    first = (code / 16384 - t1 / 1024) * t2
    return first + (code / 131072 - t1 / 8192) ** 2 * t3


def compensate_pressure(code: int, fine: float, words: tuple[int, ...]) -> float:
    """Return the pressure in hPa (8.1). *fine* is what `fine_temperature` gave."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = words
    base = fine / 2 - 64000
    offset = base * base * p6 / 32768 + base * p5 * 2
    offset = offset / 4 + p4 * 65536
    scale = (1 + (p3 * base * base / 524288 + p2 * base) / 524288 / 32768) * p1
    if scale == 0:
        return 0.0
    pascal = (1048576 - code - offset / 4096) * 6250 / scale
    pascal += (p9 * pascal * pascal / 2147483648 + pascal * p8 / 32768 + p7) / 16
    return pascal / 100


def compensate_humidity(code: int, fine: float, words: tuple[int, ...]) -> float:
    """Return the relative humidity in percent, 0 to 100 (8.1): the formula overshoots at both ends."""
    h1, h2, h3, h4, h5, h6 = words
    base = fine - 76800
    curve = 1 + h6 / 67108864 * base * (1 + h3 / 67108864 * base)
    percent = (code - (h4 * 64 + h5 / 16384 * base)) * (h2 / 65536 * curve)
    percent *= 1 - h1 * percent / 524288
    return min(100.0, max(0.0, percent))


def _s16(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _s12(word: int) -> int:
    return word - 4096 if word & 0x800 else word
