"""`lamppost verify`, `explain`, `export`: what anybody can do with a store's ledger, also while it runs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway import terminal
from gateway.correction import Corrections
from gateway.ledger import explain as words
from gateway.ledger import tree
from gateway.ledger.chain import bare, origin
from gateway.ledger.note import NoteError, Verifier
from gateway.ledger.verify import MOST, Record, Verdict, verify
from gateway.reading import Lane
from gateway.store import Archive, Leaf, StoreError

FOUND, FOREVER = 1, 1e12
"""Exit status when something is wrong; the end of time [s, Unix]."""

CHECKPOINT = "lamppost.ledger.checkpoint"
_SQLITE = b"SQLite format 3\0"


@dataclass
class Evidence:
    """What a file holds: the ledger's records, its own checkpoints and keys, and what it shows itself."""

    name: str
    origin: str = ""
    signed: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def records(self) -> Iterator[tuple[float, Record]]:
        """Yield every record, and how far through the file it stands, 0 to 1. Faults show on the way."""
        raise NotImplementedError

    def take(self, told: Iterable[Mapping[str, Any]]) -> None:
        """Take checkpoints as they are published; those of other ledgers are passed over."""
        found = [each for each in told if isinstance(each.get("checkpoint"), str)]
        self.origin = self.origin or (_origin(found[-1]["checkpoint"]) if found else "")
        for each in found:
            if _origin(each["checkpoint"]) == self.origin:
                self.signed.append(each["checkpoint"])
                self.keys.append(str(each.get("key")))
        if others := len(found) - len(self.signed):
            self.notes.append(f"{others} checkpoints of other ledgers were passed over")


@dataclass
class InStore(Evidence):
    """A store's file."""

    archive: Archive | None = None

    @classmethod
    def of(cls, path: Path) -> "InStore":
        """Open a store. Raises StoreError."""
        archive = Archive(path)
        books = archive.books()
        found = cls(path.name, origin(books.gateway, books.epoch), archive=archive)
        found.take(archive.told(CHECKPOINT))
        if strays := archive.strays(books.since):
            told = f"{len(strays)} decisions stand in the store and not in the ledger: put in, as event "
            found.faults.append((books.size + 1, told + ", ".join(map(str, strays[:5]))))
        if books.since:
            found.notes.append(f"nothing holds decisions up to event {books.since}: the ledger is younger")
        return found

    def records(self) -> Iterator[tuple[float, Record]]:
        assert self.archive is not None
        first, given_up = self.archive.kept()
        end = (0, bytes(tree.SIZE))
        for share, each in self.archive.ledger():
            yield share, self._record(each, first, given_up)
            end = (each.seq, each.leaf)
        books = self.archive.books()
        if end[0] < books.size:
            self.faults.append(
                (end[0] + 1, f"records {end[0] + 1} to {books.size} are missing at the end: removed")
            )
        elif end[1] != books.last and end[0] == books.size:
            self.faults.append((end[0], f"the hash of record {end[0]}, the last, was altered"))

    def _record(self, each: Leaf, first: int, given_up: Sequence[tuple[int, int]]) -> Record:
        """Return a record, or its hash where retention took the text. What is gone otherwise is a fault."""
        if each.text is None:
            if each.event >= first and not any(begin <= each.event <= end for begin, end in given_up):
                self.faults.append((each.seq, f"record {each.seq} was removed: only its hash is left"))
            return bare(each.seq, each.leaf)
        if tree.leaf(each.text) == each.leaf:
            return each.text
        self.faults.append((each.seq, f"record {each.seq} was altered: its hash is another than was kept"))
        return bare(each.seq, each.leaf)


@dataclass
class Exported(Evidence):
    """JSON lines: records as `lamppost export` or `lamppost watch --json` writes them."""

    path: Path = Path()

    @classmethod
    def of(cls, path: Path) -> "Exported":
        """Open an export. Raises StoreError."""
        found = cls(path.name, path=path)
        mark = CHECKPOINT.encode()
        found.take(
            body["data"]
            for _, line in found._lines()
            if mark in line
            and isinstance(body := _body(line), dict)
            and body.get("type") == CHECKPOINT
            and isinstance(body.get("data"), dict)
        )
        return found

    def records(self) -> Iterator[tuple[float, Record]]:
        for share, line in self._lines():
            body = _body(line)
            if not isinstance(body, dict):
                yield share, line
            elif body.get("kind") == "decision" or body.keys() == {"seq", "leaf"}:
                yield share, json.dumps(body) if b'"body"' in line else line

    def _lines(self) -> Iterator[tuple[float, bytes]]:
        size, at = max(1, self.path.stat().st_size), 0
        with self.path.open("rb") as file:
            for line in file:
                at += len(line)
                if line.strip():
                    yield at / size, line.strip()


def audit(path: Path, checkpoints: Sequence[Path], keys: Sequence[str]) -> int:
    """Say whether the ledger in *path* is whole. Raises StoreError, NoteError for what is unusable."""
    try:
        with path.open("rb") as file:
            is_store = file.read(len(_SQLITE)) == _SQLITE
        evidence: Evidence = InStore.of(path) if is_store else Exported.of(path)
        for each in checkpoints:
            _add(evidence, each)
        verdict = _judged(evidence, [Verifier.parse(key) for key in keys] or _named(evidence), bool(keys))
    except OSError as error:
        raise StoreError(f"{error.filename or path} cannot be read: {error.strerror}") from error
    terminal.show(_told(path, verdict))
    return 0 if verdict.ok else FOUND


def _judged(evidence: Evidence, trusted: Sequence[Verifier], given: bool) -> Verdict:
    records = terminal.progress(f"checking {evidence.name}", evidence.records())
    verdict = verify(records, evidence.signed, trusted)
    if trusted and not given:
        names = ", ".join(map(str, trusted))
        evidence.notes.append(f"the key is the one that the file names: compare it with your own: {names}")
    own = sorted(evidence.faults)
    firsts = [seq for seq in (verdict.first, *(seq for seq, _ in own[:1])) if seq]
    return replace(
        verdict,
        problems=(*(text for _, text in own[:MOST]), *verdict.problems),
        notes=(*verdict.notes, *evidence.notes),
        first=min(firsts, default=None),
    )


def _told(path: Path, verdict: Verdict) -> str:
    where = f" The first is record {verdict.first}." if verdict.first else ""
    head = f"{path}: all is well." if verdict.ok else f"{path}: something is wrong.{where}"
    return f"{head}\n{verdict}"


def _add(evidence: Evidence, path: Path) -> None:
    """Take a checkpoint that somebody kept: a signed note, or the JSON in which it is published."""
    text = path.read_text(encoding="utf-8", errors="replace")
    with suppress(ValueError):
        shape = json.loads(text)
        if isinstance(shape, dict) and isinstance(shape.get("checkpoint"), str):
            text = shape["checkpoint"]
            evidence.keys.append(str(shape.get("key")))
    if evidence.origin and _origin(text) != evidence.origin:
        evidence.faults.append((0, f"the checkpoint in {path.name} is not one of {evidence.origin}"))
    else:
        evidence.signed.append(text)


def _named(evidence: Evidence) -> list[Verifier]:
    """Return the keys that come with the checkpoints."""
    found = dict[str, Verifier]()
    for key in evidence.keys:
        with suppress(NoteError):
            found[key] = Verifier.parse(key)
    return list(found.values())


def _origin(note: str) -> str:
    return note.partition("\n")[0]


def _body(line: bytes) -> Any:
    """Return the record in a line, also where `lamppost watch --json` wrapped it; None for no JSON."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and isinstance(found.get("body"), dict):
        return {} if found.get("again") else found["body"]
    return found


def explain(store: Path, identifier: str) -> int:
    """Say why a decision was taken, and whether its place in the ledger holds. Raises StoreError."""
    archive = Archive(store)
    found = archive.find(identifier)
    if found is None:
        raise StoreError(f"there is no decision {identifier} in {store}; it may be older than what is kept")
    body, leaf = found
    terminal.show(words(body))
    said, holds = _place(archive, leaf)
    terminal.show(said)
    return 0 if holds else FOUND


def _place(archive: Archive, leaf: Leaf | None) -> tuple[str, bool]:
    if leaf is None or leaf.text is None:
        older = "It is in no ledger: older than the ledger, or put in. `lamppost verify` tells which."
        return older, False
    books = archive.books()
    name = f"It is record {leaf.seq} of {books.size} of {origin(books.gateway, books.epoch)}"
    if tree.leaf(leaf.text) != leaf.leaf:
        return f"{name}, and it was altered: its hash is another than was kept.", False
    if not _is_named(archive, leaf):
        return f"{name}, and the record after it names another.", False
    return f"{name}; its hash {leaf.leaf.hex()} holds.", True


def _is_named(archive: Archive, leaf: Leaf) -> bool:
    """Whether the next record, as far as there is one, names this one."""
    following = archive.record(leaf.seq + 1)
    if following is None or following.text is None:
        return True
    with suppress(ValueError, AttributeError):
        return bool(json.loads(following.text).get("prev") == leaf.leaf.hex())
    return False


def export(store: Path, lane: Lane, as_stored: bool = False) -> int:
    """Print a lane's records as JSON lines; of decisions that are gone, the hash. Raises StoreError.

    Records of before the first synchronisation of a boot have their right time, unless *as_stored*; decisions
    are to the letter in any case, for the ledger has their hashes.
    """
    archive = Archive(store)
    corrections = Corrections() if as_stored else archive.corrections()
    if lane is Lane.EVENTS and archive.has_ledger:
        first, _ = archive.kept()
        for _, each in archive.ledger():
            if each.event >= first:
                break
            print(json.dumps(bare(each.seq, each.leaf)))
    for text in terminal.progress(f"{lane} of {store.name}", archive.texts(lane)):
        print(_right(text, corrections) if corrections and "unsynchronized" in text else text)
    return 0


def _right(text: str, corrections: Corrections) -> str:
    """Return a record's text with its right time, where it is known and may be told."""
    with suppress(ValueError, RecursionError, AttributeError):
        body = json.loads(text)
        if body.get("kind") != "decision" and (right := corrections.corrected(body)) is not body:
            return json.dumps(right, separators=(",", ":"), ensure_ascii=False)
    return text
