"""What the operator of a fleet asks of all gateways at once: a retained message that each of them obeys.

Whoever may write there could want to silence a city. So it asks for slowness within bounds, for a time that
ends by itself, and never of events.
"""

import json
from typing import Any, NamedTuple

SLOWEST = 10
"""Fewest records per second that may be asked for."""
FASTEST = 1_000_000
JITTER = 3600.0
"""Longest random wait after an outage [s]."""
PAUSE = 3600.0
"""Longest pause, and the most of pauses within a day [s]."""
DAY = 86_400.0
"""How long limits hold at most after they were heard [s]."""
LONGEST = 4096
"""Bytes of the longest message that is looked at."""

_KEYS = {"rate", "jitter", "pause_until", "until"}


class Unfit(ValueError):
    """A message is no limits. The text says why."""


class Limits(NamedTuple):
    """*rate* in records per second, *jitter* in seconds, times in seconds since 1970; None: not limited."""

    rate: float | None
    jitter: float | None
    pause_until: float | None
    until: float


def read(payload: bytes) -> Limits | None:
    """Return the limits in *payload*; None where it is empty: there are none any more. Raises Unfit."""
    if not payload:
        return None
    if len(payload) > LONGEST:
        raise Unfit(f"it has more than {LONGEST} bytes")
    try:
        shape = json.loads(payload)
    except (ValueError, RecursionError):
        raise Unfit("it is not JSON") from None
    if not isinstance(shape, dict):
        raise Unfit("it is not a JSON object")
    if strange := set(shape) - _KEYS:
        raise Unfit(f"it may have {', '.join(sorted(_KEYS))}, and not {min(strange)[:40]!r}")
    if "until" not in shape:
        raise Unfit("it does not say until when")
    return Limits(
        _number(shape, "rate", SLOWEST, FASTEST),
        _number(shape, "jitter", 0.0, JITTER),
        _number(shape, "pause_until", 0.0, 1e12),
        _number(shape, "until", 0.0, 1e12) or 0.0,
    )


def _number(shape: dict[str, Any], key: str, low: float, high: float) -> float | None:
    if key not in shape:
        return None
    value: Any = shape[key]
    if type(value) not in (int, float) or not low <= value <= high:  # NaN is neither
        raise Unfit(f"{key} is not a number from {low:g} to {high:g}")
    return float(value)
