"""The header through gpiozero: its own mock pins, then its lgpio pins on an lgpio that is ours."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from gpiozero.pins import local
from gpiozero.pins.mock import MockFactory

from drivers import header
from drivers.board.contact import Driver as Contact
from drivers.board.switch import Driver as Switch
from drivers.board.switch import Options as SwitchOptions
from drivers.bus import BusError
from drivers.device import Quantity
from drivers.header import HeaderPins
from gateway.clock import LoopClock

with header._private_directory():  # its FIFO does not belong into whatever directory the tests run in
    import lgpio
    from gpiozero.pins import lgpio as gpiozero_lgpio


@pytest.fixture
def mock():
    factory = MockFactory()
    yield factory
    factory.close()


def on_header(mock, main):
    """Run `main(pins)` and close the header."""

    async def run():
        pins = HeaderPins(factory=mock)
        try:
            return await main(pins)
        finally:
            await pins.close()

    return asyncio.run(run())


async def collect(edges, count):
    """Return the next *count* edges."""
    found = []
    async for edge in edges:
        found.append(edge)
        if len(found) == count:
            break
    await edges.aclose()
    return found


def test_an_input_floats_high_and_follows_the_world(mock):
    async def main(pins):
        idle = await pins.read(17)
        mock.pin(17).drive_low()
        return idle, await pins.read(17), mock.pin(17).pull, mock.pin(17).function

    assert on_header(mock, main) == (True, False, "up", "input")


def test_an_output_is_driven_and_read_back(mock):
    async def main(pins):
        seen = []
        for high in (True, False, True):
            await pins.write(27, high)
            seen.append((mock.pin(27).state, await pins.read(27), mock.pin(27).function))
        return seen

    assert on_header(mock, main) == [(True, True, "output"), (False, False, "output"), (True, True, "output")]


def test_an_input_becomes_an_output_at_its_first_write(mock):
    async def main(pins):
        await pins.read(22)
        await pins.write(22, False)
        return mock.pin(22).function, await pins.read(22)

    assert on_header(mock, main) == ("output", False)


def test_edges_come_in_order_with_their_times_from_another_thread(mock):
    async def main(pins):
        task = asyncio.create_task(collect(pins.edges(17), 4))
        await asyncio.sleep(0.05)

        def world():
            for high in (False, True, False, True):
                (mock.pin(17).drive_high if high else mock.pin(17).drive_low)()
                time.sleep(0.02)

        began = time.monotonic()
        threading.Thread(target=world).start()
        return began, await task

    began, edges = on_header(mock, main)
    assert [edge.high for edge in edges] == [False, True, False, True]
    gaps = [later.time - earlier.time for earlier, later in pairwise(edges)]
    assert all(gap >= 0.019 for gap in gaps)
    assert 0 <= edges[0].time - began < 1


def test_two_may_watch_one_line_and_leave_it_again(mock):
    async def main(pins):
        tasks = [asyncio.create_task(collect(pins.edges(17), 1)) for _ in range(2)]
        await asyncio.sleep(0.02)
        mock.pin(17).drive_low()
        found = await asyncio.gather(*tasks)
        return [edge.high for (edge,) in found], pins._watches[17].queues

    assert on_header(mock, main) == ([False, False], [])


def test_an_edge_with_a_time_of_another_clock_is_dated_now(mock):
    """Older kernels date edges by the wall clock: 1.7e9 s."""
    for ticks in (time.time(), -1.0, time.monotonic() + 60, 0.0):
        assert abs(header._when(ticks) - time.monotonic()) < 1
    exact = time.monotonic() - 0.25
    assert header._when(exact) == exact


def test_the_edges_of_an_output_cannot_be_watched(mock):
    async def main(pins):
        await pins.write(27, False)
        with pytest.raises(BusError, match="line 27 is an output"):
            await anext(pins.edges(27))

    on_header(mock, main)


@pytest.mark.parametrize("line", [28, 53, -1])
def test_a_line_that_the_header_lacks_is_a_bus_error(mock, line):
    async def main(pins):
        for use in (pins.read(line), pins.write(line, True), anext(pins.edges(line))):
            with pytest.raises(BusError, match=f"line {line} of /dev/gpiochip0"):
                await use

    on_header(mock, main)


def test_closing_releases_every_line(mock):
    async def main(pins):
        await pins.write(27, True)
        await pins.read(17)
        watch = asyncio.create_task(collect(pins.edges(4), 1))
        await asyncio.sleep(0.01)
        pin = mock.pin(27)
        await pins.close()
        watch.cancel()
        return pin.function

    assert on_header(mock, main) == "input"


def test_an_edge_after_the_loop_has_gone_is_dropped(mock):
    """The thread of gpiozero outlives the loop; it must not be killed by an exception of ours."""
    pins, callbacks = HeaderPins(factory=mock), []

    async def main():
        task = asyncio.create_task(collect(pins.edges(17), 1))
        await asyncio.sleep(0.01)
        callbacks.append(pins._watches[17].callback)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    callbacks[0](time.monotonic(), 0)


def test_a_contact_and_a_switch_run_on_it_unchanged(mock):
    async def main(pins):
        clock = LoopClock()
        lid, siren = Contact(pins, 17, clock), Switch(pins, 27, clock)
        await lid.start()
        await siren.start()
        changes = lid.changes()
        waiting = asyncio.create_task(anext(changes))
        await asyncio.sleep(0.02)
        mock.pin(17).drive_low()
        await asyncio.wait_for(waiting, 5)
        closed = await lid.measure()
        await siren.apply(1)
        on = mock.pin(27).state
        await siren.stop()
        await changes.aclose()
        return closed, on, mock.pin(27).state

    assert on_header(mock, main) == ({Quantity.CLOSED: 1.0}, True, False)


class Gpiochip:
    """An lgpio whose lines are ours: what was asked of it is in *log*, in order."""

    def __init__(self):
        self.log = []
        self.levels = {}
        self.modes = {}
        self.short = {}

    def gpiochip_open(self, chip):
        if chip != 0:
            raise lgpio.error("can not open gpiochip")
        return 7

    def gpiochip_close(self, handle):
        return 0

    def gpio_claim_input(self, handle, gpio, flags=0):
        self.modes[gpio] = 0x20 if flags & lgpio.SET_PULL_UP else 0
        self.log.append(("input", gpio, flags))
        return 0

    def gpio_claim_output(self, handle, gpio, level=0, flags=0):
        if gpio in self.short:
            raise lgpio.error("GPIO busy")
        self.modes[gpio] = 0x02
        self.levels[gpio] = level
        self.log.append(("output", gpio, level))
        return 0

    def gpio_write(self, handle, gpio, level):
        self.levels[gpio] = int(level)
        self.log.append(("level", gpio, int(level)))
        return 0

    def gpio_read(self, handle, gpio):
        return self.levels.get(gpio, 1)

    def gpio_get_mode(self, handle, gpio):
        return self.modes.get(gpio, 0)

    def gpio_free(self, handle, gpio):
        return 0


@pytest.fixture
def chip(monkeypatch):
    chip = Gpiochip()
    for name in dir(chip):
        if name.startswith("gpio"):
            monkeypatch.setattr(lgpio, name, getattr(chip, name))
    monkeypatch.setattr(local, "get_pi_revision", lambda: 0xC03114)  # a Raspberry Pi 4B
    return chip


@pytest.mark.parametrize("active_high", [True, False])
def test_the_kernel_is_told_level_and_direction_at_once(chip, active_high):
    """gpiozero's own pins claim the line low and then set it: an active-low relay would click."""

    async def main():
        pins = HeaderPins()
        switch = Switch(pins, 27, LoopClock(), SwitchOptions(active_high=active_high))
        await switch.start()
        first = list(chip.log)
        await switch.apply(1)
        await switch.stop()
        await pins.close()
        return first

    first = asyncio.run(main())
    assert [each for each in first if each[0] != "input"] == [("output", 27, int(not active_high))]
    assert [each[2] for each in chip.log if each[0] == "level"] == [int(active_high), int(not active_high)]


def test_what_lgpio_raises_is_a_bus_error(chip):
    chip.short[27] = True

    async def main():
        pins = HeaderPins()
        with pytest.raises(BusError, match="line 27 of /dev/gpiochip0 cannot be driven: 'GPIO busy'"):
            await pins.write(27, True)
        await pins.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "says"),
    [("/dev/gpiochip9", "group gpio"), ("/dev/gpio", "should look like"), ("4", "should look like")],
)
def test_a_chip_that_cannot_be_opened_says_what_to_do(chip, path, says):
    async def main():
        pins = HeaderPins(path)
        with pytest.raises(BusError, match=says):
            await pins.read(17)
        await pins.close()

    asyncio.run(main())


OPEN = """
import asyncio, os
from drivers.bus import BusError
from drivers.header import HeaderPins
try:
    asyncio.run(HeaderPins("/dev/gpiochip255").read(17))
except BusError as error:
    print(os.getcwd(), os.listdir(), os.environ.get("LG_WD"))
"""


def test_opening_leaves_no_file_and_no_other_directory(tmp_path):
    """A fresh process, for lgpio writes its FIFO, and moves the process to it, as it is imported."""
    path = str(Path(header.__file__).parent.parent)
    environment = {key: value for key, value in os.environ.items() if key != "LG_WD"} | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", OPEN],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stderr, done.stdout) == ("", f"{tmp_path} [] None\n")


def test_lgpio_is_told_a_directory_of_its_own(tmp_path, monkeypatch):
    """It is there while lgpio is imported, and a directory that the unit has set is left alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LG_WD", raising=False)
    with header._private_directory():
        own = os.environ["LG_WD"]
        assert os.path.isdir(own)
        os.chdir(own)
    assert (os.getcwd(), os.path.exists(own), os.environ.get("LG_WD")) == (str(tmp_path), False, None)
    monkeypatch.setenv("LG_WD", "/run/lamppost")
    with header._private_directory():
        assert os.environ["LG_WD"] == "/run/lamppost"
    assert os.environ["LG_WD"] == "/run/lamppost"


def test_the_pins_that_are_corrected_are_gpiozeros():
    """If gpiozero sets the level with the direction one day, the correction may go."""
    assert gpiozero_lgpio.LGPIOPin.output_with_state is gpiozero_lgpio.LocalPiPin.output_with_state
