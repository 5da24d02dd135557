"""As it comes is as of the whole: each alarm, and what has no such test beside its own, on untidy data.

Untidy is: values at random, gaps, readings that come twice, late, or without a value. What is right is said
here of the whole list at once, as a definition and without a state.
"""

import math
import random
import statistics
from itertools import groupby, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Missing
from tests.gateway.alarm_rig import table
from tests.gateway.stream_rig import designed, reading

T = 1_770_000_000.0
STEP = 10.0
GONE = Missing.TIMEOUT
STEPS = (1, 1, 1, 1, 1, 0, -1, 4, 7)
"""To the next reading: most come in time, some twice, late, or after a gap."""

SEEDS = st.integers(0, 10**6)
some = settings(deadline=None, max_examples=25)


def untidy(seed, values, count=40):
    """Return times [s] and values, or GONE; the values stay for a while, as the world's do."""
    chance, found, newest, value = random.Random(seed), [], 0, values[0]
    for _ in range(count):
        tick = newest + chance.choice(STEPS)  # later than by one is a clock that was set back: other tests
        newest = max(newest, tick)
        value = value if chance.random() < 0.5 else chance.choice(values)
        found.append((T + STEP * tick, GONE if chance.random() < 0.15 else value))
    return found


def said(text, source, heard, quantity="active"):
    """Return what the stream says after each reading: a number, or None; nothing where it is silent."""
    made = designed(text, {source: STEP}).build()
    device, _, name = source.partition(".")
    found = []
    for time, value in heard:
        told = made.feed(reading(device, time, **{name: value}))
        found.append([each.values.get(quantity) for each in told])
    return found


def known(heard):
    return [(time, value) for time, value in heard if value is not GONE]


def newer(heard):
    """Leave out what is not newer than all before it."""
    found = []
    for time, value in heard:
        if not found or time > found[-1][0]:
            found.append((time, value))
    return found


def once(heard):
    """Leave out what comes at the very time of the one before it."""
    return [one for before, one in pairwise([(None, None), *heard]) if one[0] != before[0]]


def alarm(on, known):
    """Return what an alarm says: 1 while it is on, 0 where that is known, else nothing."""
    return [1.0 if on else 0.0 if known else None]


def last(raised, ended):
    """Whether, of the places at which an alarm is raised and ended, the last raises it."""
    return max(raised, default=-1) > max(ended, default=-1)


def rows(places, length):
    """Return each *length* places that follow each other."""
    return [places[k - length + 1 : k + 1] for k in range(length - 1, len(places))]


@some
@given(SEEDS, st.integers(1, 4), st.integers(1, 4))
def test_the_name_of_a_stage(seed, on_delay, off_delay):
    """A name begins with *on_delay* known readings in a row at its height, and ends with as many below."""
    heard = untidy(seed, (1.0, 1.46, 1.5, 1.96, 2.0, 2.5))
    text = table("stage_alarm", "river.stage", action=1.5, minor=2.0, on_delay=on_delay, off_delay=off_delay)
    kept, expected = once(heard), []
    for n in range(len(kept)):
        levels = [(k, y) for k, (_, y) in enumerate(kept[: n + 1])]
        sure = [(k, y) for k, y in levels if y is not GONE]
        number = 0.0
        for height in (1.5, 2.0):
            ups = [row[-1][0] for row in rows(sure, on_delay) if all(y >= height for _, y in row)]
            low = [(k, y is not GONE and y < height - 0.05) for k, y in levels]
            downs = [row[-1][0] for row in rows(low, off_delay) if all(is_low for _, is_low in row)]
            number += last(ups, downs)
        expected.append([number if sure else None])
    assert [each for each in said(text, "river.stage", heard, "flood_stage") if each] == expected


@some
@given(SEEDS, st.sampled_from((10, 30, 100)))
def test_a_disagreement(seed, after):
    """Pairs that differ, or agree, in a row and without a gap for the time; the last such row tells."""
    heard = untidy(seed, (1.0, 1.5))
    text = table("disagreement", "one.stage", beside="two.stage", after=after)
    made, times = designed(text, {"one.stage": STEP, "two.stage": STEP}).build(), []
    lasted = {1.0: [], 1.5: []}
    for time, value in newer(heard):
        made.feed(reading("two", time, stage=1.0))
        (told,) = made.feed(reading("one", time, stage=value))
        times.append((time, value))
        for begin in range(len(times)):
            row = times[begin:]
            alike = {y for _, y in row} in ({1.0}, {1.5})
            if alike and time - row[0][0] >= after and unbroken(row):
                lasted[value].append(time)
        assert [told.values.get("active")] == alarm(last(lasted[1.5], lasted[1.0]), value is not GONE)


def unbroken(row):
    return all(later - earlier <= 3 * STEP for (earlier, _), (later, _) in pairwise(row))


@some
@given(SEEDS)
def test_a_drift(seed):
    """A sum of some readings in a row, less the allowance each, is above the decision, for either side."""
    heard = untidy(seed, [n / 64 for n in range(-12, 13)])  # whose sums are exact
    values, expected, on = [], [], False
    for before, (time, value) in pairwise([(None, None), *heard]):
        if value is not GONE and before[0] != time:
            values.append(value)
            tails = [values[begin:] for begin in range(len(values))]
            on = on or any(sum(sign * x - 0.0625 for x in tail) > 0.5 for tail in tails for sign in (1, -1))
        expected.append(alarm(on, value is not GONE))
    text = table("drift", "slope.movement", allowance=0.0625, decision=0.5)
    assert said(text, "slope.movement", heard) == expected


@some
@given(SEEDS)
def test_a_step(seed):
    """The mean of the newest readings is off that of those before them."""
    heard = untidy(seed, [n / 64 for n in range(-20, 21)])
    values, on, expected = [], False, []
    for before, (time, value) in pairwise([(None, None), *heard]):
        if value is not GONE and before[0] != time:
            values.append(value)
            if len(values) >= 6:
                on = abs(statistics.fmean(values[-2:]) - statistics.fmean(values[-6:-2])) >= 0.25
        expected.append(alarm(on, value is not GONE))
    text = table("step", "slope.movement", short=2, long=4)
    assert said(text, "slope.movement", heard) == expected


@some
@given(SEEDS, st.sampled_from((0, 20, 60)))
def test_a_bin_that_lies_on_its_side(seed, hold):
    """The last row of known readings that agreed for *hold* tells."""
    heard = untidy(seed, (10.0, 80.0))
    heard, expected = newer(heard), []
    for n, (_, value) in enumerate(heard):
        on = False
        for _, row in groupby(known(heard[: n + 1]), key=lambda each: each[1] > 45.0):
            (begin, tilt), *more = row
            on = tilt > 45.0 if any(at - begin >= hold for at in (begin, *(at for at, _ in more))) else on
        expected.append(alarm(on, value is not GONE))
    assert said(table("tipped", "bin.tilt", hold=hold), "bin.tilt", heard) == expected


@some
@given(SEEDS)
def test_a_fire(seed):
    """Two known readings in a row that are hot, or have become so; it ends with one below *clear*."""
    heard = untidy(seed, (20.0, 38.0, 44.0, 46.0, 56.0, 69.0, 71.0))
    found = said(table("fire", "bin.surface_temperature"), "bin.surface_temperature", heard)
    kept, expected = [], []
    for time, value in heard:
        if not kept or time > kept[-1][0]:
            kept.append((time, value))
            sure = known(kept)
            hot = [y >= 70.0 or (y >= 45.0 and rise(sure[: n + 1]) >= 10.0) for n, (_, y) in enumerate(sure)]
            raised = [n for n in range(1, len(sure)) if hot[n] and hot[n - 1]]
            word = alarm(last(raised, [n for n, (_, y) in enumerate(sure) if y < 45.0]), value is not GONE)
        expected.append(word)  # of one that is late, or comes twice: as it was
    assert found == expected


def rise(heard):
    """Return how much the last is above the lowest of the last two minutes."""
    time, value = heard[-1]
    return value - min(low for at, low in heard if at >= time - 120.0)


@some
@given(SEEDS)
def test_the_vibration_of_a_block(seed):
    """Of all that came before one of a later block did; the last of a time counts."""
    heard = untidy(seed, [n / 10 for n in range(-10, 11)])
    axes = {f"slope.acceleration_{axis}": STEP for axis in "xyz"}
    made = designed(table("vibration", "slope", over="100s", share=0.2), axes).build()
    begun, block = None, {}
    for time, value in heard:
        rest = {"acceleration_y": 0.0, "acceleration_z": 9.8}
        found = made.feed(reading("slope", time, acceleration_x=value, **rest))
        number = time // 100.0
        if begun is not None and number > begun:
            check_block(found, (begun + 1) * 100.0, [x for x in block.values() if x is not GONE])
        else:
            assert found == []
        if begun is None or number > begun:
            begun, block = number, {}
        if number == begun:
            block[time] = value


def check_block(found, end, values):
    (result,) = found
    assert result.at.time == end
    if len(values) < 2:
        assert not result.values
        return
    off = [abs(x - statistics.fmean(values)) for x in values]
    assert math.isclose(result.values["vibration_peak"], max(off), rel_tol=1e-6, abs_tol=1e-9)
    rms = math.sqrt(statistics.fmean(x * x for x in off))
    assert math.isclose(result.values["vibration_rms"], rms, rel_tol=1e-6, abs_tol=1e-9)


@some
@given(SEEDS)
def test_the_total_of_the_rain(seed):
    """Tips lie evenly since the reading before, after a gap in the last interval; late ones in their own."""
    heard = untidy(seed, (0.0, 0.0, 1.0, 2.0, 4.0))
    text = table("rain", "gauge.count", tip=0.2, over="1m", dry_after="30s", share=0.001)
    made = designed(text, {"gauge.count": STEP}).build()
    newest, tips = -math.inf, []
    for time, value in heard:
        found = made.feed(reading("gauge", time, count=value))
        assert bool(found) is (time > newest)
        if value is not GONE and time != newest:
            start = newest if 0 < time - newest <= 3 * STEP else time - STEP
            tips += [time - k * (time - start) / value for k in range(int(value))]
        newest = max(newest, time)
        bursts = any(b - a <= 0.2 for a, b in pairwise(sorted(tips)))
        if found and "rain" in found[0].values and not bursts:
            expected = 0.2 * sum(time - 60 < at <= time for at in tips)
            assert math.isclose(found[0].values["rain"], expected, abs_tol=1e-9)
