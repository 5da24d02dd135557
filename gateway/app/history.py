"""A store's past: what was measured, in order, on one steady clock, with the streams made anew."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from drivers.device import Quantity
from gateway import rules
from gateway.app.check import Plan, plan
from gateway.app.pole import STALE
from gateway.app.streams import MADE_FROM
from gateway.clock import Instant, Quality
from gateway.config import Derive, Guard
from gateway.derive import Design, Source, Stream, design
from gateway.problem import ConfigError, Problem
from gateway.reading import Lane, Reading, reading_of
from gateway.rules import Expression, Type
from gateway.store import Archive
from gateway.store.player import play
from gateway.toml import Document

FOREVER = 1e12
LATEST = 1e11
"""A time [s, Unix] beyond which there is no calendar, only damage."""
HEAD = 20_000
"""Records from which a store without a configuration is judged first."""

Span = tuple[float | None, float | None]
"""Since and until [s, Unix], None where there is no bound."""


class Batch(NamedTuple):
    """How many records were taken, and each measured reading among them with what derives from it."""

    records: int
    heard: list[list[Reading]]


@dataclass(frozen=True)
class Past:
    """What a store holds, and what is known of the pole that wrote it.

    *devices* are the names and quantities that there are, *stale* [s] the age at which each is no longer
    known, *guards* None where no configuration says what guards there were.
    """

    path: Path
    designs: Mapping[str, Design]
    zone: tzinfo
    devices: Mapping[str, Collection[Quantity]]
    stale: Mapping[str, float]
    guards: Mapping[str, Guard] | None
    permissives: Mapping[str, tuple[Expression, ...]]

    def types(self) -> Mapping[str, Type]:
        """Return every name that a rule may use, and its type."""
        return rules.vocabulary(self.devices)

    def needed(self, devices: Collection[str]) -> set[str]:
        """Return *devices*, and all that those among them which are streams are made from."""
        wanted = set(devices)
        for name in reversed(list(self.designs)):
            if name in wanted:
                wanted |= {source.device for source in self.designs[name].context.sources.values()}
        return wanted

    def play(self, devices: Collection[str], span: Span) -> Iterator[tuple[float, Batch]]:
        """Yield the readings of *devices*, derived ones made anew, in batches with the share done."""
        wanted = self.needed(devices)
        remade, measured = Remade(self.designs, wanted), wanted - set(self.designs)
        for part in play(self.path, measured, span[0] or 0.0, span[1] or FOREVER, _Steady().place):
            all_said = map(remade.feed, part.readings)
            heard = [[each for each in said if each.device in devices] for said in all_said]
            yield part.share, Batch(part.records, [each for each in heard if each])


class Remade:
    """The streams among *wanted*, fed with measured readings."""

    def __init__(self, designs: Mapping[str, Design], wanted: Collection[str]) -> None:
        self._routes: dict[str, list[Stream]] = {}
        for stream in (designs[name].build() for name in designs if name in wanted):
            for device in stream.devices:
                self._routes.setdefault(device, []).append(stream)

    def feed(self, reading: Reading) -> list[Reading]:
        """Return the reading, and after it all that was made from it."""
        said = [reading]
        for each in said:
            for stream in self._routes.get(each.device, ()):
                said += stream.feed(each)
        return said


@dataclass
class _Steady:
    """One monotonic time over all boots: its own within a boot, the wall clock's from one to the next."""

    _boot: str = ""
    _shift: float = 0.0
    _last: Instant | None = None

    def place(self, time: float, mono: float, boot: str, clock: Quality) -> Instant:
        """Return the moment on the steady clock, which never goes back. Raises ValueError for no moment."""
        if not (0.0 <= time <= LATEST and 0.0 <= mono <= LATEST):
            raise ValueError("there is no such time")
        last = self._last
        if last is None:
            self._boot, self._shift = boot, -mono
            last = Instant(time, 0.0, "", clock)
        elif boot != self._boot:
            self._boot, self._shift = boot, last.mono + max(0.0, time - last.time) - mono
        self._last = Instant(time, max(last.mono, mono + self._shift), "", clock)
        return self._last


def past_of(store: Path, config: Path | None, whole: bool = False) -> Past:
    """Return the past that *store* holds; what the pole was like is in *config*, or else as the store says.

    A store alone is judged by its first records, or by the *whole*. Raises ConfigError, StoreError.
    """
    archive = Archive(store)
    return _with_plan(store, plan(config, keep_expired=True)) if config else _alone(store, archive, whole)


def _with_plan(store: Path, found: Plan) -> Past:
    devices = {name: placed.quantities for name, placed in found.devices.items()}
    designs = {each.id: each for each in found.streams}
    stale = {n: p.config.stale or STALE * p.config.interval for n, p in found.devices.items()}
    guards = {n: p.config.guard for n, p in found.devices.items() if p.config.guard is not None}
    given = {name: frozenset(each.gives) for name, each in designs.items()}
    zone = _zone(found.config.gateway.place.zone or "")
    limits = _stale(designs, stale)
    return Past(store, designs, zone, {**devices, **given}, limits, guards, found.permissives)


def _alone(store: Path, archive: Archive, whole: bool) -> Past:
    """Judge the store by what the gateway wrote into it of its streams, and by its readings."""
    designs, zone = designs_of(archive)
    seen = _Seen()
    for count, entry in enumerate(archive.records(Lane.TELEMETRY, 0.0, FOREVER)):
        seen.take(entry.body)
        if count > HEAD and not whole:
            break
    given = {name: frozenset(each.gives) for name, each in designs.items()}
    measured = {name: frozenset(q) for name, q in seen.quantities.items() if name not in designs}
    stale = {name: STALE * seen.interval(name) for name in measured}
    return Past(store, designs, zone, {**measured, **given}, _stale(designs, stale), None, {})


def designs_of(archive: Archive) -> tuple[dict[str, Design], tzinfo]:
    """Return the streams as the gateway that wrote the file had them, none where it is silent; its zone."""
    text = archive.remembered().get(MADE_FROM)
    if text is None:
        return {}, UTC
    try:
        return _designs(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = "what it says of its streams cannot be read: name the pole's configuration with --config"
        raise ConfigError([Problem("the store", 1, said)]) from error


def _designs(shape: Mapping[str, Any]) -> tuple[dict[str, Design], tzinfo]:
    known = {
        Source(device, Quantity(quantity)): float(seconds)
        for source, seconds in shape["known"].items()
        for device, _, quantity in [source.partition(".")]
    }
    nowhere, found = Document("the store", {}, "", {}), dict[str, Design]()
    for table in shape["derive"]:
        made = design(Derive.model_validate(table), known, nowhere, (), shape["zone"])
        found[made.id] = made
        known |= {Source(made.id, quantity): made.interval for quantity in made.gives}
    return found, _zone(shape["zone"])


def _stale(designs: Mapping[str, Design], measured: Mapping[str, float]) -> dict[str, float]:
    """Return all limits of age [s]: a stream's is that of what it is made from, or of its own interval."""
    found = dict(measured)
    for name, each in designs.items():
        found[name] = max(found.get(each.context.source.device, 0.0), STALE * each.interval)
    return found


def _zone(name: str) -> tzinfo:
    return ZoneInfo(name) if name else UTC


@dataclass
class _Seen:
    """Which devices a store has, what they measure and how often."""

    quantities: dict[str, set[Quantity]] = field(default_factory=dict)
    _times: dict[str, list[float]] = field(default_factory=dict)

    def take(self, body: Mapping[str, Any]) -> None:
        """Take a record's body, whatever it is."""
        with suppress(KeyError, TypeError, ValueError, AttributeError, OverflowError):
            reading = reading_of(body)
            self.quantities.setdefault(reading.device, set()).update([*reading.values, *reading.missing])
            self._times.setdefault(reading.device, []).append(reading.at.time)

    def interval(self, device: str) -> float:
        """Return the median of the seconds between two readings."""
        times = self._times[device]
        gaps = [late - early for early, late in pairwise(times) if late > early]
        return median(gaps) if gaps else 60.0
