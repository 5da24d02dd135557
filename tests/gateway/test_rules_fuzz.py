"""Damaged rule files by the thousand: each is refused in words, or what it loads is whole and can run."""

import math
import random
import re
from datetime import date
from pathlib import Path

import pytest

from drivers.device import Missing, Quantity
from gateway.clock import Instant, Quality
from gateway.problem import ConfigError
from gateway.reading import Announce, Mode, Reading, SwitchOn
from gateway.rules import Engine, Rule, RuleFile, parse, vocabulary

ROOT = Path(__file__).parent.parent.parent
DEVICES = {
    "bin": [Quantity.FILL],
    "lid": [Quantity.CLOSED],
    "river": [Quantity.STAGE],
    "compactor": [Quantity.ON],
    "noise": [Quantity.SOUND_LEVEL],
}
TYPES = vocabulary(DEVICES)
SWITCHES = ("compactor", "siren", "lock")
TODAY = date(2026, 6, 1)
NOON = 1_780_315_200.0
WHOLE = [
    *re.findall(r"```toml\n(.*?)```", (ROOT / "docs/rules.md").read_text(), re.DOTALL),
    (ROOT / "deploy/demo.rules.toml").read_text(),
    (ROOT / "deploy/rules.example.toml").read_text(),
]
WORDS = sorted({word for text in WHOLE for word in re.findall(r'"[^"\n]*"|[\w.]+|[^\w\s]', text)})
ODD = ["nan", "inf", "-1", "1e400", "0x7f", "9" * 25, "''", '""', "[]", "{}", "[[rule]]", "[rule]", "\n", "="]
ODD += ["\x00", "\ud7ff", "é", "\\u0000", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59-23:59", "true"]
ODD += ['"off"', '"on"', '"in"', "grant = {}", '"366d"', '"1e9d"', "!", "(", ")" * 50, "(" * 50, "'''", '"""']
PIECE = re.compile(r'"""|"[^"\n]*"|[\w.:-]+|\s+|.')


def damaged(chance: random.Random) -> str:
    """Return one of the whole files with one to four of its pieces removed, doubled, swapped or replaced."""
    pieces = PIECE.findall(chance.choice(WHOLE))
    for _ in range(chance.randint(1, 4)):
        at, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
        match chance.randrange(6):
            case 0:
                pieces[at] = ""
            case 1:
                pieces[at] *= 2
            case 2:
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 3:
                pieces[at] = chance.choice(WORDS)
            case 4:
                pieces[at] = chance.choice(ODD)
            case _:
                del pieces[min(at, other) : min(at, other) + chance.randint(1, 20)]
                pieces = pieces or [""]
    return "".join(pieces)


def whole(rule: Rule) -> None:
    """Fail where *rule* is not all that a rule must be to load."""
    assert re.fullmatch("[a-z][a-z0-9_-]{0,39}", rule.id)
    assert rule.says.strip()
    assert rule.owner.strip()
    assert rule.expires >= TODAY
    assert rule.version >= 1
    assert rule.commands
    for command in rule.commands:
        assert isinstance(command, Announce) or command.actuator in SWITCHES
        assert not isinstance(command, SwitchOn) or command.during is None or command.during > 0
    assert set(rule.names) <= set(TYPES)
    for time in (rule.wait, rule.hold, rule.ask, rule.veto, rule.blind):
        assert math.isfinite(time)
        assert 0 <= time <= 366 * 86400
    assert (rule.grant is not None) is (rule.mode in (Mode.ON, Mode.OFF))
    if rule.grant is not None:
        assert rule.grant.by.strip()
        assert rule.grant.reason.strip()
        assert rule.grant.until <= NOON + 367 * 86400


def run(rules: tuple[Rule, ...], chance: random.Random) -> None:
    """Let *rules* live for a while, with a restart; nothing may come of them before a reading does."""
    now = Instant(NOON, 0.0, "boot", Quality.SYNCHRONIZED)
    engine = Engine(rules, dict.fromkeys(DEVICES, 10.0), lambda: now)
    certain = {rule.id for rule in rules if rule.when.evaluate({}.get) is True}
    assert {transition.rule for transition in engine.step()} <= certain
    for _ in range(6):
        now = Instant(now.time + 5.0, now.mono + 5.0, "boot", now.clock)
        device = chance.choice(list(DEVICES))
        quantity = DEVICES[device][0]
        value = chance.choice([0.0, 1.0, 90.0, math.nan, math.inf, 1e300])
        lost = {quantity: Missing.FAULT} if chance.random() < 0.2 else {}
        engine.note(Reading(device, now, {} if lost else {quantity: value}, lost))
        engine.step()
        engine.due()
    engine.restore(engine.save())
    engine.status()


def fuzz(seed: int, number: int) -> int:
    """Try *number* damaged files; return how many of them loaded."""
    chance, loaded = random.Random(seed), 0
    for _ in range(number):
        found = attempt(damaged(chance))
        if isinstance(found, ConfigError):
            assert found.problems
            assert all(problem.message.isprintable() for problem in found.problems), found
            continue
        for rule in found.rules:
            whole(rule)
        run(found.rules, chance)
        loaded += bool(found.rules)
    return loaded


def attempt(text: str) -> RuleFile | ConfigError:
    try:
        return parse(text, "fuzz.toml", TYPES, SWITCHES, TODAY)
    except ConfigError as error:
        return error


def test_fifteen_hundred_damaged_files_break_nothing() -> None:
    assert fuzz(0, 1500) > 75, "some must load, or nothing is shown of those that do"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_hundred_thousand_damaged_files_break_nothing(seed: int) -> None:
    assert fuzz(seed, 50_000) > 2500
