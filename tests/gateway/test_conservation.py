"""accepted = delivered + held + dropped, wherever it is shown, and proven from the consumer's side."""

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.collect.account import books
from gateway.people import line, new_token
from gateway.reading import Lane, OrderKind
from tests.brokers import Mosquitto, needs_mosquitto
from tests.gateway.daemon_rig import STREET, Process, until
from tests.gateway.store_rig import opened, reading

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(180), needs_mosquitto]

WAITING = STREET.replace("[mqtt]\n", '[mqtt]\nacknowledge = "consumer"\nconsumer = "city"\n')
PEOPLE = '\n[access]\npeople = "people.toml"\n'
SAMPLE = re.compile(r"^lamppost_records_(\w+?)(?:_total)?\{(.*)\} (\S+)$", re.MULTILINE)


def law(figures: dict[str, Any]) -> None:
    assert figures["accepted"] == figures["delivered"] + figures["held"] + sum(figures["dropped"].values())


def metrics(pole: Process) -> dict[str, dict[str, Any]]:
    """Return what /metrics says of each lane, in the form of /status."""
    with urllib.request.urlopen(f"http://127.0.0.1:{pole.page}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: dict[str, dict[str, Any]] = {lane: {"dropped": {}} for lane in Lane}
    for name, labels, number in SAMPLE.findall(text):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if name == "dropped":
            found[label["lane"]]["dropped"][label["reason"]] = float(number)
        else:
            found[label["lane"]][name] = float(number)
    return found


@pytest.fixture
def pole(
    tmp_path: Path, mosquitto: Callable[..., Mosquitto], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Process]:
    """A pole that was offline, had to drop 51 readings, and is started at a broker."""
    asyncio.run(_past(tmp_path / "pole.db"))
    token = new_token()
    monkeypatch.setenv("LAMPPOST_TOKEN", token)
    (tmp_path / "people.toml").write_text(line("ada.byrne", token, OrderKind))
    (tmp_path / "people.toml").chmod(0o600)
    broker = mosquitto("allow_anonymous true", "max_queued_messages 0")
    found = Process(tmp_path, broker.port, PEOPLE, WAITING)
    found.broker = broker  # type: ignore[attr-defined]
    yield found
    found.kill()


async def _past(path: Path) -> None:
    async with opened(path, "pole") as store:
        for n in range(200):
            store.add(reading(float(n), "old"))
        while store.durable(Lane.TELEMETRY) < 200:
            await asyncio.sleep(0.01)
        await store.drop(Lane.TELEMETRY, 100, 150, "full")


@contextmanager
def collecting(path: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "gateway", "collect", "--to", str(path), "--port", str(port)]
    with subprocess.Popen([*command, "--acknowledge", "city"], stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)


def missing(path: Path) -> list[str]:
    return [str(hole) for account in books(path).accounts for hole in account.holes]


def test_the_ledger_of_delivery_is_the_same_wherever_it_is_shown(
    pole: Process, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, port = tmp_path / "city.db", pole.broker.port  # type: ignore[attr-defined]
    pole.start()
    lanes = until(lambda: (found := pole.get("/status")) and found["store"]["lanes"])
    assert lanes["telemetry"]["dropped"] == {"full": 51}
    assert lanes["telemetry"]["delivered"] == 0, "nobody has said that he has them"
    with collecting(path, port):
        until(lambda: pole.lanes()["telemetry"]["delivered"] > 300, 60)
        for figures in (*pole.lanes().values(), *metrics(pole).values()):
            law(figures)
        status = pole.get("/status")
        assert status["mqtt"]["acknowledge"]["confirmed"]["telemetry"] > 300
        until(lambda: missing(path) == ["missing 100 to 150: full"])  # the gap comes in another lane

        # Somebody takes records out of the consumer's file: the report says so, a replay brings them back.
        with closing(sqlite3.connect(path)) as db:
            db.execute("DELETE FROM record WHERE seq BETWEEN 30 AND 40 AND kind = 'reading'")
            db.commit()
        assert main(["collect", "--report", str(path)]) == 1
        assert "  missing 30 to 40: not explained" in capsys.readouterr().out
        url = f"http://127.0.0.1:{pole.page}"
        span = ["--lane", "telemetry", "--from", "20", "--to", "160", "--reason", "a hole at the city"]
        assert main(["replay", *span, "--url", url]) == 0
        assert capsys.readouterr().out == (
            "Done: telemetry 20 to 160: 90 records are sent again, behind all that waits; "
            "51 of those asked for are not kept any more.\n"
        )
        until(lambda: missing(path) == ["missing 100 to 150: full"], 60)

        pole.stop()  # the last status: offline, and before it the last figures
        until(lambda: json.loads(said(path))["online"] is False)
    (telemetry,) = (each for each in books(path).accounts if each.numbering.lane == "telemetry")
    assert telemetry.numbering.epoch == status["epoch"] == json.loads(said(path))["epoch"]
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, body FROM records WHERE name LIKE 'lamppost.replay.%' ORDER BY seq")
        kinds = {name: json.loads(body)["data"] for name, body in rows}
    assert kinds["lamppost.replay.ordered"]["who"] == "ada.byrne"
    assert kinds["lamppost.replay.ordered"]["reason"] == "a hole at the city"
    assert kinds["lamppost.replay.done"]["sent"] == 90


def said(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return str(db.execute("SELECT body FROM said WHERE face = 'status'").fetchone()[0])
