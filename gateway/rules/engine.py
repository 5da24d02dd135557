"""Rules over time: readings in, transitions out. Nothing here waits; the caller sleeps until `due`."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from gateway.clock import Instant
from gateway.reading import Condition, Input, Reading, Transition
from gateway.rules.agenda import AT_ONCE, Agenda
from gateway.rules.course import Phase
from gateway.rules.evaluate import Expression, Lookup
from gateway.rules.inputs import MOST, NANOSECONDS, Inputs, nanoseconds, seconds
from gateway.rules.memory import recalled, saved
from gateway.rules.notice import ENDED, GONE, KNOWN, Notice
from gateway.rules.rule import Rule
from gateway.rules.state import State, granted, memory, recall, take_over


class Engine:
    """Carries the rules through their phases.

    *stale* gives the age [s] beyond which a device's values are not known; a device that is not in it is
    never known. *now* gives instants. The caller notes every reading, and calls `step` then and at `due`.
    """

    def __init__(self, rules: Iterable[Rule], stale: Mapping[str, float], now: Callable[[], Instant]) -> None:
        self._now = now
        self._inputs = Inputs(stale)
        self._states: list[State] = []
        self._transitions: list[Transition] = []
        self._notices: list[Notice] = []
        self._revision = 0
        self.reload(rules)

    def note(self, reading: Reading) -> None:
        """Take a reading in; what it changes comes out of the next step.

        What was overdue is settled first, so that a value which had gone stale cannot be healed unseen.
        """
        at = self._now()
        now = nanoseconds(at.mono)
        self._settle(at, now)
        names = self._inputs.note(reading)
        concerned = self._concerned.get(names)
        self._advance(self._look_up(names) if concerned is None else concerned, at, now)

    def step(self) -> list[Transition]:
        """Return every transition since the last step, in the order in which they happened."""
        at = self._now()
        self._settle(at, nanoseconds(at.mono))
        transitions, self._transitions = self._transitions, []
        return transitions

    @property
    def stirred(self) -> bool:
        """Whether something has happened that `step` or `notices` is to tell."""
        return bool(self._transitions or self._notices)

    def notices(self) -> list[Notice]:
        """Return every rule that went blind since the last call, or sees again, in that order."""
        notices, self._notices = self._notices, []
        return notices

    def due(self) -> float | None:
        """Return the monotonic time [s] at which something may change without a new reading."""
        moment = self._agenda.next()
        return None if moment is None else max(seconds(moment), 0.0)

    def firing(self) -> list[Transition]:
        """Return every rule that fires, as if it began to: for a control that begins after the rules do."""
        at = self._now()
        return [self._transition(s.rule, True, at) for s in self._states if s.course.phase is Phase.FIRING]

    @property
    def revision(self) -> int:
        """A number that grows whenever `save` has something new to say."""
        return self._revision

    def save(self) -> dict[str, Any]:
        """Return what must not be forgotten over a restart, for JSON: phases, their times, blindness told."""
        return saved(self._now(), {s.rule.id: memory(s) for s in self._states if s.memorable})

    def restore(self, shape: object) -> None:
        """Go on from what `save` gave; to be called before the first reading.

        A rule that says the same as then goes on in its phase: one that fires does so until its end is
        known, one that waits goes on waiting while the devices have not spoken yet, for as long as their
        values would have counted. An altered rule begins anew. Raises ValueError, and changes nothing, for
        what `save` never gave.
        """
        at = self._now()
        now, known = nanoseconds(at.mono), recalled(shape, at)
        for index, state in enumerate(self._states):
            if (before := known.pop(state.rule.id, None)) is not None:
                recall(state, before, now)
                self._agenda.put(index, AT_ONCE)
        self._notices += [Notice(at, name, "", True, GONE, "") for name, each in known.items() if each.told]
        self._revision += 1

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
        return [state.status(now, self._blind(state, now)) for state in self._states]

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
        self._states = [take_over(rule, before.get(rule.id), nanoseconds(at.mono)) for rule in wanted]
        self._plan()
        self._part_with(before, at)
        self._revision += 1

    def _plan(self) -> None:
        """Look at every rule at once, and from then on when time or one of its readings asks for it."""
        self._agenda = Agenda(len(self._states))
        self._routes: dict[str, list[int]] = {}
        self._concerned: dict[tuple[str, ...], tuple[int, ...]] = {}
        for index, state in enumerate(self._states):
            for name in state.names:
                self._routes.setdefault(name, []).append(index)

    def _part_with(self, before: Mapping[str, State], at: Instant) -> None:
        """End what fired and does not go on, and the alarms of what is gone."""
        after = {state.rule.id: state for state in self._states}
        for name, old in before.items():
            new = after.get(name)
            if old.course.phase is Phase.FIRING and (new is None or new.course is not old.course):
                self._transitions.append(self._transition(old.rule, False, at))
            if new is None and old.sight.told:
                self._notices.append(Notice(at, name, old.rule.owner, True, GONE, ""))

    def _look_up(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Return the rules that look at any of *names*, and keep that ready."""
        if len(self._concerned) >= MOST:
            self._concerned.clear()
        found = {index for name in names for index in self._routes.get(name, ())}
        return self._concerned.setdefault(names, tuple(sorted(found)))

    def _settle(self, at: Instant, now: int) -> None:
        """Advance what time alone may have changed up to *at*, *now* in ns."""
        if (moment := self._agenda.next()) is not None and moment <= now:
            self._advance(self._agenda.overdue(now), at, now)

    def _advance(self, indices: Collection[int], at: Instant, now: int) -> None:
        """Take these rules on to *at*."""
        if not indices:
            return
        lookup = self._inputs.at(now)
        for index in indices:
            state = self._states[index]
            phase, left = state.course.phase, state.over - at.time  # by the wall clock as it is
            if left > 0:
                changed, knows = self._carry_on(state, lookup, now)
            else:
                changed, knows = state.course.end(now, Phase.EXPIRED), True
            if changed is not None:
                self._transitions.append(self._transition(state.rule, changed, at))
            if state.course.phase is not phase:
                self._revision += 1
            if not (knows and state.sight.clear):
                self._look(state, knows, at)
            self._agenda.put(index, self._next(state, now, left) if left > 0 else None)

    def _carry_on(self, state: State, lookup: Lookup, now: int) -> tuple[bool | None, bool]:
        """Advance the course; return what begins or ends, and whether the condition that matters is known."""
        rule, course = state.rule, state.course
        when, clear = rule.when.evaluate(lookup), None
        start, stop = when is True, when is False
        if rule.clear is not None:
            clear = rule.clear.evaluate(lookup)
            start, stop = start and clear is not True, clear is True
        patient = when is None and clear is not True and self._patient(state, now)
        changed = course.advance(start, stop, now, patient)
        ending = rule.clear is not None and course.phase is Phase.FIRING
        return changed, (clear if ending else when) is not None

    def _patient(self, state: State, now: int) -> bool:
        """Whether something that a rule lacks since a restart may still come in time."""
        if (since := state.restored) is None:
            return False
        lookup = self._inputs.at(now)
        lacking = [name for name in state.rule.when.names if lookup(name) is None]
        return any(self._inputs.awaited(name, since, now) is not None for name in lacking)

    def _next(self, state: State, now: int, left: float) -> int:
        """Return when *state* must be looked at again. A last day needs no better than a second."""
        moment = now + max(NANOSECONDS, int(left * NANOSECONDS))
        changes = self._inputs.next_change(state.names, state.crossings, now)
        for other in (changes, state.course.due(now), state.sight.due):
            if other is not None and other < moment:
                moment = other
        if state.restored is None or state.course.phase is not Phase.PENDING:
            return moment
        awaited = (self._inputs.awaited(name, state.restored, now) for name in state.rule.when.names)
        return min((moment, *(until for until in awaited if until is not None)))

    def _look(self, state: State, knows: bool, at: Instant) -> None:
        """Note where blindness has lasted long enough to be told, or is over."""
        changed = state.sight.look(knows, nanoseconds(at.mono))
        if changed is None:
            return
        if changed:
            reason = ENDED if state.course.phase is Phase.EXPIRED else KNOWN
        else:
            reason = self._blind(state, nanoseconds(at.mono))
        self._notices.append(Notice(at, state.rule.id, state.rule.owner, changed, reason, state.course.phase))
        self._revision += 1

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
            grant=granted(rule, at),
            ask=rule.ask,
            veto=rule.veto,
        )

    def _blind(self, state: State, now: int) -> str:
        """Say which names keep the condition that matters now from being known."""
        rule, phase = state.rule, state.course.phase
        part = rule.clear if phase is Phase.FIRING and rule.clear is not None else rule.when
        if phase is Phase.EXPIRED or self._truth(part, now) is not None:
            return ""
        inputs = self._described(part.names, now)
        return "; ".join(f"{i.name} is not known: {i.reason}" for i in inputs if i.value is None)
