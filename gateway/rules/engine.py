"""Rules over time: readings in, transitions out. Nothing here waits; the caller sleeps until `due`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.clock import Instant
from gateway.reading import Condition, Input, Reading, Transition
from gateway.rules.evaluate import Expression
from gateway.rules.inputs import Inputs, earliest, nanoseconds, seconds
from gateway.rules.rule import Course, Phase, Rule

_AT_ONCE = -1
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(slots=True)
class _State:
    """A rule, its phase, and when it must be looked at again [ns] though no reading comes."""

    rule: Rule
    course: Course
    due: int | None = _AT_ONCE


class Engine:
    """Carries the rules through their phases.

    *stale* gives the age [s] beyond which a device's values are not known; a device that is not in it is
    never known. *now* gives instants. The caller notes every reading, and calls `step` then and at `due`.
    """

    def __init__(self, rules: Iterable[Rule], stale: Mapping[str, float], now: Callable[[], Instant]) -> None:
        self._now = now
        self._inputs = Inputs(stale)
        self._states: list[_State] = []
        self._transitions: list[Transition] = []
        self.reload(rules)

    def note(self, reading: Reading) -> None:
        """Take a reading in; what it changes comes out of the next step.

        What was overdue is settled first, so that a value which had gone stale cannot be healed unseen.
        """
        at = self._now()
        self._settle(at)
        names = self._inputs.note(reading)
        for state in self._states:
            if not names.isdisjoint(state.rule.names):
                self._advance(state, at)

    def step(self) -> list[Transition]:
        """Return every transition since the last step, in the order in which they happened."""
        self._settle(self._now())
        transitions, self._transitions = self._transitions, []
        return transitions

    def due(self) -> float | None:
        """Return the monotonic time [s] at which something may change without a new reading."""
        moment = earliest(state.due for state in self._states)
        return None if moment is None else max(seconds(moment), 0.0)

    def lookup(self, name: str) -> Input:
        """Return what is known of *name* now."""
        return self._inputs.describe(name, nanoseconds(self._now().mono))

    def expression_truth(self, expression: Expression) -> tuple[bool | None, tuple[Input, ...]]:
        """Return the truth of a condition now, and what it looked at: for a guard's permissive."""
        now = nanoseconds(self._now().mono)
        return self._truth(expression, now), self._described(expression.names, now)

    def status(self) -> list[dict[str, Any]]:
        """Return every rule with its phase, the seconds in it, and what blinds it ("" when nothing does)."""
        now = nanoseconds(self._now().mono)
        return [self._status(state, now) for state in self._states]

    def reload(self, rules: Iterable[Rule], stale: Mapping[str, float] | None = None) -> None:
        """Take these rules instead. One that says the same as before goes on as it was; else it starts anew.

        What was firing and is gone or altered ends: the next step says so. Raises ValueError when two rules
        have one id.
        """
        wanted = tuple(rules)
        if len({rule.id for rule in wanted}) < len(wanted):
            raise ValueError("two rules have the same id")
        at = self._now()
        if stale is not None:
            self._inputs.limit(stale)
        before = {state.rule.id: state for state in self._states}
        self._states = [_taken_over(rule, before, nanoseconds(at.mono)) for rule in wanted]
        kept = {state.rule.id for state in self._states if state.course is _course(before, state.rule.id)}
        for name, state in before.items():
            if name not in kept and state.course.phase is Phase.FIRING:
                self._transitions.append(self._transition(state.rule, False, at))

    def _settle(self, at: Instant) -> None:
        """Advance what time alone may have changed."""
        now = nanoseconds(at.mono)
        for state in self._states:
            if state.due is not None and state.due <= now:
                self._advance(state, at)

    def _advance(self, state: _State, at: Instant) -> None:
        rule, course, now = state.rule, state.course, nanoseconds(at.mono)
        left = _seconds_left(rule, at)
        if left <= 0:
            changed, state.due = course.end(now, Phase.EXPIRED), None
        else:
            changed = course.advance(*self._start_and_stop(rule, now), now)
            state.due = self._next(state, now, left)
        if changed is not None:
            self._transitions.append(self._transition(rule, changed, at))

    def _start_and_stop(self, rule: Rule, now: int) -> tuple[bool, bool]:
        """Return whether *rule* is known to be called for, and known to be over."""
        when = self._truth(rule.when, now)
        if rule.clear is None:
            return when is True, when is False
        clear = self._truth(rule.clear, now)
        return when is True and clear is not True, clear is True

    def _next(self, state: _State, now: int, left: float) -> int | None:
        """Return when *state* must be looked at again. A last day needs no better than a second."""
        pending = state.course.phase is Phase.PENDING
        return earliest(
            [
                *(self._inputs.next_change(part, now) for part in state.rule.conditions),
                state.course.since + state.course.wait if pending else None,
                now + nanoseconds(max(1.0, left)),
            ]
        )

    def _truth(self, expression: Expression, now: int) -> bool | None:
        value = expression.evaluate(self._inputs.at(now))
        return None if value is None else bool(value)

    def _described(self, names: Iterable[str], now: int) -> tuple[Input, ...]:
        return tuple(self._inputs.describe(name, now) for name in names)

    def _transition(self, rule: Rule, firing: bool, at: Instant) -> Transition:
        now = nanoseconds(at.mono)
        return Transition(
            at=at,
            rule=rule.id,
            version=rule.version,
            digest=rule.digest,
            mode=rule.mode,
            firing=firing,
            commands=rule.commands,
            inputs=self._described(rule.names, now),
            conditions=tuple(Condition(part.text, self._truth(part, now)) for part in rule.conditions),
        )

    def _status(self, state: _State, now: int) -> dict[str, Any]:
        rule = state.rule
        return {
            "id": rule.id,
            "says": rule.says,
            "owner": rule.owner,
            "version": rule.version,
            "mode": rule.mode,
            "phase": state.course.phase,
            "since": round((now - state.course.since) / 1e9, 3),
            "expires": rule.expires.isoformat(),
            "blind": self._blind(state, now),
        }

    def _blind(self, state: _State, now: int) -> str:
        """Say which names keep the condition that matters now from being known."""
        rule, phase = state.rule, state.course.phase
        part = rule.clear if phase is Phase.FIRING and rule.clear is not None else rule.when
        if phase is Phase.EXPIRED or self._truth(part, now) is not None:
            return ""
        inputs = self._described(part.names, now)
        return "; ".join(f"{i.name} is not known: {i.reason}" for i in inputs if i.value is None)


def _course(before: Mapping[str, _State], name: str) -> Course | None:
    return before[name].course if name in before else None


def _taken_over(rule: Rule, before: Mapping[str, _State], now: int) -> _State:
    """Return the state of *rule*: that of its equal before, with the new digest, or a fresh one."""
    old = before.get(rule.id)
    course = old.course if old is not None and old.rule == rule else Course(nanoseconds(rule.wait), now)
    return _State(rule, course)


def _seconds_left(rule: Rule, at: Instant) -> float:
    """Return the seconds until the rule's last day is over (UTC), by the wall clock as it is."""
    return (rule.expires.toordinal() + 1 - _EPOCH) * 86400.0 - at.time
