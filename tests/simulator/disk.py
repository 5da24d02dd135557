"""The card: real files in memory under the store's real SQLite code, slow, full or broken by the seed."""

import os
import resource
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from gateway.reading import Lane
from tests.simulator.world import Caught, World

SETTLED = 12.0
"""Seconds that the disk must have been well before every reading has to be on it: a failed commit is tried
again after ten at the latest."""

FULL_SYNC = 2  # PRAGMA synchronous
_HIGHS = f"SELECT {', '.join(f'(SELECT max(seq) FROM {lane})' for lane in Lane)}"
_HARD = resource.getrlimit(resource.RLIMIT_FSIZE)[1]


class State(StrEnum):
    """How the card is."""

    WELL = "well"
    FULL = "full"  # ENOSPC at every commit and checkpoint
    BROKEN = "broken"  # EIO at every write
    TORN = "torn"  # EIO in the middle of a write
    CAPPED = "capped"  # the store has reached the size that it may have
    BLIND = "blind"  # nothing can be read
    SLOW = "slow"
    HUNG = "hung"  # no call comes back before it is over


class Wire(sqlite3.Connection):
    """A connection whose disk can be full. Everything else that goes wrong happens below it, in the file."""

    disk: "Disk"

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:  # type: ignore[override]
        if self.disk.state is State.FULL and (sql == "COMMIT" or "checkpoint" in sql):
            if self.in_transaction:
                super().execute("ROLLBACK")
            raise _error("SQLITE_FULL", 13, "database or disk is full")
        return super().execute(sql, *parameters)


class Glass(sqlite3.Connection):
    """A connection that only reads."""

    disk: "Disk"

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:  # type: ignore[override]
        if self.disk.state is State.BLIND:
            self.disk.failed_reads += 1
            raise _error("SQLITE_IOERR_READ", 266, "disk I/O error")
        return super().execute(sql, *parameters)


def _error(name: str, code: int, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorname, error.sqlite_errorcode = name, code
    return error


@dataclass
class Queue:
    """One worker's calls, which run one after another."""

    name: str
    free: float = 0.0


@dataclass
class Disk:
    """The files of one life. *settled* is called after every call of the writer, *committed* or not."""

    world: World
    folder: Path
    settled: Callable[[], None] = lambda: None
    state: State = State.WELL
    well_since: float = 0.0
    writer: Wire | None = None
    connections: list[sqlite3.Connection] = field(default_factory=list)
    locks: list[Any] = field(default_factory=list)
    calls: int = 0
    failed_reads: int = 0
    number: int = 0

    def __post_init__(self) -> None:
        self._random = self.world.random("disk")
        self._faults = 0
        self._seen: object = None
        self._own: sqlite3.Connection | None = None  # the judges', while no writer is open
        self._openings = 0
        self._hung: list[tuple[Queue, Callable[[], Any], Callable[[Any, Any], None]]] = []

    @property
    def path(self) -> Path:
        """Where the present process' store is."""
        return self.folder / f"store-{self.number}.db"

    def fail(self, state: State, seconds: float) -> None:
        """Be *state* for *seconds*, and no longer what it was."""
        self._uncap()
        self.state = state
        self.world.note(f"disk {state} for {seconds:.1f} s")
        self.world.count("disk", state)
        if state is State.CAPPED and self.writer is not None:
            (pages,) = self.writer.execute("PRAGMA page_count").fetchone()
            self.writer.execute(f"PRAGMA max_page_count = {pages + self._random.randint(0, 8)}")
        self._faults += 1
        number = self._faults
        self.world.after(seconds, lambda: self._mend(number))

    def mend(self) -> None:
        """Be well."""
        if self.state is State.WELL:
            return
        self.world.note("disk well")
        self._uncap()
        self.state, self.well_since = State.WELL, self.world.now
        hung, self._hung = self._hung, []
        for call in hung:
            self.take(*call)

    @property
    def settled_down(self) -> bool:
        """Whether it has been well for so long that everything that was made until then has to be on it."""
        return self.state is State.WELL and self.world.now - self.well_since > SETTLED

    def _uncap(self) -> None:
        if self.state is State.CAPPED and self.writer is not None:
            self.writer.execute("PRAGMA max_page_count = 1000000")

    def _mend(self, number: int) -> None:
        if number == self._faults:
            self.mend()

    # The process' side

    def take(self, queue: Queue, function: Callable[[], Any], done: Callable[[Any, Any], None]) -> None:
        """Run *function* after the queue's calls before it, and hand over its result or error."""
        if self.state is State.HUNG:
            self._hung.append((queue, function, done))
            return
        begins = max(self.world.now, queue.free)
        took, told = self._times()
        queue.free = begins + took + told

        def work() -> None:
            outcome = self._run(queue, function)
            if told:
                self.world.after(told, lambda: done(*outcome), mortal=True)
            else:
                done(*outcome)

        self.world.after(begins + took - self.world.now, work, mortal=True)

    def _times(self) -> tuple[float, float]:
        """Return how long a call takes, and how much later its caller hears of that."""
        if self.state is State.SLOW:
            return self._random.uniform(0.1, 2.0), self._random.uniform(0.0, 0.2)
        return self._random.random() * 0.004, (0.002 if self._random.random() < 0.25 else 0.0)

    def _run(self, queue: Queue, function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        self.calls += 1
        writes = queue.name == "store-writer"
        limited = writes and self.state in (State.BROKEN, State.TORN)
        if limited:
            self._limit()
        result = None
        with Caught() as caught:
            result = function()
        if limited:
            resource.setrlimit(resource.RLIMIT_FSIZE, (_HARD, _HARD))
        if writes:
            self.settled()
        return result, caught.error

    def _limit(self) -> None:
        """Make the kernel refuse every write, or every one beyond some bytes more than there are."""
        most = 0
        if self.state is State.TORN:
            log = self.path.with_name(self.path.name + "-wal")
            most = (log.stat().st_size if log.exists() else 0) + self._random.randint(1, 3000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, _HARD))

    # The judges' side

    def ask(self, sql: str, *parameters: Any) -> list[Any]:
        """Ask what is durable now."""
        return sqlite3.Connection.execute(self.looking(), sql, *parameters).fetchall()

    def looking(self) -> sqlite3.Connection:
        """Return a connection that sees what is durable now: the writer's, unless that was closed."""
        if self.writer is not None and self._changes() >= 0:
            return self.writer
        if self._own is None:
            self._own = sqlite3.connect(self.path)
        return self._own

    def changed(self) -> bool:
        """Tell whether the writer may have changed anything since the last call."""
        before, self._seen = self._seen, self.edition()
        return self._seen != before

    def edition(self) -> tuple[int, int, int]:
        """Return what is another whenever the writer may have changed anything."""
        return self.number, self._openings, self._changes()

    def _changes(self) -> int:
        """Return how many rows the writer has touched; -1 where there is none."""
        try:
            return self.writer.total_changes if self.writer is not None else -1
        except sqlite3.ProgrammingError:  # it is closed
            return -1

    def highs(self) -> dict[Lane, int]:
        """Return the last number of each lane that lies in the file."""
        return {lane: high or 0 for lane, high in zip(Lane, self.ask(_HIGHS)[0], strict=True)}

    # Opening, and the end of a process

    def begin(self, template: Path) -> None:
        """Put the empty store into its place."""
        shutil.copyfile(template, self.path)

    def connect(self, path: Path, **options: Any) -> Wire:
        """Open a connection that can write, as `gateway.store.file` would."""
        wire: Wire = sqlite3.connect(path, factory=Wire, check_same_thread=False, **options)
        wire.disk = self
        self._part()
        self.connections.append(wire)
        self.writer = wire
        self._openings += 1
        return wire

    def glance(self, where: str) -> Glass:
        """Open a connection that only reads."""
        glass: Glass = sqlite3.connect(
            where, uri=True, factory=Glass, isolation_level=None, check_same_thread=False
        )
        glass.disk = self
        self.connections.append(glass)
        return glass

    def crash(self, power: bool) -> None:
        """Leave to the next process what this one's end leaves: without *power*, only what was synced."""
        before, self.number = self.path, self.number + 1
        synced = self.writer is None or self._synced()
        shutil.copyfile(before, self.path)
        log = before.with_name(before.name + "-wal")
        if log.exists() and (synced or not power):
            shutil.copyfile(log, self.path.with_name(self.path.name + "-wal"))
        self.forget()
        self._remove(before)

    def forget(self) -> None:
        """Close what the process had open."""
        for connection in self.connections:
            connection.close()
        for lock in self.locks:
            lock.let_go()
        self.connections.clear()
        self._hung.clear()
        self.locks.clear()
        self.writer = None
        self._part()

    def _part(self) -> None:
        """Close the judges' own connection."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def remove(self) -> None:
        """Delete the life's files."""
        self.forget()
        self._remove(self.path)

    def _synced(self) -> bool:
        return bool(self.ask("PRAGMA synchronous")[0][0] >= FULL_SYNC)

    def _remove(self, path: Path) -> None:
        for each in os.listdir(self.folder):
            if each.startswith(path.name):
                os.unlink(self.folder / each)
