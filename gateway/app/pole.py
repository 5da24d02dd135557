"""What stands on the pole: devices, streams, rules and switches. All that a reload may change."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from drivers.device import UNITS, Actuator, Clock, Missing, Quantity, Sensor, Values
from gateway.app.bincheck import PRESS, buzzers
from gateway.app.bins import Bins
from gateway.app.check import Placed, Plan
from gateway.app.hardware import Hardware
from gateway.app.recall import Recall
from gateway.app.streams import Memory, Streams
from gateway.clock import Now
from gateway.control import Control, Journal, Limits, Permissive, Ruled, Switch
from gateway.derive import Screen, screen
from gateway.health import Health
from gateway.reading import Event, Reading, Record
from gateway.rules import Engine, Expression, Rule
from gateway.rules.rule import fingerprint
from gateway.sampler import LONGEST_PAUSE, Device, Sampler

log = logging.getLogger("lamppost")

DEADLINE = 5.0
"""Seconds that a measurement may take where the configuration does not say."""

STALE = 3.0
"""Sampling intervals after which a reading is too old for a rule, where the configuration does not say."""

CONTROL, GUARDS = "control", "guards"
GOLDEN = (5**0.5 - 1) / 2
"""By which share of its interval each device measures off the one before it, so that many keep apart."""

SLACK = 15.0
"""Seconds by which a loop may be late before it counts as hung."""


@dataclass(frozen=True)
class _Onlooker:
    """A switch as the sampler may see it: it reads the level back, and never moves it.

    Starting or stopping a switch drives it, and that is for the control alone.
    """

    switch: Sensor

    @property
    def quantities(self) -> frozenset[Quantity]:
        return self.switch.quantities

    async def start(self) -> None:
        """Leave it as it is."""

    async def measure(self) -> Values:
        """Read its level back."""
        return await self.switch.measure()

    async def stop(self) -> None:
        """Leave it as it is."""


@dataclass
class Pole:
    """Runs the devices and the rules of one plan.

    *publish* takes every reading, measured or derived; *announce* every event. The rules are told of a
    reading at once, and stepped in a task of their own. *reachable* says whether a person could send a veto.
    """

    plan: Plan
    hardware: Hardware
    journal: Journal
    clock: Clock
    now: Now
    health: Health
    publish: Callable[[Reading], None]
    announce: Callable[[Event], None]
    memory: Memory
    reachable: Callable[[], bool] = lambda: True
    broken: asyncio.Future[BaseException] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    _samplers: dict[str, Sampler] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _expected: list[str] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hardware.tell = lambda kind, data: self.announce(Event(kind, data["bus"], self.now(), data))
        self._drivers = {
            name: self.hardware.build(self.plan, placed) for name, placed in self.plan.devices.items()
        }
        self._streams = Streams(
            self.plan.streams,
            self.memory,
            self.clock,
            self.now,
            self._note,
            self.plan.config.gateway.place.zone or "",
        )
        self._engine = Engine(self._rules(), self._stale(), self.now)
        self._bins = Bins(self.plan.config, self._drivers, self._limits_of, self._engine.lookup, self.memory)
        self._control = Control(
            self._switches(),
            self,
            self.now,
            self.clock,
            _place(self.plan),
            changed=self._moved,
            beat=lambda: self.health.beat(GUARDS),
            reachable=self.reachable,
            lookup=self._engine.lookup,
            keep=lambda: self._recall.keep(),
            presses=self._bins.presses,
        )
        for name, compactor in self._control.compactors.items():
            self._bins.adopt(name, compactor)
        self._control.know(map(_ruled, self._rules()))
        self._recall = Recall(self._engine, self._control, self.memory)

    @property
    def control(self) -> Control:
        """What decides on the switches, and takes people's orders."""
        return self._control

    @property
    def stirred(self) -> bool:
        """Whether a rule has just begun or ended, and what it does is still to be done."""
        return self._engine.stirred

    async def make_safe(self) -> None:
        """Put every output into its safe state; that needs the hardware and nothing else."""
        await self._control.start()

    async def start(self) -> None:
        """Put every output into its safe state, then begin to measure and to decide."""
        await self.make_safe()
        await self._recall.restore()
        await self._bins.restore(self.now())
        self._expect(CONTROL, SLACK)
        self._expect(GUARDS, SLACK)
        self._run(CONTROL, self._decide())
        self._run(GUARDS, self._control.run())
        self._run("streams", self._streams.run())
        if self.hardware.street is not None:
            self._run("street", self.hardware.street.run())
        for number, (name, placed) in enumerate(self.plan.devices.items()):
            self._sample(name, placed, 1.0 - number * GOLDEN % 1.0)

    async def stop(self) -> None:
        """Every output to its safe state first, then everything else down."""
        self._recall.end()
        await self._cancel(CONTROL, GUARDS)
        await self._control.stop()
        await self._cancel(*self._tasks)
        self._streams.remember()
        for loop in self._expected:
            self.health.forget(loop)
        self._expected.clear()

    async def record(self, record: Record) -> object:
        """Return when *record* is durable, and with it all that must not be forgotten over a restart."""
        self._recall.write()
        return await self.journal.record(record)

    def take_rules(self, new: Plan) -> None:
        """Run the rules of *new*, whose devices are the same; those that did not change keep their state."""
        self.plan = new
        self._engine.reload(self._rules())
        self._control.know(map(_ruled, self._rules()))
        self._wake.set()

    def devices(self) -> list[dict[str, Any]]:
        """Return the state of every device, then of every stream: as alive as what it is made from."""
        measured = {name: sampler.status() for name, sampler in self._samplers.items()}
        return [*measured.values(), *self._streams.status(measured)]

    def switches(self) -> list[dict[str, Any]]:
        """Return the state of every switch."""
        return self._control.status()

    def rules(self) -> list[dict[str, Any]]:
        """Return the state of every rule."""
        return self._engine.status()

    def _expect(self, loop: str, within: float) -> None:
        self.health.expect(loop, within)
        self._expected.append(loop)

    def _run(self, name: str, main: Coroutine[Any, Any, None]) -> None:
        task = self._tasks[name] = asyncio.create_task(main, name=name)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """None of these tasks ends by itself: one that does takes the daemon down, outputs safe."""
        if not task.cancelled() and not self.broken.done():
            self.broken.set_result(task.exception() or RuntimeError(f"{task.get_name()} ended by itself"))

    async def _cancel(self, *names: str) -> None:
        tasks = [task for name in names if (task := self._tasks.pop(name, None)) is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _sample(self, name: str, placed: Placed, share: float) -> None:
        interval = placed.config.interval
        deadline = placed.config.deadline or DEADLINE
        note = {"driver": placed.part.name, "domain": placed.part.domain, **placed.where}
        loop = _loop(name)
        self._expect(loop, interval + 2 * deadline + LONGEST_PAUSE + SLACK)
        driver: Sensor = self._drivers[name]
        sensor = _Onlooker(driver) if isinstance(driver, Actuator) else driver
        sampler = Sampler(
            Device(name, sensor, interval, deadline, note, _screens(placed), share),
            self.clock,
            self.now,
            self._reading,
            self.announce,
            lambda: self.health.beat(loop),
        )
        self._samplers[name] = sampler
        self._run(loop, sampler.run())

    def _reading(self, reading: Reading) -> None:
        """Take one measured reading to everybody, with what derives from it."""
        self._note(reading)
        self._streams.take(reading)
        if _off(reading):
            self._control.doubt(reading.device)

    def _note(self, reading: Reading) -> None:
        self._engine.note(reading)
        self._wake.set()
        self.publish(reading)

    async def _decide(self) -> None:
        """Step the rules at every reading, and when time alone may change something."""
        while True:
            self.health.beat(CONTROL)
            for transition in self._engine.step():
                await self._control.handle(transition)
            for notice in self._engine.notices():
                if not self._control.shelved(notice.rule):
                    self.announce(notice.event())
            self._recall.keep_up()
            self._control.look()
            for record in self._bins.step(self.now()):
                self._control.recorder.later(record)
            due = self._engine.due()
            wait = SLACK / 3 if due is None else min(SLACK / 3, max(0.0, due - self.now.monotonic()))
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    def _moved(self, switch: str) -> None:
        """Measure a switch as soon as it was told to move, so that rules and subscribers see the effect."""
        if switch in self._samplers:
            self._samplers[switch].poke()

    def _rules(self) -> list[Rule]:
        return [rule for file in self.plan.rules for rule in file.rules]

    def _stale(self) -> dict[str, float]:
        limits = {n: p.config.stale or STALE * p.config.interval for n, p in self.plan.devices.items()}
        return limits | self._streams.stale(limits, STALE)

    def _switches(self) -> dict[str, Switch]:
        return {
            name: Switch(driver, self._limits(placed), guard.act_unrecorded, self._drivers[name].measure)
            for name, placed in self.plan.devices.items()
            if (guard := placed.config.guard) and isinstance(driver := self._drivers[name], Actuator)
            if placed.part.name != PRESS and name not in buzzers(self.plan.config)
        }

    def _limits_of(self, press: str) -> Limits:
        return self._limits(self.plan.devices[press])

    def _limits(self, placed: Placed) -> Limits:
        guard = placed.config.guard
        assert guard is not None
        permissives = tuple(
            self._permissive(each) for each in self.plan.permissives.get(placed.config.id, ())
        )
        return Limits(
            safe=False,
            max_on=guard.max_on,
            min_off=guard.min_off,
            permissives=permissives,
            per_hour=guard.per_hour,
            max_age=guard.max_age,
            excludes=guard.excludes,
            lease=guard.lease,
        )

    def _permissive(self, expression: Expression) -> Permissive:
        return Permissive(expression.text, lambda: self._engine.expression_truth(expression))


def _off(reading: Reading) -> bool:
    """Whether *reading* is of a switch that is off, or that lost what it was told."""
    on = reading.values.get(Quantity.ON)
    return on == 0.0 or reading.missing.get(Quantity.ON) is Missing.DEVICE_ERROR


def _ruled(rule: Rule) -> Ruled:
    return Ruled(rule.id, rule.version, rule.digest, rule.mode, rule.grant, fingerprint(rule))


def described(plan: Plan) -> dict[str, Any]:
    """Return what a subscriber needs to know of the devices: driver, quantities and units."""
    devices: dict[str, Any] = {
        name: {
            "driver": placed.part.name,
            "domain": placed.part.domain,
            "interval": placed.config.interval,
            "units": {quantity: UNITS[quantity] for quantity in sorted(placed.quantities)},
        }
        for name, placed in plan.devices.items()
    }
    for stream in plan.streams:
        devices[stream.id] = {
            "derived": stream.settings.kind,
            "from": stream.settings.source,
            "interval": stream.interval,
            "units": {quantity: UNITS[quantity] for quantity in stream.gives},
        }
    return devices


def _screens(placed: Placed) -> dict[Quantity, Screen]:
    return {Quantity(name): screen(settings) for name, settings in placed.config.quality.items()}


def _place(plan: Plan) -> dict[str, Any]:
    return plan.config.gateway.place.model_dump(exclude_none=True)


def _loop(device: str) -> str:
    return f"sampler {device}"
