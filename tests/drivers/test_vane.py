"""Vane: sixteen resistances, voltages between them, and wires that are cut, shorted or wet."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus import BusError
from drivers.device import DeviceError, Missing, Quantity
from drivers.emulated import EmulatedAnalog, EmulatedI2C
from drivers.weather.vane import RESISTANCES, Driver, Options, decode, table
from drivers.weather.vane.chip import Emulated

W = Quantity.WIND_DIRECTION
(VECTOR,) = [
    vector
    for vector in json.loads(Path("tests/vectors/drivers.json").read_text())["vectors"]
    if vector["part"] == "Wind vane via ADC"
]
ALL = [number * 22.5 for number in range(16)]


@pytest.fixture
def channels(clock):
    return EmulatedAnalog(clock)


async def started(driver):
    await driver.start()
    return (await driver.measure())[W]


def seen(channels, clock, channel=2, **options):
    return asyncio.run(started(Driver(channels, channel, clock, Options(**options))))


def test_vector(channels, clock):
    """Another vane's table, and the nearest of its voltages however far it is."""
    pairs = tuple((float(volts), float(degrees)) for volts, degrees in VECTOR["device"]["volts"].items())
    for text, expected in VECTOR["expected"].items():
        channels.volts[2] = float(text.removeprefix("nearest(").removesuffix(")"))
        assert seen(channels, clock, table=pairs, tolerance=1.0) == expected["value"]


@pytest.mark.parametrize("degrees", ALL)
@pytest.mark.parametrize(("supply", "pull_up"), [(3.3, 10e3), (5.0, 10e3), (3.3, 4.7e3)])
def test_every_direction(clock, degrees, supply, pull_up):
    channels = EmulatedAnalog(clock, full_scale=6.144)
    chip = Emulated(channels, 3, supply, pull_up)
    chip.set(W, degrees)
    assert seen(channels, clock, 3, supply=supply, pull_up=pull_up) == degrees


def test_the_printed_voltages_but_for_the_misprint():
    """The datasheet's, at 5 V; its 4.78 V for 315 degrees does not follow from its own 64.9 kOhm."""
    printed = {
        0: 3.84, 22.5: 1.98, 45: 2.25, 67.5: 0.41, 90: 0.45, 112.5: 0.32, 135: 0.90, 157.5: 0.62,
        180: 1.40, 202.5: 1.19, 225: 3.08, 247.5: 2.93, 270: 4.62, 292.5: 4.04, 337.5: 3.43,
    }  # fmt: skip
    computed = {degrees: volts for volts, degrees in table(Options(supply=5.0))}
    assert computed.pop(315.0) == pytest.approx(4.33, abs=0.01)
    assert computed == {degrees: pytest.approx(volts, abs=0.01) for degrees, volts in printed.items()}


def test_the_chip_alone_has_the_printed_resistances(channels):
    chip = Emulated(channels, 0)
    for degrees, ohm in RESISTANCES.items():
        chip.set(W, degrees)
        assert chip._ohm() == pytest.approx(ohm, rel=0.003)


@pytest.mark.parametrize(
    ("degrees", "step"), [(11.0, 0.0), (12.0, 22.5), (350.0, 0.0), (359.9, 0.0), (181.0, 180.0)]
)
def test_between_two_directions_is_the_nearer(channels, clock, degrees, step):
    Emulated(channels, 2).set(W, degrees)
    assert seen(channels, clock) == step


@pytest.mark.parametrize(
    ("north", "wanted"), [(0.0, 90.0), (22.5, 67.5), (90.0, 0.0), (112.5, 337.5), (-90.0, 180.0)]
)
def test_a_mast_that_was_turned(channels, clock, north, wanted):
    Emulated(channels, 2).set(W, 90.0)
    assert seen(channels, clock, north=north) == wanted


def test_between_two_voltages_is_missing():
    """For every pair of neighbours, just beyond the tolerance of both; and within it, it is not."""
    made = table(Options())
    for (low, below), (high, above) in pairwise(made):
        half = (high - low) / 2
        assert decode((low + high) / 2, made, 0.6) is Missing.UNRELIABLE
        assert decode(low + 0.61 * half, made, 0.6) is Missing.UNRELIABLE
        assert decode(high - 0.61 * half, made, 0.6) is Missing.UNRELIABLE
        assert decode(low + 0.59 * half, made, 0.6) == below
        assert decode(high - 0.59 * half, made, 0.6) == above


def test_a_cut_or_shorted_wire_is_a_fault(channels, clock):
    chip = Emulated(channels, 2)
    for degrees in ALL:
        chip.set(W, degrees)
        chip.cut, chip.shorted = True, False
        chip.show()
        assert seen(channels, clock) is Missing.FAULT
        chip.cut, chip.shorted = False, True
        chip.show()
        assert seen(channels, clock) is Missing.FAULT


def test_water_in_the_head_is_noticed_in_some_directions(channels, clock):
    """30 kOhm across the vane: the voltages of the large resistors are between two others then."""
    chip = Emulated(channels, 2)
    chip.wet = 30e3
    found = []
    for degrees in ALL:
        chip.set(W, degrees)
        found.append(seen(channels, clock))
    assert sum(isinstance(each, Missing) for each in found) >= 4


def test_a_clipped_channel_is_out_of_range(clock):
    channels = EmulatedAnalog(clock, full_scale=2.048)
    Emulated(channels, 2).set(W, 270.0)
    assert seen(channels, clock) is Missing.OUT_OF_RANGE


def test_a_channel_without_a_wire_is_no_direction(channels, clock):
    """A wire that hangs in the air wanders over some of the vane's voltages, and does not stay."""
    assert {seen(channels, clock, 5) for _ in range(500)} == {Missing.UNRELIABLE}


def test_a_vane_that_turns_meanwhile_is_unreliable(channels, clock):
    chip = Emulated(channels, 2)
    turned = iter([0.0, 0.0, 0.0, 22.5, 22.5, 22.5])
    channels.before = lambda: chip.set(W, next(turned))
    assert seen(channels, clock) is Missing.UNRELIABLE


def test_what_the_converter_raises_is_not_hidden(channels, clock):
    driver = Driver(channels, 2, clock)
    for error in (BusError("gone"), DeviceError("no conversion")):
        channels.faults.append(error)
        with pytest.raises(type(error), match=str(error)):
            asyncio.run(driver.measure())
    with pytest.raises(BusError, match="no channel 9"):
        asyncio.run(Driver(channels, 9, clock).start())


def test_on_a_real_converter(clock):
    """The whole way: resistors, an ADS1115 on its bus, and its channels."""
    from drivers.board.ads1115 import Channels
    from drivers.board.ads1115.chip import Emulated as Ads1115

    adc = Ads1115(clock)
    board = EmulatedAnalog(clock)
    vane = Emulated(board, 2)
    lent = Channels(EmulatedI2C({0x48: adc}), 0x48, clock)
    driver = Driver(lent, 2, clock)
    for degrees in ALL:
        vane.set(W, degrees)
        adc.inputs[2] = board.volts[2]
        assert asyncio.run(started(driver)) == degrees


@given(st.floats(-7, 7), st.floats(0.05, 1.0))
def test_every_voltage_is_a_direction_of_the_vane_or_missing(volts, tolerance):
    made = table(Options())
    found = decode(volts, made, tolerance)
    assert isinstance(found, Missing) or found in RESISTANCES


@given(st.floats(0.213, 3.046))
def test_with_a_tolerance_of_one_the_nearest_is_always_taken(volts):
    made = table(Options())
    nearest = min(abs(each[0] - volts) for each in made)
    found = decode(volts, made, 1.0)
    assert abs({degrees: each for each, degrees in made}[found] - volts) == nearest


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"supply": 0.0}, "supply"),
        ({"supply": float("nan")}, "supply"),
        ({"pull_up": 10.0}, "pull_up"),
        ({"north": 360.0}, "north"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": 1.5}, "tolerance"),
        ({"table": ((0.9, 0.0),)}, "2 to 64"),
        ({"table": ((0.9, 0.0), (1.2, 400.0))}, "volts, then degrees"),
        ({"table": ((90.0, 1.2), (45.0, 0.9))}, "volts, then degrees"),
        ({"table": ((0.9, 0.0), (float("nan"), 90.0))}, "volts, then degrees"),
        ({"table": ((0.9, 0.0), (0.9, 90.0))}, "apart"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_stop_is_nothing(channels, clock):
    asyncio.run(Driver(channels, 2, clock).stop())
    assert channels.conversions == 0
