"""What reading the bus costs beside the bus itself: `python bench/bus.py [--seconds S]`.

The parts are emulated ones that take the wire's own time at 100 and 400 kHz: nine clocks for each byte and
address, and one each for start and stop. Three ways lead to them. Direct: the drivers on an emulated bus, in
one process. linux.py: the drivers on /dev/i2c-1, which the preload shim of tests/hardware stands in for; the
parts live in another process. And the floor: bare smbus2 on the same device, in a loop and nothing else.

"Bus" is the share of the time in which the wires were in use. The sampler has sixteen INA226 that it may ask
as fast as it can: the shortest transfers that a part has, and so the worst case. The loops read two bytes
from a register, and a frame of sixty bytes. CPU is that of the reading process, all its threads.
"""

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from smbus2 import SMBus, i2c_msg

from drivers.bin.ina226 import Driver, Options
from drivers.bin.ina226.chip import Emulated
from drivers.bus import I2C
from drivers.emulated import EmulatedI2C
from drivers.linux import LinuxI2C
from gateway.clock import LoopClock, Now, Quality
from gateway.sampler import Device, Sampler
from tests.hardware import preload, shim
from tests.hardware.board import Board, Message
from tests.hardware.wires import Clock

SPEEDS = (100_000, 400_000)
MANY = tuple(range(0x40, 0x50))
FRAME = 0x60
SPIN = 60e-6  # s before its end at which a wait stops sleeping and looks at the clock
KINDS = {"register": (MANY[0], b"\x02", 2), "frame": (FRAME, b"", 60)}


class Frame:
    """A part that has sixty bytes to give."""

    def transfer(self, write: bytes, read: int) -> bytes:
        return bytes(read)


@dataclass
class Wire:
    """How long the wires were in use [s], for how many transfers."""

    speed: int
    used: float = 0.0
    transfers: int = 0

    def count(self, bits: int) -> float:
        """Count a transfer, and return how long it takes [s]."""
        wanted = bits / self.speed
        self.used += wanted
        self.transfers += 1
        return wanted


class Direct:
    """An emulated bus that takes the wire's time, in the process that reads. *spun*: how long it did [s]."""

    def __init__(self, speed: int) -> None:
        self.wire = Wire(speed)
        self.spun = 0.0
        chips: dict[int, Any] = {address: Emulated(Clock()) for address in MANY}
        self._bus = EmulatedI2C(chips | {FRAME: Frame()})
        ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)  # PR_SET_TIMERSLACK: sleep as exactly as the kernel can

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        began = time.perf_counter()
        messages = [Message(address, write, 0)] if write else []
        messages += [Message(address, b"", read)] if read else []
        answer = await self._bus.transfer(address, write, read)  # the parts work while the wires do
        self._until(began + self.wire.count(shim.wire_bits(messages)))
        return answer

    def _until(self, end: float) -> None:
        if end - SPIN > time.perf_counter():
            time.sleep(end - SPIN - time.perf_counter())
        began = time.perf_counter()
        while time.perf_counter() < end:
            pass
        self.spun += max(0.0, end - began)


def result(name: str, count: int, used: float, took: float, spent: float) -> dict[str, Any]:
    return {"name": name, "rate": count / took, "share": used / took, "cpu": spent / count * 1e6}


async def sample(bus: I2C, seconds: float) -> None:
    """Measure sixteen parts as fast as their conversions allow."""
    clock, now = LoopClock(), Now(quality=lambda: Quality.SYNCHRONIZED)
    options = Options(average=1, conversion=140e-6)
    samplers = [
        Sampler(
            Device(f"power_{each}", Driver(bus, each, clock, options), 0.001, 5.0),
            clock,
            now,
            publish=lambda reading: None,
            announce=lambda event: print(event, file=sys.stderr),
            beat=lambda: None,
        )
        for each in MANY
    ]
    tasks = [asyncio.create_task(each.run()) for each in samplers]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    failures = sum(each.failures for each in samplers)
    if failures:
        print(f"{failures} of {sum(each.measures for each in samplers)} measurements failed", file=sys.stderr)


async def repeat(bus: I2C, kind: str, seconds: float) -> None:
    """Carry the same transfer again and again."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        await bus.transfer(*KINDS[kind])


def bare(kind: str, seconds: float) -> None:
    """The same with nothing but smbus2."""
    address, write, read = KINDS[kind]
    end = time.perf_counter() + seconds
    with SMBus(1) as bus:
        while time.perf_counter() < end:
            answer = i2c_msg.read(address, read)
            bus.i2c_rdwr(*([i2c_msg.write(address, write)] if write else []), answer)
            bytes(answer)


def on(bus: I2C, way: str, seconds: float) -> Awaitable[None]:
    return sample(bus, seconds) if way == "sampler" else repeat(bus, way, seconds)


def direct(way: str, speed: int, seconds: float) -> dict[str, Any]:
    """Measure one way on the emulated bus."""

    async def main() -> Direct:
        bus = Direct(speed)
        await on(bus, way, seconds)
        return bus

    spent, began = time.process_time(), time.perf_counter()
    bus = asyncio.run(main())
    took, spent = time.perf_counter() - began, time.process_time() - spent
    cpu = max(0.0, spent - bus.spun)  # to wait with the clock in its eye is no cost of reading
    return result(f"emulated bus, {way}", bus.wire.transfers, bus.wire.used, took, cpu)


async def serve(path: str, speed: int) -> None:
    """Be the board: print the wire's count when a line is asked for."""
    wire, board = Wire(speed), Board(Clock())
    board.bus.chips.update({address: Emulated(board.clock) for address in MANY})
    board.bus.chips[FRAME] = Frame()  # type: ignore[assignment]
    server = shim.Server(board, path, wire.count)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"used": wire.used, "transfers": wire.transfers}), flush=True)
    server.close()
    board.close()


class Served:
    """The board in a process of its own."""

    def __init__(self, folder: Path, speed: int) -> None:
        self.path, self.folder, self.speed = str(folder / f"board-{speed}"), folder, speed
        command = [sys.executable, __file__, "--serve", self.path, str(speed)]
        self._run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._line()

    def _line(self) -> str:
        assert self._run.stdout is not None
        return self._run.stdout.readline()

    def count(self) -> dict[str, float]:
        assert self._run.stdin is not None
        self._run.stdin.write("\n")
        self._run.stdin.flush()
        return dict(json.loads(self._line()))

    def close(self) -> None:
        self._run.communicate(timeout=10)


def through(served: Served, who: str, way: str, seconds: float) -> dict[str, Any]:
    """Measure one way over the shim, in a process of its own."""
    before = served.count()
    run = subprocess.run(
        [sys.executable, __file__, "--read", who, way, str(seconds)],
        env=preload.environment(served.path, served.folder, served.speed),
        capture_output=True,
        text=True,
        check=True,
    )
    print(run.stderr, end="", file=sys.stderr)
    told, after = json.loads(run.stdout), served.count()
    count, used = after["transfers"] - before["transfers"], after["used"] - before["used"]
    return result(f"{who}, {way}", int(count), used, told["took"], told["spent"])


def read(who: str, way: str, seconds: float) -> None:
    """Be the reader: what it took of the time and of the processor."""

    async def main() -> None:
        bus = LinuxI2C("/dev/i2c-1")
        await on(bus, way, seconds)
        await bus.close()

    spent, began = time.process_time(), time.perf_counter()
    if who == "smbus2":
        bare(way, seconds)
    else:
        asyncio.run(main())
    print(json.dumps({"took": time.perf_counter() - began, "spent": time.process_time() - spent}))


def report(speed: int, rows: list[dict[str, Any]]) -> None:
    print(f"\n{speed // 1000} kHz{'':29} transfers/s   bus in use   CPU per transfer")
    for row in rows:
        print(f"  {row['name']:34} {row['rate']:9.0f} {row['share']:11.1%} {row['cpu']:14.0f} us")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return asyncio.run(serve(given.serve[0], int(given.serve[1])))
    if given.read:
        return read(given.read[0], given.read[1], float(given.read[2]))
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} when this began, {given.seconds:g} s for each figure")
    for speed in SPEEDS:
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.closing(Served(Path(folder), speed)) as served,
        ):
            ways = ("sampler", *KINDS)
            rows = [direct(way, speed, given.seconds) for way in ways]
            rows += [through(served, "linux.py", way, given.seconds) for way in ways]
            rows += [through(served, "smbus2", way, given.seconds) for way in KINDS]
            report(speed, rows)
    return None


if __name__ == "__main__":
    main()
