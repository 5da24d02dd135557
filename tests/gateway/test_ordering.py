"""The commands that give orders, against a real server."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.people import hashed
from gateway.reading import OrderKind
from tests.gateway.source import ADA, ASK, BO, Recorded
from tests.gateway.test_web import serving


class Pole:
    """A gateway whose every answer is data, in a thread of its own."""

    def __init__(self) -> None:
        self.source = Recorded()
        self.source.people[0].may = tuple(OrderKind)
        self.url = ""
        self._up, self._loop = threading.Event(), asyncio.new_event_loop()
        self._down = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._up.wait(10)

    async def _serve(self) -> None:
        async with serving(self.source) as running:
            self.url = running.url.rstrip("/")
            self._up.set()
            await self._down.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._down.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def pole(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pole]:
    monkeypatch.setenv("LAMPPOST_TOKEN", ADA)
    monkeypatch.delenv("http_proxy", raising=False)
    found = Pole()
    yield found
    found.stop()


ORDERS = [
    (["approve", ASK], OrderKind.APPROVE, None, False),
    (["veto", ASK], OrderKind.VETO, None, False),
    (["override", "siren", "off", "--for", "20m"], OrderKind.OVERRIDE, "off", True),
    (["release", "siren"], OrderKind.RELEASE, None, False),
    (["reset", "compactor"], OrderKind.RESET, None, False),
    (["mode", "press-the-bin", "in", "--for", "1200s"], OrderKind.MODE, "in", True),
    (["shelve", "press-the-bin", "--for", "20m"], OrderKind.SHELVE, None, True),
    (["unshelve", "press-the-bin"], OrderKind.UNSHELVE, None, False),
    (["compact", "compactor"], OrderKind.COMPACT, None, False),
    (["replay", "--lane=telemetry", "--from", "7", "--to", "9"], OrderKind.REPLAY, "7..9", False),
    (
        ["replay", "--lane=events", "--from", "2026-11-22", "--to", "2026-11-22T18:30+01:00"],
        *(OrderKind.REPLAY, "@1795305600.000000..@1795368600.000000", False),
    ),
]


@pytest.mark.parametrize(("words", "kind", "value", "ends"), ORDERS)
def test_each_order_arrives_as_it_was_meant(
    pole: Pole,
    words: list[str],
    kind: OrderKind,
    value: str | None,
    ends: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*words, "--reason", "it is time", "--url", pole.url]) == 0
    assert capsys.readouterr().out == "Done: as you say.\n"
    (order,) = pole.source.orders
    assert (order.kind, order.target, order.value) == (kind, words[1].removeprefix("--lane="), value)
    assert (order.issuer, order.reason, order.channel) == ("ada.byrne", "it is time", "http")
    assert 50 < order.not_after - time.time() <= 60
    if ends:
        assert order.until is not None
        assert 1190 < order.until - time.time() <= 1200
    else:
        assert order.until is None


def test_every_kind_of_order_has_a_command() -> None:
    assert {kind for _, kind, _, _ in ORDERS} == set(OrderKind)


def test_two_orders_never_have_one_id(pole: Pole) -> None:
    for _ in range(2):
        main(["veto", ASK, "--reason", "again", "--url", pole.url])
    assert len({order.id for order in pole.source.orders}) == 2


def test_what_is_refused_says_why_and_fails(pole: Pole, capsys: pytest.CaptureFixture[str]) -> None:
    pole.source.accepts = False
    assert main(["veto", ASK, "--reason", "no", "--url", pole.url]) == 1
    assert capsys.readouterr().err == "Refused: it came too late.\n"


def test_a_token_may_stand_in_a_file(pole: Pole, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text(BO + "\n")
    words = ["veto", ASK, "--reason", "no", "--url", pole.url, "--token-file", str(tmp_path / "token")]
    assert main(words) == 1
    assert "bo may not veto" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("token", "more", "said"),
    [
        ("", [], "an order needs your token: in --token-file, or in LAMPPOST_TOKEN"),
        ("lp_a b", [], "is no token"),
        ("lp_é", [], "is no token"),
        (ADA, ["--url", "http://poles.city.example"], "would travel to poles.city.example in plain text"),
        (ADA, ["--url", "ftp://127.0.0.1"], "is no address of a gateway"),
        (ADA, ["--url", "file:///etc/passwd"], "is no address of a gateway"),
        (ADA, ["--reason", " "], "say why"),
        (ADA, ["--token-file", "/nowhere/token"], "has no token that can be read"),
    ],
)
def test_what_cannot_be_an_order_is_not_sent(
    token: str,
    more: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LAMPPOST_TOKEN", token)
    assert main(["veto", ASK, "--reason", "no", *more]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["veto", ASK],
        ["override", "siren", "off", "--reason", "x"],
        ["override", "siren", "loud", "--for", "1m", "--reason", "x"],
        ["override", "siren", "off", "--for", "1m", "--until", "2030-01-01", "--reason", "x"],
        ["override", "siren", "off", "--for", "a while", "--reason", "x"],
        ["override", "siren", "off", "--for", "-5m", "--reason", "x"],
        ["mode", "rule", "manual", "--for", "1m", "--reason", "x"],
        ["shelve", "rule", "--reason", "x"],
        ["token", "ada", "--may", "approve,destroy"],
    ],
)
def test_what_is_missing_or_unknown_is_bad_input(words: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(words)
    assert error.value.code == 2


def test_pending_in_words_and_as_json(pole: Pole, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pending", "--url", pole.url]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{ASK}  compactor on for 4s (rule compact): lapses at ")
    assert main(["pending", "--url", pole.url, "--json"]) == 0
    assert f'"id": "{ASK}"' in capsys.readouterr().out
    pole.source.state["pending"] = []
    main(["pending", "--url", pole.url])
    assert capsys.readouterr().out == "Nothing waits for a person.\n"


def test_what_a_gateway_says_cannot_steer_the_terminal(
    pole: Pole, capsys: pytest.CaptureFixture[str]
) -> None:
    pole.source.state["pending"][0]["commands"] = ["\x1b[2Jdone"]
    main(["pending", "--url", pole.url])
    assert "\x1b" not in capsys.readouterr().out


def test_no_gateway_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LAMPPOST_TOKEN", ADA)
    for words in (["pending"], ["veto", ASK, "--reason", "no"]):
        assert main([*words, "--url", "http://127.0.0.1:9"]) == 1
        assert "no gateway answers at http://127.0.0.1:9: " in capsys.readouterr().err


@pytest.fixture
def impostor() -> Iterator[Callable[[], tuple[str, list[str]]]]:
    """A server that sends everybody, with what they brought, to another."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.end_headers()
            seen.append(self.path)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield lambda: (f"http://127.0.0.1:{server.server_port}", seen)
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_token_follows_no_redirection(
    impostor: Callable[[], tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMPPOST_TOKEN", ADA)
    url, seen = impostor()
    assert main(["veto", ASK, "--reason", "no", "--url", url]) == 1
    assert seen == ["/orders"]


def test_lamppost_token_prints_a_token_and_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "ada.byrne", "--may", "veto,override"]) == 0
    said = capsys.readouterr().out
    token = next(line.strip() for line in said.splitlines() if line.strip().startswith("lp_"))
    assert f'token = "{hashed(token)}"' in said
    assert 'may = ["veto", "override"]' in said
    assert main(["token", "Ada Byrne"]) == 2
    assert "nobody can be called 'Ada Byrne'" in capsys.readouterr().err
