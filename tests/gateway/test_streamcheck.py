"""What only a stream and its part together show: twice corrected, wrongly corrected, never reached."""

import pytest

from gateway.app.check import plan
from gateway.config import ConfigError

POLE = """\
[gateway]
id = "pole"
[store]
path = "pole.db"
[header]
chip = "emulated:street"
[[bus]]
id = "i2c"
path = "emulated:street"
[[device]]
id = "weather"
driver = "bme280"
bus = "i2c"
interval = "10s"
[[device]]
id = "river"
"""
PARTS = {
    "mb7040": 'driver = "mb7040"\nbus = "i2c"\n',
    "hcsr04": 'driver = "hcsr04"\nline = 23\n',
    "warm": 'driver = "hcsr04"\nline = 23\noptions = { temperature = 25.0 }\n',
    "light": 'driver = "vl53l1x"\nbus = "i2c"\n',
}
STAGE = """\
interval = "10s"
[[derive]]
id = "steady"
kind = "mean"
from = "river.distance"
over = "1m"
[[derive]]
id = "level"
kind = "stage"
from = "steady.distance"
reference = 6.42
"""
ALARM = """\
[[derive]]
id = "clean"
kind = "despiked"
from = "level.stage"
suspect = 0.2
fail = 0.5
[[derive]]
id = "flood"
kind = "stage_alarm"
from = "clean.stage"
"""
AIR = 'temperature = "weather.temperature"\n'


def problems(folder, text):
    path = folder / "pole.toml"
    path.write_text(POLE + text)
    try:
        plan(path)
    except ConfigError as error:
        return [
            f"{path.read_text().splitlines()[each.line - 1].split(' = ')[0]}: {each.message}"
            for each in error.problems
        ]
    return []


@pytest.mark.parametrize(
    ("part", "keys", "key", "says"),
    [
        ("mb7040", AIR, "", ""),
        ("mb7040", f"{AIR}assumed = 344.5\n", "", ""),
        ("mb7040", f"{AIR}assumed = 343.42\n", "assumed", "0.4 % of the distance; say assumed = 344.83"),
        ("hcsr04", AIR, "kind", "river reckons with 343.42 m/s, not 344.8"),
        ("hcsr04", f"{AIR}assumed = 343.42\n", "", ""),
        ("warm", f"{AIR}assumed = 343.42\n", "assumed", "say assumed = 346.45"),
        ("warm", f"{AIR}assumed = 346.45\n", "", ""),
        ("light", AIR, "temperature", "river does not range by sound"),
        ("light", "", "", ""),
        ("hcsr04", "", "", ""),
    ],
)
def test_a_distance_is_corrected_for_the_air_as_its_part_needs_it(tmp_path, part, keys, key, says):
    found = problems(tmp_path, PARTS[part] + STAGE + keys)
    if not says:
        assert found == []
        return
    (one,) = found
    assert says in one
    assert one.startswith(f"{key}: ") or key == "kind"


@pytest.mark.parametrize(
    ("heights", "says"),
    [
        ("action = 1.5\nmajor = 6.41\n", ""),
        ("action = 1.5\nmajor = 6.42\n", "major: major begins at 6.42 m, and the sensor's face is at 6.42"),
        ("action = 1500\n", "action: action begins at 1500 m, and the sensor's face is at 6.42"),
    ],
)  # fmt: skip
def test_no_water_stands_above_the_sensor(tmp_path, heights, says):
    found = problems(tmp_path, PARTS["mb7040"] + STAGE + ALARM + heights)
    assert [one for one in found if says not in one] == []
    assert bool(found) is bool(says)


@pytest.mark.parametrize(("interval", "right"), [("20m", True), ("21m", False)])
def test_what_corrects_another_sensor_is_read_often_enough(tmp_path, interval, right):
    text = POLE.replace('interval = "10s"', f'interval = "{interval}"') + PARTS["mb7040"] + STAGE + AIR
    (tmp_path / "pole.toml").write_text(text)
    if right:
        plan(tmp_path / "pole.toml")
        return
    with pytest.raises(ConfigError, match="comes each 1260 s, and counts for three times as long"):
        plan(tmp_path / "pole.toml")
