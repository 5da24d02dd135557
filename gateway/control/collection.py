"""When a bin asks to be collected, and when it takes that back. One request for each filling.

Pure: it is handed an instant and what is known of the bin, and says what is to be recorded. A filling is the
time between two emptyings; the request's id is made from the bin and its filling, so that whoever receives it
twice knows.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.clock import Instant, Quality
from gateway.control import shape
from gateway.control.rounds import Rounds
from gateway.control.until import Until
from gateway.reading import Decision, Event, Input, Outcome, Record

REQUESTED, WITHDRAWN = "lamppost.collection.requested", "lamppost.collection.withdrawn"
PRIORITIES = ("low", "normal", "high")
SAME = 90.0  # [s] within which two times of an emptying are one: readings come late, and clocks are set
MOST_REPEATS = 10_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a bin asks for a collection for, and how. Times in seconds, fill in %, weight in kg.

    *threshold*: the fill from which it asks, once pressing no longer helps, or after *patience* anyway;
    *foresee*: the fill from which a prediction counts; *heavy*: the weight from which it asks; *emptied*: the
    fill below which it counts as emptied, where nothing else says so; *lapse*: how long a request stands.
    """

    threshold: float = 80.0
    patience: float = 900.0
    foresee: float = 40.0
    heavy: float | None = None
    emptied: float = 20.0
    lapse: float = 86400.0
    rounds: Rounds = field(default_factory=lambda: Rounds(()))


@dataclass(frozen=True, slots=True)
class Bin:
    """What is known of a bin now. *soonest*, *likely*: seconds until full; *since*: since it was emptied.

    *exhausted* says why pressing makes no more room, "" while it may.
    """

    fill: Input
    soonest: Input | None = None
    likely: Input | None = None
    since: Input | None = None
    weight: Input | None = None
    fire: Input | None = None
    exhausted: str = ""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All of it, for a decision."""
        every = (self.fill, self.soonest, self.likely, self.since, self.weight, self.fire)
        return tuple(each for each in every if each is not None)


@dataclass(frozen=True, slots=True)
class Need:
    """Why a bin wants to be collected, and how urgently: a place in PRIORITIES.

    An *alarm* is told at once although a request stands, if that is less urgent.
    """

    reason: str
    priority: int
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request that stands: of which *filling*, how urgent, how often repeated, until when."""

    id: str
    priority: int
    repeat: int
    until: Until


class Collection:
    """One bin's requests. *name* is the bin's, *gateway* makes its ids unique in a city."""

    def __init__(self, gateway: str, name: str, terms: Terms, place: Mapping[str, Any]) -> None:
        self.name = name
        self.request: Request | None = None
        self._gateway = gateway
        self._terms = terms
        self._place = {key: value for key, value in place.items() if value not in (None, "")}
        self._emptied: float | None = None  # [s, Unix]
        self._filling = 0
        self._above: float | None = None  # since when [s, monotonic] it has been at its threshold
        self._since: float | None = None  # what the trend said last [s]
        self._low = 0  # readings in a row below the fill of an emptied bin
        self._last_fill: float | None = None  # when [s, monotonic] the last fill that counted was measured

    def step(self, at: Instant, seen: Bin) -> list[Record]:
        """Return what is to be recorded now, decisions before what they announce."""
        records = self._empty(at, seen) if self._was_emptied(at, seen) else []
        need = self._need(at, seen)
        standing = self.request
        if standing is None:
            return [*records, *(self._ask(at, seen, need) if need else [])]
        if standing.until.left(at) <= 0:
            late = need or Need("it was asked for, and was not emptied", standing.priority)
            records += self._ask(at, seen, replace(late, priority=max(late.priority, standing.priority)))
        elif need is not None and need.alarm and need.priority > standing.priority:
            records += self._ask(at, seen, need)
        return records

    def save(self) -> dict[str, Any]:
        """Return what must outlive a restart, as JSON can hold it."""
        request = self.request
        kept = None
        if request is not None:
            kept = [request.id, request.priority, request.repeat, shape.pair(request.until)]
        return {"emptied": self._emptied, "filling": self._filling, "request": kept}

    def restore(self, saved: object, boot: str, at: Instant) -> None:
        """Go on from what `save` gave in *boot*. Raises ValueError, and changes nothing then."""
        parts = shape.table(saved, "emptied", "filling", "request")
        emptied = None if parts["emptied"] is None else shape.number(parts["emptied"])
        filling = shape.number(parts["filling"])
        if not 0 <= filling < 2**53 or filling != int(filling):
            raise ValueError("what was kept has no number of a filling")
        request = (
            None if parts["request"] is None else _request(parts["request"], boot, at, self._terms.lapse)
        )
        self._emptied, self._filling, self.request = emptied, int(filling), request

    # Emptied?

    def _was_emptied(self, at: Instant, seen: Bin) -> bool:
        """Return whether a new filling has begun: the trend says so, or else the fill itself."""
        if seen.since is None:
            return self._fell(at, seen.fill)
        since, age = seen.since.value, seen.since.age
        if since is None or age is None or at.clock is Quality.UNSYNCHRONIZED:
            return False
        emptied, known = at.time - age - float(since), self._emptied
        before, self._since = self._since, float(since)
        if known is None:
            self._emptied = emptied
            return self.request is not None  # asked for while nobody had ever seen it emptied
        # A clock that is set moves the one or the other; an emptying moves both.
        if emptied <= known + SAME or (before is not None and self._since >= before):
            return False
        self._emptied = emptied
        return True

    def _fell(self, at: Instant, fill: Input) -> bool:
        """Return whether two readings in a row are those of an emptied bin, after a request."""
        measured = None if fill.value is None or fill.age is None else at.mono - fill.age
        if measured is None or (self._last_fill is not None and measured <= self._last_fill + 0.01):
            return False
        self._last_fill = measured
        self._low = self._low + 1 if float(fill.value or 0.0) < self._terms.emptied else 0
        return self._low == 2 and self.request is not None

    def _empty(self, at: Instant, seen: Bin) -> list[Record]:
        """Begin a new filling, and take back what was asked for in the old one."""
        request, self.request = self.request, None
        self._filling += 1
        self._above, self._low = None, 0
        if request is None:
            return []
        data = {
            "request": request.id,
            "reason": "it was emptied",
            "fill": seen.fill.value,
            "place": self._place,
        }
        event = Event(WITHDRAWN, self.name, at, data, _digest(request.id, "withdrawn"))
        return [self._decision(at, event, ("it was emptied",), seen), event]

    # Needed?

    def _need(self, at: Instant, seen: Bin) -> Need | None:
        """Return the most urgent reason for a collection."""
        reasons: list[Callable[[Instant, Bin], Need | None]] = [
            self._fire,
            self._weight,
            self._fill,
            self._soon,
        ]
        needs = [need for reason in reasons if (need := reason(at, seen))]
        return max(needs, key=lambda need: need.priority, default=None)

    def _fire(self, at: Instant, seen: Bin) -> Need | None:
        burns = seen.fire is not None and seen.fire.value is not None and bool(seen.fire.value)
        return Need("it has burnt", 2, alarm=True) if burns else None

    def _weight(self, at: Instant, seen: Bin) -> Need | None:
        heavy, weight = self._terms.heavy, seen.weight
        if heavy is None or weight is None or weight.value is None or not float(weight.value) >= heavy:
            return None
        return Need(f"it weighs {weight.value:g} kg, and {heavy:g} is the most that may be lifted", 2)

    def _fill(self, at: Instant, seen: Bin) -> Need | None:
        fill, threshold = seen.fill.value, self._terms.threshold
        if fill is None:
            return None
        if not float(fill) >= threshold:
            self._above = None
            return None
        self._above = at.mono if self._above is None else self._above
        said = f"it is {fill:g} % full"
        if seen.exhausted:
            return Need(f"{said}, and {seen.exhausted}", 2 if float(fill) >= 95.0 else 1)
        if at.mono - self._above >= self._terms.patience:
            return Need(f"{said}, for {self._terms.patience / 60:g} min", 1)
        return None

    def _soon(self, at: Instant, seen: Bin) -> Need | None:
        """Return that it will be full before the next round, where the clock knows when that is."""
        full, fill = self.full_at(at, seen), seen.fill.value
        following = self._terms.rounds.after(at.time) if at.clock is not Quality.UNSYNCHRONIZED else None
        if full is None or following is None or fill is None or not float(fill) >= self._terms.foresee:
            return None
        return Need("it will be full before the next round", 1) if full < following else None

    def full_at(self, at: Instant, seen: Bin) -> float | None:
        """Return when [s, Unix] it is full at the soonest, None when nobody can say."""
        for ahead in (seen.soonest, seen.likely):
            if ahead is not None and ahead.value is not None and ahead.age is not None:
                return at.time - ahead.age + float(ahead.value)
        return None

    # Asked

    def _ask(self, at: Instant, seen: Bin, need: Need) -> list[Record]:
        """Ask for a collection, or again, or more urgently."""
        before = self.request
        repeat = min(before.repeat + 1, MOST_REPEATS) if before else 0
        name = before.id if before else self._id()
        until = Until.after(self._terms.lapse, at)
        self.request = Request(name, need.priority, repeat, until)
        full, weight = self.full_at(at, seen), seen.weight.value if seen.weight else None
        data = {
            "request": name,
            "repeat": repeat,
            "reason": need.reason,
            "priority": PRIORITIES[need.priority],
            "fill": seen.fill.value,
            "weight": weight,
            "full_at": None if full is None else round(full),
            "lapses": round(until.time),
            "place": self._place,
        }
        event = Event(REQUESTED, self.name, at, data, _digest(name, str(repeat)))
        return [self._decision(at, event, (need.reason,), seen), event]

    def _id(self) -> str:
        """Return the id of this filling's request: the same after a restart that has forgotten it."""
        began = f"{self._emptied / SAME:.0f}" if self._emptied is not None else f"n{self._filling}"
        return _digest(self._gateway, self.name, began)

    def _decision(self, at: Instant, event: Event, reasons: tuple[str, ...], seen: Bin) -> Decision:
        command = f"announce {event.type} of {self.name}"
        inputs = seen.inputs
        return Decision(
            at, "", 0, "", "", command, "", Outcome.ACTED, reasons, inputs, id=_digest("d", event.id)
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _request(saved: object, boot: str, at: Instant, lapse: float) -> Request:
    if not isinstance(saved, list) or len(saved) != 4:
        raise ValueError("what was kept is not a request")
    name, priority, repeat = shape.text(saved[0]), shape.number(saved[1]), shape.number(saved[2])
    if priority not in range(len(PRIORITIES)) or repeat not in range(MOST_REPEATS + 1):
        raise ValueError("what was kept is not a request")
    until = shape.end(saved[3])
    until = until if boot == at.boot else Until.at(until.time, at)
    if until.left(at) > lapse:
        until = Until.after(lapse, at)
    return Request(name, int(priority), int(repeat), until)
