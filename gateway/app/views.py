"""What the daemon shows of itself: one status for page, metrics, broker and service manager."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway import VERSION
from gateway.app.check import Plan
from gateway.app.notary import Notary
from gateway.app.pole import Pole
from gateway.app.replays import Replays
from gateway.clock import Now
from gateway.control import Control, Desk
from gateway.health import Health
from gateway.ledger import explain
from gateway.ledger.linker import Linker
from gateway.mqtt import Delivery
from gateway.people import Person
from gateway.reading import Answer, Decision, Event, Lane, Order, OrderKind, Record
from gateway.store import Store

SHOWN = 20
"""Decisions that the status carries, newest first."""


@dataclass
class Views:
    """Answers what the HTTP endpoint and the broker ask. Reading it changes nothing."""

    plan: Plan
    store: Store
    delivery: Delivery
    health: Health
    now: Now
    began: float
    notary: Notary
    latest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=SHOWN))
    correction: Callable[[], float | None] = lambda: None

    def __post_init__(self) -> None:
        self.pole: Pole | None = None
        self.control: Control | None = None
        self.desk: Desk | None = None
        self.replays = Replays(self.store, self.delivery, self.plan.config.gateway.id, self.now)

    def status(self) -> dict[str, Any]:
        """Return the whole state, from memory: no file and no broker is asked."""
        at, config = self.now(), self.plan.config
        ready, problems = self.ready()
        return {
            "gateway": config.gateway.id,
            "place": config.gateway.place.model_dump(),
            "version": VERSION,
            "epoch": self.store.epoch,
            "boot": at.boot,
            "uptime": round(time.monotonic() - self.began, 1),
            "time": round(at.time, 3),
            "clock": at.clock,
            "correction": self.correction(),
            "health": {
                "ok": ready,
                "loops": [
                    {"name": loop.name, "age": round(loop.age, 3), "limit": loop.limit, "ok": loop.ok}
                    for loop in self.health.loops()
                ],
                "problems": problems,
            },
            "store": {**self.store.status(), "lanes": self.lanes()},
            "ledger": self.notary.describe(),
            "mqtt": self.delivery.describe(),
            "devices": self.pole.devices() if self.pole else [],
            "switches": self.pole.switches() if self.pole else [],
            "rules": self._rules(),
            "pending": self.pending(),
            "decisions": list(self.latest),
        }

    async def recall(self) -> None:
        """Fetch the latest decisions of earlier runs from the store."""
        self.latest.extend(await self.store.recent(Lane.EVENTS, SHOWN, kind="decision"))

    async def record(self, record: Record) -> None:
        """Record durably, as the control asks, and remember the latest decisions for the page."""
        await self.store.record(record)
        if isinstance(record, Decision):
            self.latest.appendleft(record.body())

    def ready(self) -> tuple[bool, list[str]]:
        """Return whether this gateway does its own work, and if not, why. The broker is not its work."""
        store = self.store.status()
        problems = self.health.problems()
        if not store["writable"]:
            problems = [*problems, f"the store cannot be written: {store['problem']}"]
        return not problems, problems

    async def readings(self, device: str | None, limit: int, before: int | None) -> list[dict[str, Any]]:
        """Return stored readings, newest first, each with its `seq`."""
        return await self.store.recent(Lane.TELEMETRY, limit, device=device, before=before)

    async def decisions(self, limit: int, before: int | None) -> list[dict[str, Any]]:
        """Return recorded decisions, newest first, each with the number of its `event`."""
        return await self.store.recent(Lane.EVENTS, limit, kind="decision", before=before)

    async def decision(self, id: str) -> dict[str, Any] | None:
        """Return the decision *id*, or None."""
        return await self.store.find(id)

    async def place(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a stored decision is in the ledger; None for one that is older than the ledger."""
        seq = body.get("seq")
        found = await self.store.linked(seq) if isinstance(seq, int) else None
        if found is None:
            return None
        text = found["text"]
        holds = text is not None and Linker().leaf(text).hex() == found["leaf"]
        return {"seq": seq, "leaf": found["leaf"], "holds": holds, "text": text, "ledger": self.notary.origin}

    def ledger(self) -> dict[str, Any]:
        """Return where the ledger ends, and its last checkpoint."""
        latest = self.notary.latest
        signed = {"checkpoint": latest.text, "key": latest.key} if latest else {}
        return {**self.notary.describe(), **signed}

    async def proof(self, seq: int) -> dict[str, Any] | None:
        """Return the proof that record *seq* is under the last checkpoint; None where it is not.

        Raises ValueError where the store lacks hashes.
        """
        latest = self.notary.latest
        found = await self.store.linked(seq)
        if latest is None or found is None or seq > latest.size:
            return None
        path = await self.notary.proofs.inclusion(seq, latest.size)
        return {
            "seq": seq,
            "leaf": found["leaf"],
            "size": latest.size,
            "proof": [each.hex() for each in path],
            "root": (await self.notary.proofs.root(latest.size)).hex(),
            "checkpoint": latest.text,
            "key": latest.key,
        }

    async def consistency(self, old: int, new: int) -> dict[str, Any] | None:
        """Return the proof that the first *old* records begin the first *new*; None: there are not so many.

        Raises ValueError where the store lacks hashes.
        """
        if not 0 <= old <= new <= self.notary.head.size:
            return None
        proofs = self.notary.proofs
        path = await proofs.consistency(old, new)
        return {
            "old": old,
            "new": new,
            "proof": [each.hex() for each in path],
            "old_root": (await proofs.root(old)).hex(),
            "new_root": (await proofs.root(new)).hex(),
        }

    def register(self, output: str) -> dict[str, Any] | None:
        """Return one output of the register, with the rules' modes as they are now; None: there is none."""
        plan = self.plan
        if plan.register is None:
            return None
        from gateway.app.register import OUTPUTS, facts, planned  # for those who have one

        today = datetime.fromtimestamp(self.now().time, UTC).astimezone().date()
        return OUTPUTS[output](facts(plan, self._rules() or planned(plan), today))

    def pending(self) -> list[dict[str, Any]]:
        """Return what waits for a person."""
        return self.control.pending() if self.control else []

    def who(self, token: str) -> Person | None:
        """Return whose token it is."""
        return self.plan.people.who(token)

    async def submit(self, order: Order) -> Answer:
        """Hand a person's order to the control, or to the replays, and return what became of it."""
        if self.desk is None:
            return Answer(order.id, False, "this gateway takes no orders yet", self.now().time)
        if order.kind is OrderKind.REPLAY:
            return await self.replays.submit(order, self.desk.admit(order))
        return await self.desk.submit(order)

    def announce(self, type: str, data: Mapping[str, Any]) -> None:
        """Record an event of this gateway's own."""
        self.store.add(Event(type, self.plan.config.gateway.id, self.now(), data))

    def _rules(self) -> list[dict[str, Any]]:
        """Return every rule; its `mode` is the one in force, and beside it stands what was granted."""
        modes = self.control.modes() if self.control else {}
        return [{**rule, **modes.get(rule["id"], {})} for rule in (self.pole.rules() if self.pole else [])]

    def explain(self, body: dict[str, Any]) -> str:
        """Return a decision in words."""
        return explain(body)

    def lanes(self) -> dict[str, Any]:
        """Return each lane's accepted = delivered + held + dropped."""
        return {
            lane: {
                "accepted": n.accepted,
                "delivered": n.delivered,
                "held": n.held,
                "dropped": dict(n.dropped),
            }
            for lane, n in self.store.counts().items()
        }
