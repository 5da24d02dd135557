"""The delivery against a broker that answers as each test says: windows, reason codes, limits, garbage."""

import asyncio
import json
import random
import time
from typing import Any

import pytest

from gateway.clock import Now
from gateway.config import Mqtt
from gateway.mqtt import face, link
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.drain import BURST
from gateway.mqtt.pace import Pace
from gateway.reading import Lane, Reading
from tests.brokers import Publish, Scripted, maximum_packet_size, receive_maximum, server_keep_alive
from tests.gateway.mqtt_rig import Memory, Slow, in_order, running, until

pytestmark = pytest.mark.broker


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of 20 ms: their length has its own tests."""

    def pause(self: Backoff, high: float | None = None) -> float:
        self.failures += 1
        return 0.02

    monkeypatch.setattr(Backoff, "pause", pause)


def settings(broker: Scripted, **more: Any) -> Mqtt:
    return Mqtt(port=broker.port, **{"batch": 10, **more})


def numbers(broker: Scripted, lane: str = "telemetry") -> list[int]:
    return [b["first"] + i for b in broker.batches(lane) for i in range(len(b["records"]))]


def test_never_more_on_the_way_than_the_broker_can_take() -> None:
    async def main() -> None:
        async with Scripted(connack=(0, receive_maximum(3))) as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 200)
            outbox.fill(Lane.EVENTS, 50)

            def judge(publish: Publish) -> None:
                asyncio.get_running_loop().call_later(0.01, broker.acknowledge, publish.mid)

            broker.judge = judge
            async with running(settings(broker), outbox):
                await until(lambda: outbox.cursors == {Lane.TELEMETRY: 200, Lane.EVENTS: 50})
            assert broker.most == 3
            assert numbers(broker) == list(range(1, 201))
            await until(lambda: broker.disconnects == 1)

    asyncio.run(main())


def test_the_setting_is_a_limit_as_well() -> None:
    async def main() -> None:
        async with Scripted(judge=lambda _: None) as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 500)
            async with running(settings(broker, window=5), outbox) as delivery:
                await until(lambda: broker.most == 5)
                await asyncio.sleep(0.05)
                assert (broker.most, delivery.describe()["in_flight"]) == (5, 5)

    asyncio.run(main())


def test_a_wait_that_ends_while_it_is_looked_at_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        asked: list[float] = []

        def resume(_: Pace, now: float) -> float:
            asked.append(now)
            return now + 1e-6 if len(asked) == 1 else now

        monkeypatch.setattr(Pace, "resume", resume)
        async with Scripted(judge=lambda _: None) as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 10)
            async with running(settings(broker), outbox):
                await until(lambda: numbers(broker), 3)

    asyncio.run(main())


def test_events_go_before_a_backlog_of_telemetry() -> None:
    async def main() -> None:
        async with Scripted(connack=(0, receive_maximum(2)), judge=lambda _: None) as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 100)
            async with running(settings(broker, batch=1), outbox):
                await until(lambda: len(broker.received) == 2)  # status and meta
                outbox.fill(Lane.EVENTS, 3)
                broker.judge = lambda _: 0
                for mid in [publish.mid for publish in broker.received]:
                    broker.acknowledge(mid)
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 100)
            logged = [p.topic.rsplit("/", 1)[1] for p in broker.received if "/log/" in p.topic]
            assert logged[:3] == ["events"] * 3

    asyncio.run(main())


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x90, 0x97])
def test_a_refusal_keeps_everything_says_why_and_heals(code: int) -> None:
    async def main() -> None:
        async with Scripted() as broker:
            broker.judge = lambda publish: code if "/log/telemetry" in publish.topic else 0
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 100)
            outbox.fill(Lane.EVENTS, 5)
            async with running(settings(broker), outbox) as delivery:
                await until(lambda: delivery.describe()["refused"] > 20)
                assert delivery.describe()["state"] == "refused"
                assert "telemetry" in delivery.describe()["reason"]
                assert outbox.cursors == {Lane.TELEMETRY: 0, Lane.EVENTS: 5}, "the other lane goes on"
                assert not outbox.dropped
                broker.received.clear()
                broker.judge = lambda _: 0
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 100)
                assert delivery.describe()["state"] == "connected"
            assert in_order(numbers(broker))

    asyncio.run(main())


def test_what_was_refused_goes_before_what_was_being_read() -> None:
    async def main() -> None:
        async with Scripted(judge=lambda _: None if len(broker.batches("telemetry")) == 1 else 0) as broker:
            outbox = Slow()
            outbox.fill(Lane.TELEMETRY, 2)
            async with running(settings(broker, batch=1), outbox):
                await until(lambda: outbox.asked and broker.batches("telemetry"))
                (first,) = [one for one in broker.received if one.topic.endswith("/log/telemetry")]
                broker.acknowledge(first.mid, 0x87)
                await asyncio.sleep(0.05)
                outbox.deaf = False
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 2)
            assert [batch["first"] for batch in broker.batches("telemetry")] == [1, 1, 2]

    asyncio.run(main())


def test_what_is_delivered_is_noted_while_a_backlog_goes() -> None:
    async def main() -> None:
        behind = list[int]()

        def judge(message: Publish) -> int:
            behind.append(len(broker.batches("telemetry")) - outbox.cursors[Lane.TELEMETRY])
            return 0

        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 400)
        async with Scripted(judge=judge) as broker, running(settings(broker, batch=1), outbox):
            await until(lambda: outbox.cursors[Lane.TELEMETRY] == 400)
        assert max(behind) <= 16 + BURST + 1

    asyncio.run(main())


def test_one_refusal_in_a_full_window_loses_nothing() -> None:
    async def main() -> None:
        chance = random.Random(5)
        async with Scripted(judge=lambda _: 0x97 if chance.random() < 0.2 else 0) as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 600)
            async with running(settings(broker), outbox):
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 600)
            assert set(numbers(broker)) == set(range(1, 601))

    asyncio.run(main())


@pytest.mark.parametrize("code", [0x95, 0x99])
def test_the_one_bad_record_is_put_aside_and_named(code: int) -> None:
    async def main() -> None:
        async with Scripted() as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 30)
            outbox.add(Lane.TELEMETRY, {"n": 31, "bad": True})
            outbox.fill(Lane.TELEMETRY, 30)
            broker.judge = lambda publish: code if b'"bad"' in publish.payload else 0
            async with running(settings(broker), outbox):
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 61)
            ((lane, number, reason),) = outbox.dropped
            assert (lane, number) == (Lane.TELEMETRY, 31)
            assert reason.startswith(
                "refused: too long for it" if code == 0x95 else "refused: Payload format"
            )

    asyncio.run(main())


def test_nothing_longer_than_the_broker_allows_is_sent() -> None:
    async def main() -> None:
        async with Scripted(connack=(0, maximum_packet_size(1500))) as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 20, size=200)
            outbox.fill(Lane.TELEMETRY, 1, size=2000)
            outbox.fill(Lane.TELEMETRY, 20, size=200)
            shapes = {"meta": lambda: {"much": "x" * 2000}}
            async with running(settings(broker), outbox, **shapes):
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 41)
            assert [number for _, number, _ in outbox.dropped] == [21]
            assert max(len(publish.payload) for publish in broker.received) < 1480
            assert len(broker.batches("telemetry")[0]["records"]) > 3, "as many as fit"

    asyncio.run(main())


def test_a_broker_that_closes_over_a_long_message_gets_shorter_ones() -> None:
    """rumqttd closes without a word when a packet is too long for it."""

    async def main() -> None:
        async with Scripted() as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 64, size=500)

            def judge(publish: Publish) -> int:
                if len(publish.payload) > 5000:
                    broker.cut()
                return 0

            broker.judge = judge
            async with running(settings(broker, batch=64), outbox):
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 64)
            assert not outbox.dropped

    asyncio.run(main())


def test_a_kept_session_resumes_with_the_same_messages() -> None:
    async def main() -> None:
        async with Scripted(session=True, judge=lambda _: None) as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 30)
            async with running(settings(broker), outbox) as delivery:
                await until(lambda: len(broker.received) == 5)
                broker.acknowledge(broker.received[0].mid)
                broker.acknowledge(broker.received[2].mid)
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 10)
                before = {publish.mid: publish for publish in broker.received[3:]}
                broker.received.clear()
                broker.judge = lambda _: 0
                broker.cut()
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 30)
                assert delivery.describe()["session"]
            again = {p.mid: p for p in broker.received if p.duplicate and "/log/" in p.topic}
            assert {mid: p.payload for mid, p in again.items()} == {m: p.payload for m, p in before.items()}
            assert sorted(numbers(broker)) == list(range(11, 31)), "and nothing twice"

    asyncio.run(main())


def test_a_smaller_window_after_a_reconnect_is_obeyed_at_once() -> None:
    async def main() -> None:
        async with Scripted(session=True, judge=lambda _: None) as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 200)
            async with running(settings(broker, window=12), outbox):
                await until(lambda: broker.most == 12)
                broker.acknowledge(broker.received[2].mid)  # so that it counts as progress
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 10)
                broker.connack, broker.most = (0, receive_maximum(2)), 0
                broker.received.clear()

                def judge(publish: Publish) -> None:
                    asyncio.get_running_loop().call_later(0.01, broker.acknowledge, publish.mid)

                broker.judge = judge
                broker.cut()
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 200)
            assert broker.most == 2
            assert in_order([number - 10 for number in numbers(broker)])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("connack", "word"),
    [((0x86, b""), "password"), ((0x87, b""), "authorized"), ((0, b"\x24\x00"), "QoS 1")],
)
def test_a_refused_connection_is_reported_and_tried_again(connack: tuple[int, bytes], word: str) -> None:
    async def main() -> None:
        async with Scripted(connack=connack) as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 5)
            async with running(settings(broker), outbox) as delivery:
                await until(lambda: len(broker.connects) > 3)
                assert delivery.describe()["state"] == "refused"
                assert word in delivery.describe()["reason"]
                broker.connack = (0, b"")
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 5)

    asyncio.run(main())


def test_the_brokers_own_words_are_told_when_it_disconnects() -> None:
    async def main() -> None:
        async with Scripted() as broker, running(settings(broker), Memory()) as delivery:
            await until(lambda: delivery.describe()["state"] == "connected")
            broker.connack = (0x88, b"")
            broker.write(0xE0, b"\x8b\x00")
            await until(lambda: delivery.describe()["state"] != "connected")
            assert "shutting down" in delivery.describe()["reason"].lower() or broker.connects[1:]

    asyncio.run(main())


def test_a_broker_that_talks_rubbish_is_left_and_tried_again() -> None:
    """Random bytes and damaged packets, before and after the CONNACK; seeded."""

    async def main() -> None:
        chance = random.Random(20)
        async with Scripted() as broker:
            outbox = Memory()
            async with running(settings(broker), outbox) as delivery:
                for _ in range(120):
                    await until(lambda: delivery.describe()["state"] == "connected")
                    kind = chance.choice(
                        [0x20, 0x30, 0x32, 0x34, 0x40, 0x50, 0x60, 0x62, 0x90, 0xB0, 0xE0, 0xF0]
                    )
                    broker.write(kind, chance.randbytes(chance.randrange(40)))
                    if chance.random() < 0.3:
                        broker.cut()
                    await asyncio.sleep(0)
                broker.cut()
                outbox.fill(Lane.TELEMETRY, 5)
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 5)

    asyncio.run(main())


def test_live_state_keeps_only_the_latest_of_each_device_while_away() -> None:
    async def main() -> None:
        now = Now()
        async with Scripted() as broker:
            port = broker.port
        async with running(Mqtt(port=port), Memory()) as delivery:
            for n in range(500):
                delivery.state(Reading(f"device{n % 5}", now(), {}))
            last = [Reading(f"device{n}", now(), {}) for n in range(5)]
            for reading in last:
                delivery.state(reading)
            async with Scripted(port=port) as broker:
                await until(lambda: sum("/state/" in p.topic for p in broker.received) >= 5)
                await asyncio.sleep(0.02)
                states = [json.loads(p.payload) for p in broker.received if "/state/" in p.topic]
                assert [state["mono"] for state in states] == [round(r.at.mono, 6) for r in last]
                delivery.state(Reading("device9", now(), {}))
                await until(lambda: broker.received[-1].topic.endswith("state/device9"))

    asyncio.run(main())


def test_a_network_that_takes_nothing_does_not_fill_the_memory() -> None:
    """The broker reads no more (half-open): what waits in the client stays bounded."""

    async def main() -> None:
        async with Scripted() as broker:
            now = Now()
            async with running(settings(broker), Memory()) as delivery:
                await until(lambda: len(broker.received) == 2)
                assert broker._writer is not None
                broker._writer.transport.pause_reading()  # type: ignore[attr-defined]
                wide = {f"q{n}": 1.0 for n in range(2000)}
                for n in range(3000):
                    delivery.state(Reading(f"device{n % 3}", now(), wide))  # type: ignore[arg-type]
                link = delivery._link
                assert link.choked
                assert len(link._client._out_packet) <= 1
                assert len(delivery._latest._kept) <= 3
                broker._writer.transport.resume_reading()  # type: ignore[attr-defined]
                await until(lambda: not delivery._latest._kept and not link.choked)

    asyncio.run(main())


def test_the_status_is_repeated_and_follows_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(face, "PERIOD", 0.05)
        health = {"ok": True}
        async with Scripted() as broker:
            async with running(settings(broker), Memory(), status=lambda: health) as delivery:

                def said() -> list[dict]:
                    found = [p for p in broker.received if p.topic == "lamppost/pole7/status"]
                    return [json.loads(p.payload) for p in found]

                await until(lambda: len(said()) > 3)
                monkeypatch.setattr(face, "PERIOD", 60.0)
                await asyncio.sleep(0.1)
                before = len(said())
                health["ok"] = False
                delivery.refresh()
                await until(lambda: len(said()) == before + 1)
                assert (said()[-1]["ok"], said()[-1]["online"]) == (False, True)
                delivery.describe_again()
                await until(lambda: broker.received[-1].topic.endswith("/meta"))
            assert said()[-1]["online"] is False

    asyncio.run(main())


def test_a_disk_that_does_not_answer_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr("gateway.mqtt.drain.PATIENCE", 0.02)
        monkeypatch.setattr("gateway.mqtt.drain.AGAIN", 0.02)
        async with Scripted() as broker:
            outbox = Memory()
            outbox.deaf = True
            outbox.fill(Lane.EVENTS, 3)
            async with running(settings(broker), outbox) as delivery:
                await until(lambda: len(broker.received) == 2)
                delivery.refresh()
                await until(lambda: len(broker.received) == 3)
                outbox.deaf = False
                await until(lambda: outbox.cursors[Lane.EVENTS] == 3)

    asyncio.run(main())


@pytest.mark.slow
def test_a_connection_that_is_dead_is_noticed_by_the_keepalive() -> None:
    async def main() -> None:
        broker = Scripted(connack=(0, server_keep_alive(1)))
        async with broker, running(settings(broker), Memory()):
            await until(lambda: broker.pings == 1, 2)
            assert len(broker.connects) == 1
            broker.mute = True
            await until(lambda: len(broker.connects) == 2, 4)

    asyncio.run(main())


@pytest.mark.slow
def test_a_broker_that_answers_pings_and_acknowledges_nothing_is_connected_to_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that a batch too much for it becomes smaller, and what it forgot is sent again."""

    async def main() -> None:
        monkeypatch.setattr(link, "PATIENCE", 0.1)
        mute = Scripted(judge=lambda _: None, connack=(0, server_keep_alive(1)))
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 10)
        async with mute as broker, running(settings(broker), outbox) as delivery:
            await until(lambda: len(broker.connects) == 2, 3)
            broker.judge = lambda _: 0
            await until(lambda: outbox.cursors[Lane.TELEMETRY] == 10, 3)
            assert delivery.describe()["state"] == "connected"
            await asyncio.sleep(1.2)
            assert len(broker.connects) <= 3, "nothing waits: nothing is wrong"

    asyncio.run(main())


def test_a_connection_that_comes_too_late_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Scripted() as broker:
            async with running(settings(broker), Memory()) as delivery:
                client = delivery._link._client
                connect = client.connect

                def slowly(*args: Any, **more: Any) -> Any:
                    time.sleep(0.1)
                    return connect(*args, **more)

                monkeypatch.setattr(client, "connect", slowly)
                await asyncio.sleep(0.02)
            await until(lambda: broker.connects)
            found = client.socket()
            assert found is not None
            await until(lambda: found.fileno() == -1)

    asyncio.run(main())


def test_stopping_works_before_during_and_after_a_connection() -> None:
    async def main() -> None:
        async with Scripted(judge=lambda _: None) as broker:  # answers nothing: the farewell has an end
            began = asyncio.get_running_loop().time()
            async with running(settings(broker), Memory()):
                pass
            async with running(settings(broker), Memory()):
                await until(lambda: broker.received)
            await until(lambda: broker.disconnects)
            port = broker.port
        async with running(Mqtt(port=port), Memory()):
            await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() - began < 15.0
        assert broker.disconnects == 1

    asyncio.run(main())


def test_a_broker_that_knows_no_mqtt_5_is_told_of_with_what_to_do() -> None:
    """NATS says so; RabbitMQ 3 closes without a word."""

    async def main() -> None:
        async with (
            Scripted(connack=(0x84, b"")) as broker,
            running(settings(broker), Memory()) as delivery,
        ):
            await until(lambda: "Unsupported protocol version" in delivery.describe()["reason"])
            assert "see mqtt.protocol" in delivery.describe()["reason"]
            assert delivery.describe()["state"] == "refused"
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with running(Mqtt(port=port), Memory()) as delivery:
            await until(lambda: "before the broker had answered" in delivery.describe()["reason"])
            assert "see mqtt.protocol" in delivery.describe()["reason"]
        async with running(Mqtt(port=port, protocol="3.1.1", refusals="unseen"), Memory()) as delivery:
            await until(lambda: "before the broker had answered" in delivery.describe()["reason"])
            assert "mqtt.protocol" not in delivery.describe()["reason"]
        server.close()

    asyncio.run(main())
