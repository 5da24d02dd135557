"""The configuration: every problem at once, each with its file, its line and what to do."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import toml
from gateway.app.check import plan
from gateway.config import Config, ConfigError, duration, size
from gateway.config.values import CONSUMER, MEANINGS, NAME

GOOD = """\
[gateway]
id = "pole-17"

[store]
path = "pole.db"

[[bus]]
id = "i2c"
path = "emulated:street"

[[device]]
id = "air"
driver = "sen66"
bus = "i2c"

[[device]]
id = "weather"
driver = "bme280"
bus = "i2c"
address = 0x77
interval = "30s"
"""


OLD = "protocol = '3.1.1'\nrefusals = 'unseen'"


def problems(folder: Path, text: str) -> list[str]:
    """Return what checking *text* says, without the folder and the columns."""
    path = folder / "pole.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        plan(path)
    said = [str(each).removeprefix(f"{folder}/") for each in error.value.problems]
    return [re.sub(r"^(pole.toml:\d+):\d+:", r"\1:", each) for each in said]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def test_a_good_file_becomes_a_plan_with_paths_from_its_own_folder(tmp_path):
    (tmp_path / "pole.toml").write_text(GOOD)
    found = plan(tmp_path / "pole.toml")
    assert found.config.store.path == tmp_path / "pole.db"
    assert found.devices["air"].address == 0x6B
    assert found.devices["weather"].config.interval == 30.0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('driver = "sen66"', 'driver = "sen6"', '13: there is no driver "sen6"; did you mean "sen66"?'),
        ("pole-17", "pole 17", "2: gateway.id must be letters, digits, - and _"),
        ('bus = "i2c"', 'buss = "i2c"', '14: device[1] has no key "buss"; did you mean "bus"?'),
        ('bus = "i2c"', 'bus = "i2"', '14: there is no bus "i2"; did you mean "i2c"?'),
        ("address = 0x77", "address = 0x29", "20: a bme280 cannot be at 0x29; it can be at 0x76, 0x77"),
        ("address = 0x77", "line = 4", "20: bme280 is on an I2C bus: give bus and address, not line"),
        ('id = "weather"', 'id = "air"', '17: the id "air" is taken by a [[device]] above'),
        ('id = "weather"', 'id = "Weather!"', "17: device[2].id must be lower-case letters"),
        ('"30s"', '"30 parsecs"', '21: device[2].interval: a duration is a number and a unit'),
        ('"30s"', '"0s"', "21: device[2].interval: should be greater than 0"),
        ('[store]\npath = "pole.db"\n', "", '1: the file needs the key "store"'),
        ("[gateway]", "[gateway", "1: is not TOML:"),
        ("[gateway]", "[gatway]", '1: the file has no key "gatway"; did you mean "gateway"?'),
        ("[store]", "[mqtt]\nhost = 'a.example'\n[store]", "5: readings would go to a.example"),
        ("[store]", "[mqtt]\nusername = 3\n[store]", "5: mqtt.username: should be a valid string"),
        ("[store]", "[mqtt]\nconsumer = 'a city'\n[store]", "5: mqtt.consumer must be 1 to 64 letters"),
        ("address = 0x77", "guard = { max_on = 3 }", "20: weather only measures"),
        ("address = 0x77", "options = { oversmpling = 4 }", '20: device[2].options has no key "oversmpling"'),
    ],
)  # fmt: skip
def test_a_problem_names_its_line_and_what_to_do(tmp_path, old, new, said):
    text = changed(old, new)
    found = problems(tmp_path, text)
    assert any(f"pole.toml:{said}" in each for each in found), found


def test_every_pattern_is_explained_in_words():
    found = set(patterns(Config.model_json_schema()))
    assert {NAME, CONSUMER} <= found <= set(MEANINGS)


def patterns(schema: object) -> Iterator[str]:
    """Yield every pattern that a text must match, however deep in *schema*."""
    if isinstance(schema, dict):
        yield from [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
        schema = list(schema.values())
    for each in schema if isinstance(schema, list) else []:
        yield from patterns(each)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("protocol = '3.1.1'", "8: MQTT 3.1.1 cannot say that the broker refused a record"),
        ("protocol = '3.1.1'\nrefusals = 'seen'", "8: MQTT 3.1.1 cannot say that the broker"),
        (f"{OLD}\nno_subscriber = 'hold'", "10: MQTT 3.1.1 cannot say that nobody"),
        (f"{OLD}\nexpiry = {{ state = '1h' }}", "10: MQTT 3.1.1 cannot say when"),
        (f"{OLD}\nsession_expiry = '1h'", "10: MQTT 3.1.1 cannot ask for a"),
        ("refusals = 'unseen'", "8: MQTT 5 shows refusals: take mqtt.refusals out"),
        ("protocol = '3.1'", "8: mqtt.protocol: should be '5' or '3.1.1'"),
    ],
)  # fmt: skip
def test_what_an_old_protocol_cannot_do_is_not_asked_of_it(tmp_path, lines, said):
    (found,) = problems(tmp_path, GOOD.replace("[[bus]]", f"[mqtt]\n{lines}\n\n[[bus]]", 1))
    assert found.startswith(f"pole.toml:{said}")


def test_an_old_protocol_is_taken_from_whoever_knows_what_it_costs(tmp_path):
    asked = f"[mqtt]\n{OLD}\n\n[[bus]]"
    (tmp_path / "pole.toml").write_text(GOOD.replace("[[bus]]", asked, 1))
    assert plan(tmp_path / "pole.toml").config.mqtt.protocol == "3.1.1"


def test_two_parts_at_one_address_on_a_bus_are_refused_and_on_two_buses_are_not(tmp_path):
    twice = GOOD + '\n[[device]]\nid = "other"\ndriver = "bme280"\nbus = "i2c"\naddress = 0x77\n'
    assert problems(tmp_path, twice) == [
        "pole.toml:27: other and weather are both on address 0x77 on bus i2c: move one of them"
    ]
    second = '\n[[bus]]\nid = "two"\npath = "/dev/i2c-2"\n'
    apart = twice[: twice.rindex('bus = "i2c"')] + 'bus = "two"\naddress = 0x77\n' + second
    (tmp_path / "pole.toml").write_text(apart)
    assert set(plan(tmp_path / "pole.toml").devices) == {"air", "weather", "other"}


def test_every_problem_is_said_at_once(tmp_path):
    text = (
        GOOD.replace('"sen66"', '"sen6"')
        .replace("0x77", "0x29")
        .replace('"30s"', '"soon"')
        .replace("[store]", "[stor]")
    )
    lines = [each.split(":")[1] for each in problems(tmp_path, text)]
    assert {"1", "4", "13", "21"} <= set(lines)


def test_a_rule_file_that_is_not_there_is_said_beside_the_rest(tmp_path):
    said = problems(tmp_path, GOOD.replace('"sen66"', '"sen6"') + '[rules]\nfiles = ["none.toml"]\n')
    assert len(said) == 2
    assert "none.toml:1: cannot be read" in said[0]


def test_an_unreadable_file_is_a_problem_and_no_traceback(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        plan(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        plan(tmp_path / "binary.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (toml.LARGEST + 1))
    with pytest.raises(ConfigError, match="is longer than"):
        plan(tmp_path / "huge.toml")


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("10s", 10), ("1.5h", 5400), ("7d", 604800), (3, 3), (0.5, 0.5)]
)
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["10", "s", "-1s", "1 s", "1e3s", "", "10sec"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="a duration is"):
        duration(text)


def test_sizes():
    assert (size("512 MiB"), size("1GiB"), size(10)) == (512 << 20, 1 << 30, 10)
    with pytest.raises(ValueError, match="a size is"):
        size("512 MB")
