"""The motor of a bin's press, behind an H bridge with two inputs.

No datasheet: two lines and a motor. High on both inputs of a bridge without its own lock is a short through
its transistors; high on one right after the other lets the motor brake into the supply. Neither happens here,
whatever fails. How far the plate goes, and when, is decided elsewhere: end switches, eye and lid are contacts
of their own.
"""

from dataclasses import dataclass

from drivers.bus import BusError, Pins
from drivers.device import Clock, DeviceError, Quantity, Values

ADDRESSES: tuple[int, ...] = ()
"""None: the address is the line that presses."""

ON = "pins"
TAKES = ("reverse",)


@dataclass(frozen=True, slots=True)
class Options:
    """*reverse*: the line that returns; whether a high level drives; *dead_time* [s] between directions.

    Raises ValueError for a line that is none and a dead time outside 0.05 to 10 s.
    """

    reverse: int = 21
    active_high: bool = True
    dead_time: float = 0.5

    def __post_init__(self) -> None:
        if self.reverse < 0:
            raise ValueError("reverse must be the number of a line")
        if not 0.05 <= self.dead_time <= 10:
            raise ValueError("dead_time must be 0.05 to 10 s")


class Driver:
    """A press that goes one way, the other way, or stands. Both its lines are read back after every move.

    Raises ValueError when both directions are one line.
    """

    quantities = frozenset({Quantity.ON})

    def __init__(self, bus: Pins, address: int, clock: Clock, options: Options = Options()) -> None:
        if options.reverse == address:
            raise ValueError(f"line {address} cannot drive both directions: set reverse to another line")
        self._pins = bus
        self._clock = clock
        self._options = options
        self._lines = (address, options.reverse)
        self._driven: int | None = None
        self._rests: dict[int, float] = {}  # since when each line has not driven [s]
        self._order = 0

    async def start(self) -> None:
        """Stand; Pins sets each level before its direction, so that nothing glitches."""
        self._order += 1
        await self._release(*self._lines)

    async def apply(self, value: float) -> None:
        """Press (1), stand (0) or return (-1).

        Against the last direction it first waits for the rest of the dead time, standing. Raises DeviceError
        for another value, when a pin does not follow (both lines are released then), and when another command
        came during the dead time.
        """
        if value not in (1, 0, -1):
            raise DeviceError(f"a press takes 1, 0 or -1, not {value:g}")
        self._order += 1
        order = self._order
        forward, reverse = self._lines
        if value == 0:
            await self._release(*self._lines)
            return
        wanted, other = (forward, reverse) if value == 1 else (reverse, forward)
        await self._release(*((other,) if self._driven == wanted else self._lines))
        await self._clock.sleep(
            max(0.0, self._rests[other] + self._options.dead_time - self._clock.monotonic())
        )
        if order != self._order:
            raise DeviceError("another command came while the press stood between two directions")
        await self._drive(wanted)

    async def measure(self) -> Values:
        """Return 1 while the motor is driven, in either direction, else 0.

        Raises DeviceError when the lines do not read what was driven.
        """
        levels = [await self._pins.read(line) for line in self._lines]
        for line, high in zip(self._lines, levels, strict=True):
            if high != self._level(line == self._driven):
                told = "high" if high else "low"
                raise DeviceError(f"line {line} reads {told}, which is not what was driven: look for a short")
        return {Quantity.ON: float(self._driven is not None)}

    async def stop(self) -> None:
        """Stand."""
        self._order += 1
        await self._release(*self._lines)

    async def _release(self, *lines: int) -> None:
        """Stop driving *lines*, every one of them also when another fails; raise the first failure then."""
        failure: BusError | DeviceError | None = None
        for line in lines:
            try:
                await self._set(line, False)
            except (BusError, DeviceError) as error:
                failure = failure or error
        if failure is not None:
            if lines != self._lines:  # the other one must not be left driving beside a line that is stuck
                await self._release(*self._lines)
            raise failure

    async def _drive(self, line: int) -> None:
        try:
            await self._set(line, True)
        except (BusError, DeviceError):
            await self._release(*self._lines)
            raise

    async def _set(self, line: int, driven: bool) -> None:
        """Drive *line* or stop driving it; raise DeviceError when it does not follow."""
        high = self._level(driven)
        if driven:
            self._driven = line
        await self._pins.write(line, high)
        if not driven:
            self._rest(line)
        if await self._pins.read(line) != high:
            told, found = ("high", "low") if high else ("low", "high")
            raise DeviceError(f"line {line} was driven {told} and reads {found}: look for a short")

    def _rest(self, line: int) -> None:
        """Note since when *line* rests: since nothing drove it, or from now where that is not known."""
        if self._driven == line:
            self._driven = None
            self._rests.pop(line, None)
        self._rests.setdefault(line, self._clock.monotonic())

    def _level(self, driven: bool) -> bool:
        return driven == self._options.active_high
