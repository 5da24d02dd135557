"""MCP23017: the recorded example, levels before directions, resets, interrupts, and drivers on its lines."""

import asyncio
import json
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.board import contact, switch
from drivers.board.contact.chip import Emulated as Reed
from drivers.board.mcp23017 import Lines, Options, decode, probe
from drivers.board.mcp23017.chip import Emulated
from drivers.board.switch.chip import Emulated as Relay
from drivers.bus import BusError, NoAcknowledge
from drivers.device import DeviceError, Quantity, WrongDevice
from drivers.emulated import EmulatedI2C, EmulatedPins
from gateway.clock import LoopClock

(VECTOR,) = [
    vector
    for vector in json.loads((Path(__file__).parent.parent / "vectors" / "drivers.json").read_text())[
        "vectors"
    ]
    if vector["part"] == "MCP23017"
]
INT = 4  # the line of the header that the interrupt is wired to


class Memory:
    """Plain registers, which keep what is written."""

    def __init__(self, registers, size=64):
        self.registers = bytearray(size)
        for at, value in registers.items():
            self.registers[at] = value
        self.pointer = 0

    async def transfer(self, address, write=b"", read=0):
        if write:
            self.pointer = write[0]
        for value in write[1:]:
            self.registers[self.pointer] = value
            self.pointer += 1
        return bytes(self.registers[self.pointer : self.pointer + read])


class Bench:
    """One expander on a bus of its own, its interrupt wired to a header or not."""

    def __init__(self, clock, wired=False, **options):
        self.clock = clock
        self.chip = Emulated(clock)
        self.header = EmulatedPins(clock)
        self.chip.interrupt = lambda high: self.header.set(INT, high)
        self.wires = EmulatedI2C({0x20: self.chip})
        self.options = Options(interrupt=INT if wired else None, **options)
        self.lines = Lines(self.wires, 0x20, clock, self.options, self.header)


@pytest.fixture
def bench(clock):
    return Bench(clock)


def test_the_recorded_example(clock):
    """The levels of all lines, from plain registers that were preloaded."""
    preset = {int(at, 16): int(value, 16) for at, value in VECTOR["device"]["regs"].items()}
    lines, expected = Lines(Memory(preset), int(VECTOR["i2c_address"], 16), clock), VECTOR["expected"]

    async def main():
        await lines.start()
        return [await lines.read(line) for line in range(16)]

    levels = asyncio.run(main())
    assert sum(high << line for line, high in enumerate(levels)) == expected["gpio"]["value"]
    assert levels[0] is expected["pin_0"]["value"]
    assert levels[15] is expected["pin_15"]["value"]


@given(st.binary(min_size=2, max_size=2))
def test_decode(raw):
    """GPA0 is line 0, GPB7 line 15."""
    assert sum(high << line for line, high in enumerate(decode(raw))) == raw[0] | raw[1] << 8


@pytest.mark.parametrize("line", [0, 7, 8, 15])
@pytest.mark.parametrize("high", [False, True])
def test_the_level_comes_before_the_direction(bench, line, high):
    """The defect of released drivers: an output first, and at whatever level it is."""

    async def main():
        await bench.lines.start()
        await bench.lines.write(line, high)

    asyncio.run(main())
    assert bench.chip.pins.log == [(line, "level", high), (line, "output", high)]


def test_lines_do_not_disturb_each_other(bench):
    async def main():
        await bench.lines.start()
        for line in range(0, 16, 2):
            await bench.lines.write(line, line % 4 == 0)
        bench.chip.pins.set(1, False)
        return [await bench.lines.read(line) for line in range(16)]

    assert asyncio.run(main()) == [line % 4 == 0 if line % 2 == 0 else line != 1 for line in range(16)]
    assert bench.chip.pins.outputs == set(range(0, 16, 2))


def test_an_output_is_told_as_its_pin_is(bench):
    """A short shows, as it does on the header."""

    async def main():
        await bench.lines.start()
        await bench.lines.write(3, True)
        bench.chip.shorted[3] = False
        return await bench.lines.read(3)

    assert asyncio.run(main()) is False


@pytest.mark.parametrize("use", ["read", "write"])
def test_a_reset_is_noticed_and_outputs_come_back_level_first(bench, use):
    async def main():
        await bench.lines.start()
        await bench.lines.write(2, True)
        await bench.lines.write(9, False)
        bench.chip.reset()
        assert bench.chip.pins.outputs == set()
        bench.chip.pins.log.clear()
        if use == "read":
            return await bench.lines.read(2)
        await bench.lines.write(4, True)
        return True

    assert asyncio.run(main())
    assert bench.chip.pins.outputs == ({2, 9} if use == "read" else {2, 4, 9})
    for line in (2, 9):
        moves = [(what, high) for at, what, high in bench.chip.pins.log if at == line]
        assert moves == [("level", line == 2), ("output", line == 2)]
    assert bench.lines.resets == (use == "read")  # the first write to a line writes all there is anyway


def test_a_reset_is_noticed_although_all_lines_are_plain_inputs(clock):
    """The configuration differs from a reset part's in any case."""
    bench = Bench(clock, pull_ups=False)

    async def main():
        await bench.lines.start()
        bench.chip.reset()
        await bench.lines.read(0)

    asyncio.run(main())
    assert bench.lines.resets == 1


@pytest.mark.parametrize("pull_ups", [True, False])
def test_pull_ups_are_those_of_the_inputs(clock, pull_ups):
    bench = Bench(clock, pull_ups=pull_ups)

    async def main():
        await bench.lines.start()
        await bench.lines.write(8, False)

    asyncio.run(main())
    assert bench.chip.memory["gppu"] == ([0xFF, 0xFE] if pull_ups else [0, 0])


def test_a_level_that_could_not_be_set_is_not_set_later(bench):
    """Whoever was told that the siren could not be turned on must not find it on a minute later."""

    async def fail(at):
        await bench.lines.start()
        await bench.lines.write(5, False)
        seen = 0

        def before():
            nonlocal seen
            seen += 1
            if seen == at:
                raise BusError("arbitration lost")

        bench.wires.before = before
        with suppress(BusError):
            await bench.lines.write(5, True)
        failed = seen >= at
        bench.wires.before = lambda: None
        await bench.lines.read(0)
        return failed

    turns = 0
    while asyncio.run(fail(turns + 1)):
        turns += 1
        assert bench.chip.pins.levels[5] is False
    assert turns == 2


def test_a_write_that_is_given_up_is_taken_back(bench):
    carried = bench.wires.transfer

    async def hang(address, write=b"", read=0):
        if read:
            await asyncio.sleep(3600)
        return await carried(address, write, read)

    async def main():
        await bench.lines.start()
        await bench.lines.write(5, False)
        bench.wires.transfer = hang
        task = asyncio.create_task(bench.lines.write(5, True))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bench.wires.transfer = carried
        return await bench.lines.read(5)

    assert asyncio.run(main()) is False


@pytest.mark.parametrize("control", [0x80, 0x20, 0xA0])
def test_a_part_that_another_program_left_in_another_mode_is_brought_back(bench, control):
    """In bank mode every register has another number; without sequence a burst reads the same again."""
    bench.chip.transfer(bytes([0x0A, control]), 0)

    async def main():
        await bench.lines.start()
        await bench.lines.write(11, True)
        return await bench.lines.read(11)

    assert asyncio.run(main())
    assert bench.chip.pins.outputs == {11}


def test_outputs_of_an_earlier_life_let_go_at_the_start(bench):
    bench.chip.transfer(b"\x00\x00\x00", 0)
    assert len(bench.chip.pins.outputs) == 16
    asyncio.run(bench.lines.start())
    assert bench.chip.pins.outputs == set()


def test_stop_lets_go_of_every_line(bench):
    async def main():
        await bench.lines.start()
        await bench.lines.write(1, True)
        await bench.lines.stop()

    asyncio.run(main())
    assert bench.chip.pins.outputs == set()


def test_a_part_that_keeps_nothing(bench):
    bench.chip.deaf = True
    with pytest.raises(WrongDevice, match="0x20"):
        asyncio.run(bench.lines.start())
    with pytest.raises(DeviceError, match="does not keep"):
        asyncio.run(bench.lines.read(0))


@pytest.mark.parametrize("byte", [0x00, 0x44, 0xFF])
def test_a_stuck_line_is_no_expander(clock, byte):
    class Stuck:
        async def transfer(self, address, write=b"", read=0):
            return bytes([byte]) * read

    lines = Lines(Stuck(), 0x20, clock)
    with pytest.raises(WrongDevice):
        asyncio.run(lines.start())
    for use in (lines.read(0), lines.write(0, True)):
        with pytest.raises(DeviceError):
            asyncio.run(use)


def test_an_absent_part(clock):
    with pytest.raises(NoAcknowledge):
        asyncio.run(Lines(EmulatedI2C({}), 0x20, clock).start())


@pytest.mark.parametrize("line", [-1, 16])
def test_there_are_sixteen_lines(bench, line):
    async def listen():
        async for _ in bench.lines.edges(line):
            return

    for use in (bench.lines.read(line), bench.lines.write(line, True), listen()):
        with pytest.raises(BusError, match="no line"):
            asyncio.run(use)


@pytest.mark.parametrize("options", [{"interrupt": 54}, {"interrupt": -1}, {"every": 0.001}, {"every": 61.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"interrupt must|every must"):
        Options(**options)


def test_an_interrupt_needs_a_header(clock):
    with pytest.raises(ValueError, match="there is none"):
        Lines(EmulatedI2C({}), 0x20, clock, Options(interrupt=4))


def test_drivers_of_the_header_run_on_it(bench):
    """A switch and a contact do not know where their lines are."""
    relay, reed = Relay(bench.chip.pins, 6), Reed(bench.chip.pins, 10)

    async def main():
        siren = switch.Driver(bench.lines, 6, bench.clock)
        lid = contact.Driver(bench.lines, 10, bench.clock)
        await siren.start()
        await lid.start()
        seen = []
        for value in (1.0, 0.0, 1.0):
            await siren.apply(value)
            reed.set(Quantity.CLOSED, value)
            seen.append((relay.on, (await lid.measure())[Quantity.CLOSED]))
        return seen

    assert asyncio.run(main()) == [(True, 1.0), (False, 0.0), (True, 1.0)]


# Edges: on an event loop in virtual time, since several tasks wait at once.


async def gathered(lines, line, into):
    async with aclosing(lines.edges(line)) as edges:
        async for edge in edges:
            into.append(edge)


def follow(virtual, wired, act, watched=(3,), **options):
    """Follow lines while *act* happens; return the edges of each, and the bench."""

    async def main():
        bench = Bench(LoopClock(), wired, **options)
        await bench.lines.start()
        found = {line: [] for line in watched}
        tasks = [asyncio.create_task(gathered(bench.lines, line, found[line])) for line in watched]
        await asyncio.sleep(0.1)
        await act(bench)
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found, bench

    return virtual(main())


@pytest.mark.parametrize("wired", [True, False])
def test_changes_are_told_in_order_with_their_time(virtual, wired):
    times = []

    async def act(bench):
        for high in (False, True, False):
            bench.chip.pins.set(3, high)
            times.append(bench.clock.monotonic())
            await asyncio.sleep(0.5)

    found, _ = follow(virtual, wired, act)
    assert [edge.high for edge in found[3]] == [False, True, False]
    late = [edge.time - time for edge, time in zip(found[3], times, strict=True)]
    assert all(0 <= each <= (1e-6 if wired else 0.0201) for each in late)


def test_a_pulse_that_is_over_before_anybody_looks_is_told_by_the_interrupt(virtual):
    async def act(bench):
        bench.chip.pins.set(3, False)
        bench.chip.pins.set(3, True)

    found, _ = follow(virtual, True, act)
    assert [edge.high for edge in found[3]] == [False, True]


@pytest.mark.parametrize("wired", [True, False])
def test_lines_of_both_ports_are_followed_by_one_task(virtual, wired):
    async def act(bench):
        bench.chip.pins.set(3, False)
        bench.chip.pins.set(12, False)
        await asyncio.sleep(0.2)
        bench.chip.pins.set(5, False)  # whom nobody watches
        bench.chip.pins.set(12, True)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert names.count("lines of 0x20") == 1

    found, _ = follow(virtual, wired, act, watched=(3, 12))
    assert [edge.high for edge in found[3]] == [False]
    assert [edge.high for edge in found[12]] == [False, True]


def test_a_use_in_between_does_not_swallow_what_the_interrupt_caught(virtual):
    """Reading a port takes the interrupt back: what it says must not be lost by that."""

    async def act(bench):
        bench.chip.pins.set(3, False)
        bench.chip.pins.set(3, True)
        await bench.lines.read(9)

    found, _ = follow(virtual, True, act)
    assert [edge.high for edge in found[3]] == [False, True]


def test_an_interrupt_that_is_lost_is_made_up_for(virtual):
    async def act(bench):
        bench.chip.interrupt = lambda high: None
        bench.chip.pins.set(3, False)
        await asyncio.sleep(1.1)

    found, _ = follow(virtual, True, act)
    assert [edge.high for edge in found[3]] == [False]


def test_a_reset_while_it_watches(virtual):
    """The interrupt must be enabled anew; the safety look finds that."""

    async def act(bench):
        bench.chip.pins.set(3, False)
        await asyncio.sleep(0.1)
        bench.chip.reset()
        await asyncio.sleep(1.1)
        bench.chip.pins.set(3, True)

    found, bench = follow(virtual, True, act)
    assert [edge.high for edge in found[3]] == [False, True]
    assert bench.lines.resets == 1


def test_watching_is_quiet_when_nobody_listens(virtual):
    async def main():
        bench = Bench(LoopClock())
        await bench.lines.start()
        listening = asyncio.create_task(gathered(bench.lines, 3, []))
        await asyncio.sleep(1.0)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        before = bench.wires.transfers
        await asyncio.sleep(10.0)
        return before, bench.wires.transfers

    before, after = virtual(main())
    assert before == after
    assert 50 <= before <= 65  # one transfer in each look


@pytest.mark.parametrize("wired", [True, False])
def test_a_bus_that_fails_is_told_to_all_who_listen_and_they_may_come_again(virtual, wired):
    async def main():
        bench = Bench(LoopClock(), wired)
        await bench.lines.start()
        tasks = [asyncio.create_task(gathered(bench.lines, line, [])) for line in (3, 9)]
        await asyncio.sleep(0.1)
        plugged = bench.wires.chips.pop(0x20)
        await asyncio.sleep(1.5)
        errors = [task.exception() for task in tasks]
        bench.wires.chips[0x20] = plugged
        found = []
        again = asyncio.create_task(gathered(bench.lines, 3, found))
        await asyncio.sleep(0.1)
        bench.chip.pins.set(3, False)
        await asyncio.sleep(0.1)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
        return errors, found

    errors, found = virtual(main())
    assert [type(error) for error in errors] == [NoAcknowledge, NoAcknowledge]
    assert [edge.high for edge in found] == [False]


def test_a_line_that_becomes_an_output_is_no_longer_watched(virtual):
    async def act(bench):
        await bench.lines.write(3, False)
        with pytest.raises(BusError, match="is an output"):
            await anext(aiter(bench.lines.edges(3)))
        assert bench.lines.resets == 0

    found, _ = follow(virtual, True, act)
    assert found[3] == []


def test_a_contact_tells_that_it_moved(virtual):
    """The driver of a contact, with its debounce, on a line that bounces."""

    async def main():
        bench = Bench(LoopClock(), wired=True)
        reed = Reed(bench.chip.pins, 10)
        reed.bounce = (0.001, 0.002, 0.001)
        lid = contact.Driver(bench.lines, 10, bench.clock)
        await lid.start()
        seen = []

        async def watch():
            async for _ in lid.changes():
                told = await lid.measure()
                seen.append(told[Quantity.CLOSED])

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.1)
        for value in (1.0, 0.0):
            await reed.move(bench.clock, value)
            await asyncio.sleep(0.5)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return seen

    assert virtual(main()) == [1.0, 0.0]


def test_probe(bench, clock):
    assert "control 0x00" in asyncio.run(probe(bench.wires, 0x20, clock))
    asyncio.run(bench.lines.start())
    assert "control 0x44" in asyncio.run(probe(bench.wires, 0x20, clock))
    once = bytes([0xFF, 0xFF]) + bytes(20)
    for other in (
        dict.fromkeys(range(64), 0x00),
        dict.fromkeys(range(64), 0xFF),
        dict(enumerate(once)),  # a memory that does not repeat
        dict(enumerate((once[:10] + b"\x01\x01" + once[12:]) * 2)),
        dict(enumerate((once[:10] + b"\x40\x00" + once[12:]) * 2)),
    ):
        assert asyncio.run(probe(Memory(other), 0x20, clock)) is None
    assert asyncio.run(probe(EmulatedI2C({}), 0x20, clock)) is None


def test_the_chip_alone(clock):
    """After a reset all are inputs; the pointer wraps; a port written is its latch; bank mode renumbers."""
    chip = Emulated(clock)
    chip.pins.set(0, False)
    assert chip.transfer(b"\x00", 22) == bytes.fromhex("ffff" + "00" * 16 + "feff" + "0000")
    assert chip.transfer(b"\x15", 2) == b"\x00\xff"
    chip.transfer(b"\x12\xa5\x5a", 0)
    assert chip.transfer(b"\x14", 2) == b"\xa5\x5a"
    assert chip.pins.outputs == set()
    chip.transfer(b"\x02\x0f", 0)
    assert chip.transfer(b"\x12", 1) == b"\xf1"
    chip.transfer(b"\x0a\x80", 0)
    assert chip.transfer(b"\x05", 1) == b"\x80"
    assert chip.transfer(b"\x0a", 2) == b"\xa5\xff"
    for wire in (b"\x0b", b"\x1b", b"\x07\x01", b"\x05\x81"):
        with pytest.raises(BusError):
            chip.transfer(wire, 1)
    chip.power_cycle()
    with pytest.raises(BusError):
        chip.transfer(b"\x16", 1)
    with pytest.raises(ValueError):
        chip.set(Quantity.ON, 1.0)


def test_the_chips_interrupt(clock):
    """It catches the port at the first change, keeps that until it is read, and misses the next."""
    chip, pin = Emulated(clock), []
    chip.interrupt = pin.append
    chip.transfer(b"\x04\x03\x00", 0)
    chip.pins.set(2, False)  # not enabled
    assert pin == []
    chip.pins.set(0, False)
    chip.pins.set(1, False)
    chip.pins.set(0, True)
    assert pin == [False]
    assert chip.transfer(b"\x0e", 1) == b"\x01"
    assert chip.transfer(b"\x10", 1) == b"\xfa"
    assert chip.transfer(b"\x12", 1) == b"\xf9"
    assert pin == [False, True]
    chip.transfer(b"\x06\x00\x00\x01\x00", 0)  # compared with the default value, 0, from now on
    chip.pins.set(0, False)
    assert pin == [False, True]
    chip.pins.set(0, True)
    assert pin == [False, True, False]
