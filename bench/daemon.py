"""The whole idle daemon: memory, processor, cold start, and sample to subscriber beside a bare paho loop.

Runs `lamppost run` on the emulated street with ten devices at 1 Hz and the page switched on, against the
embedded broker on a loopback port, then the bare loop at the same rate against the same broker.

    python bench/daemon.py [--seconds 30] [--port PORT]      with --port, a broker that already runs there
"""

import argparse
import json
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import paho.mqtt.client as paho

import drivers
import gateway
from gateway.demo import broker, free_port

DEVICES = """
[gateway]
id = "bench"
[store]
path = "bench.db"
[mqtt]
port = {mqtt}
[http]
port = {http}
[header]
chip = "emulated:street"
[[bus]]
id = "i2c"
path = "emulated:street"
"""
PARTS = ("sen66", "dbm", "mb7040", "bme280", "adxl355", "vl53l1x", "ina226")
LINES = (("contact", "closed"), ("contact", "wet"), ("contact", "active"))


def configuration(mqtt: int, http: int) -> str:
    """Return a pole of ten devices at 1 Hz: seven on the bus, three on the header."""
    text = DEVICES.format(mqtt=mqtt, http=http)
    for part in PARTS:
        text += f'[[device]]\nid = "{part}"\ndriver = "{part}"\nbus = "i2c"\ninterval = "1s"\n'
    for line, (driver, quantity) in enumerate(LINES, 4):
        text += f'[[device]]\nid = "{quantity}"\ndriver = "{driver}"\nline = {line}\ninterval = "1s"\n'
        text += f'options = {{ quantity = "{quantity}" }}\n'
    return text


def usage(process: int) -> tuple[float, float]:
    """Return a process's resident memory [MB] and the processor time [s] that it has used."""
    status = Path(f"/proc/{process}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return resident / 1024, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def committed(path: Path) -> bool:
    """Return whether the store holds a committed reading."""
    if not path.exists():
        return False
    try:
        reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return bool(reader.execute("SELECT 1 FROM telemetry LIMIT 1").fetchone())
        finally:
            reader.close()
    except sqlite3.Error:
        return False


@contextmanager
def arrivals(port: int, topic: str) -> Iterator[list[float]]:
    """Subscribe to *topic* and yield the list of delays [s] from each payload's `time` to its arrival."""
    delays: list[float] = []

    def arrived(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        if not message.retain:
            delays.append(time.time() - json.loads(message.payload)["time"])

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_message = arrived
    client.connect("127.0.0.1", port)
    client.subscribe(topic)
    client.loop_start()
    time.sleep(0.3)
    try:
        yield delays
    finally:
        client.disconnect()
        client.loop_stop()


def bare(port: int, seconds: float, payload: bytes) -> list[float]:
    """Publish ten payloads a second, retained, at QoS 0, from nothing but paho; return the delays [s]."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    body = json.loads(payload)
    with arrivals(port, "bare/#") as delays:
        for _ in range(round(seconds)):
            for device in range(10):
                text = json.dumps({**body, "time": time.time()}, separators=(",", ":"))
                client.publish(f"bare/{device}", text, 0, True)
            time.sleep(1)
    client.disconnect()
    client.loop_stop()
    return delays


def compiled() -> None:
    """Compile the packages, as installing them does: else the daemon pays for it, with 2 MB and a second."""
    folders = [str(Path(package.__file__).parent) for package in (drivers, gateway) if package.__file__]
    command = [sys.executable, "-m", "compileall", "-q", *folders]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})


def unit() -> dict[str, str]:
    """Return what the shipped unit sets of the allocator, so that the memory is what a pole's daemon has."""
    text = (Path(gateway.__file__).parent.parent / "systemd/lamppost.service").read_text()
    found = re.findall(r"^Environment=(MALLOC_\w+)=(\S+)$", text, re.MULTILINE)
    if not found:
        sys.exit("systemd/lamppost.service sets nothing of malloc any more: mend bench/daemon.py")
    return dict(found)


def spread(delays: list[float]) -> tuple[float, float]:
    """Return median and 99th percentile [ms]."""
    cuts = statistics.quantiles(delays, n=100)
    return cuts[49] * 1e3, cuts[98] * 1e3


def run(folder: Path, port: int, seconds: float) -> None:
    """Measure one daemon and print the figures."""
    config = folder / "bench.toml"
    config.write_text(configuration(port, free_port()))
    compiled()
    command = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    with arrivals(port, "lamppost/bench/state/#") as delays:
        began = time.monotonic()
        daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, **unit()})
        try:
            while not committed(folder / "bench.db") and time.monotonic() - began < 20:
                time.sleep(0.005)
            first = time.monotonic() - began
            time.sleep(5)
            delays.clear()
            _, before = usage(daemon.pid)
            time.sleep(seconds)
            resident, after = usage(daemon.pid)
        finally:
            asked = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(20)
    stopped = time.monotonic() - asked
    beside = bare(port, seconds, b'{"device":"x","values":{"a":1.5,"b":2.5,"c":3.5}}')
    ours, theirs = spread(delays), spread(beside)
    processor = 100 * (after - before) / seconds
    ratio = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"cold start to first committed reading  {first:6.2f} s      (aim < 1.0)")
    print(f"resident memory, page on               {resident:6.1f} MB     (aim < 55)")
    print(f"processor, ten devices at 1 Hz         {processor:6.2f} %      (aim < 1.5 of one core)")
    print(f"SIGTERM to exit                        {stopped:6.2f} s      (aim < 5)")
    print(f"sample to subscriber, p50 / p99        {ours[0]:6.2f} / {ours[1]:.2f} ms, {len(delays)} readings")
    print(f"bare paho loop, p50 / p99              {theirs[0]:6.2f} / {theirs[1]:.2f} ms")
    print(f"ratio                                  {ratio[0]:6.2f} / {ratio[1]:.2f}      (aim < 2 / 2)")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--port", type=int, help="a broker that already runs on this loopback port")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.port:
            run(folder, asked.port, asked.seconds)
        else:
            with broker(folder) as port:
                run(folder, port, asked.seconds)


if __name__ == "__main__":
    main()
