"""The HTTP views. All of them only read: nothing that HTTP can say moves an actuator."""

from collections import Counter
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from gateway.web.door import Door
from gateway.web.metrics import Metrics
from gateway.web.page import POLICY, page
from gateway.web.window import ReadingsWindow, Window, asked, asked_id, id_parameter, parameters


class Source(Protocol):
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
    metrics = Metrics(source.status, answers, refused)
    app = FastAPI(
        title="Lamppost",
        version=source.status()["version"],
        description="A city sensor gateway. Everything here can only be read.",
        docs_url=None,  # it would load its script from another server
        redoc_url=None,
        exception_handlers={HTTPException: _refusal},
    )
    app.state.refused = refused
    app.add_middleware(Door, policy=POLICY, answers=answers, refused=refused)
    _add_health(app, source, metrics)
    _add_records(app, source)
    return app


def _add_health(app: FastAPI, source: Source, metrics: Metrics) -> None:
    @app.get("/", response_class=HTMLResponse, summary="The page, for people")
    async def show() -> HTMLResponse:
        return HTMLResponse(page(source.status(), source.explain))

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
        return PlainTextResponse(metrics.text(), media_type=metrics.media_type)


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
        return JSONResponse({**body, "explanation": source.explain(body)})


async def _refusal(request: Request, error: Exception) -> JSONResponse:
    """Answer what no view serves with a sentence."""
    assert isinstance(error, HTTPException)
    said = {
        404: f"there is nothing at {request.url.path[:80]}; /openapi.json lists what there is",
        405: f"{request.method} is not served here: everything can only be read (GET, HEAD)",
    }
    default = (
        error.detail if error.detail not in ("Not Found", "Method Not Allowed") else said[error.status_code]
    )
    return JSONResponse({"error": default}, error.status_code, error.headers)
