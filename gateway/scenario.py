"""Scenarios: what happens on the emulated street, and what goes wrong with its parts."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from drivers.device import Clock
from drivers.faults import ROUGH, Faults, Plan
from drivers.script import Script
from drivers.street import Street
from gateway import config, toml
from gateway.problem import ConfigError

KEYS = ("says", "seed", "street", "faults")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the file *says* in plain words, what happens, and what goes wrong, by *seed*."""

    says: str = ""
    seed: int = 1
    script: Script = field(default_factory=Script)
    plan: Plan = field(default_factory=Plan)

    def street(self, clock: Clock) -> Street:
        """Return the street on which it happens."""
        faults = Faults(self.seed, self.plan, clock)
        return Street(clock, self.seed, self.script, faults)


def scenario(name: Path | None, seed: int | None) -> Scenario | None:
    """Return the scenario *name*, a file or one that comes along, by *seed* where it is given.

    Without a name *seed* makes a bad day of the usual street; without either there is no scenario. Raises
    ConfigError for a file that is none.
    """
    if name is None:
        return None if seed is None else Scenario("a bad day", seed, plan=ROUGH)
    found = load(_place(name))
    return found if seed is None else replace(found, seed=seed)


def load(path: Path) -> Scenario:
    """Read the scenario at *path*. Raises ConfigError, with a line for each problem."""
    document = toml.read(path)
    data = document.data
    problems = [
        document.problem((key,), f'a scenario has no key "{key}"; it may have: {", ".join(KEYS)}')
        for key in data
        if key not in KEYS
    ]
    if problems:
        raise ConfigError(problems)
    whole = {"says": data.get("says", ""), "seed": data.get("seed", 1)}
    head: Any = config.options(_Head, whole, document, ())
    script: Any = config.options(Script, _table(data, "street"), document, ("street",))
    plan: Any = config.options(Plan, _table(data, "faults"), document, ("faults",))
    return Scenario(head.says, head.seed, script, plan)


@dataclass(frozen=True, slots=True)
class _Head:
    says: str
    seed: int


def _table(data: Any, name: str) -> dict[str, Any]:
    found = data.get(name, {})
    return found if isinstance(found, dict) else {name: found}


def _place(name: Path) -> Path:
    """Return the file *name*, or the one of that name that comes with a checkout or an installation."""
    places = (
        Path(__file__).parent.parent / "deploy" / "scenarios",
        Path(sys.prefix) / "share" / "lamppost" / "scenarios",
    )
    told = [place / f"{name}.toml" for place in places]
    return next((each for each in (name, *told) if each.is_file()), name)
