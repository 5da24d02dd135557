"""The chain: each record of the ledger names the hash of the one before it.

A record is a body (a decision's) with two more members: `seq`, its number in the ledger, from 1, and `prev`,
the leaf hash of the record before it in 64 hexadecimal digits (64 zeros for the first). Its data is the
canonical JSON (RFC 8785) of the whole in UTF-8, its leaf hash SHA-256(0x00 || data) as RFC 6962 has it. One
hash thus serves the chain and the tree, and where retention took a body away the hash that was kept still
holds the chain: such a record is `{"seq": 7, "leaf": "..."}`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from gateway.canonical import canonical
from gateway.ledger import tree

GENESIS = bytes(tree.SIZE)
"""What the first record names as the one before it."""


def origin(gateway: str, epoch: str) -> str:
    """Return the name of a ledger, which is also the name that its checkpoints are signed under."""
    return f"lamppost/{gateway}/{epoch}"


@dataclass(frozen=True, slots=True)
class Link:
    """A body linked into the chain. Kept and published as *text*, it can be checked with sha256sum alone."""

    seq: int
    body: dict[str, Any]
    text: str  # canonical JSON
    leaf: bytes  # what the next record names


def link(previous: bytes, seq: int, body: Mapping[str, Any]) -> Link:
    """Return *body* as record *seq* after the one with the leaf hash *previous*.

    Raises ValueError for a body that has a `seq` or `prev`, or that is not canonical JSON's to carry.
    """
    if body.keys() & {"seq", "prev"}:
        raise ValueError("the body has a seq or a prev already: it is linked once")
    whole = {**body, "seq": seq, "prev": previous.hex()}
    text = canonical(whole)
    return Link(seq, whole, text, tree.leaf(text.encode()))


def leaf_of(record: Mapping[str, Any]) -> bytes:
    """Return the leaf hash of a record, with its body or without. Raises ValueError for what is neither."""
    if is_bare(record):
        return tree.unhex(record["leaf"])
    return tree.leaf(canonical(record).encode())


def bare(seq: int, leaf: bytes) -> dict[str, Any]:
    """Return what stays of a record when its body goes."""
    return {"seq": seq, "leaf": leaf.hex()}


def is_bare(record: Mapping[str, Any]) -> bool:
    """Whether only the hash of the record is left."""
    return record.keys() == {"seq", "leaf"}


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger ends. Immutable: keep the old one until the new record is committed.

    `seq` of the next record is *size* + 1. `state` is what to keep beside the records; `over` makes it anew
    from their leaf hashes.
    """

    frontier: tree.Frontier = field(default_factory=tree.Frontier)
    last: bytes = GENESIS

    @property
    def size(self) -> int:
        """How many records there are."""
        return self.frontier.size

    @property
    def root(self) -> bytes:
        """The root of the tree over all records."""
        return self.frontier.root

    def link(self, body: Mapping[str, Any]) -> tuple[Link, Self]:
        """Return *body* as the next record, and the head after it. Raises ValueError as `link` does."""
        made = link(self.last, self.size + 1, body)
        return made, self.after(made.leaf)

    def after(self, leaf: bytes) -> Self:
        """Return the head after a record with this leaf hash."""
        return type(self)(self.frontier.append(leaf), leaf)

    def state(self) -> dict[str, Any]:
        """Return the head as JSON: under 5 kB however long the ledger is."""
        return {**self.frontier.state(), "last": self.last.hex()}

    @classmethod
    def restore(cls, state: Any) -> Self:
        """Return the head of `state`. Raises ValueError for what is none."""
        frontier = tree.Frontier.restore(state)
        last = tree.unhex(state.get("last"))
        if (frontier.size & 1 and frontier.nodes[-1] != last) or (not frontier.size and last != GENESIS):
            raise ValueError("the last record and the tree do not belong together")
        return cls(frontier, last)

    @classmethod
    def over(cls, leaves: Iterable[bytes]) -> Self:
        """Return the head of the ledger whose records have these leaf hashes."""
        head = cls()
        for leaf in leaves:
            head = head.after(leaf)
        return head
