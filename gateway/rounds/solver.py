"""Rounds by pyvrp (an optional extra), which no other module imports."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from gateway import terminal
from gateway.problem import ConfigError, Problem
from gateway.rounds.fleet import Fleet, Vehicle
from gateway.rounds.result import Job, Rounds, Route, Stop, seconds_of, travel
from gateway.rounds.world import Point, matrix

if TYPE_CHECKING:
    import pyvrp
    from pyvrp.stop import StoppingCriterion

WORTH = {"low": 20_000, "normal": 200_000, "high": 2_000_000}
"""Metres that are driven for one bin before it is left standing."""


@dataclass(frozen=True, slots=True)
class Search:
    """How long to search: *seconds* or *steps*, whichever is over first.

    The same *seed* and *steps* give the same rounds, as long as the seconds do not run out.
    """

    seconds: float = 30.0
    steps: int = 2000
    seed: int = 1


def needed() -> None:
    """Raise ConfigError where pyvrp is not installed."""
    try:
        import pyvrp  # noqa: F401
    except ImportError as error:
        said = "planning needs a solver that is not installed: pip install 'lamppost[rounds]'"
        raise ConfigError([Problem("lamppost rounds", 1, said)]) from error


def solve(fleet: Fleet, jobs: Sequence[Job], day: float, search: Search) -> Rounds:
    """Return rounds over *jobs* that keep every capacity, working day and window. Raises ConfigError."""
    needed()
    if not jobs:
        return Rounds("planned", day, [])
    depots = list(fleet.depots.values())
    points = [*(each.point for each in depots), *(job.point for job in jobs)]
    ways = matrix(points, fleet.roads.detour)
    types = list(fleet.vehicles.values())
    model = _model(fleet, jobs, types, points, ways)
    result = model.solve(_until(search), seed=search.seed, collect_stats=False, display=False)
    if not result.is_feasible():
        said = "no round keeps all capacities and times: give the fleet more room, or bins wider windows"
        raise ConfigError([Problem("lamppost rounds", 1, said)])
    routes = [_route(each, fleet, jobs, types, ways) for each in result.best.routes()]
    done = {stop.job.bin.key for route in routes for stop in route.stops}
    return Rounds("planned", day, routes, [job for job in jobs if job.bin.key not in done])


def _model(
    fleet: Fleet,
    jobs: Sequence[Job],
    types: Sequence[Vehicle],
    points: Sequence[Point],
    ways: list[list[int]],
) -> "pyvrp.Model":
    from pyvrp import Model

    model = Model()
    places = [model.add_location(point.longitude, point.latitude) for point in points]
    depots = {name: model.add_depot(places[n], name=name) for n, name in enumerate(fleet.depots)}
    for place, job in zip(places[len(depots) :], jobs, strict=True):
        priority = job.request.priority if job.request else "normal"
        model.add_client(
            place,
            pickup=[ceil(job.load), ceil(job.weight)],
            service_duration=ceil(job.bin.service),
            tw_early=int(seconds_of(job.bin.opens)),
            tw_late=int(seconds_of(job.bin.closes)),
            prize=WORTH[priority],
            required=False,
            name=job.bin.key,
        )
    for each in types:
        depot = depots[each.depot]
        model.add_vehicle_type(
            each.count,
            capacity=[int(each.capacity), int(each.payload)],
            start_depot=depot,
            end_depot=depot,
            tw_early=int(seconds_of(each.begins)),
            tw_late=int(seconds_of(each.ends)),
            reload_depots=[depot] if each.trips > 1 else [],
            max_reloads=each.trips - 1,
            name=each.id,
        )
    for i, a in enumerate(places):
        for k, b in enumerate(places):
            model.add_edge(a, b, ways[i][k], ceil(travel(ways[i][k], fleet.roads.speed)))
    return model


def _until(search: Search) -> "StoppingCriterion":
    """Return what ends the search, and shows how far it is meanwhile."""
    began, steps = time.perf_counter(), 0

    def shares() -> Iterator[tuple[float, None]]:
        while True:
            share = max((time.perf_counter() - began) / search.seconds, steps / search.steps)
            yield min(1.0, share), None
            if share >= 1.0:
                return

    bar = terminal.progress("planning rounds", shares())

    def over(best_cost: int) -> bool:
        nonlocal steps
        steps += 1
        return next(bar, StopIteration) is StopIteration

    return over


def _route(
    found: "pyvrp.Route", fleet: Fleet, jobs: Sequence[Job], types: Sequence[Vehicle], ways: list[list[int]]
) -> Route:
    vehicle = types[found.vehicle_type()]
    trips: list[list[Stop]] = [[]]
    for each in found.schedule():
        if each.is_depot():
            trips.append([])
        else:
            trips[-1].append(Stop(jobs[each.idx], float(each.start_time)))
    return Route(
        vehicle,
        fleet.depots[vehicle.depot].point,
        tuple(tuple(trip) for trip in trips if trip),
        float(found.distance()),
        float(found.start_time()),
        float(found.end_time()),
    )
