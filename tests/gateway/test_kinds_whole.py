"""Every stream that remembers, reading by reading, against all readings at once: gaps, repeats, late ones.

The other side is written as the pages say it, over a plain list, with nothing kept from one result to the
next. Alarms, rain and vibration are in `test_kinds_batch.py`; `noise`, `traffic_noise`, `rise`, `wind`,
`movement` and `filling` have theirs beside their other tests.
"""

import math
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from drivers.device import Missing, Quantity
from gateway.derive import air, statistics
from gateway.derive.air.means import highest
from gateway.derive.noise import Hours, Period, laeq, lden, spans
from gateway.derive.quality import spike
from gateway.reading import Flag
from tests.gateway.stream_rig import instant, reading, stream

Q = Quantity
GONE = Missing.INPUT_MISSING
START = 1_781_049_600.0  # 2026-06-10 00:00 UTC
HOUR = 3600.0
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))]

Value = float | Missing
Means = Callable[[int], Value]
"""Gives a mean by the number of its period."""
Samples = list[tuple[float, Value]]
"""Times [s, Unix] in the order of arrival, each with a value."""


def wild(
    seed: int, count: int, step: float, low: float, high: float, late: float, begin: float = START
) -> Samples:
    """Return readings each *step* [s], with gaps, repeats, corrections and some up to *late* [s] late."""
    dice, time, made = random.Random(seed), begin, Samples()
    for _ in range(count):
        time += step * dice.choice((1,) * 24 + (2, 5))
        value: Value = Missing.TIMEOUT if dice.random() < 0.05 else round(dice.uniform(low, high), 2)
        made.append((time, value))
        near = [each for each in made[-4:] if each[0] >= time - late]
        if dice.random() < 0.1:
            made.append(dice.choice(near))  # the same again
        if dice.random() < 0.1:
            made.append((dice.choice(near)[0], dice.uniform(low, high)))  # another word on the same time
        if dice.random() < 0.1:
            made.append((round(8 * (time - dice.uniform(0.1, 0.99) * late)) / 8, dice.uniform(low, high)))
    return made


def newer(samples: Samples) -> Samples:
    """Return those that are newer than all before: what counts where late ones do not."""
    found, last = Samples(), -math.inf
    for time, value in samples:
        if time > last:
            found.append((time, value))
        last = max(last, time)
    return found


def same(found: Value, expected: Value) -> bool:
    if isinstance(found, Missing) or isinstance(expected, Missing):
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-8, abs_tol=1e-9)


def table(kind: str, source: str, *lines: str) -> str:
    return "\n".join(["[[derive]]", 'id = "x"', f'kind = "{kind}"', f'from = "{source}"', *lines])


# Windows

OVER, STEP = 600.0, 20.0
Batch = Callable[[Sequence[statistics.Sample]], Value]


def values(of: Callable[[list[float]], Value]) -> Batch:
    return lambda samples: of([value for _, value in samples])


def times(factor: float, of: Batch) -> Batch:
    def scaled(samples: Sequence[statistics.Sample]) -> Value:
        value = of(samples)
        return value if isinstance(value, Missing) else factor * value

    return scaled


WINDOWS: dict[str, tuple[str, str, Quantity, Batch]] = {
    "mean": ("temperature", "", Q.TEMPERATURE, values(statistics.mean)),
    "min": ("temperature", "", Q.TEMPERATURE, values(lambda v: min(v, default=GONE))),
    "max": ("temperature", "", Q.TEMPERATURE, values(lambda v: max(v, default=GONE))),
    "energy_mean": ("sound_level", "", Q.SOUND_LEVEL, values(statistics.energy_mean)),
    "percentile": (
        "temperature", "percent = 30", Q.TEMPERATURE, values(lambda v: statistics.percentile(v, 30.0)),
    ),
    "count": ("temperature", "", Q.COUNT, values(lambda v: float(len(v)))),
    "rate": ("temperature", "", Q.TEMPERATURE_RATE, times(HOUR, statistics.rate)),
    "slope": ("temperature", "", Q.TEMPERATURE_RATE, times(HOUR, statistics.slope)),
    "robust_slope": ("temperature", "", Q.TEMPERATURE_RATE, times(HOUR, statistics.robust_slope)),
    "exceedance": (
        "temperature", "above = 60", Q.EXCEEDANCE, lambda s: statistics.time_above(s, 60.0, STEP),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize("how", ['every = "1m"', 'aligned = "Asia/Kathmandu"'])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_window_says_what_its_readings_come_to(kind, how, seed):
    """Late readings count while they lie inside, the last word on a time stands, a period stays closed."""
    quantity, more, gives, batch = WINDOWS[kind]
    text = table(kind, f"a.{quantity}", 'over = "10m"', how, "share = 0.4", more)
    made, known, said = stream(text, {f"a.{quantity}": STEP}), dict[float, float](), 0
    for time, value in wild(seed, 150, STEP, 40.0, 80.0, late=OVER):
        now = max([time, *known])
        for each in made.feed(reading("a", time, **{quantity: value})):
            said += 1
            if "aligned" in how:
                inside = [(t, v) for t, v in sorted(known.items()) if each.at.time - OVER <= t < each.at.time]
            else:
                word = {**known, time: value}
                there = [(t, v) for t, v in sorted(word.items()) if not isinstance(v, Missing)]
                inside = [(t, v) for t, v in there if now - OVER < t <= now]
            enough = kind == "count" or len(inside) >= 0.4 * OVER / STEP
            assert same((each.values | each.missing)[gives], batch(inside) if enough else GONE)
        if isinstance(value, Missing):
            known.pop(time, None)
        else:
            known[time] = value
    assert said > 5


# Air

TEN = 600.0
POLLUTANTS = ("pm2_5", "pm10", "no2", "o3", "so2")


def means(samples: Samples, period: float, due: int) -> Means:
    """Return what gives the mean of a period by its number: three quarters of those *due* must be there."""
    found: dict[int, list[float]] = {}
    for time, value in newer(samples):
        if not isinstance(value, Missing):
            found.setdefault(math.ceil((time - START) / period) - 1, []).append(value)

    def of(number: int) -> Value:
        has = found.get(number, [])
        return math.fsum(has) / len(has) if len(has) >= 0.75 * due else GONE

    return of


def longer(of: Means, last: int, hours: int) -> Value:
    has = [value for n in range(hours) if not isinstance(value := of(last - n), Missing)]
    return math.fsum(has) / len(has) if len(has) >= 0.75 * hours else GONE


def us_now(quantity: Quantity, of: Means, hour: int, quarters: Means) -> Value:
    if quantity is Q.O3:
        return longer(of, hour, 8)
    return air.nowcast(quantity, [of(hour - ago) for ago in range(12)])


def us_day(quantity: Quantity, of: Means, hour: int, quarters: Means) -> Value:
    if quantity is Q.O3:
        return highest([longer(of, hour - ago, 8) for ago in range(17)])
    return air.daily_mean([of(hour - ago) for ago in range(24)])


def europe(quantity: Quantity, of: Means, hour: int, quarters: Means) -> Value:
    return grams(quantity, of(hour))


def uk(quantity: Quantity, of: Means, hour: int, quarters: Means) -> Value:
    if quantity is Q.SO2:
        four = [quarters(4 * hour + n) for n in range(4)]
        has = [value for value in four if not isinstance(value, Missing)]
        return grams(quantity, max(has) if len(has) >= 3 else GONE)
    return grams(quantity, longer(of, hour, {Q.NO2: 1, Q.O3: 8}.get(quantity, 24)))


def grams(quantity: Quantity, value: Value) -> Value:
    gas = quantity not in (Q.PM2_5, Q.PM10)
    return air.mass(quantity, value) if gas and not isinstance(value, Missing) else value


AIR = {
    "us_aqi": ("", ("pm2_5", "pm10", "o3"), Q.US_AQI, air.us_aqi, us_now),
    "us_aqi by day": ('average = "day"\nzone = "UTC"', ("pm2_5", "pm10", "o3"), Q.US_AQI, air.us_aqi, us_day),
    "european_aqi": ("", POLLUTANTS, Q.EUROPEAN_AQI, air.european_aqi, europe),
    "uk_daqi": ("", POLLUTANTS, Q.UK_DAQI, air.uk_daqi, uk),
}


@pytest.mark.parametrize("name", AIR)
@pytest.mark.parametrize("seed", SEEDS)
def test_an_index_says_what_the_readings_come_to(name, seed):
    """Five devices, each with gaps of its own; a late reading does not count."""
    more, pollutants, gives, index, stands = AIR[name]
    sources = ", ".join(f'"{each}.{each}"' for each in pollutants)
    text = f'[[derive]]\nid = "x"\nkind = "{name.split()[0]}"\nfrom = [{sources}]\n{more}'
    made = stream(text, {f"{each}.{each}": 300.0 if each == "so2" else TEN for each in pollutants})
    heard = {}
    for n, each in enumerate(pollutants):
        step, count = (300.0, 330) if each == "so2" else (TEN, 330 if "day" in name else 165)
        heard[each] = wild(seed + 97 * n, count, step, 0.0, 100.0, HOUR)
    order = sorted(
        (max(t for t, _ in s[: n + 1]), each, n) for each, s in heard.items() for n in range(len(s))
    )
    said = []
    for _, each, n in order:
        time, value = heard[each][n]
        said += made.feed(reading(each, time, **{each: value}))
    hours = {each: means(samples, HOUR, 12 if each == "so2" else 6) for each, samples in heard.items()}
    quarters = means(heard["so2"], 900.0, 3) if "so2" in heard else means([], 900.0, 3)
    assert len(said) >= (1 if "day" in name else 25)
    for result in said:
        hour = round((result.at.time - START) / HOUR) - 1
        each_of = [index(Q(each), stands(Q(each), hours[each], hour, quarters)) for each in pollutants]
        worst = air.worst(each_of)
        expected = worst if isinstance(worst, Missing) else float(worst.value)
        assert (result.values | result.missing)[gives] == expected
    assert any(result.values for result in said)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_co2_baseline_says_what_the_hours_before_come_to(seed):
    text = table("co2_baseline", "a.co2", "days = 1", "share = 0.2", "limit = 200.0")
    made, heard = stream(text, {"a.co2": TEN}), wild(seed, 250, TEN, 440.0, 700.0, late=1700.0)
    counted, known = 0, Samples()
    for time, value in heard:
        (each,) = made.feed(reading("a", time, co2=value))
        known.append((time, value))
        hour = math.ceil((max(t for t, _ in known) - START) / HOUR) - 1
        of = means(known, HOUR, 6)
        newest = max((n for n in range(hour) if not isinstance(of(n), Missing)), default=0)
        kept = sorted(
            round(v, 2) for n in range(hour) if n > newest - 24 and not isinstance(v := of(n), Missing)
        )
        expected: Value = GONE
        if not isinstance(value, Missing):
            enough = len(kept) >= 0.2 * 24
            rank = max(1, math.ceil(0.02 * len(kept)))
            expected = value + 420.0 - kept[rank - 1] if enough else Missing.NOT_READY
            if enough and abs(420.0 - kept[rank - 1]) > 200.0:
                expected = Missing.UNRELIABLE
        assert same((each.values | each.missing)[Q.CO2], expected)
        counted += bool(each.values)
    assert counted > 50


# Noise

DUBLIN = ZoneInfo("Europe/Dublin")


@pytest.mark.parametrize(("month", "day"), [(6, 10), (3, 27), (10, 23)])
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_a_day_of_noise_says_what_its_levels_come_to(seed, month, day):
    """Minute by minute: the level that came first for a minute stands. Also while the clock is changed."""
    text = table("noise_day", "a.sound_level", 'zone = "Europe/Dublin"', "evening = 20", "share = 0.5")
    begin = datetime(2026, month, day, 5, tzinfo=DUBLIN).timestamp()
    made, heard = stream(text, {"a.sound_level": 600.0}), wild(seed, 320, 600.0, 40.0, 80.0, 1800.0, begin)
    said = [said for time, level in heard for said in made.feed(reading("a", time, sound_level=level))]
    ledger: dict[float, float] = {}
    for time, level in newer(heard):
        if not isinstance(level, Missing):
            for minute in range(10):
                ledger.setdefault(time - 600.0 + 60.0 * minute, level)
    assert len(said) >= 2
    for each in said:
        date = datetime.fromtimestamp(each.at.time - HOUR * 12, DUBLIN).date()
        levels, lengths = [], []
        for first, last in spans(date, DUBLIN, Hours(7, 20, 23)).values():
            inside = [(level, 60.0) for time, level in ledger.items() if first <= time < last]
            gone = last - first - 60.0 * len(inside)
            levels.append(laeq([*inside, *([(GONE, gone)] if gone > 0.0 else [])], 0.5))
            lengths.append(last - first)
        expected = [*levels, lden(levels[0], levels[1], levels[2], (lengths[0], lengths[1], lengths[2]))]
        found = [(each.values | each.missing)[q] for q in (Q.LDAY, Q.LEVENING, Q.LNIGHT, Q.LDEN)]
        assert all(same(one, other) for one, other in zip(found, expected, strict=True)), (found, expected)
    assert any(Q.LDEN in each.values for each in said)
    assert len(Period) == 3


# Quality


@pytest.mark.parametrize("seed", SEEDS)
def test_despiked_says_what_three_neighbours_come_to(seed):
    text = table("despiked", "a.humidity", "suspect = 10.0", "fail = 25.0")
    made, heard = stream(text, {"a.humidity": 60.0}), wild(seed, 150, 60.0, 20.0, 80.0, 170.0)
    said = [
        said for time, value in heard for said in made.feed(reading("a", time, Flag.PASS, humidity=value))
    ]
    kept = newer(heard)
    assert [each.at.time for each in said] == [time for time, _ in kept[:-1]]
    for each, (one, other, after) in zip(said[1:], zip(kept, kept[1:], kept[2:], strict=False), strict=True):
        assert same(
            (each.values | each.missing)[Q.HUMIDITY], other[1] if not isinstance(other[1], Missing) else GONE
        )
        if each.values:
            found = spike(one[1], other[1], after[1], 10.0, 25.0)
            untested = found is Flag.NOT_EVALUATED
            assert each.flags.get(Q.HUMIDITY) is (Flag.PASS if untested else found)
    assert len({each.flags.get(Q.HUMIDITY) for each in said}) >= 3
    assert all(b.at.time > a.at.time for a, b in pairwise(said))
    assert not made.advance(instant(START + 1e6))


# A bin


@pytest.mark.parametrize("seed", SEEDS)
def test_an_overflow_says_what_the_distances_come_to(seed):
    """Each run of readings that differ from the state and lasts a minute changes it."""
    made = stream(table("overflow", "a.distance", "full = 0.3", 'hold = "1m"'), {"a.distance": 10.0})
    dice, said, upto, state, run = random.Random(seed), set[Value](), -math.inf, False, list[float]()
    for time, value in wild(seed, 200, 10.0, 0.0, 1.0, 55.0):
        near = (0.9, 0.1, 0.6 * dice.random())[int(time // 200.0) % 3]
        level = value if isinstance(value, Missing) else near
        (each,) = made.feed(reading("a", time, distance=level))
        if time <= upto:
            continue
        upto = time
        if not isinstance(level, Missing):
            run = [*run, time] if (level < 0.3) is not state else []
            if run and run[-1] - run[0] >= 60.0:
                state, run = not state, []
        known = state or not isinstance(level, Missing)
        assert same((each.values | each.missing)[Q.ACTIVE], float(state) if known else GONE)
        said.add((each.values | each.missing)[Q.ACTIVE])
    assert said == {0.0, 1.0, GONE}
