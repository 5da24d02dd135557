"""The metrics, read back with Prometheus's own parser."""

from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.web.metrics import Metrics
from tests.gateway.source import Recorded

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(source: Recorded) -> Samples:
    text = Metrics(source.status, Counter({200: 7}), Counter({"slow": 2})).text().decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation for family in families)
    samples = [(s.name, tuple(sorted(s.labels.items())), s.value) for f in families for s in f.samples]
    found = {(name, labels): value for name, labels, value in samples}
    assert len(found) == len(samples)
    return found


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("build_info", {"gateway": "harbour-12", "version": "0.1.0", "epoch": "1a2b3c4d"}, 1),
        ("uptime_seconds", {}, 93_601),
        ("clock_synchronized", {}, 1),
        ("healthy", {}, 1),
        ("loop_age_seconds", {"loop": "store"}, 0.6),
        ("loop_limit_seconds", {"loop": "store"}, 5),
        ("store_writable", {}, 1),
        ("store_size_bytes", {}, 18_454_937),
        ("store_uncommitted", {}, 7),
        ("store_commit_age_seconds", {}, 0.6),
        ("records_accepted_total", {"lane": "telemetry"}, 654_321),
        ("records_delivered_total", {"lane": "telemetry"}, 654_200),
        ("records_held", {"lane": "telemetry"}, 100),
        ("records_dropped_total", {"lane": "telemetry", "reason": "full"}, 21),
        ("mqtt_connected", {}, 1),
        ("mqtt_in_flight", {}, 2),
        ("mqtt_refused_total", {}, 0),
        ("device_up", {"device": "air", "driver": "sen66"}, 1),
        ("device_up", {"device": "river", "driver": "mb7040"}, 0),
        ("device_measures_total", {"device": "river"}, 93_598),
        ("device_failures_total", {"device": "river"}, 9),
        ("device_missed_total", {"device": "river"}, 3),
        ("device_reading_age_seconds", {"device": "river"}, 255),
        ("reading", {"device": "sky", "quantity": "pressure", "unit": "hPa"}, 1013.25),
        ("switch_on", {"switch": "siren"}, 1),
        ("switch_cycles_total", {"switch": "compactor"}, 11),
        ("rule_firing", {"rule": "compact", "mode": "off"}, 1),
        ("rule_firing", {"rule": "river_siren", "mode": "shadow"}, 0),
        ("rule_blind", {"rule": "river_siren"}, 1),
        ("http_answers_total", {"code": "200"}, 7),
        ("http_refused_total", {"reason": "slow"}, 2),
    ],
)
def test_every_figure_of_the_status(name: str, labels: dict[str, str], value: float) -> None:
    assert scraped(Recorded())[f"lamppost_{name}", tuple(sorted(labels.items()))] == pytest.approx(value)


def test_a_missing_or_stale_value_is_absent_not_zero() -> None:
    devices = {
        (dict(labels)["device"], dict(labels)["quantity"])
        for name, labels in scraped(Recorded())
        if name == "lamppost_reading"
    }
    assert ("air", "voc_index") not in devices
    assert ("river", "distance") not in devices
    assert ("lid", "closed") in devices


def test_the_process_is_measured_too() -> None:
    assert scraped(Recorded())["process_resident_memory_bytes", ()] > 1e6


def test_a_store_that_never_committed_has_no_age() -> None:
    source = Recorded()
    source.state["store"]["committed_age"] = None
    assert ("lamppost_store_commit_age_seconds", ()) not in scraped(source)


def test_hostile_labels_stay_labels() -> None:
    source = Recorded()
    source.state["rules"][0]["id"] = 'x"} 1\nlamppost_healthy 0'
    found = scraped(source)
    assert found["lamppost_healthy", ()] == 1
    assert ("lamppost_rule_blind", (("rule", 'x"} 1\nlamppost_healthy 0'),)) in found
