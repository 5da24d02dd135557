"""The canonical JSON of RFC 8785, so that a rule file has one digest whatever its layout and comments."""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

EXACT = 2**53
"""Beyond this a JSON number is no longer exact (RFC 8785, appendix D)."""


def digest(document: Any) -> str:
    """Return the SHA-256 of the document's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def canonical(value: Any) -> str:
    """Return RFC 8785's text of what tomllib gives: sorted keys, no spaces; a date becomes its ISO text.

    Raises ValueError for NaN, infinity and whole numbers beyond 2**53.
    """
    match value:
        case bool() | str() | None:
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return number(value)
        case date() | datetime() | time():
            return json.dumps(value.isoformat())
        case Mapping():
            ordered = sorted(value.items(), key=lambda item: str(item[0]).encode("utf-16-be"))
            return "{" + ",".join(f"{canonical(key)}:{canonical(item)}" for key, item in ordered) + "}"
        case _:
            return "[" + ",".join(map(canonical, value)) + "]"


def number(value: float) -> str:
    """Return the number as ECMAScript writes it (RFC 8785, section 3.2.2.3)."""
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > EXACT):
        raise ValueError("not a number that JSON can carry exactly")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + int(exponent)
    return "-" * sign + _placed(text, point)


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
