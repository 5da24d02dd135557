"""What derived streams cost: a day of one-second data through the twenty streams of a well-fitted pole.

    python bench/streams.py [--hours 24]

Every reading takes the way that it takes in the daemon: to the streams of its device, and what they say to
the streams made from that. Beside it, the raw limit: the same readings through a function call and nothing.
Memory is looked at after each quarter of the time: it must not grow.
"""

import argparse
import asyncio
import math
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drivers.device import Quantity
from gateway import toml
from gateway.app.streams import Streams
from gateway.clock import Instant, LoopClock, Now, Quality
from gateway.config import Derive
from gateway.derive import Design, Source, design
from gateway.reading import Reading

START = 1_780_272_000.0  # 2026-06-01, midnight in UTC
MOST = 10.0
"""Seconds that a day of twenty streams may take."""

DEVICES = {
    "noise": ("sound_level",),
    "air": ("pm2_5", "pm10", "co2"),
    "river": ("distance",),
    "gauge": ("count", "rain"),
    "wind": ("wind_speed", "wind_direction"),
    "slope": ("acceleration_x", "acceleration_y", "acceleration_z"),
    "bin": ("distance",),
    "weather": ("temperature", "humidity", "pressure"),
}

STREAMS = [
    'id = "leq"\nkind = "noise"\nfrom = "noise.sound_level"',
    'id = "lden"\nkind = "noise_day"\nfrom = "noise.sound_level"',
    'id = "loud"\nkind = "exceedance"\nfrom = "noise.sound_level"\nabove = 65.0\nover = "15m"\nevery = "1m"',
    'id = "calm"\nkind = "percentile"\nfrom = "noise.sound_level"\npercent = 9.0\nover = "15m"\nevery = "1m"',
    'id = "pm_hour"\nkind = "mean"\nfrom = "air.pm2_5"\nover = "1h"\naligned = "UTC"',
    'id = "us"\nkind = "us_aqi"\nfrom = "air"',
    'id = "eu"\nkind = "european_aqi"\nfrom = "air"',
    'id = "uk"\nkind = "uk_daqi"\nfrom = "air"',
    'id = "now"\nkind = "nowcast"\nfrom = "air.pm2_5"',
    'id = "stage"\nkind = "stage"\nfrom = "river.distance"\nreference = 5.0',
    'id = "rise"\nkind = "rise"\nfrom = "stage.stage"\nevery = "1m"',
    'id = "flood"\nkind = "stage_alarm"\nfrom = "stage.stage"\naction = 2.0\nminor = 2.5\nmajor = 4.0',
    'id = "rained"\nkind = "rain"\nfrom = "gauge"',
    'id = "blow"\nkind = "wind"\nfrom = "wind.wind_speed"\ndirection = "wind.wind_direction"',
    'id = "moved"\nkind = "movement"\nfrom = "slope"\ngravity = [0.0, 0.0, 9.80665]\nevery = "1m"',
    'id = "shaken"\nkind = "vibration"\nfrom = "slope"',
    'id = "full"\nkind = "fill"\nfrom = "bin.distance"\nempty = 1.1\nfull = 0.2',
    'id = "filling"\nkind = "filling"\nfrom = "full.fill"',
    'id = "coldest"\nkind = "min"\nfrom = "weather.temperature"\nover = "24h"\nevery = "10m"',
    'id = "tendency"\nkind = "slope"\nfrom = "weather.pressure"\nover = "3h"\nevery = "10m"',
]


class Forgetful:
    """A memory of nothing: the day is a new one."""

    async def remembered(self) -> dict[str, str]:
        return {}

    def remember(self, name: str, text: str) -> None:
        """Nothing is kept."""

    async def replay(self, since: float):
        return
        yield []


def designs() -> tuple[Design, ...]:
    text = "\n".join(f"[[derive]]\n{each}" for each in STREAMS)
    document = toml.parse(text, "bench.toml")
    known = {Source(device, Quantity(q)): 1.0 for device, qs in DEVICES.items() for q in qs}
    found = []
    for number, table in enumerate(document.data["derive"]):
        made = design(Derive.model_validate(table), known, document, ("derive", number), "Europe/Dublin")
        found.append(made)
        known |= {Source(made.id, quantity): made.interval for quantity in made.gives}
    return tuple(found)


def second(at: float, chance: random.Random) -> list[Reading]:
    """Return what every device says in one second."""
    day = 2 * math.pi * at / 86_400
    wave, when = math.sin(day), Instant(START + at, at, "b", Quality.SYNCHRONIZED)
    values = {
        "noise": (60 + 8 * wave + chance.gauss(0, 5),),
        "air": (12 + 8 * wave + chance.random(), 25 + 9 * wave + chance.random(), 420 + 30 * wave),
        "river": (4 - 1.5 * wave + chance.gauss(0, 0.01),),
        "gauge": (float(chance.random() < 0.01),) * 2,
        "wind": (abs(5 + chance.gauss(0, 1.5)), (200 + chance.gauss(0, 20)) % 360),
        "slope": (chance.gauss(0, 0.02), chance.gauss(0, 0.02), 9.80665 + chance.gauss(0, 0.02)),
        "bin": (1.05 - 0.8 * ((at / 36_000) % 1),),
        "weather": (14 + 6 * wave, 70 - 10 * wave, 1013 + 3 * math.cos(day)),
    }
    return [
        Reading(device, when, dict(zip(map(Quantity, DEVICES[device]), numbers, strict=True)))
        for device, numbers in values.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    hours = parser.parse_args().hours
    chance, said = random.Random(1), Counter[str]()
    streams = Streams(
        designs(),
        Forgetful(),
        LoopClock(),
        Now(),
        lambda reading: said.update((reading.device,)),
        "Europe/Dublin",
    )
    asyncio.run(awake(streams))
    seconds, took, floor = int(3600 * hours), 0.0, 0.0
    print(f"{len(STREAMS)} streams, {seconds:,} s of one-second data of {len(DEVICES)} devices")
    for begin in range(0, seconds, 3600):
        hour = [second(float(at), chance) for at in range(begin, min(seconds, begin + 3600))]
        began = time.process_time()
        for readings in hour:
            for reading in readings:
                streams.take(reading)
        took += time.process_time() - began
        began = time.process_time()
        for readings in hour:
            for reading in readings:
                nothing(reading)
        floor += time.process_time() - began
        if begin // 3600 % 6 == 5:
            print(f"  after {begin // 3600 + 1:2} h: {took:6.2f} s, {_resident():5.1f} MB resident")
    each = took / seconds / len(STREAMS) * 1e6
    print(f"{took:.2f} s of a core ({each:.2f} µs per stream and second); a bare call each: {floor:.2f} s")
    print(
        f"{sum(said.values()):,} readings made. A day may take {MOST:g} s: {'yes' if took <= MOST else 'NO'}"
    )


async def awake(streams: Streams) -> None:
    """Let the streams find that there is nothing to catch up with."""
    running = asyncio.create_task(streams.run())
    await asyncio.sleep(0.1)
    running.cancel()


def nothing(reading: Reading) -> None:
    """The raw limit."""


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
