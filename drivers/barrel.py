"""The emulated bin with a press: rubbish falls in, and a plate presses it down.

Contacts see it by the id of their device: `eye` (blocked by rubbish), `door`, `home` and `far` (the plate's
two ends), `estop` (closed while nobody has pressed it).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

EYE = 78.0  # [%] at which rubbish blocks the eye across the barrel's top
REACH = 70.0  # [% of the depth] that the plate goes down
GIVES = 0.35  # volume that pressing leaves of loose rubbish
NEAR = 0.01  # of its way, from which the plate makes an end's switch
RUNNING, IDLE_CURRENT = 2.5, 0.05  # [A] of the motor against nothing, and of the bridge alone
SAG = 0.08  # [V] that the battery loses for each ampere


class Plate(Protocol):
    """The press of drivers.bin.compactor's emulated part, as the world sees it."""

    position: float
    stalled: bool
    welded: int


@dataclass
class Barrel:
    """A bin: *loose* and pressed (*dense*) rubbish [%], its door, its battery [V].

    Faults are data: *says* (what a contact reads whatever is true), *jammed* (the plate is stuck),
    *cut* (a chain of its own has cut the motor), and those of the plate itself. *strength* [A] is what flows
    against rubbish that gives no more.
    """

    plate: Plate
    drives: Callable[[], int]
    loose: float = 0.0
    dense: float = 0.0
    door_closed: bool = True
    estop_closed: bool = True
    battery: float = 12.8
    strength: float = 8.0
    jammed: bool = False
    cut: bool = False
    says: dict[str, bool] = field(default_factory=dict)
    pushing: bool = False

    @property
    def fill(self) -> float:
        """How full it is, 0 to 100 %."""
        return min(100.0, self.loose + self.dense)

    @property
    def drive(self) -> int:
        """1 while its motor turns down, -1 while it turns home, 0 while it stands."""
        return self.plate.welded or (0 if self.cut else self.drives())

    @property
    def current(self) -> float:
        """What the motor draws [A]."""
        if not self.drive:
            return IDLE_CURRENT
        return self.strength if self.jammed or (self.drive > 0 and self.pushing) else RUNNING

    @property
    def voltage(self) -> float:
        """What the battery gives, under this load [V]."""
        return self.battery - SAG * self.current

    def drop(self, armful: float) -> None:
        """Throw *armful* [%] in, as far as there is room."""
        self.loose += max(0.0, min(armful, 100.0 - self.fill))

    def empty(self) -> None:
        """Take everything out."""
        self.loose = self.dense = 0.0

    def step(self) -> None:
        """Let the plate do to the rubbish what it does where it is; what gives no more stops it."""
        room = 100.0 - REACH * self.plate.position
        if (over := self.fill - room) > 0 and self.drive > 0:
            given = min(self.loose, over / (1.0 - GIVES))
            self.loose -= given
            self.dense += given * GIVES
        self.pushing = self.drive > 0 and self.fill > room + 0.5
        self.plate.stalled = self.jammed or self.cut or self.pushing

    def contact(self, name: str) -> bool | None:
        """Return whether the contact *name* is made, None for one that is none of this bin's."""
        made = {
            "eye": self.fill >= EYE,
            "door": self.door_closed,
            "estop": self.estop_closed,
            "home": self.plate.position <= NEAR,
            "far": self.plate.position >= 1.0 - NEAR,
        }
        return self.says.get(name, made[name]) if name in made else None
