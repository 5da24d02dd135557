"""The reading side: a thread with a read-only connection of its own, so that no query delays a commit."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gateway.reading import Lane
from gateway.store.blocks import Block, Blocks, Cut
from gateway.store.errors import legible
from gateway.store.file import examine, read_only
from gateway.store.form import Columns, Decoder, parsed
from gateway.store.schema import VERSION
from gateway.store.worker import Worker

T = TypeVar("T")

SCAN = 100_000
"""Records that a query for people looks through at most: there is no index but the sequence number."""


LOOK_BACK = 10_000
"""Readings before the place where a time was found that are looked at, lest the clock had jumped there."""


_COLUMNS = {lane: Columns(VERSION).of(lane) for lane in Lane}
_AFTER = {
    lane: f"SELECT seq, {_COLUMNS[lane]} FROM {lane} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    for lane in Lane
}
_DEVICE = "(form IS NULL AND device = ?3 OR form IN (SELECT id FROM form WHERE device = ?3))"
_NUMBER = {Lane.TELEMETRY: "seq", Lane.EVENTS: "event"}


class Found(NamedTuple):
    """A record in the file: its text, or None where the row is no longer what was written."""

    seq: int
    body: str | None

    @property
    def record(self) -> dict[str, Any]:
        """The record, which there is; with its number in front it goes to people."""
        return dict(parsed(self.body or "{}"))


class Reader:
    """Asks the database, opening it when it is first needed and again after a failure."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._worker: Worker | None = None
        self._connection: sqlite3.Connection | None = None

    async def after(self, lane: Lane, seq: int, upto: int, limit: int) -> list[Found]:
        """Return up to *limit* records behind *seq*, in order, none behind *upto*."""
        return await self._found(_AFTER[lane], (seq, upto, limit))

    async def block(self, lane: Lane, seq: int, cut: Cut, upto: int) -> Block:
        """Return the texts of the records behind *seq*, none behind *upto*, as much as *cut* says."""

        def ask() -> Block:
            with legible():
                rows = self._open().execute(_AFTER[lane], (seq, upto, cut.records * cut.runs)).fetchall()
            return self._blocks.block(rows, cut)

        return await self._call(ask)

    async def recent(self, lane: Lane, end: int, label: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the newest *limit* records before *end*, newest first, each with its number."""
        which = "TRUE" if label is None else _DEVICE if lane is Lane.TELEMETRY else "kind = ?3"
        where = f"seq < ?1 AND seq >= ?2 AND (?3 IS NULL OR {which})"
        rows = f"SELECT seq, {_COLUMNS[lane]} FROM {lane} WHERE {where} ORDER BY seq DESC LIMIT ?4"
        found = await self._found(rows, (end, end - SCAN, label, limit))
        return [{_NUMBER[lane]: one.seq, **one.record} for one in found if one.body is not None]

    async def find(self, identifier: str, end: int) -> dict[str, Any] | None:
        """Return the decision with *identifier*, or None where it is not among the newest SCAN events."""
        rows = (
            f"SELECT seq, {_COLUMNS[Lane.EVENTS]} FROM events WHERE kind = 'decision' "
            "AND seq < ? AND seq >= ? AND instr(body, ?) ORDER BY seq DESC"
        )
        for one in await self._found(rows, (end, end - SCAN, json.dumps(identifier))):
            if one.body is not None and (record := one.record).get("id") == identifier:
                return {_NUMBER[Lane.EVENTS]: one.seq, **record}
        return None

    async def leaves(self, after: int, upto: int) -> list[bytes]:
        """Return the hashes of the ledger's records behind *after* up to *upto*, in order."""
        rows = "SELECT leaf FROM leaves WHERE seq > ? AND seq <= ? ORDER BY seq"

        def ask() -> list[bytes]:
            with legible():
                return [bytes(leaf) for (leaf,) in self._open().execute(rows, (after, upto))]

        return await self._call(ask)

    async def linked(self, seq: int) -> dict[str, Any] | None:
        """Return the hash of the ledger's record *seq*, and its text where that is still there."""
        row = (
            "SELECT leaf, CASE WHEN kind = 'decision' THEN body END FROM leaves "
            "LEFT JOIN events ON events.seq = event WHERE leaves.seq = ?"
        )

        def ask() -> dict[str, Any] | None:
            with legible():
                found = self._open().execute(row, (seq,)).fetchone()
            if found is None:
                return None
            return {"seq": seq, "leaf": bytes(found[0]).hex(), "text": _text(found[1])}

        return await self._call(ask)

    async def kept(self, lane: Lane, first: int, last: int) -> tuple[int, int, int]:
        """Return how many records of *first* to *last* are there, their first and last; 0, 0, 0: none."""
        query = f"SELECT count(*), coalesce(min(seq), 0), coalesce(max(seq), 0) FROM {lane} WHERE seq "

        def ask() -> tuple[int, int, int]:
            count, low, high = self._open().execute(f"{query} BETWEEN ? AND ?", (first, last)).fetchone()
            return count, low, high

        return await self._call(ask)

    async def before(self, since: float, upto: int, lane: Lane = Lane.TELEMETRY) -> int:
        """Return the number behind which the records of *since* [s, Unix] and later begin.

        Halving finds it, for times rise with the numbers, but where the clock was set. So LOOK_BACK readings
        before the place are looked at, and as many before the earliest of those that are of *since* or
        later, until there are none. What lies beyond so many older ones in a row is not found.
        """
        return await self._call(lambda: _before(self._open(), since, upto, lane))

    async def remembered(self) -> dict[str, str]:
        """Return every text that can be read, by its name."""

        def ask() -> dict[str, str]:
            with legible():
                rows = self._open().execute("SELECT name, body FROM memory NOT INDEXED").fetchall()
            found = ((_text(name), _text(body)) for name, body in rows)
            return {name: body for name, body in found if name is not None and body is not None}

        return await self._call(ask)

    async def used(self) -> dict[str, set[int]]:
        """Return which forms and stamps the readings need. Takes as long as reading all of them."""

        def ask(name: str) -> set[int]:
            rows = self._open().execute(f"SELECT DISTINCT {name} FROM telemetry WHERE {name} IS NOT NULL")
            return {number for (number,) in rows}

        return await self._call(lambda: {name: ask(name) for name in ("form", "stamp")})

    async def examine(self) -> str:
        """Return the first damage that there is in the file, or ""."""
        return await self._call(lambda: examine(self._path))

    async def close(self) -> None:
        """Close the connection, after the query that is under way."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await worker.stop(self._disconnect)

    async def _found(self, query: str, values: Sequence[object]) -> list[Found]:
        def ask() -> list[Found]:
            with legible():
                rows = self._open().execute(query, values).fetchall()
                text = self._decoder.text
                return [Found(row[0], text(*row[1:])) for row in rows]

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
            self._decoder = Decoder(self._connection)
            self._blocks = Blocks(self._decoder)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _text(raw: object) -> str | None:
    """Return a text as it was written, or None where the disk has made it something else."""
    with contextlib.suppress(UnicodeDecodeError):
        return raw.decode() if isinstance(raw, bytes) else None
    return None


def _before(connection: sqlite3.Connection, since: float, upto: int, lane: Lane) -> int:
    next_one = f"SELECT seq, time >= ? FROM {lane} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1"
    low, high = 0, upto
    with legible():
        while low < high:
            middle = (low + high) // 2
            found = connection.execute(next_one, (since, middle, high)).fetchone()
            if found is None or found[1]:
                high = middle
            else:
                low = found[0]
        while (earlier := _young(connection, since, low, lane)) is not None:
            low = earlier - 1
    return low


def _young(connection: sqlite3.Connection, since: float, upto: int, lane: Lane) -> int | None:
    """Return the first of the last LOOK_BACK records up to *upto* that is of *since* or later, if any is."""
    last = f"SELECT seq, time FROM {lane} WHERE seq <= ? ORDER BY seq DESC LIMIT ?"
    query = f"SELECT min(seq) FROM ({last}) WHERE time >= ?"
    found: int | None = connection.execute(query, (upto, LOOK_BACK, since)).fetchone()[0]
    return found
