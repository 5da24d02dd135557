"""What a round is, however it was made, and what two of them differ in."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.rounds.fleet import Bin, Vehicle
from gateway.rounds.requests import Request
from gateway.rounds.world import Point

HALF = 50.0
"""Percent: who empties a bin below this has come for little."""


@dataclass(frozen=True, slots=True)
class Job:
    """A bin to be emptied: *request* is None where none was made."""

    bin: Bin
    point: Point
    request: Request | None

    @property
    def load(self) -> float:
        """What is in it, as far as it is known, in litres; a bin that nobody knows of counts as half full."""
        fill = HALF if self.request is None else 100.0 if self.request.fill is None else self.request.fill
        return max(1.0, self.bin.volume * min(max(fill, 0.0), 100.0) / 100.0)

    @property
    def weight(self) -> float:
        """What is in it, as far as it is known, in kilograms."""
        return 0.0 if self.request is None else max(0.0, self.request.weight or 0.0)


@dataclass(frozen=True, slots=True)
class Stop:
    """A job at its time of day, in seconds since midnight."""

    job: Job
    arrives: float


@dataclass(frozen=True, slots=True)
class Route:
    """What one vehicle drives: its *trips*, each from the depot and back, over *distance* metres."""

    vehicle: Vehicle
    depot: Point
    trips: tuple[tuple[Stop, ...], ...]
    distance: float
    begins: float
    ends: float

    @property
    def stops(self) -> list[Stop]:
        """Every stop, in order."""
        return [stop for trip in self.trips for stop in trip]


@dataclass
class Rounds:
    """All that is driven in a day, and what is left standing. *day*: its midnight [s, Unix]."""

    name: str
    day: float
    routes: list[Route]
    left: list[Job] = field(default_factory=list)

    @property
    def distance(self) -> float:
        """The way of all vehicles [m]."""
        return sum(route.distance for route in self.routes)

    @property
    def stops(self) -> list[Stop]:
        """Every stop of every route."""
        return [stop for route in self.routes for stop in route.stops]

    @property
    def overflows(self) -> list[Job]:
        """The bins that are full before anybody comes that day, or that nobody comes to and that fill up."""
        late = [s.job for s in self.stops if _full(s.job, self.day + s.arrives)]
        return late + [job for job in self.left if _full(job, self.day + 86400.0)]

    @property
    def for_little(self) -> int:
        """How many bins are lifted that nobody asked for, or that are not half full."""
        asked = [s.job.request for s in self.stops]
        return sum(r is None or (r.fill is not None and r.fill < HALF) for r in asked)

    def shape(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "distance": round(self.distance),
            "vehicles": len(self.routes),
            "lifts": len(self.stops),
            "lifts_for_little": self.for_little,
            "overflows": len(self.overflows),
            "left": [job.bin.key for job in self.left],
            "hours": round(sum(route.ends - route.begins for route in self.routes) / 3600.0, 2),
        }


def clock(seconds: float) -> str:
    """Return a time of day as people write it."""
    minutes = round(seconds / 60.0)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def seconds_of(moment: Any) -> float:
    """Return a time of day as seconds since midnight."""
    return float(moment.hour * 3600 + moment.minute * 60 + moment.second)


def _full(job: Job, at: float) -> bool:
    return job.request is not None and job.request.full is not None and job.request.full < at


def travel(distance: float, speed: float) -> float:
    """Return the time [s] for a *distance* [m] at a *speed* [km/h]."""
    return distance / (speed / 3.6)


def total(stops: Sequence[Stop]) -> float:
    """Return what is taken in at some stops, in litres."""
    return sum(stop.job.load for stop in stops)
