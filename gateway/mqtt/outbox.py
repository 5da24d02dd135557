"""What the delivery needs of a store."""

from collections.abc import Sequence
from typing import Protocol

from gateway.reading import Lane


class Run(Protocol):
    """Records of a lane without a hole, as their texts go to the broker."""

    @property
    def first(self) -> int:
        """The first one's number in the lane, from 1."""
        ...

    @property
    def last(self) -> int:
        """The last one's number."""
        ...

    @property
    def text(self) -> bytes:
        """Their JSON texts, with commas between."""
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

    async def batches(self, lane: Lane, seq: int, records: int, size: int, most: int) -> Sequence[Run]:
        """Return what is durable behind *seq*, in order: about *most* runs, none only if there is nothing.

        Each has at most *records*, and at most *size* bytes of text unless it is a single record.
        """
        ...

    async def delivered(self, lane: Lane, upto: int) -> None:
        """Note that the broker has taken everything up to *upto*."""
        ...

    async def drop(self, lane: Lane, first: int, last: int, reason: str) -> None:
        """Give up *first* to *last*, and announce it in a gap record."""
        ...
