"""`lamppost approve` and the other orders: a person's word to a running gateway, over HTTP."""

import http.client
import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from gateway import config
from gateway.reading import OrderKind, new_id

ACCEPTED, REFUSED, BAD_INPUT = 0, 1, 2
"""Exit status of an order; also 1 where no gateway answers."""

GOOD_FOR = 60.0
"""Seconds after which an order that is still on its way is too late."""

PATIENCE = 15.0
"""Seconds that a gateway has for its answer: more than it takes to say that it does not know yet."""

TOKEN = "LAMPPOST_TOKEN"
"""The environment variable that holds the person's token."""

LARGEST = 1 << 20


class BadInput(ValueError):
    """What was given cannot be an order; the text says why."""


class Unheard(OSError):
    """No gateway answered; the text says what to do."""


class _Nowhere(HTTPRedirectHandler):
    """Follows no redirection: it would carry the token to another place."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def order(url: str, token_file: Path | None, wish: Mapping[str, Any]) -> int:
    """Send one order and print the answer; return the exit status."""
    try:
        token = _token(token_file)
        status, answer = _ask(url, "/orders", token, _body(wish))
    except BadInput as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except Unheard as error:
        print(error, file=sys.stderr)
        return REFUSED
    said = str(answer.get("said") or answer.get("error") or f"the answer was {status}")
    if status == http.client.OK:
        print(f"Done: {said}.")
        return ACCEPTED
    if status == http.client.ACCEPTED:
        print(f"{_sentence(said)} Its id is {answer.get('order', '')}.", file=sys.stderr)
        return REFUSED
    print(f"Refused: {said}.", file=sys.stderr)
    return BAD_INPUT if status in (413, 415, 422) else REFUSED


def pending(url: str, as_json: bool) -> int:
    """Print what waits for a person; return the exit status."""
    try:
        status, answer = _ask(url, "/pending")
    except BadInput as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except Unheard as error:
        print(error, file=sys.stderr)
        return REFUSED
    asks = answer.get("pending")
    if status != http.client.OK or not isinstance(asks, list):
        print(f"{url} does not say what is pending: {answer.get('error', status)}", file=sys.stderr)
        return REFUSED
    if as_json:
        print(json.dumps(asks, ensure_ascii=False))
    else:
        print("\n".join(map(_ask_in_words, asks)) or "Nothing waits for a person.")
    return ACCEPTED


def wish(
    kind: OrderKind, target: str, reason: str, value: str | None, length: float | None, until: float | None
) -> dict[str, Any]:
    """Return an order as it is sent: good for a minute, to end *length* [s] from now or *until* [s, Unix]."""
    now = time.time()
    end = until if length is None else now + length
    shape = {"id": new_id(), "order": str(kind), "target": target, "reason": reason}
    more = {"not_after": now + GOOD_FOR, "value": value, "until": end}
    return shape | {key: part for key, part in more.items() if part is not None}


def seconds(text: str) -> float:
    """Return a length of time such as `10m` in seconds. Raises ValueError with a sentence."""
    found = config.duration(text)
    if not isinstance(found, float) or found <= 0:
        raise ValueError(f'"{text}" is no length of time; write it as 90s, 10m, 2h or 7d')
    return found


def _body(wish: Mapping[str, Any]) -> bytes:
    """Return *wish* as JSON. Raises BadInput for what no gateway would take."""
    if not str(wish["reason"]).strip():
        raise BadInput("say why: --reason goes into the record of this order")
    return json.dumps(wish).encode()


def _token(file: Path | None) -> str:
    """Return the person's token. Raises BadInput."""
    if file is None:
        token = os.environ.get(TOKEN, "")
        where = f"the environment variable {TOKEN}"
    else:
        where = str(file)
        try:
            token = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{file} has no token that can be read: {error}") from error
    token = token.strip()
    if not token:
        raise BadInput(f"an order needs your token: in --token-file, or in {TOKEN}; {where} has none")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadInput(f"what {where} has is no token")
    return token


def _ask(
    url: str, path: str, token: str | None = None, body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    """Return the status and the answer of the gateway at *url*. Raises BadInput, Unheard."""
    headers = {"Accept": "application/json"}
    if token is not None:
        _refuse_plain_text(url)
        headers |= {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadInput(f"{url} is no address of a gateway; it begins with http:// or https://")
    request = Request(url.rstrip("/") + path, body, headers)
    try:
        with build_opener(_Nowhere).open(request, timeout=PATIENCE) as answer:
            return int(answer.status), _shape(answer.read(LARGEST))
    except HTTPError as error:
        with error:
            return error.code, _shape(error.read(LARGEST))
    except (URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        sent = "" if body is None else " What became of the order is not known: see what it decided."
        said = f"no gateway answers at {url}: {reason}. Is it running, and is --url right?{sent}"
        raise Unheard(said) from error


def _refuse_plain_text(url: str) -> None:
    """A token that travels in plain text is everybody's."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not _loopback(parts.hostname or ""):
        said = f"your token would travel to {parts.hostname} in plain text: use https://, or a tunnel"
        raise BadInput(said)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shape(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _ask_in_words(ask: Mapping[str, Any]) -> str:
    """Return what waits, for the terminal: nothing in it can steer that."""
    end = datetime.fromtimestamp(float(ask.get("until") or 0), UTC).astimezone()
    then = "acts" if ask.get("then") == "acts" else "lapses"
    what = "; ".join(map(str, ask.get("commands", ())))
    said = f"{ask.get('id')}  {what} (rule {ask.get('rule')}): {then} at {end:%H:%M:%S}"
    return "".join(each if each.isprintable() else "?" for each in said)


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}."
