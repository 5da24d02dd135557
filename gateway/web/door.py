"""What every request passes on its way in and every answer on its way out."""

from collections import Counter
from collections.abc import Mapping
from email.utils import formatdate

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REFUSALS = {
    401: "token",
    403: "permission",
    413: "body",
    415: "type",
    422: "parameter",
    429: "hurry",
    431: "length",
}
"""Status codes that count as refused, and their reasons."""

HEAD = 8 * 1024
"""Bytes that the address and the headers of a request may have together."""


class Door:
    """Refuses bodies and long heads, answers HEAD like GET, counts answers, adds the headers of every answer.

    *policy* is the Content-Security-Policy. *answers* counts by status code, *refused* by reason. *bodies*
    has the most bytes that a POST to a path may bring; to any other, none.
    """

    def __init__(
        self,
        app: ASGIApp,
        policy: str,
        answers: Counter[int],
        refused: Counter[str],
        bodies: Mapping[str, int],
    ) -> None:
        self.app = app
        self.bodies = bodies
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

        most = self.bodies.get(scope["path"], 0) if scope["method"] == "POST" else 0
        if not _fits(Headers(scope=scope), most):
            await _refuse(413, scope, receive, answer, most)
        elif _length(scope) > HEAD:
            await _refuse(431, scope, receive, answer, most)
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


def _fits(headers: Headers, most: int) -> bool:
    """Return whether the body has at most *most* bytes, and says so beforehand."""
    length = headers.get("content-length", "0").lstrip("0")
    if "transfer-encoding" in headers or not all(digit in "0123456789" for digit in length):
        return False
    return len(length) <= len(str(most)) and int(length or "0") <= most


def _length(scope: Scope) -> int:
    head = len(scope["raw_path"]) + len(scope["query_string"])
    return head + sum(len(name) + len(value) for name, value in scope["headers"])


async def _refuse(status: int, scope: Scope, receive: Receive, send: Send, most: int) -> None:
    none = "requests have no body here; send the parameters in the address"
    said = {
        413: f"an order has at most {most} bytes, and says how many (Content-Length)" if most else none,
        431: f"the address and the headers are longer than {HEAD} bytes",
    }
    answer = JSONResponse({"error": said[status]}, status, {"Connection": "close"})
    await answer(scope, receive, send)
