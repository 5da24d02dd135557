"""Floods: what the stage is called, and whether two sensors agree."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Missing, Quantity
from gateway.config import Duration
from gateway.derive.disagreement import Disagreement
from gateway.derive.flood import StageAlarm, StageName
from gateway.derive.kind import Context, Input, Kind, Proof, Result, Taken, Unfit, always
from gateway.derive.kinds.limits import HEIGHT, LEVEL, within
from gateway.derive.level import usable

AGED = 3.0  # intervals without a pair, after which two sensors are compared afresh
LATE = 0.5  # intervals by which a sample may be late before it counts as missing
MOST = 1000  # samples of a delay


@dataclass(frozen=True, slots=True)
class Alarms:
    """The stage's name, with hysteresis and delays.

    *action*, *minor*, *moderate* and *major* [m] are where the names begin, in the datum of the source; any
    may be left out. A name is left *hysteresis* [m] below where it began. *on_delay* and *off_delay* are
    readings in a row, 1 to 1000, *stale_after* how many missing ones make it stale.
    """

    action: float | None = None
    minor: float | None = None
    moderate: float | None = None
    major: float | None = None
    hysteresis: float = 0.05
    on_delay: int = 2
    off_delay: int = 3
    stale_after: int = 3


@dataclass(slots=True)
class Alarming:
    """The alarms of a stage; a device that says nothing at all misses a reading each *interval* [s]."""

    alarm: StageAlarm
    interval: float
    depends: float  # s back: the readings of its delays
    _known: bool = field(default=False, init=False)
    _last: float = field(default=-math.inf, init=False)
    _due: float | None = field(default=None, init=False)

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        (value,) = taken.values.values()
        if time == self._last:
            return ()
        self._last, self._due = time, time + (1.0 + LATE) * self.interval
        before, good = self.alarm.name if self._known else None, usable(value)
        name = self.alarm.feed(value)
        self._known = self._known or good
        since = time - self.depends if good else None
        return (self._said(time, name, since, self._proof(good, name is not before)),)

    def advance(self, time: float) -> Iterable[Result]:
        if self._due is None:  # it has just been restored
            self._due = time + (1.0 + LATE) * self.interval
        if time < self._due:
            return ()
        self._due = time + self.interval
        return (self._said(time, self.alarm.feed(Missing.TIMEOUT)),)

    def save(self) -> Any:
        return {"known": self._known, "alarms": self.alarm.state()}

    def restore(self, saved: Any) -> None:
        if type(saved["known"]) is not bool:
            raise ValueError("known is true or false")
        self.alarm.restore(saved["alarms"])
        self._known = saved["known"]

    def _proof(self, good: bool, changed: bool) -> Proof:
        if not good:
            return Proof.NONE
        return Proof.NEW if changed else Proof.AGAIN if self.alarm.proved else Proof.NONE

    def _said(
        self, time: float, name: StageName, since: float | None = None, proof: Proof = Proof.NONE
    ) -> Result:
        stale = float(self.alarm.stale)
        if not self._known:
            return Result(time, {Quantity.FLOOD_STAGE: Missing.INPUT_MISSING, Quantity.STALE: stale})
        values = {Quantity.FLOOD_STAGE: _NUMBERS[name], Quantity.STALE: stale}
        return Result(time, values, since, labels=_LABELS[name], proof=proof)


_NUMBERS = {name: float(number) for number, name in enumerate(StageName)}
_LABELS = {name: {Quantity.FLOOD_STAGE: name.value} for name in StageName}


def _stage_alarm(options: Alarms, context: Context) -> Alarming:
    thresholds: dict[StageName, float] = {}
    for name in list(StageName)[1:]:
        height: float | None = getattr(options, name)
        if height is None:
            continue
        within(options, name, -HEIGHT, HEIGHT, f"m, as {context.source} counts")
        if thresholds and height <= max(thresholds.values()):
            raise Unfit(name, f"{name} must begin above {max(thresholds)}: {height:g} m is not")
        thresholds[name] = height
    if not thresholds:
        raise Unfit(
            "kind", "a stage alarm needs the height of at least one of action, minor, moderate, major"
        )
    within(options, "hysteresis", 0.0, 100.0, "m")
    for key in ("on_delay", "off_delay", "stale_after"):
        within(options, key, 1, MOST, "readings in a row")
    delays = (options.on_delay, options.off_delay, options.stale_after)
    depends = (max(delays[:2]) - 1 + LATE) * context.interval
    return Alarming(StageAlarm(thresholds, options.hysteresis, *delays), context.interval, depends)


@dataclass(frozen=True, slots=True)
class Compared:
    """Whether two level sensors disagree.

    *beside* is the other one; *tolerance* [m] by how much they may differ; *after* [s] how long they must
    differ more before that is said, and agree before it ends.
    """

    beside: str
    tolerance: float = 0.1
    after: Duration = 900.0


@dataclass(slots=True)
class Comparing:
    """The flag of two sensors. It is missing while one of them is and no disagreement is known."""

    flag: Disagreement

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        first, second = taken["one"], taken["other"]
        before, was = self.flag.since, self.flag.active
        active = self.flag.feed(time, first, second)
        pair = usable(first) and usable(second)
        value = float(active) if active or pair else Missing.INPUT_MISSING
        proof = Proof.NEW if active is not was else Proof.AGAIN if self.flag.proved else Proof.NONE
        since = min(time, self.flag.since if active is was else before) if pair else None
        return (Result(time, {Quantity.ACTIVE: value}, since, proof=proof),)

    def advance(self, time: float) -> Iterable[Result]:
        """Silence proves nothing."""
        return ()

    def save(self) -> Any:
        return self.flag.state()

    def restore(self, saved: Any) -> None:
        self.flag.restore(saved)


def _disagreement(options: Compared, context: Context) -> Comparing:
    one, other = context.sources["one"], context.sources["other"]
    if one == other:
        raise Unfit("beside", f"{one} cannot be compared with itself: name the other sensor")
    if one.quantity is not other.quantity:
        raise Unfit(
            "beside", f"{one} and {other} count from different zeros: compare two stages or two depths"
        )
    within(options, "tolerance", 0.0, 100.0, "m")
    gap = AGED * max(context.intervals.values())
    return Comparing(Disagreement(options.tolerance, options.after, gap))


KINDS: Mapping[str, Kind] = {
    "stage_alarm": Kind(
        Alarms,
        (Input("level", LEVEL),),
        always(Quantity.FLOOD_STAGE, Quantity.STALE),
        _stage_alarm,
        reach=lambda options, context: max(options.on_delay, options.off_delay) * context.interval,
        lasting=True,
    ),
    "disagreement": Kind(
        Compared,
        (Input("one", LEVEL), Input("other", LEVEL, "beside")),
        always(Quantity.ACTIVE),
        _disagreement,
        reach=lambda options, context: options.after,
        lasting=True,
    ),
}
