"""Records that must not be lost, and a journal that does not take them."""

import asyncio
from dataclasses import replace

import pytest

from gateway.clock import LoopClock
from gateway.control.attempt import attempt
from gateway.control.recorder import HELD, Recorder
from gateway.reading import Event
from tests.gateway.control_rig import Paper, instant


def event(number):
    return Event("lamppost.x", "y", instant(), {"n": number})


def numbers(journal):
    return [record.data["n"] for record in journal.records]


def with_recorder(test, **paper):
    async def main():
        journal = Paper([], **paper)
        recorder = Recorder(journal, LoopClock())
        task = asyncio.create_task(recorder.run())
        await test(recorder, journal)
        task.cancel()
        await asyncio.wait({task})
        return journal

    return main()


def test_records_late_in_order(virtual):
    async def test(recorder, journal):
        for number in range(5):
            recorder.later(event(number))
        await recorder.settled(1.0)
        assert numbers(journal) == [0, 1, 2, 3, 4]

    virtual(with_recorder(test, delay=0.1))


def test_keeps_what_a_failing_journal_refuses_and_tries_again_ever_more_rarely(virtual):
    async def test(recorder, journal):
        for number in range(3):
            recorder.later(event(number))
        await asyncio.sleep(100)
        tries = journal.tries
        assert tries <= 8
        assert recorder.problem == "the disk is full"
        journal.fail = False
        await asyncio.sleep(61)
        assert numbers(journal) == [0, 1, 2]
        assert recorder.problem == ""
        assert recorder.lost == 0

    virtual(with_recorder(test, fail=True))


def test_holds_a_bounded_number_and_counts_the_oldest_as_lost(virtual, caplog):
    async def test(recorder, journal):
        for number in range(HELD + 10):
            recorder.later(event(number))
        assert recorder.lost == 10
        journal.fail = False
        await asyncio.sleep(61)
        assert numbers(journal) == list(range(10, HELD + 10))

    virtual(with_recorder(test, fail=True))
    assert len(caplog.records) == 1


def test_what_is_pushed_out_while_it_is_being_recorded_takes_no_other_with_it(virtual):
    async def test(recorder, journal):
        recorder.later(event(0))
        await asyncio.sleep(0.5)  # its recording is under way
        for number in range(1, HELD + 1):
            recorder.later(event(number))
        journal.delay = 0.0
        await asyncio.sleep(2)
        assert numbers(journal) == list(range(HELD + 1))

    virtual(with_recorder(test, delay=1.0))


def test_a_record_that_no_journal_can_hold_is_counted_and_blocks_nothing(virtual, caplog):
    async def test(recorder, journal):
        recorder.later(replace(event(0), data={"n": float("nan")}))
        recorder.later(replace(event(0), data={"n": object()}))
        recorder.later(event(1))
        await recorder.settled(1.0)
        assert numbers(journal) == [1]
        assert recorder.lost == 2

    virtual(with_recorder(test))
    assert "no journal can hold it" in caplog.messages[0]


def test_durable_says_why_not(virtual):
    async def test(recorder, journal):
        assert await recorder.durable(event(0), 1.0) == ""
        assert await recorder.durable(event(1), 0.4) == ""
        journal.delay = 2.0
        assert await recorder.durable(event(2), 0.4) == "no answer within 0.4 s"
        journal.delay, journal.fail = 0.0, True
        assert await recorder.durable(event(3), 0.4) == "the disk is full"
        await asyncio.sleep(5)
        assert numbers(journal) == [0, 1]  # what was given up does not come after all

    virtual(with_recorder(test))


def test_settled_does_not_wait_for_a_failing_journal(virtual):
    async def test(recorder, journal):
        recorder.later(event(0))
        await recorder.settled(1.0)
        began = asyncio.get_running_loop().time()
        await recorder.settled(1.0)
        assert asyncio.get_running_loop().time() == began

    virtual(with_recorder(test, fail=True))


@pytest.mark.parametrize(("delay", "kept"), [(0.0, 3), (0.45, 2), (5.0, 0)])
def test_flush_records_what_it_can_in_time(virtual, delay, kept):
    async def main():
        journal = Paper([], delay=delay)
        recorder = Recorder(journal, LoopClock())
        for number in range(3):
            recorder.later(event(number))
        await recorder.flush(1.0)
        assert asyncio.get_running_loop().time() <= 1.0 + 1e-6
        assert len(journal.records) == kept

    virtual(main())


def test_an_attempt_that_is_itself_cancelled_cancels_its_work(virtual):
    ended = []

    async def work():
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(asyncio.get_running_loop().time())

    async def main():
        pending = set()
        task = asyncio.create_task(attempt(work(), 50.0, pending))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(0.1)
        assert ended == [pytest.approx(1.0)]
        assert not pending

    virtual(main())
