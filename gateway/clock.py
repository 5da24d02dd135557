"""Monotonic and wall time, and how far the wall clock can be trusted."""

import asyncio
import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMESYNCD = Path("/run/systemd/timesync")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


class Quality(StrEnum):
    """Whether the kernel believed its wall clock."""

    SYNCHRONIZED = "synchronized"
    UNSYNCHRONIZED = "unsynchronized"
    UNKNOWN = "unknown"
    CORRECTED = "corrected"  # never recorded: put right since, by gateway/correction.py


class LoopClock:
    """The event loop's own time, so that a loop with virtual time makes everything virtual."""

    def monotonic(self) -> float:
        """Seconds on the loop's clock, which is the system's monotonic one."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Instant:
    """When something happened: wall time [s, Unix], monotonic time [s], boot id, and the clock's quality."""

    time: float
    mono: float
    boot: str
    clock: Quality


@dataclass
class Now:
    """Gives instants. The quality of the wall clock is asked of the kernel at most every *period* seconds."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    quality: Callable[[], Quality] = field(default_factory=lambda: kernel_quality)
    boot: str = field(default_factory=lambda: boot_id())
    period: float = 5.0
    _asked: float = float("-inf")
    _quality: Quality = Quality.UNKNOWN

    def ask(self) -> Instant:
        """Return this instant, with what the kernel says of its clock right now."""
        self._asked = float("-inf")
        return self()

    def __call__(self) -> Instant:
        """Return this instant."""
        mono = self.monotonic()
        if mono - self._asked >= self.period:
            self._asked, self._quality = mono, self.quality()
        return Instant(self.wall(), mono, self.boot, self._quality)


def boot_id() -> str:
    """Return the kernel's random id of this boot (random(4)), or "unknown" where there is none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"


def kernel_quality() -> Quality:
    """Ask adjtimex(2), without changing anything, whether the wall clock is synchronised."""
    buffer = ctypes.create_string_buffer(256)  # struct timex is 208 bytes; modes = 0 only reads
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return Quality.UNKNOWN
    if state < 0:
        return timesyncd_quality()  # ProtectClock= of the unit forbids even to ask
    return Quality.UNSYNCHRONIZED if state == _TIME_ERROR else Quality.SYNCHRONIZED


def timesyncd_quality(folder: Path = _TIMESYNCD) -> Quality:
    """Ask systemd-timesyncd(8), which touches `synchronized` at each synchronisation since the boot."""
    if not folder.is_dir():
        return Quality.UNKNOWN
    return Quality.SYNCHRONIZED if (folder / "synchronized").exists() else Quality.UNSYNCHRONIZED
