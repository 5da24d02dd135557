"""Where a press stands: its machine, its wires' end, who wants a stroke of it, and what is kept and told."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Actuator, Clock
from gateway.control.compactor import memory
from gateway.control.compactor.machine import Machine
from gateway.control.compactor.memory import Nowhere, Shelf
from gateway.control.compactor.pen import Pen
from gateway.control.compactor.seen import Seen, Settings
from gateway.control.compactor.state import Note
from gateway.control.decisions import Scribe
from gateway.control.guard import Guard, Limits, Verdict
from gateway.control.hold import Hold, Holds
from gateway.control.lease import Lease
from gateway.control.station import Links


@dataclass(frozen=True, slots=True)
class Press:
    """A motor (1 down, 0 stand, -1 home), what is seen of it, its limits (`limits_of`) and settings.

    *memory* keeps what must outlive a restart; *place* goes into the events.
    """

    motor: Actuator
    see: Callable[[], Seen]
    limits: Limits
    settings: Settings
    buzzer: Actuator | None = None
    memory: Shelf = field(default_factory=Nowhere)
    place: Mapping[str, Any] = field(default_factory=dict)


class Stand:
    """What everything that moves one press shares. *closed* says why nothing may move at all."""

    def __init__(self, name: str, press: Press, scribe: Scribe, clock: Clock, links: Links) -> None:
        self.name = name
        self.press = press
        self.scribe = scribe
        self.clock = clock
        self.links = links
        self.guard = Guard(press.limits)
        self.machine = Machine(press.settings, self.guard)
        self.pen = Pen(name, scribe, press.place)
        self.holds = Holds()
        self.whose: Hold | None = None
        """Who has the stroke that is under way."""
        self.lease: Lease | None = None
        self.again = -math.inf
        """When it is tried again to begin what could not be recorded, on the clock."""
        self.closed = "the control has not been started"
        self.wake = asyncio.Event()
        self._recalled = False

    @property
    def barred(self) -> str:
        """Why nothing may move: the control does not run, or a person has switched it off by hand."""
        lease = self.lease
        over = lease is None or lease.on or self.clock.monotonic() >= lease.until.mono
        return self.closed or ("" if over else str(lease))

    def against(self) -> str:
        """Return what is against moving now, with a stroke under way."""
        return "; ".join(self.reasons(self.machine.against(self.clock.monotonic(), self.press.see())))

    def reasons(self, seen: Verdict) -> tuple[str, ...]:
        """Return what is against moving: what bars it, and what is *seen*."""
        barred = self.barred
        return (barred, *seen.reasons) if barred else seen.reasons

    def recall(self) -> None:
        """Take up what was kept, once: not before the first turn, for the store is open by then."""
        if not self._recalled:
            self._recalled = True
            memory.recall(self.name, self.press.memory.recall(), self.machine, self.scribe.now())

    def keep(self) -> None:
        """Have what must outlive a restart kept."""
        if self._recalled:
            self.press.memory.keep(memory.state(self.machine, self.scribe.now()))

    def write(self, notes: list[Note]) -> None:
        """Write *notes* down, booked to who has the stroke."""
        if notes:
            self.pen.write(notes, self.whose, self.machine.stroke)
            self.keep()
        if not self.machine.busy:
            self.whose = None
