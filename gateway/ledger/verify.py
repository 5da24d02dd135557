"""Whether a ledger is whole: the first record that was altered, removed or put in, or that all is well.

Three things are held against each other: the numbers of the records, the hash that each names of the one
before, and the roots that checkpoints signed. Numbers and hashes can be made anew by whoever rewrites the
whole; a checkpoint that somebody kept cannot.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any, TypeAlias

from gateway.canonical import parse
from gateway.ledger import checkpoint, tree
from gateway.ledger.chain import GENESIS, is_bare, leaf_of
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.note import NoteError, Verifier

Record: TypeAlias = Mapping[str, Any] | str | bytes
"""A record as it was exported, or its JSON text; one whose body is gone is `{"seq": ..., "leaf": ...}`."""

MOST = 50
"""Problems that are told one by one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. Problems make a ledger doubtful; notes say what could not be seen."""

    count: int  # records looked at
    root: bytes  # of the tree over the records 1, 2, 3 ... as far as they are there: to compare with others
    signed: int  # the records up to this one are those that a checkpoint signed
    bare: int  # records of which only the hash is left
    first: (
        int | None
    )  # the number of the first record that was altered, removed or put in, as far as it shows
    loose: int | None  # the first record of which nothing shows either way: what named it is missing
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        told = [f"{self.count} records, {self.signed} of them under a signed checkpoint"]
        return "\n".join([*(self.problems or ["nothing is wrong"]), *told, *self.notes])


@dataclass(frozen=True, slots=True)
class _Row:
    place: int  # in what was given, from 1
    seq: int
    prev: bytes | None  # None: only the hash is left
    leaf: bytes


@dataclass(frozen=True, slots=True, order=True)
class _Fault:
    seq: int  # 0: of no record
    text: str


def verify(
    records: Iterable[Record],
    checkpoints: Iterable[str | bytes] = (),
    trusted: Collection[Verifier] = (),
) -> Verdict:
    """Check *records*, all of one ledger from the first, against each other and against signed *checkpoints*.

    Only checkpoints that one of the *trusted* keys signed count; another is a problem of its own.
    """
    faults: list[_Fault] = []
    rows = list(_rows(records, faults))
    signed = list(_signed(checkpoints, trusted, faults))
    chosen = _chosen(rows, faults)
    _find_disorder(rows, faults)
    _find_missing(chosen, signed, faults)
    roots, root = _roots(chosen, {each.size for each in signed})
    held = _held(signed, roots)
    breaks = list(_breaks(chosen, held))
    broken = min((fault.seq for fault in breaks), default=None)
    faults += [*breaks, *_rewriting(signed, roots, held, broken)]
    problems = sorted(set(faults))
    return Verdict(
        count=len(rows),
        root=root,
        signed=held,
        bare=sum(row.prev is None for row in rows),
        first=next((fault.seq for fault in problems if fault.seq), None),
        loose=next(iter(_loose(chosen, held)), None),
        problems=_told(problems),
        notes=tuple(_notes(chosen, signed, held)),
    )


def _rows(records: Iterable[Record], faults: list[_Fault]) -> Iterator[_Row]:
    before = 0
    for place, record in enumerate(records, 1):
        try:
            found = _row(place, record)
        except ValueError as error:
            faults.append(
                _Fault(before + 1, f"what stands in place {place} is no record of a ledger: {error}")
            )
            continue
        before = found.seq
        yield found


def _row(place: int, record: Record) -> _Row:
    body = parse(record) if isinstance(record, str | bytes) else record
    if not isinstance(body, Mapping):
        raise ValueError("not a JSON object")
    seq = body.get("seq")
    if type(seq) is not int or seq < 1:
        raise ValueError("it has no number (seq)")
    if is_bare(body):
        return _Row(place, seq, None, leaf_of(body))
    return _Row(place, seq, tree.unhex(body.get("prev")), leaf_of(body))


def _signed(
    notes: Iterable[str | bytes], trusted: Collection[Verifier], faults: list[_Fault]
) -> Iterator[Checkpoint]:
    """Yield the checkpoints to be believed, the shortest first. Two that exclude each other are a fault."""
    known: dict[tuple[str, int], Checkpoint] = {}
    for place, each in enumerate(notes, 1):
        try:
            found = checkpoint.opened(each, trusted)
        except NoteError as error:
            faults.append(_Fault(0, f"checkpoint {place} does not count: {error}"))
            continue
        other = known.setdefault((found.origin, found.size), found)
        if other.root != found.root:
            faults.append(_Fault(0, f"one key signed two histories of {found.size} records: do not trust it"))
    if len({origin for origin, _ in known}) > 1:
        names = ", ".join(sorted({origin for origin, _ in known}))
        faults.append(_Fault(0, f"the checkpoints are of different ledgers ({names}): check each by itself"))
    yield from sorted(known.values(), key=lambda each: each.size)


def _chosen(rows: list[_Row], faults: list[_Fault]) -> dict[int, _Row]:
    """Return one row for each number, in their order: of two the one that its neighbours name."""
    groups = defaultdict[int, list[_Row]](list)
    for row in rows:
        groups[row.seq].append(row)
    chosen = {}
    for seq in sorted(groups):
        named = {row.prev for row in groups.get(seq + 1, ())}
        before = {row.leaf for row in groups.get(seq - 1, ())} if seq > 1 else {GENESIS}
        ranked = sorted(groups[seq], key=lambda row: (row.leaf not in named, row.prev not in before))
        chosen[seq] = ranked[0]
        for other in ranked[1:]:
            same = " again" if other.leaf == ranked[0].leaf else ""
            faults.append(
                _Fault(seq, f"record {seq} is there twice: in place {other.place} it was put in{same}")
            )
    return chosen


def _find_disorder(rows: list[_Row], faults: list[_Fault]) -> None:
    for before, row in pairwise(rows):
        if row.seq < before.seq:
            faults.append(
                _Fault(row.seq, f"record {row.seq} stands behind record {before.seq}: the order was changed")
            )


def _find_missing(chosen: dict[int, _Row], signed: list[Checkpoint], faults: list[_Fault]) -> None:
    for before, seq in pairwise([0, *chosen]):
        if seq > before + 1:
            faults.append(_Fault(before + 1, f"{_are(before + 1, seq - 1)} missing: removed"))
    last = max(chosen, default=0)
    longest = max((each.size for each in signed), default=0)
    if longest > last:
        text = f"{_are(last + 1, longest)} missing at the end: a checkpoint signed {longest} records"
        faults.append(_Fault(last + 1, text))


def _roots(chosen: dict[int, _Row], sizes: set[int]) -> tuple[dict[int, bytes], bytes]:
    """Return the roots at the *sizes* that can be computed, and the root over all records before a gap."""
    frontier, found = tree.Frontier(), {0: tree.EMPTY}
    for size, seq in enumerate(chosen, 1):
        if size != seq:
            break
        frontier = frontier.append(chosen[seq].leaf)
        if size in sizes:
            found[size] = frontier.root
    return found, frontier.root


def _held(signed: list[Checkpoint], roots: dict[int, bytes]) -> int:
    """Return how many of the first records are exactly those that checkpoints signed."""
    agree = takewhile(lambda each: roots.get(each.size) == each.root, signed)
    return max((each.size for each in agree), default=0)


def _breaks(chosen: dict[int, _Row], held: int) -> Iterator[_Fault]:
    """Yield each place at which a record does not name the one before it."""
    if (first := chosen.get(1)) and first.prev not in (GENESIS, None):
        yield _Fault(1, "record 1 names one before it: it was altered, or the first ones were removed")
    for seq, row in chosen.items():
        before = chosen.get(seq - 1)
        if before is not None and row.prev not in (before.leaf, None):
            yield _break(chosen.get(seq - 2), before, row, held)


def _break(earlier: _Row | None, before: _Row, row: _Row, held: int) -> _Fault:
    """Say what may have happened where *row* does not name *before*, which stands after *earlier*."""
    if before.seq <= held:
        return _Fault(
            row.seq, f"record {row.seq} was altered: it does not name record {before.seq} as signed"
        )
    if earlier is not None and row.prev == earlier.leaf:
        return _Fault(before.seq, f"record {before.seq} was put in: record {row.seq} names the one before it")
    return _Fault(
        before.seq,
        f"record {before.seq} is not the one that record {row.seq} was written after: "
        f"it was altered, or one between them was removed",
    )


def _rewriting(
    signed: list[Checkpoint], roots: dict[int, bytes], held: int, broken: int | None
) -> Iterator[_Fault]:
    """Yield what only a checkpoint can tell: the chain is whole, and yet not the one that was signed."""
    for each in signed:
        if broken is not None and broken <= each.size:
            return  # the break explains it
        if roots.get(each.size, each.root) != each.root:
            text = f"a checkpoint signed {each.size} other records than these: one"
            behind = f" behind record {held}" if held else ""
            yield _Fault(held + 1, f"{text}{behind} was rewritten, with every hash after it")
            return


def _notes(chosen: dict[int, _Row], signed: list[Checkpoint], held: int) -> Iterator[str]:
    bare = [seq for seq, row in chosen.items() if row.prev is None]
    if bare:
        yield f"of {len(bare)} records only the hash is left: what they said cannot be read here"
    whole = next((seq for seq, row in chosen.items() if row.prev is not None), None)
    if whole is not None and (late := [seq for seq in bare if seq > whole]):
        yield f"record {late[0]} has lost its body although an older one kept it: ask who removed it"
    if loose := _loose(chosen, held):
        others = f", nor {len(loose) - 1} more" if len(loose) > 1 else ""
        yield f"nothing shows whether record {loose[0]} is as it was{others}: what named it is missing"
    if not signed:
        yield "no checkpoint was given: a tail cut off and a history written anew cannot be seen"
    elif (last := max(chosen, default=0)) > held:
        yield f"{_are(held + 1, last)} under no checkpoint that agrees: only the chain holds them"


def _loose(chosen: dict[int, _Row], held: int) -> list[int]:
    """Return the records that neither a checkpoint nor the next record holds, but for the last."""
    last = max(chosen, default=0)
    named = {seq - 1 for seq, row in chosen.items() if row.prev is not None}
    return [seq for seq in chosen if held < seq < last and seq not in named]


def _are(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"


def _told(faults: list[_Fault]) -> tuple[str, ...]:
    more = len(faults) - MOST
    return (*(fault.text for fault in faults[:MOST]), *([f"and {more} problems more"] if more > 0 else []))
