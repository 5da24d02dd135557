"""`lamppost returns`: figures counted from a real store, a baseline, a page and a table."""

import asyncio
import csv
import json
from collections.abc import Iterable
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from drivers.device import Quantity
from gateway.app.chart import bars
from gateway.app.report import lines, page
from gateway.app.returns import Returns, baseline_of, month, read_baseline
from gateway.app.streams import MADE_FROM
from gateway.cli import main
from gateway.clock import Instant, LoopClock, Quality
from gateway.config import ConfigError
from gateway.reading import Decision, Event, Outcome, Reading, Record
from gateway.store import Store
from tests.gateway.store_rig import NOW, settings

START = 1_790_805_600.0  # 2026-10-01, midnight in Paris
HOUR, DAY = 3600.0, 86400.0
STREAMS = {"derive": [], "known": {}, "zone": "Europe/Paris"}


def at(seconds: float) -> Instant:
    return Instant(START + seconds, max(0.0, seconds), "b", Quality.SYNCHRONIZED)


def reading(device: str, seconds: float, **values: float) -> Reading:
    return Reading(device, at(seconds), {Quantity(name): value for name, value in values.items()})


def event(type_: str, seconds: float, subject: str = "bin", **data: object) -> Event:
    return Event(f"lamppost.{type_}", subject, at(seconds), data)


def decision(
    seconds: float, outcome: Outcome, command: str = "compactor on for 4s", who: str = ""
) -> Decision:
    actuator = command.partition(" ")[0]
    return Decision(at(seconds), "r", 1, "d", "off", command, actuator, outcome, ("why",), who=who)


def write(path: Path, readings: Iterable[Reading], records: Iterable[Record]) -> Path:
    async def fill() -> None:
        store = await Store.open(settings(path), "pole-1", LoopClock(), NOW)
        store.remember(MADE_FROM, json.dumps(STREAMS))
        for each in readings:
            store.add(each)
        for record in records:
            await store.record(record)
        await store.close()

    asyncio.run(fill())
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    readings = [
        *(reading("motor", 600.0 * n, power=12.0) for n in range(7)),  # an hour of 12 W
        reading("motor", 40 * HOUR, power=12.0),  # nobody knows what was in between
        *(reading("trend", d * DAY + 8 * HOUR, since_emptied=HOUR) for d in (1, 2, 5)),
        reading("trend", 5 * DAY + 9 * HOUR, since_emptied=2 * HOUR),  # the same again
    ]
    records = [
        event("collection.requested", DAY, request="a"),
        event("collection.requested", 2 * DAY, request="a"),  # heard twice
        event("collection.requested", 3 * DAY, request="z", repeat=1),  # the first of it was in the baseline
        event("collection.requested", 5 * DAY, request="b"),
        event("device.lost", 3 * DAY, "lid"),
        event("compactor.fault", 3 * DAY, "compactor"),
        event("device.back", 3 * DAY, "lid"),
        event("flood.warning", 4 * DAY, "river"),
        event("flood.warning", 8 * DAY, "river"),
        event("flood.warning", 12 * DAY, "river"),
        decision(HOUR, Outcome.ACTED),
        decision(2 * HOUR, Outcome.ACTED),
        decision(2 * HOUR, Outcome.RELEASED, "compactor off"),
        decision(3 * HOUR, Outcome.REFUSED),
        decision(4 * HOUR, Outcome.ACTED, "siren on"),
        decision(5 * HOUR, Outcome.FAILED),
        decision(6 * HOUR, Outcome.VETOED, "siren on", "ann"),
        decision(-HOUR, Outcome.ACTED),  # in September
        decision(31 * DAY + 2 * HOUR, Outcome.ACTED),  # in November: October has an hour more
    ]
    return write(tmp_path / "pole.db", readings, records)


def figures(path: Path, period: str = "2026-10") -> dict[str, str]:
    with path.open(newline="") as file:
        return {row["figure"]: row["value"] for row in csv.DictReader(file) if row["period"] == period}


def test_every_figure_is_counted_as_a_person_would(store, tmp_path, capsys):
    verdicts = tmp_path / "verdicts.csv"
    verdicts.write_text(
        "time,type,verdict\n2026-10-05T09:00,lamppost.flood.warning,true\n"
        "2026-10-09T09:00,lamppost.flood.warning,false\n"
    )
    out = tmp_path / "f.csv"
    command = ["returns", "--store", str(store), "--month", "2026-10", "--csv", str(out), "--planned", "15"]
    assert main([*command, "--verdicts", str(verdicts)]) == 0
    assert figures(out) == {
        "planned": "15",
        "asked": "2",
        "emptied": "3",
        "overflows": "",
        "strokes": "2",
        "energy": "12",
        "faults": "3",
        "interventions": "1",
        "alarms_true": "1",
        "alarms_false": "1",
        "alarms_unjudged": "1",
    }
    assert figures(out, "2026-10-02")["emptied"] == "1", "on the local day"
    assert "not known" in capsys.readouterr().out


def test_overflows_are_counted_once_each(tmp_path):
    filled = [50.0, 100.0, 99.0, 100.0, 90.0, 100.0]
    readings = [reading("bin", HOUR * n, fill=fill) for n, fill in enumerate(filled)]

    async def fill() -> None:
        opened = await Store.open(settings(tmp_path / "pole.db"), "pole-1", LoopClock(), NOW)
        table = {"id": "bin", "kind": "fill", "from": "range.distance", "empty": 1.0, "full": 0.1}
        known = {"range.distance": 60.0}
        opened.remember(MADE_FROM, json.dumps({"derive": [table], "known": known, "zone": ""}))
        for each in readings:
            opened.add(each)
        await opened.close()

    asyncio.run(fill())
    out = tmp_path / "f.csv"
    main(["returns", "--store", str(tmp_path / "pole.db"), "--month", "2026-10", "--csv", str(out)])
    assert figures(out)["overflows"] == "2", "99 % is still the same overflow"


def some(days: list[date], **totals: float | None) -> Returns:
    return Returns(days, {"planned": None, **totals}, {}, "counted by hand")


def test_a_loss_is_said_as_readily_as_a_gain():
    before = some(
        [*month("2026-08"), *month("2026-09")],
        emptied=20.0,
        overflows=8.0,
        energy=204.0,
        strokes=5.0,
        faults=0.0,
    )
    now = some(month("2026-10"), emptied=31.0, overflows=2.0, energy=104.0, strokes=50.0, faults=1.0)
    found = {each.figure.key: each for each in lines(now, before)}
    verdicts = {key: each.verdict for key, each in found.items() if each.change is not None}
    assert (verdicts.pop("strokes"), verdicts.pop("energy")) == ("", "same")
    assert verdicts == {"emptied": "worse", "overflows": "better", "faults": "worse"}
    assert found["emptied"].before == pytest.approx(20.0 * 31 / 61), "61 days are scaled to 31"
    assert found["planned"].verdict == ""
    text = page("October", now, before)
    assert "worse: bins emptied, faults" in text
    assert "none before" in text
    assert "counted by hand" in text


def test_a_baseline_is_written_read_and_corrected_by_hand(store, tmp_path, capsys):
    path = tmp_path / "baseline.json"
    main(["returns", "--store", str(store), "--month", "2026-10", "--make-baseline", str(path)])
    shape = json.loads(path.read_text())
    shape["figures"]["overflows"] = 9
    path.write_text(json.dumps(shape))
    assert read_baseline(path).totals["overflows"] == 9.0
    assert main(["returns", "--store", str(store), "--month", "2026-10", "--baseline", str(path)]) == 0
    assert "about the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    "damage",
    [
        lambda shape: "nonsense",
        lambda shape: json.dumps({**shape, "since": "2026-13-01"}),
        lambda shape: json.dumps({**shape, "until": "2020-01-01"}),
        lambda shape: json.dumps({**shape, "figures": {"asked": -1}}),
        lambda shape: json.dumps({**shape, "figures": {"asked": "many"}}),
        lambda shape: json.dumps({**shape, "figures": [1]}),
        lambda shape: "[" * 100_000,
    ],
)
def test_a_baseline_that_is_none_is_refused(tmp_path, damage):
    shape = json.loads(baseline_of(some(month("2026-09"), asked=1.0)))
    (tmp_path / "b.json").write_text(damage(shape))
    with pytest.raises(ConfigError, match="is no baseline"):
        read_baseline(tmp_path / "b.json")


class Reader(HTMLParser):
    """Notes what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag not in ("meta", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag


def test_the_page_stands_alone_and_can_be_read_by_everybody(store, tmp_path):
    main(["returns", "--store", str(store), "--month", "2026-10", "--out", str(tmp_path / "r.html")])
    text = (tmp_path / "r.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.links == []
    assert "script" not in reader.tags
    assert reader.tags.count("h1") == 1
    assert reader.tags.count("svg") == reader.tags.count("desc") == text.count('role="img"') == 6
    assert '<html lang="en">' in text
    assert "width=device-width" in text


def test_words_of_a_baseline_cannot_become_markup():
    before = Returns(month("2026-09"), {"asked": 1.0}, {}, "<script>alert(1)</script>")
    assert "<script>" not in page("x", some(month("2026-10"), asked=1.0), before)


def test_a_chart_is_to_scale():
    chart = bars("x", [0.0, 2.0, 4.0], month("2026-10")[:3], 1.0)
    assert 'height="60.0"' in chart
    assert 'height="120.0"' in chart
    assert chart.count("<rect") == 2, "nothing is drawn for nothing"
    assert "6 in 3 days, the most on 2026-10-03: 4; before switch-on 1 a day" in chart


@pytest.mark.parametrize("text", ["2026-13", "2026", "October", "2026-1", "0000-01"])
def test_a_month_that_is_none_is_refused(text, store, capsys):
    with pytest.raises(SystemExit):
        main(["returns", "--store", str(store), "--month", text])
    assert "--month" in capsys.readouterr().err
