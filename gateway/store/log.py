"""The writing side of the database: the one read-write connection, used in the writer's thread alone."""

import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from gateway.clock import Instant
from gateway.reading import Gap, Lane, Reading, reading_of
from gateway.store.age import Ages
from gateway.store.ballast import Ballast
from gateway.store.errors import Moved, primary
from gateway.store.form import Catalogue, Columns, Decoder, Press
from gateway.store.ledger import Ledger
from gateway.store.memory import Text
from gateway.store.pending import Batch, Row, row_of, row_of_gap
from gateway.store.schema import VERSION
from gateway.store.tally import Drop, Tally
from gateway.store.thin import thinned

CHUNK = 5000  # rows that one DELETE takes: 1.7 ms, and the WAL stays small
_CHECKPOINT = 2 << 20  # bytes in the WAL after which they go into the database
_TREES = 6  # pages that a transaction changes beside those of its rows
_PORTION = 1000  # readings that are thinned at once: some 15 ms in the writer's thread
_TRIES = 4  # portions that are looked at for one commit
_ANY_READING = {Lane.TELEMETRY: -math.inf, Lane.EVENTS: math.inf}  # decisions outlive readings
_ANYTHING = dict.fromkeys(Lane, -math.inf)

_EVENT = "INSERT INTO events (seq, time, kind, body) VALUES (?, ?, ?, ?)"  # columns by name: a file may be of
_READING = "INSERT INTO telemetry (seq, time, device, body, form, stamp) VALUES (?, ?, ?, ?, ?, ?)"  # a newer
_TEXT = "INSERT OR REPLACE INTO memory (name, time, body) VALUES (?, ?, ?)"  # version that only adds to them
_DROP = "INSERT INTO dropped (lane, first, last, reason, time) VALUES (?, ?, ?, ?, ?)"

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
    released: bool = False
    """The ballast went."""


class Log:
    """Appends, drops and trims. Every method is one transaction, or none at all."""

    def __init__(self, connection: sqlite3.Connection, path: Path, ledger: Ledger | None = None) -> None:
        self._connection = connection
        self._ledger = ledger
        self._catalogue = Catalogue(connection)
        self.ballast = Ballast(path)
        self.handed = 0
        """The last reading that was given to the delivery: what is on its way keeps its number."""
        self._thinned = 0  # up to where the readings that wait are thinned, or cannot be
        self._press, self._decoder = Press(), Decoder(connection)
        self._path = path
        self._inode = os.stat(path).st_ino
        self._highs: dict[Lane, int] = {lane: self._high(lane) for lane in Lane}
        self._buried = 0  # transactions whose sync failed
        self._unchecked = 0  # bytes written since the last complete checkpoint, estimated
        (self._page,) = connection.execute("PRAGMA page_size").fetchone()
        (pages,) = connection.execute("PRAGMA max_page_count").fetchone()
        self.limit: int = pages * self._page
        """Bytes that the file may grow to, beside its write-ahead log."""

    def tallies(self) -> dict[Lane, Tally]:
        """Read the bookkeeping as it was last saved."""
        return {lane: self._tally(lane) for lane in Lane}

    def names(self) -> list[str]:
        """Read under which names something is remembered. One that is no text is left out."""
        rows = self._connection.execute("SELECT CAST(name AS BLOB) FROM memory NOT INDEXED")
        return [name.decode("utf-8", "replace") for (name,) in rows if name is not None]

    def commit(
        self,
        batches: Mapping[Lane, Batch],
        cursors: Cursors,
        at: Instant,
        texts: Sequence[Text] = (),
        save: bool = False,
        room: bool = True,
    ) -> Change:
        """Append *batches*, making *room* if there is none, and remember *texts*: all of it, or nothing.

        With *save* the cursors are written down as well, for a page and no commit more. What failed
        is in the change's *error*.

        Rows that were dropped to make room are in the change also when the append failed in the end.
        """
        done = Change()
        while True:
            try:
                return self._append(batches, at, texts, done, cursors if save else None)
            except sqlite3.Error as error:
                needed = _bytes(batches, texts) // self._page
                helps = room and primary(error) == "SQLITE_FULL"
                if not helps or not self._made_room(needed, cursors, at, done):
                    done.error = error
                    self._bury(error, at)
                    return done

    def drop(self, wish: Drop, cursors: Cursors, at: Instant) -> Change:
        """Drop what *wish* names and what is still held, and announce it."""
        change = Change()
        with self._transaction() as highs:
            span = (max(wish.first, cursors[wish.lane] + 1), wish.last)
            rows = f"SELECT seq FROM {wish.lane} WHERE seq BETWEEN ? AND ? ORDER BY seq"
            held = [seq for (seq,) in self._connection.execute(rows, span)]
            change.drops = [Drop(wish.lane, *run, wish.reason) for run in runs(held)]
            self._forget(change.drops, highs, at)
            self._save(cursors, highs)
        change.highs = dict(self._highs)
        return change

    def save(self, cursors: Cursors) -> None:
        """Write down how far each lane is delivered."""
        with self._transaction() as highs:
            self._save(cursors, highs)

    def trim(self, cursors: Cursors, keep: Mapping[Lane, float], at: Instant) -> int:
        """Delete up to CHUNK delivered rows per lane, older than its *keep* [s]; return how many.

        From the front, so that a clock that is set leaves no holes.
        """
        ages = Ages(self._connection, at)
        ends = {lane: ages.older(lane, 0, cursors[lane], keep[lane], CHUNK) for lane in Lane}
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

    def crowded(self) -> bool:
        """Tell whether forms and stamps should be pruned, and begin to note which are used."""
        return self._catalogue.crowded()

    def prune(self, used: Mapping[str, set[int]]) -> None:
        """Forget the forms and stamps that no row needs: neither those *used*, nor any since `crowded`."""
        with self._transaction():
            for table, numbers in used.items():
                self._catalogue.prune(table, numbers)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[dict[Lane, int]]:
        """Give the last numbers to work on; they count once the transaction is durable."""
        self._check_place()
        highs = dict(self._highs)
        if self._ledger:
            self._ledger.begin()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield highs
            if self._ledger:
                self._ledger.save()
            self._connection.execute("COMMIT")
            self._highs = highs
        finally:
            self._catalogue.settle(self._highs is highs)
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if self._ledger:
            self._ledger.committed()
        self._unchecked += _TREES * self._page

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

    def _bury(self, error: sqlite3.Error, at: Instant) -> None:
        """Write over a transaction whose sync failed: it lies in the log, whole, and would come back.

        Who waits for its records is told that they are not there. What is written must be another each time:
        SQLite writes nothing for a row that stays as it is.
        """
        if getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_FSYNC":
            self._buried += 1
            words = f"{self._buried} at {at.time}"
            with suppress(sqlite3.Error), self._transaction():
                self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('refused', ?)", (words,))

    def _append(
        self,
        batches: Mapping[Lane, Batch],
        at: Instant,
        texts: Sequence[Text],
        change: Change,
        cursors: Cursors | None,
    ) -> Change:
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
            if cursors is not None:
                self._save(cursors, highs)
            elif lost:
                self._save_highs(highs)
            self._remember(texts)
        self._unchecked += _bytes(batches, texts)
        change.first, change.highs = first, dict(self._highs)
        change.drops += lost
        return change

    def _insert(self, lane: Lane, rows: Sequence[Row], highs: dict[Lane, int]) -> None:
        if self._ledger and lane is Lane.EVENTS:
            rows = list(self._ledger.link(rows, highs[lane]))
        if lane is Lane.EVENTS:
            numbered = ((seq, r.time, r.label, r.body) for seq, r in enumerate(rows, highs[lane] + 1))
            self._connection.executemany(_EVENT, numbered)
        else:
            self._write_readings(rows, highs[lane] + 1)
        highs[lane] += len(rows)

    def _write_readings(self, rows: Sequence[Row], first: int) -> None:
        values = (self._values(seq, row) for seq, row in enumerate(rows, first))
        self._connection.executemany(_READING, values)

    def _values(self, seq: int, row: Row) -> tuple[object, ...]:
        """Return a reading's columns: its text under its device, or its numbers with what they belong to."""
        if row.packed is None:
            return seq, row.time, row.label, row.body, None, None
        numbers = self._catalogue.numbers(row.packed)
        if numbers is None:
            return seq, row.time, row.label, row.text, None, None
        return seq, row.time, "", row.packed.data, *numbers

    def _remember(self, texts: Iterable[Text]) -> None:
        for text in texts:
            if text.body is None:
                self._connection.execute("DELETE FROM memory WHERE name = ?", (text.name,))
            else:
                self._connection.execute(_TEXT, text)

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
            self._connection.execute(_DROP, (*drop, time))

    def _made_room(self, needed: int, cursors: Cursors, at: Instant, done: Change) -> bool:
        """Free *needed* pages. False: no help.

        First go delivered readings. Then, where it is the disk that is full, the ballast; what is held stays
        while somebody frees the disk. Where it is the store, the oldest readings held are thinned, then they
        go, and last the delivered events.
        """
        try:
            if self.full_of_pages:
                self.checkpoint()
            if self.trim(cursors, _ANY_READING, at):
                return True
            if not self._at_cap(needed):
                done.released = self.ballast.release()
                return done.released
            if self._shed(self.thin, cursors, at, done) or self._shed(self._drop_oldest, cursors, at, done):
                return True
            return bool(self.trim(cursors, _ANYTHING, at))
        except sqlite3.Error:
            return False

    def _shed(
        self, way: Callable[[Cursors, Instant], Change], cursors: Cursors, at: Instant, done: Change
    ) -> bool:
        drops = way(cursors, at).drops
        if drops:
            done.drops += drops
            done.highs = dict(self._highs)
        return bool(drops)

    def _drop_oldest(self, cursors: Cursors, at: Instant) -> Change:
        oldest = self._oldest(cursors[Lane.TELEMETRY])
        return self.drop(Drop(Lane.TELEMETRY, 0, oldest, "full"), cursors, at) if oldest else Change()

    def expire(self, cursors: Cursors, at: Instant, age: float) -> Change:
        """Give up the oldest readings that wait and are older than *age* [s], at most CHUNK."""
        end = self._older(cursors[Lane.TELEMETRY], age, at)
        return self.drop(Drop(Lane.TELEMETRY, 0, end, "expired"), cursors, at) if end else Change()

    def thin_old(self, cursors: Cursors, at: Instant, age: float) -> Change:
        """Make means of the oldest readings that wait and are older than *age* [s], as far as it pays."""
        end = self._older(max(cursors[Lane.TELEMETRY], self.handed, self._thinned), age, at)
        return self.thin(cursors, at, end) if end else Change()

    def _older(self, after: int, age: float, at: Instant) -> int:
        high = self._highs[Lane.TELEMETRY]
        return Ages(self._connection, at).older(Lane.TELEMETRY, after, high, age, CHUNK)

    def thin(self, cursors: Cursors, at: Instant, upto: float = math.inf) -> Change:
        """Make means of the oldest readings that wait, up to *upto*; the delivery was given none of them yet.

        They take the last of the numbers; the others are dropped and announced, with where the means are.
        """
        for _ in range(_TRIES):
            after = max(cursors[Lane.TELEMETRY], self.handed, self._thinned)
            span = self._portion(after, upto)
            if span is None:
                break
            first, readings = span
            last = first + len(readings) - 1
            self._thinned = max(first, last)
            left = thinned(readings)
            if readings and len(left) <= len(readings) // 2:
                return self._replace(first, last, left, cursors, at)
        return Change()

    def _portion(self, after: int, upto: float) -> tuple[int, list[Reading]] | None:
        """Return the first number behind *after* and the readings from there up to a hole or what is none.

        None where there are too few behind *after*, or they go beyond *upto*: the newest stay as they are.
        """
        columns = Columns(VERSION).of(Lane.TELEMETRY)
        query = f"SELECT seq, {columns} FROM telemetry WHERE seq > ? ORDER BY seq LIMIT ?"
        found = self._connection.execute(query, (after, _PORTION)).fetchall()
        if len(found) < _PORTION or found[-1][0] > upto:
            return None
        first, readings = found[0][0], list[Reading]()
        for number, (seq, *row) in enumerate(found, first):
            reading = _reading(self._decoder.text(*row)) if seq == number else None
            if reading is None:
                break
            readings.append(reading)
        return first, readings

    def _replace(self, first: int, last: int, left: list[Reading], cursors: Cursors, at: Instant) -> Change:
        change, begin = Change(), last - len(left) + 1
        reason = f"thinned: {begin} to {last} are what is left, one for each device and minute"
        with self._transaction() as highs:
            drop = Drop(Lane.TELEMETRY, first, begin - 1, "thinned")
            self._connection.execute("DELETE FROM telemetry WHERE seq BETWEEN ? AND ?", (first, last))
            rows = [row_of(reading, None, self._press) for reading in left]
            self._write_readings(rows, begin)
            self._note(drop, at.time)
            gap = row_of_gap(Gap(at, Lane.TELEMETRY, first, begin - 1, reason))
            self._insert(Lane.EVENTS, [gap], highs)
            self._save(cursors, highs)
        change.drops, change.highs = [drop], dict(self._highs)
        return change

    def _at_cap(self, needed: int) -> bool:
        cap, pages, free = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("max_page_count", "page_count", "freelist_count")
        )
        return bool(pages - free + needed + 16 >= cap)

    def _oldest(self, cursor: int) -> int:
        """Return the last of the oldest sixteenth of the readings held, at most CHUNK; 0 if none is held."""
        share = max(1, min(CHUNK, (self._highs[Lane.TELEMETRY] - cursor) // 16))
        rows = "SELECT max(seq) FROM (SELECT seq FROM telemetry WHERE seq > ? ORDER BY seq LIMIT ?)"
        last: int | None = self._connection.execute(rows, (cursor, share)).fetchone()[0]
        return last or 0

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


def _bytes(batches: Mapping[Lane, Batch], texts: Iterable[Text]) -> int:
    """Return about how many bytes of pages a commit changes, those of the trees above its rows included."""
    rows = sum(row.bytes for batch in batches.values() for row in batch.rows)
    return 2 * (rows + sum(len(text.body or "") for text in texts))


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of each run of consecutive *numbers*, which ascend."""
    if not numbers:
        return
    first = numbers[0]
    for one, other in pairwise(numbers):
        if other != one + 1:
            yield first, one
            first = other
    yield first, numbers[-1]


def _reading(text: str | None) -> Reading | None:
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        return reading_of(json.loads(text or ""))
    return None
