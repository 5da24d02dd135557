"""Signs checkpoints, each of which continues the one before: the only one who holds the key in memory.

It runs in a process of its own for a second (`python -m gateway.ledger KEY`), because cryptography costs 9 MB
that the daemon need not carry. It reads one line of JSON and then the leaf hash of every record, raw, and
answers with a line of JSON. Beside the key it keeps what it signed last: a store that was put back to an
earlier state brings its own earlier checkpoint with it, but not that file.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gateway.ledger import checkpoint, signer, tree
from gateway.ledger.chain import Head
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.note import Note, NoteError, Verifier
from gateway.ledger.signer import Key, KeyFileError


class Refused(ValueError):
    """What is asked to be signed does not continue what was signed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to sign: the first *size* records of the ledger *origin*, with this *root*, after *last*."""

    origin: str
    size: int
    root: bytes
    last: str = ""

    @classmethod
    def parse(cls, line: bytes) -> "Wish":
        """Return the wish of its JSON. Raises ValueError."""
        shape = json.loads(line)
        return cls(shape["origin"], shape["size"], tree.unhex(shape["root"]), shape["last"])


def serve(path: Path, source: IO[bytes], out: IO[str]) -> None:
    """Answer one wish with `checkpoint`, `key` (public), `news` of the key; or with `refused`."""
    try:
        wish = Wish.parse(source.readline())
        answer = notarized(path, wish, _leaves(source))
    except (Refused, KeyFileError, NoteError, OSError) as error:
        answer = {"refused": str(error)}
    print(json.dumps(answer), file=out)


def notarized(path: Path, wish: Wish, leaves: Iterator[bytes]) -> dict[str, Any]:
    """Return the signed checkpoint of *wish*. Raises Refused, KeyFileError."""
    before = [*_of_ledger(wish.origin, wish.last), *_of_ledger(wish.origin, _kept(path))]
    _compare(wish, before, leaves)
    key, made = signer.load_or_create(path)
    verifier = Verifier(wish.origin, key.public)
    text = checkpoint.sign(Checkpoint(wish.origin, wish.size, wish.root), key)
    _keep(path, text)
    return {"checkpoint": text, "key": str(verifier), "news": _news(wish, before, made, key)}


def _news(wish: Wish, before: list[tuple[Checkpoint, Note]], made: bool, key: Key) -> str:
    """Return what people who know the old key must be told of this one, or ""."""
    if made and (before or wish.size):
        return "made although a ledger exists"
    ours = Verifier(wish.origin, key.public).id
    known = [each.id for _, note in before for each in note.signatures if each.name == wish.origin]
    return "another than the one that signed before" if any(each != ours for each in known) else ""


def _compare(wish: Wish, before: list[tuple[Checkpoint, Note]], leaves: Iterator[bytes]) -> None:
    """Raise Refused unless the leaves are those of *wish*, and begin with what was signed."""
    expected = sorted((each.size, each.root) for each, _ in before)
    sizes = {size for size, _ in expected}
    head = Head()
    roots = {0: head.root}
    for leaf in leaves:
        head = head.after(leaf)
        if head.size in sizes:
            roots[head.size] = head.root
    if (head.size, head.root) != (wish.size, wish.root):
        raise Refused(
            "the hashes in the store are not those of the ledger that runs: the file was changed from "
            "outside. Keep a copy of it, and have `lamppost verify` say where"
        )
    for size, root in expected:
        if size > head.size:
            raise Refused(
                f"{size} records were signed, and the ledger has fewer: the store was put back or cut short. "
                "Put the later one back, or move this one away: a new ledger begins, under a new name"
            )
        if roots[size] != root:
            raise Refused(
                f"the first {size} records are not those that were signed: history was written anew. Keep a "
                "copy, then move the store away: a new ledger begins, under a new name"
            )


def _of_ledger(origin: str, text: str) -> Iterator[tuple[Checkpoint, Note]]:
    """Yield the checkpoint in *text* if it is one of this ledger; whose key signed it is looked at later."""
    with contextlib.suppress(NoteError):
        note = Note.parse(text)
        found = Checkpoint.parse(note.text)
        if found.origin == origin:
            yield found, note


def _leaves(source: IO[bytes]) -> Iterator[bytes]:
    while len(leaf := source.read(tree.SIZE)) == tree.SIZE:
        yield leaf


def last_of(path: Path) -> Path:
    """Return where the last checkpoint that the key at *path* signed is kept."""
    return path.with_name(path.name + ".last")


def _kept(path: Path) -> str:
    try:
        return last_of(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _keep(path: Path, text: str) -> None:
    beside = last_of(path).with_name(last_of(path).name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(last_of(path))


def main() -> None:
    """Serve one wish from standard input."""
    serve(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout)
