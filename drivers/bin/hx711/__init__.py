"""Avia HX711: the weight on a load cell, over a clock and a data line.

Datasheet: "HX711 24-Bit Analog-to-Digital Converter for Weigh Scales", Avia Semiconductor, English edition;
the headings cited are its.

A clock line that stays high for more than 60 us powers the part down ("Reset and Power-Down Sequence"), and a
program under Linux may be held up for longer at any moment. The bits read after that are ones, and nothing in
them says so. But the part then needs four periods to its next conversion instead of one ("Settling time"),
and that is seen: a conversion counts only if the one before it and the one after it came when they were due.
"""

from dataclasses import dataclass
from statistics import median
from typing import Literal

from drivers.bus import Pins
from drivers.device import Clock, DeviceError, Missing, Quantity, Values
from drivers.load_cell import Life, at_rail, check_cell, weight

ADDRESSES: tuple[int, ...] = ()
"""None: the address is the clock's line."""

ON = "pins"
DIRECT = True
TAKES = ("data",)

PULSES = {"A128": 25, "B32": 26, "A64": 27}  # of the clock: input and gain of the next conversion (Table 3)
BITS = 24
POWER_DOWN = 0.001  # s, well above 60 us
SETTLING = 6  # periods in which a conversion must come, settling (four) included
DUE = 2.5  # periods to the next conversion at the most: a read that reset the part is followed by four
WHOLE = 0.75  # periods within which a read must end, so that no later conversion falls into its bits
FAST = 0.06  # s within which a board of 80 Hz has its next conversion even after a reset
LOOKS = 10  # in one period
SPARE = 8  # conversions that may be lost to interruptions in one measurement
FROZEN = 16  # equal conversions in a row; noise alone makes even a few of them rare


@dataclass(frozen=True, slots=True)
class Options:
    """*data*: its line. The cell: *zero* [counts], *factor* [counts/kg] with its sign, *capacity* [kg].

    *input*: "A128", "A64" or "B32" (channel and gain), *rate* [Hz] as the board's RATE pin sets it, *average*
    (conversions of which the middle one counts). The default factor is that of a 50 kg cell with 2 mV/V at a
    gain of 128. Raises ValueError for a line that is none, a zero outside 24 bits, a factor of 0, a capacity
    not above 0, an average outside 1 to 63.
    """

    data: int = 6
    zero: float = 0.0
    factor: float = 85899.0
    capacity: float = 100.0
    input: Literal["A128", "A64", "B32"] = "A128"
    rate: Literal[10, 80] = 10
    average: int = 5

    def __post_init__(self) -> None:
        if self.data < 0:
            raise ValueError("data must be the number of a line")
        check_cell(self)
        if not 1 <= self.average <= 63:
            raise ValueError("average must be 1 to 63 conversions")


@dataclass(frozen=True, slots=True)
class Look:
    """A conversion that is ready: *seen* when; not there yet at *since*, if that is known [s]."""

    since: float | None
    seen: float


@dataclass(frozen=True, slots=True)
class Read:
    """What was clocked out after *look*, and when that had *ended* [s]."""

    look: Look
    ended: float
    counts: int


class Driver:
    """An HX711 that converts all the time; `measure` takes its next conversions.

    Raises ValueError when clock and data are one line.
    """

    quantities = frozenset({Quantity.WEIGHT})

    def __init__(self, bus: Pins, address: int, clock: Clock, options: Options = Options()) -> None:
        if options.data == address:
            raise ValueError(f"line {address} cannot be both clock and data: set data to another line")
        self._pins = bus
        self._line = address
        self._clock = clock
        self._options = options
        self._period = 1 / options.rate
        self._life = Life(FROZEN)

    async def start(self) -> None:
        """Reset the part by its clock line, and wait for its first conversion."""
        await self._pins.write(self._line, True)
        await self._clock.sleep(POWER_DOWN)
        await self._pins.write(self._line, False)
        await self._ready()

    async def measure(self) -> Values:
        """Return the weight [kg], the middle one of the next conversions.

        OUT_OF_RANGE at a rail or beyond the capacity. Raises DeviceError when the part does not convert, when
        its conversions stand still, and when too many were interrupted or came at another rate.
        """
        counts: list[int] = []
        before, due = None, False
        for _ in range(self._options.average + 3 + SPARE):
            look = await self._ready()
            was_due, due = due, before is not None and self._due(before, look)
            if before is not None and due and was_due:
                self._life.check(before.counts)
                counts.append(before.counts)
            if len(counts) == self._options.average:
                return {Quantity.WEIGHT: decode(counts, self._options)}
            before = await self._shift(look)
        raise DeviceError(
            f"conversions do not come every {self._period:g} s: too many reads were interrupted, "
            "the data line is stuck, or the board has another rate"
        )

    async def stop(self) -> None:
        """To power-down: the clock line stays high."""
        await self._pins.write(self._line, True)

    async def _ready(self) -> Look:
        """Wait until the data line is low: a conversion is ready. Raises DeviceError when none comes."""
        since = None
        for _ in range(SETTLING * LOOKS):
            now = self._clock.monotonic()
            if not await self._pins.read(self._options.data):
                return Look(since, self._clock.monotonic())
            since = now
            await self._clock.sleep(self._period / LOOKS)
        limit = SETTLING * self._period
        raise DeviceError(f"no conversion within {limit:g} s: has the part power, and are its lines right?")

    def _due(self, read: Read, after: Look) -> bool:
        """Whether *read* is of one conversion, and neither reset the part nor came from a faster one."""
        if read.look.since is None or after.since is None:
            return False
        whole = read.ended - read.look.since < WHOLE * self._period
        awake = after.seen - read.look.seen <= DUE * self._period
        ours = self._options.rate == 80 or after.since - read.ended >= FAST
        return whole and awake and ours

    async def _shift(self, look: Look) -> Read:
        """Clock out one conversion; the pulses after its bits choose what comes next.

        The clock is high for as short as a program can make it: nothing is done between its two edges. The
        line is high after the last pulse, or a new conversion came meanwhile: more pulses before the next
        would be more than 27 in one period.
        """
        counts = 0
        for _ in range(BITS):
            await self._pulse()
            counts = counts << 1 | await self._pins.read(self._options.data)
        for _ in range(PULSES[self._options.input] - BITS):
            await self._pulse()
        ended = self._clock.monotonic()
        if not await self._pins.read(self._options.data):
            await self._clock.sleep(1.5 * self._period)
        return Read(look, ended, signed(counts))

    async def _pulse(self) -> None:
        await self._pins.write(self._line, True)
        await self._pins.write(self._line, False)


def signed(counts: int) -> int:
    """Read 24 bits as two's complement ("Output Data Rate and Format")."""
    return counts - (1 << BITS) if counts >> (BITS - 1) else counts


def decode(counts: list[int], options: Options) -> float | Missing:
    """Return the middle one of *counts* as kg. At a rail it may stand for anything beyond."""
    middle = median(counts)
    return Missing.OUT_OF_RANGE if at_rail(middle) else weight(middle, options)
