"""The HTTP views. All of them only read: nothing that HTTP can say moves an actuator."""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from gateway.web.door import Door
from gateway.web.metrics import Metrics
from gateway.web.page import POLICY, page


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


class _Window(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000, description="Most records to return, newest first.")
    before: int | None = Field(None, ge=1, lt=2**63, description="Only records before this sequence number.")


class _ReadingsWindow(_Window):
    device: str | None = Field(
        None, pattern="^[a-z][a-z0-9_]*$", max_length=40, description="Only this device's."
    )


Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="A decision's id, 32 hexadecimal digits.")]


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
        exception_handlers={RequestValidationError: _unusable, HTTPException: _refusal},
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
    @app.get("/readings", summary="Stored readings, newest first")
    async def readings(window: Annotated[_ReadingsWindow, Query()]) -> JSONResponse:
        return JSONResponse({"readings": await source.readings(window.device, window.limit, window.before)})

    @app.get("/decisions", summary="Recorded decisions, newest first")
    async def decisions(window: Annotated[_Window, Query()]) -> JSONResponse:
        return JSONResponse({"decisions": await source.decisions(window.limit, window.before)})

    @app.get("/decisions/{id}", summary="One decision, and in words why it was taken")
    async def decision(id: Id) -> JSONResponse:
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


async def _unusable(request: Request, error: Exception) -> JSONResponse:
    """Answer parameters that cannot be used with a sentence for each."""
    assert isinstance(error, RequestValidationError)
    known = ["before", "limit", *(["device"] if request.url.path == "/readings" else [])]
    return JSONResponse({"error": "; ".join(_sentence(problem, known) for problem in error.errors())}, 422)


def _sentence(problem: Mapping[str, Any], known: Sequence[str]) -> str:
    name = str(problem["loc"][-1])[:40]
    if problem["type"] == "extra_forbidden":
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
        return f"there is no parameter {name!r}; {hint}"
    rule = problem["msg"].split(", ")[0].replace("Input should", "must").replace("String should", "must")
    return f"{name} {rule}; {str(problem['input'])[:40]!r} is not usable"
