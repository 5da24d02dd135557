"""A damaged file, read as far as that goes: piece by piece, stepping over what cannot be read."""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.reading import Lane, Reading, encode, reading_of
from gateway.store.errors import StoreError, legible
from gateway.store.file import read_only
from gateway.store.form import Columns, Decoder, Press
from gateway.store.ledger import DECISION, Ledger
from gateway.store.memory import MOST, Text, checked
from gateway.store.pending import Row, row_of
from gateway.store.shape import lengthen

PROGRESS = "salvage"
"""The name under which the new file remembers what of which files is still to be fetched."""

_WINDOW = 500  # rows that are read at once where nothing is damaged
_END = 1 << 53  # no sequence number is larger
_ORDER = (Lane.EVENTS, Lane.TELEMETRY)


@dataclass
class Wreck:
    """What is left of one file. *after* is the last number of each lane that was read, *saved* how many rows.

    Must be used in one thread at a time.
    """

    path: Path
    epoch: str = ""
    after: dict[Lane, int] = field(default_factory=dict)
    saved: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    done: bool = False

    def __post_init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._pieces: Iterator[tuple[Lane, list[Row]]] | None = None

    def open(self) -> bool:
        """Begin to read; tell whether there is anything to be read."""
        if self._connection is None:
            lengthen(self.path)
            with contextlib.suppress(sqlite3.Error):
                self._connection = read_only(self.path)
            if self._connection is None:
                return False
            self.epoch = self.epoch or _epoch(self._connection)
            for lane in Lane:
                self.after.setdefault(lane, _cursor(self._connection, lane))
        return True

    def close(self) -> None:
        """Stop reading."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._pieces = None

    def piece(self, ledger: Ledger | None) -> tuple[Lane, list[Row]] | None:
        """Return the next undelivered rows in their order, events first; None at the end.

        From then on they count as fetched. Decisions are made ready to be linked in *ledger*.
        """
        if not self.open():
            self.done = True
            return None
        if self._pieces is None:
            self._pieces = self._read()
        found = next(self._pieces, None)
        if found is None:
            self.done = True
            return None
        lane, rows = found
        rows = list(_again(rows, self.epoch, ledger)) if ledger else rows
        self.saved[lane] += len(rows)
        return lane, rows

    def remembered(self) -> list[Text]:
        """Return the texts that can be read."""
        return list(_remembered(self._connection)) if self.open() and self._connection else []

    def older(self) -> list["Wreck"]:
        """Return the files that were being fetched into this one."""
        texts = {text.name: text.body for text in self.remembered()}
        return unfinished(self.path.parent, texts.get(PROGRESS))

    def end_of_ledger(self) -> dict[str, Any] | None:
        """Return how many records the ledger had, and the last one's hash, as far as that can be read."""
        return _end_of_ledger(self._connection) if self.open() and self._connection else None

    def shape(self) -> dict[str, Any]:
        """Return what `unfinished` needs to go on from here."""
        return {"file": self.path.name, "epoch": self.epoch, "after": self.after, "saved": self.saved}

    def _read(self) -> Iterator[tuple[Lane, list[Row]]]:
        for lane in _ORDER:
            for rows in self._readable(lane):
                yield lane, rows

    def _readable(self, lane: Lane) -> Iterator[list[Row]]:
        """Yield the rows of *lane* in order, stepping over what cannot be read."""
        connection = self._connection
        assert connection is not None
        rows = f"SELECT seq, {_columns(connection, lane)} FROM {lane} WHERE seq > ? ORDER BY seq LIMIT ?"
        decoder, press = Decoder(connection), Press()
        window, step = _WINDOW, 1
        while self.after[lane] < _END:
            try:
                with legible():
                    found = connection.execute(rows, (self.after[lane], window)).fetchall()
                    again = [_row(lane, decoder, press, *row[1:]) for row in found if _numbered(*row[:3:2])]
            except sqlite3.Error:
                if window > 1:
                    window //= 2  # come closer to the damage ...
                else:
                    self.after[lane], step = (
                        self.after[lane] + step,
                        step * 2,
                    )  # ... and over it, in growing steps
                continue
            if not found:
                return
            last = max(row[0] for row in found)
            if last <= self.after[lane]:  # a tree that leads back into itself
                self.after[lane] += step
                continue
            self.after[lane], window, step = last, min(2 * window, _WINDOW), 1
            yield [row for row in again if row is not None]


def unfinished(folder: Path, text: str | None) -> list[Wreck]:
    """Return the files that *text*, remembered under PROGRESS, says are still to be fetched; hostile."""
    found = list[Wreck]()
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        for shape in json.loads(text or "[]"):
            name = str(shape["file"])
            after = {lane: _count(shape["after"][lane]) for lane in Lane}
            saved = {lane: _count(shape["saved"][lane]) for lane in Lane}
            if Path(name).name == name and ".quarantine-" in name:
                found.append(Wreck(folder / name, str(shape["epoch"])[:20], after, saved))
    return found


def progress(wrecks: Iterable[Wreck], time: float) -> Text:
    """Return what is to be remembered of *wrecks*: nothing when all is done."""
    left = [wreck.shape() for wreck in wrecks if not wreck.done]
    return Text(PROGRESS, time, json.dumps(left) if left else None)


def _count(found: object) -> int:
    if not isinstance(found, int) or not 0 <= found <= _END:
        raise ValueError("that is no number of a record")
    return found


def _again(rows: list[Row], epoch: str, ledger: Ledger) -> Iterator[Row]:
    """Yield *rows* with the decisions as the new ledger takes them; one that it cannot take stays behind."""
    for row in rows:
        with contextlib.suppress(StoreError):
            yield ledger.again(row, epoch) if row.label == DECISION else row


def _epoch(connection: sqlite3.Connection) -> str:
    with contextlib.suppress(sqlite3.Error), legible():
        found = connection.execute("SELECT value FROM meta NOT INDEXED WHERE key = 'epoch'").fetchone()
        return str(found[0])[:20] if found else ""
    return ""


def _end_of_ledger(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """Return how many records the old ledger had, and the last one's hash, as far as that can be read."""
    with contextlib.suppress(sqlite3.Error), legible():
        found = connection.execute("SELECT seq, leaf FROM leaves ORDER BY seq DESC LIMIT 1").fetchone()
        if found and [*map(type, found)] == [int, bytes]:
            return {"size": found[0], "last": found[1].hex()}
    return None


def _remembered(connection: sqlite3.Connection) -> Iterator[Text]:
    """Yield the texts one by one, as far as they can be read. A file of version 1 has none."""
    row, after = "SELECT rowid, name, time, body FROM memory WHERE rowid > ? ORDER BY rowid LIMIT 1", 0
    for _ in range(MOST):
        after += 1
        with contextlib.suppress(sqlite3.Error, ValueError), legible():
            found = connection.execute(row, (after - 1,)).fetchone()
            if found is None:
                return
            after, *rest = found
            if [*map(type, rest)] == [str, float, str]:
                yield checked(Text(*rest))


def _cursor(connection: sqlite3.Connection, lane: Lane) -> int:
    with contextlib.suppress(sqlite3.Error), legible():
        found = connection.execute("SELECT cursor FROM lane NOT INDEXED WHERE name = ?", (lane,)).fetchone()
        if found and isinstance(found[0], int) and 0 <= found[0] < _END:
            return int(found[0])
    return 0


def _columns(connection: sqlite3.Connection, lane: Lane) -> str:
    with contextlib.suppress(sqlite3.Error), legible():
        return Columns(connection.execute("PRAGMA user_version").fetchone()[0]).of(lane)
    return Columns(0).of(lane)


def _numbered(seq: object, when: object) -> bool:
    return isinstance(seq, int) and isinstance(when, float)


def _row(
    lane: Lane, decoder: Decoder, press: Press, body: object, when: Any, form: object, stamp: object
) -> Row | None:
    """Return a row as it is written anew; None where it is not the text of one record any more."""
    if form is not None and lane is Lane.TELEMETRY and (packed := decoder.packed(body, when, form, stamp)):
        return Row(lane, when, packed.form.device, "", None, packed)
    text = decoder.text(body, when, form, stamp)
    if text is None:
        return None
    record = json.loads(text)
    label = record.get("device" if lane is Lane.TELEMETRY else "kind")
    if not isinstance(label, str):
        return None
    if lane is Lane.TELEMETRY and (reading := _reading(record, text)) is not None:
        with contextlib.suppress(StoreError):
            return row_of(reading, None, press)
    return Row(lane, when, label, text)


def _reading(record: dict[str, Any], text: str) -> Reading | None:
    """Return the reading, if it is one that gives this very text."""
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        reading = reading_of(record)
        return reading if encode(reading) == text else None
    return None
