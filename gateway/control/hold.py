"""Who wants a switch on, since when and for how long."""

import math
from dataclasses import dataclass

from gateway.reading import Mode, SwitchOn, Transition

REPEAT = 5.0
"""Seconds before the same request is refused aloud again, for other reasons than before."""


@dataclass(slots=True)
class Hold:
    """One request. *firing*: the rule still fires; *began*: when it got what it asked for [s].

    A hold without a duration lasts while its rule fires. One with a duration is owed while its rule fires,
    and once begun lasts that long whatever the rule does. A *latched* hold was cut short by the guard, and
    gets nothing more until its rule ends and fires anew: a motor must not start because a lid was closed.
    Without a transition it is a person's, by hand, and lasts until *over* [s]. *who*, by *order*, approved
    it or took it.
    """

    transition: Transition | None
    command: SwitchOn
    who: str = ""
    order: str = ""
    over: float = math.inf
    firing: bool = True
    began: float | None = None
    latched: str = ""
    _refused: frozenset[str] = frozenset()
    _refused_at: float = -math.inf

    @property
    def rule(self) -> str:
        """The rule's id; "" for one by hand."""
        return self.transition.rule if self.transition else ""

    @property
    def owner(self) -> str:
        """Whose it is, in a sentence's words."""
        return self.rule or f"{self.who} by hand"

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other hold on the switch."""
        return self.rule, str(self.command)

    @property
    def asks(self) -> str:
        """Why it wants the switch on."""
        if self.transition is None:
            return f"{self.who} has taken it by hand"
        if self.who:
            return f"rule {self.rule} fires, {self.who} approved it"
        unasked = self.transition.mode is not Mode.ON
        return f"rule {self.rule} fires" + ("" if unasked else ", nobody vetoed it")

    @property
    def ending(self) -> str:
        """Why it no longer wants the switch on."""
        if self.transition is None:
            return f"it is no longer in the hands of {self.who}"
        during = self.command.during
        return f"rule {self.rule} ended" if during is None else f"its {during:g} s are over"

    @property
    def cut(self) -> str:
        """Why it gets nothing more."""
        anew = f"rule {self.rule} must end first" if self.rule else f"{self.who} must order it anew"
        return f"{anew}, for it was cut short: {self.latched}"

    def until(self, now: float) -> float:
        """Return when it will no longer want the switch on, or *now* when it does not want it."""
        if self.latched:
            return now
        if self.command.during is None or self.began is None:
            return max(now, self.over) if self.firing else now
        return max(now, self.began + self.command.during)

    def refuse(self, kinds: frozenset[str], now: float) -> bool:
        """Note a refusal; return whether it is news that must be recorded."""
        if kinds == self._refused or now < self._refused_at + REPEAT:
            return False
        self._refused, self._refused_at = kinds, now
        return True

    def suspend(self, why: str) -> None:
        """Take note that a person took it from this hold: a stroke is over, all else waits to go on."""
        if self.command.during is None:
            self.began = None
        elif self.began is not None:
            self.latched = why


class Holds:
    """Every hold on one switch, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], Hold] = {}

    def add(self, hold: Hold) -> None:
        """Add a hold, in place of the one that the same rule had for the same command."""
        self._all.pop(hold.key, None)  # so that it takes its place at the end
        self._all[hold.key] = hold

    def end(self, rule: str) -> None:
        """Note that *rule* no longer fires; "": that nobody has it by hand any more."""
        for hold in self._all.values():
            hold.firing = hold.firing and hold.rule != rule

    def withdraw(self, rule: str) -> list[Hold]:
        """Forget, and return, what nobody approved and *rule* has not got yet: it may no longer have it."""
        gone = [h for h in self.of(rule) if not (h.who or h.latched or h.began is not None) and h.firing]
        for hold in gone:
            del self._all[hold.key]
        return gone

    def of(self, rule: str) -> list[Hold]:
        """Return the holds of *rule*."""
        return [hold for hold in self._all.values() if hold.rule == rule]

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

    def reset(self) -> list[Hold]:
        """Let what was cut short, and is still wanted, ask again; return it. A stroke begins anew."""
        cut = [hold for hold in self.latched() if hold.firing]
        for hold in cut:
            hold.latched, hold.began = "", None
        return cut

    def suspend(self, why: str) -> None:
        """Take note that a person took the switch from all of them."""
        for hold in self.engaged():
            hold.suspend(why)

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
