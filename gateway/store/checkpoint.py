"""When the pages of the write-ahead log go into the database."""

import sqlite3

_ENOUGH = 2 << 20  # bytes in the write-ahead log after which they do
_TREES = 6  # pages that a transaction changes beside those of its rows


class Checkpoint:
    """Estimates what lies in the write-ahead log since the last complete one, and makes the next."""

    def __init__(self, connection: sqlite3.Connection, page: int) -> None:
        """*page*: bytes of a page."""
        self._connection = connection
        self._transaction = _TREES * page
        self._written = 0

    def committed(self) -> None:
        """Count what a transaction changes beside its rows."""
        self._written += self._transaction

    def appended(self, size: int) -> None:
        """Count rows of *size* [bytes of pages]."""
        self._written += size

    @property
    def due(self) -> bool:
        """Whether it is time for one. May be asked from any thread."""
        return self._written >= _ENOUGH

    def make(self, *, fully: bool = False) -> bool:
        """Move the log's pages into the database; tell whether all went. *fully* empties the file as well.

        A reader in the middle of a query holds pages back: not an error, the rest goes the next time.
        """
        mode = "TRUNCATE" if fully else "PASSIVE"
        busy, pages, moved = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        complete = not busy and pages == moved
        self._written = 0 if complete else _ENOUGH // 2
        return complete
