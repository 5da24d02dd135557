"""One lane's way to the broker, against every answer that a broker can give."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt.backoff import Backoff
from gateway.mqtt.lane import Lane, Verdict, judge
from gateway.reading import Lane as Name


def lane(cursor: int = 0, batch: int = 100) -> Lane:
    return Lane(Name.TELEMETRY, cursor, batch, Backoff(chance=lambda: 1.0))


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (0x00, Verdict.DONE),
        (0x10, Verdict.DONE),
        (0x80, Verdict.KEEP),
        (0x83, Verdict.KEEP),
        (0x87, Verdict.KEEP),
        (0x90, Verdict.KEEP),
        (0x91, Verdict.KEEP),
        (0x97, Verdict.KEEP),
        (0x95, Verdict.SPLIT),
        (0x99, Verdict.SPLIT),
        (0xFF, Verdict.KEEP),
    ],
)
def test_only_what_speaks_of_the_content_splits(code: int, verdict: Verdict) -> None:
    assert judge(code, hold_unheard=False) is verdict


def test_what_nobody_hears_is_kept_where_the_operator_asks_for_it() -> None:
    assert judge(0x10, hold_unheard=True) is Verdict.KEEP
    assert judge(0x00, hold_unheard=True) is Verdict.DONE


def test_the_cursor_waits_for_the_oldest() -> None:
    on_way = lane()
    for mid, first in enumerate((1, 11, 21)):
        on_way.send(mid, first, first + 9)
    on_way.answer(1, Verdict.DONE, "", 0)
    assert on_way.cursor == 0
    on_way.answer(0, Verdict.DONE, "", 0)
    assert on_way.cursor == 20
    on_way.answer(2, Verdict.DONE, "", 0)
    assert on_way.cursor == on_way.sent == 30


def test_a_refusal_stops_pauses_probes_and_ends() -> None:
    on_way = lane()
    on_way.send(1, 1, 10)
    on_way.send(2, 11, 20)
    on_way.answer(1, Verdict.KEEP, "Not authorized", 100.0)
    assert (on_way.allowed(1e9), on_way.cursor, on_way.refusal) == (0, 0, "Not authorized")
    on_way.answer(2, Verdict.DONE, "", 100.1)
    assert (on_way.sent, on_way.cursor) == (0, 0), "it begins again with the refused"
    assert on_way.refusal, "what was on its way already proves nothing"
    assert (on_way.allowed(101.9), on_way.allowed(102.0)) == (0, 1)
    on_way.send(3, 1, 10)
    assert on_way.allowed(102.0) == 0, "one probe at a time"
    on_way.answer(3, Verdict.DONE, "", 102.1)
    assert (on_way.refusal, on_way.cursor) == ("", 10)
    assert on_way.allowed(102.1) > 1


def test_several_refusals_of_one_window_are_one_failure() -> None:
    on_way = lane()
    for mid in range(8):
        on_way.send(mid, mid + 1, mid + 1)
    for mid in range(8):
        on_way.answer(mid, Verdict.KEEP, "Quota exceeded", 0.0)
    assert on_way.backoff.failures == 1


def test_the_record_that_is_too_large_is_found_by_halves() -> None:
    on_way = lane(batch=8)
    sizes = []
    while on_way.condemned is None:
        size = on_way.limit
        sizes.append(size)
        first, last = on_way.sent + 1, on_way.sent + size
        on_way.send(1, first, last)
        on_way.answer(1, Verdict.SPLIT if first <= 3 <= last else Verdict.DONE, "Packet too large", 0.0)
    assert on_way.condemned == 3
    assert sizes == [8, 4, 2, 4, 2, 1]
    assert on_way.allowed(1e9) == 0, "until the outbox has given it up"
    on_way.passed(3)
    assert (on_way.sent, on_way.cursor) == (3, 3)
    assert (on_way.allowed(0.0), on_way.allowed(2.0)) == (0, 1), "the next would have to wait"


def test_a_connection_that_broke_over_a_batch_makes_it_smaller() -> None:
    on_way = lane(batch=100)
    on_way.cut_off()
    assert on_way.limit == 100, "nothing of this lane was on its way"
    for expected in (50, 25, 12, 6, 3, 1, 1):
        on_way.send(1, 1, on_way.limit)
        on_way.cut_off()
        on_way.rewind()
        assert (on_way.limit, on_way.sent) == (expected, 0)


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 8))
@settings(deadline=None, max_examples=150)
def test_whatever_the_broker_answers_everything_arrives_in_order(seed: int, batch: int, window: int) -> None:
    """A broker that refuses, loses the connection, and answers in any order; some records are too large."""
    chance, now, mid, total = random.Random(seed), 0.0, 0, 60
    bad = {n for n in range(1, total + 1) if chance.random() < 0.05}
    on_way, arrived, dropped = lane(batch=batch), set[int](), set[int]()
    flight: dict[int, tuple[int, int]] = {}
    for _ in range(20_000):
        if on_way.cursor == total:
            break
        now += chance.random()
        while on_way.sent < total and len(flight) < window and on_way.allowed(now) > 0:
            numbers = [n for n in range(on_way.sent + 1, total + 1) if n not in dropped]
            if not numbers:
                break
            size = next((i for i in range(1, len(numbers)) if numbers[i] != numbers[0] + i), len(numbers))
            mid += 1
            flight[mid] = (numbers[0], numbers[min(size, on_way.limit) - 1])
            on_way.send(mid, *flight[mid])
        if on_way.condemned is not None and chance.random() < 0.5:
            dropped.add(on_way.condemned)
            on_way.passed(on_way.condemned)
        if flight and chance.random() < 0.05:
            flight.clear()
            on_way.cut_off()
            on_way.rewind()
        elif flight:
            one = chance.choice(list(flight))
            span = set(range(flight[one][0], flight.pop(one)[1] + 1))
            if span & bad:
                on_way.answer(one, Verdict.SPLIT, "Packet too large", now)
            elif chance.random() < 0.2:
                on_way.answer(one, Verdict.KEEP, "Quota exceeded", now)
            else:
                arrived |= span
                on_way.answer(one, Verdict.DONE, "", now)
        assert set(range(1, on_way.cursor + 1)) <= arrived | dropped, "the cursor runs ahead of the truth"
        assert on_way.cursor <= on_way.sent
    assert (on_way.cursor, dropped) == (total, bad)
