"""What a broker's acknowledgement is worth: how much of what it acknowledged it still has after kill -9.

    python bench/brokers.py [messages] [--seconds N] [--only NAME]

A subscriber opens a session, subscribes and leaves. A bare paho client publishes messages of 500 bytes at
QoS 1, 16 on their way, for so many seconds; at the given number of acknowledgements the broker is killed, and
started again. Then the subscriber comes back, and what it gets is compared with what was acknowledged; also
whether the broker still knows its session, and a retained message. Prints a table in Markdown.

Nothing here cuts the power: what was written and not synced outlives kill -9, as it would not a power cut.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.brokers import MOSQUITTO, Broker, Embedded, Mosquitto
from tests.oldbrokers import EPMD, NATS, RABBIT, Nats, Rabbit

WINDOW, SIZE = 16, 500
SETTLE = 6.0
"""How long the session and the retained message are there before: what is saved now and then has been [s]."""
QUIET = 3.0
"""When nothing has come for so long, nothing more comes [s]."""
LOG, RETAINED = "lamppost/bench/log/telemetry", "lamppost/bench/status"


@dataclass
class Client:
    """A bare paho client with a session that outlives its connections."""

    broker: Broker
    name: str
    acknowledged: dict[int, float] = field(default_factory=dict)  # and when
    received: set[int] = field(default_factory=set)
    kept: bool = False  # the retained message came
    session: bool = False  # the broker knew us
    latest: float = 0.0  # when something last came

    def __post_init__(self) -> None:
        self.room, self.mids = threading.Semaphore(WINDOW), dict[int, int]()
        self.connected, self.subscribed = threading.Event(), threading.Event()
        five = self.broker.protocol == "5"
        self.paho = made = paho.Client(
            CallbackAPIVersion.VERSION2,
            self.name,
            clean_session=None if five else False,
            protocol=paho.MQTTv5 if five else paho.MQTTv311,
            reconnect_on_failure=False,
        )
        made.max_inflight_messages_set(0)
        made.on_connect, made.on_publish, made.on_message = self._connect, self._publish, self._message
        made.on_subscribe = lambda *_: self.subscribed.set()
        session = None
        if five:
            session = Properties(PacketTypes.CONNECT)
            session.SessionExpiryInterval = 3600
        clean = False if five else paho.MQTT_CLEAN_START_FIRST_ONLY
        made.connect("127.0.0.1", self.broker.port, clean_start=clean, properties=session)
        made.loop_start()
        assert self.connected.wait(10)

    def subscribe(self) -> None:
        self.paho.subscribe([(LOG, 1), (RETAINED, 1)])
        assert self.subscribed.wait(10)

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()

    def publish(self, count: int, seconds: float, kill: Callable[[], None]) -> None:
        """Publish for *seconds*, until *count* are acknowledged; then *kill* the broker."""
        number, began = 0, time.monotonic()
        while len(self.acknowledged) < count:
            time.sleep(max(0.0, began + number * seconds / count - time.monotonic()))
            if not self.room.acquire(timeout=10):
                raise SystemExit("the broker acknowledges nothing")
            number += 1
            payload = str(number).encode().ljust(SIZE)
            info = self.paho.publish(LOG, payload, 1)
            self.mids[info.mid] = number
        kill()

    def rest(self, quiet: float) -> None:
        """Wait until nothing has come for *quiet* seconds."""
        self.latest = time.monotonic()
        while time.monotonic() < self.latest + quiet:
            time.sleep(0.05)

    def _connect(self, _: object, __: object, flags: paho.ConnectFlags, *___: object) -> None:
        self.session = flags.session_present
        self.connected.set()

    def _publish(self, _: object, __: object, mid: int, *___: object) -> None:
        if number := self.mids.pop(mid, 0):
            self.acknowledged[number] = time.monotonic()
            self.room.release()

    def _message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        self.latest = time.monotonic()
        if message.topic == RETAINED:
            self.kept = True
            return
        self.received.add(int(message.payload))


@dataclass(frozen=True, slots=True)
class Case:
    """A broker as it is set up."""

    title: str
    make: Callable[[Path], Broker]
    there: bool = True
    quiet: float = QUIET


ANY = ("allow_anonymous true", "max_queued_messages 0")
NOTHING, OFTEN = ("persistence false",), ("autosave_interval 5",)
ALWAYS = ("autosave_interval 1", "autosave_on_changes true")


def mosquitto(*lines: str) -> Callable[[Path], Broker]:
    return lambda folder: Mosquitto(folder, *ANY, *lines)


CASES = (
    Case("Mosquitto, `persistence false`: its default", mosquitto(*NOTHING), bool(MOSQUITTO)),
    Case("Mosquitto, `persistence true`: Debian's", mosquitto(), bool(MOSQUITTO)),
    Case("Mosquitto, and `autosave_interval 5`", mosquitto(*OFTEN), bool(MOSQUITTO)),
    Case("Mosquitto, and a save after each change", mosquitto(*ALWAYS), bool(MOSQUITTO)),
    Case("RabbitMQ", Rabbit, bool(RABBIT and EPMD)),
    Case("NATS with JetStream", Nats, bool(NATS), 40.0),  # it sends again after 30 s
    Case("the embedded broker (iotcore)", Embedded),
)


def measure(case: Case, count: int, seconds: float) -> tuple[str, ...]:
    """Return a line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        broker = case.make(Path(folder))
        broker.start()
        try:
            return case.title, *worth(broker, count, seconds, case.quiet)
        finally:
            broker.close()


def worth(broker: Broker, count: int, seconds: float, quiet: float) -> tuple[str, ...]:
    """Return what *broker* still has of *count* acknowledged messages, and what else it knows."""
    with closing(Client(broker, "collector")) as collector:
        collector.subscribe()
    with closing(Client(broker, "pole")) as pole:
        pole.paho.publish(RETAINED, b"here", 1, True).wait_for_publish(10)
        time.sleep(SETTLE)
        pole.publish(count, seconds, broker.kill)
    killed = time.monotonic()
    broker.start()
    with closing(Client(broker, "collector")) as collector:
        known = collector.session
        collector.subscribe()
        collector.rest(quiet)
    lost = [at for number, at in pole.acknowledged.items() if number not in collector.received]
    share = f"{len(lost):,} ({100 * len(lost) / len(pole.acknowledged):.0f} %)"
    back = f"{killed - min(lost):.1f} s" if lost else "-"
    return f"{len(pole.acknowledged):,}", share, back, YES[known], YES[collector.kept]


YES = ("no", "yes")
HEADS = ("broker", "acknowledged", "lost of those", "that is the last", "session lives", "retained lives")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("messages", type=int, nargs="?", default=8000)
    parser.add_argument("--only", default="", help="brokers whose title holds this")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long to publish")
    asked = parser.parse_args()
    print(f"| {' | '.join(HEADS)} |\n|{' --- |' * len(HEADS)}", flush=True)
    for case in CASES:
        if asked.only.lower() in case.title.lower():
            line = measure(case, asked.messages, asked.seconds) if case.there else (case.title, "not here")
            print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
