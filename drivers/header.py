"""Pins on the 40-pin header. The only importer of gpiozero.

gpiozero talks to /dev/gpiochipN through lgpio. Two of its habits are corrected here: its output pins are
claimed low before they get their level, which lets an active-low relay click; and lgpio makes a FIFO in its
working directory as it is imported, and moves the whole process there when LG_WD is set.
"""

import asyncio
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gpiozero import GPIOZeroError, InputDevice, OutputDevice

from drivers.bus import BusError, Edge

PLAUSIBLE = 5.0
"""The greatest age [s] that the time of an edge may have to be believed."""

_CHIP = re.compile(r"/dev/gpiochip(\d+)")


@dataclass
class _Watch:
    """A watched line: who waits for its edges. gpiozero holds *callback* weakly, so it is kept here."""

    loop: asyncio.AbstractEventLoop
    callback: Callable[[float, int], None]
    queues: list["asyncio.Queue[Edge]"] = field(default_factory=list)


class HeaderPins:
    """The lines of *chip*, such as "/dev/gpiochip0", opened at the first use; see drivers.bus.Pins.

    Lines are GPIO numbers (BCM), 0 to 27. *factory* replaces the kernel's pins, in tests by gpiozero's own
    MockFactory.
    """

    def __init__(self, chip: str = "/dev/gpiochip0", factory: Any = None) -> None:
        self.chip = chip
        self._factory = factory
        self._faults: tuple[type[Exception], ...] = (GPIOZeroError, OSError)
        self._inputs: dict[int, Any] = {}
        self._outputs: dict[int, Any] = {}
        self._watches: dict[int, _Watch] = {}

    async def write(self, line: int, high: bool) -> None:
        """Drive *line*; the first time, its level comes with its direction."""
        with self._told(line, "cannot be driven"):
            if line in self._outputs:
                self._outputs[line].pin.state = high
            else:
                self._output(line, high)

    async def read(self, line: int) -> bool:
        """Return the level at the pin of *line*."""
        with self._told(line, "cannot be read"):
            device = self._outputs.get(line) or self._input(line)
            return bool(device.pin.state)

    async def edges(self, line: int) -> AsyncIterator[Edge]:
        """Yield every change of *line* from the first `anext` on. Raises BusError for an output."""
        if line in self._outputs:
            raise BusError(f"line {line} is an output: nothing outside changes it")
        queue: asyncio.Queue[Edge] = asyncio.Queue()
        with self._told(line, "cannot be watched"):
            watch = self._watch(line)
        watch.queues.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            watch.queues.remove(queue)

    async def close(self) -> None:
        """Release every line: each becomes a floating input."""
        for line in list(self._watches):
            self._unwatch(line)
        with self._told(None, "cannot be released"):
            for device in (*self._inputs.values(), *self._outputs.values()):
                device.close()
            self._inputs.clear()
            self._outputs.clear()
            if self._factory is not None:
                self._factory.close()

    def _output(self, line: int, high: bool) -> None:
        self._unwatch(line)
        if line in self._inputs:
            self._inputs.pop(line).close()
        self._outputs[line] = OutputDevice(line, initial_value=high, pin_factory=self._opened())

    def _input(self, line: int) -> Any:
        if line not in self._inputs:
            self._inputs[line] = InputDevice(line, pull_up=True, pin_factory=self._opened())
        return self._inputs[line]

    def _watch(self, line: int) -> _Watch:
        """Ask for the edges of *line*, once. They arrive on a thread of gpiozero's."""
        if line not in self._watches:
            device = self._input(line)
            loop = asyncio.get_running_loop()

            def changed(ticks: float, state: int) -> None:
                edge = Edge(bool(state), _when(ticks))
                try:
                    loop.call_soon_threadsafe(self._spread, line, edge)
                except RuntimeError:  # the loop has been closed: nobody waits any more
                    return

            self._watches[line] = _Watch(loop, changed)
            device.pin.when_changed = changed
        return self._watches[line]

    def _unwatch(self, line: int) -> None:
        if self._watches.pop(line, None) is not None:
            self._inputs[line].pin.when_changed = None

    def _spread(self, line: int, edge: Edge) -> None:
        watch = self._watches.get(line)
        for queue in watch.queues if watch else ():
            queue.put_nowait(edge)

    def _opened(self) -> Any:
        if self._factory is None:
            self._factory, fault = _kernel_pins(self.chip)
            self._faults = (*self._faults, fault)
        return self._factory

    @contextmanager
    def _told(self, line: int | None, what: str) -> Iterator[None]:
        """Turn what gpiozero and lgpio raise into a BusError that names the line."""
        try:
            yield
        except BusError:
            raise
        except self._faults as error:
            where = self.chip if line is None else f"line {line} of {self.chip}"
            raise BusError(f"{where} {what}: {error}") from error


def _when(ticks: float) -> float:
    """Return *ticks* if it is a time on the monotonic clock, else now: some kernels count otherwise."""
    now = time.monotonic()
    return ticks if now - PLAUSIBLE <= ticks <= now else now


def _kernel_pins(chip: str) -> tuple[Any, type[Exception]]:
    """Open the pins of *chip* and return them with lgpio's own exception. Raises BusError with advice."""
    number = _CHIP.fullmatch(chip)
    if number is None:
        raise BusError(f"{chip} is not a GPIO chip: it should look like /dev/gpiochip0")
    with _private_directory():
        import lgpio
        from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin

    class Pin(LGPIOPin):  # type: ignore[misc]  # gpiozero takes its pins as a class
        """A pin whose level is set in the same request as its direction."""

        def output_with_state(self, state: bool) -> None:
            lgpio.gpio_claim_output(self.factory._handle, self._number, int(state))

    try:
        factory = LGPIOFactory(chip=int(number[1]))
    except lgpio.error as error:
        raise BusError(
            f"{chip} cannot be opened ({error}): let the daemon's user into the group gpio"
        ) from error
    factory.pin_class = Pin
    return factory, lgpio.error


@contextmanager
def _private_directory() -> Iterator[None]:
    """Give lgpio a directory for its FIFO, and come back from there.

    It is $LG_WD where that is set, as a hardened unit must; else a temporary one, which may go at once, for
    both ends of the FIFO are open by then.
    """
    home = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="lamppost-") as spare:
        given = os.environ.setdefault("LG_WD", spare)
        try:
            yield
        finally:
            os.chdir(home)
            if given == spare:
                del os.environ["LG_WD"]
