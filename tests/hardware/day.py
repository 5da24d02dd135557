"""The life of a pole, inside the guest: samplers, drivers, the kernel's devices, and the store on disk.

It runs in time that the rig keeps. Everything that the board's world does is known beforehand, so that at the
end every reading can be compared with what it should have been, and every movement with its event.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from drivers.board.contact import Driver as Contact
from drivers.device import Quantity
from drivers.flood.hcsr04 import Driver as Hcsr04
from drivers.flood.hcsr04 import Options as Hcsr04Options
from drivers.flood.mb7040 import Driver as Mb7040
from drivers.weather.rain_gauge import Driver as RainGauge
from gateway.clock import LoopClock, Now
from gateway.config import Store as Settings
from gateway.reading import Lane
from gateway.sampler import Device, Sampler
from gateway.store import Store
from tests.hardware.board import ECHO, LID, RAIN, TRIGGER, tide
from tests.hardware.wires import Wires, wires

BOUNCE = [0.002, 0.003, 0.001, 0.004]
TIP_EVERY, MOVE_EVERY = 4.3, 11.7  # s; neither falls into step with the readings
CHUNK = 5000

Tell = Callable[..., None]


async def day(path: str, chip: str, seconds: int, names: tuple[str, ...], tell: Tell) -> dict[str, Any]:
    """Live through *seconds* with the parts *names*, and return the figures.

    Raises AssertionError where a reading, a tip or a movement is missing, wrong, late or there twice.
    """
    began = time.monotonic()
    async with wires(path, chip) as opened:
        start = await opened.cue("begin", TIP_EVERY, MOVE_EVERY, BOUNCE)
        offset = start["time"] - time.monotonic()
        samplers = await _live(opened, seconds, names, tell)
        end = await opened.cue("count")
        drift = end["time"] - time.monotonic() - offset
    assert abs(drift) < 0.001, f"the guest's clock and the board's differ by {drift} s"
    figures = await _judge(began, offset, samplers, end)
    return {"transfers": end["transfers"] - start["transfers"], **figures}


def _settings() -> Settings:
    return Settings(path=Path("/var/lib/day.db"), keep=10 * 86400.0)


async def _live(opened: Wires, seconds: int, names: tuple[str, ...], tell: Tell) -> list[Sampler]:
    """Sample for *seconds*, everything into the store."""
    clock, now = LoopClock(), Now()
    store = await Store.open(_settings(), "day")
    parts: dict[str, tuple[Any, float]] = {
        "river": (Mb7040(opened.bus, 0x70, clock), 1.0),
        "rain": (RainGauge(opened.pins, RAIN, clock), 20.0),
        "lid": (Contact(opened.pins, LID, clock), 20.0),
        "bin": (Hcsr04(opened.pins, TRIGGER, clock, Hcsr04Options(echo=ECHO)), 10.0),
    }
    samplers = [
        Sampler(Device(name, *parts[name], 5.0), clock, now, store.add, store.add, lambda: None)
        for name in names
    ]
    async with AsyncExitStack() as leaving:
        leaving.push_async_callback(store.close)
        tasks = [asyncio.create_task(each.run()) for each in samplers]
        for passed in range(0, seconds, 3600):
            await asyncio.sleep(min(3600, seconds - passed))
            tell(hour=passed // 3600 + 1)
        await opened.cue("rest")
        await asyncio.sleep(21.0)  # so that every sampler has had its turn after the last movement
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return samplers


async def _records() -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """Yield what the store holds, opened anew: number and body."""
    store = await Store.open(_settings(), "day")
    try:
        counts = store.counts()[Lane.TELEMETRY]
        assert (counts.delivered, counts.dropped) == (0, {}), counts
        last = 0
        while found := await store.after(Lane.TELEMETRY, last, CHUNK):
            for each in found:
                yield each.seq, _body(each)
            last = found[-1].seq
        assert last == counts.accepted == counts.held, (last, counts)
    finally:
        await store.close()


def _body(stored: Any) -> dict[str, Any]:
    return dict(json.loads(stored.body))


async def _judge(began: float, offset: float, samplers: list[Sampler], end: dict[str, Any]) -> dict[str, Any]:
    """Compare every record with what the world did."""
    counts: Counter[str] = Counter()
    previous: dict[str, float] = {}
    worst: defaultdict[str, float] = defaultdict(float)
    tips, moves, closed, number = 0.0, 0, 0.0, 0
    async for seq, body in _records():
        number += 1
        assert seq == number, f"record {seq} follows record {number - 1}"
        name, values, mono = body["device"], body["values"], body["mono"]
        assert "missing" not in body, body
        counts[name] += 1
        if name == "river":
            if name in previous:
                worst["interval"] = max(worst["interval"], abs(mono - previous[name] - 1.0))
            away = abs(values[Quantity.DISTANCE] - tide(mono + offset - 0.1))
            worst["river"] = max(worst["river"], away)
        elif name == "bin":
            worst["bin"] = max(worst["bin"], abs(values[Quantity.DISTANCE] - 1.5))
        elif name == "rain":
            tips += values[Quantity.COUNT]
        elif name == "lid":
            moves += values[Quantity.CLOSED] != closed
            closed = values[Quantity.CLOSED]
        previous[name] = mono
    assert {each.device.id: (each.failures, each.missed) for each in samplers} == dict.fromkeys(
        counts, (0, 0)
    )
    assert counts == Counter({each.device.id: each.measures for each in samplers})
    if "rain" in counts:
        assert tips == end["tips"], f"{tips:g} tips counted, {end['tips']} fell"
        assert moves == end["moves"], f"{moves} movements seen, {end['moves']} made"
    assert worst["interval"] < 0.05, worst  # the part is asked again after 19 ms where it still ranges
    assert worst["river"] < 0.02, worst
    assert worst["bin"] < 0.005, worst
    return {
        "readings": number,
        "one_second_readings": counts["river"],
        "tips": int(tips),
        "movements": moves,
        "virtual_seconds": round(time.monotonic() - began),
        "worst_jitter_ms": round(worst["interval"] * 1000, 1),
        "worst_distance_mm": round(worst["bin"] * 1000, 1),
    }
