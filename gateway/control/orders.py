"""What a person may order, whether it can be, and how it is carried out. Nothing waits here."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.clock import Instant
from gateway.control import modes, shelf
from gateway.control.case import Case
from gateway.control.decisions import By
from gateway.control.docket import Docket
from gateway.control.lease import Lease
from gateway.control.modes import ABOVE_IN, Modes, Ordered
from gateway.control.output import Output
from gateway.control.shelf import Shelf, Shelved
from gateway.control.until import Until, clock_time
from gateway.reading import Mode, Order, OrderKind, Outcome, Transition

if TYPE_CHECKING:
    from gateway.control.compactor import Compactor


class Machine(Protocol):
    """Something that takes orders of its own (compact, reset), such as a compactor."""

    def objection(self, order: Order) -> str:
        """Return why *order* cannot be carried out now, or ""."""
        ...

    def obey(self, order: Order) -> str:
        """Begin to carry it out; return what was done, as a sentence."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What the decision about an order is booked to."""

    source: Transition | None
    command: str
    actuator: str
    outcome: Outcome


class Orders:
    """Judges and carries out what people order. Raises nothing for what is merely impossible."""

    def __init__(
        self,
        outputs: "Mapping[str, Output | Compactor]",
        docket: Docket,
        modes: Modes,
        shelf: Shelf,
        machines: Mapping[str, Machine],
        now: Callable[[], Instant],
    ) -> None:
        self._outputs = outputs
        self._docket = docket
        self._modes = modes
        self._shelf = shelf
        self._machines = machines
        self._now = now

    def objection(self, order: Order) -> str:
        """Return why *order* cannot be carried out, or ""."""
        if order.kind not in (OrderKind.OVERRIDE, OrderKind.MODE) and order.value is not None:
            return f"an order to {order.kind} takes no value"
        if order.kind not in (OrderKind.OVERRIDE, OrderKind.MODE, OrderKind.SHELVE):
            if order.until is not None:
                return f"an order to {order.kind} has no end"
        elif order.until is not None and not self._now().time < order.until < math.inf:
            return "its end (until) is not in the future"
        match order.kind:
            case OrderKind.APPROVE | OrderKind.VETO:
                found = self._docket.find(order.target)
                return "" if found else f"nothing waits for an answer under the id {order.target}"
            case OrderKind.OVERRIDE | OrderKind.RELEASE:
                return self._about_switch(order)
            case OrderKind.RESET | OrderKind.COMPACT:
                return self._about_machine(order)
            case _:
                return self._about_rule(order)

    def subject(self, order: Order) -> Subject:
        """Return what a decision about *order* is booked to, whether it is carried out or not."""
        match order.kind:
            case OrderKind.APPROVE | OrderKind.VETO:
                case = self._docket.find(order.target)
                outcome = Outcome.APPROVED if order.kind is OrderKind.APPROVE else Outcome.VETOED
                return _subject_of(case, order, outcome)
            case OrderKind.OVERRIDE:
                command = f"override {order.target} {order.value}"
                return Subject(None, command, order.target, Outcome.OVERRIDDEN)
            case OrderKind.RELEASE:
                return Subject(None, f"release {order.target}", order.target, Outcome.OVERRIDDEN)
            case OrderKind.MODE:
                command = f"mode {order.value} for {order.target}"
                return Subject(self._source(order.target), command, "", Outcome.COMMANDED)
            case OrderKind.SHELVE | OrderKind.UNSHELVE:
                command = f"{order.kind} {order.target}"
                return Subject(self._source(order.target), command, "", Outcome.COMMANDED)
            case _:
                return Subject(None, f"{order.kind} {order.target}", order.target, Outcome.COMMANDED)

    def cautious(self, order: Order) -> bool:
        """Return whether *order* can only take things towards their safe state: no disk may hinder it."""
        match order.kind:
            case OrderKind.VETO:
                return True
            case OrderKind.OVERRIDE:
                return order.value == "off"
            case OrderKind.MODE:
                return order.value in (Mode.SHADOW, Mode.IN)
        return False

    def obey(self, order: Order) -> str:
        """Carry *order* out, of which `objection` had nothing to say; return what was done."""
        match order.kind:
            case OrderKind.APPROVE | OrderKind.VETO:
                return self._answer(order)
            case OrderKind.OVERRIDE:
                return self._override(order)
            case OrderKind.RELEASE:
                self._outputs[order.target].give_back()
                return f"{order.target} is back under control of its rules"
            case OrderKind.MODE:
                return self._give_mode(order)
            case OrderKind.SHELVE:
                return self._put_on_shelf(order)
            case OrderKind.UNSHELVE:
                self._shelf.take(order.target)
                return f"the announcements of {order.target} are heard again"
        if order.target in self._machines:
            return self._machines[order.target].obey(order)
        self._outputs[order.target].reset()
        return f"what was cut short at {order.target} may ask again"

    def _about_switch(self, order: Order) -> str:
        output = self._outputs.get(order.target)
        if output is None:
            return f"there is no switch called {order.target} that can be taken by hand"
        if order.kind is OrderKind.RELEASE:
            return "" if output.lease else f"nobody has {order.target} by hand"
        return "" if order.value in ("on", "off") else 'its value must be "on" or "off"'

    def _about_machine(self, order: Order) -> str:
        if (machine := self._machines.get(order.target)) is not None:
            return machine.objection(order)
        output = self._outputs.get(order.target)
        if output is None or order.kind is OrderKind.COMPACT:
            return f"there is no {order.target} that takes an order to {order.kind}"
        return "" if output.latched else f"nothing is latched at {order.target}"

    def _about_rule(self, order: Order) -> str:
        if order.target not in self._modes:
            return f"there is no rule called {order.target}"
        if order.kind is OrderKind.MODE:
            return self._about_mode(order)
        shelved = self._shelf.get(order.target)
        if order.kind is OrderKind.UNSHELVE:
            return "" if shelved else f"{order.target} is not shelved"
        return self._too_long(order, shelf.LONGEST) if order.until else "it needs an end (until)"

    def _about_mode(self, order: Order) -> str:
        if order.value not in list(Mode):
            return f"its value must be a mode: {', '.join(Mode)}"
        if order.until is None:
            return f"mode {order.value} needs an end (until)" if order.value in ABOVE_IN else ""
        return self._too_long(order, modes.LONGEST)

    def _too_long(self, order: Order, longest: float) -> str:
        latest = self._now().time + longest
        return f"its end may be {clock_time(latest)} at the latest" if (order.until or 0.0) > latest else ""

    def _answer(self, order: Order) -> str:
        case = self._docket.find(order.target)
        assert case is not None  # it had no objection
        said = case.commands
        if order.kind is OrderKind.APPROVE:
            self._docket.approve(case, By(order.issuer, order.id))
            return f"{said}: approved; the guard has the last word"
        self._docket.close(case)
        return f"{said}: vetoed, until rule {case.rule} fires anew"

    def _override(self, order: Order) -> str:
        output, at = self._outputs[order.target], self._now()
        longest = Until.after(output.limits.lease, at)
        until = longest if order.until is None else min(Until.at(order.until, at), longest, key=_time)
        on = order.value == "on"
        output.take(Lease(order.issuer, order.reason, order.id, on, until))
        end = f"until {until}" + (", the longest that is allowed" if until is longest else "")
        return f"{order.target} is by hand {order.value} {end}; the guard has the last word"

    def _give_mode(self, order: Order) -> str:
        until = None if order.until is None else Until.at(order.until, self._now())
        rule = self._modes.rule(order.target)
        mode = Mode(str(order.value))
        given = Ordered(mode, order.issuer, order.reason, order.id, until, rule.fingerprint)
        self._modes.order(order.target, given)
        standing = self._modes.of(order.target)
        end = f" until {until}" if until else ""
        fallen = f", and {standing.mode} for now: {standing.why}" if standing.why else ""
        return f"rule {order.target} is in mode {mode}{end}{fallen}"

    def _put_on_shelf(self, order: Order) -> str:
        assert order.until is not None  # it had no objection
        until = Until.at(order.until, self._now())
        self._shelf.put(order.target, Shelved(order.issuer, order.reason, order.id, until))
        return f"the announcements of {order.target} are shelved until {until}"

    def _source(self, rule: str) -> Transition | None:
        """Return a transition that names *rule*, for the decision about it."""
        if rule not in self._modes:
            return None
        known = self._modes.rule(rule)
        mode = self._modes.of(rule).mode
        return Transition(self._now(), rule, known.version, known.digest, mode, False, (), (), ())


def _subject_of(case: Case | None, order: Order, outcome: Outcome) -> Subject:
    if case is None:
        return Subject(None, f"{order.kind} {order.target}", "", outcome)
    return Subject(case.decided, f"{order.kind} {case.commands}", "", outcome)


def _time(until: Until) -> float:
    return until.time
