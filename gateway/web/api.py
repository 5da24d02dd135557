"""The HTTP views. All of them only read, but one: an order, which a person signs with a token."""

from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from gateway.orders import LARGEST
from gateway.web import orders
from gateway.web.door import Door
from gateway.web.live import live, nameless
from gateway.web.page import POLICY, page
from gateway.web.window import (
    ReadingsWindow,
    Sizes,
    Window,
    asked,
    asked_id,
    asked_seq,
    id_parameter,
    parameters,
    seq_parameter,
)

if TYPE_CHECKING:
    from gateway.web.metrics import Metrics


class Source(orders.Office, Protocol):
    """What the views show. Ages and `since` are in seconds; `time` and `mqtt.since` are Unix time."""

    def status(self) -> dict[str, Any]:
        """Return the whole state of the gateway, cheaply and without waiting; the page shows all of it."""
        ...

    async def readings(self, device: str | None, limit: int, before: int | None) -> list[dict[str, Any]]:
        """Return stored readings, newest first, *before* a sequence number."""
        ...

    async def decisions(self, limit: int, before: int | None) -> list[dict[str, Any]]:
        """Return recorded decisions, newest first, *before* a sequence number."""
        ...

    async def decision(self, id: str) -> dict[str, Any] | None:
        """Return one decision, or None."""
        ...

    async def place(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return a decision's place in the ledger: `seq`, `leaf`, `holds`, `text`, `ledger`; or None."""
        ...

    def ledger(self) -> dict[str, Any]:
        """Return where the ledger ends, and its last checkpoint, from memory."""
        ...

    async def proof(self, seq: int) -> dict[str, Any] | None:
        """Return the proof that a record is under the last checkpoint, or None. Raises ValueError."""
        ...

    async def consistency(self, old: int, new: int) -> dict[str, Any] | None:
        """Return the proof that *old* records begin *new*, or None. Raises ValueError."""
        ...

    def register(self, output: str) -> dict[str, Any] | None:
        """Return one output of the register: notice, dtpr, atrs, nl or sensors; None where there is none."""
        ...

    def pending(self) -> list[dict[str, Any]]:
        """Return what waits for a person: `id`, `rule`, `mode`, `commands`, `until`, `then` of each."""
        ...

    def ready(self) -> tuple[bool, list[str]]:
        """Return whether the gateway does its work, and if not, why, in sentences."""
        ...

    def explain(self, body: dict[str, Any]) -> str:
        """Return in plain words why a decision was taken."""
        ...


def build(source: Source) -> FastAPI:
    """Return the views of *source* as an ASGI application."""
    answers: Counter[int] = Counter()
    refused: Counter[str] = Counter()
    app = FastAPI(
        title="Lamppost",
        version=source.status()["version"],
        description="A city sensor gateway. Everything here can only be read, but /orders.",
        docs_url=None,  # it would load its script from another server
        redoc_url=None,
        exception_handlers={HTTPException: _refusal},
    )
    app.state.refused = refused
    bodies = {ORDERS: LARGEST}
    app.add_middleware(Door, policy=POLICY, answers=answers, refused=refused, bodies=bodies)
    _add_health(app, source, Gauges(source, answers, refused))
    _add_register(app, source)
    _add_orders(app, source)
    _add_records(app, source)
    _add_ledger(app, source)
    return app


@dataclass
class Gauges:
    """The metrics, once somebody asks for them: what they need is 1 MB that most poles never use."""

    source: Source
    answers: Counter[int]
    refused: Counter[str]

    @cached_property
    def metrics(self) -> "Metrics":
        """What Prometheus is told."""
        from gateway.web.metrics import Metrics

        return Metrics(self.source.status, self.answers, self.refused)


def _add_health(app: FastAPI, source: Source, gauges: Gauges) -> None:
    @app.get("/", response_class=HTMLResponse, summary="The page, for people")
    async def show() -> HTMLResponse:
        return HTMLResponse(page(source.status(), source.explain, source.register("notice")))

    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> JSONResponse:
        return JSONResponse({"alive": True})

    @app.get("/readyz", summary="The gateway does its work; an unreachable broker does not count against it")
    async def readyz() -> JSONResponse:
        ready, reasons = source.ready()
        shape = {"ready": ready, "reasons": reasons, "broker": source.status()["mqtt"]["state"]}
        return JSONResponse(shape, 200 if ready else 503)

    @app.get("/status", summary="Everything that the page shows")
    async def status() -> JSONResponse:
        return JSONResponse(source.status())

    @app.get("/metrics", response_class=PlainTextResponse, summary="The same for Prometheus")
    async def measures() -> PlainTextResponse:
        return PlainTextResponse(gauges.metrics.text(), media_type=gauges.metrics.media_type)


REGISTER = {
    "dtpr": "Sign data for Digital Trust for Places and Routines (DTPR)",
    "atrs": "A record for the UK Algorithmic Transparency Recording Standard",
    "algoritmeregister": "An entry for the Dutch register of algorithms, publication standard 1.0",
    "sensors": "A notification for a register of sensors",
}
"""Where each record of the register stands, below /register/, and what it is."""

ORDERS = "/orders"


def _add_register(app: FastAPI, source: Source) -> None:
    def kept(output: str) -> dict[str, Any]:
        found = source.register(output)
        if found is None:
            raise HTTPException(404, "this pole has no register: [register] file names one")
        return found

    @app.get("/register", summary="The notice as data: what, why, who, until when, and what is so now")
    async def notice() -> JSONResponse:
        found = kept("notice")
        return JSONResponse({**found, "live": live(source.status(), found, source.explain)})

    @app.get("/register/qr.svg", response_class=Response, summary="The QR code of the pole's public page")
    async def qr() -> Response:
        from gateway.web.qr import code

        found = kept("notice")
        if not found["url"]:
            raise HTTPException(404, "the register has no url, so there is no QR code of it")
        return Response(code(found["url"], found["name"]), media_type="image/svg+xml")

    def add(name: str, summary: str) -> None:
        @app.get(f"/register/{name}.json", summary=summary, operation_id=f"register_{name}")
        async def record() -> JSONResponse:
            return JSONResponse(kept("nl" if name == "algoritmeregister" else name))

    for name, summary in REGISTER.items():
        add(name, summary)


def _add_orders(app: FastAPI, source: Source) -> None:
    desk = orders.Desk(source)

    @app.get("/pending", summary="What waits for a person to approve or to veto")
    async def pending() -> JSONResponse:
        return JSONResponse({"pending": [nameless(ask) for ask in source.pending()]})

    @app.post(ORDERS, summary="Give an order, with a person's token", openapi_extra=orders.described())
    async def order(request: Request) -> JSONResponse:
        return await desk.take(request)

    plain = app.openapi

    def openapi() -> dict[str, Any]:
        shape = plain()
        token = {
            "type": "http",
            "scheme": "bearer",
            "description": "A person's own; lamppost token makes one.",
        }
        shape.setdefault("components", {}).setdefault("securitySchemes", {})["token"] = token
        return shape

    app.openapi = openapi  # type: ignore[method-assign]


def _add_records(app: FastAPI, source: Source) -> None:
    @app.get("/readings", summary="Stored readings, newest first", openapi_extra=parameters(ReadingsWindow))
    async def readings(request: Request) -> JSONResponse:
        window = asked(request, ReadingsWindow)
        return JSONResponse({"readings": await source.readings(window.device, window.limit, window.before)})

    @app.get("/decisions", summary="Recorded decisions, newest first", openapi_extra=parameters(Window))
    async def decisions(request: Request) -> JSONResponse:
        window = asked(request, Window)
        return JSONResponse({"decisions": await source.decisions(window.limit, window.before)})

    @app.get("/decisions/{id}", summary="One decision, and why it was taken", openapi_extra=id_parameter())
    async def decision(request: Request) -> JSONResponse:
        id = asked_id(request)
        body = await source.decision(id)
        if body is None:
            raise HTTPException(404, f"there is no decision {id} here; it may be older than what is kept")
        place = await source.place(body)
        held = {"leaf": place["leaf"], "record": place, "check": _CHECK} if place else {}
        return JSONResponse({**body, "explanation": source.explain(body), **held})


_CHECK = (
    "record.text is the record to the letter. SHA-256 of a zero byte and that text must be leaf. "
    "/ledger/proof/ and its seq gives a proof that leaf is under the signed checkpoint (RFC 6962)."
)


def _add_ledger(app: FastAPI, source: Source) -> None:
    @app.get(
        "/ledger", summary="The ledger of decisions: how long it is, its root, its last signed checkpoint"
    )
    async def ledger() -> JSONResponse:
        return JSONResponse(source.ledger())

    @app.get(
        "/ledger/proof/{seq}",
        summary="That a record is under the last checkpoint (RFC 6962, inclusion)",
        openapi_extra=seq_parameter(),
    )
    async def proof(request: Request) -> JSONResponse:
        seq = asked_seq(request)
        found = await _proven(source.proof(seq))
        if found is None:
            raise HTTPException(404, f"record {seq} is under no checkpoint yet; /ledger says how many are")
        return JSONResponse(found)

    @app.get(
        "/ledger/consistency",
        summary="That the ledger was only ever added to (RFC 6962, consistency)",
        openapi_extra=parameters(Sizes),
    )
    async def consistency(request: Request) -> JSONResponse:
        sizes = asked(request, Sizes)
        found = await _proven(source.consistency(sizes.old, sizes.new))
        if found is None:
            said = f"the ledger has no {sizes.old} records that {sizes.new} begin with; /ledger says how many"
            raise HTTPException(404, said)
        return JSONResponse(found)


async def _proven(proof: Awaitable[dict[str, Any] | None]) -> dict[str, Any] | None:
    try:
        return await proof
    except ValueError as error:
        raise HTTPException(409, f"this cannot be proven: {error}") from None


async def _refusal(request: Request, error: Exception) -> JSONResponse:
    """Answer what no view serves with a sentence."""
    assert isinstance(error, HTTPException)
    only = (
        "orders are given with POST"
        if request.url.path == ORDERS
        else "everything can only be read (GET, HEAD)"
    )
    said = {
        404: f"there is nothing at {request.url.path[:80]}; /openapi.json lists what there is",
        405: f"{request.method} is not served here: {only}",
    }
    default = (
        error.detail if error.detail not in ("Not Found", "Method Not Allowed") else said[error.status_code]
    )
    return JSONResponse({"error": default}, error.status_code, error.headers)
