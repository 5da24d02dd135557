"""What rules and control must not forget over a restart, kept in the store at each change."""

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any

from gateway.app.streams import Memory
from gateway.control import Control
from gateway.rules import Engine
from gateway.store import StoreError

log = logging.getLogger("lamppost")

RULES, CONTROL = "rules", "control"
"""The names under which the store keeps them."""

SOON = 0.05
"""Seconds that a change may wait for a decision to be written with."""


@dataclass
class Recall:
    """Keeps the state of an engine and a control, and gives it back to the next.

    What has changed is written with the next decision, so that several changes cost one text, or SOON after.
    """

    engine: Engine
    control: Control
    memory: Memory
    _kept: int = -1
    _problem: str = ""
    _due: asyncio.TimerHandle | None = None
    _ending: bool = False

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
        self._write()

    def keep(self) -> None:
        """Have both kept: at the latest with the next decision, which calls `write`."""
        if self._ending:
            self._write()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(SOON, self.write)

    def keep_up(self) -> None:
        """Have both kept now if anything has changed."""
        if self.engine.revision != self._kept:
            self._write()
        self.write()

    def write(self) -> None:
        """Hand what is to be kept to the store, durable with its next commit."""
        if self._due is not None:
            self._write()

    def end(self) -> None:
        """Write at once from now on: control is about to undo what is to be done again after the restart."""
        self.write()
        self._ending = True

    def _write(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._kept = self.engine.revision
        self._remember(RULES, self.engine.save())
        self._remember(CONTROL, self.control.save())

    def _control(self, saved: object) -> None:
        self.control.restore(saved, self.engine.firing())

    def _remember(self, name: str, state: dict[str, Any]) -> None:
        try:
            self.memory.remember(name, json.dumps(state, allow_nan=False))
        except (ValueError, StoreError) as error:
            if str(error) != self._problem:
                log.error("%s is not kept, and begins anew after a restart: %s", name, error)
            self._problem = str(error)


def _parsed(text: str) -> object:
    """Return the JSON in *text*. Raises ValueError, also for one that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
