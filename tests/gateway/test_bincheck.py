"""What is wrong with the tables of presses and collections, said before anything moves."""

import re

import pytest

from gateway.app.check import plan
from gateway.config import ConfigError
from tests.gateway.test_festival_night import POLE, RULES


def check(folder, text=POLE):
    (folder / "pole.toml").write_text(text)
    (folder / "rules.toml").write_text(RULES)
    return plan(folder / "pole.toml")


def changed(before: str, after: str) -> str:
    assert before in POLE
    return POLE.replace(before, after)


def test_a_pole_with_a_press_is_accepted(tmp_path):
    (press,) = check(tmp_path).config.compactor
    assert press.device == "press"


PRESS = POLE[POLE.index("[[compactor]]") : POLE.index("[[collection]]")]
ASKS = '[[collection]]\nbin = "bin"\nfill = "bin.fill"\n'
GUARDED = changed('line = 24\ninterval = "10s"', 'line = 24\n[device.guard]\nmax_on = "9s"')

WRONG = [
    ('device = "press"', 'device = "pres"', '"pres" is no device with the driver compactor; did you mean'),
    ('device = "press"', 'device = "motor"', '"motor" is no device with the driver compactor'),
    ('home = "home.closed"', 'home = "hame.closed"', 'there is no reading "hame.closed"; did you mean'),
    ('home = "home.closed"', 'home = "bin.fill"', "bin.fill is a number, and this must be a true or false"),
    ('current = "motor.current"', 'current = "far.closed"', "this must be a number"),
    ('battery = "motor.voltage"\n', "", "battery and floor go together"),
    ("limit = 6.0", "limit = 0.2", "it must be below limit"),
    ("limit = 6.0", "limit = 6.0\ndead_time = '200ms'", "stands for 0.5 s between two directions"),
    ('max_on = "40s"', 'max_on = "30s"', "a stroke may take 34 s"),
    ('["door.closed", "estop.closed"]', "[]", "press has no permissives in its guard"),
    ('per_hour = 20', "act_unrecorded = true", "no press moves unrecorded"),
    ('line = 6\ninterval = "1s"', 'line = 6\ninterval = "2s"', "door.closed is measured every 2 s: a press"),
    ('line = 8\ninterval = "1s"', 'line = 8\ninterval = "2s"', "home.closed is measured every 2 s: a press"),
    ('interval = "500ms"', 'interval = "1500ms"', "motor.current is measured every 1.5 s: a press"),
    ('line = 24\ninterval = "10s"', 'line = 24\n[device.guard]\nmax_on = "9s"', "for its compactor alone"),
    ('buzzer = "buzzer"', "", "buzzer acts, so it needs a [device.guard]"),
    ("[[collection]]", PRESS + "[[collection]]", "press has a [[compactor]] above"),
    ('trend = "trend"', 'trend = "bin"', '"bin" is no stream of kind filling'),
    ('compactor = "press"', 'compactor = "eye"', 'there is no [[compactor]] with the device "eye"'),
    ('lapse = "1h"', "heavy = 20.0", "weight and heavy go together"),
    ('lapse = "1h"', 'rounds = ["sunday"]', "a round is a day and a time"),
    ('lapse = "1h"', 'fire = "bin.fill"', "this must be a true or false"),
    ("[[collection]]", f"{ASKS}[[collection]]", "bin has a [[collection]] above"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "says"), WRONG)
def test_what_is_wrong_is_said(tmp_path, before, after, says):
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, changed(before, after))
    assert any(re.search(re.escape(says), str(each)) for each in caught.value.problems), caught.value.problems


def test_a_press_that_no_compactor_runs(tmp_path):
    with pytest.raises(ConfigError, match=r"press is a press: it needs a \[\[compactor\]\]"):
        check(tmp_path, GUARDED.replace(PRESS, "").replace('compactor = "press"\n', ""))


def test_a_buzzer_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match='"door" is no device with the driver switch'):
        check(tmp_path, GUARDED.replace('buzzer = "buzzer"', 'buzzer = "door"'))


def test_a_problem_has_the_line_of_its_key(tmp_path):
    text = changed('far = "far.closed"', 'far = "fur.closed"')
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, text)
    (problem,) = caught.value.problems
    assert text.splitlines()[problem.line - 1] == 'far = "fur.closed"'


def test_no_rule_may_switch_the_buzzer(tmp_path):
    (tmp_path / "pole.toml").write_text(POLE)
    (tmp_path / "rules.toml").write_text(RULES.replace('switch = "press"', 'switch = "buzzer"'))
    with pytest.raises(ConfigError, match="buzzer"):
        plan(tmp_path / "pole.toml")
