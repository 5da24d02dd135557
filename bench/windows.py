"""What a window costs: time per reading and bytes per stream, from a minute to a day of one-second data.

    python bench/windows.py [--streams 20]

Each window is filled first and then measured while it slides, so that a reading comes in and one leaves;
then how long its result takes. Last, a whole day of one-second data for all streams, each with a sliding
quarter of an hour (LAeq, LAmax, LA10, LA50, LA90) that gives a result each minute, and its hours and day.
"""

import argparse
import json
import math
import random
import sys
import time
import tracemalloc
from itertools import cycle, islice
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.derive.frames import DAY, HOUR, Aligned, Sliding
from gateway.derive.statistics import Kind, Statistic
from gateway.derive.window import ROBUST_MOST, Window

START = 1_780_272_000.0  # 2026-06-01, midnight in UTC
SPANS = {"1 min": 60, "15 min": 900, "1 h": 3600, "8 h": 28_800, "24 h": 86_400}
NOISE = (
    Statistic(Kind.ENERGY_MEAN),
    Statistic(Kind.MAX),
    *(Statistic(Kind.PERCENTILE, percent) for percent in (10.0, 50.0, 90.0)),
)
SETS = {
    "count, rate": (Statistic(Kind.COUNT), Statistic(Kind.RATE)),
    "mean": (Statistic(Kind.MEAN),),
    "energy mean": (Statistic(Kind.ENERGY_MEAN),),
    "min, max": (Statistic(Kind.MIN), Statistic(Kind.MAX)),
    "slope": (Statistic(Kind.SLOPE),),
    "percentile": (Statistic(Kind.PERCENTILE, 90.0),),
    "time above": (Statistic(Kind.TIME_ABOVE, 60.0),),
    "robust slope": (Statistic(Kind.ROBUST_SLOPE),),
    "noise": NOISE,
}
READINGS, RESULTS = 10_000, 1000


def levels(number: int) -> list[float]:
    """Return a day's course of levels, with traffic on it, to 9 digits."""
    chance = random.Random(1)
    return [round(60 - 8 * math.cos(2 * math.pi * t / DAY) + chance.gauss(0, 5), 7) for t in range(number)]


def slid(span: int, asked: tuple[Statistic, ...], values: list[float]) -> tuple[float, float, int]:
    """Return the processor time [s] of a reading and of a result in a full window, and its bytes."""
    tracemalloc.start()
    window = Window(Sliding(span), asked, 1.0)
    for second, level in enumerate(islice(cycle(values), span)):
        window.add(START + second, level)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    began = time.process_time()
    for second, level in enumerate(values[:READINGS], span):
        window.add(START + second, level)
    took = time.process_time() - began
    began = time.process_time()
    for _ in range(RESULTS):
        window.result()
    return took / READINGS, (time.process_time() - began) / RESULTS, held


def day(streams: int, values: list[float]) -> tuple[float, list[int]]:
    """Return the seconds that a day of *streams* takes, and the samples held after each quarter of it."""
    zone = ZoneInfo("Europe/Berlin")
    windows = [
        (
            Window(Sliding(900.0), NOISE, 1.0),
            Window(Aligned(HOUR, zone), (Statistic(Kind.MEAN),), 60.0),
            Window(Aligned(DAY, zone), (Statistic(Kind.MEAN),), 60.0),
        )
        for _ in range(streams)
    ]
    began, quarters = time.perf_counter(), []
    for second, level in enumerate(values):
        for number, (sliding, hour, whole) in enumerate(windows):
            sliding.add(START + second, level + number)
            if second % 60 == 59:
                result = sliding.result()
                laeq = result.values[NOISE[0]] if result else None
                if isinstance(laeq, float):
                    hour.add(START + second, laeq)
                    whole.add(START + second, laeq)
        if second % 21_600 == 21_599:
            quarters.append(sum(len(one) for all_of in windows for one in all_of))
    return time.perf_counter() - began, quarters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--streams", type=int, default=20)
    streams = parser.parse_args().streams
    values = levels(86_400)
    print(f"{'statistics':12} {'window':>7} {'µs/reading':>11} {'µs/result':>10} {'bytes/stream':>13}")
    for name, asked in SETS.items():
        for label, span in SPANS.items():
            if name == "robust slope" and span > ROBUST_MOST / 2:  # what a window refuses
                continue
            reading, result, held = slid(span, asked, values)
            print(f"{name:12} {label:>7} {reading * 1e6:11.2f} {result * 1e6:10.1f} {held:13,}")
    window = Window(Sliding(DAY), NOISE, 1.0)
    for second, level in enumerate(values):
        window.add(START + second, level)
    began = time.perf_counter()
    text = json.dumps(window.state())
    wrote = time.perf_counter() - began
    began = time.perf_counter()
    Window(Sliding(DAY), NOISE, 1.0).restore(json.loads(text))
    read = time.perf_counter() - began
    print(f"state of a day at 1 s: {len(text):,} bytes, written in {wrote:.2f} s, restored in {read:.2f} s")
    used = time.process_time()
    took, quarters = day(streams, values)
    used = time.process_time() - used
    each = used / streams / len(values) * 1e6
    print(
        f"{streams} streams, a day of 1 s data: {took:.2f} s, {used:.2f} s of a core, {each:.2f} µs a reading"
    )
    print("samples held after each quarter of the day:", ", ".join(f"{held:,}" for held in quarters))


if __name__ == "__main__":
    main()
