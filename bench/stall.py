"""How late the event loop is while the store and the delivery work, beside a loop that does nothing.

    python bench/stall.py [directory] [--seconds 10] [--backlog 200000]

A probe asks every 2 ms to be woken and notes how late it is. A second process does the same with nothing else
in its loop, in the same seconds: what both see is the machine's doing, not ours. Phases: readings at 100 a
second; the same while a backlog goes at the default rate, and as fast as it can; the same while delivered
readings are deleted; the same with the whole file being looked through; the same while a damaged file with as
many readings is salvaged.

A process that is busy waits for its turn on a machine with other work, which an idle one does not: then the
longest turn of the loop, in processor time, says more.
"""

import argparse
import asyncio
import gc
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drivers.device import Quantity
from gateway import config
from gateway.clock import Now
from gateway.mqtt import Delivery
from gateway.reading import Lane, Reading, significant
from gateway.store import Store
from tests.brokers import Embedded

PERIOD = 0.002
PLACES = tuple(Quantity)[:4]


async def probe(seconds: float, late: list[float]) -> None:
    """Note in *late* [s] how much later than asked each wake-up came."""
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        await asyncio.sleep(PERIOD)
        late.append(time.perf_counter() - now - PERIOD)


async def insert(store: Store) -> None:
    """A hundred readings a second, ten at a time, as ten devices at 10 Hz would."""
    chance, now, began, count = random.Random(1), Now(), time.perf_counter(), 0
    while True:
        for device in range(10):
            values = {place: significant(chance.uniform(0, 100)) for place in PLACES}
            store.add(Reading(f"device{device}", now(), values))
        count += 1
        await asyncio.sleep(max(0.0, began + count * 0.1 - time.perf_counter()))


@asynccontextmanager
async def busy(store: Store) -> AsyncIterator[None]:
    task = asyncio.create_task(insert(store))
    try:
        yield
    finally:
        task.cancel()


turns: list[float] = []
"""Processor time of each turn of the loop [s]."""


def timed(run: Callable[[asyncio.Handle], None]) -> Callable[[asyncio.Handle], None]:
    """Return *run*, a handle's way to be run, noting what it takes in `turns`."""

    def measured(self: asyncio.Handle) -> None:
        began = time.thread_time()
        run(self)
        turns.append(time.thread_time() - began)

    return measured


def spread(late: list[float]) -> str:
    cuts = statistics.quantiles(late, n=1000)
    over = sum(each > 0.005 for each in late)
    return (
        f"p50 {cuts[499] * 1e3:5.2f}  p99 {cuts[989] * 1e3:5.2f}  p99.9 {cuts[998] * 1e3:6.2f}  "
        f"most {max(late) * 1e3:6.2f} ms  {over / len(late):7.3%} over 5 ms"
    )


async def phase(name: str, seconds: float, begin: asyncio.Event | None = None) -> None:
    """Print how late this loop and an idle one are for *seconds*, while what goes on goes on.

    *begin* is set when both look.
    """
    command = [sys.executable, __file__, "--idle", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as idle:
        assert idle.stdout is not None
        await asyncio.to_thread(idle.stdout.readline)  # it is ready
        late: list[float] = []
        turns.clear()
        if begin is not None:
            begin.set()
        await probe(seconds, late)
        longest = max(turns)
        beside = await asyncio.to_thread(idle.stdout.readline)
    print(f"{name:34} {spread(late)}, longest turn {longest * 1e3:.2f} ms")
    print(f"{'    an idle loop, meanwhile':34} {beside.strip()}", flush=True)


async def fill(store: Store, count: int) -> None:
    chance, now = random.Random(2), Now()
    for number in range(count):
        values = {place: significant(chance.uniform(0, 100)) for place in PLACES}
        store.add(Reading(f"device{number % 10}", now(), values))
        if number % 5000 == 4999:
            await store.changed()
    while store.durable(Lane.TELEMETRY) < count:
        await store.changed()


async def main(home: Path, seconds: float, backlog: int, port: int) -> None:
    path = home / "stall.db"
    store = await Store.open(config.Store(path=path, keep=0.0, max_size=8 << 30), "bench")
    gc.collect()
    gc.freeze()  # as the daemon does
    async with busy(store):
        await phase("100 readings/s", seconds)
    await fill(store, backlog)
    async with busy(store):
        async with delivering(store, config.Mqtt(port=port)):
            await phase("and a backlog, default rate", seconds)
        begin = asyncio.Event()
        async with delivering(store, config.Mqtt(port=port, backlog_rate=1_000_000), begin):
            await phase("and a backlog, no rate", min(seconds, 1.0), begin)
            while store.counts()[Lane.TELEMETRY].held > 1000:
                await asyncio.sleep(0.01)
            print(f"{'    until it was delivered':34} longest turn {max(turns) * 1e3:.2f} ms", flush=True)
        store._keeper._upkeep.trimmed = -1e9  # not once a minute, but now
        await phase("and delivered readings deleted", seconds)
        store._keeper._upkeep.check.at = 0.0
        store._keeper._wake.set()
        await phase("and the whole file looked through", seconds)
    await store.close()
    await salvaging(home / "wreck.db", seconds, backlog)


async def salvaging(path: Path, seconds: float, backlog: int) -> None:
    """A file that has been marked as damaged is whole, which is the most there can be to fetch."""
    settings = config.Store(path=path, max_size=8 << 30)
    store = await Store.open(settings, "bench")
    await fill(store, backlog)
    await store.close()
    path.with_name(path.name + ".damaged").touch()
    store = await Store.open(settings, "bench")
    gc.collect()
    gc.freeze()
    async with busy(store):
        await phase("and a damaged file salvaged", seconds)
    print(f"{store.counts()[Lane.TELEMETRY].accepted:,} of {backlog:,} readings salvaged by then")
    await store.close()


@asynccontextmanager
async def delivering(
    store: Store, settings: config.Mqtt, begin: asyncio.Event | None = None
) -> AsyncIterator[None]:
    delivery = Delivery(settings, "bench", store, dict, dict, Now())

    async def run() -> None:
        if begin is not None:
            await begin.wait()
        await delivery.run()

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        await delivery.stop()
        await task


async def idle(seconds: float) -> None:
    print("ready", flush=True)
    late: list[float] = []
    await probe(seconds, late)
    print(spread(late))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("directory", nargs="?", help="where to write: on the disk that is to be measured")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase (default 10)")
    parser.add_argument("--backlog", type=int, default=200_000, help="readings (default 200,000)")
    parser.add_argument("--idle", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.idle:
        asyncio.run(idle(asked.idle))
        sys.exit()
    with tempfile.TemporaryDirectory(dir=asked.directory) as name:
        sys.setswitchinterval(0.0005)  # as the daemon does
        asyncio.Handle._run = timed(asyncio.Handle._run)  # type: ignore[method-assign, attr-defined]
        broker = Embedded(Path(name))
        broker.start()
        try:
            asyncio.run(main(Path(name), asked.seconds, asked.backlog, broker.port))
        finally:
            broker.kill()
