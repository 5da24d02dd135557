"""A tipping-bucket rain gauge: a reed that closes for a moment each time the bucket tips.

"Weather Sensor Assembly p/n 80422", Argent Data Systems (sold as SparkFun SEN-08942 and SEN-15901): 0.2794 mm
a tip. Why 0.2 s without an edge make a tip: a tip takes 0.524 s (C. Duchon et al., J. Atmos. Oceanic Technol.
31(6), 2014), its closure about 0.1 s, and its bounce far less.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from drivers.bus import Edge, Pins
from drivers.device import Clock, Missing, Quantity, Values
from drivers.reed import Reed, Watch

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
        self._watch = Watch(bus, address, f"rain on line {address}", self._hear)
        self._tipped = asyncio.Event()

    async def start(self) -> None:
        """Watch the line, from before this returns. Raises BusError when that cannot be."""
        if not self._watch.goes_on:
            self._counter.reed.closed = await self._pins.read(self._line) != self._options.active_low
        await self._watch.start()

    async def measure(self) -> Values:
        """Return the tips since the reading before, and their rain [mm].

        UNRELIABLE, both, when the contact chattered for more than a second. Raises the error that ended the
        watch of the line, so that it is started again; what was counted until then is kept.
        """
        await self._watch.catch_up()  # edges that wait to be heard are older than this reading
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
        await self._watch.stop()
        self._counter.take()
        self._tipped.clear()

    def _hear(self, edge: Edge) -> None:
        if self._counter.add(edge):
            self._tipped.set()


class Counter:
    """Tips among edges: the closures of a reed.

    Edges that go on for a second without a quiet moment are not a tip but a loose wire.
    """

    def __init__(self, debounce: float, active_low: bool) -> None:
        self.reed = Reed(debounce, active_low)
        self._began = float("-inf")
        self._tips = 0
        self._restless = False

    def add(self, edge: Edge) -> bool:
        """Take one edge, in order of time; return whether it is a tip."""
        tip = self.reed.closes(edge)
        if self.reed.quiet:
            self._began = edge.time
        elif edge.time - self._began > _RESTLESS:
            self._restless = True
        self._tips += tip
        return tip

    def take(self) -> tuple[int, bool]:
        """Return the tips since the last call, and whether the contact chattered meanwhile."""
        taken = self._tips, self._restless
        self._tips, self._restless = 0, False
        return taken
