"""The delivery with real brokers: killed, frozen, refusing, with a Will, with retained messages."""

import asyncio
import hashlib
import json
import os
import signal
import socket
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.clock import Now
from gateway.config import ConfigError, Mqtt
from gateway.mqtt import Delivery
from gateway.mqtt.backoff import Backoff
from gateway.reading import Lane, Reading
from gateway.store import Store
from tests.brokers import Broker, Mosquitto, free_port, needs_mosquitto
from tests.gateway.mqtt_rig import Memory, Slow, Subscriber, in_order, running, until

pytestmark = pytest.mark.broker

Start = Callable[..., Mosquitto]

FACES = ("status", "meta", "state/bin", "state/lid")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of 50 ms: their length has its own tests."""
    monkeypatch.setattr(Backoff, "pause", lambda self, high=None: 0.05)


@pytest.fixture
def broker(any_broker: Broker) -> Broker:
    """Every broker that there is: what this file says is what a broker must do for a gateway."""
    return any_broker


def listening(broker: Broker, *topics: str, client: str = "subscriber") -> Subscriber:
    """Return a subscriber. NATS has topics of its own below `#`."""
    filters = topics or ("lamppost/#",)
    return Subscriber(broker.port, *filters, client=client, old=broker.protocol == "3.1.1")


def cut(delivery: Delivery) -> None:
    """Break the connection as a network does, unless it is broken already."""
    with suppress(OSError):
        if delivery._link._socket is not None:
            delivery._link._socket.shutdown(socket.SHUT_RDWR)


def settings(broker: Broker, **more: Any) -> Mqtt:
    return Mqtt(**{**broker.settings, "batch": 20, **more})


def test_everything_arrives_once_and_in_order(broker: Broker) -> None:
    async def main() -> None:
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 1500)
        with listening(broker) as subscriber:
            async with running(settings(broker), outbox):
                outbox.fill(Lane.EVENTS, 50)
                await until(lambda: outbox.cursors == {Lane.TELEMETRY: 1500, Lane.EVENTS: 50})
            await until(lambda: len(subscriber.numbers(Lane.TELEMETRY)) == 1500)
            assert subscriber.numbers(Lane.TELEMETRY) == list(range(1, 1501))
            assert subscriber.numbers(Lane.EVENTS) == list(range(1, 51))
            batch = next(m for m in subscriber.messages if m.topic == "lamppost/pole7/log/telemetry")
            assert (batch.qos, batch.retain) == (1, False)
            content = getattr(batch.properties, "ContentType", None)
            assert content == ("application/json" if broker.protocol == "5" else None)

    asyncio.run(main())


def test_a_killed_broker_costs_nothing_that_it_had_not_acknowledged(broker: Broker) -> None:
    """What it acknowledged and then lost is its own affair: PUBACK is not durability."""

    async def main() -> None:
        outbox = Memory()
        with listening(broker) as subscriber:
            async with running(settings(broker, window=4, backlog_rate=500), outbox) as delivery:
                for _ in range(broker.rounds):
                    await outage(broker, delivery, outbox, subscriber)

    asyncio.run(main())


async def outage(broker: Broker, delivery: Delivery, outbox: Memory, subscriber: Subscriber) -> None:
    """Kill the broker in the midst of 800 records, and see that all it did not acknowledge comes again."""
    begun = outbox.cursors[Lane.TELEMETRY]
    outbox.fill(Lane.TELEMETRY, 800)
    await until(lambda: outbox.cursors[Lane.TELEMETRY] > begun)
    broker.kill()
    await until(lambda: delivery.describe()["state"] == "connecting" and not subscriber.subscribed.is_set())
    before = len(subscriber.numbers(Lane.TELEMETRY))
    due = set(range(outbox.cursors[Lane.TELEMETRY] + 1, outbox.durable(Lane.TELEMETRY) + 1))
    connect = delivery._link.connect

    async def wait(resume: bool) -> None:
        """Let the subscriber be first: what arrives without one is nobody's."""
        await until(subscriber.subscribed.is_set)
        await connect(resume)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery._link, "connect", wait)
        broker.start()
        await until(lambda: due <= set(subscriber.numbers(Lane.TELEMETRY)[before:]))
    await until(lambda: outbox.cursors[Lane.TELEMETRY] == outbox.durable(Lane.TELEMETRY))
    after = subscriber.numbers(Lane.TELEMETRY)[before:]
    assert due
    assert in_order([number - after[0] + 1 for number in after])


def test_a_frozen_broker_loses_nothing_at_all(broker: Broker) -> None:
    async def main() -> None:
        outbox = Memory()
        with listening(broker) as subscriber:
            async with running(settings(broker), outbox) as delivery:
                await until(lambda: delivery.describe()["state"] == "connected")
                for _ in range(3):
                    broker.send(signal.SIGSTOP)
                    outbox.fill(Lane.TELEMETRY, 1000)
                    await asyncio.sleep(0.1)
                    assert delivery.describe()["in_flight"] <= 16
                    broker.send(signal.SIGCONT)
                    await until(lambda: outbox.cursors[Lane.TELEMETRY] == outbox.durable(Lane.TELEMETRY))
            await until(lambda: len(set(subscriber.numbers(Lane.TELEMETRY))) == 3000)
            assert in_order(subscriber.numbers(Lane.TELEMETRY))

    asyncio.run(main())


def test_cut_connections_lose_nothing_and_keep_the_order(broker: Broker) -> None:
    async def main() -> None:
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 4000)
        with listening(broker) as subscriber:
            async with running(settings(broker, window=4), outbox) as delivery:
                for goal in range(400, 3600, 400):
                    await until(lambda goal=goal: outbox.cursors[Lane.TELEMETRY] > goal)
                    cut(delivery)
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 4000)
            await until(lambda: len(set(subscriber.numbers(Lane.TELEMETRY))) == 4000)
            assert in_order(subscriber.numbers(Lane.TELEMETRY))

    asyncio.run(main())


@needs_mosquitto
@pytest.mark.parametrize("protocol", [{}, {"protocol": "3.1.1", "refusals": "unseen"}], ids=["5", "3.1.1"])
def test_the_broker_remembers_the_session_over_a_broken_connection(mosquitto: Start, protocol: Any) -> None:
    """So that what was ordered in between still comes."""

    async def main() -> None:
        broker = mosquitto("allow_anonymous true")
        outbox = Memory()
        async with running(settings(broker, **protocol), outbox) as delivery:
            outbox.fill(Lane.EVENTS, 1)
            await until(lambda: outbox.cursors[Lane.EVENTS] == 1)
            assert delivery.describe()["session"] is False
            cut(delivery)
            await until(lambda: delivery.describe()["state"] == "connecting")
            await until(lambda: delivery.describe()["state"] == "connected")
            assert delivery.describe()["session"] is True

    asyncio.run(main())


def test_a_restart_goes_on_where_the_store_says(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        path, now = config.Store(path=tmp_path / "store.db", commit=0.05), Now()
        with listening(broker) as subscriber:
            for last in (300, 500):
                store = await Store.open(path, "pole7")
                async with running(settings(broker), store):
                    while store.counts()[Lane.TELEMETRY].accepted < last:
                        for _ in range(100):
                            store.add(Reading("bin", now(), {}))
                        await store.changed()
                    await until(lambda store=store: not store.counts()[Lane.TELEMETRY].held)
                assert store.counts()[Lane.TELEMETRY].delivered == last
                await store.close()
            await until(lambda: len(subscriber.numbers(Lane.TELEMETRY)) == 500)
            assert subscriber.numbers(Lane.TELEMETRY) == list(range(1, 501))

    asyncio.run(main())


def test_a_broker_that_comes_later_is_found(broker: Broker) -> None:
    async def main() -> None:
        broker.stop()
        outbox = Memory()
        outbox.fill(Lane.EVENTS, 3)
        async with running(settings(broker), outbox) as delivery:
            await until(lambda: "refused" in delivery.describe()["reason"])
            assert delivery.describe()["state"] == "connecting"
            broker.start()
            await until(lambda: outbox.cursors[Lane.EVENTS] == 3)
            assert delivery.describe()["state"] == "connected"

    asyncio.run(main())


def test_who_comes_late_sees_the_latest_of_everything(broker: Broker) -> None:
    async def main() -> None:
        now = Now()
        faces = () if broker.keeps_by_filter else [f"lamppost/pole7/{face}" for face in FACES]
        shapes = {"status": lambda: {"health": "good"}, "meta": lambda: {"devices": ["bin"]}}
        async with running(settings(broker), Memory(), **shapes) as delivery:
            await until(lambda: delivery.describe()["state"] == "connected")
            for device in ("bin", "bin", "lid"):
                last = Reading(device, now(), {})
                delivery.state(last)
            await asyncio.sleep(0.1)
            with listening(broker, *faces, client="late") as late:
                await until(lambda: len(late.messages) == 4)
                assert all(message.retain for message in late.messages)
                assert late.last("state/lid") == last.body()
                assert late.last("meta") == {"devices": ["bin"]}
                status = late.last("status")
                assert (status["online"], status["health"], status["epoch"]) == (True, "good", "0badcafe")
        with listening(broker, *faces, client="later") as later:
            await until(lambda: later.last("status"))
            assert later.last("status")["online"] is False
            assert later.last("status")["reason"] == "stopped"

    asyncio.run(main())


def test_the_will_speaks_when_the_gateway_vanishes(broker: Broker) -> None:
    async def main() -> None:
        with listening(broker) as subscriber:
            delivery = Delivery(settings(broker), "pole7", Memory(), dict, dict, Now())
            task = asyncio.create_task(delivery.run())
            await until(lambda: (subscriber.last("status") or {}).get("online"))
            delivery._stopping.set()  # it is not to come back
            cut(delivery)
            await until(lambda: not subscriber.last("status")["online"])
            assert subscriber.last("status")["reason"] == "the connection was lost"
            await task
            await delivery.stop()

    asyncio.run(main())


def test_a_cancelled_run_can_still_say_goodbye(broker: Broker) -> None:
    async def main() -> None:
        with listening(broker) as subscriber:
            outbox = Memory()
            delivery = Delivery(settings(broker), "pole7", outbox, dict, dict, Now())
            task = asyncio.create_task(delivery.run())
            await until(lambda: subscriber.last("status"))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            outbox.fill(Lane.EVENTS, 2)
            await delivery.stop()
            assert outbox.cursors[Lane.EVENTS] == 2
            await until(lambda: subscriber.last("status")["online"] is False)
            assert subscriber.last("status")["reason"] == "stopped"

    asyncio.run(main())


@needs_mosquitto
def test_an_access_list_that_forbids_a_lane_loses_nothing(
    mosquitto: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.mqtt.delivery.ABSENT", 0.2)

    async def main() -> None:
        rules = tmp_path / "acl"
        rules.write_text("topic read #\ntopic write lamppost/pole7/log/events\n")
        rules.chmod(0o644)
        broker = mosquitto("allow_anonymous true", f"acl_file {rules}")
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 300)
        outbox.fill(Lane.EVENTS, 3)
        with listening(broker) as subscriber:
            async with running(settings(broker), outbox) as delivery:
                await until(lambda: delivery.describe()["refused"] > 10 and outbox.cursors[Lane.EVENTS] == 3)
                assert delivery.describe()["state"] == "refused"
                assert "Not authorized" in delivery.describe()["reason"]
                assert outbox.cursors[Lane.TELEMETRY] == 0
                rules.write_text("topic readwrite #\n")
                broker.send(signal.SIGHUP)
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 300)
                await until(lambda: delivery.describe()["state"] == "connected")
            await until(lambda: len(subscriber.numbers(Lane.TELEMETRY)) >= 300)
            assert in_order(subscriber.numbers(Lane.TELEMETRY))

    asyncio.run(main())


@needs_mosquitto
def test_what_was_refused_goes_before_what_was_being_read(mosquitto: Start, tmp_path: Path) -> None:
    async def main() -> None:
        rules = tmp_path / "acl"
        rules.write_text("topic read #\ntopic write lamppost/pole7/status\n")
        rules.chmod(0o644)
        broker = mosquitto("allow_anonymous true", f"acl_file {rules}")
        outbox = Slow()
        outbox.fill(Lane.TELEMETRY, 2)
        with listening(broker) as subscriber:
            async with running(settings(broker, batch=1), outbox) as delivery:
                await until(lambda: outbox.asked and not delivery.describe()["in_flight"])
                rules.write_text("topic readwrite #\n")
                broker.send(signal.SIGHUP)
                await asyncio.sleep(0.1)
                outbox.deaf = False
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 2)
            await until(lambda: 2 in subscriber.numbers(Lane.TELEMETRY))
            assert subscriber.numbers(Lane.TELEMETRY) == [1, 2]

    asyncio.run(main())


@needs_mosquitto
def test_what_an_old_protocol_cannot_see_is_lost_as_the_configuration_says(
    mosquitto: Start, tmp_path: Path
) -> None:
    """The same mistake in the access list: why mqtt.refusals = "unseen" has to be said."""

    async def main() -> None:
        rules = tmp_path / "acl"
        rules.write_text("topic read #\ntopic write lamppost/pole7/log/events\n")
        rules.chmod(0o644)
        broker = mosquitto("allow_anonymous true", f"acl_file {rules}")
        with pytest.raises(ConfigError, match=r'mqtt.refusals = "unseen"'):
            Delivery(settings(broker, protocol="3.1.1"), "pole7", Memory(), dict, dict, Now())
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 30)
        old = settings(broker, protocol="3.1.1", refusals="unseen")
        with listening(broker) as subscriber:
            async with running(old, outbox) as delivery:
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 30)
                outbox.fill(Lane.EVENTS, 3)
                await until(lambda: subscriber.numbers(Lane.EVENTS) == [1, 2, 3])
                said = delivery.describe()
            assert subscriber.numbers(Lane.TELEMETRY) == []
        assert (said["refused"], said["protocol"], said["refusals"]) == (0, "3.1.1", "unseen")

    asyncio.run(main())


@needs_mosquitto
@pytest.mark.parametrize("hold", [True, False])
def test_what_nobody_hears_is_held_or_taken_as_delivered(mosquitto: Start, hold: bool) -> None:
    async def main() -> None:
        broker = mosquitto("allow_anonymous true")
        outbox = Memory()
        outbox.fill(Lane.EVENTS, 30)
        policy = "hold" if hold else "accept"
        async with running(settings(broker, no_subscriber=policy), outbox) as delivery:
            if hold:
                await until(lambda: "No matching subscribers" in delivery.describe()["reason"])
                assert outbox.cursors[Lane.EVENTS] == 0
                with listening(broker) as subscriber:
                    await until(lambda: outbox.cursors[Lane.EVENTS] == 30)
                    await until(lambda: len(subscriber.numbers(Lane.EVENTS)) == 30)
            else:
                await until(lambda: outbox.cursors[Lane.EVENTS] == 30)
                assert delivery.describe()["refused"] == 0

    asyncio.run(main())


@needs_mosquitto
@pytest.mark.parametrize("limit", ["message_size_limit 1200", "max_packet_size 1200"])
def test_a_broker_with_a_small_limit_gets_small_messages(mosquitto: Start, limit: str) -> None:
    """The first limit is told by PUBACK 0x95 only, which paho takes for a malformed packet."""

    async def main() -> None:
        broker = mosquitto("allow_anonymous true", limit)
        outbox = Memory()
        outbox.fill(Lane.TELEMETRY, 50, size=150)
        outbox.fill(Lane.TELEMETRY, 1, size=1500)
        outbox.fill(Lane.TELEMETRY, 50, size=150)
        with listening(broker) as subscriber:
            async with running(settings(broker), outbox):
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 101, 20)
            assert [(lane, number) for lane, number, _ in outbox.dropped] == [(Lane.TELEMETRY, 51)]
            await until(lambda: len(set(subscriber.numbers(Lane.TELEMETRY))) == 100)

    asyncio.run(main())


@needs_mosquitto
def test_a_wrong_password_is_said_and_a_new_one_taken(
    mosquitto: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        users = tmp_path / "users"
        salt = os.urandom(12)
        key = hashlib.pbkdf2_hmac("sha512", b"s3cret", salt, 101)  # as mosquitto_passwd writes it
        users.write_text(f"pole7:$7$101${b64encode(salt).decode()}${b64encode(key).decode()}\n")
        users.chmod(0o644)
        broker = mosquitto("allow_anonymous false", f"password_file {users}")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        outbox = Memory()
        outbox.fill(Lane.EVENTS, 3)
        login = settings(broker, username="pole7", password_credential="mqtt")
        async with running(login, outbox) as delivery:
            await until(lambda: str(tmp_path / "mqtt") in delivery.describe()["reason"])
            (tmp_path / "mqtt").write_text("wrong\n")
            await until(lambda: delivery.describe()["state"] == "refused")
            (tmp_path / "mqtt").write_text("s3cret\n")
            await until(lambda: outbox.cursors[Lane.EVENTS] == 3)

    asyncio.run(main())


def test_plain_text_to_another_machine_needs_a_sentence() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match=r"add \[mqtt.tls\]"):
            Delivery(Mqtt(host="192.0.2.1"), "pole7", Memory(), dict, dict, Now())
        asked: Any = "i accept that anyone on the way can read and forge"
        Delivery(Mqtt(host="192.0.2.1", plaintext=asked), "pole7", Memory(), dict, dict, Now())
        for host in ("localhost", "127.0.0.1", "::1"):
            Delivery(Mqtt(host=host), "pole7", Memory(), dict, dict, Now())

    asyncio.run(main())


def test_a_name_that_is_none_is_reported() -> None:
    async def main() -> None:
        asked: Any = "i accept that anyone on the way can read and forge"
        bad = Mqtt(host="a..b", port=free_port(), plaintext=asked)
        async with running(bad, Memory()) as delivery:
            await until(lambda: "host name" in delivery.describe()["reason"])

    asyncio.run(main())


def test_the_description_is_json() -> None:
    async def main() -> None:
        delivery = Delivery(Mqtt(), "pole7", Memory(), dict, dict, Now())
        shape = json.loads(json.dumps(delivery.describe()))
        assert set(shape) == {
            *("state", "since", "reason", "in_flight", "refused", "session"),
            *("protocol", "refusals", "limits", "replaying", "acknowledge"),
        }

    asyncio.run(main())
