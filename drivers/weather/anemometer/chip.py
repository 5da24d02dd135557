"""Cups on a shaft, and a magnet that closes a reed once for each length of wind that went by, with bounce."""

from collections.abc import Mapping, Sequence

from drivers.device import Clock, Quantity
from drivers.emulated import EmulatedPins, Span

_STEP = 0.05  # s


class Emulated:
    """One anemometer on *line*, of which *length* metres of wind make one closure; `run` turns it.

    Faults as data: *bounce* (pauses [s] between the levels at either end of a closure), *stuck* (a frozen
    shaft), *every* (only each so many-th closing edge reaches the gateway), `chatter` (a loose wire).
    """

    spans: Mapping[Quantity, Span] = {Quantity.WIND_SPEED: Span(0.0, 60.0, 0.05)}

    def __init__(self, pins: EmulatedPins, line: int, clock: Clock, length: float = 2.4 / 3.6) -> None:
        self._pins = pins
        self._line = line
        self._clock = clock
        self._length = length
        self._speed = 0.0
        self.bounce: Sequence[float] = (0.0002, 0.0001)
        self.stuck = False
        self.every = 1
        self.closures = 0
        pins.set(line, True)

    def set(self, quantity: Quantity, value: float) -> None:
        """Let the wind blow at *value* m/s."""
        if quantity is not Quantity.WIND_SPEED:
            raise ValueError(f"an anemometer does not know {quantity}")
        self._speed = value

    def power_cycle(self) -> None:
        """Nothing: it has no power."""

    async def run(self) -> None:
        """Turn with the wind."""
        passed, then = 0.0, self._clock.monotonic()
        while True:
            speed = 0.0 if self.stuck else self._speed
            left = (self._length - passed) / speed if speed > 0 else _STEP
            await self._clock.sleep(min(_STEP, max(0.0, left)))
            now = self._clock.monotonic()
            passed, then = passed + speed * (now - then), now
            if speed > 0 and passed >= self._length - 1e-9:
                passed -= self._length
                await self.close(0.3 * self._length / speed)

    async def close(self, seconds: float) -> None:
        """Close the reed for *seconds*."""
        self.closures += 1
        for level in (False, True):
            for number, pause in enumerate(self.bounce):
                self._show(level != bool(number & 1))
                await self._clock.sleep(pause)
            self._show(level)
            if not level:
                await self._clock.sleep(seconds)

    async def chatter(self, seconds: float, period: float = 0.005) -> None:
        """Make and break the contact for *seconds*."""
        for _ in range(round(seconds / period)):
            self._pins.set(self._line, not self._pins.levels[self._line])
            await self._clock.sleep(period)
        self._pins.set(self._line, True)

    def _show(self, level: bool) -> None:
        if self.closures % self.every == 0:
            self._pins.set(self._line, level)
