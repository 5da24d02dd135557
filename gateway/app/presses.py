"""Presses built from their tables: imported where a pole has one."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from drivers.device import Actuator
from gateway import config as settings
from gateway.control.compactor import Press, Seen, Settings
from gateway.control.guard import Limits

if TYPE_CHECKING:
    from gateway.app.bins import Lookup, Shelf

_SETTINGS = frozenset(each.name for each in fields(Settings))


def settings_of(table: settings.Compactor) -> Settings:
    """Return what a stroke may take. Raises ValueError for what can never work."""
    return Settings(**{name: value for name, value in table if name in _SETTINGS})


def press_of(
    table: settings.Compactor,
    drivers: Mapping[str, Any],
    limits: Limits,
    lookup: "Lookup",
    shelf: "Shelf",
    place: Mapping[str, Any],
) -> Press:
    """Return the press of *table*; *limits* are those of its device's guard."""

    def see() -> Seen:
        far, battery = (name and lookup(name) for name in (table.far, table.battery))
        return Seen(
            lookup(table.home), lookup(table.current), far or None, battery or None, lookup(table.fill)
        )

    buzzer: Actuator | None = drivers[table.buzzer] if table.buzzer else None
    fresh = limits if limits.max_age is not None else replace(limits, max_age=table.max_age)
    return Press(drivers[table.device], see, fresh, settings_of(table), buzzer, shelf, place)
