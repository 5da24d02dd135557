"""The daemon as a whole, in a process of its own: what it promises when things end badly, or well."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from gateway.app import daemon as daemon_module
from gateway.app.check import plan
from gateway.app.daemon import Daemon
from gateway.reading import Event
from gateway.store import StoreError
from tests.brokers import Broker, Mosquitto, free_port, needs_mosquitto
from tests.gateway.daemon_rig import STREET, Collector, Manager, Process, until
from tests.oldbrokers import Nats, Rabbit, needs_nats, needs_rabbit

pytestmark = pytest.mark.broker

Start = Callable[..., Process]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Start]:
    """Start a daemon that does not outlive the test."""
    started: list[Process] = []

    def start(broker: int, more: str = "", text: str = STREET, **environment: str) -> Process:
        started.append(Process(tmp_path, broker, more, text).start(**environment))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def collect() -> Iterator[Callable[[int], Collector]]:
    """Start a collector that is closed at the end."""
    started: list[Collector] = []

    def start(port: int) -> Collector:
        started.append(Collector(port))
        return started[-1]

    yield start
    for each in started:
        each.close()


def dense(collector: Collector, lanes: dict) -> None:
    """Everything accepted has arrived, in order and without a hole."""
    for lane, figures in lanes.items():
        assert collector.seen[lane] == list(range(1, figures["accepted"] + 1)), lane


@pytest.mark.slow
def test_a_daemon_that_is_killed_twice_loses_nothing(daemon, broker: Broker, collect):
    collector = collect(broker.port)
    process = daemon(broker.port)
    for _ in range(2):
        before = process.accepted()
        until(lambda before=before: process.accepted() > before + 30)
        process.kill()
        process.start()
    until(lambda: process.accepted() > 100)
    lanes = process.lanes()
    until(lambda: collector.has(lanes))
    status, seconds = process.stop()
    assert (status, seconds < 5.0) == (0, True)
    final = {lane: {"accepted": _last(process.folder / "pole.db", lane)} for lane in lanes}
    until(lambda: collector.has(final))
    dense(collector, final)


@needs_mosquitto
def test_a_broker_that_is_killed_loses_nothing_of_what_the_daemon_has_accepted(daemon, mosquitto, collect):
    broker: Mosquitto = mosquitto("allow_anonymous true")
    collector = collect(broker.port)
    broker.send(signal.SIGUSR1)  # Mosquitto writes the collector's session down, as it does by itself in time
    process = daemon(broker.port)
    until(lambda: len(collector.seen["telemetry"]) > 30)
    broker.kill()
    at_the_kill = process.accepted()
    until(lambda: process.accepted() > at_the_kill + 30)
    assert process.get("/readyz")["ready"] is True, "a broker that is gone does not make the gateway unready"
    process.kill()  # and the daemon with it, in the middle of the outage
    process.start()
    until(lambda: process.accepted() > at_the_kill + 60)
    collector.subscribed.clear()
    broker.start()
    assert collector.subscribed.wait(10)
    lanes = process.lanes()
    until(lambda: collector.has(lanes))
    process.stop()
    final = {lane: {"accepted": _last(process.folder / "pole.db", lane)} for lane in lanes}
    until(lambda: collector.has(final))
    dense(collector, final)


@pytest.mark.slow
@needs_mosquitto
def test_what_an_acl_refuses_is_held_and_delivered_once_it_is_allowed(daemon, mosquitto, collect, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write lamppost/pole/state/#\ntopic write lamppost/pole/status\n")
    broker: Mosquitto = mosquitto("allow_anonymous true", f"acl_file {acl}")
    collector = collect(broker.port)
    process = daemon(broker.port)
    until(lambda: process.accepted() > 40)
    status = process.get("/status")
    assert sum(lane["delivered"] for lane in status["store"]["lanes"].values()) == 0
    assert status["mqtt"]["state"] == "refused"
    assert "Not authorized" in status["mqtt"]["reason"]
    acl.write_text("topic readwrite #\n")
    broker.send(signal.SIGHUP)
    lanes = process.lanes()
    until(lambda: collector.has(lanes))
    for lane, figures in lanes.items():
        seen = collector.seen[lane]
        assert seen[: figures["accepted"]] == list(range(1, figures["accepted"] + 1))


@pytest.mark.slow
def test_a_broker_that_is_not_there_is_waited_for(daemon, broker: Broker, collect):
    broker.kill()
    process = daemon(broker.port)
    until(lambda: process.accepted() > 30)
    ready = process.get("/readyz")
    assert (ready["ready"], ready["broker"]) == (True, "connecting")
    broker.start()
    collector = collect(broker.port)
    until(lambda: collector.completeness.records > 30)
    held = lambda: sum(lane["held"] for lane in process.lanes().values())  # noqa: E731
    until(lambda: held() < 10)


def watch(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `lamppost watch` to its end."""
    command = [sys.executable, "-m", "gateway", "watch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50)


def test_watch_follows_any_gateway_and_says_that_nothing_is_missing(daemon, broker: Broker):
    process = daemon(broker.port)
    until(lambda: process.accepted() > 10)
    ended = watch("--config", str(process.config), "--for", "2", "--json")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, ended.stderr
    assert lines[-1]["records"] > 10
    assert (lines[-1]["missing"], lines[-1]["refused"]) == (0, 0)
    faces = {line["face"] for line in lines if "face" in line}
    assert {"status", "meta", "state/weather", "state/lid"} <= faces
    assert {line["body"]["kind"] for line in lines if "seq" in line} >= {"reading"}


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "old",
    [pytest.param(Nats, marks=needs_nats), pytest.param(Rabbit, marks=needs_rabbit)],
    ids=["nats", "rabbitmq"],
)
def test_a_broker_that_speaks_only_mqtt_3_1_1_gets_everything_and_watch_follows(daemon, old, tmp_path):
    with closing(old(tmp_path)) as broker:
        broker.start()
        setting = 'protocol = "3.1.1"\nrefusals = "unseen"'
        process = daemon(broker.port, text=STREET.replace("{broker}", f"{{broker}}\n{setting}"))
        until(lambda: process.accepted() > 10)
        for arguments in (
            ["--config", str(process.config)],
            ["--port", str(broker.port), "--protocol", "3.1.1"],
        ):
            ended = watch(*arguments, "--for", "1.5", "--json")
            lines = [json.loads(line) for line in ended.stdout.splitlines()]
            assert ended.returncode == 0, ended.stderr
            assert lines[-1]["records"] > 10
            assert (lines[-1]["missing"], lines[-1]["refused"]) == (0, 0)
            assert {line["face"] for line in lines if "face" in line} >= {"state/weather", "state/lid"}
        status = process.get("/status")
        assert {name: status["mqtt"][name] for name in ("state", "protocol", "refusals")} == {
            "state": "connected",
            "protocol": "3.1.1",
            "refusals": "unseen",
        }
        command = [
            sys.executable,
            "-m",
            "gateway",
            "collect",
            "--to",
            str(tmp_path / "city.db"),
            "--for",
            "2",
        ]
        command += ["--port", str(broker.port), "--protocol", "3.1.1", "--json"]
        said = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=50).stdout)
        assert said["complete"] is True, said
        assert sum(numbering["records"] for numbering in said["numberings"]) > 10
        if old is Nats:  # RabbitMQ closes without a word
            assert "Unsupported protocol version" in watch("--port", str(broker.port), "--for", "2").stdout
        assert process.stop()[0] == 0


@pytest.mark.slow
def test_watch_refuses_what_is_not_a_gateways_counts_it_and_names_what_is_missing(broker: Broker):
    batch = {"gateway": "pole", "epoch": "0" * 8, "lane": "telemetry", "records": [{"kind": "reading"}]}
    sender = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    sender.connect("127.0.0.1", broker.port)
    sender.loop_start()
    command = [sys.executable, "-m", "gateway", "watch", "--port", str(broker.port), "--for", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("following all gateways")
        sender.publish("lamppost/pole/log/telemetry", b"not JSON", 1)
        for first in (1, 5):
            sender.publish("lamppost/pole/log/telemetry", json.dumps({**batch, "first": first}), 1)
        said = running.stdout.read()
    sender.disconnect()
    sender.loop_stop()
    assert "was refused: it is not JSON" in said
    assert "missing 2 to 4" in said
    assert said.splitlines()[-1] == "2 records, 0 of them again, 3 missing, 1 message refused"
    assert running.returncode == 1


def test_systemd_hears_that_it_is_ready_how_it_is_and_that_it_lives(daemon, tmp_path):
    manager = Manager(tmp_path)
    process = daemon(free_port(), NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="1000000")
    first = manager.hear()
    assert "READY=1" in first.split("\n")
    assert "3 of 3 devices running" in first + manager.hear()
    began = time.monotonic()
    assert all("WATCHDOG=1" in manager.hear() for _ in range(4))
    assert time.monotonic() - began < 4.0
    manager.close()
    assert process.stop()[0] == 0


@pytest.mark.slow
def test_a_second_daemon_on_the_same_store_is_refused_and_the_first_goes_on(daemon, tmp_path):
    first = daemon(free_port())
    until(lambda: first.accepted() > 5)
    command = [sys.executable, "-m", "gateway", "run", "--config", str(first.config)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert second.returncode == 1
    assert "another lamppost" in second.stderr
    assert "Traceback" not in second.stderr
    before = first.accepted()
    until(lambda: first.accepted() > before)


def test_a_bad_configuration_starts_nothing(tmp_path):
    process = Process(tmp_path, free_port(), '[[device]]\nid = "x"\ndriver = "bme28"\nbus = "i2c"\n')
    command = [sys.executable, "-m", "gateway", "run", "--config", str(process.config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert ended.returncode == 2
    assert 'there is no driver "bme28"; did you mean "bme280"?' in ended.stderr
    assert not list(tmp_path.glob("*.db*"))


ELSEWHERE = """
[[bus]]
id = "far"
path = "/dev/i2c-77"

[[device]]
id = "lonely"
driver = "bme280"
bus = "far"
interval = "100ms"

[[device]]
id = "nobody"
driver = "ina226"
bus = "i2c"
address = 0x41
interval = "100ms"
"""


@pytest.mark.slow
def test_an_absent_bus_is_said_once_and_the_rest_runs(daemon):
    process = daemon(free_port(), ELSEWHERE)
    until(lambda: process.accepted() > 60)
    states = {each["id"]: each for each in process.get("/status")["devices"]}
    assert states["lonely"]["state"] == "lost"
    assert "/dev/i2c-77" in states["lonely"]["reason"]
    assert (states["weather"]["state"], states["weather"]["failures"]) == ("running", 0)
    assert process.log.count("lonely is lost") == 1


RULE = """
[[rule]]
id = "lamp"
says = "{says}"
owner = "Tests <tests@city.example>"
expires = 2099-12-31
mode = "off"
grant = {{ by = "Tests", reason = "They need no person.", until = UNTIL }}
when = "ground.age < duration('1h')"
do = [{{ switch = "lamp" }}]
[[rule.test]]
given = {{ "ground.age" = "1s" }}
expect = true
""".replace("UNTIL", str(datetime.now(UTC).date()))
LAMP = """
[[device]]
id = "lamp"
driver = "switch"
line = 5
interval = "200ms"
guard = { max_on = "1h" }

[rules]
files = ["rules.toml"]
"""


def test_sighup_takes_new_rules_refuses_bad_ones_and_says_what_needs_a_restart(daemon, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text(RULE.format(says="As it was."))
    process = daemon(free_port(), LAMP)
    until(lambda: (process.get("/status") or {"decisions": []})["decisions"])
    says = lambda: process.get("/status")["rules"][0]["says"]  # noqa: E731
    rules.write_text(RULE.format(says="As it is now."))
    process.send(signal.SIGHUP)
    until(lambda: says() == "As it is now.")
    rules.write_text(RULE.format(says="Broken.").replace("ground.age", "grund.age"))
    process.send(signal.SIGHUP)
    until(lambda: "the old one stays" in process.log)
    assert says() == "As it is now."
    rules.write_text(RULE.format(says="As it is now."))
    process.config.write_text(process.config.read_text().replace('commit = "100ms"', 'commit = "200ms"'))
    process.send(signal.SIGHUP)
    until(lambda: "[store] can only change with a restart" in process.log)
    assert process.get("/healthz")


def test_sighup_takes_new_devices_while_the_store_and_the_page_go_on(daemon):
    process = daemon(free_port())
    until(lambda: process.accepted() > 5)
    intervals = lambda: {each["id"]: each["interval"] for each in process.get("/status")["devices"]}  # noqa: E731
    changed = process.config.read_text().replace('interval = "50ms"', 'interval = "200ms"')
    process.config.write_text(changed + '[[device]]\nid = "power"\ndriver = "ina226"\nbus = "i2c"\n')
    process.send(signal.SIGHUP)
    until(lambda: "the new configuration is in force" in process.log)
    assert intervals() == {"weather": 0.2, "ground": 0.1, "lid": 0.1, "power": 10.0}
    until(lambda: all(each["state"] == "running" for each in process.get("/status")["devices"]))
    assert "lost" not in process.log


def test_an_orderly_stop_switches_off_and_writes_down_why(daemon, tmp_path):
    (tmp_path / "rules.toml").write_text(RULE.format(says="Burns."))
    process = daemon(free_port(), LAMP)
    until(lambda: any(each["on"] for each in (process.get("/status") or {"switches": []})["switches"]))
    status, seconds = process.stop()
    assert (status, seconds < 5.0) == (0, True)
    kinds = _events(tmp_path / "pole.db")
    assert kinds[-1] == "event", "the last word is that the gateway stopped"
    bodies = _bodies(tmp_path / "pole.db", "decision")
    assert '"outcome":"acted"' in bodies[0]
    assert '"outcome":"released"' in bodies[-1]
    assert "the gateway is stopping" in bodies[-1]


PRESS = """
[[device]]
id = "press"
driver = "switch"
line = 6
interval = "200ms"
options = { active_high = false }
guard = { max_on = "10s" }
"""


class _Ended(Exception):
    """Enough was seen."""


def begun(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    error: type[Exception],
    match: str,
    prepare: Callable[..., Any],
) -> Daemon:
    """Run a daemon with a lamp on line 5 and a press, on at low, on line 6, until its start fails."""
    config = Process(folder, free_port(), LAMP.partition("[rules]")[0] + PRESS).config

    async def main() -> Daemon:
        made = Daemon(plan(config))
        monkeypatch.setattr(daemon_module, "prepare", lambda *_: prepare(made))
        with pytest.raises(error, match=match):
            await made.run(signals=False)
        return made

    return asyncio.run(main())


def test_every_output_is_safe_while_the_store_takes_its_time(tmp_path, monkeypatch):
    """A press that a crash left on must not wait for a damaged store to be saved from."""
    wires = []

    async def slow(made: Daemon) -> None:
        pins = made._hardware.street.pins
        for _ in range(3):
            wires.append((pins.outputs & {5, 6}, pins.levels.get(5), pins.levels.get(6)))
            await asyncio.sleep(0.1)
        with pytest.raises(StoreError, match="not open yet"):  # so that nothing can go on
            await made._books.record(Event("lamppost.test", "pole", made.now(), {}))
        raise _Ended("enough was seen")

    begun(monkeypatch, tmp_path, _Ended, "enough", slow)
    assert wires == [({5, 6}, False, True)] * 3
    assert not list(tmp_path.glob("pole.db*")), "the store was not touched before"


def test_a_store_that_cannot_be_opened_leaves_every_output_safe(tmp_path, monkeypatch):
    (tmp_path / "pole.db").mkdir()

    async def nothing(made: Daemon) -> None:
        made._hardware.street.pins.log.clear()

    made = begun(monkeypatch, tmp_path, StoreError, "cannot be opened", nothing)
    assert {(line, high) for line, what, high in made._hardware.street.pins.log if what == "level"} == {
        (5, False),
        (6, True),
    }


def test_the_outputs_of_a_daemon_that_runs_are_left_alone_by_a_second_one(tmp_path, monkeypatch):
    async def never(made: Daemon) -> None:
        raise AssertionError

    holder = "import sys; from pathlib import Path; from gateway.store.file import Lock; "
    holder += "Lock(Path(sys.argv[1])); print(flush=True); input()"
    command = [sys.executable, "-c", holder, str(tmp_path / "pole.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        made = begun(monkeypatch, tmp_path, StoreError, rf"another lamppost .* \(pid {process.pid}\)", never)
        process.kill()
    assert "_hardware" not in vars(made), "no bus and no line was opened"


def test_without_http_the_web_framework_is_never_imported(tmp_path):
    process = Process(tmp_path, free_port())
    process.config.write_text(process.config.read_text().replace("[http]", "[http]\nenabled = false"))
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom gateway.app.check import plan\n"
        "from gateway.app.daemon import Daemon\n"
        "async def main():\n"
        f"    daemon = Daemon(plan(Path({str(process.config)!r})))\n"
        "    running = asyncio.create_task(daemon.run())\n"
        "    await daemon.ready.wait()\n    daemon.stopping.set()\n    assert await running == 0\n"
        "asyncio.run(main())\n"
        "unwanted = {'fastapi', 'starlette', 'uvicorn', 'aiomqtt', 'rich', 'iotcore', 'gpiozero'}\n"
        "print(sorted(unwanted & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert ended.stdout.strip() == "[]", ended.stderr


PACKAGES = """prometheus_client wsgiref sqlite_utils cryptography rich plotext numpy pyvrp click
multiprocessing httpx segno gpiozero smbus2 iotcore"""
OURS = """terminal rounds cli demo app.probe app.scan app.backtest app.score app.returns app.register
ledger.signer ledger.verify mqtt.watch derive.kinds.air derive.kinds.flood web.qr control.compactor"""


def test_a_daemon_carries_nothing_that_it_was_not_asked_for():
    """Its memory is mostly what it imports: no metrics, streams or parts before somebody wants them."""
    unwanted = [*PACKAGES.split(), *(f"gateway.{name}" for name in OURS.split())]
    script = f"import sys\nfrom gateway.app import daemon\nfrom gateway import web\nunwanted = {unwanted}\n"
    script += "print([name for name in unwanted if name in sys.modules])\n"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert ended.stdout.strip() == "[]", ended.stderr


def test_a_port_that_is_taken_is_said_and_the_rest_runs(daemon, tmp_path):
    first = daemon(free_port())
    until(lambda: first.get("/healthz"))
    (tmp_path / "other").mkdir()
    second = Process(tmp_path / "other", free_port())
    taken = second.config.read_text().replace(f"port = {second.page}", f"port = {first.page}")
    second.config.write_text(taken)
    second.start()
    try:
        until(lambda: "no page for now" in second.log)
        assert str(first.page) in second.log
        until(
            lambda: (
                (tmp_path / "other" / "pole.db").exists()
                and _last(tmp_path / "other" / "pole.db", "telemetry")
            )
        )
        assert second.stop()[0] == 0
    finally:
        second.kill()


def test_the_demo_delivers_every_record_and_says_so():
    pytest.importorskip("iotcore")
    command = [sys.executable, "-m", "gateway", "demo", "--for", "3", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert '"held": 0' in ended.stdout
    assert '"dropped": 0' in ended.stdout


def _last(path: Path, lane: str) -> int:
    with _reading(path) as reader:
        return int(reader.execute(f"SELECT coalesce(max(seq), 0) FROM {lane}").fetchone()[0])


def _events(path: Path) -> list[str]:
    with _reading(path) as reader:
        return [kind for (kind,) in reader.execute("SELECT kind FROM events ORDER BY seq")]


def _bodies(path: Path, kind: str) -> list[str]:
    with _reading(path) as reader:
        return [b for (b,) in reader.execute("SELECT body FROM events WHERE kind = ? ORDER BY seq", (kind,))]


def _reading(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True))
