"""A notification for a register of sensors, as Dutch cities ask for one.

Fields as the bulk form of Amsterdam's sensor register names them (sheets `Uw gegevens` and
`Sensorregistratie`), and its kinds of sensor (sensorenregister.amsterdam.nl). That form also asks for a
person's name and the office's street: they are not in the register, and must be written in by hand.
"""

from collections.abc import Mapping
from typing import Any

from gateway.app.register.facts import Facts
from gateway.app.register.file import Measure

KINDS: Mapping[str, str] = {
    "air": "Chemiesensor",
    "noise": "Geluidsensor",
    "weather": "Klimaatsensor",
    "flood": "Vloeistof- en gasstroomsensor",
    "land": "Positie- of verplaatsingsensor",
    "bin": "Aanwezigheid of nabijheidsensor",
    "board": "Electriciteitssensor",
}
"""The kind of sensor that the devices of a domain are."""

THEMES = 8
"""Themes that the form has room for."""


def record(facts: Facts) -> dict[str, Any]:
    """Return the owner's part, and one entry per thing that is measured."""
    owner = facts.register.owner
    return {
        "Uw gegevens": {
            "Naam organisatie/bedrijf": owner.organisation,
            "E-mail": owner.email,
            "Telefoonnummer": owner.phone,
            "Website (niet verplicht)": owner.website or "",
        },
        "Sensorregistratie": [_sensor(facts, measure) for measure in facts.register.measure],
    }


def _sensor(facts: Facts, measure: Measure) -> dict[str, Any]:
    register = facts.register
    themes = dict(enumerate(register.themes[:THEMES], 1))
    return {
        "Referentie": f"{facts.gateway}.{'.'.join(measure.devices)}",
        "Kies soort / type sensor": KINDS.get(facts.domains.get(measure.devices[0], ""), ""),
        "Latitude": facts.place.get("latitude"),
        "Longitude": facts.place.get("longitude"),
        "Wat meet de sensor?": measure.what,
        "Waarvoor meet u dat?": measure.why,
        **{f"Thema {n}" + (" (niet verplicht)" if n > 1 else ""): theme for n, theme in themes.items()},
        "Worden er persoonsgegevens verwerkt?": "Ja" if register.legal.personal_data else "Nee",
        "Wettelijke grondslag": register.legal.basis,
        "Privacyverklaring": register.legal.privacy or "",
        "Wanneer wordt de sensor verwijderd?": f"{register.ends:%d-%m-%Y}",
        "Opmerking (niet verplicht)": facts.where,
        "Project": register.name,
    }
