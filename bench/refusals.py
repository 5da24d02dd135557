"""What a publisher is told when the broker's access list forbids its topic: the truth, a lie, or goodbye.

    python bench/refusals.py

A bare paho client may publish to one topic and not to the other, with a user's rights as each broker has
them. Prints what came back for each, and whether a subscriber that may read everything got it.
"""

import base64
import hashlib
import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import MOSQUITTO, Broker, Mosquitto
from tests.oldbrokers import EPMD, NATS, RABBIT, Nats, Rabbit

USER, PASSWORD = "pole", "of steel"
ALLOWED, FORBIDDEN = "lamppost/allowed", "lamppost/forbidden"


class GuardedMosquitto(Mosquitto):
    """Mosquitto with an access list."""

    def command(self) -> list[str]:
        rules = self.folder / "acl"
        rules.write_text(f"user {USER}\ntopic read #\ntopic write {ALLOWED}\n")
        rules.chmod(0o644)
        self.lines = ("allow_anonymous true", f"acl_file {rules}")
        return super().command()


class GuardedNats(Nats):
    """NATS with a user that may not publish everywhere."""

    def command(self) -> list[str]:
        found = super().command()
        denied = FORBIDDEN.replace("/", ".")
        with (self.folder / "nats.conf").open("a") as config:
            config.write(
                f'authorization {{ users = [ {{ user: {USER}, password: "{PASSWORD}", '
                f'permissions: {{ publish: {{ deny: ["{denied}"] }} }} }} ] }}\n'
            )
        return found


class GuardedRabbit(Rabbit):
    """RabbitMQ with a user whose topics are limited."""

    def command(self) -> list[str]:
        found = super().command()
        salt = b"salt"
        digest = hashlib.sha256(salt + PASSWORD.encode()).digest()
        user = {
            "name": USER,
            "password_hash": base64.b64encode(salt + digest).decode(),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": "",
        }
        where = {"user": USER, "vhost": "/"}
        allowed = ALLOWED.replace("/", r"\.")
        definitions = {
            "users": [user],
            "vhosts": [{"name": "/"}],
            "permissions": [{**where, "configure": ".*", "write": ".*", "read": ".*"}],
            "topic_permissions": [{**where, "exchange": "amq.topic", "write": f"^{allowed}$", "read": ".*"}],
        }
        (self.folder / "definitions.json").write_text(json.dumps(definitions))
        with (self.folder / "rabbitmq.conf").open("a") as config:
            config.write(f"load_definitions = {self.folder}/definitions.json\n")
        return found


def answers(broker: Broker, protocol: int) -> str:
    """Return what happened to a message on the forbidden topic, after one on the other had arrived."""
    said: list[str] = []
    heard: list[str] = []
    five = protocol == paho.MQTTv5
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        "pole",
        clean_session=None if five else True,
        protocol=protocol,
        reconnect_on_failure=False,
    )
    client.username_pw_set(USER, PASSWORD)
    client.on_connect = lambda made, *_: made.subscribe("lamppost/#", 1)
    client.on_publish = lambda _, __, ___, code, ____: said.append(f"acknowledged: {code}, {code.value:#04x}")
    client.on_disconnect = lambda *_: said.append("the connection closed")
    client.on_message = lambda _, __, message: heard.append(message.topic)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    time.sleep(1.0)
    client.publish(ALLOWED, b"1", 1)
    time.sleep(1.0)
    assert heard == [ALLOWED], (said, heard)
    said.clear()
    client.publish(FORBIDDEN, b"2", 1)
    time.sleep(2.0)
    client.loop_stop()
    assert FORBIDDEN not in heard
    return "; ".join(said) or "nothing"


CASES = (
    ("Mosquitto, MQTT 5", GuardedMosquitto, paho.MQTTv5, bool(MOSQUITTO)),
    ("Mosquitto, MQTT 3.1.1", GuardedMosquitto, paho.MQTTv311, bool(MOSQUITTO)),
    ("RabbitMQ, MQTT 3.1.1", GuardedRabbit, paho.MQTTv311, bool(RABBIT and EPMD)),
    ("NATS, MQTT 3.1.1", GuardedNats, paho.MQTTv311, bool(NATS)),
)

if __name__ == "__main__":
    print("| broker | a publish that its access list forbids |\n| --- | --- |")
    for title, kind, protocol, there in CASES:
        if there:
            with tempfile.TemporaryDirectory() as folder, closing(kind(Path(folder))) as broker:
                broker.start()
                print(f"| {title} | {answers(broker, protocol)} |", flush=True)
