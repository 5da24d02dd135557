"""Emptying the write-ahead log beside the writer, so that no decision waits while its pages are moved."""

import sqlite3
from pathlib import Path

from gateway.store.file import beside
from gateway.store.worker import Worker


class Sweeper:
    """A thread with a connection of its own, opened when it is first needed and again after a failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker: Worker | None = None
        self._connection: sqlite3.Connection | None = None

    async def sweep(self) -> bool:
        """Move the pages of the log that no reader needs any more; tell whether those were all.

        A commit meanwhile goes through, and its pages are left for the next time. Raises sqlite3.Error.
        """
        if self._worker is None:
            self._worker = Worker("store-sweep")
        return await self._worker.call(self._move)

    async def close(self) -> None:
        """Close the connection, after the pages that are under way."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await worker.stop(self._disconnect)

    def _move(self) -> bool:
        if self._connection is None:
            self._connection = beside(self._path)
        try:
            return bool(moved(self._connection, "PASSIVE"))
        except sqlite3.Error:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def moved(connection: sqlite3.Connection, mode: str) -> bool | None:
    """Move the log's pages into the database in SQLite's *mode*; tell whether all went, None: not begun."""
    busy, pages, done = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return None if busy else bool(pages == done)
