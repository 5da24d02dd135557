"""The press behind control, desk and journal: recorded before it moves, stopped whatever fails."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from drivers.bus import BusError
from gateway.control.compactor.compactor import PERIOD, STOPPING
from gateway.control.compactor.state import LOST, MOVING, Kind, Phase
from gateway.ledger.words import explain
from gateway.reading import Mode, OrderKind, Outcome, SwitchOn
from tests.gateway.control_rig import transition
from tests.gateway.yard import BUZZER, DOWN, HOME, SETTINGS, yard

STROKE = "press on for one stroke"


def test_a_rule_makes_one_stroke_which_is_recorded_before_anything_sounds(virtual):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(Phase.WARNING)
        await asyncio.sleep(0.1)
        assert yard.buzzing
        assert yard.motor == 0
        await yard.until(Phase.PRESSING)
        await asyncio.sleep(0.1)
        assert yard.motor == 1
        await yard.until(Phase.RETURNING)
        await asyncio.sleep(0.1)
        assert yard.motor == -1
        await yard.until(Phase.IDLE)
        assert not yard.buzzing
        await asyncio.sleep(60.0)
        assert yard.press.machine.strokes == 1, "one stroke for each time that a rule fires"

    made = virtual(yard(test))
    sounded = next(at for at, what, how in made.log if what == "level" and how == (BUZZER, True))
    assert made.told()[0] <= sounded
    on, off = made.decisions()
    assert (on.outcome, on.command, on.actuator, on.rule) == (Outcome.ACTED, STROKE, "press", "press_it")
    assert on.reasons == ("rule press_it fires, and nothing is against it",)
    names = [each.name for each in on.inputs]
    for name in ("bin.fill", "eye.active", "door.closed", "home.closed", "motor.current", "motor.voltage"):
        assert name in names
    assert (off.outcome, off.command) == (Outcome.RELEASED, "press off")
    assert off.reasons[0].startswith("it pressed for ")
    assert set(off.effect) == {"pressed", "returned", "peak"}
    assert made.events() == ["lamppost.compactor.stroke"]
    assert made.barrel.fill < 50.0


def test_that_it_is_under_way_is_kept_before_the_decision_is_recorded(virtual):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(Phase.PRESSING)

    made = virtual(yard(test))
    kept = next(n for n, (_, what, how) in enumerate(made.log) if what == "kept" and how["machine"]["stroke"])
    record = next(n for n, (_, what, _) in enumerate(made.log) if what == "record")
    assert kept < record


# Modes


def test_in_shadow_nothing_moves_and_what_the_guard_would_have_said_is_recorded(virtual):
    async def test(yard):
        await yard.rest()
        await yard.fire(Mode.SHADOW)
        await yard.fire(Mode.SHADOW, firing=False)
        yard.set_door(None)
        await yard.fire(Mode.SHADOW)
        await asyncio.sleep(30.0)

    made = virtual(yard(test))
    assert made.moves() == []
    free, _, barred = made.decisions()
    assert {free.outcome, barred.outcome} == {Outcome.SHADOWED}
    assert free.reasons == ("rule press_it fires",)
    assert "door.closed is not known: last seen 14 s ago, limit 5 s" in " ".join(barred.reasons)


def test_in_the_loop_it_asks_and_an_approval_is_one_stroke(virtual):
    async def test(yard):
        await yard.rest()
        await yard.fire(Mode.IN)
        await asyncio.sleep(30.0)
        assert yard.moves() == []
        (pending,) = yard.control.pending()
        assert pending["commands"] == ["press on"]
        answer = await yard.order(OrderKind.APPROVE, pending["id"])
        assert answer.accepted
        await yard.until(Phase.PRESSING)
        await yard.until(Phase.IDLE)
        await asyncio.sleep(60.0)
        assert yard.press.machine.strokes == 1

    made = virtual(yard(test))
    assert [each.outcome for each in made.decisions()] == [
        *(Outcome.ASKED, Outcome.APPROVED, Outcome.ACTED, Outcome.RELEASED)
    ]
    acted = made.decisions(Outcome.ACTED)[0]
    assert acted.who == "sam"
    assert "sam approved it" in acted.reasons[0]


def test_in_the_loop_silence_means_no(virtual):
    async def test(yard):
        await yard.rest()
        await yard.fire(Mode.IN)
        await asyncio.sleep(700.0)

    made = virtual(yard(test))
    assert made.moves() == []
    assert [each.outcome for each in made.decisions()] == [Outcome.ASKED, Outcome.LAPSED]


@pytest.mark.parametrize("veto", [True, False])
def test_on_the_loop_a_veto_is_waited_for(virtual, veto):
    async def test(yard):
        await yard.rest()
        await yard.fire(Mode.ON)
        await asyncio.sleep(30.0)
        assert yard.moves() == []
        if veto:
            (pending,) = yard.control.pending()
            await yard.order(OrderKind.VETO, pending["id"])
        await asyncio.sleep(60.0)
        assert bool(yard.moves()) is not veto

    virtual(yard(test))


# What is against it


def test_a_refusal_is_recorded_once_and_the_stroke_follows_when_it_may(virtual):
    async def test(yard):
        await yard.rest()
        yard.set_door(None)
        await yard.fire()
        await asyncio.sleep(20.0)
        assert yard.moves() == []
        (refused,) = yard.decisions()
        assert refused.outcome is Outcome.REFUSED
        words = "Did not switch press on: door.closed is not known: last seen 14 s ago, limit 5 s."
        assert explain(refused.body()).startswith(words)
        yard.set_door(True)
        await yard.until(Phase.PRESSING, limit=10.0)

    virtual(yard(test))


def test_a_rule_that_ended_while_it_waited_gets_nothing(virtual):
    async def test(yard):
        await yard.rest()
        yard.set_door(None)
        await yard.fire()
        await yard.fire(firing=False)
        yard.set_door(True)
        await asyncio.sleep(30.0)
        assert yard.moves() == []

    virtual(yard(test))


def test_what_cannot_be_recorded_does_not_begin(virtual):
    async def test(yard):
        await yard.rest()
        yard.journal.fail = True
        await yard.fire()
        await asyncio.sleep(20.0)
        assert yard.moves() == []
        assert not yard.buzzing
        assert yard.drawer.recall()["machine"]["stroke"] is False
        yard.journal.fail = False
        await yard.until(Phase.PRESSING, limit=30.0)

    made = virtual(yard(test))
    refused = made.decisions(Outcome.REFUSED)[0]
    assert refused.reasons[0].startswith("the decision could not be recorded: the disk is full")
    assert refused.reasons[-1].endswith("was not carried out")


def test_a_door_that_opens_while_it_is_recorded_stops_it_before_it_begins(virtual):
    async def test(yard):
        await yard.rest()
        yard.journal.delay = 0.5
        task = asyncio.create_task(yard.fire())
        await asyncio.sleep(0.2)
        yard.door = False
        await task
        await asyncio.sleep(5.0)
        assert yard.moves() == []
        assert not yard.buzzing

    made = virtual(yard(test))
    assert [each.outcome for each in made.decisions()] == [Outcome.ACTED, Outcome.REFUSED]


def test_nothing_moves_unless_it_is_supervised(virtual):
    async def test(yard):
        await yard.rest()
        yard.supervisor.cancel()
        await asyncio.wait({yard.supervisor})
        await yard.fire()
        await asyncio.sleep(20.0)
        assert yard.moves() == []

    virtual(yard(test))


def test_nothing_moves_that_was_not_started(virtual):
    async def test(yard):
        await yard.end()
        yard.boot()
        yard.supervisor = asyncio.create_task(yard.control.run())
        await yard.fire()
        await asyncio.sleep(60.0)
        assert yard.moves() == []

    virtual(yard(test))


def test_a_rule_that_nobody_let_act_gets_nothing_by_itself(virtual):
    """Whatever may be the way on which its wish came here."""

    async def test(yard):
        await yard.rest()
        yard.press.ask(transition(SwitchOn("press"), rule="unknown"), SwitchOn("press"))
        await asyncio.sleep(30.0)
        assert yard.moves() == []

    made = virtual(yard(test))
    (refused,) = made.decisions(Outcome.REFUSED)
    assert refused.reasons == ("rule unknown may not act by itself: there is no such rule",)


# In mid-stroke


@pytest.mark.parametrize("phase", MOVING)
@pytest.mark.parametrize("closed", [False, None])
@pytest.mark.parametrize("told", [True, False])
def test_a_door_that_opens_stops_the_motor_within_a_control_period(virtual, phase, closed, told):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(phase)
        await asyncio.sleep(0.3)
        began = yard.clock.monotonic()
        yard.set_door(closed) if told else setattr(yard, "door", closed)
        while yard.motor or yard.phase is not Phase.FAULT:
            await asyncio.sleep(0.001)
        assert yard.clock.monotonic() - began <= (0.005 if told else 0.055)
        yard.set_door(True)
        await asyncio.sleep(60.0)
        assert yard.motor == 0
        assert yard.phase is Phase.FAULT

    made = virtual(yard(test))
    tripped = made.decisions(Outcome.TRIPPED)[0]
    assert tripped.rule == "press_it"
    assert "door.closed" in tripped.reasons[0]
    assert explain(tripped.body()).startswith("The guard switched press off: door.closed is ")
    assert made.events() == ["lamppost.compactor.fault"]


def test_a_disk_that_hangs_does_not_keep_the_motor_on(virtual):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(Phase.PRESSING)
        yard.journal.delay = 1e6
        yard.set_door(False)
        await asyncio.sleep(PERIOD)
        assert yard.motor == 0
        yard.journal.delay = 0.0

    virtual(yard(test))


@pytest.mark.parametrize("line", [DOWN, HOME])
def test_a_motor_that_hangs_or_refuses_is_a_fault_and_told_to_stand_again_and_again(virtual, line):
    async def test(yard):
        await yard.rest()
        yard.wires.refuse.add((line, True))
        await yard.fire()
        await yard.until(Phase.FAULT)
        assert "could not be told" in yard.press.machine.faults[Kind.WIRES]
        assert yard.motor == 0

    virtual(yard(test))


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_a_motor_that_cannot_be_stopped_is_told_again_until_it_stands(virtual, how):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(Phase.PRESSING)
        await asyncio.sleep(0.2)
        stuck = getattr(yard.wires, how)
        stuck.add((DOWN, False))
        yard.set_door(False)
        await asyncio.sleep(5.0)
        assert yard.motor == 1, "nothing here can help it: that is what the hardware chain is for"
        assert Kind.WIRES in yard.press.machine.faults
        assert yard.press.guard.on
        stuck.clear()
        await asyncio.sleep(4.0)
        assert yard.motor == 0
        assert not yard.press.guard.on

    virtual(yard(test))


def test_without_its_buzzer_nothing_moves(virtual):
    async def test(yard):
        await yard.rest()
        yard.wires.refuse.add((BUZZER, True))
        await yard.fire()
        await asyncio.sleep(30.0)
        assert yard.moves() == []
        assert yard.phase is Phase.IDLE

    made = virtual(yard(test))
    (tripped,) = made.decisions(Outcome.TRIPPED)
    assert tripped.reasons == (
        "the buzzer could not be switched on: the line is stuck",
        "nothing had moved",
    )


def test_a_buzzer_that_does_not_fall_silent_is_told_again(virtual):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(Phase.RETURNING)
        yard.wires.refuse.add((BUZZER, False))
        await yard.until(Phase.IDLE)
        yard.wires.refuse.clear()
        await asyncio.sleep(3.0)
        assert not yard.buzzing

    virtual(yard(test))


# People


def test_a_person_orders_a_stroke(virtual):
    async def test(yard):
        await yard.rest()
        answer = await yard.order(OrderKind.COMPACT)
        assert answer.accepted, answer
        await yard.until(Phase.PRESSING)
        await yard.until(Phase.IDLE)

    made = virtual(yard(test))
    ordered, acted, released = made.decisions()
    assert ordered.outcome is Outcome.COMMANDED
    assert acted.reasons == ("sam has ordered it, and nothing is against it",)
    assert acted.who == released.who == "sam"
    assert acted.order == ordered.order


def test_a_person_may_press_a_full_bin_and_no_rule_may(virtual):
    async def test(yard):
        await yard.rest()
        yard.press.machine.fullness.high = 2
        await yard.fire()
        await asyncio.sleep(5.0)
        assert yard.moves() == []
        assert (await yard.order(OrderKind.COMPACT)).accepted
        await yard.until(Phase.PRESSING)

    made = virtual(yard(test))
    (refused,) = made.decisions(Outcome.REFUSED)
    assert refused.reasons == ("2 strokes in a row left it 80 % full or more",)


def test_an_order_that_the_guard_forbids_is_refused_and_answered(virtual):
    async def test(yard):
        await yard.rest()
        yard.set_door(False)
        answer = await yard.order(OrderKind.COMPACT)
        assert not answer.accepted
        assert answer.said == "door.closed is false"
        assert not (await yard.order(OrderKind.RESET)).accepted
        await asyncio.sleep(20.0)
        assert yard.moves() == []

    virtual(yard(test))


@pytest.mark.parametrize("away", [True, False])
def test_a_reset_by_a_person(virtual, away):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(Phase.PRESSING)
        await asyncio.sleep(1.5)
        yard.set_door(False)
        await yard.until(Phase.FAULT)
        if not away:
            yard.chip.position = 0.0
        await asyncio.sleep(1.0)
        before = len(yard.told())
        refused = await yard.order(OrderKind.RESET)
        assert refused.said == "door.closed is false"
        yard.set_door(True)
        assert (await yard.order(OrderKind.RESET)).accepted
        await asyncio.sleep(20.0)
        assert yard.phase is Phase.IDLE
        assert yard.chip.position < 0.01
        assert len(yard.told()) - before == (1 if away else 0), (
            "each movement is decided on, and nothing else"
        )
        assert yard.press.machine.strokes == 0

    made = virtual(yard(test))
    assert made.events() == ["lamppost.compactor.fault", "lamppost.compactor.cleared"]
    commanded = made.decisions(Outcome.COMMANDED)
    last = made.decisions()[-1]
    assert last.who == commanded[0].who == "sam"
    if away:
        home = made.decisions(Outcome.ACTED)[-1]
        assert home.command == "press home"
        assert home.reasons[1] == "sam has reset it, and its plate is away"


def test_by_hand_off_bars_it_and_stops_it(virtual):
    async def test(yard):
        await yard.rest()
        await yard.order(OrderKind.OVERRIDE, value="off")
        await yard.fire()
        await asyncio.sleep(20.0)
        assert yard.moves() == []
        await yard.order(OrderKind.RELEASE)
        await yard.until(Phase.PRESSING)
        await yard.order(OrderKind.OVERRIDE, value="off")
        assert yard.motor == 0
        assert yard.phase is Phase.FAULT

    made = virtual(yard(test))
    assert "sam has taken it by hand: off" in made.decisions(Outcome.REFUSED)[0].reasons[0]


def test_by_hand_on_is_one_stroke(virtual):
    async def test(yard):
        await yard.rest()
        await yard.order(OrderKind.OVERRIDE, value="on")
        await yard.until(Phase.PRESSING)
        await asyncio.sleep(200.0)
        assert yard.press.machine.strokes == 1

    virtual(yard(test))


# Restarts


@pytest.mark.parametrize("phase", [Phase.WARNING, *MOVING])
def test_power_lost_in_mid_stroke(virtual, phase):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(phase)
        await asyncio.sleep(0.5)
        yard.pins.release()
        await yard.crash()
        await asyncio.sleep(20.0)
        assert yard.motor == 0
        if yard.chip.position > 0.01:
            assert yard.phase is Phase.FAULT
            assert not (await yard.order(OrderKind.COMPACT)).accepted
            assert (await yard.order(OrderKind.RESET)).accepted
            await yard.until(Phase.IDLE)
        assert yard.phase is Phase.IDLE
        assert yard.chip.position < 0.01

    made = virtual(yard(test))
    assert any(LOST in each.reasons or STOPPING in each.reasons for each in made.decisions())


def test_a_damaged_memory_is_a_fault_until_a_person_resets_it(virtual):
    async def test(yard):
        await yard.rest()
        yard.drawer.text = '{"machine": 7, "starts": []}'
        await yard.crash()
        await asyncio.sleep(10.0)
        assert yard.phase is Phase.FAULT
        await yard.fire()
        await asyncio.sleep(30.0)
        assert yard.moves() == []
        assert (await yard.order(OrderKind.RESET)).accepted
        await asyncio.sleep(5.0)
        assert yard.phase is Phase.IDLE

    virtual(yard(test))


def test_the_hourly_budget_outlives_a_restart(virtual):
    async def test(yard):
        for _ in range(2):
            await yard.rest()
            await yard.fire()
            await yard.until(Phase.PRESSING)
            await yard.rest()
            await yard.fire(firing=False)
        await yard.crash()
        await yard.rest()
        await yard.fire()
        await asyncio.sleep(600.0)
        assert yard.press.machine.strokes == 0
        await asyncio.sleep(3600.0)
        assert yard.press.machine.strokes == 1

    made = virtual(yard(test, per_hour=2))
    said = "it has gone on 2 times within an hour, the most that it may"
    assert any(said in each.reasons for each in made.decisions(Outcome.REFUSED))


def test_an_orderly_stop_in_mid_stroke_leaves_the_motor_standing_and_is_remembered(virtual):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(Phase.PRESSING)
        await asyncio.sleep(1.0)
        await yard.end()
        assert yard.motor == 0
        assert yard.decisions()[-1].reasons == (STOPPING,)
        assert yard.drawer.recall()["machine"]["stroke"] is True
        yard.boot()
        await yard.begin()
        await asyncio.sleep(5.0)
        assert yard.phase is Phase.FAULT

    virtual(yard(test))


def test_what_is_shown(virtual):
    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(Phase.PRESSING)
        (shown,) = yard.control.status()
        assert shown["on"] is True
        assert shown["held_by"] == ["press_it"]
        assert shown["press"]["phase"] == "pressing"
        yard.set_door(False)
        await yard.until(Phase.FAULT)
        (shown,) = yard.control.status()
        assert "door.closed is false" in shown["blocked"]
        assert shown["press"]["faults"] == ["door.closed is false"]

    virtual(yard(test))


# Everything at once


@pytest.mark.parametrize("seed", range(8))
def test_whatever_fails_nothing_moves_unrecorded_or_unguarded(virtual, seed):
    """Wishes, orders, faults of wires, disk, senses and power; the bridge and the log are the judges."""
    random = Random(f"yard {seed}")

    async def disturb(yard):
        match random.randrange(14):
            case 0:
                yard.set_door(random.choice([False, None]))
            case 1:
                yard.unseen = {random.choice(["home.closed", "far.closed", "motor.current", "bin.fill"])}
            case 2:
                yard.journal.fail = True
            case 3:
                yard.journal.delay = random.choice([0.3, 3.0])
            case 4:
                yard.wires.refuse = {
                    (random.choice([DOWN, HOME, BUZZER]), random.choice([True, True, False]))
                }
            case 5:
                yard.barrel.jammed = True
            case 6:
                yard.barrel.says = {random.choice(["home", "far"]): random.choice([True, False])}
            case 7:
                await yard.crash()
            case 8:
                yard.barrel.drop(80.0)
            case _:
                yard.unseen, yard.wires.refuse = set(), set()
                yard.journal.fail, yard.journal.delay = False, 0.0
                yard.barrel.jammed, yard.barrel.says = False, {}
                yard.set_door(True)

    async def watch(yard):
        while True:
            await asyncio.sleep(0.02)
            if yard.motor and not yard.wires.refuse and not yard.wires.hang:
                safe = yard.clock.monotonic() - watch.bad <= 2 * PERIOD
                assert safe or (yard.door is True and not yard.unseen - {"bin.fill"})
            if (yard.door is True and not yard.unseen - {"bin.fill"}) or not yard.motor:
                watch.bad = yard.clock.monotonic()

    watch.bad = 0.0

    async def test(yard):
        await yard.rest()
        watcher = asyncio.create_task(watch(yard))
        for number in range(250):
            await asyncio.sleep(random.choice([0.05, 0.5, 3.0]))
            chance = random.random()
            if chance < 0.35:
                await disturb(yard)
            elif chance < 0.65:
                await yard.fire(random.choice([Mode.OFF, Mode.OFF, Mode.SHADOW, Mode.IN]), f"r{number % 3}")
            elif chance < 0.75:
                await yard.fire(rule=f"r{number % 3}", firing=False)
            elif chance < 0.95:
                await yard.order(random.choice([OrderKind.COMPACT, OrderKind.RESET, OrderKind.RESET]))
        assert not watcher.done(), watcher.exception()
        watcher.cancel()
        yard.wires.refuse = set()
        await asyncio.sleep(3.0)

    made = virtual(yard(test, interval=2.0))
    told = made.told()
    for move in made.moves():
        assert any(at <= move <= at + SETTINGS.whole + 1.0 for at in told), f"moved at {move} unrecorded"


def test_a_sense_that_raises_takes_everything_down_safe(virtual):
    """A defect in what looks at the press must end with the motor standing, not with a dead loop."""

    async def test(yard):
        await yard.rest()
        await yard.fire()
        await yard.until(Phase.PRESSING)

        def broken():
            raise RuntimeError("a defect")

        stand = yard.press._stand
        stand.press = replace(stand.press, see=broken)
        await asyncio.wait({yard.supervisor}, timeout=5.0)
        assert yard.motor == 0
        assert isinstance(yard.supervisor.exception(), ExceptionGroup)
        yard.supervisor = asyncio.create_task(asyncio.sleep(0))

    virtual(yard(test))


def test_a_bus_error_while_it_starts_is_tried_again(virtual):
    async def test(yard):
        inner, yard.wires.write = yard.wires.write, None

        async def write(line, high):
            raise BusError("not yet")

        yard.wires.write = write
        await yard.end()
        yard.boot()
        await yard.begin()
        await asyncio.sleep(3.0)
        assert Kind.WIRES in yard.press.machine.faults
        yard.wires.write = inner
        await asyncio.sleep(3.0)
        assert (await yard.order(OrderKind.RESET)).accepted
        await yard.rest()
        assert yard.phase is Phase.IDLE

    virtual(yard(test))
