"""What the service manager hears, on a real datagram socket; time is virtual."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.clock import LoopClock
from gateway.health import Health, feed, notify, watchdog_interval
from tests.conftest import Virtual, VirtualClock


def heard(manager: socket.socket) -> list[str]:
    """Return everything that has arrived at the service manager."""
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode())
        except BlockingIOError:
            return messages


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[socket.socket]:
    name = str(tmp_path / "n") if request.param == "path" else f"@lamppost-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.setblocking(False)
        receiver.bind("n" if request.param == "path" else "\0" + name[1:])  # a short path: 108 bytes at most
        yield receiver


def test_a_loop_is_healthy_until_its_limit(clock: VirtualClock) -> None:
    health = Health(clock)
    health.expect("store", 5.0)
    clock.now = 5.0
    assert health.ok
    clock.now = 5.01
    assert not health.ok
    assert health.problems() == ["the store loop has not moved for 5 s (limit 5 s)"]
    health.beat("store")
    assert health.ok
    assert health.loops()[0].age == 0.0


def test_one_hung_loop_is_enough(clock: VirtualClock) -> None:
    health = Health(clock)
    health.expect("store", 5.0)
    health.expect("control", 2.0)
    clock.now = 3.0
    health.beat("store")
    assert [loop.ok for loop in health.loops()] == [True, False]
    assert not health.ok


def test_expecting_again_starts_afresh_and_forgetting_ends_it(clock: VirtualClock) -> None:
    health = Health(clock)
    health.expect("sen66", 1.0)
    clock.now = 3.0
    health.expect("sen66", 2.0)
    assert health.ok
    health.forget("sen66")
    clock.now = 90.0
    assert health.ok
    assert health.loops() == []


def test_a_beat_that_nobody_expects_is_a_mistake(clock: VirtualClock) -> None:
    with pytest.raises(KeyError, match="stroe"):
        Health(clock).beat("stroe")


def test_notify_reaches_the_socket(manager: socket.socket) -> None:
    assert notify("STOPPING=1")
    assert heard(manager) == ["STOPPING=1"]


@pytest.mark.parametrize(
    "address", ["", "/nowhere/at/all", "relative", "@nobody-listens", "vsock:2:3", "/" * 300]
)
def test_notify_without_a_listener_is_no_error(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify("READY=1")


def test_notify_never_waits_for_a_full_socket(manager: socket.socket) -> None:
    while notify("STATUS=" + "x" * 1000):
        pass
    assert len(heard(manager)) > 1


@pytest.mark.parametrize(
    ("limit", "process", "seconds"),
    [
        ("8000000", None, 8.0),
        ("8000000", "own", 8.0),
        ("8000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        ("-5", None, None),
        ("³", None, None),
        (None, None, None),
    ],
)
def test_watchdog_interval(
    monkeypatch: pytest.MonkeyPatch, limit: str | None, process: str | None, seconds: float | None
) -> None:
    """The limit counts only where it is a number and meant for this process."""
    values = {"WATCHDOG_USEC": limit, "WATCHDOG_PID": str(os.getpid()) if process == "own" else process}
    for name, value in values.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert watchdog_interval() == seconds


async def fed(for_: float, status: Callable[[], str], beats: float) -> None:
    """Feed for some virtual time, while the store loop beats for *beats* seconds and then hangs."""
    health = Health(LoopClock())
    health.expect("store", 5.0)
    task = asyncio.create_task(feed(health, status))
    for second in range(int(for_)):
        await asyncio.sleep(1.0)
        if second < beats:
            health.beat("store")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_ready_once_and_the_watchdog_twice_per_interval(manager: socket.socket, virtual: Virtual) -> None:
    virtual(fed(13.0, lambda: "10 devices", beats=13))
    assert heard(manager) == ["READY=1\nSTATUS=10 devices\nWATCHDOG=1"] + 3 * [
        "STATUS=10 devices\nWATCHDOG=1"
    ]


def test_a_hung_loop_starves_the_watchdog_and_is_named_once(
    manager: socket.socket, virtual: Virtual, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        virtual(fed(30.0, lambda: "fine", beats=4))
    messages = heard(manager)
    assert ["WATCHDOG=1" in message for message in messages] == 3 * [True] + 5 * [False]
    assert messages[-1] == "STATUS=the store loop has not moved for 24 s (limit 5 s); fine"
    assert len(caplog.records) == 1


def test_a_status_cannot_forge_another_word(manager: socket.socket, virtual: Virtual) -> None:
    """A line break in a device's reason must not become a line of its own for the service manager."""
    virtual(fed(1.0, lambda: "lost\nSTOPPING=1", beats=1))
    assert heard(manager)[0] == "READY=1\nSTATUS=lost STOPPING=1\nWATCHDOG=1"


def test_ready_is_repeated_until_somebody_took_it(
    manager: socket.socket, virtual: Virtual, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.environ["NOTIFY_SOCKET"]
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")

    async def main() -> None:
        asyncio.get_running_loop().call_later(5.0, monkeypatch.setenv, "NOTIFY_SOCKET", name)
        await fed(13.0, lambda: "late", beats=13)

    virtual(main())
    assert [message.startswith("READY=1") for message in heard(manager)] == [True, False]
