"""What a power cut may leave on a disk, from a trace of what was written to it.

The rules: what was synced is there. Of each file's later writes and truncations any may be, whole or torn at
any byte. Names (creations, renamings, removals) become durable in their order, all of them when the directory
is synced: so do journalling file systems. A file's own sync does not make its name durable. What was written
before a sync that failed may be lost in spite of any sync that comes later: so does Linux.
"""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.disk import Entry

STYLES = ("none", "some", "first", "all", "torn")


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Entry] = field(default_factory=list)
    doubtful: list[Entry] = field(default_factory=list)  # no later sync brings them


@dataclass(slots=True)
class Power:
    """A disk, of which an image can be taken at any moment. *promise*: the last mark that went by."""

    chance: random.Random
    promise: dict[str, Any] = field(default_factory=dict)
    _files: dict[int, _File] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)
    _renaming: list[Entry] = field(default_factory=list)

    def see(self, entry: Entry) -> None:
        """Let one call happen."""
        if entry.kind == "m":
            self.promise = json.loads(entry.data)
        elif entry.kind == "d":
            for change in self._renaming:
                _name(self._names, change)
            self._renaming.clear()
        elif entry.kind in "cur":
            if entry.kind == "c":
                self._files[entry.inode] = _File()
            self._renaming.append(entry)
        else:
            self._write(self._files.setdefault(entry.inode, _File()), entry)

    def _write(self, file: _File, entry: Entry) -> None:
        if entry.kind == "f":
            file.doubtful += file.pending
            file.pending.clear()
        elif entry.kind == "s":
            kept = [change for change in file.doubtful if self.chance.random() < 0.5]
            for change in kept + file.pending:
                _apply(file.durable, change)
            file.doubtful.clear()
            file.pending.clear()
        else:
            file.pending.append(entry)

    def image(self, style: str) -> dict[str, bytes]:
        """Return the files that a power cut at this moment leaves, by their names."""
        names = dict(self._names)
        for change in self._chosen(self._renaming, "first" if style in ("some", "torn") else style):
            _name(names, change)
        return {name: self._content(self._files[inode], style) for name, inode in names.items()}

    def _content(self, file: _File, style: str) -> bytes:
        later = file.doubtful + file.pending
        if not later:
            return bytes(file.durable)
        content = bytearray(file.durable)
        for change in self._chosen(later, style):
            torn = style == "torn" and change.kind == "w" and self.chance.random() < 0.5
            _apply(content, self._torn(change) if torn else change)
        return bytes(content)

    def _chosen(self, changes: list[Entry], style: str) -> list[Entry]:
        if style == "all":
            return changes
        if style == "first":
            return changes[: self.chance.randint(0, len(changes))]
        return [change for change in changes if style != "none" and self.chance.random() < 0.5]

    def _torn(self, change: Entry) -> Entry:
        """Return the first part of a write, or its last: a disk may begin anywhere."""
        cut = self.chance.randint(0, len(change.data))
        if self.chance.random() < 0.5:
            return change._replace(data=change.data[:cut])
        return change._replace(offset=change.offset + cut, data=change.data[cut:])


def _apply(content: bytearray, change: Entry) -> None:
    end = change.offset + len(change.data)
    if change.kind == "t":
        del content[end:]
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[change.offset : end] = change.data


def _name(names: dict[str, int], change: Entry) -> None:
    path, _, other = change.data.decode().partition("\n")
    if change.kind == "c":
        names[path] = change.inode
    elif change.kind == "u":
        names.pop(path, None)
    elif path in names:
        names[other] = names.pop(path)


def laid_out(image: dict[str, bytes], folder: Path, chance: random.Random) -> Path:
    """Write *image* into the empty *folder* and return where the store is.

    The index of the log is memory: of it nothing is left, or rubbish.
    """
    for name, content in image.items():
        (folder / Path(name).name).write_bytes(content)
    if chance.random() < 0.2:
        (folder / "s.db-shm").write_bytes(chance.randbytes(chance.choice([0, 100, 32768])))
    return folder / "s.db"


def moments(length: int, count: int, chance: random.Random) -> Iterable[int]:
    """Return *count* places in a trace of *length*, in order."""
    return sorted(chance.randrange(1, length + 1) for _ in range(count))
