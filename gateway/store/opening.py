"""Opening the log, whatever state its file is in: one that is damaged is moved aside, and salvaged."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from gateway.clock import Instant
from gateway.config import Store as Settings
from gateway.store.errors import StoreError, damaged, outside
from gateway.store.file import open_database
from gateway.store.ledger import Ledger, Linker
from gateway.store.log import Log
from gateway.store.quarantine import mark_damaged
from gateway.store.salvage import salvage
from gateway.store.wreck import Wreck


@dataclass(frozen=True, slots=True)
class Begun:
    """A log that is open, the ledger in it, and the files aside of which there is more to fetch."""

    epoch: str
    log: Log
    ledger: Ledger | None
    wrecks: list[Wreck]


def begin(
    settings: Settings, gateway: str, now: Callable[[], Instant], linker: Linker | None = None
) -> Begun:
    """Open the log of *gateway*, or begin one. Raises StoreError and sqlite3.Error.

    Damage that is found only on the way marks the file, and it is opened again: that moves it aside.
    """
    try:
        return _look(settings, gateway, now, linker)
    except StoreError as error:
        if not isinstance(error.__cause__, sqlite3.Error) or not damaged(error.__cause__):
            raise
    except sqlite3.Error as error:
        if outside(error):
            raise
    mark_damaged(settings.path)
    return _look(settings, gateway, now, linker)


def _look(settings: Settings, gateway: str, now: Callable[[], Instant], linker: Linker | None) -> Begun:
    path = settings.path
    opened = open_database(path, gateway, settings.max_size)
    try:
        ledger = Ledger(opened.connection, linker) if linker else None
        log = Log(opened.connection, path, ledger)
        log.tallies()
        return Begun(opened.epoch, log, ledger, salvage(opened, log, gateway, now(), ledger, path))
    except BaseException:
        opened.connection.close()
        raise
