"""What runs inside the guest: the cases on its real devices, the kernel's own stand-ins, the life of a pole.

`python -m tests.hardware.inside cases [NAME ...]`, `stock`, or `live SECONDS PART ...`. Each line that begins
with "@" is JSON for the rig outside.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.hardware.cases import CASES, EXACT
from tests.hardware.day import day
from tests.hardware.stock import STOCK, chip, simulated
from tests.hardware.subject import judge

DEVICES = Path("/sys/bus/i2c/devices")


def tell(**what: Any) -> None:
    """Tell the rig."""
    print("\n@" + json.dumps(what), flush=True)


def bus(named: str) -> str:
    """Return the path of the bus whose adapter's name begins so: numbers follow the order of discovery."""
    found = [each for each in DEVICES.glob("i2c-*") if (each / "name").read_text().startswith(named)]
    if len(found) != 1:
        raise LookupError(f"{len(found)} adapters are called {named}")
    return f"/dev/{found[0].name}"


def uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def main(what: str, *names: str) -> None:
    tell(booted=uptime(), kernel=os.uname().release)
    if what == "stock":
        for name, case in STOCK.items():
            tell(**asyncio.run(judge(name, case, bus("SMBus stub driver"), simulated())))
        return tell(ended=uptime())
    path, header = bus("i2c_virtio"), chip("virtio")
    if what == "cases":
        every = CASES | EXACT
        for name in names or CASES:
            tell(**asyncio.run(judge(name, every[name], path, header)))
    elif what == "live":
        tell(**asyncio.run(day(path, header, int(names[0]), names[1:], tell)))
    return tell(ended=uptime())


if __name__ == "__main__":
    main(*sys.argv[1:])
