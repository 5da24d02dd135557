"""Air: published indices, and what stands for a day's mean before the day is over."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo

from drivers.device import Missing, Quantity
from gateway.derive import air
from gateway.derive.air import Index, Means
from gateway.derive.air.index import CEILING, NOISE, US_SCALES
from gateway.derive.air.means import NEVER, highest, mean, number_of, whole
from gateway.derive.kind import Context, Input, Kind, Result, Taken, Unfit, Value, always, only
from gateway.derive.kinds.local import standard, zone_of

_Q = Quantity
HOUR = 3600.0
QUARTER = 900.0
SLACK = 3600.0
"""Seconds that doubts about samples are remembered longer than the hours that these belong to."""

_AFTER = 2e-6  # [s] a sample at the very begin of an hour stands for the time before it, as in Means

Said = tuple[Value, str]
Averages = Mapping[str, Means]
Words = Callable[[Averages, int], Said]
"""From the means and the number of the hour that ends: a value, and its label ("" for none)."""


@dataclass(slots=True)
class Hourly:
    """Says, as each hour ends, what the means of it and the hours before come to; or as each day ends.

    Hours and days are those of standard time in *zone* (UTC: None), all year, as the people who measure air
    count: every day has 24. *hours* is how many of them a result depends on at the most.
    """

    averages: dict[str, Means]
    says: Words
    gives: Quantity
    hours: int
    zone: ZoneInfo | None = None
    daily: bool = False
    _hour: int | None = field(default=None, init=False)
    _offset: float = field(default=0.0, init=False)
    _end: float = field(default=NEVER, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        results = self._move(time) if time > self._end else ()
        for name in taken.fresh:
            self.averages[name].add(time + self._offset, taken.values[name])
        return results

    def advance(self, time: float) -> Iterable[Result]:
        return self._move(time + _AFTER) if time >= self._end else ()

    def save(self) -> Any:
        if self._hour is None:
            return None
        means = {name: each.save() for name, each in self.averages.items()}
        return {"hour": self._hour, "offset": int(self._offset), "means": means}

    def restore(self, saved: Any) -> None:
        hour, offset = whole(saved["hour"]), float(whole(saved["offset"]))
        for name, each in self.averages.items():
            each.restore(saved["means"][name])
        self._set(hour, offset)

    def _move(self, time: float) -> tuple[Result, ...]:
        """Let the hour end that *time* is after, and give what there is to say of it."""
        offset = standard(self.zone, time)
        before: int | None = self._hour
        ended: tuple[Result, ...] = ()
        hour = number_of(time + offset, HOUR)
        if before is not None and hour > before and not (self.daily and hour // 24 == before // 24):
            ended = (self._result(before // 24 * 24 + 23 if self.daily else before),)
        for each in self.averages.values():
            each.move(time + offset)
        self._set(hour, offset)
        return ended

    def _set(self, hour: int, offset: float) -> None:
        self._hour, self._offset, self._end = hour, offset, (hour + 1) * HOUR - offset

    def _result(self, hour: int) -> Result:
        """Return what the hours up to *hour*, which has ended, come to."""
        end = (hour + 1) * HOUR
        for each in self.averages.values():
            each.move(end + _AFTER)
        value, label = self.says(self.averages, hour)
        labels = {self.gives: label} if label else {}
        since = end - self.hours * HOUR - self._offset + _AFTER
        return Result(end - self._offset, {self.gives: value}, since, labels=labels)


def _averages(context: Context, hours: int, quarters: Quantity | None = None) -> dict[str, Means]:
    """Return the means of every input, of *hours* hours; of *quarters*, of four quarters. Raises Unfit."""
    found = {}
    for name, interval in context.intervals.items():
        period, keep = (QUARTER, 4) if name == quarters else (HOUR, hours)
        if interval > period:
            source = context.sources[name]
            said = f"{source} comes every {interval:g} s: a mean of {period:g} s needs it more often"
            raise Unfit("from", said)
        found[name] = Means(period, interval, keep)
    return found


def _inputs(*pollutants: Quantity) -> tuple[Input, ...]:
    return tuple(Input(each, only(each), needed=False) for each in pollutants)


def _worst(indices: Mapping[Quantity, Index | Missing], means: Mapping[Quantity, Value]) -> Said:
    """Return the worst index with its label. A pollutant beyond its table is worse than a number can say."""
    for pollutant, index in indices.items():
        value = means[pollutant]
        if index is Missing.OUT_OF_RANGE and not isinstance(value, Missing) and -NOISE <= value <= CEILING:
            return Missing.OUT_OF_RANGE, ""
    return _labelled(air.worst(indices.values()))


def _labelled(index: Index | Missing) -> Said:
    if isinstance(index, Missing):
        return index, ""
    says = f"{index.band} ({index.pollutant}), {index.version}"
    return float(index.value), says + (", indicative" if index.indicative else "")


def _index(
    of: Callable[[Quantity, Value], Index | Missing],
    stands: Callable[[Quantity, Means], Value],
    averages: Averages,
) -> Said:
    """Return the worst of the indices *of* what *stands* for each pollutant."""
    means = {Quantity(name): stands(Quantity(name), each) for name, each in averages.items()}
    return _worst({pollutant: of(pollutant, value) for pollutant, value in means.items()}, means)


def _mass(pollutant: Quantity, value: Value) -> Value:
    """Return a gas [ppb] in ug/m3; particles, and what is missing, as they are."""
    particles = pollutant in (_Q.PM2_5, _Q.PM10)
    return value if particles or isinstance(value, Missing) else air.mass(pollutant, value)


# US AQI


@dataclass(frozen=True, slots=True)
class UsAqi:
    """*average*: "nowcast" speaks each hour, "day" as each day ends. *zone*: whose days; "" for the place's.

    EPA-454/B-24-002 (May 2024).
    """

    average: Literal["nowcast", "day"] = "nowcast"
    zone: str = ""


def _us_now(means: Averages, hour: int) -> Said:
    def stands(pollutant: Quantity, of: Means) -> Value:
        if pollutant is _Q.O3:
            return mean(of.last(hour, 8))
        return air.nowcast(pollutant, of.last(hour, 12))

    return _index(air.us_aqi, stands, means)


def _us_day(means: Averages, hour: int) -> Said:
    def stands(pollutant: Quantity, of: Means) -> Value:
        if pollutant is _Q.O3:
            return highest([mean(of.last(hour - ago, 8)) for ago in range(17)])
        return air.daily_mean(of.last(hour, 24))

    return _index(air.us_aqi, stands, means)


def _us_aqi(options: UsAqi, context: Context) -> Hourly:
    daily = options.average == "day"
    zone = None
    if daily or options.zone or context.zone:
        zone = zone_of(options.zone, context, "a day goes from midnight to midnight in local standard time")
    hours = 24 if daily else 12
    says = _us_day if daily else _us_now
    return Hourly(_averages(context, hours), says, _Q.US_AQI, hours, zone, daily)


# NowCast, European and UK indices


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to set."""


def _nowcast(_options: Nothing, context: Context) -> Hourly:
    pollutant = context.source.quantity

    def says(means: Averages, hour: int) -> Said:
        return air.nowcast(pollutant, means["pm"].last(hour, 12)), ""

    return Hourly(_averages(context, 12), says, pollutant, 12)


def _european(means: Averages, hour: int) -> Said:
    return _index(air.european_aqi, lambda pollutant, of: _mass(pollutant, of.of(hour)), means)


def _uk(means: Averages, hour: int) -> Said:
    def stands(pollutant: Quantity, of: Means) -> Value:
        match pollutant:
            case _Q.NO2:
                return of.of(hour)
            case _Q.O3:
                return mean(of.last(hour, 8))
            case _Q.SO2:
                return highest(of.last(4 * hour + 3, 4))
        return mean(of.last(hour, 24))

    return _index(air.uk_daqi, lambda pollutant, of: _mass(pollutant, stands(pollutant, of)), means)


def _uk_daqi(_options: Nothing, context: Context) -> Hourly:
    return Hourly(_averages(context, 24, _Q.SO2), _uk, _Q.UK_DAQI, 24)


def _reach(hours: int) -> Callable[[Any, Context], float]:
    return lambda options, context: (hours + 1) * HOUR + SLACK


def _hourly(_options: Any, _context: Context) -> float:
    return HOUR


_PM = only(_Q.PM2_5, _Q.PM10)

KINDS: Mapping[str, Kind] = {
    "us_aqi": Kind(
        UsAqi,
        _inputs(*US_SCALES),
        always(_Q.US_AQI),
        _us_aqi,
        lambda options, context: 24 * HOUR if options.average == "day" else HOUR,
        lambda options, context: (25 if options.average == "day" else 13) * HOUR + SLACK,
    ),
    "nowcast": Kind(
        Nothing,
        (Input("pm", _PM),),
        lambda options, context: (context.source.quantity,),
        _nowcast,
        _hourly,
        _reach(12),
    ),
    "european_aqi": Kind(
        Nothing,
        _inputs(_Q.PM2_5, _Q.PM10, _Q.NO2, _Q.O3, _Q.SO2),
        always(_Q.EUROPEAN_AQI),
        lambda options, context: Hourly(_averages(context, 1), _european, _Q.EUROPEAN_AQI, 1),
        _hourly,
        _reach(1),
    ),
    "uk_daqi": Kind(
        Nothing,
        _inputs(_Q.PM2_5, _Q.PM10, _Q.NO2, _Q.O3, _Q.SO2),
        always(_Q.UK_DAQI),
        _uk_daqi,
        _hourly,
        _reach(24),
    ),
}
"""The indices, and what stands for a mean of 24 hours."""
