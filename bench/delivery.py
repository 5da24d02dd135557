"""How fast the delivery drains a store, beside two bare paho pipelines, in the same run.

    python bench/delivery.py [records] [--mosquitto] [--runs 3]

All three send the same batches (100 records a message, 16 messages on their way) to the same broker, and
the best of some runs counts, taken in turn so that all see the same machine:

- *from memory*: paho's own thread sends payloads that lie ready. Nothing is read, made or kept.
- *from a table*: what a loop written by hand would do. A plain SQLite table holds each record's finished
  text; SELECT a batch, join, publish. Nothing is checked, and nothing is noted as delivered.
- *the store*: numbers in a compact row become the record's text, each row's checksum is looked at, the
  cursor moves as the answers come.

Prints records/s, values/s and the processor time of a record, and the two ratios. Then what the live state
costs at ten publishes and one batch a second, and how long one takes to a subscriber.
"""

import argparse
import asyncio
import resource
import sqlite3
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from drivers.device import Quantity
from gateway import config
from gateway.clock import Now
from gateway.mqtt import Delivery
from gateway.reading import Lane, Reading, encode
from gateway.store import Store
from tests.brokers import Broker, Embedded, Mosquitto

WINDOW, BATCH = 16, 100
NAMES = "the store, delivered", "bare, from a table", "bare, from memory"
PLACES = (Quantity.PM2_5, Quantity.TEMPERATURE, Quantity.HUMIDITY)


def reading(number: int, now: Now) -> Reading:
    return Reading(f"device{number % 10}", now(), dict.fromkeys(PLACES, 20.0 + number % 7))


def processor() -> float:
    """Return the processor time of this process so far [s]."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def client(port: int, name: str) -> paho.Client:
    made = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
    made.max_inflight_messages_set(0)
    made.connect("127.0.0.1", port)
    made.loop_start()
    return made


Spent: TypeAlias = tuple[float, float]
"""Seconds, and processor seconds of all threads."""


def bare(port: int, payloads: Iterable[bytes]) -> Spent:
    """Return what a paho client that only publishes spends on *payloads*."""
    room = threading.Semaphore(WINDOW)
    sender = client(port, "bare")
    sender.on_publish = lambda *_: room.release()
    while not sender.is_connected():
        time.sleep(0.01)
    began, used = time.perf_counter(), processor()
    for payload in payloads:
        room.acquire()
        sender.publish("lamppost/bare/log/telemetry", payload, 1)
    for _ in range(WINDOW):
        room.acquire()
    spent = time.perf_counter() - began, processor() - used
    sender.disconnect()
    sender.loop_stop()
    return spent


def sealed(first: int, text: str) -> bytes:
    """Return a batch as the gateway writes it."""
    head = '{"gateway":"bare","epoch":"0badcafe","lane":"telemetry","first":'
    return f'{head}{first},"records":[{text}]}}'.encode()


def tabled(path: Path, bodies: list[str]) -> None:
    """Put finished texts into a table, as a program does that thinks of nothing else."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE outbox (seq INTEGER PRIMARY KEY, body TEXT)")
        db.executemany("INSERT INTO outbox (body) VALUES (?)", ((body,) for body in bodies))
        db.commit()


def selected(path: Path) -> Iterator[bytes]:
    """Yield the batches of a table of texts."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        query, at = "SELECT seq, body FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?", 0
        while rows := db.execute(query, (at, BATCH)).fetchall():
            yield sealed(at + 1, ",".join([body for _, body in rows]))
            at = rows[-1][0]


async def drained(port: int, store: Store, count: int) -> Spent:
    """Return what the delivery spends on emptying *store*."""
    settings = config.Mqtt(port=port, window=WINDOW, batch=BATCH, backlog_rate=1_000_000)
    delivery = Delivery(settings, "bench", store, dict, dict, Now())
    task = asyncio.create_task(delivery.run())
    while delivery.describe()["state"] != "connected":
        await asyncio.sleep(0.001)
    began, used = time.perf_counter(), processor()
    while store.counts()[Lane.TELEMETRY].held:
        await asyncio.sleep(0.005)
    spent = time.perf_counter() - began, processor() - used
    assert store.counts()[Lane.TELEMETRY].delivered == count
    await delivery.stop()
    await task
    return spent


async def live(port: int, store: Store, seconds: float) -> None:
    """Print what ten state publishes and one batch a second cost, and their way to a subscriber."""
    now, arrived = Now(), deque[float]()
    delivery = Delivery(config.Mqtt(port=port), "bench", store, dict, dict, now)
    task = asyncio.create_task(delivery.run())
    listener = client(port, "listener")
    listener.on_message = lambda *_: arrived.append(time.perf_counter())
    listener.subscribe("lamppost/bench/state/#")
    await asyncio.sleep(0.5)
    sent, ways = 0, []
    began, used = time.perf_counter(), processor()
    while time.perf_counter() - began < seconds:
        await asyncio.sleep(max(0.0, began + sent * 0.1 - time.perf_counter()))
        arrived.clear()
        at = time.perf_counter()
        one = reading(sent, now)
        store.add(one)
        delivery.state(one)
        sent += 1
        await asyncio.sleep(0.05)
        ways += [arrived[0] - at] if arrived else []
    cost = (processor() - used) / (time.perf_counter() - began)
    ways.sort()
    half, most = ways[len(ways) // 2] * 1e3, ways[int(len(ways) * 0.99)] * 1e3
    print(f"live: {sent} states in {seconds:g} s, {cost:.2%} of a core with the store and the subscriber;")
    print(f"      to the subscriber {half:.2f} ms (half), {most:.2f} ms (99 %), {sent - len(ways)} not seen")
    await delivery.stop()
    await task
    listener.disconnect()
    listener.loop_stop()


async def filled(path: Path, count: int) -> Store:
    """Return a store that holds *count* readings."""
    now = Now()
    store = await Store.open(config.Store(path=path), "bench")
    for number in range(count):
        store.add(reading(number, now))
        if number % 5000 == 4999:
            await store.changed()
    while store.durable(Lane.TELEMETRY) < count:
        await store.changed()
    return store


async def once(port: int, folder: Path, count: int, bodies: list[str]) -> tuple[Spent, Spent, Spent]:
    """Return what the store, the table and the memory take, one after the other."""
    store = await filled(folder / "store.db", count)
    tabled(folder / "table.db", bodies)
    payloads = [sealed(at + 1, ",".join(bodies[at : at + BATCH])) for at in range(0, count, BATCH)]
    ours = await drained(port, store, count)
    await store.close()
    return ours, bare(port, selected(folder / "table.db")), bare(port, payloads)


async def main(count: int, broker: Broker, runs: int) -> None:
    now, taken = Now(), []
    bodies = [encode(reading(number, now)) for number in range(count)]
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            taken.append(await once(broker.port, Path(folder), count, bodies))
    best = [min(way) for way in zip(*taken, strict=True)]
    for name, (seconds, used) in zip(NAMES, best, strict=True):
        print(
            f"{name:22} {count / seconds:9,.0f} records/s {len(PLACES) * count / seconds:11,.0f} values/s "
            f"{used / count * 1e6:6.2f} µs/record"
        )
    (ours, _), (table, _), (memory, _) = best
    print(
        f"ratio to the table {table / ours:.2f}, to the memory {memory / ours:.2f} (aim 0.6, 50,000 values/s)"
    )
    with tempfile.TemporaryDirectory() as folder:
        store = await filled(Path(folder) / "store.db", 0)
        await live(broker.port, store, 10.0)
        await store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("records", type=int, nargs="?", default=100_000)
    parser.add_argument("--runs", type=int, default=3, help="of which the best counts (default 3)")
    parser.add_argument("--mosquitto", action="store_true", help="instead of the embedded broker")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        started = (Mosquitto if asked.mosquitto else Embedded)(Path(place))
        started.start()
        try:
            asyncio.run(main(asked.records, started, asked.runs))
        finally:
            started.kill()
