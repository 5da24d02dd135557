"""Which loops still make progress, and what the service manager hears of it (sd_notify(3))."""

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from drivers.device import Clock

log = logging.getLogger("lamppost.health")

PERIOD = 10.0
"""Longest pause [s] between two words to the service manager."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop: seconds since it last made progress, and the most that it may take."""

    name: str
    age: float
    limit: float
    ok: bool


class Health:
    """Remembers when each loop last made progress. Belongs to the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._limits: dict[str, float] = {}
        self._beats: dict[str, float] = {}

    def expect(self, name: str, within: float) -> None:
        """Expect *name* to beat at least every *within* seconds, counted from now."""
        self._limits[name] = within
        self._beats[name] = self.clock.monotonic()

    def forget(self, name: str) -> None:
        """Expect nothing of *name* any more: its loop has ended as it should."""
        del self._limits[name], self._beats[name]

    def beat(self, name: str) -> None:
        """Note that *name* made progress. Raises KeyError for a loop that nobody expects."""
        if name not in self._limits:
            raise KeyError(name)
        self._beats[name] = self.clock.monotonic()

    def loops(self) -> list[Loop]:
        """Return every expected loop, in the order in which they were announced."""
        now = self.clock.monotonic()
        ages = {name: now - self._beats[name] for name in self._limits}
        return [Loop(name, ages[name], limit, ages[name] <= limit) for name, limit in self._limits.items()]

    def problems(self) -> list[str]:
        """Say in a sentence, for each loop that hangs, for how long it has."""
        return [
            f"the {loop.name} loop has not moved for {loop.age:.0f} s (limit {loop.limit:g} s)"
            for loop in self.loops()
            if not loop.ok
        ]

    @property
    def ok(self) -> bool:
        """Whether every loop made progress within its limit."""
        return all(loop.ok for loop in self.loops())


def notify(state: str) -> bool:
    """Send *state* (`READY=1`, or several lines) to $NOTIFY_SOCKET; return whether it was taken.

    The socket is a path or, with a leading @, a name in the abstract namespace. Never waits.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(state.encode(errors="replace"), name)
    except OSError as error:
        log.debug("the service manager did not take %r: %s", state, error)
        return False
    return True


def watchdog_interval() -> float | None:
    """Return the service manager's limit [s] between two WATCHDOG=1 of this process, None without one."""
    limit, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not (limit.isascii() and limit.isdigit() and int(limit)):
        return None
    return int(limit) / 1e6 if process in ("", str(os.getpid())) else None


async def feed(health: Health, status: Callable[[], str]) -> None:
    """Tell the service manager READY once, *status* always, WATCHDOG while every loop moves; never return.

    Twice per watchdog interval, as sd_watchdog_enabled(3) advises. A loop that hangs is logged once.
    """
    period = min(PERIOD, (watchdog_interval() or 2 * PERIOD) / 2)
    ready, hung = False, False
    while True:
        problems = health.problems()
        ready = notify("\n".join(_words(ready, problems, status()))) or ready
        if bool(problems) is not hung:
            hung = bool(problems)
            log.error("the watchdog is %s", f"not fed: {'; '.join(problems)}" if hung else "fed again")
        await health.clock.sleep(period)


def _words(ready: bool, problems: list[str], status: str) -> list[str]:
    text = " ".join("; ".join([*problems, status]).split())
    return [*([] if ready else ["READY=1"]), f"STATUS={text}", *([] if problems else ["WATCHDOG=1"])]
