"""The notice: what this pole does and why, who answers, how to object, whether anything acts by itself."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.web import words
from gateway.web.live import day
from gateway.web.markup import Markup, join, tag

Shape = Mapping[str, Any]

LINKS = {
    "this notice": "/register",
    "sign data (DTPR)": "/register/dtpr.json",
    "UK record (ATRS)": "/register/atrs.json",
    "Dutch algorithm register": "/register/algoritmeregister.json",
    "sensor notification": "/register/sensors.json",
}
"""Where the register stands as data."""


def notice(register: Shape | None, live: Shape | None) -> Markup:
    """Return the first section of the page. Without *live* it is for paper: the moment is left out.

    Without a *register* it says that nobody has filled it in, and what the gateway knows by itself.
    """
    title = register["name"] if register else "What this pole does"
    language = register["language"] if register else None
    parts = [*(_told(register) if register else _untold()), *(_now(live) if live else [])]
    links = _links(register) if register and live else None
    heading = tag("h2", title, id="notice-title", lang=language)
    first = [_acts(live)] if live else []
    return tag(
        "section", heading, *first, *parts, links, id="notice", class_="live", aria_labelledby="notice-title"
    )


def _acts(live: Shape) -> Markup:
    answer, stop, more = live["acts"].partition(". ")
    question = tag("p", "Does anything act by itself here?", class_="question")
    return tag(
        "div", question, tag("p", tag("b", answer + stop), more), class_=f"acts mode-{live['mode'] or 'none'}"
    )


def _untold() -> list[Markup]:
    said = (
        "Nobody has filled in the register of this pole yet, so this page cannot say who answers for it, why "
        "it is here and how to object."
    )
    return [tag("p", said, class_="lead")]


def _told(register: Shape) -> list[Markup]:
    owner, objection, legal, data = (register[key] for key in ("owner", "objection", "legal", "data"))
    facts = [
        ("Why it is here", [register["why"]]),
        ("What it measures", _things(register["measure"])),
        ("What it may move", _things(register["act"]) or ["Nothing."]),
        ("Who answers for it", _owner(owner)),
        ("How to object", [objection["how"], objection["answer"], _link(objection["link"])]),
        ("From when, until when", [f"{day(register['begins'])} to {day(register['ends'])}"]),
        ("What allows it", [legal["basis"], _personal(legal), _link(legal["link"]), _link(legal["privacy"])]),
        ("What becomes of the data", [f"Kept: {data['kept']}", f"Where: {data['where']}", _shared(data)]),
        ("Who decides", [register["oversight"]]),
        ("What could go wrong", register["risks"] or ["The register names nothing."]),
    ]
    suppliers = [f"{each['name']}: {each['role']} ({each['access']})" for each in register["supplier"]]
    facts += [("Who else had a hand in it", suppliers)] if suppliers else []
    language = register["language"]
    shown = (_fact(title, said, language) for title, said in facts)
    return [tag("p", register["summary"], class_="lead", lang=language), tag("dl", *shown, class_="facts")]


def _fact(title: str, said: Iterable[object], language: str) -> Markup:
    return tag("div", tag("dt", title), *(tag("dd", part, lang=language) for part in said if part))


def _things(things: Iterable[Shape]) -> list[object]:
    return [join(tag("b", thing["what"]), f": {thing['why']}") for thing in things]


def _owner(owner: Shape) -> list[object]:
    mail = tag("a", owner["email"], href=f"mailto:{owner['email']}", id="owner-mail")
    return [
        f"{owner['organisation']}, {owner['team']}. Responsible: {owner['role']}",
        mail,
        owner["phone"],
        _link(owner["website"]),
    ]


def _link(href: str | None) -> Markup | None:
    return tag("a", href.partition("//")[2].rstrip("/"), href=href, rel="noreferrer") if href else None


def _personal(legal: Shape) -> str:
    return "Personal data are processed." if legal["personal_data"] else "No personal data are processed."


def _shared(data: Shape) -> str:
    return f"Who else gets them: {data['shared']}"


def _now(live: Shape) -> list[Markup]:
    """Return what is so at this moment: modes, overrides, asks, decisions, the ledger, faults."""
    groups = [
        ("Who decides now", [_mode(rule) for rule in live["rules"]], "No rule is loaded."),
        ("Taken over by hand", [_lease(lease) for lease in live["overrides"]], ""),
        ("Waiting for a person", [_ask(ask) for ask in live["pending"]], ""),
        ("Decided last", [_decided(each) for each in live["decisions"]], "It has decided nothing so far."),
        ("Known faults", live["faults"], "None."),
        ("Can this be checked?", [_ledger(live["ledger"])], ""),
    ]
    return [tag("div", *(_group(*group) for group in groups if group[1] or group[2]), class_="today")]


def _group(title: str, items: list[object], nothing: str) -> Markup:
    said = tag("ul", *(tag("li", item) for item in items)) if items else tag("p", nothing)
    return tag("div", tag("h3", title), said)


def _mode(rule: Shape) -> Markup:
    until = f", until {moment(rule['until'])}" if rule["until"] else ""
    until += f", because {rule['why']}" if rule["why"] else ""
    until += "; its announcements are shelved for a while" if rule["shelved"] else ""
    ends = f"{rule['answers']} answers for this rule; it ends on {day(rule['ends'])}."
    return join(rule["says"], " ", tag("b", f"{rule['words']}{until}."), " ", tag("small", ends))


def _lease(lease: Shape) -> str:
    """Return an override: what a person put by hand into which state, until when, and why."""
    what = f"{words.name(lease['actuator'])} is held {lease['state']}"
    return f"{what} until {moment(lease['until'])}, because: {lease['reason']}"


def _ask(ask: Shape) -> str:
    """Return an ask: what the rule wants, and what silence means."""
    end, what = moment(ask["until"]), "; ".join(ask["commands"])
    silence = (
        f"it acts at {end} unless a person forbids it" if ask["then"] == "acts" else f"it lapses at {end}"
    )
    return f"{what} (rule {ask['rule']}): {silence}"


def _decided(decision: Shape) -> Markup:
    _, clock, iso = words.moment(decision["time"])
    link = tag("a", "why", href=f"/decisions/{decision['id']}", id=f"n-{decision['id']}")
    return join(
        tag("time", f"{moment(decision['time'])}: ", datetime=iso, title=clock), decision["said"], " ", link
    )


def _ledger(ledger: Shape) -> Markup:
    size, signed = ledger["size"], ledger["signed"]
    if not signed:
        said = f"The ledger has {words.many(size, 'record')}; no checkpoint is signed yet."
    else:
        of = f"{words.count(signed)} of {words.many(size, 'record')}"
        when = f", of {moment(ledger['time'])}" if ledger["time"] is not None else ""
        said = f"Yes: {of} are under the last signed checkpoint{when}."
    return join(said, " ", tag("a", "the ledger", href="/ledger", id="n-ledger"))


def _links(register: Shape) -> Markup:
    links = [tag("a", text, href=href, id=f"r-{number}") for number, (text, href) in enumerate(LINKS.items())]
    if register["url"]:
        links.append(tag("a", "QR code", href="/register/qr.svg", id="r-qr"))
    return tag("nav", tag("ul", *(tag("li", link) for link in links)), aria_label="The register as data")


def moment(time: float) -> str:
    """Return a time [s, Unix] as people say it: the day only where it is not today's by the minute."""
    date, clock, _ = words.moment(time)
    return f"{date}, {clock[:5]}"
