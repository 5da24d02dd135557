"""What gives way when a commit finds no room, and in which order."""

import math
import sqlite3
from collections.abc import Callable

from gateway.clock import Instant
from gateway.reading import Lane
from gateway.store.ballast import Ballast
from gateway.store.retention import Retention
from gateway.store.tables import Change, Cursors, Tables
from gateway.store.thinning import Thinning

_ANY_READING = {Lane.TELEMETRY: -math.inf, Lane.EVENTS: math.inf}  # decisions outlive readings
_ANYTHING = dict.fromkeys(Lane, -math.inf)


class Room:
    """Makes room in the file, or on the disk."""

    def __init__(self, tables: Tables, retention: Retention, thinning: Thinning, ballast: Ballast) -> None:
        self._tables = tables
        self._retention = retention
        self._thinning = thinning
        self._ballast = ballast

    def make(self, needed: int, cursors: Cursors, at: Instant, done: Change) -> bool:
        """Free *needed* pages, and put what went into *done*. False: no help.

        First go delivered readings. Then, where it is the disk that is full, the ballast; what is held stays
        while somebody frees the disk. Where it is the store, the oldest readings held are thinned, then they
        go, and last the delivered events.
        """
        retention = self._retention
        try:
            if self._tables.checkpoint.due:
                self._tables.checkpoint.make()
            if retention.trim(cursors, _ANY_READING, at):
                return True
            if not self._at_cap(needed):
                done.released = self._ballast.release()
                return done.released
            for way in (self._thinning.thin, retention.drop_oldest):
                if self._shed(way, cursors, at, done):
                    return True
            return bool(retention.trim(cursors, _ANYTHING, at))
        except sqlite3.Error:
            return False

    def _shed(
        self, way: Callable[[Cursors, Instant], Change], cursors: Cursors, at: Instant, done: Change
    ) -> bool:
        drops = way(cursors, at).drops
        if drops:
            done.drops += drops
            done.highs = dict(self._tables.highs)
        return bool(drops)

    def _at_cap(self, needed: int) -> bool:
        """Tell whether it is the store that is full: *needed* pages would go beyond what it may take."""
        cap, pages, free = (
            self._tables.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("max_page_count", "page_count", "freelist_count")
        )
        return bool(pages - free + needed + 16 >= cap)
