"""Run cases beside the devices: `python -m tests.hardware.subject /dev/i2c-1 /dev/gpiochip0 [CASE ...]`.

Prints one JSON object a line for each case: its name, whether it held, how long it took, its figures, and
where it did not hold, why.
"""

import argparse
import asyncio
import json
import time
import traceback
from typing import Any

from drivers.header import HeaderPins
from tests.hardware.cases import CASES, EXACT, SHIM_ONLY, Case
from tests.hardware.wires import wires

PATIENCE = 30.0


async def judge(name: str, case: Case, path: str, chip: str) -> dict[str, Any]:
    """Run one case with devices of its own."""
    began = time.monotonic()
    told: dict[str, Any] = {"case": name, "held": True}
    try:
        async with asyncio.timeout(PATIENCE), wires(path, chip) as opened:
            told |= await case(opened) or {}
    except Exception:  # noqa: BLE001 - whatever it is, it is the answer
        told |= {"held": False, "why": traceback.format_exc()}
    return told | {"seconds": round(time.monotonic() - began, 3)}


async def hold(chip: str, line: int) -> None:
    """Drive *line* low until killed."""
    pins = HeaderPins(chip)
    await pins.write(line, False)
    print("held", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bus")
    parser.add_argument("chip")
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--hold", type=int, help="only drive this line low, until killed")
    given = parser.parse_args()
    if given.hold is not None:
        asyncio.run(hold(given.chip, given.hold))
    every = CASES | EXACT | SHIM_ONLY
    for name in given.cases or CASES:
        print(json.dumps(asyncio.run(judge(name, every[name], given.bus, given.chip))), flush=True)


if __name__ == "__main__":
    main()
