"""How the store does: whether its disk takes what is written, what is damaged, and what gave way."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from drivers.device import Clock
from gateway.store.errors import advice, damaged
from gateway.store.quarantine import mark_damaged

_RETRY = (0.5, 4.0)  # [s] first and longest wait before a failed commit is tried again
_SHED = 3600.0  # [s] for which the status says that readings were given up
_LESS = {"thinned": "thinning", "full": "dropping", "expired": "dropping"}  # reasons, and the state's word
_STUCK = 5.0  # [s] after which a write that has not come back counts as a failure

_log = logging.getLogger(__name__)


class Condition:
    """Says each trouble once when it comes, and once when it is over. *closed* tells of the end."""

    def __init__(self, path: Path, clock: Clock, closed: Callable[[], bool]) -> None:
        self.problem = ""
        """Why the disk does not take what is written; "" while it does."""
        self.damage = ""
        """What SQLite said when it found the file damaged."""
        self.retry = 0.0
        """When a write that failed is tried again, on the clock."""
        self.started: float | None = None
        """When the write that is under way began."""
        self.ballast = False
        """Whether the ballast was there when last looked at."""
        self.released = False
        """It was given up, and the disk is as full as it was."""
        self._path, self._clock, self._closed = path, clock, closed
        self._pause = _RETRY[0]
        self._neglect: dict[str, str] = {}  # what fails beside the commits
        self._shed = ("", -_SHED)  # why readings were given up for want of room, and when

    def fail(self, error: sqlite3.Error) -> None:
        """Note that the disk does not take what is written; say it once, and try later."""
        if not self.problem:
            _log.error("store: %s; records wait in memory", advice(error))
        self.problem = advice(error)
        self.retry = self._clock.monotonic() + self._pause
        self._pause = min(2 * self._pause, _RETRY[1])
        self._look_at(error)

    def recover(self) -> None:
        """Note that the disk takes what is written."""
        if self.problem:
            _log.warning("store: records are written again")
        self.problem, self._pause = "", _RETRY[0]

    def neglect(self, what: str, error: sqlite3.Error | None) -> None:
        """Note that *what* (reading, checkpoint) fails while commits may work, or works again (None)."""
        if error is None:
            self._neglect.pop(what, None)
            return
        if what not in self._neglect:
            _log.error("store: %s: %s", what, advice(error))
        self._neglect[what] = advice(error)
        self._look_at(error)

    def spoilt(self, said: str) -> None:
        """Note that the file is damaged, so that the next start mends it."""
        if not self.damage:
            _log.error("store: %s", said)
            self.damage = said
            mark_damaged(self._path)

    def _look_at(self, error: sqlite3.Error) -> None:
        if damaged(error):
            self.spoilt(advice(error))

    def use_reserve(self) -> None:
        """Note that the ballast went."""
        self.ballast, self.released = False, True
        _log.error("store: the disk is full; the reserve is used now: free some space on it")

    def spare(self) -> None:
        """Note that the disk is no longer full."""
        self.released = False
        _log.warning("store: the disk has room again")

    def shed(self, reason: str) -> None:
        """Note that readings which waited were given up, if *reason* is a want of room."""
        if reason in _LESS:
            self._shed = reason, self._clock.monotonic()

    def failure(self) -> str:
        """Return why nothing can be written now, or ""."""
        if self.problem or self.damage:
            return self.problem or self.damage
        if self.started is not None and (age := self._clock.monotonic() - self.started) > _STUCK:
            return f"the disk has not answered for {age:.0f} s"
        return "the store is closed" if self._closed() else ""

    def state(self) -> str:
        """Return one word: writing, thinning, dropping, reserve, memory, damaged or closed.

        thinning, dropping: within the last hour readings that wait became means, or were given up. reserve:
        the disk is full, and the ballast is used. memory: nothing can be written, records wait in memory.
        """
        if self.damage or self.failure():
            return "damaged" if self.damage else "closed" if self._closed() else "memory"
        if self.released:
            return "reserve"
        reason, when = self._shed
        recent = self._clock.monotonic() - when < _SHED
        return _LESS.get(reason, "writing") if recent else "writing"

    def words(self) -> str:
        """Return what is wrong, in sentences, or ""."""
        return self.failure() or "; ".join([*self._neglect.values(), *self._short()])

    def _short(self) -> Iterator[str]:
        """Yield what is said of a want of room that does not keep records from being written."""
        if self.released:
            yield "the disk is full, and the store lives on its reserve: free some space on it"
