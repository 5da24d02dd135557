"""Checkpoints (c2sp.org/tlog-checkpoint): the size and the root of the ledger's tree, signed.

    lamppost/quai-12/5e0c1f7a                       the origin: gateway and the store's epoch
    1048                                            how many records
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    their root, in base64

    — lamppost/quai-12/5e0c1f7a Az3grlgtzPICa5OS8npVmf1M...

A gateway signs under its origin. It never signs two histories: each checkpoint continues the one before.
"""

import base64
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from gateway.ledger import note, tree
from gateway.ledger.chain import origin
from gateway.ledger.note import NoteError, Signer, Verifier

__all__ = ["Checkpoint", "opened", "origin", "sign"]

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x1f]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a ledger: whose, how many records, their root. We never write *extensions*."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(not line or _CONTROL.search(line) for line in (self.origin, *self.extensions)):
            raise NoteError("not a checkpoint: an empty line, or one with control characters")
        if self.size < 0 or len(self.root) != tree.SIZE:
            raise NoteError("not a checkpoint: no size, or no hash of 32 bytes")

    @property
    def text(self) -> str:
        """What is signed."""
        root = base64.b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the checkpoint of its text, to the letter. Raises NoteError."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop():
            raise NoteError("not a checkpoint: origin, size and root, each on a line")
        origin, size, root, *extensions = lines
        if not _SIZE.fullmatch(size):
            raise NoteError("not a checkpoint: its size is no whole number as one writes it")
        found = cls(origin, int(size), _hash(root), tuple(extensions))
        if found.text != text:
            raise NoteError("not a checkpoint: its root is not the base64 of a hash as one writes it")
        return found


def sign(checkpoint: Checkpoint, signer: Signer) -> str:
    """Return the checkpoint as a note, signed under its origin: without spaces or +. Raises NoteError."""
    return note.sign(checkpoint.text, checkpoint.origin, signer)


def opened(data: str | bytes, trusted: Collection[Verifier]) -> Checkpoint:
    """Return the checkpoint of a note that a trusted key signed under the checkpoint's own origin.

    Raises NoteError for everything else: a witness's signature alone does not make a checkpoint.
    """
    text, by = note.opened(data, trusted)
    found = Checkpoint.parse(text)
    if found.origin not in {key.name for key in by}:
        raise NoteError(f"a checkpoint of {found.origin}, signed by {', '.join(key.name for key in by)}")
    return found


def _hash(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except ValueError as error:
        raise NoteError("not a checkpoint: its root is not base64") from error
