"""Lives through many seeds in several processes; says how far it is, and what was put upon them."""

import gc
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from tests.simulator.life import live, quiet
from tests.simulator.setting import Setting, folder, prepare
from tests.simulator.world import Caught

CHUNK = 100
"""Seeds that a process lives through. Their garbage is not collected, it goes with the process."""

STEPS = 20
"""How often it is said how far it is."""


class Part(NamedTuple):
    """What became of some lives: how many they were, what was put upon them, and which failed, and why."""

    lives: int
    tally: Mapping[tuple[str, str], int]
    problems: list[tuple[int, str]]


def many(first: int, last: int, jobs: int) -> bool:
    """Live through all seeds, both ends included; say which failed and how to see it again: then False."""
    began, done, failed, tally = time.monotonic(), 0, 0, Counter[tuple[str, str]]()
    total = last - first + 1
    for part in _parts(first, last, jobs):
        before, done, failed = done, done + part.lives, failed + len(part.problems)
        tally.update(part.tally)
        for seed, problem in part.problems:
            print(f"seed {seed} FAILED: {problem}")
            print(f"    python -m tests.simulator --seed {seed} --trace", flush=True)
        if done * STEPS // total > before * STEPS // total and done < total:
            print(_progress(done, total, failed, time.monotonic() - began), flush=True)
    seconds = time.monotonic() - began
    print(f"{total} lives in {seconds:.1f} s ({total / seconds:.1f} seeds/s), {failed} failed")
    print("\n".join(_told(tally)))
    return not failed


def _progress(done: int, total: int, failed: int, seconds: float) -> str:
    rate = done / seconds
    return (
        f"{done} of {total} lives, {failed} failed, {seconds:.0f} s, {rate:.1f} seeds/s, "
        f"{(total - done) / rate:.0f} s to go"
    )


def _told(tally: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Yield a line for each group of what was put upon the lives, or judged."""
    for group in dict.fromkeys(sorted(group for group, _ in tally)):
        names = sorted((name, often) for (of, name), often in tally.items() if of == group)
        yield f"    {group + ':':9} " + ", ".join(f"{often:,} {name}" for name, often in names)


def _parts(first: int, last: int, jobs: int) -> Iterator[Part]:
    """Yield what becomes of the seeds, CHUNK of them at a time, in the order in which they are done."""
    waiting = [range(start, min(last + 1, start + CHUNK)) for start in range(first, last + 1, CHUNK)]
    running: dict[Connection, tuple[BaseProcess, range]] = {}
    with folder() as place, quiet():
        setting = prepare(place)
        with Caught():  # what is loaded or worked out only once is so before the processes begin
            live(0, setting, place)
        gc.freeze()
        while waiting or running:
            while waiting and len(running) < jobs:
                seeds = waiting.pop(0)
                connection, process = _begun(seeds, setting, place)
                running[connection] = process, seeds
            for connection in wait([*running]):
                assert isinstance(connection, Connection)
                process, seeds = running.pop(connection)
                yield _ended(connection, process, seeds)


def _begun(seeds: range, setting: Setting, place: Path) -> tuple[Connection, BaseProcess]:
    """Begin to live through *seeds* in a process of their own."""
    ours, theirs = get_context("fork").Pipe(duplex=False)
    process = get_context("fork").Process(target=_live, args=(seeds, setting, place, theirs))
    process.start()
    theirs.close()
    return ours, process


def _ended(connection: Connection, process: BaseProcess, seeds: range) -> Part:
    try:
        part: Part = connection.recv()
    except EOFError:
        process.join()
        why = f"the process that lived through {seeds[0]} to {seeds[-1]} died ({process.exitcode})"
        return Part(len(seeds), {}, [(seeds[0], why)])
    process.join()
    return part


def _live(seeds: range, setting: Setting, place: Path, connection: Connection) -> None:
    """Live through *seeds* in a folder of one's own, and tell what became of them."""
    own, tally, problems = place / str(seeds[0]), Counter[tuple[str, str]](), list[tuple[int, str]]()
    own.mkdir()
    for seed in seeds:
        with Caught() as caught:
            tally.update(live(seed, setting, own).tally)
        if caught.error:
            problems.append((seed, f"{type(caught.error).__name__}: {caught.error}"))
    connection.send(Part(len(seeds), tally, problems))
