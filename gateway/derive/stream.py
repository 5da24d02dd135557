"""Streams: derived devices, each of which turns readings of other devices into readings of its own."""

import logging
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from drivers.device import Missing, Quantity
from gateway.clock import Instant
from gateway.derive.kind import Proof, Result, Source, State, Taken
from gateway.derive.quality import inherited, overall
from gateway.derive.saved import TIME_MOST, moment, number, truth
from gateway.reading import Flag, Reading, significant

log = logging.getLogger("lamppost")

AGED = 3.0
"""Intervals of its own after which the latest value of an input is too old to be joined to another."""

DOUBTS = 1440
"""The newest suspect samples that are remembered over a restart."""

HAIR = 1e-6
"""Seconds: the resolution of time in a record."""


class _Latest(NamedTuple):
    time: float
    value: float | Missing
    flag: Flag


@dataclass(slots=True)
class Doubts:
    """Which samples were suspect, and when last one was not evaluated, so far as a result may reach back."""

    suspect: list[float] = field(default_factory=list)
    unevaluated: float = float("-inf")

    def note(self, time: float, flag: Flag) -> None:
        """Take the flag of the sample at *time*; the same time again replaces it."""
        place = bisect_left(self.suspect, time)
        known = place < len(self.suspect) and self.suspect[place] == time
        if flag is Flag.SUSPECT and not known:
            insort(self.suspect, time)
        elif known and flag is not Flag.SUSPECT:
            del self.suspect[place]
        if flag is Flag.NOT_EVALUATED:
            self.unevaluated = max(self.unevaluated, time)

    def forget(self, before: float) -> None:
        """Drop what is older than *before*."""
        if self.suspect and self.suspect[0] < before:
            del self.suspect[: bisect_left(self.suspect, before)]

    def of(self, since: float, upto: float, closed: bool) -> Flag:
        """Return the flag of a result from the samples of *since* to *upto*; not that one if *closed*."""
        place = bisect_left(self.suspect, since)
        if place < len(self.suspect) and (self.suspect[place] < upto + (0.0 if closed else HAIR)):
            return Flag.SUSPECT
        return Flag.NOT_EVALUATED if self.unevaluated >= since else Flag.PASS


@dataclass(slots=True)
class Stream:
    """One derived device.

    *sources* are its inputs by name, *primary* the devices whose readings make it speak, *ages* [s] how old
    the latest value of each input may be. It brings its state what it needs, and makes readings of what that
    says: quality travels, a failed or missing input is no number, and time is the readings' own. When that
    goes back by more than *reach* [s], as when a clock that was wrong is set right, the state begins anew,
    or, where it is *lasting*, goes on as if no time had passed.
    """

    id: str
    kind: str
    sources: Mapping[str, Source]
    primary: frozenset[str]
    ages: Mapping[str, float]
    gives: tuple[Quantity, ...]
    interval: float
    reach: float
    lasting: bool
    make: Callable[[], State]
    _state: State = field(init=False)
    _doubts: Doubts = field(default_factory=Doubts, init=False)
    _latest: dict[str, _Latest] = field(default_factory=dict, init=False)
    _names: dict[str, tuple[tuple[str, Quantity], ...]] = field(default_factory=dict, init=False)
    _fresh: dict[str, frozenset[str]] = field(default_factory=dict, init=False)
    _joins: bool = field(init=False)
    _newest: float = field(default=float("-inf"), init=False)
    _shift: float = field(default=0.0, init=False)
    _anchor: float | None = field(default=None, init=False)  # the shift while the clock was last trusted
    _doubtful: bool = field(default=False, init=False)  # an alarm became what it is by a suspect sample

    def __post_init__(self) -> None:
        self._state = self.make()
        self._joins = len(self.devices) > 1
        for device in self.devices:
            names = [(n, s.quantity) for n, s in self.sources.items() if s.device == device]
            self._names[device] = tuple(names)
            self._fresh[device] = frozenset(name for name, _ in names)

    @property
    def devices(self) -> frozenset[str]:
        """Every device that it takes something of."""
        return frozenset(source.device for source in self.sources.values())

    def feed(self, reading: Reading) -> list[Reading]:
        """Take a reading of any device; return the readings that it leads to."""
        names = self._names.get(reading.device)
        if names is None:
            return []
        at, plain = reading.at, not (self._joins or reading.flags or reading.missing)
        flags: list[Flag] = []
        if plain:  # the usual reading: one device, no tests, nothing missing
            found = reading.values
            values: dict[str, float | Missing] = {name: found[what] for name, what in names if what in found}
        else:
            values, flags = self._said(names, reading)
        if not values or (self._joins and reading.device not in self.primary):
            return []
        fresh = self._fresh[reading.device] if len(values) == len(names) else frozenset(values)
        time = at.time + self._shift
        if time < self._newest:
            time = self._late(time)
        if time > self._newest:
            self._newest = time
        if self._joins:
            values, flags = self._joined(at.time, values)
        flag = self._untested(time) if plain else self._noted(time, flags)
        said = self._state.take(time, Taken(values, fresh))
        made = [self._reading(result, at, flag) for result in said] if said else []
        if self._doubts.suspect:
            self._doubts.forget(self._newest - self.reach)
        return made

    def advance(self, at: Instant) -> list[Reading]:
        """Let it be *at*, without a reading; return what that leads to (the result of a period that ends)."""
        unheard = self._newest == float("-inf")  # an alarm must notice a device that never spoke
        if (unheard and not self.lasting) or at.time + self._shift <= self._newest:
            return []
        results = self._state.advance(at.time + self._shift)
        return [self._reading(result, at, Flag.MISSING) for result in results]

    def doubt(self) -> None:
        """Take note that from now on nobody vouches for the wall clock, as somebody did until now."""
        if self.lasting and self._newest != float("-inf") and self._anchor is None:
            self._anchor = self._shift

    def set_clock(self, by: float, trusted: bool) -> None:
        """Take note that the wall clock was set forward *by* so many seconds, not all of which have passed.

        A *lasting* state goes on as if no time had passed; once the clock is *trusted*, it knows again how
        long ago things were that it saw by a trusted clock. Others take the new time as it comes.
        """
        if not self.lasting or self._newest == float("-inf"):
            return
        if trusted and self._anchor is not None:
            self._shift, self._anchor = self._anchor, None
        else:
            self._shift -= by

    def save(self) -> Any:
        """Return what `restore` needs, as JSON takes it; None when stored readings bring it all back."""
        if self._newest == float("-inf") or (saved := self._state.save()) is None:
            return None
        return {
            "newest": self._newest,
            "shift": self._shift,
            **({} if self._anchor is None else {"anchor": self._anchor}),
            "suspect": self._doubts.suspect[-DOUBTS:],
            "unevaluated": max(self._doubts.unevaluated, -1e12),
            **({"doubtful": True} if self._doubtful else {}),
            "state": saved,
        }

    def restore(self, saved: Any) -> float | None:
        """Take over what `save` gave; return the time [s, Unix] up to which it knows, None if it is none."""
        try:
            newest, shift = (number(saved[key], -TIME_MOST, TIME_MOST) for key in ("newest", "shift"))
            suspect, unevaluated = saved.get("suspect", ()), saved.get("unevaluated", newest)
            times = sorted(number(each, -TIME_MOST, TIME_MOST) for each in suspect)
            doubts = Doubts(times, number(unevaluated))
            doubtful, anchor = truth(saved.get("doubtful", False)), moment(saved.get("anchor"))
            self._state.restore(saved["state"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            log.warning("what stream %s remembered is of no use, it begins anew: %r", self.id, error)
            self._state = self.make()
            return None
        self._newest, self._shift, self._anchor = newest, shift, anchor
        self._doubts, self._doubtful = doubts, doubtful
        return newest - shift

    def _said(
        self, names: Iterable[tuple[str, Quantity]], reading: Reading
    ) -> tuple[dict[str, float | Missing], list[Flag]]:
        """Return what the reading says of the inputs, by name, and the flags of those that have a value."""
        said: dict[str, float | Missing] = {}
        flags: list[Flag] = []
        for name, quantity in names:
            value: float | Missing | None = reading.values.get(quantity)
            if value is None:
                value, flag = reading.missing.get(quantity), Flag.MISSING
                if value is None:
                    continue
            else:
                flag = reading.flags.get(quantity, _UNKNOWN) if reading.flags else _UNKNOWN
                if flag is Flag.FAIL:
                    value, flag = Missing.INPUT_MISSING, Flag.MISSING
                else:
                    flags.append(flag)
            said[name] = value
            if self._joins:
                self._latest[name] = _Latest(reading.at.time, value, flag)
        return said, flags

    def _joined(
        self, now: float, said: Mapping[str, float | Missing]
    ) -> tuple[dict[str, float | Missing], list[Flag]]:
        """Return every input as it is now, and the flags of those that have a value."""
        values: dict[str, float | Missing] = {}
        flags: list[Flag] = []
        for name in self.sources:
            latest = self._latest.get(name)
            if latest is None or (name not in said and abs(now - latest.time) > self.ages[name]):
                values[name] = Missing.INPUT_MISSING
                continue
            values[name] = latest.value
            if latest.flag is not Flag.MISSING:
                flags.append(latest.flag)
        return values, flags

    def _noted(self, time: float, flags: list[Flag]) -> Flag:
        """Return the flag of what follows from this sample alone, and remember it for what follows later."""
        if not flags:
            return Flag.MISSING
        flag = flags[0] if flags.count(flags[0]) == len(flags) else inherited(flags)
        if flag is _UNKNOWN:
            return self._untested(time)
        self._doubts.note(time, flag)
        return flag

    def _untested(self, time: float) -> Flag:
        """Remember that nobody tested the sample at *time*; return that as its flag."""
        doubts = self._doubts
        if doubts.suspect:
            doubts.note(time, _UNKNOWN)
        elif time > doubts.unevaluated:
            doubts.unevaluated = time
        return _UNKNOWN

    def _late(self, time: float) -> float:
        """Return the state's own time of a sample older than the newest: late, or a clock set back."""
        if time >= self._newest - max(self.reach, HAIR if self.lasting else 0.0):
            return time
        if self.lasting:
            self._shift += self._newest - time
            return self._newest + HAIR
        self._state, self._doubts, self._newest = self.make(), Doubts(), float("-inf")
        return time

    def _reading(self, result: Result, at: Instant, flag: Flag) -> Reading:
        wall = result.time - self._shift
        when = at if abs(wall - at.time) < HAIR else Instant(wall, at.mono, at.boot, at.clock)
        values: dict[Quantity, float] = {}
        missing: dict[Quantity, Missing] = {}
        for quantity, value in result.values.items():
            if isinstance(value, Missing):
                missing[quantity] = value if value in _OWN else Missing.INPUT_MISSING
            else:
                values[quantity] = significant(value)
        if result.since is not None:
            since = result.since if result.closed else max(result.since, result.time - self.reach)
            flag = self._doubts.of(since, result.time, result.closed)
        if result.flag is not _UNKNOWN:
            flag = overall((flag, result.flag))
        if self.lasting:
            flag = self._stood(flag, result.proof)
        flags = {} if flag in _UNSAID else dict.fromkeys(values, flag)
        return Reading(self.id, when, values, missing, flags, result.labels)

    def _stood(self, flag: Flag, proof: Proof) -> Flag:
        """Return the flag of an alarm: one that a suspect sample brought stays so until it is proved."""
        suspect = flag is Flag.SUSPECT
        if proof is Proof.NONE:
            return Flag.SUSPECT if self._doubtful else flag
        self._doubtful = suspect and (self._doubtful or proof is Proof.NEW)
        return flag


_OWN = frozenset({Missing.INPUT_MISSING, Missing.OUT_OF_RANGE, Missing.UNRELIABLE, Missing.NOT_READY})
"""Reasons that a derivation has of its own; an input's reason is the input's to tell."""

_UNKNOWN = Flag.NOT_EVALUATED
_UNSAID = (Flag.NOT_EVALUATED, Flag.MISSING)
