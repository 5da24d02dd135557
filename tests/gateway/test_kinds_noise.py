"""Noise as streams: quarters and days of levels, the clock's changes, doubts, restarts, nonsense."""

import json
import math
import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Missing, Quantity
from gateway.derive.noise import exceeded, laeq, lamax
from gateway.reading import Flag, Reading
from tests.gateway.stream_rig import designed, fed, instant, problems, reading, restarted, resumed, stream

Q = Quantity
LEQ, MOST, L10, L50, L90 = (
    Q.SOUND_LEVEL,
    Q.SOUND_LEVEL_MAX,
    Q.SOUND_LEVEL_10,
    Q.SOUND_LEVEL_50,
    Q.SOUND_LEVEL_90,
)
ROME = ZoneInfo("Europe/Rome")
START = 1_781_049_600.0  # 2026-06-10 00:00 UTC
KNOWN = {"noise.sound_level": 1.0, "noise.sound_level_max": 1.0, "noise.sound_level_min": 1.0}
QUARTERS = {"noise.sound_level": 900.0}


def table(kind: str = "noise", more: str = "", source: str = "noise.sound_level") -> str:
    return f'[[derive]]\nid = "street"\nkind = "{kind}"\nfrom = "{source}"\n{more}\n'


def levels(
    values: list[float | Missing], begin: float = START, step: float = 1.0, flags=None
) -> list[Reading]:
    """Return a level every *step* seconds, each at the end of the time that it holds for."""
    return [reading("noise", begin + k * step, flags, sound_level=level) for k, level in enumerate(values, 1)]


def test_a_quarter_of_an_hour_as_worked_out_in_the_standard():
    """870 s at 55 dB and 30 s at 85 dB are 70.35 dB."""
    made = stream(table(), KNOWN)
    assert not fed(made, levels([55.0] * 870 + [85.0] * 30))
    (said,) = made.advance(instant(START + 901.0))
    assert said.at.time == START + 900.0
    assert said.values == {LEQ: pytest.approx(70.35, abs=0.005), MOST: 85.0, L10: 55.0, L50: 55.0, L90: 55.0}
    assert not made.advance(instant(START + 902.0)), "a period ends once"


def test_the_next_level_ends_a_quarter_too():
    said = fed(stream(table(), KNOWN), levels([60.0, 70.0] * 450 + [99.0]))
    (only,) = said
    assert only.values[LEQ] == pytest.approx(67.40, abs=0.005)


def test_the_share_of_time_that_must_have_a_level():
    for gone, known in ((225, True), (226, False)):
        made = stream(table(), KNOWN)
        fed(made, levels([60.0] * (900 - gone) + [Missing.TIMEOUT] * gone))
        (said,) = made.advance(instant(START + 901.0))
        assert (said.values.get(LEQ) == pytest.approx(60.0)) is known
        assert (set(said.missing.values()) == {Missing.INPUT_MISSING}) is not known
        assert len(said.values) + len(said.missing) == 5


def test_a_late_and_a_repeated_level_do_not_count():
    made = stream(table(), KNOWN)
    fed(made, levels([60.0] * 900))
    fed(made, levels([90.0] * 900))
    assert made.advance(instant(START + 901.0))[0].values[MOST] == 60.0


def test_a_late_level_of_a_quarter_that_has_ended_is_not_one_of_the_next():
    made = stream(table(), KNOWN)
    fed(made, levels([60.0] * 890))
    assert made.advance(instant(START + 902.0))
    made.feed(reading("noise", START + 899.5, sound_level=99.0))
    fed(made, levels([60.0] * 890, START + 902.0))
    assert made.advance(instant(START + 1802.0))[0].values[MOST] == 60.0


def test_a_level_at_the_very_begin_is_of_the_quarter_before():
    said = fed(stream(table(), KNOWN), levels([90.0, *[60.0] * 901], START - 1.0))
    assert [each.at.time for each in said] == [START, START + 900.0]
    assert said[0].missing
    assert said[1].values[MOST] == 60.0


def test_the_meters_own_maxima_are_the_highest_level():
    made = stream(table(source="noise"), KNOWN)
    for k in range(1, 901):
        made.feed(reading("noise", START + k, sound_level=60.0, sound_level_max=60.0 + k % 30))
    assert made.advance(instant(START + 901.0))[0].values[MOST] == 89.0


def test_quarters_of_an_hour_make_hours():
    """A level over 15 min that ends with the hour belongs to it, and one that begins with it does not."""
    made = stream(table(more='over = "1h"\nzone = "UTC"'), QUARTERS)
    said = fed(made, levels([50.0, 60.0, 60.0, 60.0, 90.0], begin=START, step=900.0))
    assert said[0].values[MOST] == 60.0
    expected = 10 * math.log10((10**5 + 3 * 10**6) / 4)
    assert said[0].values[LEQ] == pytest.approx(expected)


def test_doubts_belong_to_the_quarter_that_they_are_in():
    readings = [*levels([60.0] * 899, flags=Flag.PASS), *levels([60.0], START + 899.0, flags=Flag.SUSPECT)]
    readings += levels([60.0] * 901, START + 900.0, flags=Flag.PASS)
    readings[3] = reading("noise", readings[3].at.time, Flag.FAIL, sound_level=140.0)
    readings += levels([60.0], START + 1800.0, flags=Flag.PASS)
    said = fed(stream(table(), KNOWN), readings)
    assert [set(each.flags.values()) for each in said] == [{Flag.SUSPECT}, {Flag.PASS}]
    assert said[0].values[MOST] == 60.0, "a level that failed its test is none"


def test_a_doubt_about_the_first_level_is_not_forgotten_at_the_end():
    readings = [*levels([60.0], flags=Flag.SUSPECT), *levels([60.0] * 895, START + 1.0, flags=Flag.PASS)]
    (said,) = fed(stream(table(), KNOWN), [*readings, *levels([60.0], START + 1000.0, flags=Flag.PASS)])
    assert set(said.flags.values()) == {Flag.SUSPECT}


def test_the_traffic_noise_index_of_a_day():
    text = table(more='over = "1d"\ntni = true\nzone = "UTC"')
    made = stream(text, QUARTERS)
    fed(made, levels([70.0] * 20 + [60.0] * 56 + [50.0] * 20, step=900.0))
    (said,) = made.advance(instant(START + 86401.0))
    assert (said.values[L10], said.values[L50], said.values[L90]) == (70.0, 60.0, 50.0)
    assert said.values[Q.TNI] == 4 * 20.0 + 50.0 - 30.0
    assert Q.TNI in designed(text, QUARTERS).gives
    assert Q.TNI not in designed(table(), KNOWN).gives


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 1, 1, 0, 2, 5]), st.floats(30, 99) | st.just(Missing.TIMEOUT)),
        min_size=5,
        max_size=80,
    )
)
@settings(max_examples=60, deadline=None)
def test_level_by_level_is_what_all_at_once_come_to(steps):
    """Gaps, repeats and missing levels against the functions over each minute's first levels."""
    made = stream(table(more='over = "1m"\nshare = 0.1'), KNOWN)
    time, readings = START, []
    for step, level in steps:
        time += step
        readings.append(reading("noise", time, sound_level=level))
    said = {r.at.time: r for r in [*fed(made, readings), *made.advance(instant(START + 600.0))]}
    first = {each.at.time: each for each in reversed(readings)}
    for end, each in said.items():
        inside = [r.values.get(LEQ, Missing.TIMEOUT) for t, r in first.items() if end - 60 < t <= end]
        whole = [*((level, 1.0) for level in inside), (Missing.TIMEOUT, max(1e-6, 60.0 - len(inside)))]
        found = [each.values.get(q, Missing.INPUT_MISSING) for q in (LEQ, MOST, L10, L50, L90)]
        expected = [laeq(whole, 0.1), lamax(whole, 0.1), *(exceeded(whole, n, 0.1) for n in (10, 50, 90))]
        for one, other in zip(found, expected, strict=True):
            assert one == (other if isinstance(other, Missing) else pytest.approx(other, rel=1e-8))


# Days


def at(year: int, month: int, day: int, hour: int) -> float:
    return datetime(year, month, day, hour, tzinfo=ROME).timestamp()


def street(begin: float, end: float, day: float, evening: float, night: float, step: float = 900.0):
    """Return the levels of a street that knows when people sleep, by the clock on its wall."""
    made, time = [], begin + step
    while time <= end:
        hour = datetime.fromtimestamp(time - step / 2, ROME).hour
        level = day if 7 <= hour < 19 else evening if 19 <= hour < 23 else night
        made.append(reading("noise", time, sound_level=level))
        time += step
    return made


DAY = table("noise_day", 'zone = "Europe/Rome"')


@pytest.mark.parametrize(
    ("month", "day", "night"),
    [(6, 10, 8), (3, 28, 7), (10, 24, 9)],
    ids=["plain", "an hour is skipped", "an hour is repeated"],
)
def test_a_day_of_the_worked_example_whatever_the_clock_does(month, day, night):
    begin, end = at(2026, month, day, 7), at(2026, month, day + 1, 7)
    assert end - begin == (16 + night) * 3600
    made = stream(DAY, QUARTERS)
    assert not fed(made, street(begin, end, 68.0, 64.0, 58.0))
    (said,) = made.advance(instant(end + 1.0))
    energy = 12 * 10**6.8 + 4 * 10**6.9 + night * 10**6.8
    assert said.at.time == end
    assert said.values == {
        Q.LDAY: pytest.approx(68.0),
        Q.LEVENING: pytest.approx(64.0),
        Q.LNIGHT: pytest.approx(58.0),
        Q.LDEN: pytest.approx(10 * math.log10(energy / (16 + night))),
    }
    if night == 8:
        assert said.values[Q.LDEN] == pytest.approx(68.18, abs=0.005)


def test_hours_as_the_state_has_chosen_and_the_wall_behind_the_microphone():
    text = table("noise_day", 'zone = "Europe/Rome"\nday = 6\nevening = 20\nnight = 22\nfacade = 3')
    begin, end = at(2026, 6, 10, 6), at(2026, 6, 11, 6)
    readings = [
        reading("noise", begin + k * 900.0, sound_level=63.0 if k <= 14 * 4 else 73.0) for k in range(1, 97)
    ]
    made = stream(text, QUARTERS)
    fed(made, readings)
    (said,) = made.advance(instant(end + 1.0))
    assert [said.values[q] for q in (Q.LDAY, Q.LEVENING, Q.LNIGHT)] == pytest.approx([60.0, 70.0, 70.0])


def test_a_night_with_too_few_levels_has_none_nor_has_the_day():
    begin, end = at(2026, 6, 10, 7), at(2026, 6, 11, 7)
    made = stream(DAY, QUARTERS)
    fed(made, [each for each in street(begin, end, 60.0, 60.0, 60.0) if each.at.time < end - 2.1 * 3600])
    (said,) = made.advance(instant(end + 1.0))
    assert set(said.values) == {Q.LDAY, Q.LEVENING}
    assert said.missing == dict.fromkeys((Q.LNIGHT, Q.LDEN), Missing.INPUT_MISSING)


def test_the_first_level_of_the_next_day_ends_a_day_and_a_late_one_changes_nothing():
    begin, end = at(2026, 6, 10, 7), at(2026, 6, 11, 7)
    readings = street(begin, end, 60.0, 60.0, 60.0)
    late = [reading("noise", each.at.time, sound_level=90.0) for each in readings[:5]]
    made = stream(DAY, QUARTERS)
    (said,) = fed(made, [*readings, *late, reading("noise", end + 900.0, sound_level=99.0)])
    assert said.values[Q.LDAY] == pytest.approx(60.0)
    assert said.values[Q.LDEN] == pytest.approx(66.40, abs=0.005)


def test_a_level_at_the_very_begin_is_of_the_day_before():
    begin = at(2026, 6, 10, 7)
    (said,) = fed(stream(DAY, QUARTERS), levels([60.0, 60.0], begin - 900.0, 900.0))
    assert said.at.time == begin
    assert not said.values


def test_a_doubt_belongs_to_its_day():
    begin, middle, end = at(2026, 6, 10, 7), at(2026, 6, 11, 7), at(2026, 6, 12, 7)
    readings = street(begin, end, 60.0, 60.0, 60.0)
    for k, each in enumerate(readings):
        flag = Flag.SUSPECT if each.at.time == middle else Flag.PASS
        readings[k] = reading("noise", each.at.time, flag, sound_level=60.0)
    made = stream(DAY, QUARTERS)
    said = [*fed(made, readings), *made.advance(instant(end + 1.0))]
    assert [set(each.flags.values()) for each in said] == [{Flag.SUSPECT}, {Flag.PASS}]


def test_a_meter_that_stutters_is_heard_for_its_time():
    begin, end = at(2026, 6, 10, 7), at(2026, 6, 11, 7)
    dice = random.Random(3)
    made = stream(DAY, {"noise.sound_level": 60.0})
    fed(
        made,
        [
            reading("noise", begin + k * 60.0 + dice.uniform(-9, 0), sound_level=60.0)
            for k in range(1, 1441)
            if dice.random() < 0.9
        ],
    )
    assert len(json.dumps(made.save())) < 8000
    (said,) = made.advance(instant(end + 1.0))
    assert said.values[Q.LDEN] == pytest.approx(66.40, abs=0.005)


# Restarts


def wild(seed: int, count: int, step: float, begin: float) -> list[Reading]:
    dice, time, made = random.Random(seed), begin, []
    for _ in range(count):
        time += dice.choice((step, step, step, step, step, 0.0, 2.5 * step))
        level = Missing.TIMEOUT if dice.random() < 0.05 else round(dice.uniform(40, 90), 1)
        made.append(reading("noise", time, sound_level=level))
    return made


RESTARTS = [
    (table(), 10.0, 10.0),
    (table(more='over = "1d"\ntni = true\nzone = "Europe/Rome"\nshare = 0.5'), 900.0, 900.0),
    (table("noise_day", 'zone = "Europe/Rome"\nshare = 0.5'), 900.0, 900.0),
]


@pytest.mark.parametrize(("text", "interval", "step"), RESTARTS)
@pytest.mark.parametrize("place", [0, 1, 60, 90, 91, 150, 299])
def test_a_restart_changes_nothing(text, interval, step, place):
    design = designed(text, {"noise.sound_level": interval})
    readings = wild(11, 300, step, START)
    assert restarted(design, readings, place)
    later = resumed(design, readings[:place], unsaved=min(place, 7))
    whole = design.build()
    fed(whole, readings[:place])
    assert fed(later, readings[place:]) == fed(whole, readings[place:])


def test_a_quarter_that_ended_while_nobody_ran_is_still_told():
    design, readings = designed(table(), KNOWN), levels([60.0] * 900)
    (said,) = fed(resumed(design, readings), levels([70.0], START + 1200.0))
    assert (said.at.time, said.values[LEQ]) == (START + 900.0, pytest.approx(60.0))


def test_a_day_of_every_level_is_saved_small():
    made = stream(table(more='over = "1d"\nzone = "UTC"'), {"noise.sound_level": 10.0})
    fed(made, levels([30.0 + (k % 900) / 10 for k in range(8000)], step=10.0))
    assert len(json.dumps(made.save())) < 12_000


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(at=None),
        lambda state: state["at"].__setitem__(0, state["at"][0] + 1.0),
        lambda state: state["at"].__setitem__(1, state["at"][0] - 1.0),
        lambda state: state["at"].__setitem__(1, math.nan),
        lambda state: state["at"].__setitem__(0, 1e300),
        lambda state: state["tally"].pop(),
        lambda state: state["tally"].__setitem__(2, -1),
        lambda state: state["tally"].__setitem__(4, [[99999, 1]]),
    ],
)
def test_a_period_that_nobody_saved_is_refused(change):
    design = designed(table(more='over = "1d"\nzone = "UTC"'), QUARTERS)
    _refused(design, levels([60.0] * 9, step=900.0), change)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(day=None),
        lambda state: state.update(newest="x"),
        lambda state: state.update(newest=state["newest"] + 1e6),
        lambda state: state["day"].__setitem__(0, "9999-12-31"),
        lambda state: state["day"].__setitem__(0, "yesterday"),
        lambda state: state["day"].__setitem__(1, [1, 2, 3]),
        lambda state: state["day"].__setitem__(3, [[0, 1e9]]),
    ],
)
def test_a_day_that_nobody_saved_is_refused(change):
    _refused(designed(DAY, QUARTERS), levels([60.0] * 9, step=900.0), change)


def _refused(design, readings, change):
    made = design.build()
    fed(made, readings)
    saved = json.loads(json.dumps(made.save()))
    assert design.build().restore(saved) is not None
    change(saved["state"])
    assert design.build().restore(saved) is None


# Settings


@pytest.mark.parametrize(
    ("text", "known", "said"),
    [
        (table(more="tni = true"), KNOWN, '5: the traffic noise index is of a whole day: set over = "1d"'),
        (
            table(more='over = "7m"'),
            KNOWN,
            "5: an aligned window is a day or divides an hour; 420 s does not",
        ),
        (
            table(more='over = "1h"'),
            KNOWN,
            "hours and days are local time: set zone here, or [gateway.place]",
        ),
        (table(more='over = "1h"\nzone = "Rome"'), KNOWN, '6: there is no time zone "Rome"; say "UTC"'),
        (table(more='over = "1s"'), QUARTERS, "5: noise.sound_level comes every 900 s: a level of 1 s needs"),
        (table(more="share = 0.0"), KNOWN, "the share of time with a level is above 0, to 1, not 0"),
        (
            table(source="noise.sound_level_max"),
            KNOWN,
            "4: noise also needs a sound_level [dB]: name it in from",
        ),
        (table(source="air.pm10"), {"air.pm10": 1.0}, "4: noise is made from sound_level [dB]"),
        (
            table("noise_day"),
            KNOWN,
            "day, evening and night are local time: set zone here, or [gateway.place]",
        ),
        (DAY + "evening = 20\n", KNOWN, ""),
        (DAY + "evening = 22\n", KNOWN, "the evening has 2 to 4 hours, the day at least 12 and the night"),
        (DAY + "night = 24\n", KNOWN, "day, evening and night begin at hours from 0 to 23"),
        (DAY + "facade = 9\n", KNOWN, "a façade adds 0 to 6 dB, not 9"),
        (DAY + "share = 2.0\n", KNOWN, "the share of time with a level is above 0, to 1, not 2"),
        (DAY, {"noise.sound_level": 7200.0}, "4: noise.sound_level comes every 7200 s: a level of 3600 s"),
    ],
)
def test_what_can_never_be_a_level_is_refused(text, known, said):
    found = problems(text, known)
    assert (said in found[0]) if said else not found


def test_quarters_need_no_zone_and_hours_take_that_of_the_place():
    assert not problems(table(), KNOWN)
    assert not problems(table(more='over = "1h"'), KNOWN, "Asia/Kolkata")
    made = stream(table(more='over = "1h"'), QUARTERS, "Asia/Kolkata")
    (said,) = fed(made, levels([60.0] * 5, begin=START - 1800.0, step=900.0))
    assert datetime.fromtimestamp(said.at.time, UTC).minute == 30
