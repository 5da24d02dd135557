"""Rows as the texts of whole batches: the way from the file to the broker, many readings at a time.

What `Decoder.text` does for a row is done here for a hundred in a few calls: one checksum each, but one
unpacking, one spelling of all the numbers and one template for all. Whatever does not fit that way (events,
readings kept as text, rows of two boots, damage) takes the way of `Decoder.text`.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from gateway.store.digits import digits
from gateway.store.form import CHECK, Decoder, Outline

Row: TypeAlias = tuple[Any, ...]
"""Number, body, time, form, stamp, as they lie in the file."""

_LAYOUTS = 64  # orders of devices that are kept: sampling repeats itself
_TIME = struct.Struct("<d")


class Run(NamedTuple):
    """Records *first* to *last* of a lane without a hole, and their JSON texts, with commas between."""

    first: int
    last: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """How much is asked for: *runs* of at most *records* and *size* bytes (one record may be longer)."""

    records: int
    size: int
    runs: int


class Block(NamedTuple):
    """What a look at the file gave: runs in order, the numbers of damaged rows, and the last number seen."""

    runs: list[Run]
    damaged: list[int]
    last: int


class _Layout(NamedTuple):
    """How rows of these forms lie behind each other, and the text around their numbers."""

    sizes: tuple[int, ...]
    rows: struct.Struct
    parts: struct.Struct
    numbers: struct.Struct
    checks: struct.Struct
    template: bytes


class Blocks:
    """Makes blocks of rows."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._layouts: dict[object, _Layout] = {}

    def block(self, rows: Sequence[Row], cut: Cut) -> Block:
        """Return *rows*, which ascend, as runs."""
        found, damaged, at, records = list[Run](), list[int](), 0, cut.records
        while at < len(rows) and len(found) < cut.runs:
            some = rows[at : at + records]
            if some[-1][0] - some[0][0] >= len(some):
                some = some[: _dense(some)]
            text = self._text(some)
            if text is None:
                found += self._one_by_one(some, cut, damaged)
            elif len(text) > cut.size and len(some) > 1:
                records = max(1, min(len(some) - 1, len(some) * cut.size // len(text)))
                continue
            else:
                found.append(Run(some[0][0], some[-1][0], text))
            at += len(some)
        return Block(found, damaged, rows[at - 1][0] if at else 0)

    def _text(self, rows: Sequence[Row]) -> bytes | None:
        """Return the texts of *rows* together; None where they cannot be had that way."""
        try:
            _, bodies, times, forms, stamps = zip(*rows, strict=True)
            layout = self._layouts.get((stamps, forms)) or self._layout(forms, stamps)
            if tuple(map(len, bodies)) != layout.sizes:  # `pack` would cut what is too long
                return None
            fields: list[Any] = [None] * (2 * len(rows))
            fields[::2], fields[1::2] = times, bodies
            joined = layout.rows.pack(*fields)
            sums = tuple([check & 0xFFFF for check in map(zlib.crc32, layout.parts.unpack(joined))])
            if sums != layout.checks.unpack(joined):
                return None
            return layout.template % digits(layout.numbers.unpack(joined))
        except (ValueError, TypeError, struct.error, RecursionError):
            return None

    def _one_by_one(self, rows: Sequence[Row], cut: Cut, damaged: list[int]) -> Iterator[Run]:
        """Yield *rows* as runs, each text by itself, and note in *damaged* what has none."""
        texts, first, used = list[bytes](), 0, 0
        for seq, *row in rows:
            text = self._decoder.text(*row)
            if text is None:
                damaged.append(seq)
            raw = b"" if text is None else text.encode()
            if texts and (text is None or used + len(raw) + 1 > cut.size):
                yield Run(first, first + len(texts) - 1, b",".join(texts))
                texts, used = [], 0
            if text is not None:
                first = first if texts else seq
                texts.append(raw)
                used += len(raw) + 1
        if texts:
            yield Run(first, first + len(texts) - 1, b",".join(texts))

    def _layout(self, forms: Sequence[Any], stamps: Sequence[Any]) -> _Layout:
        outlines = [self._decoder.outline(form, stamp) for form, stamp in zip(forms, stamps, strict=True)]
        if len(self._layouts) >= _LAYOUTS:
            self._layouts.clear()
        return self._layouts.setdefault((stamps, forms), _layout_of(outlines))


def _layout_of(outlines: Sequence[Outline]) -> _Layout:
    sizes = [_TIME.size * one.numbers for one in outlines]
    return _Layout(
        tuple(size - _TIME.size + CHECK for size in sizes),
        struct.Struct("<" + "".join(f"d{size - _TIME.size + CHECK}s" for size in sizes)),
        struct.Struct("".join(f"{size}s{CHECK}x" for size in sizes)),
        struct.Struct("<" + "".join(f"{one.numbers}d{CHECK}x" for one in outlines)),
        struct.Struct(">" + "".join(f"{size}xH" for size in sizes)),
        b",".join(one.template for one in outlines),
    )


def _dense(rows: Sequence[Row]) -> int:
    """Return how many of *rows* follow one another without a hole, from the first on."""
    first = rows[0][0]
    return next((n for n, row in enumerate(rows) if row[0] != first + n), len(rows))
