"""Runs the fault suite and prints its table: `make test-faults`, or with FULL=1 the long one.

Installs nothing. More arguments go to pytest: `make test-faults ARGS='-k kill'`; but not `-m`, see phases.py.
Stopped with Ctrl-C it prints what it has got by then.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.faults.phases import NOTHING, STOPPED, Phase, phases, run
from tests.faults.rows import FULL, added_up, progress, table

NEEDED = {"cc": "gcc libc6-dev"}
"""Programs without which the suite does not run, and Debian's packages for them."""

WANTED = {"faketime": "faketime", "mosquitto": "mosquitto"}
"""Programs without which some rows are not done, and say so."""


def lacking(programs: dict[str, str]) -> list[str]:
    """Return the packages of those *programs* that are not here."""
    places = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    return [package for program, package in programs.items() if shutil.which(program, path=places) is None]


def main(arguments: list[str]) -> int:
    """Run all of it and return pytest's exit status."""
    if missing := lacking(NEEDED):
        print(f"The fault suite needs {', '.join(missing)}. On Debian: apt install {' '.join(missing)}")
        return 2
    if missing := lacking(WANTED):
        print(f"Some rows will not be done: apt install {' '.join(missing)}")
    print(f"The {'FULL' if FULL else 'CI'} size. The other: make test-faults FULL={0 if FULL else 1}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="lamppost-faults-") as folder:
        tally, said = Path(folder, "tally"), Path(folder, "said")
        status = every_phase(arguments, tally, said)
        rows = added_up(tally)
        if status not in (0, STOPPED):
            print(said.read_text(errors="replace"))
    print(f"\n{table(rows)}\n")
    print(verdict(status))
    return status


def every_phase(arguments: list[str], tally: Path, said: Path) -> int:
    """Run the phases and return the first status that is not 0; no test in one of them is not a failure."""
    began, statuses = time.monotonic(), list[int]()
    with said.open("wb") as output:
        for phase in phases():
            print(f"{time.monotonic() - began:5.0f} s  {phase.name}, {phase.workers} at once", flush=True)
            status = run(phase, arguments, tally, output, partial(show, phase, tally, began))
            statuses.append(status)
            if status == STOPPED or status < 0:
                break
    print(f"{time.monotonic() - began:5.0f} s")
    done = [status for status in statuses if status != NOTHING]
    return next((status for status in done if status), 0) if done else NOTHING


def show(phase: Phase, tally: Path, began: float) -> None:
    """Print a line of progress."""
    print(f"{time.monotonic() - began:5.0f} s  {phase.name}: {progress(added_up(tally))}", flush=True)


def verdict(status: int) -> str:
    """Return the last line."""
    if status == STOPPED:
        return "stopped before the end: what is in the table held so far, unless it says otherwise"
    return "every promise held" if not status else f"FAILED (pytest's exit status {status})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
