"""A file that holds eight mebibytes free: given up when the disk is full, so that the store can make room."""

import contextlib
import os
from pathlib import Path

SIZE = 8 << 20
"""Bytes: twice the write-ahead log that a checkpoint leaves."""

_SPARE = 8 * SIZE  # bytes that must be free before it is made again: else it would go the next minute


class Ballast:
    """`<database>.ballast`. A disk that cannot hold it is no reason not to run."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".ballast")

    @property
    def held(self) -> bool:
        """Whether it is there."""
        with contextlib.suppress(OSError):
            return self._path.stat().st_size == SIZE
        return False

    def release(self) -> bool:
        """Give its room back. False where there is none to give."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def needed(self) -> bool:
        """Whether the disk has so little room that opening a file may fail for it."""
        return self._free() < SIZE // 8

    def spare(self) -> bool:
        """Whether there is room that is more than what releasing it has made."""
        return self._free() > 2 * SIZE

    def restore(self) -> None:
        """Take the room again, if there is plenty."""
        if self.held or self._free() < SIZE + _SPARE:
            return
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.posix_fallocate(file, 0, SIZE)
            except OSError:
                self._path.unlink()
            finally:
                os.close(file)

    def _free(self) -> int:
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._path.parent)
            return disk.f_bavail * disk.f_frsize
        return SIZE
