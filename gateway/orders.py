"""Orders as people send them: JSON to a checked Order, whatever way it came.

{"id": "9f2c...", "order": "override", "target": "siren", "value": "off", "until": 1795380000,
 "reason": "test of the siren is over", "not_after": 1795374960}
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.reading import Order, OrderKind
from gateway.toml import did_you_mean

LARGEST = 4096
"""Bytes that an order may have."""

ISSUER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""What names a person or a service that gives orders: also the last level of a topic."""

KEYS = ("id", "order", "target", "reason", "not_after", "value", "until")
"""What an order may say."""

_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_TARGET = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TIMES = (0.0, 1e11)
_VALUES = {OrderKind.OVERRIDE: ("on", "off"), OrderKind.MODE: ("shadow", "in", "on", "off")}
_END = r"(?:\d{1,16}|@\d{1,11}(?:\.\d{1,6})?)"
_RANGE = re.compile(rf"{_END}\.\.{_END}", re.ASCII)
_FOR_A_TIME = (OrderKind.OVERRIDE, OrderKind.MODE, OrderKind.SHELVE)


class Malformed(ValueError):
    """This is no order, and why. *id* is the order's, where that much could be read."""

    def __init__(self, message: str, id: str = "") -> None:
        super().__init__(message)
        self.id = id


def parse(payload: bytes, issuer: str, channel: str) -> Order:
    """Return the order that *payload* is, given by *issuer* on *channel*. Raises Malformed."""
    if len(payload) > LARGEST:
        raise Malformed(f"an order has at most {LARGEST} bytes, this has {len(payload)}")
    if ISSUER.fullmatch(issuer) is None:
        raise Malformed("nobody can be called that: letters, digits and . _ @ -, at most 64")
    try:
        shape = json.loads(payload, parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"an order is a JSON object: {error}") from error
    if not isinstance(shape, dict):
        raise Malformed("an order is a JSON object")
    known = shape.get("id")
    try:
        return _order(shape, issuer, channel)
    except Malformed as error:
        raise Malformed(
            str(error), known if isinstance(known, str) and _ID.fullmatch(known) else ""
        ) from error


def _order(shape: Mapping[str, Any], issuer: str, channel: str) -> Order:
    for key in shape:
        if key not in KEYS:
            raise Malformed(f"an order has no key {key[:40]!a}{did_you_mean(key, KEYS)}")
    kind = _kind(shape.get("order"))
    order = Order(
        id=_matching(shape, "id", _ID, "8 to 64 letters, digits, - and _, never used before"),
        kind=kind,
        target=_matching(shape, "target", _TARGET, "the id of an ask, an actuator or a rule, or a lane"),
        issuer=issuer,
        reason=_reason(shape.get("reason")),
        not_after=_time(shape, "not_after"),
        channel=channel,
        value=_value(kind, shape.get("value")),
        until=_time(shape, "until") if "until" in shape else None,
    )
    if kind in _FOR_A_TIME and order.until is None:
        raise Malformed(f'{kind} is for a time: say "until", in seconds since 1970')
    if kind not in _FOR_A_TIME and order.until is not None:
        raise Malformed(f'{kind} has no "until"')
    return order


def _kind(given: Any) -> OrderKind:
    try:
        return OrderKind(given)
    except ValueError:
        near = did_you_mean(str(given)[:40], OrderKind) or f"; there are: {', '.join(OrderKind)}"
        raise Malformed(f'"order" says what is asked: there is no {str(given)[:40]!a}{near}') from None


def _value(kind: OrderKind, given: Any) -> str | None:
    if kind is OrderKind.REPLAY:
        if not isinstance(given, str) or _RANGE.fullmatch(given) is None:
            raise Malformed('the "value" of replay is a range: 4711..5000, or @1795374807..@1795374907')
        return given
    allowed = _VALUES.get(kind)
    if allowed is None:
        if given is not None:
            raise Malformed(f'{kind} has no "value"')
        return None
    if given not in allowed:
        raise Malformed(f'the "value" of {kind} is {", ".join(allowed[:-1])} or {allowed[-1]}')
    return str(given)


def ends(value: str) -> tuple[int | float, int | float]:
    """Return the ends of a range that `parse` let through: numbers (int), or times [s, Unix] (float)."""
    first, _, last = value.partition("..")
    return _end(first), _end(last)


def _end(text: str) -> int | float:
    return float(text[1:]) if text.startswith("@") else int(text)


def _matching(shape: Mapping[str, Any], key: str, form: re.Pattern[str], what: str) -> str:
    given = shape.get(key)
    if not isinstance(given, str) or form.fullmatch(given) is None:
        raise Malformed(f'"{key}" is missing or no {key}: {what}')
    return given


def _reason(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise Malformed('"reason" is missing: say why, in a few words')
    if len(given) > 500 or not given.isprintable():
        raise Malformed('"reason" is one line of at most 500 characters')
    return given.strip()


def _time(shape: Mapping[str, Any], key: str) -> float:
    given = shape.get(key)
    if isinstance(given, int | float) and not isinstance(given, bool) and _TIMES[0] < given < _TIMES[1]:
        return float(given)
    raise Malformed(f'"{key}" is a time in seconds since 1970')


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says one thing twice: two readers could take it for two orders."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found
