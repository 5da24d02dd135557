"""The register: strictly checked against the pole, and what is made of it."""

import json
import re
import shutil
import tomllib
import xml.etree.ElementTree as Tree
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.app.check import Plan, plan
from gateway.app.register import OUTPUTS, Facts, facts, planned
from gateway.cli import main
from gateway.config import ConfigError
from gateway.web.qr import SCALE

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
TODAY = date(2027, 1, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example pole, to break."""
    for name in ("lamppost.example.toml", "rules.example.toml", "register.example.toml"):
        shutil.copy(DEPLOY / name, tmp_path)
    return tmp_path


def loaded(folder: Path) -> Plan:
    return plan(folder / "lamppost.example.toml", keep_expired=True)


def changed(folder: Path, old: str, new: str) -> Path:
    path = folder / "register.example.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


def known(folder: Path, today: date = TODAY, **modes: str) -> Facts:
    found = loaded(folder)
    rules = planned(found)
    return facts(found, [rule | {"mode": modes.get(rule["id"], "shadow")} for rule in rules], today)


def made(folder: Path, output: str) -> dict[str, Any]:
    """Return an output as it goes out: as JSON."""
    found: dict[str, Any] = json.loads(json.dumps(OUTPUTS[output](known(folder)), allow_nan=False))
    return found


def test_the_example_is_a_register_of_the_example_pole(folder: Path) -> None:
    register = loaded(folder).register
    assert register is not None
    assert register.owner.organisation == "City of Example"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('language = "en"', 'langauge = "en"', r':\d+:1: the file has no key "langauge"; did you mean'),
        ("phone = ", "fone = ", r':\d+:1: owner has no key "fone"; did you mean "phone"'),
        ('what = "A siren"\n', "", r':\d+:1: act\[1\] needs the key "what"'),
        ('name = "Air', '# name = "Air', 'the file needs the key "name"'),
        ("personal_data = false", 'personal_data = "perhaps"', "personal_data: should be a valid boolean"),
        ("poles@city.example", "poles at city", "owner.email must be an address such as"),
        ("https://poles.city", "poles.city", "url must be an address that begins with https://"),
        ("begins = 2026-03-01", "begins = 2029-03-01", "it ends on 2028-02-29, before it begins on"),
        ('"waste_management"', '"waste_managment"', '"waste_managment"; did you mean "waste_management"'),
        ('devices = ["air"]', 'devices = ["aire"]', '"aire" measures on this pole; did you mean "air"'),
        ('devices = ["air"]', "devices = []", r"measure\[1\]: name at least one device that measures this"),
        ('devices = ["air"]', 'devices = ["noise"]', "air measures, and the register does not say so"),
        ('devices = ["air"]', 'devices = ["air", "siren"]', 'no device "siren" measures on this pole'),
        ('device = "siren"', 'device = "air"', "siren acts, and the register does not say so: name it"),
        ('"impactful"', '"harmless"', "algorithm.category: should be 'high-risk', 'impactful'"),
        ('role = "Head', 'role = "\\u0000Head', "owner.role must be a text of one line"),
        ("[legal]", "[legal", "is not TOML"),
    ],
)  # fmt: skip
def test_a_register_that_is_not_clear_or_not_true_is_refused(
    folder: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(changed(folder, old, new))
    text = "\n".join(map(str, error.value.problems))
    assert re.search(said, text) or said in text, text
    assert all("register.example.toml" in each.file for each in error.value.problems)


def test_each_part_is_needed(folder: Path) -> None:
    """Whatever is taken out of the file as a whole, the check names it."""
    text = (folder / "register.example.toml").read_text()
    for part in ("owner", "objection", "legal", "data", "algorithm"):
        without = re.sub(rf"^\[{part}\]\n(?:(?!\[).*\n)*", "", text, flags=re.MULTILINE)
        assert part not in tomllib.loads(without)
        (folder / "register.example.toml").write_text(without)
        with pytest.raises(ConfigError, match=f'the file needs the key "{part}"'):
            loaded(folder)


def test_no_register_is_no_problem(folder: Path) -> None:
    path = folder / "lamppost.example.toml"
    path.write_text(path.read_text().replace('file = "register.example.toml"', "# no file"))
    assert loaded(folder).register is None


# The outputs


def test_sign_data_has_only_categories_of_the_taxonomy_and_each_that_it_needs(folder: Path) -> None:
    sign = made(folder, "dtpr")
    categories = {
        "device__accountable", "device__purpose", "device__tech", "device__data", "device__process",
        "device__access", "device__storage", "device__retention",
    }  # fmt: skip
    found = {entry["category_id"] for entry in sign["elements"]}
    assert categories <= found <= categories | {"ai__decision", "ai__rights"}
    technology = {
        e["title"][0]["value"]: e["element_id"]
        for e in sign["elements"]
        if e["category_id"] == "device__tech"
    }
    assert technology["Particulate matter and gases in the air"] == "air_quality"
    assert technology["Temperature, humidity and air pressure"] == "weather_station"
    assert technology["How loud it is: levels only. Sound is never recorded"] is None
    assert "microphone" not in json.dumps(sign)
    assert all(text["locale"] == "en" for entry in sign["elements"] for text in entry["title"])


def test_personal_data_are_said_in_every_record(folder: Path) -> None:
    changed(folder, "personal_data = false", "personal_data = true")
    assert "personal" in [e["element_id"] for e in made(folder, "dtpr")["elements"]]
    assert made(folder, "sensors")["Sensorregistratie"][0]["Worden er persoonsgegevens verwerkt?"] == "Ja"
    record = made(folder, "atrs")["Tier 2 - Tool Specification"]
    assert record["2.4.4.2 Sensitive attributes"] == "Personal data are processed."


def test_the_uk_record_has_both_tiers_and_says_what_is_unstated(folder: Path) -> None:
    record = made(folder, "atrs")
    assert record["standard_version"] == "3.0"
    assert record["Tier 1 - Overview"]["1.4 Contact email"] == "poles@city.example"
    assert len([key for key in record if key.startswith("Tier 2 - ")]) == 5
    assert record["unstated"] == ["2.1.4.4 Procurement procedure type"]
    changed(folder, "training = ", "# training = ")
    assert "2.3.4 Required training" in made(folder, "atrs")["unstated"]


@pytest.mark.parametrize(
    ("today", "mode", "phase"),
    [
        (date(2026, 2, 28), "off", "Pre-deployment"),
        (date(2026, 3, 1), "off", "Production"),
        (date(2028, 2, 29), "shadow", "Beta/Pilot"),
        (date(2028, 3, 1), "shadow", "Retired"),
    ],
)
def test_the_phase_follows_the_day_and_the_modes(folder: Path, today: date, mode: str, phase: str) -> None:
    ids = [rule["id"] for rule in planned(loaded(folder))]
    record = OUTPUTS["atrs"](known(folder, today, **dict.fromkeys(ids, mode)))
    assert record["phase"] == phase


DUTCH = {
    "name", "description_short", "organization", "category", "status", "begin_date", "end_date", "website",
    "contact_email", "publication_category", "url", "goal", "proportionality", "human_intervention", "risks",
    "lawful_basis", "lawful_basis_grouping", "process_index_url", "impacttoetsen_grouping", "impacttoetsen",
    "source_data", "source_data_grouping", "methods_and_models", "provider", "publiccode", "lang",
    "standard_version", "source_id", "tags",
}  # fmt: skip
"""The fields of the delivery API v1_0 that an organisation fills in."""


def test_the_dutch_entry_has_the_standard_s_fields_and_no_other(folder: Path) -> None:
    entry = made(folder, "nl")
    assert set(entry) <= DUTCH
    needed = {
        "name",
        "description_short",
        "organization",
        "status",
        "contact_email",
        "publication_category",
        "lang",
    }
    assert needed <= set(entry)
    assert entry["status"] == "In gebruik"
    assert entry["publication_category"] == "Impactvolle algoritmes"
    assert (entry["begin_date"], entry["lang"], entry["standard_version"]) == ("2026-03", "ENG", "1.0")
    assert "end_date" not in entry  # the standard leaves it empty while the algorithm is in use
    over = OUTPUTS["nl"](known(folder, date(2028, 3, 1)))
    assert (over["status"], over["end_date"]) == ("Buiten gebruik", "2028-02")


def test_dutch_texts_keep_within_the_standard_s_lengths(folder: Path) -> None:
    """Fewer than 100, 350 and 2,500 characters."""
    found = known(folder)
    wordy = replace(
        found, register=replace(found.register, name="n" * 200, summary="s" * 2500, why="w" * 2500)
    )
    entry = OUTPUTS["nl"](wordy)
    lengths = {"name": 100, "description_short": 350, "goal": 2500}
    for name, most in lengths.items():
        assert len(entry[name]) == most - 1
        assert entry[name].endswith("…")


def test_oversight_is_what_the_modes_are_now(folder: Path) -> None:
    (first, *_) = planned(loaded(folder))
    asks = OUTPUTS["nl"](known(folder, **{first["id"]: "in"}))["human_intervention"]
    acts = OUTPUTS["nl"](known(folder, **{first["id"]: "off"}))["human_intervention"]
    assert f"({first['id']}: it asks a person" in asks
    assert f"({first['id']}: it acts by itself.)" in acts


def test_the_notification_has_a_sensor_for_each_measurement_with_place_kind_owner_and_purpose(
    folder: Path,
) -> None:
    form = made(folder, "sensors")
    assert form["Uw gegevens"]["Naam organisatie/bedrijf"] == "City of Example"
    sensors = {sensor["Wat meet de sensor?"]: sensor for sensor in form["Sensorregistratie"]}
    register = loaded(folder).register
    assert register is not None
    assert len(sensors) == len(register.measure) >= 6
    river = sensors["How high the river stands"]
    assert river["Kies soort / type sensor"] == "Vloeistof- en gasstroomsensor"
    assert (river["Latitude"], river["Longitude"]) == (48.5795, 7.7556)
    assert river["Waarvoor meet u dat?"] == "to warn of a flood"
    assert river["Wanneer wordt de sensor verwijderd?"] == "29-02-2028"
    kinds = {sensor["Kies soort / type sensor"] for sensor in sensors.values()}
    assert kinds >= {"Chemiesensor", "Geluidsensor", "Klimaatsensor"}
    assert "" not in kinds


# The command


def printed(folder: Path, *more: str) -> tuple[int, str]:
    out = folder / "out"
    status = main(["register", "--config", str(folder / "lamppost.example.toml"), "--out", str(out), *more])
    return status, out.read_text() if out.exists() else ""


@pytest.mark.parametrize("output", ["dtpr", "atrs", "nl", "sensors"])
def test_the_command_prints_each_record(folder: Path, output: str) -> None:
    status, text = printed(folder, "--format", output)
    assert status == 0
    assert set(json.loads(text)) == set(made(folder, output))


def test_the_notice_on_paper_has_no_moment_in_it_and_no_script(folder: Path) -> None:
    status, text = printed(folder)
    assert status == 0
    assert "Flood and water management act" in text
    for part in ("<script", "Known faults", "Decided last", 'href="/', "<noscript"):
        assert part not in text


def test_the_qr_code_is_a_picture_that_names_its_address(folder: Path) -> None:
    status, text = printed(folder, "--qr", "https://poles.city.example/quai-12")
    assert status == 0
    root = Tree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "https://poles.city.example/quai-12" in [each.text for each in root]
    _, _, width, height = (int(part) / SCALE for part in root.attrib["viewBox"].split())
    assert width == height
    assert (width - 17 - 8) % 4 == 0  # 17 + 4 x version, and 4 light ones on each side (ISO/IEC 18004)


def test_the_sign_says_in_short_what_the_notice_says(folder: Path) -> None:
    status, text = printed(folder, "--sign", "https://poles.city.example/quai-12")
    assert status == 0
    for part in ("<svg", "City of Example", "A siren", "29 February 2028", "poles.city.example/quai-12"):
        assert part in text


@pytest.mark.parametrize(
    "url", ["poles.city.example", "https://a b", "javascript:alert(1)", "https://" + "x" * 500]
)
def test_an_address_that_is_none_is_refused(
    folder: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(folder, "--qr", url) == (2, "")
    assert "is no address: it begins with https://" in capsys.readouterr().err


def test_a_pole_without_a_register_says_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "lamppost.example.toml"
    path.write_text(path.read_text().replace('file = "register.example.toml"', "# no file"))
    assert printed(folder)[0] == 2
    assert 'add [register] and file = "register.toml"' in capsys.readouterr().err
