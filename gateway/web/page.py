"""The page: one HTML text from one status. No script is needed to read it; a small one keeps it fresh."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any

from gateway.web import words
from gateway.web.decisions import decisions
from gateway.web.live import live
from gateway.web.markup import Markup, join, markup, tag
from gateway.web.notice import notice
from gateway.web.verdict import fresh, problems
from gateway.web.words import count, span

_HERE = Path(__file__).parent
_STYLE = (_HERE / "page.css").read_text(encoding="utf-8")
_SKELETON = Template((_HERE / "page.html").read_text(encoding="utf-8"))
_ALIVE = re.compile(
    r"<script>.*?</script>\n|<noscript>.*?</noscript>\n|<a class=\"skip\".*?</a>\n", re.DOTALL
)
_SCRIPT = _SKELETON.template.partition("<script>")[2].partition("</script>")[0]


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; style-src {_digest(_STYLE)}; script-src {_digest(_SCRIPT)}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: nothing runs but the page's own style and script, known by their hashes."""

LAMP = Markup(
    '<svg viewBox="0 0 32 32" width="44" height="44" aria-hidden="true">'
    '<path class="post" d="M9 30V11a7 7 0 0 1 14 0v1M5 30h8"/>'
    '<path class="glow" d="M18.5 19 14 30h18l-4.5-11z"/><path class="lamp" d="M18 12h10l1.5 7h-13z"/></svg>'
)

Status = Mapping[str, Any]


def page(status: Status, explain: Callable[[dict[str, Any]], str], register: Status | None = None) -> str:
    """Return the whole page for *status*, in which *explain* puts each decision into words.

    The notice comes first: what the *register* says, and what is so now.
    """
    title = status["place"].get("name") or status["gateway"]
    main = tag(
        "main",
        notice(register, live(status, register, explain)),
        _verdict(problems(status)),
        _section("now", "What it measures", tag("div", *_devices(status), class_="cards")),
        _section("switches", "What it may switch", *_switches(status["switches"])),
        _section("rules", "How it decides", *_rules(status["rules"])),
        _section("decisions", "What it decided", *decisions(status["decisions"], explain)),
        _section("records", "What became of its records", *_records(status)),
    )
    body = join(_head(title, status), main, _foot(status))
    return _SKELETON.substitute(title=markup(f"{title} · Lamppost"), style=_STYLE, body=body)


def paper(register: Status) -> str:
    """Return the notice alone, for where no gateway runs: what only a running one knows is left out."""
    title = register["place"].get("name") or register["gateway"]
    where = " · ".join(filter(None, [f"Gateway {register['gateway']}", words.place(register["place"])]))
    head = tag("header", LAMP, tag("div", tag("h1", title), tag("p", where)), id="head")
    body = join(head, tag("main", notice(register, None)))
    html = _SKELETON.substitute(title=markup(f"{title} · Lamppost"), style=_STYLE, body=body)
    return _ALIVE.sub("", html)


def _section(id: str, title: str, *parts: object) -> Markup:
    heading = tag("h2", title, id=f"{id}-title")
    return tag("section", heading, *parts, id=id, class_="live", aria_labelledby=f"{id}-title")


def _head(title: str, status: Status) -> Markup:
    day, clock, iso = words.moment(status["time"])
    where = " · ".join(filter(None, [f"Gateway {status['gateway']}", words.place(status["place"])]))
    now = tag("time", tag("b", clock), f" {words.zone(status['time'])}", tag("span", day), datetime=iso)
    names = tag("div", tag("h1", title), tag("p", where))
    return tag("header", LAMP, names, tag("p", now, class_="clock"), id="head", class_="live")


def _verdict(found: list[str]) -> Markup:
    if not found:
        text = tag("h2", "Everything works.", id="verdict-title")
    else:
        things = "One thing needs" if len(found) == 1 else f"{len(found)} things need"
        text = join(tag("h2", f"{things} attention.", id="verdict-title"), _list(found))
    kind = "verdict live" + (" bad" if found else " good")
    return tag("section", tag("div", text, class_=kind.replace(" live", "")), id="verdict", class_="live")


def _list(sentences: Iterable[str]) -> Markup:
    return tag("ul", *(tag("li", sentence) for sentence in sentences))


def _devices(status: Status) -> list[Markup]:
    if not status["devices"]:
        return [tag("p", "No device is configured.", class_="none")]
    return [_device(device, status["time"]) for device in status["devices"]]


def _device(device: Status, now: float) -> Markup:
    kind = "card" if fresh(device, now) else "card old"
    title = tag("h3", words.name(device["id"]), chip(device["state"], device["state"]))
    return tag("article", title, _values(device), _provenance(device, now), class_=kind)


def chip(text: str, kind: str) -> Markup:
    """Return a short word that stands out, coloured by *kind*."""
    return tag("span", text, class_=f"chip {kind}")


def _values(device: Status) -> Markup:
    latest = device["latest"]
    if not latest:
        return tag("p", "No reading so far.", class_="none")
    rows = {q: _value(q, v, device["units"].get(q, "1")) for q, v in latest["values"].items()}
    rows |= {q: _missing(q, why) for q, why in latest.get("missing", {}).items()}
    head = tag("tr", tag("th", "Quantity", scope="col"), tag("th", "Value", scope="col"))
    caption = tag("caption", f"Latest reading of {device['id']}")
    return tag(
        "table", caption, tag("thead", head), tag("tbody", *(rows[q] for q in sorted(rows, key=words.order)))
    )


def _value(quantity: str, number: float, unit: str) -> Markup:
    text, sign = words.value(quantity, number, unit)
    shown = join(tag("b", text), " ", tag("span", sign, class_="unit")) if sign else tag("b", text)
    return _row(quantity, tag("td", shown, title=f"{number} {unit}"))


def _missing(quantity: str, why: str) -> Markup:
    return _row(quantity, tag("td", f"no value: {words.MISSING.get(why, why)}", class_="missing"))


def _row(quantity: str, cell: Markup) -> Markup:
    return tag("tr", tag("th", words.label(quantity), scope="row"), cell)


def _provenance(device: Status, now: float) -> Markup:
    """Say where the values come from, how old they are, and how often the device failed."""
    places = (("on {}", "bus"), ("at 0x{:02X}", "address"), ("on line {}", "line"))
    known = [text.format(device[key]) for text, key in places if device.get(key) is not None]
    where = " ".join([device["driver"], *known])
    latest = device["latest"]
    age = f"Read {span(now - latest['time'])} ago, " if latest else "To be read "
    parts = [f"{age}every {span(device['interval'])}", words.many(device["measures"], "time")]
    parts += [words.many(device["failures"], "failure")] if device["failures"] else []
    parts += [f"{count(device['missed'])} missed"] if device["missed"] else []
    lines = [where, " · ".join(parts)]
    if device["state"] != "running" and device["reason"]:
        lines.insert(0, f"For {span(device['since'])}: {device['reason']}")
    return tag("footer", *(tag("p", line) for line in lines))


def _switches(switches: list[Status]) -> list[Markup]:
    if not switches:
        return [tag("p", "This pole switches nothing.", class_="none")]
    return [tag("div", *map(_switch, switches), class_="cards")]


def _switch(switch: Status) -> Markup:
    state = "on" if switch["on"] else "off"
    press = switch.get("press")
    broken = press is not None and press["phase"] == "fault"
    shown = chip("out of order", "failed") if broken else chip(state, state)
    title = tag("h3", words.name(switch["id"]), shown)
    blocked = [switch["blocked"]] if isinstance(switch["blocked"], str) else switch["blocked"]
    lines = [_limits(switch), f"Went on {words.many(switch['cycles'], 'time')} since the start"]
    if switch["since"] is not None and not broken:
        lines.insert(0, f"{state.capitalize()} for {span(switch['since'])}{_holder(switch['held_by'])}")
    if press is not None:
        lines = [*_press(press), *lines]
    reasons = [tag("p", "May not go on now:"), _list(blocked)] if blocked and not switch["on"] else []
    return tag("article", title, *(tag("p", line) for line in lines), *reasons, class_=f"card switch {state}")


def _press(press: Status) -> list[str]:
    """Return what a press is doing, what is wrong with it, and what it has done."""
    done = f"{words.many(press['strokes'], 'stroke')} since the start"
    done += f", the last left the bin {press['after']:.0f} % full" if press["after"] is not None else ""
    full = ["The bin is full: pressing no longer makes room"] if press["full"] else []
    return [words.PRESS.get(press["phase"], press["phase"]), *press["faults"], *full, done]


def _holder(held_by: object) -> str:
    names = [held_by] if isinstance(held_by, str) else list(held_by or [])  # type: ignore[call-overload]
    return f", asked for by {', '.join(map(str, names))}" if any(names) else ""


def _limits(switch: Status) -> str:
    rest = f", then off for at least {span(switch['min_off'])}" if switch["min_off"] else ""
    return f"On for at most {span(switch['max_on'])}{rest}"


def _rules(rules: list[Status]) -> list[Markup]:
    if not rules:
        return [tag("p", "No rule is loaded: this pole only measures.", class_="none")]
    return [tag("ol", *map(_rule, rules), class_="rules")]


def _rule(rule: Status) -> Markup:
    phase = tag("p", words.phase(rule["phase"], rule["since"], rule["mode"]), class_=f"phase {rule['phase']}")
    blind = tag("p", f"It cannot decide: {rule['blind']}", class_="warning")
    who = f"{rule['id']}, version {rule['version']} · {rule['owner']} answers for it · ends {rule['expires']}"
    mode = chip(words.MODES.get(rule["mode"], rule["mode"]), f"mode-{rule['mode']}")
    says = tag("p", rule["says"], class_="says")
    return tag(
        "li",
        says,
        tag("div", mode, phase, class_="line"),
        *([blind] if rule["blind"] else []),
        tag("small", who),
    )


def _records(status: Status) -> list[Markup]:
    lanes = {words.LANES.get(lane, lane): counts for lane, counts in status["store"]["lanes"].items()}
    dropped = [
        f"{lane}: {count(number)} dropped ({reason})"
        for lane, counts in lanes.items()
        for reason, number in counts["dropped"].items()
    ]
    lines = [tag("p", _broker(status["mqtt"], status["time"])), tag("p", _store(status["store"]))]
    return [_sums(lanes), *([_list(dropped)] if dropped else []), *lines]


def _sums(lanes: Mapping[str, Status]) -> Markup:
    """Return the sum that must come out, a column per lane."""
    caption = tag("caption", "Every accepted record is delivered, held, or dropped for a reason.")
    head = tag("tr", tag("td"), *(tag("th", lane, scope="col") for lane in lanes))
    rows = [
        _sum("Accepted", [counts["accepted"] for counts in lanes.values()]),
        _sum("= delivered", [counts["delivered"] for counts in lanes.values()]),
        _sum("+ held", [counts["held"] for counts in lanes.values()]),
        _sum("+ dropped", [sum(counts["dropped"].values()) for counts in lanes.values()]),
    ]
    return tag("table", caption, tag("thead", head), tag("tbody", *rows), class_="sums")


def _sum(title: str, numbers: list[int]) -> Markup:
    return tag("tr", tag("th", title, scope="row"), *(tag("td", count(number)) for number in numbers))


def _broker(mqtt: Status, now: float) -> str:
    state = f"Broker: {mqtt['state']} for {span(now - (mqtt['since'] or now))}"
    if mqtt["state"] == "connected":
        blind = f" It speaks MQTT {mqtt['protocol']}: what it refuses cannot be seen."
        unseen = blind if mqtt["refusals"] == "unseen" else ""
        return f"{state}, {words.many(mqtt['in_flight'], 'message')} under way.{unseen}"
    return f"{state}. Records wait in the store until it is back."


def _store(store: Status) -> str:
    age = "" if store["committed_age"] is None else f", last commit {span(store['committed_age'])} ago"
    state = "" if store["writable"] else f" It cannot be written: {store['problem']}."
    waiting = f"{words.many(store['waiting'], 'record')} not yet committed"
    return f"Store: {words.size(store['bytes'])}{age}, {waiting}.{state}"


def _foot(status: Status) -> Markup:
    head = tag("tr", *(tag("th", text, scope="col") for text in ("Loop", "Last moved", "Limit")))
    rows = [
        tag(
            "tr",
            tag("th", x["name"], scope="row"),
            tag("td", f"{span(x['age'])} ago"),
            tag("td", span(x["limit"])),
        )
        for x in status["health"]["loops"]
    ]
    summary = tag("summary", "The gateway's own loops", id="loops-summary")
    loops = tag("details", summary, tag("table", tag("thead", head), tag("tbody", *rows)), id="loops")
    about = f"Lamppost {status['version']} · up {span(status['uptime'])} · log epoch {status['epoch']}"
    links = [tag("a", text, href=href, id=f"to-{text}") for text, href in LINKS.items()]
    nav = tag("nav", tag("ul", *(tag("li", link) for link in links)), aria_label="The same as data")
    return tag("footer", loops, nav, tag("p", about), id="foot", class_="live")


LINKS = {
    "status": "/status",
    "readings": "/readings",
    "decisions": "/decisions",
    "pending": "/pending",
    "ledger": "/ledger",
    "metrics": "/metrics",
    "openapi": "/openapi.json",
}
"""Where the same stands as data."""
