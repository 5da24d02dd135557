"""`lamppost rounds`: requests of many gateways to rounds that keep what they must, and a comparison."""

import json
import subprocess
import sys
from datetime import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from gateway.cli import main
from gateway.problem import ConfigError
from gateway.rounds import requests
from gateway.rounds.fixed import drive
from gateway.rounds.fleet import Bin, Depot, Fixed, Fleet, Roads, Vehicle, load
from gateway.rounds.requests import REQUESTED, WITHDRAWN, Request
from gateway.rounds.result import Job, Rounds, Stop, seconds_of, total
from gateway.rounds.solver import Search, solve
from gateway.rounds.world import Point, haversine

DAY = 1_795_392_000.0  # 2026-11-23, midnight in UTC
YARD = Point(48.58, 7.75)
DEGREE = 111_195.08
"""Metres of a degree of a great circle of a sphere of 6371.0088 km."""


def event(subject: str, at: float = 0.0, type_: str = REQUESTED, gateway: str = "a", **data: Any) -> str:
    body = {"kind": "event", "time": DAY - 3600 + at, "type": type_, "subject": subject, "data": data}
    return json.dumps({"gateway": gateway, "lane": "events", "seq": 1, "body": body})


def heard(folder: Path, *lines: str, at: float | None = None) -> requests.Heard:
    (folder / "requests.jsonl").write_text("\n".join(lines) + "\n")
    return requests.read([folder / "requests.jsonl"], at)


def job(number: int, north: float = 0.0, east: float = 0.01, **more: Any) -> Job:
    asked = {name: more.pop(name) for name in ("fill", "weight", "full", "priority") if name in more}
    bin_ = Bin("a", f"bin{number}", **more)
    return Job(
        bin_, Point(YARD.latitude + north, YARD.longitude + east), Request("a", bin_.subject, DAY, **asked)
    )


def fleet(bins: dict[str, Bin] | None = None, **vehicle: Any) -> Fleet:
    lorry = Vehicle("lorry", "yard", **{"capacity": 1000.0, **vehicle})
    return Fleet(Roads(), {"yard": Depot("yard", *YARD)}, {"lorry": lorry}, bins or {}, Fixed())


QUICK = Search(20.0, 200, 1)


# Requests


def test_a_request_is_read_bare_from_watch_and_from_an_export(tmp_path):
    body = json.loads(event("bin"))["body"]
    lines = (event("bin", gateway="x"), json.dumps(body), json.dumps({"gateway": "y", **body}))
    found = heard(tmp_path, *lines)
    assert set(found.standing) == {"x/bin", "requests/bin", "y/bin"}, "a bare one is named by its file"


def test_a_withdrawn_request_does_not_stand_until_it_is_made_again(tmp_path):
    lines = [event("bin"), event("bin", 9.0, WITHDRAWN), event("box")]
    assert set(heard(tmp_path, *lines).standing) == {"a/box"}
    assert set(heard(tmp_path, *reversed(lines)).standing) == {"a/box"}, "time decides, not the line"
    assert set(heard(tmp_path, *lines, event("bin", 20.0)).standing) == {"a/bin", "a/box"}
    assert set(heard(tmp_path, *lines, at=DAY - 3595).standing) == {"a/bin", "a/box"}


def test_a_request_that_has_lapsed_does_not_stand(tmp_path):
    line = event("bin", lapses=DAY)
    assert heard(tmp_path, line).standing
    assert not heard(tmp_path, line, at=DAY + 1).standing


def test_what_is_no_event_is_counted_or_passed_over(tmp_path):
    timeless = [f'{{"type": "{REQUESTED}"{more}}}' for more in ("", ', "time": 1e300', ', "time": -1')]
    strange = ["nonsense", "[" * 100_000, "[]", "3", '{"body": 3}', *timeless]
    found = heard(tmp_path, *strange, event("bin", data=None), event("x", fill="much", place=7, priority=[]))
    assert (found.strange, len(found.standing)) == (2, 2)
    assert found.standing["a/x"].fill is None
    assert found.standing["a/x"].priority == "normal"


@pytest.mark.parametrize(
    ("data", "full"),
    [
        ({"fill": 100.0}, DAY - 3600),
        ({"fill": 80.0, "time_to_full": 60.0}, DAY - 3540),
        ({"full_at": DAY + 5}, DAY + 5),
        ({"fill": 80.0}, None),
    ],
)
def test_when_it_is_full_is_understood(tmp_path, data, full):
    assert heard(tmp_path, event("bin", **data)).standing["a/bin"].full == full


# The fleet


FLEET = """
[[depot]]
id = "yard"
latitude = 48.58
longitude = 7.75

[[vehicle]]
id = "lorry"
depot = "yard"
capacity = 1000
begins = 06:30:00

[[bin]]
gateway = "a"
subject = "bin"
latitude = 48.58
longitude = 7.76
volume = 600
service = "3m"

[[bin]]
gateway = "a"
subject = "box"
latitude = 48.58
longitude = 7.77

[fixed]
order = ["a/box", "a/bin"]
"""


def test_a_fleet_file_is_read(tmp_path):
    (tmp_path / "fleet.toml").write_text(FLEET)
    found = load(tmp_path / "fleet.toml")
    assert found.bins["a/bin"].service == 180.0
    assert found.vehicles["lorry"].begins == time(6, 30)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("longitude = 7.75", "longitude = 775", "fleet.toml:5:1: longitude is -180 to 180"),
        ('depot = "yard"', 'depot = "yrad"', 'no depot "yrad"; did you mean "yard"?'),
        ("capacity = 1000", "capacty = 1000", 'no key "capacty"'),
        ("capacity = 1000", "", "capacity"),
        ('"a/box", ', '"a/bix", ', 'no bin "a/bix"'),
        ("[fixed]", "[fixt]", 'no key "fixt"'),
        ("begins = 06:30:00", "begins = 16:30:00", "ends after it begins"),
        ("[[bin]]", "[[bin]]\nopens = 09:00:00\ncloses = 08:00:00", "closes is later than opens"),
        ("[[depot]]", '[roads]\nzone = "Mars"\ndetour = 0.5\n[[depot]]', 'no time zone "Mars"'),
        ("[[depot]]", "[roads]\nspeed = 0\n[[depot]]", "speed is 1 to 130"),
    ],
)
def test_what_is_wrong_with_a_fleet_is_said(tmp_path, old, new, words):
    (tmp_path / "fleet.toml").write_text(FLEET.replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        load(tmp_path / "fleet.toml")
    assert any(words in str(each) for each in error.value.problems), error.value.problems


# Rounds


def test_distances_are_those_of_great_circles():
    assert haversine(Point(0, 0), Point(0, 1)) == pytest.approx(DEGREE, rel=1e-6)
    assert haversine(Point(0, 0), Point(0, 180)) == pytest.approx(180 * DEGREE, rel=1e-6)
    assert haversine(Point(60, 10), Point(60, 11)) == pytest.approx(DEGREE / 2, rel=1e-3)


def kept(rounds: Rounds, vehicle: Vehicle) -> None:
    """Check all that a plan promises."""
    for route in rounds.routes:
        assert len(route.trips) <= vehicle.trips
        assert seconds_of(vehicle.begins) <= route.begins <= route.ends <= seconds_of(vehicle.ends)
        for trip in route.trips:
            assert total(trip) <= vehicle.capacity
            assert sum(stop.job.weight for stop in trip) <= vehicle.payload
        for stop in route.stops:
            assert seconds_of(stop.job.bin.opens) <= stop.arrives <= seconds_of(stop.job.bin.closes)
    keys = [stop.job.bin.key for stop in rounds.stops] + [each.bin.key for each in rounds.left]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("more", "vehicle", "routes", "left"),
    [
        ({}, {}, 1, 0),
        ({"volume": 400.0}, {"count": 3}, 3, 0),
        ({"volume": 400.0}, {"trips": 3}, 1, 0),
        ({"volume": 400.0}, {"trips": 2}, 1, 2),
        ({"volume": 400.0}, {}, 1, 4),
        ({"weight": 30.0}, {"count": 4, "payload": 60.0}, 3, 0),
        ({"opens": time(6), "closes": time(6, 30)}, {"begins": time(7)}, 0, 6),
        ({"service": 3600.0}, {"ends": time(8, 30)}, 1, 4),
    ],
)
def test_rounds_keep_capacity_payload_windows_and_the_working_day(more, vehicle, routes, left):
    jobs = [job(n, 0.001 * n, 0.01, fill=100.0, **more) for n in range(6)]
    found = fleet(**vehicle)
    rounds = solve(found, jobs, DAY, QUICK)
    kept(rounds, found.vehicles["lorry"])
    assert (len(rounds.routes), len(rounds.left)) == (routes, left)
    assert len(rounds.stops) + left == 6


def test_a_window_that_opens_late_is_waited_for():
    rounds = solve(fleet(), [job(1, opens=time(9), closes=time(10))], DAY, QUICK)
    assert seconds_of(time(9)) <= rounds.stops[0].arrives <= seconds_of(time(10))


def test_who_is_urgent_goes_first_when_not_all_have_room():
    jobs = [
        job(n, 0.001 * n, fill=100.0, volume=600.0, priority=p)
        for n, p in enumerate(("low", "high", "normal"))
    ]
    rounds = solve(fleet(), jobs, DAY, QUICK)
    assert [stop.job.bin.subject for stop in rounds.stops] == ["bin1"]


def test_the_distance_is_that_of_the_way_with_its_detour():
    rounds = solve(fleet(), [job(1, 0.0, 0.0 + 1e-9, fill=1.0), job(2, 0.01, 0.0)], DAY, QUICK)
    assert rounds.distance == pytest.approx(2 * 0.01 * DEGREE * 1.3, abs=5.0)


def test_the_same_seed_gives_the_same_rounds():
    jobs = [job(n, 0.003 * (n * 7 % 11), 0.004 * (n * 5 % 13)) for n in range(14)]
    first, second = (solve(fleet(count=2), jobs, DAY, QUICK) for _ in range(2))
    assert [s.job.bin.key for s in first.stops] == [s.job.bin.key for s in second.stops]
    assert first.distance < drive(fleet(), jobs, DAY).distance


def test_the_search_ends_with_its_time():
    from time import perf_counter

    jobs = [job(n, 0.003 * (n * 7 % 11), 0.004 * (n * 5 % 13)) for n in range(14)]
    began = perf_counter()
    solve(fleet(), jobs, DAY, Search(0.3, 10**9, 1))
    assert perf_counter() - began < 5.0


def test_the_fixed_round_goes_to_all_in_order_and_home_when_full():
    jobs = [job(n, 0.0, 0.01 * (n + 1), fill=100.0, volume=500.0) for n in range(5)]
    rounds = drive(fleet(), jobs, DAY)
    (route,) = rounds.routes
    assert [len(trip) for trip in route.trips] == [2, 2, 1]
    step = haversine(YARD, jobs[0].point) * 1.3
    assert rounds.distance == pytest.approx((2 + 2 + 4 + 4 + 5 + 5) * step, rel=1e-3)
    arrivals = [stop.arrives for stop in route.stops]
    assert arrivals[1] == pytest.approx(arrivals[0] + 120.0 + step / (25 / 3.6), abs=0.5)


def test_overflows_are_bins_that_are_full_before_anybody_comes():
    early, late, never = (job(n, full=DAY + at) for n, at in enumerate((3600.0, 40_000.0, 90_000.0)))
    stops = [Stop(each, 30_000.0) for each in (early, late)]
    rounds = drive(fleet(), [], DAY)
    assert rounds.overflows == []
    route = drive(fleet(), [early], DAY).routes[0]
    object.__setattr__(route, "trips", (tuple(stops),))
    assert Rounds("x", DAY, [route], [never]).overflows == [early]
    assert Rounds("x", DAY - 86400.0 + 10_000.0, [], [early, never]).overflows == [early]


def test_lifts_for_little_are_those_that_nobody_asked_for_or_that_were_half_empty():
    jobs = [job(1, fill=40.0), job(2, fill=80.0), Job(Bin("a", "quiet"), Point(48.58, 7.76), None)]
    assert drive(fleet(), jobs, DAY).for_little == 2


# The command


@pytest.fixture
def files(tmp_path):
    (tmp_path / "fleet.toml").write_text(FLEET)
    (tmp_path / "requests.jsonl").write_text(
        "\n".join(
            [
                event("bin", fill=90.0, priority="high"),
                event("far", gateway="b", fill=70.0, place={"latitude": 48.59, "longitude": 7.76}),
                event("lost", gateway="c", fill=70.0),
                "nonsense",
            ]
        )
    )
    return tmp_path


def test_the_command_plans_compares_and_draws(files, capsys):
    out, picture = files / "plan.geojson", files / "plan.svg"
    command = ["rounds", str(files / "requests.jsonl"), "--fleet", str(files / "fleet.toml"), "--steps", "50"]
    assert main([*command, "--out", str(out), "--picture", str(picture)]) == 0
    said = capsys.readouterr().out
    for words in ("3 bins ask", "1 lines could not be read", "left out: c/lost", "a/bin", "planned", "06:"):
        assert words in said
    shape = json.loads(out.read_text())
    kinds = [
        each["properties"]["kind"] for each in shape["features"] if each["properties"]["plan"] == "planned"
    ]
    assert sorted(kinds) == ["depot", "stop", "stop", "trip"]
    (trip,) = [each for each in shape["features"] if each["properties"].get("kind") == "trip"][:1]
    assert trip["geometry"]["coordinates"][0] == trip["geometry"]["coordinates"][-1] == [7.75, 48.58]
    drawn = ElementTree.parse(picture).getroot()
    assert drawn.get("role") == "img"
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}circle"))) == 3, (
        "two bins that ask, and one of the fixed"
    )


def test_the_command_speaks_json(files, capsys):
    command = ["rounds", str(files / "requests.jsonl"), "--fleet", str(files / "fleet.toml"), "--steps", "50"]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["standing"], said["strange_lines"], said["without_place"]) == (3, 1, ["c/lost"])
    assert (said["planned"]["lifts"], said["fixed"]["lifts"], said["fixed"]["lifts_for_little"]) == (2, 2, 1)


def test_the_day_is_the_one_after_the_last_request_or_the_one_that_is_asked_for(files, capsys):
    command = ["rounds", str(files / "requests.jsonl"), "--fleet", str(files / "fleet.toml"), "--steps", "5"]
    main(command)
    assert "on 2026-11-23" in capsys.readouterr().out
    main([*command, "--at", "2026-11-25"])
    assert "on 2026-11-25" in capsys.readouterr().out


def test_names_of_bins_cannot_become_markup(files, capsys):
    (files / "requests.jsonl").write_text(event("<b>&", place={"latitude": 48.59, "longitude": 7.76}))
    command = ["rounds", str(files / "requests.jsonl"), "--fleet", str(files / "fleet.toml"), "--steps", "5"]
    main([*command, "--picture", str(files / "plan.svg")])
    ElementTree.parse(files / "plan.svg")
    assert "<b>" not in (files / "plan.svg").read_text()


def test_without_the_solver_a_sentence_says_what_to_install(files):
    command = ["rounds", str(files / "requests.jsonl"), "--fleet", str(files / "fleet.toml")]
    code = (
        f"import sys\nsys.modules['pyvrp'] = None\nfrom gateway.cli import main\nsys.exit(main({command!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'lamppost[rounds]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_gateway_never_needs_the_solver():
    code = (
        "import sys, gateway.cli, gateway.app.daemon\ngateway.cli.parser()\n"
        "print([name for name in sys.modules if name.startswith(('pyvrp', 'numpy', 'gateway.rounds'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
