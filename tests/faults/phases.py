"""The two phases of a run: tests that mostly wait, side by side; then those that need the processor.

A row with a limit of time must not fail because other rows burn every core: so the waiting ones come first,
alone, many at once, and the working ones after them, as many as there are processors.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.faults.rows import FILE, FULL

HERE = Path(__file__).parent
LONGEST = 3600 if FULL else 900  # [s] of one test
EVERY = 10.0  # [s] between two looks
NOTHING = 5  # pytest's exit status where no test was selected
STOPPED = 2  # and where it was interrupted
PATIENCE = 10.0  # [s] that pytest may take to end its daemons and brokers


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the tests, by an expression over their marks."""

    name: str
    marks: str
    workers: int


def phases() -> Iterator[Phase]:
    """Yield them in their order."""
    cores = len(os.sched_getaffinity(0))
    yield Phase("what waits", "waits", 8 if FULL else 6)
    yield Phase("what works", "not waits", max(3, cores + 1))  # a store's threads wait for each other


def run(phase: Phase, arguments: list[str], tally: Path, output: IO[bytes], look: Callable[[], None]) -> int:
    """Run pytest for *phase*, calling *look* now and then; return its exit status: STOPPED where interrupted.

    It is below zero where pytest was killed.
    """
    command = [sys.executable, "-m", "pytest", str(HERE), "-m", phase.marks]
    command += ["-n", str(phase.workers), "--dist", "worksteal"]
    command += ["--timeout", str(LONGEST), "-p", "no:cacheprovider", *arguments]
    known = {**os.environ, FILE: str(tally)}
    # A group of its own: Ctrl-C reaches pytest once, from here, and the table is printed after it has ended.
    running = subprocess.Popen(
        command, stdout=output, stderr=output, cwd=HERE.parents[1], env=known, start_new_session=True
    )
    try:
        return _watched(running, look)
    except KeyboardInterrupt:
        _end(running)
        return STOPPED


def _watched(running: "subprocess.Popen[bytes]", look: Callable[[], None]) -> int:
    shown = time.monotonic()
    while (status := running.poll()) is None:
        time.sleep(0.2)
        if time.monotonic() - shown >= EVERY:
            shown = time.monotonic()
            look()
    return status


def _end(running: "subprocess.Popen[bytes]") -> None:
    """Interrupt pytest and all that it has started, as Ctrl-C does; kill what has not ended then."""
    with suppress(ProcessLookupError):
        try:
            os.killpg(running.pid, signal.SIGINT)
            running.wait(PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            pass
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
