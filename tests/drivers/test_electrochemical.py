"""Electrochemical cells: the formula, its table, saturation, wires in the air, and electrodes exchanged."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.air.electrochemical import CORRECTIONS, Driver, Options, concentration, correction, decode
from drivers.air.electrochemical.chip import Emulated
from drivers.bus import BusError
from drivers.device import DeviceError, Missing, Quantity
from drivers.emulated import EmulatedAnalog

NO2 = Quantity.NO2
WE, AE = 2, 3


@pytest.fixture
def channels(clock):
    return EmulatedAnalog(clock)


@pytest.fixture
def chip(channels):
    return Emulated(channels, WE, AE)


async def started(driver):
    await driver.start()
    (value,) = (await driver.measure()).values()
    return value


def smelt(channels, clock, **options):
    return asyncio.run(started(Driver(channels, WE, clock, Options(**options))))


@pytest.mark.parametrize(
    ("gas", "label", "we", "ae", "celsius", "ppb"),
    [
        # Labels of real sensors (WE and AE zeros, mV; mV/ppb), and the formula by hand.
        ("no2", (227, 228, 0.270), 254.0, 238.0, 20.0, (27 - 0.6 * 10) / 0.270),
        ("no2", (227, 228, 0.270), 254.0, 238.0, -5.0, (27 - 1.3 * 10) / 0.270),
        ("no2", (220, 224, 0.223), 242.3, 224.0, 15.0, 100.0),
        ("o3", (244, 249, 0.357), 279.7, 249.0, 20.0, 100.0),
        ("so2", (378, 362, 0.330), 372.0, 358.0, 35.0, (-6 + 4 * 2.45) / 0.330),
        ("co", (362, 335, 0.444), 406.4, 325.0, 5.0, (44.4 + 0.85 * 10) / 0.444),
    ],
)
def test_worked_examples(gas, label, we, ae, celsius, ppb):
    zero, auxiliary_zero, sensitivity = (each / 1000 for each in label)
    options = Options(
        gas=gas,
        working_zero=zero,
        auxiliary_zero=auxiliary_zero,
        sensitivity=sensitivity,
        temperature=celsius,
    )
    assert concentration(we / 1000, ae / 1000, options) == pytest.approx(ppb, abs=0.01)


@pytest.mark.parametrize("ppb", [0.0, 12.0, 40.0, 200.0, 1000.0, 5000.0])
@pytest.mark.parametrize("background", [-0.05, 0.0, 0.03, 0.12])
def test_sweep(channels, chip, clock, ppb, background):
    """The background is taken off as far as the ratio is known."""
    chip.set(NO2, ppb)
    chip.background = background
    assert smelt(channels, clock) == pytest.approx(ppb, abs=8.0)


@pytest.mark.parametrize("gas", ["no2", "o3", "so2", "co"])
def test_each_gas_is_its_own_quantity(channels, clock, gas):
    chip = Emulated(channels, WE, AE, Quantity(gas), ratio=1.0)
    chip.set(Quantity(gas), 80.0)
    driver = Driver(channels, WE, clock, Options(gas=gas, correction=1.0))
    assert driver.quantities == {Quantity(gas)}
    values = asyncio.run(driver.measure())
    assert values == {Quantity(gas): pytest.approx(80.0, abs=8.0)}


def test_clean_air_may_read_a_little_below_zero(channels, chip, clock):
    chip.noise = 0.0
    assert smelt(channels, clock, working_zero=0.232) == pytest.approx(-7 / 0.3, abs=0.5)


@pytest.mark.parametrize(
    ("celsius", "factor"),
    [
        (-30.0, 1.3),
        (-5.0, 1.3),
        (0.0, 1.3),
        (5.0, 1.15),
        (10.0, 1.0),
        (19.0, 0.64),
        (20.0, 0.6),
        (45.0, -0.65),
        (50.0, -1.5),
    ],
)
def test_the_table_is_read_in_a_line_between_its_entries(celsius, factor):
    """Below zero as well, where public code rounds towards it; and at 50, where some reads past the end."""
    assert correction(Options(temperature=celsius)) == pytest.approx(factor)


def test_below_zero_the_right_entries_are_taken():
    """At -5 degrees between those of -10 and 0, not between those of 0 and 10."""
    assert correction(Options(series="A4", temperature=-5.0)) == pytest.approx(1.1)
    assert correction(Options(series="A4", temperature=-15.0)) == pytest.approx(0.9)


@given(st.sampled_from(list(CORRECTIONS)), st.floats(-30, 50))
def test_no_factor_leaves_its_table(sensor, celsius):
    series, gas = sensor
    found = correction(Options(gas=gas, series=series, temperature=celsius))
    assert min(CORRECTIONS[sensor]) - 1e-9 <= found <= max(CORRECTIONS[sensor]) + 1e-9


@pytest.mark.parametrize(
    ("celsius", "factors"),
    [
        (-10.0, {"A4": (1.0, 1.2, 1.3, 1.0), "B4": (1.3, 1.0, 1.6, 0.7)}),
        (20.0, {"A4": (1.8, 2.0, 0.4, -0.9), "B4": (0.6, 1.7, 1.6, 3.0)}),
        (40.0, {"A4": (2.5, 3.4, 0.4, -1.5), "B4": (0.2, 2.5, 3.0, 4.0)}),
    ],
)
def test_the_table_itself(celsius, factors):
    """Columns of the note, for NO2, O3, SO2 and CO."""
    for series, wanted in factors.items():
        found = [
            correction(Options(gas=gas, series=series, temperature=celsius))
            for gas in ("no2", "o3", "so2", "co")
        ]
        assert found == [pytest.approx(each) for each in wanted]


def test_a_factor_that_is_given_is_taken(channels, chip, clock):
    chip.background = 0.1
    chip.noise = 0.0
    assert correction(Options(correction=-0.25, temperature=40.0)) == -0.25
    assert smelt(channels, clock, correction=0.6) == pytest.approx(0.0, abs=0.5)
    assert smelt(channels, clock, correction=0.0) == pytest.approx(200.0, abs=0.5)


def test_saturation_is_out_of_range(channels, chip, clock):
    """At the amplifier's rail the gas could be anything above."""
    chip.rail = 2.8
    chip.set(NO2, 15000.0)
    assert smelt(channels, clock, saturation=2.75) is Missing.OUT_OF_RANGE
    assert smelt(channels, clock, saturation=2.9) == pytest.approx((2.8 - 0.225) / 0.0003, abs=8.0)


def test_a_clipped_channel_is_out_of_range(clock):
    """A converter set too fine: it would read a steady 2676 ppb."""
    channels = EmulatedAnalog(clock, full_scale=1.024)
    chip = Emulated(channels, WE, AE)
    chip.set(NO2, 4000.0)
    assert smelt(channels, clock) is Missing.OUT_OF_RANGE


def test_beyond_the_warranty_is_out_of_range(channels, chip, clock):
    chip.rail = 4.0
    chip.set(NO2, 9000.0)
    assert smelt(channels, clock, sensitivity=0.0001) is Missing.OUT_OF_RANGE


def test_no_power_is_a_fault(channels, chip, clock):
    chip.off = True
    assert smelt(channels, clock) is Missing.FAULT


def test_a_working_electrode_whose_plug_was_pulled_is_a_fault(channels, chip, clock):
    """The channel alone is dead: a result far below zero would say less."""
    channels.before = lambda: channels.volts.update({WE: 0.0, AE: 0.225})
    assert smelt(channels, clock, lowest=-10_000.0) is Missing.FAULT


@pytest.mark.parametrize("loose", [{WE}, {AE}, {WE, AE}])
def test_a_wire_in_the_air_gives_no_number(channels, chip, clock, loose):
    """Whichever: it would read as 1000 ppb, or take 200 off."""
    chip.loose = loose
    found = {smelt(channels, clock) for _ in range(100)}
    assert found <= {Missing.UNRELIABLE, Missing.FAULT}


def test_a_stray_auxiliary_electrode_is_a_fault(channels, chip, clock):
    chip.background = 0.2
    assert smelt(channels, clock) is Missing.FAULT
    assert isinstance(smelt(channels, clock, stray=0.25), float)


@pytest.mark.parametrize(
    ("ppb", "found"), [(250.0, Missing.UNRELIABLE), (450.0, Missing.UNRELIABLE), (900.0, Missing.FAULT)]
)
def test_exchanged_electrodes_are_noticed_once_there_is_gas(channels, chip, clock, ppb, found):
    chip.swapped = True
    chip.set(NO2, ppb)
    assert smelt(channels, clock) is found


def test_exchanged_electrodes_with_little_gas_read_below_zero(channels, chip, clock):
    """Not noticed, and said so in the README: but never as a gas that is not there."""
    chip.swapped = True
    chip.set(NO2, 60.0)
    assert smelt(channels, clock) < 0


def test_a_board_without_its_sensor_reads_as_clean_air(channels, chip, clock):
    """It cannot be told apart."""
    chip.empty = True
    chip.set(NO2, 300.0)
    assert smelt(channels, clock) == pytest.approx(0.0, abs=8.0)


def test_both_on_one_channel_are_refused(channels, clock):
    with pytest.raises(ValueError, match="both electrodes are on channel 1"):
        Driver(channels, 1, clock, Options(auxiliary=1))


def test_what_the_converter_raises_is_not_hidden(channels, chip, clock):
    driver = Driver(channels, WE, clock)
    for error in (BusError("gone"), DeviceError("no conversion")):
        channels.faults.append(error)
        with pytest.raises(type(error), match=str(error)):
            asyncio.run(driver.measure())
    with pytest.raises(BusError, match="no channel 9"):
        asyncio.run(Driver(channels, WE, clock, Options(auxiliary=9)).start())


@given(
    st.lists(st.floats(-5, 5), min_size=6, max_size=6),
    st.lists(st.floats(-5, 5), min_size=6, max_size=6),
    st.booleans(),
)
def test_no_looks_give_an_impossible_number(working, auxiliary, still):
    if still:
        working, auxiliary = working[:1] * 6, auxiliary[:1] * 6
    found = decode(working, auxiliary, Options(), 3.0)
    assert isinstance(found, Missing) or -100.0 <= found <= 20e3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"working_zero": 225.0}, "225 mV are 0.225"),
        ({"auxiliary_zero": 0.0}, "auxiliary_zero"),
        ({"sensitivity": 0.3}, "mV/ppb"),
        ({"sensitivity": 0.0}, "sensitivity"),
        ({"sensitivity": float("nan")}, "sensitivity"),
        ({"temperature": 60.0}, "temperature"),
        ({"correction": 100.0}, "correction"),
        ({"correction": float("nan")}, "correction"),
        ({"saturation": 0.1}, "saturation"),
        ({"stray": 0.0}, "stray"),
        ({"lowest": 5.0}, "lowest"),
        ({"auxiliary": -1}, "auxiliary"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_stop_is_nothing(channels, clock):
    asyncio.run(Driver(channels, WE, clock).stop())
    assert channels.conversions == 0
