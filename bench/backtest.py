"""How long `lamppost backtest` takes over a month of readings: ten devices, one reading each per ten seconds.

    python bench/backtest.py [--days 30] [--keep FOLDER]

The month is made up: a river with three floods, a bin that is filled and emptied, a busy street, a lid that
is left open, a sensor that is away for half a day. Two files of six rules run side by side over all of it.
"""

import argparse
import asyncio
import json
import math
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drivers.device import Quantity
from gateway.app.backtest import run
from gateway.clock import Instant, LoopClock, Quality
from gateway.config import Store as Settings
from gateway.reading import Reading
from gateway.store import Store

START, EVERY, DAY = 1_790_812_800.0, 10.0, 86_400.0  # 2026-10-01, midnight in UTC

POLE = """
[gateway]
id = "bench"
[store]
path = "month.db"
[header]
chip = "emulated:street"
[[bus]]
id = "i2c"
path = "emulated:street"
"""
SENSORS = {"air": "sen66", "noise": "dbm", "weather": "bme280", "ground": "adxl355", "motor": "ina226"}
RANGES = {"river_range": "mb7040", "bin_range": "vl53l1x"}
RULES = """
[[rule]]
id = "press"
says = "Press when full."
owner = "x"
expires = 2036-12-31
when = "bin.fill >= {press} && lid.closed"
clear = "bin.fill < 60"
do = [{{ switch = "compactor", during = "4s" }}]
[[rule.test]]
given = {{ "bin.fill" = 99, "lid.closed" = true }}
expect = true

[[rule]]
id = "collect"
says = "Ask for a collection."
owner = "x"
expires = 2036-12-31
when = "bin.fill >= 85 && !compactor.on"
clear = "bin.fill < 30"
for = "10m"
do = [{{ collect = "bin", fill = "bin.fill", reason = "full" }}]
[[rule.test]]
given = {{ "bin.fill" = 99, "compactor.on" = false }}
expect = true

[[rule]]
id = "flood"
says = "Sound the siren."
owner = "x"
expires = 2036-12-31
when = "river.stage >= {flood}"
clear = "river.stage < 1.6"
for = "2m"
do = [{{ switch = "siren" }}, {{ event = "flood.warning", subject = "river", data = {{}} }}]
[[rule.test]]
given = {{ "river.stage" = 4 }}
expect = true

[[rule]]
id = "loud"
says = "A loud quarter of an hour."
owner = "x"
expires = 2036-12-31
when = "noise_leq.sound_level >= 68"
do = [{{ event = "noise.loud", subject = "noise", data = {{}} }}]
[[rule.test]]
given = {{ "noise_leq.sound_level" = 90 }}
expect = true

[[rule]]
id = "smog"
says = "Bad air."
owner = "x"
expires = 2036-12-31
when = "air.pm2_5 >= 40 && weather.humidity < 90"
clear = "air.pm2_5 < 30"
for = "5m"
do = [{{ event = "air.bad", subject = "air", data = {{}} }}]
[[rule.test]]
given = {{ "air.pm2_5" = 90, "weather.humidity" = 50 }}
expect = true

[[rule]]
id = "jammed"
says = "The motor takes too much."
owner = "x"
expires = 2036-12-31
when = "motor.current > 8"
do = [{{ event = "motor.jammed", subject = "compactor", data = {{}} }}]
[[rule.test]]
given = {{ "motor.current" = 9 }}
expect = true
"""


def pole() -> str:
    """Return the configuration of the pole that the month was measured at."""
    text = POLE
    for device, driver in (SENSORS | RANGES).items():
        text += f'[[device]]\nid = "{device}"\ndriver = "{driver}"\nbus = "i2c"\n'
    text += '[[device]]\nid = "lid"\ndriver = "contact"\nline = 17\n'
    for device, line, guard in (
        ("siren", 23, 'max_on = "20m"\nmin_off = "2s"'),
        ("compactor", 25, 'max_on = "10s"\nmin_off = "2m"\npermissives = ["lid.closed"]'),
    ):
        text += f'[[device]]\nid = "{device}"\ndriver = "switch"\nline = {line}\n[device.guard]\n{guard}\n'
    text += '[[derive]]\nid = "river"\nkind = "stage"\nfrom = "river_range.distance"\nreference = 5.0\n'
    text += '[[derive]]\nid = "bin"\nkind = "fill"\nfrom = "bin_range.distance"\nempty = 1.1\nfull = 0.2\n'
    return (
        text
        + '[[derive]]\nid = "noise_leq"\nkind = "energy_mean"\nfrom = "noise.sound_level"\nover = "15m"\n'
    )


def month(days: float) -> Iterator[Reading]:
    """Yield a month at a pole, seeded."""
    chance, fill, open_until = random.Random(4), 10.0, 0.0
    for step in range(round(days * DAY / EVERY)):
        t = step * EVERY
        at = Instant(START + t, 100.0 + t, "bench", Quality.SYNCHRONIZED)
        hour = t % DAY / 3600
        busy = max(0.05, math.sin(math.pi * (hour - 5) / 18)) if 5 <= hour <= 23 else 0.05
        flood = sum(1.6 * math.exp(-(((t / DAY - peak) / 0.35) ** 2)) for peak in (6.3, 17.8, 24.1))
        fill = 5.0 if fill > 97 and 6 < hour < 7 else min(100.0, fill + busy * 0.012 * chance.random())
        open_until = t + 900 if chance.random() < 0.0002 * busy else open_until
        smog = 30 * math.exp(-(((t / DAY - 12) / 1.5) ** 2))
        noise = 50 + 18 * busy + chance.gauss(0, 4)
        yield Reading("noise", at, {Quantity.SOUND_LEVEL: noise})
        yield Reading(
            "air", at, {Quantity.PM2_5: 8 + smog + 10 * busy + chance.gauss(0, 1), Quantity.CO2: 420.0}
        )
        weather = {Quantity.TEMPERATURE: 12.0, Quantity.HUMIDITY: 70.0 + 15 * busy, Quantity.PRESSURE: 1013.2}
        yield Reading("weather", at, weather)
        yield Reading("ground", at, {Quantity.ACCELERATION_Z: 9.81 + chance.gauss(0, 0.01)})
        yield Reading("motor", at, {Quantity.CURRENT: 0.1, Quantity.POWER: 1.2})
        if not 20.0 < t / DAY < 20.5:
            yield Reading("river_range", at, {Quantity.DISTANCE: 4.2 - flood + chance.gauss(0, 0.01)})
        yield Reading("bin_range", at, {Quantity.DISTANCE: 1.1 - 0.9 * fill / 100})
        yield Reading("lid", at, {Quantity.CLOSED: float(t >= open_until)})
        yield Reading("siren", at, {Quantity.ON: 0.0})
        yield Reading("compactor", at, {Quantity.ON: 0.0})


def make(path: Path, days: float) -> int:
    """Write the month into a store as fast as that takes it; return how many readings it has."""

    async def write() -> None:
        settings = Settings(path=path, commit=0.02, max_size=4 << 30)
        store = await Store.open(settings, "bench", LoopClock())
        for count, reading in enumerate(month(days)):
            store.add(reading)
            if count % 2000 == 0:  # what waits for the disk is bounded
                await asyncio.sleep(0.03)
        await store.close()

    asyncio.run(write())
    with closing(sqlite3.connect(path)) as db:
        (count,) = db.execute("SELECT count(*) FROM telemetry").fetchone()
    return int(count)


def main() -> None:
    """Make the month, run the rules over it, print what it took."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=float, default=30.0)
    asked.add_argument("--keep", type=Path, help="leave the month in this folder")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        (folder / "pole.toml").write_text(pole())
        (folder / "new.toml").write_text(RULES.format(press=75, flood=2.0))
        (folder / "old.toml").write_text(RULES.format(press=80, flood=2.2))
        store = folder / "month.db"
        began = time.perf_counter()
        count = make(store, options.days) if not store.exists() else 0
        print(f"{count:,} readings written in {time.perf_counter() - began:.1f} s", file=sys.stderr)
        for files in (["new.toml"], ["new.toml", "old.toml"]):
            began = time.process_time()
            tried = run(store, [folder / each for each in files], folder / "pole.toml", (None, None))
            said = {
                "days": options.days,
                "readings": tried.readings,
                "files": len(files),
                "seconds": round(tried.seconds, 1),
                "processor": round(processor := time.process_time() - began, 1),
                "us_per_reading": round(processor / tried.readings * 1e6, 1),
                "fired": [len(each.episodes) for each in tried.runs],
                "differences": len(tried.differences),
            }
            print(json.dumps(said))


if __name__ == "__main__":
    main()
