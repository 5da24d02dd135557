"""A tipping-bucket rain gauge: a reed that closes for a moment each time the bucket tips.

"Weather Sensor Assembly p/n 80422", Argent Data Systems (sold as SparkFun SEN-08942 and SEN-15901): 0.2794 mm
a tip. Why 0.2 s without an edge make a tip: a tip takes 0.524 s (C. Duchon et al., J. Atmos. Oceanic Technol.
31(6), 2014), its closure about 0.1 s, and its bounce far less.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from drivers.bus import BusError, Edge, Pins
from drivers.device import Clock, DeviceError, Missing, Quantity, Values

ON = "pins"
ADDRESSES: tuple[int, ...] = ()
"""None: the address of a pin driver is its line."""

_RESTLESS = 1.0  # s of edges without a quiet moment between them: longer than any tip, so it is none


@dataclass(frozen=True, slots=True)
class Options:
    """*depth* of rain in one tip [mm]; *debounce* [s]; whether a closed reed pulls the line low.

    Raises ValueError for a depth beyond 0.01 to 10 mm or a debounce beyond 0.01 to 0.5 s.
    """

    depth: float = 0.2794
    debounce: float = 0.2
    active_low: bool = True

    def __post_init__(self) -> None:
        if not 0.01 <= self.depth <= 10.0:
            raise ValueError("depth must be 0.01 to 10 mm a tip")
        if not 0.01 <= self.debounce <= 0.5:
            raise ValueError("debounce must be 0.01 to 0.5 s: a tip takes 0.524 s")


class Driver:
    """A rain gauge. It counts from `start` to `stop`, whether or not anybody measures.

    Each tip is in exactly one reading: the next one. A `start` while it counts changes nothing; `stop`
    forgets what no reading has taken.
    """

    quantities = frozenset({Quantity.COUNT, Quantity.RAIN})

    def __init__(self, bus: Pins, address: int, clock: Clock, options: Options = Options()) -> None:
        self._pins = bus
        self._line = address
        self._options = options
        self._counter = Counter(options.debounce, options.active_low)
        self._listener: asyncio.Task[None] | None = None
        self._tipped = asyncio.Event()

    async def start(self) -> None:
        """Watch the line, from before this returns. Raises BusError when that cannot be."""
        if self._listener is None or self._listener.done():
            self._counter.closed = await self._pins.read(self._line) != self._options.active_low
            self._listener = asyncio.create_task(self._listen(), name=f"rain on line {self._line}")
        await asyncio.sleep(0)
        self._check()

    async def measure(self) -> Values:
        """Return the tips since the reading before, and their rain [mm].

        UNRELIABLE, both, when the contact chattered for more than a second. Raises the error that ended the
        watch of the line, so that it is started again; what was counted until then is kept.
        """
        for _ in range(2):  # edges that wait to be heard are older than this reading
            await asyncio.sleep(0)
        self._check()
        self._tipped.clear()
        tips, restless = self._counter.take()
        if restless:
            return {Quantity.COUNT: Missing.UNRELIABLE, Quantity.RAIN: Missing.UNRELIABLE}
        return {Quantity.COUNT: float(tips), Quantity.RAIN: tips * self._options.depth}

    async def changes(self) -> AsyncIterator[None]:
        """Yield when a tip waits to be read."""
        while True:
            await self._tipped.wait()
            self._tipped.clear()
            yield

    async def stop(self) -> None:
        """Watch no longer, and forget."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            with suppress(asyncio.CancelledError, BusError, DeviceError):
                await listener
        self._counter.take()
        self._tipped.clear()

    async def _listen(self) -> None:
        edges = self._pins.edges(self._line)
        try:
            async for edge in edges:
                if self._counter.add(edge):
                    self._tipped.set()
        finally:
            if isinstance(edges, AsyncGenerator):
                await edges.aclose()
        raise DeviceError(f"line {self._line} has no more edges: its owner closed it")

    def _check(self) -> None:
        if self._listener is None:
            raise DeviceError("not started: nobody watches the line")
        if self._listener.done():
            self._listener.result()


class Counter:
    """Tips among edges: the closing edge after *debounce* [s] without any edge, by the times of the edges.

    So it does not matter how long the reed stays closed, how it bounces at either end, or when the news of an
    edge comes. An opening edge of a reed that was open before tells of a closing edge that was lost, and
    counts as well. Edges that go on for a second without a quiet moment are not a tip but a loose wire.
    """

    def __init__(self, debounce: float, active_low: bool) -> None:
        self.closed = False  # as far as is known
        self._debounce = debounce
        self._active_low = active_low
        self._began = self._last = float("-inf")
        self._tips = 0
        self._restless = False

    def add(self, edge: Edge) -> bool:
        """Take one edge, in order of time; return whether it is a tip."""
        quiet = edge.time - self._last >= self._debounce
        self._last = max(self._last, edge.time)
        if quiet:
            self._began = edge.time
        elif edge.time - self._began > _RESTLESS:
            self._restless = True
        closes = edge.high != self._active_low
        tip = quiet and (closes or not self.closed)
        self.closed = closes
        self._tips += tip
        return tip

    def take(self) -> tuple[int, bool]:
        """Return the tips since the last call, and whether the contact chattered meanwhile."""
        taken = self._tips, self._restless
        self._tips, self._restless = 0, False
        return taken
