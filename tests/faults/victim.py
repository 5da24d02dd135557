"""A gateway reduced to its store, made to be killed: `python -m tests.faults.victim FILE`.

For each line on its input it forks a process that opens the store and works until it is killed; after the
line `drain` that process delivers all that is held, and ends. It tells who reads along:

    alive PID                               once the store is open and its books agree with its rows
    accepted LANE SEQ                       as soon as that is so
    sent LANE SEQ NUMBER NUMBER ...         the records from SEQ on, each by the number in its body
    dead STATUS                             by the parent, when the process has ended

Its clock runs SPEED times as fast: what takes the gateway minutes (cursors, trims) is done many times over.
"""

import asyncio
import json
import os
import sys
from functools import partial
from pathlib import Path

import sqlite_utils  # noqa: F401 - here, not in each process that is forked

from gateway.clock import LoopClock
from gateway.reading import Lane
from gateway.store import Store, Stored
from tests.faults.disk import forked
from tests.gateway.store_rig import NOW, books_agree, event, reading, settings

SPEED = 1000.0
WINDOW = 20


class Fast(LoopClock):
    """The loop's clock, in a hurry."""

    def monotonic(self) -> float:
        return super().monotonic() * SPEED

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


def say(*words: object) -> None:
    """Write a line, whole: whoever is killed has either said it or not."""
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


async def readings(store: Store) -> None:
    told = value = store.durable(Lane.TELEMETRY)
    while True:
        for _ in range(20):
            value += 1
            store.add(reading(float(value)))
        await asyncio.sleep(0.001)
        if (now := store.durable(Lane.TELEMETRY)) > told:
            told = now
            say("accepted", Lane.TELEMETRY, told)


async def events(store: Store) -> None:
    number = store.durable(Lane.EVENTS)
    while True:
        number += 1
        assert await store.record(event(number)) == number
        say("accepted", Lane.EVENTS, number)
        await asyncio.sleep(0.003)


async def delivery(store: Store, lane: Lane) -> None:
    """Send what is held, WINDOW records at a time; the broker answers a little later."""
    at = store.cursor(lane)
    while True:
        if found := await store.after(lane, at, WINDOW):
            say("sent", lane, found[0].seq, *map(number_of, found))
            at = found[-1].seq
            await asyncio.sleep(0.0005)
            await store.delivered(lane, at)
        elif store.durable(lane) == at:
            await asyncio.sleep(0.001)


def number_of(stored: Stored) -> int:
    body = json.loads(stored.body)
    return int(body["data"]["number"] if "data" in body else body["values"]["temperature"])


async def live(path: Path, drain: bool) -> None:
    store = await Store.open(settings(path, keep=1, keep_events=1, commit=1), "pole-1", Fast(), NOW)
    books_agree(store, path, {lane: store.cursor(lane) for lane in Lane})
    say("alive", os.getpid())
    async with asyncio.TaskGroup() as tasks:
        work = [delivery(store, lane) for lane in Lane] + ([] if drain else [readings(store), events(store)])
        running = [tasks.create_task(one) for one in work]
        while drain and any(store.cursor(lane) < store.durable(lane) for lane in Lane):
            await asyncio.sleep(0.001)
        if drain:
            for task in running:
                task.cancel()
    await store.close()


def main(path: Path) -> None:
    for line in sys.stdin:
        say("dead", forked(partial(live, path, line == "drain\n")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
