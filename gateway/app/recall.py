"""What rules and control must not forget over a restart, kept in the store at each change."""

import json
import logging
from dataclasses import dataclass
from typing import Any

from gateway.app.streams import Memory
from gateway.control import Control
from gateway.reading import Lane
from gateway.rules import Engine
from gateway.store import Store, StoreError

log = logging.getLogger("lamppost")

RULES, CONTROL = "rules", "control"
"""The names under which the store keeps them."""

DAY = 86400.0
PAGE = 500
"""Decisions that are looked through at a time."""


@dataclass
class Recall:
    """Keeps the state of an engine and a control, and gives it back to the next."""

    engine: Engine
    control: Control
    memory: Memory
    _kept: int = -1
    _problem: str = ""

    async def restore(self) -> None:
        """Go on from where the store says that they were; what cannot be read begins anew, and safely so."""
        try:
            remembered = await self.memory.remembered()
        except StoreError as error:
            log.warning("what the rules and the control kept cannot be read: %s", error)
            remembered = {RULES: "", CONTROL: ""}
        for name, restore in ((RULES, self.engine.restore), (CONTROL, self._control)):
            if (text := remembered.get(name)) is not None:
                try:
                    restore(_parsed(text))
                except ValueError as error:
                    log.warning("what %s kept cannot be used, it begins anew: %s", name, error)
        if CONTROL not in remembered:
            self._control(self.control.save())
        self.keep()

    def keep(self) -> None:
        """Have both kept, durable with the next commit."""
        self._kept = self.engine.revision
        self._remember(RULES, self.engine.save())
        self._remember(CONTROL, self.control.save())

    def keep_up(self) -> None:
        """Have both kept if a rule has changed its phase."""
        if self.engine.revision != self._kept:
            self.keep()

    def _control(self, saved: object) -> None:
        self.control.restore(saved, self.engine.firing())

    def _remember(self, name: str, state: dict[str, Any]) -> None:
        try:
            self.memory.remember(name, json.dumps(state, allow_nan=False))
        except (ValueError, StoreError) as error:
            if str(error) != self._problem:
                log.error("%s is not kept, and begins anew after a restart: %s", name, error)
            self._problem = str(error)


async def recent_orders(store: Store, now: float) -> list[str]:
    """Return the ids of the orders that decisions of the last day name. Raises StoreError."""
    found: list[str] = []
    before: int | None = None
    while bodies := await store.recent(Lane.EVENTS, PAGE, kind="decision", before=before):
        found += [body["order"] for body in bodies if isinstance(body.get("order"), str)]
        before = bodies[-1]["event"]
        if bodies[-1].get("time", 0.0) < now - DAY:
            break
    return found


def _parsed(text: str) -> object:
    """Return the JSON in *text*. Raises ValueError, also for one that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
