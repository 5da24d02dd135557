"""What a single value may be: durations, sizes, names, addresses, shares."""

import re
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
NAME = r"^[a-z][a-z0-9_]*$"
GATEWAY = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
CONSUMER = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
PREFIX = r"^[^+#\x00/][^+#\x00]*$"
LINE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
TEXT = r"\S"
MAIL = r"^[^@\s<>]+@[^@\s<>]+$"
LINK = r"^https?://[^\s<>\"]+$"
MEANINGS = {
    NAME: "lower-case letters, digits and underscores, and start with a letter",
    GATEWAY: "letters, digits, - and _, and start with a letter or digit: it is a part of every topic",
    CONSUMER: "1 to 64 letters, digits, ., _, @ and -, and start with a letter or digit",
    PREFIX: "a topic without + and #, and not start with /",
    LINE: "a text of one line",
    TEXT: "a text, not an empty one",
    MAIL: "an address such as poles@city.example",
    LINK: "an address that begins with https:// or http://",
}
"""What a text must be that is refused for its pattern: an error says no regular expression."""


def duration(text: Any) -> Any:
    """Turn `"90s"`, `"250ms"`, `"1.5h"` or a number of seconds into seconds."""
    if isinstance(text, str):
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            raise ValueError('a duration is a number and a unit (ms, s, m, h, d), such as "10s"')
        return float(match[1]) * _SECONDS[match[2]]
    return text


def size(text: Any) -> Any:
    """Turn `"512 MiB"` or a number of bytes into bytes."""
    if isinstance(text, str):
        match = _SIZE.fullmatch(text.strip())
        if match is None:
            raise ValueError('a size is a number and a unit (B, KiB, MiB, GiB, TiB), such as "512 MiB"')
        return int(float(match[1]) * _BYTES[match[2]])
    return text


Duration = Annotated[float, BeforeValidator(duration), Field(gt=0, le=366 * 86400)]
Pause = Annotated[float, BeforeValidator(duration), Field(ge=0, le=366 * 86400)]
Size = Annotated[int, BeforeValidator(size), Field(gt=0)]
Name = Annotated[str, Field(pattern=NAME, max_length=40)]
Line = Annotated[str, Field(pattern=LINE, max_length=200)]
Text = Annotated[str, Field(pattern=TEXT, max_length=2500)]
Mail = Annotated[str, Field(pattern=MAIL, max_length=200)]
Link = Annotated[str, Field(pattern=LINK, max_length=500)]
Expiring = Annotated[float, BeforeValidator(duration), Field(ge=1, le=366 * 86400)]
BusAddress = Annotated[int, Field(ge=0x08, le=0x77)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(gt=0, le=100)]


def loopback(host: str) -> bool:
    """Return whether *host* can only be this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
