"""Making or migrating a file in a process of its own, before the daemon opens it."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

from gateway.config import Store as Settings
from gateway.store import file
from gateway.store.schema import VERSION
from gateway.store.worker import Worker

_VERSION_AT = 60  # bytes into the file: user_version, four bytes (SQLite file format, section 1.3)
_GLANCE = 0.5  # [s] that a look at the lock may take: the outputs wait for it
_PATIENCE = 60.0  # [s] that a migration may take before the daemon does it itself


async def refuse_if_taken(settings: Settings) -> None:
    """Raise StoreError when another gateway runs on the store. Changes nothing; a disk that hangs says no."""
    worker = Worker("store-lock")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GLANCE):
            await worker.call(lambda: file.refuse_if_taken(settings.path))
    await worker.stop(lambda: None, 0.0)


async def prepare(settings: Settings, gateway: str, entrance: str = "gateway.store") -> None:
    """Have a file that is not there yet, or older than the code, made by another process.

    So the daemon need not carry sqlite_utils, 7 MB, for the rest of its life. That process may fail; then
    the daemon does the same when it opens the file, and says why it cannot. *entrance* is the module that it
    runs: one that knows the ledger, for a damaged file's decisions are linked anew.
    """
    if _version(settings.path) >= VERSION:
        return
    command = [sys.executable, "-m", entrance, str(settings.path), gateway, str(settings.max_size)]
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
