"""What people did beside what the store knows: a CSV file."""

import csv
from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path

from gateway.app.score.acts import Act
from gateway.problem import ConfigError, Problem

COLUMNS = {"time", "target", "action"}
"""What a file of actions has."""

MOST = 100_000
"""Lines that a file of actions may have."""


def acts_in(path: Path, zone: tzinfo) -> list[Act]:
    """Return what a CSV with the columns time, target, action says. Raises ConfigError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            if missing := COLUMNS - set(table.fieldnames or ()):
                said = f"the first line must name its columns; missing: {', '.join(sorted(missing))}"
                raise ConfigError([Problem(str(path), 1, said)])
            return [_action(path, number, row, zone) for number, row in enumerate(table, 2)]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ConfigError([Problem(str(path), 1, f"cannot be read: {error}")]) from error


def _action(path: Path, number: int, row: Mapping[str, str | None], zone: tzinfo) -> Act:
    if number > MOST:
        raise ConfigError([Problem(str(path), number, f"has more than {MOST:,} lines")])
    try:
        moment = datetime.fromisoformat((row["time"] or "").strip())
    except ValueError as error:
        said = f'"{row["time"]}" is no time; write it as 2026-11-22T18:30 or 2026-11-22T18:30+01:00'
        raise ConfigError([Problem(str(path), number, said)]) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return Act(moment.timestamp(), (row["target"] or "").strip(), (row["action"] or "").strip(), "people")
