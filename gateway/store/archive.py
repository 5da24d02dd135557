"""A store's file seen from outside, by the offline tools: read-only, also while a gateway runs on it."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from gateway.correction import SYNCHRONIZED, Corrections
from gateway.reading import Lane
from gateway.store import schema
from gateway.store.errors import StoreError
from gateway.store.file import read_only
from gateway.store.form import Columns, Decoder, parsed
from gateway.store.schema import APPLICATION

CHUNK = 2000
COMPACT = 4
"""The version of the file from which on rows may be compact."""
_LEDGER = 3  # the version from which there is one


class Entry(NamedTuple):
    """A record, and how far through the file it stands, 0 to 1."""

    share: float
    seq: int
    body: Mapping[str, Any]


class Leaf(NamedTuple):
    """Record *seq* of the ledger: its hash, the event that it is, and its text, None where that is gone."""

    seq: int
    leaf: bytes
    event: int
    text: bytes | None


class Books(NamedTuple):
    """What a file says of its ledger: whose, where it ends, and which events are older than it."""

    gateway: str
    epoch: str
    size: int
    last: bytes
    since: int


class Archive:
    """The records and texts of one file. Raises StoreError when it is no store, or of a newer version."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StoreError(f"there is no store at {path}")
        self._path = path
        try:
            with closing(read_only(path)) as db:
                (application,) = db.execute("PRAGMA application_id").fetchone()
                (version,) = db.execute("PRAGMA user_version").fetchone()
                usable = application != APPLICATION or schema.usable(db)
        except sqlite3.Error as error:
            raise StoreError(f"{path} cannot be read as a store: {error}") from error
        if application != APPLICATION:
            raise StoreError(f"{path} is no store of Lamppost's")
        if not usable:
            raise StoreError(f"{path} is of a newer version of Lamppost: look at it with that one")
        self._version = version

    def records(self, lane: Lane, since: float, until: float) -> Iterator[Entry]:
        """Yield the lane's readable records of *since* to *until* [s, Unix], in order.

        Those of before the first synchronisation of a boot come with their right time, where that is known.
        """
        corrections = self.corrections()
        with closing(read_only(self._path)) as db:
            db.text_factory = bytes
            first, last = db.execute(f"SELECT min(seq), max(seq) FROM {lane}").fetchone()
            rows = (
                f"SELECT seq, {Columns(self._version).of(lane)} FROM {lane} "
                f"WHERE seq > ? AND {span(lane, self._version, corrections)} ORDER BY seq LIMIT ?"
            )
            decoder = Decoder(db)
            at = (first or 0) - 1
            while found := db.execute(rows, (at, since, until, CHUNK)).fetchall():
                for seq, *row in found:
                    if (text := decoder.text(*row)) is None:
                        continue
                    stored = parsed(text)
                    body = corrections.corrected(stored)
                    if since <= (row[1] if body is stored else body["time"]) <= until:
                        yield Entry((seq - first + 1) / (last - first + 1), seq, body)
                at = found[-1][0]

    def corrections(self) -> Corrections:
        """Return what puts the early records of boots right."""
        query = "SELECT body FROM events WHERE kind = 'event' AND instr(body, ?) ORDER BY seq"
        found = Corrections()
        with self._reading() as db:
            for (raw,) in db.execute(query, (SYNCHRONIZED,)):
                with suppress(ValueError, RecursionError, AttributeError):
                    found.take(json.loads(raw))
        return found

    def books(self) -> Books:
        """Return what the file says of its ledger. Raises StoreError where it has none, or none legible."""
        if self._version < _LEDGER:
            raise StoreError(f"{self._path} is of an older version of Lamppost, which kept no ledger")
        try:
            with closing(read_only(self._path)) as db:
                meta = dict(db.execute("SELECT key, value FROM meta"))
                size, last, since = db.execute("SELECT size, last, since FROM ledger").fetchone()
                return Books(str(meta["gateway"]), str(meta["epoch"]), int(size), bytes(last), int(since))
        except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{self._path} does not say where its ledger ends: {error}") from error

    def ledger(self) -> Iterator[tuple[float, Leaf]]:
        """Yield every record of the ledger in order, and how far through it stands, 0 to 1."""
        return self._records(-1)

    def _records(self, at: int, most: int | None = None) -> Iterator[tuple[float, Leaf]]:
        query = (
            "SELECT leaves.seq, CAST(leaf AS BLOB), event, CASE WHEN kind = 'decision' THEN body END "
            "FROM leaves LEFT JOIN events ON events.seq = event "
            "WHERE leaves.seq > ? ORDER BY leaves.seq LIMIT ?"
        )
        with self._reading() as db:
            (last,) = db.execute("SELECT max(seq) FROM leaves").fetchone()
            while found := db.execute(query, (at, most or CHUNK)).fetchall():
                for row in found:
                    yield row[0] / max(1, last), Leaf(*row)
                at = found[-1][0]
                if most:
                    return

    def record(self, seq: int) -> Leaf | None:
        """Return record *seq* of the ledger, or None."""
        return next((leaf for _, leaf in self._records(seq - 1, 1)), None)

    def texts(self, lane: Lane) -> Iterator[tuple[float, str]]:
        """Yield every record's text as it is stored, and how far through the lane it stands, 0 to 1."""
        columns = Columns(self._version).of(lane)
        query = f"SELECT seq, {columns} FROM {lane} WHERE seq > ? ORDER BY seq LIMIT ?"
        with self._reading() as db:
            decoder = Decoder(db)
            first, last = db.execute(f"SELECT min(seq), max(seq) FROM {lane}").fetchone()
            at = (first or 0) - 1
            while found := db.execute(query, (at, CHUNK)).fetchall():
                for seq, *row in found:
                    text = decoder.text(*row)
                    raw = row[0] if isinstance(row[0], bytes) else b""
                    share = (seq - first + 1) / (last - first + 1)
                    yield share, raw.decode("utf-8", "replace") if text is None else text
                at = found[-1][0]

    @property
    def has_ledger(self) -> bool:
        """Whether the file is of a version that keeps one."""
        return bool(self._version >= _LEDGER)

    def strays(self, since: int) -> list[int]:
        """Return the decisions behind event *since* that no record of the ledger is."""
        query = "SELECT seq FROM events WHERE kind = 'decision' AND seq > ? ORDER BY seq"
        with self._reading() as db:
            known = {event for (event,) in db.execute("SELECT event FROM leaves")}
            return [seq for (seq,) in db.execute(query, (since,)) if seq not in known]

    def kept(self) -> tuple[int, list[tuple[int, int]]]:
        """Return the first event that is still there, and which spans of events were given up.

        Where there are no events any more, that is one that will never be.
        """
        with self._reading() as db:
            (first,) = db.execute("SELECT coalesce(min(seq), 1 << 62) FROM events").fetchone()
            return first, db.execute("SELECT first, last FROM dropped WHERE lane = 'events'").fetchall()

    def find(self, identifier: str) -> tuple[Mapping[str, Any], Leaf | None] | None:
        """Return the decision *identifier*, and what it is in the ledger, if anything; None: no such."""
        query = "SELECT seq, body FROM events WHERE kind = 'decision' AND instr(body, ?) ORDER BY seq DESC"
        with self._reading() as db:
            for event, raw in db.execute(query, (json.dumps(identifier),)).fetchall():
                with suppress(ValueError, RecursionError, AttributeError):
                    body = json.loads(raw)
                    if body.get("id") == identifier:
                        return body, self._leaf(db, event, raw)
        return None

    def told(self, type: str) -> list[Mapping[str, Any]]:
        """Return the data of every event of *type*, in order."""
        query = "SELECT body FROM events WHERE kind = 'event' AND instr(body, ?) ORDER BY seq"
        found = list[Mapping[str, Any]]()
        with self._reading() as db:
            for (raw,) in db.execute(query, (json.dumps(type),)):
                with suppress(ValueError, RecursionError, AttributeError, KeyError):
                    body = json.loads(raw)
                    if body["type"] == type and isinstance(body["data"], dict):
                        found.append(body["data"])
        return found

    def _leaf(self, db: sqlite3.Connection, event: int, text: bytes) -> Leaf | None:
        if self._version < _LEDGER:
            return None
        found = db.execute("SELECT seq, CAST(leaf AS BLOB) FROM leaves WHERE event = ?", (event,)).fetchone()
        return Leaf(int(found[0]), bytes(found[1]), event, text) if found else None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection on one state of the file. Raises StoreError where it cannot be read."""
        try:
            with closing(read_only(self._path)) as db:
                db.text_factory = bytes
                db.execute("BEGIN")
                yield db
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be read: {error}") from error

    def remembered(self) -> dict[str, str]:
        """Return what the gateway keeps by name; {} in a file from before it kept anything."""
        with closing(read_only(self._path)) as db, suppress(sqlite3.OperationalError):
            return {str(name): str(body) for name, body in db.execute("SELECT name, body FROM memory")}
        return {}


def span(lane: Lane, version: int, corrections: Corrections) -> str:
    """Return the condition for rows between two times [s, Unix], with all whose time may be another."""
    if not corrections:
        return "time BETWEEN ? AND ?"
    if lane is not Lane.TELEMETRY or version < COMPACT:
        return "(time BETWEEN ? AND ? OR TRUE)"
    early = "SELECT id FROM stamp WHERE instr(body, 'unsynchronized')"
    return f"(time BETWEEN ? AND ? OR form IS NULL OR stamp IN ({early}))"
