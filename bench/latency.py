"""From the sample that makes a rule true to the pin: the whole daemon, with each decision durable in between.

    python bench/latency.py [--rules 200] [--devices 50] [--events 500] [--folder FOLDER]

The daemon runs on an emulated street, at a broker on a loopback port: contacts that switches follow by rules
that act at once, and weather sensors behind muxes, once a second, that all other rules look at; some of those
begin and end all the time, and record it. One contact after the other opens and closes. The time is taken
from the reading's own instant, that of the sample, to the change of the level on the emulated header. At
each change another connection looks whether the decision is in the file. Beside it the raw limits of the same
machine, before and after: a commit of one row in the same folder, synced as the store does it; a call through
a thread and back.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drivers.device import Quantity
from drivers.street import Scene, Street
from gateway.app.check import plan
from gateway.app.daemon import Daemon
from gateway.clock import LoopClock
from gateway.demo import broker
from gateway.reading import Reading

PAIRS = 5
"""Contacts, and as many switches that follow them."""

DOORS, SIRENS = range(4, 4 + PAIRS), range(16, 16 + PAIRS)  # lines of the header
PAUSE = (0.06, 0.14)  # [s] between two movements: beyond the contacts' debounce
AIM = 5.0  # [ms]
POLE = """
[gateway]
id = "bench"
[store]
path = "bench.db"
[mqtt]
port = {port}
[http]
enabled = false
[rules]
files = ["bench.rules.toml"]
[header]
chip = "emulated:street"
[[bus]]
id = "i2c"
path = "emulated:street"
"""
RULE = """
[[rule]]
id = "{name}"
says = "{says}"
owner = "Bench"
expires = {expires}
when = "{when}"
{more}
do = [{do}]
[[rule.test]]
given = {given}
expect = true
"""


def pole(devices: int, port: int) -> str:
    """Return a configuration of *devices*: contacts, switches, and for the rest weather sensors."""
    text = POLE.format(port=port)
    for number, (door, siren) in enumerate(zip(DOORS, SIRENS, strict=True)):
        text += f'[[device]]\nid = "door{number}"\ndriver = "contact"\nline = {door}\ninterval = "1s"\n'
        text += f'[[device]]\nid = "siren{number}"\ndriver = "switch"\nline = {siren}\ninterval = "1s"\n'
        text += '[device.guard]\nmax_on = "1m"\n'
    for number in range(devices - 2 * PAIRS):
        channel, low = divmod(number, 2)
        if not low:
            text += f'[[bus]]\nid = "b{channel}"\nmux = "tca9548a"\non = "i2c"\n'
            text += f"address = {0x70 + channel // 8}\nchannel = {channel % 8}\n"
        text += f'[[device]]\nid = "w{number}"\ndriver = "bme280"\nbus = "b{channel}"\n'
        text += f'address = {0x76 + low}\ninterval = "1s"\n'
    return text


def rules(number: int, sensors: int) -> str:
    """Return *number* rules: one for each contact, the others over the weather and a contact."""
    now = datetime.now(UTC)
    expires, until = f"{now + timedelta(days=300):%Y-%m-%d}", f"{now + timedelta(days=30):%Y-%m-%d}"
    grant = f'mode = "off"\ngrant = {{ by = "bench", reason = "bench", until = {until} }}'
    text = ""
    for pair in range(PAIRS):
        text += RULE.format(
            name=f"follow{pair}",
            says="Follows its contact.",
            expires=expires,
            when=f"!door{pair}.closed",
            more=grant,
            do=f'{{ switch = "siren{pair}" }}',
            given=f'{{ "door{pair}.closed" = false }}',
        )
    for other in range(number - PAIRS):
        level, humid = f"w{other % sensors}.temperature", f"w{(other + 1) % sensors}.humidity"
        often = other % 20 == 0  # some begin and end whenever a contact moves
        door = f"door{other % PAIRS}.closed"
        warm = "0.0" if often else f"{30 + other % 9}.0"
        text += RULE.format(
            name=f"watch{other}",
            says="Would say that it is warm.",
            expires=expires,
            when=f"{level} >= {warm} && {humid} < 100.0 && !{door}",
            more=f'clear = "{door} || {level} < {warm}"',
            do=f'{{ event = "bench.warm", subject = "w{other % sensors}", data = {{}} }}',
            given=f'{{ "{level}" = 80, "{humid}" = 10, "{door}" = false }}',
        )
    return text


class Doors:
    """What the contacts see, in the place of a bin. See drivers.barrel.Barrel."""

    fill = 0.0

    def __init__(self) -> None:
        self.closed: dict[str, bool] = {}

    def step(self) -> None:
        """Nothing moves by itself."""

    def contact(self, name: str) -> bool | None:
        return self.closed.get(name, True)


class Timed(Daemon):
    """A daemon whose readings are looked at as they are taken."""

    samples: dict[str, tuple[float, float]]

    def _publish(self, reading: Reading) -> None:
        if (value := reading.values.get(Quantity.CLOSED)) is not None:
            self.samples[reading.device] = (reading.at.mono, value)
        super()._publish(reading)


class Watcher:
    """Takes the time at each change of a switch, and looks for the decision."""

    def __init__(self, daemon: Timed, path: Path) -> None:
        self.on, self.off = list[float](), list[float]()
        self.undecided = 0
        self.moved = asyncio.Event()
        self._daemon, self._path = daemon, path
        self._acted = 0

    def changed(self, line: int, high: bool) -> None:
        """The header says that a level has changed."""
        now = time.monotonic()
        if line not in SIRENS:
            return
        sampled, _ = self._daemon.samples[f"door{line - SIRENS[0]}"]
        (self.on if high else self.off).append((now - sampled) * 1e3)
        if high:
            self._acted += 1
            self.undecided += decisions(self._path) < self._acted
        self.moved.set()


def decisions(path: Path) -> int:
    """Return how many decisions to act are in the file, as another program sees it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        acted = "SELECT count(*) FROM events WHERE kind = 'decision' AND body LIKE '%\"outcome\":\"acted\"%'"
        return int(db.execute(acted).fetchone()[0])


async def storm(daemon: Timed, doors: Doors, watcher: Watcher, events: int) -> None:
    """Open and close contacts until *events* of each have been followed."""
    chance = random.Random(1)
    street = daemon.street
    assert street is not None
    while len(watcher.off) < events:
        pair = chance.randrange(PAIRS)
        for closed in (False, True):
            watcher.moved.clear()
            doors.closed[f"door{pair}"] = closed
            street.pins.set(DOORS[pair], not closed)
            async with asyncio.timeout(5.0):
                await watcher.moved.wait()
            await asyncio.sleep(chance.uniform(*PAUSE))


async def run(folder: Path, asked: argparse.Namespace, port: int) -> tuple[Watcher, dict[str, Any]]:
    """Run the daemon through the storm."""
    (folder / "bench.toml").write_text(pole(asked.devices, port))
    (folder / "bench.rules.toml").write_text(rules(asked.rules, asked.devices - 2 * PAIRS))
    doors = Doors()
    clock = LoopClock()
    street = Street(clock, scene=Scene(barrel=doors))  # type: ignore[arg-type]
    daemon = Timed(plan(folder / "bench.toml"), clock, street=street)
    daemon.samples = {}
    watcher = Watcher(daemon, folder / "bench.db")
    running = asyncio.create_task(daemon.run(signals=False))
    await daemon.ready.wait()
    await asyncio.sleep(3)  # what was restored settles, and every device has spoken
    street.pins.changed = watcher.changed
    await storm(daemon, doors, watcher, asked.events)
    street.pins.changed = lambda line, high: None
    daemon.stopping.set()
    await running
    return watcher, daemon.lanes()


PRAGMAS = ("page_size = 512", "journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0")


def commits(folder: Path, number: int = 200) -> list[float]:
    """Return how long commits of one row take [ms], as the store's file is opened and nothing beside it."""
    times = []
    with closing(sqlite3.connect(folder / "raw.db", isolation_level=None)) as db:
        for pragma in PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        db.execute("CREATE TABLE IF NOT EXISTS raw (seq INTEGER PRIMARY KEY, body TEXT)")
        for _ in range(number):
            began = time.perf_counter()
            db.execute("INSERT INTO raw (body) VALUES (?)", ("x" * 600,))
            times.append((time.perf_counter() - began) * 1e3)
            time.sleep(0.005)
    return times


def hops(number: int = 200) -> list[float]:
    """Return how long a call takes to another thread and back into the loop [ms]."""

    async def hop() -> list[float]:
        times = []
        for _ in range(number):
            began = time.perf_counter()
            await asyncio.to_thread(lambda: None)
            times.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(0.005)
        return times

    return asyncio.run(hop())


def spread(times: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and worst."""
    ordered = sorted(times)
    last = len(ordered) - 1
    return {
        "p50": ordered[last // 2],
        "p99": ordered[min(last, len(ordered) * 99 // 100)],
        "max": ordered[last],
    }


def main() -> None:
    """Run the benchmark, print the figures [ms]."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where the store's file is: the disk that counts")
    asked = parser.parse_args()
    if asked.folder is not None:
        asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=asked.folder) as name, broker(Path(name)) as port:
        folder = Path(name)
        raw, hop = commits(folder), hops()
        watcher, lanes = asyncio.run(run(folder, asked, port))
        raw, hop = raw + commits(folder), hop + hops()
    print(f"{asked.rules} rules, {asked.devices} devices, {len(watcher.on)} times on and off; ms")
    for label, times in (
        ("sample to pin on, decision durable", watcher.on),
        ("sample to pin off, decision durable", watcher.off),
        ("raw: commit of one row, synced", raw),
        ("raw: through a thread and back", hop),
    ):
        print(f"{label:36} {'  '.join(f'{key} {value:7.2f}' for key, value in spread(times).items())}")
    met = spread(watcher.on)["p99"] < AIM
    accepted = {lane: figures["accepted"] for lane, figures in lanes.items()}
    print(json.dumps({"undecided": watcher.undecided, "aim_met": met, "accepted": accepted}))


if __name__ == "__main__":
    main()
