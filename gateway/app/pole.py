"""What stands on the pole: devices, streams, rules and switches. All that a reload may change."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from drivers.device import UNITS, Actuator, Clock, Quantity, Sensor, Values
from gateway.app.check import Placed, Plan
from gateway.app.hardware import Hardware
from gateway.clock import Now
from gateway.config import Derive
from gateway.control import Control, Journal, Limits, Permissive, Switch
from gateway.derive import Stream, build, gives, interval
from gateway.health import Health
from gateway.reading import Event, Reading, reading_of
from gateway.rules import Engine, Expression
from gateway.sampler import LONGEST_PAUSE, Device, Sampler

log = logging.getLogger("lamppost")

DEADLINE = 5.0
"""Seconds that a measurement may take where the configuration does not say."""

STALE = 3.0
"""Sampling intervals after which a reading is too old for a rule, where the configuration does not say."""

CONTROL, GUARDS = "control", "guards"
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
    reading at once, and stepped in a task of their own.
    """

    plan: Plan
    hardware: Hardware
    journal: Journal
    clock: Clock
    now: Now
    health: Health
    publish: Callable[[Reading], None]
    announce: Callable[[Event], None]
    broken: asyncio.Future[BaseException] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    _samplers: dict[str, Sampler] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _derived: dict[str, Reading] = field(default_factory=dict)
    _kinds: dict[str, str] = field(default_factory=dict)
    _expected: list[str] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._drivers = {
            name: self.hardware.build(self.plan, placed) for name, placed in self.plan.devices.items()
        }
        self._intervals = {name: placed.config.interval for name, placed in self.plan.devices.items()}
        self._streams = [self._stream(stream) for stream in self.plan.config.derive]
        self._engine = Engine(self._rules(), self._stale(), self.now)
        self._control = Control(
            self._switches(),
            self.journal,
            self.now,
            self.clock,
            _place(self.plan),
            changed=self._moved,
            beat=lambda: self.health.beat(GUARDS),
        )

    async def start(self) -> None:
        """Put every output into its safe state, then begin to measure and to decide."""
        await self._control.start()
        self._expect(CONTROL, SLACK)
        self._expect(GUARDS, SLACK)
        self._run(CONTROL, self._decide())
        self._run(GUARDS, self._control.run())
        if self.hardware.street is not None:
            self._run("street", self.hardware.street.run())
        for name, placed in self.plan.devices.items():
            self._sample(name, placed)

    async def recall(self, stored: Callable[[str, int, None], Awaitable[list[dict[str, Any]]]]) -> None:
        """Bring windows up to date with *stored* readings (device, limit, before), newest first."""
        for stream in self._streams:
            if limit := stream.needs():
                for body in reversed(await stored(stream.device, limit, None)):
                    stream.feed(reading_of(body))

    async def stop(self) -> None:
        """Every output to its safe state first, then everything else down."""
        await self._cancel(CONTROL, GUARDS)
        await self._control.stop()
        await self._cancel(*self._tasks)
        for loop in self._expected:
            self.health.forget(loop)
        self._expected.clear()

    def take_rules(self, new: Plan) -> None:
        """Run the rules of *new*, whose devices are the same; those that did not change keep their state."""
        self.plan = new
        self._engine.reload(self._rules())
        self._wake.set()

    def devices(self) -> list[dict[str, Any]]:
        """Return the state of every device, then of every stream: as alive as what it is made from."""
        measured = {name: sampler.status() for name, sampler in self._samplers.items()}
        for stream in self._streams:
            if stream.device in measured:  # it is not while the pole starts
                measured[stream.id] = self._stream_status(stream, measured[stream.device])
        return list(measured.values())

    def _stream(self, settings: Derive) -> Stream:
        source = self._intervals[settings.source.partition(".")[0]]
        self._intervals[settings.id] = interval(settings, source)
        self._kinds[settings.id] = settings.kind
        return build(settings, source)

    def _stream_status(self, stream: Stream, source: dict[str, Any]) -> dict[str, Any]:
        latest = self._derived.get(stream.id)
        return {
            **source,
            "id": stream.id,
            "driver": f"{self._kinds[stream.id]} of {stream.device}.{stream.takes}",
            "interval": self._intervals[stream.id],
            "bus": None,
            "address": None,
            "latest": latest.body() if latest else None,
            "units": {stream.gives: UNITS[stream.gives]},
        }

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

    def _sample(self, name: str, placed: Placed) -> None:
        interval = placed.config.interval
        deadline = placed.config.deadline or DEADLINE
        where = {"line": placed.address} if placed.on_pins else {"address": placed.address}
        note = {"driver": placed.part.name, "domain": placed.part.domain, "bus": placed.config.bus, **where}
        loop = _loop(name)
        self._expect(loop, interval + 2 * deadline + LONGEST_PAUSE + SLACK)
        driver: Sensor = self._drivers[name]
        sensor = _Onlooker(driver) if isinstance(driver, Actuator) else driver
        sampler = Sampler(
            Device(name, sensor, interval, deadline, note),
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
        readings = [reading]
        for stream in self._streams:
            derived = [result for each in readings if (result := stream.feed(each)) is not None]
            readings += derived
            self._derived |= {each.device: each for each in derived}
        for each in readings:
            self._engine.note(each)
            self.publish(each)
        self._wake.set()

    async def _decide(self) -> None:
        """Step the rules at every reading, and when time alone may change something."""
        while True:
            self.health.beat(CONTROL)
            for transition in self._engine.step():
                await self._control.handle(transition)
            self._control.look()
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

    def _rules(self) -> list[Any]:
        return [rule for file in self.plan.rules for rule in file.rules]

    def _stale(self) -> dict[str, float]:
        limits = {n: p.config.stale or STALE * p.config.interval for n, p in self.plan.devices.items()}
        for stream in self._streams:
            own = STALE * self._intervals[stream.id]
            limits[stream.id] = max(limits[stream.device], own)
        return limits

    def _switches(self) -> dict[str, Switch]:
        return {
            name: Switch(self._drivers[name], self._limits(placed), placed.config.guard.act_unrecorded)
            for name, placed in self.plan.devices.items()
            if placed.config.guard is not None and isinstance(self._drivers[name], Actuator)
        }

    def _limits(self, placed: Placed) -> Limits:
        guard = placed.config.guard
        assert guard is not None
        permissives = tuple(
            self._permissive(each) for each in self.plan.permissives.get(placed.config.id, ())
        )
        return Limits(False, guard.max_on, guard.min_off, permissives)

    def _permissive(self, expression: Expression) -> Permissive:
        return Permissive(expression.text, lambda: self._engine.expression_truth(expression))


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
    for stream in plan.config.derive:
        devices[stream.id] = {
            "derived": stream.kind,
            "from": stream.source,
            "units": {gives(stream): UNITS[gives(stream)]},
        }
    return devices


def _place(plan: Plan) -> dict[str, Any]:
    return plan.config.gateway.place.model_dump(exclude_none=True)


def _loop(device: str) -> str:
    return f"sampler {device}"
