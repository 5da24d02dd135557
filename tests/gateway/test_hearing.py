"""Who may order over MQTT, and what becomes of what is no order."""

import asyncio
import json
from typing import Any

import pytest

from gateway.app.hearing import REPORT, Hearing
from gateway.clock import Instant, Quality
from gateway.mqtt import Heard
from gateway.people import People, Person
from gateway.reading import Answer, Order, OrderKind

ANN = Person("ann", may=(OrderKind.VETO,))


class Desk:
    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    async def submit(self, order: Order) -> Answer:
        self.orders.append(order)
        return Answer(order.id, True, "vetoed", 1.0)

    def announce(self, type: str, data: Any) -> None:
        self.events.append((type, dict(data)))


class Clock:
    at = 100.0

    def __call__(self) -> Instant:
        return Instant(1e9 + self.at, self.at, "b", Quality.SYNCHRONIZED)


def said(**changes: Any) -> bytes:
    shape = {"id": "order-0001", "order": "veto", "target": "ask1", "reason": "no", "not_after": 1e9 + 200}
    return json.dumps({**shape, **changes}).encode()


def heard(*messages: Heard) -> tuple[Desk, list[Answer], Clock]:
    desk, clock = Desk(), Clock()
    hearing = Hearing(desk, lambda: People((ANN,)), clock)  # type: ignore[arg-type]

    async def main() -> list[Answer]:
        return [await hearing.hear(each) for each in messages]

    return desk, asyncio.run(main()), clock


def test_a_persons_own_order_goes_to_the_desk() -> None:
    desk, (answer,), _ = heard(Heard("ann", said(), False))
    assert answer.accepted
    assert [(each.issuer, each.channel, each.kind) for each in desk.orders] == [
        ("ann", "mqtt", OrderKind.VETO)
    ]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Heard("ann", said(order="approve"), False), "ann may not approve here"),
        (Heard("bob", said(), False), "bob may not veto here"),
        (Heard("ann", said(), True), "must not be retained"),
        (Heard("ann", b"{", False), "JSON"),
        (Heard("ann", said(reason=""), False), "say why"),
    ],
)
def test_what_is_refused_is_answered_and_recorded_and_reaches_nothing(message: Heard, words: str) -> None:
    desk, (answer,), _ = heard(message)
    assert not answer.accepted
    assert words in answer.said
    assert desk.orders == []
    ((type_, data),) = desk.events
    assert type_ == "lamppost.order.refused"
    assert data["who"] == message.issuer
    assert data["reason"] == answer.said


def test_a_flood_of_refusals_is_answered_but_recorded_once_in_a_while() -> None:
    desk, clock = Desk(), Clock()
    hearing = Hearing(desk, lambda: People(()), clock)  # type: ignore[arg-type]

    async def main() -> None:
        for _ in range(1000):
            assert not (await hearing.hear(Heard("bob", b"x", False))).accepted
        clock.at += REPORT
        await hearing.hear(Heard("bob", b"x", False))

    asyncio.run(main())
    assert [data["times"] for _, data in desk.events] == [1, 1000]
