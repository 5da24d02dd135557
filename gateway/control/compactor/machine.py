"""The press of a bin as a machine: down until something ends it, home again, and then: how full is the bin?

Pure: no clock and no wires. It is handed the time [s, monotonic] and what is known, and says which way the
motor is to be driven and whether the buzzer sounds. Whatever it must know and does not know stops it.
"""

from dataclasses import dataclass, field
from typing import Any

from gateway.control.compactor.fullness import Fullness
from gateway.control.compactor.permit import Permit
from gateway.control.compactor.seen import Seen, Settings, dated, number
from gateway.control.compactor.state import (
    BACK,
    MOVING,
    STARTED,
    Kind,
    Note,
    Phase,
    Stroke,
    restored,
    saved,
)
from gateway.control.compactor.watch import Watch
from gateway.control.compactor.ways import end_of_pressing, wrong_on_the_way_home
from gateway.control.guard import NOTHING_AGAINST, Guard, Verdict
from gateway.reading import Outcome


@dataclass(slots=True)
class Machine:
    """The press. *drive*: 1 down, 0 stand, -1 home; *since* [s]: when its phase began.

    `step` looks at what is seen, and may change all of these. Whoever drives the motor says with `told` that
    it does as it should, with `untold` that this is not known. Nothing is known of the time before, so it
    begins in fault, until the plate shows itself at home.
    """

    settings: Settings
    guard: Guard
    phase: Phase = Phase.FAULT
    since: float = 0.0
    drive: int = 0
    strokes: int = 0
    stroke: Stroke = field(default_factory=Stroke)
    faults: dict[Kind, str] = field(default_factory=lambda: {Kind.ADRIFT: STARTED})
    fullness: Fullness = field(init=False)
    _watch: Watch = field(init=False)
    _permit: Permit = field(init=False)
    _intends: bool = False
    _astray: bool = False  # it has been said that the plate is not at home

    def __post_init__(self) -> None:
        self.fullness = Fullness(self.settings)
        self._watch = Watch(self.settings)
        self._permit = Permit(self.settings, self.guard, self._watch, self.fullness)

    @property
    def buzzer(self) -> bool:
        """Whether the buzzer is to sound."""
        return self.phase is Phase.WARNING or self.phase in MOVING

    @property
    def busy(self) -> bool:
        """Whether a stroke is under way."""
        return self.phase not in (Phase.IDLE, Phase.FAULT)

    @property
    def full(self) -> bool:
        """Whether pressing no longer makes room."""
        return bool(self.fullness)

    @property
    def trouble(self) -> str:
        """What is wrong, "" for nothing."""
        return "; ".join(self.faults.values())

    def save(self) -> dict[str, Any]:
        """Return what must not be forgotten, as JSON can hold it."""
        stroke = self._intends or self.phase is Phase.WARNING or self.phase in MOVING
        stroke = stroke or (Kind.ADRIFT in self.faults and self._lost)
        return saved(stroke, self.faults, self.fullness.high)

    def restore(self, kept: object) -> None:
        """Go on from what `save` gave, before the first step. Raises ValueError for what it never gave."""
        faults, self.fullness.high = restored(kept)
        self.faults |= faults

    def forget(self) -> None:
        """Take it that its past cannot be known: a person must look at it first."""
        self.faults[Kind.FORGOTTEN] = "what was kept of its past cannot be read"

    # Whether it may

    def may_begin(self, now: float, seen: Seen, by_hand: bool = False) -> Verdict:
        """Return every reason against a stroke now. That the bin is full is one, but not for a person."""
        trouble = self.trouble if self.phase is Phase.FAULT else None
        return self._permit.to_begin(now, seen.within(self.settings.max_age), trouble, by_hand)

    def may_clear(self, now: float, seen: Seen) -> Verdict:
        """Return every reason against clearing a fault and bringing the plate home, by a person's word."""
        return self._permit.to_clear(now, seen.within(self.settings.max_age), self.phase is Phase.FAULT)

    # How it begins

    def intend(self, now: float) -> None:
        """Note that a stroke is about to begin: a crash from here on leaves the plate nobody knows where."""
        self._intends = True
        self.guard.intend(now)

    def desist(self) -> None:
        """Note that it has begun, or will not."""
        self._intends = False
        self.guard.desist()

    def begin(self, now: float, seen: Seen) -> None:
        """Begin a stroke; from a fault, only the way home. The warning comes first."""
        self.stroke = Stroke(homeward=self.phase is Phase.FAULT, before=number(seen.fill))
        self.guard.turned_on(now)
        self._turn_to(Phase.WARNING, now)

    def clear(self, now: float) -> None:
        """Be in order again."""
        self.drive = 0
        self.faults.clear()
        self._astray = False
        self._turn_to(Phase.IDLE, now)

    # What it does

    def told(self, now: float) -> None:
        """Note that the motor is known to do what *drive* says."""
        if self.drive:
            self._watch.driven(now)
            return
        self._watch.let_go(now)
        if self.guard.on and not self.buzzer:
            self.guard.turned_off(now)

    def untold(self, now: float, why: str) -> list[Note]:
        """Note that the motor could not be told."""
        self._watch.rests = None
        if self.phase is Phase.FAULT and Kind.WIRES in self.faults:
            return []
        return [self._fail(now, Kind.WIRES, f"the motor could not be told what to do: {why}")]

    def step(self, now: float, seen: Seen) -> list[Note]:
        """Do what is due at *now*."""
        seen = seen.within(self.settings.max_age)
        wrong = self._watch.impossible(now, seen)
        if wrong and (self.phase is not Phase.FAULT or Kind.ADRIFT in self.faults):
            return [self._fail(now, *wrong, seen.verdict)]
        match self.phase:
            case Phase.IDLE:
                self.fullness.look(number(seen.fill))
                return []
            case Phase.WARNING:
                return self._warn(now, seen)
            case Phase.MEASURING:
                return self._measure(now, seen)
            case Phase.FAULT:
                return self._stay(now, seen)
        return self._move(now, seen)

    def interrupt(self, now: float, why: str, kind: Kind = Kind.INTERRUPTED) -> list[Note]:
        """Stop, for a reason that lies outside. In mid-stroke that is a fault."""
        if self.phase in MOVING:
            return [self._fail(now, kind, why)]
        return [self._abandon(now, Verdict((why,)))] if self.phase is Phase.WARNING else []

    def against(self, now: float, seen: Seen) -> Verdict:
        """Return every reason for which it may not go on with what it has begun."""
        return self._permit.to_go_on(now, seen.within(self.settings.max_age))

    def _stay(self, now: float, seen: Seen) -> list[Note]:
        """Stay in fault. A plate whose place nobody knew is in order once it shows itself at home."""
        if [*self.faults] != [Kind.ADRIFT] or self._watch.rests is None:
            return []
        why, lost = self.faults[Kind.ADRIFT], self._lost
        if seen.home.value is True:
            self.clear(now)
            reasons = (why, "the plate shows itself at home, so it may work again")
            return [Note(Outcome.RELEASED, reasons, seen.verdict, None, "cleared", BACK)] if lost else []
        if seen.home.value is False and not self._astray:
            self._astray = True
            reasons = (why, "the plate is not at home: nothing moves until it is, or a person resets it")
            return [Note(Outcome.TRIPPED, reasons, seen.verdict, event="fault")]
        return []

    @property
    def _lost(self) -> bool:
        return self._astray or self.faults.get(Kind.ADRIFT) != STARTED

    def _warn(self, now: float, seen: Seen) -> list[Note]:
        if (against := self.against(now, seen)).reasons:
            return [self._abandon(now, against)]
        if now - self.since >= self.settings.warning and self._watch.rests is not None:
            self.drive = -1 if self.stroke.homeward else 1
            self._turn_to(Phase.RETURNING if self.stroke.homeward else Phase.PRESSING, now)
        return []

    def _move(self, now: float, seen: Seen) -> list[Note]:
        if (against := self.against(now, seen)).reasons:
            return [self._fail(now, Kind.INTERRUPTED, "; ".join(against.reasons), against)]
        if self.phase is Phase.TURNING:
            rests = self._watch.rests
            if rests is not None and now - rests >= self.settings.dead_time:
                self.drive = -1
                self._turn_to(Phase.RETURNING, now)
            return []
        self.stroke.peak = max(self.stroke.peak, self._watch.load(now, seen))
        return self._press(now, seen) if self.phase is Phase.PRESSING else self._return(now, seen)

    def _press(self, now: float, seen: Seen) -> list[Note]:
        match end_of_pressing(now, now - self.since, seen, self._watch):
            case str(ended):
                self._turn(now, ended)
            case (kind, why):
                return [self._fail(now, kind, why, seen.verdict)]
        return []

    def _turn(self, now: float, ended: str) -> None:
        self.stroke.ended, self.stroke.pressed = ended, now - self.since
        self.drive = 0
        self._turn_to(Phase.TURNING, now)

    def _return(self, now: float, seen: Seen) -> list[Note]:
        lasted = now - self.since
        if seen.home.value is True:
            return [self._arrive(now, lasted, seen)]
        wrong = wrong_on_the_way_home(now, lasted, seen, self._watch)
        return [self._fail(now, *wrong, seen.verdict)] if wrong else []

    def _arrive(self, now: float, lasted: float, seen: Seen) -> Note:
        self.stroke.returned, self.drive = lasted, 0
        reasons = [f"the plate is back at home after {lasted:.1f} s"]
        if self.stroke.homeward:
            self.clear(now)
            return Note(Outcome.RELEASED, tuple(reasons), seen.verdict, self.stroke.effect(), "cleared")
        self.strokes += 1
        self._turn_to(Phase.MEASURING, now)
        reasons.insert(0, f"it pressed for {self.stroke.pressed:.1f} s, until {self.stroke.ended}")
        return Note(Outcome.RELEASED, tuple(reasons), seen.verdict, self.stroke.effect())

    def _measure(self, now: float, seen: Seen) -> list[Note]:
        at, ready = dated(seen.fill, now), self.since + self.settings.settle
        if at is not None and at >= ready:
            return self._weigh(now, number(seen.fill))
        return self._weigh(now, None) if now >= ready + self.settings.measure else []

    def _weigh(self, now: float, fill: float | None) -> list[Note]:
        """Count what the stroke has left, as far as it could be measured."""
        self.stroke.after, full = fill, self.fullness.learn(fill)
        self.clear(now)
        notes = [Note(None, (f"it pressed until {self.stroke.ended}",), event="stroke")]
        if full:
            notes.append(Note(None, (str(self.fullness),), event="full"))
        return notes

    # How it ends otherwise

    def _fail(self, now: float, kind: Kind, why: str, seen: Verdict = NOTHING_AGAINST) -> Note:
        """Stand, and stay so until a person resets it."""
        self.drive = 0
        self.faults[kind] = why
        if kind is not Kind.ADRIFT:
            self.faults.pop(Kind.ADRIFT, None)
        if self.phase is not Phase.FAULT:
            self._turn_to(Phase.FAULT, now)
        return Note(Outcome.TRIPPED, (why,), seen, event="fault")

    def _abandon(self, now: float, against: Verdict) -> Note:
        """Give a stroke up before anything has moved. What was a fault before is one still."""
        self.drive = 0
        self._turn_to(Phase.FAULT if self.faults else Phase.IDLE, now)
        return Note(Outcome.TRIPPED, (*against.reasons, "nothing had moved"), against)

    def _turn_to(self, phase: Phase, now: float) -> None:
        self.phase, self.since = phase, now
