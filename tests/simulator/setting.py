"""The pole of every life: its configuration and rules, checked once, and an empty store to copy."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from gateway import config
from gateway.app.check import Plan, plan
from gateway.people import People, Person
from gateway.reading import OrderKind
from gateway.store.file import open_database
from gateway.store.schema import check
from tests.simulator.world import START

GATEWAY, EPOCH = "sim", "0badcafe"
PEOPLE = People((Person("ada", tuple(OrderKind)),), lambda: date(2026, 9, 22))
"""Whom the gateway obeys; everybody else is refused."""

HOLD = {"hot": 25.0, "damp": 0.0}
"""The rules' shortest times of firing [s]."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the guard of a switch keeps to, told to the judge apart from the configuration [s]."""

    max_on: float
    min_off: float
    lease: float
    lid: bool = False


BOUNDS = {
    "siren": Bounds(max_on=40.0, min_off=6.0, lease=90.0),
    "pump": Bounds(max_on=20.0, min_off=12.0, lease=60.0, lid=True),
}
PER_HOUR = (2, 12)
"""How often a switch may go on in an hour: a life has one of these."""

LID_STALE = 90.0
"""Age [s] beyond which nobody knows whether the lid is closed."""

_POLE = """
[gateway]
id = "sim"
[store]
path = "store.db"
[header]
chip = "emulated:street"
[rules]
files = ["rules.toml"]
[[bus]]
id = "i2c"
path = "emulated:street"
[[device]]
id = "air"
driver = "sht4x"
bus = "i2c"
interval = "20s"
stale = "50s"
[[device]]
id = "lid"
driver = "contact"
line = 17
interval = "40s"
stale = "90s"
[[device]]
id = "siren"
driver = "switch"
line = 23
interval = "120s"
[device.guard]
max_on = "40s"
min_off = "6s"
per_hour = {0}
lease = "90s"
act_unrecorded = false
[[device]]
id = "pump"
driver = "switch"
line = 25
interval = "120s"
[device.guard]
max_on = "20s"
min_off = "12s"
per_hour = {0}
lease = "60s"
permissives = ["lid.closed"]
excludes = ["siren"]
"""

_RULES = """
[[rule]]
id = "hot"
says = "When it is hot for five seconds the siren sounds, for twenty-five seconds at least."
owner = "Heat office <heat@city.example>"
expires = {expires}
mode = "off"
grant = {{ by = "M. Byrne", reason = "nobody is there at night", until = {until} }}
when = "air.temperature >= 30"
clear = "air.temperature < 28"
for = "5s"
hold = "25s"
do = [{{ switch = "siren" }}]
[[rule.test]]
given = {{ "air.temperature" = 32.0 }}
expect = true

[[rule]]
id = "damp"
says = "When it is damp the pump runs for eight seconds, unless somebody objects."
owner = "Drains <drains@city.example>"
expires = {expires}
mode = "on"
veto = "6s"
grant = {{ by = "M. Byrne", reason = "nobody is there at night", until = {until} }}
when = "air.humidity >= 80"
clear = "air.humidity < 70"
do = [{{ switch = "pump", during = "14s" }}, {{ event = "city.damp", subject = "air" }}]
[[rule.test]]
given = {{ "air.humidity" = 90.0 }}
expect = true

[[rule]]
id = "cold"
says = "When it is cold somebody is asked to let the pump run."
owner = "Drains <drains@city.example>"
expires = {expires}
mode = "in"
ask = "40s"
when = "air.temperature < 5"
clear = "air.temperature >= 8"
do = [{{ switch = "pump", during = "10s" }}]
[[rule.test]]
given = {{ "air.temperature" = 1.0 }}
expect = true
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for every life of this machine."""

    plans: Mapping[int, Plan]
    """By how often a switch may go on in an hour."""
    template: Path


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a folder in memory where there is one, so that no card is worn out."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def prepare(folder: Path) -> Setting:
    """Write the configuration into *folder*, check it, and make the empty store."""
    day = datetime.now(UTC).date()
    dates = {"until": day + timedelta(days=100), "expires": day + timedelta(days=200)}
    (folder / "rules.toml").write_text(_RULES.format(**dates))
    template = folder / "template.db"
    opened = open_database(template, GATEWAY, 1 << 30)
    with contextlib.closing(opened.connection) as connection:
        for key, value in (("epoch", EPOCH), ("check", check(EPOCH, GATEWAY))):
            connection.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    plans = {}
    for often in PER_HOUR:
        (folder / "pole.toml").write_text(_POLE.format(often))
        plans[often] = _timeless(plan(folder / "pole.toml"))
    return Setting(plans, template)


def _timeless(found: Plan) -> Plan:
    """Return the plan with the same dates in its rules on whatever day it was checked."""
    until, expires = START + 200 * 86400.0, datetime.fromtimestamp(START, UTC).date() + timedelta(days=400)
    files = [file.renewed(until) for file in found.rules]
    rules = [tuple(replace(rule, expires=expires, digest="0" * 64) for rule in file.rules) for file in files]
    return replace(found, rules=tuple(replace(file, rules=of) for file, of in zip(files, rules, strict=True)))


def store_of(path: Path, commit: float) -> config.Store:
    """Return the settings of the store at *path*."""
    return config.Store(path=path, commit=commit)
