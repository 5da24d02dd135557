"""People's orders: late, repeated, impossible, unrecordable; overrides and what ends them."""

import asyncio
import math
import random
from dataclasses import replace

import pytest

from gateway.control import Desk
from gateway.reading import Mode, Order, OrderKind, Outcome, SwitchOn, encode
from tests.gateway.control_rig import MOTOR, SIREN, running


def test_an_override_switches_on_and_ends_by_itself(virtual):
    async def test(rig):
        answer = await rig.order("override", "siren", value="on", until=30.0)
        assert answer.accepted
        assert rig.on(SIREN)
        status = rig.control.status()[0]
        assert status["override"]["who"] == "ada"
        assert status["held_by"] == ["ada by hand"]
        await asyncio.sleep(31)
        assert not rig.on(SIREN)
        assert rig.control.status()[0]["override"] is None

    rig = virtual(running(test, max_on=100.0))
    assert set(rig.outcomes()) == {Outcome.OVERRIDDEN, Outcome.ACTED, Outcome.RELEASED, Outcome.LAPSED}
    overridden, acted = rig.decisions()[:2]
    assert (overridden.who, overridden.order, acted.who, acted.order) == ("ada", "o1", "ada", "o1")
    released = rig.decisions(Outcome.RELEASED)[0]
    assert released.effect == {"on": 1.0, "lasted": pytest.approx(29.75, abs=0.01)}


def test_an_override_is_no_longer_than_its_lease(virtual):
    async def test(rig):
        await rig.order("override", "siren", value="on", until=1e6)
        await asyncio.sleep(61)
        assert not rig.on(SIREN)

    virtual(running(test, max_on=1000.0, lease=60.0))


def test_an_override_off_takes_it_from_its_rule_and_gives_it_back(virtual):
    async def test(rig):
        await rig.fire()
        await rig.order("override", "siren", value="off", until=30.0)
        assert not rig.on(SIREN)
        await asyncio.sleep(29)
        assert not rig.on(SIREN)
        await asyncio.sleep(3)
        assert rig.on(SIREN)  # its rule still fires

    virtual(running(test, max_on=1000.0))


def test_a_release_gives_it_back_at_once(virtual):
    async def test(rig):
        await rig.order("override", "siren", value="on")
        assert (await rig.order("release", "siren")).accepted
        assert not rig.on(SIREN)
        assert not (await rig.order("release", "siren")).accepted

    virtual(running(test))


def test_no_override_beats_the_guard(virtual):
    async def test(rig):
        rig.set_lid(False)
        assert (await rig.order("override", "motor", value="on")).accepted
        await asyncio.sleep(5)
        assert not rig.on(MOTOR)
        rig.set_lid(True)
        await asyncio.sleep(0.1)
        assert rig.on(MOTOR)
        rig.set_lid(None)
        await asyncio.sleep(0.01)
        assert not rig.on(MOTOR)
        rig.set_lid(True)
        await asyncio.sleep(5)
        assert not rig.on(MOTOR)  # cut short: it must be ordered anew

    virtual(running(test, max_on=1000.0))


def test_a_reset_lets_what_was_cut_short_ask_again(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("motor"))
        rig.set_lid(False)
        await asyncio.sleep(1)
        rig.set_lid(True)
        await asyncio.sleep(1)
        assert not rig.on(MOTOR)
        assert (await rig.order("reset", "motor")).accepted
        assert rig.on(MOTOR)
        assert not (await rig.order("reset", "motor")).accepted

    virtual(running(test))


@pytest.mark.parametrize(
    ("kind", "target", "more", "why"),
    [
        ("override", "siren", {"value": "on", "not_after": -1.0}, "too late"),
        ("override", "siren", {"value": "on", "not_after": 90_000.0}, "24 h ahead"),
        ("override", "siren", {"value": "on", "not_after": math.nan}, "no time"),
        ("override", "siren", {"value": "up"}, 'must be "on" or "off"'),
        ("override", "siren", {"value": None}, 'must be "on" or "off"'),
        ("override", "siren", {"value": "on", "until": -5.0}, "not in the future"),
        ("override", "siren", {"value": "on", "until": math.inf}, "no time"),
        ("override", "pump", {"value": "on"}, "no switch called pump"),
        ("override", "siren", {"value": "on", "reason": " "}, "no reason"),
        ("override", "siren", {"value": "on", "issuer": ""}, "no issuer"),
        ("release", "siren", {}, "nobody has siren by hand"),
        ("release", "siren", {"value": "on"}, "takes no value"),
        ("approve", "x", {}, "nothing waits"),
        ("veto", "x", {"until": 5.0}, "has no end"),
        ("mode", "flood", {"value": "off"}, "needs an end"),
        ("mode", "flood", {"value": "off", "until": 4e7}, "at the latest"),
        ("mode", "flood", {"value": "auto"}, "must be a mode"),
        ("mode", "drought", {"value": "in"}, "no rule called drought"),
        ("shelve", "flood", {}, "needs an end"),
        ("shelve", "flood", {"until": 1e6}, "at the latest"),
        ("unshelve", "flood", {}, "not shelved"),
        ("reset", "siren", {}, "nothing is latched"),
        ("compact", "siren", {}, "no siren that takes an order to compact"),
    ],
)
def test_refuses_records_and_answers(virtual, kind, target, more, why):
    async def test(rig):
        rig.know("flood")
        answer = await rig.order(kind, target, **more)
        assert not answer.accepted
        assert why in answer.said

    rig = virtual(running(test))
    (refused,) = rig.decisions(Outcome.REFUSED)
    assert refused.order == "o1"
    assert why in refused.reasons[-1]
    assert rig.outcomes() == [Outcome.REFUSED]
    assert len(rig.moves(SIREN)) == 1


def test_an_order_is_carried_out_once_also_over_a_restart(virtual):
    async def test(rig):
        paper = rig.paper("override", "siren", value="on")
        assert (await rig.desk.submit(paper)).accepted
        await rig.order("release", "siren")
        for desk in (rig.desk, Desk(rig.control, [d.order for d in rig.decisions()])):
            again = await desk.submit(paper)
            assert "at most once" in again.said
        assert not rig.on(SIREN)

    virtual(running(test))


def test_an_order_is_recorded_before_it_has_any_effect(virtual):
    async def test(rig):
        rig.journal.delay = 0.3
        task = asyncio.create_task(rig.order("override", "siren", value="on"))
        await asyncio.sleep(0.2)
        assert rig.control.status()[0]["override"] is None
        assert (await task).accepted
        rig.journal.delay, rig.journal.fail = 0.0, True
        answer = await rig.order("mode", "flood", value="off", until=50.0)
        assert not answer.accepted
        assert rig.control.modes()["flood"]["mode"] == "shadow"

    async def known(rig):
        rig.know("flood", mode=Mode.SHADOW, grant=None)
        await test(rig)

    virtual(running(known))


def test_no_disk_keeps_a_person_from_switching_off(virtual):
    async def test(rig):
        await rig.fire()
        rig.journal.fail = True
        assert (await rig.order("override", "siren", value="off")).accepted
        assert not rig.on(SIREN)
        rig.journal.fail = False
        await asyncio.sleep(20)

    assert len(virtual(running(test, max_on=100.0)).decisions(Outcome.OVERRIDDEN)) == 1


def test_an_approval_that_comes_too_late_while_it_is_recorded_is_taken_back(virtual):
    async def test(rig):
        await rig.fire(mode=Mode.IN)
        ask = rig.control.pending()[0]["id"]
        rig.journal.delay = 0.5
        task = asyncio.create_task(rig.order("approve", ask))
        await asyncio.sleep(0.1)
        await rig.end(mode=Mode.IN)
        answer = await task
        assert not answer.accepted
        assert "changed while it was recorded" in answer.said

    assert len(virtual(running(test)).moves(SIREN)) == 1


def _fuzzed(random_: random.Random, now: float, asks: list[str]) -> Order:
    """Return an order as a hostile but authorised client might send it."""
    texts = [
        "",
        " ",
        "siren",
        "motor",
        "flood",
        "on",
        "off",
        "shadow",
        "\ud800",
        "\0",
        "x" * 10_000,
        "é",
        "../",
    ]
    times = [now, now + 60, now - 60, now + 1e5, math.nan, math.inf, -math.inf, 0.0, -1.0, 1e300, now + 1e9]

    def text() -> str:
        return random_.choice([*texts, *asks])

    return Order(
        id=f"{random_.randrange(10**9)}" if random_.random() < 0.9 else text(),
        kind=random_.choice(list(OrderKind)),
        target=text(),
        issuer=text(),
        reason=text(),
        not_after=random_.choice(times),
        channel=text(),
        value=random_.choice([None, text()]),
        until=random_.choice([None, *times]),
    )


def _innocent(order: Order, random_: random.Random) -> Order:
    """Return *order* with one thing wrong that could rightly start something, were everything right."""
    if order.kind not in (OrderKind.APPROVE, OrderKind.OVERRIDE, OrderKind.MODE):
        return order
    wrong = [{"id": ""}, {"target": "pump"}, {"issuer": " "}, {"reason": "\t"}, {"not_after": math.nan}]
    wrong += [{"not_after": order.not_after - 1e6}, {"not_after": order.not_after + 1e7}]
    return replace(order, **random_.choice(wrong))


def _fuzz(virtual, number: int, seed: int) -> None:
    random_ = random.Random(seed)

    async def test(rig):
        rig.know("flood", mode=Mode.IN)
        await rig.fire(SwitchOn("siren"), mode=Mode.IN)
        for each in range(number):
            asks = [ask["id"] for ask in rig.control.pending()]
            order = _fuzzed(random_, rig.control.now().time, asks)
            answer = await rig.desk.submit(_innocent(order, random_))
            assert answer.said
            assert answer.accepted or any(
                r.order == answer.order and r.outcome is Outcome.REFUSED for r in rig.decisions()[-5:]
            )
            if each % 100 == 0:
                assert not any(on for line in (SIREN, MOTOR) for _, on in rig.moves(line)), f"seed {seed}"
                rig.journal.log.clear()
                for record in rig.journal.records:
                    encode(record).encode()
                rig.journal.records.clear()
                await rig.end(SwitchOn("siren"), mode=Mode.IN)
                await rig.fire(SwitchOn("siren"), mode=Mode.IN)
            await asyncio.sleep(random_.choice([0.0, 0.0, 0.5]))

    rig = virtual(running(test))
    assert not any(on for line in (SIREN, MOTOR) for _, on in rig.moves(line)), f"seed {seed}"


def test_fuzzed_orders_crash_and_start_nothing(virtual):
    _fuzz(virtual, 5_000, random.randrange(2**32))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_fuzzed_orders_crash_and_start_nothing(virtual):
    for _ in range(20):
        _fuzz(virtual, 5_000, random.randrange(2**32))


def test_a_rule_whose_reading_is_too_old_moves_nothing_and_holds_nothing(virtual):
    async def test(rig):
        rig.ages = 6.0
        await rig.fire()
        assert not rig.on(SIREN)
        rig.ages = 1.0
        await asyncio.sleep(1.1)
        assert rig.on(SIREN)
        rig.ages = 6.0
        await asyncio.sleep(0.2)
        assert not rig.on(SIREN)

    rig = virtual(running(test, max_age=5.0))
    assert rig.decisions()[0].reasons[0] == "river.stage is 6 s old, and may be 5 s at the most"
    assert rig.outcomes() == [Outcome.REFUSED, Outcome.ACTED, Outcome.TRIPPED]


def test_two_that_exclude_each_other_are_never_on_together(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("siren"), SwitchOn("motor"))
        assert rig.on(SIREN)
        assert not rig.on(MOTOR)
        await rig.order("override", "siren", value="off")
        await asyncio.sleep(1.1)
        assert rig.on(MOTOR)

    virtual(running(test, excludes=("motor",)))  # the siren excludes the motor, not the other way round
