"""Rules over restarts: phases and times go on, nothing is believed that cannot be, nothing fires unseen."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.clock import Instant, Quality
from gateway.reading import Grant, Mode, Reading
from gateway.rules import Engine, Rule
from gateway.rules.rule import fingerprint
from tests.gateway.test_rules_engine import CONDITIONS, NOON, STALE, Street, engine_of, fired, phase, rule


@pytest.fixture
def street() -> Street:
    return Street()


def kept(engine: Engine) -> Any:
    """Return what the engine saves, as it comes back from a file."""
    return json.loads(json.dumps(engine.save(), allow_nan=False))


def again(street: Street, saved: Any, *rules: Rule) -> Engine:
    engine = engine_of(street, *rules)
    engine.restore(saved)
    return engine


WAITS = rule("bin.fill >= 80.0", wait=10.0)
HOLDS = rule("bin.fill >= 80.0", clear="bin.fill < 60.0", hold=10.0)


def waiting(street: Street) -> Any:
    """Return what is saved 4 s into a wait of 10 s."""
    engine = engine_of(street, WAITS)
    engine.note(street.fill(85.0))
    for _ in range(2):
        street.now += 2.0
        engine.note(street.fill(85.0))
    assert phase(engine) == "pending"
    return kept(engine)


def test_a_wait_goes_on(street: Street) -> None:
    saved = waiting(street)
    street.now += 1.0
    engine = again(street, saved, WAITS)
    assert (fired(engine), phase(engine)) == ([], "pending")
    engine.note(street.fill(85.0))
    street.now = 1008.0
    engine.note(street.fill(85.0))
    street.now = 1010.0
    assert fired(engine) == [("press", True)]


def test_a_wait_that_is_over_needs_to_be_seen(street: Street) -> None:
    saved = waiting(street)
    street.now += 60.0
    engine = again(street, saved, WAITS)
    assert (fired(engine), phase(engine)) == ([], "pending")
    due = engine.due()
    assert due is not None
    assert due > street.now
    engine.note(street.fill(85.0))
    assert fired(engine) == [("press", True)]


@pytest.mark.parametrize("said", [10.0, Missing.FAULT])
def test_what_comes_first_after_a_restart_may_cancel_a_wait(street: Street, said: float | Missing) -> None:
    engine = again(street, waiting(street), WAITS)
    engine.note(street.fill(said))
    assert (fired(engine), phase(engine)) == ([], "inactive")


def test_a_device_that_stays_silent_cancels_a_wait_when_its_value_would_not_count(street: Street) -> None:
    engine = again(street, waiting(street), WAITS)
    start = street.now
    engine.note(street.lid(1.0))
    assert engine.due() == pytest.approx(start + 3.0)
    street.now = start + 3.0
    engine.step()
    assert phase(engine) == "pending"
    due = engine.due()
    assert due is not None
    street.now = max(due, start + 3.000000001)
    engine.step()
    assert phase(engine) == "inactive"


def test_a_wait_needs_all_its_devices(street: Street) -> None:
    """Once all have spoken, one that does not know is a break as ever."""
    both = rule("bin.fill >= 80.0 && lid.closed", wait=10.0)
    engine = engine_of(street, both)
    engine.note(street.fill(85.0))
    engine.note(street.lid(1.0))
    saved = kept(engine)
    engine = again(street, saved, both)
    engine.note(street.fill(85.0))
    assert phase(engine) == "pending"
    engine.note(street.fill(Missing.FAULT))
    street.now += 20.0
    engine = again(street, saved, both)
    engine.note(street.fill(Missing.FAULT))
    assert (fired(engine), phase(engine)) == ([], "pending")
    engine.note(street.lid(1.0))
    assert (fired(engine), phase(engine)) == ([], "inactive")


def test_a_wait_does_not_stand_where_its_end_is_known(street: Street) -> None:
    ends = rule("bin.fill >= 80.0", clear="lid.closed", wait=10.0)
    engine = engine_of(street, ends)
    engine.note(street.fill(85.0))
    engine = again(street, kept(engine), ends)
    engine.note(street.lid(1.0))
    assert phase(engine) == "inactive"


def test_a_reload_just_after_a_restart_leaves_a_wait_alone(street: Street) -> None:
    engine = again(street, waiting(street), WAITS)
    engine.reload([WAITS, rule("lid.closed", name="other")])
    assert (fired(engine), phase(engine)) == ([], "pending")


def test_a_rule_that_is_gone_leaves_nothing(street: Street) -> None:
    engine = again(street, waiting(street))
    assert (fired(engine), engine.notices(), kept(engine)["rules"]) == ([], [], {})


def test_an_engine_that_was_stepped_already_wakes_for_what_is_restored(street: Street) -> None:
    saved = waiting(street)
    engine = engine_of(street, WAITS)
    engine.step()
    engine.restore(saved)
    engine.step()
    assert engine.due() == pytest.approx(street.now + 3.0)


def test_what_fires_goes_on_and_can_be_handed_to_a_new_control(street: Street) -> None:
    engine = engine_of(street, HOLDS)
    engine.note(street.fill(85.0))
    (begun,) = engine.step()
    street.now += 4.0
    engine = again(street, kept(engine), HOLDS)
    assert (fired(engine), phase(engine)) == ([], "firing")
    assert [(t.rule, t.firing, t.commands) for t in engine.firing()] == [("press", True, begun.commands)]
    engine.note(street.fill(10.0))
    street.now = 1009.9
    assert fired(engine) == []
    street.now = 1010.0
    engine.note(street.fill(10.0))
    assert fired(engine) == [("press", False)]


Boot = Callable[[Street], Street]


def reboot(mono: float, gone: float, clock: Quality = Quality.SYNCHRONIZED) -> Boot:
    """Start the machine again: its monotonic clock at *mono*, *gone* seconds after it stopped."""

    class Rebooted(Street):
        def instant(self) -> Instant:
            return replace(super().instant(), boot="another", clock=clock)

    return lambda street: Rebooted(mono, street.wall + street.now + gone - mono)


@pytest.mark.parametrize(
    ("boot", "left"),
    [
        (reboot(5.0, 2.0), 4.0),  # 4 s of the 10 were over, 2 s it was gone
        (reboot(5.0, 0.0), 6.0),
        (reboot(5.0, -1.0), 10.0),  # a clock that went back tells nothing
        (reboot(5.0, 2.0, Quality.UNSYNCHRONIZED), 10.0),
        (reboot(5.0, 2.0, Quality.UNKNOWN), 10.0),
    ],
)
@pytest.mark.parametrize("holds", [False, True])
def test_after_a_reboot_a_trusted_wall_clock_tells_the_time(
    street: Street, boot: Boot, left: float, holds: bool
) -> None:
    engine = engine_of(street, HOLDS if holds else WAITS)
    engine.note(street.fill(85.0))
    engine.step()
    street.now += 2.0
    engine.note(street.fill(85.0))
    street.now += 2.0
    saved = kept(engine)
    after = boot(street)
    engine = again(after, saved, HOLDS if holds else WAITS)
    start = after.now
    value = 10.0 if holds else 85.0
    for second in range(int(left)):
        after.now = start + second
        engine.note(after.fill(value))
        assert fired(engine) == []
    after.now = start + left + 1e-5  # the wall clock has no nanoseconds
    engine.note(after.fill(value))
    assert fired(engine) == [("press", not holds)]


def test_a_clock_that_was_not_trusted_before_the_reboot_tells_nothing(street: Street) -> None:
    engine = Engine([WAITS], STALE, lambda: replace(street.instant(), clock=Quality.UNSYNCHRONIZED))
    engine.note(street.fill(85.0))
    street.now += 4.0
    saved = kept(engine)
    assert again(reboot(5.0, 2.0)(street), saved, WAITS).status()[0]["since"] == 0.0


def test_a_boot_without_a_name_is_not_the_same_as_another_without(street: Street) -> None:
    engine = Engine([WAITS], STALE, lambda: replace(street.instant(), boot="unknown"))
    engine.note(street.fill(85.0))
    saved = kept(engine)
    street.now, street.wall = 3.0, street.wall + 2000.0  # 1,003 s later by the wall
    engine = Engine([WAITS], STALE, lambda: replace(street.instant(), boot="unknown"))
    engine.restore(saved)
    assert engine.status()[0]["since"] == pytest.approx(1003.0)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 4},
        {"says": "Pushes."},
        {"owner": "Parks"},
        {"expires": date(2031, 1, 1)},
        {"when": rule("bin.fill >= 81.0").when},
        {"clear": None},
        {"commands": ()},
        {"wait": 1.0},
        {"hold": 11.0},
        {"mode": Mode.SHADOW},
        {"ask": 1.0},
        {"veto": 1.0},
        {"blind": 2.0},
    ],
)
def test_an_altered_rule_begins_anew(street: Street, change: dict[str, Any]) -> None:
    engine = engine_of(street, HOLDS)
    engine.note(street.fill(85.0))
    altered = replace(HOLDS, **change)
    assert phase(again(street, kept(engine), altered)) == "inactive"
    assert (altered == HOLDS, fingerprint(altered) == fingerprint(HOLDS)) == (False, False)


def test_another_rule_and_another_grant_are_no_alteration(street: Street) -> None:
    engine = engine_of(street, HOLDS, rule("lid.closed", name="other"))
    engine.note(street.fill(85.0))
    renewed = replace(HOLDS, digest="d2", grant=Grant("J. Meyer", "night", NOON))
    engine = again(street, kept(engine), rule("!lid.closed", name="other"), renewed)
    assert [each["phase"] for each in engine.status()] == ["inactive", "firing"]


def test_a_rule_that_expired_meanwhile_ends(street: Street) -> None:
    day = replace(HOLDS, expires=date(2030, 6, 1))
    engine = engine_of(street, day)
    engine.note(street.fill(85.0))
    saved = kept(engine)
    street.now += 86400.0
    engine = again(street, saved, day)
    assert (fired(engine), phase(engine)) == ([("press", False)], "expired")


def test_a_rule_that_has_moved_since_the_start_keeps_its_phase(street: Street) -> None:
    saved = waiting(street)
    engine = engine_of(street, replace(WAITS, wait=0.0))
    saved["rules"]["press"]["mark"] = fingerprint(replace(WAITS, wait=0.0))
    engine.note(street.fill(85.0))
    engine.restore(saved)
    assert phase(engine) == "firing"


def test_the_revision_tells_when_there_is_something_to_save(street: Street) -> None:
    engine = engine_of(street, WAITS, rule("bin.fill >= 90.0", name="other"))
    seen = [engine.revision]
    for fill in (10.0, 85.0, 86.0, 95.0, 96.0):
        engine.note(street.fill(fill))
        seen.append(engine.revision)
    street.now += 2.0
    engine.note(street.fill(95.0))
    assert engine.revision == seen[-1]
    grew = [after > before for before, after in pairwise(seen)]
    assert grew == [False, True, False, True, False]
    assert set(kept(engine)["rules"]) == {"press", "other"}
    engine.note(street.fill(10.0))
    assert engine.revision > seen[-1]
    assert kept(engine)["rules"] == {}


# --- what is stored is hostile ---


def damaged(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def damage(saved: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for key in parents:
            saved = saved[key]
        saved[last] = value

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        damaged("more", 1),
        lambda saved: saved.pop("at"),
        damaged("at", []),
        damaged("at.time", "1"),
        damaged("at.time", True),
        damaged("at.time", 1e300),
        damaged("at.time", 10**400),
        damaged("at.time", float("nan")),
        damaged("at.mono", 1.0),
        damaged("at.mono", -1),
        damaged("at.mono", 10**30),
        damaged("at.mono", 2000 * 10**9),  # after now, in the same boot
        damaged("at.boot", None),
        damaged("at.clock", "good"),
        damaged("at.clock", 1),
        damaged("rules", []),
        damaged("rules", {str(number): {} for number in range(10_001)}),
        damaged("rules.press", None),
        damaged("rules.press.phase", "fired"),
        damaged("rules.press.phase", ["firing"]),
        damaged("rules.press.since", 2000 * 10**9),
        damaged("rules.press.since", -(10**30)),
        damaged("rules.press.since", 1.5),
        damaged("rules.press.since", True),
        damaged("rules.press.mark", None),
        damaged("rules.press.told", 1),
        damaged("rules.press.more", 1),
    ],
)
def test_what_save_never_gave_is_refused_and_changes_nothing(
    street: Street, damage: Callable[[dict[str, Any]], None]
) -> None:
    saved = waiting(street)
    damage(saved)
    engine = engine_of(street, WAITS)
    with pytest.raises(ValueError):
        engine.restore(saved)
    assert (phase(engine), engine.notices()) == ("inactive", [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = ["at", "rules", "at.time", "at.mono", "at.boot", "at.clock", "rules.press"]
PLACES += [f"rules.press.{key}" for key in ("mark", "phase", "since", "told")]


@given(st.sampled_from(["", *PLACES]), JSON)
def test_nothing_that_is_stored_harms_or_starts_anything(place: str, value: Any) -> None:
    street = Street()
    saved: Any = waiting(street)
    if place:
        damaged(place, value)(saved)
    else:
        saved = value
    engine = engine_of(street, WAITS)
    try:
        engine.restore(saved)
    except ValueError:
        assert phase(engine) == "inactive"
    else:
        assert phase(engine) in ("inactive", "pending")
    assert fired(engine) == []
    engine.note(street.fill(10.0))
    assert fired(engine) == []
    assert (engine.due() or street.now) > street.now - 1e-9


# --- as if nothing had happened ---

NOTES = st.one_of(
    st.tuples(st.just("bin"), st.sampled_from([10.0, 60.0, 95.0])),
    st.tuples(st.just("lid"), st.sampled_from([0.0, 1.0])),
    st.tuples(st.just(""), st.just(0.0)),
)


@settings(max_examples=300)
@given(
    st.sampled_from(CONDITIONS),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.sampled_from([0.0, 0.75, 3.5]),
    st.lists(st.tuples(st.integers(0, 8), NOTES), max_size=15),
)
def test_a_restart_that_takes_no_time_changes_nothing(
    when: str, clears: bool, wait: float, hold: float, notes: list[tuple[int, tuple[str, float]]]
) -> None:
    """One engine lives; the other restarts wherever a note names no device, and hears the latest again.

    Of two conditions that overlap, one may be known before the other again; these never do.
    """
    street, wanted = Street(), rule(when, f"!({when})" if clears else None, wait, hold=hold)
    living, other = engine_of(street, wanted), engine_of(street, wanted)
    latest: dict[str, Reading] = {}
    for pause, (device, value) in [(0, ("bin", 10.0)), (0, ("lid", 0.0)), *notes, (12, ("", 0.0))]:
        end = street.now + pause * 0.5
        while (due := min(living.due() or end, other.due() or end)) < end:
            street.now = max(due, street.now)
            assert fired(other) == fired(living)
        street.now = end
        assert fired(other) == fired(living)
        if device:
            quantity = Quantity.FILL if device == "bin" else Quantity.CLOSED
            latest[device] = street.reading(device, {quantity: value})
            living.note(latest[device])
            other.note(latest[device])
        else:
            other = again(street, kept(other), wanted)
            for reading in latest.values():
                other.note(reading)
        assert fired(other) == fired(living)
        assert [s["phase"] for s in other.status()] == [s["phase"] for s in living.status()]
