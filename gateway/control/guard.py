"""What a switch may do, whatever rules ask. Pure: no clock, no wires; time is handed in, monotonic [s]."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.reading import Condition, Input

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

    Raises ValueError for limits that limit nothing, and for a safe state of on: that would need every
    limit mirrored (a longest time off), which no part of the control does.
    """

    safe: bool
    max_on: float
    min_off: float = 0.0
    permissives: tuple[Permissive, ...] = ()

    def __post_init__(self) -> None:
        if self.safe:
            raise ValueError(
                "a switch whose safe state is on cannot be guarded: set safe = false, and wire a load "
                "that must keep running through the relay's normally closed contact"
            )
        if not 0 < self.max_on < math.inf:
            raise ValueError(f"max_on must be a time above 0 s, not {self.max_on!r}")
        if not 0 <= self.min_off < math.inf:
            raise ValueError(f"min_off must be 0 s or more, not {self.min_off!r}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The reasons against being on, none meaning that it may be; and what was looked at.

    *kinds* tells reasons apart without the numbers in their words, so that a countdown is one reason.
    """

    reasons: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    inputs: tuple[Input, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Guard:
    """Judges one switch. It counts as on from just before it is told to be, until it is known to be off.

    Nothing is known of the time before the first `turned_off`, so until then it counts as on.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.on = True
        self.since = -math.inf
        self.cycles = 0

    @property
    def deadline(self) -> float:
        """When it must be off again; meaningful while it is on."""
        return self.since + self.limits.max_on

    @property
    def rested(self) -> float:
        """When its shortest time off will have passed; meaningful while it is off."""
        return self.since + self.limits.min_off

    @property
    def longest(self) -> str:
        """The reason for which it goes off at its deadline."""
        return f"it has been on for {self.limits.max_on:g} s, the longest that it may be"

    def turned_on(self, now: float) -> None:
        """Note that it is being told to go on."""
        self.on, self.since, self.cycles = True, now, self.cycles + 1

    def turned_off(self, now: float) -> None:
        """Note that it is known to be off."""
        self.on, self.since = False, now

    def may_turn_on(self, now: float) -> Verdict:
        """Return every reason against going on now."""
        reasons, kinds = [], []
        if self.on:
            reasons.append("it is on already, or not known to be off")
            kinds.append("on")
        elif now < self.rested:
            reasons.append(
                f"it has been off for {now - self.since:.1f} s and must rest for {self.limits.min_off:g} s"
            )
            kinds.append("min_off")
        return self._with_permissives(reasons, kinds)

    def must_turn_off(self, now: float) -> Verdict:
        """Return every reason for which it may not stay on."""
        reasons, kinds = [], []
        if now >= self.deadline:
            reasons.append(self.longest)
            kinds.append("max_on")
        return self._with_permissives(reasons, kinds)

    def _with_permissives(self, reasons: list[str], kinds: list[str]) -> Verdict:
        inputs: list[Input] = []
        conditions = []
        for permissive in self.limits.permissives:
            truth, seen = permissive.truth()
            inputs.extend(seen)
            conditions.append(Condition(permissive.text, truth))
            if truth is not True:
                reasons.extend(_against(permissive.text, truth, seen))
                kinds.append(f"{permissive.text}: {truth}")
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
