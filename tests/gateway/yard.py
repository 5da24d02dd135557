"""A press on emulated pins with the real driver, behind a real control and desk, in virtual time."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from drivers.barrel import Barrel
from drivers.bin.compactor import Driver, Options
from drivers.bin.compactor.chip import Emulated
from drivers.board import switch
from drivers.emulated import EmulatedPins
from gateway.clock import LoopClock
from gateway.control import Control, Desk, Permissive
from gateway.control.compactor import Press, limits_of
from gateway.control.compactor.seen import Seen, Settings
from gateway.control.compactor.state import Phase
from gateway.reading import (
    Answer,
    Decision,
    Event,
    Input,
    Mode,
    Order,
    OrderKind,
    Outcome,
    SwitchOn,
    Transition,
)
from tests.gateway.control_rig import GRANT, Paper, Wires, instant

DOWN, HOME, BUZZER = 20, 21, 22
SETTINGS = Settings(limit=6.0, floor=11.5)


class Drawer:
    """Keeps a text, as the store does, and logs when."""

    def __init__(self, log: list[tuple[float, str, Any]]) -> None:
        self.log, self.text = log, ""

    def recall(self) -> object:
        return json.loads(self.text) if self.text else None

    def keep(self, state: Mapping[str, Any]) -> None:
        self.text = json.dumps(state)
        self.log.append((asyncio.get_running_loop().time(), "kept", json.loads(self.text)))


class Yard:
    """The bin, its press and everything that decides on it. What was kept outlives `crash`."""

    def __init__(self, interval: float = 10.0, settings: Settings = SETTINGS, **limits: Any) -> None:
        self.clock = LoopClock()
        self.log: list[tuple[float, str, Any]] = []
        self.interval, self.settings, self.limits = interval, settings, limits
        self.pins = EmulatedPins(self.clock)
        self.wires = Wires(self.pins, self.log)
        self.chip = Emulated(self.pins, DOWN, HOME)
        self.barrel = Barrel(self.chip, self._drives, loose=85.0)
        self.journal = Paper(self.log)
        self.drawer = Drawer(self.log)
        self.unseen: set[str] = set()
        self.door: bool | None = True
        self.ordered = 0
        self.boot()

    def boot(self) -> None:
        """Build what decides anew, as after a start."""
        door = Permissive("door.closed", self._door)
        limits = limits_of(self.settings, self.interval, permissives=(door,), **self.limits)
        press = Press(
            Driver(self.wires, DOWN, self.clock, Options(reverse=HOME)),
            self.see,
            limits,
            self.settings,
            switch.Driver(self.wires, BUZZER, self.clock),
            self.drawer,
            {"name": "Quay 3", "latitude": None},
        )
        self.control = Control({}, self.journal, instant, self.clock, {}, presses={"press": press})
        self.press = self.control.compactors["press"]
        self.desk = Desk(self.control)

    def _drives(self) -> int:
        down, home = (line in self.pins.outputs and self.pins.levels[line] for line in (DOWN, HOME))
        return down - home

    def _door(self) -> tuple[bool | None, tuple[Input, ...]]:
        reason = "last seen 14 s ago, limit 5 s" if self.door is None else ""
        return self.door, (Input("door.closed", self.door, 0.01, reason),)

    def see(self) -> Seen:
        self.pins.before()
        self.barrel.step()

        def one(name: str, value: float | bool | None) -> Input:
            known = name not in self.unseen
            return Input(name, value if known else None, 0.01, "" if known else "bus-error")

        return Seen(
            one("home.closed", self.barrel.contact("home")),
            one("motor.current", self.barrel.current),
            one("far.closed", self.barrel.contact("far")),
            one("motor.voltage", self.barrel.voltage),
            one("bin.fill", self.barrel.fill),
        )

    @property
    def phase(self) -> Phase:
        return self.press.machine.phase

    @property
    def motor(self) -> int:
        return self._drives()

    @property
    def buzzing(self) -> bool:
        return BUZZER in self.pins.outputs and self.pins.levels[BUZZER]

    def set_door(self, closed: bool | None) -> None:
        self.door = closed
        self.control.look()

    async def fire(self, mode: Mode = Mode.OFF, rule: str = "press_it", firing: bool = True) -> None:
        grant = GRANT if mode in (Mode.ON, Mode.OFF) else None
        inputs = (Input("bin.fill", 85.0, 1.0), Input("eye.active", True, 0.2))
        made = Transition(
            instant(), rule, 1, "d1", mode, firing, (SwitchOn("press"),), inputs, (), grant, 600.0, 60.0
        )
        await self.control.handle(made)

    async def order(self, kind: OrderKind, target: str = "press", **more: Any) -> Answer:
        self.ordered += 1
        not_after = instant().time + 60.0
        order = Order(f"order-{self.ordered:04}", kind, target, "sam", "it is due", not_after, "http")
        return await self.desk.submit(replace(order, **more))

    async def until(self, *phases: Phase, limit: float = 60.0) -> None:
        async with asyncio.timeout(limit):
            while self.phase not in phases:
                await asyncio.sleep(0.01)

    async def rest(self) -> None:
        """Let it come to order, and rest as long as it must."""
        await self.until(Phase.IDLE)
        await asyncio.sleep(self.interval + 0.1)

    def decisions(self, *outcomes: Outcome) -> list[Decision]:
        found = [each for each in self.journal.records if isinstance(each, Decision)]
        return [each for each in found if not outcomes or each.outcome in outcomes]

    def events(self) -> list[str]:
        return [each.type for each in self.journal.records if isinstance(each, Event)]

    def moves(self) -> list[float]:
        """When a line of the motor was driven."""
        return [at for at, what, how in self.log if what == "level" and how[0] in (DOWN, HOME) and how[1]]

    def told(self) -> list[float]:
        """When a decision to move was durable."""
        return [
            at
            for at, what, record in self.log
            if what == "record" and isinstance(record, Decision) and record.outcome is Outcome.ACTED
        ]

    async def crash(self) -> None:
        """Lose power and come back: every line floats, nothing is said goodbye to."""
        self.supervisor.cancel()
        await asyncio.wait({self.supervisor})
        self.pins.release()
        self.boot()
        await self.begin()

    async def begin(self) -> None:
        await self.control.start()
        self.supervisor = asyncio.create_task(self.control.run())

    async def end(self) -> None:
        self.supervisor.cancel()
        with suppress(asyncio.CancelledError):
            await self.supervisor


def yard(test: Callable[[Yard], Coroutine[Any, Any, None]], **options: Any) -> Coroutine[Any, Any, Yard]:
    """Return a coroutine that runs *test* in a yard whose control runs, then stops it; returns the yard."""

    async def main() -> Yard:
        made = Yard(**options)
        await made.begin()
        try:
            await test(made)
        finally:
            await made.end()
        assert made.motor == 0
        assert not made.buzzing
        assert not made.chip.burnt
        assert made.chip.turnaround >= made.settings.dead_time - 1e-6
        return made

    return main()
