"""Rules and guards carried out over the past: what would have moved, and what would have kept it."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from drivers.device import Quantity
from gateway.clock import Instant
from gateway.control.guard import Guard, Limits, Verdict
from gateway.reading import Input, Mode, Reading, SwitchOn, Transition
from gateway.rules import Engine, Rule

REVIEW, AGAIN = 1.0, 10.0
"""Seconds between two looks at the guard of a switch that is on, and of one that it keeps off."""

ROUNDS = 20
"""Most steps within one moment: a rule that switches off what it looks at would have no end."""

LIMITLESS = Limits(False, 1e12)
"""What is assumed of a switch where nobody says what guards it."""

Look = Callable[[str], tuple[Input, ...]]
"""Gives what a rule looks at now: a guard may limit its age."""


@dataclass(slots=True)
class Deed:
    """What became of one command of a firing. Times [s, Unix].

    *refused* are the guards that were against it, *cut* those that took it back.
    """

    command: str
    actuator: str
    asked: float
    on: float | None = None
    off: float | None = None
    refused: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    why: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """Whether it acted at once, late, not at all, or was cut short; or was an announcement."""
        if not self.actuator:
            return "announced"
        if self.on is None:
            return "blocked" if self.refused else "too short"
        return "cut short" if self.cut else "late" if self.refused else "acted"


@dataclass(slots=True)
class Episode:
    """One firing of a rule; *ended* is None while it lasts."""

    rule: str
    began: float
    ended: float | None = None
    deeds: list[Deed] = field(default_factory=list)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What became of each command."""
        return tuple(deed.outcome for deed in self.deeds)


@dataclass(slots=True)
class _Wish:
    """A rule that wants a switch on, from *ready* [monotonic s], as Control has it.

    One without a duration lasts while its rule fires; one with a duration is owed while the rule fires, and
    once begun lasts that long. What a guard cut short gets nothing more until its rule fires anew.
    """

    rule: str
    command: SwitchOn
    deed: Deed
    ready: float
    firing: bool = True
    began: float | None = None
    latched: bool = False

    def until(self, now: float) -> float:
        """Return when it no longer wants the switch on; *now* when it does not."""
        if self.latched:
            return now
        if self.command.during is None or self.began is None:
            return math.inf if self.firing else now
        return max(now, self.began + self.command.during)


class _Output:
    """A switch that is only thought of, behind its real guard."""

    def __init__(self, name: str, limits: Limits, now: float, look: Look) -> None:
        self.name = name
        self._look = look
        self.guard = Guard(limits)
        self.guard.turned_off(now)
        self._wishes: list[_Wish] = []
        self._looked = -math.inf

    @property
    def on(self) -> bool:
        """Whether it would be on."""
        return self.guard.on

    @property
    def wanted(self) -> bool:
        """Whether a rule wants anything of it."""
        return bool(self._wishes)

    def ask(self, wish: _Wish) -> None:
        """Take a wish, in place of the one that the rule had."""
        self._wishes = [each for each in self._wishes if each.rule != wish.rule or each.latched is False]
        self._wishes.append(wish)

    def end(self, rule: str) -> None:
        """Note that *rule* no longer fires."""
        for wish in self._wishes:
            wish.firing = wish.firing and wish.rule != rule

    def due(self) -> float | None:
        """Return when to look again without a new reading, None where nothing is wanted [monotonic s]."""
        if self.guard.on:
            ends = [w.until(self._looked) for w in self._wishes if w.began is not None and not w.latched]
            review = math.inf if self.guard.limits is LIMITLESS else self._looked + REVIEW
            return min(self.guard.deadline, max(ends, default=self._looked), review)
        waiting = [wish.ready for wish in self._wishes if wish.began is None and wish.firing]
        if not waiting:
            return None
        again = self.guard.ready if self.guard.ready > self._looked else math.inf
        return max(min(waiting), min(self._looked + AGAIN, again))

    def settle(self, at: Instant) -> bool:
        """Do what wishes and guard ask for at this moment; return whether the switch moved."""
        if not self._wishes:
            return False
        before, self._looked = self.guard.on, at.mono
        if self.guard.on:
            self._supervise(at)
        if not self.guard.on:
            self._try(at)
        self._wishes = [w for w in self._wishes if w.firing or (w.until(at.mono) > at.mono and w.began)]
        return self.guard.on is not before

    def _supervise(self, at: Instant) -> None:
        verdict = self.guard.must_turn_off(at.mono, self._seen(self._wishes))
        held = [wish for wish in self._wishes if wish.began is not None and wish.deed.off is None]
        if verdict.reasons:
            for wish in held:
                wish.latched = True
                wish.deed.cut |= guards(verdict)
                wish.deed.why = wish.deed.why or verdict.reasons
                wish.deed.off = at.time
            self.guard.turned_off(at.mono)
            return
        for wish in self._asking(at.mono):  # it is on already
            wish.began, wish.deed.on = at.mono, at.time
            held.append(wish)
        for wish in held:
            if wish.until(at.mono) <= at.mono:
                wish.deed.off = at.time
        if all(wish.deed.off is not None for wish in held):
            self.guard.turned_off(at.mono)

    def _try(self, at: Instant) -> None:
        asking = self._asking(at.mono)
        if not asking:
            return
        verdict = self.guard.may_turn_on(at.mono, self._seen(asking))
        if not verdict.reasons:
            self.guard.turned_on(at.mono)
        for wish in asking:
            if verdict.reasons:
                wish.deed.refused |= guards(verdict)
                wish.deed.why = wish.deed.why or verdict.reasons
            else:
                wish.began, wish.deed.on = at.mono, at.time

    def _seen(self, wishes: list[_Wish]) -> tuple[Input, ...]:
        """Return what the rules that ask look at, where its age matters."""
        if self.guard.limits.max_age is None:
            return ()
        return tuple(each for wish in wishes if not wish.latched for each in self._look(wish.rule))

    def _asking(self, now: float) -> list[_Wish]:
        return [w for w in self._wishes if w.began is None and w.firing and not w.latched and w.ready <= now]


def guards(verdict: Verdict) -> set[str]:
    """Return the names of the guards that are against it: `min_off`, or a permissive and how it stood."""
    said = set()
    for kind in verdict.kinds:
        text, _, truth = kind.rpartition(": ")
        said.add({"None": f"{text} (not known)", "False": f"{text} (false)"}.get(truth, kind))
    return said


class Trial:
    """Some rules, run over readings. *limits* gives a switch's limits when the trial has its engine.

    Every rule is tried as if it might act, whatever its mode: an ask counts as approved at once, and one
    with a veto window acts when that is over.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        stale: Mapping[str, float],
        limits: Callable[[str, "Trial"], Limits],
        start: Instant,
    ) -> None:
        self.rules = {rule.id: rule for rule in rules}
        self.at = start
        self.engine = Engine(self.rules.values(), stale, lambda: self.at)
        self.episodes: list[Episode] = []
        self.blind: dict[str, int] = {}
        self._open: dict[str, Episode] = {}
        commands = [c for rule in self.rules.values() for c in rule.commands if isinstance(c, SwitchOn)]
        self._busy: list[_Output] = []
        self._outputs = {
            name: _Output(name, limits(name, self), start.mono, self._look)
            for name in dict.fromkeys(command.actuator for command in commands)
        }
        for output in self._outputs.values():
            for other in output.guard.limits.excludes:
                if other in self._outputs:
                    output.guard.exclude(other, self._outputs[other].guard)
                    self._outputs[other].guard.exclude(output.name, output.guard)

    def take(self, readings: list[Reading]) -> None:
        """Take a measured reading, or what was derived from it, at its time."""
        at = readings[0].at
        self._pass(at.mono)
        self.at = at if at.mono >= self.at.mono else Instant(at.time, self.at.mono, at.boot, at.clock)
        for reading in readings:
            output = self._outputs.get(reading.device)
            self.engine.note(reading if output is None else self._level(output))
        if self._busy or self.engine.stirred:
            self._settle()

    def _pass(self, until: float) -> None:
        """Let time pass up to *until* [monotonic s], stopping wherever something is due."""
        while (due := self._due()) is not None and due < until:
            gone = max(due - self.at.mono, 0.0)
            self.at = Instant(self.at.time + gone, max(due, self.at.mono), self.at.boot, self.at.clock)
            self._settle()
            if gone == 0.0 and self._due() == due:
                return  # it is for the next reading

    def _due(self) -> float | None:
        due = self.engine.due()
        for output in self._busy:
            if (moment := output.due()) is not None and (due is None or moment < due):
                due = moment
        return due

    def _settle(self) -> None:
        for _ in range(ROUNDS):
            for transition in self.engine.step():
                self._begin(transition) if transition.firing else self._end(transition)
            moved = [output for output in self._busy if output.settle(self.at)]
            if not moved:
                break
            for output in moved:  # as the gateway does, the rules see at once that it moved
                self.engine.note(self._level(output))
            self._busy = [output for output in self._outputs.values() if output.wanted]
        for notice in self.engine.notices():
            if not notice.seeing:
                self.blind[notice.rule] = self.blind.get(notice.rule, 0) + 1

    def _look(self, rule: str) -> tuple[Input, ...]:
        return tuple(self.engine.lookup(name) for name in self.rules[rule].names)

    def _level(self, output: _Output) -> Reading:
        return Reading(output.name, self.at, {Quantity.ON: float(output.on)})

    def _begin(self, transition: Transition) -> None:
        episode = Episode(transition.rule, self.at.time)
        self.episodes.append(episode)
        self._open[transition.rule] = episode
        ready = self.at.mono + (transition.veto if transition.mode is Mode.ON else 0.0)
        for command in transition.commands:
            if isinstance(command, SwitchOn):
                deed = Deed(str(command), command.actuator, self.at.time)
                output = self._outputs[command.actuator]
                output.ask(_Wish(transition.rule, command, deed, ready))
                self._busy = [each for each in self._outputs.values() if each.wanted]
            else:
                deed = Deed(str(command), "", self.at.time, self.at.time)
            episode.deeds.append(deed)

    def _end(self, transition: Transition) -> None:
        if (episode := self._open.pop(transition.rule, None)) is not None:
            episode.ended = self.at.time
        for output in self._outputs.values():
            output.end(transition.rule)


def against(episodes: Iterable[Episode]) -> Iterator[tuple[str, str, str]]:
    """Yield each time that a guard was against something: the actuator, the guard, refused or cut short."""
    for deed in (deed for episode in episodes for deed in episode.deeds):
        yield from ((deed.actuator, guard, "refused") for guard in sorted(deed.refused))
        yield from ((deed.actuator, guard, "cut short") for guard in sorted(deed.cut))
