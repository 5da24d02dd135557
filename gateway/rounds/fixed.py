"""The fixed round: every bin, in the order in which it always was, whether anybody asked or not."""

from collections.abc import Sequence

from gateway.rounds.fleet import Fleet, Vehicle
from gateway.rounds.result import Job, Rounds, Route, Stop, seconds_of, travel
from gateway.rounds.world import Point, haversine


def drive(fleet: Fleet, jobs: Sequence[Job], day: float) -> Rounds:
    """Return the fixed round over *jobs*: one vehicle, which is emptied whenever it is full.

    It goes on until all is done, however late that is: a fixed round knows no request.
    """
    vehicle = fleet.vehicles[fleet.fixed.vehicle or next(iter(fleet.vehicles))]
    depot = fleet.depots[vehicle.depot].point
    driver = _Driver(fleet, vehicle, depot)
    for job in jobs:
        driver.empty(job)
    return Rounds("fixed", day, [driver.home()] if jobs else [])


class _Driver:
    """A vehicle on its way."""

    def __init__(self, fleet: Fleet, vehicle: Vehicle, depot: Point) -> None:
        self.roads, self.vehicle, self.depot = fleet.roads, vehicle, depot
        self.at, self.time = depot, seconds_of(vehicle.begins)
        self.distance = self.load = self.weight = 0.0
        self.trips: list[list[Stop]] = [[]]

    def empty(self, job: Job) -> None:
        """Go to a bin and empty it, by way of the depot where there is no more room for it."""
        over = self.load + job.load > self.vehicle.capacity or self.weight + job.weight > self.vehicle.payload
        if over and self.trips[-1]:
            self._go(self.depot)
            self.time += self.vehicle.unload
            self.load = self.weight = 0.0
            self.trips.append([])
        self._go(job.point)
        self.time = max(self.time, seconds_of(job.bin.opens))
        self.trips[-1].append(Stop(job, self.time))
        self.time += job.bin.service
        self.load, self.weight = self.load + job.load, self.weight + job.weight

    def home(self) -> Route:
        """Go home; return what was driven."""
        self._go(self.depot)
        trips = tuple(tuple(trip) for trip in self.trips if trip)
        begins = seconds_of(self.vehicle.begins)
        return Route(self.vehicle, self.depot, trips, self.distance, begins, self.time)

    def _go(self, to: Point) -> None:
        way = haversine(self.at, to) * self.roads.detour
        self.distance += way
        self.time += travel(way, self.roads.speed)
        self.at = to
