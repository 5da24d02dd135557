"""Readings that wait, made into means in the file, so that the record grows coarse before it has holes."""

import json
import math
from contextlib import suppress

from gateway.clock import Instant
from gateway.reading import Gap, Lane, Reading, reading_of
from gateway.store.form import Columns, Decoder, Press
from gateway.store.means import thinned
from gateway.store.pending import row_of
from gateway.store.retention import Retention
from gateway.store.schema import VERSION
from gateway.store.tables import Change, Cursors, Tables
from gateway.store.tally import Drop

_PORTION = 1000  # readings that are thinned at once: some 15 ms in the writer's thread
_TRIES = 4  # portions that are looked at for one commit


class Thinning:
    """Works its way through the readings that wait, oldest first. Each method is one transaction, or none."""

    def __init__(self, tables: Tables, retention: Retention) -> None:
        self.handed = 0
        """The last reading that was given to the delivery: what is on its way keeps its number."""
        self._done = 0  # up to where the readings that wait are thinned, or cannot be
        self._tables = tables
        self._retention = retention
        self._press, self._decoder = Press(), Decoder(tables.connection)

    def thin_old(self, cursors: Cursors, at: Instant, age: float) -> Change:
        """Make means of the oldest readings that wait and are older than *age* [s], as far as it pays."""
        end = self._retention.older(self._after(cursors), age, at)
        return self.thin(cursors, at, end) if end else Change()

    def thin(self, cursors: Cursors, at: Instant, upto: float = math.inf) -> Change:
        """Make means of the oldest readings that wait, up to *upto*; the delivery was given none of them yet.

        They take the last of the numbers; the others are dropped and announced, with where the means are.
        """
        for _ in range(_TRIES):
            span = self._portion(self._after(cursors), upto)
            if span is None:
                break
            first, readings = span
            last = first + len(readings) - 1
            self._done = max(first, last)
            left = thinned(readings)
            if readings and len(left) <= len(readings) // 2:
                return self._replace(first, last, left, cursors, at)
        return Change()

    def _after(self, cursors: Cursors) -> int:
        return max(cursors[Lane.TELEMETRY], self.handed, self._done)

    def _portion(self, after: int, upto: float) -> tuple[int, list[Reading]] | None:
        """Return the first number behind *after* and the readings from there up to a hole or what is none.

        None where there are too few behind *after*, or they go beyond *upto*: the newest stay as they are.
        """
        columns = Columns(VERSION).of(Lane.TELEMETRY)
        query = f"SELECT seq, {columns} FROM telemetry WHERE seq > ? ORDER BY seq LIMIT ?"
        found = self._tables.connection.execute(query, (after, _PORTION)).fetchall()
        if len(found) < _PORTION or found[-1][0] > upto:
            return None
        first, readings = found[0][0], list[Reading]()
        for number, (seq, *row) in enumerate(found, first):
            reading = _reading(self._decoder.text(*row)) if seq == number else None
            if reading is None:
                break
            readings.append(reading)
        return first, readings

    def _replace(self, first: int, last: int, left: list[Reading], cursors: Cursors, at: Instant) -> Change:
        change, begin = Change(), last - len(left) + 1
        reason = f"thinned: {begin} to {last} are what is left, one for each device and minute"
        with self._tables.transaction() as highs:
            drop = Drop(Lane.TELEMETRY, first, begin - 1, "thinned")
            self._tables.delete(Lane.TELEMETRY, first, last)
            self._tables.write_readings([row_of(reading, None, self._press) for reading in left], begin)
            self._tables.note(drop, at.time)
            self._tables.announce(Gap(at, Lane.TELEMETRY, first, begin - 1, reason), highs)
            self._tables.save(cursors, highs)
        change.drops, change.highs = [drop], dict(self._tables.highs)
        return change


def _reading(text: str | None) -> Reading | None:
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        return reading_of(json.loads(text or ""))
    return None
