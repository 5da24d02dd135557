"""The press as a pure machine: every way that a stroke may go, and a million steps of everything at once."""

import math
from dataclasses import fields, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.compactor.seen import Seen, Settings
from gateway.control.compactor.state import LOST, MOVING, Kind, Phase
from gateway.reading import Input, Outcome
from tests.gateway.press_rig import SETTINGS, STEP, Bench

DOWN_AND_UP = [Phase.WARNING, Phase.PRESSING, Phase.TURNING, Phase.RETURNING, Phase.MEASURING, Phase.IDLE]


# A stroke


def test_a_stroke_goes_down_and_home_and_is_measured():
    bench = Bench().ready()
    bench.plate.fill, bench.plate.leaves = 90.0, 40.0
    bench.phases.clear()
    bench.stroke()
    assert bench.machine.phase is Phase.WARNING
    bench.until(Phase.IDLE)
    assert bench.phases == DOWN_AND_UP[1:]
    stroke = bench.machine.stroke
    assert (stroke.ended, stroke.before, stroke.after) == ("the end switch", 90.0, 40.0)
    assert stroke.pressed == pytest.approx(4.0, abs=0.2)
    assert stroke.returned == pytest.approx(4.0, abs=0.2)
    assert stroke.peak == 2.5
    assert bench.plate.position == pytest.approx(0.0, abs=0.02)
    (note,) = [each for each in bench.notes if each.outcome]
    assert note.outcome is Outcome.RELEASED
    assert note.reasons[0].startswith("it pressed for 4.0 s, until the end switch")
    assert note.effect == stroke.effect()
    assert bench.events == ["stroke"]


def test_the_buzzer_sounds_for_the_whole_warning_and_while_the_plate_is_away():
    bench = Bench().ready()
    bench.stroke()
    began = bench.now
    while bench.machine.drive == 0:
        assert bench.machine.buzzer
        assert bench.plate.moved == 0.0
        bench.step()
    assert bench.now - began == pytest.approx(SETTINGS.warning, abs=STEP)
    while bench.moving:
        assert bench.machine.buzzer
        bench.step()
    assert not bench.machine.buzzer


@pytest.mark.parametrize(
    ("world", "ended"),
    [
        ({}, "the end switch"),
        ({"rubbish": 0.6}, "the current limit (8.0 A)"),
        ({"rubbish": 0.6, "loaded": 5.9}, "the time limit"),
    ],
)
def test_what_ends_pressing(world, ended):
    bench = Bench().ready()
    for name, value in world.items():
        setattr(bench.plate, name, value)
    bench.stroke().until(Phase.IDLE)
    assert bench.machine.stroke.ended == ended
    assert not bench.machine.faults


def test_the_inrush_is_no_overload_and_what_comes_after_it_is():
    bench = Bench().ready()
    bench.plate.rubbish = 0.0  # it resists from the start: the current is over its limit at once
    bench.plate.position = 0.0
    bench.stroke().until(Phase.TURNING)
    assert SETTINGS.inrush <= bench.machine.stroke.pressed <= SETTINGS.inrush + 3 * STEP


def test_it_stands_for_the_dead_time_between_the_two_directions():
    bench = Bench(replace(SETTINGS, dead_time=2.0)).ready()
    bench.stroke().until(Phase.TURNING)
    began = bench.now
    bench.until(Phase.RETURNING)
    assert 2.0 <= bench.now - began + 1e-9 <= 2.0 + 2 * STEP


# What is against one


@pytest.mark.parametrize(
    ("world", "says"),
    [
        ({"door": None}, "door.closed is not known: last seen 14 s ago, limit 5 s"),
        ({"door": False}, "door.closed is false"),
        ({"battery": 11.4}, "motor.voltage is 11.4, and must be 11.5 to begin"),
        ({"battery": None}, "motor.voltage is not known: bus-error"),
        ({"battery": math.nan}, "motor.voltage is nan, and must be 11.5 to begin"),
        ({"blind": True}, "motor.current is not known: bus-error"),
        ({"position": 0.5}, "the plate is not at home (home.closed = false)"),
        ({"stuck": {"home": None}}, "home.closed is not known: last seen 9 s ago, limit 2 s"),
        ({"stuck": {"end": None}}, "end.closed is not known: last seen 9 s ago, limit 2 s"),
        ({"stuck": {"end": True}}, "no plate is at both ends"),
        ({"drive": 1}, "2.5 A flow although nothing drives the motor"),
    ],
)
def test_each_thing_alone_is_against_a_stroke(world, says):
    bench = Bench().ready()
    assert bench.reasons() == ()
    for name, value in world.items():
        setattr(bench.plate, name, value)
    assert says in bench.reasons()


@pytest.mark.parametrize("name", ["home", "current", "end", "battery"])
def test_what_is_too_old_is_not_known(name):
    bench = Bench().ready()
    seen = bench.plate.seen()
    old = replace(getattr(seen, name), age=SETTINGS.max_age + 0.1)
    (reason,) = bench.machine.may_begin(bench.now, replace(seen, **{name: old})).reasons
    assert reason.endswith("is not known: last seen 2.1 s ago, limit 2 s")
    ageless = replace(old, age=None)
    (reason,) = bench.machine.may_begin(bench.now, replace(seen, **{name: ageless})).reasons
    assert reason.endswith("is not known: its age is not known")


def test_it_rests_between_two_strokes_and_keeps_to_its_hourly_budget():
    bench = Bench(interval=60.0, per_hour=2).ready()
    bench.stroke().until(Phase.IDLE)
    assert "must rest for 60 s" in bench.reasons()[0]
    bench.run(60.0).stroke().until(Phase.IDLE).run(61.0)
    assert bench.reasons() == ("it has gone on 2 times within an hour, the most that it may",)
    bench.run(3600)
    assert bench.reasons() == ()


def test_two_strokes_in_vain_and_it_is_full_until_it_was_emptied():
    bench = Bench(interval=1.0).ready()
    bench.plate.leaves = 85.0
    bench.stroke().until(Phase.IDLE)
    assert not bench.machine.full
    bench.run(2).stroke().until(Phase.IDLE)
    assert bench.machine.full
    assert bench.events == ["stroke", "stroke", "full"]
    bench.run(2)
    assert bench.reasons() == ("2 strokes in a row left it 80 % full or more",)
    assert bench.machine.may_begin(bench.now, bench.plate.seen(), by_hand=True).reasons == ()
    bench.plate.fill = 79.0
    assert bench.run(1).machine.full, "rubbish that settles is no emptying"
    bench.plate.fill = 5.0
    assert not bench.run(1).machine.full


def test_a_stroke_that_helps_begins_the_count_anew():
    bench = Bench(interval=1.0).ready()
    for leaves in (85.0, 40.0, 85.0):
        bench.plate.fill, bench.plate.leaves = 90.0, leaves
        bench.run(2).stroke().until(Phase.IDLE)
    assert not bench.machine.full


def test_a_fill_that_nobody_could_measure_counts_neither_way():
    bench = Bench(interval=1.0).ready()
    bench.plate.leaves = 85.0
    bench.stroke().until(Phase.IDLE).run(2).stroke().until(Phase.MEASURING)
    bench.plate.fill = None
    bench.until(Phase.IDLE)
    assert bench.machine.stroke.after is None
    assert bench.machine.fullness.high == 1


def test_only_a_fill_from_after_the_stroke_counts():
    """What was measured while the plate lay on the rubbish says nothing."""
    bench = Bench().ready()
    bench.stroke().until(Phase.MEASURING)
    for _ in range(100):
        bench.now += STEP
        old = Input("bin.fill", 95.0, bench.now - bench.machine.since - SETTINGS.settle + 0.2)
        bench.machine.step(bench.now, replace(bench.plate.seen(), fill=old))
    assert bench.machine.phase is Phase.MEASURING


# What goes wrong


def fails(bench, kind, says, within=2 * STEP):
    """It stops within a control period, stays off whatever comes, and says what was wrong."""
    began = bench.now
    bench.until(Phase.FAULT)
    assert bench.now - began <= within + 1e-9
    assert bench.driven == 0
    assert says in bench.machine.faults[kind]
    assert bench.events[-1] == "fault"
    assert bench.notes[-1].outcome is Outcome.TRIPPED
    moved = bench.plate.moved
    bench.plate.door, bench.plate.stuck, bench.plate.blind, bench.plate.cut = True, {}, False, False
    bench.run(30)
    assert bench.machine.phase is Phase.FAULT, "only a person clears it"
    assert any(each.startswith("it is out of order") for each in bench.reasons())
    assert bench.plate.welded or bench.plate.moved == moved


@pytest.mark.parametrize("phase", MOVING)
@pytest.mark.parametrize(
    ("world", "says"),
    [
        ({"door": None}, "door.closed is not known"),
        ({"door": False}, "door.closed is false"),
        ({"blind": True}, "motor.current is not known"),
        ({"stuck": {"home": None}}, "home.closed is not known"),
        ({"stuck": {"end": None}}, "end.closed is not known"),
    ],
)
def test_whatever_is_lost_in_mid_stroke_stops_it_within_a_control_period(phase, world, says):
    bench = Bench().ready()
    bench.stroke().until(phase).run(0.3)
    for name, value in world.items():
        setattr(bench.plate, name, value)
    fails(bench, Kind.INTERRUPTED, says, within=STEP)


@pytest.mark.parametrize("world", [{"door": False}, {"door": None}, {"blind": True}])
def test_what_is_lost_during_the_warning_ends_it_before_anything_moved(world):
    bench = Bench().ready()
    bench.stroke().run(1.0)
    for name, value in world.items():
        setattr(bench.plate, name, value)
    bench.step()
    assert bench.machine.phase is Phase.IDLE
    assert not bench.machine.faults
    assert bench.notes[-1].outcome is Outcome.TRIPPED
    assert bench.notes[-1].reasons[-1] == "nothing had moved"
    assert bench.plate.moved == 0.0


def test_a_low_battery_during_a_stroke_does_not_strand_the_plate():
    bench = Bench().ready()
    bench.stroke().until(Phase.PRESSING)
    bench.plate.battery = 10.0
    bench.until(Phase.IDLE)
    assert not bench.machine.faults


def test_a_plate_that_does_not_leave_home():
    bench = Bench().ready()
    bench.plate.stalled, bench.plate.loaded = True, 3.0
    bench.stroke().until(Phase.PRESSING)
    fails(bench, Kind.SWITCHES, "says home after 2.0 s of pressing", within=SETTINGS.leave + 2 * STEP)


def test_a_home_switch_that_is_stuck():
    bench = Bench().ready()
    bench.stroke().until(Phase.PRESSING)
    bench.plate.stuck = {"home": True}
    fails(bench, Kind.SWITCHES, "it is stuck", within=SETTINGS.leave + 2 * STEP)


def test_a_far_switch_that_is_stuck():
    bench = Bench().ready()
    bench.stroke().until(Phase.RETURNING)
    bench.plate.stuck = {"end": True}
    fails(bench, Kind.SWITCHES, "the end switch is made after 2.0 s", within=SETTINGS.leave + 2 * STEP)


@pytest.mark.parametrize("phase", [Phase.IDLE, *DOWN_AND_UP[:5]])
def test_both_ends_at_once(phase):
    bench = Bench().ready()
    if phase is not Phase.IDLE:
        bench.stroke().until(phase)
    bench.plate.stuck = {"home": True, "end": True}
    fails(bench, Kind.SWITCHES, "no plate is at both ends")


def test_an_overload_on_the_way_home():
    bench = Bench().ready()
    bench.stroke().until(Phase.RETURNING).run(1.0)
    bench.plate.stalled = True
    fails(bench, Kind.JAMMED, "8.0 A flowed on the way home, and 6 is the limit")


def test_a_plate_that_never_comes_home():
    bench = Bench().ready()
    bench.stroke().until(Phase.RETURNING).run(1.0)
    bench.plate.stalled, bench.plate.loaded = True, 3.0
    fails(bench, Kind.JAMMED, "not at home after 15.0 s", within=SETTINGS.back)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.WARNING, Phase.TURNING, Phase.MEASURING])
def test_a_welded_relay(phase):
    """Current flows although nothing drives the motor: told from two readings."""
    bench = Bench(replace(SETTINGS, dead_time=2.0, settle=4.0)).ready()
    if phase is not Phase.IDLE:
        bench.stroke().until(phase)
    bench.plate.welded, bench.plate.stalled = 1, True
    fails(bench, Kind.WELDED, "8.0 A flow although nothing drives the motor", within=0.5 + 3 * STEP)
    assert "8.0 A flow although nothing drives the motor" in bench.reasons()
    assert bench.machine.may_clear(bench.now, bench.plate.seen()).reasons, "nor can it be reset"


def test_the_current_that_dies_away_is_no_welded_relay():
    bench = Bench(replace(SETTINGS, dead_time=3.0)).ready()
    bench.stroke().until(Phase.TURNING)
    for _ in range(8):
        bench.now += STEP
        seen = replace(bench.plate.seen(), current=Input("motor.current", 3.0, 0.0))
        bench.machine.step(bench.now, seen)
    assert bench.machine.phase is Phase.TURNING


def test_one_reading_that_is_looked_at_often_is_one_reading():
    bench = Bench().ready()
    measured = bench.now
    for _ in range(20):
        bench.now += STEP
        seen = replace(bench.plate.seen(), current=Input("motor.current", 8.0, bench.now - measured))
        bench.machine.step(bench.now, seen)
    assert not bench.machine.faults


@pytest.mark.parametrize("phase", [Phase.PRESSING, Phase.RETURNING])
def test_a_motor_that_something_else_has_cut_off(phase):
    bench = Bench().ready()
    bench.stroke().until(phase).run(0.7)
    bench.plate.cut = True
    fails(bench, Kind.DEAD, "something else has cut it off", within=0.2)


def test_a_motor_that_cannot_be_told():
    bench = Bench().ready()
    bench.stroke().until(Phase.PRESSING)
    bench.outside(bench.machine.untold(bench.now, "the line is stuck"))
    fails(bench, Kind.WIRES, "the line is stuck")


def test_what_comes_from_outside_stops_it():
    bench = Bench().ready()
    assert bench.machine.interrupt(bench.now, "a hand") == []
    bench.stroke().run(1.0)
    (note,) = bench.machine.interrupt(bench.now, "a hand")
    assert note.reasons == ("a hand", "nothing had moved")
    bench.ready().stroke().until(Phase.PRESSING)
    bench.outside(bench.machine.interrupt(bench.now, "a hand"))
    fails(bench, Kind.INTERRUPTED, "a hand")


def test_the_guard_ends_a_stroke_that_nothing_else_ends():
    bench = Bench().ready()
    bench.stroke().until(Phase.PRESSING)
    bench.machine.guard.since -= SETTINGS.whole
    fails(bench, Kind.INTERRUPTED, "the longest that it may be")


# A person's reset


def stranded():
    """A bench whose door was opened in mid-stroke."""
    bench = Bench().ready()
    bench.stroke().until(Phase.PRESSING).run(2.0)
    bench.plate.door = False
    bench.until(Phase.FAULT).run(1.0)
    bench.phases.clear()
    return bench


def test_a_reset_brings_the_plate_home_with_a_warning():
    bench = stranded()
    assert bench.machine.may_clear(bench.now, bench.plate.seen()).reasons == ("door.closed is false",)
    bench.plate.door = True
    bench.home().until(Phase.IDLE)
    assert bench.phases == [Phase.RETURNING, Phase.IDLE]
    assert bench.events[-1] == "cleared"
    assert not bench.machine.faults
    assert bench.machine.strokes == 0


def test_a_way_home_that_is_given_up_leaves_the_fault():
    bench = stranded()
    bench.plate.door = True
    bench.home().run(1.0)
    bench.plate.door = False
    bench.step()
    assert bench.machine.phase is Phase.FAULT
    assert Kind.INTERRUPTED in bench.machine.faults
    bench.plate.door = True
    bench.run(1.0).home().until(Phase.IDLE)


def test_a_wire_that_fails_again_on_the_way_home_stops_it_again():
    bench = Bench().ready()
    bench.stroke().until(Phase.PRESSING).run(1.0)
    bench.outside(bench.machine.untold(bench.now, "stuck"))
    assert bench.machine.untold(bench.now, "stuck") == [], "said once"
    bench.run(1.0).home().until(Phase.RETURNING)
    bench.outside(bench.machine.untold(bench.now, "stuck again"))
    fails(bench, Kind.WIRES, "stuck again")


def test_a_reset_needs_no_rest_and_no_budget():
    bench = Bench(interval=3600.0, per_hour=1).until(Phase.IDLE)
    bench.run(3601).stroke().until(Phase.PRESSING).run(1.0)
    bench.plate.door = False
    bench.until(Phase.FAULT).run(1.0)
    (reason,) = bench.machine.may_clear(bench.now, bench.plate.seen()).reasons
    assert reason == "door.closed is false"
    bench.plate.door = True
    bench.home().until(Phase.IDLE)


def test_a_motor_that_was_only_just_let_go_is_waited_for():
    """Its current, measured before, says nothing of what flows now."""
    bench = Bench().ready()
    bench.stroke().until(Phase.PRESSING).run(1.0)
    bench.plate.door = False
    bench.until(Phase.FAULT)
    bench.plate.door = True
    (reason,) = bench.machine.may_clear(bench.now, bench.plate.seen()).reasons
    assert reason.startswith("its motor has only just been let go")


def test_what_is_in_order_needs_no_reset():
    bench = Bench().ready()
    assert bench.machine.may_clear(bench.now, bench.plate.seen()).reasons == ("it is in order",)


# A restart


@pytest.mark.parametrize("phase", [Phase.WARNING, *MOVING])
def test_power_lost_in_mid_stroke_and_the_plate_away(phase):
    bench = Bench().ready()
    bench.stroke().until(phase).run(0.5)
    kept = bench.machine.save()
    assert kept["stroke"] is True
    bench.plate.position = 0.4
    bench.boot(kept)
    bench.run(10.0)
    assert bench.machine.phase is Phase.FAULT
    assert bench.driven == 0
    assert bench.notes[-1].reasons[0] == LOST
    assert bench.events[-1] == "fault"
    assert bench.machine.save()["stroke"] is True, "a second power cut forgets nothing"
    bench.home().until(Phase.IDLE)


def test_power_lost_in_mid_stroke_and_the_plate_at_home():
    """The switch shows that nothing is left to be done: a battery that is flat each night needs nobody."""
    bench = Bench().ready()
    bench.stroke().until(Phase.RETURNING)
    kept = bench.machine.save()
    bench.plate.position = 0.0
    bench.boot(kept)
    bench.until(Phase.IDLE)
    assert bench.notes[-1].outcome is Outcome.RELEASED
    assert bench.notes[-1].reasons == (LOST, "the plate shows itself at home, so it may work again")
    assert bench.machine.save()["stroke"] is False


def test_the_intention_alone_is_kept_too():
    bench = Bench().ready()
    bench.machine.intend(bench.now)
    assert bench.machine.save()["stroke"] is True
    bench.machine.desist()
    assert bench.machine.save()["stroke"] is False


def test_a_fault_outlives_a_restart():
    bench = stranded()
    bench.plate.position = 0.0
    bench.plate.door = True
    bench.boot(bench.machine.save())
    bench.run(10.0)
    assert bench.machine.phase is Phase.FAULT
    assert "door.closed is false" in bench.machine.trouble


def test_a_full_bin_outlives_a_restart():
    bench = Bench(interval=1.0).ready()
    bench.plate.leaves = 85.0
    bench.stroke().until(Phase.IDLE).run(2).stroke().until(Phase.IDLE)
    bench.boot(bench.machine.save())
    assert bench.run(2.0).machine.full


def test_a_first_start_says_nothing_when_the_plate_is_at_home():
    bench = Bench().until(Phase.IDLE)
    assert bench.notes == []
    assert Bench().machine.save() == {"stroke": False, "faults": {}, "high": 0}
    away = Bench()
    away.plate.position = 0.5
    away.run(5.0)
    assert away.machine.phase is Phase.FAULT
    assert away.events == ["fault"], "once"
    away.plate.position = 0.0
    away.until(Phase.IDLE)
    assert away.events == ["fault", "cleared"]


def test_a_plate_whose_switch_is_silent_stays_off():
    bench = Bench()
    bench.plate.stuck = {"home": None}
    bench.run(60.0)
    assert bench.machine.phase is Phase.FAULT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(JSON | st.fixed_dictionaries({"stroke": JSON, "faults": JSON, "high": JSON}))
def test_what_was_never_kept_is_refused_or_is_a_state(kept):
    bench = Bench()
    try:
        bench.machine.restore(kept)
    except ValueError:
        return
    assert bench.machine.phase is Phase.FAULT
    assert bench.machine.save() in (kept, {**kept, "high": int(kept["high"])})


# Settings


@pytest.mark.parametrize("name", [each.name for each in fields(Settings)])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_no_setting_may_be_nothing(name, value):
    with pytest.raises(ValueError, match=name):
        replace(SETTINGS, **{name: value})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"idle": 6.0}, "below limit"),
        ({"full": 101.0}, "full"),
        ({"emptied": 80.0}, "emptied"),
        ({"leave": 10.0}, "leave"),
        ({"inrush": 10.0}, "inrush"),
    ],
)
def test_settings_that_can_never_work_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(SETTINGS, **change)


# Everything at once


class Inspector:
    """Looks at every step of a bench, and knows what must never be."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.was, self.stood = 0, math.inf
        self.drove = 0
        self.begun = -math.inf

    def look(self) -> None:
        bench, machine = self.bench, self.bench.machine
        drive = bench.driven
        assert drive in (-1, 0, 1)
        if drive:
            assert machine.phase in (Phase.PRESSING, Phase.RETURNING)
            assert machine.buzzer
            assert not bench.machine.faults or machine.stroke.homeward
            assert bench.plate.door is True, "never without an interlock"
            assert bench.plate.blind is False
            assert None not in bench.plate.stuck.values()
            assert bench.now - machine.guard.since <= SETTINGS.whole + STEP
            if self.was == 0 and self.drove == -drive:
                assert self.stood >= SETTINGS.dead_time - 1e-6
            assert self.was in (0, drive), "never round without standing"
            if drive == 1:
                assert bench.now - machine.since <= SETTINGS.press + 2 * STEP
        if drive:
            self.drove, self.stood = drive, 0.0
        else:
            self.stood += STEP
        self.was = drive


def upset(random: Random, bench: Bench) -> None:
    """Do something to the world, mostly mend it."""
    plate = bench.plate
    match random.randrange(16):
        case 0:
            plate.door = random.choice([True, False, None])
        case 1:
            plate.stuck = {random.choice(["home", "end"]): random.choice([True, False, None])}
        case 2:
            plate.blind = True
        case 3:
            plate.welded = random.choice([-1, 1])
        case 4:
            plate.stalled = True
        case 5:
            plate.cut = True
        case 6:
            plate.rubbish, plate.loaded = random.choice([0.3, 0.8, 2.0]), random.choice([3.0, 8.0])
        case 7:
            plate.fill, plate.leaves = random.choice([5.0, 90.0, None]), random.choice([40.0, 85.0])
        case 8:
            plate.battery = random.choice([12.6, 11.0, None])
        case _:
            plate.door, plate.stuck, plate.blind = True, {}, False
            plate.welded, plate.stalled, plate.cut = 0, False, False
            plate.battery = 12.6


def live(seed: int, steps: int) -> Bench:
    """Let a bench live through *steps* of wishes, faults, resets and crashes."""
    random, bench = Random(f"press {seed}"), Bench(interval=5.0, per_hour=30)
    inspector = Inspector(bench)
    for _ in range(steps):
        chance = random.random()
        if chance < 0.02:
            upset(random, bench)
        elif chance < 0.06 and not bench.reasons() and bench.machine.phase is Phase.IDLE:
            bench.stroke()
        elif chance < 0.08 and not bench.machine.may_clear(bench.now, bench.plate.seen()).reasons:
            bench.home()
        elif chance < 0.0815:
            kept = bench.machine.save()
            before = bench.moving
            assert kept["stroke"] or not before, "what moves is kept"
            bench.boot(kept)
            inspector.drove, inspector.stood, inspector.was = 0, math.inf, 0
        elif chance < 0.082:
            bench.outside(bench.machine.untold(bench.now, "disturbed"))
        bench.step()
        inspector.look()
    return bench


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_nothing_moves_that_must_not(seed):
    bench = live(seed, 8000)
    assert bench.machine.strokes or bench.notes


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_million_steps_and_nothing_moves_that_must_not(seed):
    live(seed, 50_000)


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 20), st.booleans()), max_size=25), st.booleans())
def test_no_sequence_of_faults_is_forgotten_without_a_person(sequence, crash):
    """Hypothesis looks for a way out of a latched fault that is no reset."""
    bench = stranded()
    for what, value, flag in sequence:
        bench.plate.door = flag
        bench.plate.fill = value
        bench.plate.position = value / 20 if what == 1 else bench.plate.position
        bench.plate.stuck = {"home": flag} if what == 2 else {}
        bench.plate.battery = value if what == 3 else 12.6
        if what == 4 and crash:
            bench.boot(bench.machine.save())
        bench.run(0.2)
        assert bench.machine.phase is Phase.FAULT
        assert bench.driven == 0
        assert bench.reasons()


def test_what_is_seen_is_not_changed_by_looking():
    seen = Seen(Input("h", True, 5.0), Input("c", 1.0, 0.1))
    assert seen.within(2.0).home.value is None
    assert seen.home.value is True
