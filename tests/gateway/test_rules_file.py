"""Rule files: what loads, and that everything else is refused with its place, all of it at once."""

import re
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.device import Quantity
from gateway.problem import ConfigError, Problem
from gateway.reading import Announce, Grant, Mode, SwitchOn
from gateway.rules import RuleFile, load, load_all, parse, vocabulary
from gateway.rules.file import SIZE
from gateway.toml import LINE

ROOT = Path(__file__).parent.parent.parent
TYPES = vocabulary(
    {
        "bin": [Quantity.FILL],
        "lid": [Quantity.CLOSED],
        "river": [Quantity.STAGE],
        "compactor": [Quantity.ON],
        "noise": [Quantity.SOUND_LEVEL],
    }
)
SWITCHES = ("compactor", "siren", "lock")
TODAY = date(2030, 6, 1)
RULE = """\
[[rule]]
id = "press"
says = "Presses the rubbish."
owner = "Waste <waste@city.example>"
expires = 2030-12-31
when = "bin.fill >= 80 && lid.closed"
do = [{ switch = "compactor", during = "4s" }]
[[rule.test]]
given = { "bin.fill" = 85.0, "lid.closed" = true }
expect = true
"""
OFF = 'mode = "off"\ngrant = { by = "J. Meyer", reason = "night", until = 2030-12-31 }\n'


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def read(text: str, today: date = TODAY, keep_expired: bool = False) -> RuleFile:
    return parse(text, "a.toml", TYPES, SWITCHES, today, keep_expired)


def problems(text: str) -> list[Problem]:
    with pytest.raises(ConfigError) as error:
        read(text)
    return list(error.value.problems)


def altered(old: str, new: str) -> str:
    assert RULE.count(old) == 1
    return RULE.replace(old, new)


def test_a_rule_has_everything_that_its_file_says() -> None:
    more = f'version = 7\n{OFF}for = "1.5m"\nhold = "2h"\nask = "5m"\nveto = "30s"\nblind = "1d"\n'
    file = read(altered('when = "', more + 'clear = "bin.fill < 60"\nwhen = "'))
    (rule,) = file.rules
    assert (rule.id, rule.version, rule.says) == ("press", 7, "Presses the rubbish.")
    assert (rule.owner, rule.expires, rule.mode) == (
        "Waste <waste@city.example>",
        date(2030, 12, 31),
        Mode.OFF,
    )
    assert (rule.when.text, rule.wait) == ("bin.fill >= 80 && lid.closed", 90.0)
    assert (rule.hold, rule.ask, rule.veto, rule.blind) == (7200.0, 300.0, 30.0, 86400.0)
    assert rule.grant == Grant("J. Meyer", "night", at("2031-01-01T00:00:00+00:00"))
    assert rule.clear is not None
    assert rule.clear.text == "bin.fill < 60"
    assert rule.commands == (SwitchOn("compactor", 4.0),)
    assert rule.digest == file.digest


def test_a_new_rule_is_a_pilot() -> None:
    (rule,) = read(RULE).rules
    assert (rule.mode, rule.version, rule.wait, rule.clear) == (Mode.SHADOW, 1, 0.0, None)
    assert (rule.hold, rule.ask, rule.veto, rule.blind, rule.grant) == (0.0, 600.0, 60.0, 60.0, None)


def test_commands_become_what_control_is_asked() -> None:
    text = altered(
        '[{ switch = "compactor", during = "4s" }]',
        """[
    { switch = "siren" },
    { collect = "bin", fill = "bin.fill", reason = "full", priority = "high" },
    { collect = "bin", reason = "full" },
    { event = "flood.warning", subject = "r", data = { level = 2, from = 2030-01-02, all = [1.5, true] } },
]""",
    )
    collection = "lamppost.collection.requested"
    data = {"level": 2, "from": "2030-01-02", "all": [1.5, True]}
    assert read(text).rules[0].commands == (
        SwitchOn("siren"),
        Announce(collection, "bin", {"reason": "full", "priority": "high"}, {"fill": "bin.fill"}),
        Announce(collection, "bin", {"reason": "full", "priority": "normal"}),
        Announce("lamppost.flood.warning", "r", data),
    )


@pytest.mark.parametrize(
    ("old", "new", "spot", "message"),
    [
        ('id = "press"\n', "", "[[rule]]", '"id" is missing: a short name'),
        ('"press"', '"Press it"', '"Press it"', "begins with a letter"),
        ('"press"', "7", "7", '"id" is a text'),
        ('"press"', '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"', 'a"', "at most 40 characters"),
        ('says = "Presses the rubbish."\n', "", "[[rule]]", '"says" is missing: in plain language'),
        ("the rubbish.", "\\u001b[31m", '\\u001b[31m"', "one line without control characters"),
        ('"Presses the rubbish."', '" "', '" "', '"says" is a text'),
        ('owner = "Waste <waste@city.example>"\n', "", "[[rule]]", '"owner" is missing: who answers'),
        ("expires = 2030-12-31\n", "", "[[rule]]", '"expires" is missing: the last day'),
        ("2030-12-31", '"2030-12-31"', '"2030-12-31"', "is a date without quotes"),
        ("2030-12-31", "2030-12-31T00:00:00Z", "2030-12-31T00:", "is a date without quotes"),
        ("2030-12-31", "2030-05-31", "2030-05-31", "this rule has expired"),
        ("bin.fill >=", "bin.fil >=", "bin.fil >= 80 ", 'has no quantity "fil"; did you mean "bin.fill"?'),
        ('&& lid.closed"', '&& lid.close"', 'lid.close"', 'did you mean "lid.closed"?'),
        ('80 && lid.closed"', '"', '"', "the expression ends where a value should follow"),
        ("80 &&", "80 and", "and lid.closed", "write && for and"),
        ("80 &&", '\\u0038\\t0 \\"x\\" &&', '0 \\"x\\" && lid', 'unexpected "0"'),
        (
            '"bin.fill >= 80 && lid.closed"',
            '"""\\\n   bin.fill >= 80\n && lid"""',
            'lid"""',
            '"lid" is not a name',
        ),
        ('"bin.fill >= 80 && lid.closed"', '"bin.fill"', 'bin.fill"', "a condition is true or false"),
        ('"bin.fill >= 80 && lid.closed"', '""', '""', "the expression ends where a value should follow"),
        ('"bin.fill >= 80 && lid.closed"', "true", "true", "is an expression in quotes"),
        ('when = "bin.fill >= 80 && lid.closed"\n', "", "[[rule]]", '"when" is missing'),
        ("when =", 'clear = "lid.open"\nwhen =', 'lid.open"', '"lid" has no quantity "open"'),
        ("when =", 'for = "10 s"\nwhen =', '"10 s"', "a duration is a number and a unit"),
        ("when =", "for = -1\nwhen =", "-1", "a duration from 0 s to 366 d"),
        ("when =", 'for = "367d"\nwhen =', '"367d"', "a duration from 0 s to 366 d"),
        ("when =", "for = true\nwhen =", "true", "a duration from 0 s to 366 d"),
        ("when =", "for = nan\nwhen =", "nan", "a duration from 0 s to 366 d"),
        ("when =", 'mode = "auto"\nwhen =', '"auto"', '"mode" is "shadow" or "in" or "on" or "off"'),
        ("when =", 'mode = "on"\nwhen =', '"on"', 'mode "on" acts without a yes, so a person grants it'),
        ("when =", 'mode = "off"\nwhen =', '"off"', "for a time: grant = { by ="),
        ("when =", 'mode = "in"\ngrant = {}\nwhen =', "{}", 'mode "in" needs no grant; remove it'),
        ("when =", "grant = {}\nwhen =", "{}", 'mode "shadow" needs no grant; remove it'),
        ("when =", OFF.replace("{", '"x" #') + "when =", '"x"', '"grant" is a table'),
        ("when =", OFF.replace("by =", "from =") + "when =", "{ from", '"by" is missing: the person who'),
        ("when =", OFF.replace("by =", "from =") + "when =", 'from = "J', "unknown key 'from'"),
        ("when =", OFF.replace('"night"', '" "') + "when =", '" "', '"reason" is a text: why it may act'),
        ("when =", OFF.replace(", until = 2030-12-31", "") + "when =", "{ by", '"until" is missing'),
        ("when =", OFF.replace("2030-12-31", "30") + "when =", "30", '"until" is a date, or a date-time'),
        ("when =", OFF.replace("2030-12-31", '"2030-12-31"') + "when =", '"2030', "without quotes"),
        ("when =", OFF.replace("2030-12-31", "12:00:00") + "when =", "12:00", '"until" is a date, or a'),
        (
            "when =",
            OFF.replace("2030-12-31", "2030-12-31T12:00:00") + "when =",
            "2030",
            "its offset from UTC",
        ),
        ("when =", OFF.replace("2030-12-31", "2031-06-03") + "when =", "2031", "at most 366 days from today"),
        ("when =", OFF.replace("2030-12-31", "9999-12-31") + "when =", "9999", "at most 366 days from today"),
        ("when =", 'hold = "367d"\nwhen =', '"367d"', '"hold" is a duration from 0 s'),
        ("when =", 'ask = "0s"\nwhen =', '"0s"', '"ask" is a duration from 1 s'),
        ("when =", 'veto = "0s"\nwhen =', '"0s"', '"veto" is a duration from 1 s'),
        ("when =", 'blind = "0s"\nwhen =', '"0s"', '"blind" is a duration from 1 s'),
        ("when =", "version = 0\nwhen =", "0", '"version" is a whole number from 1'),
        ("when =", "version = true\nwhen =", "true", '"version" is a whole number from 1'),
        ("when =", "claer = 1\nwhen =", "claer = 1", "unknown key 'claer'; did you mean \"clear\"?"),
        ('do = [{ switch = "compactor", during = "4s" }]\n', "", "[[rule]]", '"do" is missing'),
        ('[{ switch = "compactor", during = "4s" }]', "[]", "[[rule]]", '"do" is missing'),
        ('[{ switch = "compactor", during = "4s" }]', '"siren"', '"siren"', '"do" is written do = [{ switch'),
        (
            '[{ switch = "compactor", during = "4s" }]',
            '["siren"]',
            '"siren"]',
            '"do" is written do = [{ switch',
        ),
        (
            '"compactor"',
            '"compacter"',
            '"compacter", d',
            "no switch 'compacter'; did you mean \"compactor\"?",
        ),
        ('"compactor"', '"heater"', '"heater", duri', "configure one as a device with a guard"),
        ('"4s"', '"0s"', '"0s" }]', '"during" is a duration from 0.001 s'),
        ("during", "for", 'for = "4s" }]', "unknown key 'for'"),
        ("{ switch =", '{ event = "x", switch =', '{ event = "x",', "exactly one of"),
        ("{ switch =", '{ switch = "compactor" }, { switch =', '[{ switch = "c', "commands a switch once"),
        ('switch = "compactor", during = "4s"', 'collect = "bin"', '{ collect = "b', '"reason" is missing'),
        (
            'switch = "compactor", during = "4s"',
            'collect = "bin", reason = "x", priority = "urgent"',
            '"urgent" }]',
            '"priority" is "normal" or "high" or "low"',
        ),
        (
            'switch = "compactor", during = "4s"',
            'collect = "bin", reason = "x", fill = "bin.fil"',
            '"bin.fil" }]',
            "no number 'bin.fil'; did you mean \"bin.fill\"?",
        ),
        (
            'switch = "compactor", during = "4s"',
            'collect = "bin", reason = "x", fill = "lid.closed"',
            '"lid.closed" }',
            "no number 'lid.closed'",
        ),
        (
            'switch = "compactor", during = "4s"',
            'event = "lamppost.flood", subject = "x"',
            '"lamppost.floo',
            "write 'flood'",
        ),
        (
            'switch = "compactor", during = "4s"',
            'event = "Flood", subject = "x"',
            '"Flood", subje',
            "a dotted name",
        ),
        ('switch = "compactor", during = "4s"', 'event = "flood"', '{ event = "flo', '"subject" is missing'),
        (
            'switch = "compactor", during = "4s"',
            'event = "flood", subject = "x", data = { a = inf }',
            "inf } }]",
            "JSON has no infinity",
        ),
        (
            'switch = "compactor", during = "4s"',
            'event = "flood", subject = "x", data = { a = [9007199254740993] }',
            "[9007199254740",
            "not exact in JSON",
        ),
        (
            'switch = "compactor", during = "4s"',
            'event = "flood", subject = "x", data = { a = [[[[[[1]]]]]] }',
            "[[[[[[1]]]]]] ",
            "nested more than 5 levels",
        ),
        ("expect = true", "expect = false", "false", 'the test expects false, but "when" is true'),
        ('"lid.closed" = true', '"lid.closed" = false', "true", 'expects true, but "when" is false'),
        (', "lid.closed" = true', "", "true", '"when" is unknown; not given: lid.closed'),
        ("expect = true", 'expect = "yes"', '"yes"', '"expect" is true, false or "unknown"'),
        ("expect = true\n", "", "[[rule.test]]", '"expect" is true, false or "unknown"'),
        ('"bin.fill" = 85.0', '"bin.fil" = 85.0', '"bin.fil" = 85', "no reading 'bin.fil'"),
        ('"bin.fill" = 85.0', "bin.fill = 85.0", "bin.fill = 85.", 'the whole name in quotes: "bin.fill"'),
        ('"bin.fill" = 85.0', '"bin.fill" = true', 'true, "lid.clo', "bin.fill is a number"),
        ('"bin.fill" = 85.0', '"bin.fill" = nan', 'nan, "lid.clos', "bin.fill is a number"),
        ('"bin.fill" = 85.0', '"bin.fill" = 9007199254740993', "90071992547409", "too large to be exact"),
        ('"lid.closed" = true', '"lid.closed" = 1', "1 }", "lid.closed is true or false"),
        ('"bin.fill" = 85.0', '"bin.age" = 3', '3, "lid.closed', 'in quotes, such as "10s"'),
        ('"bin.fill" = 85.0', '"bin.age" = "3"', '"3", "lid.clos', "a duration is a number and a unit"),
        ("expect = true", 'expect = true\nname = "x"', 'name = "x"', "unknown key 'name'"),
        ("[[rule.test]]", "[[rule.tests]]", "[[rule.tests]]", 'did you mean "test"?'),
        ("[[rule.test]]", "[rule.test]", "[rule.test]", '"test" is written as [[rule.test]]'),
        ("[[rule]]", 'title = "x"\n[[rule]]', 'title = "x"', "unknown key 'title'"),
        ("says = ", "says : ", ': "Presses the', "is not TOML"),
        ('"press"', '"press', "", "is not TOML"),
    ],
)
def test_a_problem_is_reported_where_it_stands(old: str, new: str, spot: str, message: str) -> None:
    """*spot* is what the file holds from the reported line and column on."""
    text = altered(old, new)
    (problem,) = [problem for problem in problems(text) if message in problem.message]
    assert text.split("\n")[problem.line - 1][problem.column - 1 :].startswith(spot)


def test_every_problem_of_a_file_comes_at_once_in_order() -> None:
    text = altered("owner = ", "# ").replace("80 &&", "80 &").replace('"compactor"', '"x"') + RULE + RULE
    found = problems(text)
    assert [(p.line, p.message.split(":")[0]) for p in found] == [
        (1, '"owner" is missing'),
        (6, 'unexpected "&"'),
        (7, "no switch 'x'; configure one as a device with a guard"),
        (22, 'another rule is called "press"; rename one'),
    ]
    assert str(found[1]).startswith('a.toml:6:24: unexpected "&"')


def test_no_more_than_a_hundred_problems_are_told() -> None:
    """A hostile file must not keep the loader busy with looking for likely names."""
    found = problems("[[rule]]\n" * 1000)
    assert len(found) == 101
    assert found[-1] == Problem("a.toml", 1, "there are more than 100 problems; these come first")


def test_a_rule_needs_a_test() -> None:
    (problem,) = problems(RULE[: RULE.index("[[rule.test]]")])
    assert "at least one test" in problem.message


def test_a_test_may_expect_the_unknown_and_give_ages() -> None:
    text = altered("bin.fill >= 80 && lid.closed", "bin.age > duration('10s')")
    text = re.sub(r"given = .*\n", 'given = { "bin.age" = "11s" }\n', text)
    assert read(text + '[[rule.test]]\nexpect = "unknown"\n').rules
    assert problems(text + '[[rule.test]]\ngiven = { "bin.age" = "9s" }\nexpect = "unknown"\n')


def test_the_last_day_counts_and_an_expired_rule_loads_only_when_asked() -> None:
    assert read(RULE, date(2030, 12, 31)).rules
    with pytest.raises(ConfigError, match="has expired"):
        read(RULE, date(2031, 1, 1))
    assert read(RULE, date(2031, 1, 1), keep_expired=True).rules


@pytest.mark.parametrize("mode", ["on", "off"])
@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2031-06-02", "2031-06-03T00:00:00+00:00"),  # the 366th day from today, and all of it
        ("2031-06-02T23:59:59Z", "2031-06-02T23:59:59+00:00"),
        ("2030-12-31T12:30:00+02:00", "2030-12-31T10:30:00+00:00"),
        ("2029-12-31", "2030-01-01T00:00:00+00:00"),  # over: the rule asks again, and its file still loads
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
    ],
)
def test_a_grant_ends_on_a_day_or_at_a_moment(mode: str, until: str, end: str) -> None:
    text = altered("when =", OFF.replace("2030-12-31", until).replace("off", mode) + "when =")
    (rule,) = read(text).rules
    assert rule.grant == Grant("J. Meyer", "night", at(end))
    assert rule.mode == mode


def test_a_demonstration_renews_the_grants_that_there_are() -> None:
    more = RULE.replace('"press"', '"pilot"')
    file = read(altered("when =", OFF + "when =") + more)
    assert [rule.grant for rule in file.renewed(7.0).rules] == [Grant("J. Meyer", "night", 7.0), None]
    assert file.renewed(7.0) == file


def test_the_length_of_a_grant_is_not_judged_by_a_clock_that_may_be_wrong() -> None:
    """A pole starts up before its clock is set; the engine looks again once it is."""
    text = altered("when =", OFF + "when =")
    assert read(text, date(1970, 1, 1), keep_expired=True).rules
    with pytest.raises(ConfigError, match="at most 366 days"):
        read(text, date(1970, 1, 1))


def test_the_digest_knows_content_and_not_layout() -> None:
    digest = read(RULE).digest
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert read("# comment\n" + RULE.replace("85.0", "85").replace("\n", "\r\n")).digest == digest
    assert read(altered("Presses", "Pushes")).digest != digest
    assert read(altered('"4s"', '"5s"')).digest != digest


def test_line_ends_of_windows_do_not_shift_a_column() -> None:
    (problem,) = problems(altered("&& lid.closed", "&& lid.close").replace("\n", "\r\n"))
    assert (problem.line, problem.column) == (6, 27)


def test_files_are_read_and_refused_in_words(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text(RULE)
    assert load(good, TYPES, SWITCHES, TODAY) == parse(RULE, "x", TYPES, SWITCHES, TODAY)
    for name, content, message in [
        ("latin", b'says = "M\xfcll"', r"latin:1: is not UTF-8"),
        ("large", b"#" * (SIZE + 1), "is longer than 131,072 bytes"),
        ("long", b"\n#" + b"x" * LINE, rf"long:2:{LINE + 1}: a line has at most"),
        ("deep", b"a = " + b"[\n" * 5000 + b"]" * 500, "deep:"),
        ("digits", b"a = " + b"1" * 900 + b"\n", "digits:1:1: unknown key"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            load(tmp_path / name, TYPES, SWITCHES, TODAY)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none", TYPES, SWITCHES, TODAY)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, TYPES, SWITCHES, TODAY)


def test_problems_of_several_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(RULE)
    (tmp_path / "b").write_text(RULE)
    (tmp_path / "c").write_text("x = 1")
    with pytest.raises(ConfigError) as error:
        load_all([tmp_path / name for name in "abc"], TYPES, SWITCHES, TODAY)
    assert [p.message.split(";")[0] for p in error.value.problems] == [
        f'rule "press" is already in {tmp_path / "a"}',
        "unknown key 'x'",
    ]
    assert [len(f.rules) for f in load_all([tmp_path / "a"], TYPES, SWITCHES, TODAY)] == [1]


def test_an_empty_file_has_no_rules() -> None:
    assert read("").rules == ()


def test_the_examples_of_the_documentation_load() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/rules.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert read(block).rules


def test_the_documentation_names_every_key_and_operator() -> None:
    text = (ROOT / "docs/rules.md").read_text()
    keys = "id version says owner expires mode when clear for hold do given expect switch during collect fill"
    more = "reason priority event subject data unknown grant by until ask veto blind"
    for word in [*keys.split(), *more.split(), *Mode]:
        assert re.search(rf"[`\[{{ \"]{word}[`\" ]", text), word
    for op in ["&&", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "!"]:
        assert f"`{op}`" in text, op


@given(st.binary(max_size=300))
@example(RULE.encode())
@example(b"[[rule]]\nrule = 1")
@example(b"rule = [1, [2], {}]")
@example(b"[rule]\na = 1")
@example(b"rule.a.b = 1")
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    attempt(data.decode("utf-8", "replace"))


@given(st.integers(0, len(RULE) - 1), st.integers(0, 12), st.text(max_size=6))
def test_any_damaged_file_loads_or_is_refused_within_its_lines(at: int, length: int, new: str) -> None:
    attempt(RULE[:at] + new + RULE[at + length :])


SCRAPS = ["[[rule]]\n", "[[rule.test]]\n", "[rule]\n", "given = {", "}", "[", "]", "=", "1", "true", "\n"]
SCRAPS += ["id", "do", "when", "'''", '"""', "\\", "#", ",", ".", "expires", "2030-12-31", "test", '"x"']
SCRAPS += ["{ switch = 1 }", '"bin.fill"']


@given(st.lists(st.sampled_from(SCRAPS), max_size=25))
def test_any_row_of_scraps_loads_or_is_refused(scraps: list[str]) -> None:
    attempt(" ".join(scraps))


def attempt(text: str) -> None:
    """Load *text*; nothing but ConfigError may come of it, with places that exist and printable sentences."""
    found: tuple[Problem, ...] = ()
    try:
        read(text)
    except ConfigError as error:
        found = error.problems
    lines = text.replace("\r\n", "\n").split("\n")
    for problem in found[:100]:
        assert 1 <= problem.line <= len(lines)
        assert 0 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.message.isprintable()
