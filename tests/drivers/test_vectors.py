"""Worked examples from datasheets, other drivers and real parts, against every driver that we have.

`tests/vectors/drivers.json` holds the state to preload into a target, and what must come out. The targets
here know nothing of any part: they are plain memories, so that a driver and its own chip cannot be wrong
together.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import drivers
from drivers.bus import I2C, BusError, NoAcknowledge
from drivers.checksum import crc8
from drivers.device import ChecksumError, DeviceError, Missing, Quantity
from drivers.emulated import EmulatedPins
from tests.conftest import VirtualClock

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "drivers.json").read_text()
)["vectors"]

OURS = {
    "ADXL355": "adxl355",
    "BME280": "bme280",
    "INA226": "ina226",
    "MB7040/MB7137 I2CXL": "mb7040",
    "PCB Artists DBM-r3": "dbm",
    "SEN66": "sen66",
    "VL53L1X": "vl53l1x",
}

ELSEWHERE = {"Sensirion CRC-8", "SMBus PEC", "float switch / reed"}
"""Parts whose examples have a test of their own below."""

WAITING = {
    "ADS1115",
    "ADXL345",
    "Analog SPL meter via ADS1115",
    "BME680",
    "BME688",
    "DS3231",
    "H-bridge compactor motor",
    "HC-SR04 / A02-class echo pulse",
    "HX711",
    "INA219",
    "Leq energy average",
    "MCP23017",
    "MLX90614",
    "MLX90640",
    "MPU6050",
    "MS5803-14BA",
    "MS5837-02BA",
    "MS5837-30BA",
    "NAU7802",
    "PMSA003I",
    "Reed anemometer",
    "SCD41",
    "SEN55",
    "SGP41",
    "SHT4x",
    "SPS30",
    "TCA9548A",
    "Tipping-bucket gauge",
    "VL53L0X",
    "Wind vane via ADC",
}
"""Parts without a driver yet. This list only ever shrinks."""

NAMES = {
    "pm1_0": Quantity.PM1,
    "pm4_0": Quantity.PM4,
    "x": Quantity.ACCELERATION_X,
    "y": Quantity.ACCELERATION_Y,
    "z": Quantity.ACCELERATION_Z,
    "laeq_tavg": Quantity.SOUND_LEVEL,
    "min": Quantity.SOUND_LEVEL_MIN,
    "max": Quantity.SOUND_LEVEL_MAX,
    "bus_voltage": Quantity.VOLTAGE,
    "power_25xLSB": Quantity.POWER,
}
"""What the examples call a quantity, where it is not our name."""

SETTINGS = {"tavg", "version"}
"""What the examples expect beside quantities: registers that the drivers check at the start."""

SCALES = {"cm": 0.01, "mm": 0.001}
"""Units that are not ours, in ours."""


def of(*parts: str) -> list[dict[str, Any]]:
    return [vector for vector in VECTORS if vector["part"] in parts]


@dataclass
class Registers:
    """Registers behind an index of *wide* bytes, each a byte, or a word of two where *words*."""

    device: dict[str, Any]
    wide: int = 1
    words: bool = False
    memory: dict[int, bytes] = field(default_factory=dict)
    pointer: int = 0

    def __post_init__(self) -> None:
        size = 2 if self.words else 1
        for key, value in self.device["regs"].items():
            raw = bytes.fromhex(value)
            for offset in range(0, len(raw), size):
                self.memory[int(key, 16) + offset // size] = raw[offset : offset + size]

    def transfer(self, write: bytes, read: int) -> bytes:
        size = 2 if self.words else 1
        if write:
            self.pointer = int.from_bytes(write[: self.wide])
        for offset in range(self.wide, len(write), size):
            self.memory[self.pointer + (offset - self.wide) // size] = write[offset : offset + size]
        registers = range(self.pointer, self.pointer + -(-read // size))
        return b"".join(self.memory.get(register, bytes(size)) for register in registers)[:read]


@dataclass
class Commands:
    """A target that answers to commands of 16 bits; what it has no answer for reads as ones."""

    device: dict[str, Any]
    answer: bytes | None = None

    def transfer(self, write: bytes, read: int) -> bytes:
        if write:
            self.answer = bytes.fromhex(self.device["responses"].get(write[:2].hex(), [""])[0])
        if read and self.answer is None:
            raise NoAcknowledge("no command was given")
        return (self.answer or b"").ljust(read, b"\xff")[:read] if read else b""


@dataclass
class Raw:
    """A target that answers with the same bytes, once it was triggered and has had its time."""

    device: dict[str, Any]
    clock: VirtualClock
    ready: float = float("inf")

    def transfer(self, write: bytes, read: int) -> bytes:
        if write:
            assert write.hex() == self.device.get("after_write", "51")
            self.ready = self.clock.now + self.device.get("min_wait_ms", 80) / 1000
        if read and self.clock.now < self.ready:
            raise NoAcknowledge("not yet")
        return bytes.fromhex(self.device["read"])[:read]


def target(device: dict[str, Any], clock: VirtualClock) -> Callable[[bytes, int], bytes]:
    match device["model"]:
        case "reg8":
            return Registers(device).transfer
        case "reg16be":
            return Registers(device, wide=2).transfer
        case "word8be":
            return Registers(device, words=True).transfer
        case "cmd16":
            return Commands(device).transfer
        case "raw":
            return Raw(device, clock).transfer
    raise LookupError(f"no target for the model {device['model']}")


@dataclass
class OneTarget:
    """A bus with one target."""

    address: int
    answer: Callable[[bytes, int], bytes]

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        if address != self.address:
            raise NoAcknowledge(f"no target answers at {address:#04x}")
        return self.answer(write, read)


def driver(vector: dict[str, Any], clock: VirtualClock) -> Any:
    address = int(vector["i2c_address"], 16)
    bus: I2C = OneTarget(address, target(vector["device"], clock))
    return drivers.load(OURS[vector["part"]]).driver(bus, address, clock)


def measured(vector: dict[str, Any], clock: VirtualClock) -> dict[Quantity, float | Missing]:
    """Start the driver on the target and measure. A set clock: the driver must not think it warms up."""

    async def main() -> dict[Quantity, float | Missing]:
        part = driver(vector, clock)
        await part.start()
        await clock.sleep(60.0)
        return dict(await part.measure())

    return asyncio.run(main())


def test_every_part_is_accounted_for():
    """A new driver takes its part off the list of those that wait."""
    assert {vector["part"] for vector in VECTORS} == OURS.keys() | ELSEWHERE | WAITING
    assert not OURS.keys() & WAITING
    assert len(VECTORS) == 87


@pytest.mark.parametrize(
    "vector", [v for v in of(*OURS) if v["kind"] == "measure"], ids=lambda vector: vector["id"]
)
def test_measure(vector: dict[str, Any], clock: VirtualClock):
    """The values are those expected; null is a quantity that is missing."""
    values = measured(vector, clock)
    compared = 0
    for name, expected in vector["expected"].items():
        if name in SETTINGS:
            continue
        found = values[NAMES.get(name) or Quantity(name)]
        compared += 1
        if expected["value"] is None:
            assert isinstance(found, Missing), f"{name} is {found}"
            continue
        scale = SCALES.get(expected["unit"], 1.0)
        assert isinstance(found, float), f"{name} is {found}"
        assert found == pytest.approx(expected["value"] * scale, abs=expected["tol"] * scale + 1e-9), name
    assert compared == len(values)


@pytest.mark.parametrize(
    "vector", [v for v in of(*OURS) if v["kind"] == "fault"], ids=lambda vector: vector["id"]
)
def test_fault(vector: dict[str, Any], clock: VirtualClock):
    """A fault is never a number: the frame is refused, or its quantities are missing."""
    outcome = vector["expected"]["outcome"]
    if outcome == "crc_error":
        with pytest.raises(ChecksumError):
            measured(vector, clock)
        return
    assert outcome in {"not_measured", "invalid", "no_target"}
    try:
        values = measured(vector, clock)
    except (BusError, DeviceError):
        assert outcome != "no_target"
        return
    assert all(isinstance(value, Missing) for value in values.values()), values
    assert outcome != "no_target" or set(values.values()) == {Missing.NO_TARGET}


def test_checksums():
    """Sensirion's CRC-8 and the packet error code of SMBus."""
    (sensirion,), (smbus,) = of("Sensirion CRC-8"), of("SMBus PEC")
    for data, crc in sensirion["expected"]["crc8"]["value"].items():
        assert crc8(bytes.fromhex(data)) == int(crc, 16)
    for data, crc in smbus["expected"]["pec"]["value"].items():
        assert crc8(bytes.fromhex(data), polynomial=0x07, initial=0) == int(crc, 16)


def test_float_switch(clock: VirtualClock):
    """A contact to ground with a pull-up is active when the line is low."""
    (vector,) = of("float switch / reed")
    words = {1.0: "active", 0.0: "inactive"}

    async def follow() -> list[str]:
        part, pins = drivers.load("contact"), EmulatedPins(clock)
        contact = part.driver(pins, 17, clock, part.options(quantity="active"))
        await contact.start()
        seen = []
        for step in vector["transactions"]:
            pins.set(17, bool(step["level"]))
            seen.append(words[(await contact.measure())[Quantity.ACTIVE]])
        return seen

    assert asyncio.run(follow()) == vector["expected"]["events"]["value"]
