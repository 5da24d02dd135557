"""From start to stop: safe outputs, store, broker, pole and page, in that order, and signals in between."""

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from drivers.device import Clock
from drivers.street import Street
from gateway import VERSION
from gateway.app.books import Books
from gateway.app.check import Plan, plan
from gateway.app.hardware import Hardware
from gateway.app.hearing import Hearing
from gateway.app.notary import Notary
from gateway.app.pole import Pole, described
from gateway.app.received import Received
from gateway.app.timekeeper import Timekeeper
from gateway.app.views import Views
from gateway.clock import LoopClock, Now
from gateway.config import ConfigError
from gateway.control import Desk
from gateway.health import Health, feed
from gateway.ledger.linker import Linker
from gateway.mqtt import Delivery
from gateway.reading import Event, Reading
from gateway.store import Store, StoreError, prepare, refuse_if_taken

log = logging.getLogger("lamppost")

STORE = "store"
STORE_LIMIT, STORE_PERIOD = 30.0, 2.0
"""Seconds that the store's writer may go without progress, and how often it is asked."""

END, GRACE, LEAST = 4.2, 2.5, 0.3
"""Seconds that an orderly stop may take, each part of it at the most, and each part even when it is late."""

ASIDE = 0.002
"""Seconds that the live state of a reading waits behind the decision that it has led to."""

TURN = 0.0005
"""Seconds that another thread may compute before the loop has its turn; Python's own are ten times that."""

PAGE_PERIOD = 10.0
"""Seconds before a port that was taken is tried again."""

FIXED = ("gateway", "store", "ledger", "mqtt", "http", "header", "bus")
"""The sections that a reload cannot change."""


@dataclass
class Daemon:
    """One gateway, from its checked plan. `run` returns the exit status."""

    plan: Plan
    clock: Clock = field(default_factory=LoopClock)
    now: Now = field(default_factory=Now)
    street: Street | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    page: str = ""
    _books: Books = field(default_factory=Books)
    _deadline: float = float("inf")
    _began: float = field(default_factory=time.monotonic)
    _reload: asyncio.Event = field(default_factory=asyncio.Event)
    _broken: asyncio.Future[BaseException] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def run(self, signals: bool = True) -> int:
        """Run until a signal, `stopping`, or a defect. 0 after an orderly stop, 1 after a defect."""
        if signals:
            self._listen()
        sys.setswitchinterval(TURN)
        async with AsyncExitStack() as stack:
            await self._build(stack)
            self.ready.set()
            status = await self._until_stopped()
            self._deadline = self.clock.monotonic() + END
            await self._stop_pole()  # the outputs first of all
            return status

    def status(self) -> dict[str, Any]:
        """Return everything that there is to say, as `/status` shows it."""
        return self._views.status()

    def lanes(self) -> dict[str, Any]:
        """Return the store's figures per lane, also after the end."""
        return self._views.lanes()

    async def _build(self, stack: AsyncExitStack) -> None:
        """Make the outputs safe, then start in the order of the data; the stack stops in reverse."""
        config = self.plan.config
        self.health = Health(self.clock)
        await refuse_if_taken(config.store)
        self._hardware = Hardware(self.clock, self.street)
        stack.push_async_callback(self._hardware.close)
        self._pole = self._new_pole()
        stack.push_async_callback(self._stop_pole)
        await self._pole.make_safe()
        await prepare(config.store, config.gateway.id, "gateway.app.prepare")
        self._store = await Store.open(config.store, config.gateway.id, self.clock, self.now, Linker())
        stack.push_async_callback(self._within, self._store.close, "closing the store")
        self._notary = self._new_notary()
        await self._notary.recall()
        self._delivery = Delivery(
            config.mqtt,
            config.gateway.id,
            self._store,
            self._meta,
            self._brief,
            self.now,
            self._notary.shape,
            lambda heard: self._hearing.hear(heard),
        )
        self._views = Views(
            self.plan, self._store, self._delivery, self.health, self.now, self._began, self._notary
        )
        self._hearing = Hearing(self._views, lambda: self.plan.people, self.now)
        self._books.open(self._views, self._store)
        await self._views.recall()
        self._background(stack, self._timekeeper().run(), "clock")
        self._background(stack, self._delivery.run(), "delivery")
        stack.push_async_callback(self._within, self._delivery.stop, "leaving the broker")
        stack.push_async_callback(self._within, self._sign_off, "the last commit")
        stack.push_async_callback(self._within, self._notary.sign, "the last checkpoint")
        self._views.pole = self._pole
        stack.push_async_callback(self._stop_pole)
        await self._pole.start()
        self._views.control = self._pole.control
        received = Received(self._store)
        orders = await received.known(self.now().time)
        self._desk = self._views.desk = Desk(self._pole.control, orders, received.keep)
        self._announce(Event("lamppost.gateway.started", config.gateway.id, self.now(), {"version": VERSION}))
        self.health.expect(STORE, STORE_LIMIT)
        self._background(stack, self._ping(), STORE)
        self._background(stack, self._notary.run(), "ledger")
        if config.http.enabled:
            self._background(stack, self._serve(), "page")
        self._background(stack, feed(self.health, self._line), "health")
        self._background(stack, self._reloads(), "reload")
        _settle()

    async def _until_stopped(self) -> int:
        """Wait for the end: 0 when it was asked for, 1 when a task that should never end did."""
        asked = asyncio.create_task(self.stopping.wait())
        while not asked.done():
            ends: set[asyncio.Future[Any]] = {asked, self._pole.broken, self._broken}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for broken in (self._pole.broken, self._broken):
                if broken.done() and not asked.done():
                    log.critical(
                        "stopping, with every output safe: %s", broken.result(), exc_info=broken.result()
                    )
                    asked.cancel()
                    return 1
        log.info("stopping")
        return 0

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    def _background(self, stack: AsyncExitStack, main: Coroutine[Any, Any, None], name: str) -> None:
        """Run *main* until the stack unwinds; its end before that takes the daemon down."""
        task = asyncio.create_task(main, name=name)
        task.add_done_callback(self._ended)
        stack.push_async_callback(_cancelled, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not self._broken.done():
            self._broken.set_result(task.exception() or RuntimeError(f"{task.get_name()} ended by itself"))

    def _new_pole(self) -> Pole:
        return Pole(
            self.plan,
            self._hardware,
            self._books,
            self.clock,
            self.now,
            self.health,
            self._publish,
            self._announce,
            self._books,
            self._reachable,
        )

    def _new_notary(self) -> Notary:
        settings, gateway = self.plan.config.ledger, self.plan.config.gateway.id
        assert settings.key is not None  # anchored
        return Notary(
            self._store,
            gateway,
            settings.key,
            settings.every,
            self.clock,
            self.now,
            self._announce,
            lambda: self._delivery.show_checkpoint(),
        )

    def _timekeeper(self) -> Timekeeper:
        gateway = self.plan.config.gateway.id
        keeper = Timekeeper(gateway, self.clock, self.now, self._books, self._announce)
        self._views.correction = lambda: keeper.correction
        return keeper

    def _reachable(self) -> bool:
        """Return whether a person's veto could come in: over the broker, or over a page that others see."""
        online = self._delivery.describe()["state"] == "connected"
        return online or (bool(self.page) and self.plan.config.http.seen)

    async def _stop_pole(self) -> None:
        await self._within(self._pole.stop, "putting every output into its safe state")

    async def _within(self, stop: Callable[[], Awaitable[None]], what: str) -> None:
        """Run *stop* as long as the time allows; its failure must not keep the rest from stopping."""
        left = max(LEAST, min(GRACE, self._deadline - self.clock.monotonic()))
        try:
            async with asyncio.timeout(left):
                await stop()
        except TimeoutError:
            log.error("%s took longer than %.1f s and was given up", what, left)
        except StoreError as error:
            log.error("%s failed: %s", what, error)

    def _publish(self, reading: Reading) -> None:
        self._store.add(reading)
        if self._pole.stirred:  # a decision first: the broker's socket can wait until that is on its way
            asyncio.get_running_loop().call_later(ASIDE, self._delivery.state, reading)
        else:
            self._delivery.state(reading)

    def _announce(self, event: Event) -> None:
        self._store.add(event)

    async def _sign_off(self) -> None:
        """Record the end, and with it, durably, all that is still waiting for a commit."""
        await self._store.record(
            Event("lamppost.gateway.stopped", self.plan.config.gateway.id, self.now(), {})
        )

    async def _ping(self) -> None:
        """Beat for the store as long as its writer answers, whether or not its disk does.

        A damaged file is for the next start to move aside and salvage: the daemon ends, outputs safe.
        """
        well = True
        while True:
            await self._store.ping()
            self.health.beat(STORE)
            if self._store.damage:
                raise StoreError(f"the store is damaged, and mended at the next start: {self._store.damage}")
            ready, _ = self._views.ready()
            if ready is not well:
                well = ready
                self._delivery.refresh()
            await self.clock.sleep(STORE_PERIOD)

    async def _serve(self) -> None:
        """Serve the page until cancelled. A port that is taken is said once, and tried again and again."""
        web, http, said = await asyncio.to_thread(_web), self.plan.config.http, False
        while True:
            try:
                server = await web.serve(web.build(self._views), http.host, http.port)
                break
            except web.Unavailable as error:
                if not said:
                    log.error("no page for now: %s; everything else runs", error)
                said = True
                await self.clock.sleep(PAGE_PERIOD)
        self.page = server.url
        log.info("the page is at %s", self.page)
        _settle()
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                await self._apply(await asyncio.to_thread(plan, self.plan.path, True))
            except ConfigError as error:
                for problem in error.problems:
                    log.error("%s", problem)
                log.error("the configuration has %d problems: the old one stays", len(error.problems))

    async def _apply(self, new: Plan) -> None:
        """Take over a new plan as far as that goes without a restart."""
        fixed = [name for name in FIXED if getattr(new.config, name) != getattr(self.plan.config, name)]
        if fixed:
            names = ", ".join(f"[{name}]" for name in fixed)
            log.error("%s can only change with a restart: the old configuration stays", names)
            return
        if new.config.device == self.plan.config.device and new.config.derive == self.plan.config.derive:
            self._pole.take_rules(new)
        else:
            await self._stop_pole()
            self.plan = new
            self._pole = self._views.pole = self._new_pole()
            self._desk.control = self._views.control = self._pole.control
            await self._pole.start()
        self.plan = self._views.plan = new
        self._delivery.describe_again()
        log.info("the new configuration is in force")

    def _meta(self) -> dict[str, Any]:
        """Return what the retained `meta` topic says: who this is and what its readings mean."""
        config = self.plan.config
        return {
            "gateway": config.gateway.id,
            "place": config.gateway.place.model_dump(exclude_none=True),
            "version": VERSION,
            "epoch": self._store.epoch,
            "devices": described(self.plan),
            "rules": {rule.id: rule.says for file in self.plan.rules for rule in file.rules},
        }

    def _brief(self) -> dict[str, Any]:
        """Return what the retained `status` topic says besides being online."""
        full = self._views.status()
        states = {device["id"]: device["state"] for device in full["devices"]}
        return {
            "health": full["health"]["ok"],
            "problems": full["health"]["problems"],
            "devices": states,
            "store": {"writable": full["store"]["writable"], "lanes": full["store"]["lanes"]},
        }

    def _line(self) -> str:
        """Return one line for `systemctl status`."""
        full = self._views.status()
        running = sum(device["state"] == "running" for device in full["devices"])
        held = sum(lane["held"] for lane in full["store"]["lanes"].values())
        total, broker = len(full["devices"]), full["mqtt"]["state"]
        return f"{running} of {total} devices running, {held} held, broker {broker}"


def _web() -> Any:
    from gateway import web  # FastAPI costs 10 MB and a tenth of a second: only for those who want it

    return web


def _settle() -> None:
    """What exists now stays for good: the collector need not walk it again."""
    gc.collect()
    gc.freeze()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
