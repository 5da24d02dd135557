"""Orders over real brokers: heard, answered to whom they came from, and never more than can be held."""

import asyncio
import json
from typing import Any

import pytest

from gateway.config import Mqtt
from gateway.mqtt import Heard
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.inbox import HELD
from gateway.mqtt.link import INCOMING
from gateway.reading import Answer, Lane
from tests.brokers import Broker
from tests.gateway.mqtt_rig import Memory, Subscriber, running, until

pytestmark = pytest.mark.broker


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "pause", lambda self, high=None: 0.05)


class Clerk:
    """Notes what it hears and says yes; waits while *closed*."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, heard: Heard) -> Answer:
        await self.open.wait()
        self.heard.append(heard)
        return Answer(str(len(self.heard)), True, "done", 1.0)


def answers(person: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(m.payload) for m in list(person.messages) if "/answer/" in m.topic]


def test_an_order_is_heard_and_its_answer_goes_to_who_gave_it(broker: Broker) -> None:
    async def main() -> None:
        clerk = Clerk()
        with Subscriber(broker.port, "lamppost/pole7/answer/ann") as ann:
            async with running(Mqtt(port=broker.port), Memory(), hear=clerk) as delivery:
                await until(lambda: delivery.describe()["state"] == "connected")
                await asyncio.to_thread(ann.publish, "lamppost/pole7/command/ann", b"please")
                await asyncio.to_thread(ann.publish, "lamppost/pole7/command/bob", b"me too")
                await until(lambda: len(clerk.heard) == 2 and answers(ann))
            assert clerk.heard == [Heard("ann", b"please", False), Heard("bob", b"me too", False)]
            assert answers(ann) == [{"order": "1", "accepted": True, "said": "done", "time": 1.0}]

    asyncio.run(main())


def test_an_order_given_while_the_gateway_is_away_arrives_when_it_is_back(broker: Broker) -> None:
    async def main() -> None:
        clerk = Clerk()
        with Subscriber(broker.port, "lamppost/pole7/status") as ann:
            async with running(Mqtt(port=broker.port), Memory(), hear=clerk) as delivery:
                await until(lambda: delivery.describe()["state"] == "connected")
                await asyncio.sleep(0.2)  # the subscription is there
            await asyncio.to_thread(ann.publish, "lamppost/pole7/command/ann", b"late")
            async with running(Mqtt(port=broker.port), Memory(), hear=clerk):
                await until(lambda: clerk.heard)
        assert clerk.heard[0].payload == b"late"

    asyncio.run(main())


def test_a_retained_order_is_known_as_one(broker: Broker) -> None:
    async def main() -> None:
        clerk = Clerk()
        with Subscriber(broker.port, "lamppost/pole7/status") as ann:
            await asyncio.to_thread(ann.publish, "lamppost/pole7/command/ann", b"kept", True)
            async with running(Mqtt(port=broker.port), Memory(), hear=clerk):
                await until(lambda: clerk.heard)
            await asyncio.to_thread(ann.publish, "lamppost/pole7/command/ann", b"", True)
        assert clerk.heard[0] == Heard("ann", b"kept", True)

    asyncio.run(main())


def test_a_flood_is_not_held_and_delivery_goes_on(broker: Broker) -> None:
    async def main() -> None:
        clerk, outbox = Clerk(), Memory()
        clerk.open.clear()
        with Subscriber(broker.port, "lamppost/pole7/log/#") as ann:
            async with running(Mqtt(port=broker.port), outbox, hear=clerk) as delivery:
                await until(lambda: delivery.describe()["state"] == "connected")
                for _ in range(HELD + 40):
                    await asyncio.to_thread(ann.publish, "lamppost/pole7/command/ann", b"again")
                outbox.fill(Lane.TELEMETRY, 100)
                await until(lambda: outbox.cursor(Lane.TELEMETRY) == 100)
                assert delivery._inbox is not None
                await until(lambda: delivery._inbox is not None and delivery._inbox.dropped >= 39)
                clerk.open.set()
                await until(lambda: len(clerk.heard) >= HELD)
        assert len(clerk.heard) <= HELD + 1

    asyncio.run(main())


def test_what_is_too_long_never_arrives_and_harms_nothing(broker: Broker) -> None:
    async def main() -> None:
        clerk = Clerk()
        with Subscriber(broker.port, "lamppost/pole7/status") as ann:
            async with running(Mqtt(port=broker.port), Memory(), hear=clerk) as delivery:
                await until(lambda: delivery.describe()["state"] == "connected")
                await asyncio.to_thread(ann.publish, "lamppost/pole7/command/ann", b"x" * (INCOMING + 5000))
                await asyncio.to_thread(ann.publish, "lamppost/pole7/command/ann", b"short")
                await until(lambda: any(each.payload == b"short" for each in clerk.heard))
        assert [len(each.payload) for each in clerk.heard if each.payload != b"short"] in (
            [],
            [INCOMING + 5000],
        )

    asyncio.run(main())
