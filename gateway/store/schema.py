"""The tables, and how an older file becomes a newer one. The only importer of sqlite_utils."""

import re
import secrets
import sqlite3
import zlib
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING

from gateway.store.shape import misshapen

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


def _second(db: "Database") -> None:
    """Version 2. What must outlive a restart: the latest text under each name."""
    shape = {"name": str, "time": float, "body": str}
    db.table("memory").create(shape, pk="name", not_null={"time", "body"})


def _third(db: "Database") -> None:
    """Version 3. The decision ledger: where it ends, and a hash for each decision, which outlives its text.

    Decisions up to event *since* are older than the ledger. A file that an older version had meanwhile has
    its ledger still, and goes on with it.
    """
    shape = {"id": int, "size": int, "last": bytes, "state": str, "since": int}
    named = {"size", "last", "state", "since"}
    db.table("ledger").create(shape, pk="id", not_null=named, if_not_exists=True)
    shape = {"seq": int, "leaf": bytes, "event": int}
    db.table("leaves").create(shape, pk="seq", not_null={"leaf", "event"}, if_not_exists=True)
    rows = "SELECT max(high, (SELECT coalesce(max(seq), 0) FROM events)) FROM lane WHERE name = 'events'"
    (since,) = db.execute(rows).fetchone()
    begin = {"id": 1, "size": 0, "last": bytes(32), "state": "", "since": since}
    db.table("ledger").insert(begin, ignore=True)


def _fourth(db: "Database") -> None:
    """Version 4. Readings lie compact, see form.py. Those that are there stay, and are read, as they are."""
    for name in ("form", "stamp"):
        shape, named = {"id": int, "device": str, "body": str}, {"device", "body"}
        db.table(name).create(shape, pk="id", not_null=named, if_not_exists=True)
        if name not in db.table("telemetry").columns_dict:
            db.table("telemetry").add_column(name, int)


MIGRATIONS: "tuple[Callable[[Database], None], ...]" = (_first, _second, _third, _fourth)
VERSION = len(MIGRATIONS)
ADDITIVE: frozenset[int] = frozenset()
"""Versions that only add: tables, or columns that may be empty. Code of the version before works on them."""


def least() -> int:
    """Return the oldest version whose code works on a file of VERSION."""
    return max(version for version in range(1, VERSION + 1) if version not in ADDITIVE)


def usable(connection: sqlite3.Connection) -> bool:
    """Tell whether this code works on the file: it is not newer, or newer only by what was added."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version <= VERSION:
        return True
    found = connection.execute("SELECT value FROM meta WHERE key = 'least'").fetchone()
    return bool(found and str(found[0]).isdecimal() and int(found[0]) <= VERSION)


def migrate(connection: sqlite3.Connection, version: int, gateway: str) -> None:
    """Bring the file from *version* (0: empty) to VERSION, all or nothing, and mark it as *gateway*'s.

    sqlite_utils is imported here and not above: it costs 7 MB, and a file is migrated once in its life.
    """
    from sqlite_utils import Database

    db = Database(connection, execute_plugins=False)
    with db.atomic():
        for step in MIGRATIONS[version:]:
            step(db)
        (epoch,) = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        named = {
            "schema": str(VERSION),
            "least": str(least()),
            "gateway": gateway,
            "check": check(epoch, gateway),
        }
        for key, value in named.items():
            db.table("meta").insert({"key": key, "value": value}, replace=True)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def check(epoch: str, gateway: str) -> str:
    """Return what tells a damaged epoch or name from another one; files from before it have none."""
    return f"{zlib.crc32(f'{epoch} {gateway}'.encode()):08x}"


def inconsistency(connection: sqlite3.Connection) -> str:
    """Return what in the bookkeeping cannot be true, or "". A damaged page need not look damaged."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    if meta.get("schema") != str(version):  # a newer version is refused later; a flipped bit is not one
        return "its header and its tables disagree about its version"
    if unlike := misshapen(connection, version):
        return unlike
    if not _EPOCH.fullmatch(str(meta.get("epoch"))) or "gateway" not in meta:
        return "it does not say which epoch and gateway it belongs to"
    if meta.get("check", sound := check(str(meta["epoch"]), str(meta["gateway"]))) != sound:
        return "its epoch or the name of its gateway is damaged"
    lanes = {name: numbers for name, *numbers in connection.execute("SELECT name, high, cursor FROM lane")}
    numbers = [number for lane in ("telemetry", "events") for number in lanes.get(lane, [None])]
    ranges = connection.execute("SELECT first, last FROM dropped").fetchall()
    for lane in ("telemetry", "events"):
        numbers += connection.execute(f"SELECT coalesce(max(seq), 0) FROM {lane}").fetchone()
    if not all(isinstance(number, int) and 0 <= number < _LIMIT for number in (*numbers, *chain(*ranges))):
        return "its bookkeeping is not made of numbers"
    if version > 1:  # every page of it: one that cannot be read must show here, not in the middle of a start
        connection.execute("SELECT CAST(name AS BLOB), CAST(body AS BLOB) FROM memory NOT INDEXED").fetchall()
    if version > 3:
        connection.execute(
            "SELECT count(form), count(stamp) FROM (SELECT form, stamp FROM telemetry LIMIT 1)"
        )
        for name in ("form", "stamp"):
            connection.execute(f"SELECT count(*), max(id) FROM {name}").fetchall()
    return _disagreement(connection) if version > 2 else ""


def _disagreement(connection: sqlite3.Connection) -> str:
    """Return in what the ledger's end and its last hash differ, or ""."""
    ends = connection.execute("SELECT size, last FROM ledger").fetchall()
    leaf = connection.execute("SELECT seq, leaf FROM leaves ORDER BY seq DESC LIMIT 1").fetchone()
    if ends != [leaf or (0, bytes(32))] or not isinstance(ends[0][1], bytes):
        return "its ledger does not end where it says"
    return ""
