"""The decisions on the page: what was done or not, why, and what it was based on."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.web import words
from gateway.web.markup import Markup, join, tag

NEWEST = 8
"""Decisions on the page; the others are at /decisions."""

Body = dict[str, Any]
_TRUTH = {True: "true", False: "false", None: "not known"}


def decisions(bodies: list[Body], explain: Callable[[Body], str]) -> list[Markup]:
    """Return the newest of *bodies* (newest first), each explained."""
    if not bodies:
        return [tag("p", "It has decided nothing so far.", class_="none")]
    return [tag("ol", *(_decision(body, explain(body)) for body in bodies[:NEWEST]), class_="decisions")]


def _decision(body: Body, explanation: str) -> Markup:
    day, clock, iso = words.moment(body["time"])
    outcome = tag(
        "span", words.OUTCOMES.get(body["outcome"], body["outcome"]), class_=f"chip {body['outcome']}"
    )
    line = tag("div", tag("time", clock, datetime=iso, title=f"{day}, {clock}"), outcome, class_="line")
    first, stop, _ = explanation.partition(". ")
    said = tag("p", first + stop.strip())
    return tag("li", line, tag("div", said, _basis(body)))


def _basis(body: Body) -> Markup:
    """Return what the decision looked at, folded away: what the explanation says after its first sentence."""
    id = f"d-{body['id']}"
    summary = tag("summary", "What it looked at", id=f"{id}-summary")
    link = tag("a", "the record itself", href=f"/decisions/{body['id']}", id=f"{id}-record")
    version = (
        f"Rule {body['rule']}, version {body['version']}, file {body['digest'][:12]}, mode {body['mode']}; "
    )
    parts = (_conditions(body["conditions"]), _inputs(body["inputs"]), tag("p", version, link))
    return tag("details", summary, *parts, id=id)


def _conditions(conditions: list[Mapping[str, Any]]) -> Markup | None:
    if not conditions:
        return None
    return tag("ul", *(tag("li", tag("code", c["text"]), f" was {_TRUTH[c['truth']]}") for c in conditions))


def _inputs(inputs: list[Mapping[str, Any]]) -> Markup | None:
    if not inputs:
        return None
    head = tag("tr", *(tag("th", text, scope="col") for text in ("Input", "Value", "Age")))
    rows = (
        tag("tr", tag("th", i["name"], scope="row"), tag("td", _value(i)), tag("td", _age(i))) for i in inputs
    )
    return tag("table", tag("thead", head), tag("tbody", *rows))


def _value(input: Mapping[str, Any]) -> object:
    value = input.get("value")
    if value is None:
        return join("not known: ", input.get("reason") or "no reading")
    return str(value).lower() if isinstance(value, bool) else f"{value:.6g}"


def _age(input: Mapping[str, Any]) -> str:
    return "" if input.get("age") is None else words.span(input["age"])
