"""SEN66: frost, unknown words, what the status register takes away, and a part that has stopped."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from drivers.air.sen66 import Driver, Options, decode, faults, probe
from drivers.air.sen66.chip import Emulated
from drivers.bus import BusError, NoAcknowledge
from drivers.device import ChecksumError, DeviceError, Missing, Quantity, Values, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.sensirion import checked
from tests.conftest import VirtualClock

PARTICLES = {Quantity.PM1, Quantity.PM2_5, Quantity.PM4, Quantity.PM10}
CLIMATE = {Quantity.HUMIDITY, Quantity.TEMPERATURE}
GASES = {Quantity.VOC_INDEX, Quantity.NOX_INDEX}
CO2 = {Quantity.CO2}
ALL = PARTICLES | CLIMATE | GASES | CO2


class Rig:
    def __init__(self, clock: VirtualClock, options: Options | None = None) -> None:
        self.clock = clock
        self.chip = Emulated(clock)
        self.bus = EmulatedI2C({0x6B: self.chip})
        self.driver = Driver(self.bus, 0x6B, clock, options or Options())

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(main)

    def start(self) -> None:
        self.run(self.driver.start())

    def measure(self, after: float = 0.0) -> Values:
        self.clock.now += after
        values: Values = self.run(self.driver.measure())
        return values

    def missing(self, after: float = 0.0) -> dict[Quantity, Missing]:
        return {q: v for q, v in self.measure(after).items() if isinstance(v, Missing)}


@pytest.fixture
def rig(clock: VirtualClock) -> Rig:
    return Rig(clock)


@pytest.mark.parametrize(
    ("word", "temperature"),
    [(4657, 23.285), (0, 0.0), (0xFFFF, -0.005), (0xF830, -10.0), (0xE0C0, -40.0), (0x7FFE, 163.83)],
)
def test_temperature_is_signed(word: int, temperature: float):
    values = decode((0, 0, 0, 0, 5000, word, 1000, 10, 400))
    assert values[Quantity.TEMPERATURE] == pytest.approx(temperature, abs=1e-9)


def test_frost_through_the_chip(rig: Rig):
    """A winter night comes out as it went in, not as 317 degrees."""
    rig.chip.set(Quantity.TEMPERATURE, -12.5)
    rig.start()
    assert rig.measure()[Quantity.TEMPERATURE] == pytest.approx(-12.5, abs=0.0026)


def test_unknown_words():
    """0xFFFF where the word has no sign, 0x7FFF where it has one; warming up or not."""
    unknown = (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0x7FFF, 0x7FFF, 0x7FFF, 0x7FFF, 0xFFFF)
    assert decode(unknown, warming=True) == dict.fromkeys(ALL, Missing.WARMING_UP)
    assert decode(unknown, warming=False) == dict.fromkeys(ALL, Missing.SENTINEL)


def test_only_the_right_word_is_unknown():
    """0x7FFF is a value where the word has no sign, and 0xFFFF one where it has."""
    values = decode((0x7FFF, 0, 0, 0, 0xFFFF, 0xFFFF, 1, 1, 0x7FFF))
    assert values[Quantity.PM1] == pytest.approx(3276.7)
    assert values[Quantity.HUMIDITY] == pytest.approx(-0.01)
    assert values[Quantity.CO2] == 32767.0


def test_warm_up(rig: Rig):
    """CO2 comes after 6 s, NOx after 11 s; until then they are warming up, and the rest is there."""
    rig.start()
    late = {Quantity.CO2: Missing.WARMING_UP, Quantity.NOX_INDEX: Missing.WARMING_UP}
    assert rig.missing() == late
    assert rig.missing(after=5.0) == {Quantity.NOX_INDEX: Missing.WARMING_UP}
    assert rig.missing(after=5.0) == {}


def test_unknown_when_warm_is_a_sentinel(rig: Rig):
    rig.chip.unknown.add(Quantity.CO2)
    rig.start()
    assert rig.missing(after=20.0) == {Quantity.CO2: Missing.SENTINEL}


def test_index_zero_is_no_index():
    values = decode((0, 0, 0, 0, 5000, 0, 0, 0, 400))
    assert {values[quantity] for quantity in GASES} == {Missing.WARMING_UP}
    assert values[Quantity.TEMPERATURE] == 0.0


@pytest.mark.parametrize(
    ("bit", "broken", "doubtful"),
    [
        (4, ALL, set()),
        (6, CLIMATE, GASES | CO2),
        (7, GASES, CLIMATE),
        (9, CO2, CLIMATE),
        (11, PARTICLES, set()),
        (12, CO2, CLIMATE),
        (21, set(), PARTICLES),
    ],
)
def test_status(bit: int, broken: set[Quantity], doubtful: set[Quantity]):
    """What an error bit says is broken is a fault; what is corrected by it is unreliable."""
    register = 1 << bit
    wanted = dict.fromkeys(doubtful, Missing.UNRELIABLE) | dict.fromkeys(broken, Missing.FAULT)
    assert faults((register >> 16, register & 0xFFFF)) == wanted


def test_several_errors():
    """A fault is never softened to a doubt, in whichever order the bits come."""
    both = faults((0, 1 << 6 | 1 << 7))
    assert {both[quantity] for quantity in CLIMATE | GASES} == {Missing.FAULT}
    assert both[Quantity.CO2] is Missing.UNRELIABLE


def test_reserved_status_bits_say_nothing():
    known = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 11 | 1 << 12 | 1 << 21
    rest = 0xFFFFFFFF & ~known
    assert faults((rest >> 16, rest & 0xFFFF)) == {}


def test_blocked_fan(rig: Rig):
    """A fan that blocked takes every value with it until the next start, also when it turns again."""
    rig.start()
    rig.measure(after=20.0)
    rig.chip.errors = 1 << 4
    assert rig.missing(after=1.0) == dict.fromkeys(ALL, Missing.FAULT)
    rig.chip.errors = 0
    assert rig.missing(after=5.0) == dict.fromkeys(ALL, Missing.FAULT)
    rig.start()
    assert rig.missing(after=20.0) == {}


def test_fan_speed_warning(rig: Rig):
    rig.start()
    rig.chip.warnings = 1 << 21
    assert rig.missing(after=20.0) == dict.fromkeys(PARTICLES, Missing.UNRELIABLE)
    rig.chip.warnings = 0
    assert rig.missing(after=1.0) == {}


def test_each_result_once(rig: Rig):
    """Asked faster than once a second, the driver waits for the next result; it does not repeat the last."""
    rig.start()
    rig.measure()
    began = rig.clock.now
    rig.chip.set(Quantity.PM2_5, 77.0)
    assert rig.measure()[Quantity.PM2_5] == pytest.approx(77.0)
    assert 0.8 < rig.clock.now - began < 1.2


@pytest.mark.parametrize("fault", ["brown-out", "stalled"])
def test_no_new_result(rig: Rig, fault: str):
    """A part that stopped measuring is an error after a bounded wait, not its last values for ever."""
    rig.start()
    rig.measure()
    if fault == "brown-out":
        rig.chip.power_cycle()
    rig.chip.stalled = fault == "stalled"
    began = rig.clock.now
    with pytest.raises(DeviceError, match="no new result"):
        rig.measure()
    assert rig.clock.now - began < 1.6
    rig.chip.stalled = False
    rig.start()
    assert rig.measure()


@pytest.mark.parametrize("name", ["SEN65", "SEN68", "SEN6", "SEN66C", ""])
def test_sisters_are_refused(rig: Rig, name: str):
    rig.chip.name = name
    with pytest.raises(WrongDevice, match="not a SEN66"):
        rig.start()


@pytest.mark.parametrize("spoiled", range(27))
def test_every_byte_is_guarded(spoiled: int):
    """One flipped bit anywhere in a result is a checksum error."""
    raw = bytearray.fromhex("005768007b9300954d009df410e11f1231c203f24c000faf026427")
    assert len(list(checked(bytes(raw)))) == 9
    raw[spoiled] ^= 0x04
    with pytest.raises(ChecksumError):
        list(checked(bytes(raw)))


def test_wrong_checksum_from_the_part(rig: Rig):
    rig.start()
    rig.chip.wires.corrupt = 1
    with pytest.raises(ChecksumError):
        rig.measure(after=2.0)
    assert rig.measure()


def test_altitude(clock: VirtualClock):
    """The altitude is told while the part is idle, also where it was measuring before."""
    rig = Rig(clock, Options(altitude=1950))
    rig.start()
    assert (rig.chip.altitude, rig.chip.measuring) == (1950, True)
    rig.chip.power_cycle()
    rig.start()
    rig.start()
    assert (rig.chip.altitude, rig.chip.measuring) == (1950, True)


def test_altitude_is_read_back(clock: VirtualClock):
    """A part that does not keep what it was told is an error."""
    rig = Rig(clock, Options(altitude=500))
    transfer = rig.chip.transfer

    def forgetful(write: bytes, read: int) -> bytes:
        if write == b"\x67\x36":
            rig.chip.altitude = 0
        return transfer(write, read)

    rig.chip.transfer = forgetful  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="500 m"):
        rig.start()


@pytest.mark.parametrize("altitude", [-1, 3001])
def test_altitudes_that_it_cannot_have(altitude: int):
    with pytest.raises(ValueError, match="0 to 3000"):
        Options(altitude=altitude)


def test_stop(rig: Rig):
    """Stopped, fan and laser rest; a start that follows at once waits until the part listens again."""
    rig.start()
    rig.run(rig.driver.stop())
    assert not rig.chip.measuring
    rig.start()
    assert rig.chip.measuring


def test_stop_in_the_middle_of_a_command(rig: Rig):
    """Given up between a command and its answer, the part is still stopped, not deaf to the stop."""

    async def give_up() -> None:
        await rig.driver.start()
        measuring = asyncio.create_task(rig.driver.measure())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        measuring.cancel()
        await rig.driver.stop()

    rig.run(give_up())
    assert not rig.chip.measuring


def test_probe(rig: Rig):
    """It is recognised by its name, also while it measures, and its sisters are not."""
    assert rig.run(probe(rig.bus, 0x6B, rig.clock)) == "product name SEN66"
    rig.start()
    rig.clock.now += 1.0
    assert rig.run(probe(rig.bus, 0x6B, rig.clock)) == "product name SEN66"
    assert rig.chip.measuring
    rig.chip.name = "SEN65"
    assert rig.run(probe(rig.bus, 0x6B, rig.clock)) is None
    rig.bus.chips.clear()
    assert rig.run(probe(rig.bus, 0x6B, rig.clock)) is None


class TestChip:
    """The emulated part is as strict as the real one."""

    def test_it_is_deaf_while_it_executes(self, rig: Rig):
        rig.chip.transfer(b"\xd0\x14", 0)
        with pytest.raises(NoAcknowledge):
            rig.chip.transfer(b"", 48)
        rig.clock.now += 0.02
        assert rig.chip.transfer(b"", 48)[:3] == b"SE\x83"

    def test_no_repeated_start(self, rig: Rig):
        with pytest.raises(NoAcknowledge):
            rig.chip.transfer(b"\xd0\x14", 48)

    @pytest.mark.parametrize("write", ["1234", "00", "0021 0000 81"])
    def test_unknown_commands(self, rig: Rig, write: str):
        with pytest.raises(BusError):
            rig.chip.transfer(bytes.fromhex(write), 0)

    def test_nothing_to_read(self, rig: Rig):
        with pytest.raises(NoAcknowledge):
            rig.chip.transfer(b"", 3)

    @pytest.mark.parametrize("arguments", ["0064", "006400", "0bb9b0"])
    def test_altitude_needs_its_checksum(self, rig: Rig, arguments: str):
        with pytest.raises(BusError):
            rig.chip.transfer(bytes.fromhex("6736" + arguments), 0)

    def test_altitude_is_for_the_idle_part(self, rig: Rig):
        rig.start()
        rig.clock.now += 1.0
        with pytest.raises(NoAcknowledge):
            rig.chip.transfer(b"\x67\x36", 0)

    def test_reset_is_a_power_cycle(self, rig: Rig):
        rig.chip.altitude = 100
        rig.chip.transfer(b"\xd3\x04", 0)
        assert rig.chip.altitude == 0
        with pytest.raises(NoAcknowledge):
            rig.chip.transfer(b"\xd0\x14", 0)
