"""Judges what the gateway records: true numbers, nothing promised that is not kept, an unbroken ledger."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.ledger.tree import leaf as leaf_of
from gateway.ledger.verify import verify
from gateway.mqtt.outbox import Run
from gateway.reading import Decision, Event, Lane, Reading, Record
from gateway.store import Store
from gateway.store.form import Columns, Decoder
from gateway.store.schema import VERSION
from tests.simulator.chips import Parts
from tests.simulator.disk import Disk
from tests.simulator.subscriber import Subscriber, spans
from tests.simulator.world import World

if TYPE_CHECKING:
    from tests.simulator.process import Process

ENDED = 25.0
"""Seconds within which control gives a switch back when its time by hand is over: its idle turn, and more."""

_LEDGER = (
    "SELECT leaves.seq, leaf, body FROM leaves LEFT JOIN events ON events.seq = event AND kind = 'decision' "
    "ORDER BY leaves.seq"
)
_BEHIND = {
    lane: f"SELECT seq, {Columns(VERSION).of(lane)} FROM {lane} WHERE seq > ? ORDER BY seq" for lane in Lane
}


@dataclass
class Outbox:
    """The store, as delivery and control see it. What it tells them is held against the file."""

    store: Store
    books: "Books"

    @property
    def epoch(self) -> str:
        return self.store.epoch

    def cursor(self, lane: Lane) -> int:
        return self.store.cursor(lane)

    def durable(self, lane: Lane) -> int:
        high = self.store.durable(lane)
        self.books.expect(high <= self.books.highs[lane], f"{lane} {high} is called durable and is not")
        return high

    async def changed(self) -> None:
        await self.store.changed()

    async def batches(self, lane: Lane, seq: int, records: int, size: int, most: int) -> Sequence[Run]:
        return await self.store.batches(lane, seq, records, size, most)

    async def delivered(self, lane: Lane, upto: int) -> None:
        self.books.delivered(lane, upto)
        await self.store.delivered(lane, upto)

    async def drop(self, lane: Lane, first: int, last: int, reason: str) -> None:
        await self.store.drop(lane, first, last, reason)

    async def record(self, record: Record) -> int:
        seq = await self.store.record(record)
        self.books.confirmed(record, seq)
        return seq


class Books:
    """Sees every promise of every process. *highs* are the lanes' last durable numbers."""

    def __init__(self, world: World, parts: Parts, disk: Disk, subscriber: Subscriber, commit: float) -> None:
        self._world, self._parts, self._disk, self._subscriber = world, parts, disk, subscriber
        self._commit = commit
        self.highs = subscriber.highs
        self.records: dict[Lane, dict[int, Any]] = {lane: {} for lane in Lane}
        """All that has ever been durable, by its number."""
        self._made = Counter[tuple[str, float, str]]()
        self._kept = Counter[tuple[str, float, str]]()  # of those, what is in the records
        self._gone: tuple[object, dict[Lane, set[int]]] = (None, {})
        self._decoder: tuple[object, Decoder] | None = None
        self._added: list[tuple[float, tuple[str, float, str]]] = []  # by the process that runs
        self._confirmed: dict[int, str] = {}
        self._cursors: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self._remembered: dict[str, Any] = {}
        self._failed_reads = 0
        self._leases: dict[str, tuple[float, str]] = {}  # when each ends, and in which boot it began
        self.process: Process | None = None
        self.seen: Callable[[Reading], None] = lambda reading: None
        disk.settled = self.settled

    def expect(self, holds: bool, what: str) -> None:
        """Raise Violation unless *holds*."""
        self._world.expect(holds, what)

    # What the process does

    def watch(self, store: Store) -> Outbox:
        """A process has opened the store."""
        self._added.clear()
        self._cursors = {lane: store.cursor(lane) for lane in Lane}
        self._failed_reads = self._disk.failed_reads
        kept = dict(self._disk.ask("SELECT name, body FROM memory"))
        self._remembered = json.loads(kept["rules"]) if "rules" in kept else {}
        return Outbox(store, self)

    def published(self, reading: Reading) -> None:
        """A reading goes out: its numbers were the world's a moment ago."""
        at, now = reading.at, self._world.now
        self._world.note(f"reading {reading.device} {dict(reading.values) or dict(reading.missing)}")
        self.expect(
            at.mono == self._world.mono() and at.boot == self._world.boot, "a reading of another time"
        )
        if reading.device == "air":
            for quantity, value in reading.values.items():
                true = self._parts.was(quantity, value, now)
                self.expect(true, f"{quantity} {value} was published and was never so")
        self.seen(reading)
        key = (reading.device, round(at.mono, 6), at.boot)
        self._added.append((now, key))
        self._made[key] += 1

    def confirmed(self, record: Record, seq: int) -> None:
        """A record has been called durable."""
        self.expect(seq <= self.highs[Lane.EVENTS], f"event {seq} is called durable and is not")
        if isinstance(record, Decision | Event):
            self._confirmed[seq] = record.id

    def delivered(self, lane: Lane, upto: int) -> None:
        """Delivery says that everything up to *upto* has arrived."""
        numbers = {*range(self._cursors[lane] + 1, upto + 1)} - self._subscriber.took[lane]
        if numbers:
            numbers -= self._dropped(lane)
        self.expect(not numbers, f"{lane} {sorted(numbers)} counts as delivered and is not")
        self._cursors[lane] = upto

    def settled(self) -> None:
        """The writer has done something."""
        if not self._disk.changed():
            return
        for lane, high in self._disk.highs().items():
            if high > self.highs[lane]:
                self._world.note(f"durable {lane} {high}")
                found = self._rows(lane, self.highs[lane])
                self.records[lane] |= found
                self.highs[lane] = high
                if lane is Lane.TELEMETRY:
                    self._judge_keys(found)
        self._judge_leases()

    def _judge_keys(self, found: Mapping[int, Any]) -> None:
        """No reading is recorded more often than it was made, and none that was not."""
        keys = [_key(record) for record in found.values()]
        self._kept.update(keys)
        wrong = [key for key in keys if self._kept[key] > self._made[key]]
        self.expect(not wrong, f"readings were recorded that were not made, or twice: {wrong}")

    def restored(self, process: "Process") -> None:
        """A process has started: its rules stand where the file says that they stood."""
        self.process = process
        if self._failed_reads != self._disk.failed_reads or not self._remembered:
            return
        at = self._remembered["at"]
        phases = {each["id"]: each for each in process.pole.rules()}
        for name, kept in self._remembered["rules"].items():
            if kept["phase"] != "firing":
                continue
            self.expect(
                phases[name]["phase"] == "firing", f"rule {name} fired before the restart and does not now"
            )
            if at["boot"] == self._world.boot:
                age = self._world.mono() - kept["since"] / 1e9
                self.expect(abs(phases[name]["since"] - age) < 0.1, f"rule {name} has fired for {age:.1f} s")

    def _judge_leases(self) -> None:
        """Nobody has a switch by hand for longer than was said when it was taken, in true time."""
        if self.process is None or not self._world.alive:
            return
        for name, output in self.process.pole.control._outputs.items():
            if (lease := output.lease) is not None:
                at = self.process.now()
                most = lease.until.mono - at.mono  # by no clock that is set
                longer = lease.until.left(at) - most
                self.expect(longer < 1.0, f"{name} is by hand for {longer:.1f} s longer than was said")
                ends = self._world.now + most
                noted = max(ends, self._world.now), self._world.boot
                first, boot = self._leases.setdefault(lease.order, noted)
                if not lease.on and boot != self._world.boot:
                    continue  # off is safe, and no clock may know how long the machine was away
                self.expect(self._world.now < first + ENDED, f"{name} is by hand, and its time is over")
                self.expect(
                    ends <= first + 1.0, f"{name} is by hand for {ends - first:.1f} s longer than was said"
                )

    # What is left of it

    def died(self) -> None:
        """The process is gone: what it promised is in the file."""
        self.process = None
        self._judge_rows()
        if self._disk.settled_down:
            self._judge_lost(self._world.now - self._commit - 0.2)
        self._added.clear()

    def closed(self) -> None:
        """The process came to an orderly end: everything that it was given is in the file."""
        self.process = None
        self._judge_rows()
        if self._disk.settled_down:
            self._judge_lost(self._world.now)
        self._added.clear()

    def _judge_lost(self, before: float) -> None:
        """Every reading that was made before that time has become durable."""
        lost = [key for when, key in self._added if when < before and key not in self._kept]
        self.expect(not lost or self._dropped(Lane.TELEMETRY), f"readings are lost: {lost}")

    def finished(self, store: Store, upto: Mapping[Lane, int]) -> None:
        """The faults are over: everything *upto* there has arrived or a gap names it, and the books agree."""
        gaps: dict[Lane, set[int]] = {lane: set() for lane in Lane}
        for record in self.records[Lane.EVENTS].values():
            if record["kind"] == "gap":
                gaps[Lane(record["lane"])] |= spans([(record["first"], record["last"])])
        for lane in Lane:
            missing = self._subscriber.missing(lane, upto[lane]) - gaps[lane]
            self.expect(not missing, f"{lane} {sorted(missing)} never arrived, and no gap names them")
            dropped = self._dropped(lane)
            self.expect(dropped == gaps[lane], f"gaps of {lane} name {sorted(gaps[lane] ^ dropped)} wrongly")
            counts = store.counts()[lane]
            self.expect(
                upto[lane] <= counts.accepted <= self.highs[lane], f"{lane}: {counts.accepted} accepted"
            )
            self.expect(sum(counts.dropped.values()) == len(dropped), f"{lane}: {counts.dropped} dropped")
            whole = counts.delivered + counts.held + len(dropped) == counts.accepted
            self.expect(whole and counts.delivered >= 0, f"{lane}: {counts}")
        self._judge_ledger()

    def _judge_rows(self) -> None:
        for lane, records in self.records.items():
            ((high, cursor),) = self._disk.ask("SELECT high, cursor FROM lane WHERE name = ?", (lane,))
            high, dropped = max(high, self.highs[lane]), self._dropped(lane)
            numbers = {seq for (seq,) in self._disk.ask(f"SELECT seq FROM {lane}")}
            gone = {*range(cursor + 1, high + 1)} - dropped - numbers
            self.expect(not gone, f"{lane} {sorted(gone)} vanished")
            early = {*range(1, cursor + 1)} - self._subscriber.took[lane] - dropped
            self.expect(not early, f"{lane} {sorted(early)} counts as delivered and is not")
            for number, record in self._subscriber.have[lane].items():
                self.expect(
                    records[number] == record, f"{lane} {number} arrived as another record than was stored"
                )
        for seq, id in self._confirmed.items():
            self.expect(
                self.records[Lane.EVENTS][seq].get("id") == id, f"event {seq} is not what was confirmed"
            )

    def _judge_ledger(self) -> None:
        found = self._disk.ask(_LEDGER)
        records = [{"seq": seq, "leaf": leaf.hex()} if body is None else body for seq, leaf, body in found]
        verdict = verify(records)
        self.expect(verdict.ok, f"the ledger: {verdict}")
        kept = [leaf_of(body.encode()) for _, _, body in found if body is not None]
        hashes = [leaf for _, leaf, body in found if body is not None]
        self.expect(kept == hashes, "the ledger's hashes are not those of its records")
        ((size, last),) = self._disk.ask("SELECT size, last FROM ledger")
        end = (found[-1][0], found[-1][1]) if found else (0, bytes(32))
        self.expect((size, last) == end, f"the ledger does not end where it says: {size}")

    def events(self) -> dict[int, Any]:
        """Return every event, decision and gap that is durable, by its number."""
        return self.records[Lane.EVENTS]

    def _rows(self, lane: Lane, after: int) -> dict[int, Any]:
        connection = self._disk.looking()
        if self._decoder is None or self._decoder[0] is not connection:
            self._decoder = connection, Decoder(connection)
        text = self._decoder[1].text
        found = {seq: text(*row) for seq, *row in self._disk.ask(_BEHIND[lane], (after,))}
        unread = [seq for seq, text in found.items() if text is None]
        self.expect(not unread, f"{lane} {unread} cannot be read")
        return {seq: json.loads(text or "") for seq, text in found.items()}

    def _dropped(self, lane: Lane) -> set[int]:
        """Return what the file says to be dropped; it is asked only where it may have changed."""
        edition = self._disk.edition()
        if self._gone[0] != edition:
            found = self._disk.ask("SELECT lane, first, last FROM dropped")
            gone = {lane: spans((first, last) for of, first, last in found if of == lane) for lane in Lane}
            self._gone = edition, gone
        return self._gone[1][lane]


def _key(record: Any) -> tuple[str, float, str]:
    return record["device"], record["mono"], record["boot"]
