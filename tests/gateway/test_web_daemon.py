"""The whole daemon, its page and its orders: a person decides, and the record says so."""

import json
import signal
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.people import line, new_token
from gateway.reading import OrderKind
from tests.brokers import free_port
from tests.gateway.daemon_rig import Process, until

DEVICES = """
[[device]]
id = "lamp"
driver = "switch"
line = 23
interval = "100ms"
[device.guard]
max_on = "1m"

[rules]
files = ["rules.toml"]

[register]
file = "register.toml"

[access]
people = "people.toml"
"""

RULES = """
[[rule]]
id = "light-the-lamp"
says = "When it is warmer than absolute zero, light the lamp."
owner = "Public lighting"
expires = 2030-01-01
when = "weather.temperature > -273.0"
mode = "in"
do = [{ switch = "lamp" }]
[[rule.test]]
given = { "weather.temperature" = 20.0 }
expect = true
"""

REGISTER = """
name = "A pole to test"
summary = "It measures, and lights a lamp."
why = "To test."
begins = 2026-01-01
ends = 2030-01-01
owner = { organisation = "City", team = "Poles", role = "Head", email = "poles@city.example" }
objection = { how = "Write.", answer = "In six weeks." }
legal = { basis = "A by-law", personal_data = false }
data = { kept = "a day", where = "here", shared = "nobody" }
algorithm = { oversight = "The duty officer." }
measure = [{ devices = ["weather", "ground", "lid"], what = "All of it", why = "to test" }]
act = [{ device = "lamp", what = "A lamp", why = "to see" }]
"""


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    made = new_token()
    monkeypatch.setenv("LAMPPOST_TOKEN", made)
    return made


@pytest.fixture
def pole(tmp_path: Path, token: str) -> Iterator[Process]:
    (tmp_path / "rules.toml").write_text(RULES)
    (tmp_path / "register.toml").write_text(REGISTER)
    (tmp_path / "people.toml").write_text(line("ada.byrne", token, OrderKind))
    (tmp_path / "people.toml").chmod(0o600)
    found = Process(tmp_path, free_port(), DEVICES).start()
    until(lambda: found.get("/readyz"))
    yield found
    found.kill()


def url(pole: Process) -> str:
    return f"http://127.0.0.1:{pole.page}"


def lamp(pole: Process) -> dict[str, Any]:
    return next(dict(switch) for switch in pole.get("/status")["switches"] if switch["id"] == "lamp")


def outcomes(pole: Process) -> list[str]:
    return [str(decision["outcome"]) for decision in pole.get("/decisions")["decisions"]]


def text(pole: Process) -> str:
    with urllib.request.urlopen(f"{url(pole)}/", timeout=5) as answer:
        return str(answer.read().decode())


def test_a_person_approves_overrides_and_releases_and_the_record_names_who_and_why(
    pole: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    (ask,) = until(lambda: pole.get("/pending")["pending"])
    assert ask["commands"] == ["lamp on"]
    assert "it lapses at" in text(pole)
    assert not lamp(pole)["on"]

    assert main(["approve", ask["id"], "--reason", "it is dark", "--url", url(pole)]) == 0
    until(lambda: lamp(pole)["on"])
    assert pole.get("/pending")["pending"] == []

    words = ["override", "lamp", "off", "--for", "5m", "--reason", "it blinds people", "--url", url(pole)]
    assert main(words) == 0
    until(lambda: not lamp(pole)["on"])
    assert "Lamp is held off until" in text(pole)
    assert "because: it blinds people" in text(pole)

    assert main(["release", "lamp", "--reason", "they are gone", "--url", url(pole)]) == 0
    until(lambda: lamp(pole)["override"] is None)
    capsys.readouterr()
    assert main(["release", "lamp", "--reason", "once more", "--url", url(pole)]) == 1
    assert "nobody has lamp by hand" in capsys.readouterr().err

    decisions = pole.get("/decisions")["decisions"]
    approved = next(each for each in decisions if each["outcome"] == "approved")
    assert approved["who"] == "ada.byrne"
    assert "it is dark" in " ".join(approved["reasons"])
    assert {"asked", "approved", "acted", "overridden", "refused"} <= set(outcomes(pole))


@pytest.mark.slow
def test_a_mode_that_a_person_gives_is_the_one_that_the_notice_and_the_records_show(pole: Process) -> None:
    until(lambda: pole.get("/pending")["pending"])
    assert pole.get("/register")["live"]["mode"] == "in"
    words = ["mode", "light-the-lamp", "off", "--for", "1h", "--reason", "a trial", "--url", url(pole)]
    assert main(words) == 0
    until(lambda: lamp(pole)["on"])
    live = pole.get("/register")["live"]
    assert live["mode"] == "off"
    assert live["rules"][0]["until"] is not None
    assert "it acts by itself" in pole.get("/register/algoritmeregister.json")["human_intervention"]
    assert pole.get("/register/atrs.json")["phase"] == "Production"
    assert "Yes." in text(pole)


@pytest.mark.slow
def test_an_order_is_carried_out_once_also_across_a_restart(pole: Process, token: str) -> None:
    (ask,) = until(lambda: pole.get("/pending")["pending"])
    order = {
        "id": "only-once-1234", "order": "veto", "target": ask["id"], "reason": "not now",
        "not_after": pole.get("/status")["time"] + 3600,
    }  # fmt: skip

    def give() -> dict[str, Any]:
        request = urllib.request.Request(
            f"{url(pole)}/orders",
            json.dumps(order).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                return dict(json.load(error))

    assert give()["accepted"] is True
    assert "received before" in give()["said"]
    pole.stop()
    pole.start()
    until(lambda: pole.get("/readyz"))
    assert "received before" in give()["said"]


@pytest.mark.slow
def test_a_person_who_is_taken_out_of_the_file_is_nobody_after_a_reload(
    pole: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    people = pole.folder / "people.toml"
    people.write_text(line("bo", new_token(), OrderKind))
    pole.send(signal.SIGHUP)
    until(lambda: "the new configuration is in force" in pole.log)
    assert main(["veto", "x" * 32, "--reason", "no", "--url", url(pole)]) == 1
    assert "this takes a person's token" in capsys.readouterr().err
    assert pole.stop()[0] == 0
    with sqlite3.connect(pole.folder / "pole.db") as store:
        assert "lamppost.access.refused" in "".join(store.iterdump())
    store.close()
