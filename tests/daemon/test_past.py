"""The counters of the past: whole or not at all, whatever comes in between."""

from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from sando.daemon import past
from sando.daemon.past import Past
from sando.metrics import Metrics
from sando.model.clock import Instant
from sando.model.errors import StoreUnavailable
from sando.model.events import Event

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
