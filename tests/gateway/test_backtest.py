"""`lamppost backtest`: the real engine and the real guards over a store's past, in its own time."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC
from pathlib import Path

import pytest

from drivers.device import Quantity
from gateway.app.backtest import run
from gateway.app.timeline import timeline
from gateway.app.trial import Deed, Episode
from gateway.app.tried import Tried, differences
from gateway.cli import main
from gateway.clock import Instant, LoopClock, Quality
from gateway.reading import Reading
from gateway.store import Store
from tests.gateway.store_rig import NOW, settings

INSERT = "INSERT INTO telemetry (seq, time, device, body) VALUES (?, ?, 'range', ?)"
START = 1_790_812_800.0
POLE = """
[gateway]
id = "pole-1"
[store]
path = "pole.db"
[header]
chip = "emulated:street"
[[bus]]
id = "i2c"
path = "emulated:street"
[[device]]
id = "range"
driver = "vl53l1x"
bus = "i2c"
[[derive]]
id = "bin"
kind = "fill"
from = "range.distance"
empty = 1.0
full = 0.0
[[device]]
id = "lid"
driver = "contact"
line = 17
[[device]]
id = "press"
driver = "switch"
line = 25
[device.guard]
max_on = "{max_on}"
min_off = "{min_off}"
permissives = ["lid.closed"]
"""
RULE = """
[[rule]]
id = "{id}"
says = "Press the rubbish."
owner = "Waste department"
expires = 2036-12-31
when = "{when}"
{more}
do = [{do}]
[[rule.test]]
given = {{ "bin.fill" = 100.0 }}
expect = true
"""


def rule(
    when: str = "bin.fill >= 80", do: str = '{ switch = "press" }', more: str = "", id: str = "full"
) -> str:
    return RULE.format(id=id, when=when, do=do, more=more)


def at(seconds: float, boot: str = "b", mono: float | None = None) -> Instant:
    return Instant(START + seconds, seconds if mono is None else mono, boot, Quality.SYNCHRONIZED)


def course(
    fills: dict[float, float], until: float, closed: dict[float, bool] | None = None
) -> Iterator[Reading]:
    """Yield a reading of each device per ten seconds: *fills* and *closed* say what is so from when on."""
    fill, lid = 0.0, True
    for n in range(int(until / 10)):
        t = 10.0 * n
        fill = fills.get(t, fill)
        lid = (closed or {}).get(t, lid)
        yield Reading("range", at(t), {Quantity.DISTANCE: 1.0 - fill / 100})
        yield Reading("lid", at(t + 1), {Quantity.CLOSED: float(lid)})
        yield Reading("press", at(t + 2), {Quantity.ON: 0.0})


class Bench:
    """A folder with a store, a pole and rule files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, readings: Iterable[Reading]) -> None:
        async def fill() -> None:
            store = await Store.open(settings(self.folder / "pole.db"), "pole-1", LoopClock(), NOW)
            for reading in readings:
                store.add(reading)
            await store.close()

        asyncio.run(fill())

    def file(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    def run(self, *texts: str, max_on: str = "1h", min_off: str = "0s", alone: bool = False) -> Tried:
        pole = self.file("pole.toml", POLE.format(max_on=max_on, min_off=min_off))
        files = [self.file(f"rules{n}.toml", text) for n, text in enumerate(texts)]
        return run(self.folder / "pole.db", files, None if alone else pole, (None, None))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def command(bench: Bench, rules: Path, pole: Path) -> list[str]:
    store = str(bench.folder / "pole.db")
    return ["backtest", "--store", store, "--config", str(pole), "--rules", str(rules)]


def times(deed: Deed) -> tuple[float | None, float | None]:
    return (deed.on and deed.on - START, deed.off and deed.off - START)


def test_a_switch_goes_on_and_off_when_the_rule_would_have_moved_it(bench):
    bench.write(course({100.0: 90.0, 300.0: 10.0}, 600))
    (episode,) = bench.run(rule()).runs[0].episodes
    assert (episode.began - START, (episode.ended or 0) - START) == (100.0, 300.0)
    assert times(episode.deeds[0]) == (100.0, 300.0)
    assert episode.outcomes == ("acted",)


def test_waiting_ends_between_two_readings(bench):
    bench.write(course({100.0: 90.0}, 300))
    (episode,) = bench.run(rule(more='for = "12s"')).runs[0].episodes
    assert episode.began - START == pytest.approx(112.0, abs=1e-6)


def test_a_stroke_ends_by_itself_and_is_not_repeated(bench):
    bench.write(course({100.0: 90.0}, 300))
    (episode,) = bench.run(rule(do='{ switch = "press", during = "4s" }')).runs[0].episodes
    assert times(episode.deeds[0]) == pytest.approx((100.0 + 0.0, 104.0))


def test_an_open_lid_blocks_until_it_is_closed(bench):
    bench.write(course({100.0: 90.0, 300.0: 10.0}, 400, {50.0: False, 200.0: True}))
    tried = bench.run(rule())
    (deed,) = tried.runs[0].episodes[0].deeds
    assert deed.outcome == "late"
    assert deed.refused == {"lid.closed (false)"}
    assert times(deed) == (201.0, 300.0)


def test_what_stays_blocked_never_acts(bench):
    bench.write(course({100.0: 90.0, 300.0: 10.0}, 400, {50.0: False}))
    (deed,) = bench.run(rule()).runs[0].episodes[0].deeds
    assert (deed.outcome, deed.on) == ("blocked", None)


def test_a_lid_that_is_not_known_blocks_too(bench):
    bench.write(r for r in course({100.0: 90.0, 300.0: 10.0}, 400) if r.device != "lid" or r.at.mono < 50)
    (deed,) = bench.run(rule()).runs[0].episodes[0].deeds
    assert deed.refused == {"lid.closed (not known)"}


def test_the_longest_time_on_cuts_it_short_for_this_firing(bench):
    bench.write(course({100.0: 90.0, 300.0: 10.0}, 400))
    (deed,) = bench.run(rule(), max_on="30s").runs[0].episodes[0].deeds
    assert (deed.outcome, deed.cut, times(deed)) == ("cut short", {"max_on"}, (100.0, 130.0))


def test_the_least_time_off_delays_the_next(bench):
    bench.write(course({100.0: 90.0, 150.0: 10.0, 160.0: 90.0}, 400))
    _, second = bench.run(rule(), min_off="42s").runs[0].episodes
    assert second.deeds[0].refused == {"min_off"}
    assert times(second.deeds[0])[0] == pytest.approx(192.0)


def test_every_limit_of_the_configuration_is_the_guards(bench):
    bench.write(course({100.0: 90.0, 150.0: 10.0, 200.0: 90.0, 250.0: 10.0}, 400))
    _, second = bench.run(rule(), min_off='0s"\nper_hour = 1\nmax_age = "1m').runs[0].episodes
    assert (second.deeds[0].outcome, second.deeds[0].refused) == ("blocked", {"per_hour"})


def test_the_rules_see_the_switch_as_it_would_be_and_not_as_it_was(bench):
    bench.write(course({100.0: 90.0}, 300))
    seen = rule(
        "bin.fill >= 80 && press.on", '{ event = "pressing", subject = "press", data = {} }', id="seen"
    )
    seen = seen.replace('"bin.fill" = 100.0 }', '"bin.fill" = 100.0, "press.on" = true }')
    tried = bench.run(rule() + seen)
    seen = [(each.rule, each.began - START, each.ended) for each in tried.runs[0].episodes]
    assert seen == [("full", 100.0, None), ("seen", 100.0, None)], "at once, and whatever was recorded"


def test_time_goes_on_over_a_restart(bench):
    readings = list(course({100.0: 90.0}, 120))
    later = [
        Reading("range", at(140.0 + 10 * n, "c", 5.0 + 10 * n), {Quantity.DISTANCE: 0.1}) for n in range(3)
    ]
    bench.write([*readings, *later])
    (episode,) = bench.run(rule(more='for = "50s"')).runs[0].episodes
    assert episode.began - START == pytest.approx(150.0, abs=1.0)


def test_two_files_side_by_side_and_what_differs(bench):
    bench.write(course({100.0: 85.0, 200.0: 10.0, 300.0: 95.0, 500.0: 10.0}, 700))
    tried = bench.run(rule("bin.fill >= 80"), rule("bin.fill >= 90"))
    assert [len(each.episodes) for each in tried.runs] == [2, 1]
    assert [(each.what, each.began - START) for each in tried.differences] == [("only the new", 100.0)]


def test_a_differing_outcome_and_a_differing_end_are_told():
    def episode(began: float, ended: float | None, on: float | None = 1.0) -> Episode:
        deed = Deed("press on", "press", began, on, refused=set() if on else {"min_off"})
        return Episode("full", began, ended, [deed])

    (blocked,) = differences([episode(0, 9)], [episode(0, 9, None)])
    assert blocked.what == "blocked -> acted"
    (longer,) = differences([episode(0, 900)], [episode(0, 300)])
    assert longer.what == "ends 10.0 min later"
    (lasting,) = differences([episode(0, None)], [episode(0, 300)])  # one of them still lasts
    assert lasting.what == "ends later"
    assert not list(differences([episode(0, None)], [episode(30, None)]))


def test_a_store_alone_says_what_it_can(bench):
    bench.write(course({100.0: 90.0, 300.0: 10.0}, 400, {0.0: False}))
    tried = bench.run(
        rule("range.distance < 0.2").replace('"bin.fill" = 100.0', '"range.distance" = 0.1'), alone=True
    )
    (episode,) = tried.runs[0].episodes
    assert tried.past.guards is None
    assert episode.outcomes == ("acted",), "no guard is known, so none is against it"


def test_a_device_that_came_late_is_known_to_a_store_alone(bench, monkeypatch):
    monkeypatch.setattr("gateway.app.history.HEAD", 5)
    late = [Reading("motor", at(400.0), {Quantity.CURRENT: 9.0})]
    bench.write([*course({}, 300), *late])
    text = rule("motor.current > 8", '{ event = "jam", subject = "motor", data = {} }')
    tried = bench.run(text.replace('"bin.fill" = 100.0', '"motor.current" = 9.0'), alone=True)
    assert len(tried.runs[0].episodes) == 1


def test_people_see_counts_guards_a_picture_and_each_firing(bench, capsys):
    bench.write(course({100.0: 90.0, 300.0: 10.0}, 600, {50.0: False, 200.0: True}))
    pole = bench.file("pole.toml", POLE.format(max_on="1h", min_off="0s"))
    new, old = bench.file("new.toml", rule()), bench.file("old.toml", rule("bin.fill >= 95"))
    arguments = command(bench, new, pole)
    assert main(arguments) == 0
    out = capsys.readouterr().out
    for words in ("new.toml over 180 records", "lid.closed (false)", "press on: late", "×", "3.3 min"):
        assert words in out
    assert main([*arguments, "--against", str(old), "--json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    assert [each["rules"]["full"]["fired"] for each in shape["files"]] == [1, 0]
    assert shape["files"][0]["guards"] == [
        {"actuator": "press", "guard": "lid.closed (false)", "what": "refused", "count": 1}
    ]
    assert [each["what"] for each in shape["differences"]] == ["only the new"]


def test_a_rule_file_that_is_wrong_is_refused_with_its_line(bench, capsys):
    bench.write(course({}, 30))
    pole = bench.file("pole.toml", POLE.format(max_on="1h", min_off="0s"))
    new = bench.file("new.toml", rule("bin.filll >= 80"))
    assert main(command(bench, new, pole)) == 2
    assert "new.toml:7" in capsys.readouterr().err
    assert main(["backtest", "--store", str(bench.folder / "none.db"), "--rules", str(new)]) == 2
    assert "there is no store" in capsys.readouterr().err


def test_damaged_and_strange_records_are_passed_over(bench):
    bench.write(course({100.0: 90.0}, 200))
    with sqlite3.connect(bench.folder / "pole.db") as db:
        rest = '"mono": 1, "boot": "b", "clock": "synchronized", "values": {"distance": 0.1}}'
        times = [f'{{"device": "range", "time": {each}, {rest}' for each in ("1e400", "1e300", "-1")]
        bodies = ("[]", "{}", '{"device": "range"}', "nonsense", '{"device": 3}', *times)
        for n, body in enumerate(bodies, 10_000):
            db.execute(INSERT, (n, START + 50, body))
    tried = bench.run(rule())
    assert len(tried.runs[0].episodes) == 1
    assert tried.last - START == 191.0


def test_the_picture_shows_shares_and_crosses():
    picture = timeline({"a": [(0.0, 50.0, False)], "bb": [(90.0, 95.0, True)]}, 0.0, 100.0, UTC, 15)
    first, second, axis = picture.splitlines()
    assert first == "a  │█████     │"
    assert second == "bb │         ×│"
    assert axis.split() == ["00:00:00", "00:00:50", "00:01:40"]
    assert timeline({}, 0.0, 1.0, UTC) == ""


def test_it_needs_no_daemon():
    """What runs the gateway, or talks to anybody, is not even imported."""
    code = (
        "import sys, gateway.app.backtest, gateway.app.score.command, gateway.app.report\n"
        "bad = {'gateway.app.daemon', 'gateway.mqtt', 'gateway.web', 'aiomqtt', 'fastapi', 'pyvrp'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
