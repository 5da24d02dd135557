"""The guest's root: a small Debian with systemd in a folder, made once by mmdebstrap."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.hardware import cache

SUITE, PYTHON = "bookworm", (3, 11)
"""Debian 12, as Raspberry Pi OS is; and its Python, for which this one's packages must be."""

PACKAGES = ("systemd", "systemd-sysv", "udev", "dbus", "kmod", "python3", "i2c-tools")
INIT = Path(__file__).with_name("uml") / "init"
LEAVE_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def missing() -> list[str]:
    """Return Debian's names of what is needed and is not here."""
    return [] if shutil.which("mmdebstrap") else ["mmdebstrap"]


def hindrance() -> str | None:
    """Return why no root can be made or used here, or None."""
    if os.geteuid() != 0:
        return "a root folder can only be made as root"
    if sys.version_info[:2] != PYTHON:
        return f"the guest's Python is {'.'.join(map(str, PYTHON))}, and this one's packages do not fit it"
    return None


def place() -> Path:
    """Return where the root lies, or will lie."""
    return cache.home() / f"root-{cache.key(SUITE, *PACKAGES, *LEAVE_OUT, INIT.read_bytes())}"


def build(say: Callable[[str], None]) -> Path:
    """Return the root, made if need be. Raises RuntimeError where it cannot be."""
    folder = place()
    if folder.exists():
        return folder
    if missing():
        raise RuntimeError(f"install first: {' '.join(missing())}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    say(f"making a root of Debian {SUITE} with mmdebstrap: about a minute")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as room:
        made = Path(room, "root")
        options = [f"--dpkgopt=path-exclude={each}" for each in LEAVE_OUT]
        command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", *options]
        run = subprocess.run([*command, SUITE, str(made)], capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"mmdebstrap failed:\n{run.stderr[-3000:]}")
        shutil.copy(INIT, made / "sbin/lamppost-guest")
        made.rename(folder)
    return folder
