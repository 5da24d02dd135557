"""The documents are part of the product: what they list must be what there is."""

import argparse
import json
import re
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import pytest
from pydantic import TypeAdapter

import drivers
from drivers.device import UNITS, Missing, Quantity
from gateway import VERSION, orders, toml
from gateway.cli import parser
from gateway.clock import Instant, LoopClock, Quality
from gateway.config import Derive
from gateway.derive import Source, design, kinds
from gateway.ledger.chain import Head
from gateway.ledger.checkpoint import opened
from gateway.ledger.note import Verifier
from gateway.mqtt import limits
from gateway.mqtt.batch import Envelope
from gateway.mqtt.receipts import receipt
from gateway.reading import (
    Answer,
    Condition,
    Decision,
    Event,
    Gap,
    Input,
    Lane,
    OrderKind,
    Outcome,
    Reading,
    Record,
    encode,
)
from gateway.store.blocks import Run
from tests.options import every_option

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
AT = Instant(0.0, 0.0, "boot", Quality.SYNCHRONIZED)


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row in *text* whose first cell is code."""
    lines = (line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| \[?`", line))
    return [[cell.strip() for cell in line] for line in lines]


def sections(text: str) -> dict[str, str]:
    """Return what stands under each second-level heading that is code, by the code."""
    parts = re.split(r"^## `([^`]+)`\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def code(cell: str) -> list[str]:
    """Return every piece of code in a cell."""
    return re.findall(r"`([^`]*)`", cell)


# Configuration


def documented() -> dict[str, str]:
    """Return every key of docs/configuration.md with the text of its default."""
    found = sections((DOCS / "configuration.md").read_text())
    return {
        f"{title.strip('[]')}.{code(key)[0]}": default
        for title, text in found.items()
        for key, default, _ in rows(text)
    }


def test_every_key_of_the_configuration_is_documented_and_no_other() -> None:
    assert set(documented()) == set(every_option())


@pytest.mark.parametrize("name", every_option())
def test_the_documented_default_is_the_default(name: str) -> None:
    field, said = every_option()[name], documented()[name]
    if field.is_required():
        assert said == "required"
    elif (default := field.get_default(call_default_factory=True)) in (None, {}):
        assert said == "none"
    else:
        written = tomllib.loads(f"value = {code(said)[0]}")["value"]
        kind: Any = field.annotation
        for rule in field.metadata:
            kind = Annotated[kind, rule]
        assert TypeAdapter(kind).validate_python(written) == default


# Streams


PAGES = sorted((DOCS / "streams").glob("*.md"))
STREAMS = {kind: text for page in PAGES for kind, text in sections(page.read_text()).items()}
DEVICES = "air gas gas_auxiliary noise river river2 weather slope bin bin_scale eye gauge wind vane thermal"
AROUND = {Source(device, quantity): 1.0 for device in DEVICES.split() for quantity in Quantity}
"""Every reading that a sample may be made from."""


def test_every_kind_of_stream_is_documented_and_no_other() -> None:
    assert set(STREAMS) == set(kinds.names())


@pytest.mark.parametrize("kind", sorted(kinds.names()))
def test_the_keys_of_a_kind_are_documented_with_their_defaults(kind: str) -> None:
    wanted = {each.name: each for each in fields(kinds.load(kind).options)}
    said = {
        code(row[0])[0]: row[1] for row in rows(STREAMS[kind].partition("| key |")[2].partition("\n\n")[0])
    }
    assert set(said) == set(wanted)
    for name, option in wanted.items():
        default = option.default if option.default is not MISSING else option.default_factory
        if default is MISSING:
            assert said[name] == "required", name
        elif default in (None, ""):
            assert said[name] == "none", name
        else:
            kind_of: Any = get_type_hints(kinds.load(kind).options, include_extras=True)[name]
            written = tomllib.loads(f"value = {code(said[name])[0]}")["value"]
            assert TypeAdapter(kind_of).validate_python(written) == default, name


@pytest.mark.parametrize("kind", sorted(kinds.names()))
def test_the_sample_of_a_kind_is_one(kind: str) -> None:
    samples = re.findall(r"```toml\n(.*?)```", STREAMS[kind], re.DOTALL)
    assert samples
    for sample in samples:
        document = toml.parse(sample, "sample.toml")
        made = [
            design(Derive.model_validate(table), AROUND, document, ("derive", number), "Europe/Dublin")
            for number, table in enumerate(document.data["derive"])
        ]
        assert kind in {each.settings.kind for each in made}
        assert all(each.gives for each in made)


# Quantities, drivers, commands


def test_every_quantity_is_documented_with_its_unit() -> None:
    table = {code(row[0])[0]: code(row[1])[0] for row in rows((DOCS / "quantities.md").read_text())}
    assert table == {str(quantity): unit for quantity, unit in UNITS.items()}


def driver_rows() -> dict[str, list[str]]:
    return {code(row[0])[0]: row for row in rows((DOCS / "drivers.md").read_text())}


def test_every_driver_is_documented_and_no_other() -> None:
    assert {name: row[1] for name, row in driver_rows().items()} == drivers.names()


class Nothing:
    """A bus that nobody asks anything."""


def possible(part: drivers.Part) -> set[str]:
    """Return what a driver can measure, with any of its options."""
    if part.on == "wrapper":
        return set()
    hints = get_type_hints(part.options)
    choices = {name: get_args(hints[name]) for name in ("quantity", "gas") if get_args(hints.get(name))}
    variants = [part.options(**{name: each}) for name, chosen in choices.items() for each in chosen]
    variants = variants or [part.options()]
    address = part.addresses[0] if part.addresses else 1
    return {
        str(q) for each in variants for q in part.driver(Nothing(), address, LoopClock(), each).quantities
    }


@pytest.mark.parametrize("name", drivers.names())
def test_a_driver_is_documented_as_it_is(name: str) -> None:
    part, row = drivers.load(name), driver_rows()[name]
    link = re.search(r"\]\((.*)\)", row[0])
    assert link
    assert (DOCS / link[1]).is_file()
    assert set(code(row[4])) == possible(part)
    on = {"pins": "line", "analog": "channel"}.get(part.on)
    assert on is None or row[3] == on
    ends = {f"{address:#04x}" for address in (part.addresses[:1] + part.addresses[-1:])}
    listed = set(code(row[3]))
    assert listed >= ends
    assert listed <= {f"{address:#04x}" for address in part.addresses}


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return every subcommand of `lamppost`."""
    (found,) = (each.choices for each in parser()._actions if isinstance(each.choices, dict))
    return found


def options(command: argparse.ArgumentParser) -> set[str]:
    return {
        name for action in command._actions for name in action.option_strings if name not in ("-h", "--help")
    }


def test_every_command_is_documented_and_no_other() -> None:
    found = sections((DOCS / "commands.md").read_text())
    assert set(found) == {f"lamppost {name}" for name in commands()}


@pytest.mark.parametrize("name", commands())
def test_every_option_of_a_command_is_documented_and_no_other(name: str) -> None:
    text = sections((DOCS / "commands.md").read_text())[f"lamppost {name}"]
    assert {word.split()[0] for row in rows(text) for word in code(row[0])} == options(commands()[name])


def test_the_options_before_the_command_are_documented() -> None:
    head = (DOCS / "commands.md").read_text().partition("\n## ")[0]
    assert {word for row in rows(head) for word in code(row[0])} == options(parser())


# Messages

SAMPLES: dict[str, Record] = {
    "reading": Reading("air", AT, {Quantity.PM1: 1.0}, {Quantity.CO2: Missing.WARMING_UP}),
    "event": Event("lamppost.x", "x", AT, {}),
    "decision": Decision(
        *(AT, "r", 1, "d", "off", "c", "a", Outcome.ACTED, ("why",)),
        inputs=(Input("x.fill", 1.0, 1.0), Input("x.closed", None, 1.0, "why")),
        conditions=(Condition("x", True), Condition("y", None)),
    ),
    "gap": Gap(AT, Lane.TELEMETRY, 1, 2, "full"),
}


def examples(mark: str) -> list[Any]:
    """Return the JSON examples of docs/messages.md that stand after the comment *mark*, parsed."""
    text = (DOCS / "messages.md").read_text()
    return [json.loads(each) for each in re.findall(rf"<!-- {mark} -->\n```json\n(.*?)```", text, re.DOTALL)]


def shape(value: Any) -> Any:
    """Return the keys of *value*, at every depth."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else None


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_documented_record_has_the_shape_of_a_real_one(kind: str) -> None:
    (example,) = examples(f"record: {kind}")
    real = json.loads(encode(SAMPLES[kind]))
    if kind == "decision":
        link, _ = Head().link(real)
        real |= link.body
    for free in ("values", "missing", "data"):  # what is in these depends on the device or the rule
        example.pop(free, None)
        real.pop(free, None)
    assert shape(example) == shape(real)
    assert list(example)[:5] == list(real)[:5]


def test_the_documented_quantities_and_reasons_exist() -> None:
    (reading,) = examples("record: reading")
    assert {Quantity(name) for name in (*reading["values"], *reading["missing"])}
    assert {Missing(reason) for reason in reading["missing"].values()}


def test_the_documented_batch_has_the_shape_of_a_real_one() -> None:
    (example,) = examples("batch")
    bodies = [json.dumps(record) for record in example["records"]]
    run = Run(example["first"], example["first"] + len(bodies) - 1, ",".join(bodies).encode())
    envelope = Envelope(example["gateway"], example["epoch"], Lane(example["lane"]))
    real = json.loads(envelope.seal(run))
    assert example == real


def test_the_documented_order_is_one() -> None:
    (order,), (answer,) = examples("order"), examples("answer")
    read = orders.parse(json.dumps(order).encode(), "ann", "mqtt")
    assert set(order) == set(orders.KEYS)
    assert answer["order"] == read.id
    assert set(answer) == {each.name for each in fields(Answer)}
    table = (DOCS / "messages.md").read_text().partition("## Orders")[2].partition("The answer")[0]
    assert {code(row[0])[0] for row in rows(table)} == set(orders.KEYS)
    assert set(code(rows(table)[1][1])) == set(OrderKind)


def test_the_documented_limits_are_obeyed() -> None:
    (asked,) = examples("limits")
    assert limits.read(json.dumps(asked).encode()) == limits.Limits(**asked)
    table = (DOCS / "messages.md").read_text().partition("## Limits")[2].partition("Only readings")[0]
    assert {code(row[0])[0] for row in rows(table)} == set(asked)


def test_the_documented_receipt_is_one() -> None:
    (example,) = examples("receipt")
    assert json.loads(receipt(**example)) == example


def test_the_other_examples_are_json() -> None:
    status, will, note, meta = examples("json")
    assert opened(note["checkpoint"], [Verifier.parse(note["key"])]).size == note["size"]
    assert status["online"] is True
    assert will["online"] is False
    assert {unit for device in meta["devices"].values() for unit in device["units"].values()} <= set(
        UNITS.values()
    )


@pytest.mark.parametrize(("heading", "values"), [("| reason |", Missing), ("| outcome |", Outcome)])
def test_every_reason_and_outcome_is_documented(heading: str, values: type[Missing] | type[Outcome]) -> None:
    table = (DOCS / "messages.md").read_text().partition(heading)[2].partition("\n\n")[0]
    assert {code(row[0])[0] for row in rows(table)} == set(values)


def test_every_type_of_event_is_documented() -> None:
    """A type is a text of three words or more; two are a logger."""
    sources = "".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    types = set(re.findall(r'"(lamppost\.[a-z_]+\.[a-z_.]+)"', sources)) | {"lamppost.collection.requested"}
    table = (DOCS / "messages.md").read_text().partition("| type |")[2].partition("\n\n")[0]
    assert types <= {each for row in rows(table) for each in code(row[0])}


# All of it


def pages() -> list[Path]:
    """Return every text of the project that people read."""
    places = ("*.md", "docs/**/*.md", "deploy/**/*.md", "drivers/**/*.md")
    return sorted(path for place in places for path in ROOT.glob(place) if ".venv" not in path.parts)


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_each_decision_has_one_page_of_the_same_shape() -> None:
    found = sorted((DOCS / "decisions").glob("*.md"))
    assert [path.name[:4] for path in found] == [f"{number:04}" for number in range(1, len(found) + 1)]
    for path in found:
        text = path.read_text()
        assert text.startswith(f"# {int(path.name[:4])}. ")
        assert {"## Question", "## Decision", "## What follows"} <= set(text.splitlines())


def test_the_guide_to_drivers_comes_first() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert headings[0] == "Add a driver"


def test_the_version_has_its_place_in_the_changelog() -> None:
    assert f"\n## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


# What is pinned


def pinned(name: str) -> dict[str, str]:
    """Return every package of a requirements file and its version."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / name).read_text(), re.MULTILINE))


def test_the_requirements_agree_with_each_other() -> None:
    daemon, demo, dev = map(pinned, ("requirements.txt", "requirements-demo.txt", "requirements-dev.txt"))
    assert daemon.items() <= demo.items() <= dev.items()
    assert "iotcore" in demo
    assert "iotcore" not in daemon


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-demo.txt", "requirements-dev.txt"])
def test_the_requirements_are_hashed_and_say_nothing_of_a_machine(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert re.findall(r"--index-url|--find-links|https?:|file:|/\w+/", text) == []


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = {
        "requirements.txt": project["dependencies"],
        "requirements-demo.txt": extras["demo"],
        "requirements-dev.txt": extras["dev"],
    }
    for file, wanted in asked.items():
        names = {re.split(r"[>=<;\s\[]", each)[0] for each in (*wanted, "setuptools")}
        assert names - set(pinned(file)) == set()
