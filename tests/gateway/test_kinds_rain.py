"""Rain, as the configuration has it: tips that a gauge counts become totals, rates, and an end."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.derive.bucket import undercatch
from gateway.reading import Flag
from tests.gateway.stream_rig import designed, fed, problems, reading, restarted, stream

UNKNOWN = Missing.INPUT_MISSING
KNOWN = {"gauge.count": 10.0, "gauge.rain": 10.0, "other.rain": 10.0}
T = 1_770_000_000.0


def table(**keys):
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"from": "gauge.count", **keys}.items()]
    lines += [] if "tip" in keys or keys.get("from") else ["tip = 0.2"]
    return "\n".join(["[[derive]]", 'id = "made"', 'kind = "rain"', *lines])


def counts(*numbers, start=T, step=10.0, flags=None):
    return [reading("gauge", start + step * n, flags, count=each) for n, each in enumerate(numbers)]


def tipping(times, until, start=T):
    """Readings each 10 s, and one at each tip, as a driver that watches its line gives them."""
    tips = {start + at: 1.0 for at in times}
    marks = dict.fromkeys((start + 10.0 * n for n in range(int(until / 10) + 1)), 0.0)
    return [reading("gauge", at, count=count) for at, count in sorted({**marks, **tips}.items())]


def said(readings, quantity):
    return [each.values.get(Quantity(quantity)) for each in readings]


def test_a_tip_of_0_2_mm_each_7_2_s_is_100_mm_per_hour():
    made = stream(table(over="5m", dry_after="10m"), KNOWN)
    last = fed(made, tipping([7.2 * n for n in range(101)], 720))[-1]
    assert last.values["rain_rate"] == pytest.approx(100.0)
    assert last.values["rain"] == pytest.approx(300 / 7.2 * 0.2, abs=0.2)
    assert last.values["dry"] == 0.0
    assert last.labels == {"rain_rate": "heavy"}


def test_the_tipping_bucket_correction():
    made = stream(table(over="5m", dry_after="10m", correct=True), KNOWN)
    last = fed(made, tipping([7.2 * n for n in range(101)], 720))[-1]
    assert last.values["rain_rate"] == pytest.approx(100 / (1 - undercatch(100, 0.2)))
    assert last.values["rain"] == pytest.approx(7.2 / 6.75 * 0.2 * 42, abs=0.2)


def test_the_rate_of_a_window_is_its_total_over_its_time():
    """A quarter of an hour: one tip of 0.2 mm in it is 0.8 mm/h, and stays so until it has left."""
    design = designed(table(over="15m", dry_after="1h", rate="window"), KNOWN)
    made = design.build()
    found = fed(made, tipping([3600.0], 5000))
    rates = {each.at.time - T: each.values.get("rain_rate") for each in found}
    assert {rates[at] for at in range(900, 3600, 10)} == {0.0}
    assert [rates[at] for at in (3600, 3610, 4490, 4500)] == [pytest.approx(0.8)] * 3 + [0.0]
    assert found[-1].values["dry"] == 0.0, "it is dry only an hour after the tip"
    assert (
        said(fed(stream(table(over="15m", rate="window"), KNOWN), tipping([], 800)), "rain_rate")[-1] is None
    )
    pour = fed(stream(table(over="15m", rate="window"), KNOWN), tipping([7.2 * n for n in range(600)], 4300))
    assert pour[-1].values["rain_rate"] == pytest.approx(100.0)
    assert pour[-1].labels == {"rain_rate": "heavy"}
    undercaught = table(over="15m", rate="window", correct=True)
    right = fed(stream(undercaught, KNOWN), tipping([7.2 * n for n in range(600)], 4300))
    assert right[-1].values["rain_rate"] == pytest.approx(100.0 * 7.2 / 6.75)
    assert restarted(design, tipping([3600.0, 3650.0], 5000), 400)


@pytest.mark.parametrize(
    ("tip", "rate", "name"), [(0.2, 2.0, "light"), (0.5, 5.0, "moderate"), (1.0, 10, "heavy")]
)
def test_the_class_of_the_rain_stands_beside_its_rate(tip, rate, name):
    made = stream(table(tip=tip), KNOWN)
    one = fed(made, tipping([3600, 3960], 3960))[-1]
    assert one.values["rain_rate"] == pytest.approx(rate)
    assert one.labels == {"rain_rate": name}


def test_tips_between_two_readings_lie_evenly():
    """A gauge that is read each minute only: three tips in it are one each 20 s."""
    made = stream(table(over="10m", dry_after="10m"), {"gauge.count": 60.0})
    found = fed(made, counts(*[0.0] * 12, 3.0, 3.0, 0.0, step=60.0))
    assert said(found[12:14], "rain_rate") == [pytest.approx(36.0), pytest.approx(36.0)]
    assert said(found, "rain_rate")[14] == pytest.approx(12.0), "no tip for a minute"
    assert said(found, "rain")[14] == pytest.approx(1.2)


def test_the_return_to_dry():
    made = stream(table(over="10m", dry_after="5m"), KNOWN)
    found = fed(made, tipping([600], 1000))
    dry = {each.at.time - T: each.values.get("dry") for each in found}
    assert [dry[at] for at in (0, 260, 270, 590, 600, 890, 900)] == [None, None, 1, 1, 0, 0, 1]
    last = found[-1]
    assert (last.values["rain_rate"], last.labels) == (0.0, {"rain_rate": "dry"})


def test_nothing_heard_is_not_no_rain():
    made = stream(table(over="10m", dry_after="10m", share=1.0), KNOWN)
    (first,) = made.feed(reading("gauge", T, count=0.0))
    assert first.missing == dict.fromkeys(("rain", "rain_rate", "dry"), UNKNOWN)
    found = fed(made, counts(*[0.0] * 60, start=T + 10))
    assert [each.values["rain"] for each in found if each.values] == [0.0]
    silent = made.feed(reading("gauge", T + 610, count=Missing.TIMEOUT))
    assert silent[0].missing == dict.fromkeys(("rain", "rain_rate", "dry"), UNKNOWN)
    after = fed(made, counts(*[0.0] * 62, start=T + 620))
    assert [n for n, each in enumerate(after) if each.values] == [60, 61]


def test_a_short_time_unheard_does_not_spoil_the_day():
    made = stream(table(over="1h", dry_after="1h"), KNOWN)
    fed(made, counts(*[0.0] * 200, 1.0, *[0.0] * 200))
    found = fed(made, counts(*[0.0] * 10, start=T + 4010 + 300))
    assert said(found, "rain")[-1] == pytest.approx(0.2)
    found = fed(made, counts(*[0.0] * 2, start=T + 4500 + 350))
    assert said(found, "rain") == [None, None], "more than a tenth of the hour"


def test_tips_of_a_time_unheard_are_taken_as_of_the_last_interval():
    made = stream(table(over="10s", dry_after="1h", share=0.5), KNOWN)
    fed(made, counts(0.0, 0.0))
    (after,) = made.feed(reading("gauge", T + 1000, count=4.0))
    assert after.missing["rain"] is UNKNOWN
    assert after.values["dry"] == 0.0
    (later,) = made.feed(reading("gauge", T + 1010, count=0.0))
    assert later.values["rain_rate"] == pytest.approx(72.0), "four in ten seconds, and none for ten"


@pytest.mark.parametrize("count", [22.0, -1.0, 1e9])
def test_more_tips_than_a_bucket_can_make_are_none(count):
    made = stream(table(over="10s", dry_after="10s"), KNOWN)
    found = fed(made, counts(0.0, 0.0, count, 0.0, 0.0))
    assert said(found, "rain") == [None, 0.0, None, None, 0.0]


def test_as_many_as_it_can_make_are_rain():
    made = stream(table(over="10s", dry_after="10s"), KNOWN)
    assert said(fed(made, counts(0.0, 0.0, 21.0)), "rain")[-1] == pytest.approx(4.2)


def test_late_tips_count_and_repeated_readings_do_not():
    made = stream(table(over="5m", dry_after="5m"), KNOWN)
    fed(made, counts(*[0.0] * 40))
    assert fed(made, counts(1.0, start=T + 345)) == []
    assert fed(made, counts(1.0, start=T + 345)) == []
    one = reading("gauge", T + 400, count=1.0)
    found = fed(made, [one, one])
    assert said(found, "rain") == [pytest.approx(0.4)]


@pytest.mark.parametrize("flag", [Flag.SUSPECT, Flag.PASS])
def test_a_suspect_count_makes_the_rain_suspect_as_long_as_it_counts(flag):
    made = stream(table(over="5m", dry_after="1m"), KNOWN)
    fed(made, counts(*[0.0] * 40, flags=Flag.PASS))
    found = fed(made, counts(1.0, start=T + 400, flags=flag))
    found += fed(made, counts(*[0.0] * 40, start=T + 410, flags=Flag.PASS))
    assert [each.flags["rain"] for each in found[:31]] == [flag] * 31
    assert found[32].flags["rain"] == Flag.PASS


def test_a_rate_is_suspect_with_the_tip_before_the_last():
    made = stream(table(over="1m", dry_after="20m"), KNOWN)
    flags = [Flag.SUSPECT if n == 60 else Flag.PASS for n in range(240)]
    readings = [
        reading("gauge", T + 10 * n, flag, count=float(n in (60, 150))) for n, flag in enumerate(flags)
    ]
    found = fed(made, readings)
    assert found[210].flags["rain_rate"] is Flag.SUSPECT, "it is by the 900 s between the tips"
    fresh = fed(
        stream(table(over="1m", dry_after="20m"), KNOWN), [r for n, r in enumerate(readings) if n != 60]
    )
    assert fresh[209].flags["rain_rate"] is Flag.PASS


def test_a_failed_count_is_not_heard():
    made = stream(table(over="10s", dry_after="10s"), KNOWN)
    found = fed(made, [*counts(0.0, 0.0), reading("gauge", T + 20, Flag.FAIL, count=3.0)])
    assert found[-1].missing == dict.fromkeys(("rain", "rain_rate", "dry"), UNKNOWN)


numbers = st.sampled_from([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 5.0, Missing.TIMEOUT, 40.0])


@settings(deadline=None)
@given(st.lists(numbers, min_size=3, max_size=80), st.booleans(), st.integers(60, 80), st.integers(0, 9))
def test_a_restart_changes_nothing(tail, correct, at, gap):
    design = designed(table(over="2m", dry_after="1m", correct=correct), KNOWN)
    before = counts(*[float(n % 7 == 0) for n in range(60)])
    readings = [*before, *counts(*tail, start=T + 600 + 10 * gap)]
    assert restarted(design, readings, min(at, len(readings) - 1))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), min_size=1, max_size=60))
def test_the_total_is_that_of_all_counts_in_the_window(heard):
    made, at, tips = stream(table(over="1m", dry_after="30s", share=0.01), KNOWN), 0, []
    fed(made, counts(0.0, 0.0))
    at = 10
    for pause, number in heard:
        before, at = at, at + pause
        tips += [at - k * (at - before) / number for k in range(number)]
        (one,) = made.feed(reading("gauge", T + at, count=float(number)))
        apart = sorted(tips)
        expected = 0.2 * sum(at - 60 < tip <= at for tip in apart)
        if all(b - a > 0.2 for a, b in pairwise(apart)):
            assert one.values["rain"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("keys", "line", "sentence"),
    [
        ({"from": "gauge.rain"}, 4, "rain also needs a count [1]: name it in from"),
        ({"from": "gauge.count"}, 1, "say tip, the mm of rain of one tip"),
        ({"from": ["gauge.count", "other.rain"]}, 4, "of the same gauge"),
        ({"tip": 0.0}, 5, "tip is 0.01 to 10 mm"),
        ({"tip": 25.4}, 5, "tip is 0.01 to 10 mm"),
        ({"share": 0.0}, 5, "above 0, to 1"),
        ({"share": 1.5}, 5, "above 0, to 1"),
        ({"over": "2d"}, 5, "over is up to 24 h"),
        ({"dry_after": "25h"}, 5, "dry_after is up to 24 h"),
        ({"over": "5s"}, 5, "gauge.count comes each 10 s: over must be at least as long"),
        ({"dry_after": "5s"}, 5, "dry_after must be at least as long"),
        ({"window": "5m"}, 5, 'has no key "window"'),
        ({"over": "1m", "rate": "window"}, 5, "one tip in 60 s already looks like a downpour"),
        ({"rate": "hour"}, 5, "tips"),
    ],
)
def test_what_can_never_work_is_refused_with_its_line(keys, line, sentence):
    found = problems(table(**keys), KNOWN)
    assert any(one.startswith(f"{line}: ") and sentence in one for one in found), found


def test_a_gauge_that_knows_its_bucket_tells_what_a_tip_is():
    design = designed(table(**{"from": "gauge"}, over="2m", dry_after="2m", correct=True), KNOWN)
    readings = [
        reading("gauge", T + 10 * n, count=float(n % 2), rain=0.2794 * (n % 2) if n != 33 else UNKNOWN)
        for n in range(60)
    ]
    found = fed(design.build(), readings)
    assert said(found, "rain")[-1] == pytest.approx(6 * 0.2794 * 20 / 19.55)
    assert said(found, "rain_rate")[-1] == pytest.approx(0.2794 * 180 * 20 / 19.55)
    assert restarted(design, readings, 30)
    fixed = fed(stream(table(**{"from": "gauge"}, tip=0.5, over="2m", dry_after="2m"), KNOWN), readings)
    assert said(fixed, "rain")[-1] == pytest.approx(3.0)


def test_the_longest_window_is_filled_from_the_store():
    assert designed(table(over="24h", dry_after="6h"), KNOWN).reach == 86400.0
    assert designed(table(), KNOWN).reach == 7230.0
