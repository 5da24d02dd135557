"""Opening the database: one owner, the right file, and a damaged one moved aside."""

import contextlib
import fcntl
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gateway.store import schema
from gateway.store.errors import StoreError, advice, legible, outside

_PATIENCE = 0.5  # [s] that a statement waits for another program's lock
_CHECK = 2.0  # [s] that looking for damage may take; a large file is looked at as far as this goes
_WAL = 8 << 20  # bytes kept free below the limit for the write-ahead log
_PAGE = 4096
_PRAGMAS = (
    f"page_size = {_PAGE}",
    "journal_mode = WAL",
    "synchronous = FULL",  # NORMAL loses committed rows in a power cut
    "wal_autocheckpoint = 0",  # its errors would be swallowed: log.py does it and looks
    f"journal_size_limit = {_WAL // 2}",
    "cache_size = -1024",
    "temp_store = MEMORY",
)


class Lock:
    """Holds `<database>.lock` for as long as the process lives: a second daemon is told who has it."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StoreError(
                f"the store's directory {path.parent} is not writable ({error.strerror}): "
                "create it and give it to the user that lamppost runs as"
            ) from error
        self._take()

    def release(self) -> None:
        """Let another process have the store."""
        os.close(self._file)

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._file, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise StoreError(
                f"another lamppost runs on the store {self._path.stem} (pid {owner}): "
                "stop it, or give this one a store of its own"
            ) from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds, it only cannot say whose it is
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)


@dataclass(frozen=True, slots=True)
class Opened:
    """The read-write connection, the file's epoch, and what was moved aside for it, if anything."""

    connection: sqlite3.Connection
    epoch: str
    quarantine: Path | None = None
    reason: str = ""


def open_database(path: Path, gateway: str, max_size: int) -> Opened:
    """Open or create the database. A damaged or foreign file is moved aside and a new one begun.

    Raises StoreError for a file of a newer version, of another gateway, or that cannot be opened.
    """
    reason, aside = _why_unusable(path), None
    try:
        if reason:
            aside = _move_aside(path)
        return _prepared(path, gateway, max_size, aside, reason)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {advice(error)}") from error
    except OSError as error:
        raise StoreError(f"{path} is damaged ({reason}) and cannot be moved aside: {error}") from error


def read_only(path: Path) -> sqlite3.Connection:
    """Open the database for looking only."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")
    return connection


def mark_damaged(path: Path) -> None:
    """Leave a note that the file is damaged, so that the next start moves it aside without a long look."""
    with contextlib.suppress(OSError):
        _mark(path).touch()


def size_of(path: Path) -> int:
    """Return the bytes that the database takes on the disk, with its write-ahead log."""
    total = 0
    for name in (path, path.with_name(path.name + "-wal")):
        with contextlib.suppress(OSError):
            total += name.stat().st_size
    return total


def _why_unusable(path: Path) -> str:
    """Return why the file at *path* cannot be a store, or "" when it can or is not there yet.

    Raises StoreError when it cannot be told, for a reason that lies outside the file.
    """
    if _mark(path).exists():
        return "found to be damaged while in use"
    if not path.exists():
        return ""
    try:
        with legible(), contextlib.closing(_plain(path)) as connection:
            return _examine(connection)
    except sqlite3.Error as error:
        if outside(error):
            raise StoreError(f"{path}: {advice(error)}") from error
        return str(error)


def _examine(connection: sqlite3.Connection) -> str:
    """Return what is wrong with the database, or "". Changes nothing: it may be somebody else's."""
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return ""
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION:
        return "not a store of lamppost"
    return _look_for_damage(connection) or schema.inconsistency(connection)


def _look_for_damage(connection: sqlite3.Connection) -> str:
    """Return the first damage found within _CHECK seconds, or ""."""
    end = time.monotonic() + _CHECK
    connection.set_progress_handler(lambda: int(time.monotonic() > end), 20_000)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_INTERRUPT":
            raise
        return ""
    finally:
        connection.set_progress_handler(None, 0)
    return "" if found == "ok" else str(found)


def _plain(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)


def _connect(path: Path) -> sqlite3.Connection:
    connection = _plain(path)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _prepared(path: Path, gateway: str, max_size: int, quarantine: Path | None, reason: str) -> Opened:
    connection = _connect(path)
    try:
        _migrate(connection, path, gateway)
        pages = max(64, (max_size - min(_WAL, max_size // 4)) // _PAGE)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        _sync_directory(path)
    except BaseException:
        connection.close()
        raise
    return Opened(connection, epoch, quarantine, reason)


def _migrate(connection: sqlite3.Connection, path: Path, gateway: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > schema.VERSION:
        raise StoreError(
            f"{path} was written by a newer lamppost (schema {version}, this one knows {schema.VERSION}): "
            "install the newer one again, or give this one a store of its own"
        )
    if version:
        (owner,) = connection.execute("SELECT value FROM meta WHERE key = 'gateway'").fetchone()
        if owner != gateway:
            raise StoreError(
                f"{path} belongs to the gateway {owner!r}, and this one is {gateway!r}: "
                "put the id back, or give this gateway a store of its own"
            )
    if version < schema.VERSION:
        schema.migrate(connection, version, gateway)


def _move_aside(path: Path) -> Path:
    """Rename the file with its log, never over another, and return the new name."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.quarantine-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.quarantine-{stamp}-{number}")
    for suffix in ("-wal", "-shm", ""):  # the file itself last: a half-done move is done again
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    _mark(path).unlink(missing_ok=True)
    _sync_directory(path)
    return aside


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")


def _sync_directory(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
