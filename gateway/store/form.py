"""The compact shape of a reading: what repeats is kept once, and a row holds its numbers alone.

A *form* is a reading's JSON text with the numbers cut out: device, quantities, what is missing, flags,
labels. A *stamp* is a boot and the quality of its clock. A row names the two and carries the numbers as
doubles, with a checksum; put together they are the record's own text, to the letter.
"""

import json
import sqlite3
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

from gateway.clock import Quality
from gateway.reading import Reading, encode

LONGEST = 1536
"""Characters of the longest form: a reading of thirty quantities, each with a flag."""

MOST = 2000
"""Forms, and stamps, that a file has at most. What needs one more is kept as text."""

CHECK = 2
"""Bytes of a row's checksum, its last."""

_CUT = "\n"  # where a number was: JSON text has no raw line break
_KNOWN = 4096  # forms and candidates that are kept in memory
_FLOATS = {float}
_TIME = struct.Struct("<d")


class Damaged(ValueError):
    """A row is not what was written."""


class Form:
    """One form: its text as it is kept, and how its numbers become a text again."""

    __slots__ = ("codec", "device", "tail", "text")

    def __init__(self, text: str, device: str = "") -> None:
        self.text = text
        self.device = device
        self.tail = _template(text)
        self.codec = struct.Struct(f"<{text.count(_CUT) + 2}d")


class Stamp:
    """One stamp: its text as it is kept, and the beginning of a record with it."""

    __slots__ = ("head", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.head = _template(_opening(text))


class Outline(NamedTuple):
    """What the rows of one form and stamp share: the text around their *numbers*, with %b for each."""

    numbers: int
    template: bytes


class Packed(NamedTuple):
    """A reading as a row: *time* has a column of its own."""

    form: Form
    stamp: Stamp
    time: float
    data: bytes

    def text(self) -> str:
        """Return the record's JSON text."""
        return spelled(self.form, self.stamp, self.time, self.data)


def spelled(form: Form, stamp: Stamp, time: float, data: bytes) -> str:
    """Return the JSON text that a row stands for. Raises Damaged."""
    raw = _TIME.pack(time) + data[:-CHECK]
    if len(raw) != form.codec.size or zlib.crc32(raw) & 0xFFFF != int.from_bytes(data[-CHECK:]):
        raise Damaged("its checksum is wrong")
    return (stamp.head + form.tail) % form.codec.unpack(raw)


class Press:
    """Packs readings. A form is made when it is seen for the second time, and is proven on that record."""

    def __init__(self) -> None:
        self._forms: dict[object, Form | None] = {}  # None: seen once
        self._stamps: dict[tuple[str, str], Stamp] = {}

    def pack(self, reading: Reading) -> Packed | None:
        """Return *reading* as a row, or None where it is to be kept as text.

        Raises ValueError for what is no text at all.
        """
        at, values = reading.at, reading.values
        numbers = values.values()
        if not {*map(type, numbers)} <= _FLOATS or type(at.time) is not float or type(at.mono) is not float:
            return None
        if not isfinite(sum(numbers) + at.time + at.mono):
            return None
        if not (time := round(at.time, 6)):  # SQLite keeps no negative zero
            return None
        try:
            form, stamp = self._form(reading), self._stamp(reading)
        except TypeError:  # something in it cannot be a key: no reading of ours
            return None
        if form is None or stamp is None:
            return None
        raw = form.codec.pack(time, round(at.mono, 6), *numbers)
        data = raw[_TIME.size :] + (zlib.crc32(raw) & 0xFFFF).to_bytes(CHECK)
        return Packed(form, stamp, time, data)

    def _form(self, reading: Reading) -> Form | None:
        key = _key(reading)
        if form := self._forms.get(key):
            return form
        if len(self._forms) >= _KNOWN:
            self._forms.clear()
        made = _form_of(reading) if key in self._forms else None
        self._forms[key] = made
        return made

    def _stamp(self, reading: Reading) -> Stamp | None:
        boot, clock = reading.at.boot, reading.at.clock
        if known := self._stamps.get((boot, clock)):
            return known
        if type(boot) is not str or type(clock) not in (str, Quality) or len(boot) > LONGEST:
            return None
        text = f'"boot":{_json(boot)},"clock":{_json(clock)}'
        text.encode()
        if len(self._stamps) >= _KNOWN:
            self._stamps.clear()
        return self._stamps.setdefault((boot, clock), Stamp(text))


def _key(reading: Reading) -> object:
    """Return what tells a form from every other. A flag's type counts: 1 and true are equal in Python."""
    if not (reading.missing or reading.flags or reading.labels):
        return (reading.device, *reading.values)
    flags = reading.flags
    more = tuple(reading.missing.items()), tuple(flags.items()), tuple(map(type, flags.values()))
    return reading.device, tuple(reading.values), *more, tuple(reading.labels.items())


def _form_of(reading: Reading) -> Form | None:
    """Return the reading's form, if it has one that gives back this very record."""
    texts = [reading.device, *reading.values, *reading.missing, *reading.flags, *reading.labels]
    texts += [*reading.missing.values(), *reading.labels.values()]
    if not all(isinstance(text, str) for text in texts):
        return None
    more = [(name, found) for name in ("missing", "flags", "labels") if (found := getattr(reading, name))]
    values = ",".join(f"{_json(name)}:{_CUT}" for name in reading.values)
    rest = "".join(f",{_json(name)}:{_json(found)}" for name, found in more)
    text = f'"device":{_json(reading.device)},"values":{{{values}}}{rest}}}'
    if len(text) > LONGEST:
        return None
    text.encode()
    form, at = Form(text, str(reading.device)), reading.at
    head = f'"boot":{_json(at.boot)},"clock":{_json(at.clock)}'
    numbers = (round(at.time, 6), round(at.mono, 6), *reading.values.values())
    return form if (Stamp(head).head + form.tail) % numbers == encode(reading) else None


def _opening(stamp: str) -> str:
    return f'{{"kind":"reading","time":{_CUT},"mono":{_CUT},{stamp},'


def _template(text: str, number: str = "%r") -> str:
    return text.replace("%", "%%").replace(_CUT, number)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Catalogue:
    """The numbers of forms and stamps in one file. Used by the writer alone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, dict[str, int]] = {}
        self._changed = False  # in this transaction
        self._used: set[tuple[str, int]] = set()

    def numbers(self, packed: Packed) -> tuple[int, int] | None:
        """Return the numbers of its form and stamp, giving new ones; None when the file has too many."""
        form, stamp = packed.form, packed.stamp
        one = self._number("form", form.text, form.device)
        other = self._number("stamp", stamp.text, "")
        return None if one is None or other is None else (one, other)

    def settle(self, durable: bool) -> None:
        """The transaction is over: its new numbers stand, or are forgotten."""
        if self._changed and not durable:
            self._known.clear()  # to be read anew
        self._changed = False

    def crowded(self) -> bool:
        """Tell whether half the room for forms or stamps is used. Begins to note which are in use."""
        self._used.clear()
        return any(len(self._all(table)) > MOST // 2 for table in ("form", "stamp"))

    def prune(self, table: str, used: set[int]) -> None:
        """Delete from *table* all that is not *used*, nor was since `crowded`, but for the last number."""
        known = self._all(table)
        last, self._changed = max(known.values(), default=0), True
        keep = used | {last} | {number for name, number in self._used if name == table}
        for text, number in list(known.items()):
            if number not in keep:
                self._connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))
                del known[text]

    def _number(self, table: str, text: str, device: str) -> int | None:
        known = self._known.get(table) or self._all(table)
        number = known.get(text)
        if number is None:
            if len(known) >= MOST:
                return None
            number = max(known.values(), default=0) + 1
            self._connection.execute(
                f"INSERT INTO {table} (id, device, body) VALUES (?, ?, ?)", (number, device, text)
            )
            known[text] = number
            self._changed = True
        self._used.add((table, number))
        return number

    def _all(self, table: str) -> dict[str, int]:
        if table not in self._known:
            rows = self._connection.execute(f"SELECT CAST(body AS BLOB), id FROM {table}")
            self._known[table] = {bytes(t or b"").decode("utf-8", "replace"): number for t, number in rows}
        return self._known[table]


class Decoder:
    """Gives rows of one file back as text. Forms and stamps are read when they are first met."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._forms: dict[int, Form] = {}
        self._stamps: dict[int, Stamp] = {}

    def text(self, body: Any, time: Any, form: Any, stamp: Any) -> str | None:
        """Return the record's text; None where the row is not what was written."""
        try:
            if form is None:
                return _plain(body)
            one = self._forms.get(form) or self._form(form)
            other = self._stamps.get(stamp) or self._stamp(stamp)
            return spelled(one, other, time, body)
        except (ValueError, TypeError, struct.error, RecursionError):
            return None

    def outline(self, form: int, stamp: int) -> Outline:
        """Return what rows of *form* and *stamp* share. Raises Damaged or another ValueError."""
        one = self._forms.get(form) or self._form(form)
        other = self._stamps.get(stamp) or self._stamp(stamp)
        template = _template(_opening(other.text) + one.text, "%b")
        return Outline(one.codec.size // _TIME.size, template.encode())

    def packed(self, body: Any, time: Any, form: Any, stamp: Any) -> Packed | None:
        """Return a compact row, to be written elsewhere; None where it is damaged, or a text."""
        try:
            one = self._forms.get(form) or self._form(form)
            other = self._stamps.get(stamp) or self._stamp(stamp)
            raw = _TIME.pack(time) + body[:-CHECK]
            if len(raw) != one.codec.size or zlib.crc32(raw) & 0xFFFF != int.from_bytes(body[-CHECK:]):
                return None
            sound = all(map(isfinite, one.codec.unpack(raw)))
            return Packed(one, other, time, bytes(body)) if sound else None
        except (ValueError, TypeError, struct.error, RecursionError):
            return None

    def _form(self, number: int) -> Form:
        text = self._kept("form", number)
        device = json.loads(_whole("form", text)).get("device")
        return self._forms.setdefault(number, Form(text, device if isinstance(device, str) else ""))

    def _stamp(self, number: int) -> Stamp:
        return self._stamps.setdefault(number, Stamp(self._kept("stamp", number)))

    def _kept(self, table: str, number: int) -> str:
        query = f"SELECT CAST(body AS BLOB) FROM {table} WHERE id = ?"
        found = self._connection.execute(query, (number,)).fetchone()
        if found is None or found[0] is None:
            raise Damaged(f"there is no {table} {number}")
        text = bytes(found[0]).decode()
        json.loads(_whole(table, text))
        return text


def _whole(table: str, text: str) -> str:
    """Return a text that is JSON exactly if *text* is as it was written."""
    filled = text.replace(_CUT, "0")
    return f"{{{filled}" if table == "form" else f"{{{filled}}}"


def _plain(body: object) -> str | None:
    """Return a body that is JSON text of one object; None for anything else."""
    text = body.decode() if isinstance(body, bytes) else body
    return text if isinstance(text, str) and isinstance(json.loads(text), dict) else None


@dataclass(frozen=True, slots=True)
class Columns:
    """What is asked of a lane so that `Decoder.text` can read it, by the file's version."""

    version: int

    def of(self, lane: str) -> str:
        """Return the columns: body, time, form, stamp."""
        compact = lane == "telemetry" and self.version > 3
        return "body, time, form, stamp" if compact else "body, time, NULL, NULL"


def parsed(text: str) -> Mapping[str, Any]:
    """Return the record in *text*, which a Decoder gave."""
    record: Mapping[str, Any] = json.loads(text)
    return record
