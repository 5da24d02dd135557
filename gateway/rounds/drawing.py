"""Rounds as GeoJSON (RFC 7946), and as a picture that needs no map (SVG)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import cos, log10, radians
from typing import Any

from gateway.rounds.result import Job, Rounds, Route, clock, total
from gateway.rounds.world import RADIUS, Point

SIZE, EDGE, LEGEND = 900.0, 40.0, 26.0
"""The picture's width, its margin and the height of a line of its legend."""

COLOURS = ("#0969da", "#bc4c00", "#116329", "#8250df", "#a40e26", "#6e7781", "#9a6700", "#1b7c83")
DASHES = ("", "10 4", "3 3", "12 3 3 3")
"""Rounds differ by colour and by dashes, for those who do not see the one or the other."""


def geojson(planned: Rounds, fixed: Rounds | None) -> str:
    """Return a feature collection: a line for each trip, a point for each stop, depot and bin left standing.

    Lines are straight from stop to stop: how roads go is for the driver's navigation.
    """
    features = [*_features(planned), *(_features(fixed) if fixed else ())]
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False) + "\n"


def _features(rounds: Rounds) -> Iterator[dict[str, Any]]:
    for number, route in enumerate(rounds.routes, 1):
        head = {"plan": rounds.name, "round": number, "vehicle": route.vehicle.id}
        yield _point(route.depot, {**head, "kind": "depot", "depot": route.vehicle.depot})
        for order, trip in enumerate(route.trips, 1):
            line = [route.depot, *(stop.job.point for stop in trip), route.depot]
            more = {"kind": "trip", "trip": order, "stops": len(trip), "load": round(total(trip), 1)}
            shape = {"type": "LineString", "coordinates": [_place(point) for point in line]}
            yield {"type": "Feature", "geometry": shape, "properties": {**head, **more}}
        for order, stop in enumerate(route.stops, 1):
            at = {"kind": "stop", "order": order, "arrives": clock(stop.arrives)}
            yield _point(stop.job.point, {**head, **at, **_about(stop.job)})
    for job in rounds.left:
        yield _point(job.point, {"plan": rounds.name, "kind": "left", **_about(job)})


def _about(job: Job) -> dict[str, Any]:
    said = {"bin": job.bin.key, "load": round(job.load, 1)}
    request = job.request
    return said if request is None else {**said, "priority": request.priority, "fill": request.fill}


def _point(point: Point, properties: Mapping[str, Any]) -> dict[str, Any]:
    shape = {"type": "Point", "coordinates": _place(point)}
    return {"type": "Feature", "geometry": shape, "properties": dict(properties)}


def _place(point: Point) -> list[float]:
    return [round(point.longitude, 6), round(point.latitude, 6)]  # RFC 7946 section 3.1.1: easting first


def picture(planned: Rounds, fixed: Rounds | None) -> str:
    """Return a picture: the planned rounds in colour over the fixed one in grey, north up, with a scale."""
    points = [*_points(planned), *(_points(fixed) if fixed else ())]
    paper = _Paper(points or [Point(0.0, 0.0)])
    legend = [_words(planned), *(_route_words(n, each) for n, each in enumerate(planned.routes, 1))]
    if fixed:
        legend.append(_words(fixed))
    high = paper.high + LEGEND * (len(legend) + 1)
    parts = [f'<rect width="{SIZE:g}" height="{high:g}" fill="#ffffff"/>']
    if fixed:
        parts += [_line(paper, each, "#c4cad1", "", 5.0) for each in fixed.routes]
        parts += [_dot(paper, stop.job, "#8c959f", "") for stop in fixed.stops if stop.job.request is None]
    for n, route in enumerate(planned.routes):
        parts.append(_line(paper, route, _colour(n), DASHES[n % len(DASHES)], 2.5))
        parts += [_dot(paper, stop.job, _colour(n), str(k)) for k, stop in enumerate(route.stops, 1)]
    parts += [_dot(paper, job, "#cf222e", "!") for job in planned.left]
    parts += [_depot(paper, point) for point in dict.fromkeys(route.depot for route in planned.routes)]
    parts.append(paper.scale())
    for n, words in enumerate(legend):
        parts.append(_entry(n, words, paper.high + LEGEND * (n + 1), len(planned.routes)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE:g} {high:g}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13"><title>Collection rounds</title>'
        f"<desc>{escape('. '.join(legend))}</desc>\n" + "\n".join(parts) + "\n</svg>\n"
    )


class _Paper:
    """Where a place is on the picture: as wide as high in metres, which is right over a city."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._south, self._north = _ends([point.latitude for point in points])
        self._west, self._east = _ends([point.longitude for point in points])
        self._squeeze = max(0.01, cos(radians((self._south + self._north) / 2)))
        wide = max((self._east - self._west) * self._squeeze, (self._north - self._south) / 2, 1e-4)
        self._unit = (SIZE - 2 * EDGE) / wide
        self.high = (self._north - self._south) * self._unit + 2 * EDGE

    def at(self, point: Point) -> tuple[float, float]:
        """Return the place on the picture."""
        x = EDGE + (point.longitude - self._west) * self._squeeze * self._unit
        return x, EDGE + (self._north - point.latitude) * self._unit

    def scale(self) -> str:
        """Return a bar of a round number of metres."""
        metre = self._unit / radians(RADIUS)
        size = 10.0 ** int(log10(max(200.0 / metre, 1.0)))
        metres = next(each * size for each in (5, 2, 1) if each * size * metre <= 250 or each == 1)
        said = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
        y, left = self.high - 12, SIZE - EDGE - metres * metre
        return (
            f'<path d="M{left:.1f} {y - 5:.1f}v5h{metres * metre:.1f}v-5" fill="none" stroke="#1b1f24"/>'
            f'<text x="{SIZE - EDGE:g}" y="{y - 9:.1f}" text-anchor="end" fill="#1b1f24">{said}</text>'
        )


def _ends(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


def _points(rounds: Rounds) -> Iterator[Point]:
    for route in rounds.routes:
        yield route.depot
        yield from (stop.job.point for stop in route.stops)
    yield from (job.point for job in rounds.left)


def _line(paper: _Paper, route: Route, colour: str, dash: str, wide: float) -> str:
    pieces = []
    for trip in route.trips:
        places = [paper.at(point) for point in (route.depot, *(stop.job.point for stop in trip), route.depot)]
        pieces.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places))
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    head = f'<path d="{"".join(pieces)}" fill="none" stroke="{colour}" stroke-width="{wide:g}"'
    return f'{head} stroke-linejoin="round"{dashed}/>'


def _dot(paper: _Paper, job: Job, colour: str, words: str) -> str:
    x, y = paper.at(job.point)
    size = 9.5 if words else 4.0
    text = (
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" font-size="11" fill="#ffffff">{words}</text>'
    )
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" fill="{colour}" stroke="#ffffff">'
    return f"{circle}<title>{escape(job.bin.key)}</title></circle>{text if words else ''}"


def _depot(paper: _Paper, point: Point) -> str:
    x, y = paper.at(point)
    box = f'<rect x="{x - 9:.1f}" y="{y - 9:.1f}" width="18" height="18" fill="#1b1f24" stroke="#ffffff"/>'
    return f'{box}<text x="{x:.1f}" y="{y + 5:.1f}" text-anchor="middle" fill="#ffffff">D</text>'


def _entry(number: int, words: str, y: float, routes: int) -> str:
    """Return a line of the legend: the plan, each round with its stroke, the fixed one in grey."""
    stroke = ""
    if 1 <= number <= routes:
        dash = DASHES[(number - 1) % len(DASHES)]
        look = f'stroke="{_colour(number - 1)}" stroke-width="3" stroke-dasharray="{dash or "none"}"'
        stroke = f'<path d="M{EDGE:g} {y - 4:.1f}h44" {look}/>'
    elif number > routes:
        stroke = f'<path d="M{EDGE:g} {y - 4:.1f}h44" stroke="#c4cad1" stroke-width="5"/>'
    left = EDGE + (56 if stroke else 0)
    return f'{stroke}<text x="{left:g}" y="{y:.1f}" fill="#1b1f24">{escape(words)}</text>'


def _words(rounds: Rounds) -> str:
    said = rounds.shape()
    return (
        f"{rounds.name}: {said['distance'] / 1000:.1f} km, {said['lifts']} lifts, "
        f"{said['overflows']} overflows, {len(said['left'])} left standing"
    )


def _route_words(number: int, route: Route) -> str:
    return (
        f"round {number}, {route.vehicle.id}: {len(route.stops)} bins, {route.distance / 1000:.1f} km, "
        f"{clock(route.begins)} to {clock(route.ends)}"
    )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
