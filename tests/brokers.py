"""Real brokers in processes of their own, on loopback ports, and one whose every answer a test decides.

`broker` (a fixture, by way of a conftest) runs a test with each broker that speaks MQTT 5; `any_broker`
also with those of tests/oldbrokers.py.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """A broker process. It keeps its port and its folder over a restart."""

    name = ""
    protocol: Literal["5", "3.1.1"] = "5"
    keeps_by_filter = True  # sends retained messages also to those who subscribe with + or #
    patience = 10.0  # how long it may take to start [s]
    rounds = 2  # how often a test may start it again

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What a gateway must be told of it."""
        old = {"protocol": "3.1.1", "refusals": "unseen"}
        return {"port": self.port, **(old if self.protocol == "3.1.1" else {})}

    def command(self) -> list[str]:
        """Write what the broker needs, and return how it is started."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return what the broker finds in its environment."""
        return dict(os.environ)

    def start(self) -> None:
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                start_new_session=True,
            )
        deadline = time.monotonic() + self.patience
        while not self.listens():
            assert self._process.poll() is None, (self.folder / "broker.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the broker does not listen"
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        """Send the broker a signal: SIGSTOP freezes it, SIGHUP makes Mosquitto read its files again."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it without warning (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Leave nothing of it running."""
        self.kill()

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGCONT)
            os.killpg(self._process.pid, number)
        if self._process is not None:
            self._process.wait(10)
            while self.listens():  # a part of it does
                time.sleep(0.01)

    def listens(self) -> bool:
        """Whether somebody takes connections on its port."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Embedded(Broker):
    """rumqttd, as the package iotcore has it: no ReceiveMaximum, no 0x10, no session over a restart."""

    name = "embedded"

    def command(self) -> list[str]:
        (self.folder / "rumqttd.toml").write_text(
            "id = 0\n[router]\nid = 0\nmax_connections = 100\nmax_outgoing_packet_count = 200\n"
            "max_segment_size = 10485760\nmax_segment_count = 10\n"
            f'[v5.1]\nname = "v5"\nlisten = "127.0.0.1:{self.port}"\nnext_connection_delay_ms = 1\n'
            "[v5.1.connections]\nconnection_timeout_ms = 5000\nmax_payload_size = 262144\n"
            "max_inflight_count = 100\ndynamic_filters = true\n"
        )
        path = str(self.folder / "rumqttd.toml")
        return [sys.executable, "-m", "iotcore", "--config", path, "--log-level", "CRITICAL"]


class Mosquitto(Broker):
    """Mosquitto. *lines* are added to its configuration; sessions live over a restart."""

    name = "mosquitto"

    def __init__(self, folder: Path, *lines: str) -> None:
        super().__init__(folder)
        self.lines = lines or ("allow_anonymous true",)

    def command(self) -> list[str]:
        assert MOSQUITTO is not None
        (self.folder / "mosquitto.conf").write_text(
            "\n".join(
                [
                    f"listener {self.port} 127.0.0.1",
                    f"persistence_location {self.folder}/",
                    *([] if "persistence false" in self.lines else ["persistence true"]),
                    f"user {'root' if os.geteuid() == 0 else 'mosquitto'}",
                    *self.lines,
                ]
            )
            + "\n"
        )
        return [MOSQUITTO, "-c", str(self.folder / "mosquitto.conf")]


needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed")


@pytest.fixture(params=[Embedded, pytest.param(Mosquitto, marks=needs_mosquitto)], ids=lambda kind: kind.name)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A running broker: the embedded one, then Mosquitto where it is installed."""
    made: Broker = request.param(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Start Mosquitto with these lines in its configuration: `mosquitto("allow_anonymous true")`."""
    started: list[Mosquitto] = []

    def start(*lines: str) -> Mosquitto:
        started.append(Mosquitto(tmp_path, *lines))
        started[-1].start()
        return started[-1]

    yield start
    for made in started:
        made.kill()


class Publish(NamedTuple):
    """A PUBLISH that arrived. *mid* is 0 at QoS 0."""

    mid: int
    topic: str
    payload: bytes
    duplicate: bool


@dataclass
class Scripted:
    """A broker that takes one client after another and answers as the test says. Speaks MQTT 5 only.

    *connack* is the reason code and the raw properties of the CONNACK. *judge* gives the reason code for
    each QoS 1 PUBLISH, or None to answer later with `acknowledge`. `most` is how many were on their way.
    """

    connack: tuple[int, bytes] = (0, b"")
    judge: Callable[[Publish], int | None] = lambda _: 0
    session: bool = False
    received: list[Publish] = field(default_factory=list)
    connects: list[bytes] = field(default_factory=list)
    disconnects: int = 0
    pings: int = 0
    mute: bool = False  # does not answer pings: half-open
    most: int = 0
    port: int = 0
    _waiting: set[int] = field(default_factory=set)
    _writer: asyncio.StreamWriter | None = None
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> "Scripted":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()
        await asyncio.sleep(0.01)  # the transports' own closing

    def acknowledge(self, mid: int, code: int = 0) -> None:
        """Answer a PUBLISH."""
        self._waiting.discard(mid)
        self.write(0x40, struct.pack("!HB", mid, code))

    def write(self, kind: int, body: bytes) -> None:
        """Send a packet of *kind* (the first byte)."""
        assert self._writer is not None
        self._writer.write(bytes([kind]) + _varint(len(body)) + body)

    def cut(self) -> None:
        """Break the connection without a word."""
        if self._writer is not None:
            self._writer.transport.abort()

    def batches(self, lane: str) -> list[dict]:
        """Return the batches of *lane* that arrived."""
        return [json.loads(p.payload) for p in self.received if p.topic.endswith(f"/log/{lane}")]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer, self._waiting = writer, set()
        try:
            while True:
                (kind,) = await reader.readexactly(1)
                self._take(kind, await reader.readexactly(await _length(reader)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _take(self, kind: int, body: bytes) -> None:
        if kind >> 4 == 1:
            self.connects.append(body)
            code, properties = self.connack
            head = bytes([self.session and code == 0, code])
            self.write(0x20, head + _varint(len(properties)) + properties)
        elif kind >> 4 == 3:
            self._publish(kind, body)
        elif kind >> 4 == 12:
            self.pings += 1
            if not self.mute:
                self.write(0xD0, b"")
        elif kind >> 4 == 14:
            self.disconnects += 1

    def _publish(self, kind: int, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2])
        topic, qos = body[2:end].decode(), kind >> 1 & 3
        mid = int.from_bytes(body[end : end + 2]) if qos else 0
        end += 2 if qos else 0
        assert body[end] < 128, "one byte is enough for the properties that a gateway sends"
        message = Publish(mid, topic, body[end + 1 + body[end] :], bool(kind & 8))
        self.received.append(message)
        if not qos:
            return
        self._waiting.add(mid)
        self.most = max(self.most, len(self._waiting))
        code = self.judge(message)
        if code is not None:
            self.acknowledge(mid, code)


def receive_maximum(value: int) -> bytes:
    """Return the CONNACK property ReceiveMaximum (MQTT 5.0, 3.2.2.3.3)."""
    return b"\x21" + struct.pack("!H", value)


def maximum_packet_size(value: int) -> bytes:
    """Return the CONNACK property Maximum Packet Size (MQTT 5.0, 3.2.2.3.6)."""
    return b"\x27" + struct.pack("!I", value)


def server_keep_alive(seconds: int) -> bytes:
    """Return the CONNACK property Server Keep Alive (MQTT 5.0, 3.2.2.3.14)."""
    return b"\x13" + struct.pack("!H", seconds)


def _varint(number: int) -> bytes:
    out = b""
    while True:
        number, digit = number >> 7, number & 127
        out += bytes([digit | (128 if number else 0)])
        if not number:
            return out


async def _length(reader: asyncio.StreamReader) -> int:
    number = shift = 0
    while True:
        (digit,) = await reader.readexactly(1)
        number |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return number
