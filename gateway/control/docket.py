"""Every rule that fires, from its mode to its end: shadowed, asked, acting, over."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from gateway.clock import Instant
from gateway.control.case import Ask, Case, Stage, words
from gateway.control.decisions import ITSELF, By, Scribe, announcement
from gateway.control.guard import Verdict
from gateway.control.hold import Hold
from gateway.control.modes import Modes
from gateway.control.output import Output
from gateway.control.shelf import Shelf
from gateway.control.until import Until
from gateway.reading import Announce, Command, Mode, Outcome, SwitchOn, Transition

if TYPE_CHECKING:
    from gateway.control.compactor import Compactor


class Docket:
    """Takes the rules' transitions, and hands the switches what may be asked of them. Nothing waits here."""

    def __init__(
        self,
        outputs: "Mapping[str, Output | Compactor]",
        scribe: Scribe,
        modes: Modes,
        shelf: Shelf,
        place: Mapping[str, Any],
    ) -> None:
        self._outputs = outputs
        self._scribe = scribe
        self._modes = modes
        self._shelf = shelf
        self._place = place
        self._cases: dict[str, Case] = {}

    @property
    def cases(self) -> Collection[Case]:
        """Every rule that fires."""
        return self._cases.values()

    def find(self, ask: str) -> Case | None:
        """Return the case that asks under the id *ask*."""
        return next((case for case in self._cases.values() if case.ask and case.ask.id == ask), None)

    def begin(self, transition: Transition) -> None:
        """Take a rule that fires, by the mode that it has now."""
        if transition.rule in self._cases:
            self.end(transition)
        case = Case(transition, self._modes.of(transition.rule), Stage.OVER)
        self._cases[transition.rule] = case
        self._open(case)

    def end(self, transition: Transition) -> None:
        """Take the end of a rule."""
        for output in self._outputs.values():
            output.end(transition.rule)
        case = self._cases.pop(transition.rule, None)
        if case is not None and case.stage is Stage.ASKED:
            self._note(case, Outcome.LAPSED, f"rule {case.rule} ended before anybody answered")
        elif case is not None and case.stage is Stage.SHADOWED:
            self._shadow(case, on=False)

    def review(self, at: Instant) -> bool:
        """Let time and modes do what they do; return whether anything has changed."""
        turned = [self._turn(case) or self._ripen(case, at) for case in [*self._cases.values()]]
        return any(turned)

    def approve(self, case: Case, by: By) -> None:
        """Do what was asked for, by a person's yes."""
        self._act(case, by)

    def close(self, case: Case) -> None:
        """Do nothing of it until the rule fires anew."""
        case.stage, case.ask = Stage.OVER, None

    def licence(self, hold: Hold) -> str:
        """Return why *hold* may not act by itself now, or ""."""
        if hold.transition is None or hold.who:
            return ""
        standing = self._modes.of(hold.rule)
        if standing.mode is Mode.OFF or (standing.granted is Mode.ON and hold.transition.mode is Mode.ON):
            return ""
        return f"rule {hold.rule} may not act by itself: {standing.why or f'its mode is {standing.mode}'}"

    def resume(self, transition: Transition, stage: Stage, ask: Ask | None, asker: Mode) -> None:
        """Go on with a rule that fired before a restart, as it stood then. A veto window begins anew."""
        case = Case(transition, self._modes.of(transition.rule), stage, ask)
        self._cases[transition.rule] = case
        if stage is not Stage.ASKED:
            return
        if case.standing.mode is Mode.IN and asker is Mode.IN and ask is not None:
            return  # it stands as long as it would have
        self._open(case)

    def _open(self, case: Case) -> None:
        """Do what its mode says with a case that is undecided."""
        match case.standing.mode:
            case Mode.SHADOW:
                case.stage, case.ask = Stage.SHADOWED, None
                self._shadow(case, on=True)
            case Mode.OFF:
                self._act(case, ITSELF)
            case _:
                self._ask(case, case.ask.commands if case.ask else case.transition.commands)

    def _turn(self, case: Case) -> bool:
        """Follow a mode that has changed while the rule fires. An ask that was one stays one by itself."""
        standing, before = self._modes.of(case.rule), case.standing
        fell = before.mode is Mode.ON and standing.mode is Mode.IN
        if standing.granted is before.granted and not fell:
            return False
        case.standing = standing
        if case.stage is Stage.ACTING:
            return self._restrain(case)
        if case.stage is Stage.SHADOWED or (case.stage is Stage.ASKED and standing.mode is Mode.SHADOW):
            self._withdraw(case)
            self._open(case)
        elif case.stage is Stage.ASKED:
            self._open(case)
        return True

    def _restrain(self, case: Case) -> bool:
        """Keep a rule that acts to a mode that has changed. What it has begun goes on, but not in shadow."""
        if case.standing.mode is Mode.SHADOW:
            for output in self._outputs.values():
                output.end(case.rule)
            self._open(case)
        elif case.standing.mode is not Mode.OFF:
            left = [c for output in self._outputs.values() for c in output.withdraw(case.rule)]
            if left:
                self._ask(case, tuple(left))
        return True

    def _withdraw(self, case: Case) -> None:
        if case.stage is Stage.ASKED:
            self._note(case, Outcome.LAPSED, f"its mode is {case.standing.mode} now")

    def _ripen(self, case: Case, at: Instant) -> bool:
        """Act on, or let lapse, an ask whose time is over."""
        if case.ask is None or case.ask.until.left(at) > 0:
            return False
        if case.acts_by_itself:
            self._act(case, ITSELF)
        else:
            self._note(case, Outcome.LAPSED, "nobody answered in time, and silence means no")
            self.close(case)
        return True

    def _ask(self, case: Case, commands: tuple[Command, ...]) -> None:
        """Say what it would do, and wait for a person: a yes in mode `in`, no no in mode `on`."""
        rule, standing = case.transition, case.standing
        window = rule.veto if case.acts_by_itself else rule.ask
        until = Until.after(window, self._scribe.now())
        said = "it acts then unless somebody vetoes it" if case.acts_by_itself else "it needs an approval"
        reasons = [f"rule {rule.rule} fires", *([standing.why] if standing.why else [])]
        told = words(commands)
        decision = self._scribe.note(
            case.decided, told, _actuator(commands), Outcome.ASKED, *reasons, f"until {until}: {said}"
        )
        case.ask = Ask(case.ask.id if case.ask else decision.id, commands, until)
        case.stage = Stage.ASKED

    def _act(self, case: Case, by: By) -> None:
        """Announce what it announces, and ask the switches for the rest."""
        commands = case.ask.commands if case.ask else case.transition.commands
        case.stage, case.ask = Stage.ACTING, None
        for command in commands:
            if isinstance(command, Announce):
                self._announce(case, command, by)
            elif command.actuator in self._outputs:
                self._outputs[command.actuator].ask(case.decided, command, by.who, by.order)
            else:
                reason = f"there is no switch called {command.actuator}"
                name = command.actuator
                self._scribe.note(case.decided, str(command), name, Outcome.REFUSED, reason, by=by)

    def _announce(self, case: Case, command: Announce, by: By) -> None:
        """Record the decision, and after it the event; unless a person has shelved it."""
        reason = f"rule {case.rule} fires"
        if shelved := self._shelf.get(case.rule):
            self._scribe.note(case.decided, str(command), "", Outcome.REFUSED, reason, str(shelved))
            return
        decision = self._scribe.note(case.decided, str(command), "", Outcome.ACTED, reason, by=by)
        event = announcement(command, case.transition.inputs, self._place, decision.at)
        self._scribe.recorder.later(event)

    def _shadow(self, case: Case, on: bool) -> None:
        """Record what would have been done, and what the guard would have said."""
        reason = f"rule {case.rule} " + ("fires" if on else "ended")
        for command in case.transition.commands:
            if isinstance(command, SwitchOn):
                self._shadow_switch(case, command, on, reason)
            elif on:
                self._scribe.note(case.decided, str(command), "", Outcome.SHADOWED, reason)

    def _shadow_switch(self, case: Case, command: SwitchOn, on: bool, reason: str) -> None:
        name = command.actuator
        if on:
            output = self._outputs.get(name)
            seen = output.judge() if output else Verdict((f"there is no switch {name}",))
            reasons = (reason, *(f"the guard would have refused: {against}" for against in seen.reasons))
            self._scribe.note(case.decided, str(command), name, Outcome.SHADOWED, *reasons, seen=seen)
        elif command.during is None:
            self._scribe.note(case.decided, f"{name} off", name, Outcome.SHADOWED, reason)

    def _note(self, case: Case, outcome: Outcome, *reasons: str) -> None:
        commands = case.ask.commands if case.ask else case.transition.commands
        self._scribe.note(case.decided, words(commands), _actuator(commands), outcome, *reasons)


def _actuator(commands: tuple[Command, ...]) -> str:
    """Return the switch that commands are about, "" for none or several."""
    named = [command.actuator for command in commands if isinstance(command, SwitchOn)]
    return named[0] if len(named) == 1 else ""
