"""Who wants a switch on, since when and for how long."""

import math
from dataclasses import dataclass

from gateway.reading import SwitchOn, Transition

REPEAT = 5.0
"""Seconds before the same request is refused aloud again, for other reasons than before."""


@dataclass(slots=True)
class Hold:
    """One rule's request. *firing*: the rule still fires; *began*: when it got what it asked for [s].

    A hold without a duration lasts while its rule fires. One with a duration is owed while its rule fires,
    and once begun lasts that long whatever the rule does. A *latched* hold was cut short by the guard, and
    gets nothing more until its rule ends and fires anew: a motor must not start because a lid was closed.
    """

    transition: Transition
    command: SwitchOn
    firing: bool = True
    began: float | None = None
    latched: str = ""
    _refused: frozenset[str] = frozenset()
    _refused_at: float = -math.inf

    @property
    def rule(self) -> str:
        """The rule's id."""
        return self.transition.rule

    @property
    def ending(self) -> str:
        """Why it no longer wants the switch on."""
        during = self.command.during
        return f"rule {self.rule} ended" if during is None else f"its {during:g} s are over"

    def until(self, now: float) -> float:
        """Return when it will no longer want the switch on, or *now* when it does not want it."""
        if self.latched:
            return now
        if self.command.during is None or self.began is None:
            return math.inf if self.firing else now
        return max(now, self.began + self.command.during)

    def refuse(self, kinds: frozenset[str], now: float) -> bool:
        """Note a refusal; return whether it is news that must be recorded."""
        if kinds == self._refused or now < self._refused_at + REPEAT:
            return False
        self._refused, self._refused_at = kinds, now
        return True


class Holds:
    """Every hold on one switch, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], Hold] = {}

    def ask(self, transition: Transition, command: SwitchOn) -> None:
        """Add a hold, in place of the one that the same rule had for the same command."""
        self._all.pop((transition.rule, str(command)), None)  # so that it takes its place at the end
        self._all[transition.rule, str(command)] = Hold(transition, command)

    def end(self, rule: str) -> None:
        """Note that *rule* no longer fires."""
        for hold in self._all.values():
            hold.firing = hold.firing and hold.rule != rule

    def until(self, now: float) -> float:
        """Return when none will want the switch on any more, or *now* when none does."""
        return max((hold.until(now) for hold in self._all.values()), default=now)

    def asking(self, now: float) -> list[Hold]:
        """Return those that want the switch on and have not got it."""
        return [hold for hold in self._all.values() if hold.began is None and hold.until(now) > now]

    def engaged(self) -> list[Hold]:
        """Return those for which the switch is on, and those that have just ended."""
        return [hold for hold in self._all.values() if hold.began is not None and not hold.latched]

    def latched(self) -> list[Hold]:
        """Return those that were cut short."""
        return [hold for hold in self._all.values() if hold.latched]

    def latch(self, why: str) -> None:
        """Cut short what is engaged."""
        for hold in self.engaged():
            hold.latched = why

    def prune(self, now: float) -> list[Hold]:
        """Forget what neither wants the switch on nor waits for its rule's end; return it."""
        gone = {
            key: hold
            for key, hold in self._all.items()
            if hold.until(now) <= now and not (hold.latched and hold.firing)
        }
        for key in gone:
            del self._all[key]
        return list(gone.values())

    def clear(self) -> None:
        """Forget all."""
        self._all.clear()

    def __bool__(self) -> bool:
        return bool(self._all)
