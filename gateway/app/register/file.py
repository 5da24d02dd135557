"""The register's file: what is measured and moved, why, who answers, how to object, until when."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal

from gateway import config, toml
from gateway.config import Line, Link, Mail, Text
from gateway.problem import ConfigError, Problem
from gateway.toml import did_you_mean

_STRICT: Any = {"extra": "forbid"}

PURPOSES = (
    *("accessibility", "agency_interaction", "arts_culture", "commerce", "connectivity", "dining", "ecology"),
    *("energy_efficiency", "enforcement", "entry", "fire_emergency", "health", "inform", "logistics"),
    *("mobility", "planning_decision_making", "research_development", "safety_security", "social", "switch"),
    *("waste_management", "water_efficiency", "wayfinding_services"),
)
"""The purposes that DTPR's taxonomy has (elements of the category device__purpose)."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for the pole. *role* is that of the senior person responsible, not a name."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    organisation: Line
    team: Line
    role: Line
    email: Mail
    phone: Line = ""
    website: Link | None = None


@dataclass(frozen=True, slots=True)
class Objection:
    """How a person objects, and how soon the answer comes."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    how: Text
    answer: Line
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Legal:
    """What allows it, whether personal data are processed, and what was assessed."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    basis: Text
    personal_data: bool
    link: Link | None = None
    privacy: Link | None = None
    assessments: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Data:
    """How long records are kept, where, and who else gets them."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    kept: Line
    where: Line
    shared: Line
    stored: Literal["locally", "cloud"] = "locally"
    public: bool = False


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What registers of algorithms ask for besides."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    oversight: Text
    category: Literal["high-risk", "impactful", "other"] = "other"
    benefit: Text | None = None
    before: Text | None = None
    alternatives: Text | None = None
    proportionality: Text | None = None
    training: Text | None = None
    risks: tuple[Line, ...] = ()
    code: Link | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured, by *devices*, and why. *dtpr* is an element of that taxonomy."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    devices: tuple[Line, ...]
    what: Line
    why: Line
    dtpr: config.Name | None = None

    def __post_init__(self) -> None:
        if not self.devices:
            raise ValueError("name at least one device that measures this")


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be moved or switched, and why."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    device: Line
    what: Line
    why: Line


@dataclass(frozen=True, slots=True)
class Supplier:
    """Who else had a hand in it. *number* is that in the register of companies."""

    __pydantic_config__: ClassVar[Any] = _STRICT

    name: Line
    role: Line
    number: Line = ""
    access: Line = "no access to data"


@dataclass(frozen=True, slots=True)
class Register:
    """A whole register file. *purpose* is from DTPR's list, *themes* are what Dutch registers sort by."""

    name: Line
    summary: Text
    why: Text
    begins: date
    ends: date
    owner: Owner
    objection: Objection
    legal: Legal
    data: Data
    algorithm: Algorithm
    url: Link | None = None
    language: Literal["en", "nl", "fr", "de", "ga", "cy"] = "en"
    purpose: tuple[Line, ...] = ()
    themes: tuple[Line, ...] = ()
    measure: tuple[Measure, ...] = ()
    act: tuple[Act, ...] = ()
    supplier: tuple[Supplier, ...] = ()


def load(path: Path, measures: Iterable[str], acts: Iterable[str]) -> Register:
    """Read the register at *path* of a pole with these devices. Raises ConfigError.

    A register that is silent about a device is refused: people would read that it is not there.
    """
    document = toml.read(path)
    found: Register = config.options(Register, document.data, document, ())
    problems = [
        *_dates(found, document),
        *_purposes(found, document),
        *_told(found, document, "measure", _measured(found), set(measures)),
        *_told(found, document, "act", _acting(found), set(acts)),
    ]
    if problems:
        raise ConfigError(problems)
    return found


def _dates(register: Register, document: toml.Document) -> Iterator[Problem]:
    if register.ends <= register.begins:
        said = f"it ends on {register.ends}, before it begins on {register.begins}: say until when it stands"
        yield document.problem(("ends",), said)


def _purposes(register: Register, document: toml.Document) -> Iterator[Problem]:
    for index, purpose in enumerate(register.purpose):
        if purpose not in PURPOSES:
            hint = did_you_mean(purpose, PURPOSES) or f"; there are: {', '.join(PURPOSES)}"
            yield document.problem(("purpose", index), f'DTPR has no purpose "{purpose}"{hint}')


_Places = Mapping[tuple[str | int, ...], str]


def _measured(register: Register) -> _Places:
    return {
        ("measure", index, "devices", at): name
        for index, measure in enumerate(register.measure)
        for at, name in enumerate(measure.devices)
    }


def _acting(register: Register) -> _Places:
    return {("act", index, "device"): act.device for index, act in enumerate(register.act)}


def _told(
    register: Register, document: toml.Document, table: str, said: _Places, there: set[str]
) -> Iterator[Problem]:
    """Each device of the pole has its place in the register, and each in the register is on the pole."""
    verb = "measures" if table == "measure" else "acts"
    for place, name in said.items():
        if name not in there:
            hint = did_you_mean(name, there) or f"; there are: {', '.join(sorted(there)) or 'none'}"
            yield document.problem(place, f'no device "{name}" {verb} on this pole{hint}')
    for name in sorted(there - set(said.values())):
        text = f"{name} {verb}, and the register does not say so: name it in a [[{table}]]"
        yield document.problem((), text)
