"""What a damaged file still gives: its undelivered records, in a new epoch, and an event that says so."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.clock import Instant
from gateway.reading import Event, Lane
from gateway.store.errors import legible
from gateway.store.file import read_only
from gateway.store.log import Log
from gateway.store.pending import Batch, Row, row_of

_LONGEST = 2.0  # [s] that salvage may take: the gateway shall be up within 5 s
_WINDOW = 500  # rows that are read at once where nothing is damaged
_END = 1 << 53  # no sequence number is larger


def salvage(aside: Path, reason: str, log: Log, gateway: str, at: Instant) -> None:
    """Copy what is readable of the undelivered records of *aside* into *log*, then record what happened.

    They are numbered anew. Whatever cannot be read, or not in time, stays in *aside* alone.
    """
    end = time.monotonic() + _LONGEST
    nothing = dict.fromkeys(Lane, 0)
    saved = dict.fromkeys(Lane, 0)
    with contextlib.suppress(sqlite3.Error), contextlib.closing(read_only(aside)) as connection:
        for lane in (Lane.EVENTS, Lane.TELEMETRY):
            for rows in _readable(connection, lane, end):
                if log.commit({lane: Batch(0, rows)}, nothing, at).error is None:
                    saved[lane] += len(rows)
    data = {"file": aside.name, "reason": reason[:500], "salvaged": saved}
    told = row_of(Event("lamppost.store.quarantined", gateway, at, data))
    log.commit({Lane.EVENTS: Batch(0, [told])}, nothing, at)


def _readable(connection: sqlite3.Connection, lane: Lane, end: float) -> Iterator[list[Row]]:
    """Yield the undelivered rows of *lane* in order, stepping over what cannot be read, until *end*."""
    rows = f"SELECT * FROM {lane} WHERE seq > ? ORDER BY seq LIMIT ?"
    after, window, step = _cursor(connection, lane), _WINDOW, 1
    while after < _END and time.monotonic() < end:
        try:
            with legible():
                found = connection.execute(rows, (after, window)).fetchall()
        except sqlite3.Error:
            if window > 1:
                window //= 2  # come closer to the damage ...
            else:
                after, step = after + step, step * 2  # ... and over it, in growing steps
            continue
        if not found:
            return
        after, window, step = found[-1][0], min(2 * window, _WINDOW), 1
        yield [Row(lane, *row[1:]) for row in found if _sound(*row)]


def _cursor(connection: sqlite3.Connection, lane: Lane) -> int:
    with contextlib.suppress(sqlite3.Error), legible():
        found = connection.execute("SELECT cursor FROM lane WHERE name = ?", (lane,)).fetchone()
        if found and isinstance(found[0], int) and 0 <= found[0] < _END:
            return int(found[0])
    return 0


def _sound(seq: object, when: object, label: object, body: object) -> bool:
    """Tell whether a row looks as it was written: its text is still the JSON of one record."""
    if not (
        isinstance(seq, int) and isinstance(when, float) and isinstance(label, str) and isinstance(body, str)
    ):
        return False
    with contextlib.suppress(ValueError, RecursionError):
        return isinstance(json.loads(body), dict)
    return False
