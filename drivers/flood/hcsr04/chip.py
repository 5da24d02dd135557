"""An emulated HC-SR04 on two lines: it hears a trigger, waits for its burst, and answers with a pulse."""

from collections.abc import Mapping
from math import sqrt

from drivers.device import Clock, Quantity
from drivers.emulated import EmulatedPins, Span

_D, _T = Quantity.DISTANCE, Quantity.TEMPERATURE


class Emulated:
    """One board; `run` is its life and has to be a task of the test or the world.

    Faults: *silent* (no power: no pulse at all), *blind* (no echo: the pulse ends after *gives_up*),
    *stuck* (the echo line stays high after the next pulse has begun), *spikes* (more pulses after the echo),
    *lost_fall* (the edge that ends the pulse never reaches the gateway).
    """

    spans: Mapping[Quantity, Span] = {_D: Span(0.02, 4.0, 0.0001), _T: Span(-20.0, 50.0, 1.0)}

    def __init__(self, pins: EmulatedPins, line: int, echo: int, clock: Clock) -> None:
        self._pins = pins
        self._trigger, self._echo = line, echo
        self._clock = clock
        self._world = {_D: 1.0, _T: 20.0}
        self.silent = self.blind = self.stuck = self.lost_fall = False
        self.gives_up = 0.038
        self.spikes = 0
        pins.set(echo, False)

    def set(self, quantity: Quantity, value: float) -> None:
        """Move what is in front of the board, or warm the air."""
        if quantity not in self._world:
            raise ValueError(f"an HC-SR04 does not know {quantity}")
        self._world[quantity] = value

    def power_cycle(self) -> None:
        """Drop the echo line; the board keeps nothing."""
        self._pins.set(self._echo, False)

    async def run(self) -> None:
        """Answer every trigger of 10 us or more, at its falling edge; what comes meanwhile is not heard."""
        rose, deaf_until = float("inf"), 0.0
        async for edge in self._pins.edges(self._trigger):
            if edge.high:
                rose = edge.time
            elif edge.time - rose >= 10e-6 and edge.time >= deaf_until and not self.silent:
                await self._answer()
                deaf_until = self._clock.monotonic()

    async def _answer(self) -> None:
        await self._clock.sleep(8 / 40000 + 0.00025)  # eight periods at 40 kHz, and a little
        await self._pulse(self.gives_up if self.blind else self._flight())
        for _ in range(self.spikes):
            await self._clock.sleep(0.001)
            await self._pulse(0.0002)

    async def _pulse(self, width: float) -> None:
        self._pins.set(self._echo, True)
        await self._clock.sleep(width)
        if self.lost_fall:
            self._pins.levels[self._echo] = False
        elif not self.stuck:
            self._pins.set(self._echo, False)

    def _flight(self) -> float:
        """Seconds there and back, at the speed of sound in an ideal gas like air."""
        return 2 * self._world[_D] / (20.0457 * sqrt(self._world[_T] + 273.15))
