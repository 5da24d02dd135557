"""What needs attention, in sentences, and what may still pass as the present."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.web.words import many, name, span

STALE = 3
"""Sampling intervals after which a value is no longer the present one."""

Status = Mapping[str, Any]


def fresh(device: Status, now: float) -> bool:
    """Return whether the device's latest reading may pass as the present, *now* in Unix time."""
    latest = device["latest"]
    if not latest or device["state"] != "running":
        return False
    return bool(now - latest["time"] <= STALE * device["interval"])


def problems(status: Status) -> list[str]:
    """Return a sentence for each thing that needs attention; none when all is well."""
    found = [*map(_sentence, status["health"]["problems"]), *_records(status), *_devices(status["devices"])]
    found += [
        _sentence(f"{name(s['id'])} is held back: {_and(s['blocked'])}")
        for s in status["switches"]
        if _held(s)
    ]
    found += [
        _sentence(f"{name(s['id'])} is out of order: {_and(s['press']['faults'])}")
        for s in status["switches"]
        if s.get("press") and s["press"]["phase"] == "fault"
    ]
    found += [
        _sentence(f"the rule {rule['id']} cannot decide: {rule['blind']}")
        for rule in status["rules"]
        if rule["blind"]
    ]
    if status["clock"] != "synchronized":
        found.append("The clock is not synchronised: times may be wrong.")
    return list(dict.fromkeys(found))


def _records(status: Status) -> Iterator[str]:
    store, mqtt = status["store"], status["mqtt"]
    if not store["writable"]:
        yield _sentence(f"the store cannot be written: {store['problem']}")
    elif store["problem"]:
        yield _sentence(f"the store has trouble: {store['problem']}")
    if problem := status["ledger"]["problem"]:
        yield _sentence(f"the ledger is not signed: {problem}")
    held = sum(lane["held"] for lane in store["lanes"].values())
    why = f": {mqtt['reason'].rstrip('.')}" if mqtt["reason"] else ""
    if mqtt["state"] == "refused":
        yield f"The broker does not take everything{why}. {_wait(held, 'does')}"
    elif mqtt["state"] != "connected":
        yield f"The broker is not connected{why}. {_wait(held, 'is')}"


def _devices(devices: list[Status]) -> Iterator[str]:
    for device in devices:
        if device["state"] == "lost":
            yield _sentence(
                f"{name(device['id'])} has been lost for {span(device['since'])}: {device['reason']}"
            )
        elif device["state"] == "running" and device["reason"]:
            yield _sentence(f"{name(device['id'])} had trouble: {device['reason']}")


def _held(switch: Status) -> bool:
    return bool(switch["held_by"] and switch["blocked"])


def _and(reasons: object) -> str:
    return reasons if isinstance(reasons, str) else "; ".join(map(str, reasons))  # type: ignore[call-overload]


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _wait(held: int, until: str) -> str:
    if held == 0:
        return "No record waits for it."
    return f"{many(held, 'record')} {'waits' if held == 1 else 'wait'} in the store until it {until}."
