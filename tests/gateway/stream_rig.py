"""Streams as the configuration makes them: text to design, readings in, readings out, restarts in between."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence

from drivers.device import Missing, Quantity
from gateway import toml
from gateway.clock import Instant, Quality
from gateway.config import ConfigError, Derive
from gateway.derive import Design, Source, Stream, design
from gateway.reading import Flag, Reading


def known(**intervals: float) -> dict[Source, float]:
    """Return what streams may be made from: `known(noise__sound_level=1.0)` is every second's level."""
    return {source(name.replace("__", ".")): seconds for name, seconds in intervals.items()}


def source(name: str) -> Source:
    """Return the source that is written as "device.quantity"."""
    device, _, quantity = name.partition(".")
    return Source(device, Quantity(quantity))


def sources(of: Mapping[str, float] | Mapping[Source, float]) -> dict[Source, float]:
    """Return sources by themselves, whether they are given so or as "device.quantity"."""
    return {source(key) if isinstance(key, str) else key: seconds for key, seconds in of.items()}


def designed(text: str, known: Mapping[str, float] | Mapping[Source, float], zone: str = "") -> Design:
    """Return the stream that the one `[[derive]]` table of *text* describes. Raises ConfigError.

    *known* has the seconds between two readings of each input, by "device.quantity".
    """
    document = toml.parse(text, "pole.toml")
    settings = Derive.model_validate(document.data["derive"][0])
    return design(settings, sources(known), document, ("derive", 0), zone)


def stream(text: str, known: Mapping[str, float] | Mapping[Source, float], zone: str = "") -> Stream:
    """Return a new stream, as `designed`."""
    return designed(text, known, zone).build()


def problems(text: str, known: Mapping[str, float] | Mapping[Source, float], zone: str = "") -> list[str]:
    """Return what is wrong with the table, each as "line: sentence"; nothing if all is well."""
    try:
        designed(text, known, zone)
    except ConfigError as error:
        return [f"{each.line}: {each.message}" for each in error.problems]
    return []


def reading(
    device: str, time: float, flags: Flag | Mapping[str, Flag] | None = None, **values: float | Missing
) -> Reading:
    """Return a reading; *flags* is one for all its values, or one for each by its name."""
    found = {Quantity(name): value for name, value in values.items()}
    numbers = {name: value for name, value in found.items() if not isinstance(value, Missing)}
    missing = {name: value for name, value in found.items() if isinstance(value, Missing)}
    if isinstance(flags, Flag):
        flags = dict.fromkeys(numbers, flags)
    known_flags = {Quantity(name): flag for name, flag in (flags or {}).items()}
    return Reading(device, instant(time), numbers, missing, known_flags)


def instant(time: float) -> Instant:
    """Return an instant of a clock that is right."""
    return Instant(time, time, "boot", Quality.SYNCHRONIZED)


def fed(stream: Stream, readings: Iterable[Reading]) -> list[Reading]:
    """Return all that *stream* says to the readings, in order."""
    return [said for each in readings for said in stream.feed(each)]


def restarted(design: Design, readings: Sequence[Reading], at: int) -> bool:
    """Return whether a restart before reading number *at* changes nothing that is said from there on.

    As the daemon does it: what `save` gave goes through JSON into a new stream, which then is fed the stored
    readings that are newer than that, or, where nothing was saved, those of the last *reach* seconds.
    Raises AssertionError with the first difference.
    """
    whole = design.build()
    fed(whole, readings[:at])
    expected = fed(whole, readings[at:])
    found = fed(resumed(design, readings[:at]), readings[at:])
    for one, other in zip(expected, found, strict=False):
        assert same(one, other), f"{one} is expected, and after a restart it is {other}"
    assert len(expected) == len(found), f"{len(expected)} readings are expected, not {len(found)}"
    return True


def resumed(design: Design, readings: Sequence[Reading], unsaved: int = 0) -> Stream:
    """Return a new stream that a restart after *readings* brings up, when the last save missed *unsaved*."""
    before, after = design.build(), design.build()
    fed(before, readings[: len(readings) - unsaved])
    saved = before.save()
    if saved is None:
        newest = max((each.at.time for each in readings), default=0.0)
        fed(after, [each for each in readings if each.at.time > newest - design.reach - 1e-6])
        return after
    text = json.dumps(saved, allow_nan=False)
    assert len(text) <= 64 * 1024, f"{len(text)} bytes are too many to be saved"
    known = after.restore(json.loads(text))
    assert known is not None, "what was saved is of use"
    fed(after, [each for each in readings if each.at.time > known])
    return after


def same(one: Reading, other: Reading) -> bool:
    """Return whether two readings say the same, but for the last of the nine digits."""
    if (one.device, one.missing, one.flags, one.labels) != (
        other.device,
        other.missing,
        other.flags,
        other.labels,
    ):
        return False
    alike = one.values.keys() == other.values.keys() and abs(one.at.time - other.at.time) < 1e-6
    return alike and all(math.isclose(v, other.values[q], rel_tol=1e-8) for q, v in one.values.items())
