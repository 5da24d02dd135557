"""What released drivers of these parts have got wrong: each mistake is a test, through the emulated part.

Beside each stands the number that the mistake would publish.
"""

import asyncio
from typing import Any

import pytest

from drivers.air import sen66
from drivers.air.sen66.chip import Emulated as Sen66
from drivers.bin import hx711, ina226, mlx90614, nau7802
from drivers.bin.hx711.chip import Emulated as Hx711
from drivers.bin.ina226.chip import Emulated as Ina226
from drivers.bin.mlx90614.chip import Emulated as Mlx90614
from drivers.bin.nau7802.chip import Emulated as Nau7802
from drivers.board import mcp23017
from drivers.board.mcp23017.chip import Emulated as Mcp23017
from drivers.bus import NoAcknowledge
from drivers.device import ChecksumError, Missing, Quantity, Sensor, Values
from drivers.emulated import EmulatedI2C, EmulatedPins
from drivers.land import adxl345
from drivers.land.adxl345.chip import Emulated as Adxl345
from drivers.weather import bme280
from drivers.weather.bme280.chip import Emulated as Bme280
from tests.conftest import VirtualClock


def measured(part: Sensor) -> Values:
    """Return what the part measures after its start."""

    async def main() -> Values:
        await part.start()
        return await part.measure()

    return asyncio.run(main())


def test_sen66_a_frost_is_not_317_degrees(clock: VirtualClock) -> None:
    """The temperature's word read without its sign: -10 degrees become 317.68."""
    chip = Sen66(clock)
    chip.set(Quantity.TEMPERATURE, -10.0)
    values = measured(sen66.Driver(EmulatedI2C({0x6B: chip}), 0x6B, clock))
    assert values[Quantity.TEMPERATURE] == pytest.approx(-10.0, abs=0.003)


def test_sen66_an_unknown_word_is_not_a_number(clock: VirtualClock) -> None:
    """0xFFFF and 0x7FFF mean "unknown": taken for numbers, 6553.5 ug/m3 and 163.8 degrees."""
    values = sen66.decode(
        (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0x7FFF, 0x7FFF, 0x7FFF, 0x7FFF, 0xFFFF), warming=False
    )
    assert set(values.values()) == {Missing.SENTINEL}


@pytest.mark.parametrize(("h4", "h5"), [(300, -50), (-20, 0), (-20, -100)])
def test_bme280_trimming_words_have_signs(h4: int, h5: int, clock: VirtualClock) -> None:
    """H4 and H5 are twelve bits with a sign: without it, 100 % or 0 % whatever the air is."""
    high = bytes([0x6E, 0x01, 0x00, h4 >> 4 & 0xFF, (h5 & 0xF) << 4 | h4 & 0xF, h5 >> 4 & 0xFF, 0x1E])
    chip = Bme280(clock, high=high)
    clock.now += 1.0  # since it got power
    chip.set(Quantity.HUMIDITY, 40.0)
    values = measured(bme280.Driver(EmulatedI2C({0x76: chip}), 0x76, clock))
    assert values[Quantity.HUMIDITY] == pytest.approx(40.0, abs=0.05)


def test_bme280_a_skipped_measurement_is_not_a_spring_day(clock: VirtualClock) -> None:
    """The code for "no result" comes out as 23.29 degrees, 689.1 hPa and 82.8 %."""
    chip = Bme280(clock)
    clock.now += 1.0
    chip.skipped |= {Quantity.TEMPERATURE, Quantity.PRESSURE, Quantity.HUMIDITY}
    values = measured(bme280.Driver(EmulatedI2C({0x76: chip}), 0x76, clock))
    assert all(isinstance(value, Missing) for value in values.values())


def test_hx711_less_than_nothing_is_not_sixteen_million(clock: VirtualClock) -> None:
    """24 bits with a sign: -2.5 kg read without it are 16,774.7 kg at a thousand counts to the kilogram."""
    pins = EmulatedPins(clock)
    chip = Hx711(pins, 5, 6, 10)
    chip.set(Quantity.WEIGHT, -2.5)
    inner = pins.before

    def before() -> None:
        clock.now += 2e-6  # what a look at a line takes
        inner()

    pins.before = before
    part = hx711.Driver(pins, 5, clock, hx711.Options(data=6))
    assert measured(part)[Quantity.WEIGHT] == pytest.approx(-2.5, abs=0.001)


def test_nau7802_a_part_that_does_not_answer_is_not_an_empty_bin(clock: VirtualClock) -> None:
    """The missing acknowledgement swallowed: 0 g."""
    bus = EmulatedI2C({0x2A: Nau7802(clock)})
    part = nau7802.Driver(bus, 0x2A, clock)
    measured(part)
    bus.chips.clear()
    with pytest.raises(NoAcknowledge):
        asyncio.run(part.measure())


@pytest.mark.parametrize("high", [False, True])
def test_mcp23017_the_level_comes_before_the_direction(high: bool, clock: VirtualClock) -> None:
    """A line made an output first drives what its latch had: a relay clicks at each start."""
    chip = Mcp23017(clock)
    lines = mcp23017.Lines(EmulatedI2C({0x20: chip}), 0x20, clock, mcp23017.Options(), EmulatedPins(clock))

    async def main() -> None:
        await lines.start()
        await lines.write(3, high)

    asyncio.run(main())
    assert [entry[:2] for entry in chip.pins.log] == [(3, "level"), (3, "output")]
    assert {entry[2] for entry in chip.pins.log} == {high}


def test_ina226_power_is_that_of_its_registers(clock: VirtualClock) -> None:
    """The power's step is 25 times the current's; with 25.2, as released, 119.8 W are 120.8."""
    chip = Ina226(clock)
    chip.set(Quantity.VOLTAGE, 11.98)
    chip.set(Quantity.CURRENT, 10.0)
    values = measured(ina226.Driver(EmulatedI2C({0x40: chip}), 0x40, clock))
    volts, amperes, watts = (values[q] for q in (Quantity.VOLTAGE, Quantity.CURRENT, Quantity.POWER))
    assert isinstance(volts, float)
    assert isinstance(amperes, float)
    assert watts == pytest.approx(119.8, rel=0.001)
    assert watts == pytest.approx(volts * amperes, rel=0.001)


def test_mlx90614_a_wrong_check_byte_is_no_temperature(clock: VirtualClock) -> None:
    """The packet's check byte not looked at: a flipped bit is a fire, or hides one."""
    chip = Mlx90614(clock)
    part = mlx90614.Driver(EmulatedI2C({0x5A: chip}), 0x5A, clock)
    measured(part)
    chip.spoil = 0x01
    with pytest.raises(ChecksumError):
        asyncio.run(part.measure())


def test_adxl345_a_count_is_the_datasheets(clock: VirtualClock) -> None:
    """256 counts to the g; with 4.0 mg to a count, as released, level ground is 10.04 m/s2."""
    chip: Any = Adxl345(clock)
    chip.set(Quantity.ACCELERATION_X, 0.0)
    chip.set(Quantity.ACCELERATION_Y, 0.0)
    chip.set(Quantity.ACCELERATION_Z, 9.80665)
    values = measured(adxl345.Driver(EmulatedI2C({0x53: chip}), 0x53, clock))
    assert values[Quantity.ACCELERATION_Z] == pytest.approx(9.807, abs=0.02)
