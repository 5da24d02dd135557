"""The tables, and how an older file becomes a newer one. The only importer of sqlite_utils."""

import re
import secrets
import sqlite3
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION = 0x4C616D70  # "Lamp", in the file's header (SQLite file format, section 1.3.5)
_EPOCH = re.compile("[0-9a-f]{8}")
_LIMIT = 1 << 53  # beyond it a number is no number any more in JSON (RFC 8259, section 6)


def _first(db: "Database") -> None:
    """Version 1. No secondary index: on the hot table it nearly doubles the bytes written."""
    db.table("meta").create({"key": str, "value": str}, pk="key", not_null={"value"})
    db.table("lane").create({"name": str, "high": int, "cursor": int}, pk="name", not_null={"high", "cursor"})
    dropped = {"lane": str, "first": int, "last": int, "reason": str, "time": float}
    db.table("dropped").create(dropped, pk=("lane", "first"), not_null={"last", "reason", "time"})
    shape = {"seq": int, "time": float, "device": str, "body": str}
    db.table("telemetry").create(shape, pk="seq", not_null={"time", "device", "body"})
    shape = {"seq": int, "time": float, "kind": str, "body": str}
    db.table("events").create(shape, pk="seq", not_null={"time", "kind", "body"})
    db.table("meta").insert({"key": "epoch", "value": secrets.token_hex(4)})
    db.table("lane").insert_all({"name": name, "high": 0, "cursor": 0} for name in ("telemetry", "events"))


MIGRATIONS: "tuple[Callable[[Database], None], ...]" = (_first,)
VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, version: int, gateway: str) -> None:
    """Bring the file from *version* (0: empty) to VERSION, all or nothing, and mark it as *gateway*'s.

    sqlite_utils is imported here and not above: it costs 7 MB, and a file is migrated once in its life.
    """
    from sqlite_utils import Database

    db = Database(connection, execute_plugins=False)
    with db.atomic():
        for step in MIGRATIONS[version:]:
            step(db)
        for key, value in (("schema", str(VERSION)), ("gateway", gateway)):
            db.table("meta").insert({"key": key, "value": value}, replace=True)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def inconsistency(connection: sqlite3.Connection) -> str:
    """Return what in the bookkeeping cannot be true, or "". A damaged page need not look damaged."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    if meta.get("schema") != str(version):  # a newer version is refused later; a flipped bit is not one
        return "its header and its tables disagree about its version"
    if not _EPOCH.fullmatch(str(meta.get("epoch"))) or "gateway" not in meta:
        return "it does not say which epoch and gateway it belongs to"
    lanes = {name: numbers for name, *numbers in connection.execute("SELECT name, high, cursor FROM lane")}
    numbers = [number for lane in ("telemetry", "events") for number in lanes.get(lane, [None])]
    ranges = connection.execute("SELECT first, last FROM dropped").fetchall()
    for lane in ("telemetry", "events"):
        numbers += connection.execute(f"SELECT coalesce(max(seq), 0) FROM {lane}").fetchone()
    if not all(isinstance(number, int) and 0 <= number < _LIMIT for number in (*numbers, *chain(*ranges))):
        return "its bookkeeping is not made of numbers"
    return ""
