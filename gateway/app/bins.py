"""Bins that press, and bins that ask to be collected: built from their tables, and remembered."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from gateway import config as settings
from gateway.app.streams import Memory
from gateway.clock import Instant
from gateway.control.collection import Bin, Collection, Terms
from gateway.control.guard import Limits
from gateway.control.rounds import rounds
from gateway.reading import Input, Record
from gateway.store import StoreError

if TYPE_CHECKING:
    from gateway.control.compactor import Compactor, Press

log = logging.getLogger("lamppost")

Lookup = Callable[[str], Input]

TREND = {"soonest": "time_to_full_min", "likely": "time_to_full", "since": "since_emptied"}
"""What a bin is told by its trend: a stream of kind `filling`."""


def terms_of(table: settings.Collection, zone: str | None) -> Terms:
    """Return when a bin asks. Raises ValueError for a round that is none."""
    given = {each.name: getattr(table, each.name) for each in fields(Terms) if each.name != "rounds"}
    return Terms(**given, rounds=rounds(table.rounds, zone))


@dataclass
class Shelf:
    """What the store remembers under one name. `load` must have read it before it is recalled."""

    memory: Memory
    name: str
    _kept: object = None
    _problem: str = ""

    def load(self, remembered: Mapping[str, str]) -> None:
        """Take up what the store remembers. What is no JSON is kept as a text, which nobody can use."""
        text = remembered.get(self.name)
        try:
            self._kept = None if text is None else json.loads(text)
        except (ValueError, RecursionError):
            self._kept = text

    def recall(self) -> object:
        """Return what was kept last, None for nothing."""
        return self._kept

    def keep(self, state: Mapping[str, Any]) -> None:
        """Keep *state*, durable with the next commit."""
        self._kept = dict(state)
        try:
            self.memory.remember(self.name, json.dumps(state, allow_nan=False))
        except (ValueError, StoreError) as error:
            if str(error) != self._problem:
                log.error("%s is not kept over a restart: %s", self.name, error)
            self._problem = str(error)


@dataclass
class Asking:
    """One bin's requests for a collection, and where they are kept. *exhausted*: see `Bin`."""

    table: settings.Collection
    collection: Collection
    lookup: Lookup
    shelf: Shelf
    exhausted: Callable[[], str] = lambda: ""
    _saved: Mapping[str, Any] = field(default_factory=dict)

    def restore(self, at: Instant) -> None:
        """Go on from what was kept; what cannot be read begins anew."""
        kept = self.shelf.recall()
        if not isinstance(kept, dict):
            return
        try:
            self.collection.restore(kept.get("state"), str(kept.get("boot")), at)
        except ValueError as error:
            log.warning("what %s asked for is not known any more: %s", self.table.bin, error)
        self._saved = self.collection.save()

    def step(self, at: Instant) -> list[Record]:
        """Return what is to be recorded now. It is kept no later than that."""
        records = self.collection.step(at, self._bin())
        if (state := self.collection.save()) != self._saved:
            self._saved = state
            self.shelf.keep({"state": state, "boot": at.boot})
        return records

    def _bin(self) -> Bin:
        table, lookup = self.table, self.lookup
        named = {"weight": table.weight, "fire": table.fire}
        if table.trend is not None:
            named |= {key: f"{table.trend}.{quantity}" for key, quantity in TREND.items()}
        told = {key: lookup(name) for key, name in named.items() if name is not None}
        return Bin(lookup(table.fill), **told, exhausted=self.exhausted())


class Bins:
    """Every press and every collection of one configuration.

    *presses* are for the control to run; it gives a compactor for each, which `adopt` takes. *limits* are
    those of a device's guard.
    """

    def __init__(
        self,
        config: settings.Config,
        drivers: Mapping[str, Any],
        limits: Callable[[str], Limits],
        lookup: Lookup,
        memory: Memory,
    ) -> None:
        self._memory = memory
        self._compactors: dict[str, Compactor] = {}
        self._shelves: list[Shelf] = []
        place = config.gateway.place.model_dump(exclude_none=True)
        self.presses = self._presses(config, drivers, limits, lookup, place)
        self._asking = [self._asks(each, config, lookup, place) for each in config.collection]

    def _presses(
        self,
        config: settings.Config,
        drivers: Mapping[str, Any],
        limits: Callable[[str], Limits],
        lookup: Lookup,
        place: Mapping[str, Any],
    ) -> "dict[str, Press]":
        if not config.compactor:
            return {}
        from gateway.app.presses import press_of

        return {
            each.device: press_of(
                each, drivers, limits(each.device), lookup, self._shelf(f"press {each.device}"), place
            )
            for each in config.compactor
        }

    def adopt(self, name: str, compactor: "Compactor") -> None:
        """Take note of the compactor that runs the press *name*."""
        self._compactors[name] = compactor

    async def restore(self, at: Instant) -> None:
        """Go on from what the store remembers; before the presses run."""
        if not self._shelves:
            return
        try:
            remembered = await self._memory.remembered()
        except StoreError as error:
            log.warning("what the bins kept cannot be read: %s", error)
            remembered = {shelf.name: "" for shelf in self._shelves}
        for shelf in self._shelves:
            shelf.load(remembered)
        for asking in self._asking:
            asking.restore(at)

    def step(self, at: Instant) -> list[Record]:
        """Return what the bins that ask for a collection have to say now."""
        return [record for asking in self._asking for record in asking.step(at)]

    def _asks(
        self, table: settings.Collection, config: settings.Config, lookup: Lookup, place: Mapping[str, Any]
    ) -> Asking:
        terms = terms_of(table, config.gateway.place.zone)
        collection = Collection(config.gateway.id, table.bin, terms, place)
        shelf = self._shelf(f"collection {table.bin}")
        return Asking(table, collection, lookup, shelf, lambda: self._exhausted(table.compactor))

    def _exhausted(self, name: str | None) -> str:
        """Return why pressing makes no more room. Where nothing presses, it never does."""
        if name is None:
            return "nothing presses it"
        compactor = self._compactors.get(name)
        return compactor.exhausted() if compactor else "nothing presses it"

    def _shelf(self, name: str) -> Shelf:
        shelf = Shelf(self._memory, name)
        self._shelves.append(shelf)
        return shelf
