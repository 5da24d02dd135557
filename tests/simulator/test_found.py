"""What lives have brought to light, each as a short scene: it went wrong once, and does not again."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from gateway import config
from gateway.clock import Now
from gateway.mqtt import Delivery, delivery
from gateway.reading import Lane
from tests.gateway.mqtt_rig import Memory
from tests.simulator import broker
from tests.simulator.broker import Broker
from tests.simulator.link import Link
from tests.simulator.loop import run
from tests.simulator.world import World


class Audience:
    """Takes everything."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def deliver(self, topic: str, payload: bytes) -> None:
        self.heard.append((topic, json.loads(payload)))

    def taken(self, topic: str, payload: bytes, heard: bool) -> None:
        """All that is heard counts."""

    def refused(self, topic: str, payload: bytes) -> None:
        """What is refused is sent again."""

    def forgotten(self, topic: str, payload: bytes) -> None:
        """This broker forgets nothing."""


Scene = Callable[[Broker, Memory, Delivery], Coroutine[Any, Any, None]]


def played(monkeypatch: pytest.MonkeyPatch, scene: Scene, **settings: Any) -> Audience:
    """Run a delivery out of memory to a simulated broker, and stop it when the scene is over."""
    world, audience = World(1), Audience()
    there = Broker(world, audience)
    monkeypatch.setattr(delivery, "Link", partial(Link, there))

    async def main() -> None:
        outbox = Memory()
        now = Now(world.wall, world.mono, world.quality, world.boot)
        made = Delivery(config.Mqtt(**settings), "sim", outbox, dict, dict, now)
        running = asyncio.create_task(made.run())
        await scene(there, outbox, made)
        await made.stop()
        running.cancel()
        await asyncio.wait({running})
        await asyncio.sleep(5.0)

    run(world, main)
    return audience


def test_the_last_status_keeps_to_the_receive_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shutdown while the broker was slow sent one message more than it allowed, and was cut off for it."""

    async def scene(there: Broker, outbox: Memory, made: Delivery) -> None:
        there.window = 2
        await asyncio.sleep(5.0)
        there.fail(broker.State.SLOW, 600.0)
        outbox.fill(Lane.TELEMETRY, 50)
        await asyncio.sleep(1.0)

    audience = played(monkeypatch, scene, batch=1)
    last = [body for topic, body in audience.heard if topic.endswith("/status")][-1]
    assert last["online"] is False
    assert last["reason"] == "stopped"
