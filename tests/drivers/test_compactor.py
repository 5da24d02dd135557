"""The press: never both inputs, never round without a rest, and standing whatever fails."""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from drivers.bin.compactor import Driver, Options
from drivers.bin.compactor.chip import Emulated
from drivers.bus import BusError
from drivers.device import Actuator, DeviceError, Quantity
from drivers.emulated import EmulatedPins
from tests.drivers.test_vectors import of

FORWARD, REVERSE = 20, 21
ON = Quantity.ON


class Press:
    """A press on a header of its own, and its driver. Every use of the header takes 20 us."""

    def __init__(self, clock, **options):
        self.clock, options = clock, Options(**options)
        self.pins = EmulatedPins(clock)
        self.chip = Emulated(self.pins, FORWARD, options.reverse, options.active_high)
        self.driver = Driver(self.pins, FORWARD, clock, options)
        inner = self.pins.before

        def before():
            clock.now += 20e-6
            inner()

        self.pins.before = before

    def levels(self):
        return self.pins.levels[FORWARD], self.pins.levels[REVERSE]

    def short(self, line, level):
        """Hold *line* at *level* from outside: the pin reads what the short says."""
        inner = self.pins.read

        async def read(asked):
            found = await inner(asked)
            return level if asked == line else found

        self.pins.read = read


def test_examples(clock):
    """The states of gpiozero's Motor(20, 21); half of its speed is refused, for a line is on or off."""
    (vector,) = of("H-bridge compactor motor")
    press = Press(clock)
    values = {"forward": 1, "backward": -1, "stop": 0, "forward 50%": 0.5}

    async def main():
        await press.driver.start()
        for call, forward, backward in vector["expected"]["states"]["value"]:
            if forward == 0.5:
                with pytest.raises(DeviceError, match="1, 0 or -1"):
                    await press.driver.apply(values[call])
                continue
            await press.driver.apply(values[call])
            assert press.levels() == (bool(forward), bool(backward))

    asyncio.run(main())
    assert not press.chip.burnt


def test_it_is_an_actuator(clock):
    assert isinstance(Press(clock).driver, Actuator)


@pytest.mark.parametrize("active_high", [True, False])
def test_the_level_comes_before_the_direction(clock, active_high):
    press = Press(clock, active_high=active_high)
    asyncio.run(press.driver.start())
    level = not active_high
    assert press.pins.log == [
        *((FORWARD, what, level) for what in ("level", "output")),
        *((REVERSE, what, level) for what in ("level", "output")),
    ]
    assert press.chip.drive == 0


@pytest.mark.parametrize("active_high", [True, False])
def test_there_and_back_and_standing(clock, active_high):
    press = Press(clock, active_high=active_high)

    async def main():
        seen = []
        await press.driver.start()
        for value in (1, 1, 0, -1, 1.0, -1, 0):
            await press.driver.apply(value)
            seen.append((press.chip.drive, (await press.driver.measure())[ON]))
            clock.now += 1.0
        await press.driver.apply(1)
        await press.driver.stop()
        return seen

    wanted = [(1, 1), (1, 1), (0, 0), (-1, 1), (1, 1), (-1, 1), (0, 0)]
    assert asyncio.run(main()) == wanted
    assert press.chip.drive == 0
    assert not press.chip.burnt
    assert press.chip.turnaround >= 0.5


@pytest.mark.parametrize("dead_time", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("between", [(), (0,), (0, 0), (1, 0)])
def test_a_rest_lies_between_the_directions(clock, dead_time, between):
    """Also when it was stopped in between, which is no rest by itself; and not a longer one than asked."""
    press = Press(clock, dead_time=dead_time)

    async def main():
        await press.driver.start()
        clock.now += 10
        for value in (1, *between, -1):
            await press.driver.apply(value)
        assert press.chip.drive == -1

    asyncio.run(main())
    assert dead_time <= press.chip.turnaround < dead_time + 0.01


def test_a_press_that_has_stood_long_enough_turns_at_once(clock):
    press = Press(clock)

    async def main():
        await press.driver.start()
        clock.now += 10
        await press.driver.apply(1)
        await press.driver.apply(0)
        clock.now += 10
        began = clock.now
        await press.driver.apply(-1)
        return clock.now - began

    assert asyncio.run(main()) < 0.01


def test_what_was_before_the_start_is_not_known(clock):
    """The program may have been started anew in the middle of a stroke: the first one waits too."""
    press = Press(clock)

    async def main():
        await press.driver.start()
        began = clock.now
        await press.driver.apply(1)
        return clock.now - began

    assert 0.49 < asyncio.run(main()) < 0.51


def test_the_same_direction_again_does_not_wait(clock):
    press = Press(clock)

    async def main():
        await press.driver.start()
        await press.driver.apply(1)
        began, log = clock.now, len(press.pins.log)
        await press.driver.apply(1)
        assert (FORWARD, "level", False) not in press.pins.log[log:]
        return clock.now - began

    assert asyncio.run(main()) < 0.01


@pytest.mark.parametrize("value", [0.5, 2, -2, float("nan"), float("inf")])
def test_a_value_between_is_refused_and_moves_nothing(clock, value):
    press = Press(clock)

    async def main():
        await press.driver.start()
        await press.driver.apply(1)
        before = list(press.pins.log)
        with pytest.raises(DeviceError, match="1, 0 or -1"):
            await press.driver.apply(value)
        return before

    assert asyncio.run(main()) == press.pins.log


@pytest.mark.parametrize("value", [1, -1])
@pytest.mark.parametrize(("line", "level"), [(FORWARD, True), (REVERSE, True), (FORWARD, False)])
def test_a_pin_that_does_not_follow_releases_both(clock, value, line, level):
    """Shorted to one level or the other, it reads what the short says."""
    press = Press(clock)

    async def main():
        await press.driver.start()
        await press.driver.apply(1)
        press.short(line, level)
        told = []
        for each in (0, value, -value):
            try:
                await press.driver.apply(each)
            except DeviceError as error:
                told.append(str(error))
                break
        press.chip.look()
        return told

    assert "look for a short" in asyncio.run(main())[0]
    assert press.levels() == (False, False)
    assert press.chip.drive == 0


def test_a_line_that_is_stuck_beside_a_driven_one_releases_that(clock):
    """It presses, is told to press on, and finds the other input high: the bridge is about to burn."""
    press = Press(clock)

    async def main():
        await press.driver.start()
        await press.driver.apply(1)
        press.short(REVERSE, True)
        with pytest.raises(DeviceError, match="line 21"):
            await press.driver.apply(1)

    asyncio.run(main())
    assert press.levels() == (False, False)


@pytest.mark.parametrize("line", [FORWARD, REVERSE])
def test_a_line_that_reads_what_nobody_drove_is_told(clock, line):
    press = Press(clock)

    async def main():
        await press.driver.start()
        assert (await press.driver.measure())[ON] == 0.0
        press.short(line, True)
        with pytest.raises(DeviceError, match=f"line {line} reads high"):
            await press.driver.measure()

    asyncio.run(main())


def test_a_header_that_lost_its_outputs_is_told(clock):
    press = Press(clock)

    async def main():
        await press.driver.start()
        await press.driver.apply(1)
        press.pins.release()
        assert press.chip.drive == 0
        with pytest.raises(DeviceError, match="not what was driven"):
            await press.driver.measure()
        await press.driver.start()
        return (await press.driver.measure())[ON]

    assert asyncio.run(main()) == 0.0


@pytest.mark.parametrize("fails", [FORWARD, REVERSE])
@pytest.mark.parametrize("move", ["start", "stop", "apply"])
def test_one_line_is_released_also_when_the_other_fails(clock, fails, move):
    press = Press(clock)
    inner = press.pins.write

    async def write(line, high):
        if line == fails and armed:
            raise BusError(f"line {line} cannot be driven")
        await inner(line, high)

    press.pins.write = write

    async def main():
        nonlocal armed
        await press.driver.start()
        await press.driver.apply(1 if fails == REVERSE else -1)
        armed = True
        with pytest.raises(BusError, match=f"line {fails} cannot"):
            await (press.driver.apply(0) if move == "apply" else getattr(press.driver, move)())

    armed = False
    asyncio.run(main())
    assert press.chip.drive == 0


@pytest.mark.parametrize("command", ["stop", "zero", "start"])
def test_a_stop_during_the_dead_time_wins(clock, virtual, command):
    """The command that waited must not turn the motor on after it was told to stand."""

    async def main():
        press = Press(VirtualTime())
        await press.driver.start()
        await press.driver.apply(1)
        turning = asyncio.create_task(press.driver.apply(-1))
        await asyncio.sleep(0.2)
        await {
            "stop": press.driver.stop,
            "start": press.driver.start,
            "zero": lambda: press.driver.apply(0),
        }[command]()
        with pytest.raises(DeviceError, match="another command"):
            await turning
        await asyncio.sleep(1)
        return press.chip.drive

    assert virtual(main()) == 0


def test_a_command_that_is_cancelled_leaves_it_standing(virtual):
    async def main():
        press = Press(VirtualTime())
        await press.driver.start()
        await press.driver.apply(1)
        turning = asyncio.create_task(press.driver.apply(-1))
        await asyncio.sleep(0.2)
        turning.cancel()
        with suppress(asyncio.CancelledError):
            await turning
        await asyncio.sleep(1)
        return press.chip.drive

    assert virtual(main()) == 0


class VirtualTime:
    """The loop's own time as a clock, which also passes by itself where a test adds to it."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return asyncio.get_running_loop().time() + self.now

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


@pytest.mark.parametrize("active_high", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_whatever_fails_it_neither_burns_nor_turns_without_a_rest(clock, seed, active_high):
    """Random commands, of which any step may fail; the bridge itself says whether it survived."""
    random = Random(f"press {seed}")
    press = Press(clock, active_high=active_high)
    inner = press.pins.write

    async def write(line, high):
        if random.random() < 0.1:
            raise BusError("disturbed before")
        await inner(line, high)
        if random.random() < 0.1:
            raise BusError("disturbed after")

    async def main():
        with suppress(BusError):
            await press.driver.start()
        for _ in range(60):
            press.pins.write = write if random.random() < 0.7 else inner
            clock.now += random.choice([0.0, 0.1, 0.6])
            with suppress(BusError, DeviceError):
                await press.driver.apply(random.choice([1, 0, -1]))
        press.pins.write = inner
        await press.driver.stop()

    asyncio.run(main())
    assert press.chip.drive == 0
    assert not press.chip.burnt, f"seed {seed}"
    assert press.chip.turnaround >= 0.5 - 1e-3, f"seed {seed}"


def test_what_the_lines_do_not_show(clock):
    """A welded transistor drives the motor while both lines stand; a stalled plate does not move."""
    press = Press(clock)

    async def main():
        await press.driver.start()
        press.chip.welded = 1
        welded = (press.chip.drive, (await press.driver.measure())[ON])
        press.chip.welded, press.chip.stalled = 0, True
        press.chip.position = 0.0
        await press.driver.apply(1)
        clock.now += 2.0
        press.chip.look()
        return welded, press.chip.position

    assert asyncio.run(main()) == ((1, 0.0), 0.0)


def test_the_plate_goes_there_and_back(clock):
    press = Press(clock)

    async def main():
        await press.driver.start()
        await press.driver.apply(1)
        clock.now += 2.0
        press.chip.look()
        there = press.chip.position
        await press.driver.apply(-1)
        clock.now += 20.0
        press.chip.look()
        return there, press.chip.position

    assert asyncio.run(main()) == (pytest.approx(0.5, abs=0.01), 0.0)


def test_the_chip_burns_when_both_inputs_drive(clock):
    press = Press(clock)

    async def main():
        await press.pins.write(FORWARD, True)
        await press.pins.write(REVERSE, True)

    asyncio.run(main())
    press.chip.look()
    assert press.chip.burnt


def test_the_world_cannot_move_it(clock):
    with pytest.raises(ValueError, match="only the gateway"):
        Press(clock).chip.set(ON, 1.0)


@pytest.mark.parametrize(
    ("options", "says"), [({"reverse": -1}, "reverse"), ({"dead_time": 0.0}, "dead_time")]
)
def test_impossible_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Options(**options)


def test_two_directions_are_two_lines(clock):
    with pytest.raises(ValueError, match="both directions"):
        Driver(EmulatedPins(clock), 21, clock, Options(reverse=21))


def test_a_line_that_does_not_exist_is_told_at_start(clock):
    with pytest.raises(BusError, match="no line 60"):
        asyncio.run(Driver(EmulatedPins(clock), 60, clock).start())
