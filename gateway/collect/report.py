"""The account of a collector's file in words, or as JSON."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gateway.collect.account import Account, Books, Ledger
from gateway.mqtt.holes import Hole, printable

LISTED = 40
"""Holes of a numbering that are listed; the JSON has all."""


def words(books: Books) -> Iterator[str]:
    """Yield the report, line by line, safe to print."""
    for account in books.accounts:
        yield from map(printable, _account(account))
    refused = books.counted.get("refused", 0)
    if refused:
        yield f"{refused} message{'s' * (refused != 1)} refused: see the table `refused`"
    yield _verdict(books)


def shape(books: Books) -> dict[str, Any]:
    """Return the report as it is printed with --json."""
    return {
        "complete": books.complete,
        "missing": sum(account.unexplained for account in books.accounts),
        "counted": dict(books.counted),
        "numberings": [
            {
                **asdict(account.numbering),
                "records": account.records,
                "first": account.span[0] if account.span else None,
                "last": account.span[1] if account.span else None,
                "unexplained": account.unexplained,
                "earlier": _holes(account.earlier),
                "holes": _holes((*account.holes, *account.late)),
                "conflicts": list(account.conflicts),
                "gateway_says": account.ledger._asdict() if account.ledger else None,
            }
            for account in books.accounts
        ],
    }


def _account(account: Account) -> Iterator[str]:
    first, last = account.span or (0, 0)
    here = f"{first} to {last}, {account.records} records" if account.records else "no record"
    yield f"{account.numbering}: {here}"
    for hole in account.earlier:
        yield f"  earlier than the first that came: {hole}" if not hole.explained else f"  {hole}"
    listed = (*account.holes, *account.late)
    for hole in listed[:LISTED]:
        yield f"  {hole}"
    if len(listed) > LISTED:
        yield f"  and {len(listed) - LISTED} more"
    for seq in account.conflicts[:LISTED]:
        yield f"  {seq} came with two texts: see the table `conflict`"
    if account.ledger is not None:
        yield f"  {_ledger(account.ledger)}"


def _ledger(ledger: Ledger) -> str:
    dropped = ", ".join(f"{number} {why}" for why, number in ledger.dropped.items())
    at = ""
    if ledger.time is not None and 0 <= ledger.time < 1e11:
        at = f" at {datetime.fromtimestamp(ledger.time, UTC):%Y-%m-%d %H:%M:%S}Z"
    whole = f"{ledger.accepted} accepted = {ledger.delivered} delivered + {ledger.held} held"
    given_up = f"{sum(ledger.dropped.values())} dropped{f' ({dropped})' if dropped else ''}"
    return f"the gateway said{at}: {whole} + {given_up}"


def _verdict(books: Books) -> str:
    records = sum(account.records for account in books.accounts)
    missing = sum(account.unexplained for account in books.accounts)
    disputed = sum(len(account.conflicts) for account in books.accounts)
    if books.complete:
        return f"Complete: {records} records, and every number that is missing is named in a gap."
    parts = [
        f"{missing} missing without an explanation" if missing else "",
        f"{disputed} that came with two texts" if disputed else "",
    ]
    return f"Not complete: {records} records, {' and '.join(filter(None, parts))}."


def _holes(holes: Iterable[Hole]) -> list[dict[str, Any]]:
    return [hole._asdict() for hole in holes]
