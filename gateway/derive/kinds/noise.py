"""Noise: how loud each quarter of an hour was, and each day with its evening and night."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import Any
from zoneinfo import ZoneInfo

from drivers.device import Quantity
from gateway.config import Duration
from gateway.derive.frames import DAY, SECOND, Aligned
from gateway.derive.kind import Context, Input, Kind, Result, Taken, Unfit, Value, only
from gateway.derive.kinds.local import zone_of
from gateway.derive.noise import Day, Hours, Period, Tally, day_of, incident, tni
from gateway.derive.saved import TIME_MOST, number

_Q = Quantity
HOUR = 3600.0
SLACK = 3600.0
"""Seconds that doubts about levels are remembered longer than the time that these belong to."""

QUARTER = 900.0
NEVER = float("-inf")
LEVELS = (_Q.SOUND_LEVEL, _Q.SOUND_LEVEL_MAX, _Q.SOUND_LEVEL_10, _Q.SOUND_LEVEL_50, _Q.SOUND_LEVEL_90)
DAY_LEVELS = (_Q.LDAY, _Q.LEVENING, _Q.LNIGHT, _Q.LDEN)

AFTER = 2e-6  # [s] a level at the very begin of a period is of the time before it


def check_share(share: float) -> None:
    """Raise ValueError unless *share* is above 0, to 1."""
    if not 0.0 < share <= 1.0:
        raise ValueError(f"the share of time with a level is above 0, to 1, not {share:g}")


@dataclass(frozen=True, slots=True)
class Noise:
    """*over* [s]: a day, or what divides an hour; *share*, above 0 to 1, of it that must have a level.

    *tni*: the traffic noise index too, which is of a day. *zone*: whose hours and days; "" for the place's.
    """

    over: Duration = QUARTER
    share: float = 0.75
    tni: bool = False
    zone: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)


@dataclass(slots=True)
class Periods:
    """The levels of each period in the making: their sums, and how often each class was there."""

    frame: Aligned
    share: float
    micros: int  # [us] for which a level holds
    with_tni: bool
    keeps: bool  # whether its sums are saved, else readings of the store bring them back
    _start: float = field(default=NEVER, init=False)
    _stop: float = field(default=NEVER, init=False)
    _newest: float = field(default=NEVER, init=False)
    _tally: Tally = field(default_factory=Tally, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        results: tuple[Result, ...] = ()
        if time > self._stop:
            results = self._move(time)
        elif time <= self._newest:
            return results
        self._newest = time
        tally = self._tally
        tally.hold(taken["level"], self.micros)
        if "max" in taken.fresh:
            tally.peak(taken["max"])
        return results

    def advance(self, time: float) -> Iterable[Result]:
        return self._move(time + AFTER) if time >= self._stop and self._stop != NEVER else ()

    def save(self) -> Any:
        """Return the sums and class counts; None where readings of the store bring them back."""
        if not self.keeps or self._stop == NEVER:
            return None
        return {"at": [self._start, self._newest], "tally": self._tally.save()}

    def restore(self, saved: Any) -> None:
        start, newest = (number(time, -TIME_MOST, TIME_MOST) for time in saved["at"])
        self._open(start + AFTER)
        if self._start != start or not start <= newest <= self._stop:
            raise ValueError("this is no period of these settings")
        self._tally.restore(saved["tally"])
        self._newest = newest

    def _move(self, time: float) -> tuple[Result, ...]:
        """End the period that *time* is after; open its own."""
        ended = (self._result(),) if self._stop != NEVER else ()
        self._open(time)
        return ended

    def _open(self, time: float) -> None:
        start, stop = self.frame.bounds(round(time * SECOND) - 1)
        self._start, self._stop = start / SECOND, stop / SECOND
        self._newest, self._tally = self._start, Tally(self.share, stop - start)

    def _result(self) -> Result:
        tally = self._tally
        l10, l50, l90 = (tally.exceeded(percent) for percent in (10.0, 50.0, 90.0))
        values: dict[Quantity, Value] = dict(
            zip(LEVELS, (tally.laeq(), tally.lamax(), l10, l50, l90), strict=True)
        )
        if self.with_tni:
            values[_Q.TNI] = tni(l10, l90)
        return Result(self._stop, values, self._start + AFTER)


def _noise(options: Noise, context: Context) -> Periods:
    often_enough(context, options.over, "over")
    if options.tni and options.over != DAY:
        raise Unfit("tni", 'the traffic noise index is of a whole day: set over = "1d", or leave tni out')
    needs_zone = options.over > QUARTER or options.zone or context.zone  # quarters are the same everywhere
    zone = zone_of(options.zone, context, "hours and days are local time") if needs_zone else UTC
    try:
        frame = Aligned(options.over, zone)
    except ValueError as error:
        raise Unfit("over", f'{error}; say such as "15m", "1h" or "1d"') from error
    micros = round(context.intervals["level"] * SECOND)
    return Periods(frame, options.share, micros, options.tni, options.over > HOUR)


def often_enough(context: Context, over: float, key: str) -> None:
    """Raise Unfit unless a level comes at least every *over* [s]."""
    interval = context.intervals["level"]
    if interval > over:
        source = context.sources["level"]
        raise Unfit(key, f"{source} comes every {interval:g} s: a level of {over:g} s needs it more often")


@dataclass(frozen=True, slots=True)
class NoiseDay:
    """*day*, *evening*, *night*: the local hours, 0 to 23, at which they begin, as the state has chosen.

    Directive 2002/49/EC, Annex I, lets the evening have 2 to 4 hours. *facade* [dB], 0 to 6, is taken off: 3
    where the microphone hangs at a wall. *share*, above 0 to 1, of each of the three that must have a level.
    *zone*: whose hours; "" for the place's.
    """

    day: int = 7
    evening: int = 19
    night: int = 23
    facade: float = 0.0
    share: float = 0.75
    zone: str = ""

    def __post_init__(self) -> None:
        Hours(self.day, self.evening, self.night)
        incident(0.0, self.facade)
        check_share(self.share)


@dataclass(slots=True)
class Days:
    """The day in the making, from morning to morning, so that its night is one."""

    zone: ZoneInfo
    options: NoiseDay
    interval: float
    _day: Day | None = field(default=None, init=False)
    _newest: float = field(default=NEVER, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        day, level = self._day, taken["level"]
        if time <= self._newest:
            return ()
        self._newest = time
        begin = time - self.interval
        results: tuple[Result, ...] = ()
        if day is None:
            day = self._day = self._of(time)
        elif time > day.end:
            day.add(begin, self.interval, level)
            results, day = (self._result(day),), self._of(time)
            self._day = day
        day.add(begin, self.interval, level)
        return results

    def advance(self, time: float) -> Iterable[Result]:
        day = self._day
        if day is None or time < day.end:
            return ()
        self._day = self._of(time + AFTER)
        return (self._result(day),)

    def save(self) -> Any:
        return {"newest": self._newest, "day": self._day.save()} if self._day else None

    def restore(self, saved: Any) -> None:
        day = self._made(date.fromisoformat(saved["day"][0]))
        day.restore(saved["day"])
        newest = number(saved["newest"], -TIME_MOST, TIME_MOST)
        if not newest <= day.end + self.interval:
            raise ValueError("this is not the time of its day")
        self._day, self._newest = day, newest

    def _of(self, time: float) -> Day:
        options = self.options
        return self._made(day_of(time - 1e-6, self.zone, Hours(options.day, options.evening, options.night)))

    def _made(self, day: date) -> Day:
        options = self.options
        hours = Hours(options.day, options.evening, options.night)
        return Day(day, self.zone, hours, options.facade, options.share)

    def _result(self, day: Day) -> Result:
        levels = (day.level(Period.DAY), day.level(Period.EVENING), day.level(Period.NIGHT), day.lden())
        return Result(day.end, dict(zip(DAY_LEVELS, levels, strict=True)), day.begin + AFTER)


def _noise_day(options: NoiseDay, context: Context) -> Days:
    often_enough(context, HOUR, "from")
    zone = zone_of(options.zone, context, "day, evening and night are local time")
    return Days(zone, options, context.intervals["level"])


KINDS: Mapping[str, Kind] = {
    "noise": Kind(
        Noise,
        (
            Input("level", only(_Q.SOUND_LEVEL)),
            Input("max", only(_Q.SOUND_LEVEL_MAX), needed=False),
        ),
        lambda options, context: (*LEVELS, _Q.TNI) if options.tni else LEVELS,
        _noise,
        lambda options, context: options.over,
        lambda options, context: options.over + HOUR + SLACK,
    ),
    "noise_day": Kind(
        NoiseDay,
        (Input("level", only(_Q.SOUND_LEVEL)),),
        lambda options, context: DAY_LEVELS,
        _noise_day,
        lambda options, context: DAY,
        lambda options, context: DAY + HOUR + SLACK,
    ),
}
"""Every kind of noise."""
