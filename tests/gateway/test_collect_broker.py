"""The collector at real brokers: whatever ends it, at whatever moment, the broker has what it has not."""

import asyncio
import json
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.collect.account import books
from gateway.collect.file import File
from gateway.config import ConfigError, Mqtt
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.collect import Collector, Publish
from gateway.mqtt.heard import Message, read
from gateway.reading import Lane
from tests.brokers import Broker, Mosquitto, Scripted, needs_mosquitto
from tests.gateway.mqtt_rig import Memory, running, until

pytestmark = pytest.mark.broker


class Killed(Exception):
    """Stands for the end of the process between a message and its commit."""


class Desk:
    """Keeps messages in a file, and dies before the commit once it has had *fatal* calls."""

    def __init__(self, path: Path, fatal: int = 0) -> None:
        self.file, self.calls, self.fatal = File(path), 0, fatal
        self.said: list[str] = []
        self.died = False

    def take(self, messages: Sequence[Message]) -> Publish:
        self.calls += 1
        if self.calls == self.fatal:
            raise Killed
        self.file.take(read("lamppost", each) for each in messages)
        return ()


@contextmanager
def collecting(port: int, desk: Desk, known: bool = False, **more: Any) -> Iterator[Collector]:
    """Run a collector in a thread of its own until the end, or its death."""
    collector = Collector(Mqtt(port=port, **more), None, desk.file.client, desk.take, desk.said.append, known)

    def run() -> None:
        try:
            collector.run()
        except Killed:
            desk.died = True
            found = collector._client.socket()
            assert found is not None
            found.close()  # the kernel does this for a process that is killed

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield collector
    finally:
        collector.stop()
        thread.join(10)
        assert not thread.is_alive()
        collector.close()
        desk.file.close()


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM record").fetchone()[0])


def test_what_was_not_committed_comes_again(broker: Broker, tmp_path: Path) -> None:
    """The first life hears some and dies before it has written it; the second one has it all."""

    async def main() -> None:
        path, outbox = tmp_path / "city.db", Memory()
        dying = Desk(path, fatal=3)
        with collecting(broker.port, dying):
            await until(lambda: dying.said)
            outbox.fill(Lane.TELEMETRY, 300)
            async with running(Mqtt(port=broker.port, batch=10), outbox):
                while dying.calls < 3:
                    outbox.fill(Lane.TELEMETRY, 1)
                    await asyncio.sleep(0.01)
                await until(lambda: outbox.cursor(Lane.TELEMETRY) == outbox.durable(Lane.TELEMETRY))
        assert dying.died, "whatever is not written must end the collector"
        kept = count(path)
        assert kept < outbox.durable(Lane.TELEMETRY), "it died too late to show anything"
        second = Desk(path)
        with collecting(broker.port, second, known=True):
            await until(lambda: count(path) == outbox.durable(Lane.TELEMETRY))
        assert not any("forgotten" in line for line in second.said)
        assert all(not each.unexplained for each in books(path).accounts)

    asyncio.run(main())


def test_a_broker_that_was_away_is_found_again(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "pause", lambda self, high=None: 0.05)

    async def main() -> None:
        path, outbox = tmp_path / "city.db", Memory()
        desk = Desk(path)
        with collecting(broker.port, desk):
            await until(lambda: desk.said)
            broker.kill()
            await until(lambda: any("no connection" in line for line in desk.said))
            broker.start()
            await until(lambda: desk.said.count("collecting from 127.0.0.1") == 2)
            outbox.fill(Lane.EVENTS, 5)
            async with running(Mqtt(port=broker.port), outbox):
                await until(lambda: count(path) == 5)
        forgotten = any("forgotten" in line for line in desk.said)
        assert forgotten, "neither broker had a session on its disk when it was killed"

    asyncio.run(main())


@needs_mosquitto
def test_with_the_older_mqtt_nothing_is_lost_either(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    async def main() -> None:
        path, outbox, port = tmp_path / "city.db", Memory(), mosquitto().port
        with collecting(port, dying := Desk(path, fatal=2), protocol="3.1.1"):
            await until(lambda: dying.said)
            outbox.fill(Lane.TELEMETRY, 100)
            async with running(Mqtt(port=port, batch=10), outbox):
                while dying.calls < 2:
                    outbox.fill(Lane.TELEMETRY, 1)
                    await asyncio.sleep(0.01)
                await until(lambda: outbox.cursor(Lane.TELEMETRY) == outbox.durable(Lane.TELEMETRY))
        assert count(path) < outbox.durable(Lane.TELEMETRY)
        with collecting(port, Desk(path), known=True, protocol="3.1.1"):
            await until(lambda: count(path) == outbox.durable(Lane.TELEMETRY))

    asyncio.run(main())


class Pusher(Scripted):
    """Sends messages to whoever subscribes, and notes each acknowledgement with what was on the disk then."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.push = path, list[tuple[int, bytes]]()
        self.acknowledged: list[tuple[int, int]] = []

    def _take(self, kind: int, body: bytes) -> None:
        if kind >> 4 == 8:
            self.write(0x90, body[:2] + b"\0" + b"\1" * 3)
            for mid, payload in self.push:
                topic = b"lamppost/pole7/log/telemetry"
                head = struct.pack("!H", len(topic)) + topic + struct.pack("!H", mid) + b"\0"
                self.write(0x32, head + payload)
        elif kind >> 4 == 4:
            self.acknowledged.append((int.from_bytes(body[:2]), count(self.path)))
        else:
            super()._take(kind, body)


def records(first: int, last: int) -> bytes:
    bodies = [{"n": n} for n in range(first, last + 1)]
    head = {"gateway": "pole7", "epoch": "0badcafe", "lane": "telemetry", "first": first}
    return json.dumps({**head, "records": bodies}, separators=(",", ":")).encode()


def test_nothing_is_acknowledged_before_it_is_on_the_disk_and_all_of_it_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "city.db"
        desk = Desk(path)
        async with Pusher(path) as broker:
            broker.push = [(mid, records(mid * 10 + 1, mid * 10 + 10)) for mid in range(1, 40)]
            broker.push.append((40, b"strange"))
            with collecting(broker.port, desk):
                await until(lambda: len(broker.acknowledged) == 40)
        assert [mid for mid, _ in broker.acknowledged] == list(range(1, 41))
        assert all(kept >= 10 * min(mid, 39) for mid, kept in broker.acknowledged)

    asyncio.run(main())


def test_a_number_of_a_lost_connection_is_not_acknowledged_on_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There it may be the number of another message, which nobody has."""
    monkeypatch.setattr(Backoff, "pause", lambda self, high=None: 0.05)

    async def main() -> None:
        path = tmp_path / "city.db"
        desk = Desk(path)
        async with Pusher(path) as broker:
            broker.push = [(7, records(1, 10))]
            monkeypatch.setattr("gateway.mqtt.collect.GATHER", 0.5)
            with collecting(broker.port, desk) as collector:
                await until(lambda: collector._pending)
                broker.push = []
                broker.cut()
                await until(lambda: len(broker.connects) == 2 and count(path) == 10)
                await asyncio.sleep(0.7)
        assert broker.acknowledged == []

    asyncio.run(main())


def test_a_password_does_not_cross_a_network_in_plain_text() -> None:
    with pytest.raises(ConfigError):
        Collector(Mqtt(host="192.0.2.1", username="x"), None, "c", lambda _: (), print)


@pytest.mark.slow
@pytest.mark.timeout(180)
@needs_mosquitto
def test_killed_at_any_moment_it_loses_nothing(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """kill -9, again and again, while gateways publish; then the file is complete, and sound."""
    broker = mosquitto("allow_anonymous true", "max_queued_messages 0")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance, path, outbox = random.Random(seed), tmp_path / "city.db", Memory()
    command = [sys.executable, "-m", "gateway", "collect", "--to", str(path), "--port", str(broker.port)]

    async def publish(stopping: asyncio.Event) -> None:
        async with running(Mqtt(port=broker.port, batch=5), outbox):
            while not stopping.is_set():
                outbox.fill(Lane.TELEMETRY, 20)
                outbox.fill(Lane.EVENTS, 1)
                await asyncio.sleep(0.005)
            await until(lambda: all(outbox.cursor(lane) == outbox.durable(lane) for lane in Lane))

    async def main() -> None:
        stopping = asyncio.Event()
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            assert b"collecting" in process.stderr.readline(), "there is no session yet to publish into"
            process.kill()
        publishing = asyncio.create_task(publish(stopping))
        for _ in range(8):
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
                before = count(path)
                await until(lambda before=before: count(path) > before, 60)
                await asyncio.sleep(chance.random() * 0.3)
                process.kill()
        stopping.set()
        await publishing
        total = sum(map(outbox.durable, Lane))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            await until(lambda: count(path) == total, 60)
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=10)[0].decode()
        assert process.returncode == 0, said
        assert f"Complete: {total} records" in said

    asyncio.run(main())
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM conflict").fetchone() == (0,)
