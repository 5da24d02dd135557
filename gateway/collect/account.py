"""What a collector's file has of each numbering, counted from its rows, and what it lacks, and why."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gateway.collect.file import Unusable, reading
from gateway.mqtt.completeness import Numbering, gap_of
from gateway.mqtt.holes import Hole, Named, Range, explain


class Ledger(NamedTuple):
    """A lane's figures as the gateway published them last, at *time* [s, Unix]; its clock may be wrong."""

    time: float | None
    accepted: int
    delivered: int
    held: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Account:
    """One numbering. *earlier*: numbers from before this collector began to listen to this gateway.

    *holes* are up to the last number that is here; *late*, behind it, is what the gateway counts as delivered
    or has given up, and what is not here.
    """

    numbering: Numbering
    records: int
    span: Range | None
    earlier: tuple[Hole, ...]
    holes: tuple[Hole, ...]
    late: tuple[Hole, ...]
    conflicts: tuple[int, ...]
    ledger: Ledger | None

    @property
    def unexplained(self) -> int:
        """How many records are missing, and nobody said why."""
        return sum(hole.size for hole in (*self.holes, *self.late) if not hole.explained)


@dataclass(frozen=True, slots=True)
class Books:
    """All of a file. *counted*: what came while it was written: records, records again, refused messages."""

    accounts: tuple[Account, ...]
    counted: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """Whether everything is here, or named in a gap, and nothing contradicts it."""
        return not any(each.unexplained or each.conflicts for each in self.accounts)


def books(path: Path) -> Books:
    """Look through the file at *path*. Raises Unusable."""
    try:
        with closing(reading(path)) as db:
            db.execute("BEGIN")  # all of it as of one moment
            gaps = _gaps(db)
            rows = db.execute(
                "SELECT id, gateway, epoch, lane FROM numbering ORDER BY gateway, id"
            ).fetchall()
            statuses = dict(db.execute("SELECT gateway, body FROM said WHERE face = 'status'"))
            accounts, followed = [], set[tuple[str, str]]()
            for id, *key in rows:
                numbering = Numbering(*key)
                lane = numbering.gateway, numbering.lane
                ledger = _ledger(statuses.get(numbering.gateway), numbering)
                known = gaps.get(numbering, [])
                accounts.append(_account(db, id, numbering, known, ledger, lane in followed))
                followed.add(lane)
            return Books(tuple(accounts), dict(db.execute("SELECT name, number FROM count")))
    except sqlite3.Error as error:
        raise Unusable(f"{path} cannot be read: {error}") from error


def _account(
    db: sqlite3.Connection,
    id: int,
    numbering: Numbering,
    gaps: list[Named],
    ledger: Ledger | None,
    followed: bool,
) -> Account:
    """Return the account of one numbering. *followed*: its lane was, before this epoch began."""
    span = "SELECT count(*), min(seq), max(seq) FROM record WHERE numbering = ?"
    count, first, last = db.execute(span, (id,)).fetchone()
    disputed = db.execute("SELECT DISTINCT seq FROM conflict WHERE numbering = ? ORDER BY seq", (id,))
    begin = first if count else ledger.accepted - ledger.held + 1 if ledger else 1
    earlier = list(explain([(1, begin - 1)] if begin > 1 else [], gaps))
    missing = [*(earlier if followed else []), *explain(_between(db, id), gaps)]
    return Account(
        numbering,
        count,
        (first, last) if count else None,
        () if followed else tuple(earlier),
        tuple(missing),
        tuple(_late(last, gaps, ledger)) if count else (),
        tuple(seq for (seq,) in disputed),
        ledger,
    )


def _between(db: sqlite3.Connection, id: int) -> Iterator[Range]:
    """Yield the ranges that are missing between the numbers that are there."""
    rows = "SELECT seq, lag(seq) OVER (ORDER BY seq) AS before FROM record WHERE numbering = ?"
    holes = f"SELECT before + 1, seq - 1 FROM ({rows}) WHERE seq > before + 1"
    yield from db.execute(holes, (id,))


def _late(last: int, gaps: list[Named], ledger: Ledger | None) -> Iterator[Hole]:
    """Yield what should have come behind *last*: all that the gateway accepted, but for what it holds."""
    accepted = max([name.last for name in gaps], default=0)
    waits = 0
    if ledger is not None:
        accepted, waits = max(accepted, ledger.accepted), ledger.held
    found = list(explain([(last + 1, accepted)] if accepted > last else [], gaps))
    lost = max(0, sum(hole.size for hole in found if not hole.explained) - waits)
    for hole in found:  # what is held is the newest of it
        if hole.explained:
            yield hole
        elif lost > 0:
            size = min(lost, hole.size)
            yield hole._replace(last=hole.first + size - 1)
            lost -= size


def _gaps(db: sqlite3.Connection) -> dict[Numbering, list[Named]]:
    """Return what gap records give up, by the numbering that it is missing from."""
    found: dict[Numbering, list[Named]] = {}
    rows = "SELECT gateway, epoch, lane, body FROM records WHERE kind = 'gap' ORDER BY seq"
    for *key, body in db.execute(rows):
        gap = gap_of(Numbering(*key), json.loads(body))
        if gap is not None:
            found.setdefault(gap[0], []).append(gap[1])
    return found


def _ledger(text: str | None, numbering: Numbering) -> Ledger | None:
    """Return the lane's figures in a retained status, if it is of this epoch and makes sense."""
    status: Any = json.loads(text) if text else {}
    try:
        if status["epoch"] != numbering.epoch:
            return None
        lane, at = status["store"]["lanes"][numbering.lane], status.get("time")
        dropped = {str(why): _whole(number) for why, number in lane["dropped"].items()}
        accepted, delivered, held = (_whole(lane[name]) for name in ("accepted", "delivered", "held"))
        return Ledger(at if isinstance(at, int | float) else None, accepted, delivered, held, dropped)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _whole(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 1 << 53:
        raise ValueError("no count")
    return number
