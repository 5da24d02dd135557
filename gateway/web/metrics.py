"""The status as Prometheus metrics. Computed at each scrape from one status; nothing is counted twice."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from gateway.web.verdict import fresh

Status = Mapping[str, Any]
Sample = tuple[tuple[str, ...], float]


class Metrics(Collector):
    """The metrics of one gateway, in a registry of their own."""

    media_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(
        self, status: Callable[[], Status], answers: Mapping[int, int], refused: Counter[str]
    ) -> None:
        self._status = status
        self._answers = answers
        self._refused = refused
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics in the text exposition format, version 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Return no descriptions: registering must not ask for the status."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics of this moment."""
        status = self._status()
        yield from _gateway(status)
        yield from _store(status["store"])
        yield from _broker(status["mqtt"])
        yield from _devices(status)
        yield from _control(status)
        answers = [((str(code),), number) for code, number in sorted(self._answers.items())]
        yield _count("http_answers", "HTTP answers by status code.", ["code"], answers)
        refused = [((reason,), number) for reason, number in sorted(self._refused.items())]
        yield _count("http_refused", "HTTP requests refused, by reason.", ["reason"], refused)


def _gateway(status: Status) -> Iterator[Metric]:
    info = {"gateway": status["gateway"], "version": status["version"], "epoch": status["epoch"]}
    yield _gauge("build_info", "Always 1; its labels say what runs.", list(info), [(tuple(info.values()), 1)])
    yield _gauge("uptime_seconds", "Seconds since the start.", [], [((), status["uptime"])])
    synchronized = status["clock"] == "synchronized"
    yield _gauge("clock_synchronized", "Whether the kernel trusts its clock.", [], [((), synchronized)])
    yield _gauge("healthy", "Whether every loop moves.", [], [((), status["health"]["ok"])])
    loops = status["health"]["loops"]
    ages = [((loop["name"],), loop["age"]) for loop in loops]
    yield _gauge("loop_age_seconds", "Seconds since the loop made progress.", ["loop"], ages)
    limits = [((loop["name"],), loop["limit"]) for loop in loops]
    yield _gauge("loop_limit_seconds", "Most seconds that the loop may take.", ["loop"], limits)


def _store(store: Status) -> Iterator[Metric]:
    yield _gauge("store_writable", "Whether records become durable.", [], [((), store["writable"])])
    yield _gauge("store_size_bytes", "Size of the store.", [], [((), store["bytes"])])
    yield _gauge("store_uncommitted", "Records that wait for the next commit.", [], [((), store["waiting"])])
    if store["committed_age"] is not None:
        age = [((), store["committed_age"])]
        yield _gauge("store_commit_age_seconds", "Seconds since the last commit.", [], age)
    lanes = store["lanes"].items()
    accepted = [((lane,), counts["accepted"]) for lane, counts in lanes]
    yield _count("records_accepted", "Records made durable.", ["lane"], accepted)
    delivered = [((lane,), counts["delivered"]) for lane, counts in lanes]
    yield _count("records_delivered", "Records that the broker took.", ["lane"], delivered)
    held = [((lane,), counts["held"]) for lane, counts in lanes]
    yield _gauge("records_held", "Records that wait for the broker.", ["lane"], held)
    dropped = [((lane, why), number) for lane, counts in lanes for why, number in counts["dropped"].items()]
    yield _count("records_dropped", "Records given up, by reason.", ["lane", "reason"], dropped)


def _broker(mqtt: Status) -> Iterator[Metric]:
    connected = mqtt["state"] == "connected"
    yield _gauge(
        "mqtt_connected", "Whether the broker is connected and takes records.", [], [((), connected)]
    )
    yield _gauge("mqtt_in_flight", "Messages sent and not yet acknowledged.", [], [((), mqtt["in_flight"])])
    if mqtt["acknowledge"]["by"] == "consumer":
        yield from _receipts(mqtt["acknowledge"])
    replaying = [((), mqtt["replaying"])]
    yield _gauge("mqtt_replaying", "Records still to be sent again, as somebody asked.", [], replaying)
    yield _count("mqtt_refused", "Messages that the broker refused.", [], [((), mqtt["refused"])])


def _receipts(receipts: Status) -> Iterator[Metric]:
    confirmed = [((lane,), number) for lane, number in receipts["confirmed"].items()]
    yield _gauge("mqtt_confirmed", "The number up to which the consumer has all.", ["lane"], confirmed)
    refused, resent = [((), receipts["refused"])], [((), receipts["resent"])]
    yield _count("mqtt_receipts_refused", "Receipts that were refused.", [], refused)
    yield _count("mqtt_resent", "Times that a batch was sent again for want of a receipt.", [], resent)


def _devices(status: Status) -> Iterator[Metric]:
    devices = status["devices"]
    up = [((device["id"], device["driver"]), device["state"] == "running") for device in devices]
    yield _gauge("device_up", "Whether the device answers.", ["device", "driver"], up)
    for name in ("measures", "failures", "missed"):
        samples = [((device["id"],), device[name]) for device in devices]
        yield _count(f"device_{name}", f"The device's {name} since the start.", ["device"], samples)
    ages = [
        ((device["id"],), max(0.0, status["time"] - device["latest"]["time"]))
        for device in devices
        if device["latest"]
    ]
    yield _gauge("device_reading_age_seconds", "Seconds since the latest reading.", ["device"], ages)
    values = [sample for device in devices if fresh(device, status["time"]) for sample in _values(device)]
    help = "The latest value, in the UCUM unit of the label; absent while it is missing or stale."
    yield _gauge("reading", help, ["device", "quantity", "unit"], values)


def _values(device: Status) -> Iterator[Sample]:
    for quantity, value in device["latest"]["values"].items():
        yield (device["id"], quantity, device["units"].get(quantity, "1")), value


def _control(status: Status) -> Iterator[Metric]:
    switches, rules = status["switches"], status["rules"]
    on = [((switch["id"],), bool(switch["on"])) for switch in switches]
    yield _gauge("switch_on", "Whether the output is on.", ["switch"], on)
    cycles = [((switch["id"],), switch["cycles"]) for switch in switches]
    yield _count("switch_cycles", "Times that the output went on.", ["switch"], cycles)
    firing = [((rule["id"], rule["mode"]), rule["phase"] == "firing") for rule in rules]
    yield _gauge("rule_firing", "Whether the rule fires.", ["rule", "mode"], firing)
    blind = [((rule["id"],), bool(rule["blind"])) for rule in rules]
    yield _gauge("rule_blind", "Whether the rule lacks an input.", ["rule"], blind)


def _gauge(name: str, help: str, labels: list[str], samples: Iterable[Sample]) -> Metric:
    return _filled(GaugeMetricFamily(f"lamppost_{name}", help, labels=labels), samples)


def _count(name: str, help: str, labels: list[str], samples: Iterable[Sample]) -> Metric:
    return _filled(CounterMetricFamily(f"lamppost_{name}", help, labels=labels), samples)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, samples: Iterable[Sample]
) -> GaugeMetricFamily | CounterMetricFamily:
    for labels, value in samples:
        family.add_metric(labels, value)
    return family
