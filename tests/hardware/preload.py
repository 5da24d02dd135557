"""The preload shim: devices without a kernel that has them, and without root.

The C side (shim.c) turns each ioctl into a datagram; tests.hardware.shim answers.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.hardware import cache

SOURCE = Path(__file__).with_name("shim.c")
FLAGS = ("-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")

CPUINFO = SOURCE.with_name("cpuinfo")
"""What a Pi 4 says of itself in /proc/cpuinfo, as far as gpiozero reads it: which Pi this is."""


def hindrance() -> str | None:
    """Return why there is no shim on this machine, or None."""
    if sys.platform != "linux":
        return "the devices are Linux's own"
    if importlib.util.find_spec("lgpio") is None:
        return "there is no lgpio for this Python: apt install python3-lgpio, or take a Python before 3.13"
    return None if cache.compiler() else "there is no C compiler: install gcc, or name one in CC"


def build() -> Path:
    """Return the shim, compiled if need be. Raises RuntimeError where there is no C compiler or it fails."""
    why, compiler = hindrance(), cache.compiler()
    if why or compiler is None:
        raise RuntimeError(why)
    made = cache.home() / f"shim-{cache.key(SOURCE.read_bytes(), compiler, *FLAGS)}.so"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as folder:
            fresh = Path(folder, made.name)
            run = subprocess.run(
                [compiler, *FLAGS, "-o", str(fresh), str(SOURCE), "-ldl"], capture_output=True, text=True
            )
            if run.returncode:
                raise RuntimeError(f"the shim does not compile:\n{run.stderr}")
            fresh.replace(made)
    return made


def environment(path: str, folder: Path, speed: int = 0) -> dict[str, str]:
    """Return the environment of a process that sees the board at *path*; lgpio's FIFO goes to *folder*.

    With *speed* [bit/s] its transfers take the time of the wires.
    """
    ours = {"LD_PRELOAD": build(), "LAMPPOST_BOARD": path, "LAMPPOST_CPUINFO": CPUINFO, "LG_WD": folder}
    if speed:
        ours["LAMPPOST_SPEED"] = str(speed)
    return {**os.environ, **{name: str(value) for name, value in ours.items()}}
