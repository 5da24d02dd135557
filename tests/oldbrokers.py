"""Brokers that speak MQTT 3.1.1 only: RabbitMQ 3 with its plugin, NATS 2 with JetStream. Both from Debian.

Each runs in a folder of its own, on loopback ports of its own, and takes everything that it started with it.
RabbitMQ takes ten seconds to start: `any_broker` (a fixture) shares one among the tests of a module, and has
it forget what they left.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import Broker, Embedded, Mosquitto, free_port, needs_mosquitto

_PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
NATS = shutil.which("nats-server", path=_PLACES)
EPMD = shutil.which("epmd", path=_PLACES)
RABBIT = next(
    iter(sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-3.*/sbin/rabbitmq-server"))), None
)
"""The server's own script: Debian's would change to its own user."""

CLIENTS = ("lamppost-pole7", "lamppost-pole", "subscriber", "collector", "late", "later")
"""The sessions that tests leave at a shared broker."""
KEPT = tuple(f"lamppost/pole7/{face}" for face in ("status", "meta", "checkpoint", "state/bin", "state/lid"))
"""The retained messages that tests leave there."""


class Nats(Broker):
    """NATS with JetStream: a session and what waits for it are files, and live over a restart."""

    name = "nats"
    protocol = "3.1.1"

    def command(self) -> list[str]:
        assert NATS is not None
        (self.folder / "nats.conf").write_text(
            f'server_name: lamppost\nlisten: "127.0.0.1:{free_port()}"\n'
            f'jetstream {{ store_dir: "{self.folder}/jetstream" }}\n'
            f'mqtt {{ listen: "127.0.0.1:{self.port}" }}\n'
        )
        return [NATS, "-c", str(self.folder / "nats.conf")]


class Rabbit(Broker):
    """RabbitMQ with rabbitmq_mqtt: durable queues for sessions; retained messages for exact topics only."""

    name = "rabbitmq"
    protocol = "3.1.1"
    keeps_by_filter = False
    patience = 60.0
    rounds = 1

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._names = free_port()  # of its port mapper
        self._mapper: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "mqtt.allow_anonymous = true\ndisk_free_limit.absolute = 50MB\nlog.console.level = warning\n"
        )
        (self.folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        (self.folder / "environment").touch()
        return [str(RABBIT)]

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),  # its cookie is made there
            "PATH": _PLACES,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "environment"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_NODENAME": "lamppost@localhost",
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def start(self) -> None:
        if self._mapper is None:  # else RabbitMQ starts one that outlives it
            assert EPMD is not None
            command = [EPMD, "-port", str(self._names), "-address", "127.0.0.1"]
            self._mapper = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        starts = self._starts()
        super().start()
        deadline = time.monotonic() + self.patience
        while self._starts() == starts:  # it listens before it can answer
            assert time.monotonic() < deadline, "RabbitMQ does not get ready"
            time.sleep(0.05)

    def _starts(self) -> int:
        log = self.folder / "broker.log"
        return log.read_text(errors="replace").count(" completed with ") if log.exists() else 0

    def stop(self) -> None:
        """Kill it: its own way to stop takes longer than a test has."""
        self.kill()

    def close(self) -> None:
        """Kill it, and its port mapper."""
        self.kill()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait(10)

    def forget(self) -> None:
        """Have it forget the sessions and the retained messages of a test."""
        for name in CLIENTS:
            client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=True)
            client.connect("127.0.0.1", self.port)
            client.loop_start()
            until = time.monotonic() + 10
            while not client.is_connected() and time.monotonic() < until:
                time.sleep(0.01)
            if name == CLIENTS[0]:
                for topic in KEPT:
                    client.publish(topic, b"", 1, True).wait_for_publish(10)
            client.disconnect()
            client.loop_stop()


needs_nats = pytest.mark.skipif(NATS is None, reason="NATS is not installed (Debian: nats-server)")
needs_rabbit = pytest.mark.skipif(
    RABBIT is None or EPMD is None, reason="RabbitMQ 3 is not installed (Debian: rabbitmq-server)"
)


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    """The RabbitMQ that the tests of a module share. One that was killed is started again."""
    made = Rabbit(tmp_path_factory.mktemp("rabbit"))
    made.start()
    yield made
    made.close()


@pytest.fixture(
    params=[
        Embedded,
        pytest.param(Mosquitto, marks=needs_mosquitto),
        pytest.param(Nats, marks=[needs_nats, pytest.mark.slow]),
        pytest.param(Rabbit, marks=[needs_rabbit, pytest.mark.slow, pytest.mark.timeout(180)]),
    ],
    ids=lambda kind: kind.name,
)
def any_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A running broker: each that there is, one after the other."""
    if request.param is Rabbit:
        shared: Rabbit = request.getfixturevalue("rabbit")
        if not shared.listens():
            shared.start()
        shared.forget()
        yield shared
        return
    made: Broker = request.param(tmp_path)
    made.start()
    yield made
    made.kill()
