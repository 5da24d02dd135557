"""How fast the delivery drains a store, beside a bare paho pipeline, in the same run.

    python bench/delivery.py [records] [--mosquitto]

Both send the same batches (100 records a message, 16 messages on their way) to the same broker: the
bare pipeline from memory, with paho's own thread, keeping nothing; ours from the store on a disk,
moving its cursor as the answers come. Prints records/s and the processor time of a record. Then what
the live state costs at ten publishes and one batch a second, and how long one takes to a subscriber.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from drivers.device import Quantity
from gateway import config
from gateway.clock import Now
from gateway.mqtt import Delivery
from gateway.mqtt.batch import Batch
from gateway.reading import Lane, Reading, encode
from gateway.store import Store
from tests.brokers import Broker, Embedded, Mosquitto

WINDOW, BATCH = 16, 100
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


def bare(port: int, bodies: list[str]) -> tuple[float, float]:
    """Return the seconds and the processor seconds of a paho client that only publishes."""
    room, done = threading.Semaphore(WINDOW), deque[int]()
    sender = client(port, "bare")
    sender.on_publish = lambda _, __, mid, ___, ____: (done.append(mid), room.release())
    while not sender.is_connected():
        time.sleep(0.01)
    began, used = time.perf_counter(), processor()
    for at in range(0, len(bodies), BATCH):
        room.acquire()
        some = bodies[at : at + BATCH]
        payload = Batch(at + 1, at + len(some), some).payload("bare", "0badcafe", Lane.TELEMETRY)
        sender.publish("lamppost/bare/log/telemetry", payload, 1)
    for _ in range(WINDOW):
        room.acquire()
    spent = time.perf_counter() - began, processor() - used
    sender.disconnect()
    sender.loop_stop()
    return spent


async def drained(port: int, store: Store, count: int) -> tuple[float, float]:
    """Return the seconds and the processor seconds in which the delivery empties *store*."""
    settings = config.Mqtt(port=port, window=WINDOW, batch=BATCH)
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


async def main(count: int, broker: Broker) -> None:
    now = Now()
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(config.Store(path=Path(folder) / "bench.db"), "bench")
        bodies = [encode(reading(number, now)) for number in range(count)]
        for number in range(count):
            store.add(reading(number, now))
            if number % 5000 == 4999:
                await store.changed()
        while store.durable(Lane.TELEMETRY) < count:
            await store.changed()
        ours, theirs = await drained(broker.port, store, count), bare(broker.port, bodies)
        for name, (seconds, used) in (("the store, delivered", ours), ("bare paho, from memory", theirs)):
            print(f"{name:24} {count / seconds:9,.0f} records/s {used / count * 1e6:6.1f} µs/record")
        await live(broker.port, store, 10.0)
        await store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("records", type=int, nargs="?", default=100_000)
    parser.add_argument("--mosquitto", action="store_true", help="instead of the embedded broker")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        started = (Mosquitto if asked.mosquitto else Embedded)(Path(place))
        started.start()
        try:
            asyncio.run(main(asked.records, started))
        finally:
            started.kill()
