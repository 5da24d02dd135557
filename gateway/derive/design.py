"""From a table of the configuration to a stream: inputs found, settings read, everything wrong said."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from drivers.device import UNITS, Quantity
from gateway.config import Derive, options
from gateway.derive.kind import Context, Input, Kind, Source, Unfit, named
from gateway.derive.kinds import load, names
from gateway.derive.stream import AGED, Stream
from gateway.places import Path
from gateway.problem import ConfigError, Problem
from gateway.toml import Document, did_you_mean

Known = Mapping[Source, float]
"""Every reading that a stream may be made from, and the seconds between two of it."""


@dataclass(frozen=True, slots=True)
class Design:
    """A stream whose settings are right, ready to be built as often as needed."""

    settings: Derive
    kind: Kind
    options: Any
    context: Context

    @property
    def id(self) -> str:
        """The name of the stream, which is a device's name."""
        return self.settings.id

    @property
    def gives(self) -> tuple[Quantity, ...]:
        """What its readings have."""
        return self.kind.gives(self.options, self.context)

    @property
    def interval(self) -> float:
        """The seconds between two of its readings."""
        return self.kind.interval(self.options, self.context)

    @property
    def reach(self) -> float:
        """The seconds that its present state reaches back."""
        return self.kind.reach(self.options, self.context)

    def build(self) -> Stream:
        """Return a new stream."""
        context, inputs = self.context, {each.name: each for each in self.kind.inputs}
        primary = {s.device for name, s in context.sources.items() if inputs[name].key == "from"}
        ages = {name: AGED * max(seconds, context.interval) for name, seconds in context.intervals.items()}
        return Stream(
            self.id,
            self.settings.kind,
            context.sources,
            frozenset(primary),
            ages,
            self.gives,
            self.interval,
            self.reach,
            self.kind.lasting,
            lambda: self.kind.make(self.options, context),
        )


class _Wrong(Exception):
    """A key, and the sentence that says what is wrong with it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def design(settings: Derive, known: Known, document: Document, path: Path, zone: str = "") -> Design:
    """Return the stream that *settings*, at *path* of *document*, describe. Raises ConfigError.

    *known* is what it may be made from, *zone* the time zone of the place, "" when none is configured.
    """

    def wrong(key: str, said: str) -> ConfigError:
        return ConfigError([document.problem((*path, key), said)])

    if settings.kind not in names():
        hint = did_you_mean(settings.kind, names()) or f"; there are: {', '.join(sorted(names()))}"
        raise wrong("kind", f'there is no kind of stream "{settings.kind}"{hint}')
    kind = load(settings.kind)
    problems: list[Problem] = []
    sources: dict[str, Source] = {}
    try:
        sources = _sources(settings, kind, known)
    except _Wrong as error:
        problems += wrong(error.key, str(error)).problems
    try:
        chosen = options(kind.options, settings.options, document, path)
    except ConfigError as error:
        said = {(each.line, each.column) for each in problems}
        more = [each for each in error.problems if (each.line, each.column) not in said]
        raise ConfigError([*problems, *more]) from error
    if problems:
        raise ConfigError(problems)
    context = Context(sources, {name: known[source] for name, source in sources.items()}, zone)
    made = Design(settings, kind, chosen, context)
    try:
        made.build()
    except Unfit as error:
        raise wrong(error.key, str(error)) from error
    except ValueError as error:
        raise wrong("kind", str(error)) from error
    return made


def _sources(settings: Derive, kind: Kind, known: Known) -> dict[str, Source]:
    """Return the source of every input that is configured, by the input's name."""
    found = dict(_primary(settings, kind, known))
    for each in kind.inputs:
        if each.key == "from":
            if each.needed and each.name not in found:
                raise _Wrong("from", f"{settings.kind} also needs {_article(each)}: name it in from")
        elif text := settings.options.get(each.key, ""):
            found[each.name] = _secondary(settings, each, text, known)
        elif each.needed:
            raise _Wrong(each.key, f'{settings.kind} needs the key "{each.key}": {_article(each)}')
    return found


def _primary(settings: Derive, kind: Kind, known: Known) -> Iterator[tuple[str, Source]]:
    """Yield the inputs that stand under `from`."""
    wanted = [each for each in kind.inputs if each.key == "from"]
    texts = [settings.source] if isinstance(settings.source, str) else list(settings.source)
    taken: set[str] = set()
    for source in (found for text in texts for found in _meant(settings, text, wanted, known)):
        fits = [e for e in wanted if source.quantity in e.takes and e.name not in taken]
        if not fits and any(source.quantity in each.takes for each in wanted):
            raise _Wrong("from", f"{settings.kind} takes one reading of that sort: {source} is one too many")
        if not fits:
            raise _Wrong("from", f"{settings.kind} is made from {_all(wanted)}, {_not(source)}")
        taken.add(fits[0].name)
        yield fits[0].name, source
    if not taken:
        raise _Wrong("from", f"{settings.kind} is made from {_all(wanted)}: name it in from")


def _meant(settings: Derive, text: str, wanted: Iterable[Input], known: Known) -> list[Source]:
    """Return what one text under `from` means: a quantity, or all that fit of a device."""
    if "." in text:
        return [_found(text, "from", known)]
    takes = {quantity for each in wanted for quantity in each.takes}
    has = [source for source in known if source.device == text]
    if not has:
        raise _Wrong("from", f'there is no device "{text}"{did_you_mean(text, {s.device for s in known})}')
    fits = sorted(source for source in has if source.quantity in takes)
    if not fits:
        gives = ", ".join(sorted(source.quantity for source in has))
        raise _Wrong("from", f"{settings.kind} is made from {_all(wanted)}; {text} gives {gives}")
    if len(fits) > len(list(wanted)):  # one input that takes many things: which one is to be said
        raise _Wrong("from", f"say which: {', '.join(f'{one}' for one in fits)}")
    return fits


def _secondary(settings: Derive, wanted: Input, text: Any, known: Known) -> Source:
    if not isinstance(text, str) or "." not in text:
        raise _Wrong(wanted.key, f'say {wanted.key} as "device.quantity": {_article(wanted)}')
    source = _found(text, wanted.key, known)
    if source.quantity not in wanted.takes:
        raise _Wrong(wanted.key, f"{wanted.key} is {_article(wanted)}, {_not(source)}")
    return source


def _found(text: str, key: str, known: Known) -> Source:
    device, _, quantity = text.partition(".")
    source = next((s for s in known if s.device == device and s.quantity == quantity), None)
    if source is None:
        raise _Wrong(key, f'there is no reading "{text}"{did_you_mean(text, map(str, known))}')
    return source


def _article(wanted: Input) -> str:
    return f"a {named(wanted.takes)}" if len(wanted.takes) < 10 else "a number"


def _all(wanted: Iterable[Input]) -> str:
    takes = {quantity for each in wanted for quantity in each.takes}
    return named(takes) if len(takes) < 12 else "a reading that is a number"


def _not(source: Source) -> str:
    return f"not from {source} [{UNITS[source.quantity]}]"


def known_zone(zone: str) -> bool:
    """Return whether *zone* is a time zone of the IANA data base that this machine has."""
    try:
        ZoneInfo(zone)
    except (OSError, ValueError, LookupError):
        return False
    return True
