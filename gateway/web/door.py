"""What every request passes on its way in and every answer on its way out."""

from collections import Counter
from email.utils import formatdate

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REFUSALS = {413: "body", 422: "parameter", 431: "length"}
"""Status codes that count as refused, and their reasons."""

HEAD = 8 * 1024
"""Bytes that the address and the headers of a request may have together."""


class Door:
    """Refuses bodies and long heads, answers HEAD like GET, counts answers, adds the headers of every answer.

    *policy* is the Content-Security-Policy. *answers* counts by status code, *refused* by reason.
    """

    def __init__(self, app: ASGIApp, policy: str, answers: Counter[int], refused: Counter[str]) -> None:
        self.app = app
        self.answers = answers
        self.refused = refused
        self.headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._mark(message)
            await send(message)

        if _has_body(Headers(scope=scope)):
            await _refuse(413, scope, receive, answer)
        elif _length(scope) > HEAD:
            await _refuse(431, scope, receive, answer)
        elif scope["method"] == "HEAD":  # the server itself leaves out the body
            await self.app({**scope, "method": "GET"}, receive, answer)
        else:
            await self.app(scope, receive, answer)

    def _mark(self, message: Message) -> None:
        status = message["status"]
        self.answers[status] += 1
        if status in REFUSALS:
            self.refused[REFUSALS[status]] += 1
        headers = MutableHeaders(scope=message)
        headers.update({**self.headers, "Date": formatdate(usegmt=True)})


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0").strip("0") != "" or "transfer-encoding" in headers


def _length(scope: Scope) -> int:
    head = len(scope["raw_path"]) + len(scope["query_string"])
    return head + sum(len(name) + len(value) for name, value in scope["headers"])


async def _refuse(status: int, scope: Scope, receive: Receive, send: Send) -> None:
    said = {
        413: "requests have no body here; send the parameters in the address",
        431: f"the address and the headers are longer than {HEAD} bytes",
    }
    answer = JSONResponse({"error": said[status]}, status, {"Connection": "close"})
    await answer(scope, receive, send)
