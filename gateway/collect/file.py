"""A collector's file: every record once, under (gateway, epoch, lane, number), and what is wrong beside it.

Whatever arrives again changes nothing. What contradicts what is there does not replace it: both are kept.
"""

import fcntl
import math
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.mqtt.completeness import LANES, Malformed, Numbering, gap_of
from gateway.mqtt.heard import Records, Said, Stranger
from gateway.mqtt.holes import Range

APPLICATION, VERSION = 0x4C616D63, 1
"""In the file's header: "Lamc", and the version of the schema."""
ASIDE, PART = 1000, 65_536
"""Refused messages that are kept, the newest, and bytes of each."""
TEXT = 200
"""Most characters of a name that a record gives itself."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE numbering (
    id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, epoch TEXT NOT NULL, lane TEXT NOT NULL,
    UNIQUE (gateway, epoch, lane));
CREATE TABLE record (
    numbering INTEGER NOT NULL REFERENCES numbering, seq INTEGER NOT NULL,
    time REAL, kind TEXT, name TEXT, body TEXT NOT NULL,
    PRIMARY KEY (numbering, seq)) WITHOUT ROWID;
CREATE TABLE run (
    numbering INTEGER NOT NULL REFERENCES numbering, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (numbering, first)) WITHOUT ROWID;
CREATE TABLE conflict (
    numbering INTEGER NOT NULL REFERENCES numbering, seq INTEGER NOT NULL, body TEXT NOT NULL,
    received REAL NOT NULL, PRIMARY KEY (numbering, seq, body)) WITHOUT ROWID;
CREATE TABLE said (
    gateway TEXT NOT NULL, face TEXT NOT NULL, received REAL NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (gateway, face)) WITHOUT ROWID;
CREATE TABLE refused (
    id INTEGER PRIMARY KEY, received REAL NOT NULL, topic TEXT NOT NULL, why TEXT NOT NULL,
    payload BLOB NOT NULL);
CREATE TABLE count (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE VIEW records AS
    SELECT gateway, epoch, lane, seq, time, kind, name, body FROM record JOIN numbering ON id = numbering;
"""

_NAMES = {"reading": "device", "event": "type", "decision": "rule", "gap": "lane"}


class Unusable(OSError):
    """The file is none of a collector's, or cannot be written. The text says what to do."""


@dataclass(slots=True)
class Taken:
    """What some messages brought. *runs*: of each numbering that was touched, what is here in one piece.

    Where several pieces of one were touched, it is the lowest.
    """

    records: int = 0
    again: int = 0
    conflicts: int = 0
    refused: int = 0
    runs: dict[Numbering, Range] = field(default_factory=dict)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for writing, making it where there is none. Raises Unusable."""
    return _open(lambda: sqlite3.connect(path, isolation_level=None, check_same_thread=False), path, _prepare)


def reading(path: Path) -> sqlite3.Connection:
    """Open the file for looking into it, also while somebody collects. Raises Unusable."""
    if not path.is_file():
        raise Unusable(f"there is no collector's file at {path}")
    name = f"file:{quote(str(path.absolute()))}?mode=ro"
    return _open(lambda: sqlite3.connect(name, uri=True, isolation_level=None), path, _check)


def _open(
    opened: Callable[[], sqlite3.Connection], path: Path, look: Callable[[sqlite3.Connection, Path], None]
) -> sqlite3.Connection:
    try:
        db = opened()
        try:
            look(db, path)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise Unusable(f"{path} cannot be used: {error}") from error
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    """See that the file is a collector's, of a version that is known."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise Unusable(f"{path} is no collector's file: name another")
    if version > VERSION:
        raise Unusable(f"{path} is of a newer version of Lamppost: collect with that one")


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make an empty file a collector's. Lost power leaves it empty, or whole."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if tables or application:
        _check(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    if not tables:
        begin = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
        named = f"INSERT INTO meta VALUES ('client', 'lamppost-collect-{secrets.token_hex(4)}');"
        db.executescript(f"BEGIN; {begin} {SCHEMA} {named} COMMIT;")


class File:
    """Writes a collector's file; one process at a time. Raises Unusable."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now = now
        self._db = connect(path)
        self._numbers: dict[Numbering, int] = {}
        self._lock()
        (self.client,) = self._db.execute("SELECT value FROM meta WHERE key = 'client'").fetchone()
        """What brokers know this file's session by."""

    @property
    def known(self) -> bool:
        """Whether something was collected into it before."""
        return self._db.execute("SELECT 1 FROM numbering").fetchone() is not None

    def take(self, found: Iterable[Records | Said | Stranger]) -> Taken:
        """Write all of *found* down, in one transaction; durable when this returns. Raises Unusable."""
        taken = Taken()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for each in found:
                    self._take(each, taken)
                self._count(taken)
                self._db.execute("COMMIT")
            except BaseException:
                self._numbers.clear()
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            said = "nothing is lost: the broker keeps what was not acknowledged"
            raise Unusable(f"{self.path} cannot be written: {error}; {said}") from error
        return taken

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        self._guard.close()

    def _lock(self) -> None:
        """Keep a second collector out: two with one session would take each other's connection away."""
        self._guard = open(f"{self.path}.lock", "wb")  # noqa: SIM115
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._guard.close()
            self._db.close()
            raise Unusable(
                f"another process collects into {self.path}: stop it, or name another file"
            ) from None

    def _take(self, found: Records | Said | Stranger, taken: Taken) -> None:
        match found:
            case Stranger():
                self._refuse(found, taken)
            case Said(gateway, face, text):
                row = gateway, face, self._now(), text
                self._db.execute("INSERT OR REPLACE INTO said VALUES (?, ?, ?, ?)", row)
            case Records(batch, texts):
                try:
                    number = self._number(batch.numbering)
                except Malformed as error:
                    self._refuse(Stranger(str(batch.numbering), str(error), b""), taken)
                    return
                rows = [
                    (number, seq, *_columns(body), text)
                    for seq, (body, text) in enumerate(zip(batch.records, texts, strict=True), batch.first)
                ]
                self._keep(number, (batch.first, batch.last), rows, taken)
                self._grow(batch.numbering, (batch.first, batch.last), taken)
                for body in batch.records:
                    if (gap := gap_of(batch.numbering, body)) is not None:
                        about, named = gap
                        self._grow(about, (named.first, named.last), taken)

    def _keep(self, number: int, span: Range, rows: Sequence[tuple[Any, ...]], taken: Taken) -> None:
        query = "SELECT seq, body FROM record WHERE numbering = ? AND seq BETWEEN ? AND ?"
        there = dict(self._db.execute(query, (number, *span)).fetchall())
        new = [row for row in rows if row[1] not in there]
        self._db.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", new)
        other = [
            (number, row[1], row[-1], self._now()) for row in rows if there.get(row[1], row[-1]) != row[-1]
        ]
        self._db.executemany("INSERT OR IGNORE INTO conflict VALUES (?, ?, ?, ?)", other)
        taken.records += len(new)
        taken.again += len(rows) - len(new)
        taken.conflicts += len(other)

    def _grow(self, numbering: Numbering, span: Range, taken: Taken) -> None:
        """Note that *span* is here, or was given up."""
        try:
            number = self._number(numbering)
        except Malformed:
            return
        first, last = span
        near = "SELECT first, last FROM run WHERE numbering = ? AND first <= ? ORDER BY first DESC"
        for start, end in self._db.execute(near, (number, last + 1)):
            if end < first - 1:
                break
            first, last = min(first, start), max(last, end)
        self._db.execute(
            "DELETE FROM run WHERE numbering = ? AND first BETWEEN ? AND ?", (number, first, last)
        )
        self._db.execute("INSERT INTO run VALUES (?, ?, ?)", (number, first, last))
        if first <= taken.runs.get(numbering, (first, last))[0]:
            taken.runs[numbering] = (first, last)

    def _number(self, numbering: Numbering) -> int:
        """Return the id of *numbering*, giving it one. Raises Malformed when there are too many."""
        if (known := self._numbers.get(numbering)) is not None:
            return known
        key = numbering.gateway, numbering.epoch, _clean(numbering.lane)
        query = "SELECT id FROM numbering WHERE gateway = ? AND epoch = ? AND lane = ?"
        found = self._db.execute(query, key).fetchone()
        if found is None:
            (most,) = self._db.execute("SELECT count(*) FROM numbering").fetchone()
            if most >= LANES:
                raise Malformed(f"it begins one more numbering than the {LANES} that are kept")
            found = (self._db.execute("INSERT INTO numbering VALUES (NULL, ?, ?, ?)", key).lastrowid,)
        self._numbers[numbering] = found[0]
        return int(found[0])

    def _refuse(self, stranger: Stranger, taken: Taken) -> None:
        row = self._now(), _clean(stranger.topic), stranger.why, stranger.payload[:PART]
        at = self._db.execute("INSERT INTO refused VALUES (NULL, ?, ?, ?, ?)", row).lastrowid or 0
        self._db.execute("DELETE FROM refused WHERE id <= ?", (at - ASIDE,))
        taken.refused += 1

    def _count(self, taken: Taken) -> None:
        counted = (
            "INSERT INTO count VALUES (?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number"
        )
        figures = {"records": taken.records, "again": taken.again, "refused": taken.refused}
        self._db.executemany(counted, [each for each in figures.items() if each[1]])


def _columns(body: Any) -> tuple[float | None, str | None, str | None]:
    """Return a record's time, kind, and device, type or rule: for queries; what makes no sense is None."""
    at, kind = body.get("time"), body.get("kind")
    moment = float(at) if type(at) in (int, float) and abs(at) < 1e12 and math.isfinite(at) else None
    name = body.get(_NAMES.get(kind, "")) if isinstance(kind, str) else None
    return moment, _clean(kind), _clean(name)


def _clean(text: object) -> Any:
    """Return *text* as a database can hold it; None for what is no text."""
    return text[:TEXT].encode("utf-8", "replace").decode() if isinstance(text, str) else None
