"""Where people's orders come in: judged, recorded, carried out at most once, answered."""

import math
from collections.abc import Callable, Iterable, Sequence

from gateway.control.ascent import RECORD_ON
from gateway.control.control import Control
from gateway.control.decisions import By
from gateway.control.orders import Subject
from gateway.control.station import RECORD_OFF
from gateway.reading import Answer, Decision, Order, OrderKind, Outcome

AHEAD = 86400.0  # [s] that an order's not_after may lie ahead
MEMORY = 2 * AHEAD  # [s] for which an order's id is remembered: longer than any order is good for
MOST = 20_000
"""Orders within MEMORY; beyond that, and until some are forgotten, none is taken."""

ID, TARGET, ISSUER, REASON, CHANNEL, VALUE = 64, 64, 100, 500, 20, 20
"""Characters that the parts of an order may have."""


class Desk:
    """Takes orders from people whose right to give them the channel has checked.

    *orders* are the ids of those that were received before a restart, the newest last: none of them is
    carried out again. *keep* gets them all before the decision on one more is recorded.
    """

    def __init__(
        self,
        control: Control,
        orders: Iterable[str] = (),
        keep: Callable[[Sequence[str]], None] = lambda orders: None,
    ) -> None:
        self.control = control
        self._keep = keep
        now = control.now().mono
        self._seen = dict.fromkeys(orders, now)

    async def submit(self, order: Order) -> Answer:
        """Carry *order* out, or refuse it; return, in words, which. Either is a decision in the journal."""
        order = _cleaned(order)
        objection = self.admit(order) or self.control.orders.objection(order)
        if objection:
            return await self._refuse(order, objection)
        failure = await self._record(order)
        if failure and not self.control.orders.cautious(order):
            return await self._refuse(order, f"it could not be recorded: {failure}")
        if objection := self._late(order) or self.control.orders.objection(order):
            return await self._refuse(order, f"{objection} (that changed while it was recorded)")
        said = self.control.obey(order)
        await self.control.settle()
        return self._answer(order, True, said)

    def admit(self, order: Order) -> str:
        """Return why *order* is not even looked at (late, received before), or "" and remember it."""
        now = self.control.now().mono
        if problem := _malformed(order) or self._late(order):
            return problem
        if order.id in self._seen:
            return f"order {order.id} was received before, and is carried out at most once"
        while self._seen and now - next(iter(self._seen.values())) >= MEMORY:  # the oldest is the first
            del self._seen[next(iter(self._seen))]
        if len(self._seen) >= MOST:
            return "too many orders were received within two days"
        self._seen[order.id] = now
        return ""

    def _late(self, order: Order) -> str:
        left = order.not_after - self.control.now().time
        if left < 0:
            return f"it came {-left:.0f} s too late (not_after)"
        return f"its not_after lies more than {AHEAD / 3600:g} h ahead" if left > AHEAD else ""

    async def _record(self, order: Order) -> str:
        """Make the order's decision durable; return why that failed. What leads to safety waits less."""
        cautious = self.control.orders.cautious(order)
        subject = self.control.orders.subject(order)
        decision = self._decision(order, subject, subject.outcome, _given(order))
        self._keep(tuple(self._seen))
        failure = await self.control.recorder.durable(decision, RECORD_OFF if cautious else RECORD_ON)
        if failure and cautious:
            self.control.recorder.later(decision)
        return failure

    async def _refuse(self, order: Order, why: str) -> Answer:
        """Record a refusal, for as long as that takes: so nobody can flood the journal with orders."""
        subject = self.control.orders.subject(order)
        decision = self._decision(order, subject, Outcome.REFUSED, (*_given(order), why))
        failure = await self.control.recorder.durable(decision, RECORD_ON)
        return self._answer(
            order, False, why + (f"; nor could that be recorded: {failure}" if failure else "")
        )

    def _decision(
        self, order: Order, subject: Subject, outcome: Outcome, reasons: tuple[str, ...]
    ) -> Decision:
        by = By(order.issuer, order.id)
        source, command, actuator = subject.source, subject.command, subject.actuator
        return self.control.scribe.decision(source, command, actuator, outcome, reasons, by=by)

    def _answer(self, order: Order, accepted: bool, said: str) -> Answer:
        return Answer(order.id, accepted, said, self.control.now().time)


def _malformed(order: Order) -> str:
    """Return what is missing from an order, or makes no sense."""
    for name, part in (("id", order.id), ("target", order.target), ("issuer", order.issuer)):
        if not _says_something(part):
            return f"it has no {name}"
    if not _says_something(order.reason):
        return "it gives no reason"
    if not isinstance(order.kind, OrderKind):
        return "it asks for nothing that there is"
    if not math.isfinite(order.not_after):
        return "its not_after is no time"
    if order.until is not None and not math.isfinite(order.until):
        return "its end (until) is no time"
    return ""


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, text))


def _given(order: Order) -> tuple[str, ...]:
    """Return what the person says, as reasons."""
    return (f"{order.issuer} says: {order.reason}", *([f"by {order.channel}"] if order.channel else []))


def _cleaned(order: Order) -> Order:
    """Return *order* with texts that every journal can hold, cut to length, and times that are numbers."""
    return Order(
        _text(order.id, ID),
        order.kind,
        _text(order.target, TARGET),
        _text(order.issuer, ISSUER),
        _text(order.reason, REASON),
        _time(order.not_after),
        _text(order.channel, CHANNEL),
        None if order.value is None else _text(order.value, VALUE),
        None if order.until is None else _time(order.until),
    )


def _text(value: object, most: int) -> str:
    whole = value if isinstance(value, str) else ""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in whole[:most])


def _time(value: object) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e12 else math.nan
