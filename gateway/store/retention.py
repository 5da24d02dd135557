"""What may go from the log: what was delivered and is old, what waits for too long, what nobody will take."""

from collections.abc import Mapping

from gateway.clock import Instant
from gateway.reading import Lane
from gateway.store.age import Ages
from gateway.store.tables import Change, Cursors, Tables
from gateway.store.tally import Drop, runs

CHUNK = 5000  # rows that one DELETE takes: 1.7 ms, and the write-ahead log stays small


class Retention:
    """Trims what was delivered, and drops what was not: that is announced. Each method is one transaction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def trim(self, cursors: Cursors, keep: Mapping[Lane, float], at: Instant) -> int:
        """Delete up to CHUNK delivered rows per lane, older than its *keep* [s]; return how many.

        From the front, so that a clock that is set leaves no holes.
        """
        ages = Ages(self._tables.connection, at)
        ends = {lane: ages.older(lane, 0, cursors[lane], keep[lane], CHUNK) for lane in Lane}
        if not any(ends.values()):
            return 0
        with self._tables.transaction() as highs:
            self._tables.save(cursors, highs)
            return sum(self._tables.delete(lane, 0, end) for lane, end in ends.items() if end)

    def drop(self, wish: Drop, cursors: Cursors, at: Instant) -> Change:
        """Drop what *wish* names and what is still held, and announce it."""
        change = Change()
        with self._tables.transaction() as highs:
            span = (max(wish.first, cursors[wish.lane] + 1), wish.last)
            rows = f"SELECT seq FROM {wish.lane} WHERE seq BETWEEN ? AND ? ORDER BY seq"
            held = [seq for (seq,) in self._tables.connection.execute(rows, span)]
            change.drops = [Drop(wish.lane, *run, wish.reason) for run in runs(held)]
            self._tables.forget(change.drops, highs, at)
            self._tables.save(cursors, highs)
        change.highs = dict(self._tables.highs)
        return change

    def expire(self, cursors: Cursors, at: Instant, age: float) -> Change:
        """Give up the oldest readings that wait and are older than *age* [s], at most CHUNK."""
        end = self.older(cursors[Lane.TELEMETRY], age, at)
        return self.drop(Drop(Lane.TELEMETRY, 0, end, "expired"), cursors, at) if end else Change()

    def older(self, after: int, age: float, at: Instant) -> int:
        """Return the last reading behind *after* that is older than *age* [s]; 0 where none is."""
        high = self._tables.highs[Lane.TELEMETRY]
        return Ages(self._tables.connection, at).older(Lane.TELEMETRY, after, high, age, CHUNK)

    def drop_oldest(self, cursors: Cursors, at: Instant) -> Change:
        """Give up the oldest sixteenth of the readings that wait, at most CHUNK, for want of room."""
        oldest = self._oldest(cursors[Lane.TELEMETRY])
        return self.drop(Drop(Lane.TELEMETRY, 0, oldest, "full"), cursors, at) if oldest else Change()

    def _oldest(self, cursor: int) -> int:
        """Return the last of the oldest sixteenth of the readings held; 0 if none is held."""
        share = max(1, min(CHUNK, (self._tables.highs[Lane.TELEMETRY] - cursor) // 16))
        rows = "SELECT max(seq) FROM (SELECT seq FROM telemetry WHERE seq > ? ORDER BY seq LIMIT ?)"
        last: int | None = self._tables.connection.execute(rows, (cursor, share)).fetchone()[0]
        return last or 0
