"""Rain: how much, how hard, and whether it has stopped, from the tips that a gauge counts."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from drivers.device import Missing, Quantity
from gateway.config import Duration
from gateway.derive.bucket import TIP, rain_class
from gateway.derive.kind import Context, Input, Kind, Result, Taken, Unfit, Value, always, only
from gateway.derive.kinds.limits import above, within
from gateway.derive.rain import Gauge

DAY = 86400.0
LEAST, MOST = 0.01, 10.0  # mm of a tip
SHORTEST = 300.0  # s of a window with a rate: one tip of 0.2 mm in a minute reads 12 mm/h
AGED = 3.0  # intervals without a reading, after which nobody knows what was missed
SPARE = 2  # tips more than a bucket can make in the time between two readings, which may come late


@dataclass(frozen=True, slots=True)
class Options:
    """What a tipping bucket's count means.

    *tip* [mm, 0.01 to 10] is the rain of one tip, None where the gauge tells the rain beside its count;
    *over* [s, to 24 h] the time of the total; *dry_after* [s, to 24 h] how long after the last tip the rain
    is over. The rate is by the time between *tips*, or the total of a *window* over its time. *correct* adds
    what falls past the bucket while it tips. *share*, above 0 to 1, of a time must have been watched for a
    result.
    """

    tip: float | None = None
    over: Duration = 3600.0
    dry_after: Duration = 3600.0
    rate: Literal["tips", "window"] = "tips"
    correct: bool = False
    share: float = 0.9


@dataclass(slots=True)
class Raining:
    """A gauge that is read each *interval* [s], and at each tip if its driver can.

    Tips that a reading counts lie evenly in the time since the reading before; a single one at its own time.
    What one tip is, it may *learn* from the rain beside the count.
    """

    gauge: Gauge
    over: float
    interval: float
    learn: bool
    windowed: bool = False
    _newest: float = field(default=-math.inf, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        count = taken["count"]
        before, self._newest = self._newest, max(time, self._newest)
        number = _tips(count)
        if number and self.learn:
            self._learn(number, taken["rain"])
        if time <= before:  # late: what it counted still counts
            if time < before and number is not None:
                self._place(number, time - self.interval, time)
            return ()
        unheard = time - before > AGED * self.interval
        start = time - self.interval if unheard else before
        if unheard:
            self.gauge.lose(before)
        if number is None or number > SPARE + (time - start) / TIP:
            self.gauge.lose(start)
        else:
            self.gauge.begin(time)
            self._place(number, start, time)
        return (self._said(time),)

    def advance(self, time: float) -> Iterable[Result]:
        """It speaks with a reading only: without one nobody knows whether it rains."""
        return ()

    def save(self) -> Any:
        """The readings in the store bring it back."""
        return None

    def restore(self, saved: Any) -> None:
        """Nothing is saved."""

    def _learn(self, number: int, rain: Value) -> None:
        if not isinstance(rain, Missing) and LEAST <= rain / number <= MOST:
            self.gauge.depth = rain / number

    def _place(self, number: int, start: float, end: float) -> None:
        for each in range(number):
            self.gauge.tip(end - each * (end - start) / number)

    def _said(self, time: float) -> Result:
        rain, rate, dry, since = self.gauge.now(time, self.over)
        if self.windowed:
            rate = self.gauge.window_rate(time, self.over)
        values: dict[Quantity, Value] = {
            Quantity.RAIN: rain,
            Quantity.RAIN_RATE: rate,
            Quantity.DRY: dry if isinstance(dry, Missing) else float(dry),
        }
        labels = {} if isinstance(rate, Missing) else {Quantity.RAIN_RATE: rain_class(rate).value}
        return Result(time, values, since, labels=labels)


def _tips(count: Value) -> int | None:
    """Return how many tips a count is; None for what cannot be one."""
    if isinstance(count, Missing) or not 0.0 <= count < 1e6:
        return None
    return round(count)


def _rain(options: Options, context: Context) -> Raining:
    if options.tip is None and "rain" not in context.sources:
        said = "say tip, the mm of rain of one tip: the gauge's plate has it; or take the gauge's own rain"
        raise Unfit("tip", f'{said} too, from = "{context.sources["count"].device}"')
    if len({source.device for source in context.sources.values()}) > 1:
        raise Unfit("from", "the count and the rain must be of the same gauge")
    within(options, "tip", LEAST, MOST, "mm of rain")
    above(options, "share", 0.0, 1.0)
    for key, seconds in (("over", options.over), ("dry_after", options.dry_after)):
        if seconds > DAY:
            raise Unfit(key, f"{key} is up to 24 h: older readings are not kept")
        if seconds < context.interval:
            least = f"{context.sources['count']} comes each {context.interval:g} s"
            raise Unfit(key, f"{least}: {key} must be at least as long, not {seconds:g} s")
    if options.rate == "window" and options.over < SHORTEST:
        said = f"one tip in {options.over:g} s already looks like a downpour: for a rate over a window take"
        raise Unfit("over", f'{said} {SHORTEST / 60:g} min or more, or say rate = "tips"')
    keep = max(options.over, options.dry_after) + options.dry_after
    gauge = Gauge(options.tip or LEAST, options.dry_after, keep, correct=options.correct, share=options.share)
    return Raining(gauge, options.over, context.interval, options.tip is None, options.rate == "window")


def _reach(options: Options, context: Context) -> float:
    """All tips that a result may follow from, and one before that shows that the gauge was heard."""
    longest = max(options.over, options.dry_after) + options.dry_after
    return float(min(DAY, longest + AGED * context.interval))


KINDS: Mapping[str, Kind] = {
    "rain": Kind(
        Options,
        (Input("count", only(Quantity.COUNT)), Input("rain", only(Quantity.RAIN), needed=False)),
        always(Quantity.RAIN, Quantity.RAIN_RATE, Quantity.DRY),
        _rain,
        reach=_reach,
    ),
}
