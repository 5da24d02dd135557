"""A cup anemometer: a reed that closes as a magnet passes, once or more in a turn.

"Weather Sensor Assembly p/n 80422", Argent Data Systems (sold as SparkFun SEN-08942 and SEN-15901): one
closure a second is 2.4 km/h. A gust is the highest running mean over 3 s (WMO-No. 8, volume I, 5.1).
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.bus import Edge, Pins
from drivers.device import Clock, Missing, Quantity, Values
from drivers.reed import Reed, Watch

ON = "pins"
ADDRESSES: tuple[int, ...] = ()
"""None: the address of a pin driver is its line."""

_GUST = 3.0  # s
_SHORTEST = 0.5  # s that a mean must have, or it says nothing
_FASTEST = 120.0  # m/s; no wind near the ground was ever faster (113 m/s, WMO, 1996)
_REMEMBERED = 100_000  # closures at most, for a gust: half an hour of the fastest wind


@dataclass(frozen=True, slots=True)
class Options:
    """*speed* of the wind [m/s] that closes the reed once a second; *debounce* [s]; *active_low*.

    Raises ValueError for a speed beyond 0.01 to 10 m/s or a debounce beyond 0 to 0.02 s.
    """

    speed: float = 2.4 / 3.6
    debounce: float = 0.003
    active_low: bool = True

    def __post_init__(self) -> None:
        if not 0.01 <= self.speed <= 10.0:
            raise ValueError("speed must be 0.01 to 10 m/s for one closure a second")
        if not 0.0 <= self.debounce <= 0.02:
            raise ValueError("debounce must be 0 to 0.02 s, or fast wind is lost")


class Driver:
    """An anemometer. It counts from `start` to `stop`, whether or not anybody measures."""

    quantities = frozenset({Quantity.WIND_SPEED, Quantity.WIND_GUST})

    def __init__(self, bus: Pins, address: int, clock: Clock, options: Options = Options()) -> None:
        self._pins = bus
        self._line = address
        self._clock = clock
        self._options = options
        self._turns = Turns(options.debounce, options.active_low)
        self._watch = Watch(bus, address, f"wind on line {address}", lambda edge: self._turns.add(edge))
        self._began = self._since = 0.0

    async def start(self) -> None:
        """Watch the line, from before this returns. Raises BusError when that cannot be.

        A watch that goes on is left alone; a new one begins a new interval.
        """
        if not self._watch.goes_on:
            high = await self._pins.read(self._line)
            self._turns = Turns(self._options.debounce, self._options.active_low)
            self._turns.reed.closed = high != self._options.active_low
            self._began = self._since = self._clock.monotonic()
        await self._watch.start()

    async def measure(self) -> Values:
        """Return the mean speed since the reading before, and the gust: the highest mean over 3 s that ended
        since then, which is never below the mean.

        NOT_READY, both, sooner than half a second after the reading before: it goes on counting. The gust is
        WARMING_UP for 3 s after the start. OUT_OF_RANGE, both, beyond 120 m/s: no wind, but a loose wire.
        Raises the error that ended the watch of the line, so that it is started again.
        """
        await self._watch.catch_up()  # edges that wait to be heard are older than this reading
        now = self._clock.monotonic()
        elapsed = now - self._since
        if elapsed < _SHORTEST:
            return dict.fromkeys(self.quantities, Missing.NOT_READY)
        count, highest = self._turns.take(self._began)
        self._since = now
        mean = count / elapsed * self._options.speed
        gust = highest * self._options.speed
        if elapsed >= _GUST:
            gust = max(gust, mean)
        if max(mean, gust) > _FASTEST:
            return dict.fromkeys(self.quantities, Missing.OUT_OF_RANGE)
        warm = now - self._began >= _GUST
        return {Quantity.WIND_SPEED: mean, Quantity.WIND_GUST: gust if warm else Missing.WARMING_UP}

    async def stop(self) -> None:
        """Watch no longer, and forget."""
        await self._watch.stop()


class Turns:
    """The closures of a reed: how many, and when."""

    def __init__(self, debounce: float, active_low: bool) -> None:
        self.reed = Reed(debounce, active_low)
        self._count = 0
        self._told = float("-inf")  # the latest closure of the readings so far
        self._times: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, edge: Edge) -> None:
        """Take one edge, in order of time."""
        if self.reed.closes(edge):
            self._count += 1
            self._times.append(edge.time)

    def take(self, began: float) -> tuple[int, float]:
        """Return the closures since the last call, and the highest running mean [Hz] that ended since."""
        count, self._count = self._count, 0
        highest = running(list(self._times), self._told, began)
        if self._times:
            self._told = self._times[-1]
            while len(self._times) > 1 and self._times[1] <= self._told - _GUST:
                self._times.popleft()
        return count, highest


def running(times: Sequence[float], since: float, began: float) -> float:
    """Return the highest mean over 3 s [Hz] of closures at *times* [s], rising; 0 when there is none.

    Counted are the means that end after *since* and begin after *began*. The cups turn evenly between two
    closures, so a mean is not rounded to whole closures; it is highest where it begins or ends with one.
    """

    def turned(until: float) -> float:
        at = bisect_right(times, until)
        if not 0 < at < len(times):
            return float(max(0, at - 1))
        before, after = times[at - 1], times[at]
        return at - 1 + (until - before) / (after - before)

    ends = [end for each in times for end in (each, each + _GUST) if since < end <= times[-1]]
    return (
        max((turned(end) - turned(end - _GUST) for end in ends if end - _GUST >= began), default=0.0) / _GUST
    )
