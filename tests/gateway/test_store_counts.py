"""accepted = delivered + held + dropped, after every step of any life that a store may have."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.reading import Lane
from gateway.store import Counts, Store, StoreError
from gateway.store.tally import Drop, Tally
from tests.gateway.store_rig import NOW, Ahead, books_agree, event, failing_disk, reading, seqs
from tests.gateway.store_rig import settings as store_settings

LANES = st.sampled_from(list(Lane))
NUMBERS = st.integers(0, 60)


class Life(RuleBasedStateMachine):
    """Drives a real store on a real file beside a model that knows each record's fate by its number."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.home = contextlib.ExitStack()
        self.path = Path(self.home.enter_context(tempfile.TemporaryDirectory())) / "s.db"
        self.clock = Ahead()
        self.high = dict.fromkeys(Lane, 0)
        self.cursor = dict.fromkeys(Lane, 0)
        self.dropped = {lane: set() for lane in Lane}

    @initialize()
    def open(self):
        opening = Store.open(store_settings(self.path, keep=0, keep_events=0), "pole-1", self.clock, NOW)
        self.store = self.runner.run(opening)

    def teardown(self):
        self.runner.run(self.store.close())
        self.runner.close()
        self.home.close()

    @rule(lane=LANES, number=st.integers(1, 9))
    def accept(self, lane, number):
        record = reading if lane is Lane.TELEMETRY else event

        async def main():
            return await asyncio.gather(*(self.store.record(record()) for _ in range(number)))

        first = self.high[lane] + 1
        self.high[lane] += number
        assert self.runner.run(main()) == list(range(first, first + number))

    @rule(lane=LANES, upto=NUMBERS)
    def deliver(self, lane, upto):
        self.runner.run(self.store.delivered(lane, upto))
        self.cursor[lane] = max(self.cursor[lane], min(upto, self.high[lane]))
        self.skip(lane)

    @rule(lane=LANES, first=NUMBERS, length=st.integers(0, 20))
    def drop(self, lane, first, length):
        self.runner.run(self.store.drop(lane, first, first + length, "test"))
        lot = set(range(max(first, self.cursor[lane] + 1), min(first + length, self.high[lane]) + 1))
        news = lot - self.dropped[lane]
        self.dropped[lane] |= news
        self.high[Lane.EVENTS] += sum(number - 1 not in news for number in news)  # a gap record per run
        self.skip(lane)

    @rule(number=st.integers(0, 5))
    def fail(self, number):
        """The disk refuses every write for a moment: what was added comes later, what was refused never."""

        async def main():
            for _ in range(number):
                self.store.add(reading())
            await self.store.record(event())

        with failing_disk(), pytest.raises(StoreError):
            self.runner.run(main())
        self.accept(Lane.EVENTS, 1)
        self.high[Lane.TELEMETRY] += number

    @rule()
    def trim(self):
        """Time passes: the cursor is saved and what was delivered goes."""
        self.clock.ahead += 61
        self.accept(Lane.EVENTS, 1)
        self.accept(Lane.EVENTS, 1)
        for lane in Lane:
            assert not [seq for seq in seqs(self.path, lane) if seq <= self.cursor[lane]]

    @rule()
    def reopen(self):
        epoch = self.store.epoch
        self.runner.run(self.store.close())
        self.open()
        assert self.store.epoch == epoch

    @precondition(lambda self: any(self.high.values()))
    @rule(lane=LANES, seq=NUMBERS, limit=st.integers(1, 30))
    def read(self, lane, seq, limit):
        found = [one.seq for one in self.runner.run(self.store.after(lane, seq, limit))]
        assert found == [n for n in seqs(self.path, lane) if n > seq][:limit]
        held = set(range(self.cursor[lane] + 1, self.high[lane] + 1)) - self.dropped[lane]
        assert held <= set(seqs(self.path, lane))

    def skip(self, lane):
        while self.cursor[lane] + 1 in self.dropped[lane]:
            self.cursor[lane] += 1

    @invariant()
    def agrees(self):
        for lane, counts in self.store.counts().items():
            held = set(range(self.cursor[lane] + 1, self.high[lane] + 1)) - self.dropped[lane]
            gone = len(self.dropped[lane])
            delivered = self.high[lane] - len(held) - gone
            assert counts == Counts(self.high[lane], delivered, len(held), {"test": gone} if gone else {})
        books_agree(self.store, self.path, self.cursor)


Life.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestLife = Life.TestCase


def test_a_reason_is_counted_by_its_first_word():
    """A broker's own words are in the gap record, and must not multiply the counts."""
    tally = Tally(high=10)
    tally.drop([Drop(Lane.EVENTS, 2, 2, "refused: a"), Drop(Lane.EVENTS, 4, 5, "refused: b")])
    tally.drop([Drop(Lane.EVENTS, 7, 7, "memory")])
    assert tally.counts() == Counts(10, 0, 6, {"refused": 3, "memory": 1})


def test_what_was_delivered_while_it_was_dropped_counts_as_dropped():
    """The acknowledgement and the drop may cross; the sum must hold all the same."""
    tally = Tally(high=10)
    tally.deliver(6)
    tally.drop([Drop(Lane.TELEMETRY, 5, 8, "full")])
    assert tally.cursor == 8
    assert tally.counts() == Counts(10, 4, 2, {"full": 4})
