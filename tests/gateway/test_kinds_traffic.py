"""LA10,18h as a stream: which hours count, when the day is told, all at once, restarts, nonsense."""

import json
import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from drivers.device import Missing, Quantity
from gateway.derive.noise import exceeded, la10_18h
from gateway.reading import Flag, Reading
from tests.gateway.stream_rig import designed, fed, instant, problems, reading, restarted, resumed, stream

LONDON = ZoneInfo("Europe/London")
STEP, HOUR = 60.0, 3600.0
KNOWN = {"noise.sound_level": STEP}
ROAD = Quantity.TRAFFIC_NOISE
TEXT = '[[derive]]\nid = "road"\nkind = "traffic_noise"\nfrom = "noise.sound_level"\nzone = "Europe/London"\n'


def midnight(month: int, day: int) -> float:
    return datetime(2026, month, day, tzinfo=LONDON).timestamp()


def street(begin: float, end: float, level, flag=None) -> list[Reading]:
    """Return the levels that *level* gives of the local hour, each at the end of its minute."""
    made, time = [], begin + STEP
    while time <= end:
        hour = datetime.fromtimestamp(time - 1.0, LONDON).hour
        made.append(reading("noise", time, flag, sound_level=level(hour)))
        time += STEP
    return made


def ended(made, time: float) -> Reading:
    (said,) = made.advance(instant(time + 1.0))
    return said


def test_the_mean_is_of_the_numbers_and_of_18_hours():
    assert la10_18h([60.0, 80.0] * 9) == 70.0
    assert la10_18h([70.0] * 14 + [Missing.INPUT_MISSING] * 4) == 70.0
    assert la10_18h([70.0] * 13 + [Missing.INPUT_MISSING] * 5) is Missing.INPUT_MISSING
    assert la10_18h([Missing.INPUT_MISSING] * 18, 0.0) is Missing.INPUT_MISSING
    with pytest.raises(ValueError, match="18 hours, not of 17"):
        la10_18h([70.0] * 17)
    with pytest.raises(ValueError, match="is 0 to 1"):
        la10_18h([70.0] * 18, 1.5)


@pytest.mark.parametrize(
    ("month", "day", "hours"),
    [(6, 10, 24), (3, 29, 23), (10, 25, 25)],
    ids=["plain", "an hour is skipped", "an hour is repeated"],
)
def test_the_hours_from_6_to_24_count_by_the_clock_on_the_wall(month, day, hours):
    begin, end = midnight(month, day), midnight(month, day + 1)
    assert end - begin == hours * HOUR
    made = stream(TEXT, KNOWN)
    assert not fed(made, street(begin, end, lambda hour: 99.0 if hour < 6 else 50.0 + hour))
    assert not made.advance(instant(end - 1.0))
    said = ended(made, end)
    assert (said.at.time, said.values) == (end, {ROAD: pytest.approx(50.0 + (6 + 23) / 2)})
    assert not made.advance(instant(end + 5.0)), "a day ends once"


def test_the_first_level_of_the_next_day_ends_a_day_and_is_none_of_it():
    begin, end = midnight(6, 10), midnight(6, 11)
    (said,) = fed(
        stream(TEXT, KNOWN), [*street(begin, end, lambda hour: 60.0), *street(end, end + STEP, abs)]
    )
    assert (said.at.time, said.values) == (end, {ROAD: 60.0})


@pytest.mark.parametrize(("silent", "known"), [(range(6, 10), True), (range(6, 11), False)])
def test_a_day_needs_14_of_its_18_hours(silent, known):
    begin, end = midnight(6, 10), midnight(6, 11)
    made = stream(TEXT, KNOWN)
    fed(made, street(begin, end, lambda hour: Missing.TIMEOUT if hour in silent else 60.0))
    said = ended(made, end)
    assert (said.values == {ROAD: 60.0}) is known
    assert (said.missing == {ROAD: Missing.INPUT_MISSING}) is not known


def test_days_without_a_level_are_not_told_of_and_the_one_before_is_told_late():
    begin, end = midnight(6, 10), midnight(6, 11)
    readings = [*street(begin, end - HOUR, lambda hour: 60.0), *street(end + 60 * HOUR, end + 61 * HOUR, abs)]
    (said,) = fed(stream(TEXT, KNOWN), readings)
    assert (said.at.time, said.values) == (end, {ROAD: 60.0})


def test_a_doubt_belongs_to_its_18_hours():
    made, flags = stream(TEXT, KNOWN), []
    for day, hour in ((10, 3), (11, 6), (12, 23)):
        begin, end = midnight(6, day), midnight(6, day + 1)
        readings = street(begin, end, lambda hour: 60.0, Flag.PASS)
        place = hour * 60 + 5
        readings[place] = reading("noise", readings[place].at.time, Flag.SUSPECT, sound_level=60.0)
        fed(made, readings)
        flags.append(ended(made, end).flags[ROAD])
    assert flags == [Flag.PASS, Flag.SUSPECT, Flag.SUSPECT]


def wild(seed: int, days: float) -> list[Reading]:
    """Return levels with gaps, repeats, late ones and missing ones."""
    dice, time, made = random.Random(seed), midnight(10, 24) + 5.3 * HOUR, []
    while time < midnight(10, 24) + days * 24 * HOUR:
        time += STEP * dice.choice((1, 1, 1, 1, 1, 1, 1, 0, 2))
        if dice.random() < 0.0015:
            time += dice.uniform(0.2, 4.0) * HOUR
        late = dice.choice((0.0, STEP, 700.0)) if dice.random() < 0.05 else 0.0
        level = Missing.TIMEOUT if dice.random() < 0.03 else round(dice.uniform(40, 90), 1)
        made.append(reading("noise", time - late, sound_level=level))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_level_by_level_is_what_all_at_once_come_to(seed):
    """Over the night in which the clock goes back; a level that is not newer than all before counts not."""
    readings, newest, hours = wild(seed, 3.2), 0.0, {}
    said = fed(stream(TEXT, KNOWN), readings)
    for each in readings:
        if each.at.time > newest:
            newest = each.at.time
            moment = datetime.fromtimestamp(newest - 1e-6, LONDON)
            hours.setdefault((moment.date(), moment.hour), []).append(
                each.values.get(Quantity.SOUND_LEVEL, Missing.TIMEOUT)
            )
    assert len(said) == 3
    for each in said:
        day = datetime.fromtimestamp(each.at.time - 1.0, LONDON).date()
        levels = []
        for hour in range(6, 24):
            heard = [(level, STEP) for level in hours.get((day, hour), [])]
            gone = HOUR - STEP * len(heard)
            levels.append(exceeded([*heard, *([(Missing.TIMEOUT, gone)] if gone > 0 else [])], 10.0))
        expected = la10_18h(levels)
        found = (each.values | each.missing)[ROAD]
        assert found == (expected if isinstance(expected, Missing) else pytest.approx(expected))
    assert any(each.values for each in said), "some day has enough"


@pytest.mark.parametrize("place", [0, 1, 50, 700, 1130, 2000])
def test_a_restart_changes_nothing(place):
    design, readings = designed(TEXT, KNOWN), wild(7, 2.4)
    assert restarted(design, readings, place)
    whole = design.build()
    fed(whole, readings[:place])
    later = resumed(design, readings[:place], unsaved=min(place, 9))
    assert fed(later, readings[place:]) == fed(whole, readings[place:])


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(day="yesterday"),
        lambda state: state.update(day=None),
        lambda state: state.update(levels=[[5, 60.0]]),
        lambda state: state.update(levels=[["6", 60.0]]),
        lambda state: state.update(levels=[[6, 600.0]]),
        lambda state: state.update(levels=[[6]]),
        lambda state: state.update(hour=None),
        lambda state: state.pop("hour"),
    ],
)
def test_a_day_that_nobody_saved_is_refused(change):
    design = designed(TEXT, KNOWN)
    made = design.build()
    fed(made, street(midnight(6, 10), midnight(6, 10) + 9 * HOUR, lambda hour: 60.0))
    saved = json.loads(json.dumps(made.save()))
    assert design.build().restore(saved) is not None
    change(saved["state"])
    assert design.build().restore(saved) is None


@pytest.mark.parametrize(
    ("text", "known", "said"),
    [
        (
            TEXT,
            {"noise.sound_level": 900.0},
            "4: noise.sound_level comes every 900 s: a tenth of an hour is not",
        ),
        (TEXT, {"noise.sound_level": 7200.0}, "4: noise.sound_level comes every 7200 s: a level of 3600 s"),
        (TEXT + "share = 0.0\n", KNOWN, "the share of time with a level is above 0, to 1, not 0"),
        (TEXT.replace("London", "Londn"), KNOWN, '5: there is no time zone "Europe/Londn"'),
        (
            TEXT.replace('zone = "Europe/London"', ""),
            KNOWN,
            "the hours from 6 to 24 o'clock are local time: set",
        ),
        (
            TEXT.replace("noise.sound_level", "noise.pm10"),
            {"noise.pm10": 1.0},
            "is made from sound_level [dB]",
        ),
    ],
)
def test_what_can_never_be_an_index_is_refused(text, known, said):
    assert said in problems(text, known)[0]
