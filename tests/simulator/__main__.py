"""`python -m tests.simulator`: lives through many seeds, or through one with its trace."""

import argparse
import os
import sys

from tests.simulator.life import Lived, live
from tests.simulator.many import many
from tests.simulator.setting import folder, prepare


def main() -> int:
    """Return 1 when a seed failed."""
    arguments = _arguments()
    if arguments.seed is not None:
        return _one(arguments.seed, arguments.trace)
    first, last = arguments.seeds
    return 0 if many(first, last, arguments.jobs) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", type=_range, default=(1, 1000), help="first:last, both included")
    parser.add_argument("--seed", type=int, help="live through this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: print everything that happens")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at the same time")
    return parser.parse_args()


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    if int(last or first) < int(first):
        raise ValueError
    return int(first), int(last or first)


def _one(seed: int, tracing: bool) -> int:
    with folder() as place:
        lived = live(seed, prepare(place), place, tracing)
    print("\n".join(lived.lines))
    print(_told(lived))
    return 0


def _told(lived: Lived) -> str:
    return (
        f"seed {lived.seed}: {', '.join(lived.kinds)}; {lived.seconds:.0f} s, {lived.steps} events, "
        f"{lived.records} records, {lived.moves} moves, {lived.processes} processes, trace {lived.digest}"
    )


if __name__ == "__main__":
    sys.exit(main())
