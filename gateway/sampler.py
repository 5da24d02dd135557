"""One task per device: start it, measure it on time, say once when it is lost and once when it is back."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import floor, isfinite
from random import Random
from typing import Any, Protocol

from drivers.bus import BusError
from drivers.device import UNITS, Clock, DeviceError, Missing, Quantity, Sensor, Values, Watched
from gateway.clock import Now
from gateway.reading import Event, Flag, Reading, significant

log = logging.getLogger("lamppost.sampler")

PATIENCE = 3
"""Measurements in a row that may fail, each followed by a good start, before a device counts as lost."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between attempts to start a lost device: doubling from the first to the longest, with jitter."""

_FAULTS = (BusError, DeviceError, TimeoutError)


class State(StrEnum):
    """Where a device is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    LOST = "lost"


class Screen(Protocol):
    """The quality tests of one quantity."""

    def feed(self, time: float, value: float | Missing) -> Flag:
        """Take the value of *time* [s, monotonic]; return its flag."""
        ...


@dataclass
class Device:
    """One configured sensor. *interval* and *deadline* in seconds; *note* says where it is, for people.

    *screens* are the tests of those of its quantities that have any. *share*, above 0 to 1, is the part of
    the interval that passes from the first measurement to the second: where devices differ in it, they do not
    measure at the same moment for ever.
    """

    id: str
    sensor: Sensor
    interval: float
    deadline: float
    note: dict[str, Any] = field(default_factory=dict)
    screens: Mapping[Quantity, Screen] = field(default_factory=dict)
    share: float = 1.0


@dataclass
class Sampler:
    """Samples one device for ever. Nothing that a device or its bus does reaches beyond its own task.

    *publish* takes each reading, *announce* each event (lost, back), *beat* is called on every turn, so that
    a watchdog can see a task that hangs. A measurement that fails gives a reading in which every quantity is
    missing, with the reason; while a device cannot even be started there is none.
    """

    device: Device
    clock: Clock
    now: Now
    publish: Callable[[Reading], None]
    announce: Callable[[Event], None]
    beat: Callable[[], None]
    jitter: Random = field(default_factory=Random)
    state: State = State.STARTING
    since: float = 0.0
    reason: str = ""
    measures: int = 0
    failures: int = 0
    missed: int = 0
    latest: Reading | None = None
    _lost: bool = False
    _failed: int = 0
    _pauses: int = 0
    _poke: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Sample until cancelled, then leave the device inert."""
        self.since = self.clock.monotonic()
        watcher = asyncio.create_task(self._watch(), name=f"watch {self.device.id}")
        try:
            while True:
                await self._until_started()
                await self._while_running()
        finally:
            watcher.cancel()
            with suppress(*_FAULTS):
                async with asyncio.timeout(1.0):
                    await self.device.sensor.stop()

    def poke(self) -> None:
        """Take a measurement now, between the regular ones."""
        self._poke.set()

    def status(self) -> dict[str, Any]:
        """Return where the device is and what it last gave."""
        return {
            "id": self.device.id,
            **self.device.note,
            "state": self.state,
            "since": round(self.clock.monotonic() - self.since, 3),
            "interval": self.device.interval,
            "measures": self.measures,
            "failures": self.failures,
            "missed": self.missed,
            "reason": self.reason,
            "latest": self.latest.body() if self.latest else None,
            "units": {quantity: UNITS[quantity] for quantity in sorted(self.device.sensor.quantities)},
        }

    async def _until_started(self) -> None:
        """Start the device, again and again with growing pauses until it works."""
        while not await self._start():
            await self._back_off()

    async def _start(self) -> bool:
        self.beat()
        try:
            async with asyncio.timeout(self.device.deadline):
                await self.device.sensor.start()
        except _FAULTS as error:
            self._lose(_said(error, self.device.deadline))
            return False
        return True

    async def _while_running(self) -> None:
        """Measure on time until a measurement fails; the way on is a new start of the device."""
        origin, turn = self.clock.monotonic() - (1.0 - self.device.share) * self.device.interval, 0
        poked = False
        while await self._measure():
            turn, poked = await self._next_turn(origin, turn, poked)
        if self._failed >= PATIENCE:
            self._lose(self.reason)
        if self._lost:
            await self._back_off()
        else:
            await self.clock.sleep(min(self.device.interval, FIRST_PAUSE))

    async def _back_off(self) -> None:
        """Pause longer after each failure; a good measurement starts again at the shortest."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._pauses)
        self._pauses = min(self._pauses + 1, 10)
        await self.clock.sleep(pause * self.jitter.uniform(0.75, 1.0))

    async def _next_turn(self, origin: float, turn: int, poked: bool) -> tuple[int, bool]:
        """Wait for the next multiple of the interval after *origin*, or for a poke.

        Returns the turn's number, and whether it is a poke in between. Turns are counted from *origin*, so
        that no lateness adds up. Turns that a slow measurement ran over are counted as missed and not made up
        for; but one that a poked measurement ran into has been measured by it.
        """
        interval = self.device.interval
        passed = floor((self.clock.monotonic() - origin) / interval + 1e-9)
        self.missed += max(0, passed - turn - int(poked))
        turn = max(turn, passed)
        due = origin + (turn + 1) * interval
        if not self._poke.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(due - self.clock.monotonic()):
                    await self._poke.wait()
        poked = self._poke.is_set() and self.clock.monotonic() < due
        self._poke.clear()
        return (turn if poked else turn + 1), poked

    async def _measure(self) -> bool:
        """Take one measurement and publish it; return whether it worked."""
        self.beat()
        self.measures += 1
        try:
            async with asyncio.timeout(self.device.deadline):
                values = await self.device.sensor.measure()
        except _FAULTS as error:
            self.failures += 1
            self._failed += 1
            self.reason = _said(error, self.device.deadline)
            self._publish(dict.fromkeys(self.device.sensor.quantities, _missing(error)))
            return False
        self._publish(values)
        self._failed = self._pauses = 0
        self._found()
        return True

    def _publish(self, values: Values) -> None:
        self.latest = screened(reading(self.device.id, self.now, values), self.device.screens)
        self.publish(self.latest)

    def _lose(self, reason: str) -> None:
        """Say once that the device is lost; afterwards only remember the latest reason."""
        self.reason = reason
        if self._lost:
            return
        self._lost = True
        self._enter(State.LOST)
        log.warning("%s is lost: %s", self.device.id, reason)
        self._tell("lamppost.device.lost", {"reason": reason})

    def _found(self) -> None:
        """Say once that the device is back."""
        if self.state is not State.RUNNING:
            away = self.clock.monotonic() - self.since
            self._enter(State.RUNNING)
            if self._lost:
                log.warning("%s is back after %.0f s", self.device.id, away)
                self._tell("lamppost.device.back", {"away": round(away, 3)})
        self._lost = False
        self.reason = ""

    def _enter(self, state: State) -> None:
        self.state, self.since = state, self.clock.monotonic()

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        self.announce(Event(kind, self.device.id, self.now(), data))

    async def _watch(self) -> None:
        """Measure at once whenever a device that can tell says that it changed."""
        if not isinstance(self.device.sensor, Watched):
            return
        while True:
            try:
                async for _ in self.device.sensor.changes():
                    self._poke.set()
            except _FAULTS as error:
                log.debug("%s cannot be watched now: %s", self.device.id, error)
            await self.clock.sleep(FIRST_PAUSE)


def reading(device: str, now: Now, values: Values) -> Reading:
    """Sort *values* into those that are there and those that are missing.

    Not-a-number and infinity are missing too, whoever let them through: they are no measurement, and no JSON.
    """
    there: dict[Quantity, float] = {}
    missing: dict[Quantity, Missing] = {}
    for quantity, value in sorted(values.items()):
        if isinstance(value, Missing):
            missing[quantity] = value
        elif isfinite(value):
            there[quantity] = significant(value)
        else:
            missing[quantity] = Missing.OUT_OF_RANGE
    return Reading(device, now(), there, missing)


def screened(reading: Reading, screens: Mapping[Quantity, Screen]) -> Reading:
    """Return *reading* with the flags of the quantities that are tested."""
    flags = {}
    for quantity, screen in screens.items():
        value = reading.values.get(quantity)
        missing = reading.missing.get(quantity, Missing.DEVICE_ERROR)
        flag = screen.feed(reading.at.mono, missing if value is None else value)
        if flag not in (Flag.MISSING, Flag.NOT_EVALUATED):
            flags[quantity] = flag
    return replace(reading, flags=flags) if flags else reading


def _missing(error: BaseException) -> Missing:
    match error:
        case DeviceError():
            return Missing.DEVICE_ERROR
        case BusError():
            return Missing.BUS_ERROR
    return Missing.TIMEOUT


def _said(error: BaseException, deadline: float) -> str:
    if isinstance(error, TimeoutError) and not isinstance(error, BusError):
        return f"it did not answer within {deadline:g} s"
    return str(error) or type(error).__name__
