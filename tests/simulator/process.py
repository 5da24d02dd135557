"""One process of the gateway: what gateway.app.daemon puts together, in the world."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any

from gateway import config
from gateway.app.books import Books
from gateway.app.check import Plan
from gateway.app.hearing import Hearing
from gateway.app.pole import Pole
from gateway.app.received import Received
from gateway.clock import LoopClock, Now
from gateway.control import Desk
from gateway.health import Health
from gateway.ledger.linker import Linker
from gateway.mqtt import Delivery
from gateway.reading import Answer, Event, Order, Reading
from gateway.store import Store, StoreError
from tests.simulator.chips import Wiring
from tests.simulator.record import Books as Judge
from tests.simulator.setting import GATEWAY, PEOPLE
from tests.simulator.world import World

GRACE = 2.5
"""Seconds that each part of an orderly stop may take."""


class Process:
    """Runs until it is asked to stop. *judge* sees what it promises."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        store: config.Store,
        mqtt: config.Mqtt,
        wiring: Wiring,
        judge: Judge,
        main: Callable[["Process"], Awaitable[None]],
    ) -> None:
        self.world, self.judge = world, judge
        self._plan, self._settings, self._mqtt = plan, store, mqtt
        self._wiring, self._main = wiring, main
        self.desk: Desk | None = None

    async def run(self) -> bool:
        """Live; tell whether it came to an orderly end (False: the store cannot be opened now)."""
        clock = LoopClock()
        self.now = Now(self.world.wall, self.world.mono, self.world.quality, self.world.boot)
        self.health = Health(clock)
        self._books = Books()
        self.pole = Pole(
            self._plan, self._wiring, self._books, clock, self.now, self.health,
            self._publish, self._announce, self._books, lambda: self._online(),
        )  # type: ignore[arg-type]  # fmt: skip
        await self.pole.make_safe()
        try:
            await self._start(clock)
        except StoreError as error:  # the daemon ends, and is started again
            folder = f"{self._settings.path.parent}/"  # it is another in each run
            self.world.note(f"the store cannot be used: {str(error).replace(folder, '')}")
            await self._within(self.pole.stop)
            return False
        await self._main(self)
        await self._stop()
        return True

    async def _start(self, clock: LoopClock) -> None:
        self.store = await Store.open(self._settings, GATEWAY, clock, self.now, Linker())
        outbox = self.judge.watch(self.store)
        hearing = Hearing(self, lambda: PEOPLE, self.now)
        self.delivery = Delivery(
            self._mqtt, GATEWAY, outbox, self._shape, self._shape, self.now, dict, hearing.hear
        )
        self._books.open(outbox, self.store)
        self._delivering = asyncio.create_task(self.delivery.run())
        self._delivering.add_done_callback(self._ended)
        await self.pole.start()
        self.judge.restored(self)
        for name, sampler in self.pole._samplers.items():
            sampler.jitter = Random(f"{self.world.seed} {name}")
        received = Received(self.store)
        self.desk = Desk(self.pole.control, await received.known(self.now().time), received.keep)
        self._announce(Event("lamppost.gateway.started", GATEWAY, self.now(), {}))

    async def submit(self, order: Order) -> Answer:
        """Take an order, as gateway.app.views does."""
        if self.desk is None:
            return Answer(order.id, False, "this gateway takes no orders yet", self.now().time)
        return await self.desk.submit(order)

    def announce(self, type: str, data: Mapping[str, Any]) -> None:
        """Record an event of the gateway's own."""
        self._announce(Event(type, GATEWAY, self.now(), data))

    def held(self) -> int:
        """Return how many records wait for the broker."""
        return sum(counts.held for counts in self.store.counts().values())

    def expect_alive(self) -> None:
        """Raise what ended a task that should never end."""
        if self.pole.broken.done():
            raise AssertionError(f"a task of the pole ended: {self.pole.broken.result()!r}") from (
                self.pole.broken.result()
            )
        self.world.expect(not self.store.damage, f"the store is damaged: {self.store.damage}")
        self.world.expect(self.health.ok, "; ".join(self.health.problems()))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if self.world.alive and not task.cancelled() and task.exception() is not None:
            raise AssertionError(f"the delivery ended: {task.exception()!r}") from task.exception()

    def _online(self) -> bool:
        return bool(self.delivery.describe()["state"] == "connected")

    def _publish(self, reading: Reading) -> None:
        self.judge.published(reading)
        self.store.add(reading)
        self.delivery.state(reading)

    def _announce(self, event: Event) -> None:
        self.store.add(event)

    def _shape(self) -> Mapping[str, Any]:
        return {"gateway": GATEWAY}

    async def _stop(self) -> None:
        """Stop in the daemon's order, each part as long as it may take."""
        await self._within(self.pole.stop)
        await self._within(self._sign_off)
        await self._within(self.delivery.stop)
        self._delivering.cancel()
        await asyncio.wait({self._delivering})
        await self._within(self.store.close)
        self.judge.closed()

    async def _sign_off(self) -> None:
        await self.store.record(Event("lamppost.gateway.stopped", GATEWAY, self.now(), {}))

    async def _within(self, stop: Callable[[], Awaitable[None]]) -> None:
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(GRACE):
                await stop()
