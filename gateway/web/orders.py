"""Orders over HTTP: the only thing that a request can ask for that is not just read.

An order needs a person's bearer token. There are no cookies, so no other site can send one in somebody's
name. What it may do is for the control to say: here it is only who, in what shape, and how often.
"""

import asyncio
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, NoReturn, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.orders import KEYS, LARGEST, Malformed, parse
from gateway.reading import Answer, Order, OrderKind
from gateway.web.window import UNUSABLE

CHANNEL = "http"
WINDOW, TRIES, ORDERS = 60.0, 5, 30
"""Seconds; wrong tokens from one address in them before it must wait; orders of one person in them."""

REPORTS = 10
"""Records of refused strangers in a WINDOW: with more addresses than that, only the count goes on."""

ADDRESSES = 1024
"""Addresses that are remembered."""

PATIENCE = 10.0
"""Seconds after which a person hears that an order is still under way."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,200}=*")

_JSON = "application/json"


class Person(Protocol):
    """Somebody whose token is good."""

    @property
    def name(self) -> str:
        """Return who it is."""
        ...

    def allowed(self, kind: OrderKind) -> bool:
        """Return whether this person may give such orders."""
        ...


class Office(Protocol):
    """Who takes orders."""

    def who(self, token: str) -> Person | None:
        """Return whose token it is, in a time that does not depend on how wrong it is."""
        ...

    async def submit(self, order: Order) -> Answer:
        """Record the order, carry it out at most once, and say what became of it."""
        ...

    def announce(self, type: str, data: Mapping[str, Any]) -> None:
        """Record an event."""
        ...


@dataclass
class Desk:
    """Takes orders from HTTP, and counts who may not."""

    office: Office
    clock: Callable[[], float] = time.monotonic
    _wrong: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _given: dict[str, deque[float]] = field(default_factory=dict)
    _reports: deque[float] = field(default_factory=deque)
    _running: set[asyncio.Task[Answer]] = field(default_factory=set)

    async def take(self, request: Request) -> JSONResponse:
        """Answer one order. Raises HTTPException with a sentence for whatever is no order."""
        person = self._person(request)
        order = self._read(await _body(request), person)
        if not person.allowed(order.kind):
            self._refuse(person, f"may not {order.kind}")
            said = f"{person.name} may not {order.kind}; the gateway's file of people says who may"
            raise HTTPException(403, said)
        return await self._submit(order)

    async def _submit(self, order: Order) -> JSONResponse:
        """Hand the order on. A client that leaves does not stop what was begun."""
        task = asyncio.ensure_future(self.office.submit(order))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait({task}, timeout=PATIENCE)
        if not done:
            said = "it is not known yet what becomes of this order; send it again with the same id to hear"
            return JSONResponse({"order": order.id, "accepted": None, "said": said}, 202)
        answer = task.result()
        return JSONResponse(asdict(answer), 200 if answer.accepted else 409)

    def _person(self, request: Request) -> Person:
        """Return whose token the request carries.

        A good token passes even while its address must wait: behind a proxy all have one address, and a
        stranger must not be able to lock everybody out.
        """
        address = request.client.host if request.client else ""
        given = request.headers.getlist("authorization")
        token = _token(given[0]) if len(given) == 1 else None
        person = self.office.who(token) if token else None
        if person is None:
            self._turn_away(address, "a wrong token" if given else "no token")
        elif (wait := _crowded(self._given.setdefault(person.name, deque()), ORDERS, self.clock())) > 0:
            raise _later(f"{person.name} has given {ORDERS} orders within {WINDOW:g} s", wait)
        return person

    def _turn_away(self, address: str, why: str) -> NoReturn:
        tries = self._tries(address)
        wait = _crowded(tries, TRIES, self.clock())
        if wait == 0 and len(tries) in (1, TRIES):
            self._report(address, why, len(tries))
        if wait > 0:
            raise _later("too many wrong tokens came from this address", wait)
        said = f"this takes a person's token, in the header Authorization: Bearer; there was {why}"
        raise HTTPException(401, said, {"WWW-Authenticate": 'Bearer realm="lamppost"'})

    def _tries(self, address: str) -> deque[float]:
        """Return when wrong tokens came from *address*; of IPv6, from its network, which is one's own."""
        key = _network(address, 32, 64)
        tries = self._wrong.setdefault(key, deque())
        self._wrong.move_to_end(key)
        if len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)
        return tries

    def _report(self, address: str, why: str, times: int) -> None:
        """Record that a stranger was refused: not the address itself, which may be a person's."""
        if _crowded(self._reports, REPORTS, self.clock()) == 0:
            near = _network(address, 24, 48)
            data = {"channel": CHANNEL, "from": near, "reason": why, "times": times}
            self.office.announce("lamppost.access.refused", data)

    def _refuse(self, person: Person, why: str) -> None:
        data = {"channel": CHANNEL, "who": person.name, "reason": why}
        self.office.announce("lamppost.order.refused", data)

    def _read(self, body: bytes, person: Person) -> Order:
        """Return the order that *body* is. Raises HTTPException, recorded with whose it is."""
        try:
            return parse(body, person.name, CHANNEL)
        except Malformed as error:
            self._refuse(person, str(error))
            raise HTTPException(UNUSABLE, str(error)) from None


def _crowded(times: deque[float], most: int, now: float) -> float:
    """Count one more at *now* and return 0; or, with *most* in the WINDOW before, how long to wait [s]."""
    while times and times[0] <= now - WINDOW:
        times.popleft()
    if len(times) >= most:
        return times[0] + WINDOW - now
    times.append(now)
    return 0.0


def _later(why: str, wait: float) -> HTTPException:
    seconds = str(int(wait) + 1)
    return HTTPException(429, f"{why}: wait {seconds} s", {"Retry-After": seconds})


def _token(header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    return token if scheme.lower() == "bearer" and _TOKEN.fullmatch(token) else None


def _network(address: str, short: int, long: int) -> str:
    try:
        kind = ip_address(address)
    except ValueError:
        return "unknown"
    return str(ip_network((kind, short if kind.version == 4 else long), strict=False))


async def _body(request: Request) -> bytes:
    """Return the body, of which the door has seen that it is short."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise HTTPException(415, f"an order is {_JSON}; {kind[:40] or 'nothing'} is not read")
    return await request.body()


_TIME = {"type": "number", "description": "Seconds since 1970, UTC."}
_PROPERTIES: Mapping[str, Mapping[str, Any]] = {
    "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$", "description": "Carried out at most once."},
    "order": {"type": "string", "enum": list(OrderKind)},
    "target": {"type": "string", "description": "A pending ask, an actuator, a compactor, a rule or a lane."},
    "reason": {"type": "string", "maxLength": 500, "description": "Why, for the record."},
    "not_after": {**_TIME, "description": "Too late from then on, in seconds since 1970."},
    "value": {
        "type": "string",
        "description": "on, off, shadow or in; of a replay a range: 4711..5000, or @1795374807..@1795374907.",
    },
    "until": {**_TIME, "description": "The end of an override, a mode or a shelf, in seconds since 1970."},
}


def described() -> dict[str, Any]:
    """Return what OpenAPI says of an order."""
    said = {
        200: "Accepted and carried out, or begun.",
        202: "Recorded or waiting; what becomes of it is not known yet.",
        401: "No good token.",
        403: "This person may not give such an order.",
        409: "Refused: late, repeated, or not possible now. `said` has why.",
        413: f"Longer than {LARGEST} bytes, or of unknown length.",
        415: f"Not {_JSON}.",
        422: "Not an order.",
        429: "Too many at once; Retry-After has the seconds.",
    }
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": list(KEYS[:5]),
        "properties": {name: _PROPERTIES[name] for name in KEYS},
    }
    return {
        "security": [{"token": []}],
        "requestBody": {"required": True, "content": {_JSON: {"schema": schema}}},
        "responses": {str(status): {"description": text} for status, text in said.items()},
    }
