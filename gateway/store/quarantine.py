"""Damaged files are moved aside: as one step, at whatever moment the process is killed or the power goes.

A note beside the file, `<file>.damaged`, says that it is damaged; then, as which file it is moved aside, and
why. It stays until the event that tells of it is durable in the new file, so the next start goes on where
this one was ended.
"""

import contextlib
import glob
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

_MOST = 4  # damaged files that are kept, and no more than the store may take itself
_SUFFIXES = ("-wal", "-shm", "")  # the file itself last: once it is there all of it is


@dataclass(frozen=True, slots=True)
class Aside:
    """A damaged file under its new name, and what was wrong with it."""

    path: Path
    reason: str


def mark_damaged(path: Path) -> None:
    """Leave a note that the file is damaged, so that the next start moves it aside without a long look."""
    with contextlib.suppress(OSError):
        _note(path).write_text("")


def begun(path: Path) -> Aside | None:
    """Return what was moved aside when the process ended, or None. What the note says may be anything."""
    try:
        told = json.loads(_note(path).read_bytes())
        name, reason = told["file"], told["reason"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    ours = isinstance(name, str) and Path(name).name == name and name.startswith(f"{path.name}.quarantine-")
    return Aside(path.with_name(name), str(reason)) if ours else None


def found_in_use(path: Path) -> bool:
    """Tell whether there is a note, and the file is not moved aside yet."""
    return _note(path).exists() and begun(path) is None


def begin(path: Path, reason: str) -> Aside:
    """Choose the new name, never that of another file, and note it. `move` comes next.

    A full disk has no room for the note: the file is moved all the same, and only a kill just then is not
    noticed.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    latest = max((_when(name) for name in _all(path)), default=("", 0))
    number = latest[1] + 1 if latest[0] >= stamp else 1  # its place in the order, also when the clock was set
    stamp = max(stamp, latest[0])
    name = f"{path.name}.quarantine-{stamp}{f'-{number}' if number > 1 else ''}"
    with contextlib.suppress(OSError), _note(path).open("w") as note:
        json.dump({"file": name, "reason": reason}, note)
        note.flush()
        os.fsync(note.fileno())
    return Aside(path.with_name(name), reason)


def move(path: Path, aside: Path) -> None:
    """Rename the file with its log to *aside*, as far as that is not done yet. Raises OSError."""
    if aside.exists():
        return
    for suffix in _SUFFIXES:
        place = aside.with_name(aside.name + suffix)
        if not place.exists():
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(place)
    sync_directory(path)


def end(path: Path) -> None:
    """Remove the note: the new file knows of the old one. Raises OSError."""
    if _note(path).exists():
        _note(path).unlink()
        sync_directory(path)  # a note that came back would begin it again


def clear_away(path: Path, most: int) -> list[str]:
    """Delete the oldest of the files that were moved aside, beyond _MOST and *most* bytes; return which.

    The newest stays, whatever its size.
    """
    total, deleted = 0, list[str]()
    for number, one in enumerate(sorted(_all(path), key=_when, reverse=True)):
        total += size_of(one)
        if number and (number >= _MOST or total > most):
            deleted.append(one.name)
            for suffix in _SUFFIXES:
                one.with_name(one.name + suffix).unlink(missing_ok=True)
    return deleted


def size_of(path: Path) -> int:
    """Return the bytes that the database takes on the disk, with its write-ahead log."""
    total = 0
    for name in (path, f"{path}-wal"):  # asked for after every commit
        with contextlib.suppress(OSError):
            total += os.stat(name).st_size
    return total


def sync_directory(path: Path) -> None:
    """Make the names beside *path* durable. Raises OSError."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _all(path: Path) -> list[Path]:
    """Return the files that were moved aside for *path*, without their logs."""
    found = path.parent.glob(f"{glob.escape(path.name)}.quarantine-*")
    return [one for one in found if not one.name.endswith(("-wal", "-shm"))]


def _when(name: Path) -> tuple[str, int]:
    """Return what orders files by when they were moved aside: the stamp, and the number behind it."""
    stamp, _, number = name.name.rpartition(".quarantine-")[2].partition("-")
    return stamp, int(number) if number.isdecimal() else 1


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")
