"""One pole's switches on emulated pins, with a journal, permissives and faults that a test sets."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from drivers.board.switch import Driver
from drivers.bus import BusError
from drivers.emulated import EmulatedPins
from gateway.clock import Instant, LoopClock, Quality
from gateway.control import Control, Desk, Limits, Permissive, Ruled, Switch
from gateway.reading import (
    Answer,
    Condition,
    Decision,
    Event,
    Grant,
    Input,
    Mode,
    Order,
    OrderKind,
    Outcome,
    Record,
    SwitchOn,
    Transition,
)

SIREN, MOTOR = 5, 6
STROKE = SwitchOn("motor", 4.0)
START = 1_700_000_000.0  # [s, Unix] when the loop's time is 0
GRANT = Grant("ada", "a trial", START + 1e7)


@dataclass
class Wires:
    """Emulated pins that log every level with its time into the rig's log, and may refuse or hang."""

    pins: EmulatedPins
    log: list[tuple[float, str, Any]]
    refuse: set[tuple[int, bool]] = field(default_factory=set)
    hang: set[tuple[int, bool]] = field(default_factory=set)

    async def write(self, line: int, high: bool) -> None:
        if (line, high) in self.hang:
            await asyncio.sleep(1e9)
        if (line, high) in self.refuse:
            raise BusError("the line is stuck")
        self.log.append((self.pins.clock.monotonic(), "level", (line, high)))
        await self.pins.write(line, high)

    async def read(self, line: int) -> bool:
        return await self.pins.read(line)

    def edges(self, line: int) -> Any:
        return self.pins.edges(line)


class JournalError(Exception):
    """What this journal raises; control must not need to know it."""


@dataclass
class Paper:
    """A journal in memory: slow by *delay* [s], or failing."""

    log: list[tuple[float, str, Any]]
    delay: float = 0.0
    fail: bool = False
    records: list[Record] = field(default_factory=list)
    tries: int = 0
    waiting: str = ""  # what is to be remembered, and is on the disk with the next record
    remembered: str = ""

    async def record(self, record: Record) -> int:
        self.tries += 1
        await asyncio.sleep(self.delay)
        if self.fail:
            raise JournalError("the disk is full")
        self.records.append(record)
        self.remembered = self.waiting
        self.log.append((asyncio.get_running_loop().time(), "record", record))
        return len(self.records)


def instant() -> Instant:
    mono = asyncio.get_running_loop().time()
    return Instant(START + mono, mono, "boot", Quality.SYNCHRONIZED)


class Rig:
    """A siren (no permissive) and a motor (its lid must be known to be closed)."""

    def __init__(
        self,
        max_on: float = 10.0,
        min_off: float = 0.0,
        permissive: bool = True,
        act_unrecorded: bool = False,
        journal: Paper | None = None,
        **limits: Any,
    ) -> None:
        clock = LoopClock()
        self.log: list[tuple[float, str, Any]] = journal.log if journal else []
        self.pins = EmulatedPins(clock)
        self.wires = Wires(self.pins, self.log)
        self.journal = journal or Paper(self.log)
        self.reachable = True
        self.ages = 1.0
        self.number = 0
        self.lid: bool | None = True
        self.broken = False
        self.timeless = False
        self.moment = instant  # what the clocks of this boot show
        self.beats = 0
        self.changed: list[str] = []
        lid = Permissive("lid.closed", self._lid)
        switches = {
            "siren": self._switch(SIREN, Limits(False, max_on, min_off, **limits), act_unrecorded),
            "motor": self._switch(
                MOTOR, Limits(False, max_on, min_off, (lid,) if permissive else (), **limits)
            ),
        }
        place = {"name": "Quay 3", "latitude": 52.0, "longitude": None}
        self.control = Control(
            switches,
            self.journal,
            self._now,
            clock,
            place,
            self.changed.append,
            self._beat,
            reachable=lambda: self.reachable,
            lookup=lambda name: Input(name, 1.0, self.ages),
            keep=self._keep,
        )
        self.desk = Desk(self.control)

    def _switch(self, line: int, limits: Limits, act_unrecorded: bool = False) -> Switch:
        driver = Driver(self.wires, line, LoopClock())
        excludes = tuple(name for name in limits.excludes if name != {SIREN: "siren", MOTOR: "motor"}[line])
        return Switch(driver, replace(limits, excludes=excludes), act_unrecorded, driver.measure)

    def _keep(self) -> None:
        self.journal.waiting = json.dumps(self.control.save())

    def know(self, *rules: str, mode: Mode = Mode.OFF, grant: Grant | None = GRANT, says: str = "") -> None:
        """Tell control of *rules*, all in *mode*."""
        self.control.know([Ruled(rule, 3, "d1", mode, grant, says) for rule in rules])

    def paper_transition(
        self, mode: Mode, grant: Grant | None, *commands: Any, firing: bool = True
    ) -> Transition:
        """Return a transition of the rule flood with a *grant* of its own."""
        return replace(transition(*commands, mode=mode, firing=firing), grant=grant)

    async def order(self, kind: OrderKind | str, target: str, **more: Any) -> Answer:
        """Submit an order of ada's, with a new id."""
        return await self.desk.submit(self.paper(kind, target, **more))

    def paper(self, kind: OrderKind | str, target: str, **more: Any) -> Order:
        """Return an order of ada's; *until* and *not_after* in seconds from now."""
        self.number += 1
        time, until = instant().time, more.pop("until", None)
        given = {
            "id": f"o{self.number}", "issuer": "ada", "reason": "a test", "channel": "http",
            "not_after": time + more.pop("not_after", 60.0),
            "until": None if until is None else time + until,
        }  # fmt: skip
        return Order(kind=OrderKind(kind), target=target, **{**given, **more})

    def _lid(self) -> tuple[bool | None, tuple[Input, ...]]:
        if self.broken:
            raise RuntimeError("a defect")
        reason = "last seen 14 s ago, limit 5 s" if self.lid is None else ""
        return self.lid, (Input("lid.closed", self.lid, 14.0, reason),)

    def _now(self) -> Instant:
        if self.timeless:
            raise RuntimeError("a defect")
        return self.moment()

    def _beat(self) -> None:
        self.beats += 1

    def on(self, line: int) -> bool:
        """Whether the load on *line* has power."""
        return line in self.pins.outputs and self.pins.levels[line]

    def decisions(self, outcome: Outcome | None = None) -> list[Decision]:
        found = [record for record in self.journal.records if isinstance(record, Decision)]
        return [d for d in found if outcome in (None, d.outcome)]

    def outcomes(self) -> list[Outcome]:
        return [d.outcome for d in self.decisions()]

    def events(self) -> list[Event]:
        return [record for record in self.journal.records if isinstance(record, Event)]

    def moves(self, line: int) -> list[tuple[float, bool]]:
        """Every change of the level of *line*: when, and to what."""
        found: list[tuple[float, bool]] = []
        for time, what, detail in self.log:
            if what == "level" and detail[0] == line and (not found or found[-1][1] != detail[1]):
                found.append((time, detail[1]))
        return found

    def set_lid(self, closed: bool | None) -> None:
        self.lid = closed
        self.control.look()

    async def fire(self, *commands: Any, rule: str = "flood", mode: Mode = Mode.OFF) -> None:
        await self.control.handle(transition(*commands, rule=rule, mode=mode))

    async def end(self, *commands: Any, rule: str = "flood", mode: Mode = Mode.OFF) -> None:
        await self.control.handle(transition(*commands, rule=rule, mode=mode, firing=False))


def transition(*commands: Any, rule: str = "flood", mode: Mode = Mode.OFF, firing: bool = True) -> Transition:
    inputs = (Input("river.stage", 2.5, 0.4), Input("bin.fill", 85.0, 1.0))
    conditions = (Condition("river.stage > 2.0", True),)
    return Transition(
        instant(), rule, 3, "d1", mode, firing, commands or (SwitchOn("siren"),), inputs, conditions, GRANT
    )


def running(test: Callable[[Rig], Coroutine[Any, Any, None]], **options: Any) -> Coroutine[Any, Any, Rig]:
    """Return a coroutine that runs *test* while the rig's control runs, then stops it; returns the rig."""

    async def main() -> Rig:
        rig = Rig(**options)
        await rig.control.start()
        supervisor = asyncio.create_task(rig.control.run())
        try:
            await test(rig)
        finally:
            supervisor.cancel()
            await asyncio.wait({supervisor})
        assert supervisor.cancelled() or supervisor.exception() is None
        return rig

    return main()


@contextmanager
def stuck(wires: Wires, line: int, *levels: bool) -> Iterator[None]:
    """Refuse to drive *line* to *levels* for a while."""
    wires.refuse |= {(line, level) for level in levels}
    yield
    wires.refuse -= {(line, level) for level in levels}
