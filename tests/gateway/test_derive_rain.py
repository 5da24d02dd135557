"""Rain: tips to totals, rates and classes."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.bucket import (
    RainClass,
    corrected,
    debounced,
    inter_tip_rate,
    rain_class,
    tip_depth,
    total,
    undercatch,
    window_rate,
)
from gateway.derive.rain import Gauge
from gateway.derive.watch import Watch

UNKNOWN = Missing.INPUT_MISSING
EDGES = st.lists(st.integers(0, 60_000).map(lambda n: n / 8), max_size=80)  # eighths are exact
CROWD = st.lists(st.integers(0, 200).map(lambda n: n / 8), max_size=80)


def gauge(*tips, since=-100_000.0, **options):
    """A gauge that has been watched for long, and heard *tips*."""
    result = Gauge(**options)
    result.begin(since)
    for at in tips:
        result.tip(at)
    return result


def test_a_tip_each_7_2_s_is_100_mm_per_hour():
    assert inter_tip_rate(7.2, 0.2) == pytest.approx(100.0)
    assert window_rate(50, 0.2, 360.0) == pytest.approx(100.0)


def test_one_tip_in_a_minute_already_reads_12_mm_per_hour():
    assert window_rate(1, 0.2, 60.0) == pytest.approx(12.0)
    assert window_rate(1, 0.2, 900.0) == pytest.approx(0.8)
    assert window_rate(0, 0.2, 60.0) == 0.0


def test_undercatch_as_duchon_measured_it():
    assert undercatch(19.9, 0.254) == pytest.approx(0.0098, abs=5e-5)
    assert undercatch(175.2, 0.254) == pytest.approx(0.0878, rel=0.02)
    assert undercatch(0.0, 0.2) == 0.0


@given(st.floats(0.01, 600.0))
def test_the_correction_gives_back_the_true_rate(true):
    tipping = true / (1 + undercatch(true, 0.2))
    assert corrected(tipping, 0.2) == pytest.approx(true)


@given(st.floats(1.001, 5000.0))
def test_corrected_tips_make_the_corrected_rate(interval):
    assert inter_tip_rate(interval, tip_depth(interval, 0.2)) == pytest.approx(
        corrected(inter_tip_rate(interval, 0.2), 0.2)
    )


def test_a_bucket_that_is_shaken_is_not_corrected():
    assert corrected(720.0, 0.2) == pytest.approx(720 / 0.55)
    assert corrected(720.1, 0.2) is Missing.OUT_OF_RANGE
    assert tip_depth(1.0, 0.2) == pytest.approx(0.2 / 0.55)
    assert tip_depth(0.99, 0.2) == 0.2


@pytest.mark.parametrize(
    ("rate", "name"),
    [(0.0, "dry"), (0.001, "light"), (2.5, "light"), (2.6, "moderate"), (2.55, "moderate"), (7.6, "moderate"),
     (7.601, "heavy"), (7.7, "heavy"), (300.0, "heavy")],
)  # fmt: skip
def test_classes_of_the_ams_glossary(rate, name):
    assert rain_class(rate) is RainClass(name)


def test_a_bounce_is_not_a_tip_and_two_tips_are_two():
    assert debounced([10.0, 10.01, 10.15, 10.3, 10.6]) == [10.0, 10.6]
    assert debounced([10.524, 10.0, 10.0]) == [10.0, 10.524]
    assert debounced([0.0, 0.25], quiet=0.25) == [0.0, 0.25]


def test_a_contact_that_chatters_is_one_tip():
    assert debounced(n / 10 for n in range(1000)) == [0.0]
    chatter = gauge(*(n / 10 for n in range(1000)))
    assert chatter.total(100.0, 200.0) == 0.2
    assert len(chatter._firsts) == len(chatter._lasts) == 1


@given(st.one_of(EDGES, CROWD), st.randoms(use_true_random=False), st.integers(0, 30), st.integers(1, 30))
def test_a_gauge_counts_as_the_batch_does(edges, random, now, window):
    """Whatever the order of arrival, the gaps and the duplicates."""
    heard = edges + random.sample(edges, len(edges) // 2)
    random.shuffle(heard)
    expected = debounced(edges)
    instrument = gauge(*heard)
    assert instrument._firsts == expected
    assert instrument.tips(now, window) == sum(now - window < at <= now for at in expected)


def test_a_late_edge_begins_ends_or_bridges_a_burst():
    instrument = gauge(10.0, 9.9, 10.1)
    assert (instrument._firsts, instrument._lasts) == ([9.9], [10.1])
    instrument.tip(10.4)
    assert (instrument._firsts, instrument._lasts) == ([9.9, 10.4], [10.1, 10.4])
    instrument.tip(10.25)
    instrument.tip(10.0)
    assert (instrument._firsts, instrument._lasts) == ([9.9], [10.4])


@given(EDGES, st.lists(st.integers(1, 7999), max_size=5))
def test_the_parts_of_a_time_make_its_total(edges, cuts):
    marks = sorted({0, 8000, *cuts})
    for correct in (False, True):
        instrument = gauge(*edges, correct=correct)
        parts = [instrument.total(b, b - a) for a, b in pairwise(marks)]
        assert math.fsum(parts) == pytest.approx(instrument.total(8000, 8000))


def test_totals_leave_out_the_start_and_hold_the_end():
    instrument = gauge(100.0, 200.0, 300.0)
    assert instrument.total(300.0, 200.0) == pytest.approx(0.4)
    assert instrument.total(299.9, 200.0) == pytest.approx(0.4)
    assert instrument.window_rate(300.0, 600.0) == pytest.approx(0.6 * 6)


def test_totals_are_corrected_tip_by_tip():
    steady = gauge(*(7.2 * n for n in range(101)), correct=True)
    assert steady.total(720.0, 720.0) == pytest.approx(100 * 0.2 * 7.2 / (7.2 - 0.45))
    assert steady.rate(720.0) == pytest.approx(100 / (1 - undercatch(100, 0.2)))
    assert steady.window_rate(720.0, 360.0) == pytest.approx(steady.rate(720.0))
    assert gauge(5.0, correct=True).total(10.0, 10.0) == pytest.approx(0.2, abs=1e-4)


def test_the_inter_tip_rate_falls_while_the_next_tip_is_awaited():
    instrument = gauge(0.0, 36.0)
    assert instrument.rate(36.0) == pytest.approx(20.0)
    assert instrument.rate(72.0) == pytest.approx(20.0)
    assert instrument.rate(144.0) == pytest.approx(20.0 / 3)
    assert instrument.rate(36.0 + 3599) == pytest.approx(0.2, rel=1e-3)
    assert instrument.rate(36.0 + 3600) == 0.0


def test_the_first_tip_after_a_dry_time_took_all_of_it():
    assert gauge(50_000.0).rate(50_000.0) == pytest.approx(0.2)
    assert gauge(0.0, 50_000.0).rate(50_001.0) == pytest.approx(0.2)


def test_dry_comes_an_hour_after_the_last_tip():
    instrument = gauge(0.0)
    assert instrument.dry(3599.9) is False
    assert instrument.dry(3600.0) is True
    instrument.tip(3601.0)
    assert instrument.dry(3601.0) is False


def test_a_gauge_that_nobody_heard_is_not_dry():
    instrument = Gauge()
    assert (instrument.dry(0.0), instrument.rate(0.0), instrument.total(0.0, 60.0)) == (UNKNOWN,) * 3
    instrument.begin(1000.0)
    instrument.begin(2000.0)  # it already was
    assert instrument.total(1060.0, 60.0) == 0.0
    assert instrument.total(1060.0, 60.1) is UNKNOWN
    assert instrument.window_rate(1060.0) is UNKNOWN
    assert instrument.dry(4599.9) is UNKNOWN
    assert instrument.dry(4600.0) is True
    instrument.lose(9000.0)
    assert instrument.dry(9000.0) is True
    assert instrument.dry(9999.0) is UNKNOWN
    assert instrument.rate(9999.0) is UNKNOWN


def test_silence_does_not_end_the_rain():
    instrument = gauge(0.0, 10.0)
    instrument.lose(20.0)
    assert instrument.dry(100.0) is False
    assert instrument.rate(100.0) is UNKNOWN
    instrument.begin(200.0)
    instrument.tip(300.0)
    assert instrument.rate(300.0) is UNKNOWN  # a tip between 10 and 200 s could have been missed
    instrument.tip(336.0)
    assert instrument.rate(336.0) == pytest.approx(20.0)


def test_a_gauge_forgets_what_it_need_not_keep():
    instrument = gauge(keep=3600.0)
    for at in range(20_000):
        instrument.tip(float(at))
    assert len(instrument._firsts) == len(instrument._lasts) == 3600
    instrument.tip(19_999.0 - 3600.0)
    assert len(instrument._firsts) == 3600


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 100), st.integers(0, 20),
)  # fmt: skip
def test_a_watch_knows_the_share_of_a_window_in_which_it_watched(steps, window, later):
    watch, seconds, at, watched = Watch(200.0), {}, 0, False
    for pause, good in steps:
        seconds |= dict.fromkeys(range(at, at + pause), watched)
        at, watched = at + pause, good
        if good:
            watch.begin(float(at))
        else:
            watch.lose(float(at))
    now = at + later
    seconds |= dict.fromkeys(range(at, now), watched)
    expected = sum(seconds.get(second, False) for second in range(now - window, now)) / window
    assert watch.share(float(now), float(window)) == pytest.approx(expected)


def test_a_watch_forgets_gaps_that_are_long_past():
    watch = Watch(600.0)
    for at in range(0, 20_000, 10):
        watch.lose(float(at))
        watch.begin(at + 5.0)
        assert watch.share(at + 5.0, 600.0) == pytest.approx(0.5, abs=0.01) or at < 700
    assert len(watch._begins) == len(watch._ends) == len(watch._sums) < 60 + 66


def test_a_gauge_may_miss_a_little():
    instrument = Gauge(share=0.9)
    instrument.begin(0.0)
    instrument.tip(1000.0)
    instrument.lose(2000.0)
    instrument.begin(2300.0)
    assert instrument.total(3600.0, 3600.0) == pytest.approx(0.2)
    assert instrument.total(3600.0, 2000.0) is UNKNOWN
    assert instrument.dry(5000.0) is True
    assert instrument.rate(5000.0) == 0.0


def test_a_corrected_total_follows_late_tips():
    instrument = gauge(10.0, 20.0, correct=True)
    before = instrument.total(60.0, 60.0)
    instrument.tip(15.0)
    assert instrument.total(60.0, 60.0) > before + 0.2
    assert instrument.total(60.0, 60.0) == gauge(10.0, 15.0, 20.0, correct=True).total(60.0, 60.0)
    instrument.depth = 0.4
    assert instrument.total(60.0, 60.0) == pytest.approx(
        2 * gauge(10.0, 15.0, 20.0, correct=True).total(60.0, 60.0)
    )


def test_a_corrected_total_follows_tips_that_are_forgotten():
    instrument = gauge(0.0, 50.0, keep=100.0, dry_after=100.0, correct=True)
    before = instrument.total(60.0, 100.0)
    instrument.tip(105.0)
    assert instrument.total(105.0, 100.0) == gauge(50.0, 105.0, dry_after=100.0, correct=True).total(
        105.0, 100.0
    )
    assert instrument.total(105.0, 100.0) != before


@pytest.mark.parametrize(
    "build",
    [
        lambda: rain_class(-0.1),
        lambda: rain_class(math.nan),
        lambda: total(1, 0.0),
        lambda: window_rate(1, 0.2, 0.0),
        lambda: inter_tip_rate(0.0, 0.2),
        lambda: undercatch(1.0, -0.2),
        lambda: debounced([], quiet=0.0),
        lambda: debounced([], quiet=0.524),
        lambda: Gauge(depth=0.0),
        lambda: Gauge(quiet=1.0),
        lambda: Gauge(dry_after=0.0),
        lambda: Gauge(share=1.1),
        lambda: Gauge(dry_after=7200.0, keep=3600.0),
        lambda: Gauge().total(0.0, 0.0),
        lambda: Gauge().total(0.0, 86_401.0),
    ],
)
def test_parameters_are_checked(build):
    with pytest.raises(ValueError):
        build()
