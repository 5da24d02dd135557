"""Rows that are not on the disk yet, oldest first, within a bound of memory."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gateway.reading import Gap, Lane, Reading, Record, encode, lane_of
from gateway.store.errors import StoreError
from gateway.store.form import Packed, Press

LARGEST = 64 * 1024
"""Bytes of the largest record: well below what a broker takes, and a hundred times an ordinary one."""

_BESIDE = 24  # bytes of a row beside its text or numbers
_OVERHEAD = 300  # bytes of a row's own objects beside its text, measured with CPython 3.11


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A record as it is stored. *label* is the device of a reading, the kind of anything else.

    Its text is in *body*, but for a reading that is *packed*.
    """

    lane: Lane
    time: float
    label: str
    body: str
    done: asyncio.Future[int] | None = None  # who waits for it to be durable
    packed: Packed | None = None

    @property
    def text(self) -> str:
        """The record's JSON text."""
        return self.packed.text() if self.packed else self.body

    @property
    def wanted(self) -> bool:
        """Whether it must still be written: who waited for it may have given up."""
        return self.done is None or not self.done.done()

    def refuse(self, why: str) -> None:
        """Tell who waits for it that it is not in the log, and why."""
        if self.done is not None and not self.done.done():
            self.done.set_exception(StoreError(why))

    @property
    def size(self) -> int:
        """About how much memory it takes [bytes]."""
        return self.bytes + _OVERHEAD

    @property
    def bytes(self) -> int:
        """About how much of the file it takes [bytes]."""
        return len(self.packed.data) + _BESIDE if self.packed else len(self.body) + len(self.label) + _BESIDE


class Batch(NamedTuple):
    """What one commit takes from a lane: *lost* rows that memory had no room for, then *rows*."""

    lost: int
    rows: list[Row]


EMPTY = Batch(0, [])


def row_of(record: Record, done: asyncio.Future[int] | None = None, press: Press | None = None) -> Row:
    """Return *record* as a row, a reading packed by *press* if it can be.

    Raises StoreError for one that is no JSON or larger than LARGEST.
    """
    label = record.device if isinstance(record, Reading) else str(record.body()["kind"])
    try:
        if isinstance(record, Reading) and press and (packed := press.pack(record)):
            return Row(Lane.TELEMETRY, packed.time, label, "", done, packed)
        body = encode(record)
        size = len(body.encode())
    except (ValueError, TypeError) as error:
        raise StoreError(f"the {label} record cannot be written as JSON: {error}") from error
    if size > LARGEST:
        raise StoreError(f"the {label} record has {size} bytes; a record has at most {LARGEST}")
    return Row(lane_of(record), record.at.time, label, body, done)


def row_of_gap(gap: Gap) -> Row:
    """Return *gap* as a row. Its reason is cut so that it is never too large."""
    return Row(Lane.EVENTS, gap.at.time, "gap", encode(gap))


class Pending:
    """The rows of one lane that wait. Beyond *bound* [bytes] the oldest go, and are counted as lost."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._rows: deque[Row] = deque()
        self._size = 0
        self._lost = 0
        self._taken = EMPTY

    def __len__(self) -> int:
        return len(self._rows) + self._lost + len(self._taken.rows) + self._taken.lost

    def add(self, row: Row) -> None:
        """Append *row*."""
        self._rows.append(row)
        self._size += row.size
        while self._size > self._bound and len(self._rows) > 1:
            self._lose(self._rows.popleft())

    def rows(self) -> list[Row]:
        """Return what is not on the disk yet as far as anybody knows, oldest first."""
        return [row for row in (*self._taken.rows, *self._rows) if row.wanted]

    def take(self, limit: int) -> Batch:
        """Return the next up to *limit* rows for a commit, to be followed by `committed` or `failed`."""
        self._taken = Batch(self._lost, list(self._pop(limit)))
        self._lost = 0
        return self._taken

    def committed(self) -> None:
        """Forget what was taken: it is on the disk."""
        self._taken = EMPTY

    def failed(self) -> None:
        """Put back what was taken, at its place in front; rows that somebody waits for are withdrawn."""
        lost, rows = self._taken
        self._taken = EMPTY
        keep = [row for row in rows if row.done is None]
        if self._lost:  # rows behind these went already, for want of room: so must these, which are older
            self._lost += len(keep)
        else:
            self._rows.extendleft(reversed(keep))
            self._size += sum(row.size for row in keep)
        self._lost += lost

    def abandon(self, why: str) -> int:
        """Refuse every row, and return how many are lost that nobody waited for."""
        rows = [*self._taken.rows, *self._rows]
        for row in rows:
            row.refuse(why)
        return sum(row.done is None for row in rows) + self._lost + self._taken.lost

    def _pop(self, limit: int) -> Iterator[Row]:
        while self._rows and limit:
            row = self._rows.popleft()
            self._size -= row.size
            if row.wanted:
                limit -= 1
                yield row

    def _lose(self, row: Row) -> None:
        self._size -= row.size
        self._lost += row.done is None
        row.refuse("memory for records that wait for the disk is used up")
