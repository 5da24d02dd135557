"""Replays: what was delivered goes out again for whoever may ask, behind all else; nothing moves for it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app.replays import Replays
from gateway.collect import report
from gateway.collect.account import books
from gateway.config import Mqtt
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.compress import plain
from gateway.mqtt.replay import MOST
from gateway.reading import Answer, Lane, Order, OrderKind
from gateway.store import Store
from tests.brokers import Broker, Scripted
from tests.gateway.mqtt_rig import Memory, Subscriber, running, until
from tests.gateway.store_rig import NOW, event, opened, reading
from tests.gateway.test_collect_broker import Desk, collecting


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "pause", lambda self, high=None: 0.05)


class Sent:
    """Takes what is to be sent, and ends it when a test says so."""

    def __init__(self) -> None:
        self.ranges: list[tuple[Lane, int, int]] = []
        self.ends: list[Callable[[int], None]] = []
        self.full = False

    def can_replay(self) -> bool:
        return not self.full

    def replay(self, lane: Lane, first: int, last: int, done: Callable[[int], None]) -> bool:
        self.ranges.append((lane, first, last))
        self.ends.append(done)
        return True


def asks(value: str, target: str = "telemetry") -> Order:
    order = "order-0001", OrderKind.REPLAY, target, "ann", "the broker was killed", NOW().time + 60, "mqtt"
    return Order(*order, value)


async def filled(store: Store, readings: int, delivered: int) -> None:
    for n in range(1, readings + 1):
        store.add(reading(float(n)))
    await store.record(event(1))
    await until(lambda: store.durable(Lane.TELEMETRY) == readings)
    await store.delivered(Lane.TELEMETRY, delivered)


async def events(store: Store) -> list[tuple[str, Any]]:
    found = await store.recent(Lane.EVENTS, 10)
    return [(each["type"], each["data"]) for each in reversed(found)]


def ordered(path: Path, *orders: Order, readings: int = 50, delivered: int = 40) -> tuple[Sent, list[Answer]]:
    sent, answers = Sent(), list[Answer]()

    async def main() -> None:
        async with opened(path) as store:
            await filled(store, readings, delivered)
            replays = Replays(store, sent, "pole-1", NOW)
            answers.extend([await replays.submit(order, "") for order in orders])

    asyncio.run(main())
    return sent, answers


def test_a_range_is_sent_recorded_before_and_when_it_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "pole.db") as store:
            await filled(store, 50, 40)
            sent = Sent()
            answer = await Replays(store, sent, "pole-1", NOW).submit(asks("11..20"), "")
            assert answer.accepted
            assert answer.said == "telemetry 11 to 20: 10 records are sent again, behind all that waits"
            assert sent.ranges == [(Lane.TELEMETRY, 11, 20)]
            type_, data = (await events(store))[-1]
            assert (type_, data["who"], data["reason"]) == (
                *("lamppost.replay.ordered", "ann", "the broker was killed"),
            )
            assert (data["lane"], data["first"], data["last"], data["order"]) == (
                *("telemetry", 11, 20, "order-0001"),
            )
            before = store.counts()[Lane.TELEMETRY]
            sent.ends[0](9)
            await store.record(event(2))
            type_, data = (await events(store))[-2]
            assert (type_, data["sent"]) == ("lamppost.replay.done", 9)
            assert store.counts()[Lane.TELEMETRY] == before

    asyncio.run(main())


def test_what_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    orders = asks("35..45"), asks("41..45"), asks("9..3"), asks("1..2", "telemtry"), asks("1..2", "events")
    sent, answers = ordered(tmp_path / "pole.db", *orders)
    said = [answer.said for answer in answers]
    assert said[0].endswith("; what is behind 40 has yet to be delivered, and comes by itself")
    assert said[1] == "telemetry is delivered up to 40: what is behind that comes by itself"
    assert "nothing in it" in said[2]
    assert 'did you mean "telemetry"' in said[3]
    assert said[4].startswith("events is delivered up to 0")
    assert [answer.accepted for answer in answers] == [True, False, False, False, False]
    assert sent.ranges == [(Lane.TELEMETRY, 35, 40)]


def test_what_is_kept_no_more_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "pole.db") as store:
            await filled(store, 50, 40)
            cursors = {lane: store.cursor(lane) for lane in Lane}
            await store._keeper._writer.call(
                lambda: store._keeper._log._connection.execute("DELETE FROM telemetry WHERE seq <= 15")
            )
            sent = Sent()
            replays = Replays(store, sent, "pole-1", NOW)
            said = (await replays.submit(asks("11..20"), "")).said
            assert said.startswith("telemetry 16 to 20: 5 records are sent again")
            assert said.endswith("; 5 of those asked for are not kept any more")
            said = (await replays.submit(asks("1..15"), "")).said
            assert said == "none of telemetry 1 to 15 is kept any more: the oldest that is there is 16"
            sent.full = True
            answer = await replays.submit(asks("16..20"), "")
            assert (answer.accepted, "too many" in answer.said) == (False, True)
            answer = await replays.submit(asks("16..20"), "it came 5 s too late")
            assert answer.said == "it came 5 s too late"
            await store.record(event(3))
            kinds = [kind for kind, _ in await events(store)]
            assert kinds.count("lamppost.order.refused") == 3
            assert kinds.count("lamppost.replay.ordered") == 1
            assert sent.ranges == [(Lane.TELEMETRY, 16, 20)]
            assert {lane: store.cursor(lane) for lane in Lane} == cursors

    asyncio.run(main())


def test_times_are_looked_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "pole.db") as store:
            at = NOW()
            for n in range(1, 31):
                store.add(reading(float(n), at=replace(at, time=1e9 + n)))
            await store.record(event(1))
            await until(lambda: store.durable(Lane.TELEMETRY) == 30)
            await store.delivered(Lane.TELEMETRY, 30)
            sent = Sent()
            replays = Replays(store, sent, "pole-1", NOW)
            for value in ("@1000000010..@1000000019.5", "5..@1000000010", "@1000000025..99"):
                await replays.submit(asks(value), "")
            assert [span for _, *span in sent.ranges] == [[10, 19], [5, 10], [25, 30]]

    asyncio.run(main())


@pytest.mark.broker
def test_a_replay_is_marked_and_moves_nothing(broker: Broker) -> None:
    async def main() -> None:
        outbox, ended = Memory(), list[int]()
        outbox.fill(Lane.TELEMETRY, 100)
        with Subscriber(broker.port, "lamppost/pole7/log/#") as hears:
            async with running(Mqtt(port=broker.port, batch=10), outbox) as delivery:
                await until(lambda: outbox.cursor(Lane.TELEMETRY) == 100)
                await until(lambda: len(hears.numbers(Lane.TELEMETRY)) == 100)
                assert delivery.replay(Lane.TELEMETRY, 15, 44, ended.append)
                assert delivery.describe()["replaying"] == 30
                await until(lambda: ended)
                await until(lambda: len(hears.numbers(Lane.TELEMETRY)) == 130)
                assert delivery.describe()["replaying"] == 0
        assert (ended, outbox.cursor(Lane.TELEMETRY)) == ([30], 100)
        assert hears.numbers(Lane.TELEMETRY)[100:] == list(range(15, 45))
        batches = [json.loads(message.payload) for message in hears.messages]
        assert [batch["first"] for batch in batches if batch.get("replay")] == [15, 25, 35]
        assert all(batch.get("replay", True) is True for batch in batches)

    asyncio.run(main())


@pytest.mark.broker
def test_a_replay_goes_on_after_the_broker_was_killed(broker: Broker) -> None:
    async def main() -> None:
        outbox, ended = Memory(), list[int]()
        outbox.fill(Lane.TELEMETRY, 300)
        async with running(Mqtt(port=broker.port, batch=1), outbox) as delivery:
            await until(lambda: outbox.cursor(Lane.TELEMETRY) == 300)
            delivery.replay(Lane.TELEMETRY, 1, 300, ended.append)
            await until(lambda: delivery.describe()["replaying"] < 290)
            broker.kill()
            broker.start()
            await until(lambda: ended)
        assert ended == [300]

    asyncio.run(main())


def test_first_deliveries_go_before_and_a_refused_replay_waits() -> None:
    async def main() -> None:
        outbox, ended = Memory(), list[int]()
        async with Scripted() as broker:
            refused = 2

            def judge(message: Any) -> int | None:
                nonlocal refused
                if b'"replay":true' not in message.payload:
                    return None if b'"first":21,' in message.payload else 0
                refused -= 1
                return 0x97 if refused >= 0 else 0

            broker.judge = judge
            outbox.fill(Lane.TELEMETRY, 20)
            settings = Mqtt(port=broker.port, batch=10, window=4)
            async with running(settings, outbox) as delivery:
                await until(lambda: outbox.cursor(Lane.TELEMETRY) == 20)
                outbox.fill(Lane.TELEMETRY, 200)
                for _ in range(MOST):
                    assert delivery.replay(Lane.TELEMETRY, 1, 20, ended.append)
                assert not delivery.replay(Lane.TELEMETRY, 1, 20, ended.append)
                await until(lambda: any(batch.get("replay") for batch in broker.batches("telemetry")))
                first = next(n for n, batch in enumerate(broker.batches("telemetry")) if batch.get("replay"))
                held = next(p.mid for p in broker.received if b'"first":21,' in p.payload)
                assert first >= 2 + 20, "what waits for its first delivery goes before"
                broker.acknowledge(held)
                await until(lambda: len(ended) == MOST)
                assert outbox.cursor(Lane.TELEMETRY) == 220
            assert ended == [20] * MOST
            assert broker.most <= 4

    asyncio.run(main())


@pytest.mark.broker
def test_the_report_names_what_a_killed_broker_lost_and_a_replay_fills_it(
    broker: Broker, tmp_path: Path
) -> None:
    async def main() -> None:
        path, outbox = tmp_path / "city.db", Memory()
        mqtt = Mqtt(port=broker.port, batch=10)
        with collecting(broker.port, desk := Desk(path)):
            await until(lambda: desk.said)
            outbox.fill(Lane.TELEMETRY, 100)
            async with running(mqtt, outbox):
                await until(lambda: outbox.cursor(Lane.TELEMETRY) == 100)
                await until(lambda: sum(each.records for each in books(path).accounts) == 100)
        outbox.fill(Lane.TELEMETRY, 50)
        async with running(mqtt, outbox):  # nobody but the broker has them, and it says that it does
            await until(lambda: outbox.cursor(Lane.TELEMETRY) == 150)
        broker.kill()
        broker.start()
        with collecting(broker.port, desk := Desk(path), known=True):
            await until(lambda: any("collecting" in line for line in desk.said))
            outbox.fill(Lane.TELEMETRY, 30)
            async with running(mqtt, outbox) as delivery:
                await until(lambda: sum(each.records for each in books(path).accounts) == 130)
                assert [*report.words(books(path))][1:] == [
                    "  missing 101 to 150: not explained",
                    *[line for line in report.words(books(path)) if "refused" in line],
                    "Not complete: 130 records, 50 missing without an explanation.",
                ]
                ended = list[int]()
                (hole,) = books(path).accounts[0].holes
                delivery.replay(Lane.TELEMETRY, hole.first, hole.last, ended.append)
                await until(lambda: books(path).complete)
            assert ended == [50]
        assert sum(each.records for each in books(path).accounts) == 180

    asyncio.run(main())


def test_a_replay_goes_compressed_where_batches_do() -> None:
    async def main() -> None:
        outbox, ended = Memory(), list[int]()
        outbox.fill(Lane.TELEMETRY, 40)
        settings = {"batch": 10, "compress": True}
        async with Scripted() as broker, running(Mqtt(port=broker.port, **settings), outbox) as delivery:
            await until(lambda: outbox.cursor(Lane.TELEMETRY) == 40)
            delivery.replay(Lane.TELEMETRY, 5, 24, ended.append)
            await until(lambda: ended)
        sent = [message.payload for message in broker.received if "/log/" in message.topic]
        assert len(sent) == 6
        assert all(payload.startswith(b"\x1f\x8b") for payload in sent)
        assert [json.loads(plain(payload)).get("replay") for payload in sent] == [None] * 4 + [True] * 2

    asyncio.run(main())


def test_a_hole_in_the_range_is_passed_over() -> None:
    async def main() -> None:
        outbox, ended = Memory(), list[int]()
        outbox.fill(Lane.TELEMETRY, 60)
        async with Scripted() as broker, running(Mqtt(port=broker.port, batch=10), outbox) as delivery:
            await until(lambda: outbox.cursor(Lane.TELEMETRY) == 60)
            outbox.dropped += [(Lane.TELEMETRY, n, "trimmed") for n in range(25, 36)]
            for first, last in ((20, 33), (27, 38), (26, 30)):
                delivery.replay(Lane.TELEMETRY, first, last, ended.append)
            await until(lambda: len(ended) == 3)
        again = [batch for batch in broker.batches("telemetry") if batch.get("replay")]
        assert [(batch["first"], len(batch["records"])) for batch in again] == [(20, 5), (36, 3)]
        assert ended == [5, 3, 0]

    asyncio.run(main())
