"""`lamppost derive`, on a real store that a gateway's streams were written into."""

import asyncio
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.device import Missing, Quantity
from gateway import toml
from gateway.app.recompute import Recomputed, recompute
from gateway.app.streams import MADE_FROM, described
from gateway.cli import main
from gateway.clock import Instant, LoopClock, Quality
from gateway.config import ConfigError, Derive
from gateway.derive import Design, Source, design
from gateway.reading import Event, Lane, Reading, reading_of
from gateway.store import Archive, Store
from tests.gateway.store_rig import NOW, settings
from tests.gateway.stream_rig import designed
from tests.gateway.test_streams import START as BEGIN
from tests.gateway.test_streams import Pole, differences, life, orderly

START = 1_780_272_000.0
TEXT = """
[[derive]]
id = "stage"
kind = "stage"
from = "range.distance"
reference = 5.0

[[derive]]
id = "highest"
kind = "max"
from = "stage.stage"
over = "10m"
aligned = "Europe/Dublin"
"""


def designs(text: str = TEXT) -> tuple[Design, ...]:
    document = toml.parse(text, "pole.toml")
    known = {Source("range", Quantity.DISTANCE): 60.0}
    found = list[Design]()
    for number, table in enumerate(document.data["derive"]):
        made = design(Derive.model_validate(table), known, document, ("derive", number), "Europe/Dublin")
        found.append(made)
        known |= {Source(made.id, quantity): made.interval for quantity in made.gives}
    return tuple(found)


def water(minute: int) -> Reading:
    at = Instant(START + 60.0 * minute, 60.0 * minute, "b", Quality.SYNCHRONIZED)
    if minute == 100:
        return Reading("range", at, {}, {Quantity.DISTANCE: Missing.NO_TARGET})
    return Reading("range", at, {Quantity.DISTANCE: 4.0 - math.sin(minute / 60.0)})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "pole.db"

    async def write() -> None:
        open_ = await Store.open(settings(path), "pole-1", LoopClock(), NOW)
        open_.remember(MADE_FROM, json.dumps(described(designs(), "Europe/Dublin")))
        for minute in range(240):
            open_.add(water(minute))
        await open_.close()

    asyncio.run(write())
    return path


def test_a_stream_is_made_anew_with_all_that_it_is_made_from(store, capsys):
    assert main(["derive", "--store", str(store), "--stream", "highest", "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["time"] for each in said] == [START + 600.0 * n for n in range(1, 24)]
    assert said[0]["values"]["stage"] == pytest.approx(5.0 - 4.0 + math.sin(9 / 60.0))
    assert {each["device"] for each in said} == {"highest"}


def test_people_see_a_plot_and_the_last_rows_in_local_time(store, capsys):
    assert main(["derive", "--store", str(store), "--stream", "stage", "--rows", "3"]) == 0
    out = capsys.readouterr().out
    assert "240 readings made from 240 stored ones, 1 of them missing" in out
    assert "stage [m]" in out
    assert sum("⠀" <= letter <= "⣿" for letter in out) > 20, "the picture is drawn in braille"
    assert "2026-06-01 04:59:00" in out, "START is one in the morning in Dublin"
    assert out.count("2026-06-01") == 3


def test_time_passes_for_a_silent_part_while_others_are_heard():
    """It became stale then, and so it does when it is made anew; while a gateway was off it did not."""
    text = f'{TEXT}[[derive]]\nid = "flood"\nkind = "stage_alarm"\nfrom = "stage.stage"\naction = 1.0\n'

    def stale(*heard: int, devices: tuple[str, ...]) -> list[float]:
        made = Recomputed({each.id: each for each in designs(text)}, "flood")
        said = [each for minute in range(10) for each in made.feed(water(minute))]
        at = [replace(water(minute), device=device) for minute in heard for device in devices]
        said += [each for reading in at for each in made.feed(reading)]
        assert all(each.device == "flood" for each in said)
        return [each.values[Quantity.STALE] for each in said[10:]]

    assert stale(*range(10, 20), devices=("weather",)) == [0.0] * 2 + [1.0] * 7
    assert stale(*range(10, 20), devices=("weather", "range")) == [0.0] * 10
    assert stale(600, devices=("range",)) == [0.0, 0.0], "one look, and then it is heard"


def test_a_period_ends_while_its_part_is_silent():
    made = Recomputed({each.id: each for each in designs()}, "highest")
    assert [each for minute in range(9) for each in made.feed(water(minute))] == []
    (said,) = made.feed(replace(water(11), device="weather"))
    assert (said.at.time, said.device) == (START + 600.0, "highest")


def test_a_span_of_time_can_be_chosen(store, capsys):
    span = ["--since", "2026-06-01T00:30", "--until", "2026-06-01T01:40:00+01:00"]
    main(["derive", "--store", str(store), "--stream", "stage", "--json", *span])
    said = [json.loads(line)["time"] for line in capsys.readouterr().out.splitlines()]
    assert (said[0], said[-1]) == (START + 1800.0, START + 2400.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stream", "higest"], 'there is no stream "higest"; did you mean "highest"?'),
        (["--stream", "stage", "--config", "nowhere.toml"], "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(store, capsys, arguments, words):
    assert main(["derive", "--store", str(store), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_file_that_is_no_store_is_said_to_be_none(tmp_path, capsys):
    (tmp_path / "x.db").write_bytes(b"no database at all, but long enough to be looked at" * 50)
    for name, words in (("x.db", "cannot be read as a store"), ("y.db", "there is no store")):
        assert main(["derive", "--store", str(tmp_path / name), "--stream", "x"]) == 2
        assert words in capsys.readouterr().err


def test_a_time_that_is_none_is_refused(store, capsys):
    with pytest.raises(SystemExit):
        main(["derive", "--store", str(store), "--stream", "stage", "--since", "yesterday"])
    assert "write it as 2026-11-22" in capsys.readouterr().err


def test_a_store_that_names_no_streams_asks_for_the_configuration(tmp_path):
    async def write() -> None:
        await (await Store.open(settings(tmp_path / "old.db"), "pole-1", LoopClock(), NOW)).close()

    asyncio.run(write())
    with pytest.raises(ConfigError, match="--config"):
        recompute(tmp_path / "old.db", "stage", None, (None, None), 5)


# As it was said


def window(name: str, kind: str, of: str, interval: float, keys: str) -> Design:
    text = f'[[derive]]\nid = "{name}"\nkind = "{kind}"\nfrom = "{of}"\nshare = 0.2\n{keys}\n'
    return designed(text, {of: interval}, "Europe/London")


WINDOWS = (
    window("sliding", "energy_mean", "noise.sound_level", 2.0, "over = 20\nevery = 4"),
    window("minutes", "max", "noise.sound_level", 2.0, 'over = 60\naligned = "UTC"'),
    window("quarters", "noise", "noise.sound_level", 2.0, "over = 15"),
    window("loudest", "max", "minutes.sound_level", 60.0, "over = 300\nevery = 60"),
)


class Quiet(Pole):
    """A meter that is not heard at all for some minutes, while the gateway goes on."""

    def hear(self, level, flag=None) -> None:
        if not 130.0 <= self.time - BEGIN < 270.0:
            super().hear(level, flag)


@pytest.mark.parametrize("restarts", [{}, {121: orderly, 300: orderly}], ids=["one life", "three lives"])
def test_what_is_made_anew_is_what_was_said(tmp_path, restarts):
    """Also of periods that ended while nothing came, of which the stored results alone tell."""
    pole = Quiet(tmp_path / "s.db", WINDOWS)
    asyncio.run(life(pole, 400, 2.0, restarts))
    for name in ("sliding", "minutes", "quarters", "loudest"):
        live = [each for each in pole.said if each.device == name]
        anew = Recomputed({each.id: each for each in WINDOWS}, name)
        bodies = (entry.body for entry in Archive(pole.path).records(Lane.TELEMETRY, 0.0, 1e12))
        made = [said for body in bodies for said in anew.feed(reading_of(body))]
        assert differences(live, made) == []
        assert name in ("sliding", "loudest") or any(each.missing for each in live), "said of silence"


def test_readings_of_before_the_span_fill_the_windows_of_the_first_results(store, capsys):
    def said(*span: str) -> list[dict]:
        assert main(["derive", "--store", str(store), "--stream", "highest", "--json", *span]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert said("--since", "2026-06-01T00:25") == [one for one in said() if one["time"] >= START + 1500.0]


def test_early_readings_count_at_their_right_time(tmp_path, capsys):
    """Ten minutes in 1970, then the clock is synchronised: all of it is of one hour of 2026."""
    path = tmp_path / "pole.db"

    async def write() -> None:
        open_ = await Store.open(settings(path), "pole-1", LoopClock(), NOW)
        open_.remember(MADE_FROM, json.dumps(described(designs(), "Europe/Dublin")))
        for minute in range(30):
            mono = 60.0 * minute
            early = Instant(mono, mono, "b", Quality.UNSYNCHRONIZED)
            at = early if minute < 10 else Instant(START + mono, mono, "b", Quality.SYNCHRONIZED)
            open_.add(Reading("range", at, {Quantity.DISTANCE: 4.0 if minute < 10 else 4.5}))
        data = {"offset": START, "before": [[570.0, 0.0]]}
        at = Instant(START + 600.0, 600.0, "b", Quality.SYNCHRONIZED)
        await open_.record(Event("lamppost.clock.synchronized", "pole-1", at, data))
        await open_.close()

    asyncio.run(write())
    assert main(["derive", "--store", str(path), "--stream", "highest", "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["time"] - START, each["values"]["stage"]) for each in said] == [(600.0, 1.0), (1200.0, 0.5)]


def test_another_devices_readings_tell_that_time_has_passed():
    """Of a copy that holds no derived reading: the gateway was there while the meter was silent."""

    def said_by(device: str, second: float, quantity: Quantity) -> Reading:
        return Reading(device, Instant(BEGIN + second, second, "b", Quality.SYNCHRONIZED), {quantity: 60.0})

    anew, made = Recomputed({each.id: each for each in WINDOWS}, "minutes"), list[Reading]()
    for second in range(0, 300, 2):
        device, quantity = ("air", Quantity.PM10) if second >= 60 else ("noise", Quantity.SOUND_LEVEL)
        made += anew.feed(said_by(device, float(second), quantity))
    assert [each.at.time - BEGIN for each in made] == [20.0, 80.0, 140.0, 200.0, 260.0]
    assert [bool(each.values) for each in made] == [True, True, False, False, False]


def test_a_stream_of_a_stream_reaches_back_as_far_as_both():
    found = {each.id: each for each in WINDOWS}
    assert [Recomputed(found, name).reach for name in ("minutes", "loudest")] == [60.0, 360.0]


def test_no_rows_are_no_table_but_the_plot(store, capsys):
    assert main(["derive", "--store", str(store), "--stream", "stage", "--rows", "0"]) == 0
    out = capsys.readouterr().out
    assert "stage [m]" in out
    assert "2026-06-01 04:59:00" not in out
