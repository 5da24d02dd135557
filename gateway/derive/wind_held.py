"""Measurements of wind as a window holds them: in order, in few bytes, and summed up in whole numbers."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan
from operator import mul

from gateway.derive.gusts import Gusts, Run

UNIT = 1 << 40  # of speed: whole numbers, so that what leaves a window takes exactly its share with it
WINDY, SIGHTED = 1, 2  # of a measurement: above CALM; and with a direction


@dataclass(slots=True)
class Sums:
    """What the means need, in whole numbers: [m/s / UNIT], its square, counts."""

    speed: int = 0
    square: int = 0
    east: int = 0
    north: int = 0
    windy: int = 0
    sighted: int = 0
    telling: int = 0


@dataclass(slots=True)
class Held:
    """Measurements in the order of time: time [us], speed and its vector [m/s / UNIT], gust or NaN [m/s]."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    speeds: "array[int]" = field(default_factory=lambda: array("q"))
    easts: "array[int]" = field(default_factory=lambda: array("q"))
    norths: "array[int]" = field(default_factory=lambda: array("q"))
    kinds: "array[int]" = field(default_factory=lambda: array("b"))
    told: "array[float]" = field(default_factory=lambda: array("d"))

    def count(self, sums: Sums, first: int, end: int, sign: int) -> None:
        """Add (*sign* 1) to *sums*, or take away (-1), those from *first* to before *end*."""
        speeds, kinds, told = self.speeds[first:end], self.kinds[first:end], self.told[first:end]
        sums.speed += sign * sum(speeds)
        sums.square += sign * sum(map(mul, speeds, speeds))
        sums.east += sign * sum(self.easts[first:end])
        sums.north += sign * sum(self.norths[first:end])
        sums.sighted += sign * kinds.count(WINDY + SIGHTED)
        sums.windy += sign * (len(kinds) - kinds.count(0))
        sums.telling += sign * (len(told) - sum(map(isnan, told)))

    def clear(self, end: int) -> None:
        """Drop all before *end*."""
        for one in (self.times, self.speeds, self.easts, self.norths, self.kinds, self.told):
            del one[:end]


def _runs(held: Held, run: Run, head: int, place: int) -> Iterator[tuple[int, float]]:
    """Yield begin [us] and mean [m/s] of every whole run that ends at *place* or later."""
    number, shortest, longest = run
    first, whole = max(head, place + 1 - number), number * UNIT
    times, speeds = held.times[first:], held.speeds[first:]
    total = sum(speeds[: number - 1])
    for begin, end, leaves, enters in zip(
        times, times[number - 1 :], speeds, speeds[number - 1 :], strict=False
    ):
        total += enters
        if shortest <= end - begin <= longest:
            yield begin, total / whole
        total -= leaves


def _tellings(held: Held, run: Run, head: int, place: int) -> Iterator[tuple[int, float]]:
    """Yield time [us] and gust [m/s] of every measurement from *place* on that has one."""
    for at, told in zip(held.times[place:], held.told[place:], strict=True):
        if told == told:  # NaN: it has none
            yield at, told


CRESTS: Mapping[Gusts, Callable[[Held, Run, int, int], Iterable[tuple[int, float]]]] = {
    Gusts.FOUND: _runs,
    Gusts.GIVEN: _tellings,
    Gusts.NONE: lambda held, run, head, place: (),
}
