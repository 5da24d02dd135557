"""One pole's switches on emulated pins, with a journal, permissives and faults that a test sets."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from drivers.board.switch import Driver
from drivers.bus import BusError
from drivers.emulated import EmulatedPins
from gateway.clock import Instant, LoopClock, Quality
from gateway.control import Control, Limits, Permissive, Switch
from gateway.reading import Condition, Decision, Event, Input, Mode, Outcome, Record, SwitchOn, Transition

SIREN, MOTOR = 5, 6


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

    async def record(self, record: Record) -> int:
        self.tries += 1
        await asyncio.sleep(self.delay)
        if self.fail:
            raise JournalError("the disk is full")
        self.records.append(record)
        self.log.append((asyncio.get_running_loop().time(), "record", record))
        return len(self.records)


def instant() -> Instant:
    mono = asyncio.get_running_loop().time()
    return Instant(1_700_000_000 + mono, mono, "boot", Quality.SYNCHRONIZED)


class Rig:
    """A siren (no permissive) and a motor (its lid must be known to be closed)."""

    def __init__(
        self,
        max_on: float = 10.0,
        min_off: float = 0.0,
        permissive: bool = True,
        act_unrecorded: bool = False,
    ) -> None:
        clock = LoopClock()
        self.log: list[tuple[float, str, Any]] = []
        self.pins = EmulatedPins(clock)
        self.wires = Wires(self.pins, self.log)
        self.journal = Paper(self.log)
        self.lid: bool | None = True
        self.broken = False
        self.timeless = False
        self.beats = 0
        self.changed: list[str] = []
        lid = Permissive("lid.closed", self._lid)
        switches = {
            "siren": Switch(Driver(self.wires, SIREN, clock), Limits(False, max_on, min_off), act_unrecorded),
            "motor": Switch(
                Driver(self.wires, MOTOR, clock), Limits(False, max_on, min_off, (lid,) if permissive else ())
            ),
        }
        place = {"name": "Quay 3", "latitude": 52.0, "longitude": None}
        self.control = Control(
            switches, self.journal, self._now, clock, place, self.changed.append, self._beat
        )

    def _lid(self) -> tuple[bool | None, tuple[Input, ...]]:
        if self.broken:
            raise RuntimeError("a defect")
        reason = "last seen 14 s ago, limit 5 s" if self.lid is None else ""
        return self.lid, (Input("lid.closed", self.lid, 14.0, reason),)

    def _now(self) -> Instant:
        if self.timeless:
            raise RuntimeError("a defect")
        return instant()

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
        instant(), rule, 3, "d1", mode, firing, commands or (SwitchOn("siren"),), inputs, conditions
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
