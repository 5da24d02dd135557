"""Sign data for DTPR, Digital Trust for Places and Routines: a data chain of elements by category.

Categories and elements are those of the taxonomy's version 1 (dtpr.io, namespaces category/v0.2 and
element/v0.2, content of 2025-08-29): those of the chain `device`, and `rights` and `decision` of `ai`. Where
the taxonomy has no element that would be true (a sound level meter is no `microphone`: it hands out no
audio), the entry has a title and no element.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.app.register.facts import OVERSIGHT, Facts
from gateway.app.register.file import Measure

VERSION = "2025-08-29"
"""The date of the taxonomy's content."""

TECHNOLOGIES: Mapping[str, str] = {"air": "air_quality", "weather": "weather_station"}
"""What the devices of a domain are in the taxonomy, where it has a true word for all of them."""


def record(facts: Facts) -> dict[str, Any]:
    """Return the data chains of the pole."""
    register = facts.register
    return {
        "schema": {"name": "DTPR Datachain", "taxonomy": "https://dtpr.io/taxonomy", "version": VERSION},
        "id": facts.gateway,
        "title": _text(facts, register.name),
        "description": _text(facts, register.summary),
        "place": {"name": facts.where, **{key: facts.place.get(key) for key in ("latitude", "longitude")}},
        "url": register.url,
        "elements": list(_device(facts)) + list(_decisions(facts)),
    }


def _device(facts: Facts) -> Iterator[dict[str, Any]]:
    register = facts.register
    yield _entry(facts, "device__accountable", "organization", register.owner.organisation)
    for purpose in register.purpose:
        yield _entry(facts, "device__purpose", purpose, purpose.replace("_", " ").capitalize(), register.why)
    if not register.purpose:
        yield _entry(facts, "device__purpose", None, register.name, register.why)
    for measure in register.measure:
        yield _entry(facts, "device__tech", _technology(facts, measure), measure.what, measure.why)
    for act in register.act:
        yield _entry(facts, "device__tech", None, act.what, act.why)
    yield _entry(facts, "device__data", "values_time", "Values over time")
    if register.legal.personal_data:
        yield _entry(facts, "device__data", "personal", "Personal data", register.legal.basis)
    yield _entry(facts, "device__process", "raw_data", "Values as measured", "and figures made from them")
    yield from _access(facts)
    stored = "stored_locally" if register.data.stored == "locally" else "stored_on_3rd_party_cloud"
    yield _entry(facts, "device__storage", stored, register.data.where)
    yield _entry(facts, "device__retention", "data_retained", register.data.kept)


def _access(facts: Facts) -> Iterator[dict[str, Any]]:
    access, data = "device__access", facts.register.data
    yield _entry(facts, access, "available_to_the_accountable_organization", data.shared)
    if data.public:
        yield _entry(facts, access, "available_to_download", "Open data")


def _decisions(facts: Facts) -> Iterator[dict[str, Any]]:
    for rule in facts.rules:
        yield _entry(facts, "ai__decision", None, str(rule["says"]), OVERSIGHT[str(rule["mode"])])
    if facts.rules:
        objection = facts.register.objection
        yield _entry(facts, "ai__rights", "right_contest", objection.how, objection.answer)
        said = "Each decision, with its reasons and inputs, is public on the pole's own page."
        yield _entry(facts, "ai__rights", "right_algorithmic_transparency", said)


def _technology(facts: Facts, measure: Measure) -> str | None:
    domains = {facts.domains.get(name, "") for name in measure.devices}
    return measure.dtpr or (TECHNOLOGIES.get(domains.pop()) if len(domains) == 1 else None)


def _entry(facts: Facts, category: str, element: str | None, title: str, more: str = "") -> dict[str, Any]:
    return {
        "category_id": category,
        "element_id": element,
        "title": _text(facts, title),
        "description": _text(facts, more) if more else [],
    }


def _text(facts: Facts, value: str) -> list[dict[str, str]]:
    return [{"locale": facts.register.language, "value": value}]
