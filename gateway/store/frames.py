"""Whether something in the middle of a write-ahead log has become unreadable (SQLite file format, section 4).

SQLite takes the log up to the first frame whose checksum is wrong, and says nothing: after a power cut that
is how it should be, for the transaction that was being written. But one begins only after the one before it
is durable: where two end behind that frame, and each frame carries on the checksum of the one before it, the
first of them was accepted, and cannot be read any more. Its numbers must not be given again.
"""

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from gateway.store.errors import legible

_HEADER = struct.Struct(">8I")  # magic, version, page size, checkpoint, salts, checksums
_FRAME = struct.Struct(">6I")  # page, pages after a commit or 0, salts, checksums
_MAGIC = 0x377F0682  # its last bit: checksums of big-endian words
_LAST = (
    16  # bytes into the index: the number of the last frame that SQLite takes (walformat.html, section 2.1)
)
_MOST = 4000  # frames that are looked at: 2 MB of them, and 60 ms

Sums = tuple[int, int]


class _Frame(NamedTuple):
    commits: bool
    before: bytes  # what its checksum is of: eight bytes of its header, and the page
    sums: Sums


def rotten(path: Path) -> str:
    """Return how much of the log beside the database at *path* is known to be unreadable, or ""."""
    log = path.with_name(path.name + "-wal")
    with suppress(OSError, sqlite3.Error, struct.error), legible():
        if log.stat().st_size > _HEADER.size:
            ended = _behind(log, _taken(path))
            if ended > 1:
                return f"about {ended} transactions in its log cannot be read any more"
    return ""


def _taken(path: Path) -> int:
    """Return how many frames SQLite takes. A connection that only reads leaves the log as it is."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        index = path.with_name(path.name + "-shm").read_bytes()[:32]
    return int(struct.unpack_from("=I", index, _LAST)[0])


def _behind(log: Path, taken: int) -> int:
    """Return how many transactions end in a row behind the frames *taken*, at most."""
    ended = most = 0
    sums: Sums | None = None
    for frame, order in _frames(log, taken):
        if sums is None or added(frame.before, sums, order) != frame.sums:
            ended = 0  # nothing ties it to the one before it
        ended += frame.commits
        most, sums = max(most, ended), frame.sums
    return most


def _frames(log: Path, taken: int) -> Iterator[tuple[_Frame, str]]:
    """Yield the frames of this generation behind those *taken*, and the order of the bytes in a word."""
    with log.open("rb") as file:
        header = file.read(_HEADER.size)
        magic, _, size, _, *salts, first, second = _HEADER.unpack(header)
        order = ">" if magic & 1 else "<"
        whole = magic & ~1 == _MAGIC and added(header[:24], (0, 0), order) == (first, second)
        file.seek(_HEADER.size + taken * (_FRAME.size + size))
        for _ in range(_MOST if whole else 0):
            content = file.read(_FRAME.size + size)
            if len(content) < _FRAME.size + size:
                return
            _, pages, *found, first, second = _FRAME.unpack_from(content)
            if found != salts:
                return
            yield _Frame(pages > 0, content[:8] + content[_FRAME.size :], (first, second)), order


def added(content: bytes, sums: Sums, order: str) -> Sums:
    """Return the checksum of *content* behind *sums* (section 4.2)."""
    one, other = sums
    words = iter(struct.unpack(f"{order}{len(content) // 4}I", content))
    for first, second in zip(words, words, strict=True):
        one = (one + first + other) & 0xFFFFFFFF
        other = (other + second + one) & 0xFFFFFFFF
    return one, other
