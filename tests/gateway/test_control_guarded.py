"""Whatever rules, readings, actuators and the journal do: nothing drives a switch past its guard."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.reading import Decision, Outcome, SwitchOn
from tests.conftest import VirtualLoop
from tests.gateway.control_rig import MOTOR, SIREN, Rig

TURN = 1e-5  # [s] the loop's own slack
RECORD = 0.25  # [s] that the journal may take towards off
REVIEW = 0.1  # [s] after which a change that nobody announces is seen
MENDED = 3.0  # [s] for an order that hangs to be given up, and the next to be tried
NAMES = {SIREN: "siren", MOTOR: "motor"}
LINES = st.sampled_from([SIREN, MOTOR])
RULES = st.sampled_from(["a", "b", "c"])
COMMANDS = st.builds(SwitchOn, st.sampled_from(["siren", "motor"]), st.sampled_from([None, None, 0.2, 3.0]))
WAITS = st.sampled_from([0.0, 0.001, 0.05, 0.2, 0.26, 1.0, 1.1, 3.0, 12.0])
MAX_ON, MIN_OFF = 5.0, 2.0


class Guarded(RuleBasedStateMachine):
    """Random lives of a siren and a motor, judged at every level that reaches the wires."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.wrong: list[str] = []
        self.on_since: dict[int, float] = {}
        self.off_since: dict[int, float] = {}
        self.free_since = 0.0  # since when the wires take every order
        self.lid_since = 0.0  # since when the lid is as it is
        self.journal_from = 0  # the log's length at the last order to go on
        self.stopped = False

    @initialize()
    def begin(self) -> None:
        self.runner.run(self._begin())

    async def _begin(self) -> None:
        self.rig = Rig(max_on=MAX_ON, min_off=MIN_OFF)
        self._write = self.rig.wires.write
        self.rig.wires.write = self._judged  # type: ignore[method-assign]
        await self.rig.control.start()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.supervisor = asyncio.create_task(self.rig.control.run())
        self.watch = asyncio.create_task(self._watch())
        await asyncio.sleep(0)

    async def _judged(self, line: int, high: bool) -> None:
        """Judge an order as it is given; then carry it out."""
        now = asyncio.get_running_loop().time()
        if high:
            self._judge_order(line, now)
        await self._write(line, high)
        now = asyncio.get_running_loop().time()
        if high:
            self.on_since.setdefault(line, now)
        else:
            self._judge_time(line, now)
            self.on_since.pop(line, None)
            self.off_since[line] = now

    def _judge_order(self, line: int, now: float) -> None:
        name = NAMES[line]
        self._expect(not self.stopped, f"{name} on after stop")
        self._expect(line not in self.on_since, f"{name} on twice")
        rested = now - self.off_since.get(line, now)
        self._expect(rested >= MIN_OFF - TURN, f"{name} on after {rested} s off")
        self._expect(line != MOTOR or self.rig.lid is True, f"{name} on with the lid {self.rig.lid}")
        log = self.rig.log
        last = max((i for i, entry in enumerate(log) if entry[1:] == ("level", (line, True))), default=-1)
        acted = [
            entry[2]
            for entry in log[last + 1 :]
            if isinstance(entry[2], Decision)
            and entry[2].outcome is Outcome.ACTED
            and entry[2].actuator == name
        ]
        self._expect(bool(acted), f"{name} on without a decision in the journal")

    def _judge_time(self, line: int, now: float) -> None:
        """The limits bind from when the wires are free: first the order under way, then the next try."""
        if line not in self.on_since:
            return
        free = self.free_since + MENDED if self.free_since else 0.0
        end = max(self.on_since[line] + MAX_ON, free)
        self._expect(now <= end + TURN, f"{NAMES[line]} on for {now - self.on_since[line]} s")
        if line == MOTOR and self.rig.lid is not True:
            end = max(self.lid_since, self.on_since[line], free) + REVIEW + RECORD
            self._expect(now <= end + TURN, f"motor on for {now - self.lid_since} s with the lid open")

    async def _watch(self) -> None:
        while True:
            for line in (SIREN, MOTOR):
                if not self._hindered(line):
                    self._judge_time(line, asyncio.get_running_loop().time())
            await asyncio.sleep(0.03)

    def _hindered(self, line: int) -> bool:
        faults = self.rig.wires.refuse | self.rig.wires.hang
        return bool(faults)

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(f"{asyncio.get_running_loop().time():.3f}: {what}")

    def _do(self, *, wait: float, firing: bool | None = None, rule: str = "", command: Any = None) -> None:
        async def main() -> None:
            if firing is not None:
                go = self.rig.fire if firing else self.rig.end
                task = asyncio.create_task(go(command, rule=rule))
                self.tasks.add(task)
            await asyncio.sleep(wait)

        self.runner.run(main())

    @rule(name=RULES, command=COMMANDS, wait=WAITS)
    def fire(self, name: str, command: SwitchOn, wait: float) -> None:
        self._do(firing=True, rule=name, command=command, wait=wait)

    @rule(name=RULES, wait=WAITS)
    def end(self, name: str, wait: float) -> None:
        self._do(firing=False, rule=name, command=SwitchOn("siren"), wait=wait)

    @rule(lid=st.sampled_from([True, True, False, None]), told=st.booleans(), wait=WAITS)
    def turn_lid(self, lid: bool | None, told: bool, wait: float) -> None:
        async def main() -> None:
            if (self.rig.lid is True) != (lid is True):
                self.lid_since = asyncio.get_running_loop().time()
            self.rig.lid = lid
            if told:
                self.rig.control.look()
            await asyncio.sleep(wait)

        self.runner.run(main())

    @rule(line=LINES, high=st.booleans(), hang=st.booleans(), wait=WAITS)
    def break_wires(self, line: int, high: bool, hang: bool, wait: float) -> None:
        faults = self.rig.wires.hang if hang else self.rig.wires.refuse
        faults.add((line, high))
        self._do(wait=wait)

    @rule(wait=WAITS)
    def mend_wires(self, wait: float) -> None:
        async def main() -> None:
            if self.rig.wires.hang | self.rig.wires.refuse:
                self.free_since = asyncio.get_running_loop().time()
            self.rig.wires.hang, self.rig.wires.refuse = set(), set()
            await asyncio.sleep(wait)

        self.runner.run(main())

    @rule(command=COMMANDS, lid=st.sampled_from([True, False, None]), told=st.booleans(), wait=WAITS)
    def calm_then_fire(self, command: SwitchOn, lid: bool | None, told: bool, wait: float) -> None:
        """Everything works and has rested; a rule fires; then the lid changes."""
        self.change_journal(0.0, False, 0.0)
        self.mend_wires(MENDED)
        self._do(firing=False, rule="calm", command=command, wait=0.0)
        self.turn_lid(True, True, MIN_OFF + 0.1)
        self._do(firing=True, rule="calm", command=command, wait=0.05)
        self.turn_lid(lid, told, wait)

    @rule(name=RULES, lid=st.sampled_from([False, None]), delay=st.sampled_from([0.0, 0.1, 0.9]), wait=WAITS)
    def ask_with_the_lid_open(self, name: str, lid: bool | None, delay: float, wait: float) -> None:
        """The lid opens before the decision is recorded, or while it is."""
        self.change_journal(delay, False, 0.0)
        self.mend_wires(MENDED)
        self.turn_lid(lid if delay == 0 else True, True, MIN_OFF + 0.1)
        self._do(firing=True, rule=name, command=SwitchOn("motor"), wait=delay / 2)
        self.turn_lid(lid, False, wait)

    @rule(
        delay=st.sampled_from([0.0, 0.0, 0.1, 0.24, 0.9, 2.0, 1e6]),
        fail=st.sampled_from([False, False, True]),
        wait=WAITS,
    )
    def change_journal(self, delay: float, fail: bool, wait: float) -> None:
        self.rig.journal.delay, self.rig.journal.fail = delay, fail
        self._do(wait=wait)

    @rule(wait=WAITS)
    def pass_time(self, wait: float) -> None:
        self._do(wait=wait)

    @invariant()
    def nothing_was_wrong(self) -> None:
        assert not self.wrong, self.wrong

    def teardown(self) -> None:
        try:
            self.runner.run(self._finish())
            assert not self.wrong, self.wrong
        finally:
            self.runner.close()

    async def _finish(self) -> None:
        """Stop with the wires free: everything must be off, and stay off."""
        self.rig.wires.hang, self.rig.wires.refuse = set(), set()
        self.free_since = asyncio.get_running_loop().time()
        began = asyncio.get_running_loop().time()
        self.supervisor.cancel()
        await asyncio.wait({self.supervisor})
        self.stopped = True
        self._expect(asyncio.get_running_loop().time() - began < 5.0, "stop took too long")
        self._expect(self.supervisor.cancelled(), "the supervision ended by itself")
        await self.rig.fire(SwitchOn("motor"), rule="late")
        await asyncio.sleep(20)
        for line in (SIREN, MOTOR):
            self._expect(not self.rig.on(line), f"{NAMES[line]} on after stop")
        self.watch.cancel()
        for task in self.tasks:
            self._expect(task.done() and task.exception() is None, "a transition was not handled")


_FEW = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


class TestGuarded(Guarded.TestCase):  # type: ignore[misc, valid-type, name-defined]
    """Some lives."""

    settings = _FEW


@pytest.mark.slow
class TestGuardedLong(Guarded.TestCase):  # type: ignore[misc, valid-type, name-defined]
    """Many lives."""

    settings = settings(_FEW, max_examples=150)
