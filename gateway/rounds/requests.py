"""What gateways ask to have fetched: their events, one JSON object per line, bare or in an envelope."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.problem import ConfigError, Problem

REQUESTED, WITHDRAWN = "lamppost.collection.requested", "lamppost.collection.withdrawn"
LONGEST = 1 << 20
"""Bytes of a line that are read: a record has a few hundred."""

LATEST = 1e11
"""A time [s, Unix] beyond which there is no calendar, only damage."""

PRIORITIES = ("low", "normal", "high")


@dataclass(frozen=True, slots=True)
class Request:
    """A bin that wants to be emptied.

    *fill* [%], *weight* [kg] and *full* (when it is full) [s, Unix] are None where nobody said; so are
    *latitude* and *longitude* [deg].
    """

    gateway: str
    subject: str
    time: float
    priority: str = "normal"
    fill: float | None = None
    weight: float | None = None
    full: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    name: str = ""
    reason: str = ""

    @property
    def key(self) -> str:
        """The bin's name over all gateways."""
        return f"{self.gateway}/{self.subject}"


@dataclass
class Heard:
    """The requests that stand, by bin; how many events there were, and lines that were none."""

    standing: dict[str, Request]
    last: float | None = None
    requested: int = 0
    withdrawn: int = 0
    strange: int = 0


def read(paths: Iterable[Path], at: float | None = None) -> Heard:
    """Return the requests that stand at the time *at* [s, Unix], or after all. Raises ConfigError."""
    heard = Heard({})
    events = []
    for path in paths:
        try:
            events += list(_events(path, heard))
        except OSError as error:
            raise ConfigError(
                [Problem(str(path), 1, f"cannot be read: {error.strerror or error}")]
            ) from error
    ended: dict[str, float | None] = {}
    for time, gateway, body in sorted(events, key=lambda each: each[0]):
        if at is None or time <= at:
            _take(heard, ended, time, gateway, body)
    now = heard.last if at is None else at
    for key, until in ended.items():
        if until is not None and now is not None and until < now:
            heard.standing.pop(key, None)
    return heard


def _take(
    heard: Heard, ended: dict[str, float | None], time: float, gateway: str, body: Mapping[str, Any]
) -> None:
    subject, data = str(body.get("subject", "")), body.get("data")
    key = f"{gateway}/{subject}"
    heard.last = time
    if body["type"] == WITHDRAWN:
        heard.withdrawn += 1
        heard.standing.pop(key, None)
        return
    heard.requested += 1
    heard.standing[key] = _request(gateway, subject, time, data if isinstance(data, dict) else {})
    ended[key] = _moment(data, ("lapses", "until"))


def _events(path: Path, heard: Heard) -> Iterator[tuple[float, str, Mapping[str, Any]]]:
    with path.open("rb") as file:
        while line := file.readline(LONGEST):
            if not line.strip():
                continue
            try:
                shape = json.loads(line)
            except (ValueError, RecursionError):
                heard.strange += 1
                continue
            yield from _event(shape, path.stem)


def _event(shape: Any, otherwise: str) -> Iterator[tuple[float, str, Mapping[str, Any]]]:
    """Yield the collection event in a line, whether bare, as `watch --json` prints it, or as exported.

    Of a bare event only the file's name says whose it is, so that stands in for the gateway.
    """
    if not isinstance(shape, dict):
        return
    inner = shape.get("body", shape)
    if not isinstance(inner, dict) or inner.get("type") not in (REQUESTED, WITHDRAWN):
        return
    gateway = shape.get("gateway") or inner.get("gateway") or otherwise
    time = number(inner.get("time"), LATEST)
    if time is not None and time >= 0.0:
        yield time, str(gateway), inner


def _request(gateway: str, subject: str, time: float, data: Mapping[str, Any]) -> Request:
    place = data.get("place")
    place = place if isinstance(place, dict) else {}
    priority = data.get("priority")
    return Request(
        gateway,
        subject,
        time,
        priority if priority in PRIORITIES else "normal",
        number(data.get("fill")),
        number(data.get("weight")),
        _full(time, data),
        number(place.get("latitude"), 90.0),
        number(place.get("longitude"), 180.0),
        str(place.get("name", "")),
        str(data.get("reason", "")),
    )


def _full(time: float, data: Mapping[str, Any]) -> float | None:
    """Return when the bin is full, however that is said; it is already, at 100 %."""
    fill = number(data.get("fill"))
    if fill is not None and fill >= 100.0:
        return time
    ahead = number(data.get("time_to_full"))
    return time + ahead if ahead is not None else _moment(data, ("full_at", "full", "predicted_full"))


def _moment(data: object, names: tuple[str, ...]) -> float | None:
    """Return the first time [s, Unix] under one of *names*."""
    found = (number(data.get(name)) for name in names) if isinstance(data, dict) else ()
    return next((each for each in found if each is not None), None)


def number(value: object, most: float = 1e12) -> float | None:
    """Return a finite number no larger than *most* either way, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and abs(value) <= most else None
