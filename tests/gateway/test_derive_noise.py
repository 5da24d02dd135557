"""Noise: the worked examples, the clock's changes, and sums that no order of arrival changes."""

import json
import math
import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.noise import (
    GUIDELINE_LEISURE,
    GUIDELINES,
    Day,
    Hours,
    Period,
    Tally,
    day_of,
    exceeded,
    incident,
    laeq,
    lamax,
    lden,
    spans,
    tni,
)
from gateway.derive.statistics import percentile

ROME = ZoneInfo("Europe/Rome")
SPRING, AUTUMN = date(2026, 3, 28), date(2026, 10, 24)  # their nights are those of the clock's changes
PLAIN = date(2026, 6, 10)
ABSENT = Missing.INPUT_MISSING

true_levels = st.floats(-20.0, 200.0)
durations = st.integers(1, 90_000_000).map(lambda milliseconds: milliseconds / 1000)
heard = st.lists(st.tuples(true_levels, durations), min_size=1, max_size=30)
maybe = st.one_of(true_levels, st.sampled_from(list(Missing)), st.just(math.nan), st.just(200.1))
given_levels = st.lists(st.tuples(maybe, durations), max_size=30)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([(60.0, 1.0), (70.0, 1.0)], 67.40),
        ([(60.0, 450.0), (70.0, 450.0)], 67.40),
        ([(55.0, 870.0), (85.0, 30.0)], 70.35),
        ([(85.0, 30.0), (55.0, 870.0)], 70.35),
        ([(60.0, 900.0)], 60.0),
        ([(60.0, 1.0), (60.0, 1.0)], 60.0),
    ],
)
def test_laeq_is_the_mean_of_the_energy(levels, expected):
    assert laeq(levels) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((60.0, 60.0, 60.0), 66.40), ((65.0, 60.0, 55.0), 65.0), ((68.0, 64.0, 58.0), 68.18)],
)
def test_lden_of_the_worked_examples(levels, expected):
    assert lden(*levels) == pytest.approx(expected, abs=0.005)


@given(heard)
def test_the_energy_mean_lies_between_the_extremes_and_above_the_arithmetic_mean(levels):
    result, whole = laeq(levels), sum(duration for _, duration in levels)
    arithmetic = sum(level * duration for level, duration in levels) / whole
    loudness = [level for level, _ in levels]
    assert min(loudness) - 1e-9 <= result <= max(loudness) + 1e-9
    assert result >= arithmetic - 1e-9


@given(heard, st.floats(0.1, 99.9), st.floats(0.1, 99.9))
def test_percentiles_are_ordered_and_lie_between_the_extremes(levels, one, other):
    few, many = sorted((one, other))
    assert exceeded(levels, few) >= exceeded(levels, many)
    loudness = [level for level, _ in levels]
    assert min(loudness) - 0.0501 <= exceeded(levels, many), "half a class of 0.1 dB, and a hair"
    assert exceeded(levels, few) <= max(loudness) + 0.0501
    assert lamax(levels) == max(level for level, _ in levels)


@given(st.lists(true_levels, min_size=1, max_size=60), st.floats(0.1, 99.9))
def test_the_rule_of_percentiles_is_the_one_of_windows(levels, percent):
    """LAN is the percentile 100 - N of the levels as a display shows them, and half a class off at most."""
    found = exceeded([(level, 1.0) for level in levels], percent)
    shown = [round(level * 10) / 10 for level in levels]
    assert found == pytest.approx(percentile(shown, 100.0 - percent), abs=1e-9)
    assert found == pytest.approx(percentile(levels, 100.0 - percent), abs=0.0501)


def test_a_percentile_by_the_declared_rule():
    """1 to 100 dB, a second each: rank 99 * 0.9 = 89.1, between 90 and 91 dB."""
    levels = [(float(level), 1.0) for level in range(1, 101)]
    found = [exceeded(levels, percent) for percent in (1, 10, 50, 90, 99)]
    assert found == [pytest.approx(level) for level in (99.01, 90.1, 50.5, 10.9, 1.99)]


def test_a_percentile_weighs_by_duration():
    long = exceeded([(80.0, 2.0), (50.0, 8.0)], 10)
    assert long == exceeded([(80.0, 2.0)] + [(50.0, 2.0)] * 4, 10), "pieces of two seconds"
    mixed = exceeded([(80.0, 2.0), (50.0, 3.0), (50.0, 5.0)], 10)
    assert mixed == exceeded([(80.0, 1.0)] * 2 + [(50.0, 1.0)] * 8, 10) == 80.0
    assert exceeded([(80.0, 0.1)] * 3 + [(50.0, 0.1)] * 7, 20) == 80.0, "tenths add up exactly"


def test_levels_of_one_class_are_one_level():
    assert exceeded([(60.04, 1.0), (59.96, 1.0), (50.0, 8.0)], 10) == 60.0


def test_the_share_that_must_be_there():
    assert laeq([(60.0, 75.0), (Missing.TIMEOUT, 25.0)]) == pytest.approx(60.0)
    assert laeq([(60.0, 74.9), (Missing.TIMEOUT, 25.1)]) is ABSENT
    assert lamax([(60.0, 74.9), (Missing.TIMEOUT, 25.1)]) is ABSENT
    assert exceeded([(60.0, 74.9), (Missing.TIMEOUT, 25.1)], 10) is ABSENT
    assert laeq([(60.0, 55.0), (Missing.TIMEOUT, 45.0)], share=0.55) == pytest.approx(60.0)
    assert laeq([(Missing.TIMEOUT, 45.0)], share=0.0) is ABSENT
    assert laeq([]) is lamax([]) is exceeded([], 50) is ABSENT


@pytest.mark.parametrize("level", [math.nan, math.inf, -math.inf, 200.1, -20.1, *Missing])
def test_what_cannot_be_a_level_counts_as_missing(level):
    assert laeq([(level, 1.0)], share=0.0) is ABSENT
    assert laeq([(60.0, 9.0), (level, 1.0)]) == pytest.approx(60.0)


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, math.inf, 4e-7])
def test_refuses_a_duration_that_is_none(duration):
    for act in (lambda: laeq([(60.0, duration)]), lambda: Tally().add(60.0, duration)):
        with pytest.raises(ValueError, match="holds for some time"):
            act()


@pytest.mark.parametrize("percent", [0.0, 100.0, -1.0, math.nan])
def test_refuses_what_is_no_percentile(percent):
    for act in (lambda: exceeded([(60.0, 1.0)], percent), lambda: Tally().exceeded(percent)):
        with pytest.raises(ValueError, match="between 0 and 100"):
            act()


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_refuses_what_is_no_share(share):
    for act in (lambda: laeq([], share), lambda: Tally(share)):
        with pytest.raises(ValueError, match="is 0 to 1"):
            act()


def test_tni():
    assert tni(70.0, 50.0) == 100.0
    assert tni(Missing.INPUT_MISSING, 50.0) is tni(70.0, Missing.INPUT_MISSING) is ABSENT


def test_incident_sound():
    assert incident(63.0) == 60.0
    assert incident(63.0, 0.0) == 63.0
    assert incident(63.0, 6.0) == 57.0
    assert incident(Missing.TIMEOUT) is Missing.TIMEOUT
    for wrong in (-0.1, 6.1, math.nan):
        with pytest.raises(ValueError, match="0 to 6 dB"):
            incident(63.0, wrong)


@given(true_levels)
def test_lden_of_a_constant_level(level):
    assert lden(level, level, level) == pytest.approx(level + 6.395243, abs=1e-6)


@given(true_levels, true_levels, true_levels, st.floats(0.01, 50.0))
def test_lden_shifts_with_its_levels_and_knows_no_unit_of_time(day, evening, night, shift):
    first = lden(day, evening, night)
    assert lden(day + shift, evening + shift, night + shift) == pytest.approx(first + shift)
    assert lden(day, evening, night, (43_200.0, 14_400.0, 28_800.0)) == pytest.approx(first)


def test_lden_needs_every_period():
    for place in range(3):
        levels = [60.0, 60.0, 60.0]
        levels[place] = Missing.TIMEOUT
        assert lden(*levels) is ABSENT
    with pytest.raises(ValueError, match="length above 0"):
        lden(60.0, 60.0, 60.0, (12.0, 0.0, 12.0))


def test_the_guidelines():
    assert {name: (one.lden, one.lnight) for name, one in GUIDELINES.items()} == {
        "road": (53.0, 45.0),
        "rail": (54.0, 44.0),
        "aircraft": (45.0, 40.0),
        "wind turbine": (45.0, None),
        "night": (None, 40.0),
        "night, interim": (None, 55.0),
    }
    assert GUIDELINE_LEISURE == 70.0
    assert all("WHO" in one.source for one in GUIDELINES.values())


@pytest.mark.parametrize(
    "hours", [(7, 19, 23), (7, 19, 22), (6, 20, 22), (6, 18, 22), (8, 20, 0), (7, 20, 23)]
)
def test_hours_that_a_state_may_choose(hours):
    Hours(*hours)


@pytest.mark.parametrize(
    "hours", [(7, 19, 20), (7, 18, 23), (7, 19, 0), (5, 20, 22), (5, 19, 23), (7, 19, 24)]
)
def test_refuses_other_hours(hours):
    with pytest.raises(ValueError, match="hours"):
        Hours(*hours)


@pytest.mark.parametrize(
    ("day", "hours", "lengths"),
    [
        (PLAIN, Hours(), (12, 4, 8)),
        (SPRING, Hours(), (12, 4, 7)),
        (AUTUMN, Hours(), (12, 4, 9)),
        (SPRING + timedelta(days=1), Hours(), (12, 4, 8)),
        (PLAIN, Hours(7, 19, 22), (12, 3, 9)),
        (AUTUMN, Hours(6, 20, 22), (14, 2, 9)),
        (PLAIN, Hours(8, 20, 0), (12, 4, 8)),
    ],
)
def test_periods_have_their_true_lengths(day, hours, lengths):
    found = spans(day, ROME, hours)
    assert tuple((end - begin) / 3600 for begin, end in found.values()) == lengths
    assert tuple(found) == (Period.DAY, Period.EVENING, Period.NIGHT)


def test_periods_begin_in_local_time():
    found = spans(PLAIN, ROME)
    begins = [datetime.fromtimestamp(begin, UTC).strftime("%d %H:%M") for begin, _ in found.values()]
    assert begins == ["10 05:00", "10 17:00", "10 21:00"]


zones = st.sampled_from(["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
choices = st.sampled_from([Hours(), Hours(7, 19, 22), Hours(6, 20, 22), Hours(8, 20, 0)])


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), zones.map(ZoneInfo), choices)  # noqa: DTZ001
def test_every_instant_lies_in_its_day_and_in_no_other(moment, zone, hours):
    at = moment.replace(tzinfo=UTC).timestamp()
    found = spans(day_of(at, zone, hours), zone, hours)
    assert sum(begin <= at < end for begin, end in found.values()) == 1
    after = spans(day_of(at, zone, hours) + timedelta(days=1), zone, hours)
    assert found[Period.NIGHT][1] == after[Period.DAY][0]


@given(given_levels, st.randoms(use_true_random=False))
def test_a_tally_equals_the_functions_in_any_order(levels, order):
    made = Tally()
    for one in order.sample(levels, len(levels)):
        made.add(*one)
    assert made.laeq() == (ABSENT if laeq(levels) is ABSENT else pytest.approx(laeq(levels), abs=1e-9))
    assert made.lamax() == lamax(levels)
    for percent in (1, 10, 33.3, 50, 90):
        assert made.exceeded(percent) == exceeded(levels, percent)
    other = Tally()
    for one in levels:
        other.add(*one)
    assert made == other, "exactly"


def fill(day, periods, step=900.0, **options):
    """Return a day that hears the level given for each period, in pieces of *step* seconds."""
    made = Day(day, ROME, **options)
    for period, (begin, end) in spans(day, ROME, made.hours).items():
        for k in range(round((end - begin) / step)):
            made.add(begin + k * step, step, periods[period])
    return made


@pytest.mark.parametrize(("day", "night"), [(PLAIN, 8), (SPRING, 7), (AUTUMN, 9)])
def test_lden_of_a_day_weighs_by_the_real_time(day, night):
    made = fill(day, {Period.DAY: 68.0, Period.EVENING: 64.0, Period.NIGHT: 58.0})
    energy = 12 * 10**6.8 + 4 * 10**6.9 + night * 10**6.8
    assert made.lden() == pytest.approx(10 * math.log10(energy / (16 + night)), abs=1e-9)
    assert [made.level(period) for period in Period] == [pytest.approx(level) for level in (68.0, 64.0, 58.0)]


def test_a_day_takes_off_what_the_facade_adds():
    made = fill(PLAIN, dict.fromkeys(Period, 63.0), facade=3.0)
    assert made.lden() == pytest.approx(66.40, abs=0.005)
    assert made.level(Period.NIGHT) == pytest.approx(60.0)
    with pytest.raises(ValueError, match="façade"):
        Day(PLAIN, ROME, facade=9.0)


def test_a_level_across_a_border_counts_in_both_periods():
    made = Day(PLAIN, ROME, share=0.0)
    evening = spans(PLAIN, ROME)[Period.EVENING][0]
    made.add(evening - 300.0, 900.0, 60.0)
    made.add(evening - 1200.0, 900.0, 70.0)
    energy = (300 * 10**6 + 900 * 10**7) / 1200
    assert made.level(Period.DAY) == pytest.approx(10 * math.log10(energy))
    assert made.level(Period.EVENING) == pytest.approx(60.0)
    assert made.level(Period.NIGHT) is made.lden() is ABSENT


def test_a_day_of_pieces_equals_their_laeq():
    made, begin = Day(PLAIN, ROME, share=0.0), spans(PLAIN, ROME)[Period.DAY][0]
    pieces = [(50.0 + k % 40, 0.5 + k % 3) for k in range(500)]
    for level, duration in pieces:
        made.add(begin, duration, level)
        begin += duration
    assert made.level(Period.DAY) == pytest.approx(laeq(pieces), abs=1e-9)


def test_a_day_takes_nothing_of_its_neighbours():
    made = Day(PLAIN, ROME, share=0.0)
    begin, end = spans(PLAIN, ROME)[Period.DAY][0], spans(PLAIN, ROME)[Period.NIGHT][1]
    made.add(begin - 900.0, 900.0, 90.0)
    made.add(end, 900.0, 90.0)
    assert {made.level(period) for period in Period} == {ABSENT}
    made.add(begin - 900.0, 901.0, 50.0)
    assert made.level(Period.DAY) == pytest.approx(50.0)


@pytest.mark.parametrize(("missed", "known"), [(7200, True), (7201, False)])
def test_a_night_needs_three_quarters_of_its_time(missed, known):
    made = Day(PLAIN, ROME)
    begin, end = spans(PLAIN, ROME)[Period.NIGHT]
    made.add(begin, end - begin - missed, 50.0)
    assert (made.level(Period.NIGHT) is not ABSENT) is known


def test_what_came_first_stands_and_a_missing_one_fills_nothing():
    made = Day(PLAIN, ROME, share=0.0)
    begin = spans(PLAIN, ROME)[Period.DAY][0]
    made.add(begin, 10.0, Missing.TIMEOUT)
    made.add(begin, 10.0, 60.0)
    made.add(begin, 10.0, 90.0)
    assert made.level(Period.DAY) == pytest.approx(60.0)


events = st.lists(
    st.tuples(
        st.integers(-5, 90), st.integers(1, 20), st.one_of(st.floats(30, 90), st.just(Missing.TIMEOUT))
    ),
    max_size=40,
)


@given(events, st.sampled_from([0.0, 43_180.0, 43_200.0 + 14_380.0]), st.sampled_from([0.0, 0.0, 0.0005]))
def test_a_day_equals_a_ledger_of_its_seconds(arrivals, after, share):
    """Gaps, duplicates, overlaps and late ones, around the borders, against one level per second."""
    made, found = Day(SPRING, ROME, share=share), spans(SPRING, ROME)
    origin = found[Period.DAY][0] + after
    ledger = {}
    for offset, length, level in arrivals:
        made.add(origin + offset, float(length), level)
        if not isinstance(level, Missing):
            for second in range(offset, offset + length):
                ledger.setdefault(origin + second, level)
    for period, (begin, end) in found.items():
        levels = [(level, 1.0) for at, level in ledger.items() if begin <= at < end]
        whole = [*levels, (Missing.TIMEOUT, end - begin - len(levels))]
        expected = laeq(whole, share)
        assert made.level(period) == (ABSENT if expected is ABSENT else pytest.approx(expected, abs=1e-9))


def test_a_day_of_a_jittery_meter_takes_little_memory():
    dice = random.Random(5)
    made = Day(PLAIN, ROME, share=0.0)
    begin = spans(PLAIN, ROME)[Period.DAY][0]
    order = [k + dice.uniform(0.0, 0.02) for k in range(5000) if k % 1000]
    dice.shuffle(order)
    for offset in order:
        made.add(begin + offset, 1.0, 60.0)
    assert len(made._taken) == 5
    assert made.level(Period.DAY) == pytest.approx(60.0)


@given(given_levels)
def test_a_saved_tally_is_the_same(levels):
    before, after = Tally(), Tally()
    for one in levels:
        before.add(*one)
    after.restore(json.loads(json.dumps(before.save())))
    assert after == before


@pytest.mark.parametrize(
    "saved",
    [
        [1, 1, 1, 60.0],
        [1.0, 1, 1, 60.0, [[600, 1]]],
        [1, 1, 1, None, [[600, 1]]],
        [1, 1, 1, 999.0, [[600, 1]]],
        [1, 1, 0, 60.0, [[600, 1]]],
        [1, 1, 1, 60.0, [[600, 2]]],
        [9, 1, 1, 60.0, [[600, -2]]],
        [1, 1, 1, 60.0, [[2001, 1]]],
        [1, 1, 1 << 201, 60.0, [[600, 1]]],
        [1, -1, 1, 60.0, [[600, 1]]],
    ],
)
def test_a_tally_that_nobody_saved_is_refused(saved):
    with pytest.raises((ValueError, TypeError)):
        Tally().restore(saved)


@given(events)
def test_a_saved_day_is_the_same(arrivals):
    before, after = Day(SPRING, ROME, share=0.0), Day(SPRING, ROME, share=0.0)
    for offset, length, level in arrivals:
        before.add(before.begin + offset, float(length), level)
    after.restore(json.loads(json.dumps(before.save())))
    assert after == before


DAY_OF_PIECES = ["2026-03-28", [5, 0, 0], [7, 0, 0], [[0, 5]]]


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (0, "2026-03-29"),
        (1, [5, 0]),
        (1, [5 * 10**12, 0, 0]),
        (1, [0, 0, 0]),
        (1, [5.0, 0, 0]),
        (2, [7, 1, 0]),
        (2, [-7, 0, 0]),
        (2, [1 << 201, 0, 0]),
        (3, [[0, 10**12]]),
        (3, [[5, 5], [0, 5]]),
        (3, [[0, 5, 6]]),
        (3, [[k, 0] for k in range(251)]),
    ],
)
def test_a_day_that_nobody_saved_is_refused(place, wrong):
    Day(SPRING, ROME).restore(DAY_OF_PIECES)
    saved = [*DAY_OF_PIECES]
    saved[place] = wrong
    with pytest.raises((ValueError, TypeError)):
        Day(SPRING, ROME).restore(saved)


def test_a_day_full_of_gaps_stays_small():
    made = Day(PLAIN, ROME, share=0.0)
    for k in range(6000):
        made.add(made.begin + 2 * k, 1.0, 60.0)
    assert len(made._taken) == 5000
    assert len(json.dumps(made.save())) < 8000
    made.add(made.begin + 1, 1.0, 90.0)
    assert made.level(Period.DAY) == pytest.approx(60.0), "an old gap stays empty"
    made.add(made.begin + 11_001, 1.0, 90.0)
    assert made.level(Period.DAY) > 60.1, "a new one does not"
