"""Who decides on each rule now: its file, or a person's order; for as long as either was granted."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.clock import Instant, Quality
from gateway.control import shape
from gateway.control.until import Until, clock_time
from gateway.reading import Grant, Mode

DAY = 86400.0
LONGEST = 366 * DAY  # [s] that a mode may be granted for; a file's last day counts whole
ABOVE_IN = (Mode.ON, Mode.OFF)
"""The modes in which the gateway acts by itself, so that somebody must have granted it."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule, as far as who decides goes. Two of one *fingerprint* say the same."""

    id: str
    version: int
    digest: str
    mode: Mode
    grant: Grant | None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Ordered:
    """A mode that a person gave a rule, until an end or (None) until another order."""

    mode: Mode
    by: str
    reason: str
    order: str
    until: Until | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The *mode* that holds now, the one that is *granted*, and why they are not what was asked for.

    *until* [s, Unix] is the end of what *by* granted.
    """

    mode: Mode
    granted: Mode
    why: str = ""
    by: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Fall:
    """A rule whose mode is not what it was, by nobody's order: *before*, now, and why."""

    rule: Ruled
    before: Mode
    now: Mode
    why: str


class Modes:
    """Every rule's mode. *reachable* says whether a person could send a veto now."""

    def __init__(self, now: Callable[[], Instant], reachable: Callable[[], bool]) -> None:
        self._now = now
        self._reachable = reachable
        self._rules: dict[str, Ruled] = {}
        self._orders: dict[str, Ordered] = {}
        self._told: dict[str, Mode] = {}

    def know(self, rules: Iterable[Ruled]) -> None:
        """Take these for all the rules that there are."""
        self._rules = {rule.id: rule for rule in rules}

    def learn(self, rule: Ruled) -> None:
        """Take note of one rule that may not be known yet."""
        known = self._rules.get(rule.id)
        if known is None or (known.mode, known.grant) != (rule.mode, rule.grant):
            self._rules[rule.id] = replace(rule, fingerprint=known.fingerprint if known else "")

    def __contains__(self, rule: str) -> bool:
        return rule in self._rules

    @property
    def names(self) -> list[str]:
        """Every rule's id."""
        return list(self._rules)

    def rule(self, name: str) -> Ruled:
        """Return the rule *name*. Raises KeyError."""
        return self._rules[name]

    def order(self, rule: str, given: Ordered) -> None:
        """Give *rule* a mode by a person's order."""
        self._orders[rule] = given
        self._told[rule] = self.of(rule).granted

    def of(self, name: str) -> Standing:
        """Return who decides on the rule *name* now; on one that nobody knows, a person does."""
        rule, given = self._rules.get(name), self._given(name)
        if given is not None:
            return self._reached(given.mode, given.by, given.until.time if given.until else None)
        if rule is None:
            return Standing(Mode.IN, Mode.IN, "there is no such rule")
        if rule.mode not in ABOVE_IN:
            return Standing(rule.mode, rule.mode)
        if rule.grant is None:
            return Standing(Mode.IN, Mode.IN, f"nobody has granted it mode {rule.mode}")
        at = self._now()
        if at.clock is Quality.SYNCHRONIZED and rule.grant.until - at.time > LONGEST + DAY:
            return Standing(Mode.IN, Mode.IN, f"the grant for mode {rule.mode} is longer than any may be")
        if rule.grant.until <= at.time:
            end = f"the grant of {rule.grant.by} for mode {rule.mode} ended {clock_time(rule.grant.until)}"
            return Standing(Mode.IN, Mode.IN, end)
        return self._reached(rule.mode, rule.grant.by, rule.grant.until)

    def review(self) -> list[Fall]:
        """Return what has fallen since the last review, by itself."""
        falls = [*self._outlived()]
        for name, rule in self._rules.items():
            told = self._told.get(name)
            if told is rule.mode not in ABOVE_IN and name not in self._orders:
                continue  # nothing of it was given for a time: most rules, at every reading that moves one
            standing = self.of(name)
            if told in ABOVE_IN and standing.granted is Mode.IN and standing.why:
                falls.append(Fall(rule, told, standing.granted, standing.why))
            self._told[name] = standing.granted
        return falls

    def save(self) -> dict[str, Any]:
        """Return what must outlive a restart."""
        return {
            "told": {name: str(mode) for name, mode in self._told.items() if self._kept(name)},
            "orders": {
                name: {
                    "mode": str(each.mode), "by": each.by, "reason": each.reason, "order": each.order,
                    "until": each.until and shape.pair(each.until), "fingerprint": each.fingerprint,
                }
                for name, each in self._orders.items()
            },
        }  # fmt: skip

    def restore(self, saved: object, kept: Instant) -> Callable[[], None]:
        """Return what takes over what `save` gave at *kept*. Raises ValueError, before anything changes."""
        at = self._now()
        parts = shape.table(saved, "told", "orders")
        told = {name: Mode(shape.text(mode)) for name, mode in shape.table(parts["told"]).items()}
        orders = {name: _ordered(each, kept, at) for name, each in shape.table(parts["orders"]).items()}

        def take() -> None:
            self._told.update(told)
            self._orders.update(orders)

        return take

    def ordered(self, name: str) -> Ordered | None:
        """Return the mode that a person gave the rule *name*, if that is in force."""
        return self._given(name)

    def _kept(self, name: str) -> bool:
        return name in self._rules and self._told[name] in ABOVE_IN

    def _given(self, name: str) -> Ordered | None:
        given, rule = self._orders.get(name), self._rules.get(name)
        if given is None or (given.until is not None and given.until.left(self._now()) <= 0):
            return None
        changed = rule is not None and given.fingerprint != rule.fingerprint
        return None if changed and given.mode in ABOVE_IN else given

    def _outlived(self) -> Iterable[Fall]:
        """Forget every order that is over, or was for a rule that has changed since."""
        for name in [name for name in self._orders if self._given(name) is None]:
            given = self._orders.pop(name)
            rule = self._rules.get(name)
            if rule is None:
                continue
            over = given.until is not None and given.until.left(self._now()) <= 0
            why = "its time is over" if over else "the rule has changed since"
            now = self._told[name] = self.of(name).granted
            yield Fall(rule, given.mode, now, f"{given.by} gave it mode {given.mode}, and {why}")

    def _reached(self, mode: Mode, by: str, until: float | None) -> Standing:
        if mode is Mode.ON and not self._reachable():
            why = "nobody could send a veto: broker and page are both out of reach"
            return Standing(Mode.IN, mode, why, by, until)
        return Standing(mode, mode, "", by, until)


def _ordered(saved: Mapping[str, Any], kept: Instant, at: Instant) -> Ordered:
    parts = shape.table(saved, "mode", "by", "reason", "order", "until", "fingerprint")
    mode = Mode(shape.text(parts["mode"]))
    end = None if parts["until"] is None else shape.until(parts["until"], kept, at)
    if mode in ABOVE_IN and (end is None or end.left(at) > LONGEST):
        raise ValueError(f"what was kept grants mode {mode} for too long")
    by, reason, order = (shape.text(parts[key]) for key in ("by", "reason", "order"))
    return Ordered(mode, by, reason, order, end, shape.text(parts["fingerprint"]))
