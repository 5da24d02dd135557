"""An entry for the Dutch register of algorithms (algoritmes.overheid.nl), publication standard 1.0.

Fields as the delivery API v1_0 names them (Algoritmeregister aanlevering API, model V10Algorithm); lengths as
the publication standard 1.0.9 (2024-07-09) gives them. Texts are in the register file's own language, which
`lang` names: an entry that is published wants Dutch at level B1.
"""

from typing import Any

from gateway.app.register.facts import Facts, filled, lines

VERSION = "1.0"

STATUS = {"before": "In ontwikkeling", "during": "In gebruik", "after": "Buiten gebruik"}
CATEGORIES = {
    "high-risk": "Hoog-risico AI-systeem",
    "impactful": "Impactvolle algoritmes",
    "other": "Overige algoritmes",
}
SHORT, NAME, LONG = 350, 100, 2500
"""Characters that the short description, the names and the long texts may have."""

LANGUAGES = {"nl": "NLD", "en": "ENG"}


def record(facts: Facts) -> dict[str, Any]:
    """Return the entry; what the register file does not say is left out."""
    register, legal, algorithm = facts.register, facts.register.legal, facts.register.algorithm
    fields = {
        "name": _cut(register.name, NAME),
        "description_short": _cut(register.summary, SHORT),
        "organization": _cut(register.owner.organisation, NAME),
        "category": list(register.themes),
        "status": STATUS[facts.phase],
        "begin_date": f"{register.begins:%Y-%m}",
        "end_date": f"{register.ends:%Y-%m}" if facts.phase == "after" else None,
        "contact_email": register.owner.email,
        "website": register.owner.website,
        "publication_category": CATEGORIES[algorithm.category],
        "url": register.url,
        "goal": _cut(register.why, LONG),
        "proportionality": algorithm.proportionality and _cut(algorithm.proportionality, LONG),
        "human_intervention": _cut(facts.oversight(), LONG),
        "risks": _cut(lines(algorithm.risks), LONG),
        "lawful_basis": _cut(legal.basis, LONG),
        "lawful_basis_grouping": [{"title": _cut(legal.basis, NAME), "link": legal.link}]
        if legal.link
        else [],
        "impacttoetsen": _cut(lines(legal.assessments), LONG),
        "impacttoetsen_grouping": [{"title": each} for each in legal.assessments],
        "source_data": _cut(lines(f"{each.what}: {each.why}" for each in register.measure), LONG),
        "methods_and_models": _cut(facts.logic(), LONG),
        "provider": _cut(", ".join(each.name for each in register.supplier), NAME),
        "publiccode": algorithm.code,
        "lang": LANGUAGES.get(register.language, register.language.upper()),
        "standard_version": VERSION,
        "source_id": facts.gateway,
        "tags": ", ".join(register.themes),
    }
    return filled(fields)


def _cut(text: str, most: int) -> str:
    """Return *text* with fewer than *most* characters, as the standard counts."""
    return text if len(text) < most else text[: most - 2].rstrip() + "…"
