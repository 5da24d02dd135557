"""What Sensirion's parts share: their driver's side, and their emulated side, each against the datasheets."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import drivers
from drivers.bus import BusError, NoAcknowledge
from drivers.device import ChecksumError, Clock, Values, WrongDevice
from drivers.emulated import EmulatedI2C
from drivers.sensirion import Port, checked, guarded, identify, register
from drivers.sensirion.chip import Interface, framed, spelt, words
from gateway.clock import LoopClock
from tests.conftest import VirtualClock
from tests.drivers.air_rig import run
from tests.drivers.test_sweep import new_chip

EXAMPLES = [(0xBEEF, 0x92), (0x0000, 0x81), (0xFFFF, 0xAC), (0x8000, 0xA2), (0x6666, 0x93)]


@pytest.mark.parametrize("guard", [guarded, framed])
@pytest.mark.parametrize(("word", "crc"), EXAMPLES)
def test_the_checksums_of_the_datasheets(guard: Callable[[int], bytes], word: int, crc: int):
    """SHT4x 4.4, SEN6x 4.3, and the examples of the SGP41 and the SPS30; each side reckons on its own."""
    assert guard(word) == word.to_bytes(2) + bytes([crc])


@given(st.integers(0, 0xFFFF))
def test_the_two_sides_agree(word: int):
    assert guarded(word) == framed(word)


@given(st.binary(min_size=6, max_size=6))
def test_a_frame_is_only_taken_with_both_checksums(raw: bytes):
    try:
        found = tuple(checked(raw))
    except ChecksumError:
        found = ()
    proper = raw == framed(int.from_bytes(raw[0:2])) + framed(int.from_bytes(raw[3:5]))
    assert found == ((int.from_bytes(raw[0:2]), int.from_bytes(raw[3:5])) if proper else ())


@pytest.mark.parametrize("spoilt", range(48))
def test_every_bit_of_a_frame_is_guarded(spoilt: int):
    raw = bytearray(guarded(0x1234) + guarded(0xFEDC))
    raw[spoilt // 8] ^= 1 << spoilt % 8
    with pytest.raises(ChecksumError, match=f"word {spoilt // 24} has CRC"):
        list(checked(bytes(raw)))


def test_a_name_ends_with_its_first_zero():
    identify(spelt("SEN66", 16), "SEN66")
    for name in ("SEN6", "SEN66C", ""):
        with pytest.raises(WrongDevice, match="not a SEN66"):
            identify(spelt(name, 16), "SEN66")


def test_a_name_that_is_no_text():
    with pytest.raises(WrongDevice, match="not a SEN55"):
        identify((0xFFFE, 0x80FF), "SEN55")


def test_a_register_comes_high_word_first():
    assert register((0x0020, 0x0010)) == 1 << 21 | 1 << 4


@dataclass
class Queue:
    """A bus that others use too: a transfer waits *queue* seconds. *log* keeps when each one ended."""

    clock: Clock
    queue: float
    log: list[float] = field(default_factory=list)

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        await self.clock.sleep(self.queue)
        self.log.append(self.clock.monotonic())
        return (guarded(0) * read)[:read]


@pytest.mark.parametrize("width", [1, 2])
def test_a_command_waits_for_the_one_before_that_was_given_up(clock: VirtualClock, width: int):
    """The part begins when the transfer ends, which on a busy bus is late."""
    bus = Queue(clock, 0.3)
    port = Port(bus, 0x44, clock, 0.05, width)
    run(port.tell(0x89))
    bus.queue = 0.0
    run(port.tell(0x89))
    assert bus.log == [pytest.approx(0.3), pytest.approx(0.35)]


@dataclass
class Ready:
    """A part that says at the *turn*-th time that it has a result, in bit 3."""

    turn: int
    asked: int = 0

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        self.asked += bool(write)
        return guarded(0x8000 | (0x0008 if self.asked >= self.turn else 0))[:read]


@pytest.mark.parametrize(
    ("turn", "mask", "found"), [(1, 0xFF, True), (5, 0xFF, True), (6, 0xFF, False), (1, 7, False)]
)
def test_a_result_is_waited_for_so_often(clock: VirtualClock, turn: int, mask: int, found: bool):
    part = Ready(turn)
    port = Port(part, 0x69, clock, 0.02)
    assert asyncio.run(port.ready(0x0202, mask, 5, 0.1)) is found
    assert part.asked == (turn if found else 5)
    assert clock.now == pytest.approx(part.asked * 0.12 - (0.1 if found else 0.0))


@pytest.fixture
def wires(clock: VirtualClock) -> Interface:
    return Interface(clock)


def test_an_emulated_part_is_deaf_while_it_executes(wires: Interface, clock: VirtualClock):
    wires.occupy(0.02)
    with pytest.raises(NoAcknowledge, match="executes"):
        wires.listen()
    clock.now += 0.02
    wires.listen()


def test_an_answer_is_read_once_and_ends_in_ones(wires: Interface):
    wires.answer(0xBEEF)
    assert wires.read(5).hex() == "beef92ffff"
    with pytest.raises(NoAcknowledge, match="nothing to read"):
        wires.read(3)


def test_the_beginning_of_an_answer_takes_all_of_it(wires: Interface):
    wires.answer(0xBEEF, 0x8000)
    assert wires.read(2).hex() == "beef"
    with pytest.raises(NoAcknowledge):
        wires.read(3)


def test_a_new_command_drops_the_answer(wires: Interface):
    wires.answer(0xBEEF)
    wires.occupy(0.0)
    with pytest.raises(NoAcknowledge):
        wires.read(3)


def test_a_corrupt_answer_is_one(wires: Interface):
    wires.corrupt = 1
    for wrong in (True, False):
        wires.answer(0xBEEF)
        assert (wires.read(3) != guarded(0xBEEF)) is wrong


def test_no_repeated_start(wires: Interface):
    seen: list[tuple[int, bytes]] = []
    with pytest.raises(NoAcknowledge, match="takes time"):
        wires.exchange(b"\x02\x02", 3, lambda *heard: seen.append(heard))
    assert wires.exchange(b"\x03\x00" + framed(7), 0, lambda *heard: seen.append(heard)) == b""
    assert seen == [(0x0202, b""), (0x0300, framed(7))]
    assert wires.exchange(b"", 0, lambda *heard: seen.append(heard)) == b""


@pytest.mark.parametrize("raw", ["beef93", "beef", "be", "beef92be", "beef92000082"])
def test_arguments_without_their_checksums_are_refused(raw: str):
    with pytest.raises(BusError, match="followed by its CRC"):
        words(bytes.fromhex(raw))


def test_arguments_with_their_checksums():
    assert words(bytes.fromhex("beef92000081")) == (0xBEEF, 0)
    assert words(b"") == ()


PARTS = ["sen55", "sen66", "scd41", "sgp41", "sps30"]
QUESTIONS = {"sen55": "d014", "sen66": "d014", "scd41": "3682", "sgp41": "3682", "sps30": "d002"}
"""A command that each part answers whatever it does."""


@pytest.mark.parametrize("name", PARTS)
def test_every_emulated_part_gives_an_answer_once(name: str, clock: VirtualClock):
    chip = new_chip(name, clock)
    clock.now += 1.0
    chip.transfer(bytes.fromhex(QUESTIONS[name]), 0)
    clock.now += 0.05
    assert len(chip.transfer(b"", 3)) == 3
    with pytest.raises(NoAcknowledge, match="nothing to read"):
        chip.transfer(b"", 3)


@pytest.mark.parametrize("name", ["sen55", "sen66", "scd41", "sgp41"])
def test_an_emulated_part_whose_commands_take_time_knows_no_repeated_start(name: str, clock: VirtualClock):
    """An SPS30 reads at once, and does know it."""
    chip = new_chip(name, clock)
    clock.now += 1.0
    with pytest.raises(NoAcknowledge, match="takes time"):
        chip.transfer(bytes.fromhex(QUESTIONS[name]), 3)


@pytest.mark.parametrize("name", ["sen55", "sen66", "scd41", "sgp41", "sht4x"])
def test_a_measurement_given_up_half_way_does_not_disturb_the_next(
    virtual: Callable[[Coroutine[Any, Any, Any]], Any], name: str
):
    """The part goes on with what it was told, and is deaf meanwhile. An SPS30 reads at once, and never is."""
    part = drivers.load(name)
    for package in part.needs:
        pytest.importorskip(package, reason="an extra is not installed: pip install 'lamppost[gas]'")

    async def main() -> Values:
        clock = LoopClock()
        bus = EmulatedI2C({part.addresses[0]: new_chip(name, clock)})
        driver = part.driver(bus, part.addresses[0], clock)
        await clock.sleep(1.0)
        await driver.start()
        await clock.sleep(6.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.0005):
                await driver.measure()
        values: Values = await driver.measure()
        return values

    assert set(virtual(main())) == part.driver.quantities
