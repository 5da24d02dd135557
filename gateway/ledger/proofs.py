"""Proofs over a long ledger that is not held in memory: one hash stays for each 256 records.

A tree over whole blocks has the same root as one over the leaves (RFC 6962, section 2.1), so that a proof
needs the leaves of two blocks at most, and the blocks' roots: 125 kB for a million records.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from gateway.ledger import tree

BLOCK = 256
"""Leaves of a block: a power of two."""

Leaves: TypeAlias = Callable[[int, int], Awaitable[list[bytes]]]
"""Gives the hashes of the records behind the first number up to the second."""


class Proofs:
    """Answers about the first records of one ledger. Raises ValueError for what it does not have."""

    def __init__(self, leaves: Leaves) -> None:
        self._leaves = leaves
        self._blocks: list[bytes] = []

    async def root(self, size: int) -> bytes:
        """Return the root over the first *size* records."""
        return (await self._part(size)).root(0, size)

    async def inclusion(self, seq: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that record *seq* (from 1) is one of the first *size*."""
        if not 1 <= seq <= size:
            raise ValueError(f"there is no record {seq} among the first {size}")
        return tree.inclusion_of((await self._part(size, seq - 1)).root, seq - 1, size)

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the first *old* records begin the first *new*."""
        if not 0 <= old <= new:
            raise ValueError(f"the first {new} records do not begin with {old}")
        return tree.consistency_of((await self._part(new, old)).root, old, new)

    async def _part(self, size: int, *near: int) -> "_Part":
        """Return what is needed of the tree over *size* records, with the leaves *near* those places."""
        while len(self._blocks) < size // BLOCK:
            begin = len(self._blocks) * BLOCK
            block = tree.root(await self._fetched(begin, begin + BLOCK))
            if len(self._blocks) == begin // BLOCK:  # nobody else was quicker
                self._blocks.append(block)
        fetched = {}
        for number in {place // BLOCK for place in (*near, size)}:
            begin, end = number * BLOCK, min(size, (number + 1) * BLOCK)
            fetched[number] = await self._fetched(begin, end) if begin < end else []
        return _Part(self._blocks, fetched)

    async def _fetched(self, begin: int, end: int) -> list[bytes]:
        found = await self._leaves(begin, end)
        if len(found) != end - begin:
            raise ValueError(f"of the records {begin + 1} to {end} only {len(found)} hashes are there")
        return found


class _Part:
    """The roots of whole blocks, and the leaves of some."""

    def __init__(self, blocks: Sequence[bytes], fetched: dict[int, list[bytes]]) -> None:
        self._blocks, self._fetched = blocks, fetched

    def root(self, begin: int, end: int) -> bytes:
        """Return the root over the leaves *begin* to *end*, which is a subtree of the tree."""
        first, last = begin // BLOCK, end // BLOCK
        if first == last or end - begin < BLOCK:
            return tree.root(self._fetched[first][begin - first * BLOCK : end - first * BLOCK])
        rest = [tree.root(self._fetched[last][: end % BLOCK])] if end % BLOCK else []
        return tree.root([*self._blocks[first:last], *rest])
