"""Recordings from a bench, played back: the driver of today does what it did then, and reads the same.

A recording is made by `lamppost measure DRIVER --bus PATH --record FILE`. Those whose name says "emulated"
are of emulated parts: they keep a driver from changing unseen, and prove nothing of the real part.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import drivers
from drivers.bus import BusTimeout, NoAcknowledge
from drivers.emulated import EmulatedI2C
from drivers.replay import Recorder, Replay, heading
from drivers.weather.sht4x.chip import Emulated
from tests.conftest import VirtualClock

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.jsonl"))


def load(path: Path) -> Replay:
    return Replay.parse(path.read_text().splitlines())


def played(replay: Replay, name: str | None = None) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Play *replay* to its own driver, or to the driver *name*."""
    part = drivers.load(name or replay.head["driver"])
    options = part.options(**replay.head["options"])
    driver = part.driver(replay, replay.head["address"], replay, options)

    async def main() -> list[Any]:
        return [each async for each in replay.play(driver)]

    return asyncio.run(main())


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_recording_comes_out_as_it_was(path: Path):
    replay = load(path)
    for package in drivers.load(replay.head["driver"]).needs:
        pytest.importorskip(package, reason="an extra is not installed: pip install 'lamppost[gas]'")
    outcomes = played(replay)
    assert len(outcomes) >= 3
    for then, now in outcomes:
        assert now.keys() == then.keys()
        if "failed" in then:
            assert now == then
            continue
        for quantity, value in then["gave"].items():
            found = now["gave"][quantity]
            assert found == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9)), quantity


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_recording_says_what_it_is_of(path: Path):
    """Nobody takes an emulated part for a real one."""
    head = load(path).head
    assert path.name.startswith(head["driver"])
    assert ("emulated" in path.name) == (head["source"] == "an emulated part")
    assert head["address"] in drivers.load(head["driver"]).addresses


def recorded(clock: VirtualClock, unplug: bool = False) -> list[str]:
    """Record an SHT4x; on request, one that is unplugged after its first measurement."""
    lines: list[str] = []
    bus = EmulatedI2C({0x44: Emulated(clock)})
    clock.now += 1.0
    recorder = Recorder(bus, clock, lambda line: lines.append(json.dumps(line)))
    driver = drivers.load("sht4x").driver(recorder, 0x44, clock)

    async def main() -> None:
        await recorder.call("start", driver)
        await recorder.call("measure", driver)
        if unplug:
            bus.chips.clear()
            with pytest.raises(NoAcknowledge):
                await recorder.call("measure", driver)

    asyncio.run(main())
    return [json.dumps(heading("sht4x", 0x44, {}, "an emulated part")), *lines]


def test_errors_are_played_too(clock: VirtualClock):
    outcomes = played(Replay.parse(recorded(clock, unplug=True)))
    assert [now for _, now in outcomes][-1] == {"failed": "NoAcknowledge"}
    assert all(now == then for then, now in outcomes)


def test_time_passes_as_it_did(clock: VirtualClock):
    replay = Replay.parse(recorded(clock))
    played(replay)
    assert replay.monotonic() == pytest.approx(clock.now - 1.0, abs=1e-5)


def test_a_bench_is_slower_than_an_emulated_part(clock: VirtualClock):
    """What a transfer took there passes here too: a part that warms up does so in both."""
    lines = [json.loads(line) for line in recorded(clock)]
    later = [line | {"at": line["at"] + 5.0} if "at" in line else line for line in lines]
    replay = Replay.parse(map(json.dumps, later))
    played(replay)
    assert replay.monotonic() == pytest.approx(clock.now + 4.0, abs=1e-5)


def test_a_driver_that_asks_for_something_else_is_found(clock: VirtualClock):
    lines = [line.replace('"write": "fd"', '"write": "f6"') for line in recorded(clock)]
    with pytest.raises(AssertionError, match=r"asked for .*'fd'.* recorded was .*'f6'"):
        played(Replay.parse(lines))


def test_a_driver_that_reads_another_value_is_found(clock: VirtualClock):
    """The recording is not only of the wires: a changed conversion shows."""
    lines = [line.replace('"temperature": 2', '"temperature": 3') for line in recorded(clock)]
    assert lines != recorded(VirtualClock())
    assert any(now != then for then, now in played(Replay.parse(lines)))


def test_a_driver_that_goes_on_is_found(clock: VirtualClock):
    lines = recorded(clock)
    del lines[-2]  # the last answer
    with pytest.raises(AssertionError, match=r"is .*, not one with write"):
        played(Replay.parse(lines))


def test_a_call_that_was_given_up_is_not_played(clock: VirtualClock):
    lines = recorded(clock)
    lines[-1] = '{"at": 9.0, "failed": "CancelledError"}'
    assert len(played(Replay.parse(lines))) == 1
    assert len(played(Replay.parse(lines[:-1]))) == 1


@pytest.mark.parametrize(
    "text", ["", "[]", '{"recording": 2}', '{"recording": 1}\n[]', '{"recording": 1}\n{}']
)
def test_what_is_no_recording_is_refused(text: str):
    with pytest.raises(ValueError):
        Replay.parse(text.splitlines())


def test_a_timeout_is_recorded_as_one(clock: VirtualClock):
    lines: list[Any] = []
    bus = EmulatedI2C({})
    bus.faults.append(BusTimeout("held"))
    recorder = Recorder(bus, clock, lines.append)
    with pytest.raises(BusTimeout):
        asyncio.run(recorder.transfer(0x44, b"\xfd"))
    assert lines == [
        {"at": 0.0, "address": 0x44, "write": "fd", "read": 0, "error": "BusTimeout", "said": "held"}
    ]
