"""Decisions linked as they become durable: number, predecessor and hash, in the transaction of the record.

The store does not know how a ledger is made. Who opens it hands over a Linker, and the store keeps what that
gives: the text of each decision, its leaf hash, which outlives the text, and where the ledger ends.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, Self

from gateway.store.errors import StoreError
from gateway.store.pending import LARGEST, Row

DECISION = "decision"
_LINKED = ("seq", "prev", "salvaged")


class Link(Protocol):
    """A body with its place in the ledger."""

    @property
    def seq(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def leaf(self) -> bytes: ...


class Head(Protocol):
    """Where a ledger ends. Immutable: what was not committed has changed nothing."""

    @property
    def size(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    @property
    def last(self) -> bytes: ...
    def link(self, body: Mapping[str, Any]) -> tuple[Link, Self]: ...
    def state(self) -> dict[str, Any]: ...


class Linker(Protocol):
    """What knows how a ledger is made."""

    def text(self, body: Mapping[str, Any]) -> str:
        """Return the body as text that can be linked. Raises ValueError."""
        ...

    def leaf(self, text: str) -> bytes:
        """Return the hash of a record's text."""
        ...

    def restore(self, state: Any) -> Head:
        """Return the head of its `state`. Raises ValueError for what is none."""
        ...

    def over(self, leaves: Iterable[bytes]) -> Head:
        """Return the head of the ledger with these hashes."""
        ...


_LEAF = "INSERT INTO leaves (seq, leaf, event) VALUES (?, ?, ?)"


class Ledger:
    """The ledger in one file. Used by the writer alone, but for *head*, which is what is durable."""

    def __init__(self, connection: sqlite3.Connection, linker: Linker) -> None:
        self._connection = connection
        self._linker = linker
        self.head = self._next = self._restored()
        self.doubt = self._doubt()

    def begin(self) -> None:
        """A transaction begins."""
        self._next = self.head

    def link(self, rows: Sequence[Row], after: int) -> Iterator[Row]:
        """Yield *rows*, to be numbered behind *after*, with the decisions among them linked."""
        for number, row in enumerate(rows, after + 1):
            if row.label != DECISION:
                yield row
                continue
            made, self._next = self._next.link(json.loads(row.body))
            self._connection.execute(_LEAF, (made.seq, made.leaf, number))
            yield replace(row, body=made.text)

    def save(self) -> None:
        """Write down where the ledger ends, if it has grown."""
        if self._next is not self.head:
            values = (self._next.size, self._next.last, json.dumps(self._next.state()))
            self._connection.execute("UPDATE ledger SET size = ?, last = ?, state = ?", values)

    def committed(self) -> None:
        """The transaction is durable."""
        self.head = self._next

    def again(self, row: Row, epoch: str) -> Row:
        """Return a decision out of the ledger of *epoch* as one that can be linked here. Raises StoreError.

        What it was there is kept under `salvaged`, so that its text of then can be made of it again.
        """
        body = json.loads(row.body)
        was = {name: body.pop(name) for name in _LINKED if name in body}
        if was:
            body["salvaged"] = {"epoch": epoch, **was}
        return replace(row, body=spelled(self._linker, body))

    def _restored(self) -> Head:
        """Return the head as it was saved, or made anew where that cannot be read."""
        size, last, state = self._connection.execute("SELECT size, last, state FROM ledger").fetchone()
        try:
            head = self._linker.restore(json.loads(state))
        except (ValueError, TypeError, RecursionError):
            return self._over()
        return head if (head.size, head.last) == (size, last) else self._over()

    def _over(self) -> Head:
        rows = self._connection.execute("SELECT leaf FROM leaves ORDER BY seq")
        return self._linker.over(leaf for (leaf,) in rows)

    def _doubt(self) -> str:
        """Return what is wrong with the last decision, or ""."""
        row = "SELECT CAST(body AS BLOB), leaf, leaves.seq FROM leaves JOIN events ON events.seq = event "
        found = self._connection.execute(f"{row} ORDER BY leaves.seq DESC LIMIT 1").fetchone()
        if found is None:
            return ""
        body, leaf, seq = found
        text = bytes(body or b"").decode("utf-8", "replace")
        return "" if self._linker.leaf(text) == leaf else f"decision {seq} was altered since it was recorded"


def spelled(linker: Linker, body: Mapping[str, Any]) -> str:
    """Return the body as text that can be linked. Raises StoreError for what cannot, or is too large."""
    try:
        text = linker.text(body)
    except ValueError as error:
        raise StoreError(f"the decision record cannot be written as JSON: {error}") from error
    if (size := len(text.encode())) > LARGEST:
        raise StoreError(f"the decision record has {size} bytes; a record has at most {LARGEST}")
    return text
