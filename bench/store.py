"""What the store costs, beside the floor: `python bench/store.py [directory] [--readings N]`.

The floor, in the same run and on the same disk, is `executemany` of the very rows that the store made, with
the same pragmas and as many rows in a transaction: no numbering, no bookkeeping, no event loop. Reading back
has a floor of its own: the same texts, selected from a table that holds them as they are.

Bytes written are what the process handed to the disk's cache (proc(5), io: write_bytes), in pages of 4 KiB:
a card is given no less. Commits follow one another at once there; a day has 86,400 of them all the same.
"""

import argparse
import asyncio
import contextlib
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drivers.device import Quantity
from gateway import config
from gateway.clock import LoopClock, Now, Quality
from gateway.mqtt.feed import AHEAD
from gateway.reading import Event, Lane, Reading, encode, significant
from gateway.store import Store

ROWS = 50_000
GROUP = 5000
COPIED = 500_000
"""Readings that are copied in a transaction: what the copy needs of memory and disk beside the file."""
STEP = 1_000_000
"""Readings after which a long run says how far it is."""
QUANTITIES = (Quantity.PM2_5, Quantity.TEMPERATURE, Quantity.HUMIDITY, Quantity.SOUND_LEVEL)
NOW = Now(quality=lambda: Quality.SYNCHRONIZED)


def readings(number: int, quantities: tuple[Quantity, ...] = QUANTITIES) -> list[Reading]:
    """Return readings whose values have all nine digits, which is the most that there are."""
    chance = random.Random(1)
    return [
        Reading(f"air{n % 5}", NOW(), {name: significant(chance.uniform(0, 100)) for name in quantities})
        for n in range(number)
    ]


def written() -> int:
    """Bytes that this process has handed to the disk (proc(5), io)."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"])


def opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("page_size = 512", "journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def bare(path: Path, rows: list[tuple[object, ...]], group: int, cursor: bool = False) -> tuple[float, float]:
    """Return the seconds and the bytes written of `executemany` alone, *group* rows a transaction.

    With *cursor*, how far the rows are delivered is written down with every second commit.
    """
    with contextlib.closing(opened(path)) as connection:
        connection.execute(
            "CREATE TABLE telemetry "
            "(seq INTEGER PRIMARY KEY, time REAL, device TEXT, body TEXT, form INTEGER, stamp INTEGER)"
        )
        connection.execute("CREATE TABLE lane (cursor INTEGER)")
        connection.execute("INSERT INTO lane VALUES (0)")
        began, before, size = time.perf_counter(), written(), 0
        for start in range(0, len(rows), group):
            connection.execute("BEGIN IMMEDIATE")
            some = rows[start : start + group]
            connection.executemany("INSERT INTO telemetry VALUES (?, ?, ?, ?, ?, ?)", some)
            if cursor and start // group % 2:
                connection.execute("UPDATE lane SET cursor = ?", (start,))
            connection.execute("COMMIT")
            size += 100 * len(some) + 2048
            if size > 2 << 20:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                size = 0
        return time.perf_counter() - began, float(written() - before)


def kept(path: Path) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM telemetry ORDER BY seq").fetchall()


async def stored(path: Path, records: list[Reading]) -> tuple[float, float]:
    """Return the seconds, and the processor seconds of all threads, until *records* are durable."""
    store = await Store.open(config.Store(path=path, commit=0.001), "bench", now=NOW)
    began, used = time.perf_counter(), processor()
    for start in range(0, len(records), GROUP):
        for one in records[start : start + GROUP]:
            store.add(one)
        while store.durable(Lane.TELEMETRY) < min(start + GROUP, len(records)):
            await store.changed()
    took = time.perf_counter() - began, processor() - used
    await store.close()
    return took


def processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def progress(what: str, said: int, now: int, count: int) -> int:
    """Say on standard error how far it is, a STEP after *said*. Returns what was said last."""
    if now < said + STEP:
        return said
    print(f"    {now:>9} of {count} {what}", file=sys.stderr, flush=True)
    return now


async def drained(path: Path) -> float:
    """Return the seconds in which all is read, as the delivery asks for it: some batches of 100 at a time."""
    store = await Store.open(config.Store(path=path, max_size=8 << 30), "bench", now=NOW)
    count, began, seq, said = store.counts()[Lane.TELEMETRY].held, time.perf_counter(), 0, 0
    while runs := await store.batches(Lane.TELEMETRY, seq, 100, 128 << 10, AHEAD):
        seq = runs[-1].last
        await store.delivered(Lane.TELEMETRY, seq)
        said = progress("read", said, seq, count)
    took = time.perf_counter() - began
    await store.close()
    return took


def selected(path: Path, records: list[Reading], limit: int = 800) -> float:
    """Return the seconds in which a bare SELECT gives the texts from a table of texts."""
    with contextlib.closing(opened(path)) as connection:
        connection.execute("CREATE TABLE telemetry (seq INTEGER PRIMARY KEY, body TEXT)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO telemetry (body) VALUES (?)", ((encode(one),) for one in records))
        connection.execute("COMMIT")
        began, seq = time.perf_counter(), 0
        query = "SELECT seq, body FROM telemetry WHERE seq > ? ORDER BY seq LIMIT ?"
        while rows := connection.execute(query, (seq, limit)).fetchall():
            seq = rows[-1][0]
        return time.perf_counter() - began


async def waiting(path: Path, count: int) -> tuple[float, float]:
    """Return the seconds that opening takes, and those to the first batch, with *count* readings held."""
    await holding(path, count)
    began = time.perf_counter()
    store = await Store.open(config.Store(path=path, max_size=8 << 30), "bench", now=NOW)
    there = time.perf_counter() - began
    assert len(await store.after(Lane.TELEMETRY, 0, 100)) == 100
    first = time.perf_counter() - began
    await store.close()
    return there, first


async def holding(path: Path, count: int) -> None:
    """Make a store that holds *count* readings.

    The rows are copied within the file: that many commits would take as long as living through them.
    """
    await stored(path, readings(1000))
    query = "INSERT INTO telemetry SELECT seq + ?, time, device, body, form, stamp FROM telemetry"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        have = said = 1000
        while have < count:
            some = min(have, count - have, COPIED)
            db.execute(f"{query} WHERE seq <= ?", (have, some))
            have += some
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the log is as long as the file
            said = progress("written", said, have, count)
        db.execute("UPDATE lane SET high = ? WHERE name = 'telemetry'", (count,))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def growth(home: Path, most: int) -> None:
    """Print how long a backlog takes to be read, and the memory, as it grows tenfold up to *most* readings.

    Each in a process of its own, whose memory has seen nothing else.
    """
    count = 10_000
    while count <= most:
        path = home / f"growth{count}.db"
        asyncio.run(holding(path, count))
        command = [sys.executable, __file__, "--drain", str(path)]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        took, before, after = map(float, said)
        print(
            f"  {count:>9} held: read in {took:8.3f} s, {took / count * 1e6:5.2f} µs each; "
            f"memory {before:.1f} MB when opened, {after:.1f} MB at the most",
            flush=True,
        )
        path.unlink()
        count *= 10


def drain_alone(path: Path) -> None:
    """Drain *path*; print the seconds, and this process's memory before and at its highest [MB]."""

    async def opened_once() -> None:
        store = await Store.open(config.Store(path=path, max_size=8 << 30), "bench", now=NOW)
        await store.close()

    asyncio.run(opened_once())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took = asyncio.run(drained(path))
    print(took, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


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


async def trickle(path: Path, seconds: int) -> tuple[float, list[tuple[object, ...]]]:
    """Return the bytes written per value at five readings of four values a second, and the rows.

    All is delivered soon after each commit, and the cursor saved as the store does it: by a clock that is
    put forward by a second at a time.
    """

    class Ahead(LoopClock):
        ahead = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.ahead

    clock = Ahead()
    store = await Store.open(config.Store(path=path), "bench", clock=clock, now=NOW)
    records = readings(5 * seconds)
    before = written()
    for second in range(seconds):
        for one in records[5 * second : 5 * second + 5]:
            store.add(one)
        clock.ahead += 1
        store._keeper._wake.set()
        while store.durable(Lane.TELEMETRY) < 5 * second + 5:
            await store.changed()
        await store.delivered(Lane.TELEMETRY, store.durable(Lane.TELEMETRY))
        await asyncio.sleep(0)
    spent = written() - before
    await store.close()
    return spent / seconds / 20, kept(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", nargs="?", help="where to write: on the disk that is to be measured")
    parser.add_argument("--seconds", type=int, default=3000, help="seconds of life to write (default 3000)")
    parser.add_argument("--readings", type=int, default=5_000_000, help="held when a store is opened")
    parser.add_argument("--full", action="store_true", help="let the backlog grow to ten million readings")
    parser.add_argument("--growth", action="store_true", help="look at nothing but the backlog as it grows")
    parser.add_argument("--drain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drain:
        drain_alone(options.drain)
        return
    if options.directory is not None:
        Path(options.directory).mkdir(parents=True, exist_ok=True)
    most = 10_000_000 if options.full else 1_000_000
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        home = Path(name)
        if options.growth:
            growth(home, most)
            return
        print(f"{ROWS} readings, {GROUP} a commit, synchronous=FULL, best of 3")
        for quantities in (QUANTITIES, tuple(Quantity)[:8]):
            bulk(home, quantities)
        taken = asyncio.run(latency(home / "latency.db"))
        p50, p99 = statistics.median(taken) * 1000, statistics.quantiles(taken, n=100)[98] * 1000
        print(f"an event is durable   {p50:>9.2f} ms p50   {p99:.2f} ms p99")
        life, rows = asyncio.run(trickle(home / "trickle.db", options.seconds))
        _, floor = bare(home / "floor.db", rows, 5, cursor=True)
        floor /= 4 * len(rows)
        daily = life * 20 * 86_400 / 1e9
        print(
            f"20 values/s, 1 commit/s, delivered: {life:.0f} bytes written/value ({daily:.2f} GB/day); "
            f"executemany alone {floor:.0f}, ratio {life / floor:.2f}"
        )
        there, first = asyncio.run(waiting(home / "waiting.db", options.readings))
        size = (home / "waiting.db").stat().st_size / 1e6
        print(
            f"{options.readings} readings held ({size:.0f} MB): open in {there * 1000:.1f} ms, "
            f"first batch after {first * 1000:.1f} ms"
        )
        (home / "waiting.db").unlink()
        print("a backlog as it grows:")
        growth(home, most)


def bulk(home: Path, quantities: tuple[Quantity, ...]) -> None:
    """Print what many readings of *quantities* cost, in and out."""
    records, width = readings(ROWS, quantities), len(quantities)
    paths = [home / f"own{width}-{number}.db" for number in range(3)]
    took, used = min(asyncio.run(stored(path, records)) for path in paths)
    rows = kept(paths[0])
    base = min(bare(home / f"bare{width}-{number}.db", rows, GROUP)[0] for number in range(3))
    drain = min(asyncio.run(drained(path)) for path in paths)
    floor = min(selected(home / f"text{width}-{number}.db", records) for number in range(3))
    size = paths[0].stat().st_size / ROWS / width
    print(f"  of {width} values: on the disk {size:.1f} bytes/value")
    print(
        f"    in   {ROWS / took:>9.0f} readings/s, {used / ROWS * 1e6:.1f} µs of processor each; "
        f"executemany alone {ROWS / base:.0f}, ratio {base / took:.2f}"
    )
    print(
        f"    out  {ROWS / drain:>9.0f} readings/s, {width * ROWS / drain:.0f} values/s; "
        f"SELECT of texts alone {ROWS / floor:.0f}, ratio {floor / drain:.2f}"
    )


if __name__ == "__main__":
    main()
