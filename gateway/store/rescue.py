"""The rest of damaged files, fetched while the store works: slowly, and only as long as there is room."""

import logging
import sqlite3
from collections.abc import Callable
from functools import partial

from drivers.device import Clock
from gateway.clock import Instant
from gateway.reading import Event, Lane
from gateway.store.keeper import Keeper
from gateway.store.ledger import Ledger
from gateway.store.pending import Row, row_of
from gateway.store.worker import Worker
from gateway.store.wreck import Wreck, progress

_log = logging.getLogger(__name__)

_PAUSE = 0.05  # [s] between two pieces: at most 10,000 readings a second
_WAIT = 10.0  # [s] before it is tried again when there is no room, or the disk fails


class Rescue:
    """Fetches what *wrecks* still hold into the store that *keeper* keeps.

    Each piece is committed together with how far that is, so that a restart goes on where it was: nothing is
    lost, and nothing comes twice. It never takes room from records that wait: while the store is three
    quarters full, or its disk fails, it waits.
    """

    def __init__(
        self,
        wrecks: list[Wreck],
        keeper: Keeper,
        gateway: str,
        now: Callable[[], Instant],
        clock: Clock,
        ledger: Ledger | None,
    ) -> None:
        self._wrecks = wrecks
        self._keeper = keeper
        self._gateway = gateway
        self._now = now
        self._clock = clock
        self._ledger = ledger

    async def run(self) -> None:
        """Fetch all of it."""
        worker = Worker("store-salvage")
        try:
            for wreck in self._wrecks:
                next_one = partial(wreck.piece, self._ledger)
                while (piece := await worker.call(next_one)) is not None:
                    await self._keep(*piece)
                    await self._clock.sleep(_PAUSE)
                await worker.call(wreck.close)
                await self._tell(wreck)
        finally:
            await worker.stop(self._let_go)

    def _let_go(self) -> None:
        for wreck in self._wrecks:
            wreck.close()

    async def _keep(self, lane: Lane, rows: list[Row]) -> None:
        """Commit *rows* when there is room."""
        while True:
            if not self._keeper.cramped():
                try:
                    await self._keeper.adopt(lane, rows, [progress(self._wrecks, self._now().time)])
                except sqlite3.Error as error:
                    _log.error("store: what was salvaged cannot be written: %s", error)
                else:
                    return
            await self._clock.sleep(_WAIT)

    async def _tell(self, wreck: Wreck) -> None:
        data = {"file": wreck.path.name, "epoch": wreck.epoch, "salvaged": dict(wreck.saved)}
        told = row_of(Event("lamppost.store.salvaged", self._gateway, self._now(), data))
        await self._keep(Lane.EVENTS, [told])
