"""The fleet file: depots, vehicles, bins and the fixed round, in TOML."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.config import Pause, options
from gateway.problem import ConfigError, Problem
from gateway.rounds.world import Point
from gateway.toml import Document, did_you_mean, read

_TABLES = ("depot", "vehicle", "bin")
MOST = 5_000
"""Bins that a plan may have: the distances between all of them must fit into the memory."""


@dataclass(frozen=True, slots=True)
class Roads:
    """*detour*: the way on the road over the straight one; *speed* [km/h], stops not counted; the *zone*."""

    detour: float = 1.3
    speed: float = 25.0
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Depot:
    """Where vehicles begin, end and are emptied."""

    id: str
    latitude: float
    longitude: float

    @property
    def point(self) -> Point:
        """Where it is."""
        return Point(self.latitude, self.longitude)


@dataclass(frozen=True, slots=True)
class Vehicle:
    """*count* vehicles alike: what they hold, *capacity* [l] and *payload* [kg], and when they work.

    *trips*: how often one may go out in a day; it is emptied at its depot in between, in *unload*.
    """

    id: str
    depot: str
    capacity: float
    count: int = 1
    payload: float = 20_000.0
    begins: time = time(6)
    ends: time = time(14)
    trips: int = 1
    unload: Pause = 1200.0


@dataclass(frozen=True, slots=True)
class Bin:
    """*volume* [l]: of the rubbish in it when it is full, as it lies in the vehicle.

    *opens* and *closes*: when it may be emptied; *service*: how long that takes. Where its place is not said
    here, the request says it.
    """

    gateway: str
    subject: str
    volume: float = 120.0
    latitude: float | None = None
    longitude: float | None = None
    opens: time = time(0)
    closes: time = time(23, 59, 59)
    service: Pause = 120.0

    @property
    def key(self) -> str:
        """The bin's name over all gateways."""
        return f"{self.gateway}/{self.subject}"

    @property
    def point(self) -> Point | None:
        """Where it is, if that is known."""
        if self.latitude is None or self.longitude is None:
            return None
        return Point(self.latitude, self.longitude)


@dataclass(frozen=True, slots=True)
class Fixed:
    """The round as it always was: every bin, in the order of the file, or in *order*; by *vehicle*."""

    vehicle: str = ""
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fleet:
    """All that a plan is made from, besides the requests."""

    roads: Roads
    depots: Mapping[str, Depot]
    vehicles: Mapping[str, Vehicle]
    bins: Mapping[str, Bin]
    fixed: Fixed

    @property
    def zone(self) -> ZoneInfo:
        """The zone of all times of day."""
        return ZoneInfo(self.roads.zone)


def load(path: Path) -> Fleet:
    """Read and check a fleet file. Raises ConfigError with every problem."""
    document = read(path)
    reader = _Reader(document)
    fleet = reader.fleet()
    if reader.problems:
        raise ConfigError(sorted(reader.problems, key=lambda each: (each.line, each.column)))
    return fleet


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def fleet(self) -> Fleet:
        """Return what could be read; what could not is in *problems*."""
        for name in self.document.data:
            if name not in (*_TABLES, "roads", "fixed"):
                near = did_you_mean(name, [*_TABLES, "roads", "fixed"])
                self._say((name,), f'a fleet has no key "{name}"{near}')
        roads = self._one(Roads, ("roads",)) or Roads()
        self._roads(roads)
        depots = {each.id: each for _, each in self._many(Depot, "depot")}
        vehicles = {each.id: each for _, each in self._many(Vehicle, "vehicle")}
        bins = {each.key: each for _, each in self._many(Bin, "bin")}
        for name, found in (("depot", depots), ("vehicle", vehicles)):
            if not found and not self.problems:
                self._say((), f"there is no [[{name}]]: a round needs one")
        fixed = self._one(Fixed, ("fixed",)) or Fixed()
        self._fixed(fixed, vehicles, bins)
        return Fleet(roads, depots, vehicles, bins, fixed)

    def _say(self, path: tuple[str | int, ...], message: str) -> None:
        self.problems.append(self.document.problem(path, message))

    def _one(self, kind: type[Any], path: tuple[str | int, ...]) -> Any:
        table: Any = self.document.data
        for key in path:
            table = table.get(key, {}) if isinstance(table, dict) else table[key]
        if not isinstance(table, dict):
            self._say(path, f"write [{path[0]}] as a table")
            return None
        try:
            return options(kind, table, self.document, path)
        except ConfigError as error:
            self.problems += error.problems
            return None

    def _many(self, kind: type[Any], name: str) -> list[tuple[int, Any]]:
        tables = self.document.data.get(name, [])
        if not isinstance(tables, list):
            self._say((name,), f"write each {name} as [[{name}]]")
            return []
        if len(tables) > MOST:
            self._say((name,), f"there are more than {MOST:,}")
            return []
        found = [(number, self._one(kind, (name, number))) for number in range(len(tables))]
        return [
            (number, each) for number, each in found if each is not None and self._fits(name, number, each)
        ]

    def _fits(self, name: str, number: int, each: Any) -> bool:
        before = len(self.problems)
        path = (name, number)
        for key, least, most in LIMITS:
            value = getattr(each, key, None) if key in type(each).__dataclass_fields__ else None
            if value is not None and not least <= value <= most:
                self._say((*path, key), f"{key} is {least:g} to {most:g}")
        if isinstance(each, Vehicle):
            depots = [d.get("id") for d in self.document.data.get("depot", []) if isinstance(d, dict)]
            if each.depot not in depots:
                self._say(
                    (*path, "depot"),
                    f'there is no depot "{each.depot}"{did_you_mean(each.depot, map(str, depots))}',
                )
            if not each.begins < each.ends:
                self._say((*path, "ends"), "a vehicle's day ends after it begins")
        if isinstance(each, Bin) and not each.opens < each.closes:
            self._say((*path, "closes"), "closes is later than opens")
        return len(self.problems) == before

    def _roads(self, roads: Roads) -> None:
        for key, least, most in (("detour", 1.0, 10.0), ("speed", 1.0, 130.0)):
            if not least <= getattr(roads, key) <= most:
                self._say(("roads", key), f"{key} is {least:g} to {most:g}")
        try:
            ZoneInfo(roads.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._say(
                ("roads", "zone"),
                f'there is no time zone "{roads.zone}"; say "UTC", or such as "Europe/Dublin"',
            )

    def _fixed(self, fixed: Fixed, vehicles: Mapping[str, Vehicle], bins: Mapping[str, Bin]) -> None:
        if fixed.vehicle and fixed.vehicle not in vehicles:
            near = did_you_mean(fixed.vehicle, vehicles)
            self._say(("fixed", "vehicle"), f'there is no vehicle "{fixed.vehicle}"{near}')
        for number, key in enumerate(fixed.order):
            if key not in bins:
                self._say(("fixed", "order", number), f'there is no bin "{key}"{did_you_mean(key, bins)}')


LIMITS: tuple[tuple[str, float, float], ...] = (
    ("latitude", -90.0, 90.0),
    ("longitude", -180.0, 180.0),
    ("capacity", 1.0, 1e6),
    ("payload", 1.0, 1e6),
    ("volume", 1.0, 1e5),
    ("count", 1, 1000),
    ("trips", 1, 20),
)
"""What numbers may be."""
