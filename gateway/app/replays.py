"""Orders to send a range of the log again: resolved, recorded, begun, and answered in plain words."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from gateway import orders
from gateway.clock import Now
from gateway.reading import Answer, Event, Lane, Order, Record
from gateway.store import StoreError
from gateway.toml import did_you_mean

log = logging.getLogger("lamppost")

ORDERED, DONE, REFUSED = "lamppost.replay.ordered", "lamppost.replay.done", "lamppost.order.refused"
"""The events that are recorded."""

CROWDED = "too many replays wait already: try again when one has ended"


class Kept(Protocol):
    """What is asked of the store."""

    def add(self, record: Record) -> None: ...
    async def record(self, record: Record) -> int: ...
    def cursor(self, lane: Lane) -> int: ...
    async def kept(self, lane: Lane, first: int, last: int) -> tuple[int, int, int]: ...
    async def before(self, lane: Lane, since: float) -> int: ...


class Outlet(Protocol):
    """What is asked of the delivery."""

    def can_replay(self) -> bool: ...
    def replay(self, lane: Lane, first: int, last: int, done: Callable[[int], None]) -> bool: ...


class _Refused(Exception):
    """Why a replay is not begun."""


@dataclass(frozen=True, slots=True)
class _Range:
    lane: Lane
    first: int
    last: int
    records: int
    rest: str  # what is said of what was asked for and is not sent

    def __str__(self) -> str:
        return f"{self.lane} {self.first} to {self.last}"


@dataclass
class Replays:
    """Takes orders of the kind replay from people who may give them."""

    store: Kept
    outlet: Outlet
    gateway: str
    now: Now

    async def submit(self, order: Order, objection: str) -> Answer:
        """Begin what *order* asks for, or refuse it: *objection* says why it is refused unseen, or ""."""
        try:
            if objection:
                raise _Refused(objection)
            found = await self._found(order)
            if not self.outlet.can_replay():
                raise _Refused(CROWDED)
            await self.store.record(self._event(ORDERED, self._about(order, found)))
            done = partial(self._done, order, found)
            if not self.outlet.replay(found.lane, found.first, found.last, done):
                raise _Refused(CROWDED)
        except StoreError as error:
            return self._refuse(order, f"the store cannot be asked: {error}")
        except _Refused as refused:
            return self._refuse(order, str(refused))
        many = f"{found.records} record{'s are' if found.records != 1 else ' is'}"
        return self._answer(order, True, f"{found}: {many} sent again, behind all that waits{found.rest}")

    async def _found(self, order: Order) -> _Range:
        """Return what of the range is there. Raises _Refused, StoreError."""
        if order.target not in list(Lane):
            hint = did_you_mean(order.target, Lane) or f"; there are: {', '.join(Lane)}"
            raise _Refused(f"there is no lane {order.target}{hint}")
        lane = Lane(order.target)
        first, last = await self._numbers(lane, str(order.value))
        asked, cursor = last - first + 1, self.store.cursor(lane)
        if asked < 1:
            raise _Refused(f"{lane} {order.value} has nothing in it: the first end comes first")
        if first > cursor:
            raise _Refused(f"{lane} is delivered up to {cursor}: what is behind that comes by itself")
        records, low, high = await self.store.kept(lane, first, min(last, cursor))
        if not records:
            oldest = (await self.store.kept(lane, 1, cursor))[1]
            there = f"the oldest that is there is {oldest}" if oldest else "nothing delivered is"
            raise _Refused(f"none of {lane} {first} to {last} is kept any more: {there}")
        gone, to_come = min(last, cursor) - first + 1 - records, max(0, last - cursor)
        rest = f"; {gone} of those asked for are not kept any more" if gone else ""
        rest += f"; what is behind {cursor} has yet to be delivered, and comes by itself" if to_come else ""
        return _Range(lane, low, high, records, rest)

    async def _numbers(self, lane: Lane, value: str) -> tuple[int, int]:
        """Return the first and the last number that *value* means: times are looked up."""
        first, last = orders.ends(value)
        if isinstance(first, float):
            first = await self.store.before(lane, first) + 1
        if isinstance(last, float):
            last = await self.store.before(lane, math.nextafter(last, math.inf))
        return max(1, first), last

    def _done(self, order: Order, found: _Range, sent: int) -> None:
        try:
            self.store.add(self._event(DONE, {**self._about(order, found), "sent": sent}))
        except StoreError as error:
            log.error("the end of the replay of %s is not recorded: %s", found, error)

    def _refuse(self, order: Order, why: str) -> Answer:
        about = {"channel": order.channel, "who": order.issuer, "reason": why}
        try:
            self.store.add(self._event(REFUSED, about))
        except StoreError as error:
            why = f"{why}; nor could that be recorded: {error}"
        return self._answer(order, False, why)

    def _about(self, order: Order, found: _Range) -> dict[str, Any]:
        return {
            "order": order.id,
            "who": order.issuer,
            "reason": order.reason,
            "channel": order.channel,
            "lane": found.lane,
            "first": found.first,
            "last": found.last,
            "records": found.records,
        }

    def _event(self, type: str, data: Mapping[str, Any]) -> Event:
        return Event(type, self.gateway, self.now(), data)

    def _answer(self, order: Order, accepted: bool, said: str) -> Answer:
        return Answer(order.id, accepted, said, round(self.now().time, 3))
