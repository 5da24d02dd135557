"""The reading side: a thread with a read-only connection of its own, so that no query delays a commit."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gateway.reading import Lane
from gateway.store.errors import legible
from gateway.store.file import read_only
from gateway.store.worker import Worker

T = TypeVar("T")

SCAN = 100_000
"""Records that a query for people looks through at most: there is no index but the sequence number."""


class Found(NamedTuple):
    """A row as it is in the file: its text, and the record in it, or None where it is no longer one."""

    seq: int
    body: str
    record: dict[str, Any] | None


class Reader:
    """Asks the database, opening it when it is first needed and again after a failure."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._worker: Worker | None = None
        self._connection: sqlite3.Connection | None = None

    async def after(self, lane: Lane, seq: int, upto: int, limit: int) -> list[Found]:
        """Return up to *limit* records behind *seq*, in order, none behind *upto*."""
        rows = f"SELECT seq, body FROM {lane} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        return await self._found(rows, (seq, upto, limit))

    async def recent(self, lane: Lane, end: int, label: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the newest *limit* records before *end*, newest first, each with its `seq`."""
        column = "device" if lane is Lane.TELEMETRY else "kind"
        where = f"seq < ? AND seq >= ?{f' AND {column} = ?' if label is not None else ''}"
        rows = f"SELECT seq, body FROM {lane} WHERE {where} ORDER BY seq DESC LIMIT ?"
        span = (end, end - SCAN) if label is None else (end, end - SCAN, label)
        found = await self._found(rows, (*span, limit))
        return [{"seq": one.seq, **one.record} for one in found if one.record is not None]

    async def find(self, identifier: str, end: int) -> dict[str, Any] | None:
        """Return the decision with *identifier*, or None where it is not among the newest SCAN events."""
        rows = (
            "SELECT seq, body FROM events WHERE kind = 'decision' AND seq < ? AND seq >= ? "
            "AND instr(body, ?) ORDER BY seq DESC"
        )
        for one in await self._found(rows, (end, end - SCAN, json.dumps(identifier))):
            if one.record is not None and one.record.get("id") == identifier:
                return {"seq": one.seq, **one.record}
        return None

    async def close(self) -> None:
        """Close the connection, after the query that is under way."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await worker.stop(self._disconnect)

    async def _found(self, query: str, values: Sequence[object]) -> list[Found]:
        def ask() -> list[Found]:
            with legible():
                return [_found(*row) for row in self._open().execute(query, values).fetchall()]

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
            self._connection.text_factory = bytes  # a text that is none would fail the whole query
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _found(seq: int, raw: object) -> Found:
    with contextlib.suppress(ValueError, RecursionError):
        body = raw.decode() if isinstance(raw, bytes) else ""
        if isinstance(record := json.loads(body), dict):
            return Found(seq, body, record)
    return Found(seq, "", None)
