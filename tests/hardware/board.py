"""The board of every level: Lamppost's own emulated chips on one I2C bus and one header.

What reaches it comes as the kernel's controllers see it: messages for the bus, levels and directions for the
lines. Who brings them is another's business: the preload shim, or virtio devices of a real kernel.
"""

import asyncio
import errno
import json
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from drivers.air.sps30.chip import Emulated as Sps30
from drivers.bin.ina226.chip import Emulated as Ina226
from drivers.bin.mlx90640.chip import Emulated as Mlx90640
from drivers.bin.vl53l1x.chip import Emulated as Vl53l1x
from drivers.board.contact.chip import Emulated as Contact
from drivers.bus import BusError, BusTimeout, Edge, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Chip, EmulatedI2C, EmulatedPins
from drivers.flood.hcsr04.chip import Emulated as Hcsr04
from drivers.flood.mb7040.chip import Emulated as Mb7040
from drivers.weather.bme280.chip import Emulated as Bme280
from drivers.weather.rain_gauge.chip import Emulated as RainGauge

LINES = 54
CUE = 0x0B
"""The address at which the board takes its cues: see Board.cue."""
CUE_LENGTH = 4096

LID, SIREN, RAIN, TRIGGER, ECHO = 17, 27, 22, 23, 24
"""Where things hang on the header. The siren's relay pulls at a low level, as most relay boards do."""


class Message(NamedTuple):
    """One message of a transfer, as struct i2c_msg: *read* bytes to come, or *write* to go."""

    address: int
    write: bytes
    read: int


def code(error: BusError) -> int:
    """Return the errno by which a Pi's controller tells of *error* (i2c-bcm2835)."""
    if isinstance(error, NoAcknowledge):
        return errno.EREMOTEIO
    return errno.ETIMEDOUT if isinstance(error, BusTimeout) else errno.EPROTO


def tide(time: float) -> float:
    """Return what the river's ranging part sees [m] at *time*: up and down by a centimetre a second."""
    return 1.0 + abs(time % 1000.0 - 500.0) / 100


def done(main: Coroutine[Any, Any, Any]) -> Any:
    """Return what *main* returns, which never waits."""
    try:
        main.send(None)
    except StopIteration as end:
        return end.value
    main.close()
    raise RuntimeError(f"{main} waits")


class Liar:
    """A part that answers with one bit turned over: what a rig must notice."""

    def __init__(self, chip: Chip, at: int) -> None:
        self._chip, self._at = chip, at

    def transfer(self, write: bytes, read: int) -> bytes:
        answer = bytearray(self._chip.transfer(write, read))
        if len(answer) > self._at:
            answer[self._at] ^= 0x04
        return bytes(answer)


class Cues:
    """The board's ear: JSON written to it is a cue, and reading it gives the answer as JSON.

    So whoever sits behind a real kernel moves the world through the very wires that he tests.
    """

    def __init__(self, act: Callable[[str, list[Any]], Any]) -> None:
        self._act = act
        self._answer = b""

    def transfer(self, write: bytes, read: int) -> bytes:
        if write:
            self._answer = json.dumps(self._act(*json.loads(write))).encode()
        return self._answer.ljust(read)[:read] if read else b""


@dataclass
class Board:
    """A bus of chips, a header, and what hangs on it. Must be made within an event loop.

    *stall* holds back the answer to each next transfer for so many seconds, in order.
    """

    clock: Clock
    stall: list[float] = field(default_factory=list)
    watch: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pins = EmulatedPins(self.clock)
        self.latch = [False] * LINES
        self.parts: dict[int, Any] = {
            0x76: Bme280(self.clock),
            0x69: Sps30(self.clock),
            0x29: Vl53l1x(self.clock),
            0x70: Mb7040(self.clock),
            0x40: Ina226(self.clock),
            0x33: Mlx90640(self.clock),
        }
        self.bus = EmulatedI2C({**self.parts, CUE: Cues(self.cue)})  # type: ignore[dict-item]
        self.lid = Contact(self.pins, LID)
        self.rain = RainGauge(self.pins, RAIN, self.clock)
        self.ranger = Hcsr04(self.pins, TRIGGER, ECHO, self.clock)
        self.moves = 0
        self._resting = False
        self._busy: list[asyncio.Task[None]] = []
        self._echo: deque[Edge] = deque(maxlen=2)
        self._lives = [
            asyncio.create_task(self.ranger.run(), name="hcsr04"),
            asyncio.create_task(self._hear(ECHO, lambda line, edge: self._echo.append(edge)), name="echo"),
        ]

    def close(self) -> None:
        """End what lives on the board."""
        for task in (*self._lives, *self._busy, *self.watch.values()):
            task.cancel()

    # -- the bus

    def carry(self, messages: Sequence[Message]) -> list[bytes]:
        """Carry one transfer and return what its messages read.

        A write and a read of the same target are one transaction of the chip. Raises OSError as the
        controller would.
        """
        waiting, answers = list(messages), list[bytes]()
        try:
            while waiting:
                address, write, read = waiting.pop(0)
                if write and waiting and waiting[0].read and waiting[0].address == address:
                    read = waiting.pop(0).read
                answer = done(self.bus.transfer(address, write, read))
                if read:
                    answers.append(answer)
        except BusError as error:
            raise OSError(code(error), str(error)) from error
        return answers

    # -- the lines

    def level(self, line: int) -> bool:
        """Return the level at the pin of *line*."""
        return bool(done(self.pins.read(line)))

    def drive(self, line: int, high: bool) -> None:
        """Set the level that *line* gives, or will give once it is an output."""
        self.latch[line] = high
        if line in self.pins.outputs:
            done(self.pins.write(line, high))

    def direct(self, line: int, output: bool) -> None:
        """Make *line* an output with the level set before, or an input, which floats high."""
        if output:
            done(self.pins.write(line, self.latch[line]))
        elif line in self.pins.outputs:
            self.pins.log.append((line, "input", True))
            self.pins.release(line)

    async def listen(self, line: int, heard: Callable[[int, Edge], None]) -> None:
        """Call *heard* for each change of *line* from when this returns, until `ignore`."""
        self.ignore(line)
        self.watch[line] = asyncio.create_task(self._hear(line, heard), name=f"edges of line {line}")
        await asyncio.sleep(0)

    def ignore(self, line: int) -> None:
        """Listen to *line* no longer."""
        if line in self.watch:
            self.watch.pop(line).cancel()

    async def _hear(self, line: int, heard: Callable[[int, Edge], None]) -> None:
        async for edge in self.pins.edges(line):
            heard(line, edge)

    # -- the world

    def cue(self, what: str, arguments: list[Any]) -> Any:
        """Do what a test asks of the world, by one of the cues below; return what there is to tell."""
        return getattr(self, f"cue_{what}")(*arguments)

    def cue_set(self, address: int, quantity: str, value: float) -> None:
        """Change what the part at *address* is exposed to."""
        self.parts[address].set(Quantity(quantity), value)

    def cue_plug(self, address: int, there: bool) -> None:
        """Pull the plug of a part, or put it back."""
        self.bus.chips.pop(address, None)
        if there:
            self.parts[address].power_cycle()
            self.bus.chips[address] = self.parts[address]

    def cue_lie(self, address: int, at: int) -> None:
        """From now on the part turns a bit of byte *at* of each answer over."""
        self.bus.chips[address] = Liar(self.parts[address], at)  # type: ignore[assignment]

    def cue_fault(self, kind: str) -> None:
        """Let the next transfer fail."""
        faults = {"timeout": BusTimeout, "absent": NoAcknowledge}
        self.bus.faults.append(faults[kind](f"a {kind}, as asked"))

    def cue_stall(self, seconds: float) -> None:
        """Hold the next transfer for *seconds*."""
        self.stall.append(seconds)

    def cue_move(self, value: float, bounce: list[float], after: float) -> None:
        """Make or break the lid's contact *after* seconds, with *bounce*."""
        self.lid.bounce = bounce
        self._later(after, partial(self.lid.move, self.clock, value))

    def cue_tip(self, times: int, every: float, after: float) -> None:
        """Tip the rain gauge."""

        async def pour() -> None:
            for _ in range(times):
                await self.rain.tip()
                await self.clock.sleep(every)

        self._later(after, pour)

    def cue_range(self, distance: float) -> None:
        """Move what is in front of the HC-SR04."""
        self.ranger.set(Quantity.DISTANCE, distance)

    def cue_pulse(self) -> float:
        """Return how long [s] the last pulse of the HC-SR04 really was."""
        rose, fell = self._echo
        return fell.time - rose.time

    def cue_log(self, line: int) -> list[list[Any]]:
        """Return what happened on *line*, as [what, level]."""
        return [[what, high] for each, what, high in self.pins.log if each == line]

    def cue_line(self, line: int) -> list[bool]:
        """Return whether *line* is an output, and its level."""
        return [line in self.pins.outputs, self.level(line)]

    def cue_count(self) -> dict[str, float]:
        """Return the board's time [s], and how many transfers, tips and movements there were."""
        count = {"transfers": self.bus.transfers, "tips": self.rain.tips, "moves": self.moves}
        return {"time": self.clock.monotonic(), **count}

    def cue_begin(self, tip_every: float, move_every: float, bounce: list[float]) -> dict[str, float]:
        """Let the river come and go, the bucket tip and the lid move, each so often [s], until `rest`."""
        river = self.parts[0x70]
        self.bus.before = lambda: river.set(Quantity.DISTANCE, tide(self.clock.monotonic()))
        self.lid.bounce = bounce
        self.ranger.set(Quantity.DISTANCE, 1.5)

        async def move() -> None:
            self.moves += 1
            await self.lid.move(self.clock, float(self.moves % 2))

        self._busy = [
            asyncio.create_task(self._often(tip_every, self.rain.tip), name="rain"),
            asyncio.create_task(self._often(move_every, move), name="lid"),
        ]
        return self.cue_count()

    def cue_rest(self) -> None:
        """Let nothing move any more, once what moves now has come to rest."""
        self._resting = True

    async def _often(self, every: float, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await self.clock.sleep(every)
            if self._resting:
                return
            await act()

    def _later(self, after: float, life: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def run() -> None:
            await self.clock.sleep(after)
            await life()

        self._lives.append(asyncio.create_task(run(), name="a cue"))
