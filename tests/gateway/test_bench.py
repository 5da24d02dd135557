"""At the bench: `lamppost probe` and `lamppost measure`, on emulated buses as anyone can."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import drivers
from drivers.bus import BusError, BusTimeout, NoAcknowledge
from drivers.emulated import EmulatedI2C
from drivers.replay import Replay
from drivers.street import Street
from drivers.wired import Hop, Way
from gateway.app import probe as probing
from gateway.app.probe import shop
from gateway.app.scan import Found, Scan, Step, candidates
from gateway.cli import main
from gateway.clock import LoopClock
from tests.gateway.test_wiring import GOOD, HEAD, device, written

MUX = Hop("board", "tca9548a", 0x71, 0)


def scanned(bus: Any) -> list[Found]:
    async def look() -> list[Found]:
        return [each async for each in Scan(bus, LoopClock()).run() if each is not None]

    return asyncio.run(look())


def names(found: Sequence[Found]) -> dict[tuple[tuple[Step, ...], int], tuple[str, ...]]:
    return {(each.path, each.address): each.names for each in found}


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    said = capsys.readouterr()
    return status, said.out, said.err


# probe


def test_every_part_on_a_bus_is_found_where_it_is(virtual):
    """One of each, most of them behind a mux: all are recognised, and none is taken for another."""

    async def look() -> dict[Any, tuple[str, ...]]:
        scan = Scan(shop(LoopClock()).bus("emulated:street"), LoopClock())
        return names([each async for each in scan.run() if each is not None])

    found = virtual(look())
    parts = {name for name in drivers.names() if drivers.load(name).addresses}
    assert sorted(sum(found.values(), ())) == sorted(parts)
    assert found[(), 0x71] == ("tca9548a",)
    assert found[(), 0x44] == ("sht4x",)
    assert found[(Step(0x71, 1),), 0x29] == ("vl53l1x",)


@pytest.mark.slow
def test_it_follows_a_mux_behind_a_mux_and_leaves_all_channels_off(virtual):
    async def look() -> Any:
        street = Street(LoopClock())
        inner = Hop("board", "tca9548a", 0x73, 6)
        street.attach("weather", "sht4x", Way("main", (MUX, inner)), 0x44)
        found = names([each async for each in Scan(street.bus("main"), LoopClock()).run() if each])
        outer = street.bus("main").chips[0x71]
        return found, outer.mask, outer.behind[0][0x73].mask, outer.most_on

    found, *masks, most = virtual(look())
    assert found == {
        ((), 0x71): ("tca9548a",),
        ((Step(0x71, 0),), 0x73): ("tca9548a",),
        ((Step(0x71, 0), Step(0x73, 6)), 0x44): ("sht4x",),
    }
    assert masks == [0, 0]
    assert most == 1


def test_a_channel_that_somebody_left_on_is_turned_off_first(virtual):
    """Else what is behind it would be taken for what is on the bus itself."""

    async def look() -> Any:
        street = Street(LoopClock())
        street.attach("weather", "sht4x", Way("main", (MUX,)), 0x44)
        mux = street.bus("main").chips[0x71]
        mux.mask = 0x01
        found = names([each async for each in Scan(street.bus("main"), LoopClock()).run() if each])
        return found, mux.mask

    found, mask = virtual(look())
    assert found == {((), 0x71): ("tca9548a",), ((Step(0x71, 0),), 0x44): ("sht4x",)}
    assert mask == 0


class Stranger:
    """Answers to a read, and to nothing else."""

    def transfer(self, write: bytes, read: int) -> bytes:
        if write:
            raise NoAcknowledge("a stranger understands nothing")
        return b"\x5a" * read


def test_a_stranger_is_found_and_not_named():
    bus = EmulatedI2C({0x23: Stranger()})  # type: ignore[dict-item]
    assert scanned(bus) == [Found((), 0x23, ())]


def test_nothing_is_written_to_an_empty_address_that_only_some_part_might_have():
    """A part that can be anywhere is looked for only where something was heard."""
    assert [part.name for part in candidates(0x23, heard=False)] == ["mcp23017"]
    assert "mb7040" in [part.name for part in candidates(0x23, heard=True)]
    assert candidates(0x55, heard=True)[:1] != []


class Broken:
    """A bus that fails in the same way at every transfer."""

    def __init__(self, error: BusError) -> None:
        self.error = error
        self.transfers = 0

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        self.transfers += 1
        raise self.error


def test_a_stuck_bus_is_given_up_after_a_few_addresses():
    bus = Broken(BusTimeout("a line is held"))
    with pytest.raises(BusTimeout):
        scanned(bus)
    assert bus.transfers == 3


def test_a_bus_that_does_not_work_is_no_empty_bus():
    error = BusError("/dev/i2c-1 cannot be opened: let the user of the daemon into the group i2c")
    error.errno = 13
    with pytest.raises(BusError, match="group i2c"):
        scanned(Broken(error))


def test_probe_of_a_configuration_finds_everybody(tmp_path, capsys):
    status, out, _ = asked(capsys, "probe", "--config", str(written(tmp_path, GOOD)))
    assert status == 0
    assert "chip id 0x60" in out
    for name in ("here", "there", "near", "board", "inputs"):
        assert f" {name} " in out
    assert "!" not in out


def test_probe_says_who_is_missing_and_who_is_another(tmp_path, capsys, monkeypatch):
    def changed(self: Any, plan: Any, placed: Any) -> None:
        street = self._street()
        if placed.config.id == "weather":
            street.attach("air", "bme688", Way("main"), 0x77)

    monkeypatch.setattr(probing.Hardware, "build", changed)
    text = HEAD.partition('[[bus]]\nid = "left"')[0]
    text += device("weather", "bme280", bus="main", address=0x77) + device("gas", "sgp41", bus="main")
    monkeypatch.setattr("drivers.find_spec", lambda name: object())
    status, out, _ = asked(capsys, "probe", "--config", str(written(tmp_path, text)))
    assert status == 1
    assert (
        "weather is configured as a bme280 at 0x77 on main, and somebody answers, but it is a bme688" in out
    )
    assert "gas is configured as a sgp41 at 0x59 on main, where nobody answers" in out


@pytest.mark.slow
def test_probe_in_json(tmp_path, capsys):
    status, out, _ = asked(capsys, "probe", "--config", str(written(tmp_path, GOOD)), "--json")
    said = json.loads(out)
    there = [each for each in said["found"] if each["configured"] == "there"]
    assert status == 0
    assert there[0]["muxes"] == [{"address": 0x70, "channel": 2}, {"address": 0x71, "channel": 7}]
    assert there[0]["parts"] == {"bme280": "chip id 0x60"}
    assert (said["warnings"], said["faults"]) == ([], {})


def test_probe_of_a_bus_that_is_not_there(capsys):
    status, out, _ = asked(capsys, "probe", "--bus", "/dev/i2c-99")
    assert status == 1
    assert "! /dev/i2c-99 cannot be looked through: /dev/i2c-99 cannot be opened: turn I2C on" in out


def test_probe_without_any_bus(capsys, monkeypatch):
    monkeypatch.setattr(probing, "_machine", list)
    status, _, err = asked(capsys, "probe")
    assert status == 2
    assert "there is no I2C bus here" in err


def test_probe_of_all_buses_of_this_machine(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(probing, "_machine", lambda: ["/dev/i2c-98", "/dev/i2c-99"])
    status, out, _ = asked(capsys, "probe", "--bus", "/dev/i2c-97", "--all")
    assert status == 1
    assert [f"/dev/i2c-{number} cannot be looked through" in out for number in (97, 98, 99)] == [True] * 3


def test_parts_that_cannot_be_told_apart_are_a_warning():
    bench = probing.Bench(found={"main": [Found((), 0x76, (("ms5803", "a"), ("ms5837", "b")))]})
    assert bench.warnings() == ["what answers at 0x76 on main may be any of ms5803, ms5837"]


# measure


def test_measure_prints_a_table_with_units(capsys):
    status, out, _ = asked(capsys, "measure", "bme280", "--bus", "emulated:street", "--address", "0x77")
    assert status == 0
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert lines["temperature"] == ["18.5004", "Cel"]
    assert lines["pressure"][1] == "hPa"


def test_measure_for_some_seconds_ends_with_a_summary(capsys):
    status, out, _ = asked(capsys, "measure", "sht4x", "--bus", "emulated:street", "--for", "1.5")
    assert status == 0
    assert out.count("humidity 58") == 2
    assert "2 measurements, 0 failed" in out


def test_measure_takes_options_as_a_configuration_does(capsys):
    command = ("measure", "sht4x", "--bus", "emulated:street", "--json", "--option")
    assert asked(capsys, *command, "precision=low")[0] == 0
    assert asked(capsys, *command, 'precision="medium"')[0] == 0
    status, _, err = asked(capsys, *command, "precison=low")
    assert status == 2
    assert 'has no key "precison"; did you mean "precision"?' in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bme28"], 'there is no driver "bme28"; did you mean "bme280"?'),
        (["bme280", "--address", "0x29"], "a bme280 cannot be at 0x29; it can be at 0x76, 0x77"),
        (["bme280", "--option", "x"], '"x" is no option: write it as key=value'),
        (["contact"], "a contact is on a line: this command reads sensors on an I2C bus"),
        (["vane"], "a vane is on a channel of a converter"),
        (["tca9548a"], "a tca9548a is no sensor"),
        (["pca9685"], "a pca9685 acts: this command only measures"),
    ],
)
def test_what_cannot_be_measured_is_said(capsys, arguments, said):
    status, _, err = asked(capsys, "measure", *arguments, "--bus", "emulated:street")
    assert status == 2
    assert said in err


def test_measure_of_a_bus_that_is_not_there_fails(capsys):
    status, out, _ = asked(capsys, "measure", "bme280", "--bus", "/dev/i2c-99")
    assert status == 1
    assert "! /dev/i2c-99 cannot be opened: turn I2C on" in out


def test_measure_says_that_something_is_still_to_come(capsys):
    status, out, _ = asked(capsys, "measure", "sen66", "--bus", "emulated:street")
    assert status == 0
    assert "co2          (warming-up)" in out
    assert "with --for 30" in out


def test_a_recording_replays(tmp_path: Path, capsys):
    file = tmp_path / "weather.jsonl"
    command = ("measure", "bme280", "--bus", "emulated:street", "--option", "oversampling=4")
    assert asked(capsys, *command, "--record", str(file))[0] == 0
    replay = Replay.parse(file.read_text().splitlines())
    assert replay.head["source"] == "an emulated part"
    part = drivers.load("bme280")
    driver = part.driver(replay, 0x76, replay, part.options(**replay.head["options"]))

    async def play() -> list[Any]:
        return [each async for each in replay.play(driver)]

    outcomes = asyncio.run(play())
    assert len(outcomes) == 3
    assert all(now == then for then, now in outcomes)
    assert outcomes[1][1]["gave"]["temperature"] == pytest.approx(18.5, abs=0.1)


def test_a_recording_never_overwrites(tmp_path: Path, capsys):
    file = tmp_path / "weather.jsonl"
    file.write_text("precious")
    status, _, err = asked(capsys, "measure", "sht4x", "--bus", "emulated:street", "--record", str(file))
    assert status == 2
    assert "is there already: give another name" in err
    assert file.read_text() == "precious"
    status, _, err = asked(
        capsys, "measure", "sht4x", "--bus", "emulated:street", "--record", str(tmp_path / "no" / "x")
    )
    assert status == 2
    assert "cannot be written: No such file or directory" in err
