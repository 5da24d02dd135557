"""Sound level meter: 50 dB a volt, means of energy, and a plug that was pulled."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus import BusError
from drivers.device import DeviceError, Missing, Quantity
from drivers.emulated import EmulatedAnalog
from drivers.noise.spl import Driver, Options, decode, energy_mean
from drivers.noise.spl.chip import Emulated
from gateway.derive.noise import laeq

L = Quantity.SOUND_LEVEL
VECTORS = {
    vector["part"]: vector for vector in json.loads(Path("tests/vectors/drivers.json").read_text())["vectors"]
}


@pytest.fixture
def channels(clock):
    return EmulatedAnalog(clock)


@pytest.fixture
def chip(channels, clock):
    chip = Emulated(channels, 1, clock)
    channels.before = chip.show
    return chip


async def started(driver):
    await driver.start()
    return (await driver.measure())[L]


def heard(channels, clock, **options):
    return asyncio.run(started(Driver(channels, 1, clock, Options(**options))))


def test_vector(channels, clock):
    """Code 0x1c20 at 4.096 V is 45 dB(A)."""
    vector = VECTORS["Analog SPL meter via ADS1115"]
    code = int(vector["device"]["regs"]["00"], 16)
    channels.volts[1] = code * vector["device"]["pga_fsr_v"] / 32768
    expected = vector["expected"]["level"]
    assert heard(channels, clock) == pytest.approx(expected["value"], abs=expected["tol"])


def test_vector_of_the_mean():
    vector = VECTORS["Leq energy average"]
    expected = vector["expected"]["leq"]
    assert energy_mean(vector["device"]["dB"]) == pytest.approx(expected["value"], abs=expected["tol"])


@pytest.mark.parametrize("level", [30.0, 30.01, 45.0, 63.2, 94.0, 129.99, 130.0])
def test_sweep(channels, chip, clock, level):
    chip.set(L, level)
    assert heard(channels, clock) == pytest.approx(level, abs=0.01)


def test_the_mean_is_of_energy_not_of_decibels(channels, clock):
    """Three samples of 60 and one of 90, as they come from the converter."""
    volts = iter([1.2, 1.2, 1.2, 1.2, 1.8])

    def move():
        channels.volts[1] = next(volts)

    channels.before = move
    assert heard(channels, clock, samples=4, spacing=0.0) == pytest.approx(83.988, abs=0.02)


def test_a_bang_between_two_looks_is_heard(channels, chip, clock):
    """20 ms at 110 dB in a street of 60: the meter's inertia carries it into the next sample."""

    async def main():
        driver = Driver(channels, 1, clock)
        chip.set(L, 60.0)
        await driver.start()
        chip.sound(110.0)
        await clock.sleep(0.02)
        chip.sound(60.0)
        return (await driver.measure())[L]

    assert 85.0 < asyncio.run(main()) < 101.0


@pytest.mark.parametrize(
    ("samples", "spacing", "takes"), [(8, 0.125, 1.0), (1, 0.0, 0.0086), (20, 0.05, 1.0)]
)
def test_a_measurement_takes_its_time(channels, chip, clock, samples, spacing, takes):
    driver = Driver(channels, 1, clock, Options(samples, spacing))
    began = clock.now
    asyncio.run(driver.measure())
    assert clock.now - began == pytest.approx(takes, abs=0.001)
    assert channels.conversions == samples


def test_no_power_is_a_fault(channels, chip, clock):
    chip.power_off()
    assert heard(channels, clock) is Missing.FAULT


def test_a_plug_that_is_pulled_half_way_is_a_fault(channels, chip, clock):
    """One sample is enough: the others would make a plausible level."""
    turns = iter(range(9))

    def before():
        if next(turns) == 8:
            chip.power_off()

    chip.set(L, 70.0)
    channels.before = before
    assert heard(channels, clock) is Missing.FAULT


def test_a_wire_in_the_air_is_mostly_a_fault_and_never_a_noise(channels, chip, clock):
    """About 0.57 V, give or take: below 0.6 V in almost every measurement, else hardly above it."""
    chip.unplug()
    found = [heard(channels, clock) for _ in range(50)]
    assert set(found) == {Missing.FAULT}


@pytest.mark.parametrize(
    ("volts", "found"),
    [
        ([0.6], 30.0),
        ([2.6], 130.0),
        ([0.5999], pytest.approx(29.995)),
        ([0.5997], Missing.FAULT),
        ([0.0], Missing.FAULT),
        ([-0.1], Missing.FAULT),
        ([2.601], Missing.OUT_OF_RANGE),
        ([1.2, 0.3, 2.9], Missing.FAULT),
        ([1.2, 1.2, 2.9], Missing.OUT_OF_RANGE),
    ],
)
def test_the_ends(volts, found):
    assert decode(volts) == (pytest.approx(found, abs=1e-6) if isinstance(found, float) else found)


def test_too_loud_is_out_of_range(channels, chip, clock):
    chip.set(L, 138.0)
    assert heard(channels, clock) is Missing.OUT_OF_RANGE


def test_a_clipped_channel_is_no_level(chip, clock):
    """At a full scale of 2.048 V, 110 dB would read as a steady 102.4."""
    channels = EmulatedAnalog(clock, full_scale=2.048)
    channels.volts[1] = 2.2
    assert heard(channels, clock) is Missing.OUT_OF_RANGE


def test_the_offset_takes_an_error_out(channels, chip, clock):
    chip.error = -1.7
    chip.set(L, 94.0)
    assert heard(channels, clock, offset=1.7) == pytest.approx(94.0, abs=0.01)


def test_what_the_converter_raises_is_not_hidden(channels, clock):
    driver = Driver(channels, 1, clock)
    for error in (BusError("gone"), DeviceError("no conversion")):
        channels.faults.append(error)
        with pytest.raises(type(error), match=str(error)):
            asyncio.run(driver.measure())


@given(st.lists(st.floats(30, 130), min_size=1, max_size=30))
def test_the_mean_is_the_domains(levels):
    assert energy_mean(levels) == pytest.approx(laeq([(level, 1.0) for level in levels]), abs=1e-6)
    assert min(levels) - 1e-6 <= energy_mean(levels) <= max(levels) + 1e-6


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20))
def test_every_level_is_within_the_meters_range(volts):
    found = decode(volts)
    assert isinstance(found, Missing) or 29.98 <= found <= 130.02


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"samples": 0}, "samples"),
        ({"samples": 1000}, "samples"),
        ({"spacing": -0.1}, "spacing"),
        ({"spacing": float("nan")}, "spacing"),
        ({"offset": 11.0}, "offset"),
    ],
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_stop_is_nothing(channels, clock):
    asyncio.run(Driver(channels, 1, clock).stop())
    assert channels.conversions == 0
