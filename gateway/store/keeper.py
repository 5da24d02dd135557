"""The one task that decides what is written when: commits, drops, the cursor, and then the upkeep."""

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path

from drivers.device import Clock
from gateway.clock import Instant
from gateway.reading import Lane
from gateway.store.condition import Condition
from gateway.store.errors import StoreError
from gateway.store.intake import Intake
from gateway.store.log import Log
from gateway.store.memory import Text
from gateway.store.pending import Batch, Row
from gateway.store.tally import Drop, Tally
from gateway.store.upkeep import Terms, Upkeep
from gateway.store.wear import Wear
from gateway.store.worker import Worker
from gateway.store.writer import Writer

_CURSOR = 2.0  # [s] after which an acknowledgement is on the disk; losing it costs duplicates only

_log = logging.getLogger(__name__)


class Keeper:
    """Takes what waits for the log, and has it written. All of it happens in the event loop."""

    def __init__(
        self,
        log: Log,
        worker: Worker,
        path: Path,
        interval: float,
        terms: Terms,
        now: Callable[[], Instant],
        clock: Clock,
        wear: Wear,
    ) -> None:
        self.condition = Condition(path, clock, self._over)
        self._log = log
        self._clock = clock
        self._wear = wear
        self._writer = Writer(log, worker, path, now, clock, self.condition)
        self._upkeep = Upkeep(self._writer, terms)
        self._intake = Intake(interval, clock)
        self._drops: deque[tuple[Drop, asyncio.Future[None]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._unsaved: float | None = None  # when the cursor first moved away from what is on the disk
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the books and begin to work."""
        await self._writer.start()
        self._intake.memory.known(await self._writer.call(self._log.names))
        self._task = asyncio.create_task(self._run(), name="store")

    # What comes in

    def put(self, row: Row) -> None:
        """Take *row* for the next commit."""
        self._check_open()
        if self._intake.put(row):
            self._wake.set()

    def remember(self, text: Text) -> None:
        """Take *text* for the next commit; while the disk fails it waits, and the latest of a name counts."""
        self._check_open()
        if self._intake.remember(text):
            self._wake.set()

    def waiting(self, lane: Lane) -> list[Row]:
        """Return the rows of *lane* behind the last that is durable, oldest first, without their numbers."""
        return self._intake.pending[lane].rows()

    def unwritten(self) -> list[Text]:
        """Return the texts that are not durable yet."""
        return self._intake.memory.waiting()

    def handed(self, lane: Lane, seq: int) -> None:
        """Take note that the delivery was given the records up to *seq*."""
        if lane is Lane.TELEMETRY:
            thinning = self._log.thinning
            thinning.handed = max(thinning.handed, min(seq, self.durable(lane)))

    def delivered(self, lane: Lane, upto: int) -> None:
        """Move the cursor of *lane*, and see that it is saved in time."""
        if self.tallies[lane].deliver(upto) and self._unsaved is None:
            self._unsaved = self._clock.monotonic()
            self._wake.set()

    async def drop(self, drop: Drop) -> None:
        """Return once *drop* is durable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._drops.append((drop, done))
        self._wake.set()
        await done

    async def adopt(self, lane: Lane, rows: list[Row], texts: list[Text]) -> None:
        """Commit *rows* and *texts* at once, for which nothing else gives way. Raises sqlite3.Error."""
        cursors, at, batches = self._writer.cursors(), self._writer.now(), {lane: Batch(0, rows)}
        change = await self._writer.write(lambda: self._log.commit(batches, cursors, at, texts, room=False))
        self._writer.apply(change)
        if change.error is not None:
            raise change.error

    def _check_open(self) -> None:
        if self._closing or self._over():
            raise StoreError("the store is closed")

    def _over(self) -> bool:
        return self._task is None or self._task.done()

    # How it goes

    @property
    def tallies(self) -> dict[Lane, Tally]:
        """The books of each lane."""
        return self._writer.tallies

    def durable(self, lane: Lane) -> int:
        """Return the last number of *lane* that is durable; 0 before the first."""
        return self.tallies[lane].high

    @property
    def news(self) -> asyncio.Event:
        """Set once, when something new has become durable; then there is another."""
        return self._writer.news

    async def ping(self) -> None:
        """Return when the writer's thread has taken a turn."""
        await self._writer.call(lambda: None)

    def status(self) -> dict[str, object]:
        """Return what people and health checks may want to know."""
        condition, writer, sound = self.condition, self._writer, self._upkeep.check.sound
        now = self._clock.monotonic()
        return {
            "state": condition.state(),
            "writable": not condition.failure(),
            "problem": condition.words(),
            "path": str(writer.path),
            "bytes": writer.bytes,
            "limit": self._log.limit,
            "waiting": len(self._intake),
            "committed_age": now - writer.committed,
            "checked_age": None if sound is None else now - sound,
            "ballast": condition.ballast,
            "wear": self._wear.status(now),
        }

    def cramped(self) -> bool:
        """Whether nothing should be written that can wait: the disk fails, or the store is mostly full."""
        condition = self.condition
        full = self._writer.bytes > self._log.limit * 3 // 4
        return bool(condition.failure()) or condition.released or full

    # What is done when

    async def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, self._due() - self._clock.monotonic())):
                        await self._wake.wait()
                await self._turn()
            await self._finish()
        finally:
            self._abandon()

    def _due(self) -> float:
        """Return when there is something to do, on the clock."""
        if self._intake.urgent or (self._drops and not self.condition.problem):
            return 0.0
        moments = [self._upkeep.due]
        if self._intake.due is not None:
            moments.append(self._intake.due)
        if self._unsaved is not None:
            moments.append(self._save_at(self._unsaved))
        return self.condition.retry if self.condition.problem else min(moments)

    async def _turn(self) -> None:
        """Do what is due. While the disk fails, a commit or a save is tried and nothing else."""
        now, condition = self._clock.monotonic(), self.condition
        waited = self._intake.due is not None and now >= self._intake.due
        if self._intake.urgent or (waited and (not condition.problem or now >= condition.retry)):
            await self._commit()
        elif condition.problem and now >= condition.retry:
            await self._save()
        if not condition.problem:
            await self._keep_house(now)

    async def _keep_house(self, now: float) -> None:
        if self._drops:
            await self._drop()
        if self._unsaved is not None and now >= self._save_at(self._unsaved):
            await self._save()
        await self._upkeep.turn(now)

    def _save_at(self, unsaved: float) -> float:
        """Return when the cursor is saved by itself: not when a commit is near that can take it along."""
        commit = self._intake.due
        if commit is None:
            return unsaved + _CURSOR
        return max(unsaved + _CURSOR, min(commit, unsaved + 2 * _CURSOR) + 0.001)

    # What is written

    async def _commit(self) -> None:
        load, unsaved = self._intake.take(), self._unsaved
        cursors, at = self._writer.cursors(), self._writer.now()
        save = unsaved is not None and self._clock.monotonic() - unsaved >= _CURSOR
        if save:
            self._unsaved = None
        change = await self._writer.write(
            lambda: self._log.commit(load.batches, cursors, at, load.texts, save)
        )
        self._writer.apply(change)
        if change.released:
            self.condition.use_reserve()
        if change.error is not None:
            self._unsaved = unsaved if save else self._unsaved
            self._intake.refuse(load, change.error)
            self.condition.fail(change.error)
        else:
            self._intake.settle(load, change)
            self.condition.recover()

    async def _drop(self) -> None:
        wish, done = self._drops[0]
        cursors, at = self._writer.cursors(), self._writer.now()
        try:
            change = await self._writer.write(lambda: self._log.retention.drop(wish, cursors, at))
        except sqlite3.Error as error:
            self.condition.fail(error)
            return
        self._drops.popleft()
        self._writer.apply(change)
        if not done.done():
            done.set_result(None)

    async def _save(self) -> None:
        """Write the cursors down; also the way to find out that a failing disk works again."""
        cursors, self._unsaved = self._writer.cursors(), None
        try:
            await self._writer.write(lambda: self._log.save(cursors))
        except sqlite3.Error as error:
            self._unsaved = self._clock.monotonic()
            self.condition.fail(error)
        else:
            self.condition.recover()

    # How it ends

    async def close(self, patience: float) -> None:
        """Commit what waits, save the cursors, empty the write-ahead log, within *patience* [s].

        Refuses records from now on. A disk that does not answer is left alone, and what is lost logged.
        """
        self._closing = True
        self._wake.set()
        if self._task is None:
            return
        self._upkeep.check.cancel()
        done, _ = await asyncio.wait({self._task}, timeout=patience)
        self._task.cancel()
        await self._upkeep.check.close()
        for task in done:
            await task  # raises what ended it, if a defect did

    async def _finish(self) -> None:
        """Do the last writes, as far as the disk takes them."""
        await self._commit()
        while self._intake.due is not None and not self.condition.problem:
            await self._commit()
        while self._drops and not self.condition.problem:
            await self._drop()
        if not self.condition.problem:
            await self._save()
            await self._upkeep.checkpoint(fully=True)
        await self._writer.call(self._log.close)

    def _abandon(self) -> None:
        """Tell those who still wait that it is over."""
        if lost := self._intake.abandon("the store is closed"):
            failure = self.condition.failure()
            _log.error("store: %d records could not be written before the end: %s", lost, failure)
        for _, done in self._drops:
            if not done.done():
                done.set_exception(StoreError("the store is closed"))
