"""TCA9548A: channels as buses, never two at once, resets, stuck lines, and muxes behind muxes."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import drivers
from drivers.board.tca9548a import ADDRESSES, Channel, Options, Turn, probe, pull
from drivers.board.tca9548a.chip import Emulated, Wired
from drivers.bus import BusError, BusTimeout, NoAcknowledge
from drivers.device import Quantity
from drivers.emulated import EmulatedI2C, EmulatedPins

(VECTOR,) = [
    vector
    for vector in json.loads((Path(__file__).parent.parent / "vectors" / "drivers.json").read_text())[
        "vectors"
    ]
    if vector["part"] == "TCA9548A"
]
T, H = Quantity.TEMPERATURE, Quantity.HUMIDITY


@dataclass
class Named:
    """A target that answers with its name, and counts what it was asked."""

    name: bytes
    asked: int = 0
    spans: dict = field(default_factory=dict)

    def transfer(self, write, read):
        self.asked += 1
        return self.name[:read].ljust(read, b"\xff")

    def set(self, quantity, value):
        raise ValueError

    def power_cycle(self):
        pass


@dataclass
class Board:
    """A mux at 0x70 with a target at 0x29 behind each channel, and one at 0x50 on the bus itself."""

    clock: object
    keep: bool = False

    def __post_init__(self):
        self.mux = Emulated(self.clock)
        self.wires = EmulatedI2C(Wired({0x70: self.mux, 0x50: Named(b"top")}))
        for number, chips in enumerate(self.mux.behind):
            chips[0x29] = Named(b"no%d" % number)
        self.turn = Turn()
        self.channels = [
            Channel(self.wires, 0x70, number, self.turn, Options(keep=self.keep)) for number in range(8)
        ]

    def ask(self, number, address=0x29):
        return asyncio.run(self.channels[number].transfer(address, b"\x00", 3))


@dataclass
class Commands:
    """The vector's target: commands of one byte, and the answers that were recorded."""

    responses: dict
    spans: dict = field(default_factory=dict)
    answer: bytes = b""

    def transfer(self, write, read):
        if write:
            self.answer = bytes.fromhex(self.responses[write.hex()][0])
        return self.answer[:read]

    def set(self, quantity, value):
        raise ValueError

    def power_cycle(self):
        pass


def test_the_recorded_example_an_sht4x_behind_channel_5(clock):
    """The driver of the part behind does not know of the mux, and the mask is the recorded one each time."""
    device = VECTOR["device"]
    mux = Emulated(clock)
    mux.behind[device["channel"]] = {
        int(at, 16): Commands(target["responses"]) for at, target in device["behind"].items()
    }
    channel = Channel(EmulatedI2C(Wired({0x70: mux})), 0x70, device["channel"])
    part = drivers.load("sht4x").driver(channel, 0x44, clock)

    async def main():
        await part.start()
        mux.masks.clear()
        return await part.measure()

    values, expected = asyncio.run(main()), VECTOR["expected"]
    assert values[T] == pytest.approx(expected["temperature"]["value"], abs=expected["temperature"]["tol"])
    assert values[H] == pytest.approx(expected["humidity"]["value"], abs=expected["humidity"]["tol"])
    assert {f"{mask:02x}" for mask in mux.masks} == set(expected["mux_writes"]["value"])
    assert mux.masks[0::2] == [0x20] * (len(mux.masks) // 2)
    assert mux.masks[1::2] == [0x00] * (len(mux.masks) // 2)


@pytest.mark.parametrize("keep", [False, True])
def test_each_channel_is_its_own_bus(clock, keep):
    board = Board(clock, keep)
    assert [board.ask(number) for number in (0, 7, 7, 3, 0, 3)] == [
        *(b"no0", b"no7", b"no7"),
        *(b"no3", b"no0", b"no3"),
    ]
    assert board.mux.most_on == 1


def test_the_channel_is_off_between_transfers_or_kept(clock):
    board, kept = Board(clock), Board(clock, keep=True)
    for _ in range(3):
        board.ask(5)
        kept.ask(5)
    assert board.mux.masks == [0x20, 0x00] * 3
    assert kept.mux.masks == [0x20]


def test_targets_on_the_bus_itself_are_reached_through_a_channel_too(clock):
    """That is how the switch works, and why their addresses must differ from those behind it."""
    board = Board(clock)
    assert board.ask(1, 0x50) == b"top"
    board.wires.chips[0x29] = Named(b"xxx")
    assert board.ask(1) not in (b"no1", b"xxx")


@pytest.mark.parametrize("keep", [False, True])
def test_many_tasks_at_once_never_meet(clock, keep):
    """A transfer that has to wait inside the bus is not disturbed by another channel's."""
    board = Board(clock, keep)
    carried, order = board.wires.transfer, []

    async def slow(address, write=b"", read=0):
        order.append(address)
        await asyncio.sleep(0)
        return await carried(address, write, read)

    board.wires.transfer = slow

    async def main():
        asked = [board.channels[number % 8].transfer(0x29, b"\0", 3) for number in range(40)]
        return await asyncio.gather(*asked)

    assert asyncio.run(main()) == [b"no%d" % (number % 8) for number in range(40)]
    assert board.mux.most_on == 1
    assert order[:2] == [0x70, 0x29]


@pytest.mark.parametrize("keep", [False, True])
def test_a_reset_of_the_mux_between_selection_and_transfer_is_not_noticed(clock, keep):
    board = Board(clock, keep)
    board.ask(4)
    transfers = 0

    def before():
        nonlocal transfers
        transfers += 1
        if transfers == (1 if keep else 2):  # before the target is addressed
            board.mux.reset()

    board.wires.before = before
    assert board.ask(4) == b"no4"
    assert board.mux.behind[4][0x29].asked == 2


def test_an_absent_target_is_asked_once(clock):
    board = Board(clock)
    with pytest.raises(NoAcknowledge, match="0x30"):
        board.ask(2, 0x30)
    assert board.mux.masks == [0x04, 0x00]
    assert board.mux.mask == 0


def test_an_absent_mux_is_told_in_the_bus_own_words(clock):
    board = Board(clock)
    del board.wires.chips[0x70]
    with pytest.raises(NoAcknowledge, match="0x70"):
        board.ask(2)


def test_a_mux_that_could_not_be_turned_off_is_turned_off_before_another_ones_channel(clock):
    """Two muxes on one bus: a part behind one never answers together with a part behind the other."""
    board = Board(clock)
    other = Emulated(clock)
    other.behind[0][0x29] = Named(b"2nd")
    board.wires.chips[0x71] = other
    second = Channel(board.wires, 0x71, 0, board.turn)
    seen = []

    def before():
        seen.append(len(board.mux.on) + len(other.on))
        if len(seen) == fail:
            raise BusError("arbitration lost")

    board.wires.before = before
    fail = 4
    board.ask(6)  # whose mask could not be taken back
    fail = -1
    assert board.mux.on == [6]
    assert asyncio.run(second.transfer(0x29, b"\0", 3)) == b"2nd"
    assert max(seen) == 1


@pytest.mark.parametrize("keep", [False, True])
def test_what_another_program_or_an_earlier_life_left_on_is_turned_off_first(clock, keep):
    board = Board(clock, keep)
    other = Emulated(clock)
    other.behind[3][0x29] = Named(b"2nd")
    board.wires.chips[0x71] = other
    Channel(board.wires, 0x71, 0, board.turn)
    other.transfer(b"\xff", 0)
    assert board.ask(6) == b"no6"
    assert other.mask == 0


def test_a_mux_that_was_unplugged_does_not_hold_up_the_other(clock):
    board = Board(clock)
    Channel(board.wires, 0x71, 0, board.turn)
    assert board.ask(6) == b"no6"


def test_the_answer_stands_although_the_channel_could_not_be_turned_off(clock):
    board = Board(clock)
    carried = board.wires.transfer

    async def deaf(address, write=b"", read=0):
        if (address, write) == (0x70, b"\x00"):
            raise BusError("arbitration lost")
        return await carried(address, write, read)

    board.wires.transfer = deaf
    assert board.ask(6) == b"no6"
    assert board.ask(1) == b"no1"
    assert board.mux.most_on == 1


def test_a_transfer_that_is_given_up_leaves_no_channel_on(clock):
    board = Board(clock)
    carried = board.wires.transfer

    async def hang(address, write=b"", read=0):
        if address == 0x29:
            await asyncio.sleep(3600)
        return await carried(address, write, read)

    board.wires.transfer = hang

    async def main():
        task = asyncio.create_task(board.channels[3].transfer(0x29, b"\0", 3))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return board.mux.mask, await board.channels[3].transfer(0x50, b"\0", 3)

    assert asyncio.run(main()) == (0, b"top")


def test_a_stuck_channel_takes_the_bus_with_it_without_reset(clock):
    board = Board(clock)
    board.mux.stuck.add(2)
    with pytest.raises(BusTimeout, match="holds SDA low"):
        board.ask(2)
    with pytest.raises(BusTimeout):
        board.ask(0)
    board.mux.stuck.clear()
    assert board.ask(0) == b"no0"


@pytest.mark.parametrize("keep", [False, True])
def test_reset_frees_the_other_channels(clock, keep):
    """The line is pulled while the channel is on; the stuck part then only harms itself."""
    board, pins = Board(clock, keep), EmulatedPins(clock)

    async def reset():
        await pull(pins, 5, clock)
        board.mux.reset()

    board.turn.reset = reset
    board.mux.stuck.add(2)
    with pytest.raises(BusTimeout):
        board.ask(2)
    assert pins.log == [(5, "level", False), (5, "output", False), (5, "level", True)]
    assert board.ask(0) == b"no0"


def test_a_mux_behind_a_mux(clock):
    """The inner channel is a bus on the outer one."""
    outer, inner = Emulated(clock), Emulated(clock)
    outer.behind[7] = {0x71: inner}
    outer.behind[6] = {0x29: Named(b"out")}
    inner.behind[1] = {0x29: Named(b"in1")}
    inner.behind[2] = {0x29: Named(b"in2")}
    wires, turn, deep = EmulatedI2C(Wired({0x70: outer})), Turn(), Turn()
    seven, six = Channel(wires, 0x70, 7, turn), Channel(wires, 0x70, 6, turn)
    first, second = Channel(seven, 0x71, 1, deep), Channel(seven, 0x71, 2, deep)

    async def main():
        return [await each.transfer(0x29, b"\0", 3) for each in (first, six, second, first)]

    assert asyncio.run(main()) == [b"in1", b"out", b"in2", b"in1"]
    assert (outer.most_on, inner.most_on) == (1, 1)


def test_nothing_behind_a_mux_can_have_its_address(clock):
    with pytest.raises(BusError, match="the mux itself"):
        Board(clock).ask(0, 0x70)


@pytest.mark.parametrize("channel", [-1, 8])
def test_there_are_eight_channels(clock, channel):
    with pytest.raises(ValueError, match="0 to 7"):
        Channel(EmulatedI2C({}), 0x70, channel)


@pytest.mark.parametrize("mask", [0x00, 0x10, 0x81])
def test_probe_recognises_it_and_leaves_it_as_it_was(clock, mask):
    board = Board(clock)
    board.mux.transfer(bytes([mask]), 0)
    assert f"{mask:#04x}" in asyncio.run(probe(board.wires, 0x70, clock))
    assert board.mux.mask == mask


class Constant:
    """A line that is stuck, or a memory in which everything is the same."""

    def __init__(self, byte):
        self.byte = byte

    async def transfer(self, address, write=b"", read=0):
        return bytes([self.byte]) * read


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x80, 0xFF])
def test_probe_refuses_what_always_answers_the_same(clock, byte):
    assert asyncio.run(probe(Constant(byte), 0x70, clock)) is None


@pytest.mark.parametrize("name", ["mb7040", "bme280", "bme688", "ms5837", "ms5803", "pca9685"])
def test_probe_refuses_the_other_parts_of_its_addresses(clock, name):
    part = drivers.load(name)
    chip = __import__(f"drivers.{part.domain}.{name}.chip", fromlist=["Emulated"]).Emulated(clock)
    clock.now += 10
    address = next(each for each in part.addresses if each in ADDRESSES)
    assert asyncio.run(probe(EmulatedI2C({address: chip}), address, clock)) is None


def test_probe_refuses_an_empty_address(clock):
    assert asyncio.run(probe(EmulatedI2C({}), 0x70, clock)) is None


def test_the_chip_alone(clock):
    """The last byte counts; a mask is read back as often as one likes; a repeated start is refused."""
    mux = Emulated(clock)
    mux.transfer(b"\x01\x80", 0)
    assert (mux.on, mux.transfer(b"", 2)) == ([7], b"\x80\x80")
    with pytest.raises(BusError, match="stop"):
        mux.transfer(b"\x01", 1)
    mux.power_cycle()
    assert mux.on == []
    with pytest.raises(ValueError):
        mux.set(T, 1.0)


def test_two_targets_at_one_address_answer_together(clock):
    """Zeros win, and one that does not acknowledge leaves it to the other."""
    mux = Emulated(clock)
    mux.behind[0][0x29], mux.behind[1][0x29] = Named(b"\xf0\x0f"), Named(b"\x3c\x3c")
    wired = Wired({0x70: mux})
    mux.transfer(b"\x03", 0)
    assert wired[0x29].transfer(b"\0", 2) == b"\x30\x0c"
    assert set(wired) == {0x70, 0x29}
    assert len(wired) == 2
    assert mux.most_on == 2
