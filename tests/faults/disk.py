"""The disk of disk.c: built, loaded into a process, told what to do, and its trace read back.

A process that was started with `preloaded(folder)` in its environment has it; there `Disk()` is its handle.
"""

import asyncio
import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from enum import IntFlag
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

SOURCE = Path(__file__).with_name("disk.c")
_ENTRY = Struct("<IIQq")


class Kind(IntFlag):
    """What may be failed."""

    WRITE = 1
    SYNC = 2
    TRUNCATE = 4
    NAME = 8
    READ = 16
    CHANGE = WRITE | SYNC | TRUNCATE


class Entry(NamedTuple):
    """One line of a trace. *kind*: w(rite) t(runcate) s(ync) f(ailed sync) d(irectory synced) c(reated)
    u(nlinked) r(enamed) m(ark). *data*: what was written, the path, the two paths, or the mark's JSON.
    """

    kind: str
    inode: int
    offset: int
    data: bytes


def library() -> Path:
    """Return the compiled disk, made anew when its source has changed."""
    name = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    made = Path(tempfile.gettempdir(), f"lamppost-disk-{os.getuid()}-{name}.so")
    if not made.exists():
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(folder, "disk.so")
            command = ["cc", "-O1", "-shared", "-fPIC", "-pthread", "-o", str(fresh), str(SOURCE), "-ldl"]
            subprocess.run(command, check=True)
            part = made.with_suffix(f".{os.getpid()}")
            part.write_bytes(fresh.read_bytes())
            part.rename(made)  # two test processes may be at it
    return made


def preloaded(folder: Path) -> dict[str, str]:
    """Return an environment in which the files under *folder* lie on that disk."""
    return {**os.environ, "LD_PRELOAD": str(library()), "DISK_ROOT": str(folder)}


def run(module: str, folder: Path, *arguments: object) -> Iterator[dict[str, Any]]:
    """Run *module* with its files under *folder* on that disk; yield the JSON lines that it prints."""
    command = [sys.executable, "-m", module, str(folder), *map(str, arguments)]
    pipe, root = subprocess.PIPE, SOURCE.parents[2]
    with subprocess.Popen(command, env=preloaded(folder), stdout=pipe, text=True, cwd=root) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    assert process.returncode == 0, f"{module} ended with {process.returncode}"


class Disk:
    """The handle of a process that has the disk."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self._library.disk_trace.restype = ctypes.c_void_p
        for name in ("disk_traced", "disk_calls", "disk_failed", "disk_room_left"):
            getattr(self._library, name).restype = ctypes.c_long
        self._library.disk_room.argtypes = [ctypes.c_int64]
        self._library.disk_fail.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_int]
        self._library.disk_mark.argtypes = [ctypes.c_char_p, ctypes.c_size_t]

    def record(self) -> None:
        """Begin a trace."""
        self._library.disk_record(1)

    def trace(self) -> bytes:
        """Return what was traced so far."""
        return ctypes.string_at(self._library.disk_trace(), self._library.disk_traced())

    def mark(self, promise: dict[str, Any]) -> None:
        """Put what is promised at this moment into the trace."""
        text = json.dumps(promise).encode()
        self._library.disk_mark(text, len(text))

    def fail(self, error: int, kinds: Kind = Kind.CHANGE, at: int = 1, *, always: bool = False) -> None:
        """Fail the call number *at* of these *kinds* with *error* (errno), or *always* from it on."""
        self._library.disk_fail(at, error, kinds, always)

    def kill(self, at: int, kinds: Kind = Kind.CHANGE | Kind.NAME) -> None:
        """End the process (SIGKILL) just before the call number *at* of these *kinds*."""
        self._library.disk_fail(at, -signal.SIGKILL, kinds, False)

    def count(self, kinds: Kind = Kind.CHANGE) -> None:
        """Fail nothing any more, and count the calls of these *kinds* from now on."""
        self._library.disk_fail(0, 0, kinds, 0)

    @property
    def calls(self) -> int:
        """How many calls there were since then."""
        return int(self._library.disk_calls())

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return int(self._library.disk_failed())

    def room(self, free: int) -> None:
        """Play a disk that has *free* bytes left; -1: as many as there really are."""
        self._library.disk_room(free)


def entries(trace: bytes) -> Iterator[Entry]:
    """Yield the lines of a trace."""
    at = 0
    while at < len(trace):
        kind, length, inode, offset = _ENTRY.unpack_from(trace, at)
        at += _ENTRY.size
        yield Entry(chr(kind), inode, offset, trace[at : at + length])
        at += length


def forked(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Do *work* in a process of its own; return 0, or below zero the signal that ended it."""
    child = os.fork()
    if not child:
        asyncio.run(work())
        os._exit(0)  # as it is: nothing is tidied up
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
