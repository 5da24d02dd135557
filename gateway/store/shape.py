"""Whether a file still has the shape that it was made with: SQLite finds some damage in order."""

import contextlib
import os
import sqlite3
from pathlib import Path

_LEAST = 512  # bytes of a page, at least (SQLite file format, section 1.3.2)
_WRITE_VERSION = 18  # bytes into the file: 2 in WAL mode (SQLite file format, section 1.3.3)
_COLUMNS = {
    "meta": "key value",
    "lane": "name high cursor",
    "dropped": "lane first last reason time",
    "telemetry": "seq time device body form stamp",
    "events": "seq time kind body",
    "memory": "name time body",
    "ledger": "id size last state since",
    "leaves": "seq leaf event",
    "form": "id device body",
    "stamp": "id device body",
}
"""The columns of version 4 on; a newer version may have more."""
_NUMBERED = ("telemetry", "events", "ledger", "leaves", "form", "stamp")
"""Tables whose first column is the number of the row."""


def headless(path: Path) -> str:
    """Return what is wrong with the beginning of the file, or ""; also "" where it cannot be read.

    What is cut off there SQLite takes for a new file, and removes the log beside it; a file whose header asks
    for a newer SQLite it takes for one that may only be read. While it is made, there is a journal.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(_LEAST)
        if path.with_name(path.name + "-journal").exists():
            return ""
        log = path.with_name(path.name + "-wal")
        used = bool(beginning) or (log.exists() and log.stat().st_size > 0)
    except OSError:
        return ""
    if used and len(beginning) < _LEAST:
        return f"it is cut off after {len(beginning)} bytes"
    return "its header is damaged" if used and beginning[_WRITE_VERSION] > 2 else ""


def lengthen(path: Path) -> None:
    """Give a file that is shorter than a page a page: SQLite then reads its log, and does not remove it."""
    with contextlib.suppress(OSError):
        if path.stat().st_size < _LEAST and path.with_name(path.name + "-wal").stat().st_size:
            os.truncate(path, _LEAST)


def misshapen(connection: sqlite3.Connection, version: int) -> str:
    """Return which column is gone, or which index does not lead to its rows, or "".

    quick_check looks for neither: a name is text like any other, and an index is not compared with its table.
    Only small tables have an index.
    """
    query = (
        "SELECT t.name, c.name, c.type, c.pk FROM sqlite_schema t, pragma_table_info(t.name) c "
        "WHERE t.type = 'table'"
    )
    found = {(str(table), str(name)): (kind, key) for table, name, kind, key in connection.execute(query)}
    for table, names in _COLUMNS.items() if version > 3 else ():
        columns = names.split()
        if missing := [name for name in columns if (table, name) not in found]:
            return f"its table {table} has no column {missing[0]}"
        if table in _NUMBERED and found[table, columns[0]] != ("INTEGER", 1):
            return f"the rows of its table {table} have no numbers"
    return _misled(connection)


def _misled(connection: sqlite3.Connection) -> str:
    indexed = "SELECT DISTINCT tbl_name FROM sqlite_schema WHERE type = 'index'"
    for (table,) in connection.execute(indexed).fetchall():
        quoted = str(table).replace("'", "''")
        (found,) = connection.execute(f"PRAGMA integrity_check('{quoted}')").fetchone()
        if found != "ok":
            return f"the index of its table {table}: {found}"
    return ""
