"""What a damaged file still gives: what was remembered, and its undelivered records, in a new epoch.

An event says so.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

from gateway.clock import Instant
from gateway.reading import Event, Lane, Reading, encode, reading_of
from gateway.store.errors import StoreError, legible
from gateway.store.file import Opened, read_only
from gateway.store.form import Columns, Decoder, Press
from gateway.store.ledger import DECISION, Ledger
from gateway.store.log import Log
from gateway.store.memory import MOST, Text, checked
from gateway.store.pending import Batch, Row, row_of

_LONGEST = 2.0  # [s] that salvage may take: the gateway shall be up within 5 s
_WINDOW = 500  # rows that are read at once where nothing is damaged
_END = 1 << 53  # no sequence number is larger


def salvage(opened: Opened, log: Log, gateway: str, at: Instant, ledger: Ledger | None = None) -> None:
    """Copy what is readable of the file that *opened* moved aside into *log*, then record what happened.

    That is what was remembered, which is little, and then the undelivered records.

    They are numbered anew, and decisions linked anew: with the new epoch a new ledger begins, and the event
    says where the old one ended. Whatever cannot be read, or not in time, stays there alone.
    """
    aside, reason = opened.quarantine, opened.reason
    if aside is None:
        return
    end = time.monotonic() + _LONGEST
    nothing = dict.fromkeys(Lane, 0)
    saved = dict.fromkeys(Lane, 0)
    epoch, end_of = "", None
    with contextlib.suppress(sqlite3.Error), contextlib.closing(read_only(aside)) as connection:
        log.commit({}, nothing, at, list(_remembered(connection)))
        epoch, end_of = _epoch(connection), _end_of_ledger(connection)
        for lane in (Lane.EVENTS, Lane.TELEMETRY):
            for found in _readable(connection, lane, end):
                rows = list(_again(found, epoch, ledger)) if ledger else found
                if log.commit({lane: Batch(0, rows)}, nothing, at).error is None:
                    saved[lane] += len(rows)
    data: dict[str, Any] = {
        "file": aside.name,
        "reason": reason[:500],
        "salvaged": saved,
        "epoch": epoch,
        "ledger": end_of,
    }
    if opened.deleted:
        data["deleted"] = list(opened.deleted)
    told = row_of(Event("lamppost.store.quarantined", gateway, at, data))
    log.commit({Lane.EVENTS: Batch(0, [told])}, nothing, at)


def _readable(connection: sqlite3.Connection, lane: Lane, end: float) -> Iterator[list[Row]]:
    """Yield the undelivered rows of *lane* in order, stepping over what cannot be read, until *end*."""
    rows = f"SELECT seq, {_columns(connection, lane)} FROM {lane} WHERE seq > ? ORDER BY seq LIMIT ?"
    decoder, press = Decoder(connection), Press()
    after, window, step = _cursor(connection, lane), _WINDOW, 1
    while after < _END and time.monotonic() < end:
        try:
            with legible():
                found = connection.execute(rows, (after, window)).fetchall()
                again = [_row(lane, decoder, press, *row[1:]) for row in found if _numbered(*row[:3:2])]
        except sqlite3.Error:
            if window > 1:
                window //= 2  # come closer to the damage ...
            else:
                after, step = after + step, step * 2  # ... and over it, in growing steps
            continue
        if not found:
            return
        after, window, step = found[-1][0], min(2 * window, _WINDOW), 1
        yield [row for row in again if row is not None]


def _again(rows: list[Row], epoch: str, ledger: Ledger) -> Iterator[Row]:
    """Yield *rows* with the decisions as the new ledger takes them; one that it cannot take stays behind."""
    for row in rows:
        with contextlib.suppress(StoreError):
            yield ledger.again(row, epoch) if row.label == DECISION else row


def _epoch(connection: sqlite3.Connection) -> str:
    with contextlib.suppress(sqlite3.Error), legible():
        found = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        return str(found[0])[:20] if found else ""
    return ""


def _end_of_ledger(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """Return how many records the old ledger had, and the last one's hash, as far as that can be read."""
    with contextlib.suppress(sqlite3.Error), legible():
        found = connection.execute("SELECT seq, leaf FROM leaves ORDER BY seq DESC LIMIT 1").fetchone()
        if found and [*map(type, found)] == [int, bytes]:
            return {"size": found[0], "last": found[1].hex()}
    return None


def _remembered(connection: sqlite3.Connection) -> Iterator[Text]:
    """Yield the texts one by one, as far as they can be read. A file of version 1 has none."""
    row, after = "SELECT rowid, name, time, body FROM memory WHERE rowid > ? ORDER BY rowid LIMIT 1", 0
    for _ in range(MOST):
        after += 1
        with contextlib.suppress(sqlite3.Error, ValueError), legible():
            found = connection.execute(row, (after - 1,)).fetchone()
            if found is None:
                return
            after, *rest = found
            if [*map(type, rest)] == [str, float, str]:
                yield checked(Text(*rest))


def _cursor(connection: sqlite3.Connection, lane: Lane) -> int:
    with contextlib.suppress(sqlite3.Error), legible():
        found = connection.execute("SELECT cursor FROM lane WHERE name = ?", (lane,)).fetchone()
        if found and isinstance(found[0], int) and 0 <= found[0] < _END:
            return int(found[0])
    return 0


def _columns(connection: sqlite3.Connection, lane: Lane) -> str:
    with contextlib.suppress(sqlite3.Error), legible():
        return Columns(connection.execute("PRAGMA user_version").fetchone()[0]).of(lane)
    return Columns(0).of(lane)


def _numbered(seq: object, when: object) -> bool:
    return isinstance(seq, int) and isinstance(when, float)


def _row(
    lane: Lane, decoder: Decoder, press: Press, body: object, when: Any, form: object, stamp: object
) -> Row | None:
    """Return a row as it is written anew; None where it is not the text of one record any more."""
    text = decoder.text(body, when, form, stamp)
    if text is None:
        return None
    record = json.loads(text)
    label = record.get("device" if lane is Lane.TELEMETRY else "kind")
    if not isinstance(label, str):
        return None
    if lane is Lane.TELEMETRY and (reading := _reading(record, text)) is not None:
        with contextlib.suppress(StoreError):
            return row_of(reading, None, press)
    return Row(lane, when, label, text)


def _reading(record: dict[str, Any], text: str) -> Reading | None:
    """Return the reading, if it is one that gives this very text."""
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        reading = reading_of(record)
        return reading if encode(reading) == text else None
    return None
