"""What waits for the next commit: the records of each lane, and the texts to be remembered."""

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from drivers.device import Clock
from gateway.reading import Lane
from gateway.store.errors import advice
from gateway.store.memory import Memory, Text
from gateway.store.pending import Batch, Pending, Row
from gateway.store.tables import Change

_MEMORY = 8 << 20  # bytes of records per lane that wait for a failing disk
_ROWS = 5000  # records of a lane that one commit takes


class Load(NamedTuple):
    """What one commit takes."""

    batches: Mapping[Lane, Batch]
    texts: list[Text]


class Intake:
    """Has it committed within *interval* [s], and at once where somebody waits for it."""

    def __init__(self, interval: float, clock: Clock) -> None:
        self.pending = {lane: Pending(_MEMORY) for lane in Lane}
        self.memory = Memory()
        self.urgent = False
        """Whether somebody waits for the commit."""
        self._interval = interval
        self._clock = clock
        self._since: float | None = None  # when the oldest uncommitted record came

    @property
    def due(self) -> float | None:
        """When what waits is to be committed at the latest, on the clock; None: nothing waits."""
        return None if self._since is None else self._since + self._interval

    def __len__(self) -> int:
        """Return how many records wait."""
        return sum(map(len, self.pending.values()))

    def put(self, row: Row) -> bool:
        """Take *row* in. Tell whether a commit is due sooner for it."""
        self.pending[row.lane].add(row)
        first = self._begin_to_wait()
        if row.lane is Lane.EVENTS or row.done is not None:
            self.urgent = True
        return first or self.urgent

    def remember(self, text: Text) -> bool:
        """Take *text* in: the latest of a name counts. Tell whether a commit is due sooner for it."""
        self.memory.note(text)
        return self._begin_to_wait()

    def _begin_to_wait(self) -> bool:
        first = self._since is None
        if first:
            self._since = self._clock.monotonic()
        return first

    def take(self) -> Load:
        """Return what the next commit takes, to be followed by `settle` or `refuse`."""
        batches = {lane: pending.take(_ROWS) for lane, pending in self.pending.items()}
        self.urgent, self._since = False, None
        return Load(batches, self.memory.waiting())

    def settle(self, load: Load, change: Change) -> None:
        """Tell who waits that *load* is durable, and let go of it."""
        for lane, batch in load.batches.items():
            self.pending[lane].committed()
            for seq, row in enumerate(batch.rows, change.first[lane]):
                if row.done is not None and not row.done.done():
                    row.done.set_result(seq)
        self.memory.committed(load.texts)
        self._go_on()

    def refuse(self, load: Load, error: sqlite3.Error) -> None:
        """Tell who waits that *load* could not be written; the rest of it goes on waiting."""
        for lane, batch in load.batches.items():
            self.pending[lane].failed()
            for row in batch.rows:
                row.refuse(advice(error))
        self._go_on()

    def _go_on(self) -> None:
        """Have what a commit left behind committed next, without another interval."""
        if self._since is None and (self.memory or len(self)):
            self._since = self._clock.monotonic() - self._interval

    def abandon(self, why: str) -> int:
        """Refuse all that waits; return how many are lost that nobody waited for."""
        return sum(pending.abandon(why) for pending in self.pending.values()) + len(self.memory)
