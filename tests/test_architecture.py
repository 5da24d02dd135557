"""The house rule, checked: who may import whom, and where each third party may appear.

cli -> app -> the middle ones, which never know each other -> the base -> drivers.{device,bus}
a part -> drivers.{bus,device,checksum} and what its family shares (drivers.sensirion)
its chip -> drivers.{bus,device,checksum,emulated} and what its family's chips share (drivers.sensirion.chip),
never a driver, its own least of all, nor what drivers share
"""

import ast
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BASE = {"orders", "reading", "config", "clock", "correction", "problem", "toml", "places", "canonical"}
MIDDLE = {"sampler", "derive", "rules", "control", "ledger", "store", "mqtt", "web", "health"}
ENTRANCES = {"gateway.__main__", "gateway.cli"}
WIRES = {"drivers.bus", "drivers.device"}
FAMILIES = {
    *("drivers.sensirion", "drivers.ms58xx", "drivers.ina2xx", "drivers.bme"),
    *("drivers.accelerometer", "drivers.load_cell", "drivers.reed"),
}
"""Each what the drivers of a family share; its module `chip`, if it has one, is what their chips share."""
FOR_PARTS = {*WIRES, "drivers.checksum", "drivers.frozen", *FAMILIES}
FOR_CHIPS = {*WIRES, "drivers.checksum", "drivers.emulated", *(f"{family}.chip" for family in FAMILIES)}
OWNERS = {
    "smbus2": ("drivers.linux",),
    "gpiozero": ("drivers.header",),
    "lgpio": ("drivers.header",),
    "sqlite_utils": ("gateway.store",),
    "aiomqtt": ("gateway.mqtt",),
    "paho": ("gateway.mqtt",),
    "fastapi": ("gateway.web",),
    "starlette": ("gateway.web",),
    "uvicorn": ("gateway.web",),
    "h11": ("gateway.web",),
    "prometheus_client": ("gateway.web",),
    "pydantic": ("gateway.config", "gateway.web"),
    "pydantic_core": ("gateway.config", "gateway.web", "gateway.store.digits"),
    "rich": ("gateway.terminal",),
    "plotext": ("gateway.terminal",),
    "pyvrp": ("gateway.rounds",),
    "sensirion_gas_index_algorithm": ("drivers.air.sgp41",),
    "iotcore": ("gateway.demo",),
    "cryptography": ("gateway.ledger.signer",),
    "segno": ("gateway.web.qr",),
}
"""The only modules (and what lies in them) that may import each third party; no other is allowed at all."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import: who, of what, in which line, and whether it waits inside a function."""

    by: str
    of: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.by}, line {self.line}: imports {self.of}"


def modules(root: Path) -> dict[str, Path]:
    """Return every module of the two packages under *root*: dotted name and file."""
    files = [path for top in ("gateway", "drivers") for path in sorted((root / top).rglob("*.py"))]
    return {_dotted(path.relative_to(root)): path for path in files}


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(name: str, path: Path, known: set[str]) -> Iterator[Import]:
    """Yield every import in one module, relative and dynamic ones as their absolute names."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node, lazy in _nodes(ast.parse(path.read_text(), str(path))):
        for target in _targets(node, package, known):
            yield Import(name, target, getattr(node, "lineno", 0), lazy)


def _nodes(tree: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node of *tree* as `ast.walk` does, and whether it waits inside a function."""
    left = deque([(tree, False)])
    while left:
        node, lazy = left.popleft()
        yield node, lazy
        within = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        left.extend((child, within) for child in ast.iter_child_nodes(node))


def _targets(node: ast.AST, package: str, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        stem = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
        base = ".".join(filter(None, (stem, node.module)))
        for alias in node.names:
            yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base
    elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
        yield from (str(given.value) for given in node.args[:1] if isinstance(given, ast.Constant))


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def inside(module: str, package: str) -> bool:
    """Whether *module* is *package* or lies in it."""
    return module == package or module.startswith(f"{package}.")


def faults(root: Path) -> list[str]:
    """Return every import under *root* that the house forbids, as a sentence."""
    files = modules(root)
    known = set(files)
    every = [found for name, path in files.items() for found in imports(name, path, known)]
    return [f"{found}: {why}" for found in every for why in _why_not(found)]


def _why_not(found: Import) -> Iterator[str]:
    top = found.of.split(".")[0]
    if top == "tests":
        yield "nothing imports the tests"
    elif top not in {"gateway", "drivers", *sys.stdlib_module_names}:
        if not any(inside(found.by, owner) for owner in OWNERS.get(top, ())):
            yield f"{top} belongs to {' and '.join(OWNERS.get(top, ('nobody',)))}"
    elif inside(found.by, "drivers"):
        yield from _why_not_in_drivers(found, top)
    else:
        yield from _why_not_in_gateway(found, top)


def _why_not_in_drivers(found: Import, top: str) -> Iterator[str]:
    if top == "gateway":
        yield "drivers do not know the gateway"
    elif top == "drivers":
        yield from _why_not_among_drivers(found, found.by.split("."))


def _why_not_among_drivers(found: Import, by: list[str]) -> Iterator[str]:
    own = ".".join(by[:3])
    if by[-1] == "chip":
        if found.of not in FOR_CHIPS:
            yield "a chip knows bus, device, checksum, emulated, and what its family's chips share: no driver"
    elif found.by in FAMILIES:
        if found.of not in FOR_PARTS:
            yield "what a family shares knows bus, device and checksum, but no part and no chip"
    elif len(by) < 3:
        if len(found.of.split(".")) > 2:
            yield "what all parts share knows no part"
    elif found.of == f"{own}.chip" or not (found.of in FOR_PARTS or inside(found.of, own)):
        yield "a part knows bus, device, checksum, and what its family shares"


def _why_not_in_gateway(found: Import, top: str) -> Iterator[str]:
    layer = found.by.split(".")[1] if "." in found.by else ""
    if top == "drivers" and layer in BASE | MIDDLE and found.of not in WIRES:
        yield "only the app opens buses and builds drivers; the rest knows drivers.bus and drivers.device"
    if top != "gateway":
        return
    target = found.of.split(".")[1] if "." in found.of else ""
    if layer in MIDDLE and target not in {layer, *BASE}:
        yield "the middle ones do not know each other: declare a Protocol, the app hands it over"
    elif layer in BASE and target not in BASE:
        yield "the base knows nothing above it"
    elif found.of in ENTRANCES and found.by not in ENTRANCES:
        yield "nothing knows the command line"
    elif target == "web" and layer != "web" and not found.lazy:
        yield "gateway.web is imported where HTTP is enabled, inside the function that starts it"


def test_the_house_rule_holds() -> None:
    assert faults(ROOT) == []


def test_every_layer_that_the_rule_names_is_looked_at() -> None:
    """A renamed module must not slip out of the rule."""
    found = {name.split(".")[1] for name in modules(ROOT) if name.startswith("gateway.")}
    assert found >= BASE | MIDDLE


PLANTED = [
    ("drivers/air/sen66/__init__.py", "from gateway.reading import Reading", "drivers do not know"),
    ("drivers/air/sen66/__init__.py", "from drivers.air.sen66.chip import Emulated", "a part knows"),
    ("drivers/air/sen66/__init__.py", "from .chip import Emulated", "a part knows"),
    ("drivers/air/sen66/__init__.py", "from drivers.noise import dbm", "a part knows"),
    ("drivers/air/sen66/__init__.py", "from drivers.emulated import Span", "a part knows"),
    ("drivers/air/sen66/__init__.py", "import numpy", "belongs to nobody"),
    ("drivers/air/sen66/chip.py", "from drivers.air.sen66 import decode", "no driver"),
    ("drivers/air/sen66/chip.py", "from . import decode", "no driver"),
    ("drivers/air/sen66/chip.py", "from drivers.sensirion import checked", "no driver"),
    ("drivers/air/sen66/__init__.py", "from drivers.sensirion.chip import framed", "a part knows"),
    ("drivers/sensirion/__init__.py", "from drivers.air import sen66", "no part and no chip"),
    ("drivers/sensirion/__init__.py", "from .chip import framed", "no part and no chip"),
    ("drivers/sensirion/__init__.py", "from drivers.emulated import Span", "no part and no chip"),
    ("drivers/sensirion/chip.py", "from drivers.sensirion import guarded", "no driver"),
    ("drivers/sensirion/chip.py", "from drivers.air.sen66.chip import Emulated", "no driver"),
    ("drivers/emulated.py", "from drivers.air import sen66", "knows no part"),
    ("drivers/noise/dbm/__init__.py", "import smbus2", "belongs to drivers.linux"),
    ("drivers/device.py", "import drivers.noise.dbm", "knows no part"),
    ("gateway/rules/engine.py", "from gateway import control", "do not know each other"),
    ("gateway/rules/engine.py", "from ..control import Control", "do not know each other"),
    ("gateway/store.py", "from gateway.mqtt.delivery import Delivery", "do not know each other"),
    ("gateway/store.py", "from gateway.app import main", "do not know each other"),
    ("gateway/sampler.py", "from drivers.linux import LinuxI2C", "only the app opens buses"),
    ("gateway/sampler.py", "import drivers", "only the app opens buses"),
    ("gateway/sampler.py", "import importlib as i\ni.import_module('rich')", "belongs to gateway.terminal"),
    ("gateway/reading.py", "from gateway.store import Store", "the base knows nothing above it"),
    ("gateway/app.py", "from gateway.web import serve", "inside the function"),
    ("gateway/app.py", "from gateway import cli", "nothing knows the command line"),
    ("gateway/app.py", "from fastapi import FastAPI", "belongs to gateway.web"),
    ("gateway/rules/engine.py", "def late():\n    import sqlite_utils", "belongs to gateway.store"),
    ("gateway/app.py", "from tests import conftest", "nothing imports the tests"),
    ("gateway/control/__init__.py", "import cryptography", "belongs to gateway.ledger.signer"),
    ("gateway/reading.py", "from gateway.rules import syntax", "the base knows nothing above it"),
]


@pytest.mark.parametrize(("file", "text", "why"), PLANTED)
def test_a_planted_import_is_found(tmp_path: Path, file: str, text: str, why: str) -> None:
    plant(tmp_path, file, text)
    found = faults(tmp_path)
    assert len(found) == 1
    assert why in found[0]


ALLOWED = [
    ("gateway/app.py", "def serve():\n    from gateway.web import build"),
    ("gateway/app.py", "from drivers.linux import LinuxI2C\nfrom gateway import control, rules"),
    ("gateway/rules/engine.py", "from . import syntax\nfrom gateway.reading import Reading"),
    ("gateway/store.py", "import sqlite3\ndef migrate():\n    import sqlite_utils"),
    ("drivers/air/sen66/__init__.py", "import struct\nfrom drivers.bus import I2C\nfrom . import frames"),
    ("drivers/air/sen66/__init__.py", "from drivers import sensirion\nfrom drivers.sensirion import Port"),
    ("drivers/air/sen66/chip.py", "from drivers.emulated import Span\nfrom drivers.checksum import crc8"),
    ("drivers/air/sen66/chip.py", "from drivers.sensirion.chip import framed"),
    ("drivers/sensirion/chip.py", "from drivers.bus import I2C\nfrom drivers.device import Quantity"),
    ("gateway/cli.py", "from gateway import app"),
]


@pytest.mark.parametrize(("file", "text"), ALLOWED)
def test_a_proper_import_is_let_through(tmp_path: Path, file: str, text: str) -> None:
    plant(tmp_path, file, text)
    assert faults(tmp_path) == []


def plant(root: Path, file: str, text: str) -> None:
    """Make a small house under *root* in which only *file* imports anything."""
    rooms = [
        *("drivers/__init__.py", "drivers/bus.py", "drivers/device.py", "drivers/linux.py"),
        *(
            "drivers/emulated.py",
            "drivers/checksum.py",
            "drivers/sensirion/__init__.py",
            "drivers/sensirion/chip.py",
        ),
        "drivers/noise/dbm/__init__.py",
        *("drivers/air/sen66/__init__.py", "drivers/air/sen66/chip.py", "drivers/air/sen66/frames.py"),
        *("gateway/__init__.py", "gateway/app.py", "gateway/cli.py", "gateway/reading.py"),
        *("gateway/store.py", "gateway/sampler.py", "gateway/control/__init__.py", "gateway/web/__init__.py"),
        *("gateway/rules/__init__.py", "gateway/rules/engine.py", "gateway/rules/syntax.py"),
        *("gateway/mqtt/__init__.py", "gateway/mqtt/delivery.py"),
    ]
    for room in rooms:
        path = root / room
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if room == file else "")
