"""Numbers, units, times and codes in words that a passer-by understands."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drivers.device import Quantity

UNITS: Mapping[str, tuple[str, int]] = {
    "1": ("", 0),
    "%": ("%", 1),
    "%/h": ("%/h", 2),
    "/cm3": ("/cm³", 1),
    "A": ("A", 3),
    "Cel": ("°C", 1),
    "K/h": ("K/h", 2),
    "Ohm": ("Ω", 0),
    "V": ("V", 2),
    "V/h": ("V/h", 3),
    "W": ("W", 2),
    "[ppb]": ("ppb", 1),
    "[ppm]": ("ppm", 0),
    "dB": ("dB", 1),
    "deg": ("°", 2),
    "deg/d": ("°/d", 3),
    "deg/s": ("°/s", 2),
    "hPa": ("hPa", 1),
    "hPa/h": ("hPa/h", 2),
    "kg": ("kg", 1),
    "kg/h": ("kg/h", 2),
    "m": ("m", 3),
    "m/h": ("m/h", 3),
    "m/s": ("m/s", 1),
    "m/s2": ("m/s²", 3),
    "mm": ("mm", 1),
    "mm/h": ("mm/h", 1),
    "s": ("s", 0),
    "ug/m3": ("µg/m³", 1),
    "um": ("µm", 2),
}
"""UCUM code to the sign that people read, and the decimals worth showing."""

LABELS: Mapping[str, str] = {
    "closed": "Contact",
    "co": "CO",
    "co2": "CO₂",
    "fill": "Fill level",
    "gas_resistance": "Gas resistance",
    "nc0_5": "Particles to 0.5 µm",
    "nc1": "Particles to 1 µm",
    "nc10": "Particles to 10 µm",
    "nc2_5": "Particles to 2.5 µm",
    "nc4": "Particles to 4 µm",
    "no2": "NO₂",
    "nox_index": "NOx index",
    "o3": "Ozone",
    "on": "Switch",
    "pm1": "PM1",
    "pm10": "PM10",
    "pm2_5": "PM2.5",
    "pm4": "PM4",
    "so2": "SO₂",
    "sound_level": "Sound level",
    "sound_level_max": "Loudest",
    "sound_level_min": "Quietest",
    "stage": "Water level",
    "voc_index": "VOC index",
    "wet": "Water contact",
}
"""Quantities whose own name would not do; for the others the name itself does."""

LOGICAL: Mapping[str, tuple[str, str]] = {
    "active": ("quiet", "active"),
    "closed": ("open", "closed"),
    "dry": ("no", "yes"),
    "stale": ("no", "yes"),
    "on": ("off", "on"),
    "wet": ("dry", "wet"),
}
"""What 0 and 1 mean."""

MISSING: Mapping[str, str] = {
    "warming-up": "warming up",
    "not-ready": "nothing new yet",
    "out-of-range": "out of its range",
    "no-target": "nothing in sight",
    "sentinel": "it says it has none",
    "fault": "it reports a fault",
    "unreliable": "it doubts the value",
    "bus-error": "the wiring failed",
    "device-error": "an unusable answer",
    "timeout": "no answer in time",
    "input-missing": "its input is missing",
}
"""Why a value is not there."""

_ORDER = {str(quantity): place for place, quantity in enumerate(Quantity)}

MODES: Mapping[str, str] = {
    "shadow": "Pilot: nothing moves",
    "in": "Asks a person first",
    "on": "Acts unless a person forbids it",
    "off": "Acts by itself",
}
OUTCOMES: Mapping[str, str] = {
    "asked": "Asked",
    "approved": "Approved",
    "vetoed": "Vetoed",
    "lapsed": "Lapsed",
    "overridden": "By hand",
    "commanded": "Ordered",
    "acted": "Acted",
    "shadowed": "Would have",
    "refused": "Refused",
    "released": "Released",
    "tripped": "Cut off",
    "failed": "Failed",
}

LANES: Mapping[str, str] = {"telemetry": "Readings", "events": "Events and decisions"}
PRESS: Mapping[str, str] = {
    "idle": "The press stands, ready",
    "warning": "The buzzer warns: the press is about to move",
    "pressing": "The plate goes down",
    "turning": "The plate stands, to turn round",
    "returning": "The plate goes home",
    "measuring": "The press stands, and looks how full the bin is",
    "fault": "The press is out of order, until a person has looked at it",
}
PHASES: Mapping[str, str] = {
    "inactive": "Quiet for",
    "pending": "Its condition has held for",
    "firing": "In force for",
    "expired": "Expired, does nothing, for",
}


def label(quantity: str) -> str:
    """Return what people call *quantity*."""
    return LABELS.get(quantity) or quantity.replace("_", " ").capitalize()


def value(quantity: str, number: float, unit: str) -> tuple[str, str]:
    """Return *number* as text with the decimals that its unit deserves, and the unit's sign."""
    if quantity in LOGICAL and number in (0, 1):
        return LOGICAL[quantity][int(number)], ""
    sign, decimals = UNITS.get(unit, (unit, 3))
    text = f"{number:,.{decimals}f}".replace(",", "\u202f").replace("-", "−")
    return ("0" + text[2:] if text.startswith("−0") and not text.strip("−0.") else text), sign


def count(number: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{number:,.0f}".replace(",", "\u202f")


def many(number: float, thing: str) -> str:
    """Return how many of *thing* there are."""
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"


def name(id: str) -> str:
    """Return the id of a device or a switch as a heading."""
    text = id.replace("_", " ")
    return text[:1].upper() + text[1:]


def order(quantity: str) -> int:
    """Return where *quantity* stands in the table of quantities, so that PM2.5 comes before PM10."""
    return _ORDER.get(quantity, len(_ORDER))


def size(number: float) -> str:
    """Return a number of bytes as B, KiB, MiB or GiB."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def span(seconds: float) -> str:
    """Return a length of time in its two largest units: `4 s`, `3 min 20 s`, `2 h 5 min`, `6 d 4 h`."""
    whole = max(0, round(seconds))
    if 0.05 <= seconds < 0.95:
        return f"{seconds:.1f} s"
    for large, small, ratio, length in (("d", "h", 24, 3600), ("h", "min", 60, 60), ("min", "s", 60, 1)):
        if whole >= ratio * length:
            most, rest = divmod(whole // length, ratio)
            return f"{most} {large} {rest} {small}" if rest else f"{most} {large}"
    return f"{whole} s"


def moment(time: float) -> tuple[str, str, str]:
    """Return a Unix time as the machine's local day, its local clock time, and in ISO 8601 (UTC)."""
    utc = datetime.fromtimestamp(time, UTC)
    local = utc.astimezone()
    return f"{local:%-d %B %Y}", f"{local:%H:%M:%S}", utc.strftime("%Y-%m-%dT%H:%M:%SZ")


def zone(time: float) -> str:
    """Return the short name of the local time zone at *time*."""
    return datetime.fromtimestamp(time, UTC).astimezone().strftime("%Z")


def place(shape: Mapping[str, Any]) -> str:
    """Return coordinates as people write them, or nothing where there are none."""
    north, east = shape.get("latitude"), shape.get("longitude")
    if north is None or east is None:
        return ""
    return f"{abs(north):.4f}° {'N' if north >= 0 else 'S'}, {abs(east):.4f}° {'E' if east >= 0 else 'W'}"


def phase(name: str, since: float, mode: str) -> str:
    """Return where a rule is in its life, and for how long [s]; a pilot is never in force."""
    if name == "firing" and mode == "shadow":
        return f"Would have been in force for {span(since)}"
    return f"{PHASES.get(name, name.capitalize() + ' for')} {span(since)}"
