"""What the daemon shows of itself: one status for page, metrics, broker and service manager."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gateway import VERSION
from gateway.app.check import Plan
from gateway.app.pole import Pole
from gateway.clock import Now
from gateway.health import Health
from gateway.ledger import explain
from gateway.mqtt import Delivery
from gateway.reading import Decision, Lane, Record
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
    latest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=SHOWN))

    def __post_init__(self) -> None:
        self.pole: Pole | None = None

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
            "health": {
                "ok": ready,
                "loops": [
                    {"name": loop.name, "age": round(loop.age, 3), "limit": loop.limit, "ok": loop.ok}
                    for loop in self.health.loops()
                ],
                "problems": problems,
            },
            "store": {**self.store.status(), "lanes": self.lanes()},
            "mqtt": self.delivery.describe(),
            "devices": self.pole.devices() if self.pole else [],
            "switches": self.pole.switches() if self.pole else [],
            "rules": self.pole.rules() if self.pole else [],
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
        """Return recorded decisions, newest first, each with its `seq`."""
        return await self.store.recent(Lane.EVENTS, limit, kind="decision", before=before)

    async def decision(self, id: str) -> dict[str, Any] | None:
        """Return the decision *id*, or None."""
        return await self.store.find(id)

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
