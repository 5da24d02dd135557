"""The register: one file says what the city does with a pole, and five texts come from it.

    file.py               the file, strictly checked against the pole
    facts.py              what the records are made from: the file, the place, the devices, the rules
    dtpr.py               sign data: Digital Trust for Places and Routines
    atrs.py               a record for the United Kingdom: Algorithmic Transparency Recording Standard
    algoritmeregister.py  an entry for the Dutch register of algorithms
    sensors.py            a notification for a register of sensors, after Amsterdam's

The fifth, the notice, is for people: gateway.web shows it, with what the running gateway adds.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from gateway.app.register import algoritmeregister, atrs, dtpr, sensors
from gateway.app.register.facts import Facts, notice
from gateway.app.register.file import Register, load

if TYPE_CHECKING:
    from gateway.app.check import Plan

__all__ = ["OUTPUTS", "Facts", "Register", "facts", "load", "planned"]

OUTPUTS: Mapping[str, Callable[[Facts], dict[str, Any]]] = {
    "notice": notice,
    "dtpr": dtpr.record,
    "atrs": atrs.record,
    "nl": algoritmeregister.record,
    "sensors": sensors.record,
}
"""What can be made from a register, by the name that the command line knows."""


def facts(plan: "Plan", rules: Iterable[Mapping[str, Any]], today: date) -> Facts:
    """Return what the outputs are made from. The *plan* must have a register."""
    assert plan.register is not None
    place = plan.config.gateway.place.model_dump()
    domains = {name: placed.part.domain for name, placed in plan.devices.items()}
    return Facts(plan.register, plan.config.gateway.id, place, domains, tuple(rules), today)


def planned(plan: "Plan") -> list[dict[str, Any]]:
    """Return the rules as their files have them: for when no gateway runs."""
    return [
        {
            "id": rule.id,
            "says": rule.says,
            "owner": rule.owner,
            "mode": str(rule.mode),
            "version": rule.version,
        }
        for file in plan.rules
        for rule in file.rules
    ]
