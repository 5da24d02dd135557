"""Orders over real HTTP on loopback: who may, in what shape, and what becomes of everybody else's."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import httpx
import pytest

from gateway.orders import LARGEST
from gateway.reading import Answer, Order, OrderKind
from gateway.web import orders
from tests.gateway.source import ADA, ASK, BO, NOW, Recorded
from tests.gateway.test_web import asked, raw, serving, to

ORDER: dict[str, Any] = {
    "id": "0123456789abcdef",
    "order": "approve",
    "target": ASK,
    "reason": "the bin is free",
    "not_after": NOW + 60.0,
}


def signed(token: str = ADA, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **more}


async def give(client: httpx.AsyncClient, order: Any = None, **headers: Any) -> httpx.Response:
    content = order if isinstance(order, bytes) else json.dumps(ORDER if order is None else order)
    return await client.post("/orders", content=content, headers=headers.get("headers", signed()))


def test_a_good_order_reaches_the_control_with_the_person_s_name() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        answer = await give(client)
        assert answer.status_code == 200
        assert answer.json() == {"order": ORDER["id"], "accepted": True, "said": "as you say", "time": NOW}
        expected = Order(
            *(ORDER["id"], OrderKind.APPROVE, ASK, "ada.byrne", ORDER["reason"], ORDER["not_after"], "http")
        )
        assert source.orders == [expected]
        assert source.announced == []

    asked(test)


def test_what_the_control_refuses_is_a_conflict_that_says_why() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        source.accepts = False
        answer = await give(client)
        assert answer.status_code == 409
        assert answer.json()["said"] == "it came too late"

    asked(test)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": "Bearer lp_wrong"},
        {"Authorization": f"Basic {ADA}"},
        {"Authorization": ADA},
        {"Authorization": f"Bearer {ADA} {ADA}"},
        {"Authorization": f"Bearer {ADA.upper()}"},
        {"Authorization": "Bearer " + 3000 * "x"},
        {"Cookie": f"token={ADA}"},
    ],
)
def test_without_a_good_token_nothing_is_even_read(header: dict[str, str]) -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        for content in (json.dumps(ORDER), "{"):
            answer = await client.post(
                "/orders", content=content, headers={"Content-Type": "application/json", **header}
            )
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="lamppost"'
            assert "this takes a person's token" in answer.json()["error"]
        assert source.orders == []
        ((type, data),) = source.announced
        assert type == "lamppost.access.refused"
        assert data["channel"] == "http"
        assert data["from"] == "127.0.0.0/24"
        assert ADA not in json.dumps(data)

    asked(test)


def test_two_tokens_are_none() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        headers = [(key, value) for key, value in signed().items()] + [("Authorization", f"Bearer {BO}")]
        answer = await client.post("/orders", content=json.dumps(ORDER), headers=headers)
        assert answer.status_code == 401
        assert source.orders == []

    asked(test)


def test_a_person_may_not_what_is_not_given_to_them_and_it_is_recorded() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        answer = await give(client, headers=signed(BO))
        assert answer.status_code == 403
        assert answer.json()["error"].startswith("bo may not approve")
        assert source.orders == []
        assert source.announced == [
            ("lamppost.order.refused", {"channel": "http", "who": "bo", "reason": "may not approve"})
        ]

    asked(test)


def nested(depth: int) -> bytes:
    return b'{"id":' + depth * b"[" + depth * b"]" + b"}"


UNUSABLE: list[tuple[Any, str]] = [
    (b"", "an order is a JSON object"),
    (b"\xff\xfe", "an order is a JSON object"),
    (b"[]", "an order is a JSON object"),
    (b"null", "an order is a JSON object"),
    (nested(2000), "an order is a JSON object"),
    (b'{"id": "01234567", "id": "01234567"}', "a key stands there twice"),
    (json.dumps(ORDER).replace(str(ORDER["not_after"]), "NaN").encode(), "NaN is no number"),
    ({**ORDER, "who": "the mayor"}, "an order has no key 'who'"),
    ({**ORDER, "issuer": "the mayor"}, "an order has no key 'issuer'"),
    ({**ORDER, "order": "aprove"}, 'did you mean "approve"'),
    ({**ORDER, "target": "../../etc"}, '"target" is missing or no target'),
    ({**ORDER, "reason": " "}, '"reason" is missing'),
    ({**ORDER, "reason": "a\nb"}, '"reason" is one line'),
    ({**ORDER, "reason": "\ud800"}, '"reason" is one line'),
    ({**ORDER, "not_after": "soon"}, '"not_after" is a time'),
    ({**ORDER, "not_after": True}, '"not_after" is a time'),
    ({key: ORDER[key] for key in ORDER if key != "id"}, '"id" is missing'),
]


@pytest.mark.parametrize(("order", "said"), UNUSABLE)
def test_what_is_no_order_gets_a_sentence_and_is_recorded_with_whose_it_was(order: Any, said: str) -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        answer = await give(client, order)
        assert answer.status_code == 422, answer.text
        assert said in answer.json()["error"]
        assert len(answer.text) < 400
        assert source.orders == []
        ((type, data),) = source.announced
        assert type == "lamppost.order.refused"
        assert data["who"] == "ada.byrne"

    asked(test)


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"],
)
def test_only_json_is_read(kind: str) -> None:
    """A form on another site can send the other three without asking the browser."""

    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        headers = signed() | {"Content-Type": kind}
        answer = await client.post("/orders", content=json.dumps(ORDER), headers=headers)
        assert answer.status_code == 415
        assert "an order is application/json" in answer.json()["error"]
        assert source.orders == []

    asked(test)


def test_json_may_name_its_charset() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        headers = signed() | {"Content-Type": "Application/JSON; charset=utf-8"}
        assert (await client.post("/orders", content=json.dumps(ORDER), headers=headers)).status_code == 200

    asked(test)


def head(*lines: str, path: str = "/orders", method: str = "POST") -> bytes:
    fixed = (f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {ADA}")
    return "\r\n".join(
        (*fixed, "Content-Type: application/json", "Connection: close", *lines, "", "")
    ).encode()


@pytest.mark.parametrize(
    "request_head",
    [
        head(f"Content-Length: {LARGEST + 1}"),
        head("Content-Length: 99999999999999999999"),
        head("Transfer-Encoding: chunked"),
        head("Content-Length: 10", path="/"),
        head("Content-Length: 10", path="/orders/"),
        head("Content-Length: 10", path="/pending"),
        head("Content-Length: 10", method="PUT"),
        head("Content-Length: 10", method="GET"),
    ],
)
def test_the_door_opens_for_a_short_body_to_orders_alone_and_reads_no_other(request_head: bytes) -> None:
    async def main() -> None:
        source = Recorded()
        async with serving(source) as running:
            answer = await raw(running.port, request_head)
            assert answer.startswith(b"HTTP/1.1 413 "), answer[:60]
            assert source.orders == []

    asyncio.run(main())


def test_the_longest_order_is_still_an_order_and_one_byte_more_is_not() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        text = json.dumps(ORDER).encode()
        assert (await give(client, text.ljust(LARGEST))).status_code == 200
        assert (await give(client, text.ljust(LARGEST + 1))).status_code == 413

    asked(test)


def test_no_get_changes_anything() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        paths = (await client.get("/openapi.json")).json()["paths"]
        posts = [path for path, methods in paths.items() if set(methods) != {"get"}]
        assert posts == ["/orders"]
        for path in paths:
            filled = path.replace("{id}", 32 * "0").replace("{seq}", "1")
            for method in ("GET", "HEAD"):
                await client.request(method, filled, headers=signed(), params={"order": "approve"})
        assert (source.orders, source.announced) == ([], [])
        answer = await client.get("/orders")
        assert answer.status_code == 405
        assert answer.json()["error"] == "GET is not served here: orders are given with POST"

    asked(test)


def test_openapi_documents_orders() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        shape = (await client.get("/openapi.json")).json()
        post = shape["paths"]["/orders"]["post"]
        assert post["security"] == [{"token": []}]
        assert shape["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
        schema = post["requestBody"]["content"]["application/json"]["schema"]
        assert set(schema["required"]) == set(ORDER)
        assert set(schema["properties"]["order"]["enum"]) == set(OrderKind)
        assert set(post["responses"]) == {"200", "202", "401", "403", "409", "413", "415", "422", "429"}

    asked(test)


def test_pending_is_public_and_names_nobody() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        (ask,) = (await client.get("/pending")).json()["pending"]
        assert ask["id"] == ASK
        assert ask["commands"] == ["compactor on for 4s"]
        assert "who" not in ask

    asked(test)


# How often


def test_wrong_tokens_make_an_address_wait_and_a_good_one_passes_meanwhile() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        wrong = signed("lp_wrong")
        codes = [(await give(client, headers=wrong)).status_code for _ in range(orders.TRIES + 3)]
        assert codes == orders.TRIES * [401] + 3 * [429]
        answer = await give(client, headers=wrong)
        assert 1 <= int(answer.headers["retry-after"]) <= orders.WINDOW + 1
        assert "too many wrong tokens came from this address" in answer.json()["error"]
        assert (await give(client)).status_code == 200
        assert [data["times"] for _, data in source.announced] == [1, orders.TRIES]
        text = (await client.get("/metrics")).text
        assert f'refused_total{{reason="token"}} {orders.TRIES}.0' in text
        assert 'refused_total{reason="hurry"} 4.0' in text

    asked(test)


def test_one_person_s_orders_have_a_limit_and_another_s_count_apart() -> None:
    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        source.people[1].may = ("approve",)
        codes = [(await give(client)).status_code for _ in range(orders.ORDERS + 1)]
        assert codes == orders.ORDERS * [200] + [429]
        assert (await give(client, headers=signed(BO))).status_code == 200
        assert len(source.orders) == orders.ORDERS + 1

    asked(test)


class Clerk(Recorded):
    """Takes orders in no time, for the desk alone."""


def request(address: str, token: str = "lp_wrong") -> Any:
    scope = {
        "type": "http",
        "client": (address, 1),
        "headers": [(b"authorization", f"Bearer {token}".encode())],
    }
    return orders.Request(scope)


def turned_away(desk: orders.Desk, address: str) -> int:
    with pytest.raises(orders.HTTPException) as error:
        asyncio.run(desk.take(request(address)))
    return error.value.status_code


def test_an_address_may_try_again_after_the_window() -> None:
    now = [0.0]
    desk = orders.Desk(Clerk(), clock=lambda: now[0])
    for _ in range(orders.TRIES):
        assert turned_away(desk, "192.0.2.1") == 401
    now[0] = orders.WINDOW - 0.1
    assert turned_away(desk, "192.0.2.1") == 429
    assert turned_away(desk, "192.0.2.2") == 401
    now[0] = orders.WINDOW + 0.1
    assert turned_away(desk, "192.0.2.1") == 401


def test_a_network_of_ipv6_is_one_address() -> None:
    desk = orders.Desk(Clerk(), clock=lambda: 0.0)
    codes = [turned_away(desk, f"2001:db8::{n:x}") for n in range(orders.TRIES + 1)]
    assert codes == orders.TRIES * [401] + [429]
    assert turned_away(desk, "2001:db8:0:1::1") == 401


def test_strangers_fill_neither_the_records_nor_the_memory() -> None:
    clerk = Clerk()
    desk = orders.Desk(clerk, clock=lambda: 0.0)
    for n in range(orders.ADDRESSES + 200):
        turned_away(desk, f"10.0.{n // 250}.{n % 250}")
    assert len(clerk.announced) == orders.REPORTS
    assert len(desk._wrong) == orders.ADDRESSES
    assert {data["from"] for _, data in clerk.announced} == {"10.0.0.0/24"}


# What takes long


def test_who_waits_too_long_hears_that_it_is_under_way_and_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(orders, "PATIENCE", 0.1)
    done: list[str] = []

    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        async def submit(order: Order) -> Answer:
            await asyncio.sleep(0.4)
            done.append(order.id)
            return Answer(order.id, True, "at last", NOW)

        source.submit = submit  # type: ignore[method-assign]
        answer = await give(client)
        assert answer.status_code == 202
        assert answer.json()["accepted"] is None
        assert "not known yet" in answer.json()["said"]
        await asyncio.sleep(0.5)
        assert done == [ORDER["id"]]

    asked(test)


def test_a_client_that_leaves_does_not_stop_what_was_begun() -> None:
    async def main() -> None:
        source, begun, done = Recorded(), asyncio.Event(), asyncio.Event()

        async def submit(order: Order) -> Answer:
            begun.set()
            await asyncio.sleep(0.2)
            done.set()
            return Answer(order.id, True, "done", NOW)

        source.submit = submit  # type: ignore[method-assign]
        body = json.dumps(ORDER).encode()
        async with serving(source) as running:
            _, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(head(f"Content-Length: {len(body)}") + body)
            await begun.wait()
            writer.transport.abort()
            async with asyncio.timeout(2):
                await done.wait()

    asyncio.run(main())


def fuzzed(test: Callable[[httpx.AsyncClient, Recorded], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        source = Recorded()
        async with serving(source) as running, to(running.url) as client:
            await test(client, source)

    asyncio.run(main())


def test_mutated_orders_never_break_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets one of the answers that there are, and only what is an order to the letter goes on."""
    monkeypatch.setattr(orders, "ORDERS", 10**6)
    random = Random(20_261_122)
    whole = json.dumps(ORDER).encode()

    def mutated() -> bytes:
        data = bytearray(whole)
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(data))
            data[at : at + random.randint(0, 3)] = random.choice(
                [b"", b'"', b"}", b"\\u0000", b"1e999", b"[", b"\x00", b"\xff", random.randbytes(2)]
            )
        return bytes(data)

    async def test(client: httpx.AsyncClient, source: Recorded) -> None:
        for _ in range(40):
            answer = await give(client, mutated())
            assert answer.status_code in (200, 422)
            assert answer.json()
        for order in source.orders:
            assert order.issuer == "ada.byrne"
            assert order.reason.isprintable()

    fuzzed(test)
