"""What deploy/ holds is what people copy: it must be complete, and it must work."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import paho.mqtt.client as paho
import pytest
from pydantic import TypeAdapter

from gateway.app.check import plan
from gateway.config import Config
from tests.brokers import free_port
from tests.options import every_option

DEPLOY = Path(__file__).parent.parent / "deploy"
EXAMPLE = DEPLOY / "lamppost.example.toml"
SECTION = re.compile(r"\[{1,2}([\w.]+)\]{1,2}")
KEY = re.compile(r"(# )?(\w+) = \S")


def keys(text: str) -> dict[str, list[int]]:
    """Return every key of a configuration, set or shown in a comment: its dotted name and its lines."""
    found: dict[str, list[int]] = {}
    section = ""
    for number, line in enumerate(text.splitlines()):
        if match := SECTION.fullmatch(line):
            section = re.sub(r"^device\.quality\..*", "device.quality", match[1])
        elif match := KEY.match(line):
            found.setdefault(f"{section}.{match[2]}", []).append(number)
    return found


def test_the_example_shows_every_key() -> None:
    shown = set(keys(EXAMPLE.read_text()))
    wanted = {name for name in every_option() if name != "device.options"}
    assert wanted - shown == set()


def test_the_example_is_a_pole_that_lamppost_accepts() -> None:
    """Also its rules, whose own tests run as they load."""
    found = plan(EXAMPLE)
    assert {device.part.name for device in found.devices.values()} >= {"sen66", "switch", "contact"}
    assert len(found.rules) == 1


def commented() -> list[int]:
    lines = EXAMPLE.read_text().splitlines()
    return [number for number, line in enumerate(lines) if line.startswith("# ") and KEY.match(line)]


@pytest.mark.parametrize("number", commented())
def test_each_key_that_the_example_shows_in_a_comment_works(number: int) -> None:
    lines = EXAMPLE.read_text().splitlines()
    lines[number] = lines[number].removeprefix("# ")
    Config.model_validate(tomllib.loads("\n".join(lines)))


def defaults() -> list[tuple[str, str]]:
    """Return the keys that the example says it leaves at their default, with the value that it shows."""
    lines = EXAMPLE.read_text().splitlines()
    shown = [(name, lines[at]) for name, places in keys("\n".join(lines)).items() for at in places[:1]]
    return [(name, line.partition("= ")[2]) for name, line in shown if line.startswith("# ")]


@pytest.mark.parametrize(("name", "value"), defaults())
def test_a_default_that_the_example_shows_is_the_default(name: str, value: str) -> None:
    """Where the models have no default, the example shows what one would write."""
    fields = every_option()
    if name.startswith("derive.") and name not in fields:
        return  # a kind's own key: docs/streams says its default, and is checked
    default = fields[name].get_default(call_default_factory=True)
    if default is None or name == "mqtt.plaintext":
        return
    assert validated(name, value) == default


def validated(name: str, value: str) -> Any:
    """Return what the models make of *value* for the key *name*."""
    field = every_option()[name]
    kind: Any = field.annotation
    for rule in field.metadata:
        kind = Annotated[kind, rule]
    return TypeAdapter(kind).validate_python(tomllib.loads(f"value = {value}")["value"])


# The broker's configuration, on the real broker.

OPENSSL, MOSQUITTO = (
    shutil.which("openssl"),
    shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"),
)


def certificate(folder: Path, name: str, extension: str = "") -> None:
    """Make a key and a certificate for *name*, as deploy/mosquitto/README.md says."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
    if name == "ca":
        commands = [["req", "-x509", *key, "-days", "2", "-subj", "/CN=Test authority", "-out", "ca.pem"]]
    else:
        (folder / f"{name}.ext").write_text(extension)
        sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
        files = ["-in", f"{name}.csr", "-extfile", f"{name}.ext", "-out", f"{name}.pem"]
        commands = [
            ["req", *key, "-subj", f"/CN={name}", "-out", f"{name}.csr"],
            ["x509", "-req", *sign, *files],
        ]
    for command in commands:
        subprocess.run([str(OPENSSL), *command], cwd=folder, check=True, capture_output=True, timeout=30)


def configured(folder: Path, port: int) -> str:
    """Return deploy/mosquitto/mosquitto.conf with this folder's files and a port of the loopback."""
    text = (DEPLOY / "mosquitto/mosquitto.conf").read_text()
    text = text.replace("/etc/mosquitto/lamppost/", f"{folder}/")
    text = text.replace("listener 8883", f"listener {port} 127.0.0.1")
    return f"{text}\npersistence_location {folder}/\nuser root\n"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """Run Mosquitto as deploy/ says; give the folder with the certificates, and the port."""
    folder, port = tmp_path_factory.mktemp("fleet"), free_port()
    certificate(folder, "ca")
    for name in ("quai-12", "quai-13", "collector", "operator"):
        certificate(folder, name)
    certificate(folder, "broker", "subjectAltName=IP:127.0.0.1\n")
    shutil.copy(DEPLOY / "mosquitto/acl", folder / "acl")
    (folder / "acl").chmod(0o600)
    (folder / "mosquitto.conf").write_text(configured(folder, port))
    with subprocess.Popen(
        [str(MOSQUITTO), "-c", str(folder / "mosquitto.conf")], stderr=subprocess.PIPE
    ) as broker:
        try:
            until_open(port)
            yield folder, port
        finally:
            broker.terminate()


def until_open(port: int) -> None:
    """Return when something listens on *port*; give up after 5 s."""
    for _ in range(50):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("mosquitto does not listen")


class Client:
    """A client with the certificate of *name*."""

    def __init__(self, fleet: tuple[Path, int], name: str) -> None:
        folder, port = fleet
        self.answers: list[int] = []
        self.topics: list[str] = []
        self._said = threading.Condition()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.tls_set(str(folder / "ca.pem"), str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
        self._client.on_publish = lambda *args: self._hear(self.answers, args[3].value)
        self._client.on_subscribe = lambda *args: self._hear(self.answers, args[3][0].value)
        self._client.on_message = lambda *args: self._hear(self.topics, args[2].topic)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _hear(self, what: list[Any], item: object) -> None:
        with self._said:
            what.append(item)
            self._said.notify_all()

    def publish(self, topic: str) -> int:
        """Publish at QoS 1 and return the broker's reason code."""
        self._client.publish(topic, b"{}", qos=1)
        return self._answer()

    def subscribe(self, topic: str) -> int:
        """Subscribe at QoS 1 and return the broker's reason code."""
        self._client.subscribe(topic, qos=1)
        return self._answer()

    def _answer(self) -> int:
        with self._said:
            assert self._said.wait_for(lambda: self.answers, timeout=10)
            return self.answers.pop()

    def received(self) -> list[str]:
        """Return the topics of the messages so far, at least one."""
        with self._said:
            assert self._said.wait_for(lambda: self.topics, timeout=10)
            return list(self.topics)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def greeting(folder: Path, port: int, name: str | None) -> bytes:
    """Say CONNECT with the certificate of *name*, or none; return the answer's first byte (CONNACK: 0x20)."""
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if name is not None:
        trust.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        try:
            with trust.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                secure.sendall(b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03bob")
                return secure.recv(1)
        except (ssl.SSLError, ConnectionError):  # TLS 1.3 refuses after the handshake, in several ways
            return b""


if OPENSSL and MOSQUITTO:

    @pytest.mark.broker
    def test_each_gateway_has_its_own_topics_and_no_others(fleet: tuple[Path, int]) -> None:
        """0x87 is "not authorized": what the delivery must be told, so that it keeps its records."""
        collector, gateway = Client(fleet, "collector"), Client(fleet, "quai-12")
        try:
            assert collector.subscribe("lamppost/#") == 1
            assert gateway.publish("lamppost/quai-12/log/telemetry") == 0
            assert gateway.publish("lamppost/quai-13/log/telemetry") == 0x87
            assert gateway.publish("elsewhere") == 0x87
            assert collector.publish("lamppost/quai-12/log/events") == 0x87
            assert collector.received() == ["lamppost/quai-12/log/telemetry"]
        finally:
            collector.close()
            gateway.close()

    @pytest.mark.broker
    @pytest.mark.slow
    def test_orders_are_given_under_ones_own_name_and_read_by_their_gateway(fleet: tuple[Path, int]) -> None:
        operator, gateway, other = (Client(fleet, name) for name in ("operator", "quai-12", "quai-13"))
        try:
            assert gateway.subscribe("lamppost/quai-12/command/+") == 1
            assert other.subscribe("lamppost/quai-13/command/+") == 1
            assert operator.publish("lamppost/quai-12/command/boss") == 0x87
            assert operator.publish("lamppost/quai-12/command/operator") == 0
            assert gateway.received() == ["lamppost/quai-12/command/operator"]
            assert other.topics == []
            assert other.publish("lamppost/quai-12/command/operator") == 0x87
            assert gateway.publish("lamppost/quai-12/answer/operator") == 0x10, "nobody listens"
        finally:
            for client in (operator, gateway, other):
                client.close()

    @pytest.mark.broker
    @pytest.mark.slow
    def test_the_fleets_limits_are_written_by_operators_and_read_by_all(fleet: tuple[Path, int]) -> None:
        operator, gateway, collector = (Client(fleet, name) for name in ("operator", "quai-12", "collector"))
        try:
            assert gateway.subscribe("lamppost/fleet/limits") == 1
            assert operator.publish("lamppost/fleet/limits") == 0
            assert gateway.received() == ["lamppost/fleet/limits"]
            assert gateway.publish("lamppost/fleet/limits") == 0x87
            assert collector.publish("lamppost/fleet/limits") == 0x87
            assert len(gateway.topics) == 1
        finally:
            for client in (operator, gateway, collector):
                client.close()

    @pytest.mark.broker
    def test_without_a_certificate_nobody_gets_in(fleet: tuple[Path, int]) -> None:
        folder, port = fleet
        assert greeting(folder, port, "quai-12") == b"\x20"
        assert greeting(folder, port, None) == b""
