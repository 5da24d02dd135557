"""Traffic noise: LA10,18h, the index of a day by which roads are judged in the UK and in Australia."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from drivers.device import Missing, Quantity
from gateway.derive.frames import DAY, SECOND, Aligned
from gateway.derive.kind import Context, Input, Kind, Result, Taken, Unfit, always, only
from gateway.derive.kinds.local import zone_of
from gateway.derive.kinds.noise import AFTER, HOUR, SLACK, Periods, check_share, often_enough
from gateway.derive.noise import HIGHEST, LOWEST, OF_18_HOURS, la10_18h
from gateway.derive.saved import number

_Q = Quantity


@dataclass(frozen=True, slots=True)
class TrafficNoise:
    """*share*, above 0 to 1, of each hour that must have a level, and of the hours. *zone*: whose hours."""

    share: float = 0.75
    zone: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)


@dataclass(slots=True)
class Hours:
    """LA10 of each hour from 6 to 24 o'clock of the day in the making, and what the day came to."""

    zone: ZoneInfo
    share: float
    hour: Periods
    _day: date | None = field(default=None, init=False)
    _levels: dict[int, float] = field(default_factory=dict, init=False)  # [dB] by the hour of the day

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        ended = self._move(time, self.hour.take(time, taken))
        if self._day is None:
            self._day = self._of(time)
        return ended

    def advance(self, time: float) -> Iterable[Result]:
        return () if self._day is None else self._move(time + AFTER, self.hour.advance(time))

    def save(self) -> Any:
        if self._day is None:
            return None
        levels = [[hour, level] for hour, level in self._levels.items()]
        return {"day": self._day.isoformat(), "levels": levels, "hour": self.hour.save()}

    def restore(self, saved: Any) -> None:
        day = date.fromisoformat(saved["day"])
        levels = {hour: number(level, LOWEST, HIGHEST) for hour, level in saved["levels"]}
        if not levels.keys() <= set(OF_18_HOURS):
            raise ValueError("these are not the hours of a day")
        self.hour.restore(saved["hour"])
        self._day, self._levels = day, levels

    def _move(self, time: float, hours: Iterable[Result]) -> tuple[Result, ...]:
        """Note the *hours* that have ended; give the day that *time* is after."""
        for each in hours:
            level = each.values[_Q.SOUND_LEVEL_10]
            local = datetime.fromtimestamp(each.time - 0.5 * HOUR, self.zone)
            if not isinstance(level, Missing) and local.hour in OF_18_HOURS:
                self._levels[local.hour] = level
        if self._day is None or (day := self._of(time)) <= self._day:
            return ()
        ended = self._result(self._day)
        self._day, self._levels = day, {}
        return (ended,)

    def _of(self, time: float) -> date:
        return datetime.fromtimestamp(time - 1e-6, self.zone).date()

    def _result(self, day: date) -> Result:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=self.zone).timestamp()
        start, stop = Aligned(DAY, self.zone).bounds(round(noon * SECOND))
        begin = datetime(day.year, day.month, day.day, OF_18_HOURS[0], tzinfo=self.zone).timestamp()
        levels = [self._levels.get(hour, Missing.INPUT_MISSING) for hour in OF_18_HOURS]
        value = la10_18h(levels, self.share)
        return Result(stop / SECOND, {_Q.TRAFFIC_NOISE: value}, max(begin, start / SECOND) + AFTER)


def _traffic_noise(options: TrafficNoise, context: Context) -> Hours:
    often_enough(context, HOUR, "from")
    zone = zone_of(options.zone, context, "the hours from 6 to 24 o'clock are local time")
    if (interval := context.intervals["level"]) > 0.1 * HOUR:
        said = f"{context.source} comes every {interval:g} s: a tenth of an hour is not heard in it"
        raise Unfit("from", said)
    hour = Periods(Aligned(HOUR, zone), options.share, round(interval * SECOND), False, True)
    return Hours(zone, options.share, hour)


KINDS: Mapping[str, Kind] = {
    "traffic_noise": Kind(
        TrafficNoise,
        (Input("level", only(_Q.SOUND_LEVEL)),),
        always(_Q.TRAFFIC_NOISE),
        _traffic_noise,
        lambda options, context: DAY,
        lambda options, context: DAY + HOUR + SLACK,
    ),
}
"""The index of a day of traffic."""
