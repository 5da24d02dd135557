"""`python -m tests.simulator`: lives through many seeds, or through one with its trace."""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from pathlib import Path

from tests.simulator.life import Lived, live, quiet
from tests.simulator.setting import Setting, folder, prepare
from tests.simulator.world import Caught

CHUNK = 20
"""Seeds that a process takes at a time."""


def main() -> int:
    """Return 1 when a seed failed."""
    arguments = _arguments()
    if arguments.seed is not None:
        return _one(arguments.seed, arguments.trace)
    first, last = arguments.seeds
    return _many(first, last, arguments.jobs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", type=_range, default=(1, 1000), help="first:last, both included")
    parser.add_argument("--seed", type=int, help="live through this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: print everything that happens")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at the same time")
    return parser.parse_args()


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    return int(first), int(last or first)


def _one(seed: int, tracing: bool) -> int:
    with folder() as place:
        lived = live(seed, prepare(place), place, tracing)
    print("\n".join(lived.lines))
    print(_told(lived))
    return 0


def _many(first: int, last: int, jobs: int) -> int:
    """Live through all of them; say which failed, and how to see it again."""
    began, failed, done = time.monotonic(), 0, 0
    total = last - first + 1
    chunks = [(start, min(last, start + CHUNK - 1)) for start in range(first, last + 1, CHUNK)]
    with folder() as place, multiprocessing.get_context("fork").Pool(jobs, _begin, (place,)) as pool:
        for number, problems in enumerate(pool.imap_unordered(_chunk, chunks), 1):
            done = min(total, number * CHUNK)
            for seed, problem in problems:
                failed += 1
                print(
                    f"seed {seed} FAILED: {problem}\n    python -m tests.simulator --seed {seed} --trace",
                    flush=True,
                )
            if number % max(1, len(chunks) // 20) == 0:
                print(
                    f"{done} of {total} lives, {failed} failed, {time.monotonic() - began:.0f} s", flush=True
                )
    print(f"{total} lives in {time.monotonic() - began:.1f} s, {failed} failed")
    return 1 if failed else 0


_OWN: list[tuple[Setting, Path]] = []
"""The setting and the folder of a process of the pool."""


def _begin(place: Path) -> None:
    own = place / str(os.getpid())
    own.mkdir()
    _OWN.append((prepare(own), own))
    gc.freeze()  # what there is now stays, and need not be looked through


def _chunk(seeds: tuple[int, int]) -> list[tuple[int, str]]:
    """Return which of the seeds, both ends included, failed, and why."""
    problems = []
    with quiet():
        for seed in range(seeds[0], seeds[1] + 1):
            with Caught() as caught:
                live(seed, *_OWN[0])
            if caught.error:
                problems.append((seed, f"{type(caught.error).__name__}: {caught.error}"))
    gc.collect()
    return problems


def _told(lived: Lived) -> str:
    return (
        f"seed {lived.seed}: {', '.join(lived.kinds)}; {lived.seconds:.0f} s, {lived.steps} events, "
        f"{lived.records} records, {lived.moves} moves, {lived.processes} processes, trace {lived.digest}"
    )


if __name__ == "__main__":
    sys.exit(main())
