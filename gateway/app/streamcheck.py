"""Whether streams make sense with the parts that they are made from, as far as only both together show it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from drivers.device import Quantity
from gateway.derive import Design, Source

OFF = 0.001
"""Share by which the speed of sound that a stream assumes may differ from the part's: 5 mm in 5 m."""

STAGES = ("action", "minor", "moderate", "major")


class _Part(Protocol):
    @property
    def sound(self) -> Callable[[Any], float] | None: ...


class _Placed(Protocol):
    @property
    def part(self) -> _Part: ...
    @property
    def options(self) -> Any: ...


class Wrong(NamedTuple):
    """What is wrong with the *key* of the stream *id*."""

    id: str
    key: str
    said: str


def unfit(designs: Iterable[Design], devices: Mapping[str, _Placed]) -> Iterator[Wrong]:
    """Yield what can never be right, though each table by itself is."""
    streams = {each.id: each for each in designs}
    for design in streams.values():
        if design.settings.kind == "stage" and "temperature" in design.context.sources:
            yield from _compensated(design, streams, devices)
        if design.settings.kind == "stage_alarm":
            yield from _out_of_reach(design, streams)


def _compensated(
    design: Design, streams: Mapping[str, Design], devices: Mapping[str, _Placed]
) -> Iterator[Wrong]:
    """The air changes what a part tells that ranges by sound, and by how much depends on what it assumes."""
    name = _origin(design.context.sources["distance"], streams).device
    if name not in devices:
        return
    device = devices[name]
    if device.part.sound is None:
        said = f"{name} does not range by sound, so the air's temperature changes nothing: leave it out"
        yield Wrong(design.id, "temperature", said)
        return
    sound, assumed = device.part.sound(device.options), design.options.assumed
    if abs(assumed - sound) > OFF * sound:
        said = f"{name} reckons with {sound:.2f} m/s, not {assumed:g}: every stage would be off by"
        share = f"{100.0 * abs(assumed / sound - 1.0):.1f} % of the distance"
        yield Wrong(design.id, "assumed", f"{said} {share}; say assumed = {sound:.2f}")


def _out_of_reach(design: Design, streams: Mapping[str, Design]) -> Iterator[Wrong]:
    """Water never stands above the face of the sensor that looks down on it."""
    source = design.context.source
    while (made := streams.get(source.device)) and made.settings.kind != "stage":
        source = made.context.source
    if made is None or source.quantity is not Quantity.STAGE:
        return
    face = made.options.reference
    for key in STAGES:
        height = getattr(design.options, key)
        if height is not None and height >= face:
            said = f"{key} begins at {height:g} m, and the sensor's face is at {face:g} ({made.id}.reference)"
            advice = "no stage is ever so high. Are both in m over the same datum?"
            yield Wrong(design.id, key, f"{said}: {advice}")


def _origin(source: Source, streams: Mapping[str, Design]) -> Source:
    """Return the device's reading that a stream's reading is first of all made from."""
    while source.device in streams:
        source = streams[source.device].context.source
    return source
