"""A daemon in a process of its own, and a collector that keeps everything it hears."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.mqtt.completeness import Completeness, read_batch
from tests.brokers import free_port

STREET = """\
[gateway]
id = "pole"

[store]
path = "pole.db"
commit = "100ms"

[mqtt]
port = {broker}

[http]
port = {page}

[header]
chip = "emulated:street"

[[bus]]
id = "i2c"
path = "emulated:street"

[[device]]
id = "weather"
driver = "bme280"
bus = "i2c"
interval = "50ms"

[[device]]
id = "ground"
driver = "adxl355"
bus = "i2c"
interval = "100ms"

[[device]]
id = "lid"
driver = "contact"
line = 17
interval = "100ms"
"""


def until(true: Callable[[], Any], seconds: float = 40.0) -> Any:
    """Wait until *true*, and return what it gave. Fails after *seconds*."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.02)
    return found


class Process:
    """`lamppost run` on a street, as systemd would run it."""

    def __init__(self, folder: Path, broker: int, more: str = "", text: str = STREET) -> None:
        self.folder = folder
        self.page = free_port()
        self.config = folder / "pole.toml"
        self.config.write_text(text.format(broker=broker, page=self.page) + more)
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> "Process":
        command = [sys.executable, "-m", "gateway", "run", "--config", str(self.config)]
        with (self.folder / "daemon.log").open("ab") as log:
            self._running = subprocess.Popen(command, stderr=log, env={**os.environ, **environment})
        return self

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    @property
    def log(self) -> str:
        return (self.folder / "daemon.log").read_text()

    def get(self, path: str) -> Any:
        """Return what the daemon answers to *path*, or None while it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.page}{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def lanes(self) -> dict[str, Any]:
        """Return the store's figures per lane, once the daemon answers."""
        status = until(lambda: self.get("/status"))
        return dict(status["store"]["lanes"])

    def accepted(self) -> int:
        return sum(int(lane["accepted"]) for lane in self.lanes().values())

    def send(self, number: signal.Signals) -> None:
        assert self._running is not None
        self._running.send_signal(number)

    def kill(self) -> None:
        """End it without warning."""
        if self._running is not None:
            self._running.kill()
            self._running.wait(10)

    def stop(self) -> tuple[int, float]:
        """End it as systemd does; return its exit status and how long it took [s]."""
        assert self._running is not None
        asked = time.monotonic()
        self._running.terminate()
        return self._running.wait(10), time.monotonic() - asked


class Collector:
    """Hears a gateway's log with a session that outlives connections, and keeps every number in order."""

    def __init__(self, port: int, prefix: str = "lamppost") -> None:
        self.completeness = Completeness()
        self.seen: dict[str, list[int]] = {"telemetry": [], "events": []}
        self.bodies: list[dict[str, Any]] = []
        self.subscribed = threading.Event()
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="collector", protocol=paho.MQTTv5
        )
        self._client.on_connect = lambda client, *_: client.subscribe(f"{prefix}/+/log/+", qos=1)
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_message = self._heard
        self._client.reconnect_delay_set(1, 1)
        keep = Properties(PacketTypes.CONNECT)
        keep.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=keep)
        self._client.loop_start()
        assert self.subscribed.wait(10)

    def _heard(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        _, gateway, _, lane = message.topic.split("/")
        batch = read_batch(message.payload, gateway, lane)
        again, _ = self.completeness.take(batch)
        for number, body in enumerate(batch.records, batch.first):
            if number not in again:
                self.seen[lane].append(number)
                self.bodies.append(dict(body))

    def has(self, lanes: dict[str, Any]) -> bool:
        """Whether as many different records have arrived as were accepted."""
        return all(len(self.seen[lane]) >= n["accepted"] for lane, n in lanes.items())

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Manager:
    """The service manager's socket, and everything that it was told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(10)

    def hear(self) -> str:
        return self._socket.recv(4096).decode()

    def close(self) -> None:
        self._socket.close()
