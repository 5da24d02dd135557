"""What outlives a restart, and what hostile content in its place does: nothing."""

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from gateway.clock import Instant, Quality
from gateway.control import control, output, station
from gateway.reading import Mode, Outcome, SwitchOn
from tests.gateway.control_rig import MOTOR, SIREN, START, STROKE, Rig, instant, transition


async def _again(rig, *firing, **options):
    """Return a rig as after a crash: nothing but what the disk has."""
    after = Rig(journal=rig.journal, **options)
    await after.control.start()
    after.know("flood")
    after.control.restore(json.loads(rig.journal.waiting), [transition(*firing)] if firing else [])
    return after


def _life(*parts):
    """Run each part with a rig of its own, each after a crash of the one before."""

    async def main():
        rig = None
        for firing, options, test in parts:
            if rig is None:
                rig = Rig(**options)
                rig.know("flood")
                await rig.control.start()
            else:
                rig = await _again(rig, *firing, **options)
            supervisor = asyncio.create_task(rig.control.run())
            await test(rig)
            rig.control._closed = True  # a crash keeps nothing
            supervisor.cancel()
            await asyncio.wait({supervisor})
        return rig

    return main()


def test_what_a_rule_held_it_holds_again(virtual):
    async def before(rig):
        await rig.fire()
        assert rig.on(SIREN)

    async def after(rig):
        await asyncio.sleep(0.1)
        assert rig.on(SIREN)

    virtual(_life(((), {}, before), ([SwitchOn("siren")], {}, after)))


def test_a_rule_that_is_free_again_after_a_crash_acts_in_the_mode_that_it_has_then(virtual):
    """A person had restrained it for a time that ended while the gateway was away."""

    async def main():
        rig = Rig()
        rig.know("flood")
        await rig.control.start()
        supervisor = asyncio.create_task(rig.control.run())
        await rig.fire()
        assert (await rig.order("mode", "flood", value="in", until=2.0)).accepted
        rig.control._closed = True
        supervisor.cancel()
        await asyncio.wait({supervisor})
        await asyncio.sleep(5.0)
        after = await _again(rig, SwitchOn("siren"))
        supervisor = asyncio.create_task(after.control.run())
        await asyncio.sleep(0.1)
        assert after.on(SIREN)
        supervisor.cancel()
        await asyncio.wait({supervisor})
        return after

    acted = virtual(main()).decisions(Outcome.ACTED)[-1]
    assert acted.mode == Mode.OFF, "by itself, and so it is written down"


def test_what_no_longer_fires_gets_nothing(virtual):
    async def before(rig):
        await rig.fire()

    async def after(rig):
        await asyncio.sleep(5)
        assert not rig.on(SIREN)

    virtual(_life(((), {}, before), ((), {}, after)))


def test_a_stroke_that_was_interrupted_is_not_repeated(virtual):
    async def before(rig):
        await rig.fire(STROKE)
        await asyncio.sleep(1)
        assert rig.on(MOTOR)

    async def after(rig):
        await asyncio.sleep(30)
        assert len(rig.moves(MOTOR)) == len(before_moves)
        assert not rig.on(MOTOR)

    before_moves = [1, 2, 3]  # off, on, and off by the hardware's reset
    virtual(_life(((), {}, before), ([STROKE], {}, after)))


def test_an_ask_stands_as_long_as_it_would_have(virtual):
    async def before(rig):
        await rig.fire(mode=Mode.IN)
        await asyncio.sleep(500)

    async def after(rig):
        (ask,) = rig.control.pending()
        await asyncio.sleep(90)
        assert rig.control.pending()[0]["id"] == ask["id"]
        await asyncio.sleep(20)
        assert not rig.control.pending()

    async def main():
        rig = Rig()
        rig.know("flood", mode=Mode.IN)
        await rig.control.start()
        supervisor = asyncio.create_task(rig.control.run())
        await before(rig)
        supervisor.cancel()
        await asyncio.wait({supervisor})
        then = Rig(journal=rig.journal)
        await then.control.start()
        then.know("flood", mode=Mode.IN)
        then.control.restore(json.loads(rig.journal.waiting), [transition(mode=Mode.IN)])
        supervisor = asyncio.create_task(then.control.run())
        await after(then)
        supervisor.cancel()
        await asyncio.wait({supervisor})

    virtual(main())


def test_the_hours_budget_is_not_given_twice(virtual):
    options = {"per_hour": 2, "max_on": 100.0}

    async def spend(rig):
        for _ in range(3):
            await rig.fire()
            await asyncio.sleep(5)
            await rig.end()

    async def starve(rig):
        await rig.fire()
        await asyncio.sleep(3000)
        assert not rig.on(SIREN)
        await asyncio.sleep(620)
        assert rig.on(SIREN)

    rig = virtual(_life(((), options, spend), ((), options, starve)))
    assert any("2 times within an hour" in d.reasons[0] for d in rig.decisions(Outcome.REFUSED))


def test_a_crash_between_the_decision_and_the_move_costs_a_start(virtual):
    async def main():
        rig = Rig(per_hour=1)
        await rig.control.start()
        rig.know("flood")
        supervisor = asyncio.create_task(rig.control.run())
        rig.wires.hang = {(SIREN, True)}
        task = asyncio.create_task(rig.fire())
        await asyncio.sleep(0.01)
        assert rig.decisions(Outcome.ACTED)
        saved = json.loads(rig.journal.remembered)  # what was on the disk with the decision
        assert saved["starts"]["siren"] == [0.0]
        rig.wires.hang = set()
        for each in (task, supervisor):
            each.cancel()
        await asyncio.wait({task, supervisor})

    virtual(main())


def test_leases_modes_and_shelves_go_on(virtual):
    async def before(rig):
        await rig.order("override", "siren", value="on", until=100.0)
        await rig.order("mode", "flood", value="in", until=100.0)
        await rig.order("shelve", "flood", until=100.0)

    async def after(rig):
        await asyncio.sleep(1)
        assert rig.on(SIREN)
        assert rig.control.modes()["flood"]["mode"] == "in"
        assert rig.control.shelved("flood")
        await asyncio.sleep(100)
        assert not rig.on(SIREN)
        assert rig.control.modes()["flood"]["mode"] == "off"
        assert not rig.control.shelved("flood")

    options = {"max_on": 1000.0}
    rig = virtual(_life(((), options, before), ((), options, after)))
    assert len(rig.decisions(Outcome.LAPSED)) == 3


@pytest.mark.parametrize("saved", [None, [], "", {}, 3, {"format": 1}, {"format": 2}, {"time": "x"}])
def test_what_was_never_saved_is_refused_and_begins_anew_with_nothing_to_spend(virtual, saved, monkeypatch):
    """Nothing is judged by the turns in which nothing happens, so there are fewer."""
    for module in (control, output, station):
        monkeypatch.setattr(module, "IDLE", 20.0)

    async def main():
        rig = Rig(per_hour=3)
        rig.know("flood")
        await rig.control.start()
        with pytest.raises(ValueError, match="kept"):
            rig.control.restore(saved, [transition(mode=Mode.IN)])
        rig.know("flood")
        supervisor = asyncio.create_task(rig.control.run())
        await rig.fire()
        await asyncio.sleep(3500)
        assert not any(on for _, on in rig.moves(SIREN))
        supervisor.cancel()
        await asyncio.wait({supervisor})

    virtual(main())


def _booted(mono: float, time: float, quality: Quality = Quality.SYNCHRONIZED) -> Callable[[], Instant]:
    """Return the clocks of another boot, at *mono* [s] and *time* [s, Unix] when the loop began."""

    def moment():
        passed = asyncio.get_running_loop().time()
        return Instant(time + passed, mono + passed, "another boot", quality)

    return moment


async def _reboot(rig, moment, **options):
    after = Rig(journal=rig.journal, **options)
    after.moment = moment
    await after.control.start()
    after.know("flood")
    after.control.restore(json.loads(rig.journal.waiting))
    return after


def _override(rig):
    return rig.control.status()[0]["override"]


@pytest.mark.parametrize(
    ("late", "quality"),
    [
        (-25 * 365 * 86400.0, Quality.UNSYNCHRONIZED),
        (30.0, Quality.UNSYNCHRONIZED),
        (-60.0, Quality.SYNCHRONIZED),
    ],
)
def test_nobody_has_a_switch_on_by_hand_after_a_boot_that_does_not_know_the_time(virtual, late, quality):
    """A clock that comes up behind the time lent the switch again, for as long as a lease may be."""

    async def main():
        rig = Rig(lease=600.0)
        await rig.order("override", "siren", value="on", until=100.0)
        assert _override(rig)
        after = await _reboot(rig, _booted(0.0, START + late, quality), lease=600.0)
        after.control.review()
        assert _override(after) is None

    virtual(main())


def test_a_switch_that_is_off_by_hand_is_so_after_any_boot_but_for_no_longer_than_was_left(virtual):
    async def main():
        rig = Rig(lease=600.0)
        await rig.order("override", "siren", value="off", until=100.0)
        after = await _reboot(rig, _booted(5.0, START - 1e8, Quality.UNSYNCHRONIZED), lease=600.0)
        await asyncio.sleep(99.0)
        after.control.review()
        assert _override(after)
        await asyncio.sleep(2.0)
        after.control.review()
        assert _override(after) is None

    virtual(main())


def test_a_clock_that_is_right_before_and_after_a_boot_says_how_long_a_switch_is_by_hand(virtual):
    async def main():
        rig = Rig(lease=600.0)
        await rig.order("override", "siren", value="on", until=100.0)
        after = await _reboot(rig, _booted(5.0, START + 40.0), lease=600.0)
        await asyncio.sleep(59.0)
        after.control.review()
        assert _override(after)
        await asyncio.sleep(2.0)
        after.control.review()
        assert _override(after) is None

    virtual(main())


def test_a_boot_with_a_clock_behind_the_time_lengthens_no_mode(virtual):
    async def main():
        rig = Rig()
        rig.know("flood", mode=Mode.SHADOW)
        await rig.order("mode", "flood", value="off", until=100.0)
        after = await _reboot(rig, _booted(5.0, START - 1e8, Quality.UNSYNCHRONIZED))
        after.know("flood", mode=Mode.SHADOW)
        await asyncio.sleep(101.0)
        assert after.control.modes()["flood"]["mode"] == "shadow"

    virtual(main())


@pytest.mark.parametrize("quality", [Quality.UNSYNCHRONIZED, Quality.UNKNOWN])
def test_a_clock_that_was_wrong_when_the_hours_budget_was_kept_gives_none_back(virtual, quality):
    """Kept by a clock of 1970, and read by a right one, every start seemed to be decades ago."""

    async def main():
        rig = Rig(per_hour=1)
        rig.moment = _booted(100.0, 50.0, quality)
        rig.know("flood")
        await rig.control.start()
        supervisor = asyncio.create_task(rig.control.run())
        await rig.fire()
        assert rig.on(SIREN)
        supervisor.cancel()
        await asyncio.wait({supervisor})
        after = await _reboot(rig, instant, per_hour=1)
        after_all = asyncio.create_task(after.control.run())
        await asyncio.sleep(0.1)
        assert any("within an hour" in reason for reason in after.control.status()[0]["blocked"])
        after_all.cancel()
        await asyncio.wait({after_all})

    virtual(main())


def _damaged(shape, random_):
    """Return *shape* with one part of it replaced by something else."""
    junk = [None, -1, 1e308, "x" * 600, [], {}, True, "on", [1, 2, 3], float("nan"), {"a": 1}]
    if isinstance(shape, dict) and shape and random_.random() < 0.8:
        key = random_.choice(list(shape))
        if random_.random() < 0.1:
            return {name: each for name, each in shape.items() if name != key}
        return {**shape, key: _damaged(shape[key], random_)}
    if isinstance(shape, list) and shape and random_.random() < 0.8:
        at = random_.randrange(len(shape))
        return [*shape[:at], _damaged(shape[at], random_), *shape[at + 1 :]]
    return random_.choice(junk)


def test_damage_raises_nothing_but_value_error_and_invents_no_command(virtual):
    seed = random.randrange(2**32)
    random_ = random.Random(seed)

    async def main():
        rig = Rig(per_hour=3)
        rig.know("flood", "pump", mode=Mode.IN)
        await rig.control.start()
        supervisor = asyncio.create_task(rig.control.run())
        await rig.fire(mode=Mode.IN)
        await rig.order("shelve", "flood", until=50.0)
        await rig.order("mode", "flood", value="in", until=50.0)
        saved = rig.control.save()
        supervisor.cancel()
        await asyncio.wait({supervisor})
        for _ in range(500):
            after = Rig(per_hour=3)
            after.know("flood", mode=Mode.IN)
            with suppress(ValueError):
                after.control.restore(_damaged(saved, random_), [transition(mode=Mode.IN)])
            json.dumps(after.control.save(), allow_nan=False)
            assert not any(status["held_by"] for status in after.control.status()), seed

    virtual(main())
