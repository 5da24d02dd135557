"""How loud it is: indicators from levels. Audio never comes here, only levels that a meter has formed.

Every level is A-weighted, in dB re 20 µPa, and carries the time over which it holds. A meter without a
calibration has no class of IEC 61672-1, whatever its microphone: call what comes from it indicative.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple, TypeGuard

from drivers.device import Missing
from gateway.derive.statistics import between, ranks

LOWEST, HIGHEST = -20.0, 200.0
"""Levels [dB] that can be true. What lies outside (or is no number) counts as missing."""

RESOLUTION = 0.1
"""Width [dB] of the classes that LN is counted in: the resolution that IEC 61672-1 asks of a display."""

SHARE = 0.75
"""Least share of a time that must have a level, for an indicator to stand for the whole of it."""

PENALTY_EVENING, PENALTY_NIGHT = 5.0, 10.0
"""What Lden adds to the evening and the night [dB]: Directive 2002/49/EC, Annex I, section 1."""

_TENTHS = round(1 / RESOLUTION)
_SECOND = 1_000_000  # times are whole microseconds, as records hold them: sums of them are exact
_UNIT = 1 << 40  # of energy: whole numbers again, so that no order of arrival changes a sum
_JITTER = 50_000  # [us] gaps shorter than this are the sampler's, and not worth remembering

PIECES, PIECES_SAVED = 5000, 250
"""How many pieces of a day, with gaps between them, are kept apart; and how many in what is saved."""


class Guideline(NamedTuple):
    """Yearly averages that a source of noise should stay below [dB]; None where nothing is recommended.

    One day or one night may be shown against them as an indication only.
    """

    lden: float | None
    lnight: float | None
    source: str


_WHO_2018 = "WHO, Environmental Noise Guidelines for the European Region, 2018"
_WHO_2009 = "WHO, Night Noise Guidelines for Europe, 2009"
GUIDELINES: Mapping[str, Guideline] = {
    "road": Guideline(53.0, 45.0, _WHO_2018),
    "rail": Guideline(54.0, 44.0, _WHO_2018),
    "aircraft": Guideline(45.0, 40.0, _WHO_2018),
    "wind turbine": Guideline(45.0, None, _WHO_2018),
    "night": Guideline(None, 40.0, _WHO_2009),
    "night, interim": Guideline(None, 55.0, _WHO_2009),
}
"""Indications, by source of noise; for leisure the WHO uses another indicator: GUIDELINE_LEISURE."""

GUIDELINE_LEISURE = 70.0
"""LAeq over 24 h [dB], from all leisure noise together, as a yearly average: WHO 2018."""


def laeq(levels: Iterable[tuple[float | Missing, float]], share: float = SHARE) -> float | Missing:
    """Return the equivalent continuous level LAeq,T [dB] of pairs of level [dB] and duration [s].

    `LAeq,T = 10 lg((1/T) sum t_i 10^(L_i/10))`, the mean of the energy (ISO 1996-1:2016, 3.2). INPUT_MISSING
    when less than *share*, 0 to 1, of the time has a level. ValueError: a duration is not positive, or the
    share is no share.
    """
    heard = _heard(levels, share)
    if not heard:
        return Missing.INPUT_MISSING
    energy = math.fsum(micros * 10 ** (level / 10) for level, micros in heard)
    return 10 * math.log10(energy / sum(micros for _, micros in heard))


def lamax(levels: Iterable[tuple[float | Missing, float]], share: float = SHARE) -> float | Missing:
    """Return the highest of the levels [dB]. Errors and *share*: as `laeq`.

    Given the meter's own maxima with time weighting F it is LAFmax; the highest LAeq,1s lies below that.
    """
    return max((level for level, _ in _heard(levels, share)), default=Missing.INPUT_MISSING)


def exceeded(
    levels: Iterable[tuple[float | Missing, float]], percent: float, share: float = SHARE
) -> float | Missing:
    """Return LAN [dB], exceeded *percent* % of the time: 10 for LA10 (traffic), 90 for LA90 (background).

    The rule is that of `gateway.derive.statistics.percentile` (Hyndman and Fan's type 7, between two ranks
    linear), of levels rounded to RESOLUTION: LAN is their percentile `100 - N`. So LA10 and a stream of the
    90th percentile never tell two stories, and both agree with what people check them with: it is the rule of
    spreadsheets, R and NumPy. Counting in classes needs no level to be kept, and moves LAN by half a class
    at most. Levels of unequal duration count as the equal pieces that all of them consist of. Errors and
    *share*: as `laeq`; ValueError also when *percent* is not between 0 and 100.
    """
    _check_percent(percent)
    classes: dict[int, int] = {}
    step = 0
    for level, micros in _heard(levels, share):
        classes[_class(level)] = classes.get(_class(level), 0) + micros
        step = math.gcd(step, micros)
    return _quantile(classes, percent, step)


def tni(la10: float | Missing, la90: float | Missing) -> float | Missing:
    """Return the traffic noise index `4 (LA10 - LA90) + LA90 - 30` [dB] (Langdon and Scholes 1968).

    Both are taken over 24 h. INPUT_MISSING when one of them is missing.
    """
    if isinstance(la10, Missing) or isinstance(la90, Missing):
        return Missing.INPUT_MISSING
    return 4 * (la10 - la90) + la90 - 30


def incident(level: float | Missing, facade: float = 3.0) -> float | Missing:
    """Return the incident sound [dB]: *level* less what the façade behind the microphone reflects.

    *facade* is 0 (free field) to 6 dB (flush with the wall); Directive 2002/49/EC, Annex I, section 1 takes
    3 as a rule. A missing level stays missing, for its own reason. ValueError: *facade* is outside.
    """
    if not 0.0 <= facade <= 6.0:
        raise ValueError(f"a façade adds 0 to 6 dB, not {facade:g}")
    return level if isinstance(level, Missing) else level - facade


def lden(
    lday: float | Missing,
    levening: float | Missing,
    lnight: float | Missing,
    lengths: tuple[float, float, float] = (12.0, 4.0, 8.0),
) -> float | Missing:
    """Return the day-evening-night level [dB] of the levels of the three periods [dB].

    `Lden = 10 lg 1/24 (12 10^(Ld/10) + 4 10^((Le+5)/10) + 8 10^((Ln+10)/10))`, Directive 2002/49/EC, Annex
    I, section 1, where the three are yearly averages. *lengths* are those of the periods, in any one unit:
    other than 12, 4 and 8 hours where a state shortens the evening, and on a day on which the clock is
    changed. INPUT_MISSING when a period is missing. ValueError: a length is not positive.
    """
    if not all(0.0 < length < math.inf for length in lengths):
        raise ValueError("day, evening and night each need a length above 0")
    if isinstance(lday, Missing) or isinstance(levening, Missing) or isinstance(lnight, Missing):
        return Missing.INPUT_MISSING
    rated = (lday, levening + PENALTY_EVENING, lnight + PENALTY_NIGHT)
    energy = math.fsum(length * 10 ** (level / 10) for length, level in zip(lengths, rated, strict=True))
    return 10 * math.log10(energy / math.fsum(lengths))


class Period(StrEnum):
    """A part of the day that people hear differently."""

    DAY = "day"
    EVENING = "evening"
    NIGHT = "night"


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of local time, 0 to 23, at which day, evening and night begin.

    Directive 2002/49/EC, Annex I, section 1: 7, 19 and 23 unless the state has chosen others; the evening
    has four hours, or two or three, and what it loses goes to day or night. ValueError: other lengths.
    """

    day: int = 7
    evening: int = 19
    night: int = 23

    def __post_init__(self) -> None:
        if not all(0 <= hour <= 23 for hour in (self.day, self.evening, self.night)):
            raise ValueError("day, evening and night begin at hours from 0 to 23")
        long = [(self.evening - self.day) % 24, (self.night - self.evening) % 24]
        if long[0] < 12 or not 2 <= long[1] <= 4 or 24 - sum(long) < 8:
            raise ValueError("the evening has 2 to 4 hours, the day at least 12 and the night at least 8")


HOURS = Hours()
"""The hours of the Directive."""


def day_of(at: float, zone: tzinfo, hours: Hours = HOURS) -> date:
    """Return the date of the day, from morning to morning, in which the instant *at* [s, Unix] lies."""
    local = datetime.fromtimestamp(at, zone)
    return local.date() - timedelta(days=local.hour < hours.day)


def spans(day: date, zone: tzinfo, hours: Hours = HOURS) -> Mapping[Period, tuple[float, float]]:
    """Return begin and end [s, Unix] of the periods of *day*, which ends when the next one begins.

    The night is thus one piece, and the one in which the clock is changed lasts 7 or 9 hours. An hour that
    the clock skips is the instant of the change; of one that it repeats the first counts.
    """
    begins = [hours.day, hours.evening, hours.night, hours.day]
    days = [day + timedelta(days=hour < hours.day) for hour in begins[:3]] + [day + timedelta(days=1)]
    edges = [datetime.combine(d, time(h), zone).timestamp() for d, h in zip(days, begins, strict=True)]
    return dict(zip(Period, pairwise(edges), strict=True))


@dataclass(slots=True)
class Tally:
    """Levels summed up one by one, in any order: gives exactly the same at any order, and as the functions.

    Holds no level, only sums and at most one entry per class of RESOLUTION. *whole* is the time [us] that
    the levels are to stand for; None for just the durations that came.
    """

    share: float = SHARE
    whole: int | None = None
    given: int = 0  # [us] that came, with a level or without
    heard: int = 0  # [us] with a level
    step: int = 0  # [us] of which every duration with a level is a multiple
    energy: int = 0  # [us / _UNIT]
    highest: float = -math.inf
    classes: dict[int, int] = field(default_factory=dict)  # [us] by class

    def __post_init__(self) -> None:
        _check_share(self.share)

    def add(self, level: float | Missing, duration: float) -> None:
        """Add one level [dB] that holds for *duration* [s]. ValueError: the duration is not positive."""
        self.hold(level, _positive(duration))

    def hold(self, level: float | Missing, micros: int) -> None:
        """Add one level [dB] that holds for *micros* [us], above 0."""
        self.given += micros
        if not _true(level):
            return
        self.heard += micros
        self.energy += micros * round(10 ** (level / 10) * _UNIT)
        if level > self.highest:
            self.highest = level
        if micros != self.step:
            self.step = math.gcd(self.step, micros)
        at = round(level * _TENTHS)
        self.classes[at] = self.classes.get(at, 0) + micros

    def peak(self, level: float | Missing) -> None:
        """Let *level* [dB], the meter's own maximum of a time, be a highest one too."""
        if _true(level) and self.heard and level > self.highest:
            self.highest = level

    @property
    def enough(self) -> bool:
        """Whether the least share of the time has a level."""
        return _enough(self.heard, self.given if self.whole is None else self.whole, self.share)

    def laeq(self) -> float | Missing:
        """Return LAeq [dB], or INPUT_MISSING, as the function `laeq`."""
        return _level(self.energy, self.heard) if self.enough else Missing.INPUT_MISSING

    def lamax(self) -> float | Missing:
        """Return the highest level [dB], or INPUT_MISSING, as the function `lamax`."""
        return self.highest if self.enough else Missing.INPUT_MISSING

    def exceeded(self, percent: float) -> float | Missing:
        """Return LAN [dB], or INPUT_MISSING; rule and errors: the function `exceeded`."""
        _check_percent(percent)
        return _quantile(self.classes, percent, self.step) if self.enough else Missing.INPUT_MISSING

    def save(self) -> Any:
        """Return what `restore` needs, as JSON takes it: sums, and the class counts."""
        step = max(1, self.step)
        counts = [[level, micros // step] for level, micros in self.classes.items()]
        highest = None if self.highest == -math.inf else self.highest
        return [self.given, self.step, self.energy, highest, counts]

    def restore(self, saved: Any) -> None:
        """Take over, in a new tally, what `save` gave. Raises ValueError, TypeError."""
        given, step, energy, highest, counts = saved
        numbers = [given, step, energy, *(number for row in counts for number in row)]
        if any(type(number) is not int for number in numbers) or step < 0 or energy.bit_length() > 200:
            raise TypeError("a tally has whole numbers")
        classes = {level: count * step for level, count in counts}
        heard = sum(classes.values())
        in_range = all(LOWEST * _TENTHS <= level <= HIGHEST * _TENTHS for level in classes)
        if (
            not in_range
            or min(classes.values(), default=1) <= 0
            or heard > given
            or (energy > 0) != (heard > 0)
        ):
            raise ValueError("this is no tally of levels")
        if (highest is None) == (heard > 0) or (heard and not _true(highest)):
            raise ValueError("this is no highest level")
        self.given, self.heard, self.step, self.energy, self.classes = given, heard, step, energy, classes
        self.highest = -math.inf if highest is None else float(highest)


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
    _energy: list[int] = field(default_factory=lambda: [0, 0, 0], init=False)  # [us / _UNIT] of them
    _taken: list[tuple[int, int]] = field(default_factory=list, init=False)  # [us] in order, apart

    def __post_init__(self) -> None:
        incident(0.0, self.facade)  # says what is wrong with it
        _check_share(self.share)
        found = spans(self.date, self.zone, self.hours)
        day, evening, night = (_micros(begin) for begin, _ in found.values())
        self._edges = (day, evening, night, _micros(found[Period.NIGHT][1]))

    @property
    def end(self) -> float:
        """When the next day begins [s, Unix]."""
        return self._edges[3] / _SECOND

    @property
    def begin(self) -> float:
        """When the day begins [s, Unix], in the morning."""
        return self._edges[0] / _SECOND

    def add(self, begin: float, duration: float, level: float | Missing) -> None:
        """Add a level [dB] that holds from *begin* [s, Unix] for *duration* [s]; ignore other days.

        ValueError: the duration is not positive.
        """
        start, micros = _micros(begin), _positive(duration)
        start, end = max(start, self._edges[0]), min(start + micros, self._edges[3])
        if start >= end or not _true(level):
            return
        energy = round(10 ** (level / 10) * _UNIT)
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
        if not _enough(heard, whole, self.share):
            return Missing.INPUT_MISSING
        return incident(_level(self._energy[place], heard), self.facade)

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


_PERIODS = tuple(Period)


def _heard(levels: Iterable[tuple[float | Missing, float]], share: float) -> list[tuple[float, int]]:
    """Return the levels [dB] with their durations [us], or nothing when they are too few."""
    _check_share(share)
    found = [(level, _positive(duration)) for level, duration in levels]
    heard = [(level, micros) for level, micros in found if _true(level)]
    given = sum(micros for _, micros in found)
    return heard if _enough(sum(micros for _, micros in heard), given, share) else []


def _fewer(pieces: list[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Return *pieces* as at most *most* of them: the oldest as if there were no gaps between them."""
    extra = len(pieces) - most
    return [(pieces[0][0], pieces[extra][1]), *pieces[extra + 1 :]] if extra > 0 else pieces


def _quantile(classes: Mapping[int, int], percent: float, step: int) -> float | Missing:
    """Return the percentile `100 - percent` of classes that hold so many times *step* [us] each."""
    if not classes:
        return Missing.INPUT_MISSING
    below, above, part = ranks(sum(classes.values()) // step, 100.0 - percent)
    low = high = math.inf
    seen = 0
    for level in sorted(classes):
        seen += classes[level] // step
        if low == math.inf and seen > below:
            low = level
        if seen > above:
            high = level
            break
    return between(low, high, part) / _TENTHS


def _level(energy: int, micros: int) -> float:
    return 10 * math.log10(energy / (micros * _UNIT))


def _class(level: float) -> int:
    return round(level * _TENTHS)


def _true(level: float | Missing) -> TypeGuard[float]:
    return not isinstance(level, Missing) and LOWEST <= level <= HIGHEST  # NaN is in no range


def _enough(heard: int, whole: int, share: float) -> bool:
    return heard > 0 and heard >= math.floor(share * whole)  # floor: the share is no exact binary fraction


def _micros(seconds: float) -> int:
    return round(seconds * _SECOND)


def _positive(duration: float) -> int:
    if not (math.isfinite(duration) and _micros(duration) > 0):
        raise ValueError(f"a level holds for some time, not for {duration:g} s")
    return _micros(duration)


def _check_percent(percent: float) -> None:
    if not 0.0 < percent < 100.0:
        raise ValueError(f"a level is exceeded for a share between 0 and 100 %, not {percent:g}")


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share of the time is 0 to 1, not {share:g}")
