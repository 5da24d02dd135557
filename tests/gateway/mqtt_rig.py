"""What the tests of the delivery share: an outbox that checks what it is told, a gateway, a subscriber."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.clock import Now
from gateway.config import Mqtt
from gateway.mqtt import Delivery
from gateway.mqtt.outbox import Outbox
from gateway.reading import Lane


class Stored(NamedTuple):
    seq: int
    body: str


class Run(NamedTuple):
    first: int
    last: int
    text: bytes


class Memory:
    """Numbers records from 1. *dropped* is what was given up, as (lane, number, reason)."""

    epoch = "0badcafe"

    def __init__(self) -> None:
        self.rows: dict[Lane, list[Stored]] = {lane: [] for lane in Lane}
        self.cursors = dict.fromkeys(Lane, 0)
        self.dropped: list[tuple[Lane, int, str]] = []
        self.deaf = False  # a disk that does not answer
        self._news = asyncio.Event()

    def add(self, lane: Lane, body: Mapping[str, Any]) -> None:
        self.rows[lane].append(Stored(self.durable(lane) + 1, json.dumps(body)))
        self._news.set()
        self._news = asyncio.Event()

    def fill(self, lane: Lane, count: int, size: int = 0) -> None:
        """Add *count* records, each with its own number and *size* bytes of ballast."""
        for _ in range(count):
            self.add(lane, {"n": self.durable(lane) + 1, "ballast": "x" * size})

    def cursor(self, lane: Lane) -> int:
        return self.cursors[lane]

    def durable(self, lane: Lane) -> int:
        return len(self.rows[lane])

    async def changed(self) -> None:
        await self._news.wait()

    async def batches(self, lane: Lane, seq: int, records: int, size: int, most: int) -> list[Run]:
        await asyncio.sleep(0)
        while self.deaf:
            await asyncio.sleep(0.005)
        gone = {number for name, number, _ in self.dropped if name is lane}
        rows = [row for row in self.rows[lane][seq:] if row.seq not in gone]
        return list(islice(runs(rows, records, size), most))

    async def delivered(self, lane: Lane, upto: int) -> None:
        assert self.cursors[lane] < upto <= self.durable(lane), "the cursor only moves forward"
        self.cursors[lane] = upto

    async def drop(self, lane: Lane, first: int, last: int, reason: str) -> None:
        await asyncio.sleep(0.01)
        assert first == last > self.cursors[lane], "one record, not delivered yet"
        self.dropped.append((lane, first, reason))


class Slow(Memory):
    """Gives its first record at once, and is `deaf` when it is `asked` for more."""

    begun = asked = False

    async def batches(self, lane: Lane, seq: int, records: int, size: int, most: int) -> list[Run]:
        if self.begun:
            self.asked = True
            return await super().batches(lane, seq, records, size, most)
        self.begun = self.deaf = True
        return list(islice(runs(self.rows[lane], records, size), 1))


def runs(rows: Sequence[Stored], records: int, size: int) -> Iterator[Run]:
    """Cut *rows* at holes, and where they would be too many or too long, as plainly as it can be said."""
    some: list[Stored] = []
    for row in rows:
        text = ",".join(one.body for one in [*some, row]).encode()
        if some and (row.seq != some[-1].seq + 1 or len(some) >= records or len(text) > size):
            yield Run(some[0].seq, some[-1].seq, ",".join(one.body for one in some).encode())
            some = []
        some.append(row)
    if some:
        yield Run(some[0].seq, some[-1].seq, ",".join(one.body for one in some).encode())


@asynccontextmanager
async def running(settings: Mqtt, outbox: Outbox, **shapes: Any) -> AsyncIterator[Delivery]:
    """Run a delivery, and stop it at the end."""
    status, meta = shapes.get("status", dict), shapes.get("meta", dict)
    hear = shapes.get("hear")
    delivery = Delivery(settings, "pole7", outbox, meta, status, Now(), hear=hear)
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery
    finally:
        await delivery.stop()
        await task


async def until(condition: Callable[[], object], within: float = 40.0) -> None:
    """Return when *condition* is true; fail when it is not *within* seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


class Subscriber:
    """A plain paho client with a session, independent of the code under test. *old*: speaks MQTT 3.1.1."""

    def __init__(
        self, port: int, *topics: str, client: str = "subscriber", old: bool = False, **login: str
    ) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self.subscribed = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client,
            clean_session=False if old else None,
            protocol=paho.MQTTv311 if old else paho.MQTTv5,
        )
        filters = [(topic, 1) for topic in topics or ("#",)]
        self._client.on_connect = lambda client, *_: client.subscribe(filters)
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_disconnect = lambda *_: self.subscribed.clear()
        self._client.on_message = lambda _, __, message: self.messages.append(message)
        self._client.reconnect_delay_set(0.1, 0.1)
        if login:
            self._client.username_pw_set(**login)
        if old:
            self._client.connect("127.0.0.1", port)
            return
        session = Properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = 600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=session)

    def __enter__(self) -> "Subscriber":
        self._client.loop_start()
        assert self.subscribed.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self._client.publish(topic, payload, 1, retain).wait_for_publish(5)

    def numbers(self, lane: Lane) -> list[int]:
        """Return the numbers of the records of *lane* as they arrived; an outbox in memory's must agree."""
        found: list[int] = []
        for message in list(self.messages):
            if message.topic.endswith(f"/log/{lane}"):
                batch = json.loads(message.payload)
                found += range(batch["first"], batch["first"] + len(batch["records"]))
                for number, record in zip(found[-len(batch["records"]) :], batch["records"], strict=True):
                    assert record.get("n", number) == number
        return found

    def last(self, topic: str) -> Any:
        """Return the newest payload on *topic*, or None."""
        found = [message for message in list(self.messages) if message.topic.endswith(topic)]
        return json.loads(found[-1].payload) if found else None


def in_order(numbers: list[int]) -> bool:
    """Whether each number is first seen behind all that were seen before it."""
    highest = 0
    for number in numbers:
        if number > highest + 1:
            return False
        highest = max(highest, number)
    return True
