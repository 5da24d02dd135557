"""What rules cost: time per reading, and per rule that looks at it; from `note` to the transitions of `step`.

    python bench/rules.py [--rules 200] [--devices 50] [--readings 50000]

Every rule compares a number with its limit and a contact, has a `clear`, a `for` and a `hold`; each looks at
two devices, which take turns. On a calm street levels stay below the limits; on a wild one every reading is
another level, so that rules begin and end all the time. Beside it what a reading costs without any rule, and
what one costs that all rules look at. Means are of the processor's time, making the reading included.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drivers.device import Quantity
from gateway.clock import Instant, Quality
from gateway.reading import Mode, Reading, SwitchOn
from gateway.rules import Engine, Rule, condition, vocabulary

WALL = 1_900_000_000.0
STEP = 0.01
"""Seconds between two readings of the street."""


class Street:
    """Devices that give a level and a contact in turn, on a clock that nobody waits for."""

    def __init__(self, devices: int, wild: bool = True) -> None:
        self.now = 1000.0
        self.lowest, self.highest = (40.0, 100.0) if wild else (51.0, 59.0)
        self.names = [f"d{number}" for number in range(devices)]
        self.types = vocabulary({name: [Quantity.FILL, Quantity.CLOSED] for name in self.names})
        self.stale = dict.fromkeys(self.names, 3 * devices * STEP)

    def instant(self) -> Instant:
        return Instant(WALL + self.now, self.now, "boot", Quality.SYNCHRONIZED)

    def readings(self, number: int) -> Iterator[Reading]:
        """Give *number* readings, time passing between them."""
        chance = random.Random(1)
        for turn in range(number):
            self.now += STEP
            level = chance.uniform(self.lowest, self.highest)
            values = {Quantity.FILL: level, Quantity.CLOSED: float(level < 95.0)}
            yield Reading(self.names[turn % len(self.names)], self.instant(), values)

    def rule(self, number: int, first: str, second: str) -> Rule:
        return Rule(
            id=f"r{number}",
            version=1,
            says="Presses.",
            owner="Waste",
            expires=date(2099, 12, 31),
            when=condition(f"{first}.fill >= {60 + number % 30}.0 && {second}.closed", self.types),
            clear=condition(f"{first}.fill < 50.0", self.types),
            commands=(SwitchOn("compactor"),),
            wait=number % 2 * STEP,
            hold=0.1,
            mode=Mode.SHADOW,
        )


def measured(street: Street, rules: list[Rule], number: int) -> tuple[list[float], float, int, float]:
    """Return what readings cost: the time of each [s] from `note` to its transitions, in order of size; of
    all together [s] of the processor, which other programs do not lengthen; transitions; rules per reading.
    """
    engine = Engine(rules, street.stale, street.instant)
    times, count, looked = [], 0, 0
    used = time.process_time()
    concerned = {
        name: sum(any(n.startswith(f"{name}.") for n in r.names) for r in rules) for name in street.names
    }
    for reading in street.readings(number):
        began = time.perf_counter()
        engine.note(reading)
        transitions = engine.step()
        engine.due()
        times.append(time.perf_counter() - began)
        count += len(transitions)
        looked += concerned[reading.device]
    return sorted(times), time.process_time() - used, count, looked / number


def said(label: str, street: Street, rules: list[Rule], number: int, bare: float) -> float:
    """Print one line, its µs/rule beyond what a reading takes *bare* [s] of rules; return the mean [s]."""
    times, used, count, looked = measured(street, rules, number)
    mean, p50, p99 = used / number, times[number // 2], times[number * 99 // 100]
    each = f"{(mean - bare) / looked * 1e6:.2f}" if looked else "-"
    print(
        f"{label:24} {mean * 1e6:9.1f} {p50 * 1e6:9.1f} {p99 * 1e6:9.1f} {times[-1] * 1e6:9.0f} "
        f"{looked:8.1f} {each:>9} {count:12,}"
    )
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--readings", type=int, default=50_000)
    asked = parser.parse_args()
    names = Street(asked.devices).names
    pairs = [(names[n % len(names)], names[(n + 1) % len(names)]) for n in range(asked.rules)]
    print(f"{asked.rules} rules, {asked.devices} devices, {asked.readings:,} readings; µs per reading")
    heads = f"{'mean':>9} {'p50':>9} {'p99':>9} {'worst':>9} {'rules':>8} {'µs/rule':>9} {'transitions':>12}"
    print(f"{'':24} {heads}")
    bare = 0.0
    for label, wild, one in (
        ("no rules", True, False),
        ("calm street", False, False),
        ("wild street", True, False),
        ("calm, all on one device", False, True),
    ):
        street = Street(asked.devices, wild)
        places = [(names[0], names[0])] * asked.rules if one else pairs
        rules = [] if label == "no rules" else [street.rule(n, *pair) for n, pair in enumerate(places)]
        mean = said(label, street, rules, asked.readings, bare)
        bare = bare or mean


if __name__ == "__main__":
    main()
