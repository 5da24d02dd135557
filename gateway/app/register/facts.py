"""What every output of the register is made from."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from gateway.app.register.file import Register

LEVELS = ("shadow", "in", "on", "off")
"""Modes, from the one that moves nothing to the one that asks nobody."""

OVERSIGHT: Mapping[str, str] = {
    "shadow": "nothing moves: what the rule would have done is recorded",
    "in": "it asks a person, and without an answer nothing moves",
    "on": "it announces what it will do, and acts unless a person forbids it",
    "off": "it acts by itself",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """The file, and what only the pole knows: its id, its place, its devices, its rules and their modes.

    *domains* has each device's city domain (`air`, `noise`). A rule has `id`, `says`, `owner`, `mode` and
    `version`, as /status shows it.
    """

    register: Register
    gateway: str
    place: Mapping[str, Any]
    domains: Mapping[str, str]
    rules: tuple[Mapping[str, Any], ...]
    today: date

    @property
    def where(self) -> str:
        """The place in words; the gateway's id where it has none."""
        return str(self.place.get("name") or self.gateway)

    @property
    def phase(self) -> str:
        """`before`, `during` or `after` the time that the register gives."""
        if self.today < self.register.begins:
            return "before"
        return "during" if self.today <= self.register.ends else "after"

    def oversight(self) -> str:
        """Return in words who decides: what the file says, then each rule's mode as it is now."""
        said = [self.register.algorithm.oversight]
        said += [f"{rule['says']} ({rule['id']}: {OVERSIGHT[str(rule['mode'])]}.)" for rule in self.rules]
        return "\n".join(said if self.rules else [*said, "No rule is loaded: this pole only measures."])

    def logic(self) -> str:
        """Return in words how decisions come about."""
        rules = "\n".join(f"{rule['id']}, version {rule['version']}: {rule['says']}" for rule in self.rules)
        return (
            "Fixed rules in a file that people wrote; nothing is learned from data. A condition over the "
            "latest readings is true, false or not known; what is not known starts nothing. Guards below "
            "every rule limit what a switch may do. Each decision is recorded, with its inputs, before "
            f"anything moves, in a ledger that anybody can check.\n{rules}"
        ).strip()


def notice(facts: Facts) -> dict[str, Any]:
    """Return what the notice says to people: the file, and where the pole stands."""
    shape = {name: part for name, part in asdict(facts.register).items() if name != "algorithm"}
    return {
        **shape,
        "begins": facts.register.begins.isoformat(),
        "ends": facts.register.ends.isoformat(),
        "oversight": facts.register.algorithm.oversight,
        "risks": list(facts.register.algorithm.risks),
        "gateway": facts.gateway,
        "place": dict(facts.place),
        "phase": facts.phase,
    }


def filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *fields* without those that the register does not fill."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], ())}


def lines(parts: Iterable[str]) -> str:
    """Return *parts*, one a line."""
    return "\n".join(parts)
