"""One switch: who holds it on, and what is done about that. One lock, one order at a time."""

import asyncio
import logging
import math
from typing import Any

from drivers.device import Clock
from gateway.control.ascent import Ascent
from gateway.control.attempt import attempt
from gateway.control.decisions import Scribe
from gateway.control.descent import Descent
from gateway.control.guard import Guard, Limits, Verdict
from gateway.control.hold import Hold
from gateway.control.lease import Lease
from gateway.control.station import IDLE, UNSUPERVISED, Links, Station, Switch
from gateway.reading import SwitchOn, Transition

_log = logging.getLogger(__name__)


class Output:
    """A switch, the holds on it, and the one place where they meet its guard.

    `ask`, `end`, `take` and `look` only take note; `settle` does what follows, and `run` does so for ever.
    """

    def __init__(self, name: str, switch: Switch, scribe: Scribe, clock: Clock, links: Links) -> None:
        self.name = name
        self.turned = -math.inf  # when `run` last completed a turn
        self._clock = clock
        self._station = Station(name, switch, scribe, clock, links)
        self._ascent = Ascent(self._station)
        self._descent = Descent(self._station)
        self._lock = asyncio.Lock()
        self._supervised = asyncio.Event()

    @property
    def guard(self) -> Guard:
        """What judges it."""
        return self._station.guard

    @property
    def limits(self) -> Limits:
        """What its guard keeps to."""
        return self._station.guard.limits

    @property
    def lease(self) -> Lease | None:
        """The person who has it by hand, and for how long."""
        return self._station.lease

    def ask(self, transition: Transition, command: SwitchOn, who: str = "", order: str = "") -> None:
        """Hold the switch on for the transition's rule, as *command* says; *who* approved it."""
        self.add(Hold(transition, command, who, order))

    def add(self, hold: Hold) -> None:
        """Take a hold in."""
        self._station.holds.add(hold)
        self._station.on_again = -math.inf
        self._station.wake.set()

    def end(self, rule: str) -> None:
        """Note that *rule* no longer fires."""
        self._station.holds.end(rule)
        self._station.wake.set()

    def withdraw(self, rule: str) -> list[SwitchOn]:
        """Forget what *rule* asked for, nobody approved and it has not got yet; return it."""
        return [hold.command for hold in self._station.holds.withdraw(rule)]

    def holds(self, rule: str) -> list[Hold]:
        """Return what *rule* asked for and is not over."""
        return self._station.holds.of(rule)

    def take(self, lease: Lease) -> None:
        """Give it into a person's hands, out of another's."""
        self.give_back()
        self._station.lease = lease
        if lease.on:
            command = SwitchOn(self.name)
            self.add(Hold(None, command, lease.who, lease.order, over=lease.until.mono))
        self._station.wake.set()

    def give_back(self) -> None:
        """Let the rules have it again."""
        self._station.lease = None
        self.end("")

    def reset(self) -> bool:
        """Let what the guard cut short ask again; return whether there was anything."""
        self._station.on_again = -math.inf
        self._station.wake.set()
        return bool(self._station.holds.reset())

    @property
    def latched(self) -> bool:
        """Whether anything that is still wanted was cut short."""
        return any(hold.firing for hold in self._station.holds.latched())

    def doubt(self) -> None:
        """Note that a reading says that it is off, or lost what it was told: `run` looks for itself."""
        if self._station.guard.on:
            self._station.doubtful = True
            self._station.wake.set()

    def look(self) -> None:
        """Note that there are new readings."""
        if self._station.guard.on or self._station.holds:
            self._station.wake.set()

    async def start(self) -> None:
        """Put the switch into its safe state. When it does not answer, `run` tries again."""
        async with self._lock:
            self._station.closed = UNSUPERVISED
            if fault := await self._station.drive.start():
                _log.error("%s is not known to be off: %s", self.name, fault)

    async def run(self) -> None:
        """Supervise: nothing goes on, or stays on, unless this runs."""
        at = self._station
        if at.closed == UNSUPERVISED:
            at.closed = ""
        self._supervised.set()
        try:
            while True:
                at.wake.clear()
                await self.settle()
                self.turned = self._clock.monotonic()
                await at.pause(at.due())
        finally:
            at.closed = at.closed or UNSUPERVISED
            self._supervised.clear()

    async def stop(self) -> None:
        """Put the switch into its safe state, and forget who wanted otherwise."""
        self._station.closed = "the gateway is stopping"
        async with self._lock:
            await self._descent.stop(self._station.closed)
            self._station.holds.clear()

    async def act(self) -> None:
        """Settle, once `run` has begun or a second has passed without it."""
        if self._station.closed == UNSUPERVISED:
            await attempt(self._supervised.wait(), IDLE, set())
        await self.settle()

    async def settle(self) -> None:
        """Do the next thing that holds, guard and actuator ask for, if there is one."""
        at = self._station
        async with self._lock:
            if at.drive.fault:
                if not await self._descent.recover():
                    self._ascent.refuse_all(at.unknown())
            elif at.guard.on and at.doubtful:
                await self._descent.check()
            elif at.guard.on:
                if not (at.judge_on(self._clock.monotonic()).reasons or at.barred):
                    self._ascent.join()
                await self._descent.supervise()
            else:
                await self._ascent.settle()

    def judge(self) -> Verdict:
        """Return what is against its being on now, were it asked for. For a rule on trial."""
        at, now = self._station, self._clock.monotonic()
        if at.drive.fault:
            return at.unknown()
        return at.guard.must_turn_off(now) if at.guard.on else at.guard.may_turn_on(now)

    def status(self) -> dict[str, Any]:
        """Return the switch as the status page shows it; *since* is how long it has been so [s]."""
        at, now = self._station, self._clock.monotonic()
        lease, limits = at.lease, at.guard.limits
        return {
            "id": self.name,
            "on": at.guard.on,
            "safe": limits.safe,
            "since": round(now - at.guard.since, 3) if at.guard.since > -math.inf else None,
            "max_on": limits.max_on,
            "min_off": limits.min_off,
            "per_hour": limits.per_hour,
            "held_by": [hold.owner for hold in at.holds.engaged()],
            "blocked": self._blocked(now),
            "cycles": at.guard.cycles,
            "override": lease and shown(lease),
        }

    def _blocked(self, now: float) -> list[str]:
        """Return what keeps it from going on, whether somebody asks or not."""
        at = self._station
        cut = [hold.cut for hold in at.holds.latched()]
        if at.drive.fault:
            return [*at.unknown().reasons, *cut]
        first = at.closed or at.barred
        against = [first] if first else list(at.guard.may_turn_on(now).reasons)
        return cut if at.guard.on else [*against, *cut]


def shown(lease: Lease) -> dict[str, Any]:
    """Return a lease as the status page shows it."""
    state = "on" if lease.on else "off"
    return {"state": state, "who": lease.who, "reason": lease.reason, "until": lease.until.time}
