"""`lamppost demo`: the whole line on an emulated street, and a person, or a script, looking at it.

The broker is an embedded one, from the optional package iotcore: the daemon itself never needs it.
"""

import asyncio
import json
import logging
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.app.check import Plan, plan
from gateway.app.daemon import Daemon
from gateway.ledger import headline
from gateway.mqtt.watch import Follower, Live, Logged, Note, watch
from gateway.problem import ConfigError, Problem
from gateway.scenario import Scenario
from gateway.terminal import Screen

BROKER = """
id = 0
[router]
id = 0
max_connections = 64
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 5000
max_payload_size = 262144
max_inflight_count = 100
dynamic_filters = true
"""

GRANTED = 30 * 86400.0
"""Seconds for which the demo's rules are granted their modes anew: there is nobody who could do it."""

FRAMES = 4.0
"""Pictures of the live view per second."""

SETTLE = 10.0
"""Seconds that the last records may take to the subscriber, once nothing new is measured."""


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Run an MQTT 5 broker on a free loopback port; yield the port. Raises ConfigError without iotcore."""
    try:
        from iotcore import Broker
    except ImportError as error:
        said = "the demo needs the embedded broker: pip install 'lamppost[demo]'"
        raise ConfigError([Problem("lamppost demo", 1, said)]) from error
    port = free_port()
    settings = folder / "broker.toml"
    settings.write_text(BROKER.format(port=port))
    running = Broker(port=port, config_path=str(settings))
    running.start()
    try:
        yield port
    finally:
        running.stop()


def free_port(wanted: int = 0) -> int:
    """Return the loopback port *wanted* if it is free, else one that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no loopback port is free")


@dataclass
class Subscriber:
    """Hears everything that the gateway publishes, as a stranger would, and keeps count."""

    screen: Screen
    follower: Follower
    quiet: bool
    counts: Counter[str] = field(default_factory=Counter)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, settings: Any, gateway: str) -> None:
        """Follow *gateway* until cancelled."""
        async with aclosing(watch(settings, gateway, self.follower)) as items:
            async for item in items:
                match item:
                    case Note(text):
                        self.connected.set()
                        self._say(text, "yellow")
                    case Live(_, face, body) if face.startswith("state/"):
                        self.screen.heard(body)
                    case Logged(body=body):
                        self._log(body)
                self.screen.records = self.received
                self.screen.missing = self.missing
                self._news.set()

    def tell(self, words: str) -> None:
        """Say something of the demo's own among the news."""
        self._say(words, "bold")

    async def has(self, records: int) -> None:
        """Return when *records* different records have arrived."""
        while self.received < records:
            self._news.clear()
            await self._news.wait()

    @property
    def received(self) -> int:
        """Different records that arrived."""
        completeness = self.follower.completeness
        return completeness.records - completeness.duplicates

    @property
    def missing(self) -> int:
        """Records that did not arrive although later ones did."""
        holes = self.follower.completeness.missing().values()
        return sum(last - first + 1 for ranges in holes for first, last in ranges)

    def _log(self, body: Mapping[str, Any]) -> None:
        match body:
            case {"kind": "decision"}:
                self.counts[f"decision {body['outcome']}"] += 1
                style = {"acted": "bold green", "shadowed": "blue"}.get(str(body["outcome"]), "")
                self._say(headline(body), style)
            case {"kind": "event"}:
                self.counts[str(body["type"])] += 1
                self._say(f"{body['type']} {body['subject']} {json.dumps(body['data'])}", "cyan")

    def _say(self, words: str, style: str) -> None:
        self.screen.say(words, style)
        if self.quiet:
            print(words, file=sys.stderr, flush=True)


async def demo(path: Path | None, seconds: float | None, as_json: bool, scene: Scenario | None = None) -> int:
    """Run the street for *seconds*, or until a signal; 0 only when every record was delivered and heard."""
    with tempfile.TemporaryDirectory(prefix="lamppost-") as name, broker(Path(name)) as port:
        street = placed(plan(path or default()), Path(name), port)
        return await _Demo(street, seconds, as_json, scene).run()


def default() -> Path:
    """Return deploy/demo.toml of a checkout or of an installation. Raises ConfigError without either."""
    places = (Path(__file__).parent.parent / "deploy", Path(sys.prefix) / "share" / "lamppost")
    for place in places:
        if (place / "demo.toml").exists():
            return place / "demo.toml"
    raise ConfigError([Problem("demo.toml", 1, f"is not in {places[0]}: give another with --config")])


def placed(street: Plan, folder: Path, port: int) -> Plan:
    """Put the store into *folder*, the broker at *port* and the page on a port that is free."""
    was = street.config
    config = was.model_copy(
        update={
            "store": was.store.model_copy(update={"path": folder / "demo.db"}),
            "mqtt": was.mqtt.model_copy(update={"host": "127.0.0.1", "port": port}),
            "http": was.http.model_copy(update={"port": free_port(was.http.port)}),
        }
    )
    renewed = tuple(file.renewed(time.time() + GRANTED) for file in street.rules)
    return replace(street, config=config, rules=renewed)


@dataclass
class _Demo:
    street: Plan
    seconds: float | None
    as_json: bool
    scene: Scenario | None = None

    async def run(self) -> int:
        """Run daemon and subscriber side by side, then settle and sum up."""
        config = self.street.config
        follower = Follower(config.mqtt.prefix)
        self.screen = Screen(config.gateway.id)
        self.subscriber = Subscriber(self.screen, follower, quiet=self.as_json)
        listening = asyncio.create_task(self.subscriber.run(config.mqtt, config.gateway.id))
        await self.subscriber.connected.wait()
        self.daemon = Daemon(self.street)
        if self.scene is not None:
            self.daemon.street = self.scene.street(self.daemon.clock)
            self.subscriber.tell(f"{self.scene.says} (seed {self.scene.seed})")
        running = asyncio.create_task(self.daemon.run())
        waiting = asyncio.create_task(self.daemon.ready.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        try:
            await self._show(running)
            status = await running
            return max(status, await self._sum_up())
        finally:
            for task in (listening, waiting):
                task.cancel()
            await asyncio.gather(listening, waiting, return_exceptions=True)

    async def _show(self, running: asyncio.Task[int]) -> None:
        """Show the street until its time is up or it stops by itself."""
        if self.as_json:
            await asyncio.wait({running}, timeout=self.seconds)
        else:
            await self._live(running)
        self.daemon.stopping.set()

    async def _live(self, running: asyncio.Task[int]) -> None:
        logging.getLogger().handlers.clear()  # the picture has the same news, in its own place
        end = asyncio.get_running_loop().time() + (self.seconds or float("inf"))
        with self.screen.shown(FRAMES):
            while not running.done() and asyncio.get_running_loop().time() < end:
                self.screen.status, self.screen.page = self.daemon.status(), self.daemon.page
                await asyncio.wait({running}, timeout=1 / FRAMES)

    async def _sum_up(self) -> int:
        """Wait until the subscriber has all that was delivered, then say how it went."""
        lanes = self.daemon.lanes()
        accepted = sum(lane["accepted"] for lane in lanes.values())
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                await self.subscriber.has(accepted)
        summary = self._summary(lanes, accepted)
        print(json.dumps(summary, indent=2) if self.as_json else _words(summary), flush=True)
        return 0 if summary["ok"] else 1

    def _summary(self, lanes: dict[str, Any], accepted: int) -> dict[str, Any]:
        counts, heard = self.subscriber.counts, self.subscriber
        delivered = sum(lane["delivered"] for lane in lanes.values())
        completeness = heard.follower.completeness
        return {
            "ok": 0 < accepted == delivered == heard.received and not heard.missing,
            "accepted": accepted,
            "delivered": delivered,
            "held": sum(lane["held"] for lane in lanes.values()),
            "dropped": sum(sum(lane["dropped"].values()) for lane in lanes.values()),
            "lanes": lanes,
            "subscriber": {
                "received": heard.received,
                "missing": heard.missing,
                "duplicates": completeness.duplicates,
                "refused": heard.follower.refused,
            },
            "decisions": {
                k.removeprefix("decision "): n for k, n in counts.items() if k.startswith("decision ")
            },
            "faults": self._faults(),
            "events": {k: n for k, n in counts.items() if not k.startswith("decision ")},
        }

    def _faults(self) -> dict[str, Any]:
        """Return the seed and what went wrong by it; empty where nothing was to go wrong."""
        street = self.daemon.street
        if self.scene is None or street is None or street.faults is None:
            return {}
        return {"seed": self.scene.seed, "befell": dict(sorted(street.faults.counts.items()))}


def _words(summary: Mapping[str, Any]) -> str:
    every = "Every" if summary["ok"] else "NOT every"
    wrong = ", ".join(f"{count} {fault}" for fault, count in summary["faults"].get("befell", {}).items())
    seed = f" What went wrong, by seed {summary['faults']['seed']}: {wrong}." if wrong else ""
    return (
        f"{every} record was delivered and heard: {summary['accepted']:,} accepted = "
        f"{summary['delivered']:,} delivered + {summary['held']} held + {summary['dropped']} dropped; "
        f"the subscriber has {summary['subscriber']['received']:,}.{seed}"
    )
