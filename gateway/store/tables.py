"""The tables that the store writes, one transaction at a time: all that it changes, or nothing of it."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from gateway.clock import Instant
from gateway.reading import Gap, Lane
from gateway.store.checkpoint import Checkpoint
from gateway.store.errors import Moved
from gateway.store.form import Catalogue
from gateway.store.ledger import Ledger
from gateway.store.memory import Text
from gateway.store.pending import Row, row_of_gap
from gateway.store.tally import Drop, Tally

_EVENT = "INSERT INTO events (seq, time, kind, body) VALUES (?, ?, ?, ?)"  # columns by name: a file may be of
_READING = "INSERT INTO telemetry (seq, time, device, body, form, stamp) VALUES (?, ?, ?, ?, ?, ?)"  # a newer
_TEXT = "INSERT OR REPLACE INTO memory (name, time, body) VALUES (?, ?, ?)"  # version that only adds to them
_DROP = "INSERT INTO dropped (lane, first, last, reason, time) VALUES (?, ?, ?, ?, ?)"

Cursors: TypeAlias = Mapping[Lane, int]
"""How far each lane is delivered."""


@dataclass(slots=True)
class Change:
    """What has become durable: per lane the first number given to the batch and the last of all; drops."""

    first: dict[Lane, int] = field(default_factory=dict)
    highs: dict[Lane, int] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)
    error: sqlite3.Error | None = None
    released: bool = False
    """The ballast went."""


class Tables:
    """The one read-write connection, used in the writer's thread alone.

    What changes rows is called within a `transaction`, with the last numbers that it gives to work on.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, ledger: Ledger | None = None) -> None:
        self.connection = connection
        self.catalogue = Catalogue(connection)
        (self.page,) = connection.execute("PRAGMA page_size").fetchone()
        self.checkpoint = Checkpoint(connection, self.page)
        self.highs: Mapping[Lane, int] = {lane: self._high(lane) for lane in Lane}
        """The last number ever given out in each lane."""
        self._ledger = ledger
        self._path = path
        self._inode = os.stat(path).st_ino

    @contextmanager
    def transaction(self) -> Iterator[dict[Lane, int]]:
        """Give the last numbers to work on; they count once the transaction is durable."""
        self._check_place()
        highs = dict(self.highs)
        if self._ledger:
            self._ledger.begin()
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield highs
            if self._ledger:
                self._ledger.save()
            self.connection.execute("COMMIT")
            self.highs = highs
        finally:
            self.catalogue.settle(self.highs is highs)
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        if self._ledger:
            self._ledger.committed()
        self.checkpoint.committed()

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

    def insert(self, lane: Lane, rows: Sequence[Row], highs: dict[Lane, int]) -> None:
        """Append *rows* to *lane*; decisions are linked to the ledger on their way."""
        if self._ledger and lane is Lane.EVENTS:
            rows = list(self._ledger.link(rows, highs[lane]))
        if lane is Lane.EVENTS:
            numbered = ((seq, r.time, r.label, r.body) for seq, r in enumerate(rows, highs[lane] + 1))
            self.connection.executemany(_EVENT, numbered)
        else:
            self.write_readings(rows, highs[lane] + 1)
        highs[lane] += len(rows)

    def write_readings(self, rows: Sequence[Row], first: int) -> None:
        """Write *rows* under the numbers from *first* on."""
        values = (self._values(seq, row) for seq, row in enumerate(rows, first))
        self.connection.executemany(_READING, values)

    def _values(self, seq: int, row: Row) -> tuple[object, ...]:
        """Return a reading's columns: its text under its device, or its numbers with what they belong to."""
        if row.packed is None:
            return seq, row.time, row.label, row.body, None, None
        numbers = self.catalogue.numbers(row.packed)
        if numbers is None:
            return seq, row.time, row.label, row.text, None, None
        return seq, row.time, "", row.packed.data, *numbers

    def remember(self, texts: Iterable[Text]) -> None:
        """Keep *texts*, each in place of what was under its name."""
        for text in texts:
            if text.body is None:
                self.connection.execute("DELETE FROM memory WHERE name = ?", (text.name,))
            else:
                self.connection.execute(_TEXT, text)

    def forget(self, drops: Iterable[Drop], highs: dict[Lane, int], at: Instant) -> None:
        """Delete the rows of *drops*, note them, and announce each as a gap."""
        for lane, first, last, reason in drops:
            self.delete(lane, first, last)
            self.note(Drop(lane, first, last, reason), at.time)
            self.announce(Gap(at, lane, first, last, reason), highs)

    def delete(self, lane: Lane, first: int, last: int) -> int:
        """Delete the rows *first* to *last*; return how many there were."""
        rows = f"DELETE FROM {lane} WHERE seq BETWEEN ? AND ?"
        return self.connection.execute(rows, (first, last)).rowcount

    def note(self, drop: Drop, time: float) -> None:
        """Keep the books of what was dropped; one that goes on where the last ended makes that longer."""
        grown = self.connection.execute(
            "UPDATE dropped SET last = ?, time = ? WHERE lane = ? AND last = ? AND reason = ?",
            (drop.last, time, drop.lane, drop.first - 1, drop.reason),
        )
        if not grown.rowcount:
            self.connection.execute(_DROP, (*drop, time))

    def announce(self, gap: Gap, highs: dict[Lane, int]) -> None:
        """Tell the consumers of *gap*."""
        self.insert(Lane.EVENTS, [row_of_gap(gap)], highs)

    def save(self, cursors: Cursors, highs: Mapping[Lane, int]) -> None:
        """Write down how far each lane is delivered, and which numbers were given out."""
        for lane in Lane:
            row = (highs[lane], cursors[lane], lane)
            self.connection.execute("UPDATE lane SET high = ?, cursor = ? WHERE name = ?", row)

    def save_highs(self, highs: Mapping[Lane, int]) -> None:
        """Write down which numbers were given out."""
        self.connection.executemany(
            "UPDATE lane SET high = ? WHERE name = ?", [(highs[lane], lane) for lane in Lane]
        )

    def _high(self, lane: Lane) -> int:
        """Return the last number ever given out, whether or not its row is still there."""
        rows = (
            f"SELECT max(high, cursor, (SELECT coalesce(max(seq), 0) FROM {lane})) FROM lane WHERE name = ?"
        )
        return int(self.connection.execute(rows, (lane,)).fetchone()[0])

    def tally(self, lane: Lane) -> Tally:
        """Read the books of *lane* as they were last saved."""
        (cursor,) = self.connection.execute("SELECT cursor FROM lane WHERE name = ?", (lane,)).fetchone()
        rows = "SELECT lane, first, last, reason FROM dropped WHERE lane = ? ORDER BY first"
        tally = Tally(self.highs[lane], cursor)
        tally.drop(Drop(*row) for row in self.connection.execute(rows, (lane,)))
        return tally
