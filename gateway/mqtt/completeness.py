"""Whether everything has arrived: (gateway, epoch, lane, number) is unique and dense, or named in a gap."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.mqtt.compress import plain
from gateway.mqtt.holes import REASON, Hole, Named, Range, explain, overlapping, subtract, words

LANES = 10_000
"""Most numberings followed, and most holes and gaps of one: no publisher may fill the memory."""
RECORDS = 10_000
"""Most records of one batch."""
HIGHEST = 1 << 53
"""The highest number: JSON readers everywhere still tell it from the next."""
_EPOCH = re.compile(r"[0-9a-f]{8}")


class Malformed(ValueError):
    """A payload is not what its topic promises. The text says why."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """One sequence: a lane of a gateway's store. A new store is a new epoch and begins at 1."""

    gateway: str
    epoch: str
    lane: str

    def __str__(self) -> str:
        return f"{self.gateway}/{self.lane} (epoch {self.epoch})"


@dataclass(frozen=True, slots=True)
class Received:
    """Contiguous records, numbered from *first*."""

    numbering: Numbering
    first: int
    records: tuple[Mapping[str, Any], ...]

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self.first + len(self.records) - 1


def read_batch(payload: bytes, gateway: str, lane: str) -> Received:
    """Return the batch in *payload*, which came on *lane*'s topic of *gateway*. Raises Malformed."""
    try:
        shape = read_object(plain(payload))
    except ValueError as error:
        raise Malformed(str(error)) from None
    if shape.get("gateway") != gateway or shape.get("lane") != lane:
        raise Malformed("it names another gateway or lane than its topic")
    epoch, first, records = shape.get("epoch"), shape.get("first"), shape.get("records")
    if not isinstance(epoch, str) or not _EPOCH.fullmatch(epoch):
        raise Malformed("its epoch is not 8 hexadecimal digits")
    if not isinstance(records, list) or not 1 <= len(records) <= RECORDS:
        raise Malformed(f"its records are not a list of 1 to {RECORDS}")
    if not all(isinstance(record, dict) for record in records):
        raise Malformed("a record is not an object")
    if type(first) is not int or not 1 <= first <= HIGHEST - RECORDS:
        raise Malformed("its first number is not a whole number from 1")
    return Received(Numbering(gateway, epoch, lane), first, tuple(records))


def read_object(payload: bytes) -> Mapping[str, Any]:
    """Return the JSON object in *payload*. Raises Malformed."""
    try:
        shape = json.loads(payload, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is not JSON: {type(error).__name__}") from None
    if not isinstance(shape, dict):
        raise Malformed("it is not a JSON object")
    return shape


def _no_number(text: str) -> Any:
    """NaN and infinity are no JSON (RFC 8259, 6), though Python reads them."""
    raise ValueError(text)


@dataclass
class _Progress:
    high: int  # the highest number seen
    missing: list[Range] = field(default_factory=list)  # sorted, apart from each other, all below high
    named: list[Named] = field(default_factory=list)  # given up by the gateway


class Completeness:
    """Follows every numbering. Pure: batches in, what is new about their completeness out.

    Following begins with the first batch seen of a numbering: what came before it is not missing.
    """

    def __init__(self) -> None:
        self.records = self.duplicates = 0
        self._lanes: dict[Numbering, _Progress] = {}

    def missing(self) -> dict[Numbering, tuple[Range, ...]]:
        """Return what has not arrived, and is not named in a gap, for each numbering that lacks something."""
        lacking = {
            numbering: tuple((hole.first, hole.last) for hole in holes if not hole.explained)
            for numbering, holes in self.holes().items()
        }
        return {numbering: ranges for numbering, ranges in lacking.items() if ranges}

    def holes(self) -> dict[Numbering, tuple[Hole, ...]]:
        """Return what has not arrived, and why, for each numbering that lacks something."""
        return {
            numbering: tuple(explain(lane.missing, lane.named))
            for numbering, lane in self._lanes.items()
            if lane.missing
        }

    def take(self, batch: Received) -> tuple[frozenset[int], list[str]]:
        """Note *batch*. Returns the numbers that had been seen before, and sentences worth printing.

        Raises Malformed when there are too many numberings to follow.
        """
        lane = self._lanes.get(batch.numbering)
        if lane is None:
            if len(self._lanes) >= LANES:
                raise Malformed(f"it begins one more numbering than the {LANES} that are followed")
            lane = self._lanes[batch.numbering] = _Progress(batch.first - 1)
        seen = self._seen(lane, batch)
        news = [*self._heal(lane, batch), *self._jump(lane, batch)]
        self.records += len(batch.records)
        self.duplicates += len(seen)
        for record in batch.records:
            if (found := gap_of(batch.numbering, record)) is not None:
                news += self._gap(*found)
        return seen, news

    def _seen(self, lane: _Progress, batch: Received) -> frozenset[int]:
        known = set(range(batch.first, min(batch.last, lane.high) + 1))
        for first, last in overlapping(lane.missing, batch.first, batch.last):
            known.difference_update(range(max(first, batch.first), min(last, batch.last) + 1))
        return frozenset(known)

    def _heal(self, lane: _Progress, batch: Received) -> Iterator[str]:
        for hole in overlapping(lane.missing, batch.first, batch.last):
            subtract(lane.missing, hole, (batch.first, batch.last))
            arrived = max(hole[0], batch.first), min(hole[1], batch.last)
            yield f"{batch.numbering}: {words(arrived)} arrived late"

    def _jump(self, lane: _Progress, batch: Received) -> Iterator[str]:
        if batch.first > lane.high + 1:
            missing = lane.high + 1, batch.first - 1
            for hole in explain([missing], lane.named):
                if not hole.explained:
                    yield f"{batch.numbering}: {hole}"
            lane.missing = [*lane.missing, missing][-LANES:]
        lane.high = max(lane.high, batch.last)

    def _gap(self, about: Numbering, named: Named) -> Iterator[str]:
        yield f"{about}: the gateway gave up {words((named.first, named.last))}: {named.why}"
        lane = self._lanes.get(about)
        if lane is not None:
            lane.named.append(named)
            del lane.named[:-LANES]


def gap_of(numbering: Numbering, record: Mapping[str, Any]) -> tuple[Numbering, Named] | None:
    """Return what *record*, numbered in *numbering*, gives up, and of which lane; None: it is no gap."""
    first, last = record.get("first"), record.get("last")
    if record.get("kind") != "gap" or type(first) is not int or type(last) is not int:
        return None
    if not 1 <= first <= last <= HIGHEST:
        return None
    about = Numbering(numbering.gateway, numbering.epoch, str(record.get("lane"))[:REASON])
    return about, Named(first, last, str(record.get("reason"))[:REASON])
