"""A file's readings seen from outside as fast as they can be had, for whoever plays a month of them.

`Archive.records` gives every record as it was written, to the letter. Here no text is made of a compact
row, and rows of devices that nobody asks for are not even unpacked.
"""

import json
import sqlite3
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from drivers.device import Missing, Quantity
from gateway.clock import Instant, Quality
from gateway.correction import Corrections
from gateway.reading import Flag, Lane, Reading, reading_of
from gateway.store.archive import CHUNK, COMPACT, Archive, span
from gateway.store.file import read_only

Placed: TypeAlias = Callable[[float, float, str, Quality], Instant]
"""Makes an instant of a time [s, Unix], a monotonic time [s], a boot and the clock's quality."""

_CHECK = 2
_TIME = struct.Struct("<d")
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, struct.error)


class Played(NamedTuple):
    """Some readings, how many records they were taken from, and how far through the file that was, 0 to 1."""

    share: float
    records: int
    readings: list[Reading]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the rows of one form share."""

    device: str
    names: tuple[Quantity, ...]
    codec: struct.Struct
    missing: Mapping[Quantity, Missing]
    flags: Mapping[Quantity, Flag]
    labels: Mapping[Quantity, str]


def play(
    path: Path, devices: Collection[str], since: float, until: float, place: Placed = Instant
) -> Iterator[Played]:
    """Yield the readings of *devices* from *since* to *until* [s, Unix], in order.

    *place* is asked for each one's time, in that order; what it raises ValueError for is left out, as is what
    cannot be read. Those of before the first synchronisation of a boot have their right time, where that is
    known. The file is one that `Archive` takes.
    """
    corrections = Archive(path).corrections()
    right = _right(corrections, since, until, place) if corrections else place
    with closing(read_only(path)) as db:
        db.text_factory = bytes
        (version,) = db.execute("PRAGMA user_version").fetchone()
        columns = "form, stamp" if version >= COMPACT else "NULL, NULL"
        rows = (
            f"SELECT seq, time, device, body, {columns} FROM telemetry "
            f"WHERE seq > ? AND {span(Lane.TELEMETRY, version, corrections)} ORDER BY seq LIMIT ?"
        )
        first, last = db.execute("SELECT min(seq), max(seq) FROM telemetry").fetchone()
        reader, at = _Reader(db, devices, right), (first or 0) - 1
        while found := db.execute(rows, (at, since, until, CHUNK)).fetchall():
            at = found[-1][0]
            readings = [reading for row in found if (reading := reader.read(*row[1:])) is not None]
            yield Played((at - first + 1) / (last - first + 1), len(found), readings)


def _right(corrections: Corrections, since: float, until: float, place: Placed) -> Placed:
    """Return *place*, asked about corrected times that lie between *since* and *until*."""

    def corrected(time: float, mono: float, boot: str, clock: Quality) -> Instant:
        at = corrections.instant(time, mono, boot, clock)
        if not since <= at.time <= until:
            raise ValueError("it is of another time")
        return place(at.time, mono, boot, at.clock)

    return corrected


class _Reader:
    """Gives rows back as readings."""

    def __init__(self, db: sqlite3.Connection, devices: Collection[str], place: Placed) -> None:
        self._db, self._devices, self._place = db, devices, place
        self._shapes: dict[int, _Shape | None] = {}  # None: of a device that nobody asks for
        self._stamps: dict[int, tuple[str, Quality]] = {}

    def read(self, time: Any, device: Any, body: Any, form: Any, stamp: Any) -> Reading | None:
        """Return the row's reading; None where it is of another device, or cannot be read."""
        try:
            if form is None:
                return self._plain(body) if device.decode() in self._devices else None
            shape = self._shapes[form] if form in self._shapes else self._shape(form)
            if shape is None:
                return None
            boot, clock = self._stamps.get(stamp) or self._stamp(stamp)
            raw = body[:-_CHECK]
            check = zlib.crc32(_TIME.pack(time) + raw) & 0xFFFF
            if check != int.from_bytes(body[-_CHECK:]):
                return None
            mono, *numbers = shape.codec.unpack(raw)
            values = dict(zip(shape.names, numbers, strict=True))
            at = self._place(time, mono, boot, clock)
            return Reading(shape.device, at, values, shape.missing, shape.flags, shape.labels)
        except _BROKEN:
            return None

    def _plain(self, body: bytes) -> Reading | None:
        stored = reading_of(json.loads(body))
        if stored.device not in self._devices:
            return None
        at = stored.at
        placed = self._place(float(at.time), float(at.mono), at.boot, at.clock)
        return Reading(stored.device, placed, stored.values, stored.missing, stored.flags, stored.labels)

    def _shape(self, number: int) -> _Shape | None:
        """Read a form, from a row of zeroes that has it."""
        text = self._kept("form", number)
        head = '{"time": 0, "mono": 0, "boot": "", "clock": "unknown", '
        sample = reading_of(json.loads(head + text.replace("\n", "0")))
        found = _Shape(
            sample.device,
            tuple(sample.values),
            struct.Struct(f"<{len(sample.values) + 1}d"),
            sample.missing,
            sample.flags,
            sample.labels,
        )
        self._shapes[number] = found if sample.device in self._devices else None
        return self._shapes[number]

    def _stamp(self, number: int) -> tuple[str, Quality]:
        shape = json.loads(f"{{{self._kept('stamp', number)}}}")
        self._stamps[number] = str(shape["boot"]), Quality(shape["clock"])
        return self._stamps[number]

    def _kept(self, table: str, number: int) -> str:
        query = f"SELECT CAST(body AS BLOB) FROM {table} WHERE id = ?"
        (body,) = self._db.execute(query, (number,)).fetchone()
        return str(body, "utf-8")
