"""`lamppost rounds`: requests and a fleet in; rounds, a comparison, a map out."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from gateway import terminal
from gateway.rounds.drawing import geojson, picture
from gateway.rounds.fixed import drive
from gateway.rounds.fleet import Bin, Fleet, load
from gateway.rounds.requests import Heard, Request, read
from gateway.rounds.result import Job, Rounds, clock, total
from gateway.rounds.solver import Search, needed, solve
from gateway.rounds.world import Point


def rounds(
    requests: Sequence[Path],
    fleet_file: Path,
    at: float | None,
    files: Mapping[str, Path | None],
    search: Search,
    as_json: bool,
) -> int:
    """Plan the rounds of the day of *at* [s, Unix], or else of the day after the last event.

    Prints how they compare with the fixed round. Writes the *files* that are wanted: out (GeoJSON) and
    picture (SVG). Raises ConfigError.
    """
    needed()
    fleet = load(fleet_file)
    heard = read(requests, at)
    day = _day(fleet, at, heard.last)
    jobs, nowhere = jobs_of(fleet, heard.standing.values())
    planned = solve(fleet, jobs, day, search)
    fixed = drive(fleet, every(fleet, jobs), day) if fleet.bins else None
    texts = {"out": geojson(planned, fixed), "picture": picture(planned, fixed)}
    for name, path in files.items():
        if path is not None:
            path.write_text(texts[name], encoding="utf-8")
    if as_json:
        print(json.dumps(_shape(heard, planned, fixed, nowhere), separators=(",", ":"), ensure_ascii=False))
    else:
        _show(fleet, heard, planned, fixed, nowhere)
    return 0


def _day(fleet: Fleet, at: float | None, last: float | None) -> float:
    """Return when the local day to plan for begins [s, Unix]."""
    local = datetime.fromtimestamp(time.time() if last is None else last, fleet.zone) + timedelta(days=1)
    if at is not None:
        local = datetime.fromtimestamp(at, fleet.zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def jobs_of(fleet: Fleet, requests: Iterable[Request]) -> tuple[list[Job], list[str]]:
    """Return a job for each request, and the bins of those whose place nobody knows."""
    jobs, nowhere = [], []
    for each in sorted(requests, key=lambda request: request.key):
        bin_ = fleet.bins.get(each.key) or Bin(each.gateway, each.subject)
        point = bin_.point or _place(each)
        if point is None:
            nowhere.append(each.key)
        else:
            jobs.append(Job(bin_, point, each))
    return jobs, nowhere


def every(fleet: Fleet, jobs: Sequence[Job]) -> list[Job]:
    """Return a job for every bin of the fixed round, in its order, with its request if there is one."""
    asked = {job.bin.key: job for job in jobs}
    found = []
    for key in fleet.fixed.order or fleet.bins:
        bin_ = fleet.bins[key]
        if key in asked:
            found.append(asked[key])
        elif bin_.point is not None:
            found.append(Job(bin_, bin_.point, None))
    return found


def _place(request: Request) -> Point | None:
    if request.latitude is None or request.longitude is None:
        return None
    return Point(request.latitude, request.longitude)


def _shape(heard: Heard, planned: Rounds, fixed: Rounds | None, nowhere: list[str]) -> dict[str, object]:
    return {
        "requested": heard.requested,
        "withdrawn": heard.withdrawn,
        "standing": len(heard.standing),
        "strange_lines": heard.strange,
        "without_place": nowhere,
        "planned": planned.shape(),
        "fixed": fixed.shape() if fixed else None,
    }


def _show(fleet: Fleet, heard: Heard, planned: Rounds, fixed: Rounds | None, nowhere: list[str]) -> None:
    day = datetime.fromtimestamp(planned.day, fleet.zone)
    terminal.show(
        f"{len(heard.standing)} bins ask to be emptied on {day:%Y-%m-%d} "
        f"({heard.requested} requests, {heard.withdrawn} withdrawn)."
    )
    if heard.strange:
        terminal.show(f"{heard.strange} lines could not be read and are left out.")
    if nowhere:
        terminal.show(f"Nobody says where these are, so they are left out: {', '.join(nowhere)}.")
    _compare(planned, fixed)
    rows = [
        [
            f"{n} {route.vehicle.id}",
            clock(stop.arrives),
            stop.job.bin.key,
            _fill(stop.job),
            _priority(stop.job),
        ]
        for n, route in enumerate(planned.routes, 1)
        for stop in route.stops
    ]
    if rows:
        terminal.show(terminal.table(["round", "at", "bin", "fill [%]", "priority"], rows))
    for n, route in enumerate(planned.routes, 1):
        loads = ", ".join(f"{total(trip):.0f} l" for trip in route.trips)
        terminal.show(
            f"Round {n}: {route.vehicle.id}, {route.distance / 1000:.1f} km, "
            f"{clock(route.begins)} to {clock(route.ends)}, {loads} of {route.vehicle.capacity:.0f} l."
        )
    if planned.left:
        terminal.show(
            f"Left standing, for want of room or time: {', '.join(j.bin.key for j in planned.left)}."
        )


def _compare(planned: Rounds, fixed: Rounds | None) -> None:
    both = [each for each in (planned, fixed) if each is not None]
    shapes = [each.shape() for each in both]
    lines = [
        ["distance, km", *(f"{each['distance'] / 1000:.1f}" for each in shapes)],
        ["lifts", *(str(each["lifts"]) for each in shapes)],
        ["lifts for little", *(str(each["lifts_for_little"]) for each in shapes)],
        ["overflows", *(str(each["overflows"]) for each in shapes)],
        ["hours", *(f"{each['hours']:.1f}" for each in shapes)],
    ]
    terminal.show(terminal.table(["", *(f"{each.name} []" for each in both)], lines))


def _fill(job: Job) -> str:
    return "" if job.request is None or job.request.fill is None else f"{job.request.fill:.0f}"


def _priority(job: Job) -> str:
    return job.request.priority if job.request else ""
