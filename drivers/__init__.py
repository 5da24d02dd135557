"""Everything about chips and pins. Nothing here knows that a gateway exists."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Part:
    """A driver as `load` finds it: its folder's name, its city domain, its class, its options and addresses.

    *addresses* are all that the part can have, the usual one first; empty for a part on a line of the header.
    """

    name: str
    domain: str
    driver: type[Any]
    options: type[Any]
    addresses: tuple[int, ...]


def names() -> dict[str, str]:
    """Return every driver's name and its domain, without importing any: `{"bme280": "weather", ...}`."""
    found = {
        init.parent.name: init.parent.parent.name
        for init in sorted(_ROOT.glob("*/*/__init__.py"))
        if (init.parent / "chip.py").exists()
    }
    return dict(sorted(found.items()))


def load(name: str) -> Part:
    """Import the driver called *name* and return it. Raises LookupError for a name that no folder has."""
    domain = names().get(name)
    if domain is None:
        raise LookupError(f"there is no driver {name!r}; there are: {', '.join(names())}")
    module = import_module(f"drivers.{domain}.{name}")
    return Part(name, domain, module.Driver, module.Options, module.ADDRESSES)
