"""What Bosch's BME280 and BME680 family share: who is at an address, forced mode, and how a result is judged.

The datasheets are named in the drivers. Calibration words and formulas are each part's own.
"""

from collections.abc import Mapping
from typing import NamedTuple

from drivers.device import DeviceError, Missing, Quantity, WrongDevice

CHIP_ID, RESET = 0xD0, 0xE0  # registers of all of them
RESET_WORD, FORCED = 0xB6, 0x01
SAMPLE = 6  # bytes of the calibration that tell one part from another
OVERSAMPLING = {1: 1, 2: 2, 4: 3, 8: 4, 16: 5}  # factor to code
_NAMES = {0x56: "BMP280", 0x57: "BMP280", 0x58: "BMP280", 0x60: "BME280", 0x61: "BME680 or BME688"}
_SKIPPED_20, _SKIPPED_16 = 0x80000, 0x8000  # what the data registers hold without a result
_RANGES = {
    Quantity.TEMPERATURE: (-40.0, 85.0),
    Quantity.PRESSURE: (300.0, 1100.0),
    Quantity.HUMIDITY: (0.0, 100.0),
}


class Codes(NamedTuple):
    """A result: 20 bits of pressure and temperature, 16 of humidity."""

    pressure: int
    temperature: int
    humidity: int


def identify(chip_id: int, wanted: int, name: str) -> None:
    """Raise WrongDevice unless *chip_id* is the one *wanted*, which a *name* has."""
    if chip_id != wanted:
        cousin = _NAMES.get(chip_id)
        hint = f", which is a {cousin}" if cousin else ""
        raise WrongDevice(f"chip id {chip_id:#04x}{hint}; a {name} has {wanted:#04x}")


def same(then: bytes, now: bytes) -> None:
    """Raise DeviceError unless the calibration still begins with the bytes that it had at the start.

    A part that was exchanged between two measurements measures as well as its predecessor, whose words would
    make plausible numbers of its codes.
    """
    if now != then[:SAMPLE]:
        raise DeviceError(
            f"its calibration begins with {now.hex()}, not {then[:SAMPLE].hex()}: another part?"
        )


def codes(raw: bytes) -> Codes:
    """Read the eight bytes of a result: pressure, temperature, humidity, each left-justified."""
    pressure, temperature = int.from_bytes(raw[0:3]) >> 4, int.from_bytes(raw[3:6]) >> 4
    return Codes(pressure, temperature, int.from_bytes(raw[6:8]))


def judged(found: Codes, values: Mapping[Quantity, float]) -> dict[Quantity, float | Missing]:
    """Return the *values* that were reckoned from the codes *found*, or why there is none.

    A code that a part gives without a result is SENTINEL. It decodes to a plausible 23 degrees, 689 hPa
    and 83 %, so it must be recognised. Without the temperature the other two cannot be compensated.
    """
    skipped = {
        Quantity.TEMPERATURE: found.temperature == _SKIPPED_20,
        Quantity.PRESSURE: found.pressure == _SKIPPED_20,
        Quantity.HUMIDITY: found.humidity == _SKIPPED_16,
    }
    return {quantity: _judge(quantity, value, skipped) for quantity, value in values.items()}


def _judge(quantity: Quantity, value: float, skipped: Mapping[Quantity, bool]) -> float | Missing:
    if skipped[quantity]:
        return Missing.SENTINEL
    if skipped[Quantity.TEMPERATURE]:
        return Missing.INPUT_MISSING
    low, high = _RANGES[quantity]
    return value if low <= round(value, 1) <= high else Missing.OUT_OF_RANGE
