"""The writing side of the database: the one read-write connection, used in the writer's thread alone."""

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from gateway.clock import Instant
from gateway.reading import Gap, Lane
from gateway.store.errors import Moved, primary
from gateway.store.pending import Batch, Row, row_of_gap
from gateway.store.tally import Drop, Tally

CHUNK = 5000  # rows that one DELETE takes: 1.7 ms, and the WAL stays small
_CHECKPOINT = 500  # pages in the WAL after which they go into the database
_PAGE = 4096
_LABEL = {Lane.TELEMETRY: "device", Lane.EVENTS: "kind"}
_ANY_READING = {Lane.TELEMETRY: math.inf, Lane.EVENTS: -math.inf}  # decisions outlive readings
_ANYTHING = dict.fromkeys(Lane, math.inf)

Cursors = Mapping[Lane, int]


class Stored(NamedTuple):
    """A durable record: its sequence number in its lane, and its JSON text."""

    seq: int
    body: str


@dataclass(slots=True)
class Change:
    """What has become durable: per lane the first number given to the batch and the last of all; drops."""

    first: dict[Lane, int] = field(default_factory=dict)
    highs: dict[Lane, int] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)
    error: sqlite3.Error | None = None


class Log:
    """Appends, drops and trims. Every method is one transaction, or none at all."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._inode = os.stat(path).st_ino
        self._highs: dict[Lane, int] = {lane: self._high(lane) for lane in Lane}
        self._unchecked = 0  # pages written since the last complete checkpoint, estimated

    def tallies(self) -> dict[Lane, Tally]:
        """Read the bookkeeping as it was last saved."""
        return {lane: self._tally(lane) for lane in Lane}

    def commit(self, batches: Mapping[Lane, Batch], cursors: Cursors, at: Instant) -> Change:
        """Append *batches*, making room if there is none. What failed is in the change's *error*.

        Rows that were dropped to make room are in the change also when the append failed in the end.
        """
        done = Change()
        while True:
            try:
                return self._append(batches, at, done)
            except sqlite3.Error as error:
                if primary(error) != "SQLITE_FULL" or not self._made_room(batches, cursors, at, done):
                    done.error = error
                    return done

    def drop(self, wish: Drop, cursors: Cursors, at: Instant) -> Change:
        """Drop what *wish* names and what is still held, and announce it."""
        change = Change()
        with self._transaction() as highs:
            span = (max(wish.first, cursors[wish.lane] + 1), wish.last)
            rows = f"SELECT seq FROM {wish.lane} WHERE seq BETWEEN ? AND ? ORDER BY seq"
            held = [seq for (seq,) in self._connection.execute(rows, span)]
            change.drops = [Drop(wish.lane, *run, wish.reason) for run in _runs(held)]
            self._forget(change.drops, highs, at)
            self._save(cursors, highs)
        change.highs = dict(self._highs)
        return change

    def save(self, cursors: Cursors) -> None:
        """Write down how far each lane is delivered."""
        with self._transaction() as highs:
            self._save(cursors, highs)

    def trim(self, cursors: Cursors, before: Mapping[Lane, float]) -> int:
        """Delete up to CHUNK delivered rows per lane, older than its *before* [s, Unix]; return how many.

        From the front, up to the first that is younger, so that a jump of the clock leaves no holes.
        """
        ends = {lane: self._trimmable(lane, cursors[lane], before[lane]) for lane in Lane}
        if not any(ends.values()):
            return 0
        with self._transaction() as highs:
            self._save(cursors, highs)
            return sum(self._delete(lane, end) for lane, end in ends.items() if end)

    @property
    def full_of_pages(self) -> bool:
        """Whether it is time for a checkpoint. May be asked from any thread."""
        return self._unchecked >= _CHECKPOINT

    def checkpoint(self, *, fully: bool = False) -> bool:
        """Move the WAL's pages into the database; tell whether all went. *fully* empties the file as well.

        A reader in the middle of a query holds pages back: not an error, the rest goes the next time.
        """
        mode = "TRUNCATE" if fully else "PASSIVE"
        busy, pages, moved = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        complete = not busy and pages == moved
        self._unchecked = 0 if complete else _CHECKPOINT // 2
        return complete

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[dict[Lane, int]]:
        """Give the last numbers to work on; they count once the transaction is durable."""
        self._check_place()
        highs = dict(self._highs)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield highs
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._highs = highs
        self._unchecked += 4

    def _check_place(self) -> None:
        """Raise Moved unless the file is where it was opened: SQLite itself does not look."""
        try:
            there = os.stat(self._path).st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise Moved(
                f"{self._path} was moved away or replaced while in use: put it back, or restart lamppost"
            )

    def _append(self, batches: Mapping[Lane, Batch], at: Instant, change: Change) -> Change:
        lost = []
        with self._transaction() as highs:
            first = {}
            for lane, batch in batches.items():
                if batch.lost:
                    lost.append(Drop(lane, highs[lane] + 1, highs[lane] + batch.lost, "memory"))
                    highs[lane] += batch.lost
                first[lane] = highs[lane] + 1
                self._insert(lane, batch.rows, highs)
            self._forget(lost, highs, at)
            if lost:
                self._save_highs(highs)
        self._unchecked += 2 * sum(map(_size, batches.values())) // _PAGE
        change.first, change.highs = first, dict(self._highs)
        change.drops += lost
        return change

    def _insert(self, lane: Lane, rows: Sequence[Row], highs: dict[Lane, int]) -> None:
        numbered = ((seq, r.time, r.label, r.body) for seq, r in enumerate(rows, highs[lane] + 1))
        self._connection.executemany(f"INSERT INTO {lane} VALUES (?, ?, ?, ?)", numbered)
        highs[lane] += len(rows)

    def _forget(self, drops: Iterable[Drop], highs: dict[Lane, int], at: Instant) -> None:
        """Delete the rows of *drops*, note them, and announce each as a gap."""
        for lane, first, last, reason in drops:
            self._connection.execute(f"DELETE FROM {lane} WHERE seq BETWEEN ? AND ?", (first, last))
            self._note(Drop(lane, first, last, reason), at.time)
            self._insert(Lane.EVENTS, [row_of_gap(Gap(at, lane, first, last, reason))], highs)

    def _note(self, drop: Drop, time: float) -> None:
        grown = self._connection.execute(
            "UPDATE dropped SET last = ?, time = ? WHERE lane = ? AND last = ? AND reason = ?",
            (drop.last, time, drop.lane, drop.first - 1, drop.reason),
        )
        if not grown.rowcount:
            self._connection.execute("INSERT INTO dropped VALUES (?, ?, ?, ?, ?)", (*drop, time))

    def _made_room(self, batches: Mapping[Lane, Batch], cursors: Cursors, at: Instant, done: Change) -> bool:
        """Free pages: delivered readings, then events, then the oldest held readings. False: no help."""
        try:
            if self.full_of_pages:
                self.checkpoint()
            if self.trim(cursors, _ANY_READING) or self.trim(cursors, _ANYTHING):
                return True
            if not self._at_cap(batches):
                return False  # the disk itself is full: what is held shall stay while somebody frees it
            oldest = self._oldest(cursors[Lane.TELEMETRY])
            drops = self.drop(Drop(Lane.TELEMETRY, 0, oldest, "full"), cursors, at).drops if oldest else []
        except sqlite3.Error:
            return False
        done.drops += drops
        done.highs = dict(self._highs)
        return bool(drops)

    def _at_cap(self, batches: Mapping[Lane, Batch]) -> bool:
        cap, pages, free = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("max_page_count", "page_count", "freelist_count")
        )
        needed = 2 * sum(map(_size, batches.values())) // _PAGE + 16
        return bool(pages - free + needed >= cap)

    def _oldest(self, cursor: int) -> int:
        """Return the last of the oldest sixteenth of the readings held, at most CHUNK; 0 if none is held."""
        share = max(1, min(CHUNK, (self._highs[Lane.TELEMETRY] - cursor) // 16))
        rows = "SELECT max(seq) FROM (SELECT seq FROM telemetry WHERE seq > ? ORDER BY seq LIMIT ?)"
        last: int | None = self._connection.execute(rows, (cursor, share)).fetchone()[0]
        return last or 0

    def _trimmable(self, lane: Lane, cursor: int, before: float) -> int:
        """Return the last row of the front of *lane* that may go, or 0."""
        front = f"SELECT seq, time FROM {lane} WHERE seq <= ? ORDER BY seq LIMIT ?"
        end = 0
        for seq, time in self._connection.execute(front, (cursor, CHUNK)):
            if time >= before:
                break
            end = seq
        return end

    def _delete(self, lane: Lane, end: int) -> int:
        return self._connection.execute(f"DELETE FROM {lane} WHERE seq <= ?", (end,)).rowcount

    def _save(self, cursors: Cursors, highs: Mapping[Lane, int]) -> None:
        for lane in Lane:
            row = (highs[lane], cursors[lane], lane)
            self._connection.execute("UPDATE lane SET high = ?, cursor = ? WHERE name = ?", row)

    def _save_highs(self, highs: Mapping[Lane, int]) -> None:
        self._connection.executemany(
            "UPDATE lane SET high = ? WHERE name = ?", [(highs[lane], lane) for lane in Lane]
        )

    def _high(self, lane: Lane) -> int:
        """Return the last number ever given out, whether or not its row is still there."""
        rows = (
            f"SELECT max(high, cursor, (SELECT coalesce(max(seq), 0) FROM {lane})) FROM lane WHERE name = ?"
        )
        return int(self._connection.execute(rows, (lane,)).fetchone()[0])

    def _tally(self, lane: Lane) -> Tally:
        (cursor,) = self._connection.execute("SELECT cursor FROM lane WHERE name = ?", (lane,)).fetchone()
        rows = "SELECT lane, first, last, reason FROM dropped WHERE lane = ? ORDER BY first"
        tally = Tally(self._highs[lane], cursor)
        tally.drop(Drop(*row) for row in self._connection.execute(rows, (lane,)))
        return tally


def _size(batch: Batch) -> int:
    return sum(row.size for row in batch.rows)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of each run of consecutive *numbers*, which ascend."""
    if not numbers:
        return
    first = numbers[0]
    for one, other in pairwise(numbers):
        if other != one + 1:
            yield first, one
            first = other
    yield first, numbers[-1]
