"""Everything about chips and pins. Nothing here knows that a gateway exists."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from drivers.bus import I2C
from drivers.device import Clock

_ROOT = Path(__file__).parent

On = Literal["i2c", "pins", "analog", "wrapper"]
"""What a part is wired to: an I2C bus, lines, or a channel of a converter. A wrapper is on I2C, and measures
nothing: it only lends what it has."""

Probe = Callable[[I2C, int, Clock], Awaitable[str | None]]
"""Asks whether the part is at an address; returns what shows it, or None. See docs/writing-a-driver.md."""


@dataclass(frozen=True, slots=True)
class Part:
    """A driver as `load` finds it: its folder's name, its city domain, its class and its options.

    *addresses* are all that the part can have, the usual one first; empty unless it is on I2C. *takes* are
    those of its options that name a further line, or a further channel. *needs* are the packages that
    Lamppost does not bring. A part that *lends* something to others does it by its class *lender*, and calls
    it by *numbers*, of which some may be *outputs* only. A *direct* part needs lines that are faster than
    those of an expander. Several devices may share a part of which each has its own *shared* option. One that
    ranges by *sound* tells, by its options, the one speed [m/s] that it reckons with.
    """

    name: str
    domain: str
    driver: type[Any]
    options: type[Any]
    addresses: tuple[int, ...]
    on: On
    probe: Probe | None
    takes: tuple[str, ...]
    needs: tuple[str, ...]
    lends: On | None
    lender: type[Any] | None
    numbers: frozenset[int]
    outputs: frozenset[int]
    direct: bool
    shared: str
    sound: Callable[[Any], float] | None

    @property
    def absent(self) -> tuple[str, ...]:
        """The packages that it needs and that are not installed."""
        return tuple(name for name in self.needs if find_spec(name) is None)


@cache
def names() -> Mapping[str, str]:
    """Return every driver's name and its domain, without importing any: `{"bme280": "weather", ...}`."""
    found = {
        init.parent.name: init.parent.parent.name
        for init in sorted(_ROOT.glob("*/*/__init__.py"))
        if (init.parent / "chip.py").exists()
    }
    return MappingProxyType(dict(sorted(found.items())))


@cache
def load(name: str) -> Part:
    """Import the driver called *name* and return it. Raises LookupError for a name that no folder has."""
    domain = names().get(name)
    if domain is None:
        raise LookupError(f"there is no driver {name!r}; there are: {', '.join(names())}")
    module = import_module(f"drivers.{domain}.{name}")
    told = vars(module)
    lender = next((each for each in _LENDERS if each in told), "")
    return Part(
        name,
        domain,
        told["Driver"],
        told["Options"],
        told["ADDRESSES"],
        told.get("ON", "i2c" if told["ADDRESSES"] else "pins"),
        told.get("probe"),
        told.get("TAKES", ()),
        told.get("NEEDS", ()),
        _LENDERS.get(lender),
        told.get(lender),
        frozenset(told.get("CHANNELS", told.get("LINES", ()))),
        frozenset(told.get("OUTPUT_ONLY", ())),
        told.get("DIRECT", False),
        told.get("SHARED", ""),
        told.get("sound"),
    )


_LENDERS: dict[str, On] = {"Channel": "i2c", "Lines": "pins", "Channels": "analog"}
"""The class by which a part's module offers a bus, lines or channels to others, and what it is."""
