"""A board on an event loop of its own thread, and who sees it: processes with the shim, or a guest kernel."""

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.hardware import cache, preload, shim, virtio
from tests.hardware.board import Board
from tests.hardware.timeline import TimelineLoop
from tests.hardware.vhost import Backend
from tests.hardware.wires import Clock

PROJECT = Path(__file__).parents[2]
MEMORY = "512M"
ROOM = 2 * 600 << 20
"""Bytes that two guests at a time may take."""


class Rig:
    """A board that lives in a thread. *begin* makes its door, on the loop; use one of the kinds below."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.folder = folder
        self.loop = loop
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)
        self._thread.start()
        if not self._up.wait(10):
            raise RuntimeError("the board does not start")

    def close(self) -> None:
        """End the board and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    def cue(self, what: str, *arguments: object) -> Any:
        """Have the board do or tell something, on its own thread."""

        async def act() -> Any:
            return self.board.cue(what, list(arguments))

        return asyncio.run_coroutine_threadsafe(act(), self.loop).result(10)

    def open(self) -> list[Callable[[], None]]:
        """Open the doors, on the loop; return what closes them."""
        raise NotImplementedError

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._begin())
        self._up.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self._end())
        self.loop.close()

    async def _begin(self) -> None:
        self.board = Board(Clock())
        self._doors = self.open()

    async def _end(self) -> None:
        for close in self._doors:
            close()
        self.board.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


class ShimRig(Rig):
    """The board behind the preload shim."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "board")
        super().__init__(folder, asyncio.SelectorEventLoop())

    def open(self) -> list[Callable[[], None]]:
        self.server = shim.Server(self.board, self.path)
        return [self.server.close]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run Python with *command* where it sees the board."""
        return subprocess.run(
            [sys.executable, *command],
            env=preload.environment(self.path, self.folder),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=50,
        )


class GuestRig(Rig):
    """The board as virtio devices of a guest, in the machine's time or, *travelling*, in the rig's own."""

    def __init__(self, folder: Path, travelling: bool = False) -> None:
        self._travelling = travelling
        super().__init__(
            folder, TimelineLoop(str(folder / "time")) if travelling else asyncio.SelectorEventLoop()
        )

    def open(self) -> list[Callable[[], None]]:
        calendar = self.loop.calendar if isinstance(self.loop, TimelineLoop) else None
        bus = Backend(str(self.folder / "i2c"), virtio.I2C(self.board), calendar)
        header = Backend(str(self.folder / "gpio"), virtio.Gpio(self.board), calendar)
        return [bus.close, header.close]

    @property
    def parameters(self) -> list[str]:
        """What the guest's kernel must be told to see the board."""
        devices = {"i2c": virtio.I2C_ID, "gpio": virtio.GPIO_ID}
        told = [f"virtio_uml.device={self.folder / name}:{kind}" for name, kind in devices.items()]
        return [*told, f"time-travel=ext:{self.folder / 'time'}"] if self._travelling else told


class GuestError(Exception):
    """The guest did not do what it was booted for; the message ends with what it last said."""


def hindrance() -> str | None:
    """Return why no guest can be booted here, or None."""
    if memory() is None:
        return f"a guest needs {ROOM >> 20} MB in /dev/shm or among the temporary files, without noexec"
    if " " in f"{PROJECT}{packages()}{cache.home()}":
        return "a folder has a space in its name, and the kernel's parameters end there"
    traced = [
        sys.executable,
        "-c",
        "import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0, 0, None, None))",
    ]
    if subprocess.run(traced, check=False).returncode:
        return "processes may not be traced (ptrace), which is how it runs its own"
    return None


def memory() -> str | None:
    """Return the folder in which a guest's memory can lie, or None."""
    for folder in ("/dev/shm", tempfile.gettempdir()):
        with suppress(OSError):
            state = os.statvfs(folder)
            if not state.f_flag & os.ST_NOEXEC and state.f_bavail * state.f_frsize > ROOM:
                return folder
    return None


def packages() -> Path:
    """Return the folder of the packages that this Python has: the guest uses the same."""
    return Path(sysconfig.get_path("purelib"))


def boot(
    kernel: Path, root: Path, becomes: str, program: str, *parameters: str, patience: float
) -> Iterator[dict[str, Any]]:
    """Boot a guest that becomes *becomes* and runs *program*; yield what it tells, until it halts.

    *becomes* is a file of the folder uml, *program* a module and its arguments. Raises GuestError when it
    takes longer than *patience* [s], or ends without having said that it ended well.
    """
    arguments = [
        f"mem={MEMORY}",
        "root=/dev/root rootfstype=hostfs",
        f"rootflags={root}",
        "ro quiet con0=null,fd:1 con=null init=/sbin/lamppost-guest",
        f"LAMPPOST_PROJECT={PROJECT}",
        f"LAMPPOST_PACKAGES={packages()}",
        f"LAMPPOST_BECOMES=/srv/lamppost/tests/hardware/uml/{becomes}",
        f'LAMPPOST_PROGRAM="{program}"',
        *parameters,
    ]
    guest = subprocess.Popen(
        [str(kernel), *" ".join(arguments).split(" ")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(memory())},
        start_new_session=True,
    )
    try:
        yield from _heard(guest, time.monotonic() + patience)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(guest.pid, signal.SIGKILL)  # it is a tree of processes that trace each other
        guest.wait()
        assert guest.stdout is not None
        guest.stdout.close()


def _heard(guest: subprocess.Popen[str], deadline: float) -> Iterator[dict[str, Any]]:
    """Yield each line of JSON that the guest says."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        assert guest.stdout is not None
        for line in guest.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=listen, daemon=True).start()
    said: list[str] = []
    ended = False
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise GuestError("the guest takes too long; it last said:\n" + "".join(said[-40:])) from None
        if line is None:
            break
        said.append(line)
        if "reboot: System halted" in line or "Kernel panic" in line:
            break  # what it leaves behind of its processes may keep the pipe open
        if line.startswith("@"):
            told = json.loads(line[1:])
            ended = ended or "ended" in told
            yield told
    if not ended:
        raise GuestError("the guest ended before its work was done; it last said:\n" + "".join(said[-40:]))
