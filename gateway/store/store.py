"""The door to the store: what the rest of the gateway calls, in the event loop."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from drivers.device import Clock
from gateway import config
from gateway.clock import Instant, LoopClock, Now
from gateway.reading import Decision, Lane, Record, lane_of
from gateway.store.blocks import Cut, Run
from gateway.store.errors import StoreError, advice, advised
from gateway.store.file import Lock
from gateway.store.form import Press, parsed
from gateway.store.keeper import Keeper
from gateway.store.ledger import DECISION, Head, Ledger, Linker, spelled
from gateway.store.memory import Text
from gateway.store.opening import begin
from gateway.store.outlet import Outlet, Stored
from gateway.store.pending import Row, row_of
from gateway.store.reader import Reader
from gateway.store.rescue import Rescue
from gateway.store.tally import Counts, Drop
from gateway.store.upkeep import Terms
from gateway.store.wear import Wear
from gateway.store.worker import Worker

Release: TypeAlias = Callable[[], Awaitable[None]]

_CLOSING = 1.3  # [s] that closing may take when the disk does not answer
_LEAVING = 0.4  # [s] that leaving a damaged file may take
_CHUNK = 500  # readings that are replayed at once: 3 ms in the reader's thread
_REASON = 500  # characters of a reason for dropping that are kept


class Store:
    """Numbers records, makes them durable, and keeps them until they are delivered or dropped."""

    def __init__(
        self,
        epoch: str,
        keeper: Keeper,
        release: Release,
        path: Path,
        clock: Clock,
        now: Callable[[], Instant],
        linker: Linker | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """Use `Store.open`. *release* lets go of the file."""
        self.epoch = epoch
        self._keeper = keeper
        self._release = release
        self._outlet = Outlet(path, keeper, clock)
        self._views = Reader(path, "store-views")  # for people, whose queries may take longer
        self._now = now
        self._linker = linker
        self._ledger = ledger
        self._press = Press()
        self._rescue: asyncio.Task[None] | None = None  # fetches the rest of a damaged file

    @classmethod
    async def open(
        cls,
        settings: config.Store,
        gateway: str,
        clock: Clock | None = None,
        now: Callable[[], Instant] | None = None,
        linker: Linker | None = None,
    ) -> "Store":
        """Open the store of *gateway*, or begin one. Raises StoreError that says what to do.

        Without a *linker* decisions are kept as they are, outside of any ledger.
        """
        now, clock, path = now or Now(), clock or LoopClock(), settings.path
        lock = Lock(path)
        worker = Worker("store-writer")
        try:
            begun = await worker.call(lambda: begin(settings, gateway, now, linker))
            keep = {Lane.TELEMETRY: settings.keep, Lane.EVENTS: settings.keep_events}
            wear = Wear(clock.monotonic(), settings.endurance)
            terms = Terms(keep, settings.thin_after, settings.drop_after)
            keeper = Keeper(begun.log, worker, path, settings.commit, terms, now, clock, wear)
            await keeper.start()
        except BaseException as error:
            await worker.stop(lock.release)
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"{path}: {advice(error)}") from error
            raise
        release = partial(worker.stop, lock.release)
        store = cls(begun.epoch, keeper, release, path, clock, now, linker, begun.ledger)
        if begun.wrecks:
            rescue = Rescue(begun.wrecks, keeper, gateway, now, clock, begun.ledger)
            store._rescue = asyncio.create_task(rescue.run(), name="store-salvage")
        return store

    def add(self, record: Record) -> None:
        """Take *record* for the next commit: at once, but a reading within the commit interval.

        Raises StoreError for a record that can never be written (no JSON, or more than 64 KiB).
        """
        self._keeper.put(self._row(record))

    async def record(self, record: Record) -> int:
        """Return *record*'s number once it is durable, with all that was added before it.

        Raises StoreError when that failed; then it is not in the log and will not come into it. One
        that is cancelled is withdrawn, unless it is already on its way to the disk.
        """
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._keeper.put(self._row(record, done))
        return await done

    def _row(self, record: Record, done: asyncio.Future[int] | None = None) -> Row:
        if self._linker is None or not isinstance(record, Decision):
            return row_of(record, done, self._press)
        return Row(lane_of(record), record.at.time, DECISION, spelled(self._linker, record.body()), done)

    @property
    def head(self) -> Head | None:
        """Where the ledger of decisions ends, as far as it is durable; None where none is kept."""
        return self._ledger.head if self._ledger else None

    @property
    def doubt(self) -> str:
        """What was wrong with the last decision in the ledger when the store was opened, or ""."""
        return self._ledger.doubt if self._ledger else ""

    async def leaves(self, after: int, upto: int) -> list[bytes]:
        """Return the hashes of the ledger's records behind *after* up to *upto*. Raises StoreError."""
        with advised():
            return await self._views.leaves(after, upto)

    async def linked(self, seq: int) -> dict[str, Any] | None:
        """Return record *seq* of the ledger: `seq`, `leaf` and, unless it is gone, `text`; None: no such.

        Raises StoreError.
        """
        with advised():
            return await self._views.linked(seq)

    async def after(self, lane: Lane, seq: int, limit: int) -> list[Stored]:
        """Return up to *limit* durable records behind *seq*, in order. A failing disk makes it wait.

        A record that the disk has made unreadable is dropped and announced, and left out.
        """
        return await self._outlet.after(lane, seq, limit)

    async def batches(self, lane: Lane, seq: int, records: int, size: int, most: int) -> Sequence[Run]:
        """Return what follows *seq* as texts for the wire: what `after` returns, in a fraction of its time.

        About *most* runs without a hole, each of at most *records*, and of at most *size* bytes where it is
        more than one record. None only where nothing follows.
        """
        return await self._outlet.batches(lane, seq, Cut(records, size, most))

    async def kept(self, lane: Lane, first: int, last: int) -> tuple[int, int, int]:
        """Return how many records of *first* to *last* are still there, and the first and the last of these.

        0, 0, 0 where none is. Raises StoreError.
        """
        with advised():
            return await self._views.kept(lane, first, last)

    async def before(self, lane: Lane, since: float) -> int:
        """Return the number behind which the records of *since* [s, Unix] and later begin.

        Raises StoreError.
        """
        with advised():
            return await self._views.before(since, self.durable(lane), lane)

    def durable(self, lane: Lane) -> int:
        """Return the last number that is durable; 0 before the first."""
        return self._keeper.durable(lane)

    def cursor(self, lane: Lane) -> int:
        """Return the number up to which everything is delivered or dropped; 0 when nothing is."""
        return self._keeper.tallies[lane].cursor

    async def ping(self) -> None:
        """Return when the writer has taken its next turn, whether or not its disk works."""
        await self._keeper.ping()

    async def changed(self) -> None:
        """Return when something new has become durable. Look at `durable` before, to miss nothing."""
        await self._keeper.news.wait()

    async def delivered(self, lane: Lane, upto: int) -> None:
        """Take note that everything up to *upto* arrived. It is on the disk within 2 s."""
        self._keeper.delivered(lane, upto)

    async def drop(self, lane: Lane, first: int, last: int, reason: str) -> None:
        """Give up what is still held of *first* to *last*, and announce it as a gap. Returns when durable.

        The part of *reason* before its first colon is what `counts` shows.
        """
        await self._keeper.drop(Drop(lane, first, last, reason[:_REASON]))

    def counts(self) -> dict[Lane, Counts]:
        """Return each lane's accepted = delivered + held + dropped."""
        return {lane: tally.counts() for lane, tally in self._keeper.tallies.items()}

    async def recent(
        self,
        lane: Lane,
        limit: int,
        device: str | None = None,
        kind: str | None = None,
        before: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return the newest *limit* records with a number below *before*, newest first.

        Each comes with that number: a reading's is `seq`, an event's `event`, for a decision has a `seq` of
        its own in the ledger. *device* selects readings, *kind* events. Looks at most 100,000 records back.
        Raises StoreError.
        """
        end = self.durable(lane) + 1 if before is None else before
        label = device if lane is Lane.TELEMETRY else kind
        with advised():
            return await self._views.recent(lane, end, label, limit)

    async def find(self, identifier: str) -> dict[str, Any] | None:
        """Return the decision with *identifier*, or None. Raises StoreError."""
        with advised():
            return await self._views.find(identifier, self.durable(Lane.EVENTS) + 1)

    def remember(self, name: str, text: str) -> None:
        """Keep *text* under *name*, in place of what was there, durable with the next commit.

        While the disk does not take it, it waits in memory. Raises ValueError for a text of more than 64 KiB,
        and for a name beyond the 256th.
        """
        self._keeper.remember(Text(name, self._now().time, text))

    def forget(self, name: str) -> None:
        """Keep nothing under *name* any more. No error where nothing was."""
        self._keeper.remember(Text(name, self._now().time, None))

    async def remembered(self) -> dict[str, str]:
        """Return every text by its name, also what is not durable yet. Raises StoreError.

        One that the disk has made unreadable is left out.
        """
        waiting = self._keeper.unwritten()
        try:
            found = await self._views.remembered()
        except sqlite3.Error as error:
            self._keeper.condition.neglect("reading", error)
            raise StoreError(advice(error)) from error
        latest: dict[str, str | None] = {**found, **{text.name: text.body for text in waiting}}
        return {name: body for name, body in latest.items() if body is not None}

    def replay(self, since: float) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the readings from the first of *since* [s, Unix] or later up to now, in order, in chunks.

        Now is the time of this call; what is not durable yet comes last. Behind the first, readings may be
        older than *since* where the clock was set back. Where it was set forward and back long before, the
        first is found as far as `reader.LOOK_BACK` tells. A record that the disk has made unreadable is left
        out. Raises StoreError.
        """
        upto, waiting = self.durable(Lane.TELEMETRY), self._keeper.waiting(Lane.TELEMETRY)
        return self._replay(since, upto, waiting)

    async def _replay(
        self, since: float, upto: int, waiting: Sequence[Row]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        try:
            after = await self._views.before(since, upto)
            while found := await self._views.after(Lane.TELEMETRY, after, upto, _CHUNK):
                after = found[-1].seq
                yield [dict(parsed(one.body)) for one in found if one.body is not None]
        except sqlite3.Error as error:
            self._keeper.condition.neglect("reading", error)
            raise StoreError(advice(error)) from error
        for start in range(0, len(waiting), _CHUNK):
            yield [json.loads(row.text) for row in waiting[start : start + _CHUNK] if row.time >= since]

    def status(self) -> dict[str, object]:
        """Return `writable`, `problem` (a sentence), `path`, `bytes`, `limit`, `waiting`,
        `committed_age` [s], `checked_age` [s], `ballast`, `wear` (see `Wear.status`), and `state`, a word
        of docs/store.md.
        """
        return self._keeper.status()

    @property
    def damage(self) -> str:
        """What SQLite said when it found the file damaged; "" while it is whole. A restart mends it."""
        return self._keeper.condition.damage

    async def close(self) -> None:
        """Commit what waits and let go of the file, within 2 s even when the disk does not answer."""
        if self._rescue is not None:
            self._rescue.cancel()
            await asyncio.wait({self._rescue}, timeout=_LEAVING)
        try:
            await self._keeper.close(_CLOSING)
        finally:
            await asyncio.gather(self._outlet.close(), self._views.close(), self._release())
