"""The counters of the past: whole or not at all, whatever comes in between."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sando.daemon import past
from sando.daemon.past import Past, lead_from
from sando.metrics import Metrics
from sando.model.clock import Instant
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.operation import Operation, Status
from sando.model.release import Release
from sando.store import Store

NOW = Instant(datetime(2026, 11, 23, 10, tzinfo=UTC), "boot", 100.0)


class Shelf:
    """A store of so many builds that ended; before each read something may happen."""

    def __init__(self, count, happens=lambda: None):
        self.kept = [Event("BuildOk", NOW.at, seq=seq, data={"seconds": 1.0}) for seq in range(1, count + 1)]
        self.happens = happens
        self.closed = False

    def events(self, since, limit):
        self.happens()
        return [e for e in self.kept if e.seq > since][:limit]

    def close(self):
        self.closed = True


@pytest.fixture
def metrics():
    metrics = Metrics(lambda: None, lambda: NOW)
    metrics.expect()
    return metrics


@contextmanager
def counted(shelf, metrics, last):
    counting = Past(shelf, metrics)
    counting.count(last)
    yield counting
    counting.close()
    assert shelf.closed


def exposed(metrics):
    said = metrics.expose()
    return said and float(said[0].decode().partition('sando_builds_total{result="ok"} ')[2].split()[0])


def test_what_came_after_the_start_is_not_counted_twice(metrics, monkeypatch):
    monkeypatch.setattr(past, "BATCH", 3)
    shelf = Shelf(12)
    with counted(shelf, metrics, last=10) as counting:
        counting._thread.join(10)
        assert exposed(metrics) == 10


def test_a_store_that_is_away_is_asked_again(metrics, monkeypatch):
    monkeypatch.setattr(past, "AGAIN_S", 0.01)
    left = [StoreUnavailable("locked")] * 3

    def away():
        if left:
            raise left.pop()

    with counted(Shelf(5, away), metrics, last=5) as counting:
        counting._thread.join(10)
        assert (exposed(metrics), left) == (5, [])


def test_half_a_past_is_never_exposed(metrics, monkeypatch):
    monkeypatch.setattr(past, "BATCH", 3)
    shelf = Shelf(12)
    counting = Past(shelf, metrics)
    shelf.happens = counting._over.set  # sandod ends while the first batch is read
    counting.count(12)
    counting.close()
    assert exposed(metrics) is None


def deployed(store, number, tier, version, mode="promote", status="succeeded"):
    """A deploy that ended, as the actors store it; each release was pushed at the same time."""
    at = NOW.at + timedelta(hours=number)
    rows = (
        []
        if store.release(version)
        else [Release(version, version, "a" * 40, "d", 1, at, NOW.at, green=True)]
    )
    if status == "succeeded" and mode == "promote":
        rows.append(Event("PromoteComplete", at, operation=number, tier=tier, version=version))
    operation = Operation(
        store.new_operation_id(), "promote", tier, version, "a" * 40, "max", "", Status(status), at,
        started_at=at, finished_at=at, details={"kind": mode},
    )  # fmt: skip
    assert operation.id == number
    store.save(*rows, operation)


@pytest.fixture
def history(tmp_path):
    """1.0 fails on a, arrives, is repaired there, comes to b, and is brought to both again; then 1.1 comes to a."""
    store = Store(tmp_path / "sando.db", synchronous="OFF")
    store.open()
    deployed(store, 1, "a", "1.0", status="failed")
    deployed(store, 2, "a", "1.0")
    deployed(store, 3, "a", "1.0", mode="repair")
    deployed(store, 4, "b", "1.0")
    deployed(store, 5, "a", "1.0")
    deployed(store, 6, "b", "1.0")
    deployed(store, 7, "a", "1.1")
    yield store
    store.close()


def lead_times(metrics):
    families = text_string_to_metric_families(metrics.expose()[0].decode())
    found = {(s.name, s.labels.get("tier")): s.value for f in families for s in f.samples}
    name = "sando_lead_time_seconds"
    return {t: (found[f"{name}_count", t], found[f"{name}_sum", t] / 3600) for t in ("a", "b")}


FIRST = {"a": (2, 2 + 7), "b": (1, 4)}


def test_a_lead_time_is_that_of_a_versions_first_arrival_on_the_tier(history):
    metrics = Metrics(lambda: None, lambda: NOW, lead_from=partial(lead_from, history))
    for event in history.events(0, 100):
        metrics.observe(event)
    assert lead_times(metrics) == FIRST
    told = history.dora(("a", "b"), NOW.at - timedelta(days=1), NOW.at + timedelta(days=1), 2)
    assert [t.lead_time.count for t in told.tiers] == [2, 1], "as /dora says"


def test_a_restart_counts_the_same_lead_times_whatever_happens_before_the_past_is_counted(history):
    metrics = Metrics(lambda: None, lambda: NOW, lead_from=partial(lead_from, history))
    metrics.expect()
    *earlier, again, first = history.events(0, 100)
    metrics.observe(first)
    metrics.observe(again)
    counting = Past(history, metrics)
    counting.count(earlier[-1].seq)
    counting._thread.join(10)
    counting.close()
    assert lead_times(metrics) == FIRST


def test_a_store_that_is_away_for_a_lead_time_costs_that_one_and_not_the_metrics():
    class Away:
        def first_promotion(self, tier, version):
            raise StoreUnavailable("locked")

    assert lead_from(Away(), Event("PromoteComplete", NOW.at, tier="a", version="1.0", operation=4)) is None
