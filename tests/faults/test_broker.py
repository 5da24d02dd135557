"""A broker that dies, hangs, refuses or vanishes, and a network that does: nothing is lost, all in order."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from gateway.mqtt.pace import SHARE
from tests.brokers import Broker, Embedded, Mosquitto, needs_mosquitto
from tests.faults.line import KEEPALIVE, Line, Watch
from tests.faults.rows import Tally, size
from tests.gateway.daemon_rig import until

pytestmark = pytest.mark.waits

OUTAGE = size(2, 120)
"""How long a fault lasts [s]."""
BACK = 10.0
"""Within this the daemon delivers again, the random wait of `mqtt.backlog_jitter` aside [s]."""
JITTER = 5.0
"""That wait at the longest [s]."""
FLAT = 6 << 20
"""How much the memory may grow: caches and the buffers of the connection, not the backlog, of which two
minutes would be 5,000 records [bytes]."""
NOTICED = 2.5 * KEEPALIVE
"""Within this a dead connection is noticed [s]."""
USUAL, BATCH, WINDOW = 20, 100, 16
"""Messages of a second as they come, a commit each 100 ms and two lanes; records in one, and most at once."""
PAUSE = 1.0
"""Shortest pause between two attempts to connect [s]."""
WRITES = "topic readwrite #\n"
REFUSES = "topic read #\ntopic write lamppost/pole/state/#\n"

Fault = Callable[[Line, Watch], AbstractContextManager[None]]
"""Begins the fault, and ends it."""


def total(lanes: dict[str, Any], what: str) -> int:
    return sum(int(lane[what]) for lane in lanes.values())


def _pass(watch: Watch, seconds: float) -> None:
    for _ in watch.wait(seconds):
        pass


@contextmanager
def killed(line: Line, watch: Watch) -> Iterator[None]:
    """kill -9. Whoever is to receive subscribes before the daemon is let in again."""
    line.broker.kill()
    yield
    line.collector.subscribed.clear()
    line.proxy.partition()
    line.broker.start()
    assert line.collector.subscribed.wait(10)
    line.blame_the_broker()
    line.proxy.heal()


@contextmanager
def stopped(line: Line, watch: Watch) -> Iterator[None]:
    line.broker.send(signal.SIGSTOP)
    yield
    line.broker.send(signal.SIGCONT)


@contextmanager
def refusing(line: Line, watch: Watch) -> Iterator[None]:
    rules = line.folder / "acl"
    rules.write_text(REFUSES)
    line.broker.send(signal.SIGHUP)
    until(lambda: line.state == "refused")
    yield
    rules.write_text(WRITES)
    line.broker.send(signal.SIGHUP)


@contextmanager
def slow(line: Line, watch: Watch) -> Iterator[None]:
    line.proxy.slow(2000)
    yield
    line.proxy.heal()


@contextmanager
def half_open(line: Line, watch: Watch) -> Iterator[None]:
    line.proxy.half_open()
    until(lambda: line.state == "connecting", NOTICED)
    yield
    line.proxy.heal()


@contextmanager
def partitioned(line: Line, watch: Watch) -> Iterator[None]:
    line.proxy.partition()
    yield
    line.proxy.heal()


@contextmanager
def unacknowledged(line: Line, watch: Watch) -> Iterator[None]:
    line.proxy.swallow()
    yield
    line.proxy.heal()


@contextmanager
def reset(line: Line, watch: Watch) -> Iterator[None]:
    for _ in range(3):
        line.proxy.reset()
        _pass(watch, 1.0)
    yield
    line.proxy.reset()


@contextmanager
def delayed(line: Line, watch: Watch) -> Iterator[None]:
    line.proxy.delay(0.7)
    yield
    line.proxy.heal()


FAULTS: dict[str, Fault] = {
    "the broker killed": killed,
    "the broker stopped (SIGSTOP)": stopped,
    "the broker refuses (0x87)": refusing,
    "a line of 2,000 bytes/s": slow,
    "a half-open connection": half_open,
    "a partition": partitioned,
    "acknowledgements lost": unacknowledged,
    "connections reset": reset,
    "answers 1.4 s late": delayed,
}
BROKERS: dict[str, list[type[Broker]]] = {"the broker refuses (0x87)": [Mosquitto]}
"""Only Mosquitto has an access list that can change."""


def cases() -> Iterator[object]:
    """Each fault with each broker; those of one broker follow each other, on one daemon."""
    for kind in (Embedded, Mosquitto):
        for title, fault in FAULTS.items():
            if kind in BROKERS.get(title, [Embedded, Mosquitto]):
                marks = [pytest.mark.faults(title), *([needs_mosquitto] if kind is Mosquitto else [])]
                yield pytest.param(kind, fault, marks=marks, id=f"{kind.name}-{fault.__name__}")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type[Broker]], Line]]:
    """Return the running line with a broker of that kind: the faults of one broker share it."""
    running: dict[type[Broker], Line] = {}

    def find(kind: type[Broker]) -> Line:
        if kind not in running:
            folder = tmp_path_factory.mktemp("line")
            (folder / "acl").write_text(WRITES)
            rules = ("allow_anonymous true", f"acl_file {folder}/acl")
            running[kind] = Line(folder, Mosquitto(folder, *rules) if kind is Mosquitto else kind(folder))
            until(lambda: len(running[kind].collector.seen["telemetry"]) > 60, 20)
        return running[kind]

    yield find
    for line in running.values():
        line.close()


@pytest.mark.parametrize(("kind", "fault"), list(cases()))
def test_whatever_happens_to_the_broker_nothing_is_lost(
    lines: Callable[[type[Broker]], Line], kind: type[Broker], fault: Fault, tally: Tally
) -> None:
    line = lines(kind)
    watch, before = Watch(line), line.lanes()
    with fault(line, watch):
        _pass(watch, OUTAGE)
        held = total(line.lanes(), "held")
    ended = time.monotonic()
    within = BACK + min(JITTER, SHARE * (ended - watch.began))
    until(lambda: total(line.lanes(), "delivered") > total(before, "delivered") + held, within)
    until(lambda: line.state == "connected", BACK)
    back, now = time.monotonic() - ended, line.lanes()
    until(lambda: not any(line.lost(now).values()), 20)
    _pass(watch, 1.5)
    most = line.proxy.most_in_a_second(ended)
    note = f"{line.broker.name}: back after {back:.1f} s, {watch.growth / 1e6:+.1f} MB, {most} messages/s"
    tally(
        times=1,
        records=total(now, "accepted") - total(before, "accepted"),
        disorder=line.disorder(),
        duplicates=watch.repeated,
        note=f"{note}, {watch.blamed} acknowledged ones lost by the broker" if watch.blamed else note,
    )
    assert line.disorder() == 0
    assert back <= within, note
    assert watch.growth <= FLAT, note
    assert most <= USUAL + held / BATCH + WINDOW, note
    assert watch.attempts <= 2 + (ended - watch.began) / PAUSE, f"{watch.attempts} attempts to connect"
