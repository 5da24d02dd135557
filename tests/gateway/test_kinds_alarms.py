"""What holds for every alarm: only good data end it; silence, restarts and clocks do not, and doubt stays."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.reading import Flag, Reading
from tests.gateway.alarm_rig import CASES, GONE, STEP, Case, T
from tests.gateway.stream_rig import fed, instant, restarted

HOUR, DAY = 3600.0, 86400.0
ALARMS = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
LONG = 30
"""Readings that are enough to raise any of them, and to end it."""


def alight(case: Case, flag: Flag | None = None):
    """Return the alarm, raised by readings that end at T, and the last that it said."""
    made = case.design.build()
    count = 2 if case.design.settings.kind == "step" else LONG  # it learns a new level, and ends
    fed(made, case.heard(case.well, T - 10 * LONG * STEP, LONG))
    said = fed(made, case.heard(case.bad, T - (count - 1) * STEP, count, flag))
    assert case.raised(said[-1])
    return made, said[-1]


@ALARMS
def test_good_data_raise_it_and_good_data_end_it(case):
    made, _ = alight(case)
    said = fed(made, case.heard(case.well, T + STEP, LONG))
    assert case.raised(said[-1]) is case.latched


@ALARMS
@pytest.mark.parametrize("flag", [None, Flag.FAIL])
def test_missing_and_failed_data_never_end_it(case, flag):
    made, _ = alight(case)
    silent = case.gone(T + STEP, 200) if flag is None else case.heard(case.well, T + STEP, 200, flag)
    said = fed(made, silent)
    assert len(said) == 200
    assert all(map(case.raised, said))


@ALARMS
def test_silence_never_ends_it(case):
    made, _ = alight(case)
    said = [each for n in range(1, 3000) for each in made.advance(instant(T + 10.0 * n))]
    assert all(map(case.raised, said))
    assert case.raised(fed(made, case.gone(T + 10 * DAY, 1))[-1])


@ALARMS
def test_a_restart_does_not_end_it(case):
    """Neither when data go on, nor when nothing is heard any more; the last save may be old."""
    made, _ = alight(case)
    after = case.design.build()
    assert after.restore(json.loads(json.dumps(made.save()))) == pytest.approx(T)
    assert all(map(case.raised, fed(after, case.gone(T + DAY, 20))))
    again = case.design.build()
    again.restore(json.loads(json.dumps(after.save())))
    assert all(map(case.raised, fed(again, case.gone(T + 2 * DAY, 20))))


@ALARMS
@pytest.mark.parametrize("back", [0.5, STEP, 5 * STEP, HOUR, DAY, T])
def test_a_clock_that_is_set_does_not_end_it_nor_make_it_deaf(case, back):
    """Back by so much, and, a day later, forward again."""
    for ahead in (False, True):
        made, _ = alight(case)
        for by in (-back, back) if ahead else (-back,):
            made.set_clock(by, trusted=True)
        now = T if ahead else T - back
        assert all(map(case.raised, fed(made, case.gone(now + STEP, 20))))
        said = fed(made, case.heard(case.well, now + 21 * STEP, LONG))
        assert case.raised(said[-1]) is case.latched
        assert case.raised(fed(made, case.heard(case.bad, now + 60 * STEP, 5))[-1])


@ALARMS
def test_what_suspect_data_raised_is_suspect_until_good_data_prove_it(case):
    made, last = alight(case, Flag.SUSPECT)
    assert last.flags[case.quantity] is Flag.SUSPECT
    for each in fed(made, case.gone(T + STEP, 50)):
        assert each.flags[case.quantity] is Flag.SUSPECT, "nothing that came since vouches for it"
    if case.between:
        for each in fed(made, case.heard(case.between, T + 60 * STEP, LONG, Flag.PASS)):
            assert case.raised(each)
            assert each.flags[case.quantity] is Flag.SUSPECT, "without what was suspect it would not stand"
    after = case.design.build()
    after.restore(json.loads(json.dumps(made.save())))
    assert fed(after, case.gone(T + 100 * STEP, 1))[-1].flags[case.quantity] is Flag.SUSPECT
    said = fed(after, case.heard(case.bad, T + 101 * STEP, 3 * LONG, Flag.PASS))
    assert said[0].flags[case.quantity] is Flag.SUSPECT, "one alone would not raise it"
    expected = Flag.SUSPECT if case.latched else Flag.PASS
    assert said[-1].flags[case.quantity] is expected


@ALARMS
def test_what_good_data_raised_is_not_made_doubtful_by_a_suspect_reading(case):
    made, _ = alight(case, Flag.PASS)
    fed(made, case.heard(case.bad, T + STEP, 1, Flag.SUSPECT))
    assert fed(made, case.gone(T + 1.5 * STEP, 1))[-1].flags == {}
    said = fed(made, [*case.heard(case.bad, T + 2 * STEP, 3 * LONG, Flag.PASS)])
    assert said[-1].flags[case.quantity] is Flag.PASS
    assert fed(made, case.gone(T + 200 * STEP, 1))[-1].flags == {}


@ALARMS
def test_a_restart_neither_ends_nor_lengthens_a_doubt(case):
    heard = case.heard(case.bad, T, 6, Flag.SUSPECT) + case.gone(T + 6 * STEP, 1)
    heard += case.heard(case.bad, T + 7 * STEP, 8, Flag.PASS)
    for at in range(6, 15):
        assert restarted(case.design, heard, at * len(case.inputs))


VALUE = st.sampled_from(("bad", "well", "between", "gone"))
FLAG = st.sampled_from((None, Flag.PASS, Flag.SUSPECT, Flag.FAIL))
HEARD = st.lists(st.tuples(VALUE, FLAG, st.sampled_from((1, 1, 1, 2, 9))), min_size=1, max_size=40)


def told(case: Case, heard) -> list[Reading]:
    """Return readings as a random history has them, with gaps."""
    values = {
        "bad": case.bad,
        "well": case.well,
        "between": case.between or case.bad,
        "gone": [GONE] * len(case.inputs),
    }
    found, time = [], T
    for value, flag, steps in heard:
        time += STEP * steps
        found += case.heard(values[value], time, 1, None if value == "gone" else flag)
    return found


@ALARMS
@settings(max_examples=10)
@given(HEARD, st.integers(0, 40))
def test_a_restart_changes_neither_an_alarm_nor_its_flag(case, heard, at):
    readings = told(case, heard)
    at = min(at, len(heard)) * len(
        case.inputs
    )  # an input that is not the first is heard with its next reading
    assert restarted(case.design, readings, at)


NASTY = st.sampled_from(
    (None, True, False, -1, 2, 0.5, -1e300, 1e300, 6e10, -6e10, 10**400, "", "1", [], [[1, 2]], {}, "\ud800")
)


@pytest.mark.slow
@ALARMS
@settings(max_examples=300)
@given(HEARD, st.data())
def test_whatever_was_saved_the_alarm_works(case, heard, data):
    """Damaged anywhere: it is taken or refused, never raised, and what is bad is said to be bad after it."""
    made = case.design.build()
    fed(made, told(case, heard))
    saved = json.loads(json.dumps(made.save() or {}))
    places = list(_places(saved))
    for _ in range(data.draw(st.integers(1, 3))):
        _damage(saved, data.draw(st.sampled_from(places)) if places else (), data.draw(NASTY))
    made.restore(saved)
    fed(made, case.heard(case.well, T + 2 * DAY, LONG))
    count = 2 if case.design.settings.kind == "step" else LONG
    said = fed(made, case.heard(case.bad, T + 2 * DAY + 2 * LONG * STEP, count))
    assert case.raised(said[-1])
    made.save()


@ALARMS
@pytest.mark.parametrize("key", ["newest", "shift", "anchor", "unevaluated", "suspect", "doubtful"])
def test_a_time_that_is_none_is_not_taken_over(case, key, caplog):
    """A clock of the year 10^290 would leave an alarm deaf for ever."""
    made, _ = alight(case)
    after = case.design.build()
    assert after.restore({**made.save(), key: [1e300] if key == "suspect" else 10**400}) is None
    assert "begins anew" in caplog.text
    assert after.restore({**made.save(), key: [1e300] if key == "suspect" else "1"}) is None


def _places(saved, at=()):
    """Yield the way to everything in what was saved."""
    if at:
        yield at
    pairs = saved.items() if isinstance(saved, dict) else enumerate(saved) if isinstance(saved, list) else ()
    for key, value in pairs:
        yield from _places(value, (*at, key))


def _damage(saved, place, nasty) -> None:
    for key in place[:-1]:
        try:
            saved = saved[key]
        except (KeyError, IndexError, TypeError):
            return
    try:
        if place:
            saved[place[-1]] = nasty
    except (IndexError, TypeError):
        return
