"""Making or migrating a file in a process of its own, before the daemon opens it."""

import asyncio
import subprocess
import sys
from pathlib import Path

from gateway.config import Store as Settings
from gateway.store.schema import VERSION

_VERSION_AT = 60  # bytes into the file: user_version, four bytes (SQLite file format, section 1.3)
_PATIENCE = 60.0  # [s] that a migration may take before the daemon does it itself


async def prepare(settings: Settings, gateway: str) -> None:
    """Have a file that is not there yet, or older than the code, made by another process.

    So the daemon need not carry sqlite_utils, 7 MB, for the rest of its life. That process may fail; then
    the daemon does the same when it opens the file, and says why it cannot.
    """
    if _version(settings.path) == VERSION:
        return
    command = [sys.executable, "-m", "gateway.store", str(settings.path), gateway, str(settings.max_size)]
    try:
        await asyncio.to_thread(subprocess.run, command, stderr=subprocess.DEVNULL, timeout=_PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return


def _version(path: Path) -> int:
    """Return the schema version in the file's header, 0 where there is none."""
    try:
        with path.open("rb") as file:
            header = file.read(_VERSION_AT + 4)
    except OSError:
        return 0
    return int.from_bytes(header[_VERSION_AT:])
