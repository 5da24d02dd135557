"""Receipts: a record is held until the consumer has it, and sent again when a broker loses it."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collect.account import books
from gateway.collect.command import _Desk
from gateway.collect.file import File
from gateway.config import Mqtt
from gateway.mqtt import receipts
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.collect import Publish
from gateway.mqtt.heard import Message
from gateway.mqtt.receipts import AHEAD, FIRST, LONGEST, Progress, Unfit, receipt
from gateway.reading import Lane
from tests.brokers import Broker, Scripted
from tests.gateway.mqtt_rig import Memory, Subscriber, running, until
from tests.gateway.test_collect_broker import Desk, collecting

EPOCH = Memory.epoch
TOPIC = "lamppost/pole7/ack/telemetry"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "pause", lambda self, high=None: 0.05)


def waiting(port: int, **more: Any) -> Mqtt:
    return Mqtt(port=port, batch=10, acknowledge="consumer", consumer="city", **more)


class Honest(Desk):
    """A collector that says what it has."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.desk = _Desk("lamppost", self.file, "city")

    def take(self, messages: Sequence[Message]) -> Publish:
        return self.desk.take(messages)


def test_what_is_confirmed_only_moves_forward_and_never_beyond_what_was_sent() -> None:
    lane = Progress(confirmed=10, sent=100)
    assert not lane.take(12, 50), "there is a hole before it"
    assert not lane.take(1, 10), "that was known"
    assert lane.take(11, 40)
    assert lane.take(1, 60)
    with pytest.raises(Unfit, match="beyond 100"):
        lane.take(61, 101)
    assert lane.confirmed == 60


def test_what_is_not_confirmed_is_sent_again_less_and_less_often() -> None:
    lane = Progress(confirmed=0, sent=500)
    assert lane.reach(100) == AHEAD
    moments = [now for now in range(20_000) if lane.overdue(500, float(now))]
    gaps = [later - sooner for sooner, later in zip([0, *moments], moments, strict=False)]
    assert gaps[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert gaps[-1] == LONGEST
    assert lane.reach(100) == 100, "one batch until somebody answers"
    assert lane.take(1, 100)
    assert (lane.reach(100), lane.wait, lane.due()) == (100 + AHEAD, FIRST, float("inf"))
    assert not lane.overdue(100, 1e6), "nothing is waited for"


HOSTILE = [
    (b"", "JSON"),
    (b"[]", "keys"),
    (b"\xff", "JSON"),
    (b"[" * 10_000, "JSON"),
    (b'{"epoch":"0badcafe","upto":5,"consumer":"city"}', "keys"),
    (receipt("00000001", 1, 5, "city"), "epoch"),
    (receipt(EPOCH, 1, 5, "mallory"), "mallory"),
    (receipt(EPOCH, 1, 21, "city"), "beyond 20"),
    (receipt(EPOCH, 0, 5, "city"), "two numbers"),
    (receipt(EPOCH, 6, 5, "city"), "two numbers"),
    (json.dumps({"epoch": EPOCH, "first": True, "upto": 5, "consumer": "city"}).encode(), "two numbers"),
    (json.dumps({"epoch": EPOCH, "first": 1, "upto": 5.0, "consumer": "city"}).encode(), "two numbers"),
    (json.dumps({"epoch": [], "first": 1, "upto": 5, "consumer": {}}).encode(), "waited for"),
]


@pytest.mark.broker
def test_hostile_receipts_are_refused_counted_and_let_nothing_go(broker: Broker) -> None:
    async def main() -> None:
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 20)
        with Subscriber(broker.port, "lamppost/pole7/log/#") as consumer:
            async with running(waiting(broker.port), outbox) as delivery:
                await until(lambda: len(consumer.numbers(Lane.TELEMETRY)) == 20)

                def told() -> Any:
                    return delivery.describe()["acknowledge"]

                for number, (payload, word) in enumerate(HOSTILE, 1):
                    await asyncio.to_thread(consumer.publish, TOPIC, payload)
                    await until(lambda number=number: told()["refused"] == number)
                    assert word in told()["reason"]
                odd = "lamppost/pole7/ack/state"
                await asyncio.to_thread(consumer.publish, odd, receipt(EPOCH, 1, 5, "city"))
                await until(lambda: told()["refused"] == len(HOSTILE) + 1)
                assert "no lane 'state'" in told()["reason"]
                assert (outbox.cursor(Lane.TELEMETRY), told()["confirmed"]["telemetry"]) == (0, 0)
                await asyncio.to_thread(consumer.publish, TOPIC, receipt(EPOCH, 1, 15, "city"))
                await until(lambda: outbox.cursor(Lane.TELEMETRY) == 15)
                assert told() == {
                    "by": "consumer",
                    "consumer": "city",
                    "confirmed": {"telemetry": 15, "events": 0},
                    "refused": len(HOSTILE) + 1,
                    "reason": told()["reason"],
                    "resent": 0,
                }

    asyncio.run(main())


@pytest.mark.broker
def test_a_retained_receipt_is_refused(broker: Broker) -> None:
    async def main() -> None:
        outbox = Memory()
        with Subscriber(broker.port, "nothing") as consumer:
            await asyncio.to_thread(consumer.publish, TOPIC, receipt(EPOCH, 1, 1, "city"), True)
            async with running(waiting(broker.port), outbox) as delivery:
                await until(lambda: delivery.describe()["acknowledge"]["refused"] == 1)
                assert "retained" in delivery.describe()["acknowledge"]["reason"]
            await asyncio.to_thread(consumer.publish, TOPIC, b"", True)

    asyncio.run(main())


@given(
    st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["epoch", "first", "upto", "consumer"]),
        st.none() | st.integers() | st.text() | st.lists(st.integers()),
    ).map(lambda x: json.dumps(x).encode())
)
def test_nothing_that_a_stranger_sends_makes_it_raise(payload: bytes) -> None:
    from gateway.mqtt.lane import Lane as Sent

    lanes = [Sent(lane, 0, 10) for lane in Lane]
    heard = receipts.Receipts(Mqtt(acknowledge="consumer"), Memory(), lanes, lambda: None)
    heard._progress = {lane.name: Progress(0) for lane in lanes}
    heard.hear(TOPIC, payload, False)
    assert heard.refused == 1


def test_whoever_trusts_the_broker_hears_no_receipts() -> None:
    async def main() -> None:
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 20)
        async with Scripted() as broker, running(Mqtt(port=broker.port), outbox) as delivery:
            await until(lambda: outbox.cursor(Lane.TELEMETRY) == 20)
            assert delivery.describe()["acknowledge"] == {"by": "broker"}
            assert not any("/ack/" in filter for filter in delivery._link._listeners)

    asyncio.run(main())


@pytest.mark.broker
def test_the_collectors_word_lets_records_go(broker: Broker, tmp_path: Path) -> None:
    """What the broker acknowledged is held until it is in the collector's file."""

    async def main() -> None:
        path, outbox = tmp_path / "city.db", Memory()
        outbox.fill(Lane.TELEMETRY, 200)
        outbox.fill(Lane.EVENTS, 30)
        watching = Subscriber(broker.port, "lamppost/pole7/log/#")
        with watching:
            async with running(waiting(broker.port), outbox) as delivery:
                await until(lambda: delivery._drain._lanes[1].cursor == 200)
            assert [outbox.cursor(lane) for lane in Lane] == [0, 0], "the broker's word does not count"
        with collecting(broker.port, desk := Honest(path)):
            await until(lambda: desk.said)
            async with running(waiting(broker.port), outbox):
                await until(lambda: [outbox.cursor(lane) for lane in Lane] == [200, 30])
        assert books(path).complete

    asyncio.run(main())


@pytest.mark.broker
def test_what_a_killed_broker_lost_comes_again_by_itself(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "FIRST", 0.3)
    monkeypatch.setattr(Progress, "__init__", _hasty(Progress.__init__))

    async def main() -> None:
        path, outbox = tmp_path / "city.db", Memory()
        with collecting(broker.port, desk := Honest(path)):
            await until(lambda: desk.said)
            outbox.fill(Lane.TELEMETRY, 100)
            async with running(waiting(broker.port), outbox):
                await until(lambda: outbox.cursor(Lane.TELEMETRY) == 100)
        async with running(waiting(broker.port), outbox) as delivery:
            outbox.fill(Lane.TELEMETRY, 55)
            await until(lambda: delivery._drain._lanes[1].cursor == 155)
            broker.kill()  # it had acknowledged them
            broker.start()
            with collecting(broker.port, desk := Honest(path), known=True):
                await until(lambda: any("collecting" in line for line in desk.said))
                outbox.fill(Lane.TELEMETRY, 45)
                await until(lambda: outbox.cursor(Lane.TELEMETRY) == 200, 20)
            assert delivery.describe()["acknowledge"]["resent"] >= 1
        (account,) = (each for each in books(path).accounts if each.numbering.lane == "telemetry")
        assert (account.records, account.unexplained, account.conflicts) == (200, 0, ())

    asyncio.run(main())


def _hasty(make: Any) -> Any:
    def init(self: Progress, *given: Any, **more: Any) -> None:
        make(self, *given, **{"wait": 0.3, **more})

    return init


def test_what_nobody_subscribes_to_is_not_on_its_way_to_a_consumer() -> None:
    async def main() -> None:
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 20)
        async with (
            Scripted(judge=lambda _: 0x10) as broker,
            running(waiting(broker.port), outbox) as delivery,
        ):
            await until(lambda: delivery.describe()["state"] == "refused")
            assert delivery._drain._lanes[1].cursor == 0

    asyncio.run(main())


def test_a_consumer_that_is_away_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "AHEAD", 50)

    async def main() -> None:
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 500)
        async with Scripted() as broker, running(waiting(broker.port), outbox) as delivery:
            await until(lambda: len(broker.batches("telemetry")) == 5)
            await asyncio.sleep(0.1)
            assert [batch["first"] for batch in broker.batches("telemetry")] == [1, 11, 21, 31, 41]
            delivery._drain.receipts.hear(TOPIC, receipt(EPOCH, 1, 30, "city"), False)
            await until(lambda: len(broker.batches("telemetry")) == 8)
            assert outbox.cursor(Lane.TELEMETRY) == 30
            assert delivery.describe()["acknowledge"]["confirmed"]["telemetry"] == 30

    asyncio.run(main())


def test_the_runs_that_are_confirmed_are_whole(tmp_path: Path) -> None:
    """A hole ends what is confirmed; a gap record closes it."""
    file = File(tmp_path / "city.db")
    desk = _Desk("lamppost", file, "city")

    def confirmed(first: int, *bodies: dict[str, Any], lane: str = "telemetry") -> list[tuple[str, int, int]]:
        head = {"gateway": "pole7", "epoch": EPOCH, "lane": lane, "first": first}
        payload = json.dumps({**head, "records": bodies}, separators=(",", ":")).encode()
        sent = desk.take([Message(f"lamppost/pole7/log/{lane}", payload, False, 1)])
        return [(topic[-9:], *(json.loads(text)[key] for key in ("first", "upto"))) for topic, text in sent]

    assert confirmed(1, {}, {}) == [("telemetry", 1, 2)]
    assert confirmed(5, {}, {}) == [("telemetry", 5, 6)]
    assert confirmed(3, {}) == [("telemetry", 1, 3)]
    gap = {"kind": "gap", "lane": "telemetry", "first": 4, "last": 4, "reason": "full"}
    assert sorted(confirmed(1, gap, lane="events")) == [("ck/events", 1, 1), ("telemetry", 1, 6)]
    assert confirmed(2, {}) == [("telemetry", 1, 6)], "what comes again is confirmed again"
    file.close()
