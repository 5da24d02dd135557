"""A daemon, a line that can be made bad, a broker, a collector behind it; and what an outage did to them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.brokers import Broker
from tests.gateway.daemon_rig import STREET, Collector, Process, until
from tests.proxy import Proxy

KEEPALIVE = 5
TEXT = STREET.replace("port = {broker}", f'port = {{broker}}\nkeepalive = "{KEEPALIVE}s"')
PAGE = 4096


@dataclass
class Line:
    """A daemon that speaks to *broker* through a proxy, and a collector that does not need one."""

    folder: Path
    broker: Broker
    given_up: dict[str, set[int]] = field(default_factory=lambda: {"telemetry": set(), "events": set()})
    """What the broker had acknowledged when it was killed, and did not deliver."""

    def __post_init__(self) -> None:
        self.broker.start()
        self.proxy = Proxy(self.broker.port).__enter__()
        self.collector = Collector(self.broker.port)
        self.process = Process(self.folder, self.proxy.port, text=TEXT).start()

    def close(self) -> None:
        self.process.kill()
        self.collector.close()
        self.proxy.__exit__()
        self.broker.kill()

    @property
    def state(self) -> str:
        """The connection, as the daemon sees it."""
        return str(until(lambda: self.process.get("/status"))["mqtt"]["state"])

    def memory(self) -> int:
        """Return the daemon's resident memory [bytes]."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE

    def lanes(self) -> dict[str, Any]:
        """Return the books, after a look at whether they balance."""
        lanes = self.process.lanes()
        for name, lane in lanes.items():
            known = lane["delivered"] + lane["held"] + sum(lane["dropped"].values())
            assert lane["accepted"] == known, f"the books of {name} do not balance: {lane}"
            assert not lane["dropped"], name
        return lanes

    def lost(self, lanes: dict[str, Any]) -> dict[str, set[int]]:
        """Return what of *lanes* the collector does not have, and is not known to be the broker's loss."""
        return {
            name: set(range(1, lane["accepted"] + 1)) - set(self.collector.seen[name]) - self.given_up[name]
            for name, lane in lanes.items()
        }

    def disorder(self) -> int:
        """Return how many records came behind one that they belong before."""
        return sum(
            later < earlier for seen in self.collector.seen.values() for earlier, later in pairwise(seen)
        )

    @property
    def blamed(self) -> int:
        """How many records are known to be the broker's loss."""
        return sum(map(len, self.given_up.values()))

    def blame_the_broker(self) -> None:
        """Note what it has acknowledged so far, and nobody got."""
        for name, lane in self.lanes().items():
            self.given_up[name] |= set(range(1, lane["delivered"] + 1)) - set(self.collector.seen[name])


@dataclass
class Watch:
    """What the daemon's memory and its messages did while something happened."""

    line: Line
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.before = self.line.memory()
        self.most = self.before
        self._duplicates = self.line.collector.completeness.duplicates
        self._blamed = self.line.blamed

    @property
    def repeated(self) -> int:
        """How many records have come again since."""
        return self.line.collector.completeness.duplicates - self._duplicates

    @property
    def blamed(self) -> int:
        """How many records the broker has lost since."""
        return self.line.blamed - self._blamed

    @property
    def growth(self) -> int:
        """How much more memory it had than before [bytes], at most."""
        return self.most - self.before

    @property
    def attempts(self) -> int:
        """How often it has connected since."""
        return sum(at >= self.began for at in list(self.line.proxy.connects))

    def wait(self, seconds: float) -> Iterator[None]:
        """Watch for *seconds*; yields now and then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.most = max(self.most, self.line.memory())
            yield
            time.sleep(0.1)
