"""What the gateway may ask of a driver, and the one table of quantities and units."""

from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from typing import Protocol, runtime_checkable


class DeviceError(Exception):
    """The bus worked, but the device's answer is unusable."""


class ChecksumError(DeviceError):
    """A frame arrived with the wrong checksum."""


class WrongDevice(DeviceError):
    """Something answered at this address, but it is not the part that was configured."""


class Missing(StrEnum):
    """Why a quantity has no value. It takes the value's place; a number never stands for absence."""

    WARMING_UP = "warming-up"  # the part says "unknown" because it has just started
    NOT_READY = "not-ready"  # the part has nothing new yet
    OUT_OF_RANGE = "out-of-range"  # the part measured, and the result lies outside what it can tell
    NO_TARGET = "no-target"  # a ranging part saw nothing
    SENTINEL = "sentinel"  # the part's own code for "no value"
    FAULT = "fault"  # the part reports a defect of its own (fan, laser, overflow)
    UNRELIABLE = "unreliable"  # the part doubts its own result
    BUS_ERROR = "bus-error"  # the wires did not carry it
    DEVICE_ERROR = "device-error"  # it arrived, and was unusable (checksum, wrong part)
    TIMEOUT = "timeout"  # the deadline passed
    INPUT_MISSING = "input-missing"  # a derived quantity, whose input is missing


class Quantity(StrEnum):
    """A kind of value. Each has one unit, everywhere."""

    TEMPERATURE = "temperature"
    SURFACE_TEMPERATURE = "surface_temperature"
    WATER_TEMPERATURE = "water_temperature"
    HUMIDITY = "humidity"
    PRESSURE = "pressure"
    WATER_PRESSURE = "water_pressure"
    PM1 = "pm1"
    PM2_5 = "pm2_5"
    PM4 = "pm4"
    PM10 = "pm10"
    NC0_5 = "nc0_5"
    NC1 = "nc1"
    NC2_5 = "nc2_5"
    NC4 = "nc4"
    NC10 = "nc10"
    PARTICLE_SIZE = "particle_size"
    CO2 = "co2"
    NO2 = "no2"
    O3 = "o3"
    SO2 = "so2"
    CO = "co"
    VOC_INDEX = "voc_index"
    NOX_INDEX = "nox_index"
    GAS_RESISTANCE = "gas_resistance"
    SOUND_LEVEL = "sound_level"
    SOUND_LEVEL_MIN = "sound_level_min"
    SOUND_LEVEL_MAX = "sound_level_max"
    DISTANCE = "distance"
    DEPTH = "depth"
    STAGE = "stage"
    RAIN = "rain"
    RAIN_RATE = "rain_rate"
    WIND_SPEED = "wind_speed"
    WIND_GUST = "wind_gust"
    WIND_DIRECTION = "wind_direction"
    ACCELERATION_X = "acceleration_x"
    ACCELERATION_Y = "acceleration_y"
    ACCELERATION_Z = "acceleration_z"
    ROTATION_X = "rotation_x"
    ROTATION_Y = "rotation_y"
    ROTATION_Z = "rotation_z"
    TILT = "tilt"
    TILT_X = "tilt_x"
    TILT_Y = "tilt_y"
    WEIGHT = "weight"
    FILL = "fill"
    VOLTAGE = "voltage"
    SHUNT_VOLTAGE = "shunt_voltage"
    CURRENT = "current"
    POWER = "power"
    CLOSED = "closed"
    WET = "wet"
    ON = "on"
    ACTIVE = "active"
    COUNT = "count"
    SOUND_LEVEL_10 = "sound_level_10"
    SOUND_LEVEL_50 = "sound_level_50"
    SOUND_LEVEL_90 = "sound_level_90"
    TNI = "tni"
    LDAY = "lday"
    LEVENING = "levening"
    LNIGHT = "lnight"
    LDEN = "lden"
    TRAFFIC_NOISE = "traffic_noise"
    US_AQI = "us_aqi"
    EUROPEAN_AQI = "european_aqi"
    UK_DAQI = "uk_daqi"
    RATE_OF_RISE = "rate_of_rise"
    FLOOD_STAGE = "flood_stage"
    TEMPERATURE_RATE = "temperature_rate"
    PRESSURE_RATE = "pressure_rate"
    WEIGHT_RATE = "weight_rate"
    VOLTAGE_RATE = "voltage_rate"
    TURBULENCE = "turbulence"
    MOVEMENT = "movement"
    TILT_RATE = "tilt_rate"
    VIBRATION_RMS = "vibration_rms"
    VIBRATION_PEAK = "vibration_peak"
    FILL_RATE = "fill_rate"
    TIME_TO_FULL = "time_to_full"
    TIME_TO_FULL_MIN = "time_to_full_min"
    TIME_TO_FULL_MAX = "time_to_full_max"
    SINCE_EMPTIED = "since_emptied"
    EXCEEDANCE = "exceedance"
    DRY = "dry"
    STALE = "stale"


UNITS: Mapping[Quantity, str] = {
    Quantity.TEMPERATURE: "Cel",
    Quantity.SURFACE_TEMPERATURE: "Cel",
    Quantity.WATER_TEMPERATURE: "Cel",
    Quantity.HUMIDITY: "%",
    Quantity.PRESSURE: "hPa",
    Quantity.WATER_PRESSURE: "hPa",
    Quantity.PM1: "ug/m3",
    Quantity.PM2_5: "ug/m3",
    Quantity.PM4: "ug/m3",
    Quantity.PM10: "ug/m3",
    Quantity.NC0_5: "/cm3",
    Quantity.NC1: "/cm3",
    Quantity.NC2_5: "/cm3",
    Quantity.NC4: "/cm3",
    Quantity.NC10: "/cm3",
    Quantity.PARTICLE_SIZE: "um",
    Quantity.CO2: "[ppm]",
    Quantity.NO2: "[ppb]",
    Quantity.O3: "[ppb]",
    Quantity.SO2: "[ppb]",
    Quantity.CO: "[ppb]",
    Quantity.VOC_INDEX: "1",
    Quantity.NOX_INDEX: "1",
    Quantity.GAS_RESISTANCE: "Ohm",
    Quantity.SOUND_LEVEL: "dB",
    Quantity.SOUND_LEVEL_MIN: "dB",
    Quantity.SOUND_LEVEL_MAX: "dB",
    Quantity.DISTANCE: "m",
    Quantity.DEPTH: "m",
    Quantity.STAGE: "m",
    Quantity.RAIN: "mm",
    Quantity.RAIN_RATE: "mm/h",
    Quantity.WIND_SPEED: "m/s",
    Quantity.WIND_GUST: "m/s",
    Quantity.WIND_DIRECTION: "deg",
    Quantity.ACCELERATION_X: "m/s2",
    Quantity.ACCELERATION_Y: "m/s2",
    Quantity.ACCELERATION_Z: "m/s2",
    Quantity.ROTATION_X: "deg/s",
    Quantity.ROTATION_Y: "deg/s",
    Quantity.ROTATION_Z: "deg/s",
    Quantity.TILT: "deg",
    Quantity.TILT_X: "deg",
    Quantity.TILT_Y: "deg",
    Quantity.WEIGHT: "kg",
    Quantity.FILL: "%",
    Quantity.VOLTAGE: "V",
    Quantity.SHUNT_VOLTAGE: "V",
    Quantity.CURRENT: "A",
    Quantity.POWER: "W",
    Quantity.CLOSED: "1",
    Quantity.WET: "1",
    Quantity.ON: "1",
    Quantity.ACTIVE: "1",
    Quantity.COUNT: "1",
    Quantity.SOUND_LEVEL_10: "dB",
    Quantity.SOUND_LEVEL_50: "dB",
    Quantity.SOUND_LEVEL_90: "dB",
    Quantity.TNI: "dB",
    Quantity.LDAY: "dB",
    Quantity.LEVENING: "dB",
    Quantity.LNIGHT: "dB",
    Quantity.LDEN: "dB",
    Quantity.TRAFFIC_NOISE: "dB",
    Quantity.US_AQI: "1",
    Quantity.EUROPEAN_AQI: "1",
    Quantity.UK_DAQI: "1",
    Quantity.RATE_OF_RISE: "m/h",
    Quantity.FLOOD_STAGE: "1",
    Quantity.TEMPERATURE_RATE: "K/h",
    Quantity.PRESSURE_RATE: "hPa/h",
    Quantity.WEIGHT_RATE: "kg/h",
    Quantity.VOLTAGE_RATE: "V/h",
    Quantity.TURBULENCE: "1",
    Quantity.MOVEMENT: "deg",
    Quantity.TILT_RATE: "deg/d",
    Quantity.VIBRATION_RMS: "m/s2",
    Quantity.VIBRATION_PEAK: "m/s2",
    Quantity.FILL_RATE: "%/h",
    Quantity.TIME_TO_FULL: "s",
    Quantity.TIME_TO_FULL_MIN: "s",
    Quantity.TIME_TO_FULL_MAX: "s",
    Quantity.SINCE_EMPTIED: "s",
    Quantity.EXCEEDANCE: "%",
    Quantity.DRY: "1",
    Quantity.STALE: "1",
}
"""Quantity to UCUM code (c/s), as used in config, rules and messages."""

LOGICAL: frozenset[Quantity] = frozenset(
    {Quantity.CLOSED, Quantity.WET, Quantity.ON, Quantity.ACTIVE, Quantity.DRY, Quantity.STALE}
)
"""The quantities that are 0 or 1, and true or false in a rule."""

Values = Mapping[Quantity, "float | Missing"]


class Clock(Protocol):
    """Time, injectable so that no test need wait for it. Never the wall clock."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*."""
        ...


class Sensor(Protocol):
    """A device that measures. One task owns it; calls never overlap.

    A driver is always built as `Driver(bus, address, clock, options=Options())`; for a pin driver the
    bus is a Pins and the address is the line.
    """

    @property
    def quantities(self) -> frozenset[Quantity]:
        """Everything this device can give; `measure` returns exactly these keys."""
        ...

    async def start(self) -> None:
        """Identify the part and configure it. Safe to repeat after a fault.

        Raises WrongDevice when another part answers, BusError when none does.
        """
        ...

    async def measure(self) -> Values:
        """Take one measurement: every quantity the part has, in UNITS, or why it is Missing.

        Raises BusError or DeviceError when the whole measurement failed.
        """
        ...

    async def stop(self) -> None:
        """Leave the part inert: no heater, no laser, no self-timed sampling."""
        ...


@runtime_checkable
class Watched(Protocol):
    """A sensor that can say by itself when it has something new (a lid, a float switch)."""

    def changes(self) -> AsyncIterator[None]:
        """Yield each time that a new measurement is worth taking."""
        ...


@runtime_checkable
class Actuator(Protocol):
    """A device that acts. Its safe state is where `start` and `stop` put it."""

    async def start(self) -> None:
        """To its safe state, without a glitch on the way: level before direction."""
        ...

    async def apply(self, value: float) -> None:
        """Take the state *value* (a switch: 0 or 1). Raises BusError or DeviceError when it could not."""
        ...

    async def stop(self) -> None:
        """To its safe state."""
        ...
