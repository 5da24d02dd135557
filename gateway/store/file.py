"""Opening the database: one owner, the right file, and a damaged one moved aside."""

import contextlib
import fcntl
import os
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from gateway.store import quarantine, schema
from gateway.store.ballast import SIZE as BALLAST
from gateway.store.ballast import Ballast
from gateway.store.errors import StoreError, advice, legible, outside
from gateway.store.frames import rotten
from gateway.store.quarantine import size_of
from gateway.store.shape import headless

_PATIENCE = 0.5  # [s] that a statement waits for another program's lock
_SMALL = 4 << 20  # bytes of a file that is looked through before it is opened: some 20 ms
_WAL = 8 << 20  # bytes kept free below the limit for the write-ahead log
_PAGE = 512  # of a new file: a commit of a few readings writes one, and its neighbours
_PRAGMAS = (
    f"page_size = {_PAGE}",
    "journal_mode = WAL",
    "synchronous = FULL",  # NORMAL loses committed rows in a power cut
    "wal_autocheckpoint = 0",  # its errors would be swallowed: checkpoint.py does it and looks
    f"journal_size_limit = {_WAL // 2}",
    "cache_size = -1024",
    "temp_store = MEMORY",
)


class Lock:
    """Holds `<database>.lock` for as long as the process lives: a second daemon is told who has it."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(_lock(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StoreError(
                f"the store's directory {path.parent} is not writable ({error.strerror}): "
                "create it and give it to the user that lamppost runs as"
            ) from error
        self._take(path)

    def release(self) -> None:
        """Let another process have the store."""
        os.close(self._file)

    def _take(self, path: Path) -> None:
        try:
            _flock(self._file, path)
        except StoreError:
            os.close(self._file)
            raise
        except OSError as error:
            os.close(self._file)
            raise StoreError(f"{_lock(path)} cannot be locked: {error}") from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds, it only cannot say whose it is
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)


def refuse_if_taken(path: Path) -> None:
    """Raise StoreError when another process holds the lock. Whatever else is wrong shows when it is taken."""
    with contextlib.suppress(OSError):
        file = os.open(_lock(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            _flock(file, path)
        finally:
            os.close(file)


def _lock(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _flock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise StoreError(
            f"another lamppost runs on the store {path.name} (pid {owner}): "
            "stop it, or give this one a store of its own"
        ) from error


@dataclass(frozen=True, slots=True)
class Opened:
    """The read-write connection, the file's epoch, and what was moved aside for it, if anything."""

    connection: sqlite3.Connection
    epoch: str
    quarantine: Path | None = None
    reason: str = ""
    deleted: tuple[str, ...] = ()
    """Files of earlier damage that went to make room."""


def open_database(path: Path, gateway: str, max_size: int) -> Opened:
    """Open or create the database. A damaged or foreign file is moved aside and a new one begun.

    On a full disk the ballast goes first. Raises StoreError for a file of a newer version, of another
    gateway, or that cannot be opened.
    """
    try:
        return _open(path, gateway, max_size)
    except StoreError as error:
        ballast = Ballast(path)
        if not isinstance(error.__cause__, sqlite3.Error) or not ballast.needed() or not ballast.release():
            raise
        return _open(path, gateway, max_size)


def _open(path: Path, gateway: str, max_size: int) -> Opened:
    aside, deleted = quarantine.begun(path), list[str]()
    try:
        if aside is not None:  # by a process that was ended in the middle of it
            quarantine.move(path, aside.path)
        if reason := _why_unusable(path):
            aside = quarantine.begin(path, reason)
            quarantine.move(path, aside.path)
        if aside is None:
            return _prepared(path, gateway, max_size)
        deleted = quarantine.clear_away(path, max_size)
        opened = _prepared(path, gateway, max_size)
        return replace(opened, quarantine=aside.path, reason=aside.reason, deleted=tuple(deleted))
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {advice(error)}") from error
    except OSError as error:
        words = f" ({aside.reason})" if aside else ""
        raise StoreError(f"{path} is damaged{words} and cannot be moved aside: {error}") from error


def read_only(path: Path) -> sqlite3.Connection:
    """Open the database for looking only."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")
    return connection


def log_size(path: Path) -> int:
    """Return the bytes of the database's write-ahead log."""
    with contextlib.suppress(OSError):
        return path.with_name(path.name + "-wal").stat().st_size
    return 0


def _why_unusable(path: Path) -> str:
    """Return why the file at *path* cannot be a store, or "" when it can or is not there yet.

    Raises StoreError when it cannot be told, for a reason that lies outside the file.
    """
    if quarantine.found_in_use(path):
        return "found to be damaged while in use"
    if not path.exists():
        return ""
    if wrong := headless(path) or rotten(path):
        return wrong
    try:
        with legible(), contextlib.closing(_plain(path)) as connection:
            return _examine(connection, size_of(path))
    except sqlite3.Error as error:
        if outside(error):
            raise StoreError(f"{path}: {advice(error)}") from error
        return str(error)


def examine(path: Path) -> str:
    """Return the first damage that SQLite's quick_check finds, or "". Takes as long as reading the file.

    Raises sqlite3.Error where the file cannot be read.
    """
    with legible(), contextlib.closing(read_only(path)) as connection:
        return _damage(connection)


def _examine(connection: sqlite3.Connection, size: int) -> str:
    """Return what is wrong with the database, or "". Changes nothing: it may be somebody else's.

    A large file is not looked through: the gateway shall be up at once, and `examine` follows later.
    """
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return ""
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION:
        return "not a store of lamppost"
    return (_damage(connection) if size <= _SMALL else "") or schema.inconsistency(connection)


def _damage(connection: sqlite3.Connection) -> str:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return "" if found == "ok" else str(found)


def _plain(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)


def _connect(path: Path) -> sqlite3.Connection:
    connection = _plain(path)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _prepared(path: Path, gateway: str, max_size: int) -> Opened:
    connection = _connect(path)
    try:
        _migrate(connection, path, gateway)
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        most = min(max_size, _partition(path))
        pages = max((64 << 12) // page, (most - min(_WAL, most // 4)) // page)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        quarantine.sync_directory(path)
    except BaseException:
        connection.close()
        raise
    return Opened(connection, epoch)


def _partition(path: Path) -> int:
    """Return the bytes that the store and its log may take of the partition, so that it never fills it up."""
    disk = os.statvfs(path.parent)
    size = disk.f_blocks * disk.f_frsize
    return max(size // 2, size * 9 // 10 - 2 * BALLAST)


def _migrate(connection: sqlite3.Connection, path: Path, gateway: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not schema.usable(connection):
        raise StoreError(
            f"{path} was written by a newer lamppost (schema {version}, this one knows {schema.VERSION}): "
            "install the newer one again, take the file back with it (`lamppost downgrade`), or give this "
            "one a store of its own"
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
