"""`lamppost watch`: what arrives from gateways, line by line, and whether all of it did."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal, TypeAlias

from gateway import config
from gateway.mqtt.completeness import Numbering
from gateway.mqtt.holes import Hole, printable
from gateway.mqtt.watch import Follower, Item, Live, Logged, Note, describe, watch
from gateway.problem import ConfigError

Holes: TypeAlias = Mapping[Numbering, tuple[Hole, ...]]

INCOMPLETE = 1
"""Exit status when something is missing that no gap record names."""


async def follow(settings: config.Mqtt, gateway: str | None, seconds: float | None, as_json: bool) -> int:
    """Print what arrives until *seconds* have passed (None: for ever); return 1 when records are missing."""
    follower = Follower(settings.prefix)
    with suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(seconds), aclosing(watch(settings, gateway, follower)) as items:
            async for item in items:
                print(_json(item) if as_json else describe(item), flush=True)
    summary, holes = _summary(follower), follower.completeness.holes()
    if as_json:
        print(json.dumps({**summary, "holes": list(_shapes(holes))}), flush=True)
    else:
        for numbering, found in holes.items():
            for hole in found:
                print(printable(f"{numbering}: {hole}"))
        print(_words(summary), flush=True)
    return INCOMPLETE if summary["missing"] else 0


def broker_of(
    path: Path | None, host: str, port: int | None, protocol: Literal["5", "3.1.1"] = "5"
) -> config.Mqtt:
    """Return the broker of the configuration at *path*, or else of the others. Raises ConfigError."""
    if path is None:
        return config.Mqtt(host=host, port=port, protocol=protocol)
    draft = config.load(path)
    if draft.problems:
        raise ConfigError(draft.problems)
    return draft.config.mqtt


def _summary(follower: Follower) -> dict[str, int]:
    completeness = follower.completeness
    missing = (last - first + 1 for holes in completeness.missing().values() for first, last in holes)
    return {
        "records": completeness.records,
        "duplicates": completeness.duplicates,
        "missing": sum(missing),
        "refused": follower.refused,
    }


def _shapes(holes: Holes) -> Iterator[dict[str, object]]:
    for numbering, found in holes.items():
        for hole in found:
            yield {**asdict(numbering), **hole._asdict()}


def _json(item: Item) -> str:
    match item:
        case Note(text):
            shape: dict[str, object] = {"note": text}
        case Live() | Logged():
            shape = asdict(item)
    return json.dumps(shape, separators=(",", ":"), ensure_ascii=False)


def _words(summary: dict[str, int]) -> str:
    refused = summary["refused"]
    return (
        f"{summary['records']} records, {summary['duplicates']} of them again, {summary['missing']} missing, "
        f"{refused} message{'s' * (refused != 1)} refused"
    )
