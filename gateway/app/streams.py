"""Every derived stream of a pole: fed in order, brought up to date after a restart, remembered."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping
from typing import Any, Protocol

from drivers.device import UNITS, Clock
from gateway.clock import Instant, Now, Quality
from gateway.derive import Design, Stream
from gateway.reading import Reading, reading_of
from gateway.store import StoreError

log = logging.getLogger("lamppost")

PERIOD = 60.0
"""Seconds between two times that what streams remember is written down."""

TICK = 1.0
"""Seconds between two looks at whether a period has ended without a reading."""

PATIENCE = 2.0
"""Seconds that the last reading of a period may take to arrive before its result is given without it."""

WAITING = 100_000
"""Most readings that wait while stored ones are taken in: at twenty a second well over an hour."""

AT_ONCE = 100
"""Readings that are taken in between two breaths of the event loop."""


SET = 1.0
"""Seconds by which a clock that is set moves at the least; what is less may be the time of a measurement."""

WRITTEN = 1_760_000_000.0
"""A time [s, Unix] before this program: a clock that says so, and that nobody vouches for, is wrong."""

LAST = "streams at"
"""The name under which the moment is kept at which what streams know was written down."""

MADE_FROM = "streams"
"""The name under which a store says which streams there are, for `lamppost derive`."""


class Memory(Protocol):
    """Where what a stream must not forget is kept, and the readings of earlier."""

    async def remembered(self) -> Mapping[str, str]:
        """Return every text by its name. Raises StoreError."""
        ...

    def remember(self, name: str, text: str) -> None:
        """Keep *text* under *name*, durable with the next commit. Raises ValueError for one too large."""
        ...

    def replay(self, since: float) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the stored readings of *since* [s, Unix] and later, oldest first, as far as they go now.

        Raises StoreError.
        """
        ...


class Streams:
    """Takes every measured reading; gives *say* every derived one, in the order of their making.

    Until the readings of before the restart have been taken in, new ones wait: a stream never sees time go
    back, and says nothing that it would not have said without the restart.
    """

    def __init__(
        self,
        designs: tuple[Design, ...],
        memory: Memory,
        clock: Clock,
        now: Now,
        say: Callable[[Reading], None],
        zone: str = "",
    ) -> None:
        self._designs = {design.id: design for design in designs}
        self._streams = {design.id: design.build() for design in designs}
        self._memory, self._clock, self._now, self._say = memory, clock, now, say
        self._zone = zone
        self._routes: dict[str, list[Stream]] = {}
        for stream in self._streams.values():
            for device in stream.devices:
                self._routes.setdefault(device, []).append(stream)
        self._latest: dict[str, Reading] = {}
        self._written: dict[str, str] = {}
        self._refused: set[str] = set()
        self._unwritten = {name for name, design in self._designs.items() if design.kind.lasting}
        self._began = now()
        self._last: Instant | None = None  # when the clock was last looked at
        self._offsets: dict[str, float] = {}  # wall time before monotonic time [s], by boot
        self._waiting: deque[Reading] | None = deque(maxlen=WAITING) if designs else None

    def take(self, reading: Reading) -> None:
        """Take a measured reading to the streams that it concerns."""
        if self._waiting is not None:
            self._waiting.append(reading)
        else:
            self._measured(reading)

    async def run(self) -> None:
        """Catch up with what is stored, then let time pass: periods end, states are written down."""
        if self._waiting is not None:
            self._keep(MADE_FROM, json.dumps(described(tuple(self._designs.values()), self._zone)))
            await self._catch_up()
        written = self._clock.monotonic()
        while True:
            await self._clock.sleep(TICK)
            self.advance()
            if self._clock.monotonic() - written >= PERIOD:
                written = self._clock.monotonic()
                self.remember()
            elif self._unwritten:  # what has nothing written down begins anew after a crash
                self.remember(self._unwritten)

    def advance(self) -> None:
        """Let the periods that ended a moment ago give their results, whether or not anything came."""
        at = self._now()
        if self._waiting is None:
            self._look_at_clock(at, self._streams.values())
        early = type(at)(at.time - PATIENCE, at.mono, at.boot, at.clock)
        for stream in self._streams.values():
            self._out(stream.advance(early))

    def remember(self, names: Container[str] | None = None) -> None:
        """Write down what each stream must not forget, or each of *names*, where it has changed."""
        if self._waiting is not None:
            return
        written = dict(self._written)
        for name, stream in self._streams.items():
            if (names is not None and name not in names) or (saved := stream.save()) is None:
                continue
            self._unwritten.discard(name)
            text = json.dumps({"settings": self._settings(name), "saved": saved}, separators=(",", ":"))
            if self._written.get(name) != text:
                self._written[name] = text
                self._keep(_key(name), text)
        if self._written != written and (at := self._last):  # they mean something by this clock alone
            self._keep(LAST, json.dumps([at.time, at.mono, at.boot, at.clock]))

    def status(self, measured: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the state of every stream, which is as alive as the first device that it is made from."""
        known: dict[str, Mapping[str, Any]] = dict(measured)
        for name, design in self._designs.items():
            first = design.context.source
            if first.device not in known:  # while the pole starts
                continue
            latest = self._latest.get(name)
            known[name] = {
                **known[first.device],
                "id": name,
                "driver": f"{design.settings.kind} of {_words(design)}",
                "interval": design.interval,
                "bus": None,
                "address": None,
                "latest": latest.body() if latest else None,
                "units": {quantity: UNITS[quantity] for quantity in design.gives},
            }
        return [dict(known[name]) for name in self._designs if name in known]

    def stale(self, limits: Mapping[str, float], intervals: float) -> dict[str, float]:
        """Return the age at which each stream's readings are too old: *intervals*, or its source's limit."""
        found = dict(limits)
        for name, design in self._designs.items():
            found[name] = max(found[design.context.source.device], intervals * design.interval)
        return {name: found[name] for name in self._designs}

    def _keep(self, name: str, text: str) -> None:
        """Have *text* remembered; one that cannot be is no reason to stop measuring."""
        try:
            self._memory.remember(name, text)
        except ValueError as error:
            if name not in self._refused:
                log.error("%s is not remembered, and begins anew after a restart: %s", name, error)
            self._refused.add(name)

    def _measured(self, reading: Reading) -> None:
        self._look_at_clock(reading.at, self._streams.values())
        self._feed(reading)

    def _look_at_clock(self, at: Instant, streams: Iterable[Stream]) -> None:
        """Tell *streams* when the wall clock was set since the last look, and whether it is trusted.

        Within a boot the monotonic clock shows it. Between boots a clock that goes back, or says a time of
        before this program, was set; one that goes on plausibly is taken at its word until it is trusted.
        """
        last, self._last = self._last, at
        if last is None:
            return
        was, trusted = last.clock is not Quality.UNSYNCHRONIZED, at.clock is not Quality.UNSYNCHRONIZED
        same = last.boot == at.boot
        if same:
            by = (at.time - at.mono) - (last.time - last.mono)
            by = by if abs(by) >= SET else 0.0
        else:
            by = at.time - last.time
            by = by if by < 0 or min(last.time, at.time) < WRITTEN else 0.0
        if (was and trusted and not same) or not (by or was is not trusted):
            return
        for stream in streams:
            if was and not trusted and not same:
                stream.doubt()
            if by or trusted:
                stream.set_clock(by, trusted)

    def _feed(self, reading: Reading) -> None:
        for stream in self._routes.get(reading.device, ()):
            if said := stream.feed(reading):
                self._out(said)

    def _out(self, readings: list[Reading]) -> None:
        for reading in readings:
            self._latest[reading.device] = reading
            self._say(reading)
            self._feed(reading)

    async def _catch_up(self) -> None:
        """Bring every stream to where it was: by what it remembered, and the stored readings since then.

        Stored readings of streams stand in the store beside the measured ones, so each stream is fed what
        it was fed before, and what it says now was said then.
        """
        try:
            since = self._restore(await self._memory.remembered())
            await self._take_stored(since)
        except StoreError as error:
            log.warning("the readings of before the restart cannot be had: %s", error)
        waiting, self._waiting = self._waiting or deque(), None
        for reading in waiting:
            self._measured(reading)

    def _restore(self, remembered: Mapping[str, str]) -> dict[str, float]:
        """Return the time [s, Unix] from which each stream wants the stored readings."""
        since, at = {}, self._now()
        self._last = _moment(remembered.get(LAST))
        begin = float("inf") if _lost(at, self._last) else at.time
        for name, stream in self._streams.items():
            known = None
            if text := remembered.get(_key(name)):
                shape = _parsed(text)
                if not shape:
                    log.warning("what stream %s remembered cannot be read, it begins anew", name)
                if shape.get("settings") == self._settings(name):
                    known = stream.restore(shape.get("saved"))
            since[name] = begin - stream.reach if known is None else known
        return since

    async def _take_stored(self, since: Mapping[str, float]) -> None:
        wanted = min((since[name] for name in self._streams), default=float("inf"))
        if wanted >= self._now().time and (wanted == float("inf") or not _lost(self._now(), self._last)):
            return
        count = 0
        async for bodies in self._memory.replay(wanted):
            for reading in filter(None, map(self._earlier, bodies)):
                self._take_again(reading, since)
                count += 1
                if count % AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _earlier(self, body: Mapping[str, Any]) -> Reading | None:
        """Return the stored reading; None where it concerns no stream, is damaged, or is new and waits."""
        try:
            if body["device"] not in self._routes and body["device"] not in self._streams:
                return None
            reading = reading_of(body)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        new = reading.at.boot == self._began.boot and reading.at.mono >= round(self._began.mono, 6)
        return None if new else reading

    def _take_again(self, reading: Reading, since: Mapping[str, float]) -> None:
        """Feed a stored reading, and let as much time pass as had when a stream said it."""
        at, said_by = reading.at, self._streams.get(reading.device)
        if said_by is None:
            self._offsets = {at.boot: at.time - at.mono}
            self._look_at_clock(at, [s for name, s in self._streams.items() if at.time > since[name]])
        elif at.time > since[said_by.id]:
            passed = at.mono + self._offsets.get(at.boot, at.time - at.mono) - PATIENCE
            said_by.advance(Instant(max(at.time, passed), at.mono, at.boot, at.clock))
            self._latest[reading.device] = reading
        for stream in self._routes.get(reading.device, ()):
            if at.time > since[stream.id]:
                stream.feed(reading)

    def _settings(self, name: str) -> Any:
        return json.loads(self._designs[name].settings.model_dump_json(by_alias=True))


def described(designs: tuple[Design, ...], zone: str) -> dict[str, Any]:
    """Return all that is needed to make *designs* anew from a store alone."""
    made = {each.id for each in designs}
    known = {
        str(source): each.context.intervals[name]
        for each in designs
        for name, source in each.context.sources.items()
        if source.device not in made
    }
    tables = [json.loads(each.settings.model_dump_json(by_alias=True)) for each in designs]
    return {"derive": tables, "known": known, "zone": zone}


def _moment(text: str | None) -> Instant | None:
    """Return the instant that was kept under LAST; None where it cannot be read."""
    try:
        time, mono, boot, clock = json.loads(text or "")
        return Instant(float(time), float(mono), str(boot), Quality(clock))
    except (ValueError, TypeError, RecursionError):
        return None


def _lost(at: Instant, last: Instant | None) -> bool:
    """Whether the clock is evidently wrong at a start: then windows begin anew, no stored time is near."""
    if at.clock is not Quality.UNSYNCHRONIZED:
        return False
    return at.time < WRITTEN or (last is not None and last.time > at.time)


def _key(name: str) -> str:
    return f"stream/{name}"


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        shape = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return shape if isinstance(shape, dict) else {}


def _words(design: Design) -> str:
    return ", ".join(str(source) for source in design.context.sources.values())
