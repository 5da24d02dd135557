"""A plate in a barrel, as a world: it moves as it is driven, and everything about it may be wrong."""

from dataclasses import dataclass, field
from typing import Any

from gateway.control.compactor import limits_of
from gateway.control.compactor.machine import Machine
from gateway.control.compactor.seen import Seen, Settings
from gateway.control.compactor.state import MOVING, Note, Phase
from gateway.control.guard import Guard, Permissive
from gateway.reading import Input

STROKE = 4.0  # [s] of motor from one end to the other
SETTINGS = Settings(limit=6.0, floor=11.5)
STEP = 0.05


@dataclass
class Plate:
    """*rubbish*: the place (0 home, 1 the far end) from which it resists, so that the current rises."""

    position: float = 0.0
    rubbish: float = 2.0
    loaded: float = 8.0  # [A] against rubbish
    fill: float | None = 90.0
    leaves: float = 40.0  # [%] that a stroke leaves
    battery: float | None = 12.6
    door: bool | None = True
    welded: int = 0
    stalled: bool = False
    cut: bool = False
    stuck: dict[str, bool | None] = field(default_factory=dict)  # what a switch says whatever is true
    blind: bool = False  # no current is measured
    drive: int = 0
    moved: float = 0.0

    def run(self, drive: int, seconds: float) -> None:
        """Let *seconds* pass with the motor driven this way."""
        self.drive = self.welded or (0 if self.cut else drive)
        if self.drive and not self.stalled:
            before = self.position
            far = min(1.0, self.rubbish) if self.drive > 0 else 1.0
            self.position = min(max(before + self.drive * seconds / STROKE, 0.0), max(far, before))
            self.moved += abs(self.position - before)
            if self.position > 0.5 and self.fill is not None:
                self.fill = min(self.fill, self.leaves)

    @property
    def current(self) -> float:
        if not self.drive:
            return 0.05
        against = self.drive > 0 and self.position >= self.rubbish
        return self.loaded if against or self.stalled else 2.5

    def switch(self, name: str, truth: bool) -> Input:
        value = self.stuck.get(name, truth)
        return Input(
            f"{name}.closed", value, 0.01, "" if value is not None else "last seen 9 s ago, limit 2 s"
        )

    def seen(self, age: float = 0.01) -> Seen:
        return Seen(
            self.switch("home", self.position <= 0.01),
            Input(
                "motor.current", None if self.blind else self.current, age, "bus-error" if self.blind else ""
            ),
            self.switch("end", self.position >= 0.99),
            Input("motor.voltage", self.battery, age, "" if self.battery is not None else "bus-error"),
            Input("bin.fill", self.fill, age, "" if self.fill is not None else "no-target"),
        )

    def permissive(self) -> Permissive:
        reason = "" if self.door is not None else "last seen 14 s ago, limit 5 s"
        return Permissive(
            "door.closed", lambda: (self.door, (Input("door.closed", self.door, 0.01, reason),))
        )


class Bench:
    """A machine and a plate, in steps of a control period; the motor follows at once."""

    def __init__(self, settings: Settings = SETTINGS, interval: float = 60.0, **more: Any) -> None:
        self.settings, self.interval, self.more = settings, interval, more
        self.plate = Plate()
        self.now = 1000.0
        self.notes: list[Note] = []
        self.phases: list[Phase] = []
        self.boot()

    def boot(self, kept: object = None) -> None:
        """Start anew, with a new machine, from what was *kept*."""
        door = Permissive("door.closed", lambda: self.plate.permissive().truth())
        limits = limits_of(self.settings, self.interval, permissives=(door,), **self.more)
        self.machine = Machine(self.settings, Guard(limits))
        if kept is not None:
            self.machine.restore(kept)
        self.machine.told(self.now)
        self.driven = 0

    def step(self) -> list[Note]:
        """Let one control period pass."""
        self.plate.run(self.driven, STEP)
        self.now += STEP
        before = self.machine.phase
        notes = self.machine.step(self.now, self.plate.seen())
        self.obey()
        self.notes += notes
        if self.machine.phase is not before:
            self.phases.append(self.machine.phase)
        return notes

    def obey(self) -> None:
        """Let the motor do what the machine says."""
        if self.machine.drive != self.driven or not self.machine.drive:
            self.driven = self.machine.drive
            self.machine.told(self.now)
        if not self.driven:
            self.plate.drive = self.plate.welded

    def outside(self, notes: list[Note]) -> None:
        """Take what came of something that lies outside of the machine."""
        self.notes += notes
        self.obey()

    def run(self, seconds: float) -> "Bench":
        for _ in range(round(seconds / STEP)):
            self.step()
        return self

    def until(self, *phases: Phase, limit: float = 60.0) -> "Bench":
        """Step until one of *phases* is reached."""
        end = self.now + limit
        while self.machine.phase not in phases:
            assert self.now < end, (
                f"{self.machine.phase} for ever, after {self.phases}: {self.machine.faults}"
            )
            self.step()
        return self

    def ready(self) -> "Bench":
        """Let it come to order, and rest as long as it must."""
        return self.until(Phase.IDLE).run(self.interval + 0.1)

    def reasons(self) -> tuple[str, ...]:
        return self.machine.may_begin(self.now, self.plate.seen()).reasons

    def stroke(self) -> "Bench":
        assert self.reasons() == ()
        self.machine.begin(self.now, self.plate.seen())
        return self

    def home(self) -> "Bench":
        """Clear a fault as a person's reset does."""
        assert self.machine.may_clear(self.now, self.plate.seen()).reasons == ()
        if self.plate.seen().home.value is True:
            self.machine.clear(self.now)
        else:
            self.machine.begin(self.now, self.plate.seen())
        return self

    @property
    def events(self) -> list[str]:
        return [note.event for note in self.notes if note.event]

    @property
    def moving(self) -> bool:
        return self.machine.phase in MOVING
