"""DBM: levels that are not computed yet, extremes between measurements, settings and power."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from drivers.bus import BusError
from drivers.device import DeviceError, Missing, Quantity, Values, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.noise.dbm import Driver, Options, decode
from drivers.noise.dbm.chip import Emulated
from tests.conftest import VirtualClock

LEVEL, LOWEST, HIGHEST = Quantity.SOUND_LEVEL, Quantity.SOUND_LEVEL_MIN, Quantity.SOUND_LEVEL_MAX


class Rig:
    def __init__(self, clock: VirtualClock, options: Options | None = None) -> None:
        self.clock = clock
        self.chip = Emulated(clock)
        self.bus = EmulatedI2C({0x48: self.chip})
        self.driver = Driver(self.bus, 0x48, clock, options or Options())

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(main)

    def start(self) -> None:
        self.run(self.driver.start())

    def measure(self, after: float = 0.0) -> Values:
        self.clock.now += after
        values: Values = self.run(self.driver.measure())
        return values


@pytest.fixture
def rig(clock: VirtualClock) -> Rig:
    return Rig(clock)


def test_decode():
    assert decode(bytes([62, 45, 91])) == {LEVEL: 62.0, LOWEST: 45.0, HIGHEST: 91.0}


@pytest.mark.parametrize("byte", [0, 0xFF])
def test_zero_is_not_silence(byte: int):
    """0 dB means "not computed", and all ones is no level either; each for its own register."""
    assert decode(bytes([byte, 45, 91])) == {LEVEL: Missing.NOT_READY, LOWEST: 45.0, HIGHEST: 91.0}
    assert decode(bytes([62, byte, byte]))[LEVEL] == 62.0
    assert decode(bytes([62, byte, byte]))[LOWEST] is Missing.NOT_READY


def test_not_ready_for_one_averaging_time(rig: Rig):
    rig.start()
    assert set(rig.measure(after=0.9).values()) == {Missing.NOT_READY}
    assert rig.measure(after=0.2)[LEVEL] == 52.0


def test_extremes_are_since_the_measurement_before(rig: Rig):
    """A lorry shows in the maximum of its own interval only."""
    rig.start()
    rig.measure(after=5.0)
    rig.chip.set(LEVEL, 91.0)
    rig.clock.now += 2.0
    rig.chip.set(LEVEL, 48.0)
    values = rig.measure(after=3.0)
    assert values == {LEVEL: 48.0, LOWEST: 48.0, HIGHEST: 91.0}
    assert rig.measure(after=5.0) == {LEVEL: 48.0, LOWEST: 48.0, HIGHEST: 48.0}


def test_extremes_begin_with_the_start(rig: Rig):
    """The pop of power-up is no maximum."""
    rig.chip.set(LEVEL, 110.0)
    rig.clock.now += 3.0
    rig.chip.set(LEVEL, 50.0)
    rig.start()
    assert rig.measure(after=2.0)[HIGHEST] == 50.0


def test_faster_than_the_averaging(rig: Rig):
    """Between two averages the level stays, and there are no new extremes."""
    rig.start()
    rig.measure(after=2.0)
    assert rig.measure(after=0.1) == {LEVEL: 52.0, LOWEST: Missing.NOT_READY, HIGHEST: Missing.NOT_READY}


@pytest.mark.parametrize(
    ("options", "registers"),
    [
        (Options(), "02 03e8"),
        (Options(weighting="C", averaging=0.125), "04 007d"),
        (Options(weighting="Z", averaging=10), "00 2710"),
        (Options(averaging=0.01), "02 000a"),
    ],
)
def test_settings(options: Options, registers: str, clock: VirtualClock):
    rig = Rig(clock, options)
    rig.start()
    assert rig.chip.transfer(b"\x06", 3) == bytes.fromhex(registers)
    assert isinstance(rig.measure(after=options.averaging + 0.01)[LEVEL], float)


@pytest.mark.parametrize("averaging", [0.0, 0.009, 10.5, -1.0])
def test_averaging_that_it_cannot_do(averaging: float):
    with pytest.raises(ValueError, match=r"0\.01 to 10"):
        Options(averaging=averaging)


def test_averaging_takes_effect(clock: VirtualClock):
    """The part takes a new averaging time with the low byte: the high one has to come first."""
    rig = Rig(clock, Options(averaging=0.3))
    rig.start()
    assert rig.measure(after=0.25)[LEVEL] is Missing.NOT_READY
    assert rig.measure(after=0.1)[LEVEL] == 52.0


def test_settings_lost(clock: VirtualClock):
    """After a brown-out a level would be of another weighting: it is not told."""
    rig = Rig(clock, Options(weighting="C"))
    rig.start()
    rig.measure(after=2.0)
    rig.chip.power_cycle()
    with pytest.raises(DeviceError, match="power"):
        rig.measure(after=2.0)
    rig.start()
    assert rig.measure(after=2.0)[LEVEL] == 52.0


def test_default_settings_lost(rig: Rig):
    """With the part's own defaults a brown-out changes nothing but the time for one average."""
    rig.start()
    rig.measure(after=2.0)
    rig.chip.power_cycle()
    assert set(rig.measure(after=0.5).values()) == {Missing.NOT_READY}
    assert rig.measure(after=1.0)[LEVEL] == 52.0


def test_deaf_microphone(rig: Rig):
    rig.chip.deaf = True
    rig.start()
    assert set(rig.measure(after=20.0).values()) == {Missing.NOT_READY}


@pytest.mark.parametrize("version", [0x00, 0x20, 0x41, 0xFF])
def test_other_versions_are_refused(rig: Rig, version: int):
    rig.chip.version = version
    with pytest.raises(WrongDevice, match="0x31"):
        rig.start()


def test_a_later_firmware_is_accepted(rig: Rig):
    rig.chip.version = 0x32
    rig.start()


def test_power_down_and_up(rig: Rig):
    """Stopped, the microphone is off; only a reset wakes it, and the settings are given again after that."""
    rig.start()
    rig.run(rig.driver.stop())
    assert rig.chip.powered_down
    rig.clock.now += 5.0
    rig.start()
    assert not rig.chip.powered_down
    assert rig.measure(after=1.1)[LEVEL] == 52.0


def test_measure_while_powered_down(rig: Rig):
    """Somebody else's stop is seen, not taken for the last level for ever."""
    rig.start()
    rig.measure(after=2.0)
    rig.chip.transfer(b"\x06\x03", 0)
    with pytest.raises(DeviceError):
        rig.measure(after=2.0)


class TestChip:
    """The emulated part is as strict as the real one."""

    @pytest.mark.parametrize("write", ["0632", "0606", "0980", "0031", "0a3e", "0805", "1401", "1000"])
    def test_what_cannot_be_written(self, write: str, rig: Rig):
        """Reserved bits, read-only registers, averaging times out of range."""
        rig.chip.transfer(b"\x07\x00", 0)
        with pytest.raises(BusError):
            rig.chip.transfer(bytes.fromhex(write), 0)

    @pytest.mark.parametrize("register", [0x0F, 0x13, 0x78, 0xFF])
    def test_what_cannot_be_read(self, register: int, rig: Rig):
        with pytest.raises(BusError):
            rig.chip.transfer(bytes([register]), 1)

    def test_history(self, rig: Rig):
        """The last levels, the newest first."""
        rig.clock.now += 2.0
        rig.chip.set(LEVEL, 70.0)
        rig.clock.now += 1.0
        assert rig.chip.transfer(b"\x14", 4) == bytes([70, 52, 52, 0])
        rig.chip.transfer(b"\x09\x04", 0)
        assert rig.chip.transfer(b"\x14", 4) == bytes(4)

    def test_only_the_level_can_be_set(self, rig: Rig):
        with pytest.raises(ValueError, match="sound level"):
            rig.chip.set(LOWEST, 40.0)
