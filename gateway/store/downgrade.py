"""The way back: a store's file as an older version of Lamppost can use it, numbers and epoch as they were.

The file itself stays, under another name. The new one has what is in it as the older version writes it.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from gateway.reading import Lane
from gateway.store import schema
from gateway.store.errors import StoreError, advice
from gateway.store.file import Lock, read_only
from gateway.store.form import Columns, Decoder
from gateway.store.quarantine import size_of

_LEDGER = 3  # the version whose tables older code leaves alone, and newer code finds again
_MEMORY = 2
_CHUNK = 5000
_TEXT = 6  # times as many bytes as a compact row has its text, at most
_SPOILT = ""  # no JSON: the older version drops the number as damaged, and says so


@dataclass(frozen=True, slots=True)
class Downgraded:
    """What was done: where the newer file is now, and how many readings and events the older one has."""

    aside: Path
    readings: int
    events: int
    spoilt: int


def downgrade(path: Path, to: int, held_only: bool = False) -> Downgraded:
    """Put a file of version *to* in place of the one at *path*, which is moved aside.

    With *held_only* readings that were delivered are left out. Nothing is changed until the new file is
    complete and on the disk. Raises StoreError; the gateway must not run.
    """
    lock = Lock(path)
    try:
        version = _version(path)
        if not 1 <= to < version:
            raise StoreError(f"{path} is of version {version}: it can be taken back to 1 up to {version - 1}")
        return _put_in_place(path, version, to, held_only)
    except (sqlite3.Error, OSError) as error:
        said = advice(error) if isinstance(error, sqlite3.Error) else str(error)
        raise StoreError(f"{path} cannot be taken back, and is as it was: {said}") from error
    finally:
        lock.release()


def _version(path: Path) -> int:
    made = _made(path)
    if not path.exists() and made.is_file():  # the power went between the last two renames
        made.rename(path)
        raise StoreError(f"{path} is taken back now; a power cut had interrupted that")
    if not path.is_file():
        raise StoreError(f"there is no store at {path}")
    with contextlib.closing(read_only(path)) as db:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != schema.APPLICATION:
        raise StoreError(f"{path} is no store of Lamppost's")
    if version > schema.VERSION:
        raise StoreError(f"{path} is of a newer version of Lamppost: take it back with that one")
    return int(version)


def _made(path: Path) -> Path:
    return path.with_name(path.name + ".older")


def _put_in_place(path: Path, version: int, to: int, held_only: bool) -> Downgraded:
    made, aside = _made(path), path.with_name(f"{path.name}.version-{version}")
    if aside.exists():
        raise StoreError(f"{aside} is there already: move it elsewhere first")
    made.unlink(missing_ok=True)
    try:
        with contextlib.closing(read_only(path)) as old, contextlib.closing(_begun(made, to)) as new:
            old.execute("BEGIN")  # one state of it
            _check_room(old, made)
            counts = _Copy(old, new, version, to).run(held_only)
        _sync(made)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    made.rename(path)
    _sync(path.parent)
    return Downgraded(aside, *counts)


def _begun(made: Path, to: int) -> sqlite3.Connection:
    """Return a new file with the tables of version *to*, and those that older code leaves alone."""
    from sqlite_utils import Database

    connection = sqlite3.connect(made, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -8192"):  # nobody else sees it
        connection.execute(f"PRAGMA {pragma}")
    db = Database(connection, execute_plugins=False)
    for step in (*schema.MIGRATIONS[:to], *schema.MIGRATIONS[max(to, _LEDGER - 1) : _LEDGER]):
        step(db)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION}")
    connection.execute(f"PRAGMA user_version = {to}")
    return connection


def _check_room(old: sqlite3.Connection, made: Path) -> None:
    """Raise StoreError unless the texts of all rows will fit."""
    needed = _TEXT * size_of(Path(old.execute("PRAGMA database_list").fetchone()[2]))
    disk = os.statvfs(made.parent)
    if (free := disk.f_bavail * disk.f_frsize) < needed:
        raise StoreError(
            f"{made.parent} has {free >> 20} MiB free, and {needed >> 20} may be needed: free some, or copy "
            "the file to a larger disk and take it back there"
        )


@dataclass(frozen=True, slots=True)
class _Copy:
    """Copies everything from one file to the other."""

    old: sqlite3.Connection
    new: sqlite3.Connection
    version: int
    to: int

    def run(self, held_only: bool) -> tuple[int, int, int]:
        """Return the number of readings, of events, and of readings that were damaged."""
        for table in self._tables():
            self._plain(table)
        meta = "INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?)"
        self.new.execute(meta, (str(self.to),))
        events = self._plain("events")
        (cursor,) = self.old.execute("SELECT cursor FROM lane WHERE name = 'telemetry'").fetchone()
        readings, spoilt = self._readings(cursor if held_only else 0)
        return readings, events, spoilt

    def _tables(self) -> Iterator[str]:
        yield from ("meta", "lane", "dropped")
        if min(self.version, self.to) >= _MEMORY:
            yield "memory"
        if self.version >= _LEDGER:
            yield from ("ledger", "leaves")

    def _plain(self, table: str) -> int:
        """Copy a table whose rows are the same in both."""
        names = [row[1] for row in self.new.execute(f"PRAGMA table_info({table})")]
        columns = ", ".join(f'"{name}"' for name in names)
        self.new.execute(f"DELETE FROM {table}")
        return self._write(table, columns, self.old.execute(f"SELECT {columns} FROM {table}"))

    def _readings(self, after: int) -> tuple[int, int]:
        """Copy the readings behind *after* as texts; return how many, and how many were damaged."""
        if self.version < 4:
            return self._plain("telemetry"), 0
        spoilt = 0

        def rows() -> Iterator[Sequence[Any]]:
            nonlocal spoilt
            decoder = Decoder(self.old)
            columns = Columns(self.version).of(Lane.TELEMETRY)
            query = f"SELECT seq, device, {columns} FROM telemetry WHERE seq > ? ORDER BY seq"
            devices = dict(self.old.execute("SELECT id, device FROM form"))
            for seq, device, body, time, form, stamp in self.old.execute(query, (after,)):
                text = decoder.text(body, time, form, stamp)
                spoilt += text is None
                yield seq, time, device if form is None else devices.get(form, ""), text or _SPOILT

        count = self._write("telemetry", "seq, time, device, body", rows())
        return count, spoilt

    def _write(self, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> int:
        insert = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * (columns.count(',') + 1))})"
        count, left = 0, iter(rows)
        while chunk := list(islice(left, _CHUNK)):
            self.new.execute("BEGIN")
            self.new.executemany(insert, chunk)
            self.new.execute("COMMIT")
            count += len(chunk)
        return count


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
