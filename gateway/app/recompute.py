"""`lamppost derive`: a stream made anew from the stored readings, as a table and a plot."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from drivers.device import UNITS, Quantity
from gateway import terminal
from gateway.app.check import plan
from gateway.app.history import FOREVER, designs_of
from gateway.app.streams import PATIENCE, TICK
from gateway.clock import Instant
from gateway.derive import Design, Stream
from gateway.problem import ConfigError, Problem
from gateway.reading import Flag, Lane, Reading, encode, reading_of
from gateway.store import Archive
from gateway.toml import did_you_mean


@dataclass
class Recomputed:
    """A stream and all that it is made from, fed with stored readings; time passes as they tell it."""

    designs: Mapping[str, Design]
    name: str
    _streams: dict[str, Stream] = field(default_factory=dict)
    _looked: float = float("-inf")  # [s, Unix] up to when time has passed
    _offsets: dict[str, float] = field(default_factory=dict)  # wall time before monotonic time [s], by boot

    def __post_init__(self) -> None:
        self._streams = {name: self.designs[name].build() for name in self._needed(self.name)}

    @property
    def design(self) -> Design:
        """The stream that is asked for."""
        return self.designs[self.name]

    @property
    def reach(self) -> float:
        """How many seconds of readings the stream, and what it is made from, may need before its first."""
        found: dict[str, float] = {}
        for name in self._streams:
            sources = {source.device for source in self.designs[name].context.sources.values()}
            before = max((found.get(device, 0.0) for device in sources), default=0.0)
            found[name] = self.designs[name].reach + before
        return found[self.name]

    def feed(self, reading: Reading) -> Iterator[Reading]:
        """Take a stored reading; yield what the stream says.

        Stored readings of streams are made anew, but tell the time: one that was said as a period ended may
        be the only sign that the gateway was there to say it.
        """
        at = reading.at
        if reading.device in self.designs:
            now = max(at.time, at.mono + self._offsets.get(at.boot, at.time - at.mono))
            yield from self._pass(replace(at, time=now), 0.0)
            return
        self._offsets = {at.boot: at.time - at.mono}
        yield from self._pass(at, TICK)
        yield from self._told([reading])

    def _pass(self, at: Instant, least: float) -> Iterator[Reading]:
        """Let it be *at*, if *least* [s] have passed, or the clock was set back: periods end."""
        if 0.0 <= at.time - self._looked < least:
            return
        self._looked = at.time
        early = replace(at, time=at.time - PATIENCE)
        for stream in self._streams.values():
            said = stream.advance(early)
            if stream.id == self.name:
                yield from said
            yield from self._told(said)

    def _told(self, waiting: list[Reading]) -> Iterator[Reading]:
        """Bring readings to the streams, and what these say to one another."""
        waiting = list(waiting)
        for each in waiting:
            for name, stream in self._streams.items():
                said = stream.feed(each)
                waiting += said
                if name == self.name:
                    yield from said

    def _needed(self, name: str) -> list[str]:
        """Return the streams that *name* is made from, and itself, in the order of the configuration."""
        wanted, found = {name}, list[str]()
        for each in reversed(list(self.designs)):
            if each in wanted:
                found.insert(0, each)
                wanted |= {source.device for source in self.designs[each].context.sources.values()}
        return found


def recompute(
    store: Path, name: str, config: Path | None, span: tuple[float | None, float | None], rows: int | None
) -> int:
    """Print what the stream *name* says in a *span* of time [s, Unix], made anew from what *store* holds.

    Readings of before the span fill its windows.

    As a plot and a table of the last *rows*; as JSON, all of it, where that is None. Raises ConfigError.
    """
    archive = Archive(store)
    designs, zone = _of_config(config) if config else designs_of(archive)
    if name not in designs:
        hint = did_you_mean(name, designs) or f"; there are: {', '.join(designs) or 'none'}"
        if not designs and config is None:
            hint = " that the store speaks of: name the pole's configuration with --config"
        raise ConfigError([Problem(str(config or store), 1, f'there is no stream "{name}"{hint}')])
    stream = Recomputed(designs, name)
    since = span[0] or 0.0
    entries = archive.records(Lane.TELEMETRY, max(0.0, since - stream.reach), span[1] or FOREVER)
    said, count = list[Reading](), 0
    for body in terminal.progress(f"{name} over {store.name}", ((e.share, e.body) for e in entries)):
        with suppress(KeyError, TypeError, ValueError):  # a record of a part that this version does not know
            said += [each for each in stream.feed(reading_of(body)) if each.at.time >= since]
            count += 1
    if rows is None:
        for reading in said:
            print(encode(reading))
    else:
        _show(stream.design, said, count, zone, rows)
    return 0


def _of_config(path: Path) -> tuple[dict[str, Design], tzinfo]:
    found = plan(path, keep_expired=True)
    return {each.id: each for each in found.streams}, _zone(found.config.gateway.place.zone or "")


def _zone(name: str) -> tzinfo:
    return ZoneInfo(name) if name else UTC


def _show(design: Design, said: list[Reading], count: int, zone: tzinfo, rows: int) -> None:
    missing = sum(not reading.values for reading in said)
    sources = ", ".join(map(str, design.context.sources.values()))
    terminal.show(
        f"{design.id}: {design.settings.kind} of {sources}. "
        f"{len(said):,} readings made from {count:,} stored ones, {missing:,} of them missing."
    )
    if not said:
        return
    for unit, quantities in _by_unit(design.gives).items():
        lines = [
            terminal.Line(quantity, [(r.at.time, r.values.get(quantity)) for r in said])
            for quantity in quantities
        ]
        if picture := terminal.plot(f"{', '.join(quantities)} [{unit}]", lines, zone=zone):
            terminal.show(picture)
    if not rows:
        return
    columns = ["time", *(f"{quantity} [{UNITS[quantity]}]" for quantity in design.gives), ""]
    shown = [_row(reading, design.gives, zone) for reading in said[-rows:]]
    first = f"the last {len(shown)} of {len(said):,}" if len(shown) < len(said) else ""
    terminal.show(terminal.table(columns, shown, first))


def _by_unit(quantities: tuple[Quantity, ...]) -> dict[str, list[Quantity]]:
    found: dict[str, list[Quantity]] = {}
    for quantity in quantities:
        found.setdefault(UNITS[quantity], []).append(quantity)
    return found


def _row(reading: Reading, quantities: tuple[Quantity, ...], zone: tzinfo) -> list[str]:
    when = datetime.fromtimestamp(reading.at.time, zone).strftime("%Y-%m-%d %H:%M:%S")
    cells = [_cell(reading, quantity) for quantity in quantities]
    words = dict.fromkeys(reading.labels.values())
    if Flag.SUSPECT in reading.flags.values():
        words["suspect"] = None
    return [when, *cells, ", ".join(words)]


def _cell(reading: Reading, quantity: Quantity) -> str:
    if quantity in reading.values:
        return f"{reading.values[quantity]:.6g}"
    return str(reading.missing.get(quantity, ""))
