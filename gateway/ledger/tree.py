"""The Merkle tree of RFC 6962 with SHA-256: one root over all leaves, and short proofs against it.

A leaf is hashed as SHA-256(0x00 || data), a node as SHA-256(0x01 || left || right); the root of no leaves is
SHA-256 of nothing. Proofs are lists of hashes, from the bottom up, as the RFC has them.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

SIZE = 32
"""Bytes of a hash."""

EMPTY = hashlib.sha256().digest()


def leaf(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes (RFC 6962, section 2.1)."""
    level = list(leaves)
    while len(level) > 1:
        paired = [node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = paired + level[2 * len(paired) :]  # an odd one out rises as it is
    return level[0] if level else EMPTY


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that is needed of a tree to append to it and to know its root: a hash for each bit of its size.

    Immutable, so that an append that is not committed in the end has changed nothing.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()  # roots of the whole subtrees, the largest and leftmost first

    def append(self, leaf: bytes) -> Self:
        """Return the frontier with one leaf hash more."""
        nodes, size = list(self.nodes), self.size
        while size & 1:
            leaf = node(nodes.pop(), leaf)
            size >>= 1
        return type(self)(self.size + 1, (*nodes, leaf))

    @property
    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self.nodes:
            return EMPTY
        *rest, found = self.nodes
        for left in reversed(rest):
            found = node(left, found)
        return found

    def state(self) -> dict[str, Any]:
        """Return the frontier as JSON: its size, and at most 64 hashes."""
        return {"size": self.size, "nodes": [each.hex() for each in self.nodes]}

    @classmethod
    def restore(cls, state: Any) -> Self:
        """Return the frontier of `state`. Raises ValueError for what is none."""
        try:
            size, nodes = state["size"], tuple(map(unhex, state["nodes"]))
        except (KeyError, TypeError) as error:
            raise ValueError("not the state of a tree") from error
        if type(size) is not int or size < 0 or size.bit_count() != len(nodes):
            raise ValueError(f"a tree of {size} leaves does not have {len(nodes)} whole subtrees")
        return cls(size, nodes)


Roots: TypeAlias = Callable[[int, int], bytes]
"""Gives the root over the leaves from the first index to before the second: a subtree of the whole."""


def inclusion(leaves: Sequence[bytes], index: int, size: int | None = None) -> tuple[bytes, ...]:
    """Return the proof that leaf *index* (from 0) is in the tree of the first *size* leaves (all of them).

    Raises ValueError for an index or size that the tree does not have.
    """
    size = len(leaves) if size is None else size
    if not 0 <= index < size <= len(leaves):
        raise ValueError(f"there is no leaf {index} in a tree of {size}, of {len(leaves)} leaves in all")
    return inclusion_of(lambda begin, end: root(leaves[begin:end]), index, size)


def inclusion_of(roots: Roots, index: int, size: int) -> tuple[bytes, ...]:
    """Return the same of a tree that is known by the *roots* of its subtrees: 0 <= *index* < *size*."""
    begin, end, path = 0, size, list[bytes]()
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(roots(middle, end))
            end = middle
        else:
            path.append(roots(begin, middle))
            begin = middle
    return tuple(reversed(path))


def consistency(leaves: Sequence[bytes], old: int, new: int | None = None) -> tuple[bytes, ...]:
    """Return the proof that the tree of the first *old* leaves begins that of the first *new* (all of them).

    It is empty for equal sizes and from nothing. Raises ValueError for sizes that the tree does not have.
    """
    new = len(leaves) if new is None else new
    if not 0 <= old <= new <= len(leaves):
        raise ValueError(f"a tree of {old} cannot be shown in one of {new}, of {len(leaves)} leaves in all")
    return consistency_of(lambda begin, end: root(leaves[begin:end]), old, new)


def consistency_of(roots: Roots, old: int, new: int) -> tuple[bytes, ...]:
    """Return the same of a tree that is known by the *roots* of its subtrees: 0 <= *old* <= *new*."""
    if old in (0, new):
        return ()
    begin, end, path = 0, new, list[bytes]()
    while old < end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(roots(middle, end))
            end = middle
        else:
            path.append(roots(begin, middle))
            begin = middle
    known = [roots(begin, end)] if begin else []  # the old root itself is known to whoever asks
    return tuple(known + path[::-1])


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether *proof* shows *leaf* at *index* of the tree of *size* with *root* (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or not _hashes(leaf, root, *proof):
        return False
    at, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node(step, found)
            at, last = _climb(at, last)
        else:
            found = node(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether *proof* shows *old_root* to be of the first *old* leaves of *new* (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new or not _hashes(old_root, new_root, *proof):
        return False
    if old in (0, new):
        return not proof and old_root == (new_root if old else EMPTY) and (new > 0 or new_root == EMPTY)
    if not proof:
        return False
    path = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node(step, before), node(step, after)
            at, last = _climb(at, last)
        else:
            after = node(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def unhex(text: Any) -> bytes:
    """Return the hash that 64 lowercase hexadecimal digits are. Raises ValueError for anything else."""
    if not isinstance(text, str) or len(text) != 2 * SIZE or text.strip("0123456789abcdef"):
        raise ValueError("not a hash: 64 lowercase hexadecimal digits")
    return bytes.fromhex(text)


def _split(size: int) -> int:
    """Return the largest power of two below *size* (at least 2): what the left subtree holds."""
    return 1 << (size - 1).bit_length() - 1


def _climb(at: int, last: int) -> tuple[int, int]:
    """Skip the levels on which the right edge has no sibling."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last


def _hashes(*found: bytes) -> bool:
    return all(len(each) == SIZE for each in found)
