"""Which orders were received: none is carried out twice, also over a restart.

The decisions in the store name them. Decisions give way when there is no room, and those that were delivered
are not saved from a damaged file: so the newest orders are kept a second time, where neither happens.
"""

import json
import logging
from collections.abc import Sequence

from gateway.reading import Lane
from gateway.store import Store, StoreError

log = logging.getLogger("lamppost")

NAME = "orders"
"""The name under which the store keeps them."""

NEWEST = 150
"""Orders that are kept so: with the longest ids that there may be they fit into a text of the store."""

DAY = 86400.0
PAGE = 500
"""Decisions that are looked through at a time."""


class Received:
    """The ids of the orders that a gateway has received, as its *store* knows them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def known(self, now: float) -> list[str]:
        """Return the ids, the newest last, of a day before *now* [s, Unix]. Raises StoreError."""
        kept, decided = await self._kept(), (await self._decided(now))[::-1]
        behind = next((place for place, order in enumerate(decided) if order in kept), 0)  # older than these
        return list(dict.fromkeys([*decided[:behind], *kept, *decided[behind:]]))

    def keep(self, orders: Sequence[str]) -> None:
        """Keep the last of *orders*, durable with the next commit: the one of the decision on the last."""
        try:
            self._store.remember(NAME, json.dumps(orders[-NEWEST:], ensure_ascii=False))
        except (ValueError, StoreError) as error:
            log.error("which orders were received is not kept, only their decisions are: %s", error)

    async def _kept(self) -> list[str]:
        """Return what `keep` has kept; of anything else what can be an id."""
        try:
            kept = json.loads((await self._store.remembered()).get(NAME, "[]"))
        except (ValueError, RecursionError) as error:
            log.warning("which orders were received cannot be read, only from their decisions: %s", error)
            return []
        return [one for one in kept if isinstance(one, str)] if isinstance(kept, list) else []

    async def _decided(self, now: float) -> list[str]:
        """Return the orders that the decisions of the last day name, the newest first."""
        found: list[str] = []
        before: int | None = None
        while bodies := await self._store.recent(Lane.EVENTS, PAGE, kind="decision", before=before):
            found += [body["order"] for body in bodies if isinstance(body.get("order"), str)]
            before = bodies[-1]["event"]
            if bodies[-1].get("time", 0.0) < now - DAY:
                break
        return found
