"""Runs the fault suite and prints its table: `make test-faults`, or with FULL=1 the long one.

Installs nothing. More arguments go to pytest: `make test-faults ARGS='-k kill'`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.rows import FILE, FULL, Row, added_up, table

HERE = Path(__file__).parent
LONGEST = 3600 if FULL else 900  # [s] of one test
EVERY = 10.0  # [s] between two lines of progress

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
    with tempfile.TemporaryDirectory(prefix="lamppost-faults-") as folder:
        tally, said = Path(folder, "tally"), Path(folder, "said")
        status = watched(arguments, tally, said)
        rows = added_up(tally)
        if status:
            print(said.read_text(errors="replace"))
    print(f"\n{table(rows)}\n")
    print("every promise held" if not status else f"FAILED (pytest's exit status {status})")
    return status


def watched(arguments: list[str], tally: Path, said: Path) -> int:
    """Run pytest, print a line of progress now and then, and return its exit status."""
    command = [sys.executable, "-m", "pytest", str(HERE), "-n", "2", "--dist", "worksteal"]
    command += ["--timeout", str(LONGEST), "-p", "no:cacheprovider", *arguments]
    began, shown = time.monotonic(), 0.0
    with said.open("wb") as output:
        running = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=HERE.parents[1], env={**os.environ, FILE: str(tally)}
        )
        while running.poll() is None:
            time.sleep(0.2)
            if time.monotonic() - began - shown >= EVERY:
                shown = time.monotonic() - began
                print(f"{shown:5.0f} s  {'; '.join(map(progress, added_up(tally)))}", flush=True)
    return running.returncode


def progress(row: Row) -> str:
    """Return a row in a few words."""
    return f"{row.title}: {row['times']:,}{'' if row.outcome == 'ok' else f' ({row.outcome})'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
