"""What control must not forget over a restart: budgets, who decides, what was asked and who has what by hand.

What a rule asks for is not kept: the rules say that anew. So nothing that is kept can invent a command.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.clock import Instant
from gateway.control import shape
from gateway.control.case import Ask, Case, Stage
from gateway.control.docket import Docket
from gateway.control.guard import HOUR
from gateway.control.hold import Hold
from gateway.control.lease import Lease
from gateway.control.modes import Modes
from gateway.control.output import Output
from gateway.control.shelf import Shelf
from gateway.control.until import Until, slept
from gateway.reading import Mode, SwitchOn, Transition

if TYPE_CHECKING:
    from gateway.control.compactor import Compactor

FORMAT = 1
INTERRUPTED = "the gateway stopped while it was on"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A rule that fired, as it was kept: its mode then, its holds by command, and its ask."""

    stage: Stage
    mode: Mode
    holds: Mapping[str, tuple[str, str, str, str]]
    ask: tuple[str, list[str], Until] | None = None


class Memory:
    """Saves and restores the state of a control's parts."""

    def __init__(
        self, outputs: "Mapping[str, Output | Compactor]", docket: Docket, modes: Modes, shelf: Shelf
    ) -> None:
        self._outputs = outputs
        self._docket = docket
        self._modes = modes
        self._shelf = shelf

    def save(self, at: Instant) -> dict[str, Any]:
        """Return what must not be forgotten, as JSON can hold it."""
        return {
            "format": FORMAT,
            "time": at.time,
            "mono": at.mono,
            "boot": at.boot,
            "clock": at.clock,
            "starts": {name: self._starts(output, at) for name, output in self._outputs.items()},
            "leases": {name: _lease(out.lease) for name, out in self._outputs.items() if out.lease},
            "cases": {case.rule: self._case(case) for case in self._docket.cases},
            "modes": self._modes.save(),
            "shelf": self._shelf.save(),
        }

    def restore(self, saved: object, firing: Iterable[Transition], at: Instant) -> None:
        """Go on from what `save` gave, with the rules that fire now.

        Raises ValueError for what `save` never gave; then every hourly budget counts as used up, and all
        else begins anew.
        """
        rules = {each.rule: each for each in firing}
        try:
            steps = self._steps(saved, rules, at)
        except (ValueError, OverflowError):
            for output in self._outputs.values():
                output.guard.spend(at.mono)
            self._begin(rules.values())
            raise
        for step in steps:
            step()

    def _begin(self, rules: Iterable[Transition]) -> None:
        for transition in rules:
            self._docket.begin(transition)

    def _steps(self, saved: object, rules: Mapping[str, Transition], at: Instant) -> list[Callable[[], None]]:
        """Read all of it before any of it counts; return what makes it count, in this order."""
        parts = shape.table(saved, "time", "mono", "boot", "starts", "leases", "cases", "modes", "shelf")
        if parts.get("format") != FORMAT:
            raise ValueError("what was kept has another format")
        kept = shape.moment(parts)
        steps = [self._modes.restore(parts["modes"], kept), self._shelf.restore(parts["shelf"], kept)]
        for name, ages in shape.table(parts["starts"]).items():
            steps += self._restore_starts(name, shape.numbers(ages), slept(kept, at) or 0.0, at)
        for name, lease in shape.table(parts["leases"]).items():
            steps += self._restore_lease(name, lease, kept, at)
        cases = shape.table(parts["cases"])
        read = {rule: self._read_case(each, kept, at) for rule, each in cases.items()}
        for rule, transition in rules.items():
            steps.append(self._resume(transition, read.get(rule)))
        return steps

    def _starts(self, output: "Output | Compactor", at: Instant) -> list[float]:
        budgeted = output.limits.per_hour is not None
        return [round(age, 1) for age in output.guard.started(at.mono)] if budgeted else []

    def _restore_starts(
        self, name: str, ages: list[float], asleep: float, at: Instant
    ) -> list[Callable[[], None]]:
        if any(not 0 <= age <= HOUR for age in ages):
            raise ValueError("what was kept counts starts of another hour")
        output = self._outputs.get(name)
        rounded = [max(0.0, age + asleep - 0.05) for age in ages]  # they were rounded: never too early
        return [lambda: output.guard.resume(rounded, at.mono)] if output else []

    def _restore_lease(
        self, name: str, saved: object, kept: Instant, at: Instant
    ) -> list[Callable[[], None]]:
        """One that has a switch on is over where no clock knows for how long the gateway was away."""
        parts = shape.table(saved, "who", "reason", "order", "on", "until")
        who, reason, order = (shape.text(parts[key]) for key in ("who", "reason", "order"))
        if not isinstance(parts["on"], bool):
            raise ValueError("what was kept has an override that is neither on nor off")
        end = shape.until(parts["until"], kept, at)
        if parts["on"] and slept(kept, at) is None:
            end = Until(end.time, at.mono)
        output = self._outputs.get(name)
        if output is None:
            return []
        if end.left(at) > output.limits.lease:
            end = Until.after(output.limits.lease, at)
        lease = Lease(who, reason, order, parts["on"], end)
        return [lambda: output.take(lease)]

    def _case(self, case: Case) -> dict[str, Any]:
        holds = [hold for output in self._outputs.values() for hold in output.holds(case.rule)]
        saved: dict[str, Any] = {"stage": str(case.stage), "mode": str(case.standing.mode)}
        if case.ask:
            commands = [str(command) for command in case.ask.commands]
            saved["ask"] = {"id": case.ask.id, "until": shape.pair(case.ask.until), "commands": commands}
        if holds:
            saved["holds"] = {str(hold.command): _hold(hold) for hold in holds}
        return saved

    def _read_case(self, saved: object, kept: Instant, at: Instant) -> _Kept:
        parts = shape.table(saved, "stage", "mode")
        stage, mode = Stage(shape.text(parts["stage"])), Mode(shape.text(parts["mode"]))
        ask = parts.get("ask")
        if (stage is Stage.ASKED) is not (ask is not None):
            raise ValueError("what was kept asks without being asked")
        holds = {name: _read_hold(each) for name, each in shape.table(parts.get("holds", {})).items()}
        if ask is None:
            return _Kept(stage, mode, holds)
        asked = shape.table(ask, "id", "until", "commands")
        if not isinstance(asked["commands"], list):
            raise ValueError("what was kept asks for nothing")
        commands = [shape.text(each) for each in asked["commands"]]
        until = shape.until(asked["until"], kept, at)
        return _Kept(stage, mode, holds, (shape.text(asked["id"]), commands, until))

    def _resume(self, transition: Transition, kept: _Kept | None) -> Callable[[], None]:
        """Return what takes a rule that fires to where it was; one that nothing is known of begins."""
        if kept is None:
            return lambda: self._docket.begin(transition)

        def resume() -> None:
            ask = None
            if kept.ask is not None:
                name, told, until = kept.ask
                ask = Ask(name, tuple(c for c in transition.commands if str(c) in told), until)
            self._docket.resume(transition, kept.stage, ask, kept.mode)
            free = self._modes.of(transition.rule).mode is Mode.OFF  # what it was restrained to is over
            decided = replace(transition, mode=Mode.OFF if free else kept.mode)
            for command in transition.commands:
                if isinstance(command, SwitchOn) and str(command) in kept.holds:
                    self._hold(decided, command, kept.holds[str(command)])

        return resume

    def _hold(self, decided: Transition, command: SwitchOn, kept: tuple[str, str, str, str]) -> None:
        """Give a rule back what it held. Of a stroke that was interrupted it gets nothing more."""
        output = self._outputs.get(command.actuator)
        if output is None:
            return
        state, who, order, why = kept
        hold = Hold(decided, command, who, order)
        hold.latched = why if state == "cut" else INTERRUPTED if state == "stroke" else ""
        output.add(hold)


def _lease(lease: Lease) -> dict[str, Any]:
    return {
        "who": lease.who,
        "reason": lease.reason,
        "order": lease.order,
        "on": lease.on,
        "until": shape.pair(lease.until),
    }


def _hold(hold: Hold) -> list[str]:
    if hold.latched:
        state = "cut"
    elif hold.began is None:
        state = "owed"
    else:
        state = "held" if hold.command.during is None else "stroke"
    return [state, hold.who, hold.order, hold.latched[: shape.LONGEST]]


def _read_hold(saved: object) -> tuple[str, str, str, str]:
    if not isinstance(saved, list) or len(saved) != 4:
        raise ValueError("what was kept is not a hold")
    state, who, order, why = (shape.text(each) for each in saved)
    if state not in ("cut", "owed", "held", "stroke") or (state == "cut") is not bool(why):
        raise ValueError("what was kept is not a hold")
    return state, who, order, why
