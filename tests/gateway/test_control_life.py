"""A long life at random: rules, orders, faults and crashes. No guard is ever broken, judged at the wires."""

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.control import control, output, station
from gateway.reading import Decision, Mode, Outcome, SwitchOn
from tests.gateway.control_rig import MOTOR, SIREN, Paper, Rig, transition

MAX_ON, MIN_OFF, PER_HOUR = 60.0, 5.0, 8
SLACK = 2e-5  # [s] the loop's own
MENDED = 3.0  # [s] for an order that hangs to be given up, and the next to be tried
NAMES = {SIREN: "siren", MOTOR: "motor"}
RULES = ("a", "b", "c")


@dataclass
class Judge:
    """What the wires may carry, and when. Outlives every crash."""

    on_since: dict[int, float] = field(default_factory=dict)
    off_since: dict[int, float] = field(default_factory=dict)
    starts: dict[int, list[float]] = field(default_factory=dict)
    free_since: float = 0.0
    moves: int = 0

    def level(self, rig: Rig, line: int, high: bool) -> None:
        now = asyncio.get_running_loop().time()
        if high:
            self._on(rig, line, now)
            return
        since = self.on_since.pop(line, None)
        if since is not None:
            late = max(since + MAX_ON, self.free_since + MENDED)
            assert now <= late + SLACK, f"{NAMES[line]} was on for {now - since} s"
        self.off_since[line] = now

    def _on(self, rig: Rig, line: int, now: float) -> None:
        name, other = NAMES[line], MOTOR if line == SIREN else SIREN
        assert other not in self.on_since, f"{name} on together with {NAMES[other]}"
        assert now - self.off_since[line] >= MIN_OFF - SLACK, f"{name} has not rested"
        assert line != MOTOR or rig.lid is True, f"motor on with the lid {rig.lid}"
        recent = [start for start in self.starts.get(line, []) if now - start < 3600]
        assert len(recent) < PER_HOUR, f"{name} on {len(recent) + 1} times in an hour"
        self.starts[line] = [*recent, now]
        last = next(d for d in reversed(rig.decisions()) if d.actuator == name and d.command.startswith(name))
        assert last.outcome is Outcome.ACTED, f"{name} on without a decision: {last}"
        self._authority(rig, last)
        self.on_since[line] = now
        self.moves += 1

    def _authority(self, rig: Rig, acted: Decision) -> None:
        """Somebody answers for every move: a person, or a mode that was granted."""
        if acted.order:
            given = [d for d in rig.decisions() if d.order == acted.order and d.who == "ada"]
            assert any(d.outcome in (Outcome.APPROVED, Outcome.OVERRIDDEN) for d in given)
        else:
            assert acted.mode in (Mode.ON, Mode.OFF), f"nobody answers for {acted}"
        lease = rig.control.status()[0 if acted.actuator == "siren" else 1]["override"]
        assert lease is None or lease["state"] == "on", f"moved out of a person's hands: {acted}"

    def power_lost(self) -> None:
        """The hardware lets every line fall."""
        now = asyncio.get_running_loop().time()
        for line in self.on_since:
            self.off_since[line] = now
        self.on_since.clear()


class Life:
    """One pole, its world, and people."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.judge = Judge()
        self.journal = Paper([])
        self.firing: dict[str, Any] = {}
        self.number = 0
        self.crashes = 0

    async def run(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await self._boot()
            while loop.time() < end and self.random.random() > 0.01:
                self.tasks = {task for task in self.tasks if not task.done()}
                await self._happen()
                await asyncio.sleep(self.random.choice([0.0, 0.1, 1.0, 4.0, 20.0, 70.0, 300.0]))
                assert not self.supervisor.done(), self.supervisor.exception()
                self._forget()
            await self._crash()

    async def _boot(self) -> None:
        self.rig = rig = Rig(
            MAX_ON, MIN_OFF, journal=self.journal, per_hour=PER_HOUR, excludes=("siren", "motor"), lease=120.0
        )
        rig.number = self.number
        write = rig.wires.write

        async def judged(line: int, high: bool) -> None:
            await write(line, high)
            self.judge.level(rig, line, high)

        rig.wires.write = judged  # type: ignore[method-assign]
        await rig.control.start()
        rig.know(*RULES)
        if self.journal.remembered:
            rig.control.restore(json.loads(self.journal.remembered), self.firing.values())
        self.supervisor = asyncio.create_task(rig.control.run())
        self.tasks: set[asyncio.Task[Any]] = set()
        self.judge.free_since = asyncio.get_running_loop().time()

    async def _crash(self) -> None:
        """Kill it: nothing is stopped, nothing more is written, and the lines fall."""
        self.crashes += 1
        rig, self.number = self.rig, self.rig.number

        async def dead(*_: Any) -> None:
            raise RuntimeError("the process is dead")

        rig.wires.write = dead  # type: ignore[method-assign]
        rig.control._closed = True
        journal, self.journal = self.journal, Paper(self.journal.log)
        self.journal.records = [*journal.records]
        self.journal.remembered = self.journal.waiting = journal.remembered
        for task in (*self.tasks, self.supervisor):
            task.cancel()
        await asyncio.wait({*self.tasks, self.supervisor})
        self.judge.power_lost()

    def _forget(self) -> None:
        """Keep the tests' own memory small; what a decision needs is recent."""
        del self.journal.records[:-300], self.journal.log[:-10]

    async def _happen(self) -> None:
        chance, rig = self.random, self.rig
        match chance.randrange(9):
            case 0 | 1 | 2:
                self._transit(chance.choice(RULES))
            case 3:
                rig.set_lid(chance.choice([True, True, True, True, False, None]))
            case 4:
                self._break(chance)
            case 5:
                self.journal.delay = chance.choice([0.0, 0.0, 0.2, 2.0])
                self.journal.fail = chance.random() < 0.1
            case 6:
                rig.reachable = chance.random() < 0.7
            case _:
                self._do(self._order(chance))

    def _transit(self, rule: str) -> None:
        fires = rule not in self.firing
        command = SwitchOn(self.random.choice(["siren", "motor"]), self.random.choice([None, None, 3.0]))
        mode = self.random.choice([*Mode, Mode.OFF, Mode.OFF])
        if fires:
            self.firing[rule] = made = transition(command, rule=rule, mode=mode)
        else:
            made = self.firing.pop(rule)
        self._do(self.rig.fire(*made.commands, rule=rule, mode=made.mode) if fires else self._end(made))

    async def _end(self, made: Any) -> None:
        await self.rig.end(*made.commands, rule=made.rule, mode=made.mode)

    def _break(self, chance: random.Random) -> None:
        faults = chance.choice(
            [set(), set(), set(), set(), {(MOTOR, False)}, {(SIREN, True)}, {(SIREN, False)}]
        )
        wires = self.rig.wires
        wires.hang, wires.refuse = (faults, set()) if chance.random() < 0.5 else (set(), faults)
        self.judge.free_since = float("inf") if faults else asyncio.get_running_loop().time()

    async def _order(self, chance: random.Random) -> None:
        rig = self.rig
        asks = [ask["id"] for ask in rig.control.pending()]
        kind = chance.choice(["approve", "veto", "override", "release", "reset", "mode"])
        target = (
            chance.choice(asks or ["none"])
            if kind in ("approve", "veto")
            else chance.choice(["siren", "motor"])
        )
        if kind == "mode":
            await rig.order(kind, chance.choice(RULES), value=str(chance.choice(list(Mode))), until=500.0)
        elif kind == "override":
            await rig.order(kind, target, value=chance.choice(["on", "off"]), until=chance.choice([5.0, 1e5]))
        else:
            await rig.order(kind, target)

    def _do(self, work: Any) -> None:
        self.tasks.add(asyncio.create_task(work))


def _live(virtual, seconds: float, seed: int) -> None:
    life = Life(seed)
    try:
        virtual(life.run(seconds))
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
    assert life.judge.moves > seconds / 3000, "hardly anything moved"
    assert life.crashes > seconds / 50_000, "hardly anything crashed"


def test_no_guard_is_ever_broken(virtual):
    _live(virtual, 15_000.0, random.randrange(2**32))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_guard_is_ever_broken_in_many_lives(virtual, monkeypatch):
    """Millions of seconds; nothing is judged by the turns in which nothing happens, so there are fewer."""
    for module in (control, output, station):
        monkeypatch.setattr(module, "IDLE", 20.0)
    for _ in range(180):
        _live(virtual, 15_000.0, random.randrange(2**32))
