"""What the delivery needs of a store."""

from collections.abc import Sequence
from typing import Protocol

from gateway.reading import Lane


class Stored(Protocol):
    """A record as the store holds it."""

    @property
    def seq(self) -> int:
        """Its number in the lane, from 1."""
        ...

    @property
    def body(self) -> str:
        """Its JSON text."""
        ...


class Outbox(Protocol):
    """Numbered records that wait for their delivery, a lane at a time."""

    @property
    def epoch(self) -> str:
        """The name of this numbering; a new store starts a new one."""
        ...

    def cursor(self, lane: Lane) -> int:
        """Return the number up to which everything is delivered or dropped; 0 when nothing is."""
        ...

    def durable(self, lane: Lane) -> int:
        """Return the number of the last record that a power cut cannot take."""
        ...

    async def changed(self) -> None:
        """Return when something new has become durable."""
        ...

    async def after(self, lane: Lane, seq: int, limit: int) -> Sequence[Stored]:
        """Return at most *limit* durable records behind *seq*, in order."""
        ...

    async def delivered(self, lane: Lane, upto: int) -> None:
        """Note that the broker has taken everything up to *upto*."""
        ...

    async def drop(self, lane: Lane, first: int, last: int, reason: str) -> None:
        """Give up *first* to *last*, and announce it in a gap record."""
        ...
