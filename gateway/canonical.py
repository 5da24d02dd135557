"""JSON with one spelling (RFC 8785): the same content has the same digest, whoever wrote it down."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, NoReturn

EXACT = 2**53
"""Beyond this a JSON number is no longer exact (RFC 8785, appendix D)."""

DEPTH = 64
"""Levels that a document may be nested: more than anything of ours, too few to exhaust the stack."""


def digest(document: Any) -> str:
    """Return the SHA-256 of the document's canonical JSON, in hexadecimal. Raises what `canonical` does."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def canonical(value: Any, depth: int = DEPTH) -> str:
    """Return RFC 8785's text of what json and tomllib give: keys in order, no spaces; a date as its ISO text.

    Raises ValueError for what JSON cannot carry: NaN, infinity, whole numbers beyond 2**53, half a surrogate
    pair, a key that is no text, a type that JSON does not have, and more than *depth* levels.
    """
    match value:
        case None | bool():
            return "null" if value is None else "true" if value else "false"
        case str():
            return _text(value)
        case int() | float():
            return number(value)
        case date() | datetime() | time():
            return _text(value.isoformat())
        case Mapping() | list() | tuple() if depth < 1:
            raise ValueError("nested too deeply")
        case Mapping():
            return "{" + ",".join([_member(key, value[key], depth) for key in _ordered(value)]) + "}"
        case list() | tuple():
            return "[" + ",".join([canonical(item, depth - 1) for item in value]) + "]"
        case _:
            raise ValueError(f"JSON has no {type(value).__name__}")


def number(value: float) -> str:
    """Return the number as ECMAScript writes it (RFC 8785, section 3.2.2.3)."""
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > EXACT):
        raise ValueError("not a number that JSON can carry exactly")
    if value == 0:
        return "0"
    shortest = repr(float(value))
    if "e" not in shortest:  # from 1e-4 to 1e16 both write the same digits
        return shortest.removesuffix(".0")
    sign, digits, exponent = Decimal(shortest).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + int(exponent)
    return "-" * sign + _placed(text, point)


def parse(text: str | bytes) -> Any:
    """Read JSON as RFC 8785 wants it read: a key twice in an object, NaN, half a surrogate pair are errors.

    A whole number beyond 2**53 becomes the double that ECMAScript would make of it, so that canonical text,
    in which such doubles look like whole numbers, reads back as itself. Raises ValueError.
    """
    try:
        found = json.loads(text, object_pairs_hook=_single, parse_constant=_refuse, parse_int=_whole)
        canonical(found)  # refuses the rest: overflow, surrogates, depth
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return found


def _member(key: str, value: Any, depth: int) -> str:
    return f"{_text(key)}:{canonical(value, depth - 1)}"


def _units(key: object) -> bytes:
    """Return what keys are ordered by: UTF-16 code units (RFC 8785, section 3.2.3)."""
    if not isinstance(key, str):
        raise ValueError("JSON has no key that is not a text")
    return key.encode("utf-16-be", "surrogatepass")


def _ordered(keys: Iterable[Any]) -> list[str]:
    found = list(keys)
    plain = all(isinstance(key, str) and key.isascii() for key in found)
    return sorted(found) if plain else sorted(found, key=_units)


def _text(value: str) -> str:
    if not value.isascii():
        value.encode()  # UnicodeEncodeError, a ValueError, for half a surrogate pair
    return encode_basestring(value)


def _placed(digits: str, point: int) -> str:
    """Place the decimal point *point* digits after the first one's left."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _whole(digits: str) -> int | float:
    value = float(digits)
    return int(digits) if abs(value) < EXACT else value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}")
