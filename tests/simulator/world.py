"""Time, chance and what is written down about a life. Everything that happens is an event of the world."""

import hashlib
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Self

from gateway.clock import Quality

START = 1_790_000_000.0
"""Wall time [s, Unix] at which every life begins: within the rules' grants, before they expire."""


class Violation(AssertionError):
    """An invariant does not hold."""


class Killed(BaseException):
    """The process is dead from here on. Not an Exception: nothing in the gateway may catch it."""


class Caught:
    """Keeps the error of what is done within, whatever it is; a process' death is none."""

    error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return error is None or self.error is not None


class World:
    """One life's time and events. *now* [s] never goes back and is nobody's clock but the world's own.

    Whoever wants something to happen later asks `after`; what belongs to a process (an answer of the disk,
    a message on its way to it) dies with it.
    """

    def __init__(self, seed: int, tracing: bool = False) -> None:
        self.seed = seed
        self.now = 0.0
        self.booted = 0.0
        self.boots = 1
        self.process = 0
        """The number of the process that runs, or ran last."""
        self.alive = False
        self.wall_error = 0.0
        """Seconds by which the wall clock is wrong."""
        self.synchronized = True
        self.stepped = 0.0
        """When the wall clock was last set."""
        self.calm = False
        """Whether the faults are over for good."""
        self.violation: Violation | None = None
        self.steps = 0
        self.kinds: list[str] = []
        self.tally = Counter[tuple[str, str]]()
        """How often what was put upon this life, and how much of it was judged: by group and name."""
        self.lines: list[str] | None = [] if tracing else None
        self.digest = hashlib.blake2b(digest_size=8)
        self._events: list[tuple[float, int, int, Callable[[], None]]] = []
        self._number = 0

    def random(self, what: str) -> Random:
        """Return the chance of one part of the world, independent of all others'."""
        return Random(f"{self.seed} {what}")

    @property
    def boot(self) -> str:
        """The boot's id."""
        return f"boot-{self.boots}"

    def mono(self) -> float:
        """Return the monotonic time of this boot [s]."""
        return self.now - self.booted

    def true_wall(self) -> float:
        """Return what a right clock would show [s, Unix]."""
        return START + self.now

    def wall(self) -> float:
        """Return what the clock shows [s, Unix]."""
        return START + self.now + self.wall_error

    def quality(self) -> Quality:
        """Return what the kernel believes of its clock."""
        return Quality.SYNCHRONIZED if self.synchronized else Quality.UNSYNCHRONIZED

    def after(self, seconds: float, function: Callable[[], None], mortal: bool = False) -> None:
        """Call *function* after *seconds*; a *mortal* event only if the present process still runs then."""
        self._number += 1
        process = self.process if mortal else 0
        heappush(self._events, (self.now + seconds, self._number, process, function))

    def advance(self, until: float | None) -> bool:
        """Go on to *until*, or to the first event before it, which happens. False: there is none at all."""
        while self._events:
            time, _, process, function = self._events[0]
            if until is not None and time > until:
                break
            heappop(self._events)
            if process and (process != self.process or not self.alive):
                continue
            self.now = max(self.now, time)
            self.steps += 1
            function()
            return True
        if until is None:
            return False
        self.now = max(self.now, until)
        return True

    def pass_time(self, seconds: float) -> None:
        """Let *seconds* pass while no process runs."""
        until = self.now + seconds
        while self.now < until:
            self.advance(until)

    def note(self, what: str) -> None:
        """Write down what has happened."""
        line = f"{self.now:.6f} {what}"
        self.digest.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    def count(self, group: str, what: str, often: int = 1) -> None:
        """Count what is done to the life, or judged of it."""
        self.tally[group, what] += often

    def expect(self, holds: object, what: str) -> None:
        """Raise Violation unless *holds*: here, and also where the gateway itself would hold it up."""
        if not holds:
            self.violation = Violation(f"{self.now:.3f} s: {what}")
            raise self.violation
