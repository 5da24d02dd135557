"""One day of noise in the making, level by level."""

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import date, tzinfo
from itertools import pairwise
from typing import Any

from drivers.device import Missing
from gateway.derive.frames import SECOND
from gateway.derive.noise.levels import (
    SHARE,
    UNIT,
    check_share,
    enough,
    incident,
    is_level,
    level_of,
    positive,
    to_micros,
)
from gateway.derive.noise.periods import HOURS, Hours, Period, lden, spans

_JITTER = 50_000  # [us] gaps shorter than this are the sampler's, and not worth remembering

PIECES, PIECES_SAVED = 5000, 250
"""How many pieces of a day, with gaps between them, are kept apart; and how many in what is saved."""

_PERIODS = tuple(Period)


@dataclass(slots=True)
class Day:
    """One day of noise in the making: every instant counts once, whatever the order in which levels come.

    The level that came first for an instant stands; one that comes later fills only what is still empty,
    and a missing one fills nothing. A level across the border of two periods counts in both, by its time.
    Of the gaps in between, those of the newest PIECES are remembered: older ones stay empty.
    *date*, *zone* and *hours*: as `spans`; *facade* [dB]: as `incident`; *share* is of each period's time.
    """

    date: date
    zone: tzinfo
    hours: Hours = HOURS
    facade: float = 0.0
    share: float = SHARE
    _edges: tuple[int, int, int, int] = field(init=False)  # [us] where day, evening, night begin; the end
    _heard: list[int] = field(default_factory=lambda: [0, 0, 0], init=False)  # [us] of day, evening, night
    _energy: list[int] = field(default_factory=lambda: [0, 0, 0], init=False)  # [us / UNIT] of them
    _taken: list[tuple[int, int]] = field(default_factory=list, init=False)  # [us] in order, apart

    def __post_init__(self) -> None:
        incident(0.0, self.facade)  # says what is wrong with it
        check_share(self.share)
        found = spans(self.date, self.zone, self.hours)
        day, evening, night = (to_micros(begin) for begin, _ in found.values())
        self._edges = (day, evening, night, to_micros(found[Period.NIGHT][1]))

    @property
    def end(self) -> float:
        """When the next day begins [s, Unix]."""
        return self._edges[3] / SECOND

    @property
    def begin(self) -> float:
        """When the day begins [s, Unix], in the morning."""
        return self._edges[0] / SECOND

    def add(self, begin: float, duration: float, level: float | Missing) -> None:
        """Add a level [dB] that holds from *begin* [s, Unix] for *duration* [s]; ignore other days.

        ValueError: the duration is not positive.
        """
        start, micros = to_micros(begin), positive(duration)
        start, end = max(start, self._edges[0]), min(start + micros, self._edges[3])
        if start >= end or not is_level(level):
            return
        energy = round(10 ** (level / 10) * UNIT)
        for low, high in self._free(start, end):
            self._sum(low, high, energy)

    def _sum(self, low: int, high: int, energy: int) -> None:
        for place, (first, last) in enumerate(pairwise(self._edges)):
            if low < last and high > first and low < high:
                micros = min(high, last) - max(low, first)
                self._heard[place] += micros
                self._energy[place] += micros * energy

    def _free(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Return what of the time is still empty (some pieces may be of no length), and take it."""
        if self._taken and 0 <= begin - self._taken[-1][1] < _JITTER:  # the usual next one
            self._taken[-1] = (self._taken[-1][0], end)
            return [(begin, end)]
        low = bisect_left(self._taken, begin - _JITTER, key=lambda one: one[1])
        high = bisect_left(self._taken, end + _JITTER, low, key=lambda one: one[0])
        near = self._taken[low:high]
        edges = [begin, *(edge for one in near for edge in one), end]
        whole = (min(begin, near[0][0]), max(end, near[-1][1])) if near else (begin, end)
        self._taken[low:high] = [whole]
        if len(self._taken) > PIECES:
            self._taken = _fewer(self._taken, PIECES)
        return [(max(a, begin), min(b, end)) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    def level(self, period: Period) -> float | Missing:
        """Return Lday, Levening or Lnight of this one day [dB], INPUT_MISSING when too little was heard."""
        place = _PERIODS.index(period)
        heard, whole = self._heard[place], self._edges[place + 1] - self._edges[place]
        if not enough(heard, whole, self.share):
            return Missing.INPUT_MISSING
        return incident(level_of(self._energy[place], heard), self.facade)

    def lden(self) -> float | Missing:
        """Return Lden of this one day [dB], of the true lengths of its periods: 23 or 25 h in all, too."""
        day, evening, night = (last - first for first, last in pairwise(self._edges))
        levels = {period: self.level(period) for period in Period}
        return lden(levels[Period.DAY], levels[Period.EVENING], levels[Period.NIGHT], (day, evening, night))

    def save(self) -> Any:
        """Return what `restore` needs, as JSON takes it: sums, and which time [us of the day] is taken."""
        newest = _fewer(self._taken, PIECES_SAVED)
        taken = [[low - self._edges[0], high - low] for low, high in newest]
        return [self.date.isoformat(), self._heard, self._energy, taken]

    def restore(self, saved: Any) -> None:
        """Take over, in a new day, what `save` gave. Raises ValueError, TypeError: not of this day."""
        date, heard, energy, pieces = saved
        if date != self.date.isoformat() or len(pieces) > PIECES_SAVED:
            raise ValueError(f"this is not the noise of {self.date}")
        numbers = [*heard, *energy, *(number for piece in pieces for number in piece)]
        if any(type(number) is not int or number < 0 or number.bit_length() > 200 for number in numbers):
            raise TypeError("a day has whole numbers")
        first, after = self._edges[0], self._edges[3]
        taken = [(first + low, first + low + long) for low, long in pieces]
        edges = [first, *(edge for piece in taken for edge in piece), after]
        lengths = [last - begin for begin, last in pairwise(self._edges)]
        if any(low > high for low, high in pairwise(edges)) or len(heard) != 3 or len(energy) != 3:
            raise ValueError("these are no pieces of a day")
        if any(part > length for part, length in zip(heard, lengths, strict=True)):
            raise ValueError("a period has no more levels than time")
        if any((sound > 0) != (part > 0) for sound, part in zip(energy, heard, strict=True)):
            raise ValueError("there is energy where there was a level, and only there")
        self._heard, self._energy, self._taken = list(heard), list(energy), taken


def _fewer(pieces: list[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Return *pieces* as at most *most* of them: the oldest as if there were no gaps between them."""
    extra = len(pieces) - most
    return [(pieces[0][0], pieces[extra][1]), *pieces[extra + 1 :]] if extra > 0 else pieces
