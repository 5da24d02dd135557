"""A voltage on a channel: the divider, the ends of the converter, and others on the same part."""

import asyncio

import pytest

from drivers.board.ads1115 import Channels
from drivers.board.ads1115.chip import Emulated as Converter
from drivers.board.voltage import Driver, Options
from drivers.board.voltage.chip import Emulated
from drivers.bus import BusTimeout
from drivers.device import Missing, Quantity
from drivers.emulated import EmulatedAnalog, EmulatedI2C

V = Quantity.VOLTAGE


@pytest.fixture
def channels(clock):
    return EmulatedAnalog(clock)


async def read(driver):
    await driver.start()
    return (await driver.measure())[V]


@pytest.mark.parametrize(("above", "divider"), [(0.0, 1.0), (4e4, 5.0), (99e4, 100.0)])
def test_volts_are_those_before_the_divider(channels, clock, above, divider):
    chip = Emulated(channels, 3, clock, above, 1e4)
    chip.set(V, 2.5 * divider)
    found = asyncio.run(read(Driver(channels, 3, clock, Options(divider=divider))))
    assert found == pytest.approx(2.5 * divider, abs=2e-4 * divider)


def test_an_offset_is_added_before_the_divider(channels, clock):
    Emulated(channels, 3, clock, 1e4, 1e4).set(V, 4.0)
    found = asyncio.run(read(Driver(channels, 3, clock, Options(divider=2.0, offset=-0.25))))
    assert found == pytest.approx(3.75, abs=1e-3)


@pytest.mark.parametrize(("volts", "there"), [(4.0, True), (4.2, False), (-4.2, False), (-1.0, True)])
def test_what_clips_is_missing(channels, clock, volts, there):
    Emulated(channels, 3, clock).set(V, volts)
    found = asyncio.run(read(Driver(channels, 3, clock)))
    assert found == (pytest.approx(volts, abs=2e-4) if there else Missing.OUT_OF_RANGE)


def test_a_pulled_plug_is_zero(channels, clock):
    chip = Emulated(channels, 3, clock)
    chip.set(V, 3.0)
    chip.power_off()
    assert asyncio.run(read(Driver(channels, 3, clock))) == 0.0


def test_a_fault_of_the_converter_is_no_voltage(channels, clock):
    Emulated(channels, 3, clock)
    channels.faults.append(BusTimeout("stuck"))
    with pytest.raises(BusTimeout):
        asyncio.run(Driver(channels, 3, clock).measure())


@pytest.mark.parametrize("options", [{"divider": 0.5}, {"divider": 1001.0}, {"offset": 10.5}])
def test_options_that_cannot_be(options):
    with pytest.raises(ValueError, match="must be"):
        Options(**options)


def test_several_share_one_converter(clock):
    """At the same time, each with a divider of its own, on the part itself: nobody gets another's volts."""
    chip = Converter(clock)
    chip.inputs[:] = [1.0, 2.0, 0.0, 3.0]
    part = Channels(EmulatedI2C({0x48: chip}), 0x48, clock)

    async def main():
        drivers = [Driver(part, at, clock, Options(divider=by)) for at, by in ((0, 1.0), (1, 10.0), (3, 5.0))]
        return await asyncio.gather(*(read(each) for each in drivers))

    assert asyncio.run(main()) == pytest.approx([1.0, 20.0, 15.0], abs=2e-3)
