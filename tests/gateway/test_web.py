"""The views over real HTTP on loopback, and what becomes of clients that mean no good."""

import asyncio
import errno
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import product
from random import Random
from typing import Any

import httpx
import pytest

from gateway.web import Unavailable, build, serve, server
from tests.gateway.source import COMPACT, Recorded

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used; making httpx's own for every client takes long


def to(base_url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base_url, verify=PLAIN, trust_env=False)


@asynccontextmanager
async def serving(source: Recorded) -> AsyncIterator[server.Server]:
    running = await serve(build(source), "127.0.0.1", 0)
    try:
        yield running
    finally:
        await running.stop()


def asked(test: Callable[[httpx.AsyncClient, Recorded], Coroutine[Any, Any, None]]) -> None:
    """Run *test* with a client of a server that serves a recorded source."""

    async def main() -> None:
        source = Recorded()
        async with serving(source) as running, to(running.url) as client:
            await test(client, source)

    asyncio.run(main())


async def raw(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send *pieces* as they are; return everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_health_is_about_the_process_and_ready_about_its_work() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        source.problems = ["the store cannot be written: disk full"]
        assert (await client.get("/healthz")).json() == {"alive": True}
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"ready": False, "reasons": source.problems, "broker": "connected"}

    asked(test)


def test_an_unreachable_broker_does_not_make_it_unready() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        source.state["mqtt"]["state"] = "connecting"
        ready = await client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["broker"] == "connecting"

    asked(test)


def test_status_is_the_source_s() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        assert (await client.get("/status")).json() == source.state

    asked(test)


def test_readings_and_decisions_pass_on_the_window() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        found = (await client.get("/readings?device=air&limit=5&before=77")).json()["readings"]
        assert [body["device"] for body in found] == ["air"]
        found = (await client.get("/decisions?before=800")).json()["decisions"]
        assert [body["event"] for body in found] == [790]
        assert source.asked == [("air", 5, 77), (100, 800)]

    asked(test)


def test_one_decision_comes_with_its_explanation() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        found = (await client.get(f"/decisions/{COMPACT}")).json()
        assert found["outcome"] == "refused"
        assert found["explanation"].startswith("Did not switch compactor on for 4s: lid.closed is not known")

    asked(test)


UNANSWERABLE = [
    ("/readings?limit=0", 422, "limit must be greater than or equal to 1; '0' is not usable"),
    ("/readings?limit=1001", 422, "limit must be less than or equal to 1000"),
    ("/readings?limit=many", 422, "limit must be a valid integer; 'many' is not usable"),
    ("/readings?limit=" + 5000 * "9", 422, "limit "),
    ("/readings?limit=nan", 422, "limit must be a valid integer"),
    ("/readings?before=9223372036854775808", 422, "before must be less than 9223372036854775808"),
    ("/readings?device=Air", 422, "device must match pattern"),
    ("/readings?devcie=air", 422, "there is no parameter 'devcie'; did you mean 'device'?"),
    ("/decisions?device=air", 422, "there is no parameter 'device'; there are before, limit"),
    ("/readings?limit=0&before=0", 422, "; before must be"),
    ("/decisions/../../etc/passwd", 404, "there is nothing at /etc/passwd"),
    ("/decisions/COMPACT", 422, "an id is 32 hexadecimal digits, 0-9 and a-f; 'COMPACT' is not usable"),
    ("/decisions/" + 33 * "0", 422, "an id is 32 hexadecimal digits"),
    ("/decisions/" + 32 * "0", 404, f"there is no decision {32 * '0'} here"),
    ("/nothing", 404, "there is nothing at /nothing; /openapi.json lists what there is"),
    ("/docs", 404, "there is nothing at /docs"),
    ("/%00%ff", 404, "there is nothing at /"),
]


def test_what_cannot_be_answered_gets_a_sentence() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        for path, code, sentence in UNANSWERABLE:
            answer = await client.get(path)
            assert answer.status_code == code, path
            assert sentence in answer.json()["error"]
            assert len(answer.text) < 400
        assert source.asked == []

    asked(test)


def test_everything_can_only_be_read() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        paths = ("/", "/status", f"/decisions/{COMPACT}")
        for path, method in product(paths, ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")):
            answer = await client.request(method, path)
            assert answer.status_code == 405
            assert answer.json()["error"].startswith(f"{method} is not served here")

    asked(test)


def test_head_is_get_without_the_body() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        head, get = await client.head("/decisions"), await client.get("/decisions")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(get.content))

    asked(test)


def test_every_answer_has_the_security_headers() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        for path in ("/", "/status", "/metrics", "/nothing", "/readings?limit=0", "/openapi.json"):
            guarded((await client.get(path)).headers)
        guarded((await client.post("/", content=b"x")).headers)

    def guarded(headers: httpx.Headers) -> None:
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["date"].endswith("GMT")
        assert "server" not in headers

    asked(test)


def test_the_ledger_and_its_proofs() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        assert (await client.get("/ledger")).json()["size"] == 3
        assert (await client.get("/ledger/proof/1")).json()["seq"] == 1
        assert (await client.get("/ledger/consistency?old=1&new=3")).json()["new"] == 3
        decision = (await client.get(f"/decisions/{COMPACT}")).json()
        assert (decision["seq"], decision["leaf"], decision["record"]["text"]) == (12, "ab" * 32, "{}")

    asked(test)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/ledger/proof/3", 404, "record 3 is under no checkpoint yet"),
        ("/ledger/proof/2", 409, "this cannot be proven: a hash is gone"),
        ("/ledger/proof/0", 422, "a record's number is 1 or more; '0' is not usable"),
        ("/ledger/proof/1e3", 422, "a record's number is 1 or more"),
        (f"/ledger/proof/{'9' * 30}", 422, "a record's number is 1 or more"),
        ("/ledger/consistency", 422, "the parameter 'old' is needed; the parameter 'new' is needed"),
        ("/ledger/consistency?old=-1&new=x", 422, "old must be greater than or equal to 0"),
        ("/ledger/consistency?old=3&new=2", 404, "the ledger has no 3 records that 2 begin with"),
        ("/ledger/consistency?old=1&new=2&neu=3", 422, "there is no parameter 'neu'; did you mean 'new'?"),
    ],
)
def test_what_the_ledger_cannot_prove_is_said(path: str, status: int, said: str) -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        answer = await client.get(path)
        assert answer.status_code == status
        assert said in answer.json()["error"]

    asked(test)


def test_openapi_names_every_view() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        paths = (await client.get("/openapi.json")).json()["paths"]
        views = {
            "/",
            "/healthz",
            "/readyz",
            "/status",
            "/readings",
            "/decisions",
            "/decisions/{id}",
            "/ledger",
            "/ledger/proof/{seq}",
            "/ledger/consistency",
            "/metrics",
            "/register",
            "/register/dtpr.json",
            "/register/atrs.json",
            "/register/algoritmeregister.json",
            "/register/sensors.json",
            "/register/qr.svg",
            "/pending",
            "/orders",
        }
        assert set(paths) == views
        told = {each["name"]: each for each in paths["/readings"]["get"]["parameters"]}
        assert set(told) == {"before", "device", "limit"}
        assert told["limit"]["schema"]["maximum"] == 1000
        assert paths["/decisions/{id}"]["get"]["parameters"][0]["in"] == "path"

    asked(test)


@pytest.mark.parametrize("body", [{"content": b"x"}, {"content": iter([b"x"])}, {"data": {"a": "b"}}])
def test_a_body_is_refused_unread(body: dict[str, Any]) -> None:
    request = httpx.Request("GET", "http://127.0.0.1/", **body)
    length = [(k, v) for k, v in request.headers.items() if k in ("content-length", "transfer-encoding")]
    assert length

    async def main() -> None:
        async with serving(Recorded()) as running:
            head = "GET / HTTP/1.1\r\nHost: x\r\n" + "".join(f"{k}: {v}\r\n" for k, v in length) + "\r\n"
            answer = await raw(running.port, head.encode())
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"requests have no body here" in answer

    asyncio.run(main())


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # a TLS client
    b"GET /\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n",
    b"GET /" + 20_000 * b"y",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
]


def test_what_is_not_http_is_refused_and_counted() -> None:
    async def main() -> None:
        async with serving(Recorded()) as running, to(running.url) as client:
            for request in MALFORMED:
                assert (await raw(running.port, request)).startswith(b"HTTP/1.1 400 "), request[:40]
            text = (await client.get("/metrics")).text
            assert f'lamppost_http_refused_total{{reason="malformed"}} {len(MALFORMED)}.0' in text

    asyncio.run(main())


def test_a_long_head_is_refused_even_when_it_came_whole() -> None:
    tail = b"\r\nHost: a\r\nConnection: close\r\n"
    filler = 8_192 * b"y"

    async def main() -> None:
        async with serving(Recorded()) as running:
            for first, last in (
                (b"/" + filler, b""),
                (b"/?" + filler, b""),
                (b"/", b"X: " + filler + b"\r\n"),
            ):
                answer = await raw(running.port, b"GET " + first + b" HTTP/1.1" + tail + last + b"\r\n")
                assert answer.startswith(b"HTTP/1.1 431 ")

    asyncio.run(main())


def test_random_bytes_never_stop_it(caplog: pytest.LogCaptureFixture) -> None:
    """Mutated requests, whole and in pieces: afterwards it still answers, and the log is empty."""
    random = Random(20_260_101)
    head = b"GET /readings?limit=3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"3\r\nabc\r\n0\r\n\r\nGET / "

    def mutated() -> bytes:
        data = bytearray(whole * random.randint(1, 2))
        for _ in range(random.randint(1, 8)):
            data[random.randrange(len(data))] = random.choice(b"\r\n\x00 :/?%&=\xff0" + random.randbytes(4))
        return bytes(data[: random.randint(1, len(data))])

    async def main() -> None:
        async with serving(Recorded()) as running:
            for _ in range(300):
                _, writer = await asyncio.open_connection("127.0.0.1", running.port)
                data, cut = mutated(), random.randint(0, 60)
                for piece in (data[:cut], data[cut:]):
                    writer.write(piece)
                    await asyncio.sleep(0)
                if random.random() < 0.5:
                    writer.write_eof()
                await asyncio.sleep(0.001)
                writer.transport.abort()
            async with to(running.url) as client:
                assert (await client.get("/healthz")).status_code == 200

    asyncio.run(main())
    assert [
        record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")
    ] == []


SLOW = [
    (),
    (b"G",),
    800 * (b"G",),
    40 * (b"GET / HTTP/1.1\r\nX: y\r\n",),
    (b"GET / HTTP/1.1\r\nHost: a\r\n",),
]


def test_a_slow_client_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that keeps sending a little: what counts is the whole request."""
    monkeypatch.setattr(server, "PATIENCE", 0.2)

    async def main() -> None:
        async with serving(Recorded()) as running, to(running.url) as client:
            started = asyncio.get_running_loop().time()
            heard = await asyncio.gather(*(raw(running.port, *pieces, pause=0.01) for pieces in SLOW))
            assert heard == len(SLOW) * [b""]
            assert asyncio.get_running_loop().time() - started < 5.0, "to send them all takes 8 s"
            assert f'refused_total{{reason="slow"}} {len(SLOW)}.0' in (await client.get("/metrics")).text

    asyncio.run(main())


def test_a_client_that_does_not_take_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.3)

    async def main() -> None:
        source = Recorded()
        source.state["store"]["problem"] = 4_000_000 * "x"  # more than the socket's buffers hold
        async with serving(source) as running:
            deaf = socket.create_connection(("127.0.0.1", running.port))
            deaf.sendall(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
            await asyncio.sleep(0.8)
            async with to(running.url) as client:
                assert 'refused_total{reason="slow"} 1.0' in (await client.get("/metrics")).text
            deaf.close()

    asyncio.run(main())


def test_a_crowd_is_turned_away_and_those_inside_are_served() -> None:
    async def main() -> None:
        async with serving(Recorded()) as running, to(running.url) as client:
            await client.get("/healthz")
            crowd = [
                await asyncio.open_connection("127.0.0.1", running.port) for _ in range(server.CLIENTS + 5)
            ]
            await asyncio.sleep(0.1)
            turned_away = 'refused_total{reason="crowded"} 6.0'
            assert turned_away in (await client.get("/metrics")).text
            for _, writer in crowd:
                writer.transport.abort()

    asyncio.run(main())


def test_a_page_that_keeps_asking_is_never_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.3)

    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        for _ in range(6):
            assert (await client.get("/")).status_code == 200
            await asyncio.sleep(0.1)
        assert "slow" not in (await client.get("/metrics")).text

    asked(test)


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("127.0.0.1", "another program has this port; set http.port to a free one"),
        ("not..a.name", "the name is not known here; set http.host"),
    ],
)
def test_an_address_that_cannot_be_served_says_what_to_do(host: str, advice: str) -> None:
    async def main() -> None:
        async with serving(Recorded()) as running:
            with pytest.raises(Unavailable, match=f"cannot listen on {host}:{running.port}: {advice}"):
                await serve(build(Recorded()), host, running.port)

    asyncio.run(main())


def test_stopping_lets_an_answer_end_and_frees_the_port() -> None:
    async def main() -> None:
        source = Recorded()
        slow = asyncio.Event()

        async def readings(*window: Any) -> list[dict[str, Any]]:
            slow.set()
            await asyncio.sleep(0.3)
            return []

        source.readings = readings  # type: ignore[method-assign]
        running = await serve(build(source), "127.0.0.1", 0)
        answer = asyncio.create_task(raw(running.port, b"GET /readings HTTP/1.1\r\nHost: a\r\n\r\n"))
        await slow.wait()
        await running.stop()
        assert b'{"readings":[]}' in await answer
        again = await serve(build(source), "127.0.0.1", running.port)
        await again.stop()

    asyncio.run(main())


def test_stopping_waits_for_nobody_for_long() -> None:
    async def main() -> None:
        async with serving(Recorded()) as running:
            _, writer = await asyncio.open_connection("127.0.0.1", running.port)
            await asyncio.sleep(0.05)
            started = asyncio.get_running_loop().time()
            await running.stop()
            assert asyncio.get_running_loop().time() - started < 10.0
            writer.close()

    asyncio.run(main())


def test_stopping_cuts_off_who_does_not_take_the_answer() -> None:
    async def main() -> None:
        source = Recorded()
        source.state["store"]["problem"] = 4_000_000 * "x"  # more than the socket's buffers hold
        running = await serve(build(source), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1024)
        writer.write(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.1)
        await running.stop()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(4_000_000)
        writer.close()

    asyncio.run(main())


def test_it_serves_ipv6_where_there_is_any() -> None:
    async def main() -> None:
        running = await serve(build(Recorded()), "::1", 0)
        assert running.url == f"http://[::1]:{running.port}/"
        async with to(running.url) as client:
            assert (await client.get("/healthz")).status_code == 200
        await running.stop()

    if socket.has_ipv6 and _has_loopback6():
        asyncio.run(main())


def _has_loopback6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "set http.port to one above 1023"),
        (errno.EADDRNOTAVAIL, "this machine does not have the address; set http.host"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_advice_by_errno(number: int, advice: str) -> None:
    assert advice in server._advice(OSError(number, os.strerror(number)))


def test_it_imports_no_more_than_it_needs() -> None:
    """And leaves pydantic and uvicorn as they were for whoever imports them later."""
    script = """
import sys, pydantic
before = pydantic.BaseModel.model_config
from gateway import web
from tests.gateway.source import Recorded
web.build(Recorded())
heavy = {"click", "multiprocessing", "pydantic.v1", "httptools", "uvloop", "websockets", "jinja2"}
print(sorted(heavy & set(sys.modules)), pydantic.BaseModel.model_config is before)
import uvicorn.main
print(uvicorn.main.run.__module__, "multiprocessing" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\nuvicorn.main True\n"
