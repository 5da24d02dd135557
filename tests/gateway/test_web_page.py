"""The page as a reader, a screen reader and an attacker see it."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from drivers.device import LOGICAL, UNITS, Missing, Quantity
from gateway.control.compactor.state import Phase
from gateway.reading import Lane, Mode, Outcome
from gateway.web import words
from gateway.web.markup import join, tag
from gateway.web.page import POLICY, page
from gateway.web.verdict import fresh, problems
from tests.gateway.source import NOW, Recorded, calm, status

VOID = {"meta", "link", "path"}


class Reader(HTMLParser):
    """Reads HTML strictly: every element that is opened is closed, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((name, dict(attributes)))
        assert len(dict(attributes)) == len(attributes)
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((name, dict(attributes)))

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def shown(state: dict[str, Any]) -> Reader:
    return Reader(page(state, Recorded(state).explain))


def test_a_broker_whose_refusals_cannot_be_seen_is_named() -> None:
    state = status()
    assert "refuses cannot be seen" not in shown(state).text
    state["mqtt"] |= {"protocol": "3.1.1", "refusals": "unseen"}
    assert "It speaks MQTT 3.1.1: what it refuses cannot be seen." in shown(state).text


def test_a_reader_finds_everything() -> None:
    text = shown(status()).text
    for part in (
        "Harbour Street 12",
        "52.3702° N, 4.8952° E",
        "3 things need attention.",
        "PM2.5 11.3 µg/m³",
        "VOC index no value: warming up",
        "Contact closed",
        "River has been lost for 4 min 12 s: 0x70 does not acknowledge.",
        "On for at most 5 s, then off for at least 1 min",
        "Pilot: nothing moves",
        "When the river stands above 2.2 m for a minute, sound the siren.",
        "Did not switch compactor on for 4s: lid.closed is not known",
        "contact on line 17",
        "sen66 on street at 0x6B",
        "93 598 times · 9 failures · 3 missed",
        "The rule river_siren cannot decide: river.stage is not known",
        "lid.closed not known: last seen 14 s ago, limit 5 s",
        "Accepted 654 321 812 = delivered 654 200 812 + held 100 0 + dropped 21 0",
        "Readings: 21 dropped (full)",
        "Broker: connected for 2 h 5 min",
    ):
        assert part in text
    assert "That was then." not in text  # only the first sentence: the rest stands in the table


def test_all_is_well() -> None:
    assert problems(calm()) == []
    assert "Everything works." in shown(calm()).text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"clock": "unsynchronized"}, "The clock is not synchronised: times may be wrong."),
        ({"clock": "unknown"}, "The clock is not synchronised: times may be wrong."),
        (
            {"health": {"problems": ["the store loop has not moved for 9 s"]}},
            "The store loop has not moved for 9 s.",
        ),
        (
            {"store": {"writable": False, "problem": "no space left"}},
            "The store cannot be written: no space left.",
        ),
        (
            {"mqtt": {"state": "connecting", "reason": "connection refused"}},
            "The broker is not connected: connection refused. 100 records wait in the store until it is.",
        ),
        (
            {"mqtt": {"state": "refused", "reason": "the broker refuses log/events: not authorized"}},
            "The broker does not take everything: the broker refuses log/events: not authorized. "
            "100 records wait in the store until it does.",
        ),
        ({"store": {"problem": "a checkpoint was busy"}}, "The store has trouble: a checkpoint was busy."),
        ({"devices": [{"reason": "a wrong checksum"}]}, "Air had trouble: a wrong checksum."),
        (
            {"switches": [{"held_by": ["a"], "blocked": ["too soon", "no lid"]}]},
            "Siren is held back: too soon; no lid.",
        ),
        (
            {"rules": [{"blind": "bin.fill is not known"}]},
            "The rule compact cannot decide: bin.fill is not known.",
        ),
    ],
)
def test_each_trouble_has_its_sentence(change: dict[str, Any], sentence: str) -> None:
    state = calm()
    for key, value in change.items():
        if isinstance(value, list):
            state[key][0] |= value[0]
        elif isinstance(value, dict):
            state[key] |= value
        else:
            state[key] = value
    assert problems(state) == [sentence]


def test_a_value_is_the_present_one_for_three_intervals_of_a_running_device() -> None:
    device = status()["devices"][0]
    taken = device["latest"]["time"]
    assert fresh(device, taken + 3.0)
    assert not fresh(device, taken + 3.1)
    assert fresh(device | {"interval": 10.0}, taken + 30.0)
    assert not fresh(device | {"state": "lost"}, taken)
    assert not fresh(device | {"latest": None}, taken)


def test_an_old_value_does_not_look_like_a_present_one() -> None:
    cards = [a["class"] for name, a in shown(status()).found if name == "article" and a["class"] != "card"]
    assert cards == ["card old", "card old", "card switch off", "card switch on"]


def test_a_quantity_keeps_its_row_when_it_goes_missing() -> None:
    state = calm()
    state["devices"] = state["devices"][:1]
    latest = state["devices"][0]["latest"]
    before = re.findall(r'<th scope="row">([^<]+)</th>', page(state, str))[:6]
    latest["missing"] = {"pm2_5": "fault"} | latest["missing"]
    del latest["values"]["pm2_5"]
    assert re.findall(r'<th scope="row">([^<]+)</th>', page(state, str))[:6] == before
    assert before == ["Temperature", "Humidity", "PM2.5", "PM10", "CO₂", "VOC index"]


def test_an_empty_pole_says_so() -> None:
    text = shown(status() | {key: [] for key in ("devices", "switches", "rules", "decisions")}).text
    for sentence in (
        "No device is configured.",
        "This pole switches nothing.",
        "No rule is loaded: this pole only measures.",
        "It has decided nothing so far.",
    ):
        assert sentence in text


def test_a_press_says_what_it_does_and_what_is_wrong_with_it() -> None:
    state = status()
    state["switches"][0]["press"] = {
        "phase": "warning", "faults": [], "full": False, "strokes": 12, "after": 47.4,
    }  # fmt: skip
    text = shown(state).text
    assert "The buzzer warns: the press is about to move" in text
    assert "12 strokes since the start, the last left the bin 47 % full" in text
    assert "no longer makes room" not in text
    fault = "current flows although nothing drives the motor"
    state["switches"][0]["press"] |= {"phase": "fault", "faults": [fault], "full": True, "after": None}
    text = shown(state).text
    assert f"out of order, until a person has looked at it {fault} The bin is full" in text
    assert "12 strokes since the start " in text
    assert "Compactor out of order" in text
    assert f"Compactor is out of order: {fault}." in problems(state)


def test_every_phase_of_a_press_has_its_words() -> None:
    assert set(words.PRESS) == set(Phase)


def hostile(part: Any, poison: str) -> Any:
    """Return *part* with *poison* at the end of every text."""
    if isinstance(part, dict):
        return {key: hostile(value, poison) for key, value in part.items()}
    if isinstance(part, list):
        return [hostile(value, poison) for value in part]
    return part + poison if isinstance(part, str) and part else part


@pytest.mark.parametrize(
    "poison", ["<script>x</script>", "\"'><img src=x onerror=x>", "</title></style>", "&lt;b&gt;"]
)
def test_no_text_becomes_markup(poison: str) -> None:
    state = status()
    poisoned = hostile(state, poison)
    for device, clean in zip(poisoned["devices"], state["devices"], strict=True):
        device["state"] = clean["state"]
    for rule, clean in zip(poisoned["rules"], state["rules"], strict=True):
        rule["phase"] = clean["phase"]
    for rule, clean in zip(poisoned["rules"], state["rules"], strict=True):
        rule["mode"], rule["expires"] = clean["mode"], clean["expires"]
    poisoned["clock"], poisoned["mqtt"]["state"] = "synchronized", "connected"
    benign, read = shown(state), shown(poisoned)
    assert [name for name, _ in read.found] == [name for name, _ in benign.found]
    assert {key for _, attributes in read.found for key in attributes} == {
        key for _, attributes in benign.found for key in attributes
    }
    assert poison in read.text


def test_nothing_runs_but_the_page_s_own_style_and_script() -> None:
    html = page(status(), str)
    for name, directive in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(f"<{name}>(.*?)</{name}>", html, re.DOTALL)
        assert f"{directive} 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in POLICY
    for name, attributes in Reader(html).found:
        assert not any(key == "style" or key.startswith("on") for key in attributes)
        assert name not in ("iframe", "object", "form", "img")
    assert not re.search(r'(?:src|href)="(?!/|#|data:,)', html)


def test_landmarks_headings_and_tables_guide_a_screen_reader() -> None:
    found = shown(status()).found
    names = [name for name, _ in found]
    assert (names.count("main"), names.count("h1"), names.count("nav")) == (1, 1, 1)
    assert found[0] == ("html", {"lang": "en"})
    levels = [int(name[1]) for name in names if re.fullmatch("h[1-6]", name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(attributes.get("scope") in ("col", "row") for name, attributes in found if name == "th")
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in found:
        assert attributes.get("aria-labelledby", ids[0]) in ids


def test_what_is_live_can_be_found_again_by_its_id() -> None:
    found = shown(status()).found
    live = [attributes for _, attributes in found if "live" in (attributes.get("class") or "").split()]
    assert [part["id"] for part in live] == [
        "head", "notice", "verdict", "now", "switches", "rules", "decisions", "records", "foot",
    ]  # fmt: skip
    assert all("id" in attributes for name, attributes in found if name in ("details", "summary"))


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_contrast_is_enough_to_read(theme: int) -> None:
    """At least 4.5 to 1, WCAG 2.2 criterion 1.4.3."""
    blocks = re.findall(r":root \{(.*?)\}", page(status(), str), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[theme]))
    pairs = [
        (front, back)
        for back in ("paper", "card")
        for front in ("ink", "soft", "good", "bad", "warm", "cool")
    ]
    pairs += [(name, f"{name}-wash") for name in ("good", "bad", "warm", "cool")]
    pairs += [("ink", "bad-wash"), ("ink", "plain-wash"), ("paper", "bad")]
    for front, back in pairs:
        light, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, back)


def test_everything_that_can_be_said_has_words() -> None:
    assert set(words.UNITS) == set(UNITS.values())
    assert set(words.LOGICAL) == set(LOGICAL)
    assert set(words.MISSING) == set(Missing)
    assert set(words.MODES) == set(Mode)
    assert set(words.OUTCOMES) == set(Outcome)
    assert set(words.LANES) == set(Lane)
    assert set(words.LABELS) <= set(Quantity)
    assert len({words.label(quantity) for quantity in Quantity}) == len(Quantity)


@pytest.mark.parametrize(
    ("quantity", "number", "text"),
    [
        ("temperature", -0.04, "0.0 °C"),
        ("temperature", -12.35, "−12.3 °C"),
        ("pressure", 1013.25, "1\u202f013.2 hPa"),
        ("co2", 1_234_567.0, "1\u202f234\u202f567 ppm"),
        ("stage", 2.3456, "2.346 m"),
        ("voc_index", 103.0, "103 "),
        ("closed", 0.0, "open "),
        ("wet", 1.0, "wet "),
        ("closed", 0.5, "0 "),
    ],
)
def test_values_in_words(quantity: str, number: float, text: str) -> None:
    assert " ".join(words.value(quantity, number, UNITS[Quantity(quantity)])) == text


def test_an_unknown_unit_is_shown_as_it_is() -> None:
    assert words.value("rain", 1.5, "furlong") == ("1.500", "furlong")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3.0, "0 s"),
        (0.0, "0 s"),
        (0.04, "0 s"),
        (0.34, "0.3 s"),
        (0.96, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200.0, "3 min 20 s"),
        (3600.0, "1 h"),
        (7_500.0, "2 h 5 min"),
        (93_601.0, "1 d 2 h"),
    ],
)
def test_spans_in_words(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (5 << 31, "10.0 GiB")],
)
def test_sizes_in_words(number: float, text: str) -> None:
    assert words.size(number) == text


def test_a_pilot_is_never_in_force() -> None:
    assert words.phase("firing", 3.0, "off") == "In force for 3 s"
    assert words.phase("firing", 3.0, "shadow") == "Would have been in force for 3 s"
    assert words.phase("pending", 3.0, "shadow") == "Its condition has held for 3 s"


def test_places_in_words() -> None:
    assert words.place({"latitude": -33.8568, "longitude": -70.0}) == "33.8568° S, 70.0000° W"
    assert words.place({"latitude": 0.0, "longitude": None}) == ""


def test_moments_carry_their_instant() -> None:
    assert words.moment(NOW)[2] == "2026-05-28T20:26:40Z"


def test_markup_is_escaped_unless_it_is_markup() -> None:
    assert join("<b>", tag("i", "&"), None, 5) == "&lt;b&gt;<i>&amp;</i>5"
    assert tag("td", class_='"x"', aria_label="a", hidden=True, title=None, open=False) == (
        '<td class="&quot;x&quot;" aria-label="a" hidden></td>'
    )
