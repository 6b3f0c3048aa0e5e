"""The metrics of SPEC 15: from events, from the latest state, with few labels."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sando.metrics import Metrics
from sando.model.clock import Instant
from tests.api.room import NOON, an_event

NAMES = {
    "sando_builds_total", "sando_build_duration_seconds", "sando_gates_total", "sando_gate_duration_seconds",
    "sando_deploys_total", "sando_deploy_duration_seconds", "sando_lead_time_seconds", "sando_tier_info",
    "sando_tier_status", "sando_node_up", "sando_node_version_match", "sando_burn_in_remaining_seconds",
    "sando_lock_active", "sando_backup_age_seconds", "sando_backup_last_restore_ok_timestamp_seconds",
    "sando_event_seq", "sando_event_subscribers", "sando_actor_restarts_total", "sando_actor_inbox",
}  # fmt: skip

STATE = {
    "seq": 48211,
    "now": "\x00now",
    "tiers": [
        {
            "name": "a", "status": "gating", "current_version": "0.8.2", "sha": "ab", "lock": {"actor": "max"},
            "gates": [{"kind": "burn_in", "outcome": "pending", "required_s": 86400.0, "elapsed_s": "\x00elapsed0",
                       "ready_at": "2026-11-23T13:00:00.250Z"}],
            "nodes": [
                {"name": "a-1", "version": "0.8.2", "observed": "0.8.2", "reachable": True},
                {"name": "a-2", "version": "0.8.2", "observed": "0.8.1", "reachable": False},
            ],
        },
        {
            "name": "b", "status": "empty", "current_version": None, "sha": None, "lock": None, "nodes": [],
            "gates": [{"kind": "burn_in", "outcome": "pending", "required_s": 60.0, "ready_at": None},
                      {"kind": "boot_smoke", "outcome": "passed"}],
        },
    ],
    "backup": {"fetched_at": "2026-11-23T11:00:00+00:00", "last_restore_ok_at": "2026-11-23T11:30:00Z"},
}  # fmt: skip


class Gauge:
    """A Metrics with its surroundings."""

    def __init__(self, state=None) -> None:
        self.metrics = Metrics(
            lambda: state,
            lambda: Instant(NOON, "boot", 1.0),
            subscribers=lambda: 3,
            inboxes=lambda: {"tier": 2},
            lead_from=lambda event: NOON - timedelta(hours=2) if event.version == "0.8.2" else None,
        )

    def read(self) -> "Seen":
        families = text_string_to_metric_families(self.metrics.expose()[0].decode())
        return Seen({(s.name, frozenset(s.labels.values())): s.value for f in families for s in f.samples})


class Seen(dict):
    """Samples by name and the values of their labels, in any order."""

    def __getitem__(self, key: tuple) -> float:
        return super().__getitem__((key[0], frozenset(key[1:])))


def test_every_metric_is_there_from_the_start():
    text = Gauge().metrics.expose()[0].decode()
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert told >= NAMES
    assert 'sando_builds_total{result="ok"} 0.0' in text


def test_the_content_type_is_that_of_prometheus_text():
    assert Gauge().metrics.expose()[1].startswith("text/plain; version=0.0.4")


def test_gauges_are_read_from_the_latest_state():
    seen = Gauge(STATE).read()
    assert seen[("sando_tier_info", "a", "0.8.2", "ab")] == 1
    assert (seen[("sando_tier_status", "a", "gating")], seen[("sando_tier_status", "a", "steady")]) == (1, 0)
    assert (seen[("sando_node_up", "a", "a-1")], seen[("sando_node_up", "a", "a-2")]) == (1, 0)
    assert seen[("sando_node_version_match", "a", "a-1")] == 1
    assert seen[("sando_node_version_match", "a", "a-2")] == 0
    assert seen[("sando_burn_in_remaining_seconds", "a")] == 3600
    assert seen[("sando_burn_in_remaining_seconds", "b")] == 60
    assert (seen[("sando_lock_active", "a")], seen[("sando_lock_active", "b")]) == (1, 0)
    assert seen[("sando_backup_age_seconds",)] == pytest.approx(3600.25)
    assert seen[("sando_backup_last_restore_ok_timestamp_seconds",)] == NOON.timestamp() - 1800.25
    assert (seen[("sando_event_seq",)], seen[("sando_event_subscribers",)]) == (48211, 3)
    assert seen[("sando_actor_inbox", "tier")] == 2


def test_builds_and_gates_are_counted_by_how_they_ended():
    gauge = Gauge()
    for kind in ("BuildOk", "BuildFailed", "BuildAborted", "BuildAborted"):
        gauge.metrics.observe(an_event(1, kind, data={"seconds": 7}))
    gate = {"gate": "smoke", "kind": "boot_smoke", "outcome": "failed", "message": "", "seconds": 2.0}
    gauge.metrics.observe(an_event(2, data=gate))
    seen = gauge.read()
    assert [seen[("sando_builds_total", r)] for r in ("ok", "failed", "aborted")] == [1, 1, 2]
    assert seen[("sando_build_duration_seconds_sum",)] == 28
    assert seen[("sando_gates_total", "a", "boot_smoke", "failed")] == 1
    assert seen[("sando_gate_duration_seconds_count", "boot_smoke")] == 1


def test_a_deploy_counts_once_for_its_operation_and_by_its_kind():
    observe = (gauge := Gauge()).metrics.observe
    observe(an_event(1, "DeployOk", operation=1, data={"kind": "promote", "seconds": 4}))
    observe(an_event(2, "DeployOk", operation=2, data={"kind": "rollback", "seconds": 1}))
    observe(an_event(3, "Rollback", operation=2, data={"from": "2", "to": "1"}))
    observe(an_event(4, "DeployFailed", operation=3, data={"kind": "rollback"}))
    observe(an_event(5, "RollbackFailed", operation=3, data={}))
    observe(an_event(6, "Rollback", operation=4, tier="mm", data={}))  # only the pointer moved
    seen = gauge.read()
    assert seen[("sando_deploys_total", "a", "promote", "ok")] == 1
    assert seen[("sando_deploys_total", "a", "rollback", "ok")] == 1
    assert seen[("sando_deploys_total", "a", "rollback", "failed")] == 1
    assert seen[("sando_deploys_total", "mm", "rollback", "ok")] == 1
    assert seen[("sando_deploy_duration_seconds_sum", "a")] == 5


@pytest.mark.parametrize("status", ["failed", "errored", "aborted", "superseded", "interrupted"])
def test_one_way_to_end_is_never_counted_as_another(status):
    observe = (gauge := Gauge(STATE)).metrics.observe
    observe(an_event(1, "BuildAborted", data={"status": status}))
    observe(an_event(2, "DeployFailed", operation=3, data={"kind": "promote", "status": status}))
    seen = gauge.read()
    assert (seen[("sando_builds_total", status)], seen[("sando_deploys_total", "a", "promote", status)]) == (
        1,
        1,
    )
    assert sum(value for (name, _), value in seen.items() if name == "sando_deploys_total") == 1


def test_the_first_failure_of_a_tier_is_an_increase():
    """Prometheus knows of none where a series appears with its first count."""
    seen = Gauge(STATE).read()
    assert [seen[("sando_deploys_total", "b", kind, "failed")] for kind in ("promote", "rollback")] == [0, 0]


def test_lead_time_is_from_the_push_to_the_tier():
    gauge = Gauge()
    gauge.metrics.observe(an_event(1, "PromoteComplete", version="0.8.2"))
    gauge.metrics.observe(an_event(2, "PromoteComplete", version="unknown"))
    seen = gauge.read()
    assert seen[("sando_lead_time_seconds_sum", "a")] == 7200
    assert seen[("sando_lead_time_seconds_count", "a")] == 1


def test_labels_stay_bounded_whatever_an_event_says():
    gauge = Gauge()
    for n in range(50):
        gauge.metrics.observe(
            an_event(n, tier=f"../{n}", data={"kind": f"k{n}", "outcome": f"o{n}", "seconds": "x"})
        )
        gauge.metrics.observe(
            an_event(n, "DeployOk", operation=n, tier=None, data={"kind": n, "seconds": True})
        )
        gauge.metrics.observe(an_event(n, "ActorRestarted", data={"actor": f"x{n}"}))
    gauge.metrics.observe(an_event(9, "ActorRestarted", data={"actor": "tier a"}))
    seen = gauge.read()
    assert seen[("sando_gates_total", "other", "other", "other")] == 50
    assert seen[("sando_deploys_total", "other", "other", "ok")] == 50
    assert seen[("sando_actor_restarts_total", "other")] == 50
    assert seen[("sando_actor_restarts_total", "tier")] == 1


def test_nothing_is_exposed_before_the_past_is_counted_beside_what_happens():
    gauge = Gauge(STATE)
    event = an_event(1, "BuildOk", data={})
    gauge.metrics.expect()

    def past():
        yield event
        assert gauge.metrics.expose() is None
        gauge.metrics.observe(an_event(2, "BuildOk", data={}))

    gauge.metrics.count(past())
    seen = gauge.read()
    assert seen[("sando_builds_total", "ok")] == 2
    assert seen[("sando_tier_info", "a", "0.8.2", "ab")] == 1
