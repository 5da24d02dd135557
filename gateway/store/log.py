"""The writing side of the database: commits, and what may be asked of the file beside them."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gateway.clock import Instant
from gateway.reading import Lane
from gateway.store.ballast import Ballast
from gateway.store.errors import primary
from gateway.store.ledger import Ledger
from gateway.store.memory import Text
from gateway.store.pending import Batch
from gateway.store.retention import Retention
from gateway.store.room import Room
from gateway.store.tables import Change, Cursors, Tables
from gateway.store.tally import Drop, Tally
from gateway.store.thinning import Thinning


class Log:
    """What the writer's thread does, and no other. Every method is one transaction, or none at all."""

    def __init__(self, connection: sqlite3.Connection, path: Path, ledger: Ledger | None = None) -> None:
        self._connection = connection
        self._tables = tables = Tables(connection, path, ledger)
        self.checkpoint = tables.checkpoint
        self.ballast = Ballast(path)
        self.retention = Retention(tables)
        self.thinning = Thinning(tables, self.retention)
        self._room = Room(tables, self.retention, self.thinning, self.ballast)
        self._buried = 0  # transactions whose sync failed
        (pages,) = connection.execute("PRAGMA max_page_count").fetchone()
        self.limit: int = pages * tables.page
        """Bytes that the file may grow to, beside its write-ahead log."""

    def tallies(self) -> dict[Lane, Tally]:
        """Read the bookkeeping as it was last saved."""
        return {lane: self._tables.tally(lane) for lane in Lane}

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
                needed = _bytes(batches, texts) // self._tables.page
                helps = room and primary(error) == "SQLITE_FULL"
                if not helps or not self._room.make(needed, cursors, at, done):
                    done.error = error
                    self._bury(error, at)
                    return done

    def _append(
        self,
        batches: Mapping[Lane, Batch],
        at: Instant,
        texts: Sequence[Text],
        change: Change,
        cursors: Cursors | None,
    ) -> Change:
        tables, first, lost = self._tables, dict[Lane, int](), list[Drop]()
        with tables.transaction() as highs:
            for lane, batch in batches.items():
                if batch.lost:
                    lost.append(Drop(lane, highs[lane] + 1, highs[lane] + batch.lost, "memory"))
                    highs[lane] += batch.lost
                first[lane] = highs[lane] + 1
                tables.insert(lane, batch.rows, highs)
            tables.forget(lost, highs, at)
            if cursors is not None:
                tables.save(cursors, highs)
            elif lost:
                tables.save_highs(highs)
            tables.remember(texts)
        self.checkpoint.appended(_bytes(batches, texts))
        change.first, change.highs = first, dict(tables.highs)
        change.drops += lost
        return change

    def _bury(self, error: sqlite3.Error, at: Instant) -> None:
        """Write over a transaction whose sync failed: it lies in the log, whole, and would come back.

        Who waits for its records is told that they are not there. What is written must be another each time:
        SQLite writes nothing for a row that stays as it is.
        """
        if getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_FSYNC":
            self._buried += 1
            words = f"{self._buried} at {at.time}"
            with suppress(sqlite3.Error), self._tables.transaction():
                self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('refused', ?)", (words,))

    def save(self, cursors: Cursors) -> None:
        """Write down how far each lane is delivered."""
        with self._tables.transaction() as highs:
            self._tables.save(cursors, highs)

    def crowded(self) -> bool:
        """Tell whether forms and stamps should be pruned, and begin to note which are used."""
        return self._tables.catalogue.crowded()

    def prune(self, used: Mapping[str, set[int]]) -> None:
        """Forget the forms and stamps that no row needs: neither those *used*, nor any since `crowded`."""
        with self._tables.transaction():
            for table, numbers in used.items():
                self._tables.catalogue.prune(table, numbers)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _bytes(batches: Mapping[Lane, Batch], texts: Iterable[Text]) -> int:
    """Return about how many bytes of pages a commit changes, those of the trees above its rows included."""
    rows = sum(row.bytes for batch in batches.values() for row in batch.rows)
    return 2 * (rows + sum(len(text.body or "") for text in texts))
