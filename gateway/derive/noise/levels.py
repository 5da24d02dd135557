"""How loud it was: what levels come to over a time, as functions of all of them.

Every level is A-weighted, in dB re 20 µPa, and carries the time over which it holds. A meter without a
calibration has no class of IEC 61672-1, whatever its microphone: call what comes from it indicative.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

from drivers.device import Missing
from gateway.derive.frames import SECOND
from gateway.derive.statistics import between, ranks

LOWEST, HIGHEST = -20.0, 200.0
"""Levels [dB] that can be true. What lies outside (or is no number) counts as missing."""

RESOLUTION = 0.1
"""Width [dB] of the classes that LN is counted in: the resolution that IEC 61672-1 asks of a display."""

SHARE = 0.75
"""Least share of a time that must have a level, for an indicator to stand for the whole of it."""

OF_18_HOURS = range(6, 24)
"""The local hours of LA10,18h."""

TENTHS = round(1 / RESOLUTION)
UNIT = 1 << 40  # of energy: whole numbers again, so that no order of arrival changes a sum


def laeq(levels: Iterable[tuple[float | Missing, float]], share: float = SHARE) -> float | Missing:
    """Return the equivalent continuous level LAeq,T [dB] of pairs of level [dB] and duration [s].

    `LAeq,T = 10 lg((1/T) sum t_i 10^(L_i/10))`, the mean of the energy (ISO 1996-1:2016, 3.2). INPUT_MISSING
    when less than *share*, 0 to 1, of the time has a level. ValueError: a duration is not positive, or the
    share is no share.
    """
    heard = _heard(levels, share)
    if not heard:
        return Missing.INPUT_MISSING
    energy = math.fsum(micros * 10 ** (level / 10) for level, micros in heard)
    return 10 * math.log10(energy / sum(micros for _, micros in heard))


def lamax(levels: Iterable[tuple[float | Missing, float]], share: float = SHARE) -> float | Missing:
    """Return the highest of the levels [dB]. Errors and *share*: as `laeq`.

    Given the meter's own maxima with time weighting F it is LAFmax; the highest LAeq,1s lies below that.
    """
    return max((level for level, _ in _heard(levels, share)), default=Missing.INPUT_MISSING)


def exceeded(
    levels: Iterable[tuple[float | Missing, float]], percent: float, share: float = SHARE
) -> float | Missing:
    """Return LAN [dB], exceeded *percent* % of the time: 10 for LA10 (traffic), 90 for LA90 (background).

    The rule is that of `gateway.derive.statistics.percentile` (Hyndman and Fan's type 7, between two ranks
    linear), of levels rounded to RESOLUTION: LAN is their percentile `100 - N`. So LA10 and a stream of the
    90th percentile never tell two stories, and both agree with what people check them with: it is the rule of
    spreadsheets, R and NumPy. Counting in classes needs no level to be kept, and moves LAN by half a class
    at most. Levels of unequal duration count as the equal pieces that all of them consist of. Errors and
    *share*: as `laeq`; ValueError also when *percent* is not between 0 and 100.
    """
    check_percent(percent)
    classes: dict[int, int] = {}
    step = 0
    for level, micros in _heard(levels, share):
        classes[class_of(level)] = classes.get(class_of(level), 0) + micros
        step = math.gcd(step, micros)
    return quantile(classes, percent, step)


def tni(la10: float | Missing, la90: float | Missing) -> float | Missing:
    """Return the traffic noise index `4 (LA10 - LA90) + LA90 - 30` [dB] (Langdon and Scholes 1968).

    Both are taken over 24 h. INPUT_MISSING when one of them is missing.
    """
    if isinstance(la10, Missing) or isinstance(la90, Missing):
        return Missing.INPUT_MISSING
    return 4 * (la10 - la90) + la90 - 30


def la10_18h(hours: Sequence[float | Missing], share: float = SHARE) -> float | Missing:
    """Return LA10,18h [dB] of the LA10 [dB] of the 18 *hours* from 6 to 24 o'clock: their arithmetic mean.

    The one mean of levels that is not of their energy. UK Department of Transport, Calculation of Road
    Traffic Noise (1988). INPUT_MISSING when fewer than *share*, 0 to 1, of the hours are there. Raises
    ValueError unless there are 18, or for a share that is none.
    """
    check_share(share)
    if len(hours) != len(OF_18_HOURS):
        raise ValueError(f"LA10,18h is of 18 hours, not of {len(hours)}")
    heard = [level for level in hours if is_level(level)]
    enough = heard and len(heard) >= share * len(hours) - 1e-9
    return math.fsum(heard) / len(heard) if enough else Missing.INPUT_MISSING


def incident(level: float | Missing, facade: float = 3.0) -> float | Missing:
    """Return the incident sound [dB]: *level* less what the façade behind the microphone reflects.

    *facade* is 0 (free field) to 6 dB (flush with the wall); Directive 2002/49/EC, Annex I, section 1 takes
    3 as a rule. A missing level stays missing, for its own reason. ValueError: *facade* is outside.
    """
    if not 0.0 <= facade <= 6.0:
        raise ValueError(f"a façade adds 0 to 6 dB, not {facade:g}")
    return level if isinstance(level, Missing) else level - facade


def _heard(levels: Iterable[tuple[float | Missing, float]], share: float) -> list[tuple[float, int]]:
    """Return the levels [dB] with their durations [us], or nothing when they are too few."""
    check_share(share)
    found = [(level, positive(duration)) for level, duration in levels]
    heard = [(level, micros) for level, micros in found if is_level(level)]
    given = sum(micros for _, micros in found)
    return heard if enough(sum(micros for _, micros in heard), given, share) else []


def quantile(classes: Mapping[int, int], percent: float, step: int) -> float | Missing:
    """Return the percentile `100 - percent` of classes that hold so many times *step* [us] each."""
    if not classes:
        return Missing.INPUT_MISSING
    below, above, part = ranks(sum(classes.values()) // step, 100.0 - percent)
    low = high = math.inf
    seen = 0
    for level in sorted(classes):
        seen += classes[level] // step
        if low == math.inf and seen > below:
            low = level
        if seen > above:
            high = level
            break
    return between(low, high, part) / TENTHS


def level_of(energy: int, micros: int) -> float:
    """Return the level [dB] of an *energy* [us / UNIT] over *micros* [us]."""
    return 10 * math.log10(energy / (micros * UNIT))


def class_of(level: float) -> int:
    """Return the class [RESOLUTION dB] that a *level* [dB] is counted in."""
    return round(level * TENTHS)


def is_level(level: float | Missing) -> TypeGuard[float]:
    """Return whether it is a level [dB] that can be true."""
    return not isinstance(level, Missing) and LOWEST <= level <= HIGHEST  # NaN is in no range


def enough(heard: int, whole: int, share: float) -> bool:
    """Return whether the time *heard* is *share* of the *whole*, both [us], and not nothing."""
    return heard > 0 and heard >= math.floor(share * whole)  # floor: the share is no exact binary fraction


def to_micros(seconds: float) -> int:
    """Return a time [s] in whole microseconds."""
    return round(seconds * SECOND)


def positive(duration: float) -> int:
    """Return a *duration* [s] in whole microseconds. Raises ValueError unless it is above 0."""
    if not (math.isfinite(duration) and to_micros(duration) > 0):
        raise ValueError(f"a level holds for some time, not for {duration:g} s")
    return to_micros(duration)


def check_percent(percent: float) -> None:
    """Raise ValueError unless *percent* is between 0 and 100."""
    if not 0.0 < percent < 100.0:
        raise ValueError(f"a level is exceeded for a share between 0 and 100 %, not {percent:g}")


def check_share(share: float) -> None:
    """Raise ValueError unless *share* is 0 to 1."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share of the time is 0 to 1, not {share:g}")
