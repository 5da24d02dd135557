"""MB7040: a part that is deaf while it ranges, error codes, and no echo."""

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest

from drivers.bus import BusError, NoAcknowledge
from drivers.device import Missing, Quantity
from drivers.emulated import EmulatedI2C
from drivers.flood.mb7040 import ADDRESSES, Driver, decode
from drivers.flood.mb7040.chip import Emulated
from tests.conftest import VirtualClock


class Rig:
    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.chip = Emulated(clock)
        self.bus = EmulatedI2C({0x70: self.chip})
        self.driver = Driver(self.bus, 0x70, clock)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(main)

    def distance(self) -> float | Missing:
        values = self.run(self.driver.measure())
        assert set(values) == {Quantity.DISTANCE}
        found: float | Missing = values[Quantity.DISTANCE]
        return found


@pytest.fixture
def rig(clock: VirtualClock) -> Rig:
    return Rig(clock)


@pytest.mark.parametrize(
    ("raw", "distance"),
    [
        ("012c", 3.0),
        ("0014", 0.2),
        ("02fc", 7.64),
        ("02fd", Missing.NO_TARGET),
        ("02fe", Missing.OUT_OF_RANGE),
        ("0013", Missing.OUT_OF_RANGE),
        ("0000", Missing.OUT_OF_RANGE),
        ("7fff", Missing.OUT_OF_RANGE),
        ("8014", Missing.SENTINEL),
        ("812c", Missing.SENTINEL),
        ("ffff", Missing.SENTINEL),
    ],
)
def test_decode(raw: str, distance: float | Missing):
    """Metres; a negative number is an error, not 327 m, and the farthest means that nothing came back."""
    assert decode(bytes.fromhex(raw)) == distance


@pytest.mark.parametrize("code", [0x8014, -1, -5])
def test_error_codes(rig: Rig, code: int):
    rig.chip.code = code
    assert rig.distance() is Missing.SENTINEL


def test_no_echo(rig: Rig):
    rig.chip.blind = True
    assert rig.distance() is Missing.NO_TARGET


def test_each_measurement_ranges(rig: Rig):
    """The distance is of now, not of the ranging before."""
    rig.run(rig.driver.start())
    for metres in (1.0, 5.0, 2.5):
        rig.chip.set(Quantity.DISTANCE, metres)
        assert rig.distance() == metres
    assert rig.chip.rangings == 4


def test_the_echo_may_die_away(rig: Rig):
    """Two rangings begin at least 100 ms apart, however fast they are asked for."""
    commands: list[float] = []
    transfer = rig.chip.transfer

    def noted(write: bytes, read: int) -> bytes:
        answer = transfer(write, read)
        if write:
            commands.append(rig.clock.now)
        return answer

    rig.chip.transfer = noted  # type: ignore[method-assign]
    for _ in range(5):
        rig.distance()
    assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in pairwise(commands))
    assert len(commands) == 5


@pytest.mark.parametrize("slow", [0.02, 0.05, 0.08])
def test_a_ranging_that_takes_longer(rig: Rig, slow: float):
    """A part that does not acknowledge yet is asked again."""
    rig.chip.set(Quantity.DISTANCE, 7.5)
    rig.chip.slow = slow
    assert rig.distance() == 7.5


def test_a_ranging_that_never_ends(rig: Rig):
    """The wait is bounded; then it is the bus's own error. Once the part is back, so is the distance."""
    rig.chip.hung = True
    began = rig.clock.now
    with pytest.raises(NoAcknowledge):
        rig.distance()
    assert 0.15 < rig.clock.now - began < 0.2
    with pytest.raises(NoAcknowledge):
        rig.distance()
    rig.chip.hung = False
    rig.chip.power_cycle()
    assert rig.distance() == 3.0


def test_started_while_it_ranges(rig: Rig):
    """A gateway that was restarted in the middle of a ranging waits for its end."""
    rig.chip.transfer(b"\x51", 0)
    rig.run(rig.driver.start())
    assert rig.distance() == 3.0


def test_another_error_is_not_repeated(rig: Rig):
    """Only "no acknowledge" may mean that it ranges; anything else is told at once."""
    rig.bus.faults.append(BusError("arbitration lost"))
    with pytest.raises(BusError, match="arbitration"):
        rig.distance()
    assert rig.bus.transfers == 1


def test_part_information_is_no_distance(rig: Rig):
    """After power-up the part answers with its version; the driver never reads before it has ranged."""
    rig.chip.power_cycle()
    rig.run(rig.driver.start())
    assert rig.distance() == 3.0
    assert rig.chip.transfer(b"", 2) == b"\x01\x2c"


def test_addresses():
    """The default first; 80, 164 and 170, which the part refuses as 8-bit addresses, not at all."""
    assert ADDRESSES[0] == 0x70
    assert not {80 // 2, 164 // 2, 170 // 2} & set(ADDRESSES)
    assert len(ADDRESSES) == 0x78 - 0x08 - 3


def test_stop_says_nothing(rig: Rig):
    """The part ranges only on command, so that there is nothing to stop."""
    rig.run(rig.driver.stop())
    assert (rig.bus.transfers, rig.chip.rangings) == (0, 0)


class TestChip:
    """The emulated part is as strict as the real one."""

    def test_it_is_deaf_while_it_ranges(self, rig: Rig):
        rig.chip.transfer(b"\x51", 0)
        for write, read in ((b"\x51", 0), (b"", 2)):
            with pytest.raises(NoAcknowledge):
                rig.chip.transfer(write, read)

    def test_a_far_surface_takes_longer(self, rig: Rig):
        rig.chip.set(Quantity.DISTANCE, 7.0)
        rig.chip.transfer(b"\x51", 0)
        rig.clock.now += 0.055
        with pytest.raises(NoAcknowledge):
            rig.chip.transfer(b"", 2)
        rig.clock.now += 0.01
        assert rig.chip.transfer(b"", 2) == (700).to_bytes(2)

    def test_no_repeated_start(self, rig: Rig):
        with pytest.raises(NoAcknowledge):
            rig.chip.transfer(b"\x51", 2)

    def test_unknown_commands(self, rig: Rig):
        with pytest.raises(BusError):
            rig.chip.transfer(b"\xaa\xa5\x42", 0)
        with pytest.raises(BusError):
            rig.chip.transfer(b"", 3)

    def test_near_reads_as_the_nearest(self, rig: Rig):
        rig.chip.set(Quantity.DISTANCE, 0.05)
        assert rig.distance() == 0.2
