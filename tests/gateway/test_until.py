"""Ends and ages, while somebody sets the wall clock."""

import pytest

from gateway.clock import Instant, Quality
from gateway.control import shape
from gateway.control.compactor.memory import recall, state
from gateway.control.guard import Guard, Limits
from gateway.control.until import Until, slept

RIGHT, WRONG = Quality.SYNCHRONIZED, Quality.UNSYNCHRONIZED
YEARS = 1.7e9


def at(time, mono, boot="b", clock=RIGHT):
    return Instant(time, mono, boot, clock)


@pytest.mark.parametrize("jump", [YEARS, -YEARS, 3600.0, -3600.0])
def test_a_span_is_as_long_as_it_is_whatever_is_done_to_the_clock(jump):
    end = Until.after(60.0, at(1e9, 10.0))
    assert end.left(at(1e9 + jump + 59.0, 69.0)) == 1.0
    assert end.left(at(1e9 + jump + 61.0, 71.0)) == -1.0
    again = shape.until(shape.pair(end), at(1e9, 10.0), at(1e9 + jump + 30.0, 40.0))
    assert again.left(at(1e9 + jump + 30.0, 40.0)) == 30.0


def test_a_time_that_a_person_named_comes_by_the_clock_and_no_later_than_it_would_have():
    end = Until.at(1e9 + 60.0, at(1e9, 10.0))
    assert end.left(at(1e9 + 61.0, 20.0)) < 0, "the clock says that it is over"
    assert end.left(at(1e9 - 3600.0, 71.0)) < 0, "a clock that is set back lends nobody more time"
    kept = shape.until(shape.pair(end), at(1e9, 10.0), at(1e9, 10.0))
    assert kept == end


@pytest.mark.parametrize(
    ("then", "now", "gone"),
    [
        (at(0.0, 100.0, clock=WRONG), at(YEARS, 160.0), 60.0),  # the same boot: whatever the clock said
        (at(YEARS, 100.0), at(YEARS + 900.0, 5.0, "c"), 900.0),
        (at(30.0, 30.0, clock=WRONG), at(YEARS, 5.0, "c"), None),  # 1970, a power cut, and the right time
        (at(YEARS, 100.0), at(5.0, 5.0, "c", WRONG), None),
        (at(YEARS, 100.0), at(YEARS - 900.0, 5.0, "c"), None),
    ],
)
def test_what_was_kept_ages_only_by_clocks_that_were_trusted(then, now, gone):
    assert slept(then, now) == gone


class Machine:
    """A press as its memory sees it."""

    def __init__(self) -> None:
        self.guard = Guard(Limits(safe=False, max_on=10.0, per_hour=2))
        self.restored = None

    def save(self):
        return {"busy": False}

    def restore(self, saved):
        self.restored = saved


@pytest.mark.parametrize("booted", [30.0, YEARS])
def test_a_power_cut_and_a_clock_that_is_set_give_no_press_another_stroke(booted):
    """Two strokes in 1970, then a boot whose clock is right: nobody can say that an hour has passed."""
    before, after = Machine(), Machine()
    before.guard.resume([20.0, 10.0], 30.0)
    kept = state(before, at(30.0, 30.0, clock=WRONG))
    recall("press", kept, after, at(booted, 3.0, "c", RIGHT if booted == YEARS else WRONG))
    assert after.restored == {"busy": False}
    assert after.guard.started(3.0) == pytest.approx([20.0, 10.0], abs=0.2)


def test_strokes_age_over_a_restart_in_one_boot_by_the_monotonic_clock():
    before, after = Machine(), Machine()
    before.guard.resume([20.0, 10.0], 30.0)
    kept = state(before, at(30.0, 30.0, clock=WRONG))
    recall("press", kept, after, at(YEARS, 1030.0))
    assert after.guard.started(1030.0) == pytest.approx([1020.0, 1010.0], abs=0.2)
