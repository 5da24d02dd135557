"""A whole gateway in a boot that begins in 1970, and is synchronised while it runs."""

import asyncio
import json
import time

import pytest

from gateway.app.check import plan
from gateway.app.daemon import Daemon
from gateway.cli import main as lamppost
from gateway.clock import Now, Quality
from gateway.correction import SYNCHRONIZED
from gateway.reading import Lane
from tests.brokers import free_port
from tests.gateway.daemon_rig import STREET
from tests.gateway.store_rig import texts


class Machine:
    """A clock that stands in 1970 until it is set."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.ahead = 0.0
        self.quality = Quality.UNSYNCHRONIZED
        self.now = Now(self.wall, time.monotonic, lambda: self.quality, "boot-1", 0.5)

    def wall(self) -> float:
        return time.monotonic() - self.began + self.ahead

    def synchronise(self) -> None:
        self.ahead, self.quality = time.time() - (time.monotonic() - self.began), Quality.SYNCHRONIZED


@pytest.mark.slow
def test_the_readings_of_before_come_out_with_their_right_time(tmp_path, capsys):
    config = tmp_path / "pole.toml"
    config.write_text(STREET.format(broker=free_port(), page=free_port()))
    machine, began = Machine(), time.time()

    async def main() -> None:
        daemon = Daemon(plan(config), now=machine.now)
        running = asyncio.create_task(daemon.run(signals=False))
        await daemon.ready.wait()
        await asyncio.sleep(0.5)
        assert daemon.status()["correction"] is None
        machine.synchronise()
        async with asyncio.timeout(5):
            while daemon.status()["correction"] is None:
                await asyncio.sleep(0.02)
        assert abs(daemon.status()["correction"] - machine.ahead) < 0.1
        await asyncio.sleep(0.2)
        daemon.stopping.set()
        assert await running == 0

    asyncio.run(main())
    ended, store = time.time(), tmp_path / "pole.db"
    stored = [json.loads(text) for text in texts(store, Lane.TELEMETRY)]
    early = sum(body["clock"] == "unsynchronized" for body in stored)
    assert 5 < early < len(stored)
    capsys.readouterr()
    assert lamppost(["export", "--store", str(store), "--lane", "telemetry"]) == 0
    right = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(began - 0.1 < body["time"] < ended + 0.1 for body in right)
    times = [body["time"] for body in right if body["device"] == "weather"]
    assert times == sorted(times)
    assert sum(body["clock"] == "corrected" for body in right) == early
    assert sum(SYNCHRONIZED in text for text in texts(store, Lane.EVENTS)) == 1
    assert lamppost(["verify", str(store)]) == 0
