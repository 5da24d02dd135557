"""How fast the store takes readings, and what they cost on the disk: `python bench/store.py [directory]`.

Beside it, in the same run and on the same disk, the floor: `executemany` with the same rows and the same
pragmas, one transaction per as many rows, with no numbering, no bookkeeping and no event loop.
"""

import argparse
import asyncio
import contextlib
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from drivers.device import Quantity
from gateway import config
from gateway.clock import Now, Quality
from gateway.reading import Event, Lane, Reading, encode, significant
from gateway.store import Store

ROWS = 50_000
GROUP = 5000
QUANTITIES = (Quantity.PM2_5, Quantity.TEMPERATURE, Quantity.HUMIDITY, Quantity.SOUND_LEVEL)
NOW = Now(quality=lambda: Quality.SYNCHRONIZED)


def readings(number: int) -> list[Reading]:
    chance = random.Random(1)
    return [
        Reading("air", NOW(), {name: significant(chance.uniform(0, 100)) for name in QUANTITIES})
        for _ in range(number)
    ]


def written() -> int:
    """Bytes that this process has handed to the disk (proc(5), io)."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"])


def bare(path: Path, records: list[Reading]) -> float:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(
            "CREATE TABLE telemetry (seq INTEGER PRIMARY KEY, time REAL, device TEXT, body TEXT)"
        )
        began = time.perf_counter()
        for start in range(0, len(records), GROUP):
            connection.execute("BEGIN IMMEDIATE")
            rows = (
                (seq, one.at.time, one.device, encode(one))
                for seq, one in enumerate(records[start : start + GROUP], start + 1)
            )
            connection.executemany("INSERT INTO telemetry VALUES (?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        return time.perf_counter() - began


async def stored(path: Path, records: list[Reading]) -> float:
    store = await Store.open(config.Store(path=path, commit=0.001), "bench", now=NOW)
    began = time.perf_counter()
    for start in range(0, len(records), GROUP):
        for one in records[start : start + GROUP]:
            store.add(one)
        while store.durable(Lane.TELEMETRY) < start + GROUP:
            await store.changed()
    took = time.perf_counter() - began
    await store.close()
    return took


async def drained(path: Path) -> float:
    store = await Store.open(config.Store(path=path), "bench", now=NOW)
    began, seq = time.perf_counter(), 0
    while rows := await store.after(Lane.TELEMETRY, seq, 100):
        seq = rows[-1].seq
        await store.delivered(Lane.TELEMETRY, seq)
    took = time.perf_counter() - began
    await store.close()
    return took


async def latency(path: Path, number: int = 200) -> list[float]:
    """Seconds from an event to its durability, one after another."""
    store = await Store.open(config.Store(path=path), "bench", now=NOW)
    taken = []
    for count in range(number):
        began = time.perf_counter()
        await store.record(Event("lamppost.bench", "bench", NOW(), {"number": count}))
        taken.append(time.perf_counter() - began)
    await store.close()
    return taken


async def trickle(path: Path, seconds: float, rate: int = 5) -> tuple[float, float]:
    """Bytes written per day at *rate* readings a second as configured; the loop's worst delay [s]."""
    store = await Store.open(config.Store(path=path), "bench", now=NOW)
    records, before, worst = readings(int(rate * seconds)), written(), 0.0
    for one in records:
        store.add(one)
        began = time.perf_counter()
        await asyncio.sleep(1 / rate)
        worst = max(worst, time.perf_counter() - began - 1 / rate)
    await store.delivered(Lane.TELEMETRY, len(records) // 2)
    daily = (written() - before) / seconds * 86_400
    await store.close()
    return daily, worst


def best(take: Callable[[Path], float], home: Path, times: int = 3) -> float:
    return min(take(home / f"{take.__name__}-{number}.db") for number in range(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", nargs="?", help="where to write: on the disk that is to be measured")
    parser.add_argument("--seconds", type=float, default=10, help="how long to trickle (default 10)")
    options = parser.parse_args()
    records = readings(ROWS)
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        home = Path(name)

        def floor(path: Path) -> float:
            return bare(path, records)

        def ours(path: Path) -> float:
            return asyncio.run(stored(path, records))

        base, own = best(floor, home), best(ours, home)
        filled = home / "ours-0.db"
        size = filled.stat().st_size / ROWS / len(QUANTITIES)
        drain = asyncio.run(drained(filled))
        taken = asyncio.run(latency(home / "latency.db"))
        daily, worst = asyncio.run(trickle(home / "trickle.db", options.seconds))
    print(f"{ROWS} readings of {len(QUANTITIES)} values, {GROUP} a commit, synchronous=FULL, best of 3")
    print(f"  executemany alone     {ROWS / base:>9.0f} readings/s")
    print(f"  the store             {ROWS / own:>9.0f} readings/s   {own / base:.2f} of the time")
    print(f"  read back, 100 each   {ROWS / drain:>9.0f} readings/s")
    print(f"  on the disk           {size:>9.1f} bytes/value")
    p50, p99 = statistics.median(taken) * 1000, statistics.quantiles(taken, n=100)[98] * 1000
    print(f"  an event is durable   {p50:>9.2f} ms p50   {p99:.2f} ms p99")
    print(f"  20 values/s, as set   {daily / 1e9:>9.2f} GB/day written   loop late by {worst * 1000:.1f} ms")


if __name__ == "__main__":
    main()
