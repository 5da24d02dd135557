"""What a switch may do, whatever rules ask. Pure: no clock, no wires; time is handed in, monotonic [s]."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.reading import Condition, Input

HOUR = 3600.0  # [s] over which the times that it goes on are counted
MOST_PER_HOUR = 600
LEASE = 3600.0  # [s] that a person may take a switch by hand for, where the configuration does not say

Truth: TypeAlias = Callable[[], tuple[bool | None, tuple[Input, ...]]]
"""Whether a permissive holds now (None: unknown), and what it looked at."""


@dataclass(frozen=True, slots=True)
class Permissive:
    """A condition that must be KNOWN true before the switch goes on, and for as long as it is on."""

    text: str
    truth: Truth


@dataclass(frozen=True, slots=True)
class Limits:
    """A switch's safe state, longest time on and shortest time off [s], and permissives.

    *per_hour*: how often it may go on within an hour; *max_age* [s]: the greatest age of anything that a
    permissive, or a rule that asks for it, looks at; *excludes*: the switches that it may not be on with;
    *lease* [s]: the longest that a person may take it by hand for.

    Raises ValueError for limits that limit nothing, and for a safe state of on: that would need every
    limit mirrored (a longest time off), which no part of the control does.
    """

    safe: bool
    max_on: float
    min_off: float = 0.0
    permissives: tuple[Permissive, ...] = ()
    per_hour: int | None = None
    max_age: float | None = None
    excludes: tuple[str, ...] = ()
    lease: float = LEASE

    def __post_init__(self) -> None:
        if self.safe:
            raise ValueError(
                "a switch whose safe state is on cannot be guarded: set safe = false, and wire a load "
                "that must keep running through the relay's normally closed contact"
            )
        for name, time in (("max_on", self.max_on), ("max_age", self.max_age), ("lease", self.lease)):
            if time is not None and not 0 < time < math.inf:
                raise ValueError(f"{name} must be a time above 0 s, not {time!r}")
        if not 0 <= self.min_off < math.inf:
            raise ValueError(f"min_off must be 0 s or more, not {self.min_off!r}")
        if self.per_hour is not None and not 1 <= self.per_hour <= MOST_PER_HOUR:
            raise ValueError(f"per_hour must be 1 to {MOST_PER_HOUR}, not {self.per_hour!r}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The reasons against being on, none meaning that it may be; and what was looked at.

    *kinds* tells reasons apart without the numbers in their words, so that a countdown is one reason.
    """

    reasons: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    inputs: tuple[Input, ...] = ()
    conditions: tuple[Condition, ...] = ()


NOTHING_AGAINST = Verdict()


class Guard:
    """Judges one switch. It counts as on from just before it is told to be, until it is known to be off.

    Nothing is known of the time before the first `turned_off`, so until then it counts as on. A time on that
    is `intended` is saved before it begins, so that a crash in between costs a time, and never gives one.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.on = True
        self.since = -math.inf
        self.cycles = 0
        self._rivals: list[tuple[str, Guard]] = []
        self._starts: deque[float] = deque(maxlen=limits.per_hour or 1)
        self._intended: float | None = None

    @property
    def deadline(self) -> float:
        """When it must be off again; meaningful while it is on."""
        return self.since + self.limits.max_on

    @property
    def rested(self) -> float:
        """When its shortest time off will have passed; meaningful while it is off."""
        return self.since + self.limits.min_off

    @property
    def ready(self) -> float:
        """When time alone will no longer be against its going on; meaningful while it is off."""
        return max(self.rested, self._starts[0] + HOUR) if self._spent(-math.inf) else self.rested

    @property
    def longest(self) -> str:
        """The reason for which it goes off at its deadline."""
        return f"it has been on for {self.limits.max_on:g} s, the longest that it may be"

    def exclude(self, name: str, other: "Guard") -> None:
        """Never let both be on; *name* is the other's."""
        self._rivals.append((name, other))

    def intend(self, now: float) -> None:
        """Note that it is about to be told to go on."""
        self._intended = now

    def desist(self) -> None:
        """Note that it was not told after all."""
        self._intended = None

    def turned_on(self, now: float) -> None:
        """Note that it is being told to go on."""
        self.on, self.since, self.cycles = True, now, self.cycles + 1
        self._starts.append(now)
        self._intended = None

    def turned_off(self, now: float) -> None:
        """Note that it is known to be off."""
        self.on, self.since = False, now

    def may_turn_on(self, now: float, asked: tuple[Input, ...] = ()) -> Verdict:
        """Return every reason against going on now; *asked* is what the rule looks at that asks for it."""
        reasons, kinds = [], []
        if self.on:
            reasons.append("it is on already, or not known to be off")
            kinds.append("on")
        elif now < self.rested:
            reasons.append(
                f"it has been off for {now - self.since:.1f} s and must rest for {self.limits.min_off:g} s"
            )
            kinds.append("min_off")
        if self._spent(now):
            reasons.append(
                f"it has gone on {self.limits.per_hour} times within an hour, the most that it may"
            )
            kinds.append("per_hour")
        return self._with_permissives(reasons, kinds, asked)

    def must_turn_off(self, now: float, asked: tuple[Input, ...] = ()) -> Verdict:
        """Return every reason for which it may not stay on."""
        reasons, kinds = [], []
        if now >= self.deadline:
            reasons.append(self.longest)
            kinds.append("max_on")
        return self._with_permissives(reasons, kinds, asked)

    def started(self, now: float) -> list[float]:
        """Return how long ago [s] it went on, or was about to, within the last hour; the oldest first."""
        starts = [*self._starts, *([] if self._intended is None else [self._intended])]
        return [max(0.0, now - start) for start in starts if now - start < HOUR]

    def resume(self, ages: Iterable[float], now: float) -> None:
        """Take over what `started` said, by a guard before this one."""
        for age in sorted(ages, reverse=True):
            self._starts.append(now - age)

    def spend(self, now: float) -> None:
        """Take it that it went on as often as it may: for want of knowing."""
        self.resume([0.0] * (self.limits.per_hour or 0), now)

    def aged(self, inputs: tuple[Input, ...]) -> tuple[list[str], list[str]]:
        """Return the reasons, and their kinds, for which *inputs* are too old to be acted upon."""
        most = self.limits.max_age
        old = [i for i in inputs if most is not None and i.age is not None and not i.age <= most]
        reasons = [f"{i.name} is {i.age:.0f} s old, and may be {most:g} s at the most" for i in old]
        return list(dict.fromkeys(reasons)), [f"age of {i.name}" for i in old]

    def _spent(self, now: float) -> bool:
        """Return whether the hour's budget is used up at *now*."""
        return len(self._starts) == self.limits.per_hour and now < self._starts[0] + HOUR

    def _with_permissives(self, reasons: list[str], kinds: list[str], asked: tuple[Input, ...]) -> Verdict:
        for name, other in self._rivals:
            if other.on:
                reasons.append(f"{name} is on, or not known to be off")
                kinds.append(f"excludes {name}")
        inputs: list[Input] = []
        conditions = []
        for permissive in self.limits.permissives:
            truth, seen = permissive.truth()
            inputs.extend(seen)
            conditions.append(Condition(permissive.text, truth))
            if truth is not True:
                reasons.extend(_against(permissive.text, truth, seen))
                kinds.append(f"{permissive.text}: {truth}")
        old, ages = self.aged((*inputs, *asked))
        reasons, kinds = [*reasons, *old], [*kinds, *ages]
        return Verdict(tuple(reasons), frozenset(kinds), tuple(inputs), tuple(conditions))


def _against(text: str, truth: bool | None, seen: tuple[Input, ...]) -> list[str]:
    """Say why a permissive does not permit: what is unknown, or what made it false."""
    if truth is None:
        unknown = [f"{i.name} is not known: {_why(i)}" for i in seen if i.value is None]
        return unknown or [f"{text} is not known to be true"]
    values = ", ".join(f"{i.name} = {shown(i.value)}" for i in seen if i.name != text)
    return [f"{text} is false" + (f" ({values})" if values else "")]


def _why(unknown: Input) -> str:
    if unknown.reason:
        return unknown.reason
    return "never seen" if unknown.age is None else f"last seen {unknown.age:.0f} s ago"


def shown(value: float | bool | None) -> str:
    """Return a value as a rule file would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "unknown" if value is None else f"{value:g}"
