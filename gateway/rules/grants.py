"""The grant of a rule file: a named person's leave, for a reason and a time, to act without being asked."""

from datetime import date, datetime
from typing import Any

from gateway.reading import Grant, Mode
from gateway.rules.rule import midnight_after
from gateway.rules.table import Table

DAYS = 366
"""Days that a grant may last at the most."""

LONGEST = (DAYS + 1) * 86400.0
"""Seconds until such a grant ends; the day on which it is given and its last one both count whole."""

GRANTED = (Mode.ON, Mode.OFF)
"""The modes in which silence of the people means yes: nobody has them without a grant."""

FORM = 'grant = { by = "name", reason = "why", until = 2030-12-31 }'


def grant(rule: Table, mode: Mode, today: date | None) -> Grant | None:
    """Read the rule's grant, which the modes above `in` need and no other has.

    One that is over is no problem: the rule falls back to `in`. Without *today* its length is not judged.
    """
    there = rule.has("grant")
    if mode not in GRANTED:
        if there:
            rule.problem("grant", f'mode "{mode}" needs no grant; remove it, or set mode = "on" or "off"')
        return None
    if not there:
        said = f'mode "{mode}" acts without a yes, so a person grants it for a time: {FORM}'
        rule.report.add((*rule.path, "mode"), said)
        return None
    table = rule.table("grant")
    by = table.text("by", 200, "the person who grants this mode")
    reason = table.text("reason", 500, "why it may act without being asked")
    until = _until(table, today)
    table.finish()
    return Grant(by, reason, until)


def _until(table: Table, today: date | None) -> float:
    """Return the end [s, Unix]: a day's is its midnight (UTC)."""
    if not table.has("until"):
        table.report.add(table.path, '"until" is missing: when the grant ends, such as 2030-12-31')
        return 0.0
    moment = _moment(table.values["until"])
    if moment is None:
        said = '"until" is a date, or a date-time with its offset from UTC, such as 2030-12-31T18:00:00Z'
        table.problem("until", f"{said}, without quotes")
        return 0.0
    if today is not None and moment > midnight_after(today) + DAYS * 86400.0:
        table.problem("until", f"a grant lasts at most {DAYS} days from today; let it be renewed in time")
    return moment


def _moment(value: Any) -> float | None:
    match value:
        case datetime():
            return None if value.tzinfo is None else value.timestamp()
        case date():
            return midnight_after(value)
    return None
