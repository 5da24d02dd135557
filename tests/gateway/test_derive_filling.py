"""How a bin fills: emptyings, rate, time of full."""

import json
import random
from itertools import combinations
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import Missing
from gateway.derive.emptying import HOUR, PEAKS, Emptying, Emptyings
from gateway.derive.filling import KEPT, Filling, Prediction, Slope, sen_slope

QUARTER = 900.0


def steady(rate, hours, start=0.0, at=0.0, step=QUARTER):
    """Return samples of a bin that fills by *rate* % per hour."""
    count = round(hours * HOUR / step)
    return [(at + n * step, start + rate * n * step / HOUR) for n in range(count + 1)]


def fed(state, samples):
    return [found for time, fill in samples if (found := state.feed(time, fill))]


def untidy(seed, count=150):
    """Return a bin's samples over days: with noise, gaps, echoes, missing, late and repeated ones."""
    chance, samples, time, fill = random.Random(seed), [], 0.0, 10.0
    for _ in range(count):
        time += chance.choice((60.0, QUARTER, QUARTER, 6 * HOUR))
        fill = (
            chance.uniform(0, 15)
            if fill > chance.uniform(60, 200)
            else min(100.0, fill + chance.random() * 8)
        )
        shown = chance.uniform(0, 100) if chance.random() < 0.08 else fill
        samples.append((time, Missing.NO_TARGET if chance.random() < 0.05 else shown))
        if chance.random() < 0.1:
            samples.append(chance.choice(samples))
        if chance.random() < 0.05:
            samples.append((time - chance.uniform(0, 2 * HOUR), chance.uniform(0, 100)))
    return samples


def in_order(samples):
    """Return the samples that count: not missing, each newer than all before."""
    kept = []
    for time, fill in samples:
        if not isinstance(fill, Missing) and (not kept or time > kept[-1][0]):
            kept.append((time, fill))
    return kept


def whole(samples, fall, within, confirm, below):
    """Say it all at once, the whole past in hand: the emptyings, and what counts since the last of them."""
    found, past, n = [], [], 0
    while n < len(samples):
        time, _ = samples[n]
        seen = [fill for t, fill in past if t >= time - within] or [fill for _, fill in past[-1:]]
        line = min(max(seen) - fall, below) if seen else -1.0
        run = samples[n : n + confirm]
        low = [each for each in run if each[1] <= line]
        if low == run and len(run) == confirm:
            found.append(Emptying(time, max(seen), run[-1][1]))
            past = run
            n += confirm
        else:
            lows = next((k for k, each in enumerate(run) if each[1] > line), len(run))
            past += run[lows : lows + 1]
            n += lows + 1
    return found, past


def test_an_emptying_is_a_fall_that_is_confirmed():
    state = Emptyings(confirm=3)
    assert fed(state, [(0, 60.0), (900, 80.0), (1800, 5.0), (2700, 6.0)]) == []
    assert state.feed(3600, 7.0) == Emptying(at=1800, before=80.0, after=7.0)
    assert fed(state, [(4500, 8.0), (5400, 9.0)]) == []


@pytest.mark.parametrize(("after", "found"), [(50.0, 1), (50.001, 0)])
def test_the_fall_must_be_large_enough(after, found):
    assert len(fed(Emptyings(fall=30.0), [(0, 80.0), (60, after), (120, after)])) == found


def test_one_echo_is_no_emptying():
    assert fed(Emptyings(), [(0, 80.0), (60, 5.0), (120, 80.0), (180, 5.0), (240, 81.0)]) == []


@pytest.mark.parametrize(("step", "found"), [(300.0, 1), (400.0, 0)])
def test_a_slow_settling_is_no_emptying(step, found):
    """10 points a step, 30 within 1000 s: three steps of 300 s are fast enough, of 400 s they are not."""
    samples = [(n * step, 90.0 - 10.0 * n) for n in range(5)]
    assert len(fed(Emptyings(within=1000.0), samples)) == found


def test_a_bin_that_was_emptied_while_nothing_was_heard_was_emptied():
    samples = [(0, 85.0), (9 * HOUR, Missing.BUS_ERROR), (10 * HOUR, 4.0), (10 * HOUR + 60, 4.0)]
    assert fed(Emptyings(), samples) == [Emptying(10 * HOUR, 85.0, 4.0)]


def test_a_stroke_of_the_compactor_is_no_emptying():
    stroke = [(0, 90.0), (60, 45.0), (120, 45.0)]
    assert fed(Emptyings(below=20.0), stroke) == []
    assert len(fed(Emptyings(below=20.0), [*stroke, (180, 20.0), (240, 19.0)])) == 1
    assert fed(Emptyings(below=20.0), [*stroke, (180, 20.1), (240, 20.1)]) == []


def test_missing_late_and_repeated_samples_neither_confirm_nor_clear():
    state = Emptyings()
    samples = [(0, 80.0), (60, 5.0), (60, 5.0), (60, 5.0), (30, 80.0), (90, Missing.NO_TARGET)]
    assert fed(state, samples) == []
    assert state.feed(120, 5.0) == Emptying(60, 80.0, 5.0)


@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from((60.0, 3600.0, 86400.0)))
def test_emptyings_as_they_come_are_those_of_the_whole(seed, confirm, within):
    samples = untidy(seed)
    state = Emptyings(30.0, within, confirm, 60.0)
    assert fed(state, samples) == whole(in_order(samples), 30.0, within, confirm, 60.0)[0]


def test_emptyings_remember_no_more_than_their_time():
    state = Emptyings(within=600.0)
    for n in range(5000):
        state.feed(60.0 * n, 100.0 - n * 0.02)
    assert len(state._peaks) <= 11


def test_sen_slope_is_the_median_of_the_pairs_and_its_interval_that_of_the_ranks():
    """The interval, and the ties, as SciPy's theilslopes (alpha 0.90, method "separate") gives them."""
    samples = [
        (0, 1.0),
        (1, 3.0),
        (2, 2.0),
        (3, 5.0),
        (4, 5.0),
        (5, 9.0),
        (6, 7.0),
        (7, 8.0),
        (8, 30.0),
        (9, 11.0),
    ]
    slopes = sorted((y - x) / (t - s) for (s, x), (t, y) in combinations(samples, 2))
    assert len(slopes) == 45
    assert sen_slope(samples) == Slope(median(slopes), slopes[12], slopes[32])


def test_equal_fills_narrow_the_interval():
    """As SciPy gives it: without the correction for ties the interval would end at 2."""
    fills = [10.0] * 8 + [20.0] * 3 + [30.0]
    assert sen_slope(list(enumerate(fills))) == Slope(pytest.approx(10 / 9), 0.0, pytest.approx(20 / 11))


def test_sen_slope_of_two_samples_at_one_time_is_missing():
    assert sen_slope([(5.0, 1.0), (5.0, 2.0)]) is Missing.INPUT_MISSING
    assert sen_slope([]) is Missing.INPUT_MISSING


@given(st.integers(0, 10**6), st.floats(-50, 50), st.floats(-1e6, 1e6), st.floats(-3, 3))
def test_sen_slope_moves_with_shift_and_tilt(seed, up, along, tilt):
    chance = random.Random(seed)
    samples = [(n + chance.random() / 2, chance.uniform(0, 100)) for n in range(12)]
    slope = sen_slope(samples)
    assert slope.low <= slope.middle <= slope.high
    moved = sen_slope([(t + along, y + up + tilt * t) for t, y in samples])
    for one, other in ((slope.low, moved.low), (slope.middle, moved.middle), (slope.high, moved.high)):
        assert other == pytest.approx(one + tilt, abs=1e-4)


def test_two_wild_samples_in_ten_hardly_move_the_rate():
    samples = steady(4.0, 6)
    for n in (3, 9, 14, 20):
        samples[n] = (samples[n][0], 60.0)
    state = Filling(Emptyings(fall=100.0))
    fed(state, samples)
    assert state.rate().middle == pytest.approx(4.0, abs=0.3)


def test_a_steady_bin_is_full_when_its_line_says():
    state = Filling()
    fed(state, steady(4.0, 5, start=10.0))
    rate = state.rate()
    assert [rate.low, rate.middle, rate.high] == pytest.approx([4.0] * 3)
    found = state.full_at()
    assert [found.earliest, found.at, found.latest] == pytest.approx([22.5 * HOUR] * 3)
    assert state.full_at(80.0).at == pytest.approx(17.5 * HOUR)


def test_a_bin_that_is_full_is_full_now():
    state = Filling()
    fed(state, steady(10.0, 9))
    now = 9 * HOUR
    assert state.full_at(80.0) == Prediction(now, now, now)


def test_too_little_data_gives_neither_rate_nor_time():
    for samples in ([], steady(4.0, 1.0), steady(40.0, 0.95, step=300.0)):
        state = Filling()
        fed(state, samples)
        assert state.rate() is state.full_at() is Missing.NOT_READY
    fed(state, [(HOUR, 40.0)])
    assert isinstance(state.rate(), Slope)


@pytest.mark.parametrize("rate", [0.0, -1.0, 0.05])
def test_a_bin_that_does_not_fill_has_no_time_of_full(rate):
    """At 0.05 % an hour it would take 75 days, beyond the horizon of 60."""
    state = Filling()
    fed(state, steady(rate, 5, start=10.0))
    assert state.full_at() is Missing.OUT_OF_RANGE
    assert state.rate().middle == pytest.approx(rate)


def test_the_latest_time_is_open_while_the_bin_may_as_well_not_fill():
    state = Filling()
    fed(state, [(n * QUARTER, 40.0 + fill) for n, fill in enumerate((0, 6, 1, 4, 0, 7, 2, 5))])
    assert state.rate().low < 0.0 < state.rate().middle
    found = state.full_at()
    assert found.earliest < found.at
    assert found.latest is Missing.OUT_OF_RANGE


def test_the_trend_starts_anew_with_each_emptying():
    state = Filling()
    fed(state, steady(4.0, 15, start=10.0))
    assert state.rate().middle == pytest.approx(4.0)
    low = steady(2.0, 1.0, at=16 * HOUR)
    assert state.feed(*low[0]) is None
    assert state.rate().middle == pytest.approx(4.0)  # not confirmed yet
    assert state.feed(*low[1]) == Emptying(16 * HOUR, 70.0, 0.5)
    assert state.rate() is state.full_at() is Missing.NOT_READY
    fed(state, steady(2.0, 3.0, at=16 * HOUR)[2:])
    assert state.rate().middle == pytest.approx(2.0)
    assert state.full_at().at == pytest.approx(66 * HOUR)


def test_a_trend_that_had_grown_coarse_is_fine_again_after_an_emptying():
    state = Filling()
    fed(state, steady(1.0, 90, step=300.0))
    assert state.emptyings.feed(0.0, 0.0) is state.feed(0.0, 0.0) is None  # late
    assert len(fed(state, steady(6.0, 1.0, at=91 * HOUR, step=600.0))) == 1
    assert state.rate().middle == pytest.approx(6.0)


def test_an_echo_is_no_part_of_the_trend():
    samples = steady(4.0, 8, start=40.0)
    clean, echoing = Filling(), Filling()
    fed(clean, [each for n, each in enumerate(samples) if n % 5 != 3])
    fed(echoing, [(t, 0.0 if n % 5 == 3 else fill) for n, (t, fill) in enumerate(samples)])
    assert echoing.rate() == clean.rate()


@given(st.integers(0, 10**6))
def test_fillings_as_they_come_are_those_of_the_whole(seed):
    samples = untidy(seed, count=KEPT - 10)
    state = Filling()
    emptyings, since = whole(in_order(samples), 30.0, HOUR, 2, 100.0)
    assert fed(state, samples) == emptyings
    kept = []
    for sample in since:
        kept += [sample] if not kept or sample[0] - kept[-1][0] >= 300.0 else []
    if len(kept) < 6 or kept[-1][0] - kept[0][0] < HOUR:
        assert state.rate() is state.full_at() is Missing.NOT_READY
    else:
        slope = sen_slope(kept)
        assert state.rate() == Slope(slope.middle * HOUR, slope.low * HOUR, slope.high * HOUR)


@given(st.integers(0, 10**6), st.floats(1.0, 100.0))
def test_a_prediction_lies_in_its_interval_and_not_in_the_past(seed, target):
    samples = untidy(seed, 60)
    state = Filling()
    fed(state, samples)
    found = state.full_at(target)
    if isinstance(found, Prediction):
        assert in_order(samples)[-1][0] <= found.earliest <= found.at + 1e-3
        assert isinstance(found.latest, Missing) or found.at <= found.latest + 1e-3


@pytest.mark.parametrize("step", [1.0, 60.0, 2 * HOUR])
def test_a_trend_keeps_few_samples_and_its_rate(step):
    state = Filling()
    for n in range(4000):
        state.feed(n * step, n * step * 1e-6)
        assert len(state._kept) < KEPT
    assert state.rate().middle == pytest.approx(1e-6 * HOUR)
    assert state._kept[-1][0] >= 4000 * step / 2


def resumed(state):
    """Return a new state from what *state* saves, by way of JSON."""
    other = Filling(Emptyings(confirm=3, below=60.0))
    other.restore(json.loads(json.dumps(state.save(), allow_nan=False)))
    return other


@given(st.integers(0, 10**6), st.integers(0, 200))
def test_a_restart_in_the_middle_changes_nothing(seed, at):
    samples = untidy(seed)
    whole, before = Filling(Emptyings(confirm=3, below=60.0)), Filling(Emptyings(confirm=3, below=60.0))
    fed(whole, samples[:at])
    fed(before, samples[:at])
    after = resumed(before)
    assert fed(whole, samples[at:]) == fed(after, samples[at:])
    assert (whole.rate(), whole.full_at(), whole.emptied) == (after.rate(), after.full_at(), after.emptied)
    assert whole.save() == after.save()


@pytest.mark.parametrize(
    "change",
    [
        {"kept": [[2.0, 1.0], [1.0, 1.0]]},
        {"kept": [[0.0, 1.0]] * KEPT},
        {"kept": [[float(n), 1.0] for n in range(KEPT)]},
        {"kept": []},
        {"kept": [[0.0]]},
        {"kept": "[]"},
        {"last": None},
        {"last": 0.0},
        {"last": float("nan")},
        {"apart": 1.0},
        {"apart": "300"},
        {"emptied": 1e300},
        {"emptied": True},
        {"emptyings": None},
        {"emptyings": {"pending": [[1.0, 5.0]], "peaks": [], "line": 3.0}},
        {"emptyings": {"pending": [[1.0, 5.0]], "peaks": [[0.0, 90.0]], "line": None}},
        {"emptyings": {"pending": [[float(n), 5.0] for n in range(3)], "peaks": [[0.0, 9.0]], "line": 3.0}},
        {"emptyings": {"pending": [], "peaks": [[float(n), 5.0] for n in range(PEAKS + 1)], "line": None}},
    ],
)
def test_what_was_not_saved_so_is_refused(change):
    state = Filling(Emptyings(confirm=3))
    fed(state, steady(4.0, 5, start=10.0))
    with pytest.raises((ValueError, TypeError, KeyError)):
        Filling(Emptyings(confirm=3)).restore({**state.save(), **change})


def test_a_bin_that_sinks_for_hours_is_remembered_in_little():
    """Every second a little less: the fall is still seen, and what is saved stays small."""
    state = Filling(Emptyings(below=30.0))
    for second in range(7200):
        state.feed(float(second), 90.0 - second * 0.005)
        assert len(state.emptyings._peaks) <= PEAKS
    assert state.emptied is None
    assert len(json.dumps(state.save())) < 6000
    assert len(fed(state, [(7201.0, 20.0), (7202.0, 20.0)])) == 1


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: Emptyings(fall=0.0),
        lambda: Emptyings(fall=101.0),
        lambda: Emptyings(within=-1.0),
        lambda: Emptyings(confirm=0),
        lambda: Emptyings(below=-1.0),
        lambda: Filling(every=0.0),
        lambda: Filling(least=2),
        lambda: Filling(least=KEPT),
        lambda: Filling(span=-1.0),
        lambda: Filling(horizon=0.0),
        lambda: Filling().full_at(0.0),
        lambda: Filling().full_at(101.0),
    ],
)
def test_impossible_settings_are_refused(impossible):
    with pytest.raises(ValueError, match=r"is a|are times|is 0 s"):
        impossible()
