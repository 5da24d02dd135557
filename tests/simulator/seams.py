"""Where the real code meets the world: the names in it that stand for a thread, a file, a socket, a chance.

Nothing of what the gateway decides is replaced. The threads of the store become events of the world, its
files lie in memory, and paho's socket is the simulated broker's. Pauses in which nothing happens are longer,
so that a life costs less.
"""

import asyncio
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import quote

from gateway import reading
from gateway.app import pole, streams
from gateway.control import control, descent, output, station
from gateway.mqtt import delivery
from gateway.rules import state
from gateway.rules.rule import Rule, fingerprint
from gateway.store import ballast, file, reader, worker
from gateway.store import store as door
from tests.simulator.disk import Disk, Queue
from tests.simulator.link import Link
from tests.simulator.world import World

T = TypeVar("T")

REVIEW = 1.0
"""Seconds between two looks of the control at the permissives of what is on."""

_SLOWER: tuple[tuple[ModuleType, str, float], ...] = (
    (control, "IDLE", 20.0),
    (output, "IDLE", 20.0),
    (station, "IDLE", 20.0),
    (control, "HUNG", 90.0),
    (station, "REVIEW", REVIEW),
    (descent, "REVIEW", REVIEW),
    (pole, "SLACK", 90.0),
    (streams, "TICK", 120.0),
    (ballast, "SIZE", 4096),
)


class Died(RuntimeError):
    """The process is dead: nothing that it still does reaches the world."""


class Worker:
    """A thread of the store: runs a call when the disk gets to it. See gateway.store.worker.Worker."""

    disk: Disk

    def __init__(self, name: str) -> None:
        self._queue = Queue(name)

    async def call(self, function: Callable[[], T]) -> T:
        return await self._ask(function)

    async def stop(self, last: Callable[[], None], patience: float = 0.5) -> None:
        await asyncio.wait({self._ask(last)}, timeout=patience)

    def _ask(self, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        if not self.disk.world.alive:
            raise Died
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.disk.take(self._queue, function, done)
        return future


def _lock(disk: Disk) -> type[file.Lock]:
    class Lock(file.Lock):
        """A lock that a process lets go of when it dies."""

        held = True

        def __init__(self, path: Path) -> None:
            super().__init__(path)
            disk.locks.append(self)

        def release(self) -> None:
            self.let_go()

        def let_go(self) -> None:
            if self.held:
                self.held = False
                super().release()

    return Lock


@contextmanager
def replaced(world: World, disk: Disk, link: Callable[..., Link]) -> Iterator[None]:
    """Let the gateway live in *world* for as long as this lasts."""

    def plain(path: Path) -> sqlite3.Connection:
        return disk.connect(path, isolation_level=None, timeout=0.5)

    def read_only(path: Path) -> sqlite3.Connection:
        return disk.glance(f"file:{quote(str(path))}?mode=ro")

    ids = iter(range(1, 1 << 60))
    here: list[tuple[Any, str, Any]] = [
        (reading, "new_id", lambda: f"{world.seed:016x}{next(ids):016x}"),
        (file, "_plain", plain),
        *((module, "fingerprint", _fingerprint) for module in (pole, state)),
        (door, "Lock", _lock(disk)),
        (delivery, "Link", link),
        *((module, "read_only", read_only) for module in _READERS),
        *((module, "Worker", Worker) for module in _WORKERS),
        *_SLOWER,
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in here]
    Worker.disk = disk
    for module, name, value in here:
        setattr(module, name, value)
    random.seed(f"{world.seed} of the gateway")
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


_KNOWN: dict[int, tuple[Rule, str]] = {}


def _fingerprint(rule: Rule) -> str:
    """Return the fingerprint of a rule. All lives have the same rules, so it is made once for each."""
    if id(rule) not in _KNOWN:
        _KNOWN[id(rule)] = rule, fingerprint(rule)
    return _KNOWN[id(rule)][1]


def _users(name: str, value: Any) -> tuple[ModuleType, ...]:
    """Return every module of the store that knows *value* by *name*."""
    own = [module for key, module in sorted(sys.modules.items()) if key.startswith("gateway.store")]
    return tuple(module for module in own if getattr(module, name, None) is value)


assert reader  # it must be loaded for `_users` to see it
_READERS, _WORKERS = _users("read_only", file.read_only), _users("Worker", worker.Worker)
