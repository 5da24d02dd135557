"""How fast a backlog goes, and what the fleet's operator may ask of it: never more, never nothing."""

import asyncio
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Mqtt
from gateway.mqtt.limits import DAY, FASTEST, JITTER, LONGEST, PAUSE, SLOWEST, Limits, Unfit, read
from gateway.mqtt.pace import SHARE, Pace
from gateway.reading import Lane
from tests.brokers import Scripted
from tests.gateway.mqtt_rig import Memory, Subscriber, running, until

WALL = 1.8e9


@given(
    st.floats(SLOWEST, 5000),
    st.lists(st.tuples(st.integers(1, 400), st.floats(0, 3)), min_size=1, max_size=60),
)
def test_no_stretch_of_time_carries_more_than_its_budget(rate: float, plan: list[tuple[int, float]]) -> None:
    """And none less: whoever comes when told finds the way open."""
    pace, now, sent = Pace(rate, 0.0), 100.0, list[tuple[float, int]]()
    for records, wait in plan:
        now = max(now + wait, pace.resume(now + wait))
        assert pace.resume(now) <= now + 1e-6
        pace.spend(records, now)
        sent.append((now, records))
    for first, (since, _) in enumerate(sent):
        for last in range(first, len(sent)):
            carried = sum(records for _, records in sent[first : last + 1])
            overdraft = sent[last][1]
            assert carried <= rate * (sent[last][0] - since) + rate + overdraft + 1e-3


def test_a_steady_backlog_goes_at_its_rate() -> None:
    pace, now, sent = Pace(200.0, 0.0), 0.0, 0
    while now < 60.0:
        now = max(now, pace.resume(now))
        pace.spend(100, now)
        sent += 100
    assert sent == pytest.approx(60 * 200 + 200, abs=100)


def test_what_sensors_give_never_waits() -> None:
    pace = Pace(100.0, 0.0)
    for tenth in range(1000):
        now = tenth / 10
        assert pace.resume(now) <= now
        pace.spend(9, now)


@given(st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 600))
def test_the_wait_after_an_outage_is_in_proportion(chance: float, lasted: float, most: float) -> None:
    pace = Pace(1000.0, most, chance=lambda: chance)
    pace.outage(lasted, 50.0)
    assert pace.resume(50.0) == 50.0 + chance * min(most, SHARE * lasted)


def test_gateways_do_not_begin_together() -> None:
    street = [Pace(1000.0, 30.0, random.Random(number).random) for number in range(200)]
    for pace in street:
        pace.outage(3600.0, 0.0)
    begins = sorted(pace.resume(0.0) for pace in street)
    assert max(sum(begin <= other < begin + 1 for other in begins) for begin in begins) < 20


def test_the_operator_can_only_slow_down() -> None:
    pace = Pace(100.0, 10.0, chance=lambda: 1.0)
    pace.obey(Limits(5000.0, 1.0, None, WALL + 60), WALL, 0.0)
    pace.outage(1000.0, 0.0)
    assert pace.resume(0.0) == 10.0
    pace.spend(300, 20.0)
    assert pace.resume(20.0) == 22.0
    pace.obey(Limits(10.0, 50.0, None, WALL + 60), WALL, 30.0)
    pace.outage(1000.0, 30.0)
    assert pace.resume(30.0) == 80.0
    pace.spend(50, 81.0)
    assert pace.resume(81.0) == 85.0


def test_limits_end_by_themselves_and_at_once_when_taken_back() -> None:
    pace = Pace(100.0, 0.0)
    pace.obey(Limits(10.0, None, WALL + 30, WALL + 60), WALL, 0.0)
    assert pace.resume(0.0) == 30.0
    assert pace.paused(10.0) == 20.0
    pace.resume(60.0)
    assert pace.limits is None
    pace.obey(Limits(10.0, None, WALL + 300, WALL + 600), WALL, 100.0)
    assert pace.resume(100.0) == 400.0
    pace.obey(None, WALL, 101.0)
    assert (pace.limits, pace.resume(101.0)) == (None, 101.0)
    pace.obey(Limits(10.0, None, WALL + 300, WALL - 1), WALL, 102.0)
    assert (pace.limits, pace.resume(102.0)) == (None, 102.0), "it was over when it was heard"


@given(st.lists(st.tuples(st.floats(0, 4000), st.floats(-1e6, 1e7), st.floats(-1e6, 1e7)), max_size=80))
def test_nobody_can_pause_for_more_than_an_hour_of_any_day(wishes: list[tuple[float, float, float]]) -> None:
    """Whatever is sent, and however often, with a clock that is wrong by as much as it likes."""
    pace, now, idle = Pace(100.0, 0.0), 0.0, list[tuple[float, float]]()
    for wait, pause, end in wishes:
        pace.obey(Limits(None, None, WALL + pause, WALL + end), WALL, now)
        until = min(now + wait, max(now, pace.resume(now)))
        idle.append((now, until))
        now += wait
    for since, _ in idle:
        lost = sum(max(0.0, min(b, since + DAY) - max(a, since)) for a, b in idle)
        assert lost <= 2 * PAUSE + 1e-3, "a day that lies across two pauses"
        assert sum(b - a for a, b in idle) <= PAUSE * (1 + now // DAY) + 1e-3


def test_limits_hold_for_a_day_at_most_whatever_they_say() -> None:
    pace = Pace(100.0, 0.0)
    pace.obey(Limits(10.0, None, None, WALL + 1e9), WALL, 5.0)
    pace.resume(5.0 + DAY - 1)
    assert pace.limits is not None
    pace.resume(5.0 + DAY)
    assert pace.limits is None


def test_limits_are_heard_again_without_growing() -> None:
    pace = Pace(100.0, 0.0)
    for minute in range(200):
        now = 60.0 * minute
        pace.obey(Limits(None, None, WALL + 1e6, WALL + 1e6), WALL + now, now)
    assert pace.resume(12000.0) == 12000.0
    assert pace.paused(12000.0) == 0.0


GOOD = {"rate": 200, "jitter": 1.5, "pause_until": 5, "until": 10}


def test_what_is_asked_is_read() -> None:
    assert read(json.dumps(GOOD).encode()) == Limits(200.0, 1.5, 5.0, 10.0)
    assert read(b'{"until": 3}') == Limits(None, None, None, 3.0)
    assert read(b"") is None


@pytest.mark.parametrize(
    "payload",
    [
        *(b"{", b"[]", b"null", b"7", b"\xff", b"{}", b"[" * 5000, b" " * (LONGEST + 1), b'{"rate": 50}'),
        *(json.dumps({**GOOD, "until": wrong}).encode() for wrong in (None, "x", True, -1, [1], 1e300)),
        *(
            json.dumps({**GOOD, "rate": wrong}).encode()
            for wrong in (0, -1, 9.99, FASTEST + 1, None, "9", False)
        ),
        *(json.dumps({**GOOD, "jitter": wrong}).encode() for wrong in (-0.1, JITTER + 1, None, {})),
        *(b'{"until": NaN}', b'{"until": Infinity}', b'{"until": 1e999}', b'{"until": 1, "stop": true}'),
        b'{"until": 1' + b"0" * 3000 + b"}",
    ],
)
def test_what_is_no_limits_is_not_obeyed(payload: bytes) -> None:
    with pytest.raises(Unfit):
        read(payload)


def _deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner)


_SHAPES = st.recursive(st.none() | st.floats() | st.text(max_size=5), _deeper, max_leaves=6)


@given(st.binary(max_size=60) | _SHAPES.map(json.dumps).map(str.encode))
def test_no_message_breaks_anything(payload: bytes) -> None:
    try:
        asked = read(payload)
    except Unfit:
        return
    pace = Pace(100.0, 0.0)
    pace.obey(asked, WALL, 5.0)
    assert pace.resume(5.0) <= 5.0 + PAUSE


# on a connection


def test_a_backlog_goes_at_its_rate_and_events_go_before() -> None:
    async def main() -> None:
        async with Scripted() as broker:
            outbox = Memory()
            outbox.fill(Lane.TELEMETRY, 1000)
            loop, marks = asyncio.get_running_loop(), list[float]()
            async with running(Mqtt(port=broker.port, batch=20, backlog_rate=500), outbox):
                began = loop.time()
                await until(lambda: outbox.cursors[Lane.TELEMETRY] >= 520)
                outbox.fill(Lane.EVENTS, 3)
                await until(lambda: outbox.cursors[Lane.EVENTS] == 3, 1)
                marks += [loop.time() - began, outbox.cursors[Lane.TELEMETRY]]
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 1000)
                took = loop.time() - began
            assert marks[1] < 900, "events do not wait for the backlog"
            assert took > 0.9, "500 at once, then 500 per second"

    asyncio.run(main())


def test_the_fleets_limits_hold_up_readings_and_nothing_else(broker: Any) -> None:
    async def main() -> None:
        outbox = Memory()
        with Subscriber(broker.port) as operator:
            topic, asked = "lamppost/fleet/limits", {"pause_until": 4e9, "until": 4e9}
            operator.publish(topic, json.dumps(asked).encode(), retain=True)
            async with running(Mqtt(port=broker.port, batch=20), outbox) as delivery:
                await until(lambda: (delivery.describe()["limits"] or {}).get("paused", 0) > PAUSE - 60)
                outbox.fill(Lane.TELEMETRY, 50)
                outbox.fill(Lane.EVENTS, 5)
                await until(lambda: outbox.cursors[Lane.EVENTS] == 5)
                await asyncio.sleep(0.2)
                assert outbox.cursors[Lane.TELEMETRY] == 0
                operator.publish(topic, b"stop it", retain=True)
                await until(lambda: "not JSON" in delivery.describe()["limits"]["problem"])
                assert delivery.describe()["limits"]["paused"] > PAUSE - 60, "no limits change nothing"
                operator.publish(topic, b"", retain=True)
                await until(lambda: outbox.cursors[Lane.TELEMETRY] == 50)
                assert delivery.describe()["limits"] is None

    asyncio.run(main())
