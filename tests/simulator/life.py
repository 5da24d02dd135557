"""One life of a gateway: everything that happens in it is drawn from its seed."""

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drivers.faults import Fault
from gateway import config
from gateway.clock import LoopClock
from tests.simulator.broker import Broker
from tests.simulator.chips import Parts, Wiring
from tests.simulator.disk import Disk
from tests.simulator.fate import KINDS, Fate
from tests.simulator.guards import Pins
from tests.simulator.link import Link
from tests.simulator.loop import run
from tests.simulator.operator import Operator
from tests.simulator.process import Process
from tests.simulator.record import Books
from tests.simulator.seams import replaced
from tests.simulator.setting import PER_HOUR, Setting, store_of
from tests.simulator.subscriber import Subscriber
from tests.simulator.world import Killed, World

CALM = 400.0
"""Seconds after the last fault within which everything that is held must have been delivered."""


@dataclass(frozen=True, slots=True)
class Lived:
    """How a life went: its trace's *digest*, and how much happened in it (*tally*: see World)."""

    seed: int
    digest: str
    kinds: tuple[str, ...]
    lines: tuple[str, ...]
    seconds: float
    steps: int
    records: int
    moves: int
    processes: int
    duplicates: int
    tally: Mapping[tuple[str, str], int]


def live(seed: int, setting: Setting, folder: Path, tracing: bool = False) -> Lived:
    """Live through the life of *seed*, with its files in *folder*. Raises Violation, or what broke."""
    life = Life(seed, setting, folder, tracing)
    try:
        with quiet(), replaced(life.world, life.disk, partial(Link, life.broker)):
            return life.run()
    except BaseException as error:
        error.add_note("\n".join(life.world.lines or [f"seed {seed}: {', '.join(life.world.kinds)}"]))
        raise
    finally:
        life.disk.remove()


@contextmanager
def quiet() -> Iterator[None]:
    """Log nothing and collect no garbage, for as long as this lasts. Within another one it does nothing."""
    collecting, disabled = gc.isenabled(), logging.root.manager.disable
    gc.disable()
    if disabled < logging.CRITICAL:  # each change makes every logger forget what it knew
        logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        if disabled < logging.CRITICAL:
            logging.disable(disabled)
        if collecting:
            gc.enable()


class Life:
    """The world of one seed, with everything in it."""

    def __init__(self, seed: int, setting: Setting, folder: Path, tracing: bool) -> None:
        self.world = world = World(seed, tracing)
        self._chance = chance = world.random("life")
        world.kinds = sorted(chance.sample(KINDS, chance.randint(2, 5)), key=KINDS.index)
        self._commit = chance.choice((0.2, 1.0, 5.0))
        unheard = chance.choice(("accept", "hold"))
        self._mqtt = config.Mqtt(
            window=chance.choice((1, 2, 4, 16)), batch=chance.choice((1, 3, 20, 100)), no_subscriber=unheard
        )
        per_hour = chance.choice(PER_HOUR)
        self._plan = setting.plans[per_hour]
        self.disk = Disk(world, folder)
        self.disk.begin(setting.template)
        self.parts = Parts(world)
        subscriber = Subscriber(world, self.disk, unheard == "accept")
        self.books = Books(world, self.parts, self.disk, subscriber, self._commit)
        self.subscriber = subscriber
        self.broker = Broker(world, subscriber)
        self.operator = Operator(world, self.broker, subscriber, self.books)
        self.pins = Pins(world, self.parts, self.disk, per_hour, self.operator.approved)
        self.books.seen = self.pins.seen
        self.process: Process | None = None
        self._stopping, self._stirred = False, asyncio.Event()
        self._away = 0.0
        self._faults = Counter[Fault]()  # of the chips

    def run(self) -> Lived:
        """Live; return how it went."""
        Fate(self).plan()
        while True:
            ended = False
            with suppress(Killed):
                ended = run(self.world, self._begin)
                self.disk.forget()
            self.broker.process_died()
            self.pins.power_lost()
            if ended and self.world.calm:
                return self._told()
            self.world.pass_time(self._away or 5.0)
            self._away = 0.0

    def kill(self, away: float, power: bool) -> None:
        """End the process, with *power* the machine too. The next begins after *away* [s]."""
        if not self.world.alive:
            return
        self.world.note("power cut" if power else "kill -9")
        self.world.count("process", "power cut" if power else "kill -9")
        self.books.died()
        self.disk.crash(power)
        self.world.alive, self._away = False, away
        raise Killed

    def restart(self) -> None:
        """Ask the process for an orderly end."""
        self.world.note("restart")
        self.world.count("process", "restart")
        self._stopping = True
        self._stirred.set()

    def calm(self) -> None:
        """The faults are over for good."""
        self.world.note("calm")
        self.world.calm = True
        self._stirred.set()

    async def _begin(self) -> bool:
        world = self.world
        self._stopping, self._stirred = False, asyncio.Event()
        self.wiring = Wiring(self.parts, LoopClock())
        settings = store_of(self.disk.path, self._commit)
        process = Process(world, self._plan, settings, self._mqtt, self.wiring, self.books, self._main)
        self.pins.forget()
        self.wiring.faults.counts = self._faults
        world.note(f"process {world.process} begins in {world.boot}")
        return await process.run()

    async def _main(self, process: Process) -> None:
        """Run until a restart is asked for, or the faults are over and everything is delivered."""
        self.process = process
        try:
            await self._live(process)
        finally:
            self.process = None

    async def _live(self, process: Process) -> None:
        while not self.world.calm:
            with suppress(TimeoutError):
                async with asyncio.timeout(30.0):
                    await self._stirred.wait()
            process.expect_alive()
            if self._stopping:
                return
        until = self.world.now + CALM
        while True:
            upto = dict(self.books.highs)
            await asyncio.sleep(0.5)
            process.expect_alive()
            held = process.held()
            if not held and not self.broker.busy and self.disk.settled_down:
                break
            self.world.expect(
                self.world.now < until, f"{held} records are held, and nothing is wrong any more"
            )
        self.books.finished(process.store, upto)
        self.operator.finished()

    def _told(self) -> Lived:
        world, records = self.world, sum(self.subscriber.highs.values())
        for fault, often in self._faults.items():
            world.count("chips", fault, often)
        world.count("judged", "records", records)
        world.count("judged", "moves of a pin", self.pins.moves)
        world.count("judged", "events", world.steps)
        world.count("judged", "processes", world.process)
        world.count("judged", "virtual seconds", round(world.now))
        return Lived(
            seed=world.seed,
            digest=world.digest.hexdigest(),
            kinds=tuple(world.kinds),
            lines=tuple(world.lines or ()),
            seconds=world.now,
            steps=world.steps,
            records=records,
            moves=self.pins.moves,
            processes=world.process,
            duplicates=self.subscriber.duplicates,
            tally=world.tally,
        )
