"""What a damaged file still gives: what was remembered, and its undelivered records, in a new epoch.

What can be had at once is fetched before the store is open; the rest while it works, see rescue.py. An event
says so.
"""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

from gateway.clock import Instant
from gateway.reading import Event, Lane
from gateway.store import quarantine
from gateway.store.errors import legible
from gateway.store.file import Opened
from gateway.store.ledger import Ledger
from gateway.store.log import Log
from gateway.store.pending import Batch, row_of
from gateway.store.wreck import PROGRESS, Wreck, progress, unfinished

_LONGEST = 1.0  # [s] that the start waits for it: the gateway shall be up within 5 s, also on a slow card
_NOTHING = dict.fromkeys(Lane, 0)


def salvage(
    opened: Opened, log: Log, gateway: str, at: Instant, ledger: Ledger | None, path: Path
) -> list[Wreck]:
    """Copy what is readable at once of the file that *opened* moved aside into *log*; record what happened.

    That is what was remembered, which is little, then undelivered events, then readings. They are numbered
    anew, and decisions linked anew: with the new epoch a new ledger begins, and the event says where the old
    one ended. Returns the files of which there is more to fetch, those of earlier damage included.

    How far it has come is committed with each piece, and the note beside the file stays until the event is
    durable: a process that is killed meanwhile leaves to the next what is left to do, and nothing else.
    """
    wrecks = unfinished(path.parent, _remembered(opened.connection))
    if opened.quarantine is None:
        return wrecks
    if not _told(opened.connection, opened.quarantine.name):
        wreck = next((one for one in wrecks if one.path == opened.quarantine), None)
        if wreck is None:
            wreck = Wreck(opened.quarantine)
            wrecks = [wreck, *wreck.older()]
            # the last of a name counts
            log.commit({}, _NOTHING, at, [*wreck.remembered(), progress(wrecks, at.time)])
        _fetch(wreck, wrecks, log, at, ledger)
        told = row_of(Event("lamppost.store.quarantined", gateway, at, _data(opened, wreck)))
        change = log.commit({Lane.EVENTS: Batch(0, [told])}, _NOTHING, at, [progress(wrecks, at.time)])
        wreck.close()
        if change.error is not None:
            return [each for each in wrecks if not each.done]
    quarantine.end(path)
    return [each for each in wrecks if not each.done]


def _data(opened: Opened, wreck: Wreck) -> dict[str, Any]:
    data: dict[str, Any] = {
        "file": wreck.path.name,
        "reason": opened.reason[:500],
        "salvaged": dict(wreck.saved),
        "epoch": wreck.epoch,
        "ledger": wreck.end_of_ledger(),
    }
    if opened.deleted:
        data["deleted"] = list(opened.deleted)
    if not wreck.done:
        data["continues"] = True
    return data


def _fetch(wreck: Wreck, wrecks: list[Wreck], log: Log, at: Instant, ledger: Ledger | None) -> None:
    """Fetch until the time is up. What the disk does not take is left for later."""
    end = time.monotonic() + _LONGEST
    while time.monotonic() < end:
        before = dict(wreck.after), dict(wreck.saved)
        if (piece := wreck.piece(ledger)) is None:
            return
        lane, rows = piece
        texts = [progress(wrecks, at.time)]
        if log.commit({lane: Batch(0, rows)}, _NOTHING, at, texts, room=False).error is not None:
            wreck.after, wreck.saved = before
            return


def _remembered(connection: sqlite3.Connection) -> str | None:
    with contextlib.suppress(sqlite3.Error), legible():
        found = connection.execute("SELECT body FROM memory WHERE name = ?", (PROGRESS,)).fetchone()
        return str(found[0]) if found else None
    return None


def _told(connection: sqlite3.Connection, name: str) -> bool:
    """Tell whether an event speaks of the file *name*: only the note was left behind."""
    query = "SELECT count(*) FROM events WHERE kind = 'event' AND instr(body, ?)"
    return bool(connection.execute(query, (f'"{name}"',)).fetchone()[0])
