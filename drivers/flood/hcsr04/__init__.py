"""HC-SR04 and boards like it (JSN-SR04T, A02 in pulse mode): distance by the width of an echo pulse.

Datasheets "HC-SR04 Ultrasonic Module", ElecFreaks, and "HC-SR04 User's Manual" V1.0, Cytron: a trigger of
10 us or more, then a pulse as long as the sound is under way; about 38 ms without an echo; a new cycle each
60 ms at the soonest. The width is taken from the times of the edges, not by looking again and again.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from drivers.bus import BusError, Edge, Pins
from drivers.device import Clock, DeviceError, Missing, Quantity, Values

ON = "pins"
DIRECT = True
TAKES = ("echo",)
ADDRESSES: tuple[int, ...] = ()
"""None: the address is the line of the trigger, and the echo is an option."""

_TRIGGER = 0.00002  # s; 10 us is the least
_CYCLE = 0.060  # s from a trigger to the next; what was heard by then is all there is
_PATIENCE = 0.040  # s more for a pulse that has begun
_NO_ECHO = 0.035  # s; a pulse as long as this is the board giving up, which they do after 36 to 60 ms
_NEAREST = 0.02  # m


@dataclass(frozen=True, slots=True)
class Options:
    """*echo*: its line; *temperature* of the air [Cel], which sets the speed of sound; *farthest* [m].

    Raises ValueError for a temperature beyond -40 to 60 or a farthest beyond 0.1 to 5.
    """

    echo: int = 24
    temperature: float = 20.0
    farthest: float = 4.0

    def __post_init__(self) -> None:
        if not 0 <= self.echo <= 53:
            raise ValueError("echo must be a line of the header, 0 to 53")
        if not -40.0 <= self.temperature <= 60.0:
            raise ValueError("temperature must be -40 to 60 Cel: the usual one of the air at the site")
        if not 0.1 <= self.farthest <= 5.0:
            raise ValueError("farthest must be 0.1 to 5 m")


class Driver:
    """One ultrasonic board. Raises ValueError when trigger and echo are the same line."""

    quantities = frozenset({Quantity.DISTANCE})

    def __init__(self, bus: Pins, address: int, clock: Clock, options: Options = Options()) -> None:
        if address == options.echo:
            raise ValueError(f"trigger and echo are both on line {address}: the echo needs its own")
        self._pins = bus
        self._trigger = address
        self._clock = clock
        self._options = options

    async def start(self) -> None:
        """Hold the trigger low and make the echo an input."""
        await self._pins.write(self._trigger, False)
        await self._pins.read(self._options.echo)

    async def measure(self) -> Values:
        """Send one burst and return the distance [m]: 60 ms, or 100 ms with a pulse that does not end.

        FAULT for an echo line that is high without a trigger or stays high, NO_TARGET for a pulse that is no
        echo, OUT_OF_RANGE beyond 0.02 m to farthest, UNRELIABLE for anything but one pulse. DeviceError when
        there is no pulse at all: the board has no power, or the lines are not its own.
        """
        if await self._pins.read(self._options.echo):
            return {Quantity.DISTANCE: Missing.FAULT}
        edges = await self._listen()
        return {Quantity.DISTANCE: decode(edges, self._options.temperature, self._options.farthest)}

    async def stop(self) -> None:
        """Hold the trigger low: the board is silent then."""
        await self._pins.write(self._trigger, False)

    async def _listen(self) -> list[Edge]:
        """Trigger the board, and return every edge of the echo in the cycle."""
        edges: list[Edge] = []
        listener = asyncio.create_task(self._collect(edges), name=f"echo on line {self._options.echo}")
        try:
            await asyncio.sleep(0)  # the line is watched before the trigger
            await self._pull()
            await self._clock.sleep(_CYCLE)
            if len(edges) == 1:
                await self._clock.sleep(_PATIENCE)
        finally:
            failed = listener.done()
            listener.cancel()
            with suppress(asyncio.CancelledError, BusError):
                await listener
        if failed:
            listener.result()
        return edges

    async def _collect(self, edges: list[Edge]) -> None:
        stream, heard = self._pins.edges(self._options.echo), edges.append
        try:
            async for edge in stream:
                heard(edge)
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    async def _pull(self) -> None:
        try:
            await self._pins.write(self._trigger, True)
            await self._clock.sleep(_TRIGGER)
        finally:
            await self._pins.write(self._trigger, False)


def speed_of_sound(temperature: float) -> float:
    """Return the speed of sound [m/s] in air of *temperature* [Cel]; 0.2 % off at the ends of -20 to 40."""
    return 331.3 + 0.606 * temperature


def sound(options: Options) -> float:
    """Return the speed of sound [m/s] that its distances are reckoned with."""
    return speed_of_sound(options.temperature)


def decode(edges: Sequence[Edge], temperature: float, farthest: float) -> float | Missing:
    """Return the distance [m] that the pulse of *edges* means. Raises DeviceError when there are none."""
    if not edges:
        raise DeviceError("no echo pulse: is the board powered, and are trigger and echo its lines?")
    levels = [edge.high for edge in edges]
    if levels == [True]:
        return Missing.FAULT
    if levels != [True, False]:
        return Missing.UNRELIABLE
    width = edges[1].time - edges[0].time
    if width >= _NO_ECHO:
        return Missing.NO_TARGET
    distance = width * speed_of_sound(temperature) / 2
    return distance if _NEAREST <= distance <= farthest else Missing.OUT_OF_RANGE
