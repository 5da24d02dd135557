"""A bucket under a funnel, with a magnet that closes a reed for a moment as it tips, bounce and all."""

from collections.abc import Mapping, Sequence

from drivers.device import Clock, Quantity
from drivers.emulated import EmulatedPins, Span

_STEP = 0.05  # s


class Emulated:
    """One gauge on *line*; `run` lets it rain at RAIN_RATE [mm/h], `tip` tips it by hand.

    Faults as data: *bounce* (pauses [s] between the levels at either end of a closure), *closure* (how long
    the reed stays closed [s]), *lost* (edges that never reach the gateway, by number from the start of a
    tip), *stuck* (the bucket no longer tips), `chatter` (a loose wire).
    """

    spans: Mapping[Quantity, Span] = {Quantity.RAIN_RATE: Span(0.0, 500.0, 1.0)}

    def __init__(self, pins: EmulatedPins, line: int, clock: Clock, depth: float = 0.2794) -> None:
        self._pins = pins
        self._line = line
        self._clock = clock
        self._depth = depth
        self._rate = self._water = 0.0
        self.closure = 0.1
        self.bounce: Sequence[float] = (0.0004, 0.0003)
        self.lost: set[int] = set()
        self.stuck = False
        self.tips = 0
        pins.set(line, True)

    def set(self, quantity: Quantity, value: float) -> None:
        """Let it rain at *value* mm/h."""
        if quantity is not Quantity.RAIN_RATE:
            raise ValueError(f"a rain gauge does not know {quantity}")
        self._rate = value

    def power_cycle(self) -> None:
        """Nothing: it has no power."""

    async def run(self) -> None:
        """Fill the bucket, and tip it when it is full."""
        then = self._clock.monotonic()
        while True:
            await self._clock.sleep(_STEP)
            now = self._clock.monotonic()
            self._water += self._rate * (now - then) / 3600
            then = now
            while self._water >= self._depth and not self.stuck:
                self._water -= self._depth
                await self.tip()

    async def tip(self) -> None:
        """Tip once: the reed closes, and opens after a moment."""
        self.tips += 1
        levels = [level for end in (False, True) for level in self._end(end)]
        for number, (level, pause) in enumerate(levels):
            if number in self.lost:
                self._pins.levels[self._line] = level
            else:
                self._pins.set(self._line, level)
            await self._clock.sleep(pause)

    async def chatter(self, seconds: float, period: float = 0.02) -> None:
        """Make and break the contact for *seconds*."""
        for _ in range(round(seconds / period)):
            self._pins.set(self._line, not self._pins.levels[self._line])
            await self._clock.sleep(period)
        self._pins.set(self._line, True)

    def _end(self, level: bool) -> list[tuple[bool, float]]:
        """Return the levels and pauses of one end of a closure: it bounces, and stays."""
        bounces = [(level != bool(number & 1), pause) for number, pause in enumerate(self.bounce)]
        return [*bounces, (level, 0.0 if level else self.closure)]
