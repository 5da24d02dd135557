"""How old a record is at least, whatever was done to the wall clock meanwhile."""

import json
import sqlite3
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.clock import Instant, Quality
from gateway.reading import Lane

_MONO = struct.Struct("<d")  # with which a compact row begins
_AHEAD = 1.0  # [s] that a record may be younger than now


class Least(NamedTuple):
    """The least age of a record [s], and whether it is its age."""

    age: float
    known: bool


class Ages:
    """Tells how old rows are at *at*.

    Within this boot the monotonic clock says it. For an earlier boot the wall clock does, where it was not
    known to be wrong, then or now. Else the record is as old as this boot at least: it was there before.
    """

    def __init__(self, connection: sqlite3.Connection, at: Instant) -> None:
        self._connection = connection
        self._at = at
        self._stamps: dict[int, tuple[object, object]] = {}

    def older(self, lane: Lane, after: int, upto: int, age: float, most: int) -> int:
        """Return the last row behind *after* up to *upto* that is older than *age* [s]; 0 where none is.

        Looks at *most* rows, up to the first that is known to be younger. They were accepted in this order,
        so what stands before a row is older than it, whatever it says itself.
        """
        columns = "stamp, CASE WHEN form IS NULL THEN body ELSE substr(body, 1, 8) END"
        columns = columns if lane is Lane.TELEMETRY else "NULL, body"
        rows = f"SELECT seq, time, {columns} FROM {lane} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        end = 0
        for seq, time, stamp, body in self._connection.execute(rows, (after, upto, most)):
            least = self.of(time, stamp, body)
            if least.age > age:
                end = seq
            elif least.known:
                break
        return end

    def of(self, time: Any, stamp: Any, body: Any) -> Least:
        """Return the least age of a row: of its time, and stamp and monotonic time, or text."""
        at = self._at
        mono, boot, clock = self._said(stamp, body)
        if boot == at.boot != "unknown" and isinstance(mono, float):
            return Least(at.mono - mono, True)
        doubtful = Quality.UNSYNCHRONIZED in (clock, at.clock) or clock is None
        if doubtful or not isinstance(time, float) or time > at.time + _AHEAD:
            return Least(at.mono, False)
        return Least(at.time - time, True)

    def _said(self, stamp: Any, body: Any) -> tuple[object, object, object]:
        """Return a row's monotonic time, boot and clock; None for what cannot be read."""
        try:
            if stamp is None:
                record = json.loads(body)
                return float(record["mono"]), record["boot"], record["clock"]
            if stamp not in self._stamps:
                self._stamps[stamp] = self._stamp(stamp)
            return _MONO.unpack(body)[0], *self._stamps[stamp]
        except (ValueError, TypeError, KeyError, RecursionError, struct.error):
            return None, None, None

    def _stamp(self, number: int) -> tuple[object, object]:
        query = "SELECT CAST(body AS BLOB) FROM stamp WHERE id = ?"
        shape: Mapping[str, object] = json.loads(
            b"{%b}" % self._connection.execute(query, (number,)).fetchone()[0]
        )
        return shape["boot"], shape["clock"]
