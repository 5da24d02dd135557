"""A compactor as the control sees it: who wants a stroke, its life, and how it stands.

For the control it is one more switch, each time on of which is one stroke: a rule that fires asks for one,
by its mode, and so does a person's order. It is recorded before the buzzer sounds.
"""

import asyncio
import math
from typing import Any

from drivers.device import Clock
from gateway.control.attempt import attempt
from gateway.control.compactor.beginning import Beginning
from gateway.control.compactor.machine import Machine
from gateway.control.compactor.seen import Settings
from gateway.control.compactor.stand import Press, Stand
from gateway.control.compactor.state import BACK, Kind, Note
from gateway.control.compactor.wires import Wires
from gateway.control.decisions import By, Scribe
from gateway.control.guard import Guard, Limits, Verdict
from gateway.control.hold import Hold
from gateway.control.lease import Lease
from gateway.control.output import shown
from gateway.control.station import IDLE, UNSUPERVISED, Links
from gateway.reading import Order, OrderKind, SwitchOn, Transition

PERIOD = 0.05
"""Seconds between two looks while a stroke is under way: the control period."""

STOPPING = "the gateway is stopping"


def limits_of(settings: Settings, interval: float, **more: Any) -> Limits:
    """Return the limits of a press: a stroke's longest time, and *interval* [s] to rest after one."""
    return Limits(False, settings.whole, interval, max_age=settings.max_age, **more)


class Compactor:
    """One press. Nothing moves unless `run` runs.

    It has the face of an Output, so that the control can treat it as one, and that of a Machine that takes
    the orders compact and reset.
    """

    def __init__(self, name: str, press: Press, scribe: Scribe, clock: Clock, links: Links) -> None:
        self.name = name
        self.turned = -math.inf  # when `run` last completed a turn
        self._clock = clock
        self._stand = stand = Stand(name, press, scribe, clock, links)
        self._beginning = Beginning(stand)
        self._wires = Wires(
            press.motor, press.buzzer, stand.machine, clock, stand.against, lambda: links.changed(name)
        )
        self._lock = asyncio.Lock()

    # Who wants a stroke

    @property
    def guard(self) -> Guard:
        """What judges it."""
        return self._stand.guard

    @property
    def machine(self) -> Machine:
        """The press as a machine."""
        return self._stand.machine

    @property
    def lease(self) -> Lease | None:
        """The person who has it by hand, and for how long."""
        return self._stand.lease

    @property
    def limits(self) -> Limits:
        """What its guard keeps to."""
        return self.guard.limits

    @property
    def latched(self) -> bool:
        """Whether it is out of order."""
        return bool(self.machine.faults)

    def ask(self, transition: Transition, command: SwitchOn, who: str = "", order: str = "") -> None:
        """Ask for one stroke for the transition's rule; *who* approved it."""
        self.add(Hold(transition, command, who, order))

    def add(self, hold: Hold) -> None:
        """Take a request in. One that was cut short before a restart is over: no stroke is made good."""
        if not hold.latched:
            self._stand.holds.add(hold)
        self._stand.again = -math.inf
        self._stand.wake.set()

    def end(self, rule: str) -> None:
        """Note that *rule* no longer fires. A stroke that has begun goes on."""
        self._stand.holds.end(rule)
        self._stand.wake.set()

    def withdraw(self, rule: str) -> list[SwitchOn]:
        """Forget what *rule* asked for, nobody approved and it has not got yet; return it."""
        return [hold.command for hold in self._stand.holds.withdraw(rule)]

    def holds(self, rule: str) -> list[Hold]:
        """Return what *rule* asks for and has not got."""
        return [hold for hold in self._stand.holds.of(rule) if hold.began is None]

    def take(self, lease: Lease) -> None:
        """Give it into a person's hands: on is one stroke, off is none for anybody."""
        self.give_back()
        self._stand.lease = lease
        if lease.on:
            self.add(Hold(None, SwitchOn(self.name), lease.who, lease.order, over=lease.until.mono))
        self._stand.wake.set()

    def give_back(self) -> None:
        """Let the rules have it again."""
        self._stand.lease = None
        self.end("")

    def objection(self, order: Order) -> str:
        """Return why *order* cannot be carried out now, or ""."""
        if self._stand.barred:
            return self._stand.barred
        now, seen = self._clock.monotonic(), self._stand.press.see()
        if order.kind is OrderKind.RESET:
            return "; ".join(self.machine.may_clear(now, seen).reasons)
        if order.kind is OrderKind.COMPACT:
            return "; ".join(self.machine.may_begin(now, seen, by_hand=True).reasons)
        return f"{self.name} takes no order to {order.kind}"

    def obey(self, order: Order) -> str:
        """Begin to carry it out; return what was done."""
        if order.kind is OrderKind.RESET:
            self.reset(order.issuer, order.id)
            return f"{self.name} is {BACK}, after its plate has come home; the guard has the last word"
        over = self._clock.monotonic() + max(0.0, order.not_after - self._stand.scribe.now().time)
        self.add(Hold(None, SwitchOn(self.name), order.issuer, order.id, over=over))
        return f"{self.name} makes one stroke; the guard has the last word"

    def reset(self, who: str = "", order: str = "") -> bool:
        """Clear a fault by a person's word, as far as the guard permits; return whether there is one."""
        if not self.latched:
            return False
        self._beginning.reset = By(who, order)
        self._stand.wake.set()
        return True

    def look(self) -> None:
        """Note that there are new readings."""
        if self.machine.busy or self._stand.holds or self.latched:
            self._stand.wake.set()

    def judge(self) -> Verdict:
        """Return what is against a stroke now. For a rule on trial."""
        return self.machine.may_begin(self._clock.monotonic(), self._stand.press.see())

    # Its life

    async def start(self) -> None:
        """Make the motor stand and the buzzer silent; what does not answer, `run` tries again."""
        async with self._lock:
            self._stand.closed = UNSUPERVISED
            self._stand.write(await self._wires.start())

    async def run(self) -> None:
        """Supervise for ever."""
        if self._stand.closed == UNSUPERVISED:
            self._stand.closed = ""
        try:
            while True:
                self._stand.wake.clear()
                await self.settle()
                self.turned = self._clock.monotonic()
                await attempt(self._stand.wake.wait(), self._pause(), set())
        finally:
            self._stand.closed = self._stand.closed or UNSUPERVISED

    async def stop(self) -> None:
        """Make the motor stand, and forget who wanted otherwise. The next start looks for the plate."""
        self._stand.closed = STOPPING
        async with self._lock:
            notes = self.machine.interrupt(self._clock.monotonic(), STOPPING, Kind.ADRIFT)
            try:
                notes += await self._wires.stop()
            finally:
                self._stand.write(notes)
                self._stand.holds.clear()

    async def act(self) -> None:
        """Do what can be done now; before it is supervised, nothing."""
        if not self._stand.closed:
            await self.settle()
        self._stand.wake.set()

    async def settle(self) -> None:
        """Let the machine do what is due, and the motor what it says; then see who wants a stroke."""
        async with self._lock:
            self._stand.recall()
            notes = self._step()
            notes += await self._wires.follow()
            self._stand.write(notes)
            if not (self.machine.busy or self._stand.closed):
                await self._beginning.attend()

    def _step(self) -> list[Note]:
        now, before = self._clock.monotonic(), self.machine.phase
        notes = self.machine.interrupt(now, self._stand.barred) if self._stand.barred else []
        notes += self.machine.step(now, self._stand.press.see())
        if self.machine.phase is not before:
            self._stand.keep()
        return notes

    def _pause(self) -> float:
        """Return how long to wait for anything [s]: a stroke, or a motor in doubt, is looked at often."""
        return PERIOD if self.machine.busy or self.machine.drive != self._wires.told else IDLE

    # How it stands

    def exhausted(self) -> str:
        """Return why pressing makes no more room in the bin, or ""."""
        machine = self.machine
        if machine.full:
            return "it is full after pressing"
        left = machine.stroke.after
        short = left is not None and left >= machine.settings.full and not machine.busy
        return "the last stroke made too little room" if short else ""

    def status(self) -> dict[str, Any]:
        """Return it as the status page shows a switch, with what only a press has under `press`."""
        now, machine, limits = self._clock.monotonic(), self.machine, self.limits
        blocked = [self._stand.barred] if self._stand.barred else list(self.judge().reasons)
        return {
            "id": self.name,
            "on": self.guard.on,
            "safe": limits.safe,
            "since": round(now - self.guard.since, 3) if self.guard.since > -math.inf else None,
            "max_on": limits.max_on,
            "min_off": limits.min_off,
            "per_hour": limits.per_hour,
            "held_by": [self._stand.whose.owner] if self._stand.whose else [],
            "blocked": [] if machine.busy else blocked,
            "cycles": self.guard.cycles,
            "override": self.lease and shown(self.lease),
            "press": {
                "phase": str(machine.phase),
                "faults": list(machine.faults.values()),
                "full": machine.full,
                "strokes": machine.strokes,
                "after": machine.stroke.after,
            },
        }
