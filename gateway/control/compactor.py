"""A compactor: whoever wants a stroke, what is against it, and the stroke itself.

For the control it is one more switch, each time on of which is one stroke: a rule that fires asks for one,
by its mode, and so does a person's order. It is recorded before the buzzer sounds.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from drivers.device import Actuator, Clock
from gateway.control import press_memory
from gateway.control.ascent import RECORD_ON
from gateway.control.attempt import attempt
from gateway.control.decisions import By, Scribe
from gateway.control.guard import Guard, Limits, Verdict
from gateway.control.hold import Hold, Holds
from gateway.control.lease import Lease
from gateway.control.output import shown
from gateway.control.press import Machine
from gateway.control.press_memory import Nowhere, Shelf
from gateway.control.press_pen import Pen
from gateway.control.press_seen import Seen, Settings
from gateway.control.press_state import BACK, Kind, Note
from gateway.control.press_wires import Wires
from gateway.control.station import IDLE, UNSUPERVISED, Links
from gateway.reading import Order, OrderKind, Outcome, SwitchOn, Transition

PERIOD = 0.05
"""Seconds between two looks while a stroke is under way: the control period."""

STOPPING = "the gateway is stopping"


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
        self.guard = Guard(press.limits)
        self.machine = Machine(press.settings, self.guard)
        self.lease: Lease | None = None
        self._press, self._scribe, self._clock, self._links = press, scribe, clock, links
        self._pen = Pen(name, scribe, press.place)
        self._wires = Wires(
            press.motor, press.buzzer, self.machine, clock, self._against, lambda: links.changed(name)
        )
        self._holds = Holds()
        self._whose: Hold | None = None  # the stroke that is under way
        self._reset: By | None = None
        self._closed = "the control has not been started"
        self._again = -math.inf
        self._recalled = False
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()

    # Who wants a stroke

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
            self._holds.add(hold)
        self._again = -math.inf
        self._wake.set()

    def end(self, rule: str) -> None:
        """Note that *rule* no longer fires. A stroke that has begun goes on."""
        self._holds.end(rule)
        self._wake.set()

    def withdraw(self, rule: str) -> list[SwitchOn]:
        """Forget what *rule* asked for, nobody approved and it has not got yet; return it."""
        return [hold.command for hold in self._holds.withdraw(rule)]

    def holds(self, rule: str) -> list[Hold]:
        """Return what *rule* asks for and has not got."""
        return [hold for hold in self._holds.of(rule) if hold.began is None]

    def take(self, lease: Lease) -> None:
        """Give it into a person's hands: on is one stroke, off is none for anybody."""
        self.give_back()
        self.lease = lease
        if lease.on:
            self.add(Hold(None, SwitchOn(self.name), lease.who, lease.order, over=lease.until.mono))
        self._wake.set()

    def give_back(self) -> None:
        """Let the rules have it again."""
        self.lease = None
        self.end("")

    def objection(self, order: Order) -> str:
        """Return why *order* cannot be carried out now, or ""."""
        if self._barred:
            return self._barred
        now, seen = self._clock.monotonic(), self._press.see()
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
        over = self._clock.monotonic() + max(0.0, order.not_after - self._scribe.now().time)
        self.add(Hold(None, SwitchOn(self.name), order.issuer, order.id, over=over))
        return f"{self.name} makes one stroke; the guard has the last word"

    def reset(self, who: str = "", order: str = "") -> bool:
        """Clear a fault by a person's word, as far as the guard permits; return whether there is one."""
        if not self.latched:
            return False
        self._reset = By(who, order)
        self._wake.set()
        return True

    def look(self) -> None:
        """Note that there are new readings."""
        if self.machine.busy or self._holds or self.latched:
            self._wake.set()

    def judge(self) -> Verdict:
        """Return what is against a stroke now. For a rule on trial."""
        return self.machine.may_begin(self._clock.monotonic(), self._press.see())

    # Its life

    async def start(self) -> None:
        """Make the motor stand and the buzzer silent; what does not answer, `run` tries again."""
        async with self._lock:
            self._closed = UNSUPERVISED
            self._write(await self._wires.start())

    async def run(self) -> None:
        """Supervise for ever."""
        if self._closed == UNSUPERVISED:
            self._closed = ""
        try:
            while True:
                self._wake.clear()
                await self.settle()
                self.turned = self._clock.monotonic()
                await attempt(self._wake.wait(), self._pause(), set())
        finally:
            self._closed = self._closed or UNSUPERVISED

    async def stop(self) -> None:
        """Make the motor stand, and forget who wanted otherwise. The next start looks for the plate."""
        self._closed = STOPPING
        async with self._lock:
            notes = self.machine.interrupt(self._clock.monotonic(), STOPPING, Kind.ADRIFT)
            try:
                notes += await self._wires.stop()
            finally:
                self._write(notes)
                self._holds.clear()

    async def act(self) -> None:
        """Do what can be done now; before it is supervised, nothing."""
        if not self._closed:
            await self.settle()
        self._wake.set()

    async def settle(self) -> None:
        """Let the machine do what is due, and the motor what it says; then see who wants a stroke."""
        async with self._lock:
            self._recall()
            notes = self._step()
            notes += await self._wires.follow()
            self._write(notes)
            if not (self.machine.busy or self._closed):
                await self._attend()

    def _step(self) -> list[Note]:
        now, before = self._clock.monotonic(), self.machine.phase
        notes = self.machine.interrupt(now, self._barred) if self._barred else []
        notes += self.machine.step(now, self._press.see())
        if self.machine.phase is not before:
            self._keep()
        return notes

    def _pause(self) -> float:
        """Return how long to wait for anything [s]: a stroke, or a motor in doubt, is looked at often."""
        return PERIOD if self.machine.busy or self.machine.drive != self._wires.told else IDLE

    @property
    def _barred(self) -> str:
        """Why nothing may move: the control does not run, or a person has switched it off by hand."""
        lease = self.lease
        over = lease is None or lease.on or self._clock.monotonic() >= lease.until.mono
        return self._closed or ("" if over else str(lease))

    def _against(self) -> str:
        """Return what is against moving now, with a stroke under way."""
        seen = self.machine.against(self._clock.monotonic(), self._press.see())
        return "; ".join((*([self._barred] if self._barred else []), *seen.reasons))

    # How a stroke begins

    async def _attend(self) -> None:
        """Do what a person's reset asks for, or begin a stroke that somebody wants."""
        if self._reset is not None:
            by, self._reset = self._reset, None
            await self._go_home(Hold(None, SwitchOn(self.name), by.who, by.order))
            return
        now = self._clock.monotonic()
        self._holds.prune(now)
        asking = self._holds.asking(now) if now >= self._again else []
        judged = [(hold, self._judge(hold)) for hold in asking]
        if willing := next((pair for pair in judged if not pair[1].reasons), None):
            hold, seen = willing
            await self._begin(hold, self._judge, f"{self.name} on for one stroke", (_why(hold),), seen)
            return
        for hold, seen in judged:
            if hold.refuse(seen.kinds, now):
                self._pen.note(hold, Outcome.REFUSED, seen.reasons, seen, str(hold.command))

    def _judge(self, hold: Hold) -> Verdict:
        """Return what is against a stroke for *hold*."""
        now = self._clock.monotonic()
        if first := self._barred or self._links.licence(hold):
            return Verdict((first,), frozenset({"barred"}))
        if hold.until(now) <= now:
            return Verdict((f"{hold.owner} no longer wants it",), frozenset({"over"}))
        return self.machine.may_begin(now, self._press.see(), by_hand=bool(hold.who))

    def _judge_reset(self, hold: Hold) -> Verdict:
        """Return what is against clearing the fault."""
        seen = self.machine.may_clear(self._clock.monotonic(), self._press.see())
        return replace(seen, reasons=(*([self._barred] if self._barred else []), *seen.reasons))

    async def _go_home(self, hold: Hold) -> None:
        """Clear a fault; a plate that is away comes home first.

        Whoever stands at the machine has waited for this, and for nothing else: what was asked for before
        must be asked for anew.
        """
        self._holds.clear()
        seen, trouble = self._judge_reset(hold), f"it was out of order: {self.machine.trouble}"
        if seen.reasons:
            self._pen.note(hold, Outcome.REFUSED, seen.reasons, seen, f"{self.name} {BACK}")
        elif self._press.see().home.value is True:
            self.machine.clear(self._clock.monotonic())
            reasons = (trouble, f"{hold.who or 'the gateway'} has reset it, and its plate is at home")
            note = Note(Outcome.RELEASED, reasons, seen, event="cleared", command=BACK)
            self._whose = hold
            self._write([note])
        else:
            reasons = (trouble, f"{hold.who or 'the gateway'} has reset it, and its plate is away")
            await self._begin(hold, self._judge_reset, f"{self.name} home", reasons, seen)

    async def _begin(
        self,
        hold: Hold,
        judge: Callable[[Hold], Verdict],
        command: str,
        reasons: tuple[str, ...],
        seen: Verdict,
    ) -> None:
        """Begin what is recorded first, durably, and judged again after that."""
        decision = self._pen.decision(hold, Outcome.ACTED, reasons, seen, command)
        self.machine.intend(self._clock.monotonic())
        try:
            self._keep()
            failure = await self._scribe.recorder.durable(decision, RECORD_ON)
            seen = judge(hold)
            against = (
                *([f"the decision could not be recorded: {failure}"] if failure else []),
                *seen.reasons,
            )
            if against:
                self._again = self._clock.monotonic() + IDLE
                hold.refuse(seen.kinds, self._clock.monotonic())
                undone = f"decision {decision.id} was not carried out"
                self._pen.note(hold, Outcome.REFUSED, (*against, undone), seen, command)
            else:
                self._start_stroke(hold)
        finally:
            self.machine.desist()
            self._keep()

    def _start_stroke(self, hold: Hold) -> None:
        now = self._clock.monotonic()
        hold.began, hold.firing = now, False  # it has got what it asked for
        self._holds.prune(now)
        self._whose = hold
        self.machine.begin(now, self._press.see())
        self._links.keep()
        self._wake.set()

    # What is kept, and told

    def _recall(self) -> None:
        """Take up what was kept, once: not before the first turn, for the store is open by then."""
        if not self._recalled:
            self._recalled = True
            press_memory.recall(self.name, self._press.memory.recall(), self.machine, self._scribe.now())

    def _keep(self) -> None:
        if self._recalled:
            self._press.memory.keep(press_memory.state(self.machine, self._scribe.now()))

    def _write(self, notes: list[Note]) -> None:
        if notes:
            self._pen.write(notes, self._whose, self.machine.stroke)
            self._keep()
        if not self.machine.busy:
            self._whose = None

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
        blocked = [self._barred] if self._barred else list(self.judge().reasons)
        return {
            "id": self.name,
            "on": self.guard.on,
            "safe": limits.safe,
            "since": round(now - self.guard.since, 3) if self.guard.since > -math.inf else None,
            "max_on": limits.max_on,
            "min_off": limits.min_off,
            "per_hour": limits.per_hour,
            "held_by": [self._whose.owner] if self._whose else [],
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


def _why(hold: Hold) -> str:
    """Return why there is to be a stroke, in words."""
    asks = f"{hold.who} has ordered it" if hold.transition is None else hold.asks
    return f"{asks}, and nothing is against it"
