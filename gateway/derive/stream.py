"""Streams: derived devices, each of which turns one quantity of another device into readings of its own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from drivers.device import LOGICAL, UNITS, Missing, Quantity
from gateway.config import Derive
from gateway.derive.bins import linear_fill
from gateway.derive.flood import stage
from gateway.derive.frames import Aligned, Frame, Sliding
from gateway.derive.statistics import Kind, Statistic
from gateway.derive.window import Result, Window
from gateway.reading import Reading, significant

RECALLED = 20_000
"""Most readings that are fetched from the store when a window begins after a restart."""

CHECKED = ("empty", "full", "reference", "over", "every", "share", "aligned", "percent")
"""The keys that only some kinds take."""


class Conversion(NamedTuple):
    """A kind of stream that converts each value by itself, and the keys, in metres, that it needs."""

    takes: Quantity
    gives: Quantity
    needs: tuple[str, ...]


CONVERSIONS: Mapping[str, Conversion] = {
    "fill": Conversion(Quantity.DISTANCE, Quantity.FILL, ("empty", "full")),
    "stage": Conversion(Quantity.DISTANCE, Quantity.STAGE, ("reference",)),
}


class Stream(Protocol):
    """A derived device: takes one quantity of one device, gives one quantity of its own."""

    def needs(self) -> int:
        """Return how many earlier readings of its source the stream wants after a restart."""
        ...

    @property
    def id(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def takes(self) -> Quantity: ...

    @property
    def gives(self) -> Quantity: ...

    def feed(self, reading: Reading) -> Reading | None:
        """Return the derived reading that *reading* leads to, or None when it leads to none."""
        ...


@dataclass(frozen=True, slots=True)
class Converted:
    """Converts each value by itself, at the same instant."""

    id: str
    device: str
    takes: Quantity
    gives: Quantity
    convert: Callable[[float], float | Missing]

    def needs(self) -> int:
        """None: each reading is converted by itself."""
        return 0

    def feed(self, reading: Reading) -> Reading | None:
        value = _value(reading, self.device, self.takes)
        if value is None:
            return None
        result = Missing.INPUT_MISSING if isinstance(value, Missing) else self.convert(value)
        return _reading(self.id, reading, self.gives, result)


@dataclass(slots=True)
class Windowed:
    """A statistic of the values in a window, given *every* so many seconds, or as each period ends.

    Time is the readings' own. When it goes back by more than a window, as when a clock that was wrong is set
    right, the window begins anew: readings of two clocks are never mixed.
    """

    id: str
    device: str
    takes: Quantity
    statistic: Statistic
    window: Callable[[], Window]
    every: float
    _window: Window = field(init=False)
    _given: float = field(default=float("-inf"), init=False)
    _newest: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self._window = self.window()

    @property
    def gives(self) -> Quantity:
        """The same quantity as it takes."""
        return self.takes

    def feed(self, reading: Reading) -> Reading | None:
        value = _value(reading, self.device, self.takes)
        if value is None:
            return None
        time = reading.at.time
        if time < self._newest - self._window.frame.longest / 1e6:
            self._window, self._given, self._newest = self.window(), float("-inf"), float("-inf")
        self._newest = max(self._newest, time)
        closed = self._window.add(time, value)
        if self._window.frame.closes:
            return None if closed is None else self._closed(reading, closed)
        if time < self._given + self.every - 1e-6:
            return None
        self._given = time
        return self._said(reading, self._window.result())

    def needs(self) -> int:
        """Return how many of the latest readings of its source bring a new window up to date."""
        return min(RECALLED, self._window.most)

    def _closed(self, reading: Reading, closed: Result) -> Reading | None:
        """A period's result carries the period's end as its time."""
        return self._said(replace(reading, at=replace(reading.at, time=closed.stop)), closed)

    def _said(self, reading: Reading, result: Result | None) -> Reading | None:
        if result is None:
            return None
        return _reading(self.id, reading, self.takes, result.values[self.statistic])


def build(settings: Derive, source_interval: float) -> Stream:
    """Return the stream that *settings*, already checked, describe, of a source every so many seconds."""
    device, _, name = settings.source.partition(".")
    takes = Quantity(name)
    if settings.kind in CONVERSIONS:
        return Converted(settings.id, device, takes, CONVERSIONS[settings.kind].gives, _conversion(settings))
    statistic = Statistic(Kind(settings.kind), settings.percent)

    def window() -> Window:
        return Window(_frame(settings), (statistic,), source_interval, settings.share or 0.75)

    return Windowed(settings.id, device, takes, statistic, window, interval(settings, source_interval))


def gives(settings: Derive) -> Quantity:
    """Return what the stream gives: a window gives the quantity that it takes."""
    if settings.kind in CONVERSIONS:
        return CONVERSIONS[settings.kind].gives
    return Quantity(settings.source.partition(".")[2])


def interval(settings: Derive, source_interval: float) -> float:
    """Return the seconds between two readings of the stream."""
    if settings.kind in CONVERSIONS:
        return source_interval
    return settings.every or settings.over or source_interval


def problems(settings: Derive, source_interval: float) -> Iterator[tuple[str, str]]:
    """Yield the key and the sentence for everything about *settings* that can never work."""
    wanted, allowed = _keys(settings.kind)
    for key in CHECKED:
        given = getattr(settings, key) is not None
        if key in wanted and not given:
            yield key, f'{settings.kind} needs the key "{key}"'
        elif given and key not in wanted + allowed:
            yield key, f'{settings.kind} does not take the key "{key}"'
    takes = Quantity(settings.source.partition(".")[2])
    if settings.kind in CONVERSIONS:
        if takes is not CONVERSIONS[settings.kind].takes:
            wanted_input = CONVERSIONS[settings.kind].takes
            yield "from", f"{settings.kind} is made from a {wanted_input}, not from {settings.source}"
        if settings.empty is not None and settings.full is not None and settings.empty <= settings.full:
            yield "empty", "empty is the distance down to the floor: it must be larger than full"
    else:
        yield from _window_problems(settings, takes, source_interval)


def _window_problems(settings: Derive, takes: Quantity, source_interval: float) -> Iterator[tuple[str, str]]:
    if takes in LOGICAL:
        yield "from", f"{settings.source} is true or false: there is no {settings.kind} of it"
    if settings.kind == "energy_mean" and UNITS[takes] != "dB":
        yield (
            "from",
            f"an energy mean is of levels in dB; {settings.source} is in {UNITS[takes]}: take a mean",
        )
    if settings.aligned is not None and settings.every is not None:
        yield "every", "an aligned window speaks as each period ends: leave every out"
    if settings.over is None or (settings.kind == "percentile" and settings.percent is None):
        return
    try:
        build(settings, source_interval)
    except ZoneInfoNotFoundError:
        yield "aligned", f'there is no time zone "{settings.aligned}"; say "UTC", or such as "Europe/Dublin"'
    except ValueError as error:
        yield "over", str(error)


def _keys(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the keys that a kind needs, and those that it takes besides."""
    if kind in CONVERSIONS:
        return CONVERSIONS[kind].needs, ()
    return ("over", "percent") if kind == "percentile" else ("over",), ("every", "share", "aligned")


def _frame(settings: Derive) -> Frame:
    span = settings.over or 0.0
    return Sliding(span) if settings.aligned is None else Aligned(span, ZoneInfo(settings.aligned))


def _conversion(settings: Derive) -> Callable[[float], float | Missing]:
    if settings.kind == "fill":
        empty, full = settings.empty or 0.0, settings.full or 0.0
        return lambda distance: linear_fill(distance, empty, full)
    reference = settings.reference or 0.0
    return lambda distance: stage(distance, reference)


def _value(reading: Reading, device: str, quantity: Quantity) -> float | Missing | None:
    """Return what *reading* says of the quantity; None when it is another device's, or says nothing."""
    if reading.device != device:
        return None
    if quantity in reading.values:
        return reading.values[quantity]
    return reading.missing.get(quantity)


def _reading(id: str, source: Reading, quantity: Quantity, value: float | Missing) -> Reading:
    if isinstance(value, Missing):
        return Reading(id, source.at, {}, {quantity: value})
    return Reading(id, source.at, {quantity: significant(value)})
