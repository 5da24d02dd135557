"""What can go wrong with the store, in sentences that say what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

_DAMAGED = "the store's file is damaged: restart lamppost, which moves it aside and saves what it can"
_ADVICE = {
    "SQLITE_FULL": "the disk is full: free some space on it",
    "SQLITE_IOERR": "the disk does not take what is written: look at the kernel's log for the card",
    "SQLITE_READONLY": "the file system is read-only: look at the kernel's log, then mount it read-write",
    "SQLITE_BUSY": "another program writes into the store's file: close it",
    "SQLITE_LOCKED": "another program writes into the store's file: close it",
    "SQLITE_CANTOPEN": "the store's file cannot be opened: check that its directory exists and is writable",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
}
_OUTSIDE = _ADVICE.keys() - {"SQLITE_CORRUPT", "SQLITE_NOTADB"} | {"SQLITE_PERM", "SQLITE_NOMEM"}


class StoreError(Exception):
    """The store cannot do what was asked; the text says why, and what to do about it."""


class Garbled(sqlite3.DatabaseError):
    """SQLite's own words about the damage contain the damage."""


@contextmanager
def legible() -> Iterator[None]:
    """Turn a complaint that Python cannot decode into Garbled: it quotes a damaged schema, raw."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise Garbled("its schema is not text") from error


def primary(error: sqlite3.Error) -> str:
    """Return the name of the error's primary result code, such as SQLITE_IOERR, or "" where it has none."""
    name: str = getattr(error, "sqlite_errorname", None) or ""
    return "_".join(name.split("_")[:2])


class Moved(sqlite3.OperationalError):
    """The file is no longer where it was: what is written into it now nobody would find again."""


class Swollen(sqlite3.OperationalError):
    """The write-ahead log cannot be emptied: somebody reads an old state of the file, and does not end."""


@contextmanager
def advised() -> Iterator[None]:
    """Turn what SQLite says into a StoreError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(advice(error)) from error


def damaged(error: sqlite3.Error) -> bool:
    """Tell whether *error* says that the file itself is not what it should be."""
    return isinstance(error, Garbled) or primary(error) in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}


def outside(error: sqlite3.Error) -> bool:
    """Tell whether *error* comes from around the file (a lock, a full disk, permissions), not from within.

    A sector that cannot be read is within: no restart will make it readable.
    """
    return primary(error) in _OUTSIDE and getattr(error, "sqlite_errorname", "") != "SQLITE_IOERR_READ"


def advice(error: sqlite3.Error) -> str:
    """Return a sentence about *error* that says what to do, with SQLite's own words at its end."""
    if isinstance(error, Moved | Swollen):
        return str(error)
    sentence = _ADVICE.get(primary(error), "the database refused")
    name: str = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return f"{sentence} ({name}: {error})"
