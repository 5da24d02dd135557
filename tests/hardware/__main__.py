"""`make test-hardware`: builds what is missing, runs every level that this machine can, and reports.

Options: `--level shim` for the first level alone; `--day SECONDS` for how much of a day. A day is three hours
of it by default, and the whole of it with FULL=1. A level that cannot run here says why, and is no failure;
but in CI (CI=true) the first level must run.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.hardware import kernel, preload, rig, root
from tests.hardware.conftest import KERNEL, PROGRESS, REPORT

FOLDER = Path(__file__).parent
SHIM = ["test_shim.py"]
GUEST = ["test_kernel.py", "test_service.py", "test_day.py"]
DIST = "loadfile"  # a guest's tests share what they see; and the day runs beside everything else
DAY = 86400 if os.environ.get("FULL") == "1" else 3 * 3600  # s
BEGAN = time.monotonic()


def say(what: str) -> None:
    """Say what happens, and when."""
    print(f"[{time.monotonic() - BEGAN:5.0f} s] {what}", flush=True)


def hindrance() -> str | None:
    """Return why no guest can run here, or None."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "User Mode Linux runs on 64-bit Intel and AMD machines only"
    if why := root.hindrance() or rig.hindrance():
        return why
    absent = [] if kernel.built() else kernel.missing()
    absent += [] if root.place().exists() else root.missing()
    return f"install first, with apt-get: {' '.join(absent)}" if absent else None


def prepare() -> str | None:
    """Build the kernel and the guest's root; return why that failed, or None."""
    try:
        if not kernel.built():
            say("building User Mode Linux: 3 to 15 minutes, this time only")
        made = kernel.build(say)
        say(f"kernel: {made.program}")
        say(f"root: {root.build(say)}")
    except RuntimeError as error:
        return str(error)
    return None


def test(names: list[str], report: Path, more: dict[str, str]) -> bool:
    """Run test files, two at a time, with what they say as it comes; return whether all passed."""
    options = ["-v", "-o", "addopts=--strict-markers", "-p", "no:cacheprovider", "-n", "2", "--dist", DIST]
    files = [str(FOLDER / name) for name in names]
    told = {REPORT: str(report), PROGRESS: str(report.with_name("progress")), **more}
    ended = threading.Event()
    follower = threading.Thread(target=follow, args=(Path(told[PROGRESS]), ended))
    follower.start()
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *files], env={**os.environ, **told}, check=False
        )
    finally:
        ended.set()
        follower.join()
    return run.returncode == 0


def follow(path: Path, ended: threading.Event) -> None:
    """Say each line that comes into the file."""
    shown = 0
    while not ended.wait(2.0):
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines[shown:]:
            say(line)
        shown = len(lines)


def figures(report: Path) -> Iterator[dict[str, Any]]:
    """Yield what the tests took down."""
    if report.exists():
        yield from map(json.loads, report.read_text().splitlines())


def show(results: dict[str, str], report: Path) -> None:
    """Print the report."""
    print("\n=== the report of the hardware tests")
    for name, result in results.items():
        print(f"{name:10} {result}")
    test = None
    for line in sorted(figures(report), key=lambda each: str(each["test"])):
        if line["test"] != test:
            test = line["test"]
            print(f"  {str(test).removeprefix('test_').replace('_', ' ')}")
        for name, value in line.items():
            if name != "test":
                print(f"      {name.replace('_', ' '):28} {value}")
    print(f"{'in all':10} {time.monotonic() - BEGAN:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-hardware", description=__doc__)
    parser.add_argument("--level", choices=("shim", "all"), default="all", help="how far to go")
    parser.add_argument("--day", type=int, default=DAY, help="seconds of the day in the rig's time")
    given = parser.parse_args()
    ci, results = bool(os.environ.get("CI")), dict[str, str]()
    with tempfile.TemporaryDirectory(prefix="lamppost-hardware-") as folder:
        report = Path(folder, "figures")
        if why := preload.hindrance():
            results["shim"] = "FAILED: " * ci + f"cannot run: {why}"
        else:
            say("level 1: the drivers on devices that the preload shim gives")
            results["shim"] = "passed" if test(SHIM, report, {}) else "FAILED"
        if given.level == "all":
            results |= guests(report, given.day)
        show(results, report)
    return int(any(result.startswith("FAILED") for result in results.values()))


def guests(report: Path, day: int) -> dict[str, str]:
    """Run the levels that need a kernel of their own."""
    why = hindrance()
    if why:
        return {"kernel": f"cannot run: {why}"}
    say("levels 2 and 3: a real kernel, the unit under systemd, and a day in the rig's time")
    failure = prepare()
    if failure:
        return {"kernel": f"FAILED: {failure}"}
    say(
        f"the day is {day / 3600:g} h; the whole of one takes FULL=1 or --day 86400, and a quarter of an hour"
    )
    passed = test(GUEST, report, {KERNEL: "1", "LAMPPOST_DAY": str(day)})
    return {"kernel": "passed" if passed else "FAILED", "day": f"{day / 3600:.3g} h of 24"}


if __name__ == "__main__":
    sys.exit(main())
