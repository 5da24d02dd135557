"""`lamppost returns`: what the gateway was worth in a month, against what was before it was switched on.

It counts; `gateway.app.report` shows. A figure that nothing measured is None, never zero.
"""

import csv
import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, TypeGuard

from gateway import terminal
from gateway.app.history import designs_of
from gateway.derive import Design
from gateway.problem import ConfigError, Problem
from gateway.reading import Lane, Outcome
from gateway.store import Archive

GAP = 900.0
"""Seconds between two readings of a power beyond which nobody knows what was between them."""

AGAIN = 95.0
"""Percent below which a bin that was full counts as not full any more."""

SAME = 60.0
"""Seconds by which two readings may differ in when a bin was emptied."""

JUDGED = 86_400.0
"""Seconds after an alarm within which a person's verdict on its type is on it."""

OWN = ("collection", "device", "gateway", "ledger", "store", "rule", "order", "compactor", "override", "mode")
"""Events that are no alarms of a rule: `lamppost.<one of these>. ...`"""

PERSONAL = {Outcome.APPROVED, Outcome.VETOED, Outcome.OVERRIDDEN, Outcome.COMMANDED}
"""Outcomes of a decision that a person took."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the ledger: its name, its unit, and whether fewer is better (None: neither is)."""

    key: str
    words: str
    unit: str = ""
    fewer: bool | None = True


FIGURES = (
    Figure("planned", "Collections planned"),
    Figure("asked", "Collections asked for", fewer=None),
    Figure("emptied", "Bins emptied"),
    Figure("overflows", "Overflows"),
    Figure("strokes", "Strokes of the press", fewer=None),
    Figure("energy", "Energy", "Wh"),
    Figure("faults", "Faults"),
    Figure("interventions", "Interventions of people", fewer=None),
    Figure("alarms_true", "Alarms that were true", fewer=None),
    Figure("alarms_false", "Alarms that were false"),
    Figure("alarms_unjudged", "Alarms that nobody judged", fewer=None),
)


@dataclass
class Returns:
    """The figures of some days: *totals* by key, and *daily* by key, a value for each day."""

    days: list[date]
    totals: dict[str, float | None]
    daily: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    def per_month(self, key: str) -> float | None:
        """Return a figure as it would be in 30 days."""
        total = self.totals.get(key)
        return None if total is None or not self.days else total * 30.0 / len(self.days)


class Counting:
    """Takes records; counts what the ledger of returns wants to know, day by day."""

    def __init__(self, designs: Mapping[str, Design], days: list[date], zone: tzinfo, press: str) -> None:
        self.days = days
        starts = [datetime(day.year, day.month, day.day, tzinfo=zone) for day in days]
        after = days[-1] + timedelta(days=1)
        self._edges = [each.timestamp() for each in starts]
        self._edges.append(datetime(after.year, after.month, after.day, tzinfo=zone).timestamp())
        self._daily: dict[str, list[float]] = {}
        self._press = press
        self._kinds = {name: each.settings.kind for name, each in designs.items()}
        heaped = {name for name, kind in self._kinds.items() if kind == "overflow"}
        self._full = heaped or {name for name, kind in self._kinds.items() if kind.endswith("fill")}
        self._over: dict[str, bool] = {}
        self._emptied: dict[str, float] = {}
        self._power: dict[str, tuple[float, float]] = {}
        self._requests: set[tuple[str, str]] = set()
        self._alarms: list[tuple[float, str]] = []
        self._verdicts: list[tuple[float, str, bool]] = []
        for key, known in (("overflows", bool(self._full)), ("asked", True), ("strokes", True)):
            if known:
                self._daily[key] = [0.0] * len(days)
        for key in ("faults", "interventions"):
            self._daily[key] = [0.0] * len(days)

    @property
    def span(self) -> tuple[float, float]:
        """The first moment, and the last [s, Unix]."""
        return self._edges[0], self._edges[-1]

    def reading(self, body: Mapping[str, Any]) -> None:
        """Take a record of the telemetry."""
        name, time, values = body.get("device"), body.get("time"), body.get("values")
        if not isinstance(name, str) or not _number(time) or not isinstance(values, dict):
            return
        if _number(power := values.get("power")):
            self._energy(name, time, power)
        if _number(gone := values.get("since_emptied")):
            self._empty(name, time - gone)
        if name in self._full:
            self._overflow(name, time, values)

    def event(self, body: Mapping[str, Any]) -> None:
        """Take a record of the events lane."""
        time = body.get("time")
        if not _number(time):
            return
        if body.get("kind") == "decision":
            self._decision(time, body)
        elif body.get("kind") == "event":
            self._event(time, str(body.get("type", "")), body)

    def verdict(self, time: float, type_: str, true: bool) -> None:
        """Take what a person says of the last alarm of this type."""
        self._verdicts.append((time, type_, true))

    def result(self, planned: int | None) -> Returns:
        """Return all figures; *planned* is how many collections the fixed plan had."""
        self._judge()
        totals: dict[str, float | None] = {each.key: None for each in FIGURES}
        totals |= {key: sum(values) for key, values in self._daily.items()}
        totals["planned"] = planned
        return Returns(self.days, totals, self._daily)

    def _add(self, key: str, time: float, amount: float = 1.0) -> None:
        day = bisect_right(self._edges, time) - 1
        if 0 <= day < len(self.days):
            self._daily.setdefault(key, [0.0] * len(self.days))[day] += amount

    def _energy(self, name: str, time: float, power: float) -> None:
        before = self._power.get(name)
        self._power[name] = (time, power)
        if before is not None and 0.0 < time - before[0] <= GAP:
            self._add("energy", time, (before[1] + power) / 2 * (time - before[0]) / 3600.0)

    def _empty(self, name: str, emptied: float) -> None:
        if emptied > self._emptied.get(name, -math.inf) + SAME:
            self._add("emptied", emptied)
        self._emptied[name] = emptied
        self._daily.setdefault("emptied", [0.0] * len(self.days))

    def _overflow(self, name: str, time: float, values: Mapping[str, Any]) -> None:
        active, fill, was = values.get("active"), values.get("fill"), self._over.get(name, False)
        if _number(active):
            over = active > 0
        elif _number(fill):
            over = fill >= (AGAIN if was else 100.0)
        else:
            return
        if over and not was:
            self._add("overflows", time)
        self._over[name] = over

    def _decision(self, time: float, body: Mapping[str, Any]) -> None:
        outcome, stroke = body.get("outcome"), " on" in str(body.get("command", ""))
        if outcome == Outcome.ACTED and body.get("actuator") == self._press and stroke:
            self._add("strokes", time)
        if outcome == Outcome.FAILED:
            self._add("faults", time)
        if outcome in PERSONAL and body.get("who"):
            self._add("interventions", time)

    def _event(self, time: float, type_: str, body: Mapping[str, Any]) -> None:
        family, _, rest = type_.removeprefix("lamppost.").partition(".")
        if type_ == "lamppost.collection.requested":
            self._asked(time, body)
        elif type_ == "lamppost.device.lost" or "fault" in rest:
            self._add("faults", time)
        elif type_.startswith("lamppost.") and family not in OWN:
            self._alarms.append((time, type_))

    def _asked(self, time: float, body: Mapping[str, Any]) -> None:
        """Count a request once, however often it is repeated for the same filling."""
        data = body.get("data")
        if isinstance(data, dict) and data.get("repeat", 0) != 0:
            return
        mark = data.get("request") if isinstance(data, dict) else None
        key = (str(body.get("subject", "")), str(mark or body.get("id", time)))
        if key not in self._requests:
            self._requests.add(key)
            self._add("asked", time)

    def _judge(self) -> None:
        """Give each alarm the first verdict on its type that came after it, and before the next of it."""
        for key in ("alarms_true", "alarms_false", "alarms_unjudged"):
            if self._alarms:
                self._daily[key] = [0.0] * len(self.days)
        open_ = sorted(self._verdicts)
        for time, type_ in sorted(self._alarms, reverse=True):
            mine = [v for v in open_ if v[1] == type_ and time <= v[0] <= time + JUDGED]
            open_ = [v for v in open_ if v not in mine]
            said = "unjudged" if not mine else "true" if mine[0][2] else "false"
            self._add(f"alarms_{said}", time)


def counted(
    store: Path,
    days: list[date],
    press: str,
    planned: int | None,
    verdicts: Path | None,
) -> Returns:
    """Return the figures of *days* as *store* has them. Raises ConfigError, StoreError."""
    archive = Archive(store)
    designs, zone = designs_of(archive)
    counting = Counting(designs, days, zone, press)
    since, until = counting.span
    if verdicts is not None:
        for time, type_, true in _verdicts(verdicts, zone):
            counting.verdict(time, type_, true)
    for entry in archive.records(Lane.EVENTS, since, until):
        counting.event(entry.body)
    entries = archive.records(Lane.TELEMETRY, since, until)
    for body in terminal.progress(f"returns of {store.name}", ((e.share, e.body) for e in entries)):
        counting.reading(body)
    return counting.result(planned)


def month(text: str) -> list[date]:
    """Return the days of a month written as 2026-10. Raises ValueError."""
    if re.fullmatch(r"\d{4}-\d{2}", text) is None:
        raise ValueError(f'"{text}" is no month; write it as 2026-10')
    first = date.fromisoformat(f"{text}-01")
    after = (first + timedelta(days=31)).replace(day=1)
    return [first + timedelta(days=n) for n in range((after - first).days)]


def baseline_of(returns: Returns) -> str:
    """Return the figures as a baseline: JSON that a person may correct by what was counted by hand."""
    shape = {
        "baseline": 1,
        "since": returns.days[0].isoformat(),
        "until": returns.days[-1].isoformat(),
        "note": returns.note,
        "figures": returns.totals,
    }
    return json.dumps(shape, indent=2, ensure_ascii=False) + "\n"


def read_baseline(path: Path) -> Returns:
    """Return what `baseline_of` gave. Raises ConfigError."""
    try:
        shape = json.loads(path.read_text(encoding="utf-8"))
        since, until = date.fromisoformat(shape["since"]), date.fromisoformat(shape["until"])
        figures, count = shape["figures"], (until - since).days + 1
        if not 0 < count <= 3660 or shape["baseline"] != 1:
            raise ValueError("the days do not follow each other")
        totals = {each.key: _total(figures.get(each.key)) for each in FIGURES}
    except OSError as error:
        raise ConfigError([Problem(str(path), 1, f"cannot be read: {error.strerror or error}")]) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = f"is no baseline as --make-baseline writes it: {error}"
        raise ConfigError([Problem(str(path), 1, said)]) from error
    days = [since + timedelta(days=n) for n in range(count)]
    return Returns(days, totals, {}, str(shape.get("note", "")))


def _total(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise ValueError(f"a figure is a number of 0 or more, or null, not {value!r}")
    return float(value)


def _verdicts(path: Path, zone: tzinfo) -> Iterable[tuple[float, str, bool]]:
    """Return what a CSV with the columns time, type, verdict says. Raises ConfigError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [_verdict(path, n, row, zone) for n, row in enumerate(csv.DictReader(file), 2)]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ConfigError([Problem(str(path), 1, f"cannot be read: {error}")]) from error


def _verdict(path: Path, line: int, row: Mapping[str, str | None], zone: tzinfo) -> tuple[float, str, bool]:
    said, type_ = (row.get("verdict") or "").strip(), (row.get("type") or "").strip()
    try:
        moment = datetime.fromisoformat((row.get("time") or "").strip())
        true = {"true": True, "false": False}[said]
    except (ValueError, KeyError) as error:
        words = "a line has time (2026-10-22T18:30), type (lamppost.flood.warning), verdict (true or false)"
        raise ConfigError([Problem(str(path), line, words)]) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return moment.timestamp(), type_, true


def _number(value: object) -> TypeGuard[float]:
    """Whether *value* is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
