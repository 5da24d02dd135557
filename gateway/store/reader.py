"""The reading side: a thread with a read-only connection of its own, so that no query delays a commit."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gateway.reading import Lane
from gateway.store.errors import legible
from gateway.store.file import read_only
from gateway.store.log import Stored
from gateway.store.worker import Worker

T = TypeVar("T")

SCAN = 100_000
"""Records that a query for people looks through at most: there is no index but the sequence number."""


class Reader:
    """Asks the database, opening it when it is first needed and again after a failure."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._worker: Worker | None = None
        self._connection: sqlite3.Connection | None = None

    async def after(self, lane: Lane, seq: int, upto: int, limit: int) -> list[Stored]:
        """Return up to *limit* records behind *seq*, in order, none behind *upto*."""
        rows = f"SELECT seq, body FROM {lane} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        return [Stored(*row) for row in await self._rows(rows, (seq, upto, limit))]

    async def recent(self, lane: Lane, end: int, label: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the newest *limit* records before *end*, newest first, each with its `seq`."""
        column = "device" if lane is Lane.TELEMETRY else "kind"
        where = f"seq < ? AND seq >= ?{f' AND {column} = ?' if label is not None else ''}"
        rows = f"SELECT seq, body FROM {lane} WHERE {where} ORDER BY seq DESC LIMIT ?"
        span = (end, end - SCAN) if label is None else (end, end - SCAN, label)
        return [{"seq": seq, **json.loads(body)} for seq, body in await self._rows(rows, (*span, limit))]

    async def find(self, identifier: str, end: int) -> dict[str, Any] | None:
        """Return the decision with *identifier*, or None where it is not among the newest SCAN events."""
        rows = (
            "SELECT seq, body FROM events WHERE kind = 'decision' AND seq < ? AND seq >= ? "
            "AND instr(body, ?) ORDER BY seq DESC"
        )
        for seq, body in await self._rows(rows, (end, end - SCAN, json.dumps(identifier))):
            decision: dict[str, Any] = json.loads(body)
            if decision["id"] == identifier:
                return {"seq": seq, **decision}
        return None

    async def close(self) -> None:
        """Close the connection, after the query that is under way."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await worker.stop(self._disconnect)

    async def _rows(self, query: str, values: Sequence[object]) -> list[Any]:
        def ask() -> list[Any]:
            with legible():
                return self._open().execute(query, values).fetchall()

        return await self._call(ask)

    async def _call(self, function: Callable[[], T]) -> T:
        if self._worker is None:
            self._worker = Worker(self._name)
        try:
            return await self._worker.call(function)
        except sqlite3.Error:
            await self._worker.call(self._disconnect)
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = read_only(self._path)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
